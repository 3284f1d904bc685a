import { expect, test } from 'vitest';
import { Luck } from './luck.js';

/** @returns of so many tries, which are made; each succeeds or not */
function tries(count: number, success: (n: number) => boolean): number[] {
  const luck = new Luck(3);
  const made: number[] = [];
  for (let n = 0; n < count; n++) {
    if (!luck.isGood) continue;
    made.push(n);
    luck.note(success(n));
  }
  return made;
}

test('after three failures in a row three tries are left out', () => {
  expect(tries(10, () => false)).toEqual([0, 1, 2, 6, 7, 8]);
});

test('a success among them starts the count afresh', () => {
  expect(tries(8, (n) => n === 2)).toEqual([0, 1, 2, 3, 4, 5]);
});
