import { expect, test } from 'vitest';
import { NO_STATS } from '../engine/contract.js';
import { addSamples, attribute, NO_SAMPLES, type Samples } from '../engine/soft/profile.js';
import type { MachineStats } from '../machine/machine.js';
import { type StatsContext, statsJson, timeLines, timeSplit } from './stats.js';

const STATS: MachineStats = {
  ...NO_STATS,
  instructions: 5_000_000,
  blocksDecoded: 10,
  instructionsDecoded: 50,
  blockLookups: 20,
  tlbMisses: 5,
  tlbFlushes: 1,
  pageFaults: 2,
  exceptions: 3,
  interrupts: 4,
  wallMs: 2000,
  idleMs: 500,
  runMs: 1000,
  slices: 9,
  resets: 0,
  exits: { 'port-out': 1000 },
  unclaimed: 0,
};
const SAMPLES: Samples = addSamples(NO_SAMPLES, {
  places: { interpreter: 600, compiled: 200, compiling: 0, pageWalks: 100, decoding: 0, switching: 0 },
  devices: { 'port-out': 75, rdmsr: 25 },
});

test('what is measured adds up to the whole time', () => {
  const { runMs, idleMs, hostMs } = timeSplit(STATS, SAMPLES);
  expect(runMs + idleMs + hostMs).toBe(STATS.wallMs);
});

test('the time in the engine is split as the samples are', () => {
  const time = timeSplit(STATS, SAMPLES);
  expect(time).toMatchObject({ samples: 1000, interpreterMs: 600, compiledMs: 200, pageWalksMs: 100, devicesMs: 100 });
  expect(time.devices).toEqual({ 'port-out': 75, rdmsr: 25 });
});

test('without samples there is no split, rather than one that is zero', () => {
  for (const samples of [undefined, NO_SAMPLES, attribute([])]) {
    expect(timeSplit(STATS, samples)).toEqual({ runMs: 1000, idleMs: 500, hostMs: 500, samples: 0 });
    expect(timeLines(STATS, samples)).toHaveLength(3);
  }
});

test('the table gives seconds, shares of the whole and their standard error', () => {
  const lines = timeLines(STATS, SAMPLES);
  expect(lines[0]).toMatch(/^in the engine +1\.000 s +50\.0 %, 1000 samples$/);
  // √(0.6 · 0.4 / 1000) = 1.5 % of the engine's time, which is half of the whole.
  expect(lines).toContainEqual(expect.stringMatching(/^ {2}interpreter +0\.600 s +30\.0 % ± 0\.8$/));
});

test('a kind of exit is told per exit only where enough samples say so', () => {
  const lines = timeLines({ ...STATS, exits: { 'port-out': 1000, rdmsr: 10 } }, addSamples(SAMPLES, NO_SAMPLES));
  expect(lines).toContainEqual(expect.stringMatching(/^ {4}port-out .* 1000 exits of 75\.0 µs$/));
  const few: Samples = { ...SAMPLES, devices: { 'port-out': 24 } };
  expect(timeLines(STATS, few)).toContainEqual(expect.stringMatching(/^ {4}port-out .* 1000 exits$/));
});

test('the file has the split beside the counters', () => {
  const json: unknown = JSON.parse(
    statsJson(STATS, SAMPLES, { guest: 'kernel', busiest: [] } as unknown as StatsContext),
  );
  expect(json).toMatchObject({ guest: 'kernel', tlbMisses: 5, exits: { 'port-out': 1000 }, time: { compiledMs: 200 } });
});
