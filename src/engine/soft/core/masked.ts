// Vector loads and stores whose elements are accesses of their own: VMASKMOV, VPMASKMOV, VPGATHER and VGATHER (SDM vol. 2).
// Records: base, index, scale and displacement as they were coded, segment in imm 7:0, address size (0 to 2) in imm 15:8.
import {
  FAULT,
  FS,
  MODE,
  MODE_64,
  NEXT,
  REC_A,
  REC_B,
  REC_BASE,
  REC_DISP,
  REC_IMM,
  REC_INDEX,
  REC_SCALE,
  REGS,
  SEG_BASE,
  SEG_SIZE,
  SEGS,
  TLB_CUR,
  XMM,
  YMMH,
} from '../layout';
import { commit, readPointer, writePointer } from './mmu';
import { eaSeg } from './segments';
import { faulted } from './state';

/** Host address of byte `at` (0 to 31) of the vector register at offset `field`. */
function place(field: u32, at: i32): usize {
  return (at < 16 ? XMM : YMMH - 16) + <i32>field + at;
}

/** Linear address of `size` bytes at an offset from the operand's base; look at `faulted()` in legacy modes. */
function linear(rec: u32, offset: i64, size: i32, write: i32): i64 {
  const imm = load<i32>(rec, REC_IMM);
  const segment = imm & 255;
  const address = imm >> 8;
  let at = load<i64>(REGS + <i32>load<u8>(rec, REC_BASE)) + offset + <i64>load<i32>(rec, REC_DISP);
  if (address < 2) at &= address ? 0xffffffff : 0xffff;
  if (!(load<i32>(MODE) & MODE_64)) return eaSeg(segment, at, size, write);
  return segment >= FS ? at + load<i64>(SEGS + segment * SEG_SIZE, SEG_BASE) : at;
}

/** What the index register adds. */
function indexed(rec: u32): i64 {
  return load<i64>(REGS + <i32>load<u8>(rec, REC_INDEX)) << (<i64>(load<u8>(rec, REC_SCALE) & 3));
}

function isSet(mask: usize, size: i32): bool {
  return (load<u8>(mask + <usize>(size - 1)) & 0x80) != 0;
}

function copy(to: usize, from: usize, size: i32): void {
  if (size == 4) store<u32>(to, load<u32>(from));
  else store<u64>(to, load<u64>(from));
}

const LOADED: usize = memory.data(32, 16);

/** Loads of the elements that the mask selects, zeros for the others. Fields: a = destination, b = mask. */
export function op_maskLoad(rec: u32, size: i32, bytes: i32): i32 {
  const set = load<u32>(TLB_CUR);
  const a = <u32>load<u8>(rec, REC_A);
  const b = <u32>load<u8>(rec, REC_B);
  const base = indexed(rec);
  memory.fill(LOADED, 0, 32);
  for (let at = 0; at < bytes; at += size) {
    if (!isSet(place(b, at), size)) continue;
    const lin = linear(rec, base + at, size, 0);
    if (faulted()) return FAULT;
    const p = readPointer(set, lin, size);
    if (p == 0) return FAULT;
    copy(LOADED + at, p, size);
  }
  memory.copy(XMM + a, LOADED, 16);
  memory.copy(YMMH + a, LOADED + 16, 16);
  return NEXT;
}

/** Stores of the elements that the mask selects: all are tried before the first is written. Fields: a = mask, b = source. */
export function op_maskStore(rec: u32, size: i32, bytes: i32): i32 {
  const set = load<u32>(TLB_CUR);
  const a = <u32>load<u8>(rec, REC_A);
  const b = <u32>load<u8>(rec, REC_B);
  const base = indexed(rec);
  for (let pass = 0; pass < 2; pass++) {
    for (let at = 0; at < bytes; at += size) {
      if (!isSet(place(a, at), size)) continue;
      const lin = linear(rec, base + at, size, 1);
      if (faulted()) return FAULT;
      const p = writePointer(set, lin, size);
      if (p == 0) return FAULT;
      if (pass == 0) continue;
      copy(p, place(b, at), size);
      commit(p);
    }
  }
  return NEXT;
}

/**
 * Gathers: `count` elements of `size` bytes from the base plus the scaled elements of the index vector. An element that is
 * done clears its part of the mask, so after a fault the instruction goes on where it stopped. Fields: a = destination,
 * b = mask.
 */
export function op_gather(rec: u32, size: i32, indexSize: i32, count: i32): i32 {
  const set = load<u32>(TLB_CUR);
  const a = <u32>load<u8>(rec, REC_A);
  const b = <u32>load<u8>(rec, REC_B);
  const index = <u32>load<u8>(rec, REC_INDEX);
  const scale = <i64>(load<u8>(rec, REC_SCALE) & 3);
  for (let i = 0; i < count; i++) {
    const mask = place(b, i * size);
    if (isSet(mask, size)) {
      const from = place(index, i * indexSize);
      const n = indexSize == 4 ? <i64>load<i32>(from) : load<i64>(from);
      const lin = linear(rec, n << scale, size, 0);
      if (faulted()) return FAULT;
      const p = readPointer(set, lin, size);
      if (p == 0) return FAULT;
      copy(place(a, i * size), p, size);
    }
    memory.fill(mask, 0, <usize>size);
  }
  for (let at = 0; at < 32; at += size) {
    memory.fill(place(b, at), 0, <usize>size);
    if (at >= count * size) memory.fill(place(a, at), 0, <usize>size);
  }
  return NEXT;
}
