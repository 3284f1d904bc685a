// Descriptors (SDM vol. 3, 3.4.5 and chapter 5): reading them from GDT and LDT, taking them apart.
import { CS, GDTR, LDTR, SEG_ATTR, SEG_BASE, SEG_LIMIT } from '../layout';
import { sysLd, sysSt } from './mmu';
import {
  A_ACCESSED,
  A_CODE,
  A_DOWN,
  A_G,
  A_S,
  A_UNUSABLE,
  A_WRITABLE,
  cpl,
  faulted,
  raise,
  segment,
  setSegment,
  V_NP,
  V_SS,
} from './state';

// System segment types.
export const T_TSS16 = 1;
export const T_LDT = 2;
export const T_TSS16_BUSY = 3;
export const T_CALL16 = 4;
export const T_TASK = 5;
export const T_INT16 = 6;
export const T_TRAP16 = 7;
export const T_TSS = 9;
export const T_TSS_BUSY = 11;
export const T_CALL = 12;
export const T_INT = 14;
export const T_TRAP = 15;

/** The descriptor that `readDescriptor` has found: its two words and where it lies. */
export let dLo: u32 = 0;
export let dHi: u32 = 0;
export let dAddress: i64 = 0;

export function setDescriptor(lo: u32, hi: u32): void {
  dLo = lo;
  dHi = hi;
}

export function isNull(selector: i32): bool {
  return (selector & 0xfffc) == 0;
}

/**
 * Reads the descriptor of a selector that isn't null. Outside the table: false, and nothing is raised.
 * A page fault in the table: false, with the fault raised.
 */
export function readDescriptor(selector: i32, bytes: u32): bool {
  const index = <u32>selector & 0xfff8;
  let base: i64;
  let limit: u32;
  if (selector & 4) {
    const ldt = segment(LDTR);
    if (load<i32>(ldt, SEG_ATTR) & A_UNUSABLE) return false;
    base = load<i64>(ldt, SEG_BASE);
    limit = load<u32>(ldt, SEG_LIMIT);
  } else {
    base = load<i64>(GDTR);
    limit = load<u32>(GDTR, 8);
  }
  if (index + bytes - 1 > limit) return false;
  dAddress = base + <i64>index;
  const d = sysLd(dAddress, 8);
  if (faulted()) return false;
  dLo = <u32>d;
  dHi = <u32>(d >> 32);
  return true;
}

/** As above; where the table ends before, raises `vector` with the selector. */
export function needDescriptor(selector: i32, bytes: u32, vector: i32, ext: i32): bool {
  if (readDescriptor(selector, bytes)) return true;
  if (!faulted()) raise(vector, (selector & 0xfffc) | ext);
  return false;
}

export function dBase(): i64 {
  return <i64>((dLo >> 16) | ((dHi & 0xff) << 16) | (dHi & 0xff000000));
}

export function dLimit(): u32 {
  const limit = (dLo & 0xffff) | (dHi & 0xf0000);
  return (dHi >> 8) & A_G ? (limit << 12) | 0xfff : limit;
}

/** Attributes as the segment caches hold them. */
export function dAttr(): i32 {
  return (dHi >> 8) & 0xf0ff;
}

export function dDpl(): i32 {
  return (dHi >> 13) & 3;
}

/** Type of a system descriptor; of a code or data segment with S (16) set. */
export function dKind(): i32 {
  return (dHi >> 8) & 31;
}

export function dPresent(): bool {
  return (dHi & 0x8000) != 0;
}

export function dIsCode(): bool {
  return (dAttr() & (A_S | A_CODE)) == (A_S | A_CODE);
}

export function dConforming(): bool {
  return (dAttr() & A_DOWN) != 0;
}

export function dIsWritableData(): bool {
  return (dAttr() & (A_S | A_CODE | A_WRITABLE)) == (A_S | A_WRITABLE);
}

/** Sets the accessed bit of the code or data descriptor at hand, in memory too. */
export function dMarkAccessed(): void {
  if (dHi & (A_ACCESSED << 8)) return;
  dHi |= A_ACCESSED << 8;
  sysSt(dAddress + 5, <i64>((dHi >> 8) & 0xff), 1);
}

/** Loads a segment register from the descriptor at hand. */
export function loadFromDescriptor(seg: i32, selector: i32): void {
  setSegment(seg, selector, dBase(), dLimit(), dAttr());
}

/** Loads CS; RPL becomes the new CPL. */
export function loadCs(selector: i32, newCpl: i32): void {
  loadFromDescriptor(CS, (selector & 0xfffc) | newCpl);
}

/** Whether `selector` may become SS at privilege `level`; raises `vector` (or #SS) if not. Leaves its descriptor at hand. */
export function checkStack(selector: i32, level: i32, vector: i32, ext: i32): bool {
  if (isNull(selector)) {
    raise(vector, ext);
    return false;
  }
  if (!needDescriptor(selector, 8, vector, ext)) return false;
  if ((selector & 3) != level || dDpl() != level || !dIsWritableData()) {
    raise(vector, (selector & 0xfffc) | ext);
    return false;
  }
  if (!dPresent()) {
    raise(V_SS, (selector & 0xfffc) | ext);
    return false;
  }
  return true;
}

/** A data segment register (not SS) may hold the descriptor at hand: data or readable code of enough privilege. */
export function dLoadableAsData(selector: i32): bool {
  const attr = dAttr();
  if ((attr & A_S) == 0) return false;
  if (attr & A_CODE && (attr & A_WRITABLE) == 0) return false;
  const conforming = (attr & (A_CODE | A_DOWN)) == (A_CODE | A_DOWN);
  return conforming || (dDpl() >= (selector & 3) && dDpl() >= cpl());
}

export function notPresent(selector: i32, ext: i32): i32 {
  return raise(V_NP, (selector & 0xfffc) | ext);
}
