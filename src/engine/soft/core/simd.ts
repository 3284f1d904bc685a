// Vector instructions that are too intricate to be said in lanes. Operands lie at VECTOR_A (the destination's old value)
// and VECTOR_B, results at VECTOR_OUT. Intel SDM volume 2, the instructions' pages.

import {
  ADDR_MASK,
  DS,
  FAULT,
  FPR,
  FS,
  MODE,
  MODE_64,
  MXCSR,
  NEXT,
  REC_A,
  REC_B,
  REC_BASE,
  REC_SCALE,
  SEG_BASE,
  SEG_SIZE,
  SEGS,
  TLB_CUR,
  VECTOR_A,
  VECTOR_B,
  VECTOR_OUT,
  XMM,
} from '../layout';
import { setFlags } from './flags';
import { sse_round_f32, sse_round_f64 } from './float/sse';
import { commit, writePointer } from './mmu';
import { eaSeg } from './segments';
import { F_ARITH, F_CF, F_OF, F_SF, F_ZF, faulted, reg } from './state';

// ---- rounding of scalars -----------------------------------------------------------------------------------------------

/** MXCSR as the native operators need it: to nearest, all masked, no DAZ or FTZ, PE already set. */
function plain(): bool {
  return (load<u32>(MXCSR) & 0xffffffe0) == 0x1fa0;
}

/** ROUNDSS: native where only PE could come of it, and PE is set or not asked for. Ends with sse_commit. */
export function round32(a: u32, imm: u32): u32 {
  const exponent = (a >> 23) & 0xff;
  if (exponent == 0 || exponent == 0xff || !(plain() || (imm & 12) == 8)) return sse_round_f32(a, imm);
  const x = reinterpret<f32>(a);
  const mode = imm & 4 ? 0 : imm & 3;
  if (mode == 0) return reinterpret<u32>(nearest<f32>(x));
  if (mode == 1) return reinterpret<u32>(floor<f32>(x));
  if (mode == 2) return reinterpret<u32>(ceil<f32>(x));
  return reinterpret<u32>(trunc<f32>(x));
}

export function round64(a: u64, imm: u32): u64 {
  const exponent = (a >> 52) & 0x7ff;
  if (exponent == 0 || exponent == 0x7ff || !(plain() || (imm & 12) == 8)) return sse_round_f64(a, imm);
  const x = reinterpret<f64>(a);
  const mode = imm & 4 ? 0 : imm & 3;
  if (mode == 0) return reinterpret<u64>(nearest<f64>(x));
  if (mode == 1) return reinterpret<u64>(floor<f64>(x));
  if (mode == 2) return reinterpret<u64>(ceil<f64>(x));
  return reinterpret<u64>(trunc<f64>(x));
}

// ---- integers ----------------------------------------------------------------------------------------------------------

/** PHMINPOSUW: the least word and the index of the first of its kind. */
export function phminposuw(): void {
  let least: u32 = 0xffff,
    index: u32 = 0;
  for (let i: u32 = 0; i < 8; i++) {
    const v = <u32>load<u16>(VECTOR_A + (i << 1));
    if (v < least) {
      least = v;
      index = i;
    }
  }
  store<u64>(VECTOR_OUT, <u64>(least | (index << 16)));
  store<u64>(VECTOR_OUT, 0, 8);
}

/** MPSADBW: eight sums of four absolute differences, of a sliding window in A against one place in B. */
export function mpsadbw(imm: i32): void {
  const a: usize = VECTOR_A + (imm & 4);
  const b: usize = VECTOR_B + ((imm & 3) << 2);
  for (let i = 0; i < 8; i++) {
    let sum = 0;
    for (let j = 0; j < 4; j++) {
      const d = <i32>load<u8>(a + i + j) - <i32>load<u8>(b + j);
      sum += d < 0 ? -d : d;
    }
    store<u16>(VECTOR_OUT + (i << 1), <u16>sum);
  }
}

/** MASKMOVDQU (size 16), MASKMOVQ (8): bytes of A whose byte of B has bit 7 set go to DS:rDI. A handler. */
export function op_maskmov(rec: u32, size: i32): i32 {
  const file: usize = size == 16 ? XMM : FPR;
  const a = file + <usize>load<u8>(rec, REC_A);
  const b = file + <usize>load<u8>(rec, REC_B);
  // Without a memory operand the decoder leaves the address size in bytes as the base, a segment override as the scale.
  const bits = (<i64>load<u8>(rec, REC_BASE)) << 3;
  const forced = <i32>load<u8>(rec, REC_SCALE) - 1;
  let lin = bits == 64 ? reg(7) : reg(7) & (((<i64>1) << bits) - 1);
  if (!(load<i32>(MODE) & MODE_64)) {
    lin = eaSeg(forced < 0 ? DS : forced, lin, size, 1);
    if (faulted()) return FAULT;
  } else if (forced >= FS) lin += load<i64>(SEGS + forced * SEG_SIZE, SEG_BASE);
  const set = load<u32>(TLB_CUR);
  // All bytes are tried first: a fault must leave everything as it was.
  for (let pass = 0; pass < 2; pass++) {
    for (let i = 0; i < size; i++) {
      if (!(load<u8>(b + i) & 0x80)) continue;
      const p = writePointer(set, (lin + i) & load<i64>(ADDR_MASK), 1);
      if (p == 0) return FAULT;
      if (pass == 0) continue;
      store<u8>(p, load<u8>(a + i));
      commit(p);
    }
  }
  return NEXT;
}

// ---- string comparisons ------------------------------------------------------------------------------------------------

/** Element i as imm 1:0 says: bytes or words, unsigned or signed. */
function element(from: usize, i: i32, imm: i32): i32 {
  switch (imm & 3) {
    case 0:
      return <i32>load<u8>(from + i);
    case 1:
      return <i32>load<u16>(from + (i << 1));
    case 2:
      return <i32>load<i8>(from + i);
    default:
      return <i32>load<i16>(from + (i << 1));
  }
}

/** Elements before the first zero. */
function implicitLength(from: usize, imm: i32): i32 {
  const n = imm & 1 ? 8 : 16;
  for (let i = 0; i < n; i++) if (element(from, i, imm) == 0) return i;
  return n;
}

function explicitLength(length: i64, imm: i32): i32 {
  const n: i64 = imm & 1 ? 8 : 16;
  const size = length < 0 ? 0 - length : length;
  return <i32>(size < 0 || size > n ? n : size);
}

/** IntRes1 of the four aggregations (imm 3:2; SDM vol. 2, 4.1). */
function aggregate(imm: i32, la: i32, lb: i32): u32 {
  const n = imm & 1 ? 8 : 16;
  let result: u32 = 0;
  for (let j = 0; j < n; j++) {
    let hit = false;
    switch ((imm >> 2) & 3) {
      case 0: {
        if (j < lb) for (let i = 0; i < la && !hit; i++) hit = element(VECTOR_A, i, imm) == element(VECTOR_B, j, imm);
        break;
      }
      case 1: {
        if (j >= lb) break;
        const v = element(VECTOR_B, j, imm);
        for (let i = 0; i + 1 < la && !hit; i += 2)
          hit = element(VECTOR_A, i, imm) <= v && v <= element(VECTOR_A, i + 1, imm);
        break;
      }
      case 2: {
        hit = j < la && j < lb ? element(VECTOR_A, j, imm) == element(VECTOR_B, j, imm) : j >= la && j >= lb;
        break;
      }
      default: {
        hit = true;
        for (let i = 0; i < la && i + j < n && hit; i++)
          hit = i + j < lb && element(VECTOR_A, i, imm) == element(VECTOR_B, i + j, imm);
      }
    }
    if (hit) result |= 1 << j;
  }
  return result;
}

/** Leaves the mask (imm 6: one bit or one whole element for each) at VECTOR_OUT for ...M, the index for ...I; sets flags. */
function compareStrings(imm: i32, la: i32, lb: i32, mask: bool): void {
  const n = imm & 1 ? 8 : 16;
  let r = aggregate(imm, la, lb);
  if (imm & 16) r ^= (imm & 32 ? 1 << lb : 1 << n) - 1;
  let flags = 0;
  if (r) flags |= F_CF;
  if (lb < n) flags |= F_ZF;
  if (la < n) flags |= F_SF;
  if (r & 1) flags |= F_OF;
  setFlags(flags, F_ARITH);
  if (!mask) {
    store<i32>(VECTOR_OUT, r == 0 ? n : imm & 64 ? 31 - <i32>clz<u32>(r) : <i32>ctz<u32>(r));
    return;
  }
  store<u64>(VECTOR_OUT, <u64>r);
  store<u64>(VECTOR_OUT, 0, 8);
  if (!(imm & 64)) return;
  for (let i = 0; i < n; i++) {
    const ones = (r >> i) & 1 ? -1 : 0;
    if (imm & 1) store<u16>(VECTOR_OUT + (i << 1), <u16>ones);
    else store<u8>(VECTOR_OUT + i, <u8>ones);
  }
}

/** PCMPISTRI (mask 0), PCMPISTRM (1). */
export function pcmpistr(imm: i32, mask: i32): void {
  compareStrings(imm, implicitLength(VECTOR_A, imm), implicitLength(VECTOR_B, imm), mask != 0);
}

/** PCMPESTRI (mask 0), PCMPESTRM (1): lengths are taken without their sign. */
export function pcmpestr(imm: i32, mask: i32, lengthA: i64, lengthB: i64): void {
  compareStrings(imm, explicitLength(lengthA, imm), explicitLength(lengthB, imm), mask != 0);
}
