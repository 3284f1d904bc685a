/**
 * Floating point lanes, exact in result and MXCSR. The native operator of Wasm does the work where it must give the same
 * bits and the same exceptions as the processor: MXCSR rounds to nearest, masks everything, neither DAZ nor FTZ is on, PE
 * is already set (so an inexact result changes nothing), no operand is denormal, and the result is normal and away from
 * underflow, or an exact zero. Everything else goes to core/float.
 */
import type { Emitter } from '../emit/emitter.js';
import * as L from '../layout.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { f32, f32x4, f64, f64x2, i32x4, i32x4c, i64x2, i64x2same, select, v128, zero } from '../wasm/simd.js';

/** Numbers of core/float/ssepacked.ts. */
const OP = { add: 0, mul: 1, sqrt: 2, sub: 4, min: 5, div: 6, max: 7 } as const;

export type Arithmetic = 'add' | 'sub' | 'mul' | 'div';

/** MXCSR asks for nothing that the native operators don't do. */
export function plain(e: Emitter): Expr {
  return w.eq(w.and(e.state(L.MXCSR, 'i32'), w.i32c(~0x1f)), w.i32c(0x1fa0));
}

// ---- scalars: bits as i32 or i64 ---------------------------------------------------------------------------------------

/** One of the two formats. */
export interface Format {
  readonly bits: 'i32' | 'i64';
  readonly native: typeof f32 | typeof f64;
  readonly suffix: 'f32' | 'f64';
  /** Bits of the significand field, and the largest exponent field. */
  readonly fraction: number;
  readonly maxExponent: number;
}
export const SINGLE: Format = { bits: 'i32', native: f32, suffix: 'f32', fraction: 23, maxExponent: 0xff };
export const DOUBLE: Format = { bits: 'i64', native: f64, suffix: 'f64', fraction: 52, maxExponent: 0x7ff };

const constant = (f: Format, value: bigint) => w.intc(f.bits, value);
const withoutSign = (f: Format, a: Expr) => w.shl(a, constant(f, 1n));
/** `exponent` as it stands in a value shifted left by one. */
const shifted = (f: Format, exponent: number) => BigInt(exponent) << BigInt(f.fraction + 1);

const isZero = (f: Format, a: Expr) => w.eqz(withoutSign(f, a));
const isDenormal = (f: Format, a: Expr) =>
  w.ltU(w.sub(withoutSign(f, a), constant(f, 1n)), constant(f, shifted(f, 1) - 1n));
/** Normal, finite, and not the smallest exponent (a result there may have been tiny before rounding). */
const isSafe = (f: Format, a: Expr) =>
  w.ltU(w.sub(withoutSign(f, a), constant(f, shifted(f, 2))), constant(f, shifted(f, f.maxExponent - 2)));
/** Zero, normal or infinite: nothing that a comparison raises anything for. */
function isOrdinary(f: Format, a: Expr): Expr {
  const normal = w.leU(
    w.sub(withoutSign(f, a), constant(f, shifted(f, 1))),
    constant(f, shifted(f, f.maxExponent - 1)),
  );
  return w.or(normal, isZero(f, a));
}

/** Whether a zero result is exact, given the operands. */
function exactZero(f: Format, kind: Arithmetic, a: Expr, b: Expr): Expr {
  if (kind === 'mul') return w.or(isZero(f, a), isZero(f, b));
  return kind === 'div' ? isZero(f, a) : w.i32c(1);
}

/** a + b and the like on bits; exceptions wait for commitFloat. */
export function scalar(e: Emitter, f: Format, kind: Arithmetic, a: Expr, b: Expr): Expr {
  const r = e.let(f.native.toBits(f.native[kind](f.native.fromBits(a), f.native.fromBits(b))));
  const good = w.or(isSafe(f, r), w.and(isZero(f, r), exactZero(f, kind, a, b)));
  const denormal = w.or(isDenormal(f, a), isDenormal(f, b));
  const fast = w.and(w.and(plain(e), good), w.eqz(denormal));
  return e.choose(
    f.bits,
    fast,
    () => r,
    () => e.call(`sse_${kind}_${f.suffix}`, f.bits, a, b),
  );
}

export function scalarSqrt(e: Emitter, f: Format, a: Expr): Expr {
  const r = e.let(f.native.toBits(f.native.sqrt(f.native.fromBits(a))));
  const fast = w.and(w.and(plain(e), w.or(isSafe(f, r), isZero(f, r))), w.eqz(isDenormal(f, a)));
  return e.choose(
    f.bits,
    fast,
    () => r,
    () => e.call(`sse_sqrt_${f.suffix}`, f.bits, a),
  );
}

/** MIN and MAX: the second operand unless the first is truly less (greater). */
export function scalarExtreme(e: Emitter, f: Format, kind: 'min' | 'max', a: Expr, b: Expr): Expr {
  const [x, y] = kind === 'min' ? [a, b] : [b, a];
  const first = () => f.native.lt(f.native.fromBits(x), f.native.fromBits(y));
  const fast = w.and(isOrdinary(f, a), isOrdinary(f, b));
  return e.choose(
    f.bits,
    fast,
    () => e.let(w.select(first(), a, b)),
    () => e.call(`sse_${kind}_${f.suffix}`, f.bits, a, b),
  );
}

/** CMPSS, CMPSD: predicate 0 to 7 at run time; all ones or zero. */
export function scalarCompare(e: Emitter, f: Format, a: Expr, b: Expr, imm: Expr): Expr {
  const n = e.let(w.and(imm, w.i32c(7)));
  const which = w.and(n, w.i32c(3));
  const test = (op: 'eq' | 'lt' | 'le') => f.native[op](f.native.fromBits(a), f.native.fromBits(b));
  const value = () => {
    const upper = w.select(w.eq(which, w.i32c(2)), test('le'), w.i32c(0));
    const positive = w.select(w.eqz(which), test('eq'), w.select(w.eq(which, w.i32c(1)), test('lt'), upper));
    const mask = w.sub(w.i32c(0), w.xor(positive, w.shrU(n, w.i32c(2))));
    return e.let(f.bits === 'i64' ? w.extendS(mask) : mask);
  };
  const fast = w.and(isOrdinary(f, a), isOrdinary(f, b));
  return e.choose(f.bits, fast, value, () => e.call(`sse_cmp_${f.suffix}`, f.bits, a, b, n));
}

/** COMIS and UCOMIS: ZF, PF, CF as in EFLAGS (40h, 4, 1). */
export function scalarRelation(e: Emitter, f: Format, quiet: boolean, a: Expr, b: Expr): Expr {
  const [x, y] = [f.native.fromBits(a), f.native.fromBits(b)];
  const value = () => e.let(w.or(w.shl(f.native.eq(x, y), w.i32c(6)), f.native.lt(x, y)));
  const fast = w.and(isOrdinary(f, a), isOrdinary(f, b));
  return e.choose('i32', fast, value, () => e.call(`sse_${quiet ? 'ucomi' : 'comi'}_${f.suffix}`, 'i32', a, b));
}

/** CVTSS2SI and the like: to an integer of `size` bytes. */
export function toInteger(e: Emitter, f: Format, truncate: boolean, size: number, a: Expr): Expr {
  const type = size === 8 ? 'i64' : 'i32';
  const x = f.native.fromBits(a);
  const rounded = e.let(truncate ? x : f.native.nearest(x));
  const limit = size === 8 ? 2 ** 63 : 2 ** 31;
  const inside = f.native.lt(f.native.abs(rounded), f.bits === 'i64' ? w.f64c(limit) : w.f32c(limit));
  const native = size === 8 ? f.native.truncSatI64 : f.native.truncSatI32;
  const slow = () => e.call(`sse_${f.suffix}_to_${type}`, type, a, w.i32c(truncate ? 1 : 0));
  return e.choose(type, w.and(plain(e), inside), () => e.let(native(rounded)), slow);
}

/** CVTSI2SS and the like. Only an i32 to a double is always exact. */
export function fromInteger(e: Emitter, f: Format, v: Expr): Expr {
  const native = () => e.let(f.native.toBits(v.type === 'i64' ? f.native.convertI64S(v) : f.native.convertI32S(v)));
  if (v.type === 'i32' && f === DOUBLE) return native();
  return e.choose(f.bits, plain(e), native, () => e.call(`sse_int_to_${f.suffix}`, f.bits, w.extendS(v)));
}

export function widen(e: Emitter, a: Expr): Expr {
  const value = () => e.let(f64.toBits(f64.promote(f32.fromBits(a))));
  return e.choose('i64', isOrdinary(SINGLE, a), value, () => e.call('sse_f32_to_f64', 'i64', a));
}

export function narrow(e: Emitter, a: Expr): Expr {
  const r = e.let(f32.toBits(f32.demote(f64.fromBits(a))));
  const fast = w.and(plain(e), w.or(isSafe(SINGLE, r), isZero(DOUBLE, a)));
  return e.choose(
    'i32',
    fast,
    () => r,
    () => e.call('sse_f64_to_f32', 'i32', a),
  );
}

// ---- packed ------------------------------------------------------------------------------------------------------------

/** Tests of all lanes of a vector, as masks. */
export interface PackedFormat {
  readonly native: typeof f32x4 | typeof f64x2;
  readonly suffix: 'ps' | 'pd';
  /** a without signs. */
  magnitude(a: Expr): Expr;
  isZero(magnitude: Expr): Expr;
  isDenormal(magnitude: Expr): Expr;
  isSafe(magnitude: Expr): Expr;
  isOrdinary(magnitude: Expr): Expr;
  allTrue(mask: Expr): Expr;
  /** Signs of the even lanes. */
  readonly evenSigns: Expr;
}

export const SINGLES: PackedFormat = {
  native: f32x4,
  suffix: 'ps',
  magnitude: (a) => v128.and(a, i32x4c(0x7fffffff)),
  isZero: (m) => i32x4.eq(m, zero),
  isDenormal: (m) => i32x4.ltU(i32x4.sub(m, i32x4c(1)), i32x4c(0x007fffff)),
  isSafe: (m) => i32x4.ltU(i32x4.sub(m, i32x4c(0x01000000)), i32x4c(0x7e800000)),
  isOrdinary: (m) => v128.or(i32x4.ltU(i32x4.sub(m, i32x4c(0x00800000)), i32x4c(0x7f000001)), i32x4.eq(m, zero)),
  allTrue: i32x4.allTrue,
  evenSigns: i32x4c(-0x80000000, 0, -0x80000000, 0),
};

const within = (m: Expr, above: bigint, below: bigint) =>
  v128.and(i64x2.gtS(m, i64x2same(above)), i64x2.ltS(m, i64x2same(below)));
export const DOUBLES: PackedFormat = {
  native: f64x2,
  suffix: 'pd',
  magnitude: (a) => v128.and(a, i64x2same(0x7fffffffffffffffn)),
  isZero: (m) => i64x2.eq(m, zero),
  isDenormal: (m) => within(m, 0n, 1n << 52n),
  isSafe: (m) => within(m, (2n << 52n) - 1n, 0x7ffn << 52n),
  isOrdinary: (m) => v128.or(within(m, (1n << 52n) - 1n, (0x7ffn << 52n) + 1n), i64x2.eq(m, zero)),
  allTrue: i64x2.allTrue,
  evenSigns: v128.and(i64x2same(1n << 63n), i64x2.replace(zero, 0, w.i64c(-1))),
};

const A = w.i32c(L.VECTOR_A);
const B = w.i32c(L.VECTOR_B);
const OUT = w.i32c(L.VECTOR_OUT);

/** All lanes through core/float, which commits them together. `args` come between or after addresses as core has them. */
function inCore(e: Emitter, name: string, args: readonly Expr[], a: Expr, b?: Expr): Expr {
  e.setState(L.VECTOR_A, a);
  if (b) e.setState(L.VECTOR_B, b);
  e.faultIf(e.call(name, 'i32', ...args));
  return e.state(L.VECTOR_OUT, 'v128');
}
const operation = (e: Emitter, f: PackedFormat, op: number, a: Expr, b: Expr) =>
  inCore(e, `sse_${f.suffix}`, [w.i32c(op), OUT, A, B], a, b);

/** RCPPS, RSQRTPS: approximations that raise nothing. */
export function approximate(e: Emitter, name: 'rcp' | 'rsqrt', a: Expr): Expr {
  e.setState(L.VECTOR_A, a);
  e.callVoid(`sse_${name}_ps`, OUT, A);
  return e.let(e.state(L.VECTOR_OUT, 'v128'));
}

export function packedRound(e: Emitter, f: PackedFormat, a: Expr, imm: Expr): Expr {
  return e.let(inCore(e, `sse_round_${f.suffix}`, [OUT, A, imm], a));
}

/** DPPS, DPPD. */
export function dotProduct(e: Emitter, f: PackedFormat, a: Expr, b: Expr, imm: Expr): Expr {
  return e.let(inCore(e, `sse_dp${f.suffix}`, [OUT, A, B, imm], a, b));
}

export function packed(e: Emitter, f: PackedFormat, kind: Arithmetic | 'addsub', a: Expr, b: Expr): Expr {
  const r = e.let(kind === 'addsub' ? f.native.add(a, v128.xor(b, f.evenSigns)) : f.native[kind](a, b));
  const [ma, mb, mr] = [a, b, r].map((v) => e.let(f.magnitude(v)));
  let exact = f.isZero(mr);
  if (kind === 'mul') exact = v128.and(exact, v128.or(f.isZero(ma), f.isZero(mb)));
  if (kind === 'div') exact = v128.and(exact, f.isZero(ma));
  const good = v128.andnot(v128.or(f.isSafe(mr), exact), v128.or(f.isDenormal(ma), f.isDenormal(mb)));
  return e.choose(
    'v128',
    w.and(plain(e), f.allTrue(good)),
    () => r,
    () =>
      kind === 'addsub' ? inCore(e, `sse_addsub_${f.suffix}`, [OUT, A, B], a, b) : operation(e, f, OP[kind], a, b),
  );
}

export function packedSqrt(e: Emitter, f: PackedFormat, a: Expr): Expr {
  const r = e.let(f.native.sqrt(a));
  const [ma, mr] = [a, r].map((v) => e.let(f.magnitude(v)));
  // -NaN's magnitude is no safe one; a negative operand gives NaN.
  const good = v128.andnot(v128.or(f.isSafe(mr), f.isZero(mr)), f.isDenormal(ma));
  return e.choose(
    'v128',
    w.and(plain(e), f.allTrue(good)),
    () => r,
    () => operation(e, f, OP.sqrt, a, a),
  );
}

function ordinary(e: Emitter, f: PackedFormat, ...vectors: readonly Expr[]): Expr {
  const masks = vectors.map((v) => f.isOrdinary(e.let(f.magnitude(v))));
  return f.allTrue(masks.reduce((x, y) => v128.and(x, y)));
}

export function packedExtreme(e: Emitter, f: PackedFormat, kind: 'min' | 'max', a: Expr, b: Expr): Expr {
  // pmin(x, y) is y < x ? y : x, so the operands change places.
  const native = () => e.let(kind === 'min' ? f.native.pmin(b, a) : f.native.pmax(b, a));
  return e.choose('v128', ordinary(e, f, a, b), native, () => operation(e, f, OP[kind], a, b));
}

export function packedCompare(e: Emitter, f: PackedFormat, a: Expr, b: Expr, imm: Expr): Expr {
  const n = e.let(w.and(imm, w.i32c(7)));
  const which = w.and(n, w.i32c(3));
  const native = () => {
    const upper = select(w.eq(which, w.i32c(2)), f.native.le(a, b), zero);
    const rest = select(w.eq(which, w.i32c(1)), f.native.lt(a, b), upper);
    const positive = select(w.eqz(which), f.native.eq(a, b), rest);
    return e.let(v128.xor(positive, i32x4.splat(w.sub(w.i32c(0), w.shrU(n, w.i32c(2))))));
  };
  return e.choose('v128', ordinary(e, f, a, b), native, () => inCore(e, `sse_cmp_${f.suffix}`, [OUT, A, B, n], a, b));
}

// ---- packed conversions ------------------------------------------------------------------------------------------------

function converted(
  e: Emitter,
  fast: Expr,
  native: () => Expr,
  a: Expr,
  name: string,
  ...args: readonly number[]
): Expr {
  return e.choose(
    'v128',
    fast,
    () => e.let(native()),
    () => inCore(e, `sse_cvt_${name}`, [OUT, A, ...args.map(w.i32c)], a),
  );
}

const TWO_31_SINGLES = i32x4c(0x4f000000);
const TWO_31_DOUBLES = i64x2same(0x41e0000000000000n);

export function singlesToIntegers(e: Emitter, truncate: boolean, a: Expr): Expr {
  const x = e.let(truncate ? a : f32x4.nearest(a));
  const inside = i32x4.allTrue(f32x4.lt(f32x4.abs(x), TWO_31_SINGLES));
  return converted(e, w.and(plain(e), inside), () => i32x4.truncSatF32x4S(x), a, 'ps2dq', truncate ? 1 : 0, 4);
}

/** Two integers below zeros. */
export function doublesToIntegers(e: Emitter, truncate: boolean, a: Expr): Expr {
  const x = e.let(truncate ? a : f64x2.nearest(a));
  const inside = i64x2.allTrue(f64x2.lt(f64x2.abs(x), TWO_31_DOUBLES));
  return converted(e, w.and(plain(e), inside), () => i32x4.truncSatF64x2SZero(x), a, 'pd2dq', truncate ? 1 : 0, 16);
}

export function integersToSingles(e: Emitter, a: Expr): Expr {
  return converted(e, plain(e), () => f32x4.convertI32x4S(a), a, 'dq2ps', 4);
}

/** The low two singles; the upper half of `a` must be zero. */
export function singlesToDoubles(e: Emitter, a: Expr): Expr {
  return converted(e, ordinary(e, SINGLES, a), () => f64x2.promoteLowF32x4(a), a, 'ps2pd');
}

/** Two singles below zeros. */
export function doublesToSingles(e: Emitter, a: Expr): Expr {
  const m = e.let(DOUBLES.magnitude(a));
  // From 2^-124 to 2^127 the result is a safe single.
  const inside = v128.or(within(m, 899n << 52n, 1150n << 52n), i64x2.eq(m, zero));
  return converted(e, w.and(plain(e), i64x2.allTrue(inside)), () => f32x4.demoteF64x2Zero(a), a, 'pd2ps');
}
