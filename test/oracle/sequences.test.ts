// Random sequences of user-mode instructions: the software engine against the processor under us.

import { beforeAll, describe, expect, test } from 'vitest';
import { nativeX86 } from '../native/exec-page.js';
import { F_VECTOR } from './native-frame.js';
import { type SequenceMismatch, SequenceOracle } from './sequences.js';

/** Sequences for the first mode, and the number of the first one: for longer runs, and to see one again. */
const CASES = Number(process.env.TYPEVISOR_ORACLE_SEQUENCES ?? 800);
const FIRST = Number(process.env.TYPEVISOR_ORACLE_SEED ?? 1);
/** Mismatches after which enough is known. */
const ENOUGH = 3;
const [DE, GP, PF, MF] = [0, 13, 14, 16];

describe.skipIf(!nativeX86).each([
  ['64', 1],
  ['flat', 0.7],
  ['segmented', 0.4],
  // Each sequence makes modules of its own.
  ['compiled', 0.13],
  ['compiled-32', 0.13],
] as const)('the software engine in %s mode does as the processor', (mode, share) => {
  let oracle: SequenceOracle;
  const count = Math.ceil(CASES * share);
  beforeAll(async () => {
    oracle = await SequenceOracle.create(mode);
  });

  test('in random sequences, to their end or to the exception that ends them', () => {
    const mismatches: SequenceMismatch[] = [];
    for (let seed = FIRST; seed < FIRST + count && mismatches.length < ENOUGH; seed++) {
      const mismatch = oracle.check(seed);
      if (mismatch) mismatches.push(mismatch);
    }
    expect(mismatches).toEqual([]);
    if (mode.startsWith('compiled')) {
      expect(oracle.engine.regions).toBeGreaterThan(oracle.cases);
      // The first way is without regions, the second makes them.
      expect(oracle.engine.compiledShare).toBeGreaterThan(0.2);
    }
    expect(oracle.cases).toBeGreaterThan(0.8 * count);
    if (count < 100) return;
    expect(oracle.modified).toBeGreaterThan(0.05 * count);
    for (const vector of [DE, GP, PF, MF]) expect(oracle.faults.get(vector) ?? 0).toBeGreaterThan(0);
  }, 3_600_000);

  test('and the comparison sees a difference, in the smallest sequence', () => {
    const { runSequence } = oracle.engine;
    // The engine is made to forget what the sequence did to RBP, if it did anything.
    oracle.engine.runSequence = function (this: typeof oracle.engine, ...parameters) {
      runSequence.apply(this, parameters);
      if (this.output.getInt32(F_VECTOR, true) < 0)
        this.output.setBigUint64(5 * 8, this.input.getBigUint64(5 * 8, true), true);
    };
    let mismatch: SequenceMismatch | undefined;
    for (let seed = 1; !mismatch && seed < 200; seed++) mismatch = oracle.check(seed);
    oracle.engine.runSequence = runSequence;
    expect(mismatch?.problems).toEqual([expect.stringMatching(/^rbp: native /)]);
    expect(mismatch?.listing.length).toBeLessThan(6);
    expect(mismatch?.listing.join()).toMatch(/bp/);
  }, 120_000);
});
