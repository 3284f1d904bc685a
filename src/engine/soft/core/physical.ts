// Guest-physical memory: RAM below the PCI hole, RAM from 4 GiB on, an optional ROM, and everything else (MMIO).
import {
  CFG_PAGED,
  CFG_RAM_HIGH,
  CFG_RAM_LOW,
  CFG_ROM_GPA,
  CFG_ROM_HOST,
  CFG_ROM_SIZE,
  PAGE_FLAGS,
  PF_MMIO,
  PF_ROM,
  RAM_BASE,
} from '../layout';
import { mmioRead, mmioWrite, pageIn } from './env';

const FOUR_GIB: i64 = 0x100000000;

/** Host address of RAM at `gpa`, or 0. */
export function ramOf(gpa: i64): u32 {
  if (<u64>gpa < load<u64>(CFG_RAM_LOW)) return RAM_BASE + <u32>gpa;
  const high = gpa - FOUR_GIB;
  if (<u64>high < load<u64>(CFG_RAM_HIGH)) return RAM_BASE + load<u32>(CFG_RAM_LOW) + <u32>high;
  return load<i32>(CFG_PAGED) ? pageIn(<u32>gpa, <u32>(gpa >> 32)) : 0;
}

/** Host address of ROM at `gpa`, or 0. */
export function romOf(gpa: i64): u32 {
  const offset = gpa - load<i64>(CFG_ROM_GPA);
  return <u64>offset < <u64>load<u32>(CFG_ROM_SIZE) ? load<u32>(CFG_ROM_HOST) + <u32>offset : 0;
}

/** PF_* of the RAM page at a host address. ROM lies behind RAM, so it has flags of its own too. */
export function pageFlags(host: u32): i32 {
  return load<u8>(PAGE_FLAGS + ((host - RAM_BASE) >> 12));
}

/** Host address for reading and fetching at `gpa`, or 0: MMIO. */
export function hostForRead(gpa: i64): u32 {
  const host = ramOf(gpa);
  if (host) return pageFlags(host) & PF_MMIO ? 0 : host;
  return romOf(gpa);
}

/** Host address for writing at `gpa`, or 0: MMIO. */
export function hostForWrite(gpa: i64): u32 {
  const host = ramOf(gpa);
  if (host && pageFlags(host) & (PF_MMIO | PF_ROM)) return 0;
  return host;
}

/** A paging-structure entry. What isn't RAM reads as all ones. */
export function physLoad64(gpa: i64): i64 {
  const host = hostForRead(gpa);
  return host ? load<i64>(host) : -1;
}

export function physLoad32(gpa: i64): u32 {
  const host = hostForRead(gpa);
  return host ? load<u32>(host) : 0xffffffff;
}

// ---- MMIO: split into naturally sized accesses, ascending ------------------------------------------------------------
/** Largest of 4, 2, 1 that fits; a 1-, 2- or 4-byte access stays whole even where it isn't aligned. */
function pieceOf(left: i32): i32 {
  return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

export function mmioLoad(gpa: i64, size: i32, to: usize): void {
  while (size > 0) {
    const piece = pieceOf(size);
    const v = mmioRead(<u32>gpa, <u32>(gpa >> 32), piece);
    if (piece == 4) store<i32>(to, v);
    else if (piece == 2) store<i16>(to, <i16>v);
    else store<i8>(to, <i8>v);
    gpa += piece;
    to += piece;
    size -= piece;
  }
}

export function mmioStore(gpa: i64, size: i32, from: usize): void {
  while (size > 0) {
    const piece = pieceOf(size);
    const v: i32 = piece == 4 ? load<i32>(from) : piece == 2 ? <i32>load<u16>(from) : <i32>load<u8>(from);
    mmioWrite(<u32>gpa, <u32>(gpa >> 32), piece, v);
    gpa += piece;
    from += piece;
    size -= piece;
  }
}
