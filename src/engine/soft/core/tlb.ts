// The software TLB: what goes into an entry, and what takes entries out.
//
// Word +20 of an entry holds EF_*: on which fill list it stands (a flush walks the lists, so it costs what was filled),
// whether its page is global, and the size of the page that the translation came from.
import {
  CR0,
  CR3,
  CR4,
  EFER,
  PAGE_FLAGS,
  PF_CODE,
  PF_MMIO,
  PF_ROM,
  RAM_BASE,
  STAT_FLUSHES,
  TLB_ADDEND,
  TLB_CUR,
  TLB_ENTRIES,
  TLB_ENTRY_SIZE,
  TLB_EXEC,
  TLB_HASH_SHIFT,
  TLB_INVALID,
  TLB_MORE,
  TLB_READ,
  TLB_SET_SIZE,
  TLB_SUPER,
  TLB_SUPER_AC,
  TLB_USER,
  TLB_WRITE,
} from '../layout';
import { pageHasDataBreakpoint } from './debug';
import { jcFlush, jcFlushPage } from './jumpcache';
import { BP_DATA, FILLS_GLOBAL, FILLS_NONGLOBAL, FILLS_USER, LARGE_PAGES } from './private';
import { CR0_WP, CR4_PCIDE, CR4_SMEP, EFER_LMA } from './state';
import { isUser, W_DIRTY, W_GLOBAL, W_NX, W_USER, W_WRITE } from './walk';

export const ENTRY_FLAGS: usize = 20;
const EF_LISTED_NONGLOBAL = 1;
const EF_LISTED_GLOBAL = 2;
export const EF_GLOBAL = 4;
/** Writing is permitted and the page is dirty; only decoded code keeps the write tag invalid. */
export const EF_WRITABLE = 8;
const EF_LISTED = 3;
const EF_SHIFT = 8; // page size, log2, in bits 15:8

// The supervisor's sets are one for all address spaces: what isn't global in them goes with every change of PCID.
let nonGlobals: i32 = 0;
let globals: i32 = 0;
/** Whether the TLB may hold pieces of 1 GiB pages. */
let giants: bool = false;

// User code of each address space has a set of its own, named by its PCID (SDM vol. 3, 4.10.1), as long as there are sets.
// Without PCIDs there is only number 0. Global pages are nothing special in them: a translation may always be forgotten.
const USER_SETS: i32 = 8;
const FREE: i32 = -1;
/** A guest without PCIDs uses one set only: the others take no memory until they are first used. */
const UNTOUCHED: i32 = -1;
/** i32 each: the PCID, or FREE; how many entries are filled, or UNTOUCHED. */
const OWNERS: usize = memory.data(USER_SETS * 4);
const FILLED: usize = memory.data(USER_SETS * 4);
let current: i32 = 0;
let oldest: i32 = 0;
/** Whether a user set may hold global pages, which INVLPG drops for all address spaces. */
let userGlobals: bool = false;
/** The user set of the address space that runs. */
export let userSet: u32 = TLB_USER;

function userSetAt(n: i32): u32 {
  return n ? TLB_MORE + (n - 1) * TLB_SET_SIZE : TLB_USER;
}

function fillsOf(n: i32): usize {
  return FILLS_USER + n * (TLB_ENTRIES * 4);
}

function ownerOf(n: i32): i32 {
  return load<i32>(OWNERS + (n << 2));
}

function filledIn(n: i32): i32 {
  return load<i32>(FILLED + (n << 2));
}

/**
 * One page that the processor itself has read and that takes no data tags (`tlbFill`): Linux has its IDT at a multiple of
 * 4 GiB. Every flush drops it, whatever it is of.
 */
export let systemPage: i64 = TLB_INVALID;
/** Its host address. */
export let systemHost: u32 = 0;

export function keepSystemPage(page: i64, host: u32): void {
  systemPage = page;
  systemHost = host;
}

/** CR3 bits 11:0 under CR4.PCIDE. */
export const PCID_MASK: i32 = 0xfff;

/** As MachineEmitter.tlbEntry. */
export function tlbEntry(set: u32, lin: i64): usize {
  const l = <u32>lin;
  return set + (((l ^ (l >> (TLB_HASH_SHIFT - 12))) >> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_SIZE;
}

function invalidateEntry(e: usize): void {
  store<i64>(e, TLB_INVALID, TLB_READ);
  store<i64>(e, TLB_INVALID, TLB_WRITE);
  store<i64>(e, TLB_INVALID, TLB_EXEC);
}

export function initTlb(): void {
  initSet(TLB_SUPER);
  initSet(TLB_SUPER_AC);
  initSet(TLB_USER);
  for (let n = 0; n < USER_SETS; n++) {
    store<i32>(OWNERS + (n << 2), n ? FREE : 0);
    store<i32>(FILLED + (n << 2), n ? UNTOUCHED : 0);
  }
  current = 0;
  userSet = TLB_USER;
  nonGlobals = 0;
  globals = 0;
  systemPage = TLB_INVALID;
}

function initSet(set: u32): void {
  for (let e = set; e < set + TLB_SET_SIZE; e += 32) {
    invalidateEntry(e);
    store<i32>(e, 0, ENTRY_FLAGS);
  }
}

/** Page number of an entry's valid tag shifted left by 12, or TLB_INVALID. All valid tags of an entry agree. */
function pageOf(e: usize): i64 {
  const r = load<i64>(e, TLB_READ);
  return r != TLB_INVALID ? r : load<i64>(e, TLB_EXEC);
}

export function takesNoDataTags(page: i64): bool {
  return (page & 0xfffff000) == 0 && (load<i32>(EFER) & EFER_LMA) != 0;
}

/** Puts a translation into `set`. `host` is the host address of the page, `flags` are the walk's, `shift` its page size. */
export function tlbFill(set: u32, lin: i64, host: u32, flags: i32, shift: i32): void {
  const page = lin & ~0xfff;
  const e = tlbEntry(set, lin);
  const user = (flags & W_USER) != 0;
  const userRights = isUser(set);
  const paging = load<i32>(CR0) < 0;
  const pf = <i32>load<u8>(PAGE_FLAGS + ((host - RAM_BASE) >> 12));
  let canRead: bool;
  let canWrite = (flags & W_WRITE) != 0;
  let canExec = (flags & W_NX) == 0;
  if (userRights) {
    canRead = user;
    canExec = canExec && user;
  } else {
    canRead = !(user && set == TLB_SUPER);
    canWrite = canWrite || (load<i32>(CR0) & CR0_WP) == 0;
    canExec = canExec && !(user && paging && load<i32>(CR4) & CR4_SMEP);
  }
  // An access that starts at the last bytes before a multiple of 4 GiB and crosses it looks at the entry of that next
  // page (the index function doesn't keep those two apart), so in long mode such a page takes no data tags.
  if (takesNoDataTags(page)) canRead = false;
  if (load<i32>(BP_DATA) && pageHasDataBreakpoint(page)) canRead = false;
  if (pf & PF_MMIO) return;
  canWrite = canWrite && canRead && (flags & W_DIRTY) != 0 && (pf & PF_ROM) == 0;
  store<i64>(e, canRead ? page : TLB_INVALID, TLB_READ);
  store<i64>(e, canWrite && (pf & PF_CODE) == 0 ? page : TLB_INVALID, TLB_WRITE);
  store<i64>(e, canExec ? page : TLB_INVALID, TLB_EXEC);
  store<i32>(e, host - <u32>page, TLB_ADDEND);

  let f = (load<i32>(e, ENTRY_FLAGS) & EF_LISTED) | (shift << EF_SHIFT);
  if (canWrite) f |= EF_WRITABLE;
  if (flags & W_GLOBAL) f |= EF_GLOBAL;
  if (userRights) {
    if (flags & W_GLOBAL) userGlobals = true;
    if ((f & EF_LISTED) == 0) {
      f |= EF_LISTED_NONGLOBAL;
      const filled = filledIn(current);
      store<u32>(fillsOf(current) + (filled << 2), <u32>e);
      store<i32>(FILLED + (current << 2), filled + 1);
    }
  } else if (flags & W_GLOBAL) {
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

function emptyUserSet(n: i32): void {
  const list = fillsOf(n);
  const filled = filledIn(n);
  if (filled == UNTOUCHED) return;
  for (let i = 0; i < filled; i++) {
    const e: usize = load<u32>(list + (i << 2));
    invalidateEntry(e);
    store<i32>(e, 0, ENTRY_FLAGS);
  }
  store<i32>(FILLED + (n << 2), 0);
}

/** The user sets of all address spaces but the one that runs become free. */
function emptyOthers(): void {
  for (let n = 0; n < USER_SETS; n++) {
    if (n == current) continue;
    emptyUserSet(n);
    store<i32>(OWNERS + (n << 2), FREE);
  }
}

function emptyNonGlobals(): void {
  systemPage = TLB_INVALID;
  for (let i = 0; i < nonGlobals; i++) {
    const e: usize = load<u32>(FILLS_NONGLOBAL + (i << 2));
    const f = load<i32>(e, ENTRY_FLAGS);
    store<i32>(e, f & ~EF_LISTED_NONGLOBAL, ENTRY_FLAGS);
    if ((f & EF_GLOBAL) == 0) invalidateEntry(e);
  }
  nonGlobals = 0;
}

function countFlush(): void {
  store<i64>(STAT_FLUSHES, load<i64>(STAT_FLUSHES) + 1);
}

/** Drops every translation of every address space (CR4 or CR0 changed, INVPCID of everything). */
export function flushAll(): void {
  countFlush();
  emptyOthers();
  emptyUserSet(current);
  emptyNonGlobals();
  for (let i = 0; i < globals; i++) {
    const e: usize = load<u32>(FILLS_GLOBAL + (i << 2));
    invalidateEntry(e);
    store<i32>(e, 0, ENTRY_FLAGS);
  }
  globals = 0;
  memory.fill(LARGE_PAGES, 0, 4096);
  giants = false;
  userGlobals = false;
  // Another vCPU may have left another set in use. And PCIDs may be on or off from now on.
  store<i32>(OWNERS + (current << 2), load<i32>(CR4) & CR4_PCIDE ? load<i32>(CR3) & PCID_MASK : 0);
  if (isUser(load<u32>(TLB_CUR))) store<u32>(TLB_CUR, userSet);
  jcFlush(true);
}

/** Drops all but global translations of the address space that runs (MOV to CR3). */
export function flushNonGlobal(): void {
  countFlush();
  emptyUserSet(current);
  emptyNonGlobals();
  jcFlush(false);
}

/** The same for all address spaces. */
export function flushAllNonGlobal(): void {
  emptyOthers();
  flushNonGlobal();
}

/** MOV to CR3 with another PCID, whose translations may be kept or must go. */
export function switchPcid(pcid: i32, keep: bool): void {
  let n = 0;
  while (n < USER_SETS && ownerOf(n) != pcid) n++;
  if (n == USER_SETS) {
    do oldest = (oldest + 1) % USER_SETS;
    while (oldest == current);
    n = oldest;
    keep = false;
    store<i32>(OWNERS + (n << 2), pcid);
    if (filledIn(n) == UNTOUCHED) {
      initSet(userSetAt(n));
      store<i32>(FILLED + (n << 2), 0);
    }
  }
  current = n;
  userSet = userSetAt(n);
  if (!keep) {
    countFlush();
    emptyUserSet(n);
  }
  emptyNonGlobals();
  jcFlush(false);
}

/** INVPCID of one that doesn't run: its whole set goes. */
export function flushPcid(pcid: i32): void {
  for (let n = 0; n < USER_SETS; n++) {
    if (n == current || ownerOf(n) != pcid) continue;
    emptyUserSet(n);
    store<i32>(OWNERS + (n << 2), FREE);
  }
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

function flushPageIn(set: u32, lin: i64): void {
  const e = tlbEntry(set, lin);
  if (pageOf(e) == (lin & ~0xfff)) invalidateEntry(e);
}

/** INVLPG: drops the translation of one page, global or not, with all pieces where it is a large one. */
export function flushPage(lin: i64): void {
  systemPage = TLB_INVALID;
  flushPageIn(TLB_SUPER, lin);
  flushPageIn(TLB_SUPER_AC, lin);
  if (userGlobals) for (let n = 0; n < USER_SETS; n++) flushPageIn(userSetAt(n), lin);
  else flushPageIn(userSet, lin);
  // Pieces of a large page are found by looking at all that is filled. 4 MiB pages span two 2 MiB hashes.
  if (anyLarge(lin)) {
    dropFrom(FILLS_NONGLOBAL, nonGlobals, lin);
    dropFrom(FILLS_GLOBAL, globals, lin);
    for (let n = 0; n < USER_SETS; n++) dropFrom(fillsOf(n), filledIn(n), lin);
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
  for (let n = 0; n < USER_SETS; n++) forbidIn(fillsOf(n), filledIn(n), host & ~0xfff);
}

function forbidIn(list: usize, count: i32, page: u32): void {
  for (let i = 0; i < count; i++) {
    const e: usize = load<u32>(list + (i << 2));
    const tag = load<i64>(e, TLB_WRITE);
    if (tag != TLB_INVALID && <u32>tag + load<u32>(e, TLB_ADDEND) == page) store<i64>(e, TLB_INVALID, TLB_WRITE);
  }
}
