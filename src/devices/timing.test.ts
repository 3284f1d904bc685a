import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FakeClock } from './testing.js';
import { Crystal, Timer } from './timing.js';

describe('Crystal', () => {
  test('timeOf is the first nanosecond at which the tick is complete, for three months of guest time', () => {
    fc.assert(
      fc.property(fc.constantFrom(1_193_182, 3_579_545, 32_768), fc.nat(100 * 86400e9), (hz, ns) => {
        const crystal = new Crystal(hz);
        const tick = crystal.ticksAt(ns);
        const at = crystal.timeOf(tick);
        expect(at).toBeLessThanOrEqual(ns);
        expect(crystal.timeOf(tick + 1)).toBeGreaterThan(ns);
        expect(crystal.ticksAt(at)).toBe(tick);
        if (tick > 0) expect(crystal.ticksAt(at - 1)).toBe(tick - 1);
      }),
    );
  });

  test('after exactly one second exactly hz ticks have passed', () => {
    expect(new Crystal(1_193_182).ticksAt(1e9)).toBe(1_193_182);
    expect(new Crystal(1_193_182).ticksAt(1e9 - 1)).toBe(1_193_181);
  });

  test('a frequency whose arithmetic would not be exact is refused', () => {
    expect(() => new Crystal(123_456_789)).toThrow(RangeError);
  });
});

describe('Timer', () => {
  test('arming again replaces the earlier time', () => {
    const clock = new FakeClock();
    const fired: number[] = [];
    const timer = new Timer(clock, () => fired.push(clock.now()));
    timer.arm(10);
    timer.arm(20);
    clock.advance(30);
    expect(fired).toEqual([20]);
    expect(timer.armed).toBe(false);
  });

  test('a clock that fires at once, inside schedule, leaves the timer disarmed or as the callback armed it', () => {
    const fires: (() => void)[] = [];
    let immediate = true;
    let rearm = true;
    const clock = {
      now: () => 0,
      schedule: (_at: number, fire: () => void) => {
        if (immediate) fire();
        else fires.push(fire);
        return { cancel: () => {} };
      },
    };
    let count = 0;
    const timer = new Timer(clock, () => {
      count++;
      if (!rearm) return;
      rearm = false;
      immediate = false;
      timer.arm(5);
    });
    timer.arm(1);
    expect(count).toBe(1);
    expect(timer.armed).toBe(true);
    fires[0]!();
    expect(count).toBe(2);
    expect(timer.armed).toBe(false);
  });

  test('a disarmed alarm does not fire even where the clock ignores cancel', () => {
    let saved: (() => void) | undefined;
    const clock = {
      now: () => 0,
      schedule: (_at: number, fire: () => void) => {
        saved = fire;
        return { cancel: () => {} };
      },
    };
    let count = 0;
    const timer = new Timer(clock, () => count++);
    timer.arm(1);
    timer.disarm();
    saved!();
    expect(count).toBe(0);
  });
});
