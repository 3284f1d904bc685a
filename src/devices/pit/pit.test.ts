import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { FakeClock, playPortOps, portOps, RecordingIrqLine } from '../testing.js';
import { Crystal } from '../timing.js';
import { PIT_HZ, Pit8254, type PitState } from './pit.js';

const crystal = new Crystal(PIT_HZ);
let clock: FakeClock;
let irq0: RecordingIrqLine;
let pit: Pit8254;

beforeEach(() => {
  clock = new FakeClock();
  irq0 = new RecordingIrqLine(clock);
  pit = new Pit8254({ clock, irq0 });
});

/** Moves on to the given tick of the PIT's clock. */
function toTick(tick: number): void {
  clock.advanceTo(crystal.timeOf(tick));
}

/** Control word (both bytes) and count for a channel. */
function program(channel: number, mode: number, count: number, bcd = 0): void {
  pit.portOut(3, 1, (channel << 6) | 0x30 | (mode << 1) | bcd);
  pit.portOut(channel, 1, count & 0xff);
  pit.portOut(channel, 1, (count >> 8) & 0xff);
}

function read16(channel: number): number {
  const low = pit.portIn(channel, 1);
  return low | (pit.portIn(channel, 1) << 8);
}

function latched(channel: number): number {
  pit.portOut(3, 1, channel << 6);
  return read16(channel);
}

/** OUT of channel 2 at each of the next `n` ticks. */
function trace2(from: number, n: number): string {
  let trace = '';
  for (let i = 0; i < n; i++) {
    toTick(from + i);
    trace += pit.out2 ? 'H' : '_';
  }
  return trace;
}

describe('modes, by the timing diagrams of the data sheet', () => {
  test('mode 0: OUT rises N+1 ticks after the count was written and stays high', () => {
    pit.port61.portOut(0, 1, 1);
    program(2, 0, 4);
    expect(trace2(0, 9)).toBe('_____HHHH');
  });

  test('mode 0: the gate holds the count, and a new count starts over', () => {
    pit.port61.portOut(0, 1, 1);
    program(2, 0, 4);
    toTick(3);
    pit.port61.portOut(0, 1, 0);
    toTick(50);
    expect(latched(2)).toBe(2);
    expect(pit.out2).toBe(false);
    pit.port61.portOut(0, 1, 1);
    expect(trace2(50, 4)).toBe('__HH');
    pit.portOut(2, 1, 2);
    expect(pit.out2).toBe(false);
    pit.portOut(2, 1, 0);
    expect(trace2(53, 5)).toBe('___HH');
  });

  test('mode 1: the rising gate starts a pulse of N ticks and may stretch it', () => {
    program(2, 1, 3);
    expect(trace2(0, 3)).toBe('HHH');
    pit.port61.portOut(0, 1, 1);
    expect(trace2(2, 6)).toBe('H___HH');
    pit.port61.portOut(0, 1, 0);
    pit.port61.portOut(0, 1, 1);
    toTick(9);
    pit.port61.portOut(0, 1, 0);
    pit.port61.portOut(0, 1, 1);
    expect(trace2(9, 6)).toBe('____HH');
  });

  test('mode 2: OUT is low for the last tick of each N, and high while the gate is low', () => {
    pit.port61.portOut(0, 1, 1);
    program(2, 2, 3);
    expect(trace2(0, 10)).toBe('HHH_HH_HH_');
    pit.port61.portOut(0, 1, 0);
    expect(pit.out2).toBe(true);
    pit.port61.portOut(0, 1, 1);
    expect(trace2(9, 6)).toBe('HHH_HH');
  });

  test('mode 2: a new count takes effect at the end of the period', () => {
    pit.port61.portOut(0, 1, 1);
    program(2, 2, 4);
    toTick(2);
    pit.portOut(2, 1, 3);
    pit.portOut(2, 1, 0);
    expect(trace2(2, 9)).toBe('HH_HH_HH_');
  });

  test('mode 3: even counts are high and low alike, odd ones a tick longer high', () => {
    pit.port61.portOut(0, 1, 1);
    program(2, 3, 4);
    expect(trace2(0, 9)).toBe('HHH__HH__');
    program(2, 3, 5);
    expect(trace2(8, 11)).toBe('HHHH__HHH__');
  });

  test('mode 3: a new count takes effect at the end of the half period', () => {
    pit.port61.portOut(0, 1, 1);
    program(2, 3, 8);
    toTick(2);
    pit.portOut(2, 1, 4);
    pit.portOut(2, 1, 0);
    expect(trace2(2, 11)).toBe('HHH__HH__HH');
  });

  test('mode 3: the count goes down by two and is always even', () => {
    pit.port61.portOut(0, 1, 1);
    program(2, 3, 7);
    const values: number[] = [];
    for (let tick = 1; tick <= 8; tick++) {
      toTick(tick);
      values.push(latched(2));
    }
    expect(values).toEqual([6, 4, 2, 0, 6, 4, 2, 6]);
  });

  test('mode 4: OUT is low for one tick, N+1 ticks after the count was written', () => {
    pit.port61.portOut(0, 1, 1);
    program(2, 4, 3);
    expect(trace2(0, 8)).toBe('HHHH_HHH');
  });

  test('mode 5: as mode 4, but started by the gate', () => {
    program(2, 5, 3);
    toTick(2);
    pit.port61.portOut(0, 1, 1);
    expect(trace2(2, 8)).toBe('HHHH_HHH');
  });

  test('modes 6 and 7 are 2 and 3, and the status shows them as written', () => {
    pit.port61.portOut(0, 1, 1);
    program(2, 6, 3);
    expect(trace2(0, 7)).toBe('HHH_HH_');
    pit.portOut(3, 1, 0xe8);
    expect(pit.portIn(2, 1) & 0x3f).toBe(0x3c);
  });

  test('a count of zero is 65536, in BCD 10000; BCD counts read as BCD', () => {
    program(0, 2, 0);
    toTick(1 + 65535);
    expect(latched(0)).toBe(1);
    program(0, 0, 0, 1);
    clock.advance(1e6);
    const passed = crystal.ticksAt(clock.now()) - 65537;
    expect(Number(latched(0).toString(16))).toBe(10000 - passed);
  });
});

describe('reading', () => {
  test('a latched count stands still until it is read, and a second latch command before that changes nothing', () => {
    program(0, 2, 1000);
    toTick(101);
    pit.portOut(3, 1, 0x00);
    toTick(201);
    pit.portOut(3, 1, 0x00);
    expect(read16(0)).toBe(900);
    expect(latched(0)).toBe(800);
  });

  test('an unlatched read gives the count as it is, low byte first', () => {
    program(0, 2, 0x1234);
    toTick(1);
    expect(read16(0)).toBe(0x1234);
  });

  test('read-back latches status and count of several channels; the status comes first', () => {
    program(0, 2, 1000);
    program(2, 0, 500);
    toTick(1);
    pit.portOut(3, 1, 0xc0 | 0x0a);
    expect(pit.portIn(0, 1)).toBe(0x80 | 0x34);
    expect(read16(0)).toBe(1000);
    expect(pit.portIn(2, 1)).toBe(0x30);
    expect(read16(2)).toBe(500);
  });

  test('the null count flag is set from the control word until the count is loaded', () => {
    const nullCount = () => {
      pit.portOut(3, 1, 0xe2);
      return pit.portIn(0, 1) & 0x40;
    };
    pit.portOut(3, 1, 0x34);
    expect(nullCount()).toBe(0x40);
    pit.portOut(0, 1, 10);
    pit.portOut(0, 1, 0);
    expect(nullCount()).toBe(0x40);
    toTick(1);
    expect(nullCount()).toBe(0);
    pit.portOut(0, 1, 20);
    pit.portOut(0, 1, 0);
    expect(nullCount()).toBe(0x40);
    toTick(11);
    expect(nullCount()).toBe(0);
  });

  test('channels of one byte read and write only that byte', () => {
    pit.portOut(3, 1, 0x14);
    pit.portOut(0, 1, 0x40);
    toTick(1);
    expect([pit.portIn(0, 1), pit.portIn(0, 1)]).toEqual([0x40, 0x40]);
    pit.portOut(3, 1, 0x24);
    pit.portOut(0, 1, 0x40);
    toTick(2);
    expect(pit.portIn(0, 1)).toBe(0x40);
  });

  test('the control word register reads FFh and a 16-bit access touches two counters', () => {
    expect(pit.portIn(3, 1)).toBe(0xff);
    pit.portOut(3, 1, 0x14);
    pit.portOut(3, 1, 0x54);
    pit.portOut(0, 2, 0x2010);
    toTick(1);
    expect(pit.portIn(0, 2)).toBe(0x2010);
  });
});

describe('IRQ 0', () => {
  test('mode 2 interrupts each N ticks without drift over an hour', () => {
    program(0, 2, 11932);
    clock.advance(3600e9);
    const expected = Math.floor((crystal.ticksAt(3600e9) - 1) / 11932);
    const edges = irq0.edgeTimes.slice(1);
    expect(edges.length).toBe(expected);
    expect(edges.at(-1)).toBe(crystal.timeOf(1 + expected * 11932));
  });

  test('mode 3 interrupts each N ticks', () => {
    program(0, 3, 1000);
    toTick(1);
    const before = irq0.edges;
    toTick(10_001);
    expect(irq0.edges - before).toBe(10);
  });

  test('a count written before the first one has loaded takes its place', () => {
    program(0, 2, 1000);
    pit.portOut(0, 1, 100);
    pit.portOut(0, 1, 0);
    const before = irq0.edges;
    toTick(101);
    expect(irq0.edges - before).toBe(1);
    expect(latched(0)).toBe(100);
  });

  test('mode 0 interrupts once', () => {
    program(0, 0, 1000);
    clock.advance(1e9);
    expect(irq0.edgeTimes).toEqual([crystal.timeOf(1001)]);
    expect(clock.pending).toBe(0);
  });

  test('mode 4 interrupts once, and again for each new count', () => {
    program(0, 4, 1000);
    const idle = irq0.edges;
    clock.advance(1e9);
    expect(irq0.edges - idle).toBe(1);
    pit.portOut(0, 1, 0);
    pit.portOut(0, 1, 1);
    clock.advance(1e9);
    expect(irq0.edges - idle).toBe(2);
  });

  test('interrupts come exactly at the rises of OUT, also where counts change while running', () => {
    const step = fc.record({ count: fc.integer({ min: 50, max: 400 }), ticks: fc.nat(1000) });
    fc.assert(
      fc.property(fc.constantFrom(0, 2, 3, 4), fc.array(step, { minLength: 1, maxLength: 6 }), (mode, steps) => {
        const clock = new FakeClock();
        const irq0 = new RecordingIrqLine(clock);
        pit = new Pit8254({ clock, irq0 });
        // Channel 2 with the gate open gets the same programme and is looked at each tick.
        pit.port61.portOut(0, 1, 1);
        for (const channel of [0, 2]) pit.portOut(3, 1, (channel << 6) | 0x30 | (mode << 1));
        const rises: number[] = [];
        let high = pit.out2;
        const edgesBefore = irq0.edges;
        let tick = 0;
        for (const { count, ticks } of steps) {
          for (const channel of [0, 2]) {
            pit.portOut(channel, 1, count & 0xff);
            pit.portOut(channel, 1, count >> 8);
          }
          // In mode 4's low tick a new count makes OUT rise at once.
          if (pit.out2 && !high) rises.push(clock.now());
          high = pit.out2;
          for (let i = 0; i < ticks; i++) {
            clock.advanceTo(crystal.timeOf(++tick));
            if (pit.out2 && !high) rises.push(clock.now());
            high = pit.out2;
          }
        }
        expect(irq0.edgeTimes.slice(edgesBefore)).toEqual(rises);
      }),
    );
  });

  test('a machine that fell behind gets one interrupt for all that it missed, and goes on in step', () => {
    program(0, 2, 1193);
    toTick(1);
    const before = irq0.edges;
    expect(clock.jump(10e9)).toBe(1);
    expect(irq0.edges - before).toBe(1);
    clock.advance(1.1e6);
    expect((crystal.ticksAt(irq0.times.at(-1)!) - 1) % 1193).toBe(0);
  });

  test('reading or latching the count while an interrupt is late loses none', () => {
    program(0, 2, 1193);
    toTick(1);
    const before = irq0.edges;
    for (let i = 0; i < 50; i++) {
      clock.pass(1e6);
      latched(0);
      clock.advance(0);
    }
    expect(irq0.edges - before).toBe(50);
  });

  test('an interrupt that is late when the guest writes a new count comes first', () => {
    program(0, 2, 1193);
    toTick(1);
    const before = irq0.edges;
    clock.pass(1.5e6);
    pit.portOut(0, 1, 0xff);
    expect(irq0.edges - before).toBe(1);
    clock.advance(0);
    expect(irq0.edges - before).toBe(1);
  });

  test('a count of 2 costs at most one alarm in 20 µs', () => {
    program(0, 2, 2);
    expect(clock.advance(1e6)).toBeLessThanOrEqual(50);
  });

  test('mode 1 has no trigger on channel 0 and never interrupts', () => {
    program(0, 1, 10);
    const before = irq0.edges;
    clock.advance(1e9);
    expect(irq0.edges).toBe(before);
  });
});

describe('port 61h', () => {
  test('bits 3:0 are kept, bit 4 toggles with the refresh, bit 5 is OUT 2, the others read 0', () => {
    pit.port61.portOut(0, 1, 0xff);
    expect(pit.port61.portIn(0, 1) & 0xcf).toBe(0x0f);
    let toggles = 0;
    let last = pit.port61.portIn(0, 1) & 0x10;
    for (let i = 0; i < 1000; i++) {
      clock.advance(1000);
      const now = pit.port61.portIn(0, 1) & 0x10;
      if (now !== last) toggles++;
      last = now;
    }
    expect(toggles).toBe(66);
    program(2, 0, 100);
    expect(pit.port61.portIn(0, 1) & 0x20).toBe(0);
    clock.advance(1e6);
    expect(pit.port61.portIn(0, 1) & 0x20).toBe(0x20);
  });

  test('calibrating against channel 2 as Linux does takes the 10 ms asked for', () => {
    pit.port61.portOut(0, 1, (pit.port61.portIn(0, 1) & ~2) | 1);
    pit.portOut(3, 1, 0xb0);
    pit.portOut(2, 1, 0x9b);
    pit.portOut(2, 1, 0x2e);
    let polls = 0;
    while ((pit.port61.portIn(0, 1) & 0x20) === 0) {
      clock.advance(10_000);
      polls++;
    }
    expect(polls).toBeGreaterThanOrEqual(999);
    expect(polls).toBeLessThanOrEqual(1001);
  });
});

describe('robustness', () => {
  test('whatever a guest does, reads are bytes, alarms stay one, and a saved state goes on the same', () => {
    fc.assert(
      fc.property(portOps(fc, [4, 1]), portOps(fc, [4, 1]), (before, after) => {
        const clockA = new FakeClock();
        const a = new Pit8254({ clock: clockA, irq0: new RecordingIrqLine() });
        playPortOps([a, a.port61], before, clockA);
        expect(clockA.pending).toBeLessThanOrEqual(1);
        const clockB = new FakeClock(clockA.now());
        const b = new Pit8254({ clock: clockB, irq0: new RecordingIrqLine() });
        b.restore(JSON.parse(JSON.stringify(a.save())) as PitState);
        expect(b.save()).toEqual(a.save());
        expect(playPortOps([b, b.port61], after, clockB)).toEqual(playPortOps([a, a.port61], after, clockA));
        expect(b.save()).toEqual(a.save());
      }),
    );
  });

  test('a counter always shows 16 bits and in BCD only decimal digits', () => {
    fc.assert(
      fc.property(fc.nat(5), fc.nat(0xffff), fc.boolean(), fc.nat(200_000), (mode, count, bcd, ticks) => {
        program(0, mode, count, bcd ? 1 : 0);
        clock.advance(crystal.timeOf(ticks));
        const value = latched(0);
        expect(value).toBeLessThanOrEqual(0xffff);
        if (bcd) expect(value.toString(16)).toMatch(/^[0-9]+$/);
      }),
    );
  });

  test('a state of another version is refused by name', () => {
    expect(() => pit.restore({ ...pit.save(), version: 9 } as unknown as PitState)).toThrow(/8254 state has version 9/);
  });
});
