import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Alarm } from '../devices/device.js';
import { AlarmHeap } from './alarms.js';
import { GuestClock, InstructionTime, WallTime } from './clock.js';

function wall() {
  const host = { time: 1000 };
  return { host, clock: new GuestClock(new WallTime(() => host.time), 2e9) };
}

describe('the alarm heap', () => {
  test('gives alarms back in order of time, equal times in the order they were set, cancelled ones never', () => {
    const step = fc.record({ at: fc.integer({ min: 0, max: 20 }), cancel: fc.option(fc.nat(), { nil: undefined }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const heap = new AlarmHeap();
        const fired: number[] = [];
        const alarms: Alarm[] = [];
        const alive = new Map<number, number>();
        steps.forEach(({ at, cancel }, i) => {
          alarms.push(heap.add(at, () => fired.push(i)));
          alive.set(i, at);
          if (cancel !== undefined) {
            alarms[cancel % alarms.length].cancel();
            alive.delete(cancel % alarms.length);
          }
          expect(heap.size).toBe(alive.size);
        });
        for (let fire = heap.takeDue(100); fire !== undefined; fire = heap.takeDue(100)) fire();
        const expected = [...alive].sort(([i, a], [j, b]) => a - b || i - j).map(([i]) => i);
        expect(fired).toEqual(expected);
      }),
    );
  });

  test('an alarm that has fired can be cancelled without harm', () => {
    const heap = new AlarmHeap();
    const alarm = heap.add(1, () => {});
    heap.add(2, () => {});
    heap.takeDue(1);
    alarm.cancel();
    expect(heap.size).toBe(1);
  });

  test('an alarm at no time is refused', () => {
    expect(() => new AlarmHeap().add(Number.NaN, () => {})).toThrow(RangeError);
  });
});

describe('the guest clock on wall time', () => {
  test('starts at zero and follows the host', () => {
    const { host, clock } = wall();
    expect(clock.now()).toBe(0);
    host.time += 500;
    expect(clock.now()).toBe(500);
    expect(clock.ticks()).toBe(1000);
  });

  test('fires alarms that are due, and only those', () => {
    const { host, clock } = wall();
    const fired: string[] = [];
    clock.schedule(10, () => fired.push('ten'));
    clock.schedule(20, () => fired.push('twenty'));
    host.time += 10;
    expect(clock.fireDue()).toBe(1);
    expect(fired).toEqual(['ten']);
    expect(clock.nextAlarm).toBe(20);
  });

  test('an alarm that sets itself again for now cannot hold the machine', () => {
    const { clock } = wall();
    const again = () => {
      clock.schedule(0, again);
    };
    clock.schedule(0, again);
    expect(clock.fireDue()).toBe(1);
    expect(clock.nextAlarm).toBe(0);
  });

  test('says when an alarm becomes the earliest', () => {
    const { clock } = wall();
    const told: number[] = [];
    clock.onEarlier = (at) => told.push(at);
    for (const at of [50, 70, 20]) clock.schedule(at, () => {});
    expect(told).toEqual([50, 20]);
  });

  test('stands still while paused and goes on where it stopped', () => {
    const { host, clock } = wall();
    host.time += 100;
    clock.pause();
    host.time += 5000;
    expect(clock.now()).toBe(100);
    clock.resume();
    host.time += 1;
    expect(clock.now()).toBe(101);
  });

  test('cannot skip time', () => {
    const { clock } = wall();
    clock.schedule(50, () => {});
    expect(clock.skipToNextAlarm()).toBe(false);
  });
});

describe('the guest clock on instructions', () => {
  test('counts a nanosecond per instruction and skips to the next alarm when nobody runs', () => {
    let retired = 0;
    const clock = new GuestClock(new InstructionTime(() => retired), 1e9);
    clock.schedule(1000, () => {});
    retired = 300;
    expect(clock.now()).toBe(300);
    expect(clock.skipToNextAlarm()).toBe(true);
    expect(clock.now()).toBe(1000);
    retired += 5;
    expect(clock.now()).toBe(1005);
  });

  test('with no alarm there is nothing to skip to', () => {
    const clock = new GuestClock(new InstructionTime(() => 0), 1e9);
    expect(clock.skipToNextAlarm()).toBe(false);
    expect(clock.now()).toBe(0);
  });
});
