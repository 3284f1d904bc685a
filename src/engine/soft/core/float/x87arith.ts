// AssemblyScript. x87 arithmetic and comparisons. `op` is the field of the opcode's ModRM byte as in D8: 0 FADD, 1 FMUL,
// 4 FSUB, 5 FSUBR, 6 FDIV, 7 FDIVR.

import { FPU_SW } from '../../layout';
import {
  add,
  compare,
  div,
  finish80,
  invalid,
  mul,
  pack80,
  R_FINITE,
  roundToIntegral,
  rSe,
  rSig,
  setR,
  setUp,
  setZ,
  sqrt,
  up,
} from './core';
import { DE, FLOAT_FLAGS, FLOAT_OUT, IE, MSB, raise, SW_C0, SW_C1, SW_C2, SW_C3, SW_CC, ZE } from './env';
import { divRest, divWide } from './multiword';
import { relationFlags } from './sse';
import {
  aC,
  aE,
  aM,
  aS,
  bC,
  bE,
  bM,
  bS,
  C_DENORMAL,
  C_INF,
  C_NAN,
  C_SNAN,
  C_UNSUPPORTED,
  C_ZERO,
  env,
  negateB,
  setB,
  swapAB,
  unpackA80,
  unpackAInt,
  unpackB32,
  unpackB64,
  unpackB80,
} from './unpack';
import { fastArith } from './x87fast';
import {
  beginX87,
  endTo,
  endX87,
  pop,
  pops,
  precision,
  push,
  put,
  ready,
  readyA,
  st,
  stackFault,
  underflowTo,
  valid,
} from './x87stack';

function unpackSt(i: i32): void {
  const r = st(i);
  unpackA80(load<u32>(r + 8), load<u64>(r));
}

function compute(op: i32): void {
  const c = aC | bC;
  // x / 0 raises ZE alone, also for a denormal x.
  if (op >= 6 && !(c & (C_NAN | C_UNSUPPORTED)) && (op == 6 ? bC : aC) & C_ZERO) {
    if (op == 7) swapAB();
    finish80(div(), precision());
    return;
  }
  if (!ready()) return;
  switch (op) {
    case 0: {
      finish80(add(), precision());
      break;
    }
    case 1: {
      finish80(mul(), precision());
      break;
    }
    case 4: {
      negateB();
      finish80(add(), precision());
      break;
    }
    case 5: {
      swapAB();
      negateB();
      finish80(add(), precision());
      break;
    }
    case 6: {
      finish80(div(), precision());
      break;
    }
    default: {
      swapAB();
      finish80(div(), precision());
    }
  }
}

/** ST(dst) = ST(dst) op ST(src); pops `popped` registers (0 or 1). */
export function x87_arith(op: i32, dst: i32, src: i32, popped: i32): void {
  if (!(valid(dst) & valid(src))) {
    underflowTo(dst, popped);
    return;
  }
  const r = st(src);
  if (fastArith(op, st(dst), load<u32>(r + 8), load<u64>(r))) {
    if (popped) pop();
    return;
  }
  beginX87();
  unpackSt(dst);
  unpackB80(load<u32>(r + 8), load<u64>(r));
  compute(op);
  endTo(dst, popped);
}

/** ST(0) = ST(0) op float32. */
export function x87_arith_m32(op: i32, bits: u32): void {
  if (!valid(0)) {
    underflowTo(0, 0);
    return;
  }
  const e = (bits >> 23) & 0xff;
  if (e - 1 < 0xfe) {
    const se = ((bits >> 16) & 0x8000) | (e + 16383 - 127);
    if (fastArith(op, st(0), se, ((<u64>bits) << 40) | MSB)) return;
  }
  beginX87();
  unpackSt(0);
  unpackB32(bits);
  compute(op);
  endTo(0, 0);
}

/** ST(0) = ST(0) op float64. */
export function x87_arith_m64(op: i32, bits: u64): void {
  if (!valid(0)) {
    underflowTo(0, 0);
    return;
  }
  const e = <u32>(bits >> 52) & 0x7ff;
  if (e - 1 < 0x7fe) {
    const se = (<u32>(bits >> 48) & 0x8000) | (e + 16383 - 1023);
    if (fastArith(op, st(0), se, (bits << 11) | MSB)) return;
  }
  beginX87();
  unpackSt(0);
  unpackB64(bits);
  compute(op);
  endTo(0, 0);
}

function unpackIntB(v: i32): void {
  unpackAInt(<i64>v);
  setB(aS, aE, aM, aC);
}

/** ST(0) = ST(0) op integer (FIADD ...); an m16 is passed sign-extended. */
export function x87_arith_int(op: i32, v: i32): void {
  if (!valid(0)) {
    underflowTo(0, 0);
    return;
  }
  beginX87();
  unpackIntB(v);
  unpackSt(0);
  compute(op);
  endTo(0, 0);
}

// ---- comparisons ---------------------------------------------------------------------------------------------------

/** Relation of unpacked a and b: 0 less, 1 equal, 2 greater, 3 unordered; raises IE and DE. */
function relation(quiet: bool): i32 {
  const c = aC | bC;
  if (c & (C_NAN | C_UNSUPPORTED)) {
    if (!quiet || c & (C_SNAN | C_UNSUPPORTED)) raise(IE);
    return 3;
  }
  if (c & C_DENORMAL) raise(DE);
  return compare() + 1;
}

/** C3 C2 C0 of a relation. */
function conditionCodes(r: i32): u32 {
  return r == 3 ? SW_C3 | SW_C2 | SW_C0 : r == 2 ? 0 : r == 1 ? SW_C3 : SW_C0;
}

function setCodes(cc: u32): void {
  store<u32>(FPU_SW, (load<u32>(FPU_SW) & ~(SW_C0 | SW_C2 | SW_C3)) | cc);
}

function endCompare(quiet: bool, popped: i32): void {
  const r = relation(quiet);
  setUp(0);
  const done = endX87();
  setCodes(conditionCodes(r)); // also if the exception is unmasked
  if (done) pops(popped);
}

function compareUnderflow(popped: i32): void {
  const masked = stackFault(0);
  setCodes(SW_C3 | SW_C2 | SW_C0);
  if (masked) pops(popped);
}

/** FCOM/FUCOM(P)(P): compares ST(0) with ST(src), sets C3 C2 C0. quiet: FUCOM; popped: 0 to 2. */
export function x87_com(src: i32, quiet: i32, popped: i32): void {
  if (!(valid(0) & valid(src))) {
    compareUnderflow(popped);
    return;
  }
  beginX87();
  unpackSt(0);
  const r = st(src);
  unpackB80(load<u32>(r + 8), load<u64>(r));
  endCompare(quiet != 0, popped);
}

export function x87_com_m32(bits: u32, popped: i32): void {
  if (!valid(0)) {
    compareUnderflow(popped);
    return;
  }
  beginX87();
  unpackSt(0);
  unpackB32(bits);
  endCompare(false, popped);
}

export function x87_com_m64(bits: u64, popped: i32): void {
  if (!valid(0)) {
    compareUnderflow(popped);
    return;
  }
  beginX87();
  unpackSt(0);
  unpackB64(bits);
  endCompare(false, popped);
}

/** FICOM(P); an m16 is passed sign-extended. */
export function x87_com_int(v: i32, popped: i32): void {
  if (!valid(0)) {
    compareUnderflow(popped);
    return;
  }
  beginX87();
  unpackIntB(v);
  unpackSt(0);
  endCompare(false, popped);
}

/** FTST: ST(0) against +0. */
export function x87_tst(): void {
  x87_com_int(0, 0);
}

/**
 * FCOMI/FUCOMI(P): returns EFLAGS bits ZF (40h) PF (4) CF (1), for the caller to write (OF SF AF become 0); also if an
 * exception is unmasked, as AMD's processors do.
 */
export function x87_comi(src: i32, quiet: i32, popped: i32): i32 {
  if (!(valid(0) & valid(src))) {
    if (stackFault(0)) pops(popped);
    return 0x45;
  }
  beginX87();
  unpackSt(0);
  const p = st(src);
  unpackB80(load<u32>(p + 8), load<u64>(p));
  const r = relation(quiet != 0);
  if (endX87()) pops(popped);
  return relationFlags(r);
}

/** FXAM: class of ST(0) in C3 C2 C0, its sign in C1, also if it is empty. */
export function x87_xam(): void {
  unpackSt(0);
  let cc: u32 = SW_C2;
  if (!valid(0)) cc = SW_C3 | SW_C0;
  else if (aC & C_UNSUPPORTED) cc = 0;
  else if (aC & C_NAN) cc = SW_C0;
  else if (aC & C_INF) cc = SW_C2 | SW_C0;
  else if (aC & C_ZERO) cc = SW_C3;
  else if (aC & C_DENORMAL) cc = SW_C3 | SW_C2;
  if (aS) cc |= SW_C1;
  store<u32>(FPU_SW, (load<u32>(FPU_SW) & ~SW_CC) | cc);
}

// ---- one operand ---------------------------------------------------------------------------------------------------

function setSign(clear: u32, flip: u32): void {
  if (!valid(0)) {
    underflowTo(0, 0);
    return;
  }
  const r = st(0);
  store<u32>(r + 8, (load<u32>(r + 8) & ~clear) ^ flip);
  store<u32>(FPU_SW, load<u32>(FPU_SW) & ~SW_C1);
}

/**
 * a / b of normal registers for a compiled region: the significand; sign and exponent at FLOAT_OUT + 8, C1 and PE in
 * FPU_SW, whose truth the region has. 0: not the common case.
 */
export function x87_region_div(aSe: u32, aM: u64, bSe: u32, bM: u64): u64 {
  store<u64>(FLOAT_OUT, aM);
  store<u32>(FLOAT_OUT + 8, aSe);
  store<u32>(FPU_SW, 0);
  return fastArith(6, FLOAT_OUT, bSe, bM) ? load<u64>(FLOAT_OUT) : 0;
}

/** The same for the root of a positive normal register. */
export function x87_region_sqrt(se: u32, m: u64): u64 {
  beginX87();
  unpackA80(se, m);
  finish80(sqrt(), precision());
  store<u32>(FPU_SW, load<u32>(FLOAT_FLAGS) | (up ? SW_C1 : 0));
  store<u32>(FLOAT_FLAGS, 0);
  store<u32>(FLOAT_OUT + 8, rSe);
  return rSig;
}

export function x87_chs(): void {
  setSign(0, 0x8000);
}

export function x87_abs(): void {
  setSign(0x8000, 0);
}

export function x87_sqrt(): void {
  if (!valid(0)) {
    underflowTo(0, 0);
    return;
  }
  beginX87();
  unpackSt(0);
  if (aC & C_DENORMAL && aS) finish80(invalid(), 64);
  else if (readyA()) finish80(sqrt(), precision());
  endTo(0, 0);
}

/** FRNDINT */
export function x87_rndint(): void {
  if (!valid(0)) {
    underflowTo(0, 0);
    return;
  }
  beginX87();
  unpackSt(0);
  if (readyA()) {
    const code = roundToIntegral((env >> 13) & 3, false);
    const u = up; // of this rounding; packing is exact
    finish80(code, 64);
    setUp(u);
  }
  endTo(0, 0);
}

/** FXTRACT: ST(0) becomes the exponent, the significand is pushed. */
export function x87_xtract(): void {
  if (!valid(0) || valid(7)) {
    if (stackFault(valid(0) ? SW_C1 : 0)) {
      put(0);
      push();
      put(0);
    }
    return;
  }
  beginX87();
  unpackSt(0);
  if (aC & C_ZERO) {
    raise(ZE);
    if (endX87()) {
      setR(0xffff, MSB);
      put(0);
      push();
      setR(aS << 15, 0);
      put(0);
    }
    return;
  }
  if (!readyA()) {
    if (endX87()) {
      put(0);
      push();
      put(0);
    }
    return;
  }
  if (!endX87()) return;
  const s = aS,
    m = aM,
    e = aE;
  if (aC & C_INF) {
    setR(0x7fff, MSB);
    put(0);
    push();
    setR((s << 15) | 0x7fff, MSB);
    put(0);
    return;
  }
  fromInt(<i64>e);
  put(0);
  push();
  setR((s << 15) | 16383, m);
  put(0);
}

/** An integer to rSe:rSig, exactly. */
function fromInt(v: i64): void {
  unpackAInt(v);
  if (aC & C_ZERO) setR(0, 0);
  else setR((aS << 15) | <u32>(aE + 16383), aM);
}

// ---- two operands: scale, remainder -------------------------------------------------------------------------------

/** FSCALE: ST(0) * 2^trunc(ST(1)), rounded to 64 bits whatever precision control says. */
export function x87_scale(): void {
  if (!(valid(0) & valid(1))) {
    underflowTo(0, 0);
    return;
  }
  beginX87();
  const r = st(1);
  unpackSt(0);
  unpackB80(load<u32>(r + 8), load<u64>(r));
  if (ready()) finish80(scale(), 64);
  endTo(0, 0);
}

function scale(): i32 {
  setZ(aS, aE, aM, 0);
  if (bC & C_INF) {
    if (bS) return aC & C_INF ? invalid() : 1;
    return aC & C_ZERO ? invalid() : 2;
  }
  if (aC & C_ZERO) return 1;
  if (aC & C_INF) return 2;
  if (bC & C_ZERO || bE < 0) return R_FINITE;
  // Beyond 2^17 every result overflows or underflows, also with unmasked scaling.
  let n = bE > 17 ? 0x20000 : <i32>(bM >> (63 - bE));
  if (bS) n = 0 - n;
  setZ(aS, aE + n, aM, 0);
  return R_FINITE;
}

/** FPREM (nearest = 0) and FPREM1 (1): partial remainder of ST(0) by ST(1); C2: not done yet; C0 C3 C1: quotient 2:0. */
export function x87_prem(nearest: i32): void {
  if (!(valid(0) & valid(1))) {
    underflowTo(0, 0);
    store<u32>(FPU_SW, load<u32>(FPU_SW) & ~SW_C2);
    return;
  }
  beginX87();
  const r = st(1);
  unpackSt(0);
  unpackB80(load<u32>(r + 8), load<u64>(r));
  // A NaN or an invalid operation clears C2 and C1 and keeps C0 and C3.
  let cc: u32 = load<u32>(FPU_SW) & (SW_C0 | SW_C3);
  const c = aC | bC;
  if (!(c & (C_NAN | C_UNSUPPORTED)) && (aC & C_INF) | (bC & C_ZERO)) finish80(invalid(), 64);
  else if (ready()) {
    if (aC & C_ZERO) {
      setR(aS << 15, 0);
      cc = 0;
    } else if (bC & C_INF) {
      setZ(aS, aE, aM, 0);
      pack80(64);
      cc = 0;
    } else cc = remainder(nearest != 0);
  }
  if (!endX87()) {
    store<u32>(FPU_SW, load<u32>(FPU_SW) & ~SW_C2);
    return;
  }
  put(0);
  store<u32>(FPU_SW, (load<u32>(FPU_SW) & ~SW_CC) | cc);
}

function remainder(nearest: bool): u32 {
  const d = aE - bE;
  let q: u64 = 0,
    m = aM,
    e = bE,
    s = aS;
  let cc: u32 = 0;
  if (d >= 64) {
    const n = 32 + (d & 31);
    divWide(aM >> (64 - n), aM << n, bM);
    m = divRest;
    e = bE + d - n;
    cc = SW_C2;
  } else if (d < 0) {
    e = aE;
    // |a| < |b|: nearest may still take one b off.
    if (nearest && d == -1 && m > bM) {
      // 2^64 b' - a' in units of a's last place: b is twice as heavy.
      m = bM + (bM - m);
      s ^= 1;
      q = 1;
    }
  } else {
    if (d == 0) {
      q = u64(aM >= bM);
      m = q ? aM - bM : aM;
    } else {
      q = divWide(aM >> (64 - d), aM << d, bM);
      m = divRest;
    }
    if (nearest) {
      const rest = bM - m;
      if (m > rest || (m == rest && (q & 1) != 0)) {
        m = rest;
        s ^= 1;
        q++;
      }
    }
  }
  if (!cc) {
    if (q & 1) cc |= SW_C1;
    if (q & 2) cc |= SW_C3;
    if (q & 4) cc |= SW_C0;
  }
  if (m == 0) {
    setR(s << 15, 0);
    return cc;
  }
  const k = clz<u64>(m);
  setZ(s, e - <i32>k, m << k, 0);
  pack80(64);
  return cc;
}
