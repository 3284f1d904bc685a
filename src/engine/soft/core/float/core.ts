// AssemblyScript. The arithmetic under SSE and x87: operands of any format are unpacked to sign, unbiased exponent and
// a 64-bit significand with its top bit set; add, sub, mul, div and sqrt give a result of 128 significant bits, the
// last of them sticky; and pack* rounds that once to its format. So there is one add and one rounding for float32,
// float64 and floatx80 (with each precision control).
//
// IEEE 754; x86's choices where IEEE leaves them open: tininess is found after rounding, NaNs by the rules of Intel
// SDM volume 1, 4.8.3.5 (callers), the "indefinite" QNaN is negative.

import {
  DE,
  IE,
  MSB,
  MX_FTZ,
  MX_OM,
  MX_UM,
  NAN32,
  NAN64,
  NAN80_SE,
  NAN80_SIG,
  OE,
  PE,
  RC_DOWN,
  RC_NEAREST,
  RC_ZERO,
  raise,
  UE,
  ZE,
} from './env';
import { divRest, divWide, mulHi } from './multiword';
import { aC, aE, aM, aS, bC, bE, bM, bS, C_DENORMAL, C_INF, C_NAN, C_UNSUPPORTED, C_ZERO, env } from './unpack';

// ---- results ---------------------------------------------------------------------------------------------------------

/** 1: the last rounding made the magnitude larger (C1 of x87). */
export let up: u32 = 0;

export function setUp(u: u32): void {
  up = u;
}

/** Result before rounding: value = (zHi:zLo / 2^127) * 2^zE, bit 63 of zHi set, bit 0 of zLo sticky. */
export let zS: u32 = 0;
export let zE: i32 = 0;
export let zHi: u64 = 0;
export let zLo: u64 = 0;
/** A packed floatx80. */
export let rSe: u32 = 0;
export let rSig: u64 = 0;

export function setZ(s: u32, e: i32, hi: u64, lo: u64): void {
  zS = s;
  zE = e;
  zHi = hi;
  zLo = lo;
}
export function setR(se: u32, sig: u64): void {
  rSe = se;
  rSig = sig;
}

// ---- arithmetic on finite numbers ---------------------------------------------------------------------------------

export const R_FINITE: i32 = 0; // z holds it, to be rounded
export const R_ZERO: i32 = 1; // zS
export const R_INF: i32 = 2; // zS
export const R_INVALID: i32 = 3; // IE was raised: the indefinite

function addFinite(): i32 {
  let d = aE - bE;
  let big = aM,
    small = bM;
  zS = aS;
  zE = aE;
  if (d < 0 || (d == 0 && aM < bM)) {
    d = 0 - d;
    big = bM;
    small = aM;
    zS = bS;
    zE = bE;
  }
  let hi: u64 = 0,
    lo: u64 = 0;
  if (d == 0) hi = small;
  else if (d < 64) {
    hi = small >> d;
    lo = small << (64 - d);
  } else if (d == 64) lo = small;
  else if (d < 128) lo = (small >> (d - 64)) | u64(small << (128 - d) != 0);
  else lo = 1;
  if (aS == bS) {
    const s = big + hi;
    if (s < big) {
      zHi = (s >> 1) | MSB;
      zLo = (lo >> 1) | (s << 63) | (lo & 1);
      zE++;
    } else {
      zHi = s;
      zLo = lo;
    }
    return R_FINITE;
  }
  let rHi = big - hi - u64(lo != 0);
  let rLo = 0 - lo;
  if (rHi == 0) {
    if (rLo == 0) {
      zS = u32(((env >> 13) & 3) == RC_DOWN);
      return R_ZERO;
    }
    rHi = rLo;
    rLo = 0;
    zE -= 64;
  }
  const n = clz<u64>(rHi);
  if (n) {
    rHi = (rHi << n) | (rLo >> (64 - n));
    rLo <<= n;
    zE -= <i32>n;
  }
  zHi = rHi;
  zLo = rLo;
  return R_FINITE;
}

/** a + b. No operand is a NaN or unsupported (nor below). */
export function add(): i32 {
  if ((aC | bC) & (C_ZERO | C_INF)) {
    if (aC & C_INF) {
      if (bC & C_INF && aS != bS) return invalid();
      zS = aS;
      return R_INF;
    }
    if (bC & C_INF) {
      zS = bS;
      return R_INF;
    }
    if (aC & C_ZERO) {
      if (bC & C_ZERO) {
        zS = aS == bS ? aS : u32(((env >> 13) & 3) == RC_DOWN);
        return R_ZERO;
      }
      setZ(bS, bE, bM, 0);
    } else setZ(aS, aE, aM, 0);
    return R_FINITE;
  }
  return addFinite();
}

export function mul(): i32 {
  zS = aS ^ bS;
  if ((aC | bC) & (C_ZERO | C_INF)) {
    if ((aC | bC) & C_INF) return (aC | bC) & C_ZERO ? invalid() : R_INF;
    return R_ZERO;
  }
  const hi = mulHi(aM, bM),
    lo = aM * bM;
  zE = aE + bE;
  if (<i64>hi < 0) {
    zE++;
    zHi = hi;
    zLo = lo;
  } else {
    zHi = (hi << 1) | (lo >> 63);
    zLo = lo << 1;
  }
  return R_FINITE;
}

export function div(): i32 {
  zS = aS ^ bS;
  if ((aC | bC) & (C_ZERO | C_INF)) {
    if (aC & bC & (C_ZERO | C_INF)) return invalid();
    if (aC & C_INF) return R_INF;
    if (bC & C_INF || aC & C_ZERO) return R_ZERO;
    raise(ZE);
    return R_INF;
  }
  zE = aE - bE;
  if (aM < bM) {
    zE--;
    zHi = divWide(aM, 0, bM);
  } else zHi = divWide(aM >> 1, aM << 63, bM);
  const r = divRest;
  // The fraction r / bM, as far as rounding wants to know: below, at or above one half.
  const rest = bM - r;
  zLo = r == 0 ? 0 : r < rest ? 1 : r == rest ? MSB : MSB | 1;
  return R_FINITE;
}

/** 0 if r is the root of n = hi:lo, else the direction to go. Sets zLo to the fraction as far as rounding wants to know. */
function sqrtCheck(hi: u64, lo: u64, r: u64): i32 {
  const xHi = mulHi(r, r),
    xLo = r * r;
  if (xHi > hi || (xHi == hi && xLo > lo)) return -1;
  // d = n - r * r; r is right if d <= 2 r.
  const dHi = hi - xHi - u64(lo < xLo),
    dLo = lo - xLo;
  if (dHi > r >> 63 || (dHi == r >> 63 && dLo > r << 1)) return 1;
  // Above one half if d > r (n can't be the square of r + 1/2).
  zLo = (dHi | dLo) == 0 ? 0 : dHi != 0 || dLo > r ? MSB | 1 : 1;
  return 0;
}

/** sqrt(a). */
export function sqrt(): i32 {
  zS = aS;
  if (aC & C_ZERO) return R_ZERO;
  if (aS) return invalid();
  if (aC & C_INF) return R_INF;
  // root = floor(sqrt(n)) for n = hi:lo with 127 or 128 bits.
  let hi = aM,
    lo: u64 = 0;
  if (!(aE & 1)) {
    lo = hi << 63;
    hi >>= 1;
  }
  zE = aE >> 1;
  // 2^-52 near: the double's root, then one step of Newton on the exact rest, then single steps.
  let r: u64 = <u64>min<f64>(Math.sqrt(<f64>hi) * 4294967296.0, 18446744073709549568.0);
  const sq = mulHi(r, r),
    sqLo = r * r;
  // rest = n - r * r, between -2^78 and 2^78: as a double it is good enough for the step.
  const restHi = <i64>(hi - sq - u64(lo < sqLo));
  const rest = <f64>restHi * 18446744073709551616.0 + <f64>(lo - sqLo);
  const step: i64 = <i64>(rest / (2.0 * <f64>r));
  if (step >= 0) {
    const t = r + <u64>step;
    r = t < r ? u64.MAX_VALUE : t;
  } else r -= <u64>(0 - step);
  let restIs: i32 = 1;
  while (restIs) {
    restIs = sqrtCheck(hi, lo, r);
    r += <i64>restIs;
  }
  zHi = r;
  return R_FINITE;
}

export function invalid(): i32 {
  raise(IE);
  return R_INVALID;
}

/** -1, 0 or 1 as a is less than, equal to or greater than b; no NaNs. */
export function compare(): i32 {
  if (aC & bC & C_ZERO) return 0;
  if (aC & C_ZERO) return bS ? 1 : -1;
  if (bC & C_ZERO) return aS ? -1 : 1;
  if (aS != bS) return aS ? -1 : 1;
  const less = aS ? 1 : -1;
  if ((aC | bC) & C_INF) return aC & bC & C_INF ? 0 : aC & C_INF ? 0 - less : less;
  if (aE != bE) return aE < bE ? less : 0 - less;
  return aM == bM ? 0 : aM < bM ? less : 0 - less;
}

// ---- rounding ------------------------------------------------------------------------------------------------------

/** 1 if a kept part k with a fraction f (of 2^64, not 0) is to be increased; sets `up`. */
function increment(k: u64, f: u64): u64 {
  const rc = (env >> 13) & 3;
  if (rc == RC_NEAREST) up = u32(f > MSB || (f == MSB && (k & 1) != 0));
  else up = rc == RC_ZERO ? 0 : u32((rc == RC_DOWN) == (zS != 0));
  return <u64>up;
}

/** hi and lo shifted right by n >= 1, sticky; the results in zHi and zLo. */
export function shiftZ(n: i32): void {
  if (n < 64) {
    const lost = zLo << (64 - n);
    zLo = (zLo >> n) | (zHi << (64 - n)) | u64(lost != 0);
    zHi >>= n;
  } else if (n < 128) {
    const m = n - 64;
    const lost = zLo | (m ? zHi << (64 - m) : 0);
    zLo = (zHi >> m) | u64(lost != 0);
    zHi = 0;
  } else {
    zHi = 0;
    zLo = 1;
  }
}

/**
 * The rare part of packing to float32/64: the exponent is near or beyond the ends. e: biased exponent, p: significant
 * bits, top: the exponent of infinity. Returns the bits without sign.
 */
function packEdge(e: i32, p: i32, top: i32): u64 {
  const sh = 64 - p;
  let k = zHi >> sh,
    f = (zHi << p) | u64(zLo != 0);
  up = 0;
  if (e > 0) {
    e = min<i32>(e, top);
    if (f) k += increment(k, f);
    const bits = ((<u64>(e - 1)) << (p - 1)) + k;
    if (bits >> (p - 1) < <u64>top) {
      if (f) raise(PE);
      return bits;
    }
    raise(env & MX_OM ? OE | PE : f ? OE | PE : OE);
    const rc = (env >> 13) & 3;
    const inf = (<u64>top) << (p - 1);
    up = u32(rc == RC_NEAREST || (rc != RC_ZERO && (rc == RC_DOWN) == (zS != 0)));
    return up ? inf : inf - 1;
  }
  // Tiny, unless rounding to p bits as if there were no lower end reaches the smallest normal number.
  let tiny = true;
  if (e == 0 && f && increment(k, f) && (k + 1) >> p) tiny = false;
  up = 0;
  if (tiny) {
    if (!(env & MX_UM)) {
      // Unmasked: no denormal result, and inexact only if it is so with an unbounded exponent.
      raise(f ? UE | PE : UE);
      return 0;
    }
    if (env & MX_FTZ) {
      raise(UE | PE);
      return 0;
    }
  }
  shiftZ(1 - e);
  k = zHi >> sh;
  f = (zHi << p) | u64(zLo != 0);
  if (f) {
    raise(tiny ? UE | PE : PE);
    k += increment(k, f);
  }
  return k;
}

/** z to a format with this bias, `p` significant bits and `top` as the exponent of infinity; without sign. */
export function packBits(bias: i32, p: i32, top: i32): u64 {
  return packEdge(zE + bias, p, top);
}

export function pack64(): u64 {
  const e = zE + 1023;
  if (<u32>(e - 1) < 2045) {
    let k = zHi >> 11;
    const f = (zHi << 53) | u64(zLo != 0);
    up = 0;
    if (f) {
      raise(PE);
      k += increment(k, f);
    }
    return ((<u64>zS) << 63) | (((<u64>(e - 1)) << 52) + k);
  }
  return packEdge(e, 53, 2047) | ((<u64>zS) << 63);
}

export function pack32(): u32 {
  const e = zE + 127;
  if (<u32>(e - 1) < 253) {
    let k = zHi >> 40;
    const f = (zHi << 24) | u64(zLo != 0);
    up = 0;
    if (f) {
      raise(PE);
      k += increment(k, f);
    }
    return (zS << 31) | (((<u32>(e - 1)) << 23) + <u32>k);
  }
  return <u32>packEdge(e, 24, 255) | (zS << 31);
}

/** Packs z to rSe:rSig with p (24, 53 or 64) significant bits. */
export function pack80(p: i32): void {
  let e = zE + 16383;
  const sh = 64 - p;
  let k = zHi,
    f = zLo;
  if (sh) {
    k = zHi >> sh;
    f = (zHi << p) | u64(zLo != 0);
  }
  up = 0;
  if (e <= 0) {
    packTiny80(e, p, k, f);
    return;
  }
  if (f) {
    k += increment(k, f);
    if (k << sh == 0) {
      k = (<u64>1) << (p - 1);
      e++;
    }
  }
  if (e >= 0x7fff) {
    if (env & MX_OM) {
      raise(OE | PE);
      const rc = (env >> 13) & 3;
      up = u32(rc == RC_NEAREST || (rc != RC_ZERO && (rc == RC_DOWN) == (zS != 0)));
      rSe = (zS << 15) | (up ? 0x7fff : 0x7ffe);
      rSig = up ? MSB : u64.MAX_VALUE << sh;
      return;
    }
    // Unmasked overflow: the result with its exponent brought back into range (SDM volume 1, 8.5.4).
    raise(f ? OE | PE : OE);
    e -= 0x6000;
    if (e >= 0x7fff) {
      // Even so too large (FSCALE).
      raise(PE);
      up = 1;
      rSe = (zS << 15) | 0x7fff;
      rSig = MSB;
      return;
    }
  } else if (f) raise(PE);
  rSig = k << sh;
  rSe = (zS << 15) | <u32>e;
}

/** The part of pack80 for a biased exponent e <= 0. */
function packTiny80(e: i32, p: i32, k: u64, f: u64): void {
  const sh = 64 - p;
  let tiny = true;
  if (e == 0 && f && increment(k, f) && (k + 1) << sh == 0) tiny = false;
  up = 0;
  if (tiny && !(env & MX_UM)) {
    // Unmasked underflow: rounded as if there were no lower end, exponent brought back into range (8.5.5).
    raise(UE);
    e += 0x6000;
    if (f) {
      raise(PE);
      k += increment(k, f);
      if (k << sh == 0) {
        k = (<u64>1) << (p - 1);
        e++;
      }
    }
    if (e <= 0) {
      // Even so too small (FSCALE).
      raise(PE);
      up = 0;
      e = 0;
      k = 0;
    }
    rSig = k << sh;
    rSe = (zS << 15) | <u32>e;
    return;
  }
  shiftZ(1 - e);
  k = zHi;
  f = zLo;
  if (sh) {
    k = zHi >> sh;
    f = (zHi << p) | u64(zLo != 0);
  }
  if (f) {
    raise(tiny ? UE | PE : PE);
    k += increment(k, f);
  }
  rSig = k << sh;
  rSe = (zS << 15) | <u32>(rSig >> 63);
}

/** A result code of add, mul ... to a float64. */
export function finish64(code: i32): u64 {
  if (code == R_FINITE) return pack64();
  up = 0;
  if (code == R_INVALID) return NAN64;
  return ((<u64>zS) << 63) | (code == R_INF ? 0x7ff0000000000000 : 0);
}

export function finish32(code: i32): u32 {
  if (code == R_FINITE) return pack32();
  up = 0;
  if (code == R_INVALID) return NAN32;
  return (zS << 31) | (code == R_INF ? 0x7f800000 : 0);
}

/** To rSe:rSig. */
export function finish80(code: i32, p: i32): void {
  if (code == R_FINITE) {
    pack80(p);
    return;
  }
  up = 0;
  if (code == R_INVALID) setR(NAN80_SE, NAN80_SIG);
  else if (code == R_INF) setR((zS << 15) | 0x7fff, MSB);
  else setR(zS << 15, 0);
}

// ---- integers ------------------------------------------------------------------------------------------------------

/** Fraction (of 2^64, sticky) that the last integral(rc) dropped: 0 if it was exact. */
export let dropped: u64 = 0;

/**
 * |a| rounded to an integer, for finite a with aE < 64 (a zero may be there too). The sign matters for directed
 * rounding. 0 with `dropped` = 1 and `up` = 1 stands for 2^64.
 */
export function integral(rc: u32): u64 {
  dropped = 0;
  up = 0;
  if (aC & C_ZERO) return 0;
  const sh = 63 - aE;
  let k: u64 = 0;
  if (sh == 0) return aM;
  if (sh < 64) {
    k = aM >> sh;
    dropped = aM << (64 - sh);
  } else dropped = sh == 64 ? aM : 1;
  if (dropped) {
    if (rc == RC_NEAREST) up = u32(dropped > MSB || (dropped == MSB && (k & 1) != 0));
    else up = rc == RC_ZERO ? 0 : u32((rc == RC_DOWN) == (aS != 0));
    k += <u64>up;
  }
  return k;
}

/** a to a signed integer of `bits` (16, 32, 64); IE and the indefinite (only the top bit set) where it doesn't fit. */
export function toInteger(rc: u32, bits: i32): i64 {
  const indefinite = <i64>(<u64>i64.MIN_VALUE >> (64 - bits));
  if (!(aC & (C_NAN | C_INF | C_UNSUPPORTED)) && (aC & C_ZERO || aE < 64)) {
    const k = integral(rc);
    const limit = (<u64>1) << (bits - 1);
    if (k < limit || (k == limit && aS)) {
      if (dropped) raise(PE);
      return aS ? 0 - <i64>k : <i64>k;
    }
  }
  up = 0;
  raise(IE);
  return 0 - indefinite;
}

/** a rounded to an integral number, as a result code. `quiet`: raises no PE. */
export function roundToIntegral(rc: u32, quiet: bool): i32 {
  zS = aS;
  up = 0;
  if (aC & C_ZERO) return R_ZERO;
  if (aC & C_INF) return R_INF;
  if (aE >= 63) {
    setZ(aS, aE, aM, 0);
    return R_FINITE;
  }
  const k = integral(rc);
  if (dropped && !quiet) raise(PE);
  if (k == 0) return R_ZERO;
  const n = clz<u64>(k);
  setZ(aS, 63 - <i32>n, k << n, 0);
  return R_FINITE;
}

export function raiseDenormal(c: u32): void {
  if (c & C_DENORMAL) raise(DE);
}
