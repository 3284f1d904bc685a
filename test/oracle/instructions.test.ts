// Every form of every instruction of user mode, on random operands: the software engine against the processor under us.

import { beforeAll, describe, expect, test } from 'vitest';
import { arithmetic } from '../../src/engine/soft/isa/arithmetic.js';
import { vexSse } from '../../src/engine/soft/isa/vex-sse.js';
import { nativeX86 } from '../native/exec-page.js';
import { formsOf } from './encodings.js';
import { isNative, LISTS } from './lists.js';
import { type Mismatch, Oracle } from './oracle.js';
import { isCompared } from './rules.js';

/** Random cases for each encoding; set TYPEVISOR_ORACLE_CASES for a longer run. */
const CASES = Number(process.env.TYPEVISOR_ORACLE_CASES ?? 100);

describe.skipIf(!nativeX86).each([
  ['64', 64],
  ['flat', 32],
  ['segmented', 32],
  ['compiled', 64],
  ['compiled-32', 32],
] as const)('the software engine in %s mode does as the processor', (mode, bits) => {
  let oracle: Oracle;
  beforeAll(async () => {
    oracle = await Oracle.create(mode);
  });

  test.each(LISTS)(
    'in every %s instruction',
    async (_, list) => {
      const mismatches: Mismatch[] = [];
      const forms = formsOf(list.instructions, bits).filter((f) => isCompared(f.instruction.name) && isNative(f));
      expect(forms.length).toBeGreaterThan(0);
      const before = oracle.cases;
      const regionsBefore = oracle.regions;
      // Each case of the compiled modes is a module of its own.
      const share = { '64': 1, flat: 0.5, segmented: 0.5, compiled: 0.2, 'compiled-32': 0.1 }[mode];
      const cases = Math.ceil(CASES * share);
      for (const [i, form] of forms.entries()) {
        await oracle.renew();
        for (let k = 0; k < cases; k++) {
          const mismatch = oracle.check(form, i * 100_000 + k);
          if (mismatch && mismatches.length < 10) mismatches.push(mismatch);
        }
      }
      expect(mismatches).toEqual([]);
      if (mode.startsWith('compiled') && (list === arithmetic || list === vexSse))
        expect(oracle.regions - regionsBefore).toBeGreaterThan(forms.length);
      expect(oracle.cases - before).toBeGreaterThan((forms.length * cases) / 4);
    },
    600_000,
  );

  test('and the comparison sees a difference', () => {
    const form = formsOf(arithmetic.instructions, bits).find((f) => f.text.startsWith('add 01'))!;
    const { run } = oracle.engine;
    oracle.engine.run = function (this: typeof oracle.engine, bytes) {
      run.call(this, bytes);
      this.output.setUint8(0, this.output.getUint8(0) ^ 1);
    };
    expect(oracle.check(form, 1)?.problems).toHaveLength(1);
    oracle.engine.run = run;
  });
});
