// AssemblyScript. x87 loads, stores, exchanges and moves between registers.

import { FPU_CW, FPU_SW, FPU_TAG, FPU_TOP } from '../../layout';
import { dropped, integral, pack32, pack64, setR, setUp, setZ, toInteger, up } from './core';
import {
  DE,
  FLOAT_FLAGS,
  FLOAT_OUT,
  IE,
  MSB,
  NAN32,
  NAN64,
  NAN80_SE,
  NAN80_SIG,
  OE,
  PE,
  PRE,
  QUIET80,
  RC_UP,
  RC_ZERO,
  raise,
  SW_C1,
  SW_SF,
  UE,
} from './env';
import {
  aC,
  aE,
  aM,
  aS,
  C_DENORMAL,
  C_INF,
  C_NAN,
  C_SNAN,
  C_UNSUPPORTED,
  C_ZERO,
  env,
  unpackA32,
  unpackA64,
  unpackA80,
  unpackAInt,
} from './unpack';
import { beginX87, mergeStatus, pop, pops, push, put, st, stackFault, underflowTo, valid } from './x87stack';

function clearC1(): void {
  store<u32>(FPU_SW, load<u32>(FPU_SW) & ~SW_C1);
}

/** Pushes rSe:rSig, or the indefinite on stack overflow. */
function pushResult(): void {
  if (valid(7)) {
    if (!stackFault(SW_C1)) return;
  } else clearC1();
  push();
  put(0);
}

/** Pushes a (unpacked from a float32 or float64): SNaN becomes quiet with IE, a denormal raises DE. */
function pushA(): void {
  if (valid(7)) {
    if (!stackFault(SW_C1)) return;
    push();
    put(0);
    return;
  }
  setUp(0);
  if (aC & C_NAN) {
    if (aC & C_SNAN) raise(IE);
    setR((aS << 15) | 0x7fff, aM | QUIET80);
  } else if (aC & C_INF) setR((aS << 15) | 0x7fff, MSB);
  else if (aC & C_ZERO) setR(aS << 15, 0);
  else {
    if (aC & C_DENORMAL) raise(DE);
    setR((aS << 15) | <u32>(aE + 16383), aM);
  }
  // An unmasked DE doesn't stop the load.
  const f = load<u32>(FLOAT_FLAGS);
  store<u32>(FLOAT_FLAGS, 0);
  mergeStatus(f);
  if (f & ~load<u32>(FPU_CW) & IE) return;
  push();
  put(0);
}

/** FLD m32 */
export function x87_fld_m32(bits: u32): void {
  beginX87();
  unpackA32(bits);
  pushA();
}

/** FLD m64 */
export function x87_fld_m64(bits: u64): void {
  beginX87();
  unpackA64(bits);
  pushA();
}

/** FLD m80: significand, sign and exponent. Raises nothing but stack overflow. */
export function x87_fld_m80(sig: u64, se: u32): void {
  setR(se & 0xffff, sig);
  pushResult();
}

/** FLD ST(i) */
export function x87_fld(i: i32): void {
  if (!valid(i)) {
    if (stackFault(0)) {
      push();
      put(0);
    }
    return;
  }
  const r = st(i);
  setR(load<u32>(r + 8), load<u64>(r));
  pushResult();
}

/** FILD; m16 and m32 are passed sign-extended. */
export function x87_fild(v: i64): void {
  unpackAInt(v);
  if (aC & C_ZERO) setR(0, 0);
  else setR((aS << 15) | <u32>(aE + 16383), aM);
  pushResult();
}

/** FBLD: the ten bytes as a u64 and the upper u16. Digits above 9 count as they are. */
export function x87_fbld(lo: u64, hi: u32): void {
  let v: u64 = 0;
  for (let i = 1; i >= 0; i--) v = v * 10 + ((hi >> (i << 2)) & 15);
  for (let i = 15; i >= 0; i--) v = v * 10 + ((lo >> (i << 2)) & 15);
  unpackAInt(<i64>v);
  const s = (hi >> 15) & 1;
  if (aC & C_ZERO) setR(s << 15, 0);
  else setR((s << 15) | <u32>(aE + 16383), aM);
  pushResult();
}

// FLD1 FLDL2T FLDL2E FLDPI FLDLG2 FLDLN2 FLDZ (D9 E8 to EE): exponent; significand rounded down; 1 if nearest rounds up.
const CONST_SE: usize = memory.data<u16>([0x3fff, 0x4000, 0x3fff, 0x4000, 0x3ffd, 0x3ffe, 0]);
const CONST_SIG: usize = memory.data<u64>([
  0x8000000000000000, 0xd49a784bcd1b8afe, 0xb8aa3b295c17f0bb, 0xc90fdaa22168c234, 0x9a209a84fbcff798,
  0xb17217f7d1cf79ab, 0,
]);
const CONST_NEAREST: u32 = 0x3c;
const CONST_INEXACT: u32 = 0x3e;

/** FLD1 ... FLDZ: n = opcode's second byte - E8h, 0 to 6. */
export function x87_fldconst(n: i32): void {
  const rc = (load<u32>(FPU_CW) >> 10) & 3;
  let sig = load<u64>(CONST_SIG + (n << 3));
  if (rc == RC_UP) sig += (CONST_INEXACT >> n) & 1;
  else if (rc == 0) sig += (CONST_NEAREST >> n) & 1;
  setR(load<u16>(CONST_SE + (n << 1)), sig);
  pushResult();
}

// ---- stores --------------------------------------------------------------------------------------------------------

export const ST_F32: i32 = 0;
export const ST_F64: i32 = 1;
export const ST_F80: i32 = 2;
export const ST_I16: i32 = 3;
export const ST_I32: i32 = 4;
export const ST_I64: i32 = 5;
export const ST_I16T: i32 = 6; // FISTTP
export const ST_I32T: i32 = 7;
export const ST_I64T: i32 = 8;
export const ST_BCD: i32 = 9;

/** What x87_store_done adds to the status word, and whether it pops. */
let pendingFlags: u32 = 0;
let pendingStore: bool = false;

/**
 * First half of FST, FIST, FISTTP, FBSTP to memory: converts ST(0), leaves the bytes at FLOAT_OUT and changes nothing
 * else, so that the caller can take a page fault. Returns 1 if the bytes are to be written, 0 if an unmasked exception
 * forbids it. The second half, x87_store_done, must follow in both cases (unless the write faulted).
 */
export function x87_store(kind: i32): i32 {
  if (!valid(0)) {
    pendingFlags = IE | SW_SF;
    indefinite(kind);
    pendingStore = (load<u32>(FPU_CW) & IE) != 0;
    return i32(pendingStore);
  }
  beginX87();
  const r = st(0);
  const se = load<u32>(r + 8),
    sig = load<u64>(r);
  if (kind == ST_F80) {
    store<u64>(FLOAT_OUT, sig);
    store<u32>(FLOAT_OUT + 8, se);
    pendingFlags = 0;
    pendingStore = true;
    return 1;
  }
  unpackA80(se, sig);
  convert(kind);
  let f = load<u32>(FLOAT_FLAGS);
  store<u32>(FLOAT_FLAGS, 0);
  const unmasked = f & ~load<u32>(FPU_CW);
  pendingStore = (unmasked & (PRE | OE | UE)) == 0;
  // Without a result there is nothing inexact.
  if (unmasked & (OE | UE)) f &= ~PE;
  else if (up) f |= SW_C1;
  pendingFlags = f;
  return i32(pendingStore);
}

/** Second half of a store: exceptions into the status word; pops if `popped` and the store took place. */
export function x87_store_done(popped: i32): void {
  mergeStatus(pendingFlags);
  if (popped && pendingStore) pop();
}

function indefinite(kind: i32): void {
  store<u64>(FLOAT_OUT, 0);
  store<u64>(FLOAT_OUT + 8, 0);
  switch (kind) {
    case ST_F32: {
      store<u32>(FLOAT_OUT, NAN32);
      break;
    }
    case ST_F64: {
      store<u64>(FLOAT_OUT, NAN64);
      break;
    }
    case ST_F80: {
      store<u64>(FLOAT_OUT, NAN80_SIG);
      store<u32>(FLOAT_OUT + 8, NAN80_SE);
      break;
    }
    case ST_I16:
    case ST_I16T: {
      store<u32>(FLOAT_OUT, 0x8000);
      break;
    }
    case ST_I32:
    case ST_I32T: {
      store<u32>(FLOAT_OUT, 0x80000000);
      break;
    }
    case ST_BCD: {
      store<u64>(FLOAT_OUT, NAN80_SIG);
      store<u32>(FLOAT_OUT + 8, 0xffff);
      break;
    }
    default: {
      store<u64>(FLOAT_OUT, MSB);
    }
  }
}

/** a to the format of a store, at FLOAT_OUT. */
function convert(kind: i32): void {
  if (kind >= ST_I16 && kind != ST_BCD) {
    const t = kind >= ST_I16T;
    const size = t ? kind - ST_I16T : kind - ST_I16;
    store<i64>(FLOAT_OUT, toInteger(t ? RC_ZERO : (env >> 13) & 3, 16 << size));
    return;
  }
  if (aC & C_UNSUPPORTED || (kind == ST_BCD && aC & (C_NAN | C_INF))) {
    raise(IE);
    indefinite(kind);
    return;
  }
  if (kind == ST_BCD) {
    toBcd();
    return;
  }
  if (aC & C_NAN) {
    if (aC & C_SNAN) raise(IE);
    const m = aM | QUIET80;
    if (kind == ST_F32) store<u32>(FLOAT_OUT, (aS << 31) | 0x7f800000 | (<u32>(m >> 40) & 0x7fffff));
    else store<u64>(FLOAT_OUT, ((<u64>aS) << 63) | 0x7ff0000000000000 | ((m >> 11) & 0xfffffffffffff));
    return;
  }
  setZ(aS, aE, aM, 0);
  if (kind == ST_F32) {
    store<u32>(FLOAT_OUT, aC & C_ZERO ? aS << 31 : aC & C_INF ? (aS << 31) | 0x7f800000 : pack32());
  } else {
    const s = (<u64>aS) << 63;
    store<u64>(FLOAT_OUT, aC & C_ZERO ? s : aC & C_INF ? s | 0x7ff0000000000000 : pack64());
  }
}

function toBcd(): void {
  let k: u64 = u64.MAX_VALUE;
  if (aC & C_ZERO || aE < 64) k = integral((env >> 13) & 3);
  if (k > 999999999999999999) {
    setUp(0);
    raise(IE);
    indefinite(ST_BCD);
    return;
  }
  if (dropped) raise(PE);
  let lo: u64 = 0;
  for (let i = 0; i < 64; i += 4) {
    lo |= (k % 10) << i;
    k /= 10;
  }
  store<u64>(FLOAT_OUT, lo);
  store<u64>(FLOAT_OUT + 8, (k % 10) | ((k / 10) << 4) | ((<u64>aS) << 15));
}

// ---- registers -----------------------------------------------------------------------------------------------------

/** FST/FSTP ST(i) */
export function x87_fst(i: i32, popped: i32): void {
  if (!valid(0)) {
    underflowTo(i, popped);
    return;
  }
  const r = st(0);
  setR(load<u32>(r + 8), load<u64>(r));
  clearC1();
  put(i);
  pops(popped);
}

/** FSTP1, undocumented: as FSTP ST(i), but an empty ST(0) is taken off without a word. */
export function x87_fstpnop(i: i32): void {
  if (valid(0)) x87_fst(i, 1);
  else x87_fincstp();
}

/** FXCH ST(i): an empty register counts as the indefinite if IE is masked. */
export function x87_fxch(i: i32): void {
  if (valid(0) & valid(i)) clearC1();
  else {
    const v = valid(0);
    if (!stackFault(0)) return;
    if (!valid(i)) put(i);
    if (!v) put(0);
  }
  const a = st(0),
    b = st(i);
  const sig = load<u64>(a),
    se = load<u32>(a + 8);
  setR(load<u32>(b + 8), load<u64>(b));
  put(0);
  setR(se, sig);
  put(i);
}

/** FCMOVcc ST(0), ST(i), with the condition already evaluated. */
export function x87_fcmov(condition: i32, i: i32): void {
  if (!(valid(0) & valid(i))) {
    underflowTo(0, 0);
    return;
  }
  clearC1();
  if (!condition) return;
  const r = st(i);
  setR(load<u32>(r + 8), load<u64>(r));
  put(0);
}

/** FFREE (popped 0) and FFREEP (1) */
export function x87_ffree(i: i32, popped: i32): void {
  const t = load<u32>(FPU_TOP);
  store<u32>(FPU_TAG, load<u32>(FPU_TAG) & ~(1 << ((t + i) & 7)));
  clearC1();
  if (popped) pop();
}

/** FINCSTP */
export function x87_fincstp(): void {
  store<u32>(FPU_TOP, (load<u32>(FPU_TOP) + 1) & 7);
  clearC1();
}

/** FDECSTP */
export function x87_fdecstp(): void {
  store<u32>(FPU_TOP, (load<u32>(FPU_TOP) - 1) & 7);
  clearC1();
}
