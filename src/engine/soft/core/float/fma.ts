// AssemblyScript. Fused multiply-add, and half precision: one lane, and vectors. As in sse.ts, exceptions are collected in
// FLOAT_FLAGS. Intel SDM volume 1, 14.4 (F16C) and 14.5.2 (FMA: NaNs, signs, exceptions).

import { MXCSR } from '../../layout';
import {
  finish32,
  finish64,
  invalid,
  mul,
  packBits,
  R_FINITE,
  R_INF,
  R_INVALID,
  R_ZERO,
  setZ,
  shiftZ,
  zE,
  zHi,
  zLo,
  zS,
} from './core';
import { DE, FLOAT_TEMP, IE, MSB, MX_FTZ, RC_DOWN, raise } from './env';
import { end } from './ssepacked';
import {
  aC,
  aE,
  aM,
  aS,
  bC,
  C_DENORMAL,
  C_INF,
  C_NAN,
  C_SNAN,
  C_ZERO,
  env,
  setEnv,
  unpackA32,
  unpackA64,
  unpackB32,
  unpackB64,
} from './unpack';

const PRODUCT: i32 = 1;
const ADDEND: i32 = 2;
const EVEN: i32 = 4;
const ODD: i32 = 8;

const QUIET64: u64 = 0x0008000000000000;
const QUIET32: u32 = 0x00400000;

// The addend, unpacked, while a and b hold the factors.
let cS: u32 = 0;
let cE: i32 = 0;
let cM: u64 = 0;
let cC: u32 = 0;

function takeAddend(negates: i32): void {
  cS = aS ^ u32((negates & ADDEND) != 0);
  cE = aE;
  cM = aM;
  cC = aC;
}

/** z = a * b + c for unpacked operands that are no NaNs, exact up to a sticky bit; a result code. */
function fused(negates: i32): i32 {
  const code = mul();
  if (code == R_INVALID) return code;
  const pS = zS ^ (negates & PRODUCT ? 1 : 0);
  if (code == R_INF && cC & C_INF && cS != pS) return invalid();
  // An invalid operation raises nothing else.
  if ((aC | bC | cC) & C_DENORMAL) raise(DE);
  if (code == R_INF) {
    setZ(pS, 0, 0, 0);
    return R_INF;
  }
  if (cC & C_INF) {
    setZ(cS, 0, 0, 0);
    return R_INF;
  }
  if (code == R_ZERO) {
    if (!(cC & C_ZERO)) {
      setZ(cS, cE, cM, 0);
      return R_FINITE;
    }
    setZ(pS == cS ? pS : u32(((env >> 13) & 3) == RC_DOWN), 0, 0, 0);
    return R_ZERO;
  }
  if (cC & C_ZERO) {
    setZ(pS, zE, zHi, zLo);
    return R_FINITE;
  }
  return sum(pS, zE, zHi, zLo);
}

/** The product (128 significant bits) plus c. */
function sum(pS: u32, pE: i32, pHi: u64, pLo: u64): i32 {
  let bigS = pS,
    bigE = pE,
    bigHi = pHi,
    bigLo = pLo;
  let smallHi = cM,
    smallLo: u64 = 0;
  let d = pE - cE;
  if (d < 0 || (d == 0 && pHi < cM)) {
    d = 0 - d;
    bigS = cS;
    bigE = cE;
    bigHi = cM;
    bigLo = 0;
    smallHi = pHi;
    smallLo = pLo;
  }
  // The smaller one in the larger one's place; bit 0 is sticky.
  setZ(bigS, bigE, smallHi, smallLo);
  if (d) shiftZ(d);
  smallHi = zHi;
  smallLo = zLo;
  if (pS == cS) {
    const lo = bigLo + smallLo;
    const carry = u64(lo < bigLo);
    const t = bigHi + smallHi;
    const hi = t + carry;
    if (t < bigHi || hi < t) setZ(bigS, bigE + 1, (hi >> 1) | MSB, (lo >> 1) | (hi << 63) | (lo & 1));
    else setZ(bigS, bigE, hi, lo);
    return R_FINITE;
  }
  let hi = bigHi - smallHi - u64(bigLo < smallLo);
  let lo = bigLo - smallLo;
  if ((hi | lo) == 0) {
    setZ(u32(((env >> 13) & 3) == RC_DOWN), 0, 0, 0);
    return R_ZERO;
  }
  if (hi == 0) {
    hi = lo;
    lo = 0;
    bigE -= 64;
  }
  const n = clz<u64>(hi);
  if (n) {
    hi = (hi << n) | (lo >> (64 - n));
    lo <<= n;
    bigE -= <i32>n;
  }
  setZ(bigS, bigE, hi, lo);
  return R_FINITE;
}

/** Whether the class of a NaN result is decided: 0 times infinity plus a quiet NaN raises nothing. */
function noteNan(): void {
  if ((aC | bC | cC) & C_SNAN) raise(IE);
}

/** Rounding to nearest, everything masked, nothing flushed, PE set already: what native operators do. */
function plain(): bool {
  return (load<u32>(MXCSR) & 0xffffffe0) == 0x1fa0;
}

// ---- one lane ----------------------------------------------------------------------------------------------------------

/** a * b + c; `negates`: 1 the product, 2 the addend. */
export function sse_fma_f32(a: u32, b: u32, c: u32, negates: i32): u32 {
  if (plain() && normal32(a) && normal32(b) && normal32(c)) {
    const x = reinterpret<f32>(a ^ ((<u32>(negates & PRODUCT)) << 31));
    const z = reinterpret<f32>(c ^ ((<u32>(negates & ADDEND)) << 30));
    // The product is exact, and the sum is rounded to 53 bits: right unless that fell on the middle between two floats.
    const r = <f64>x * <f64>reinterpret<f32>(b) + <f64>z;
    if ((<u32>reinterpret<u64>(r) & 0x1fffffff) != 0x10000000) {
      const bits = reinterpret<u32>(<f32>r);
      if (((bits >> 23) & 0xff) - 2 < 0xfd) return bits;
    }
  }
  setEnv(load<u32>(MXCSR));
  unpackA32(c);
  takeAddend(negates);
  unpackA32(a);
  unpackB32(b);
  if ((aC | bC | cC) & C_NAN) {
    noteNan();
    return (aC & C_NAN ? a : bC & C_NAN ? b : c) | QUIET32;
  }
  return finish32(fused(negates));
}

/** Neither zero nor denormal, infinite or NaN. */
function normal32(a: u32): bool {
  return ((a >> 23) & 0xff) - 1 < 0xfe;
}

export function sse_fma_f64(a: u64, b: u64, c: u64, negates: i32): u64 {
  if (plain()) {
    const ea = <u32>(a >> 52) & 0x7ff,
      eb = <u32>(b >> 52) & 0x7ff,
      ec = <u32>(c >> 52) & 0x7ff;
    // Far from both ends, so that no step below over- or underflows.
    if (ea - 0x200 < 0x400 && eb - 0x200 < 0x400 && ec - 0x200 < 0x400) {
      const bits = reinterpret<u64>(
        nativeFma(
          reinterpret<f64>(a ^ ((<u64>(negates & PRODUCT)) << 63)),
          reinterpret<f64>(b),
          reinterpret<f64>(c ^ ((<u64>(negates & ADDEND)) << 62)),
        ),
      );
      if ((<u32>(bits >> 52) & 0x7ff) - 2 < 0x7fd) return bits;
    }
  }
  setEnv(load<u32>(MXCSR));
  unpackA64(c);
  takeAddend(negates);
  unpackA64(a);
  unpackB64(b);
  if ((aC | bC | cC) & C_NAN) {
    noteNan();
    return (aC & C_NAN ? a : bC & C_NAN ? b : c) | QUIET64;
  }
  return finish64(fused(negates));
}

/**
 * x * y + z rounded once, to nearest, out of operations that round each time: product and sums with their errors, whose
 * tail is rounded to odd (S. Boldo, G. Melquiond: Emulation of a FMA and correctly rounded sums, theorem 5). Exponents must
 * be far from both ends.
 */
function nativeFma(x: f64, y: f64, z: f64): f64 {
  // Dekker's product: p + e = x * y.
  const p = x * y;
  const sx = x * 134217729.0,
    sy = y * 134217729.0;
  const xh = sx - (sx - x),
    yh = sy - (sy - y);
  const xl = x - xh,
    yl = y - yh;
  const e = xh * yh - p + xh * yl + xl * yh + xl * yl;
  // Knuth's sums: t + te = z + e, v + ve = p + t.
  const t = z + e;
  const t1 = t - z;
  const te = z - (t - t1) + (e - t1);
  const v = p + t;
  const v1 = v - p;
  const ve = p - (v - v1) + (t - v1);
  let tail = te + ve;
  const w1 = tail - te;
  const error = te - (tail - w1) + (ve - w1);
  if (error != 0) {
    const bits = reinterpret<i64>(tail);
    if (!(bits & 1)) tail = reinterpret<f64>(bits + (error > 0 == tail > 0 ? 1 : -1));
  }
  return v + tail;
}

// ---- vectors: dst = a * b + c, committed as in ssepacked.ts ------------------------------------------------------------

/** The addend's sign in lane i. */
function negatesIn(negates: i32, i: i32): i32 {
  return negates & (EVEN | ODD) ? (negates & (i & 1 ? ODD : EVEN) ? ADDEND : 0) : negates;
}

export function sse_fma_ps(dst: usize, a: usize, b: usize, c: usize, negates: i32): i32 {
  for (let i = 0; i < 4; i++) {
    const at = (<usize>i) << 2;
    store<u32>(
      FLOAT_TEMP + at,
      sse_fma_f32(load<u32>(a + at), load<u32>(b + at), load<u32>(c + at), negatesIn(negates, i)),
    );
  }
  return end(dst, 16);
}

export function sse_fma_pd(dst: usize, a: usize, b: usize, c: usize, negates: i32): i32 {
  for (let i = 0; i < 2; i++) {
    const at = (<usize>i) << 3;
    store<u64>(
      FLOAT_TEMP + at,
      sse_fma_f64(load<u64>(a + at), load<u64>(b + at), load<u64>(c + at), negatesIn(negates, i)),
    );
  }
  return end(dst, 16);
}

// ---- half precision ----------------------------------------------------------------------------------------------------

/** VCVTPH2PS on one lane: always exact; denormals raise nothing, DAZ doesn't count. */
function fromHalf(h: u32): u32 {
  const sign = (h & 0x8000) << 16;
  const e = (h >> 10) & 31;
  const f = h & 0x3ff;
  if (e == 31) {
    if (f == 0) return sign | 0x7f800000;
    if (!(f & 0x200)) raise(IE);
    return sign | 0x7fc00000 | (f << 13);
  }
  if (e) return sign | ((e + 112) << 23) | (f << 13);
  if (f == 0) return sign;
  const n = clz<u32>(f) - 21;
  return sign | ((113 - n) << 23) | (((f << n) & 0x3ff) << 13);
}

/** VCVTPS2PH on one lane; `env` is set. */
function toHalf(a: u32): u32 {
  unpackA32(a);
  const sign = aS << 15;
  if (aC & C_NAN) {
    if (aC & C_SNAN) raise(IE);
    return sign | 0x7e00 | ((a >> 13) & 0x1ff);
  }
  if (aC & C_ZERO) return sign;
  if (aC & C_INF) return sign | 0x7c00;
  if (aC & C_DENORMAL) raise(DE);
  setZ(aS, aE, aM, 0);
  return sign | <u32>packBits(15, 11, 31);
}

/** VCVTPH2PS: four halves from b + 2 * first. */
export function sse_cvt_ph2ps(dst: usize, b: usize, first: i32): i32 {
  for (let i = 0; i < 4; i++)
    store<u32>(FLOAT_TEMP + ((<usize>i) << 2), fromHalf(<u32>load<u16>(b + ((<usize>(first + i)) << 1))));
  return end(dst, 16);
}

/** VCVTPS2PH: the upper half of dst becomes 0. imm: rounding, bit 2: MXCSR's. FTZ does not count. */
export function sse_cvt_ps2ph(dst: usize, b: usize, imm: u32): i32 {
  const mxcsr = load<u32>(MXCSR) & ~MX_FTZ;
  setEnv(imm & 4 ? mxcsr : (mxcsr & ~0x6000) | ((imm & 3) << 13));
  for (let i = 0; i < 4; i++) store<u16>(FLOAT_TEMP + ((<usize>i) << 1), <u16>toHalf(load<u32>(b + ((<usize>i) << 2))));
  store<u64>(FLOAT_TEMP, 0, 8);
  return end(dst, 16);
}
