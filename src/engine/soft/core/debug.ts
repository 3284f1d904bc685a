// Debug registers (SDM vol. 3, chapter 18.2): breakpoints are armed only while DR7 enables some. Then MODE_TF is set, so that
// every instruction is a block of its own and `events` looks at each, and pages with data breakpoints stay out of the TLB.
import { CR4, DR, EFLAGS, FAULT, PEND_DB, PENDING, REC_A, REC_B } from '../layout';
import { updateMode } from './mode';
import { BP_DATA, BP_EXEC, BP_IO, DB_BITS } from './private';
import { advance, attention, CR4_DE, cpl, F_RF, gp0, is64, raise, readField, ud, V_DB, writeField } from './state';
import { flushAll } from './tlb';

const DR6 = 6;
const DR7 = 7;
export const DR6_BS = 0x4000;
export const DR6_BD = 0x2000;
/** DR6 bits that are always 1 (BLD, RTM and the reserved ones as SDM 18.2.3 has them after reset). */
const DR6_FIXED: i64 = 0xffff0ff0;
const DR7_FIXED: i64 = 0x400;
const DR7_GD = 0x2000;

function dr(n: i32): i64 {
  return load<i64>(DR + (n << 3));
}

function setDr(n: i32, value: i64): void {
  store<i64>(DR + (n << 3), value);
}

/** R/W field of breakpoint n: 0 execution, 1 writes, 2 I/O, 3 reads and writes. */
function kindOf(n: i32): i32 {
  return (<i32>dr(DR7) >> (16 + n * 4)) & 3;
}

/** Bytes that breakpoint n covers. */
function lengthOf(n: i32): i32 {
  const len = (<i32>dr(DR7) >> (18 + n * 4)) & 3;
  return len == 2 ? 8 : len + 1;
}

/** Recomputes what is armed after a write to DR0-3 or DR7 (or CR4.DE, or all state). */
export function armBreakpoints(): void {
  let exec = 0;
  let data = 0;
  let io = 0;
  const dr7 = <i32>dr(DR7);
  for (let n = 0; n < 4; n++) {
    if (((dr7 >> (n * 2)) & 3) == 0) continue;
    const kind = kindOf(n);
    if (kind == 0) exec |= 1 << n;
    else if (kind == 2) io |= load<i32>(CR4) & CR4_DE ? 1 << n : 0;
    else data |= 1 << n;
  }
  if (data | load<i32>(BP_DATA)) flushAll();
  store<i32>(BP_EXEC, exec);
  store<i32>(BP_DATA, data);
  store<i32>(BP_IO, io);
}

export function pageHasDataBreakpoint(page: i64): bool {
  const armed = load<i32>(BP_DATA);
  for (let n = 0; n < 4; n++) {
    if (armed & (1 << n) && (dr(n) & ~0xfff) == page) return true;
  }
  return false;
}

function overlaps(n: i32, address: i64, size: i32): bool {
  const length = lengthOf(n);
  const start = dr(n) & ~(<i64>length - 1);
  return address < start + length && start < address + size;
}

function trap(bits: i32): void {
  store<i32>(DB_BITS, load<i32>(DB_BITS) | bits);
  store<i32>(PENDING, load<i32>(PENDING) | PEND_DB);
  attention();
}

/** The T bit of a task's TSS (DR6.BT). */
export function noteTaskTrap(): void {
  trap(0x8000);
}

/** A data access that went the slow way: traps after the instruction where a breakpoint covers it. */
export function noteDataAccess(lin: i64, size: i32, write: bool): void {
  const armed = load<i32>(BP_DATA);
  for (let n = 0; n < 4; n++) {
    if (armed & (1 << n) && (write || kindOf(n) == 3) && overlaps(n, lin, size)) trap(1 << n);
  }
}

/** A port access. */
export function noteIo(port: i32, size: i32): void {
  const armed = load<i32>(BP_IO);
  if (!armed) return;
  for (let n = 0; n < 4; n++) {
    if (armed & (1 << n) && overlaps(n, port, size)) trap(1 << n);
  }
}

/** DR6 bits of the instruction breakpoints at a linear address. */
export function execBreakpoints(lin: i64): i32 {
  const armed = load<i32>(BP_EXEC);
  let hits = 0;
  if (armed && (load<i32>(EFLAGS) & F_RF) == 0) {
    for (let n = 0; n < 4; n++) {
      if (armed & (1 << n) && dr(n) == lin) hits |= 1 << n;
    }
  }
  return hits;
}

/** #DB is about to be delivered: what happened goes to DR6, and general detection is switched off. */
export function recordDebug(bits: i32): void {
  setDr(DR6, (dr(DR6) & ~0xf) | DR6_FIXED | <i64>bits);
  setDr(DR7, dr(DR7) & ~DR7_GD);
}

/** DR4 and DR5 stand for DR6 and DR7 unless CR4.DE. -1: #UD. */
function realNumber(n: i32): i32 {
  if (n != 4 && n != 5) return n;
  return load<i32>(CR4) & CR4_DE ? -1 : n + 2;
}

/** Checks that MOV from and to debug registers share; 0: go on. */
function refuse(n: i32): i32 {
  if (n < 0) return ud();
  if (cpl() != 0) return gp0();
  if (dr(DR7) & DR7_GD) {
    recordDebug(DR6_BD);
    return raise(V_DB, 0);
  }
  return 0;
}

/** MOV r, DRn. `ends`: no. Fields: a = GPR, b = register number. */
export function op_movFromDr(rec: usize): i32 {
  const n = realNumber(load<u8>(rec, REC_B));
  if (refuse(n)) return FAULT;
  writeField(load<u8>(rec, REC_A), is64() ? 8 : 4, dr(n));
  return 0;
}

/** MOV DRn, r. `ends`: yes (MODE may change). Fields: a = register number, b = GPR. */
export function op_movToDr(rec: usize): i32 {
  const n = realNumber(load<u8>(rec, REC_A));
  if (refuse(n)) return FAULT;
  const v = readField(load<u8>(rec, REC_B), is64() ? 8 : 4);
  if (n >= 6) {
    if (<u64>v >> 32) return gp0();
    if (n == DR6) setDr(DR6, (v & 0xe00f) | DR6_FIXED);
    else setDr(DR7, (v & 0xffff2bff) | DR7_FIXED);
  } else setDr(n, v);
  if (n != DR6) {
    armBreakpoints();
    updateMode();
  }
  return advance(rec);
}
