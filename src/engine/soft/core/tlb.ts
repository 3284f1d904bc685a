// The software TLB: what goes into an entry, and what takes entries out.
//
// Word +20 of an entry holds EF_*: on which fill list it stands (a flush walks the lists, so it costs what was filled),
// whether its page is global, and the size of the page that the translation came from.
import {
  CR0,
  CR4,
  EFER,
  PAGE_FLAGS,
  PF_CODE,
  PF_MMIO,
  PF_ROM,
  RAM_BASE,
  STAT_FLUSHES,
  TLB_ADDEND,
  TLB_BASE,
  TLB_ENTRIES,
  TLB_EXEC,
  TLB_INVALID,
  TLB_READ,
  TLB_SET_SIZE,
  TLB_SUPER,
  TLB_USER,
  TLB_WRITE,
} from '../layout';
import { pageHasDataBreakpoint } from './debug';
import { jcFlush, jcFlushPage } from './jumpcache';
import { BP_DATA, FILLS_GLOBAL, FILLS_NONGLOBAL, LARGE_PAGES } from './private';
import { CR0_WP, CR4_SMEP, EFER_LMA } from './state';
import { W_DIRTY, W_GLOBAL, W_NX, W_USER, W_WRITE } from './walk';

export const ENTRY_FLAGS: usize = 20;
const EF_LISTED_NONGLOBAL = 1;
const EF_LISTED_GLOBAL = 2;
export const EF_GLOBAL = 4;
/** Writing is permitted and the page is dirty; only decoded code keeps the write tag invalid. */
export const EF_WRITABLE = 8;
const EF_LISTED = 3;
const EF_SHIFT = 8; // page size, log2, in bits 15:8

let nonGlobals: i32 = 0;
let globals: i32 = 0;
/** Whether the TLB may hold pieces of 1 GiB pages. */
let giants: bool = false;

export function tlbEntry(set: u32, lin: i64): usize {
  const l = <u32>lin;
  return set + ((((l >> 12) ^ (l >> 21)) & (TLB_ENTRIES - 1)) << 5);
}

function invalidateEntry(e: usize): void {
  store<i64>(e, TLB_INVALID, TLB_READ);
  store<i64>(e, TLB_INVALID, TLB_WRITE);
  store<i64>(e, TLB_INVALID, TLB_EXEC);
}

export function initTlb(): void {
  for (let e: u32 = TLB_BASE; e < <u32>(TLB_BASE + 3 * TLB_SET_SIZE); e += 32) {
    invalidateEntry(e);
    store<i32>(e, 0, ENTRY_FLAGS);
  }
  nonGlobals = 0;
  globals = 0;
}

/** Page number of an entry's valid tag shifted left by 12, or TLB_INVALID. All valid tags of an entry agree. */
function pageOf(e: usize): i64 {
  const r = load<i64>(e, TLB_READ);
  return r != TLB_INVALID ? r : load<i64>(e, TLB_EXEC);
}

/** Puts a translation into `set`. `host` is the host address of the page, `flags` are the walk's, `shift` its page size. */
export function tlbFill(set: u32, lin: i64, host: u32, flags: i32, shift: i32): void {
  const page = lin & ~0xfff;
  const e = tlbEntry(set, lin);
  const user = (flags & W_USER) != 0;
  const paging = load<i32>(CR0) < 0;
  const pf = <i32>load<u8>(PAGE_FLAGS + ((host - RAM_BASE) >> 12));
  let canRead: bool;
  let canWrite = (flags & W_WRITE) != 0;
  let canExec = (flags & W_NX) == 0;
  if (set == TLB_USER) {
    canRead = user;
    canExec = canExec && user;
  } else {
    canRead = !(user && set == TLB_SUPER);
    canWrite = canWrite || (load<i32>(CR0) & CR0_WP) == 0;
    canExec = canExec && !(user && paging && load<i32>(CR4) & CR4_SMEP);
  }
  // An access that starts at the last bytes before a multiple of 4 GiB and crosses it looks at the entry of that next
  // page (the index function doesn't keep those two apart), so in long mode such a page takes no data tags.
  if ((page & 0xfffff000) == 0 && load<i32>(EFER) & EFER_LMA) canRead = false;
  if (load<i32>(BP_DATA) && pageHasDataBreakpoint(page)) canRead = false;
  if (pf & PF_MMIO) return;
  canWrite = canWrite && canRead && (flags & W_DIRTY) != 0 && (pf & PF_ROM) == 0;
  store<i64>(e, canRead ? page : TLB_INVALID, TLB_READ);
  store<i64>(e, canWrite && (pf & PF_CODE) == 0 ? page : TLB_INVALID, TLB_WRITE);
  store<i64>(e, canExec ? page : TLB_INVALID, TLB_EXEC);
  store<i32>(e, host - <u32>page, TLB_ADDEND);

  let f = (load<i32>(e, ENTRY_FLAGS) & EF_LISTED) | (shift << EF_SHIFT);
  if (canWrite) f |= EF_WRITABLE;
  if (flags & W_GLOBAL) {
    f |= EF_GLOBAL;
    if ((f & EF_LISTED_GLOBAL) == 0) {
      f |= EF_LISTED_GLOBAL;
      store<u32>(FILLS_GLOBAL + (globals << 2), <u32>e);
      globals++;
    }
  } else if ((f & EF_LISTED_NONGLOBAL) == 0) {
    f |= EF_LISTED_NONGLOBAL;
    store<u32>(FILLS_NONGLOBAL + (nonGlobals << 2), <u32>e);
    nonGlobals++;
  }
  store<i32>(e, f, ENTRY_FLAGS);
  if (shift != 12) store<u8>(LARGE_PAGES + largeHash(page), 1);
  if (shift == 30) giants = true;
}

function largeHash(lin: i64): i32 {
  return <i32>((<u64>lin >> 21) ^ (<u64>lin >> 33)) & 0xfff;
}

/** Drops every translation (CR4 or CR0 changed, INVPCID of everything). */
export function flushAll(): void {
  store<i64>(STAT_FLUSHES, load<i64>(STAT_FLUSHES) + 1);
  for (let i = 0; i < nonGlobals; i++) {
    const e: usize = load<u32>(FILLS_NONGLOBAL + (i << 2));
    invalidateEntry(e);
    store<i32>(e, 0, ENTRY_FLAGS);
  }
  for (let i = 0; i < globals; i++) {
    const e: usize = load<u32>(FILLS_GLOBAL + (i << 2));
    invalidateEntry(e);
    store<i32>(e, 0, ENTRY_FLAGS);
  }
  nonGlobals = 0;
  globals = 0;
  memory.fill(LARGE_PAGES, 0, 4096);
  giants = false;
  jcFlush(true);
}

/** Drops all but global translations (MOV to CR3). */
export function flushNonGlobal(): void {
  store<i64>(STAT_FLUSHES, load<i64>(STAT_FLUSHES) + 1);
  for (let i = 0; i < nonGlobals; i++) {
    const e: usize = load<u32>(FILLS_NONGLOBAL + (i << 2));
    const f = load<i32>(e, ENTRY_FLAGS);
    store<i32>(e, f & ~EF_LISTED_NONGLOBAL, ENTRY_FLAGS);
    if ((f & EF_GLOBAL) == 0) invalidateEntry(e);
  }
  nonGlobals = 0;
  jcFlush(false);
}

function dropFrom(list: usize, count: i32, lin: i64): void {
  for (let i = 0; i < count; i++) {
    const e: usize = load<u32>(list + (i << 2));
    const page = pageOf(e);
    if (page == TLB_INVALID) continue;
    const shift = <i64>((load<i32>(e, ENTRY_FLAGS) >> EF_SHIFT) & 63);
    if (page >> shift == lin >> shift) invalidateEntry(e);
  }
}

/** INVLPG: drops the translation of one page, global or not, with all pieces where it is a large one. */
export function flushPage(lin: i64): void {
  for (let set: u32 = TLB_BASE; set < <u32>(TLB_BASE + 3 * TLB_SET_SIZE); set += TLB_SET_SIZE) {
    const e = tlbEntry(set, lin);
    if (pageOf(e) == (lin & ~0xfff)) invalidateEntry(e);
  }
  // Pieces of a large page are found by looking at all that is filled. 4 MiB pages span two 2 MiB hashes.
  if (anyLarge(lin)) {
    dropFrom(FILLS_NONGLOBAL, nonGlobals, lin);
    dropFrom(FILLS_GLOBAL, globals, lin);
    jcFlush(true);
  } else jcFlushPage(lin);
}

function anyLarge(lin: i64): bool {
  if (giants) return true;
  return load<u8>(LARGE_PAGES + largeHash(lin)) != 0 || load<u8>(LARGE_PAGES + largeHash(lin ^ 0x200000)) != 0;
}

/** A RAM page has got decoded code: no direct writes to it any more, through whatever alias. */
export function forbidWrites(host: u32): void {
  forbidIn(FILLS_NONGLOBAL, nonGlobals, host & ~0xfff);
  forbidIn(FILLS_GLOBAL, globals, host & ~0xfff);
}

function forbidIn(list: usize, count: i32, page: u32): void {
  for (let i = 0; i < count; i++) {
    const e: usize = load<u32>(list + (i << 2));
    const tag = load<i64>(e, TLB_WRITE);
    if (tag != TLB_INVALID && <u32>tag + load<u32>(e, TLB_ADDEND) == page) store<i64>(e, TLB_INVALID, TLB_WRITE);
  }
}
