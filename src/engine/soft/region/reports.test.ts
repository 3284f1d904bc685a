import { expect, test } from 'vitest';
import { Reports } from './reports.js';

test('from the second report on it is known how often a block runs', () => {
  const reports = new Reports();
  expect(reports.add(0x1000, 2048, 5e6)).toEqual({ count: 1, period: Number.POSITIVE_INFINITY });
  expect(reports.add(0x2000, 2048, 5e6).count).toBe(1);
  expect(reports.add(0x1000, 4096, 5e6 + 2048 * 100)).toEqual({ count: 2, period: 100 });
  expect(reports.add(0x1000, 6144, 5e6 + 2048 * 400)).toEqual({ count: 3, period: 300 });
});

test('a count of runs that has begun again makes no difference', () => {
  const reports = new Reports();
  reports.add(0x1000, 0xffff_ff00, 1e6);
  expect(reports.add(0x1000, 0x100, 1e6 + 512 * 7).period).toBe(7);
});

test('a block that has gone is a new one when it comes again', () => {
  const reports = new Reports();
  reports.add(0x1000, 2048, 0);
  reports.add(0x2000, 2048, 0);
  reports.forget(0x1000);
  expect(reports.add(0x1000, 2048, 10).count).toBe(1);
  reports.forgetAll();
  expect(reports.add(0x2000, 4096, 10).count).toBe(1);
});
