import { describe, expect, test } from 'vitest';
import { Doorbell } from './doorbell.js';
import { Watchfulness } from './watchfulness.js';

/** Waits of one length, in ms, each of which ends while it is watched for, if it is watched for long enough. */
function wait(watchfulness: Watchfulness, length: number, times: number): number {
  let seen = 0;
  for (let n = 0; n < times; n++) {
    const isSeen = watchfulness.time >= length;
    watchfulness.learn(length, isSeen);
    if (isSeen) seen++;
  }
  return seen;
}

describe('watchfulness', () => {
  test('begins with none, and grows until it covers the waits', () => {
    const watchfulness = new Watchfulness(2);
    expect(watchfulness.time).toBe(0);
    expect(wait(watchfulness, 0.1, 100)).toBeGreaterThan(90);
  });

  test('ends with one wait that nobody would have watched through', () => {
    const watchfulness = new Watchfulness(2);
    wait(watchfulness, 0.1, 100);
    watchfulness.learn(5, false);
    expect(watchfulness.time).toBe(0);
    expect(wait(watchfulness, 5, 100)).toBe(0);
    expect(watchfulness.time).toBe(0);
  });

  test('rests where the answer never comes while somebody watches, and tries again later', () => {
    const watchfulness = new Watchfulness(2);
    let watched = 0;
    for (let n = 0; n < 1000; n++) {
      if (watchfulness.time > 0) watched++;
      watchfulness.learn(0.15, false);
    }
    expect(watched).toBeGreaterThan(0);
    expect(watched).toBeLessThan(50);
  });

  test('is never there on one processor', () => {
    const watchfulness = new Watchfulness(1);
    wait(watchfulness, 0.05, 100);
    expect(watchfulness.time).toBe(0);
  });
});

describe('watching a bell', () => {
  test('sees a ring, and otherwise ends in time', () => {
    const bell = new Doorbell();
    const seen = bell.count;
    expect(bell.watch(seen, performance.now() - 1)).toBe(false);
    bell.ring();
    expect(bell.watch(seen, Number.POSITIVE_INFINITY)).toBe(true);
  });
});
