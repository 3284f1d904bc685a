import { expect, test } from 'vitest';
import type { RegionJob } from './job.js';
import { Outbox } from './outbox.js';

const plan = { indirect: [], inPlace: true, fewEntries: false };
const job = (id: number): RegionJob => ({ id, bytes: new Uint8Array(0), blocks: [], ...plan });
const all = () => true;
const ids = (jobs: readonly RegionJob[]) => jobs.map((j) => j.id);

test('a job waits for company', () => {
  const outbox = new Outbox();
  for (let id = 1; id <= 7; id++) outbox.add(job(id), 0);
  expect(outbox.take(1e6, all)).toEqual([]);
  outbox.add(job(8), 1e6);
  expect(outbox.take(1e6, all)).toHaveLength(8);
  expect(outbox.isEmpty).toBe(true);
});

test('one that is urgent takes those with it that wait, and the next wait again', () => {
  const outbox = new Outbox();
  outbox.add(job(1), 0);
  outbox.add(job(2), 0);
  outbox.hurry(2);
  expect(ids(outbox.take(0, all))).toEqual([1, 2]);
  outbox.add(job(3), 0);
  outbox.hurry(2); // it is with the compiler
  expect(outbox.take(0, all)).toEqual([]);
});

test('nothing waits for ever, counted from the first that waits', () => {
  const outbox = new Outbox();
  outbox.add(job(1), 5e6);
  outbox.add(job(2), 30e6);
  expect(outbox.take(34e6, all)).toEqual([]);
  expect(ids(outbox.take(35e6, all))).toEqual([1, 2]);
  expect(outbox.take(99e6, all)).toEqual([]);
});

test('what nobody wants any more is left out', () => {
  const outbox = new Outbox();
  for (const id of [1, 2, 3]) outbox.add(job(id), 0);
  outbox.hurry(1);
  expect(ids(outbox.take(0, (id) => id !== 2))).toEqual([1, 3]);
});
