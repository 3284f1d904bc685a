// AssemblyScript. SSE arithmetic on one lane, exact in result and exceptions. Every function takes and returns the
// bits of its operands, reads rounding, masks, DAZ and FTZ from MXCSR and ORs the exceptions it finds into FLOAT_FLAGS;
// sse_commit ends the instruction. Intel SDM volume 1, chapter 11.5, and the operations' pages in volume 2.

import { CR4, FAULT, FAULT_ERROR, FAULT_VECTOR, FLOAT_HOLD, MXCSR, NEXT } from '../../layout';
import {
  add,
  compare,
  div,
  finish32,
  finish64,
  mul,
  pack32,
  pack64,
  raiseDenormal,
  roundToIntegral,
  setZ,
  sqrt,
  toInteger,
} from './core';
import { DE, FLOAT_FLAGS, IE, MX_DAZ, NAN32, PRE, RC_ZERO, raise } from './env';
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
  negateB,
  setEnv,
  unpackA32,
  unpackA64,
  unpackAInt,
  unpackB32,
  unpackB64,
} from './unpack';

const QUIET64: u64 = 0x0008000000000000;
const QUIET32: u32 = 0x00400000;

/**
 * Ends an SSE instruction: merges FLOAT_FLAGS into MXCSR and clears it. 0 (NEXT): write the destination. 1 (FAULT): an
 * exception is unmasked, FAULT_VECTOR is #XM (19), or #UD (6) with CR4.OSXMMEXCPT clear; the destination stays.
 */
export function sse_commit(): i32 {
  let f = load<u32>(FLOAT_FLAGS);
  if (f == 0 || load<u32>(FLOAT_HOLD)) return NEXT;
  store<u32>(FLOAT_FLAGS, 0);
  const mx = load<u32>(MXCSR);
  const masks = mx >> 7;
  if (f & ~masks & PRE) f &= PRE; // found before computing, so nothing was computed
  store<u32>(MXCSR, mx | f);
  if ((f & ~masks) == 0) return NEXT;
  store<i32>(FAULT_VECTOR, load<u32>(CR4) & 0x400 ? 19 : 6);
  store<i32>(FAULT_ERROR, 0);
  return FAULT;
}

function begin(): void {
  setEnv(load<u32>(MXCSR));
}

/** The NaN that an operation with a NaN gives: the first operand if it is one, else the second; quiet. */
function nan64(a: u64, b: u64): u64 {
  if ((aC | bC) & C_SNAN) raise(IE);
  return (aC & C_NAN ? a : b) | QUIET64;
}

function nan32(a: u32, b: u32): u32 {
  if ((aC | bC) & C_SNAN) raise(IE);
  return (aC & C_NAN ? a : b) | QUIET32;
}

/** Unpacks both. true: go on (DE raised where due); false: there is a NaN. */
function operands64(a: u64, b: u64): bool {
  begin();
  unpackA64(a);
  unpackB64(b);
  const c = aC | bC;
  if (c & (C_NAN | C_DENORMAL)) {
    if (c & C_NAN) return false;
    raise(DE);
  }
  return true;
}

function operands32(a: u32, b: u32): bool {
  begin();
  unpackA32(a);
  unpackB32(b);
  const c = aC | bC;
  if (c & (C_NAN | C_DENORMAL)) {
    if (c & C_NAN) return false;
    raise(DE);
  }
  return true;
}

export function sse_add_f64(a: u64, b: u64): u64 {
  return operands64(a, b) ? finish64(add()) : nan64(a, b);
}
export function sse_add_f32(a: u32, b: u32): u32 {
  return operands32(a, b) ? finish32(add()) : nan32(a, b);
}
export function sse_sub_f64(a: u64, b: u64): u64 {
  if (!operands64(a, b)) return nan64(a, b);
  negateB();
  return finish64(add());
}
export function sse_sub_f32(a: u32, b: u32): u32 {
  if (!operands32(a, b)) return nan32(a, b);
  negateB();
  return finish32(add());
}
export function sse_mul_f64(a: u64, b: u64): u64 {
  return operands64(a, b) ? finish64(mul()) : nan64(a, b);
}
export function sse_mul_f32(a: u32, b: u32): u32 {
  return operands32(a, b) ? finish32(mul()) : nan32(a, b);
}
/** DE is due for a denormal, but not if it is divided by zero. */
function divide(): i32 {
  if (!(bC & C_ZERO)) raiseDenormal(aC | bC);
  return div();
}
export function sse_div_f64(a: u64, b: u64): u64 {
  begin();
  unpackA64(a);
  unpackB64(b);
  if ((aC | bC) & C_NAN) return nan64(a, b);
  return finish64(divide());
}
export function sse_div_f32(a: u32, b: u32): u32 {
  begin();
  unpackA32(a);
  unpackB32(b);
  if ((aC | bC) & C_NAN) return nan32(a, b);
  return finish32(divide());
}

export function sse_sqrt_f64(a: u64): u64 {
  begin();
  unpackA64(a);
  if (aC & C_NAN) {
    if (aC & C_SNAN) raise(IE);
    return a | QUIET64;
  }
  if (aC & C_DENORMAL && !aS) raise(DE);
  return finish64(sqrt());
}
export function sse_sqrt_f32(a: u32): u32 {
  begin();
  unpackA32(a);
  if (aC & C_NAN) {
    if (aC & C_SNAN) raise(IE);
    return a | QUIET32;
  }
  if (aC & C_DENORMAL && !aS) raise(DE);
  return finish32(sqrt());
}

// ---- min, max, comparisons -----------------------------------------------------------------------------------------

/** MIN: the second operand if either is a NaN (IE) or both are zero. With DAZ a denormal counts and is given as 0. */
export function sse_min_f64(a: u64, b: u64): u64 {
  if (!operands64(a, b)) return raiseIE64(b);
  return compare() < 0 ? dazed64(a) : dazed64(b);
}
export function sse_max_f64(a: u64, b: u64): u64 {
  if (!operands64(a, b)) return raiseIE64(b);
  return compare() > 0 ? dazed64(a) : dazed64(b);
}
export function sse_min_f32(a: u32, b: u32): u32 {
  if (!operands32(a, b)) return raiseIE32(b);
  return compare() < 0 ? dazed32(a) : dazed32(b);
}
export function sse_max_f32(a: u32, b: u32): u32 {
  if (!operands32(a, b)) return raiseIE32(b);
  return compare() > 0 ? dazed32(a) : dazed32(b);
}

function raiseIE64(b: u64): u64 {
  raise(IE);
  return dazed64(b);
}
function raiseIE32(b: u32): u32 {
  raise(IE);
  return dazed32(b);
}

function dazed64(v: u64): u64 {
  return env & MX_DAZ && (v & 0x7ff0000000000000) == 0 ? v & 0x8000000000000000 : v;
}
function dazed32(v: u32): u32 {
  return env & MX_DAZ && (v & 0x7f800000) == 0 ? v & 0x80000000 : v;
}

// Per predicate 0 to 15: what it says of less, equal, greater, unordered (bits 0 to 3). 16 to 31 are the same with the
// other behaviour on quiet NaNs.
const PREDICATES: usize = memory.data<u8>([2, 1, 3, 8, 13, 14, 12, 7, 10, 9, 11, 0, 5, 6, 4, 15]);
/** Predicates (0 to 31) that raise IE on a quiet NaN too. */
const SIGNALING: u32 = 0x99996666;

function predicate(relation: i32, imm: u32): bool {
  return ((load<u8>(PREDICATES + (imm & 15)) >> <u8>relation) & 1) != 0;
}

/** The relation of a and b as unpacked: 0 less, 1 equal, 2 greater, 3 unordered; raises IE or DE. */
function relation(signaling: bool): i32 {
  const c = aC | bC;
  if (c & C_NAN) {
    if (signaling || c & C_SNAN) raise(IE);
    return 3;
  }
  if (c & C_DENORMAL) raise(DE);
  return compare() + 1;
}

/** CMPSS/CMPPS with predicate imm (0 to 31; SSE forms pass imm & 7): all ones or zero. */
export function sse_cmp_f32(a: u32, b: u32, imm: u32): u32 {
  begin();
  unpackA32(a);
  unpackB32(b);
  return predicate(relation(((SIGNALING >> (imm & 31)) & 1) != 0), imm) ? 0xffffffff : 0;
}
export function sse_cmp_f64(a: u64, b: u64, imm: u32): u64 {
  begin();
  unpackA64(a);
  unpackB64(b);
  return predicate(relation(((SIGNALING >> (imm & 31)) & 1) != 0), imm) ? 0xffffffffffffffff : 0;
}

/** EFLAGS bits (ZF 40h, PF 4, CF 1) of a relation. */
export function relationFlags(r: i32): u32 {
  return r == 3 ? 0x45 : r == 2 ? 0 : r == 1 ? 0x40 : 1;
}

/** COMISS: EFLAGS bits ZF (40h), PF (4), CF (1); OF SF AF are cleared by the caller. IE on any NaN. */
export function sse_comi_f32(a: u32, b: u32): u32 {
  begin();
  unpackA32(a);
  unpackB32(b);
  return relationFlags(relation(true));
}
export function sse_comi_f64(a: u64, b: u64): u32 {
  begin();
  unpackA64(a);
  unpackB64(b);
  return relationFlags(relation(true));
}
/** UCOMISS: as COMISS, but a quiet NaN raises nothing. */
export function sse_ucomi_f32(a: u32, b: u32): u32 {
  begin();
  unpackA32(a);
  unpackB32(b);
  return relationFlags(relation(false));
}
export function sse_ucomi_f64(a: u64, b: u64): u32 {
  begin();
  unpackA64(a);
  unpackB64(b);
  return relationFlags(relation(false));
}

// ---- conversions ---------------------------------------------------------------------------------------------------

/** CVTSD2SS */
export function sse_f64_to_f32(a: u64): u32 {
  begin();
  unpackA64(a);
  if (aC & C_NAN) {
    if (aC & C_SNAN) raise(IE);
    return (<u32>(a >> 32) & 0x80000000) | 0x7fc00000 | (<u32>(a >> 29) & 0x3fffff);
  }
  return finite32();
}

/** a, which isn't a NaN, to float32. */
function finite32(): u32 {
  if (aC & C_ZERO) return aS << 31;
  if (aC & C_INF) return (aS << 31) | 0x7f800000;
  if (aC & C_DENORMAL) raise(DE);
  setZ(aS, aE, aM, 0);
  return pack32();
}

function finite64(): u64 {
  const s = (<u64>aS) << 63;
  if (aC & C_ZERO) return s;
  if (aC & C_INF) return s | 0x7ff0000000000000;
  if (aC & C_DENORMAL) raise(DE);
  setZ(aS, aE, aM, 0);
  return pack64();
}

/** CVTSS2SD */
export function sse_f32_to_f64(a: u32): u64 {
  begin();
  unpackA32(a);
  if (aC & C_NAN) {
    if (aC & C_SNAN) raise(IE);
    return ((<u64>(a & 0x80000000)) << 32) | 0x7ff8000000000000 | ((<u64>(a & 0x3fffff)) << 29);
  }
  return finite64();
}

/** CVTSI2SS/SD; a 32-bit integer is passed sign-extended. CVTSI2SD of 32 bits and CVTDQ2PD never raise anything. */
export function sse_int_to_f32(v: i64): u32 {
  begin();
  unpackAInt(v);
  return finite32();
}
export function sse_int_to_f64(v: i64): u64 {
  begin();
  unpackAInt(v);
  return finite64();
}

/** CVTSD2SI and the like: `truncate` for the CVTT forms. What doesn't fit: IE and 80000000h (or 8000000000000000h). */
export function sse_f32_to_i32(a: u32, truncate: bool): i32 {
  begin();
  unpackA32(a);
  return <i32>toInteger(truncate ? RC_ZERO : (env >> 13) & 3, 32);
}
export function sse_f32_to_i64(a: u32, truncate: bool): i64 {
  begin();
  unpackA32(a);
  return toInteger(truncate ? RC_ZERO : (env >> 13) & 3, 64);
}
export function sse_f64_to_i32(a: u64, truncate: bool): i32 {
  begin();
  unpackA64(a);
  return <i32>toInteger(truncate ? RC_ZERO : (env >> 13) & 3, 32);
}
export function sse_f64_to_i64(a: u64, truncate: bool): i64 {
  begin();
  unpackA64(a);
  return toInteger(truncate ? RC_ZERO : (env >> 13) & 3, 64);
}

/** ROUNDSS/SD/PS/PD: imm 1:0 mode, bit 2: mode from MXCSR instead, bit 3: no PE. */
export function sse_round_f32(a: u32, imm: u32): u32 {
  begin();
  unpackA32(a);
  if (aC & C_NAN) {
    if (aC & C_SNAN) raise(IE);
    return a | QUIET32;
  }
  const code = roundToIntegral(imm & 4 ? (env >> 13) & 3 : imm & 3, (imm & 8) != 0);
  return finish32(code);
}
export function sse_round_f64(a: u64, imm: u32): u64 {
  begin();
  unpackA64(a);
  if (aC & C_NAN) {
    if (aC & C_SNAN) raise(IE);
    return a | QUIET64;
  }
  const code = roundToIntegral(imm & 4 ? (env >> 13) & 3 : imm & 3, (imm & 8) != 0);
  return finish64(code);
}

// ---- approximations ------------------------------------------------------------------------------------------------

/**
 * RCPSS/RCPPS: the architecture asks for a relative error of at most 1.5 * 2^-12; this one is 1/a to nearest. Raises
 * nothing, takes denormals for zeros, gives zeros for denormal results.
 */
export function sse_rcp_f32(a: u32): u32 {
  return approximate(a, false);
}
/** RSQRTSS/RSQRTPS: as above, 1/sqrt(a); the indefinite for a < 0. */
export function sse_rsqrt_f32(a: u32): u32 {
  return approximate(a, true);
}

function approximate(a: u32, root: bool): u32 {
  const sign = a & 0x80000000,
    mag = a & 0x7fffffff;
  if (mag > 0x7f800000) return a | QUIET32;
  if (mag < 0x00800000) return sign | 0x7f800000;
  if (root && sign) return NAN32;
  if (mag == 0x7f800000) return sign;
  const x = <f64>reinterpret<f32>(a);
  const r = reinterpret<u32>(<f32>(root ? 1.0 / Math.sqrt(x) : 1.0 / x));
  return (r & 0x7f800000) == 0 ? r & 0x80000000 : r;
}
