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
import { sse_round_f32, sse_round_f64 } from './float/sse';
import { commit, writePointer } from './mmu';
import { eaSeg } from './segments';
import { faulted, reg } from './state';

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
