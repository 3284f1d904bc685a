/**
 * Floating point results that the native operators give where the ordinary case's short test (float.ts) does not hold: exact
 * ones while PE is clear, exact zeros, infinities of infinities. To tell takes several times the code of the operation
 * itself, so regions don't have it inline: they call functions of the interpreter's module for it.
 */
import type { Emitter } from '../emit/emitter.js';
import { isMasked, isPlain } from '../emit/mxcsr.js';
import * as L from '../layout.js';
import { FunctionBuilder } from '../wasm/function.js';
import type { Expr, ValType } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { f32, f64, i32x4c, select, v128, zero } from '../wasm/simd.js';
import * as F from './float-formats.js';

/** What all must hold; undefined ones are known to. */
export type Conditions = readonly (Expr | undefined)[];

/** What a test asks of the emitter that it is written into. */
export type Questions = Pick<Emitter, 'maskedFloat' | 'plainFloat' | 'isTame' | 'let'>;

export interface RareTest {
  /** Of the interpreter's export. */
  readonly name: string;
  /** Operands, and the native operator's result. */
  readonly params: readonly ValType[];
  conditions(e: Questions, ...args: Expr[]): Conditions;
}

/** All of them. */
export const RARE_TESTS: RareTest[] = [];

function rareTest(name: string, params: readonly ValType[], conditions: RareTest['conditions']): RareTest {
  const test = { name: `rare_${name}`, params, conditions };
  RARE_TESTS.push(test);
  return test;
}

/** A test as a function, 1 where it holds. */
export function rareTestFunction({ params, conditions }: RareTest): FunctionBuilder {
  const f = new FunctionBuilder({ params, result: 'i32' });
  const mxcsr = w.load('i32', w.i32c(0), L.MXCSR);
  const questions: Questions = {
    maskedFloat: () => isMasked(mxcsr),
    plainFloat: () => isPlain(mxcsr),
    isTame: () => false,
    let: (value) => f.let(value),
  };
  const args = params.map((type, i) => w.localGet(i, type, true));
  for (const c of conditions(questions, ...args)) if (c) f.if(w.eqz(c), () => f.return(w.i32c(0)));
  f.return(w.i32c(1));
  return f;
}

export type Arithmetic = 'add' | 'sub' | 'mul' | 'div';

/** Whether `a` is not denormal; undefined: it is known not to be. */
export const notDenormal = (e: Questions, f: F.Format, a: Expr): Expr | undefined =>
  e.isTame(a, f.lanes) ? undefined : F.isNormalOrZero(f, a);

/** Whether r = a op b is exact, and none of them is a NaN. For zeros and infinities that is for r to say. */
function isExact(f: F.Format, kind: Arithmetic, a: Expr, b: Expr, r: Expr): Expr {
  const { fromBits, add, sub, mul, eq } = f.native;
  const [x, y, z] = [fromBits(a), fromBits(b), fromBits(r)];
  if (kind === 'mul') return w.and(F.isShort(f, a), F.isShort(f, b));
  if (kind === 'div') return w.and(w.and(F.isShort(f, b), F.isShort(f, r)), eq(mul(z, y), x));
  // What rounding has taken away (Knuth's two-sum) is nothing.
  const other = kind === 'add' ? sub(z, x) : sub(x, z);
  const first = kind === 'add' ? sub(z, other) : add(z, other);
  return w.and(eq(first, x), eq(other, y));
}

/** Exact zero results, infinite ones of infinite operands, and exact ones: PE need not be set for these. */
function isClean(f: F.Format, kind: Arithmetic, a: Expr, b: Expr, r: Expr): Expr {
  const infinite = kind === 'div' ? F.isInfinite(f, a) : w.or(F.isInfinite(f, a), F.isInfinite(f, b));
  let zero = kind === 'mul' ? w.or(F.isZero(f, a), F.isZero(f, b)) : w.i32c(1);
  if (kind === 'div') zero = w.or(F.isZero(f, a), F.isInfinite(f, b));
  const finite = w.or(w.and(F.isZero(f, r), zero), w.and(F.isSafe(f, r), isExact(f, kind, a, b, r)));
  return w.or(finite, w.and(F.isInfinite(f, r), infinite));
}

// ---- scalars -----------------------------------------------------------------------------------------------------------

const perFormat = (make: (f: F.Format) => RareTest) => ({ f32: make(F.SINGLE), f64: make(F.DOUBLE) });

const arithmetic = (kind: Arithmetic) =>
  perFormat((f) =>
    rareTest(`${kind}_${f.suffix}`, [f.bits, f.bits, f.bits], (e, a, b, r) => [
      e.maskedFloat(),
      notDenormal(e, f, a),
      notDenormal(e, f, b),
      isClean(f, kind, a, b, r),
    ]),
  );
/** a op b, by operation and format. */
export const RARE_ARITHMETIC = {
  add: arithmetic('add'),
  sub: arithmetic('sub'),
  mul: arithmetic('mul'),
  div: arithmetic('div'),
} as const;

export const RARE_SQRT = perFormat((f) =>
  rareTest(`sqrt_${f.suffix}`, [f.bits, f.bits], (e, a, r) => {
    const { fromBits, mul, eq } = f.native;
    const exact = w.and(F.isShort(f, r), eq(mul(fromBits(r), fromBits(r)), fromBits(a)));
    return [e.maskedFloat(), w.or(F.isZero(f, a), w.and(F.isSafe(f, r), exact)), notDenormal(e, f, a)];
  }),
);

/** x * y + z, whatever is negated. */
export const RARE_FUSED = perFormat((f) =>
  rareTest(`fma_${f.suffix}`, [f.bits, f.bits, f.bits, f.bits], (e, x, y, z, r) => {
    // The product nearly cancels an addend far from underflow: a difference that isn't zero is no denormal either.
    const large = F.isAtLeast(f, z, (f.maxExponent + 1) >> 2);
    const nothing = w.and(F.isZero(f, z), w.or(F.isZero(f, x), F.isZero(f, y)));
    return [e.maskedFloat(), ...[x, y, z].map((t) => notDenormal(e, f, t)), F.isZero(f, r), w.or(large, nothing)];
  }),
);

export const RARE_NARROW = rareTest('narrow', ['i64', 'i32'], (e, a, r) => {
  const same = f64.eq(f64.promote(f32.fromBits(r)), f64.fromBits(a));
  return [e.maskedFloat(), w.or(F.isZero(F.DOUBLE, a), w.and(F.isSafe(F.SINGLE, r), same))];
});

// ---- packed ------------------------------------------------------------------------------------------------------------

/** Lanes of these that are denormal, where that isn't known not to be; undefined: none. */
export function denormals(e: Questions, f: F.PackedFormat, ...vectors: readonly Expr[]): Expr | undefined {
  const masks = vectors.filter((v) => !e.isTame(v, f.lanes)).map((v) => f.isDenormal(e.let(f.magnitude(v))));
  return masks.length ? masks.reduce((x, y) => v128.or(x, y)) : undefined;
}
export const without = (mask: Expr, lanes: Expr | undefined): Expr => (lanes ? v128.andnot(mask, lanes) : mask);

/** Lanes in which a sum is exact (see isExact): the other operations say nothing of that. */
function exactLanes(f: F.PackedFormat, kind: Arithmetic, a: Expr, b: Expr, r: Expr): Expr {
  if (kind === 'mul' || kind === 'div') return zero;
  const { add, sub, eq } = f.native;
  const other = kind === 'add' ? sub(r, a) : sub(a, r);
  const first = kind === 'add' ? sub(r, other) : add(r, other);
  return v128.and(eq(first, a), eq(other, b));
}

const perPackedFormat = (make: (f: F.PackedFormat) => RareTest) => ({ ps: make(F.SINGLES), pd: make(F.DOUBLES) });
/** `count` vectors and the result. */
const vectors = (count: number) => Array.from({ length: count + 1 }, (): ValType => 'v128');

/** Exact zeros beside safe lanes, which must be exact where PE isn't set. */
const packedArithmetic = (kind: Arithmetic) =>
  perPackedFormat((f) =>
    rareTest(`${kind}_${f.suffix}`, vectors(2), (e, a, b, r) => {
      const m = e.let(f.magnitude(r));
      const quiet = e.let(select(e.plainFloat(), i32x4c(-1), exactLanes(f, kind, a, b, r)));
      let exact = f.isZero(m);
      if (kind === 'mul') exact = v128.and(exact, v128.or(f.isZero(f.magnitude(a)), f.isZero(f.magnitude(b))));
      if (kind === 'div') exact = v128.and(exact, f.isZero(f.magnitude(a)));
      const good = v128.or(v128.and(f.isSafe(m), quiet), exact);
      return [e.maskedFloat(), f.allTrue(without(good, denormals(e, f, a, b)))];
    }),
  );
/** As RARE_ARITHMETIC. */
export const RARE_PACKED = {
  add: packedArithmetic('add'),
  sub: packedArithmetic('sub'),
  mul: packedArithmetic('mul'),
  div: packedArithmetic('div'),
} as const;

export const RARE_PACKED_FUSED = perPackedFormat((f) =>
  rareTest(`fma_${f.suffix}`, vectors(3), (e, x, y, z, r) => {
    const m = e.let(f.magnitude(r));
    const none = v128.or(f.isZero(f.magnitude(x)), f.isZero(f.magnitude(y)));
    const exact = v128.and(v128.and(f.isZero(m), f.isZero(f.magnitude(z))), none);
    return [e.plainFloat(), f.allTrue(without(v128.or(f.isSafe(m), exact), denormals(e, f, x, y, z)))];
  }),
);
