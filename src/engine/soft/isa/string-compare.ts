/**
 * SSE4.2's comparisons of strings (SDM vol. 2, 4.1). Lengths, polarity, output and flags are said here, so that in a region,
 * where the immediate is known, most of it folds away; only the comparison of elements is core's (core/string-compare.ts).
 */
import type { Emitter } from '../emit/emitter.js';
import type { Operand } from '../emit/operands.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { i8x16, i16x8, i16x8c, i32x4, select, shuffle, v128, zero } from '../wasm/simd.js';
import { InstructionList } from './define.js';
import { begin, FEATURE, hex, immediate, readVector } from './vector.js';

export const stringCompare = new InstructionList();

/** Fields of the immediate. */
const WORDS = 1;
const NEGATIVE = 16;
const MASKED = 32;
/** The most significant element, or a mask of whole elements. */
const OUTPUT = 64;

const RCX = 1;

/** One of two values; where it is known which, only that one is computed. */
function pick(condition: Expr, yes: () => Expr, no: () => Expr): Expr {
  if (condition.constant !== undefined) return condition.constant ? yes() : no();
  const [a, b] = [yes(), no()];
  return a.type === 'v128' ? select(condition, a, b) : w.select(condition, a, b);
}

class Comparison {
  readonly #e: Emitter;
  readonly #imm: Expr;
  readonly #words: Expr;
  /** How many elements a vector has. */
  readonly #n: Expr;
  #result: Expr | undefined;

  constructor(e: Emitter, imm: Expr) {
    this.#e = e;
    this.#imm = imm;
    this.#words = this.#bit(WORDS);
    this.#n = e.let(
      pick(
        this.#words,
        () => w.i32c(8),
        () => w.i32c(16),
      ),
    );
  }

  #bit(bit: number): Expr {
    return this.#e.let(w.and(this.#imm, w.i32c(bit)));
  }

  /** Bits below `n`. */
  #below(n: Expr): Expr {
    return w.sub(w.shl(w.i32c(1), n), w.i32c(1));
  }

  /** Elements before the first zero. */
  implicit(v: Expr): Expr {
    const zeros = pick(
      this.#words,
      () => i16x8.bitmask(i16x8.eq(v, zero)),
      () => i8x16.bitmask(i8x16.eq(v, zero)),
    );
    return this.#e.let(w.ctz(w.or(zeros, w.shl(w.i32c(1), this.#n))));
  }

  /** A length as a register has it, i64: its sign doesn't count. */
  explicit(length: Expr): Expr {
    const e = this.#e;
    const size = e.let(w.select(w.ltS(length, w.i64c(0)), w.sub(w.i64c(0), length), length));
    const most = w.extendU(this.#n);
    return e.let(w.wrap(w.select(w.ltU(size, most), size, most)));
  }

  /** IntRes2, and the flags. */
  compare(a: Expr, b: Expr, la: Expr, lb: Expr): void {
    const e = this.#e;
    const hits = e.call('aggregate', 'i32', a, b, this.#imm, la, lb);
    const inverted = () =>
      pick(
        this.#bit(MASKED),
        () => this.#below(lb),
        () => this.#below(this.#n),
      );
    const result = e.let(
      pick(
        this.#bit(NEGATIVE),
        () => w.xor(hits, inverted()),
        () => hits,
      ),
    );
    const isShort = (length: Expr) => w.ltU(length, this.#n);
    e.flagsZsco(isShort(lb), isShort(la), w.ne(result, w.i32c(0)), w.and(result, w.i32c(1)));
    this.#result = result;
  }

  /** The index of the first hit, or of the last; how many elements there are where there is none. */
  index(): Expr {
    const r = this.#result!;
    return pick(
      this.#bit(OUTPUT),
      () => w.select(r, w.sub(w.i32c(31), w.clz(r)), this.#n),
      () => w.ctz(w.or(r, w.shl(w.i32c(1), this.#n))),
    );
  }

  /** A bit for each element, or all its bits. */
  mask(): Expr {
    const r = this.#result!;
    const all = this.#e.let(i16x8.splat(r));
    const wide = () => {
      const bits = i16x8c(1, 2, 4, 8, 16, 32, 64, 128);
      return i16x8.eq(v128.and(all, bits), bits);
    };
    const narrow = () => {
      const halves = shuffle(all, all, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
      return i8x16.eq(v128.and(halves, BYTE_BITS), BYTE_BITS);
    };
    return pick(
      this.#bit(OUTPUT),
      () => pick(this.#words, wide, narrow),
      () => i32x4.replace(zero, 0, r),
    );
  }
}
const BYTE_BITS = w.v128c(Array.from({ length: 16 }, (_, i) => 1 << (i & 7)));

// The first operand's and the second's length implicit (I) or in RAX and RDX (E; 64 bits with REX.W). Memory may lie
// anywhere.
for (const [name, opcode, explicit, mask] of [
  ['pcmpestrm', 0x60, true, true],
  ['pcmpestri', 0x61, true, false],
  ['pcmpistrm', 0x62, false, true],
  ['pcmpistri', 0x63, false, false],
] as const) {
  const compare = (wide: boolean) => (e: Emitter, a: Operand, b: Operand, imm: Operand) => {
    begin(e, a);
    const second = readVector(e, b, 'any');
    const first = readVector(e, a);
    const comparison = new Comparison(e, immediate(e, imm));
    const length = (v: Expr, register: number) => {
      if (!explicit) return comparison.implicit(v);
      return comparison.explicit(wide ? e.gpr(register, 8) : e.let(w.extendS(e.gpr(register, 4))));
    };
    comparison.compare(first, second, length(first, 0), length(second, 2));
    if (mask) e.setXmm0(comparison.mask());
    else e.setGpr(RCX, 4, comparison.index());
  };
  const pattern = `66 0F 3A ${hex(opcode)} /r`;
  const attributes = FEATURE('sse42');
  if (explicit) {
    stringCompare.op(name, [[`${pattern} W0`, 'Vx,Wx,Ib']], attributes, compare(false));
    stringCompare.op(`${name}64`, [[`${pattern} W1`, 'Vx,Wx,Ib']], attributes, compare(true));
  } else stringCompare.op(name, [[pattern, 'Vx,Wx,Ib']], attributes, compare(false));
}
