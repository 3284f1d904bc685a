/** Code that the interpreter and compiled regions share at a jump: the jump cache, and the notes of where jumps go. */
import * as L from './layout.js';
import type { FunctionBuilder } from './wasm/function.js';
import type { Signature } from './wasm/module.js';
import type { Expr } from './wasm/ops.js';
import * as w from './wasm/ops.js';

/** Looks RIP up in the jump cache (layout.ts): whether it is there, and its block then. */
export function jumpCache(f: FunctionBuilder, rip: Expr): { readonly hit: Expr; readonly block: Expr } {
  const low = w.wrap(rip);
  const hash = w.xor(w.mul(low, w.i32c(L.JC_SPREAD)), w.shrU(low, w.i32c(10)));
  const entry = f.let(w.and(hash, w.i32c((L.JC_ENTRIES - 1) << 4)));
  const counts = w.eq(w.load('i32', entry, L.JC_BASE + 12), w.load('i32', w.i32c(0), L.JC_KEY));
  return {
    hit: w.and(w.eq(w.load('i64', entry, L.JC_BASE), rip), counts),
    block: w.load('i32', entry, L.JC_BASE + 8),
  };
}

/**
 * What a compiled region takes: which of its entries is meant, the linear address of the page there, what is left of the
 * slice (not paid for the block there yet), and the mask of its pages (core/region-entry.ts).
 */
export const REGION: Signature = { params: ['i32', 'i64', 'i32', 'i32'], result: 'i32' };

/** Slot and entry of a region, as a block's header names them (BLK_REGION). */
export function regionOf(region: Expr): { readonly slot: Expr; readonly entry: Expr } {
  return { slot: w.and(region, w.i32c(0xffff)), entry: w.shrU(region, w.i32c(16)) };
}

/** Notes a jump that isn't chained: where indirect ones go is what the region compiler asks. */
export function noteJump(f: FunctionBuilder, from: Expr, rip: Expr): void {
  const at = f.let(w.load('i32', w.i32c(0), L.RECENT_NEXT));
  f.do(w.store('i32', at, from, L.RECENT));
  f.do(w.store('i32', at, w.wrap(rip), L.RECENT + 4));
  f.do(w.store('i32', w.i32c(0), w.and(w.add(at, w.i32c(8)), w.i32c(L.RECENT_BYTES - 1)), L.RECENT_NEXT));
}
