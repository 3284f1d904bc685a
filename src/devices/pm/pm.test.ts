import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { PortDevice } from '../device.js';
import { FakeClock, playPortOps, portOps, RecordingIrqLine } from '../testing.js';
import { Crystal } from '../timing.js';
import { PM_TIMER_HZ, PmDevice, type PmOptions, type PmState } from './pm.js';

const crystal = new Crystal(PM_TIMER_HZ);
const PORTS = { event: 0x600, control: 0x604, timer: 0x608, gpe0: { base: 0x620, length: 4 } };
const [PWRBTN, TMR] = [0x0100, 0x0001];

let clock: FakeClock;
let sci: RecordingIrqLine;
let powerOffs: number;
let resets: string[];
let pm: PmDevice;

function make(options: Partial<PmOptions> = {}): PmDevice {
  return new PmDevice({
    clock,
    sci,
    ports: PORTS,
    onPowerOff: () => powerOffs++,
    onReset: (kind) => resets.push(kind),
    ...options,
  });
}

function at(name: string): PortDevice {
  return pm.blocks.find((block) => block.name === name)!.device;
}

beforeEach(() => {
  clock = new FakeClock();
  sci = new RecordingIrqLine(clock);
  powerOffs = 0;
  resets = [];
  pm = make();
});

test('the blocks sit where the constructor was told, the reset register at CF9h', () => {
  expect(pm.blocks.map(({ name, base, length }) => [name, base, length])).toEqual([
    ['PM1a_EVT', 0x600, 4],
    ['PM1a_CNT', 0x604, 2],
    ['PM_TMR', 0x608, 4],
    ['RST_CNT', 0xcf9, 1],
    ['GPE0', 0x620, 4],
  ]);
});

describe('power button', () => {
  test('raises an SCI if enabled, until the guest clears the status by writing 1', () => {
    at('PM1a_EVT').portOut(2, 2, PWRBTN);
    expect(pm.powerButtonEnabled).toBe(true);
    pm.pressPowerButton();
    expect(sci.level).toBe(true);
    expect(at('PM1a_EVT').portIn(0, 2)).toBe(PWRBTN);
    at('PM1a_EVT').portOut(0, 2, PWRBTN);
    expect(at('PM1a_EVT').portIn(0, 2)).toBe(0);
    expect(sci.level).toBe(false);
  });

  test('sets only its status while disabled, and interrupts when enabled later', () => {
    pm.pressPowerButton();
    expect(sci.level).toBe(false);
    at('PM1a_EVT').portOut(3, 1, 0x01);
    expect(sci.level).toBe(true);
  });

  test('interrupts nobody while SCI_EN is clear', () => {
    at('PM1a_EVT').portOut(2, 2, PWRBTN);
    at('PM1a_CNT').portOut(0, 2, 0);
    pm.pressPowerButton();
    expect(sci.level).toBe(false);
    at('PM1a_CNT').portOut(0, 2, 1);
    expect(sci.level).toBe(true);
  });
});

describe('registers', () => {
  test('the machine is in ACPI mode from the start', () => {
    expect(at('PM1a_CNT').portIn(0, 2)).toBe(0x0001);
  });

  test('event registers keep only defined enables and are reached by any access size', () => {
    at('PM1a_EVT').portOut(0, 4, 0xffff_ffff);
    expect(at('PM1a_EVT').portIn(0, 4)).toBe(0x0721_0000);
    at('PM1a_EVT').portOut(2, 1, 0x00);
    expect(at('PM1a_EVT').portIn(2, 2)).toBe(0x0700);
  });

  test('GPE0 remembers its enables and has no events', () => {
    at('GPE0').portOut(0, 4, 0xffff_ffff);
    expect(at('GPE0').portIn(0, 4)).toBe(0xffff_0000);
  });
});

describe('sleep and reset', () => {
  test('S5 with SLP_EN powers off, once', () => {
    at('PM1a_CNT').portOut(0, 2, (5 << 10) | 1);
    expect(powerOffs).toBe(0);
    at('PM1a_CNT').portOut(0, 2, (5 << 10) | 0x2001);
    expect(powerOffs).toBe(1);
    expect(at('PM1a_CNT').portIn(0, 2)).toBe((5 << 10) | 1);
  });

  test('SLP_EN written to the high byte alone powers off, too', () => {
    at('PM1a_CNT').portOut(1, 1, 0x34);
    expect(powerOffs).toBe(1);
  });

  test('another sleep type does nothing', () => {
    at('PM1a_CNT').portOut(0, 2, (1 << 10) | 0x2001);
    expect(powerOffs).toBe(0);
  });

  test('the sleep type of S5 is the one handed in', () => {
    pm = make({ s5Type: 0 });
    at('PM1a_CNT').portOut(0, 2, 0x2001);
    expect(powerOffs).toBe(1);
  });

  test('06h and 0Eh are hard resets, 04h a soft one, 02h only prepares', () => {
    const rst = at('RST_CNT');
    rst.portOut(0, 1, 0x02);
    expect(rst.portIn(0, 1)).toBe(0x02);
    expect(resets).toEqual([]);
    for (const value of [0x06, 0x0e, 0x04]) rst.portOut(0, 1, value);
    expect(resets).toEqual(['hard', 'hard', 'soft']);
  });
});

describe('PM timer', () => {
  test('counts 3579545 a second, and cannot be written', () => {
    clock.advance(1e9);
    at('PM_TMR').portOut(0, 4, 0);
    expect(at('PM_TMR').portIn(0, 4)).toBe(3_579_545);
    expect(at('PM_TMR').portIn(1, 1)).toBe((3_579_545 >> 8) & 0xff);
    expect(at('PM_TMR').portIn(0, 2)).toBe(3_579_545 & 0xffff);
  });

  test('wraps at 32 bits, or at 24', () => {
    clock.advanceTo(crystal.timeOf(2 ** 32 + 5));
    expect(at('PM_TMR').portIn(0, 4)).toBe(5);
    pm = make({ timerBits: 24 });
    clock.advanceTo(crystal.timeOf(2 ** 33 - 1));
    expect(at('PM_TMR').portIn(0, 4)).toBe(0xff_ffff);
  });

  test('its top bit sets TMR_STS on each change, and interrupts if enabled', () => {
    pm = make({ timerBits: 24 });
    at('PM1a_EVT').portOut(2, 2, TMR);
    clock.advance(10e9);
    expect(sci.edgeTimes).toEqual([crystal.timeOf(2 ** 23)]);
    at('PM1a_EVT').portOut(0, 2, TMR);
    expect(sci.level).toBe(false);
    clock.advance(10e9);
    expect(sci.edgeTimes[1]).toBe(crystal.timeOf(5 * 2 ** 23));
  });

  test('TMR_STS is set without an alarm while disabled', () => {
    clock.advance(1200e9);
    expect(clock.pending).toBe(0);
    expect(at('PM1a_EVT').portIn(0, 2)).toBe(TMR);
  });

  test('goes on from its value after a restore, whatever the guest time there', () => {
    clock.advance(5e9);
    const state = pm.save();
    const value = at('PM_TMR').portIn(0, 4);
    clock = new FakeClock(77e9);
    pm = make();
    pm.restore(state);
    expect(at('PM_TMR').portIn(0, 4)).toBe(value);
    at('PM1a_EVT').portOut(2, 2, TMR);
    clock.advanceTo(clock.nextAlarm!);
    expect(at('PM_TMR').portIn(0, 4)).toBe(2 ** 31);
    expect(sci.level).toBe(true);
  });
});

describe('robustness', () => {
  test('whatever a guest does, reads have their size, alarms stay one, and a saved state goes on the same', () => {
    const ops = portOps(fc, [4, 2, 4, 1, 4]);
    fc.assert(
      fc.property(ops, ops, fc.constantFrom<24 | 32>(24, 32), (before, after, timerBits) => {
        const devices = (device: PmDevice) => device.blocks.map((block) => block.device);
        clock = new FakeClock();
        const a = make({ timerBits });
        playPortOps(devices(a), before, clock);
        expect(clock.pending).toBeLessThanOrEqual(1);
        const clockB = new FakeClock(clock.now());
        const b = make({ timerBits, clock: clockB, sci: new RecordingIrqLine() });
        b.restore(JSON.parse(JSON.stringify(a.save())) as PmState);
        expect(b.save()).toEqual(a.save());
        expect(playPortOps(devices(b), after, clockB)).toEqual(playPortOps(devices(a), after, clock));
        expect(b.save()).toEqual(a.save());
      }),
    );
  });

  test('a state of another version is refused by name', () => {
    expect(() => pm.restore({ ...pm.save(), version: 4 } as unknown as PmState)).toThrow(/ACPI PM state has version 4/);
  });
});
