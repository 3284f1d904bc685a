// AssemblyScript. Packed SSE operations on 16-byte vectors in linear memory (XMM registers, the access scratch, guest
// RAM). Each ends the instruction itself: it returns 0 (NEXT) with dst written, or 1 (FAULT) with dst as it was and
// FAULT_VECTOR set, as sse_commit says. dst may be a or b.

import { MXCSR } from '../../layout';
import { FLOAT_FLAGS, FLOAT_TEMP } from './env';
import {
  sse_add_f32,
  sse_add_f64,
  sse_cmp_f32,
  sse_cmp_f64,
  sse_commit,
  sse_div_f32,
  sse_div_f64,
  sse_f32_to_f64,
  sse_f32_to_i32,
  sse_f64_to_f32,
  sse_f64_to_i32,
  sse_int_to_f32,
  sse_int_to_f64,
  sse_max_f32,
  sse_max_f64,
  sse_min_f32,
  sse_min_f64,
  sse_mul_f32,
  sse_mul_f64,
  sse_rcp_f32,
  sse_round_f32,
  sse_round_f64,
  sse_rsqrt_f32,
  sse_sqrt_f32,
  sse_sqrt_f64,
  sse_sub_f32,
  sse_sub_f64,
} from './sse';

// Operations of sse_f32 ... sse_pd: the low bits of opcodes 0F 58 to 0F 5F where there are any.
export const SSE_ADD: i32 = 0;
export const SSE_MUL: i32 = 1;
export const SSE_SQRT: i32 = 2; // of the second operand
export const SSE_SUB: i32 = 4;
export const SSE_MIN: i32 = 5;
export const SSE_DIV: i32 = 6;
export const SSE_MAX: i32 = 7;

/** One lane of operation `op`; flags into FLOAT_FLAGS. */
export function sse_f32(op: i32, a: u32, b: u32): u32 {
  switch (op) {
    case SSE_ADD:
      return sse_add_f32(a, b);
    case SSE_MUL:
      return sse_mul_f32(a, b);
    case SSE_SQRT:
      return sse_sqrt_f32(b);
    case SSE_SUB:
      return sse_sub_f32(a, b);
    case SSE_MIN:
      return sse_min_f32(a, b);
    case SSE_DIV:
      return sse_div_f32(a, b);
    default:
      return sse_max_f32(a, b);
  }
}

export function sse_f64(op: i32, a: u64, b: u64): u64 {
  switch (op) {
    case SSE_ADD:
      return sse_add_f64(a, b);
    case SSE_MUL:
      return sse_mul_f64(a, b);
    case SSE_SQRT:
      return sse_sqrt_f64(b);
    case SSE_SUB:
      return sse_sub_f64(a, b);
    case SSE_MIN:
      return sse_min_f64(a, b);
    case SSE_DIV:
      return sse_div_f64(a, b);
    default:
      return sse_max_f64(a, b);
  }
}

/** Commits; on success copies `bytes` of the collected result to dst. */
export function end(dst: usize, bytes: usize): i32 {
  const r = sse_commit();
  if (r == 0) memory.copy(dst, FLOAT_TEMP, bytes);
  return r;
}

function lane32(p: usize, i: usize): u32 {
  return load<u32>(p + (i << 2));
}
function lane64(p: usize, i: usize): u64 {
  return load<u64>(p + (i << 3));
}
function put32(i: usize, v: u32): void {
  store<u32>(FLOAT_TEMP + (i << 2), v);
}
function put64(i: usize, v: u64): void {
  store<u64>(FLOAT_TEMP + (i << 3), v);
}

/** ADDPS, MULPS, SQRTPS, SUBPS, MINPS, DIVPS, MAXPS: dst = a op b. */
export function sse_ps(op: i32, dst: usize, a: usize, b: usize): i32 {
  for (let i: usize = 0; i < 4; i++) put32(i, sse_f32(op, lane32(a, i), lane32(b, i)));
  return end(dst, 16);
}
export function sse_pd(op: i32, dst: usize, a: usize, b: usize): i32 {
  for (let i: usize = 0; i < 2; i++) put64(i, sse_f64(op, lane64(a, i), lane64(b, i)));
  return end(dst, 16);
}

/** HADDPS (op SSE_ADD), HSUBPS (SSE_SUB) */
export function sse_horizontal_ps(op: i32, dst: usize, a: usize, b: usize): i32 {
  for (let i: usize = 0; i < 2; i++) {
    put32(i, sse_f32(op, lane32(a, 2 * i), lane32(a, 2 * i + 1)));
    put32(i + 2, sse_f32(op, lane32(b, 2 * i), lane32(b, 2 * i + 1)));
  }
  return end(dst, 16);
}
export function sse_horizontal_pd(op: i32, dst: usize, a: usize, b: usize): i32 {
  put64(0, sse_f64(op, lane64(a, 0), lane64(a, 1)));
  put64(1, sse_f64(op, lane64(b, 0), lane64(b, 1)));
  return end(dst, 16);
}

/** ADDSUBPS: even lanes subtract, odd lanes add. */
export function sse_addsub_ps(dst: usize, a: usize, b: usize): i32 {
  for (let i: usize = 0; i < 4; i++) put32(i, sse_f32(i & 1 ? SSE_ADD : SSE_SUB, lane32(a, i), lane32(b, i)));
  return end(dst, 16);
}
export function sse_addsub_pd(dst: usize, a: usize, b: usize): i32 {
  put64(0, sse_sub_f64(lane64(a, 0), lane64(b, 0)));
  put64(1, sse_add_f64(lane64(a, 1), lane64(b, 1)));
  return end(dst, 16);
}

/** CMPPS with predicate imm (mask it with 7 for the SSE form). */
export function sse_cmp_ps(dst: usize, a: usize, b: usize, imm: u32): i32 {
  for (let i: usize = 0; i < 4; i++) put32(i, sse_cmp_f32(lane32(a, i), lane32(b, i), imm));
  return end(dst, 16);
}
export function sse_cmp_pd(dst: usize, a: usize, b: usize, imm: u32): i32 {
  for (let i: usize = 0; i < 2; i++) put64(i, sse_cmp_f64(lane64(a, i), lane64(b, i), imm));
  return end(dst, 16);
}

/** ROUNDPS, ROUNDPD */
export function sse_round_ps(dst: usize, b: usize, imm: u32): i32 {
  for (let i: usize = 0; i < 4; i++) put32(i, sse_round_f32(lane32(b, i), imm));
  return end(dst, 16);
}
export function sse_round_pd(dst: usize, b: usize, imm: u32): i32 {
  for (let i: usize = 0; i < 2; i++) put64(i, sse_round_f64(lane64(b, i), imm));
  return end(dst, 16);
}

/** RCPPS, RSQRTPS: raise nothing. */
export function sse_rcp_ps(dst: usize, b: usize): void {
  for (let i: usize = 0; i < 4; i++) store<u32>(dst + (i << 2), sse_rcp_f32(lane32(b, i)));
}
export function sse_rsqrt_ps(dst: usize, b: usize): void {
  for (let i: usize = 0; i < 4; i++) store<u32>(dst + (i << 2), sse_rsqrt_f32(lane32(b, i)));
}

/** An exception that has been raised so far is unmasked: the next step isn't computed. */
function faulting(): bool {
  return (load<u32>(FLOAT_FLAGS) & ~(load<u32>(MXCSR) >> 7)) != 0;
}

/** DPPS: imm 7:4 selects products, 3:0 the lanes that get the sum. */
export function sse_dpps(dst: usize, a: usize, b: usize, imm: u32): i32 {
  for (let i: usize = 0; i < 4; i++) put32(i, (imm >> (4 + <u32>i)) & 1 ? sse_mul_f32(lane32(a, i), lane32(b, i)) : 0);
  if (faulting()) return sse_commit();
  const low = sse_add_f32(lane32(FLOAT_TEMP, 0), lane32(FLOAT_TEMP, 1));
  const high = sse_add_f32(lane32(FLOAT_TEMP, 2), lane32(FLOAT_TEMP, 3));
  if (faulting()) return sse_commit();
  const sum = sse_add_f32(low, high);
  for (let i: usize = 0; i < 4; i++) put32(i, (imm >> <u32>i) & 1 ? sum : 0);
  return end(dst, 16);
}

/** DPPD: imm 5:4 and 1:0 */
export function sse_dppd(dst: usize, a: usize, b: usize, imm: u32): i32 {
  for (let i: usize = 0; i < 2; i++) put64(i, (imm >> (4 + <u32>i)) & 1 ? sse_mul_f64(lane64(a, i), lane64(b, i)) : 0);
  if (faulting()) return sse_commit();
  const sum = sse_add_f64(lane64(FLOAT_TEMP, 0), lane64(FLOAT_TEMP, 1));
  for (let i: usize = 0; i < 2; i++) put64(i, (imm >> <u32>i) & 1 ? sum : 0);
  return end(dst, 16);
}

// ---- conversions: `lanes` lanes are read and lanes * (size of a result) bytes written, unless said otherwise ------

/** CVTPS2DQ, CVTTPS2DQ (4 lanes); CVTPS2PI, CVTTPS2PI (2). */
export function sse_cvt_ps2dq(dst: usize, b: usize, truncate: bool, lanes: i32): i32 {
  for (let i: usize = 0; i < <usize>lanes; i++) put32(i, sse_f32_to_i32(lane32(b, i), truncate));
  return end(dst, (<usize>lanes) << 2);
}

/** CVTDQ2PS (4); CVTPI2PS (2) */
export function sse_cvt_dq2ps(dst: usize, b: usize, lanes: i32): i32 {
  for (let i: usize = 0; i < <usize>lanes; i++) put32(i, sse_int_to_f32(<i64>load<i32>(b + (i << 2))));
  return end(dst, (<usize>lanes) << 2);
}

/** CVTPS2PD: reads 8 bytes. */
export function sse_cvt_ps2pd(dst: usize, b: usize): i32 {
  for (let i: usize = 0; i < 2; i++) put64(i, sse_f32_to_f64(lane32(b, i)));
  return end(dst, 16);
}

/** CVTPD2PS: the upper half of dst becomes 0. */
export function sse_cvt_pd2ps(dst: usize, b: usize): i32 {
  for (let i: usize = 0; i < 2; i++) put32(i, sse_f64_to_f32(lane64(b, i)));
  put64(1, 0);
  return end(dst, 16);
}

/** CVTPD2DQ, CVTTPD2DQ: the upper half of dst becomes 0. CVTPD2PI, CVTTPD2PI (bytes = 8): writes 8 bytes. */
export function sse_cvt_pd2dq(dst: usize, b: usize, truncate: bool, bytes: i32): i32 {
  for (let i: usize = 0; i < 2; i++) put32(i, sse_f64_to_i32(lane64(b, i), truncate));
  put64(1, 0);
  return end(dst, <usize>bytes);
}

/** CVTDQ2PD, CVTPI2PD: reads 8 bytes; raises nothing. */
export function sse_cvt_dq2pd(dst: usize, b: usize): i32 {
  for (let i: usize = 0; i < 2; i++) put64(i, sse_int_to_f64(<i64>load<i32>(b + (i << 2))));
  return end(dst, 16);
}
