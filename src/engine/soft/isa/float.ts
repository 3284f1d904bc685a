/**
 * Floating point lanes, exact in result and MXCSR. The native operator of Wasm does the work where it must give the same
 * bits and the same exceptions as the processor: MXCSR rounds to nearest, masks everything, neither DAZ nor FTZ is on, no
 * operand is denormal, the result is normal and away from underflow, and either PE is already set (so an inexact result
 * changes nothing) or the result is exact. Exact zeros and infinities are the rarer case (float-rare.ts). Everything else
 * is slow: the interpreter calls core/float, a region leaves it to the interpreter.
 */
import { type Emitter, LANES_D, LANES_S } from '../emit/emitter.js';
import * as L from '../layout.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { f32, f32x4, f64, f64x2, i32x4, i32x4c, i64x2, i64x2same, select, v128, zero } from '../wasm/simd.js';
import {
  DOUBLE,
  DOUBLES,
  type Format,
  isSafe,
  type PackedFormat,
  SINGLE,
  SINGLES,
  safeLimit,
  within,
} from './float-formats.js';
import {
  type Arithmetic,
  type Conditions,
  denormals,
  notDenormal,
  RARE_ARITHMETIC,
  RARE_FUSED,
  RARE_NARROW,
  RARE_PACKED,
  RARE_PACKED_FUSED,
  RARE_SQRT,
  type RareTest,
  without,
} from './float-rare.js';

/** Numbers of core/float/ssepacked.ts. */
const OP = { add: 0, mul: 1, sqrt: 2, sub: 4, min: 5, div: 6, max: 7 } as const;

// ---- scalars: bits as i32 or i64 ---------------------------------------------------------------------------------------

/** MXCSR plain, and the result such that nothing but PE can come of it. */
const safe = (e: Emitter, f: Format, r: Expr) => isSafe(f, r, e.plainLimit(safeLimit(f)));

/** What is asked where the ordinary case's conditions do not hold: `test` of the operands and the result. */
interface Rarely {
  readonly test: RareTest;
  readonly args: readonly Expr[];
}

/** Zero, normal or infinite: nothing that a comparison raises anything for. */
export function ordinary(e: Emitter, f: Format, a: Expr, b: Expr): Conditions {
  const [x, y] = [f.native.fromBits(a), f.native.fromBits(b)];
  return [w.or(f.native.lt(x, y), f.native.ge(x, y)), notDenormal(e, f, a), notDenormal(e, f, b)];
}

/**
 * The native operator's result where that is right (`fast`), or in a rarer case (`rare`), else the slow one. None of the
 * operands nor the result is denormal on the first two ways.
 */
function outcome(
  e: Emitter,
  f: Format,
  native: Expr,
  fast: (r: Expr) => Conditions,
  rare: Rarely | undefined,
  compute: () => Expr,
): Expr {
  const local = e.f.temp(native.type);
  e.f.set(local, native);
  const bits = f.native.toBits(w.localGet(local, native.type, true));
  const slow = () => {
    const r = e.floatSlow(compute);
    if (r) e.f.set(local, f.native.fromBits(r));
  };
  e.unless(fast(bits), () => (rare ? e.unless(e.rarely(rare.test, [...rare.args, bits]), slow) : slow()));
  e.tame(bits, f.lanes);
  return bits;
}

/** a + b and the like on bits. */
export function scalar(e: Emitter, f: Format, kind: Arithmetic, a: Expr, b: Expr): Expr {
  return outcome(
    e,
    f,
    f.native[kind](f.native.fromBits(a), f.native.fromBits(b)),
    (r) => [safe(e, f, r), notDenormal(e, f, a), notDenormal(e, f, b)],
    { test: RARE_ARITHMETIC[kind][f.suffix], args: [a, b] },
    () => e.call(`sse_${kind}_${f.suffix}`, f.bits, a, b),
  );
}

export function scalarSqrt(e: Emitter, f: Format, a: Expr): Expr {
  return outcome(
    e,
    f,
    f.native.sqrt(f.native.fromBits(a)),
    (r) => [safe(e, f, r), notDenormal(e, f, a)],
    { test: RARE_SQRT[f.suffix], args: [a] },
    () => e.call(`sse_sqrt_${f.suffix}`, f.bits, a),
  );
}

/** What fused multiply-adds negate, as core/float/fma.ts has it: the product, the addend; the addend of even lanes, of odd. */
export const NEGATE = { product: 1, addend: 2, even: 4, odd: 8 } as const;
type Terms<T> = readonly [x: T, y: T, z: T];

/** x * y + z rounded once, `negates` applied. */
export function scalarFused(e: Emitter, f: Format, terms: Terms<Expr>, negates: number): Expr {
  const compute = () => e.call(`sse_fma_${f.suffix}`, f.bits, ...terms, w.i32c(negates));
  if (!e.fuses) {
    const r = compute();
    e.commitFloat();
    return r;
  }
  const vectors = terms.map((t, i) => {
    const value = f.native.fromBits(t);
    const negated = negates & (i === 0 ? NEGATE.product : i === 2 ? NEGATE.addend : 0);
    return f.vector.splat(negated ? f.native.neg(value) : value);
  });
  return outcome(
    e,
    f,
    f.vector.extract(f.vector.relaxedMadd(vectors[0], vectors[1], vectors[2]), 0),
    (r) => [safe(e, f, r), ...terms.map((t) => notDenormal(e, f, t))],
    { test: RARE_FUSED[f.suffix], args: terms },
    compute,
  );
}

/** MIN and MAX: the second operand unless the first is truly less (greater). */
export function scalarExtreme(e: Emitter, f: Format, kind: 'min' | 'max', a: Expr, b: Expr): Expr {
  const [x, y] = [f.native.fromBits(a), f.native.fromBits(b)];
  const first = kind === 'min' ? f.native.lt(x, y) : f.native.lt(y, x);
  return outcome(
    e,
    f,
    w.select(first, x, y),
    () => ordinary(e, f, a, b),
    undefined,
    () => e.call(`sse_${kind}_${f.suffix}`, f.bits, a, b),
  );
}

/** CMPSS, CMPSD: predicate 0 to 7; all ones or zero. */
export function scalarCompare(e: Emitter, f: Format, a: Expr, b: Expr, imm: Expr): Expr {
  const n = e.let(w.and(imm, w.i32c(7)));
  const which = w.and(n, w.i32c(3));
  const test = (op: 'eq' | 'lt' | 'le') => f.native[op](f.native.fromBits(a), f.native.fromBits(b));
  const upper = w.select(w.eq(which, w.i32c(2)), test('le'), w.i32c(0));
  const positive = w.select(w.eqz(which), test('eq'), w.select(w.eq(which, w.i32c(1)), test('lt'), upper));
  const mask = w.sub(w.i32c(0), w.xor(positive, w.shrU(n, w.i32c(2))));
  const native = f.bits === 'i64' ? w.extendS(mask) : mask;
  return converted(e, native, ordinary(e, f, a, b), () => e.call(`sse_cmp_${f.suffix}`, f.bits, a, b, n));
}

/** A result that is no float: `native` where the conditions hold. */
export function converted(e: Emitter, native: Expr, fast: Conditions, compute: () => Expr): Expr {
  const local = e.f.temp(native.type);
  e.f.set(local, native);
  e.unless(fast, () => {
    const r = e.floatSlow(compute);
    if (r) e.f.set(local, r);
  });
  return w.localGet(local, native.type, true);
}

/** COMIS and UCOMIS: ZF, PF, CF as in EFLAGS. */
export function relate(e: Emitter, f: Format, quiet: boolean, a: Expr, b: Expr): void {
  const slow = () => e.call(`sse_${quiet ? 'ucomi' : 'comi'}_${f.suffix}`, 'i32', a, b);
  e.compareFloats(a, b, ordinary(e, f, a, b), slow);
}

/** CVTSS2SI and the like: to an integer of `size` bytes. */
export function toInteger(e: Emitter, f: Format, truncate: boolean, size: number, a: Expr): Expr {
  const type = size === 8 ? 'i64' : 'i32';
  const x = f.native.fromBits(a);
  const rounded = e.let(truncate ? x : f.native.nearest(x));
  const limit = size === 8 ? 2 ** 63 : 2 ** 31;
  const inside = f.native.lt(f.native.abs(rounded), f.bits === 'i64' ? w.f64c(limit) : w.f32c(limit));
  const native = size === 8 ? f.native.truncSatI64 : f.native.truncSatI32;
  // With PE set, or without anything to round away.
  const quiet = w.or(e.plainFloat(), w.and(e.maskedFloat(), f.native.eq(f.native.nearest(x), x)));
  const slow = () => e.call(`sse_${f.suffix}_to_${type}`, type, a, w.i32c(truncate ? 1 : 0));
  return converted(e, native(rounded), [inside, quiet], slow);
}

/** CVTSI2SS and the like. Only an i32 to a double is always exact. */
export function fromInteger(e: Emitter, f: Format, v: Expr): Expr {
  const native = v.type === 'i64' ? f.native.convertI64S(v) : f.native.convertI32S(v);
  if (v.type === 'i32' && f === DOUBLE) {
    const bits = f.native.toBits(e.let(native));
    e.tame(bits, f.lanes);
    return bits;
  }
  // Within 24 or 53 bits nothing is rounded.
  const limit = w.intc(v.type, 1n << BigInt(f.fraction));
  const small = w.ltU(w.add(v, limit), w.shl(limit, w.intc(v.type, 1)));
  return outcome(
    e,
    f,
    native,
    () => [w.or(small, e.plainFloat())],
    undefined,
    () => e.call(`sse_int_to_${f.suffix}`, f.bits, w.extendS(v)),
  );
}

/** CVTSS2SD. Of what isn't denormal nothing denormal comes. */
export function widen(e: Emitter, a: Expr): Expr {
  const x = f32.fromBits(a);
  return outcome(
    e,
    DOUBLE,
    f64.promote(x),
    () => [f32.eq(x, x), notDenormal(e, SINGLE, a)],
    undefined,
    () => e.call('sse_f32_to_f64', 'i64', a),
  );
}

export function narrow(e: Emitter, a: Expr): Expr {
  return outcome(
    e,
    SINGLE,
    f32.demote(f64.fromBits(a)),
    (r) => [safe(e, SINGLE, r)],
    { test: RARE_NARROW, args: [a] },
    () => e.call('sse_f64_to_f32', 'i32', a),
  );
}

// ---- packed ------------------------------------------------------------------------------------------------------------

const A = w.i32c(L.VECTOR_A);
const B = w.i32c(L.VECTOR_B);
const OUT = w.i32c(L.VECTOR_OUT);

/** All lanes through core/float, which commits them together. `args` come between or after addresses as core has them. */
function inCore(e: Emitter, name: string, args: readonly Expr[], a: Expr, b?: Expr): Expr {
  e.setState(L.VECTOR_A, a);
  if (b) e.setState(L.VECTOR_B, b);
  e.faultIf(e.call(name, 'i32', ...args));
  return e.let(e.state(L.VECTOR_OUT, 'v128'));
}

/** RCPPS, RSQRTPS: approximations that raise nothing. */
export function approximate(e: Emitter, name: 'rcp' | 'rsqrt', a: Expr): Expr {
  e.setState(L.VECTOR_A, a);
  e.callVoid(`sse_${name}_ps`, OUT, A);
  return e.let(e.state(L.VECTOR_OUT, 'v128'));
}

export function packedRound(e: Emitter, f: PackedFormat, a: Expr, imm: Expr): Expr {
  return e.floatInCore(() => inCore(e, `sse_round_${f.suffix}`, [OUT, A, imm], a));
}

/** DPPS, DPPD. */
export function dotProduct(e: Emitter, f: PackedFormat, a: Expr, b: Expr, imm: Expr): Expr {
  return e.floatInCore(() => inCore(e, `sse_dp${f.suffix}`, [OUT, A, B, imm], a, b));
}

/** As `outcome`, for vectors. */
function packedOutcome(
  e: Emitter,
  lanes: number,
  native: Expr,
  fast: (r: Expr) => Conditions,
  rare: Rarely | undefined,
  compute: () => Expr,
): Expr {
  const local = e.f.temp('v128');
  e.f.set(local, native);
  const r = w.localGet(local, 'v128', true);
  const slow = () => {
    const value = e.floatSlow(compute);
    if (value) e.f.set(local, value);
  };
  e.unless(fast(r), () => (rare ? e.unless(e.rarely(rare.test, [...rare.args, r]), slow) : slow()));
  e.tame(r, lanes);
  return r;
}

export function packed(e: Emitter, f: PackedFormat, kind: Arithmetic | 'addsub', a: Expr, b: Expr): Expr {
  const second = kind === 'addsub' ? e.let(v128.xor(b, f.evenSigns)) : b;
  const same = kind === 'addsub' ? 'add' : kind;
  const fast = (r: Expr): Conditions => {
    const good = f.isSafe(e.let(f.magnitude(r)));
    return [e.plainFloat(), f.allTrue(without(good, denormals(e, f, a, b)))];
  };
  const rare = { test: RARE_PACKED[same][f.suffix], args: [a, second] };
  return packedOutcome(e, f.lanes, f.native[same](a, second), fast, rare, () =>
    kind === 'addsub'
      ? inCore(e, `sse_addsub_${f.suffix}`, [OUT, A, B], a, b)
      : inCore(e, `sse_${f.suffix}`, [w.i32c(OP[kind]), OUT, A, B], a, b),
  );
}

/** As scalarFused, of a half; `compute` is core's way, whose exceptions the instruction commits. */
export function packedFused(
  e: Emitter,
  f: PackedFormat,
  terms: Terms<Expr>,
  negates: number,
  compute: () => Expr,
): Expr {
  if (!e.fuses) return compute();
  const [x, y, z] = terms;
  const signs = negates & NEGATE.odd ? e.let(v128.xor(f.allSigns, f.evenSigns)) : f.evenSigns;
  let addend = z;
  if (negates & (NEGATE.even | NEGATE.odd)) addend = v128.xor(z, signs);
  else if (negates & NEGATE.addend) addend = f.native.neg(z);
  const factor = negates & NEGATE.product ? f.native.neg(x) : x;
  const fast = (r: Expr): Conditions => [
    e.plainFloat(),
    f.allTrue(without(f.isSafe(e.let(f.magnitude(r))), denormals(e, f, x, y, z))),
  ];
  const rare = { test: RARE_PACKED_FUSED[f.suffix], args: terms };
  return packedOutcome(e, f.lanes, f.native.relaxedMadd(factor, y, addend), fast, rare, compute);
}

export function packedSqrt(e: Emitter, f: PackedFormat, a: Expr): Expr {
  const fast = (r: Expr): Conditions => {
    // -NaN's magnitude is no safe one; a negative operand gives NaN.
    const m = e.let(f.magnitude(r));
    const good = without(v128.or(f.isSafe(m), f.isZero(m)), denormals(e, f, a));
    return [e.plainFloat(), f.allTrue(good)];
  };
  const slow = () => inCore(e, `sse_${f.suffix}`, [w.i32c(OP.sqrt), OUT, A, B], a, a);
  return packedOutcome(e, f.lanes, f.native.sqrt(a), fast, undefined, slow);
}

/** No lane is a NaN or denormal. */
export function allOrdinary(e: Emitter, f: PackedFormat, a: Expr, b?: Expr): Expr {
  const numbers = b ? v128.and(f.native.eq(a, a), f.native.eq(b, b)) : f.native.eq(a, a);
  return f.allTrue(without(numbers, b ? denormals(e, f, a, b) : denormals(e, f, a)));
}

export function packedExtreme(e: Emitter, f: PackedFormat, kind: 'min' | 'max', a: Expr, b: Expr): Expr {
  // pmin(x, y) is y < x ? y : x, so the operands change places.
  const native = kind === 'min' ? f.native.pmin(b, a) : f.native.pmax(b, a);
  const slow = () => inCore(e, `sse_${f.suffix}`, [w.i32c(OP[kind]), OUT, A, B], a, b);
  return packedOutcome(e, f.lanes, native, () => [allOrdinary(e, f, a, b)], undefined, slow);
}

export function packedCompare(e: Emitter, f: PackedFormat, a: Expr, b: Expr, imm: Expr): Expr {
  const n = e.let(w.and(imm, w.i32c(7)));
  const which = w.and(n, w.i32c(3));
  const upper = select(w.eq(which, w.i32c(2)), f.native.le(a, b), zero);
  const rest = select(w.eq(which, w.i32c(1)), f.native.lt(a, b), upper);
  const positive = select(w.eqz(which), f.native.eq(a, b), rest);
  const native = v128.xor(positive, i32x4.splat(w.sub(w.i32c(0), w.shrU(n, w.i32c(2)))));
  const slow = () => inCore(e, `sse_cmp_${f.suffix}`, [OUT, A, B, n], a, b);
  return converted(e, native, [allOrdinary(e, f, a, b)], slow);
}

// ---- packed conversions ------------------------------------------------------------------------------------------------

const convertInCore = (e: Emitter, a: Expr, name: string, ...args: readonly number[]) =>
  inCore(e, `sse_cvt_${name}`, [OUT, A, ...args.map(w.i32c)], a);

const TWO_31_SINGLES = i32x4c(0x4f000000);
const TWO_31_DOUBLES = i64x2same(0x41e0000000000000n);

export function singlesToIntegers(e: Emitter, truncate: boolean, a: Expr): Expr {
  const x = e.let(truncate ? a : f32x4.nearest(a));
  const inside = i32x4.allTrue(f32x4.lt(f32x4.abs(x), TWO_31_SINGLES));
  const slow = () => convertInCore(e, a, 'ps2dq', truncate ? 1 : 0, 4);
  return converted(e, i32x4.truncSatF32x4S(x), [e.plainFloat(), inside], slow);
}

/** Two integers below zeros. */
export function doublesToIntegers(e: Emitter, truncate: boolean, a: Expr): Expr {
  const x = e.let(truncate ? a : f64x2.nearest(a));
  const inside = i64x2.allTrue(f64x2.lt(f64x2.abs(x), TWO_31_DOUBLES));
  const slow = () => convertInCore(e, a, 'pd2dq', truncate ? 1 : 0, 16);
  return converted(e, i32x4.truncSatF64x2SZero(x), [e.plainFloat(), inside], slow);
}

export function integersToSingles(e: Emitter, a: Expr): Expr {
  const small = i32x4.allTrue(i32x4.ltU(i32x4.add(a, i32x4c(1 << 24)), i32x4c(1 << 25)));
  const slow = () => convertInCore(e, a, 'dq2ps', 4);
  return converted(e, f32x4.convertI32x4S(a), [w.or(e.plainFloat(), small)], slow);
}

/** The low two singles; the upper half of `a` must be zero. */
export function singlesToDoubles(e: Emitter, a: Expr): Expr {
  const slow = () => convertInCore(e, a, 'ps2pd');
  return packedOutcome(e, LANES_D, f64x2.promoteLowF32x4(a), () => [allOrdinary(e, SINGLES, a)], undefined, slow);
}

/** Two singles below zeros. */
export function doublesToSingles(e: Emitter, a: Expr): Expr {
  const m = e.let(DOUBLES.magnitude(a));
  // From 2^-124 to 2^127 the result is a safe single.
  const inside = v128.or(within(m, 899n << 52n, 1150n << 52n), i64x2.eq(m, zero));
  const slow = () => convertInCore(e, a, 'pd2ps');
  return packedOutcome(
    e,
    LANES_S,
    f32x4.demoteF64x2Zero(a),
    () => [e.plainFloat(), i64x2.allTrue(inside)],
    undefined,
    slow,
  );
}
