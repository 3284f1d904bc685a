/**
 * XMM registers of a region, and the upper halves of YMM registers, as v128 locals: loaded at its entry, stored at its exit. Whoever takes a register's address
 * finds it in memory for the length of the instruction.
 *
 * Of the vectors it is known at compile time which lanes are not denormal (emit/emitter.ts, LANES_*): an
 * operation on those needs no test for the denormal exception.
 */
import { LANES_D, LANES_S } from '../emit/emitter.js';
import * as L from '../layout.js';
import type { FunctionBuilder } from '../wasm/function.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';

/** Registers are counted as they lie in memory: the XMM registers, then the upper halves of the YMM registers. */
export const UPPER = (L.YMMH - L.XMM) / 16;
const COUNT = 2 * UPPER;

export class VectorFile {
  readonly #f: FunctionBuilder;
  readonly #locals: (number | undefined)[] = [];
  /** Registers read or written so far, and those written. */
  readonly used = new Set<number>();
  readonly dirty = new Set<number>();
  /** Registers whose truth is in memory during this instruction. */
  readonly #spilled = new Set<number>();
  /** Lanes of each register that hold nothing denormal. */
  readonly #tame = new Uint8Array(COUNT);
  /** The same of values. */
  readonly #values = new WeakMap<Expr, number>();

  constructor(f: FunctionBuilder) {
    this.#f = f;
  }

  #local(n: number): number {
    this.#locals[n] ??= this.#f.local('v128');
    return this.#locals[n];
  }

  /** The register, as it is when the expression is evaluated. */
  #raw(n: number): Expr {
    this.used.add(n);
    if (this.#spilled.has(n)) return w.load('v128', w.i32c(0), L.XMM + n * 16);
    return w.localGet(this.#local(n), 'v128');
  }

  /** The register as it is now. */
  get(n: number): Expr {
    const value = this.#f.let(this.#raw(n));
    this.mark(value, this.#tame[n]);
    return value;
  }

  /** What `pick` makes of the register as it is now; `lanes` of the register are the value's. */
  part(n: number, lanes: number, pick: (register: Expr) => Expr): Expr {
    const value = pick(this.#raw(n));
    if ((this.#tame[n] & lanes) === lanes) this.mark(value, lanes);
    return value;
  }

  set(n: number, value: Expr): void {
    const tame = this.#values.get(value) ?? 0;
    this.used.add(n);
    this.dirty.add(n);
    if (this.#spilled.has(n)) this.#f.do(w.store('v128', w.i32c(0), value, L.XMM + n * 16));
    else this.#f.set(this.#local(n), value);
    this.#tame[n] = tame;
  }

  /** Puts `value` into low lanes: what is known of the others stays. `lanes` are those of doubles or of singles. */
  setLow(n: number, lanes: number, value: Expr, place: (register: Expr, value: Expr) => Expr): void {
    const others = this.#tame[n] & (lanes & LANES_D ? LANES_D : LANES_S) & ~lanes;
    const own = (this.#values.get(value) ?? 0) & lanes;
    this.set(n, place(this.#raw(n), value));
    this.#tame[n] = others | own;
  }

  /** Address of a register in memory, which is the truth until the instruction's end. */
  address(n: number): number {
    if (!this.#spilled.has(n)) {
      this.#f.do(w.store('v128', w.i32c(0), this.#raw(n), L.XMM + n * 16));
      this.#spilled.add(n);
    }
    return L.XMM + n * 16;
  }

  endInstruction(): void {
    for (const n of this.#spilled) {
      this.dirty.add(n);
      this.#tame[n] = 0;
      this.#f.set(this.#local(n), w.load('v128', w.i32c(0), L.XMM + n * 16));
    }
    this.#spilled.clear();
  }

  /** Forgets an instruction that could not be emitted. */
  abandon(): void {
    this.#spilled.clear();
  }

  loadAll(): void {
    for (const n of this.used) this.#f.set(this.#local(n), w.load('v128', w.i32c(0), L.XMM + n * 16));
  }

  storeAll(): void {
    for (const n of this.dirty)
      this.#f.do(w.store('v128', w.i32c(0), w.localGet(this.#local(n), 'v128'), L.XMM + n * 16));
  }

  // ---- what is known of lanes ------------------------------------------------------------------------------------------

  mark(value: Expr, lanes: number): void {
    const all = lanes | (this.#values.get(value) ?? 0);
    if (all) this.#values.set(value, all);
  }

  isTame(value: Expr, lanes: number): boolean {
    return ((this.#values.get(value) ?? 0) & lanes) === lanes;
  }

  forget(): void {
    this.#tame.fill(0);
  }

  /** What is known of all registers' lanes, for `know`. */
  known(): Uint8Array {
    return this.#tame.slice();
  }

  know(tame: Uint8Array): void {
    this.#tame.set(tame);
  }
}

/** Where two ways meet: what is known on both. */
export function meetLanes(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((lanes, n) => lanes & b[n]);
}
