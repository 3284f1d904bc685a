// AssemblyScript. The transcendental instructions of the x87. Arguments are reduced exactly, the kernels work with 128
// bits, and the result is rounded once (to 64 bits, by rounding control), so it is the correctly rounded one but for
// cases nearer to a tie than 2^-50 of a unit in the last place. Trigonometric functions reduce by the 66-bit pi of Intel SDM volume 1, 8.3.8.

import { FPU_SW } from '../../layout';
import {
  ATANS,
  FACTORIALS,
  HALF_PI,
  LN2,
  LOGS,
  ODDS,
  PI,
  POWERS,
  QUARTER_PI,
  THREE_QUARTERS_PI,
  TWO_LOG2E,
} from './constants';
import { finish80, invalid, mul, pack80, rSe, rSig, setR, setZ } from './core';
import { MSB, raise, SW_C1, SW_C2, ZE } from './env';
import {
  aC,
  aE,
  aM,
  aS,
  bC,
  bE,
  bM,
  bS,
  C_INF,
  C_NAN,
  C_UNSUPPORTED,
  C_ZERO,
  unpackA80,
  unpackAInt,
  unpackB80,
} from './unpack';
import {
  ONE,
  WIDE,
  wideAdd,
  wideCopy,
  wideDiv,
  wideDouble,
  wideInt,
  wideMul,
  wideNegate,
  widePolynomial,
  wideScale,
  wideSet,
  wideToDouble,
  wideToZ,
} from './wide';
import { beginX87, endTo, endX87, push, put, ready, readyA, st, stackFault, underflowTo, valid } from './x87stack';

const X: usize = memory.data(24, 8);
const Y: usize = memory.data(24, 8);
const SQUARE: usize = memory.data(24, 8);
const T: usize = memory.data(24, 8);
const U: usize = memory.data(24, 8);
const SIN: usize = memory.data(24, 8);
const COS: usize = memory.data(24, 8);

// ---- sine, cosine, tangent -----------------------------------------------------------------------------------------

// pi / 2 = 3243F6A8885A308D3h / 2^65: 66 bits.
const PI_HI: u64 = 3;
const PI_LO: u64 = 0x243f6a8885a308d3;

/** a modulo pi / 2 into X (between -pi/4 and pi/4); the sign of a is left out. Returns the quotient modulo 4. */
function reduce(): u32 {
  let hi: u64 = 0,
    lo = aM;
  let q: u32 = 0;
  // |a| <= pi/4 is sure below 2^-1; and no bit of a is below 2^-65 from 2^-2 on.
  if (aE < -1) {
    wideSet(X, 0, aE, aM, 0);
    return 0;
  }
  for (let n = aE + 2; n > 0; n--) {
    hi = (hi << 1) | (lo >> 63);
    lo <<= 1;
    q <<= 1;
    if (hi > PI_HI || (hi == PI_HI && lo >= PI_LO)) {
      hi = hi - PI_HI - u64(lo < PI_LO);
      lo -= PI_LO;
      q |= 1;
    }
  }
  // Nearest: r > pi/4 becomes r - pi/2.
  let s: u32 = 0;
  const dHi = PI_HI - hi - u64(PI_LO < lo),
    dLo = PI_LO - lo;
  if (hi > dHi || (hi == dHi && lo > dLo)) {
    hi = dHi;
    lo = dLo;
    s = 1;
    q++;
  }
  let e = 62; // of hi:lo / 2^65 with the top bit of hi set
  if (hi == 0) {
    hi = lo;
    lo = 0;
    e -= 64;
  }
  const n = clz<u64>(hi);
  if (n) {
    hi = (hi << n) | (lo >> (64 - n));
    lo <<= n;
  }
  wideSet(X, s, e - <i32>n, hi, lo);
  return q & 3;
}

function sinKernel(p: usize): void {
  widePolynomial(p, SQUARE, FACTORIALS, 1, 2, 13, true);
  wideMul(p, p, X);
}

function cosKernel(p: usize): void {
  widePolynomial(p, SQUARE, FACTORIALS, 0, 2, 13, true);
}

/** sin(a) into SIN if `which` has bit 0, cos(a) into COS if it has bit 1. */
function sinCos(which: i32): void {
  const q = reduce();
  wideMul(SQUARE, X, X);
  if (which & 1) {
    if (q & 1) cosKernel(SIN);
    else sinKernel(SIN);
    if (((q >> 1) ^ aS) & 1) wideNegate(SIN);
  }
  if (which & 2) {
    if (q & 1) sinKernel(COS);
    else cosKernel(COS);
    if ((q ^ (q >> 1)) & 1) wideNegate(COS);
  }
}

/** Unpacks ST(0). 0: go on; 1: done, result in R; 2: out of range (C2 is to be set). zeroes are left to the caller. */
function trigOperand(): i32 {
  const r = st(0);
  unpackA80(load<u32>(r + 8), load<u64>(r));
  if (aC & C_INF) {
    finish80(invalid(), 64);
    return 1;
  }
  if (!(aC & (C_ZERO | C_NAN | C_UNSUPPORTED)) && aE >= 63) return 2;
  return readyA() ? 0 : 1;
}

function outOfRange(): void {
  store<u32>(FPU_SW, (load<u32>(FPU_SW) & ~SW_C1) | SW_C2);
}

/** FSIN (which = 1), FCOS (which = 2) */
function sinOrCos(which: i32): void {
  store<u32>(FPU_SW, load<u32>(FPU_SW) & ~SW_C2);
  if (!valid(0)) {
    underflowTo(0, 0);
    return;
  }
  beginX87();
  const how = trigOperand();
  if (how == 2) {
    outOfRange();
    return;
  }
  if (how == 0) trig(which);
  endTo(0, 0);
}

/** Sine (1) or cosine (2) of a to R. */
function trig(which: i32): void {
  if (aC & C_ZERO) {
    if (which == 1) setR(aS << 15, 0);
    else setR(16383, MSB);
    return;
  }
  sinCos(which);
  wideToZ(which == 1 ? SIN : COS);
  pack80(64);
}

export function x87_sin(): void {
  sinOrCos(1);
}

export function x87_cos(): void {
  sinOrCos(2);
}

/** Checks the stack of an instruction that replaces ST(0) and pushes. false: a fault, dealt with. */
function pushOperands(): bool {
  store<u32>(FPU_SW, load<u32>(FPU_SW) & ~SW_C2);
  const full = valid(7);
  if (valid(0) && !full) return true;
  if (stackFault(valid(0) ? SW_C1 : 0)) {
    put(0);
    push();
    put(0);
  }
  return false;
}

/** FSINCOS: ST(0) becomes the sine, the cosine is pushed. */
export function x87_sincos(): void {
  if (!pushOperands()) return;
  beginX87();
  const how = trigOperand();
  if (how == 2) {
    outOfRange();
    return;
  }
  if (how == 1) {
    if (endX87()) {
      put(0);
      push();
      put(0);
    }
    return;
  }
  if (aC & C_ZERO) {
    const s = aS;
    if (!endX87()) return;
    setR(s << 15, 0);
    put(0);
    push();
    setR(16383, MSB);
    put(0);
    return;
  }
  sinCos(3);
  wideToZ(COS);
  pack80(64);
  const se = rSe,
    sig = rSig;
  wideToZ(SIN);
  pack80(64);
  if (!endX87()) return;
  put(0);
  push();
  setR(se, sig);
  put(0);
}

/** FPTAN: ST(0) becomes the tangent, 1.0 is pushed. */
export function x87_ptan(): void {
  if (!pushOperands()) return;
  beginX87();
  const how = trigOperand();
  if (how == 2) {
    outOfRange();
    return;
  }
  if (how == 0) {
    if (aC & C_ZERO) setR(aS << 15, 0);
    else if (aE < -40) {
      // x + x^3 / 3: just above x.
      setZ(aS, aE, aM, 1);
      pack80(64);
    } else {
      sinCos(3);
      wideDiv(SIN, SIN, COS);
      wideToZ(SIN);
      pack80(64);
    }
  }
  if (!endX87()) return;
  put(0);
  push();
  if (how == 0) setR(16383, MSB);
  put(0);
}

// ---- arc tangent ---------------------------------------------------------------------------------------------------

function unpackTwo(): void {
  const r = st(0),
    s = st(1);
  unpackA80(load<u32>(r + 8), load<u64>(r));
  unpackB80(load<u32>(s + 8), load<u64>(s));
}

/** A constant, with the sign of b, rounded. */
function constant(p: usize): void {
  setZ(bS, load<i32>(p, 4), load<u64>(p, 8), load<u64>(p, 16));
  pack80(64);
}

/** FPATAN: ST(1) = atan(ST(1) / ST(0)) in the quadrant of (ST(0), ST(1)); pop. */
export function x87_patan(): void {
  if (!(valid(0) & valid(1))) {
    underflowTo(1, 1);
    return;
  }
  beginX87();
  unpackTwo();
  if (ready()) {
    // x = a, y = b
    if (bC & C_INF) constant(aC & C_INF ? (aS ? THREE_QUARTERS_PI : QUARTER_PI) : HALF_PI);
    else if (bC & C_ZERO || aC & C_INF) {
      if (aS) constant(PI);
      else setR(bS << 15, 0);
    } else if (aC & C_ZERO) constant(HALF_PI);
    else arcTangent();
  }
  endTo(1, 1);
}

function arcTangent(): void {
  wideSet(X, 0, aE, aM, 0);
  wideSet(Y, 0, bE, bM, 0);
  const steep = bE > aE || (bE == aE && bM > aM);
  const big = steep ? Y : X,
    small = steep ? X : Y;
  // The nearest n / 32 to small / big: atan(small / big) = atan(c) + atan((small - c big) / (big + c small)).
  const d = load<i32>(big, 4) - load<i32>(small, 4);
  let n = 0;
  if (d < 8) {
    const ratio = <f64>(load<u64>(small, 8) >> d) / <f64>load<u64>(big, 8);
    n = <i32>nearest<f64>(ratio * 32.0);
  }
  if (n) {
    wideInt(U, n);
    wideScale(U, -5);
    wideMul(T, U, big);
    wideNegate(T);
    wideAdd(T, T, small);
    wideMul(U, U, small);
    wideAdd(U, U, big);
    wideDiv(T, T, U);
  } else wideDiv(T, small, big);
  wideMul(SQUARE, T, T);
  widePolynomial(U, SQUARE, ODDS, 0, 1, 9, true);
  wideMul(T, T, U);
  if (n) wideAdd(T, T, ATANS + <usize>(n * WIDE));
  if (steep) {
    wideNegate(T);
    wideAdd(T, T, HALF_PI);
  }
  if (aS) {
    wideNegate(T);
    wideAdd(T, T, PI);
  }
  store<u32>(T, bS);
  wideToZ(T);
  pack80(64);
}

// ---- logarithms ----------------------------------------------------------------------------------------------------

/**
 * log2 of X into T. X = (1 + Y) where it is near 1, if `plus1`: then Y is exact where X can't be. Returns false if the
 * result is the integer exponent in `logExponent`, exactly.
 */
function log2Kernel(plus1: bool): bool {
  let e = load<i32>(X, 4);
  store<i32>(X, 0, 4);
  if (load<u64>(X, 8) > 0xb504f333f9de6484) {
    e++;
    store<i32>(X, -1, 4);
  }
  // c = n / 64, the nearest
  const f = load<u64>(X, 8) >> (load<i32>(X, 4) ? 1 : 0); // units of 2^-63
  const n = <i32>((f + ((<u64>1) << 56)) >> 57);
  logExponent = e;
  wideInt(U, 0 - n);
  wideScale(U, -6);
  if (plus1 && n == 64 && e == 0) wideCopy(T, Y);
  else wideAdd(T, X, U);
  if (load<u64>(T, 8) == 0) {
    if (n == 64) return false;
  } else {
    wideNegate(U);
    wideAdd(U, U, X);
    wideDiv(T, T, U); // s = (f - c) / (f + c)
    wideMul(SQUARE, T, T);
    widePolynomial(U, SQUARE, ODDS, 0, 1, 7, false);
    wideMul(T, T, U);
    wideMul(T, T, TWO_LOG2E);
  }
  wideAdd(T, T, LOGS + <usize>((n - 45) * WIDE));
  wideInt(U, e);
  wideAdd(T, T, U);
  return true;
}

let logExponent: i32 = 0;

/** T * b, rounded. */
function timesB(): void {
  wideSet(U, bS, bE, bM, 0);
  wideMul(T, T, U);
  wideToZ(T);
  pack80(64);
}

/** FYL2X: ST(1) = ST(1) * log2(ST(0)); pop. */
export function x87_yl2x(): void {
  if (!(valid(0) & valid(1))) {
    underflowTo(1, 1);
    return;
  }
  beginX87();
  unpackTwo();
  yl2x();
  endTo(1, 1);
}

/** R = b * log2(a). */
function yl2x(): void {
  const c = aC | bC;
  if (!(c & (C_NAN | C_UNSUPPORTED))) {
    if (aC & C_ZERO) {
      if (bC & C_ZERO) finish80(invalid(), 64);
      else {
        if (!(bC & C_INF)) raise(ZE);
        setR(((bS ^ 1) << 15) | 0x7fff, MSB);
      }
      return;
    }
    if (aS) {
      finish80(invalid(), 64);
      return;
    }
  }
  if (!ready()) return;
  const one = aC == 0 && aE == 0 && aM == MSB;
  const below = aC & C_INF ? 0 : u32(aE < 0);
  if (c & (C_INF | C_ZERO)) {
    // log2(a) is infinite or has a sign; b is infinite or zero.
    if (bC & C_INF ? one : bC & C_ZERO && aC & C_INF) finish80(invalid(), 64);
    else if (bC & C_ZERO) setR((bS ^ below) << 15, 0);
    else setR(((bS ^ below) << 15) | 0x7fff, MSB);
    return;
  }
  if (one) {
    setR(bS << 15, 0);
    return;
  }
  wideSet(X, 0, aE, aM, 0);
  if (log2Kernel(false)) timesB();
  else {
    unpackAInt(<i64>logExponent);
    finish80(mul(), 64);
  }
}

/** FYL2XP1: ST(1) = ST(1) * log2(ST(0) + 1); pop. Defined for |ST(0)| < 1 - sqrt(1/2); works from -1 up. */
export function x87_yl2xp1(): void {
  if (!(valid(0) & valid(1))) {
    underflowTo(1, 1);
    return;
  }
  beginX87();
  unpackTwo();
  if (ready()) yl2xp1();
  endTo(1, 1);
}

function yl2xp1(): void {
  const c = aC | bC;
  if (aS && (aC & C_INF || (!(aC & C_ZERO) && aE >= 0))) {
    // log2 of a negative number or zero
    finish80(invalid(), 64);
    return;
  }
  if (c & (C_INF | C_ZERO)) {
    if (c & C_INF && c & C_ZERO) finish80(invalid(), 64);
    else setR(((aS ^ bS) << 15) | (c & C_INF ? 0x7fff : 0), c & C_INF ? MSB : 0);
    return;
  }
  wideSet(Y, aS, aE, aM, 0);
  wideAdd(X, Y, ONE);
  if (log2Kernel(true)) timesB();
  else {
    unpackAInt(<i64>logExponent);
    finish80(mul(), 64);
  }
}

// ---- 2^x - 1 -------------------------------------------------------------------------------------------------------

/** F2XM1: defined for -1 to 1; beyond, ST(0) stays as it is, as its infinities do (-infinity gives -1). */
export function x87_f2xm1(): void {
  if (!valid(0)) {
    underflowTo(0, 0);
    return;
  }
  beginX87();
  const r = st(0);
  unpackA80(load<u32>(r + 8), load<u64>(r));
  if (readyA()) {
    if (aC & C_INF) {
      if (aS) setR(0xbfff, MSB);
      else setR(0x7fff, MSB);
    } else if (aC & C_ZERO || aE >= 0) {
      if (aE == 0 && aM == MSB && aS && !(aC & C_ZERO)) setR(0xbffe, MSB);
      else setR(load<u32>(r + 8), load<u64>(r));
    } else exponential();
  }
  endTo(0, 0);
}

/** 1 / 6! + x / 7! + x^2 / 8! ... */
function exponentialTail(x: f64): f64 {
  const last = 1.0 / 3628800.0 + x * (1.0 / 39916800.0 + x * (1.0 / 479001600.0));
  return 1.0 / 720.0 + x * (1.0 / 5040.0 + x * (1.0 / 40320.0 + x * (1.0 / 362880.0 + x * last)));
}

function exponential(): void {
  wideSet(X, aS, aE, aM, 0);
  // n / 32 is the nearest; 2^a - 1 = p + e + p e with p = 2^(n / 32) - 1, e = 2^(a - n / 32) - 1.
  let n = 0;
  if (aE >= -7) {
    n = <i32>(((aM >> (0 - aE)) + ((<u64>1) << 57)) >> 58);
    if (aS) n = 0 - n;
    wideInt(U, 0 - n);
    wideScale(U, -5);
    wideAdd(X, X, U);
  }
  wideMul(X, X, LN2);
  // (e^x - 1) / x, x below 2^-6.5: from x^5 / 6! on, which is below 2^-41, doubles are exact enough.
  wideDouble(T, exponentialTail(wideToDouble(X)));
  for (let k = 5; k > 0; k--) {
    wideMul(T, T, X);
    wideAdd(T, T, FACTORIALS + <usize>(k * WIDE));
  }
  wideMul(T, T, X);
  if (n) {
    const p = POWERS + <usize>((n + 32) * WIDE);
    wideMul(U, T, p);
    wideAdd(T, T, U);
    wideAdd(T, T, p);
  }
  wideToZ(T);
  pack80(64);
}
