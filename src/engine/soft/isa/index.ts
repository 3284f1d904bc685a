/** The whole instruction set. */
import { arithmetic } from './arithmetic.js';
import { avx } from './avx.js';
import { avx2 } from './avx2.js';
import { bits } from './bits.js';
import { branches } from './branches.js';
import { crypto } from './crypto.js';
import type { Instruction } from './define.js';
import { moves } from './moves.js';
import { multiply } from './multiply.js';
import { shifts } from './shifts.js';
import { sseFloat } from './sse-float.js';
import { sseInteger } from './sse-integer.js';
import { sseMove } from './sse-move.js';
import { sse4 } from './sse4.js';
import { stringCompare } from './string-compare.js';
import { strings } from './strings.js';
import { system } from './system.js';
import { vexFloat } from './vex-float.js';
import { vexSse } from './vex-sse.js';
import { x87 } from './x87.js';

export const INSTRUCTIONS: readonly Instruction[] = [
  arithmetic,
  shifts,
  multiply,
  moves,
  branches,
  bits,
  strings,
  sseMove,
  sseInteger,
  sseFloat,
  sse4,
  stringCompare,
  crypto,
  vexSse,
  avx,
  avx2,
  vexFloat,
  x87,
  system,
].flatMap((list) => list.instructions);
