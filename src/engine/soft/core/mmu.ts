// Memory accesses that miss the TLB, and those that the core makes itself.
//
// `set` (a user set, TLB_SUPER, TLB_SUPER_AC) stands for the rights of an access: user; supervisor under SMAP; supervisor
// that may touch user pages. Pointers are host addresses; 0 means that a fault has been raised, SCRATCH that the access
// can't go straight to RAM.
import {
  CR0,
  CR2,
  CR4,
  EFER,
  PF_CODE,
  SCRATCH,
  STAT_PAGE_FAULT,
  STAT_TLB_MISS,
  TLB_ADDEND,
  TLB_CUR,
  TLB_EXEC,
  TLB_READ,
  TLB_SUPER,
  TLB_SUPER_AC,
  TLB_WRITE,
} from '../layout';
import { invalidateCode } from './code';
import { noteDataAccess } from './debug';
import { hostForRead, hostForWrite, mmioLoad, mmioStore, pageFlags } from './physical';
import { BP_DATA } from './private';
import { CR4_SMAP, EFER_LMA, isCanonical, raise, V_GP, V_PF, V_UD } from './state';
import {
  EF_GLOBAL,
  EF_WRITABLE,
  ENTRY_FLAGS,
  keepSystemPage,
  systemHost,
  systemPage,
  takesNoDataTags,
  tlbEntry,
  tlbFill,
} from './tlb';
import { FETCH, READ, W_ACCESSED, W_GLOBAL, WRITE, walk, walkError, walkFlags, walkShift } from './walk';

/** `resolve` found no RAM: the address is MMIO, at mmioGpa. Never a host address. */
const MMIO: u32 = 1;
let mmioGpa: i64 = 0;

/** Rights of implicit supervisor accesses (descriptor tables, TSS): AC doesn't help them (SDM vol. 3, 4.6). */
export function systemSet(): u32 {
  return load<i32>(CR4) & CR4_SMAP && load<i32>(CR0) < 0 ? TLB_SUPER : TLB_SUPER_AC;
}

export function currentSet(): u32 {
  return load<u32>(TLB_CUR);
}

function pageFault(lin: i64, error: i32): u32 {
  store<i64>(STAT_PAGE_FAULT, load<i64>(STAT_PAGE_FAULT) + 1);
  store<i64>(CR2, lin);
  raise(V_PF, error);
  return 0;
}

/** Host address of the byte at `lin`, MMIO, or 0 with a fault raised. Fills the TLB. */
function resolve(set: u32, lin: i64, access: i32): u32 {
  store<i64>(STAT_TLB_MISS, load<i64>(STAT_TLB_MISS) + 1);
  if (access == WRITE) {
    // A page with decoded code: everything is known, only the write tag is withheld, and that until the code has gone.
    const e = tlbEntry(set, lin);
    if (load<i64>(e, TLB_READ) == (lin & ~0xfff) && load<i32>(e, ENTRY_FLAGS) & EF_WRITABLE) {
      const host = <u32>lin + load<u32>(e, TLB_ADDEND);
      if ((pageFlags(host) & PF_CODE) == 0) store<i64>(e, lin & ~0xfff, TLB_WRITE);
      return host;
    }
  }
  if (load<i32>(EFER) & EFER_LMA && !isCanonical(lin)) {
    raise(V_GP, 0);
    return 0;
  }
  const gpa = walk(lin, access, set, true);
  if (gpa == -1) return pageFault(lin, walkError);
  const host = access == WRITE ? hostForWrite(gpa) : hostForRead(gpa);
  if (!host) {
    mmioGpa = gpa;
    return MMIO;
  }
  tlbFill(set, lin, host & ~0xfff, walkFlags, walkShift);
  return host;
}

/** First byte of the next page; legacy addresses wrap at 4 GiB. */
function nextPage(lin: i64): i64 {
  const next = (lin & ~0xfff) + 0x1000;
  return load<i32>(EFER) & EFER_LMA ? next : next & 0xffffffff;
}

function crosses(lin: i64, size: i32): bool {
  return (<i32>lin & 0xfff) + size > 0x1000;
}

/** Copies `size` bytes of RAM or MMIO to `to`. */
function fetchPiece(host: u32, gpa: i64, size: i32, to: usize): void {
  if (host == MMIO) mmioLoad(gpa, size, to);
  else memory.copy(to, host, size);
}

// ---- reads -------------------------------------------------------------------------------------------------------------
function slowRead(set: u32, lin: i64, size: i32): u32 {
  if (!crosses(lin, size)) {
    const host = resolve(set, lin, READ);
    if (host == 0) return 0;
    if (load<i32>(BP_DATA)) noteDataAccess(lin, size, false);
    if (host != MMIO) return host;
    mmioLoad(mmioGpa, size, SCRATCH);
    return SCRATCH;
  }
  const first = 0x1000 - (<i32>lin & 0xfff);
  const host1 = resolve(set, lin, READ);
  if (host1 == 0) return 0;
  const gpa1 = mmioGpa;
  const host2 = resolve(set, nextPage(lin), READ);
  if (host2 == 0) return 0;
  const gpa2 = mmioGpa;
  if (load<i32>(BP_DATA)) noteDataAccess(lin, size, false);
  fetchPiece(host1, gpa1, first, SCRATCH);
  fetchPiece(host2, gpa2, size - first, SCRATCH + first);
  return SCRATCH;
}

/** Host address of `size` bytes (at most 64) for reading; 0: fault. */
export function readPointer(set: u32, lin: i64, size: i32): u32 {
  const e = tlbEntry(set, lin);
  if (load<i64>(e, TLB_READ) == ((lin + (size - 1)) & ~0xfff)) return <u32>lin + load<u32>(e, TLB_ADDEND);
  return slowRead(set, lin, size);
}

// ---- writes: what a commit has to do -----------------------------------------------------------------------------------
let commitHost1: u32 = 0;
let commitGpa1: i64 = 0;
let commitSize1: i32 = 0;
let commitHost2: u32 = 0;
let commitGpa2: i64 = 0;
let commitSize2: i32 = 0;

function slowWrite(set: u32, lin: i64, size: i32, modify: bool): u32 {
  if (!crosses(lin, size)) {
    const host = resolve(set, lin, WRITE);
    if (host == 0) return 0;
    if (load<i32>(BP_DATA)) noteDataAccess(lin, size, true);
    if (host != MMIO) {
      if (pageFlags(host) & PF_CODE) invalidateCode(host, size);
      return host;
    }
    commitHost1 = MMIO;
    commitGpa1 = mmioGpa;
    commitSize1 = size;
    commitSize2 = 0;
    if (modify) mmioLoad(mmioGpa, size, SCRATCH);
    return SCRATCH;
  }
  const first = 0x1000 - (<i32>lin & 0xfff);
  commitHost1 = resolve(set, lin, WRITE);
  if (commitHost1 == 0) return 0;
  commitGpa1 = mmioGpa;
  commitSize1 = first;
  commitHost2 = resolve(set, nextPage(lin), WRITE);
  if (commitHost2 == 0) return 0;
  commitGpa2 = mmioGpa;
  commitSize2 = size - first;
  if (load<i32>(BP_DATA)) noteDataAccess(lin, size, true);
  if (modify || commitHost1 != MMIO) fetchPiece(commitHost1, commitGpa1, commitSize1, SCRATCH);
  if (modify || commitHost2 != MMIO) fetchPiece(commitHost2, commitGpa2, commitSize2, SCRATCH + first);
  return SCRATCH;
}

function commitPiece(host: u32, gpa: i64, size: i32, from: usize): void {
  if (host == MMIO) {
    mmioStore(gpa, size, from);
    return;
  }
  if (pageFlags(host) & PF_CODE) invalidateCode(host, size);
  memory.copy(host, from, size);
}

/** Writes SCRATCH out after a write pointer that was SCRATCH. */
export function memCommit(): void {
  commitPiece(commitHost1, commitGpa1, commitSize1, SCRATCH);
  if (commitSize2) commitPiece(commitHost2, commitGpa2, commitSize2, SCRATCH + commitSize1);
  commitSize2 = 0;
}

/** Host address of `size` bytes (at most 64) for writing; 0: fault. Call `commit(pointer)` after the store. */
export function writePointer(set: u32, lin: i64, size: i32): u32 {
  const e = tlbEntry(set, lin);
  if (load<i64>(e, TLB_WRITE) == ((lin + (size - 1)) & ~0xfff)) return <u32>lin + load<u32>(e, TLB_ADDEND);
  return slowWrite(set, lin, size, false);
}

export function commit(pointer: u32): void {
  if (pointer == SCRATCH) memCommit();
}

// ---- spans: whole stretches of one page, for string instructions -------------------------------------------------------
/** Host address of [lin, lin + size), all in one page, for reading; 0: fault raised; 1: not plain RAM, go byte by byte. */
export function spanRead(lin: i64, size: i32): u32 {
  const set = load<u32>(TLB_CUR);
  const e = tlbEntry(set, lin);
  if (load<i64>(e, TLB_READ) == (lin & ~0xfff)) return <u32>lin + load<u32>(e, TLB_ADDEND);
  return load<i32>(BP_DATA) ? MMIO : resolve(set, lin, READ);
}

/** The same for writing. Decoded code in the span is dropped. */
export function spanWrite(lin: i64, size: i32): u32 {
  const set = load<u32>(TLB_CUR);
  const e = tlbEntry(set, lin);
  if (load<i64>(e, TLB_WRITE) == (lin & ~0xfff)) return <u32>lin + load<u32>(e, TLB_ADDEND);
  if (load<i32>(BP_DATA)) return MMIO;
  const host = resolve(set, lin, WRITE);
  if (host > MMIO && pageFlags(host) & PF_CODE) invalidateCode(host, size);
  return host;
}

// ---- what the interpreter calls on a TLB miss --------------------------------------------------------------
export function memRead(lin: i64, size: i32): u32 {
  return slowRead(load<u32>(TLB_CUR), lin, size);
}

export function memWrite(lin: i64, size: i32): u32 {
  return slowWrite(load<u32>(TLB_CUR), lin, size, false);
}

export function memRmw(lin: i64, size: i32): u32 {
  return slowWrite(load<u32>(TLB_CUR), lin, size, true);
}

// ---- code --------------------------------------------------------------------------------------------------------------
/** Host address of the code byte at `lin`; 0: fault raised; 1: not memory. */
export function execHost(lin: i64): u32 {
  const set = load<u32>(TLB_CUR);
  const e = tlbEntry(set, lin);
  if (load<i64>(e, TLB_EXEC) == (lin & ~0xfff)) return <u32>lin + load<u32>(e, TLB_ADDEND);
  return resolve(set, lin, FETCH);
}

/** Host address of the page at `lin` for fetching an instruction's later bytes; 0: fault raised. */
export function fetchPage(lin: i64): i32 {
  const host = execHost(lin);
  if (host == MMIO) {
    raise(V_UD, 0);
    return 0;
  }
  return <i32>host;
}

/** Whether the translation that `execHost` has just used is global. */
export function execGlobal(lin: i64): bool {
  const e = tlbEntry(load<u32>(TLB_CUR), lin);
  return load<i64>(e, TLB_EXEC) == (lin & ~0xfff) && (load<i32>(e, ENTRY_FLAGS) & EF_GLOBAL) != 0;
}

/** Whether the translation that `peekCode` has just found is global. */
export let peekedGlobal: bool = false;

/**
 * Host address of the page of code at `lin`, or 0. Nothing is filled, no bit of a table set.
 * @param fetched only where a fetch would set none either
 */
export function peekCode(lin: i64, fetched: bool): u32 {
  const page = lin & ~0xfff;
  const set = load<u32>(TLB_CUR);
  const e = tlbEntry(set, page);
  if (load<i64>(e, TLB_EXEC) == page) {
    peekedGlobal = (load<i32>(e, ENTRY_FLAGS) & EF_GLOBAL) != 0;
    return <u32>page + load<u32>(e, TLB_ADDEND);
  }
  // A data page may have taken the place.
  if (load<i32>(EFER) & EFER_LMA && !isCanonical(lin)) return 0;
  const gpa = walk(page, FETCH, set, false);
  if (gpa == -1 || (fetched && (walkFlags & W_ACCESSED) == 0)) return 0;
  peekedGlobal = (walkFlags & W_GLOBAL) != 0;
  return hostForRead(gpa);
}

// ---- integers with given rights: after each, look at `faulted()` -------------------------------------------------------
export function loadIn(set: u32, lin: i64, size: i32): i64 {
  const p = readPointer(set, lin, size);
  if (p == 0) return 0;
  if (size == 8) return load<i64>(p);
  if (size == 4) return <i64>load<u32>(p);
  if (size == 2) return <i64>load<u16>(p);
  return <i64>load<u8>(p);
}

export function storeIn(set: u32, lin: i64, value: i64, size: i32): void {
  const p = writePointer(set, lin, size);
  if (p == 0) return;
  if (size == 8) store<i64>(p, value);
  else if (size == 4) store<i32>(p, <i32>value);
  else if (size == 2) store<i16>(p, <i16>value);
  else store<i8>(p, <i8>value);
  commit(p);
}

/** With the rights of the running code. */
export function ld(lin: i64, size: i32): i64 {
  return loadIn(load<u32>(TLB_CUR), lin, size);
}

export function st(lin: i64, value: i64, size: i32): void {
  storeIn(load<u32>(TLB_CUR), lin, value, size);
}

/** As the processor itself, whatever CPL. */
export function sysLd(lin: i64, size: i32): i64 {
  const page = lin & ~0xfff;
  if (size == 8 && takesNoDataTags(page) && !crosses(lin, 8) && load<i32>(BP_DATA) == 0) {
    if (page != systemPage) {
      const host = resolve(systemSet(), lin, READ);
      if (host == 0) return 0;
      if (host == MMIO) return loadIn(systemSet(), lin, size);
      keepSystemPage(page, host & ~0xfff);
    }
    return load<i64>(systemHost + (<u32>lin & 0xfff));
  }
  return loadIn(systemSet(), lin, size);
}

export function sysSt(lin: i64, value: i64, size: i32): void {
  storeIn(systemSet(), lin, value, size);
}

/** Copies `size` bytes (any number) between linear and host memory in pieces; false: fault, perhaps after some pieces. */
export function copyIn(lin: i64, to: usize, size: i32): bool {
  while (size > 0) {
    const piece = min(size, 16);
    const p = readPointer(load<u32>(TLB_CUR), lin, piece);
    if (p == 0) return false;
    memory.copy(to, p, piece);
    lin += piece;
    to += piece;
    size -= piece;
  }
  return true;
}

export function copyOut(lin: i64, from: usize, size: i32): bool {
  while (size > 0) {
    const piece = min(size, 16);
    const p = writePointer(load<u32>(TLB_CUR), lin, piece);
    if (p == 0) return false;
    memory.copy(p, from, piece);
    commit(p);
    lin += piece;
    from += piece;
    size -= piece;
  }
  return true;
}

/** Makes sure that [lin, lin + size) can be accessed, raising the fault if it can't. At most a page. */
export function probe(lin: i64, size: i32, write: bool): bool {
  const set = load<u32>(TLB_CUR);
  const last = lin + (size - 1);
  if ((write ? resolveQuiet(set, lin, WRITE) : resolveQuiet(set, lin, READ)) == 0) return false;
  if ((lin & ~0xfff) == (last & ~0xfff)) return true;
  return resolveQuiet(set, nextPage(lin), write ? WRITE : READ) != 0;
}

function resolveQuiet(set: u32, lin: i64, access: i32): u32 {
  const e = tlbEntry(set, lin);
  if ((access == WRITE ? load<i64>(e, TLB_WRITE) : load<i64>(e, TLB_READ)) == (lin & ~0xfff)) return 2;
  return resolve(set, lin, access);
}

/**
 * For debuggers: the gpa of a linear address by the current tables, without side effects. The u64 is left at SCRATCH.
 * @returns 1, or 0 where nothing is mapped.
 */
export function translateQuiet(linLo: u32, linHi: u32): i32 {
  const lin = <i64>linLo | ((<i64>linHi) << 32);
  if (load<i32>(EFER) & EFER_LMA && !isCanonical(lin)) return 0;
  const gpa = walk(lin, READ, TLB_SUPER_AC, false);
  if (gpa == -1) return 0;
  store<i64>(SCRATCH, gpa);
  return 1;
}
