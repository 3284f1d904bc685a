/** The whole instruction set. */
import { arithmetic } from './arithmetic.js';
import { bits } from './bits.js';
import { branches } from './branches.js';
import type { Instruction } from './define.js';
import { moves } from './moves.js';
import { multiply } from './multiply.js';
import { shifts } from './shifts.js';

export const INSTRUCTIONS: readonly Instruction[] = [arithmetic, shifts, multiply, moves, branches, bits].flatMap(
  (list) => list.instructions,
);
