// Page walks (SDM vol. 3, chapter 4): linear to guest-physical address with all checks.
import { CR0, CR3, CR4, EFER, MAXPHYADDR, TLB_SUPER, TLB_SUPER_AC } from '../layout';
import { hostForRead, physLoad32 } from './physical';
import { PDPTES } from './private';
import { CR0_PG, CR0_WP, CR4_PAE, CR4_PGE, CR4_PSE, CR4_SMEP, EFER_LMA, EFER_NXE } from './state';

export const READ = 0;
export const WRITE = 1;
export const FETCH = 2;

// Page-fault error code (SDM vol. 3, 4.7).
const PFEC_P = 1;
const PFEC_W = 2;
const PFEC_U = 4;
const PFEC_RSVD = 8;
const PFEC_I = 16;

// Entry bits.
const PTE_P = 1;
const PTE_W = 2;
const PTE_U = 4;
const PTE_A = 32;
const PTE_D = 64;
const PTE_PS = 128;
const PTE_G = 256;

/** What the last walk found: W_*. */
export const W_USER = 1;
export const W_WRITE = 2;
export const W_NX = 4;
export const W_GLOBAL = 8;
export const W_DIRTY = 16;
/** Accessed bits are set in all entries: a read or a fetch changes nothing. */
export const W_ACCESSED = 32;
export let walkFlags: i32 = 0;
/** log2 of the page size. */
export let walkShift: i32 = 12;
/** Error code after a walk that returned -1. */
export let walkError: i32 = 0;

/** Whether a set of the TLB stands for the rights of user code. */
export function isUser(set: u32): bool {
  return set != TLB_SUPER && set != TLB_SUPER_AC;
}

function fail(code: i32, access: i32, set: u32): i64 {
  let e = code;
  if (access == WRITE) e |= PFEC_W;
  if (isUser(set)) e |= PFEC_U;
  if (access == FETCH) {
    const cr4 = load<i32>(CR4);
    const nx = (load<i32>(EFER) & EFER_NXE) != 0 && (cr4 & CR4_PAE) != 0;
    if (nx || cr4 & CR4_SMEP) e |= PFEC_I;
  }
  walkError = e;
  return -1;
}

/** Whether a page with these rights may be accessed so from `set` (which stands for CPL, SMAP and AC). */
function permitted(rights: i32, access: i32, set: u32): bool {
  const user = (rights & W_USER) != 0;
  if (isUser(set)) {
    if (!user) return false;
    if (access == WRITE) return (rights & W_WRITE) != 0;
    return access == READ || (rights & W_NX) == 0;
  }
  if (access == FETCH) return (rights & W_NX) == 0 && !(user && load<i32>(CR4) & CR4_SMEP);
  if (user && set == TLB_SUPER) return false; // SMAP
  if (access == WRITE) return (rights & W_WRITE) != 0 || (load<i32>(CR0) & CR0_WP) == 0;
  return true;
}

/**
 * Translates `lin`, which must be canonical. `touch` sets accessed and dirty bits; without it nothing changes.
 * @returns the gpa, or -1 with walkError set.
 */
export function walk(lin: i64, access: i32, set: u32, touch: bool): i64 {
  if ((load<i32>(CR0) & <i32>CR0_PG) == 0) {
    walkFlags = W_USER | W_WRITE | W_DIRTY | W_ACCESSED;
    walkShift = 12;
    return lin & 0xffffffff;
  }
  return load<i32>(CR4) & CR4_PAE ? walk64(lin, access, set, touch) : walk32(lin, access, set, touch);
}

/** 32-bit paging with 4-byte entries. */
function walk32(lin: i64, access: i32, set: u32, touch: bool): i64 {
  const cr4 = load<i32>(CR4);
  const l = <u32>lin;
  const directory = <i64>(load<u32>(CR3) & 0xfffff000);
  const pdeGpa = directory + <i64>((l >> 22) << 2);
  const pde = physLoad32(pdeGpa);
  if ((pde & PTE_P) == 0) return fail(0, access, set);
  let pteGpa: i64 = -1;
  let leaf = pde;
  let rights = pde & (PTE_U | PTE_W | PTE_A);
  let gpa: i64;
  if (pde & PTE_PS && cr4 & CR4_PSE) {
    // PSE-36: bits 20:13 are physical address bits 39:32; bit 21 is reserved.
    if (pde & 0x200000) return fail(PFEC_P | PFEC_RSVD, access, set);
    gpa = <i64>(pde & 0xffc00000) | ((<i64>((pde >> 13) & 0xff)) << 32) | <i64>(l & 0x3fffff);
    walkShift = 22;
  } else {
    pteGpa = <i64>(pde & 0xfffff000) + <i64>(((l >> 12) & 1023) << 2);
    leaf = physLoad32(pteGpa);
    if ((leaf & PTE_P) == 0) return fail(0, access, set);
    rights &= leaf;
    gpa = <i64>(leaf & 0xfffff000) | <i64>(l & 0xfff);
    walkShift = 12;
  }
  const flags = (rights & PTE_U ? W_USER : 0) | (rights & PTE_W ? W_WRITE : 0);
  if (!permitted(flags, access, set)) return fail(PFEC_P, access, set);
  let dirty = (leaf & PTE_D) != 0;
  if (touch) {
    const want = PTE_A | (access == WRITE ? PTE_D : 0);
    if (pteGpa != -1) {
      if ((pde & PTE_A) == 0) physStore32(pdeGpa, pde | PTE_A);
      if ((leaf & want) != want) physStore32(pteGpa, leaf | want);
    } else if ((leaf & want) != want) physStore32(pdeGpa, leaf | want);
    if (access == WRITE) dirty = true;
  }
  const accessed = touch || rights & PTE_A ? W_ACCESSED : 0;
  walkFlags = flags | accessed | (dirty ? W_DIRTY : 0) | (leaf & PTE_G && cr4 & CR4_PGE ? W_GLOBAL : 0);
  return gpa;
}

function physStore32(gpa: i64, value: u32): void {
  const host = hostForRead(gpa);
  if (host) store<u32>(host, value);
}

/** Sets bits in an entry at a host address (0: not RAM). */
function mark(host: u32, bits: i64): void {
  if (!host) return;
  const e = load<i64>(host);
  if ((e & bits) != bits) store<i64>(host, e | bits);
}

/** Physical address bits of an entry. */
const ADDRESS_MASK: i64 = (((1 as i64) << MAXPHYADDR) - 1) & ~0xfff;
/** Bits 51:MAXPHYADDR are reserved. */
const ABOVE: i64 = (((1 as i64) << 52) - 1) & ~(((1 as i64) << MAXPHYADDR) - 1);
const NX: i64 = 1 << 63;

/** PAE and 4-level paging with 8-byte entries. */
function walk64(lin: i64, access: i32, set: u32, touch: bool): i64 {
  const long = (load<i32>(EFER) & EFER_LMA) != 0;
  let reserved = ABOVE;
  if ((load<i32>(EFER) & EFER_NXE) == 0) reserved |= NX;
  let table: i64;
  let shift: i64;
  let h0: u32 = 0; // entries above the leaf
  let h1: u32 = 0;
  let h2: u32 = 0;
  if (long) {
    table = load<i64>(CR3) & ADDRESS_MASK;
    shift = 39;
  } else {
    const pdpte = load<i64>(PDPTES + ((<i32>(lin >> 30) & 3) << 3));
    if ((pdpte & PTE_P) == 0) return fail(0, access, set);
    table = pdpte & ADDRESS_MASK;
    reserved |= 0x7ff0000000000000; // bits 62:52
    shift = 21;
  }
  let and: i64 = PTE_U | PTE_W | PTE_A;
  let or: i64 = 0;
  let entry: i64;
  let host: u32;
  while (true) {
    host = hostForRead(table + (((lin >> shift) & 511) << 3));
    entry = host ? load<i64>(host) : -1;
    if ((entry & PTE_P) == 0) return fail(0, access, set);
    if (entry & reserved) return fail(PFEC_P | PFEC_RSVD, access, set);
    and &= entry;
    or |= entry;
    if (shift == 12) break;
    if (entry & PTE_PS) {
      if (shift == 39) return fail(PFEC_P | PFEC_RSVD, access, set);
      // Between the address and the PAT bit (12) everything is reserved: 20:13 or 29:13.
      if (entry & (((1 as i64) << shift) - 1) & ~0x1fff) return fail(PFEC_P | PFEC_RSVD, access, set);
      break;
    }
    if (shift == 39) h0 = host;
    else if (shift == 30) h1 = host;
    else h2 = host;
    table = entry & ADDRESS_MASK;
    shift -= 9;
  }
  const flags = (and & PTE_U ? W_USER : 0) | (and & PTE_W ? W_WRITE : 0) | (or < 0 ? W_NX : 0);
  if (!permitted(flags, access, set)) return fail(PFEC_P, access, set);
  let dirty = (entry & PTE_D) != 0;
  if (touch) {
    if (h0) mark(h0, PTE_A);
    if (h1) mark(h1, PTE_A);
    if (h2) mark(h2, PTE_A);
    mark(host, access == WRITE ? PTE_A | PTE_D : PTE_A);
    if (access == WRITE) dirty = true;
  }
  const accessed = touch || and & PTE_A ? W_ACCESSED : 0;
  walkFlags = flags | accessed | (dirty ? W_DIRTY : 0) | (entry & PTE_G && load<i32>(CR4) & CR4_PGE ? W_GLOBAL : 0);
  walkShift = <i32>shift;
  const inside = ((1 as i64) << shift) - 1;
  return (entry & ADDRESS_MASK & ~inside) | (lin & inside);
}

/** Whether the bits that PAE paging reserves in a PDPTE are clear (SDM vol. 3, 4.4.1). */
export function validPdpte(e: i64): bool {
  return (e & PTE_P) == 0 || (e & (ABOVE | 0xfff00000000001e6)) == 0;
}
