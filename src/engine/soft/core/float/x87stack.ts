// AssemblyScript. The x87 register stack and how an instruction ends: exceptions into the status word, result into a
// register, pop. Intel SDM volume 1, chapter 8.

import { FPR, FPU_CW, FPU_SW, FPU_TAG, FPU_TOP } from '../../layout';
import { rSe, rSig, setR, setUp, up } from './core';
import { DE, FLOAT_FLAGS, IE, NAN80_SE, NAN80_SIG, PRE, QUIET80, raise, SW_B, SW_C1, SW_ES, SW_SF } from './env';
import { aC, aM, aS, bC, bM, bS, C_DENORMAL, C_NAN, C_QNAN, C_SNAN, C_UNSUPPORTED, setEnv } from './unpack';

/** Address of ST(i). */
export function st(i: i32): usize {
  return FPR + (((load<u32>(FPU_TOP) + i) & 7) << 4);
}

/** 1 if ST(i) isn't empty. */
export function valid(i: i32): u32 {
  return (load<u32>(FPU_TAG) >> ((load<u32>(FPU_TOP) + i) & 7)) & 1;
}

/** Writes rSe:rSig to ST(i) and marks it valid. */
export function put(i: i32): void {
  const r = (load<u32>(FPU_TOP) + i) & 7;
  store<u64>(FPR + (r << 4), rSig);
  store<u32>(FPR + (r << 4) + 8, rSe);
  store<u32>(FPU_TAG, load<u32>(FPU_TAG) | (1 << r));
}

/** Makes the register below the top the new top; its content comes by put(0). */
export function push(): void {
  store<u32>(FPU_TOP, (load<u32>(FPU_TOP) - 1) & 7);
}

/** Empties ST(0) and takes it off. */
export function pop(): void {
  const t = load<u32>(FPU_TOP);
  store<u32>(FPU_TAG, load<u32>(FPU_TAG) & ~(1 << t));
  store<u32>(FPU_TOP, (t + 1) & 7);
}

/** Takes n (0 to 2) registers off. */
export function pops(n: i32): void {
  for (; n > 0; n--) pop();
}

/** Takes rounding and masks from the control word. Every operation that computes begins with it. */
export function beginX87(): void {
  const cw = load<u32>(FPU_CW);
  setEnv(((cw & 0xc00) << 3) | ((cw & 0x3f) << 7));
  setUp(0);
}

/** Significant bits by precision control; the reserved value 1 counts as 64. */
export function precision(): i32 {
  const pc = (load<u32>(FPU_CW) >> 8) & 3;
  return pc == 0 ? 24 : pc == 2 ? 53 : 64;
}

/** The status word with C1 cleared and, if an exception in f is unmasked, ES and B set. */
export function mergeStatus(f: u32): void {
  let sw = (load<u32>(FPU_SW) & ~SW_C1) | f;
  if (f & ~load<u32>(FPU_CW) & 0x3f) sw |= SW_ES | SW_B;
  store<u32>(FPU_SW, sw);
}

/**
 * Merges FLOAT_FLAGS and C1 (by `up`) into the status word and clears FLOAT_FLAGS. false: an unmasked exception found
 * before computing; nothing is to be changed.
 */
export function endX87(): bool {
  let f = load<u32>(FLOAT_FLAGS);
  if (f) {
    store<u32>(FLOAT_FLAGS, 0);
    if (f & ~load<u32>(FPU_CW) & PRE) {
      mergeStatus(f & PRE);
      return false;
    }
    mergeStatus(up ? f | SW_C1 : f);
    return true;
  }
  store<u32>(FPU_SW, load<u32>(FPU_SW) & ~SW_C1);
  return true;
}

/** Ends an operation whose result (rSe:rSig) goes to ST(i), and takes n registers off. */
export function endTo(i: i32, n: i32): void {
  if (!endX87()) return;
  put(i);
  pops(n);
}

/** Stack overflow (c1 = SW_C1) or underflow (c1 = 0). true: masked, the indefinite (in rSe:rSig) is the result. */
export function stackFault(c1: u32): bool {
  mergeStatus(IE | SW_SF | c1);
  setR(NAN80_SE, NAN80_SIG);
  return (load<u32>(FPU_CW) & IE) != 0;
}

/** Underflow of an operation whose result would go to ST(i). */
export function underflowTo(i: i32, n: i32): void {
  if (stackFault(0)) {
    put(i);
    pops(n);
  }
}

/**
 * After unpacking a and b: false if the result is a NaN (put into rSe:rSig); otherwise raises DE where due.
 * Two NaNs: a quiet one beats a signaling one, else the larger significand, else the positive one.
 */
export function ready(): bool {
  const c = aC | bC;
  if (c & (C_NAN | C_UNSUPPORTED | C_DENORMAL)) {
    if (c & C_UNSUPPORTED) {
      raise(IE);
      setR(NAN80_SE, NAN80_SIG);
      return false;
    }
    if (c & C_NAN) {
      if (c & C_SNAN) raise(IE);
      let b = (aC & C_NAN) == 0;
      if (aC & C_NAN && bC & C_NAN) {
        if ((aC ^ bC) & C_SNAN) b = (bC & C_QNAN) != 0;
        else b = aM < bM || (aM == bM && bS < aS);
      }
      setR(((b ? bS : aS) << 15) | 0x7fff, (b ? bM : aM) | QUIET80);
      return false;
    }
    raise(DE);
  }
  return true;
}

/** As ready, for one operand. */
export function readyA(): bool {
  if (aC & (C_NAN | C_UNSUPPORTED | C_DENORMAL)) {
    if (aC & C_UNSUPPORTED) {
      raise(IE);
      setR(NAN80_SE, NAN80_SIG);
      return false;
    }
    if (aC & C_NAN) {
      if (aC & C_SNAN) raise(IE);
      setR((aS << 15) | 0x7fff, aM | QUIET80);
      return false;
    }
    raise(DE);
  }
  return true;
}
