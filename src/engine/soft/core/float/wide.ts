// AssemblyScript. Numbers with a 128-bit significand, for the insides of the transcendental functions. A number lies in
// memory: +0 u32 sign, +4 i32 exponent, +8 u64 and +16 u64 significand with its top bit set; zero: both halves 0. Value:
// significand / 2^127 * 2^exponent. Results are truncated, an error of a few units in the last place (2^-125 relative).

import { setZ } from './core';
import { MSB } from './env';
import { divWide, mulHi } from './multiword';

export const WIDE: i32 = 24;

export function wideSet(p: usize, sign: u32, exp: i32, hi: u64, lo: u64): void {
  store<u32>(p, sign);
  store<i32>(p, exp, 4);
  store<u64>(p, hi, 8);
  store<u64>(p, lo, 16);
}

export function wideCopy(p: usize, a: usize): void {
  store<u64>(p, load<u64>(a));
  store<u64>(p, load<u64>(a, 8), 8);
  store<u64>(p, load<u64>(a, 16), 16);
}

export function wideInt(p: usize, v: i32): void {
  if (v == 0) {
    wideSet(p, 0, 0, 0, 0);
    return;
  }
  const m = <u64>(v < 0 ? 0 - <i64>v : <i64>v);
  const n = clz<u64>(m);
  wideSet(p, u32(v < 0), 63 - <i32>n, m << n, 0);
}

/** From a double, which must be normal. */
export function wideDouble(p: usize, v: f64): void {
  const bits = reinterpret<u64>(v);
  wideSet(p, <u32>(bits >> 63), (<i32>(bits >> 52) & 0x7ff) - 1023, MSB | (bits << 11), 0);
}

/** As a double, truncated; 0 where it is too small for one. Nothing here is too large. */
export function wideToDouble(p: usize): f64 {
  const e = load<i32>(p, 4);
  const m = load<u64>(p, 8);
  if (m == 0 || e < -1022) return 0;
  return reinterpret<f64>(((<u64>load<u32>(p)) << 63) | ((<u64>(e + 1023)) << 52) | ((m << 1) >> 12));
}

/** Multiplies by 2^n. */
export function wideScale(p: usize, n: i32): void {
  store<i32>(p, load<i32>(p, 4) + n, 4);
}

export function wideNegate(p: usize): void {
  store<u32>(p, load<u32>(p) ^ 1);
}

export function wideMul(p: usize, a: usize, b: usize): void {
  const ah = load<u64>(a, 8),
    al = load<u64>(a, 16),
    bh = load<u64>(b, 8),
    bl = load<u64>(b, 16);
  const s = load<u32>(a) ^ load<u32>(b);
  let e = load<i32>(a, 4) + load<i32>(b, 4);
  if (ah == 0 || bh == 0) {
    wideSet(p, s, 0, 0, 0);
    return;
  }
  let hi = mulHi(ah, bh);
  let lo = ah * bh;
  const t = mulHi(ah, bl);
  lo += t;
  hi += u64(lo < t);
  const u = mulHi(al, bh);
  lo += u;
  hi += u64(lo < u);
  if (<i64>hi < 0) e++;
  else {
    hi = (hi << 1) | (lo >> 63);
    lo <<= 1;
  }
  wideSet(p, s, e, hi, lo);
}

/** A term that is too small to matter leaves its direction behind (as a last bit). */
export function wideAdd(p: usize, a: usize, b: usize): void {
  if (load<u64>(a, 8) == 0) {
    wideCopy(p, b);
    return;
  }
  if (load<u64>(b, 8) == 0) {
    wideCopy(p, a);
    return;
  }
  let d = load<i32>(a, 4) - load<i32>(b, 4);
  const more =
    load<u64>(a, 8) == load<u64>(b, 8) ? load<u64>(a, 16) < load<u64>(b, 16) : load<u64>(a, 8) < load<u64>(b, 8);
  if (d < 0 || (d == 0 && more)) {
    const t = a;
    a = b;
    b = t;
    d = 0 - d;
  }
  const s = load<u32>(a);
  let e = load<i32>(a, 4);
  let hi = load<u64>(a, 8),
    lo = load<u64>(a, 16);
  let h = load<u64>(b, 8),
    l = load<u64>(b, 16);
  if (d >= 128) {
    h = 0;
    l = 1;
  } else if (d >= 64) {
    const lost = l | (d > 64 ? h << (128 - d) : 0);
    l = (h >> (d - 64)) | u64(lost != 0);
    h = 0;
  } else if (d) {
    const lost = l << (64 - d);
    l = (l >> d) | (h << (64 - d)) | u64(lost != 0);
    h >>= d;
  }
  if (s == load<u32>(b)) {
    const t = lo + l;
    const c = u64(t < lo);
    const u = hi + h;
    const v = u + c;
    if (u < hi || v < u) {
      lo = (t >> 1) | (v << 63);
      hi = (v >> 1) | MSB;
      e++;
    } else {
      hi = v;
      lo = t;
    }
  } else {
    hi = hi - h - u64(lo < l);
    lo -= l;
    if (hi == 0) {
      hi = lo;
      lo = 0;
      e -= 64;
    }
    if (hi == 0) {
      wideSet(p, 0, 0, 0, 0);
      return;
    }
    const n = clz<u64>(hi);
    if (n) {
      hi = (hi << n) | (lo >> (64 - n));
      lo <<= n;
      e -= <i32>n;
    }
  }
  wideSet(p, s, e, hi, lo);
}

const RECIPROCAL: usize = memory.data(24, 8);
const CORRECTION: usize = memory.data(24, 8);

/** a / b for b not 0: one step of Newton on a 63-bit reciprocal. p may be a or b. */
export function wideDiv(p: usize, a: usize, b: usize): void {
  const d = load<u64>(b, 8);
  // 2^126 / d, between 2^62 and 2^63.
  let q = divWide(0x4000000000000000, 0, d);
  let e = 0 - load<i32>(b, 4) - 1;
  if (<i64>q >= 0) q <<= 1;
  else e++;
  wideSet(RECIPROCAL, load<u32>(b), e, q, 0);
  // x (2 - b x) = x + x (1 - b x)
  wideMul(CORRECTION, b, RECIPROCAL);
  wideNegate(CORRECTION);
  wideAdd(CORRECTION, CORRECTION, ONE);
  wideMul(CORRECTION, CORRECTION, RECIPROCAL);
  wideAdd(RECIPROCAL, RECIPROCAL, CORRECTION);
  wideMul(p, a, RECIPROCAL);
}

export const ONE: usize = memory.data<u64>([0, 0x8000000000000000, 0]);

/**
 * c[first] + x (c[first + step] + x (...)) with `terms` coefficients from a table, into p. alternate: every second
 * coefficient counts negative. p must not be x.
 */
export function widePolynomial(
  p: usize,
  x: usize,
  table: usize,
  first: i32,
  step: i32,
  terms: i32,
  alternate: bool,
): void {
  let c = table + <usize>((first + step * (terms - 1)) * WIDE);
  wideCopy(p, c);
  for (let n = terms - 1; n > 0; n--) {
    c -= <usize>(step * WIDE);
    wideMul(p, p, x);
    if (alternate) wideNegate(p);
    wideAdd(p, p, c);
  }
}

/** To z of core.ts, to be rounded; marked as inexact. */
export function wideToZ(p: usize): void {
  setZ(load<u32>(p), load<i32>(p, 4), load<u64>(p, 8), load<u64>(p, 16) | 1);
}
