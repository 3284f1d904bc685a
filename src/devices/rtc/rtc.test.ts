import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { FakeClock, playPortOps, portOps, RecordingIrqLine } from '../testing.js';
import { untilAlarm } from './calendar.js';
import { cmosMemorySize, Rtc, type RtcState } from './rtc.js';

const START = Date.UTC(2024, 1, 29, 13, 5, 59);
let clock: FakeClock;
let irq8: RecordingIrqLine;
let rtc: Rtc;

/** A host clock that runs along with the guest's. */
const wallClock = () => START + clock.now() / 1e6;

beforeEach(() => {
  clock = new FakeClock();
  irq8 = new RecordingIrqLine(clock);
  rtc = new Rtc({ clock, irq8, wallClock });
});

function read(index: number): number {
  rtc.portOut(0, 1, index);
  return rtc.portIn(1, 1);
}

function write(index: number, value: number): void {
  rtc.portOut(0, 1, index);
  rtc.portOut(1, 1, value);
}

/** Century, year, month, day, hour, minute, second as the registers have them. */
const registers = () => [0x32, 9, 8, 7, 4, 2, 0].map((index) => read(index).toString(16).padStart(2, '0')).join(' ');

const SECOND = 1e9;

describe('time', () => {
  test('reads as BCD and 24 hours after power-on, with the century at 32h and Sunday as day 1', () => {
    expect(registers()).toBe('20 24 02 29 13 05 59');
    expect(read(6)).toBe(5);
  });

  test('goes on with the host, over the end of February', () => {
    clock.advance((10 * 3600 + 54 * 60 + 1) * SECOND);
    expect(registers()).toBe('20 24 03 01 00 00 00');
  });

  test('reads in binary and with 12 hours where register B says so', () => {
    write(0x0b, 0x04);
    expect([read(4), read(2), read(0), read(0x32)]).toEqual([0x81, 5, 59, 20]);
    clock.advance(11 * 3600 * SECOND);
    expect(read(4)).toBe(12);
    write(0x0b, 0x00);
    expect(read(4)).toBe(0x12);
  });

  test('local time is UTC plus the offset handed in', () => {
    const local = new Rtc({ clock, irq8, wallClock, utcOffsetMinutes: () => 330 });
    local.portOut(0, 1, 4);
    expect(local.portIn(1, 1)).toBe(0x18);
  });

  test('a time set under SET holds from then on, and the time stands until SET is cleared', () => {
    write(0x0b, 0x82);
    clock.advance(5 * SECOND);
    expect(read(0)).toBe(0x59);
    for (const [index, value] of [
      [0x32, 0x19],
      [9, 0x99],
      [8, 0x12],
      [7, 0x31],
      [4, 0x23],
      [2, 0x59],
      [0, 0x58],
    ]) {
      write(index!, value!);
    }
    write(0x0b, 0x02);
    expect(registers()).toBe('19 99 12 31 23 59 58');
    clock.advance(2 * SECOND);
    expect(registers()).toBe('20 00 01 01 00 00 00');
  });

  test('the 12-hour clock is set in its own coding', () => {
    write(0x0b, 0x80);
    write(4, 0x92);
    write(0x0b, 0x00);
    expect(read(4)).toBe(0x92);
    write(0x0b, 0x02);
    expect(read(4)).toBe(0x12);
  });

  test('a register written while the clock runs changes only that part of the time', () => {
    write(4, 0x07);
    expect(registers()).toBe('20 24 02 29 07 05 59');
  });

  test('after a divider reset the first update comes half a second later, as Linux relies upon when it sets the time', () => {
    write(0x0b, 0x82);
    write(0x0a, 0x76);
    write(0, 0x10);
    write(0x0b, 0x02);
    clock.advance(7 * SECOND);
    expect(read(0)).toBe(0x10);
    write(0x0a, 0x26);
    clock.advance(0.49 * SECOND);
    expect(read(0)).toBe(0x10);
    clock.advance(0.02 * SECOND);
    expect(read(0)).toBe(0x11);
  });

  test('UIP is set for the 2228 µs before each update, and never while the clock stands', () => {
    expect(read(0x0a)).toBe(0x26);
    clock.advance(SECOND - 2.3e6);
    expect(read(0x0a)).toBe(0x26);
    clock.advance(0.1e6);
    expect(read(0x0a)).toBe(0xa6);
    expect(read(0)).toBe(0x59);
    write(0x0b, 0x82);
    expect(read(0x0a)).toBe(0x26);
    write(0x0b, 0x02);
    clock.advance(2.2e6);
    expect(read(0x0a)).toBe(0x26);
    expect(read(0)).toBe(0x00);
  });
});

describe('interrupts', () => {
  test('the update interrupt comes at each second once register C has been read', () => {
    write(0x0b, 0x12);
    clock.advance(3.5 * SECOND);
    expect(irq8.edgeTimes).toEqual([SECOND]);
    expect(read(0x0c) & 0x90).toBe(0x90);
    expect(irq8.level).toBe(false);
    expect(read(0x0c)).toBe(0x00);
    clock.advance(SECOND);
    expect(irq8.edgeTimes).toEqual([SECOND, 4 * SECOND]);
  });

  test('flags are set without being enabled, and enabling then interrupts at once', () => {
    clock.advance(1.5 * SECOND);
    expect(clock.pending).toBe(0);
    expect(irq8.edges).toBe(0);
    write(0x0b, 0x12);
    expect(irq8.level).toBe(true);
    expect(read(0x0c)).toBe(0xd0);
  });

  test('the periodic interrupt keeps its rate without drift', () => {
    // 1024 Hz: each handler reads register C.
    write(0x0b, 0x42);
    const times: number[] = [];
    for (let i = 0; i < 2048; i++) {
      clock.advanceTo(clock.nextAlarm!);
      times.push(clock.now());
      expect(read(0x0c) & 0xc0).toBe(0xc0);
    }
    expect(times[1023]).toBe(SECOND);
    expect(times[2047]).toBe(2 * SECOND);
  });

  test('a machine that fell behind gets one periodic interrupt for all that it missed', () => {
    write(0x0b, 0x42);
    clock.jump(5 * SECOND);
    expect(irq8.edges).toBe(1);
    expect(clock.pending).toBe(0);
  });

  test('rate 0 gives none, rates 1 and 2 are 256 and 128 Hz, 15 is 2 Hz', () => {
    for (const [rate, hz] of [
      [1, 256],
      [2, 128],
      [3, 8192],
      [15, 2],
    ]) {
      write(0x0a, 0x20 | rate!);
      write(0x0b, 0x42);
      read(0x0c);
      expect(clock.nextAlarm! - clock.now()).toBeCloseTo(SECOND / hz!, -1);
    }
    write(0x0a, 0x20);
    read(0x0c);
    expect(clock.pending).toBe(0);
  });

  test("the alarm comes at its time of day, and with don't-care bytes each minute", () => {
    write(1, 0x03);
    write(3, 0x07);
    write(5, 0x13);
    write(0x0b, 0x22);
    clock.advance(3600 * SECOND);
    expect(irq8.edgeTimes).toEqual([64 * SECOND]);
    expect(read(0x0c)).toBe(0xf0);
    write(3, 0xff);
    write(5, 0xc0);
    clock.advance(60 * SECOND);
    expect(irq8.edges).toBe(2);
    expect(read(0)).toBe(0x59);
    expect(read(0x0c) & 0xa0).toBe(0xa0);
  });

  test('an alarm that can never match arms nothing', () => {
    write(5, 0x31);
    write(0x0b, 0x22);
    clock.advance(2 * 86400 * SECOND);
    expect(irq8.edges).toBe(0);
  });

  test('setting SET clears UIE', () => {
    write(0x0b, 0x92);
    expect(read(0x0b)).toBe(0x82);
  });
});

describe('CMOS', () => {
  test('the NMI mask bit of port 70h does not change the index', () => {
    write(0x8f, 0x55);
    expect(read(0x0f)).toBe(0x55);
    expect(rtc.portIn(0, 1)).toBe(0xff);
  });

  test('a 16-bit write sets index and data', () => {
    rtc.portOut(0, 2, 0xaa40);
    expect(read(0x40)).toBe(0xaa);
  });

  test('registers C and D are read-only; D says that the time is valid', () => {
    write(0x0d, 0);
    write(0x0c, 0xff);
    expect(read(0x0d)).toBe(0x80);
    expect(read(0x0c)).toBe(0);
  });

  test('the memory sizes of a 5 GiB machine with 3 GiB below the hole', () => {
    for (const [index, value] of cmosMemorySize(3 * 2 ** 30, 2 * 2 ** 30)) rtc.poke(index, value);
    expect(read(0x15) | (read(0x16) << 8)).toBe(640);
    expect(read(0x30) | (read(0x31) << 8)).toBe(0xffff);
    expect((read(0x34) | (read(0x35) << 8)) * 0x1_0000 + 0x100_0000).toBe(3 * 2 ** 30);
    expect((read(0x5b) | (read(0x5c) << 8) | (read(0x5d) << 16)) * 0x1_0000).toBe(2 * 2 ** 30);
  });

  test('the memory sizes of a 12 MiB machine are not negative', () => {
    const bytes = cmosMemorySize(12 * 2 ** 20, 0);
    expect(bytes.get(0x17)! | (bytes.get(0x18)! << 8)).toBe(11 * 1024);
    expect([bytes.get(0x34), bytes.get(0x35)]).toEqual([0, 0]);
  });

  test('poke refuses what the clock owns', () => {
    expect(() => rtc.poke(0x00, 1)).toThrow(RangeError);
    expect(() => rtc.poke(0x32, 1)).toThrow(RangeError);
    expect(() => rtc.poke(0x80, 1)).toThrow(RangeError);
  });
});

describe('robustness', () => {
  test('the next alarm is what trying each second finds', () => {
    const field = (max: number) => fc.integer({ min: -1, max });
    fc.assert(
      fc.property(fc.nat(86399), field(25), field(61), field(61), (now, hour, minute, second) => {
        let expected = Number.POSITIVE_INFINITY;
        for (let wait = 1; wait <= 86400; wait++) {
          const t = (now + wait) % 86400;
          if (hour >= 0 && hour !== Math.floor(t / 3600)) continue;
          if (minute >= 0 && minute !== Math.floor(t / 60) % 60) continue;
          if (second >= 0 && second !== t % 60) continue;
          expected = wait;
          break;
        }
        expect(untilAlarm(now, { hour, minute, second })).toBe(expected);
      }),
    );
  });

  test('whatever a guest does, reads are bytes, alarms stay one, and a saved state goes on the same', () => {
    const ops = portOps(fc, [2]);
    fc.assert(
      fc.property(ops, ops, (before, after) => {
        clock = new FakeClock();
        const a = new Rtc({ clock, irq8, wallClock });
        playPortOps([a], before, clock);
        expect(clock.pending).toBeLessThanOrEqual(1);
        for (let index = 0; index < 128; index++) {
          expect(a.peek(index)).toBeGreaterThanOrEqual(0);
          expect(a.peek(index)).toBeLessThanOrEqual(255);
        }
        const clockB = new FakeClock(clock.now());
        const b = new Rtc({ clock: clockB, irq8: new RecordingIrqLine(), wallClock: () => START + clockB.now() / 1e6 });
        b.restore(JSON.parse(JSON.stringify(a.save())) as RtcState);
        expect(playPortOps([b], after, clockB)).toEqual(playPortOps([a], after, clock));
        expect(b.save()).toEqual(a.save());
      }),
    );
  });

  test('a host clock that jumps back or ahead neither throws nor spins', () => {
    let jump = 0;
    const jumpy = new Rtc({ clock, irq8, wallClock: () => wallClock() + jump });
    jumpy.portOut(0, 2, 0x720b);
    for (const by of [-1e12, 1e13, -5e14, 1e9]) {
      jump += by;
      expect(clock.advance(10 * SECOND)).toBeLessThan(20_000);
      jumpy.portOut(0, 1, 0x0c);
      jumpy.portIn(1, 1);
    }
  });

  test('a state of another version is refused by name', () => {
    expect(() => rtc.restore({ ...rtc.save(), version: 0 } as unknown as RtcState)).toThrow(
      /MC146818 state has version 0/,
    );
  });
});
