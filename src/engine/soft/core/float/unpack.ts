// AssemblyScript. Operands of any format, unpacked to sign, unbiased exponent and a 64-bit significand with its top bit
// set, in the globals a and b; and the environment that arithmetic works in.

import { MSB, MX_DAZ, QUIET80 } from './env';

/** MXCSR, or the x87 control word in MXCSR's shape (DAZ and FTZ clear): rounding, masks, DAZ, FTZ. */
export let env: u32 = 0x1f80;

export function setEnv(e: u32): void {
  env = e;
}

// ---- operands --------------------------------------------------------------------------------------------------------

export const C_ZERO: u32 = 1;
export const C_INF: u32 = 2;
export const C_QNAN: u32 = 4;
export const C_SNAN: u32 = 8;
export const C_DENORMAL: u32 = 16; // finite and not zero; already normalized
export const C_UNSUPPORTED: u32 = 32; // unnormal, pseudo-infinity, pseudo-NaN of floatx80
export const C_NAN: u32 = 12;

export let aS: u32 = 0;
export let aE: i32 = 0;
export let aM: u64 = 0;
export let aC: u32 = 0;
export let bS: u32 = 0;
export let bE: i32 = 0;
export let bM: u64 = 0;
export let bC: u32 = 0;

export function setA(s: u32, e: i32, m: u64, c: u32): void {
  aS = s;
  aE = e;
  aM = m;
  aC = c;
}
export function setB(s: u32, e: i32, m: u64, c: u32): void {
  bS = s;
  bE = e;
  bM = m;
  bC = c;
}
export function negateB(): void {
  bS ^= 1;
}
export function swapAB(): void {
  const s = aS,
    e = aE,
    m = aM,
    c = aC;
  setA(bS, bE, bM, bC);
  setB(s, e, m, c);
}

export function unpackA64(v: u64): void {
  aS = <u32>(v >> 63);
  const e = <u32>(v >> 52) & 0x7ff;
  aE = <i32>e - 1023;
  aM = (v << 11) | MSB;
  aC = 0;
  if (e - 1 >= 0x7fe) {
    const f = v << 12;
    if (e == 0) {
      if (f == 0) aC = C_ZERO;
      else if (env & MX_DAZ) aC = C_ZERO;
      else {
        const n = clz<u64>(f);
        aM = f << n;
        aE = -1023 - <i32>n;
        aC = C_DENORMAL;
      }
    } else aC = f == 0 ? C_INF : <i64>f < 0 ? C_QNAN : C_SNAN;
  }
}

export function unpackB64(v: u64): void {
  bS = <u32>(v >> 63);
  const e = <u32>(v >> 52) & 0x7ff;
  bE = <i32>e - 1023;
  bM = (v << 11) | MSB;
  bC = 0;
  if (e - 1 >= 0x7fe) {
    const s = aS,
      ae = aE,
      am = aM,
      ac = aC;
    unpackA64(v);
    setB(aS, aE, aM, aC);
    setA(s, ae, am, ac);
  }
}

export function unpackA32(v: u32): void {
  aS = v >> 31;
  const e = (v >> 23) & 0xff;
  aE = <i32>e - 127;
  aM = ((<u64>v) << 40) | MSB;
  aC = 0;
  if (e - 1 >= 0xfe) {
    const f = (<u64>v) << 41;
    if (e == 0) {
      if (f == 0) aC = C_ZERO;
      else if (env & MX_DAZ) aC = C_ZERO;
      else {
        const n = clz<u64>(f);
        aM = f << n;
        aE = -127 - <i32>n;
        aC = C_DENORMAL;
      }
    } else aC = f == 0 ? C_INF : <i64>f < 0 ? C_QNAN : C_SNAN;
  }
}

export function unpackB32(v: u32): void {
  bS = v >> 31;
  const e = (v >> 23) & 0xff;
  bE = <i32>e - 127;
  bM = ((<u64>v) << 40) | MSB;
  bC = 0;
  if (e - 1 >= 0xfe) {
    const s = aS,
      ae = aE,
      am = aM,
      ac = aC;
    unpackA32(v);
    setB(aS, aE, aM, aC);
    setA(s, ae, am, ac);
  }
}

export function unpackA80(se: u32, sig: u64): void {
  aS = (se >> 15) & 1;
  const e = se & 0x7fff;
  aE = <i32>e - 16383;
  aM = sig;
  aC = 0;
  if (e - 1 >= 0x7ffe || <i64>sig >= 0) {
    if (e == 0) {
      if (sig == 0) aC = C_ZERO;
      else {
        const n = clz<u64>(sig);
        aM = sig << n;
        aE = -16382 - <i32>n;
        aC = C_DENORMAL;
      }
    } else if (<i64>sig >= 0) aC = C_UNSUPPORTED;
    else aC = sig << 1 == 0 ? C_INF : sig & QUIET80 ? C_QNAN : C_SNAN;
  }
}

export function unpackB80(se: u32, sig: u64): void {
  bS = (se >> 15) & 1;
  const e = se & 0x7fff;
  bE = <i32>e - 16383;
  bM = sig;
  bC = 0;
  if (e - 1 >= 0x7ffe || <i64>sig >= 0) {
    const s = aS,
      ae = aE,
      am = aM,
      ac = aC;
    unpackA80(se, sig);
    setB(aS, aE, aM, aC);
    setA(s, ae, am, ac);
  }
}

/** Unpacks a signed integer as a (x87 integer operands, cvtsi2s*). */
export function unpackAInt(v: i64): void {
  aS = <u32>(v >>> 63);
  aC = 0;
  aM = v < 0 ? <u64>(0 - v) : <u64>v;
  if (v == 0) {
    aC = C_ZERO;
    return;
  }
  const n = clz<u64>(aM);
  aM <<= n;
  aE = 63 - <i32>n;
}
