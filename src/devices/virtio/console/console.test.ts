import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../testing.js';
import { type StartOptions, VirtioRig } from '../testing/index.js';
import { VirtioConsole, type VirtioConsoleOptions } from './console.js';
import { BACKLOG_SIZE, type ConsoleBackend } from './port.js';

const DEVICE_READY = 0;
const DEVICE_ADD = 1;
const PORT_READY = 3;
const CONSOLE_PORT = 4;
const RESIZE = 5;
const PORT_OPEN = 6;
const PORT_NAME = 7;

const text = (words: string): Uint8Array => new TextEncoder().encode(words);

/** A back end that takes `room` bytes and remembers them. */
class Terminal implements ConsoleBackend {
  room = Number.POSITIVE_INFINITY;
  shown = '';
  opens: boolean[] = [];
  calls = 0;

  transmit(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, this.room);
    this.room -= taken;
    this.shown += String.fromCharCode(...bytes.subarray(0, taken));
    return taken;
  }

  roomForInput(): void {
    this.calls++;
  }

  opened(open: boolean): void {
    this.opens.push(open);
  }
}

function consoleRig(
  options: Partial<VirtioConsoleOptions> = {},
  names: readonly (string | undefined)[] = [undefined],
): { rig: VirtioRig; device: VirtioConsole; terminals: Terminal[]; clock: FakeClock } {
  const terminals = names.map(() => new Terminal());
  const clock = new FakeClock();
  const ports = terminals.map((backend, i) => (names[i] === undefined ? { backend } : { backend, name: names[i] }));
  const device = new VirtioConsole({ ports, clock, ...options });
  return { rig: new VirtioRig({ device, memory: 0x80_0000 }), device, terminals, clock };
}

function control(id: number, event: number, value = 0): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, id, true);
  view.setUint16(4, event, true);
  view.setUint16(6, value, true);
  return bytes;
}

/** Starts a multiport driver and says that the ports are ready; returns the control messages that came. */
function startPorts(rig: VirtioRig, ports: number, options: StartOptions = {}): () => unknown[][] {
  rig.start(options);
  const refill = (): void => {
    for (let i = 0; i < 16; i++) rig.queue(2).add([], [64]);
  };
  refill();
  const messages = (): unknown[][] => {
    rig.queue(2).kick();
    return rig
      .queue(2)
      .collect()
      .map(({ answer }) => {
        const view = new DataView(answer.buffer, answer.byteOffset);
        const more = answer.length > 8 ? [Buffer.from(answer.subarray(8)).toString('latin1')] : [];
        return [view.getUint32(0, true), view.getUint16(4, true), view.getUint16(6, true), ...more];
      });
  };
  rig.queue(3).send([control(0, DEVICE_READY, 1)]);
  for (let port = 0; port < ports; port++) rig.queue(3).send([control(port, PORT_READY, 1)]);
  return messages;
}

describe('a console with one port', () => {
  it('shows what the guest writes, in whatever pieces', () => {
    const { rig, terminals } = consoleRig();
    rig.start();
    rig.queue(1).send([text('Hel'), text('lo'), text('')]);
    rig.queue(1).send([text(', world')], [], true);
    expect(terminals[0].shown).toBe('Hello, world');
  });

  it('holds back what the back end does not take, and the driver’s buffers with it', () => {
    const { rig, device, terminals } = consoleRig();
    rig.start();
    terminals[0].room = 4;
    const buffers = ['abc', 'def', 'ghi'].map((letters) => rig.queue(1).add([text(letters)], []));
    rig.queue(1).kick();
    expect([terminals[0].shown, rig.queue(1).collect()]).toEqual(['abcd', [buffers[0]]]);
    terminals[0].room = 1;
    device.resume(0);
    terminals[0].room = 100;
    rig.queue(1).kick(); // the back end has not said that it can
    expect([terminals[0].shown, rig.queue(1).collect()]).toEqual(['abcde', []]);
    device.resume(0);
    expect([terminals[0].shown, rig.queue(1).collect()]).toEqual(['abcdefghi', buffers.slice(1)]);
  });

  it('keeps input until the driver has buffers for it, and says when there is room again', () => {
    const { rig, device, terminals } = consoleRig();
    const input = Uint8Array.from({ length: BACKLOG_SIZE + 100 }, (_, i) => i * 7);
    expect(device.receive(0, input.subarray(0, 10))).toBe(10);
    rig.start();
    expect(device.receive(0, input.subarray(10))).toBe(BACKLOG_SIZE - 10);
    expect([device.inputRoom(0), terminals[0].calls]).toEqual([0, 0]);
    const large = rig.queue(0).send([], [1000]);
    expect(terminals[0].calls).toBe(1);
    const small = rig.queue(0).send([], [3, 100], true);
    expect([...large.answer, ...small.answer]).toEqual([...input.subarray(0, 1103)]);
    expect(device.receive(0, input.subarray(BACKLOG_SIZE))).toBe(100);
    expect(device.inputRoom(0)).toBe(1003);
  });

  it('takes at once as much as the driver has buffers for, and asks for more only later', () => {
    const { rig, device, terminals } = consoleRig();
    rig.start();
    for (let i = 0; i < 10; i++) rig.queue(0).add([], [20_000]);
    rig.queue(0).kick();
    const input = Uint8Array.from({ length: 300_000 }, (_, i) => i % 251);
    const accepted = device.receive(0, input);
    expect(terminals[0].calls).toBe(0);
    const got = rig
      .queue(0)
      .collect()
      .flatMap(({ answer }) => [...answer]);
    expect(got.length).toBeGreaterThan(100_000);
    expect(accepted).toBe(got.length + BACKLOG_SIZE);
    expect(Buffer.compare(Uint8Array.from(got), input.subarray(0, got.length))).toBe(0);
    rig.queue(0).send([], [100]);
    expect(terminals[0].calls).toBe(1);
  });

  it('loses no byte in either direction, whatever the buffers and the pace', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('input' as const), n: fc.nat(300) }),
      fc.record({ kind: fc.constant('output' as const), n: fc.nat(300) }),
      fc.record({ kind: fc.constant('buffer' as const), n: fc.nat(200) }),
      fc.record({ kind: fc.constant('room' as const), n: fc.nat(200) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, packed) => {
        const { rig, device, terminals } = consoleRig();
        rig.start({ packed });
        terminals[0].room = 0;
        let next = 0;
        const bytes = (n: number): Uint8Array => Uint8Array.from({ length: n }, () => next++ % 251);
        const sent: number[] = [];
        const typed: number[] = [];
        const got: number[] = [];
        const collect = (): void => {
          for (const { answer } of rig.queue(0).collect()) got.push(...answer);
          rig.queue(1).collect();
        };
        for (const { kind, n } of steps) {
          if (kind === 'input') {
            const input = bytes(n);
            typed.push(...input.subarray(0, device.receive(0, input)));
          } else if (kind === 'output') {
            const output = bytes(n);
            sent.push(...output);
            rig.queue(1).add([output], []);
            rig.queue(1).kick();
          } else if (kind === 'buffer') {
            rig.queue(0).add([], [n]);
            rig.queue(0).kick();
          } else {
            terminals[0].room += n;
            device.resume(0);
          }
          collect();
        }
        terminals[0].room = Number.POSITIVE_INFINITY;
        device.resume(0);
        for (let i = 0; i < 60 && got.length < typed.length; i++) {
          rig.queue(0).add([], [1000]);
          rig.queue(0).kick();
          collect();
        }
        expect(got).toEqual(typed);
        expect(Array.from(terminals[0].shown, (char) => char.charCodeAt(0))).toEqual(sent);
      }),
      { numRuns: 60 },
    );
  });

  it('takes emergency output at any time, even without a driver', () => {
    const { rig, device, terminals } = consoleRig();
    for (const letter of 'help') rig.setConfig(8, 4, letter.charCodeAt(0));
    terminals[0].room = 0;
    for (const letter of ' me') rig.setConfig(8, 4, letter.charCodeAt(0));
    expect(terminals[0].shown).toBe('help');
    terminals[0].room = 100;
    device.resume(0);
    expect(terminals[0].shown).toBe('help me');
  });

  it('tells the size of the window and its changes', () => {
    const { rig, device } = consoleRig({ size: { cols: 80, rows: 25 } });
    rig.start();
    rig.interrupts();
    expect([rig.config(0, 2), rig.config(2, 2), rig.config(4, 4)]).toEqual([80, 25, 1]);
    device.setSize({ cols: 132, rows: 43 });
    expect([rig.config(0, 2), rig.config(2, 2)]).toEqual([132, 43]);
    expect(rig.interrupts()).toEqual([-1]);
    expect(consoleRig().rig.offered & 3n).toBe(0n);
  });

  it('lets the guest run while it sends very much', () => {
    const { rig, terminals, clock } = consoleRig();
    rig.start();
    terminals[0].transmit = (bytes) => bytes.length;
    const buffer = rig.queue(1).send([new Uint8Array(5_000_000)]);
    expect(buffer.written).toBeUndefined();
    expect(clock.pending).toBe(1);
    for (let i = 0; i < 10; i++) clock.advance(1_000_000);
    expect(rig.queue(1).collect()).toEqual([buffer]);
  });

  it.each([
    [0, [text('x')], [4]],
    [1, [text('x')], [4]],
  ])('needs a reset where a buffer of queue %i goes both ways', (queue, readable, writable) => {
    const { rig, device } = consoleRig();
    rig.start();
    rig.queue(queue).send(readable, writable);
    device.receive(0, text('input'));
    expect(rig.needsReset).toBe(true);
    expect(rig.warnings[0]).toMatch(/device-(readable|writable) bytes \(virtio 1.2, 5.3.6.1\)/);
  });
});

describe('a console with several ports', () => {
  it('introduces its ports: consoles, names and open ends', () => {
    const { rig, device } = consoleRig({ size: { cols: 100, rows: 30 } }, [undefined, 'org.example.agent']);
    device.setOpen(1, false);
    const messages = startPorts(rig, 2);
    expect(messages()).toEqual([
      [0, DEVICE_ADD, 0],
      [1, DEVICE_ADD, 0],
      [0, CONSOLE_PORT, 1],
      [0, RESIZE, 0, '\x64\x00\x1e\x00'],
      [0, PORT_OPEN, 1],
      [1, PORT_NAME, 1, 'org.example.agent'],
    ]);
    device.setOpen(1, true);
    device.setSize({ cols: 90, rows: 30 });
    expect(messages()).toEqual([
      [1, PORT_OPEN, 1],
      [0, RESIZE, 0, '\x5a\x00\x1e\x00'],
    ]);
    rig.queue(3).send([control(0, DEVICE_READY, 1)]);
    expect(messages()).toEqual([]);
  });

  it('carries each port’s bytes by its own queues', () => {
    const { rig, device, terminals } = consoleRig({}, [undefined, 'b', 'c']);
    startPorts(rig, 3);
    for (const port of [0, 1, 2]) rig.queue(3).send([control(port, PORT_OPEN, 1)]);
    for (const [port, queue] of [1, 5, 7].entries()) rig.queue(queue).send([text(`port ${port}`)]);
    expect(terminals.map(({ shown }) => shown)).toEqual(['port 0', 'port 1', 'port 2']);
    const buffers = [0, 4, 6].map((queue) => rig.queue(queue).add([], [10]));
    for (const port of [0, 1, 2]) device.receive(port, text(`to ${port}`));
    for (const queue of [0, 4, 6]) rig.queue(queue).collect();
    expect(buffers.map(({ answer }) => new TextDecoder().decode(answer))).toEqual(['to 0', 'to 1', 'to 2']);
  });

  it('keeps input from a port that no program in the guest has open', () => {
    const { rig, device, terminals } = consoleRig({}, [undefined, 'b']);
    startPorts(rig, 2);
    const buffer = rig.queue(4).add([], [10]);
    rig.queue(4).kick();
    device.receive(1, text('early'));
    expect(rig.queue(4).collect()).toEqual([]);
    rig.queue(3).send([control(1, PORT_OPEN, 1)]);
    expect(rig.queue(4).collect()).toEqual([buffer]);
    rig.queue(3).send([control(1, PORT_OPEN, 0)]);
    expect(terminals[1].opens).toEqual([true, false]);
    rig.reset();
    expect(terminals[0].opens).toEqual([]);
  });

  it('takes no more control messages than it can answer', () => {
    const { rig } = consoleRig({}, [undefined, 'b']);
    rig.start({ queueSize: 128 });
    rig.queue(3).send([control(0, DEVICE_READY, 1)]);
    let taken = 0;
    for (let i = 0; i < 220; i++) taken += rig.queue(3).send([control(1, PORT_READY, 1)]).written === 0 ? 1 : 0;
    expect(taken).toBe(127);
    let answers = 0;
    for (let i = 0; i < 500; i++) if (rig.queue(2).send([], [64]).written !== undefined) answers++;
    expect(answers).toBe(2 + 220 * 2);
  });

  it.each([
    ['too short', [1, 2, 3]],
    ['for a port that is not there', [...control(7, PORT_READY, 1)]],
  ])('needs a reset after a control message %s', (_what, bytes) => {
    const { rig } = consoleRig({}, [undefined, 'b']);
    rig.start();
    rig.queue(3).send([Uint8Array.from(bytes)]);
    expect(rig.needsReset).toBe(true);
  });

  it('works with a driver that knows of one port only', () => {
    const { rig, device, terminals } = consoleRig({}, [undefined, 'b']);
    rig.start({ features: () => 1n << 32n, queues: [0, 1] });
    rig.queue(1).send([text('hello')]);
    device.receive(0, text('input'));
    expect(terminals[0].shown).toBe('hello');
    expect(rig.queue(0).send([], [10]).written).toBe(5);
  });

  it('goes on after a snapshot where it was', () => {
    const { rig, device, terminals } = consoleRig({}, [undefined, 'b']);
    startPorts(rig, 2);
    rig.queue(3).send([control(0, PORT_OPEN, 1)]);
    terminals[0].room = 3;
    const out = rig.queue(1).send([text('abcdef')]);
    device.receive(0, text('typed'));
    const state = JSON.parse(JSON.stringify(rig.pci.bus.save()));
    rig.pci.bus.restore(state);
    terminals[0].room = 100;
    rig.pci.bus.resume();
    device.resume(0);
    expect(rig.queue(1).collect()).toEqual([out]);
    expect(terminals[0].shown).toBe('abcdef');
    expect(rig.queue(0).send([], [10]).written).toBe(5);
  });
});
