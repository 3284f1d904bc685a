import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { playPortOps, portOps, RecordingIrqLine } from '../testing.js';
import { I8042, type I8042State } from './i8042.js';
import { KEY_CODES, set1Sequence, set2Sequence } from './scancodes.js';

let irq1: RecordingIrqLine;
let irq12: RecordingIrqLine;
let resets: number;
let a20: boolean[];
let leds: number[];
let kbc: I8042;

beforeEach(() => {
  irq1 = new RecordingIrqLine();
  irq12 = new RecordingIrqLine();
  resets = 0;
  a20 = [];
  leds = [];
  kbc = new I8042({
    irq1,
    irq12,
    onReset: () => resets++,
    onA20: (enabled) => a20.push(enabled),
    onLeds: (value) => leds.push(value),
  });
});

const status = () => kbc.command.portIn(0, 1);
const command = (value: number) => kbc.command.portOut(0, 1, value);
const data = (value: number) => kbc.data.portOut(0, 1, value);

/** Everything in the output buffer, with 100h added to the mouse's bytes. */
function drain(): number[] {
  const bytes: number[] = [];
  while ((status() & 1) !== 0) {
    const aux = (status() & 0x20) !== 0 ? 0x100 : 0;
    bytes.push(kbc.data.portIn(0, 1) | aux);
    if (bytes.length > 1000) throw new Error('the output buffer never empties');
  }
  return bytes;
}

function ask(value: number): number[] {
  command(value);
  return drain();
}

function askKeyboard(...values: number[]): number[] {
  return values.flatMap((value) => {
    data(value);
    return drain();
  });
}

/** Bytes of the mouse, without the mark. */
function askMouse(...values: number[]): number[] {
  return values.flatMap((value) => {
    command(0xd4);
    data(value);
    return drain().map((byte) => {
      expect(byte & 0x100).toBe(0x100);
      return byte & 0xff;
    });
  });
}

function setCtr(value: number): void {
  command(0x60);
  data(value);
}

const CTR_POLLED = 0x44;

describe('controller commands', () => {
  test('self test, port tests and password test answer as a working controller without password does', () => {
    expect(ask(0xaa)).toEqual([0x55]);
    expect(ask(0xab)).toEqual([0x00]);
    expect(ask(0xa9)).toEqual([0x00]);
    expect(ask(0xa4)).toEqual([0xf1]);
    expect(ask(0xc0)).toEqual([0x80]);
    expect(ask(0xe0)).toEqual([0x00]);
  });

  test('the command byte is as firmware leaves it: keyboard interrupt, system flag, mouse off, translation', () => {
    expect(ask(0x20)).toEqual([0x65]);
    expect(status() & 0x14).toBe(0x14);
  });

  test('RAM bytes are read and written', () => {
    setCtr(0x47);
    expect(ask(0x20)).toEqual([0x47]);
    command(0x7f);
    data(0x99);
    expect(ask(0x3f)).toEqual([0x99]);
  });

  test('A7, A8, AD and AE show in the command byte, as Linux checks', () => {
    setCtr(CTR_POLLED);
    command(0xa7);
    expect(ask(0x20)[0]! & 0x20).toBe(0x20);
    command(0xa8);
    expect(ask(0x20)[0]! & 0x20).toBe(0x00);
    command(0xad);
    expect(ask(0x20)[0]! & 0x10).toBe(0x10);
    command(0xae);
    expect(ask(0x20)[0]! & 0x10).toBe(0x00);
  });

  test('D2 and D3 put a byte into the buffer as if it came from keyboard or mouse, with its interrupt', () => {
    setCtr(0x47);
    command(0xd2);
    data(0x5a);
    expect(irq1.edges).toBe(1);
    expect(drain()).toEqual([0x5a]);
    command(0xd3);
    data(0xa5);
    expect([irq1.edges, irq12.edges]).toEqual([1, 1]);
    expect(drain()).toEqual([0x1a5]);
  });

  test('D3 works while the mouse is disabled, for Linux tests IRQ 12 that way', () => {
    setCtr(0x76);
    command(0xd3);
    data(0xa5);
    expect(irq12.level).toBe(true);
    expect(drain()).toEqual([0x1a5]);
    expect(irq12.level).toBe(false);
  });

  test('FE resets, FF pulses nothing', () => {
    command(0xff);
    expect(resets).toBe(0);
    command(0xfe);
    expect(resets).toBe(1);
  });

  test('the output port switches A20 and resets, and shows what it was set to', () => {
    command(0xd1);
    data(0xdd);
    expect(a20).toEqual([false]);
    expect(ask(0xd0)[0]! & 0x03).toBe(0x01);
    command(0xdf);
    expect(a20).toEqual([false, true]);
    expect(ask(0xd0)[0]! & 0x03).toBe(0x03);
    command(0xdd);
    expect(kbc.a20).toBe(false);
    command(0xd1);
    data(0xfe);
    expect(resets).toBe(1);
  });

  test('status bit 3 tells whether the last write was a command', () => {
    command(0xaa);
    expect(status() & 8).toBe(8);
    data(0xee);
    expect(status() & 8).toBe(0);
  });

  test('a read of the empty buffer repeats the last byte', () => {
    ask(0xaa);
    expect(kbc.data.portIn(0, 1)).toBe(0x55);
  });

  test('unknown commands do nothing', () => {
    expect(ask(0x00)).toEqual([]);
    expect(ask(0xb8)).toEqual([]);
    expect(askKeyboard(0xee)).toEqual([0xee]);
  });
});

describe('the probes of Linux', () => {
  test('i8042 finds the controller, both ports, a working IRQ 12 and no multiplexer', () => {
    // i8042_flush, i8042_controller_selftest, i8042_controller_init
    expect(drain()).toEqual([]);
    expect(ask(0xaa)).toEqual([0x55]);
    const ctr = ask(0x20)[0]!;
    expect(ctr & 0x40).toBe(0x40);
    setCtr((ctr | 0x10) & ~0x01);
    expect(status() & 0x10).toBe(0x10);
    // i8042_check_aux: loop a byte through the mouse's side, then switch it off and on
    command(0xd3);
    data(0x5a);
    expect(drain()).toEqual([0x15a]);
    command(0xa7);
    expect(ask(0x20)[0]! & 0x20).toBe(0x20);
    command(0xa8);
    expect(ask(0x20)[0]! & 0x20).toBe(0x00);
    // i8042_set_mux_mode: a multiplexer would answer the last byte with its version
    for (const byte of [0xf0, 0x56, 0xa4]) {
      command(0xd3);
      data(byte);
      expect(drain()).toEqual([0x100 | byte]);
    }
    // i8042_check_aux: does IRQ 12 come?
    setCtr(0x76);
    command(0xd3);
    data(0xa5);
    expect([irq12.level, drain()]).toEqual([true, [0x1a5]]);
  });

  test('atkbd and psmouse are answered to every byte at once, with interrupts and translation on', () => {
    setCtr(0x47);
    // atkbd_probe, atkbd_reset_state, atkbd_activate. The ID's second byte goes through the translation.
    expect(askKeyboard(0xf2)).toEqual([0xfa, 0xab, 0x41]);
    expect(askKeyboard(0xed, 0x00, 0xf3, 0x00, 0xf4)).toEqual([0xfa, 0xfa, 0xfa, 0xfa, 0xfa]);
    // psmouse_probe, the Synaptics and TrackPoint probes, intellimouse_detect
    expect(askMouse(0xf2, 0xf6)).toEqual([0xfa, 0x00, 0xfa]);
    expect(askMouse(0xe8, 0, 0xe8, 0, 0xe8, 0, 0xe8, 0, 0xe9)).toEqual([...Array(9).fill(0xfa), 0x00, 0, 100]);
    expect(askMouse(0xe1)).toEqual([0xfe]);
    expect(askMouse(0xff)).toEqual([0xfa, 0xaa, 0x00]);
    expect(askMouse(0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf2)).toEqual([...Array(7).fill(0xfa), 0x03]);
    expect([irq1.level, irq12.level]).toEqual([false, false]);
  });
});

describe('port 92h', () => {
  test('bit 1 is A20, shared with the output port', () => {
    expect(kbc.port92.portIn(0, 1)).toBe(0x02);
    kbc.port92.portOut(0, 1, 0x00);
    expect(a20).toEqual([false]);
    command(0xdf);
    expect(kbc.port92.portIn(0, 1)).toBe(0x02);
  });

  test('a rising bit 0 resets', () => {
    kbc.port92.portOut(0, 1, 0x03);
    kbc.port92.portOut(0, 1, 0x03);
    expect(resets).toBe(1);
    kbc.port92.portOut(0, 1, 0x02);
    kbc.port92.portOut(0, 1, 0x03);
    expect(resets).toBe(2);
  });
});

describe('keyboard', () => {
  test('reset, identify, echo, lamps, typematic, enable, disable, defaults as drivers expect', () => {
    setCtr(0x04);
    expect(askKeyboard(0xff)).toEqual([0xfa, 0xaa]);
    expect(askKeyboard(0xf2)).toEqual([0xfa, 0xab, 0x83]);
    expect(askKeyboard(0xee)).toEqual([0xee]);
    expect(askKeyboard(0xed, 0x05)).toEqual([0xfa, 0xfa]);
    expect(leds).toEqual([5]);
    expect(askKeyboard(0xf3, 0x20)).toEqual([0xfa, 0xfa]);
    expect(askKeyboard(0xf4)).toEqual([0xfa]);
    expect(askKeyboard(0xf5)).toEqual([0xfa]);
    expect(askKeyboard(0xf6)).toEqual([0xfa]);
    expect(askKeyboard(0xfe)).toEqual([0xfa]);
    expect(askKeyboard(0x00)).toEqual([0xfe]);
  });

  test('a command in place of a parameter is a command', () => {
    expect(askKeyboard(0xed, 0xf4)).toEqual([0xfa, 0xfa]);
    expect(leds).toEqual([]);
    expect(askKeyboard(0x02)).toEqual([0xfe]);
  });

  test.each([
    ['KeyA', [0x1e], [0x9e]],
    ['ArrowUp', [0xe0, 0x48], [0xe0, 0xc8]],
    ['F7', [0x41], [0xc1]],
    ['ShiftRight', [0x36], [0xb6]],
    ['NumpadEnter', [0xe0, 0x1c], [0xe0, 0x9c]],
    ['Pause', [0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5], []],
  ])('%s comes in set 1 through the translation', (code, make, release) => {
    kbc.pressKey(code, true);
    expect(drain()).toEqual(make);
    kbc.pressKey(code, false);
    expect(drain()).toEqual(release);
  });

  test('keys come in set 2 without it', () => {
    setCtr(0x05);
    kbc.pressKey('KeyA', true);
    kbc.pressKey('KeyA', false);
    kbc.pressKey('Delete', true);
    kbc.pressKey('Delete', false);
    expect(drain()).toEqual([0x1c, 0xf0, 0x1c, 0xe0, 0x71, 0xe0, 0xf0, 0x71]);
  });

  test('set 1 can be selected in the keyboard itself; set 3 is refused', () => {
    setCtr(0x05);
    expect(askKeyboard(0xf0, 0x00)).toEqual([0xfa, 0xfa, 0x02]);
    expect(askKeyboard(0xf0, 0x01)).toEqual([0xfa, 0xfa]);
    kbc.pressKey('PrintScreen', true);
    kbc.pressKey('PrintScreen', false);
    expect(drain()).toEqual([0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa]);
    expect(askKeyboard(0xf0, 0x03)).toEqual([0xfa, 0xfe]);
    expect(askKeyboard(0xf0, 0x00)).toEqual([0xfa, 0xfa, 0x01]);
  });

  test('every key has its own code in set 1, which a release repeats with bit 7', () => {
    const seen = new Set<string>();
    for (const code of KEY_CODES) {
      const make = set1Sequence(set2Sequence(code, true)!);
      seen.add(make.join());
      if (code === 'Pause' || code === 'PrintScreen') continue;
      const up = set1Sequence(set2Sequence(code, false)!);
      expect(up).toEqual([...make.slice(0, -1), make.at(-1)! | 0x80]);
      expect(make.at(-1)!).toBeLessThan(0x80);
    }
    expect(seen.size).toBe(KEY_CODES.length);
  });

  test('a name that no PC key has is refused', () => {
    expect(kbc.pressKey('BrowserHome', true)).toBe(false);
    expect(kbc.pressKey('constructor', true)).toBe(false);
    expect(drain()).toEqual([]);
  });

  test('each byte is an edge of IRQ 1', () => {
    kbc.pressKey('Enter', true);
    kbc.pressKey('Enter', false);
    expect(irq1.edges).toBe(1);
    kbc.data.portIn(0, 1);
    expect([irq1.edges, irq1.level]).toEqual([2, true]);
    kbc.data.portIn(0, 1);
    expect([irq1.edges, irq1.level]).toEqual([2, false]);
  });

  test('a disabled keyboard keeps its keys until it is enabled', () => {
    command(0xad);
    kbc.pressKey('KeyB', true);
    expect(drain()).toEqual([]);
    command(0xae);
    expect(drain()).toEqual([0x30]);
  });

  test('after F5 keys are dropped until F4', () => {
    askKeyboard(0xf5);
    kbc.pressKey('KeyB', true);
    expect(drain()).toEqual([]);
    askKeyboard(0xf4);
    kbc.pressKey('KeyC', true);
    expect(drain()).toEqual([0x2e]);
  });

  test('keys that nobody reads are dropped beyond a bound, but a release after a press that was taken is not', () => {
    for (let i = 0; i < 1000; i++) kbc.pressKey('KeyA', true);
    kbc.pressKey('KeyA', false);
    expect(kbc.keyboardIdle).toBe(false);
    const bytes = drain();
    expect(bytes.length).toBeLessThanOrEqual(16);
    expect(bytes.at(-1)).toBe(0x9e);
    expect(kbc.keyboardIdle).toBe(true);
  });
});

describe('mouse', () => {
  beforeEach(() => setCtr(0x47));

  test('reset and identify', () => {
    expect(askMouse(0xff)).toEqual([0xfa, 0xaa, 0x00]);
    expect(askMouse(0xf2)).toEqual([0xfa, 0x00]);
  });

  test('the rates 200, 100, 80 make it a wheel mouse, 200, 200, 80 change nothing', () => {
    askMouse(0xf3, 200, 0xf3, 100, 0xf3, 80);
    expect(askMouse(0xf2)).toEqual([0xfa, 0x03]);
    askMouse(0xf3, 200, 0xf3, 200, 0xf3, 80);
    expect(askMouse(0xf2)).toEqual([0xfa, 0x03]);
    expect(askMouse(0xff)).toEqual([0xfa, 0xaa, 0x00]);
    expect(askMouse(0xf2)).toEqual([0xfa, 0x00]);
  });

  test('status tells mode, resolution and rate', () => {
    askMouse(0xe8, 3, 0xf3, 60, 0xe7, 0xf4);
    expect(askMouse(0xe9)).toEqual([0xfa, 0x30, 3, 60]);
  });

  test('nothing is reported until enabled', () => {
    kbc.moveMouse(5, 5, 0, 1);
    expect(drain()).toEqual([]);
    askMouse(0xf4);
    expect(drain()).toEqual([]);
  });

  test('packets have three bytes, y upwards; with the wheel four', () => {
    askMouse(0xf4);
    kbc.moveMouse(3, 4, 1, 0b101);
    expect(drain()).toEqual([0x12d, 0x103, 0x1fc]);
    askMouse(0xf3, 200, 0xf3, 100, 0xf3, 80);
    kbc.moveMouse(-2, -1, -1, 0);
    expect(drain()).toEqual([0x118, 0x1fe, 0x101, 0x1ff]);
    expect(irq12.level).toBe(false);
    expect(irq12.edges).toBeGreaterThan(0);
  });

  test('movement too large for a packet goes on in the next, none of it lost', () => {
    askMouse(0xf4);
    kbc.moveMouse(1000, -600, 0, 0);
    let [x, y] = [0, 0];
    const bytes = drain().map((byte) => byte & 0xff);
    for (let i = 0; i < bytes.length; i += 3) {
      x += bytes[i + 1]! - (bytes[i]! & 0x10 ? 256 : 0);
      y += bytes[i + 2]! - (bytes[i]! & 0x20 ? 256 : 0);
    }
    expect([x, y]).toEqual([1000, 600]);
  });

  test('clicks faster than the guest reads stay apart, and unread movement is bounded', () => {
    askMouse(0xf4);
    for (let i = 0; i < 100; i++) {
      kbc.moveMouse(100, 0, 0, 1);
      kbc.moveMouse(100, 0, 0, 0);
    }
    const bytes = drain();
    expect(bytes.length).toBeLessThan(120);
    expect(bytes[0]! & 7).toBe(1);
    expect(bytes[3]! & 7).toBe(0);
  });

  test('remote mode reports when asked', () => {
    askMouse(0xf0, 0xf4);
    kbc.moveMouse(7, 0, 0, 0);
    expect(drain()).toEqual([]);
    expect(askMouse(0xeb)).toEqual([0xfa, 0x08, 7, 0]);
  });

  test('wrap mode echoes all but reset', () => {
    expect(askMouse(0xee)).toEqual([0xfa]);
    expect(askMouse(0xf2)).toEqual([0xf2]);
    expect(askMouse(0xec)).toEqual([0xfa]);
    expect(askMouse(0xee, 0xff)).toEqual([0xfa, 0xfa, 0xaa, 0x00]);
  });

  test('unknown commands are refused at once, so that no probing driver waits', () => {
    expect(askMouse(0xe1)).toEqual([0xfe]);
  });
});

describe('robustness', () => {
  const input = fc.record({
    key: fc.constantFrom(...KEY_CODES),
    down: fc.boolean(),
    dx: fc.oneof(fc.integer(), fc.double()),
    dy: fc.integer(),
    wheel: fc.integer(),
    buttons: fc.nat(255),
  });

  test('whatever a guest and the user do, reads are bytes, queues stay bounded, and a saved state goes on the same', () => {
    const ops = portOps(fc, [1, 1, 1]);
    const round = fc.tuple(ops, fc.array(input, { maxLength: 40 }));
    fc.assert(
      fc.property(fc.array(round, { maxLength: 5 }), ops, (rounds, after) => {
        const make = () =>
          new I8042({ irq1: new RecordingIrqLine(), irq12: new RecordingIrqLine(), onReset: () => {} });
        const a = make();
        for (const [ops, inputs] of rounds) {
          playPortOps([a.data, a.command, a.port92], ops);
          for (const { key, down, dx, dy, wheel, buttons } of inputs) {
            a.pressKey(key, down);
            a.moveMouse(dx, dy, wheel, buttons);
          }
        }
        expect(JSON.stringify(a.save()).length).toBeLessThan(4000);
        const b = make();
        b.restore(JSON.parse(JSON.stringify(a.save())) as I8042State);
        expect(b.save()).toEqual(a.save());
        const ports = (device: I8042) => [device.data, device.command, device.port92];
        expect(playPortOps(ports(b), after)).toEqual(playPortOps(ports(a), after));
        expect(b.save()).toEqual(a.save());
      }),
    );
  });

  test('a state of another version is refused by name', () => {
    expect(() => kbc.restore({ ...kbc.save(), version: 3 } as unknown as I8042State)).toThrow(
      /8042 state has version 3/,
    );
  });
});
