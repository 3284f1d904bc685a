/** The whole instruction set. */
import { arithmetic } from './arithmetic.js';
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
import { strings } from './strings.js';
import { system } from './system.js';
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
  crypto,
  x87,
  system,
].flatMap((list) => list.instructions);
