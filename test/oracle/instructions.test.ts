// Every form of every instruction of user mode, on random operands: the software engine against the processor under us.

import { beforeAll, describe, expect, test } from 'vitest';
import { arithmetic } from '../../src/engine/soft/isa/arithmetic.js';
import { avx } from '../../src/engine/soft/isa/avx.js';
import { avx2 } from '../../src/engine/soft/isa/avx2.js';
import { bits } from '../../src/engine/soft/isa/bits.js';
import { branches } from '../../src/engine/soft/isa/branches.js';
import { crypto } from '../../src/engine/soft/isa/crypto.js';
import type { InstructionList } from '../../src/engine/soft/isa/define.js';
import { moves } from '../../src/engine/soft/isa/moves.js';
import { multiply } from '../../src/engine/soft/isa/multiply.js';
import { shifts } from '../../src/engine/soft/isa/shifts.js';
import { sseFloat } from '../../src/engine/soft/isa/sse-float.js';
import { sseInteger } from '../../src/engine/soft/isa/sse-integer.js';
import { sseMove } from '../../src/engine/soft/isa/sse-move.js';
import { sse4 } from '../../src/engine/soft/isa/sse4.js';
import { strings } from '../../src/engine/soft/isa/strings.js';
import { system } from '../../src/engine/soft/isa/system.js';
import { vexFloat } from '../../src/engine/soft/isa/vex-float.js';
import { vexSse } from '../../src/engine/soft/isa/vex-sse.js';
import { x87 } from '../../src/engine/soft/isa/x87.js';
import { nativeX86 } from '../native/exec-page.js';
import { type Form, formsOf } from './encodings.js';
import { offered } from './native-frame.js';
import { type Mismatch, Oracle } from './oracle.js';
import { isCompared } from './rules.js';

/** Random cases for each encoding; set TYPEVISOR_ORACLE_CASES for a longer run. */
const CASES = Number(process.env.TYPEVISOR_ORACLE_CASES ?? 100);

/** Feature words of the definitions as /proc/cpuinfo has them, where the names differ. */
const CPUINFO: Record<string, string> = { sse3: 'pni', sse41: 'sse4_1', sse42: 'sse4_2', lzcnt: 'abm', sha: 'sha_ni' };
function isNative({ instruction }: Form): boolean {
  const { feature } = instruction.attributes;
  return feature === undefined || offered.has(CPUINFO[feature] ?? feature);
}

const LISTS: readonly [name: string, list: InstructionList][] = [
  ['arithmetic', arithmetic],
  ['shift and rotate', shifts],
  ['multiplication and division', multiply],
  ['move', moves],
  ['branch', branches],
  ['bit', bits],
  ['string', strings],
  ['system', system],
  ['vector move', sseMove],
  ['vector integer', sseInteger],
  ['vector floating point', sseFloat],
  ['SSE4', sse4],
  ['cryptographic', crypto],
  ['x87', x87],
  ['VEX form of an SSE', vexSse],
  ['AVX', avx],
  ['AVX2', avx2],
  ['VEX floating point', vexFloat],
];

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
