// MODE, CPL's TLB and the address mask, derived from everything else.
import {
  ADDR_MASK,
  CPL,
  CR0,
  CR4,
  CS,
  DEBUG_STEP,
  DS,
  EFER,
  EFLAGS,
  ES,
  FS,
  GS,
  MODE,
  MODE_64,
  MODE_CPL0,
  MODE_D,
  MODE_LONG,
  MODE_PE,
  MODE_SEGMENTED,
  MODE_SS32,
  MODE_TF,
  MODE_VM,
  PEND_INTR,
  PENDING,
  SEG_LIMIT,
  SEG_PLAIN,
  SEG_PLAIN_MASK,
  SS,
  TLB_CUR,
  TLB_SUPER,
  TLB_SUPER_AC,
} from '../layout';
import { updateFpuFaults } from './fpu';
import { jcFlush, jcSetKey } from './jumpcache';
import { BP_DATA, BP_EXEC, BP_IO, LAST_CPL, LAST_CS_BASE, LAST_CS_LIMIT, STEP, STEP_FORCED } from './private';
import {
  A_CODE,
  A_DB,
  A_DOWN,
  A_L,
  A_P,
  A_UNUSABLE,
  A_WRITABLE,
  attention,
  CR0_PE,
  CR4_SMAP,
  EFER_LMA,
  F_AC,
  F_IF,
  F_TF,
  F_VM,
  segAttr,
  segBase,
  segLimit,
  segment,
} from './state';
import { userSet } from './tlb';

/** A flat segment's limit, and its attributes as far as the fast path takes them for granted. */
const FLAT_CODE: i64 = (((A_P | A_CODE | A_WRITABLE) as i64) << 32) | 0xffffffff;
const FLAT_CODE_MASK: i64 = (((A_UNUSABLE | A_P | A_CODE | A_WRITABLE) as i64) << 32) | 0xffffffff;
const FLAT_DATA: i64 = ((SEG_PLAIN as i64) << 32) | 0xffffffff;
const FLAT_DATA_MASK: i64 = ((SEG_PLAIN_MASK as i64) << 32) | 0xffffffff;

/** 0 where a segment is flat: base 0, limit 4 GiB, present. Limit and attributes lie beside each other. */
function bumps(seg: i32, flat: i64, mask: i64): i64 {
  return segBase(seg) | ((load<i64>(segment(seg), SEG_LIMIT) ^ flat) & mask);
}

function dataBumps(seg: i32): i64 {
  return bumps(seg, FLAT_DATA, FLAT_DATA_MASK);
}

/** After a load of a segment register other than CS, where MODE depends on it. */
export function segmentLoaded(seg: i32): void {
  const mode = load<i32>(MODE);
  if (seg == FS || seg == GS || mode & MODE_64) return;
  if (seg != SS && (mode & MODE_SEGMENTED) == 0 && dataBumps(seg) == 0) return;
  updateMode();
}

/** TLB_CUR after a change of CPL or of EFLAGS.AC. */
export function updateAccess(): void {
  let set: u32 = TLB_SUPER_AC;
  if (load<i32>(CPL) == 3) set = userSet;
  else if (load<i32>(CR4) & CR4_SMAP && (load<i32>(EFLAGS) & F_AC) == 0 && load<i32>(CR0) < 0) set = TLB_SUPER;
  store<u32>(TLB_CUR, set);
}

/** After a change of CR0 or CR4. */
export function updateControl(): void {
  updateMode();
  updateFpuFaults();
}

/** Recomputes MODE, TLB_CUR and ADDR_MASK after a change of EFER, a segment, CPL, or EFLAGS.AC/VM/TF. */
export function updateMode(): void {
  const cr0 = load<i32>(CR0);
  const flags = load<i32>(EFLAGS);
  const cpl = load<i32>(CPL);
  const cs = segAttr(CS);
  let mode = 0;
  let is64 = false;
  if (load<i32>(EFER) & EFER_LMA) {
    mode = MODE_LONG;
    is64 = (cs & A_L) != 0;
  }
  if (cr0 & CR0_PE) mode |= flags & F_VM ? MODE_VM : MODE_PE;
  if (is64) mode |= MODE_64;
  else {
    if (cs & A_DB) mode |= MODE_D;
    if (segAttr(SS) & A_DB) mode |= MODE_SS32;
    const uneven = bumps(CS, FLAT_CODE, FLAT_CODE_MASK) | dataBumps(SS) | dataBumps(DS) | dataBumps(ES);
    if (uneven != 0) mode |= MODE_SEGMENTED;
    // The jump cache knows RIP, not linear addresses, and checks no limit.
    if (segBase(CS) != load<i64>(LAST_CS_BASE) || segLimit(CS) != load<u32>(LAST_CS_LIMIT)) {
      store<i64>(LAST_CS_BASE, segBase(CS));
      store<u32>(LAST_CS_LIMIT, segLimit(CS));
      jcFlush(true);
    }
  }
  if (cpl == 0) mode |= MODE_CPL0;
  // The jump cache tells CPL 0 from the rest; rings 1 and 2, which nearly nobody uses, have ring 0's pages.
  const last = load<i32>(LAST_CPL);
  if (cpl != last) {
    store<i32>(LAST_CPL, cpl);
    if (cpl == 1 || cpl == 2 || last == 1 || last == 2) jcFlush(true);
  }
  const step =
    (flags & F_TF) |
    load<i32>(BP_EXEC) |
    load<i32>(BP_DATA) |
    load<i32>(BP_IO) |
    load<i32>(DEBUG_STEP) |
    (load<i32>(STEP) == STEP_FORCED ? 1 : 0);
  if (step) {
    mode |= MODE_TF;
    attention();
  }
  store<i32>(MODE, mode);
  jcSetKey();
  store<i64>(ADDR_MASK, is64 ? -1 : 0xffffffff);
  updateAccess();
}

/** IF may have become set: an interrupt that waits is taken at the next block border. */
export function interruptsMayGo(): void {
  if (load<i32>(PENDING) & PEND_INTR && load<i32>(EFLAGS) & F_IF) attention();
}
