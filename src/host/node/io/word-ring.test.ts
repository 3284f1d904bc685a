import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WordRing } from './word-ring.js';

/** What the other thread sees. */
const otherEnd = (ring: WordRing) => new WordRing(ring.shared);

describe('a ring of messages', () => {
  test('gives what was put into it, in order and whole, and refuses only what has no room', () => {
    const step = fc.oneof(
      fc.record({ push: fc.array(fc.integer(), { maxLength: 12 }) }),
      fc.record({ pop: fc.constant(true) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const ring = new WordRing(32);
        const reader = otherEnd(ring);
        const into = new Int32Array(32);
        const model: number[][] = [];
        for (const s of steps) {
          if ('push' in s) {
            const used = model.reduce((sum, m) => sum + m.length + 1, 0);
            const fits = used + s.push.length + 1 <= 32;
            expect(ring.push(Int32Array.from(s.push), s.push.length)).toBe(fits);
            if (fits) model.push(s.push);
          } else {
            const count = reader.pop(into);
            const expected = model.shift();
            expect(count).toBe(expected === undefined ? -1 : expected.length);
            if (expected !== undefined) expect([...into.subarray(0, count)]).toEqual(expected);
          }
          expect(reader.isEmpty).toBe(model.length === 0);
        }
      }),
    );
  });

  test('does not mind its positions going round 2^32', () => {
    const ring = new WordRing(16);
    new Int32Array(ring.shared).fill(-3, 0, 32); // both positions, just below the turn
    const into = new Int32Array(16);
    for (let n = 0; n < 40; n++) {
      expect(ring.push(Int32Array.of(n, n - 50), 2)).toBe(true);
      expect(ring.pop(into)).toBe(2);
      expect([into[0], into[1]]).toEqual([n, n - 50]);
    }
  });

  test('wants a power of two', () => {
    expect(() => new WordRing(48)).toThrow('power of two');
  });
});
