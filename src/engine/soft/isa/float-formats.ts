/** Single and double precision, as bits of a scalar and as lanes of a vector, and what can be asked of one value. */
import { LANES_D, LANES_D0, LANES_S, LANES_S0 } from '../emit/emitter.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { f32, f32x4, f64, f64x2, i32x4, i32x4c, i64x2, i64x2same, v128, zero } from '../wasm/simd.js';

// ---- scalars: bits as i32 or i64 ---------------------------------------------------------------------------------------

/** One of the two formats. */
export interface Format {
  readonly bits: 'i32' | 'i64';
  readonly native: typeof f32 | typeof f64;
  readonly vector: typeof f32x4 | typeof f64x2;
  readonly suffix: 'f32' | 'f64';
  /** Bits of the significand field, and the largest exponent field. */
  readonly fraction: number;
  readonly maxExponent: number;
  /** What a scalar occupies of a vector. */
  readonly lanes: number;
}
export const SINGLE: Format = {
  bits: 'i32',
  native: f32,
  vector: f32x4,
  suffix: 'f32',
  fraction: 23,
  maxExponent: 0xff,
  lanes: LANES_S0,
};
export const DOUBLE: Format = {
  bits: 'i64',
  native: f64,
  vector: f64x2,
  suffix: 'f64',
  fraction: 52,
  maxExponent: 0x7ff,
  lanes: LANES_D0,
};

export const constant = (f: Format, value: bigint) => w.intc(f.bits, value);
export const withoutSign = (f: Format, a: Expr) => w.shl(a, constant(f, 1n));
/** `exponent` as it stands in a value shifted left by one. */
export const shifted = (f: Format, exponent: number) => BigInt(exponent) << BigInt(f.fraction + 1);

export const isZero = (f: Format, a: Expr) => w.eqz(withoutSign(f, a));
export const isNormalOrZero = (f: Format, a: Expr) =>
  w.geU(w.sub(withoutSign(f, a), constant(f, 1n)), constant(f, shifted(f, 1) - 1n));

/** `a` of at least this exponent, whatever its sign. */
export const isAtLeast = (f: Format, a: Expr, exponent: number) =>
  w.geU(withoutSign(f, a), constant(f, shifted(f, exponent)));
export const isInfinite = (f: Format, a: Expr) => w.eq(withoutSign(f, a), constant(f, shifted(f, f.maxExponent)));
/** Half of the significand is enough: the product of two such is exact. */
export const isShort = (f: Format, a: Expr) => w.eqz(w.and(a, constant(f, (1n << BigInt((f.fraction + 2) >> 1)) - 1n)));

/** Normal, finite, not of the smallest exponent (it may have been tiny before rounding); less than `limit` if given. */
export function isSafe(f: Format, a: Expr, limit: Expr = safeLimit(f)): Expr {
  return w.ltU(w.sub(withoutSign(f, a), constant(f, shifted(f, 2))), limit);
}

/** What isSafe compares with. */
export function safeLimit(f: Format): Expr {
  return constant(f, shifted(f, f.maxExponent - 2));
}

// ---- packed ------------------------------------------------------------------------------------------------------------

/** Tests of all lanes of a vector, as masks. */
export interface PackedFormat {
  readonly native: typeof f32x4 | typeof f64x2;
  readonly suffix: 'ps' | 'pd';
  readonly lanes: number;
  /** a without signs. */
  magnitude(a: Expr): Expr;
  isZero(magnitude: Expr): Expr;
  isDenormal(magnitude: Expr): Expr;
  isSafe(magnitude: Expr): Expr;
  allTrue(mask: Expr): Expr;
  /** Signs of the even lanes, and of all. */
  readonly evenSigns: Expr;
  readonly allSigns: Expr;
}

export const SINGLES: PackedFormat = {
  native: f32x4,
  suffix: 'ps',
  lanes: LANES_S,
  magnitude: (a) => v128.and(a, i32x4c(0x7fffffff)),
  isZero: (m) => i32x4.eq(m, zero),
  isDenormal: (m) => i32x4.ltU(i32x4.sub(m, i32x4c(1)), i32x4c(0x007fffff)),
  isSafe: (m) => v128.and(i32x4.gtS(m, i32x4c(0x00ffffff)), i32x4.gtS(i32x4c(0x7f800000), m)),
  allTrue: i32x4.allTrue,
  evenSigns: i32x4c(-0x80000000, 0, -0x80000000, 0),
  allSigns: i32x4c(-0x80000000),
};

export const within = (m: Expr, above: bigint, below: bigint) =>
  v128.and(i64x2.gtS(m, i64x2same(above)), i64x2.gtS(i64x2same(below), m));
export const DOUBLES: PackedFormat = {
  native: f64x2,
  suffix: 'pd',
  lanes: LANES_D,
  magnitude: (a) => v128.and(a, i64x2same(0x7fffffffffffffffn)),
  isZero: (m) => i64x2.eq(m, zero),
  isDenormal: (m) => within(m, 0n, 1n << 52n),
  isSafe: (m) => within(m, (2n << 52n) - 1n, 0x7ffn << 52n),
  allTrue: i64x2.allTrue,
  evenSigns: v128.and(i64x2same(1n << 63n), i64x2.replace(zero, 0, w.i64c(-1))),
  allSigns: i64x2same(1n << 63n),
};
