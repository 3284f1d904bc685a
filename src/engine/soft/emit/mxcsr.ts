/** What floating point instructions ask of MXCSR (SDM vol. 1, 10.2.3). */
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';

/** Rounding to nearest, everything masked, neither DAZ nor FTZ, and PE set: an inexact result changes nothing. */
export const isPlain = (mxcsr: Expr): Expr => w.eq(w.and(mxcsr, w.i32c(~0x1f)), w.i32c(0x1fa0));

/** As isPlain, but PE may be clear. */
export const isMasked = (mxcsr: Expr): Expr => w.eq(w.and(mxcsr, w.i32c(~0x3f)), w.i32c(0x1f80));
