import { describe, expect, test } from 'vitest';
import { hostEntropy, seededEntropy } from './random.js';

describe('random numbers', () => {
  test('come from the host in pieces, each byte once', () => {
    let asked = 0;
    const next = hostEntropy({
      entropy: (bytes) => {
        asked++;
        // A view into a larger buffer, at an odd offset, as pools hand them out.
        return new Uint8Array(bytes + 1).map((_, i) => (i - 1) * 7 + asked).subarray(1);
      },
    });
    const numbers = Array.from({ length: 2048 }, next);
    expect(asked).toBe(2);
    const bytes = new Uint8Array(Uint32Array.from(numbers).buffer);
    expect([...bytes.subarray(0, 5)]).toEqual([1, 8, 15, 22, 29]);
    expect([...bytes.subarray(4096, 4100)]).toEqual([2, 9, 16, 23]);
  });

  test('of a seed are the same in every run, differ between seeds, and are whole, unsigned and spread out', () => {
    const take = (seed: number) => Array.from({ length: 4000 }, seededEntropy(seed));
    const numbers = take(1);
    expect(take(1)).toEqual(numbers);
    expect(take(2)).not.toEqual(numbers);
    expect(numbers.every((n) => n >>> 0 === n)).toBe(true);
    expect(new Set(numbers).size).toBeGreaterThan(3990);
    for (let bit = 0; bit < 32; bit++) {
      const ones = numbers.filter((n) => (n >>> bit) & 1).length;
      expect(Math.abs(ones - 2000), `bit ${bit}`).toBeLessThan(200);
    }
  });
});
