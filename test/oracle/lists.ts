// The lists of instructions that the processor under us is asked about.

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
import { stringCompare } from '../../src/engine/soft/isa/string-compare.js';
import { strings } from '../../src/engine/soft/isa/strings.js';
import { system } from '../../src/engine/soft/isa/system.js';
import { vexFloat } from '../../src/engine/soft/isa/vex-float.js';
import { vexSse } from '../../src/engine/soft/isa/vex-sse.js';
import { x87 } from '../../src/engine/soft/isa/x87.js';
import type { Form } from './encodings.js';
import { offered } from './native-frame.js';

/** Feature words of the definitions as /proc/cpuinfo has them, where the names differ. */
const CPUINFO: Record<string, string> = { sse3: 'pni', sse41: 'sse4_1', sse42: 'sse4_2', lzcnt: 'abm', sha: 'sha_ni' };
/** Whether the processor under us has what a form needs. */
export function isNative({ instruction }: Form): boolean {
  const { feature } = instruction.attributes;
  return feature === undefined || offered.has(CPUINFO[feature] ?? feature);
}

/** What programs of user mode are made of. */
export const LISTS: readonly [name: string, list: InstructionList][] = [
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
  ['string comparison', stringCompare],
  ['cryptographic', crypto],
  ['x87', x87],
  ['VEX form of an SSE', vexSse],
  ['AVX', avx],
  ['AVX2', avx2],
  ['VEX floating point', vexFloat],
];
