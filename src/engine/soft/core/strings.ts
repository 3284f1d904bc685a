// String instructions (SDM vol. 1, 7.3.9). Fields of the record: a = segment of the source, b = repetition (0 none, 1 F3,
// 2 F2), base = address size in bytes, scale = log2 of the element size. Registers follow each step, so a fault leaves
// exact counts; stretches of one page go at once.
import {
  ADDR_MASK,
  AUX_CF,
  AUX_PO,
  COUNT,
  CS,
  EFLAGS,
  ES,
  FAULT,
  FAULT_VECTOR,
  FLAG_AUX,
  FLAG_RES,
  FS,
  JUMP,
  MODE,
  MODE_64,
  MODE_SEGMENTED,
  MODE_TF,
  NEXT,
  PENDING,
  REC_A,
  REC_B,
  REC_BASE,
  REC_SCALE,
  REGS,
} from '../layout';
import { stopBefore } from './code';
import { noteIo } from './debug';
import { portIn, portOut } from './env';
import { ld, probe, spanRead, spanWrite, st } from './mmu';
import { eaSeg } from './segments';
import { F_DF, faulted, reg, setReg } from './state';
import { fill, GO, moveRun, repeat, storeRun } from './string-runs';
import { mayUsePort } from './tss';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSI = 6;
const RDI = 7;

let seg: i32 = 0;
let rep: i32 = 0;
let size: i32 = 0;
let shift: i32 = 0;
let mask: i64 = 0;
let step: i64 = 0;
/** Elements left, as RCX says (1 without repetition). */
let count: i64 = 0;
/** Bytes that this go may move, and what is left of them. */
let whole: i32 = 0;
let go: i32 = 0;
/** An element that goes by itself (MMIO, ports, page borders) takes as much of a go as so many bytes at once. */
const SINGLE: i32 = 64;
/** Bytes of a go that count as one instruction. */
const BYTES_PER_INSTRUCTION: i32 = 32;

function begin(rec: u32): void {
  seg = load<u8>(rec, REC_A);
  rep = load<u8>(rec, REC_B);
  const address = <i32>load<u8>(rec, REC_BASE);
  mask = address == 8 ? -1 : address == 4 ? 0xffffffff : 0xffff;
  shift = load<u8>(rec, REC_SCALE) & 3;
  size = 1 << shift;
  step = load<i32>(EFLAGS) & F_DF ? -(<i64>size) : <i64>size;
  count = rep ? reg(RCX) & mask : 1;
  // Single-stepping traps after each iteration.
  whole = load<i32>(MODE) & MODE_TF ? 1 : GO;
  go = whole;
}

/** Writes an index or count register as the address size has it. */
function setIndex(n: i32, value: i64): void {
  if (mask == 0xffff) store<u16>(REGS + (n << 3), <u16>value);
  else setReg(n, value & mask);
}

/**
 * Whether offsets in `segment`, of this address size, are linear addresses and nothing is checked: as in regions, where a
 * run is not counted as part of a go.
 */
function isFlat(segment: i32): bool {
  const mode = load<i32>(MODE);
  if (segment >= FS || mask != load<i64>(ADDR_MASK)) return false;
  return (mode & MODE_64) != 0 || ((mode & MODE_SEGMENTED) == 0 && segment != CS);
}

/** `n` elements are done. */
function done(n: i64, source: bool, destination: bool): void {
  if (source) setIndex(RSI, reg(RSI) + n * step);
  if (destination) setIndex(RDI, reg(RDI) + n * step);
  if (rep) {
    count -= n;
    setIndex(RCX, count);
  } else count = 0;
  go -= n == 1 ? SINGLE : <i32>n * size;
}

/**
 * After a go: NEXT where nothing is left, else once more from the start of the instruction. What has been done counts as
 * instructions by the time it takes, or else a repetition of 2^64 elements would never use its slice up.
 */
function finish(rec: u32): i32 {
  if (count == 0) return NEXT;
  stopBefore(rec);
  store<i32>(COUNT, load<i32>(COUNT) - max((whole - go) / BYTES_PER_INSTRUCTION, 1));
  return JUMP;
}

/** Elements from `offset` on, in the direction of travel, that lie in one page and don't wrap. */
function spanOf(offset: i64, linear: i64): i64 {
  const inPage = <i64>(<i32>linear & 0xfff);
  let n: i64;
  if (step > 0) {
    n = (0x1000 - inPage) >> <i64>shift;
    if (mask != -1) n = min(n, (mask + 1 - offset) >> <i64>shift);
  } else {
    if (inPage + <i64>size > 0x1000) return 0;
    n = (inPage >> <i64>shift) + 1;
    if (mask != -1) n = min(n, (offset >> <i64>shift) + 1);
  }
  return n;
}

/** Linear address of the lowest byte of `n` elements; look at `faulted()`. */
function lowest(segment: i32, offset: i64, n: i64, write: i32): i64 {
  const from = step > 0 ? offset : offset - (n - 1) * <i64>size;
  return eaSeg(segment, from & mask, <i32>n * size, write);
}

function limitSpan(n: i64): i64 {
  return min(min(n, count), <i64>max(go >> shift, 1));
}

/** A span whose whole extent fails its segment check is done element by element, which faults at the right place. */
function forget(): void {
  store<i32>(FAULT_VECTOR, -1);
}

/** A span's page has faulted: -1, or 0 for the element to fault at its own address, which going down isn't the lowest. */
function spanFault(): i64 {
  if (step > 0) return -1;
  forget();
  return 0;
}

// ---- MOVS ----------------------------------------------------------------------------------------------------------------
export function op_movs(rec: u32): i32 {
  begin(rec);
  if (rep && isFlat(seg)) {
    const n = moveRun(reg(RSI) & mask, reg(RDI) & mask, count, shift);
    done(n, true, true);
    go = whole;
  }
  while (count != 0 && go > 0) {
    const srcOffset = reg(RSI) & mask;
    const dstOffset = reg(RDI) & mask;
    if (rep && count > 1) {
      const n = moveSpan(srcOffset, dstOffset);
      if (n < 0) return FAULT;
      if (n > 0) {
        done(n, true, true);
        continue;
      }
    }
    const src = eaSeg(seg, srcOffset, size, 0);
    if (faulted()) return FAULT;
    const v = ld(src, size);
    if (faulted()) return FAULT;
    const dst = eaSeg(ES, dstOffset, size, 1);
    if (faulted()) return FAULT;
    st(dst, v, size);
    if (faulted()) return FAULT;
    done(1, true, true);
  }
  return finish(rec);
}

/** Moves as many elements as lie in one page on both sides: their number; 0: not this way; -1: fault raised. */
function moveSpan(srcOffset: i64, dstOffset: i64): i64 {
  let src = eaSeg(seg, srcOffset, size, 0);
  if (faulted()) return -1;
  let dst = eaSeg(ES, dstOffset, size, 1);
  if (faulted()) {
    forget();
    return 0;
  }
  const n = limitSpan(min(spanOf(srcOffset, src), spanOf(dstOffset, dst)));
  if (n < 2) return 0;
  src = lowest(seg, srcOffset, n, 0);
  if (!faulted()) dst = lowest(ES, dstOffset, n, 1);
  if (faulted()) {
    forget();
    return 0;
  }
  const bytes = <i32>n * size;
  const from = spanRead(src, bytes);
  if (from == 0) return spanFault();
  if (from == 1) return 0;
  const to = spanWrite(dst, bytes);
  if (to == 0) return spanFault();
  if (to == 1) return 0;
  // memory.copy moves as if through a buffer; an overlapping string move repeats what it has just written.
  const repeats = step > 0 ? to > from && to < from + bytes : from > to && from < to + bytes;
  if (!repeats) memory.copy(to, from, bytes);
  else if (step > 0) repeat(to, from, bytes, shift);
  else for (let i = bytes - size; i >= 0; i -= size) copyElement(to + i, from + i);
  return n;
}

function copyElement(to: u32, from: u32): void {
  if (size == 1) store<u8>(to, load<u8>(from));
  else if (size == 2) store<u16>(to, load<u16>(from));
  else if (size == 4) store<u32>(to, load<u32>(from));
  else store<u64>(to, load<u64>(from));
}

// ---- STOS ----------------------------------------------------------------------------------------------------------------
export function op_stos(rec: u32): i32 {
  begin(rec);
  const value = reg(RAX);
  if (rep && isFlat(ES)) {
    const n = storeRun(value, reg(RDI) & mask, count, shift);
    done(n, false, true);
    go = whole;
  }
  while (count != 0 && go > 0) {
    const offset = reg(RDI) & mask;
    if (rep && count > 1) {
      const n = storeSpan(offset, value);
      if (n < 0) return FAULT;
      if (n > 0) {
        done(n, false, true);
        continue;
      }
    }
    const dst = eaSeg(ES, offset, size, 1);
    if (faulted()) return FAULT;
    st(dst, value, size);
    if (faulted()) return FAULT;
    done(1, false, true);
  }
  return finish(rec);
}

function storeSpan(offset: i64, value: i64): i64 {
  let dst = eaSeg(ES, offset, size, 1);
  if (faulted()) return -1;
  const n = limitSpan(spanOf(offset, dst));
  if (n < 2) return 0;
  dst = lowest(ES, offset, n, 1);
  if (faulted()) {
    forget();
    return 0;
  }
  const bytes = <i32>n * size;
  const to = spanWrite(dst, bytes);
  if (to == 0) return spanFault();
  if (to == 1) return 0;
  fill(to, value, bytes, shift);
  return n;
}

// ---- LODS ----------------------------------------------------------------------------------------------------------------
export function op_lods(rec: u32): i32 {
  begin(rec);
  while (count != 0 && go > 0) {
    const src = eaSeg(seg, reg(RSI) & mask, size, 0);
    if (faulted()) return FAULT;
    const v = ld(src, size);
    if (faulted()) return FAULT;
    setAccumulator(v);
    done(1, true, false);
  }
  return finish(rec);
}

function setAccumulator(v: i64): void {
  if (size == 1) store<u8>(REGS, <u8>v);
  else if (size == 2) store<u16>(REGS, <u16>v);
  else setReg(RAX, v);
}

// ---- SCAS, CMPS ----------------------------------------------------------------------------------------------------------
/** Flags of a - b, both zero-extended from `size` bytes (layout.ts: RES and AUX). */
function compareFlags(a: i64, b: i64): void {
  const r = a - b;
  const borrows = (~a & b) | (~(a ^ b) & r);
  const shift = <i64>(64 - size * 8);
  const c = <i32>((borrows << shift) >> 32);
  store<i64>(FLAG_RES, (r << shift) >> shift);
  store<i32>(FLAG_AUX, (c & (<i32>AUX_CF | AUX_PO)) | (<i32>borrows & 8));
}

function loadElement(p: u32): i64 {
  if (size == 1) return <i64>load<u8>(p);
  if (size == 2) return <i64>load<u16>(p);
  if (size == 4) return <i64>load<u32>(p);
  return load<i64>(p);
}

export function op_scas(rec: u32): i32 {
  begin(rec);
  const used: i64 = size == 8 ? -1 : ((1 as i64) << (<i64>(size * 8))) - 1;
  const value = reg(RAX) & used;
  while (count != 0 && go > 0) {
    const offset = reg(RDI) & mask;
    const lin = eaSeg(ES, offset, size, 0);
    if (faulted()) return FAULT;
    if (rep && count > 1) {
      const n = limitSpan(spanOf(offset, lin));
      if (n >= 2 && spanChecks(ES, offset, n)) {
        const p = spanRead(lin, 1);
        if (p == 0) return FAULT;
        if (p != 1) {
          let i: i64 = 0;
          let v: i64 = 0;
          while (i < n) {
            v = loadElement(p + <u32>(i * step));
            i++;
            if ((v == value) == (rep == 2)) break;
          }
          compareFlags(value, v);
          done(i, false, true);
          if ((v == value) == (rep == 2)) return NEXT;
          continue;
        }
      }
    }
    const v = ld(lin, size);
    if (faulted()) return FAULT;
    compareFlags(value, v);
    done(1, false, true);
    if (rep && (v == value) == (rep == 2)) return NEXT;
  }
  return finish(rec);
}

/** Whether `n` elements pass their segment's checks; raises nothing. */
function spanChecks(segment: i32, offset: i64, n: i64): bool {
  lowest(segment, offset, n, 0);
  if (!faulted()) return true;
  forget();
  return false;
}

export function op_cmps(rec: u32): i32 {
  begin(rec);
  while (count != 0 && go > 0) {
    const srcOffset = reg(RSI) & mask;
    const dstOffset = reg(RDI) & mask;
    const src = eaSeg(seg, srcOffset, size, 0);
    if (faulted()) return FAULT;
    const dst = eaSeg(ES, dstOffset, size, 0);
    if (faulted()) return FAULT;
    if (rep && count > 1) {
      const n = limitSpan(min(spanOf(srcOffset, src), spanOf(dstOffset, dst)));
      if (n >= 2 && spanChecks(seg, srcOffset, n) && spanChecks(ES, dstOffset, n)) {
        const p = spanRead(src, 1);
        if (p == 0) return FAULT;
        const q = spanRead(dst, 1);
        if (q == 0) return FAULT;
        if (p != 1 && q != 1) {
          let i: i64 = 0;
          let a: i64 = 0;
          let b: i64 = 0;
          while (i < n) {
            const at = <u32>(i * step);
            a = loadElement(p + at);
            b = loadElement(q + at);
            i++;
            if ((a == b) == (rep == 2)) break;
          }
          compareFlags(a, b);
          done(i, true, true);
          if ((a == b) == (rep == 2)) return NEXT;
          continue;
        }
      }
    }
    const a = ld(src, size);
    if (faulted()) return FAULT;
    const b = ld(dst, size);
    if (faulted()) return FAULT;
    compareFlags(a, b);
    done(1, true, true);
    if (rep && (a == b) == (rep == 2)) return NEXT;
  }
  return finish(rec);
}

// ---- INS, OUTS -----------------------------------------------------------------------------------------------------------
export function op_ins(rec: u32): i32 {
  begin(rec);
  const port = <i32>reg(RDX) & 0xffff;
  if (!mayUsePort(port, size)) return FAULT;
  while (count != 0 && go > 0) {
    const dst = eaSeg(ES, reg(RDI) & mask, size, 1);
    if (faulted()) return FAULT;
    // What has been taken from the port can't be put back: first see that it can be stored.
    if (!probe(dst, size, true)) return FAULT;
    noteIo(port, size);
    st(dst, <i64>portIn(port, size), size);
    if (faulted()) return FAULT;
    done(1, false, true);
    if (load<i32>(PENDING)) break; // what the device has asked for is looked at between elements
  }
  return finish(rec);
}

export function op_outs(rec: u32): i32 {
  begin(rec);
  const port = <i32>reg(RDX) & 0xffff;
  if (!mayUsePort(port, size)) return FAULT;
  while (count != 0 && go > 0) {
    const src = eaSeg(seg, reg(RSI) & mask, size, 0);
    if (faulted()) return FAULT;
    const v = ld(src, size);
    if (faulted()) return FAULT;
    noteIo(port, size);
    portOut(port, size, <i32>v);
    done(1, true, false);
    if (load<i32>(PENDING)) break;
  }
  return finish(rec);
}
