// Registers and the ways of leaving a handler.
import {
  ADDR_MASK,
  COUNT,
  COUNT_DEFERRED,
  CPL,
  CR0,
  CR4,
  EFER,
  EFLAGS,
  EXIT_ARG,
  EXIT_REASON,
  FAULT,
  FAULT_ERROR,
  FAULT_VECTOR,
  JUMP,
  LEAVE,
  MODE,
  MODE_64,
  MODE_LONG,
  MODE_PE,
  MODE_TF,
  MODE_VM,
  PENDING,
  R_PAGE,
  REC_BASE,
  REC_DISP,
  REC_INDEX,
  REC_LEN,
  REC_SCALE,
  REC_SIZE,
  REGS,
  RIP,
  SEG_ATTR,
  SEG_BASE,
  SEG_LIMIT,
  SEG_SEL,
  SEGS,
} from '../layout';

// ---- exception vectors (SDM vol. 3, table 6-1) ------------------------------------------------------------------------
export const V_DE = 0;
export const V_DB = 1;
export const V_NMI = 2;
export const V_BP = 3;
export const V_OF = 4;
export const V_BR = 5;
export const V_UD = 6;
export const V_NM = 7;
export const V_DF = 8;
export const V_TS = 10;
export const V_NP = 11;
export const V_SS = 12;
export const V_GP = 13;
export const V_PF = 14;
export const V_MF = 16;
export const V_AC = 17;
export const V_XM = 19;

// ---- RFLAGS ------------------------------------------------------------------------------------------------------------
export const F_CF = 1;
export const F_PF = 4;
export const F_AF = 16;
export const F_ZF = 64;
export const F_SF = 128;
export const F_TF = 0x100;
export const F_IF = 0x200;
export const F_DF = 0x400;
export const F_OF = 0x800;
export const F_IOPL = 0x3000;
export const F_NT = 0x4000;
export const F_RF = 0x10000;
export const F_VM = 0x20000;
export const F_AC = 0x40000;
export const F_VIF = 0x80000;
export const F_VIP = 0x100000;
export const F_ID = 0x200000;
export const F_ARITH = 0x8d5; // OF SF ZF AF PF CF

// ---- control registers --------------------------------------------------------------------------------------------------
export const CR0_PE = 1;
export const CR0_MP = 2;
export const CR0_EM = 4;
export const CR0_TS = 8;
export const CR0_ET = 16;
export const CR0_NE = 32;
export const CR0_WP = 0x10000;
export const CR0_AM = 0x40000;
export const CR0_NW = 0x20000000;
export const CR0_CD = 0x40000000;
export const CR0_PG = 0x80000000;
export const CR4_VME = 1;
export const CR4_PVI = 2;
export const CR4_TSD = 4;
export const CR4_DE = 8;
export const CR4_PSE = 0x10;
export const CR4_PAE = 0x20;
export const CR4_MCE = 0x40;
export const CR4_PGE = 0x80;
export const CR4_PCE = 0x100;
export const CR4_OSFXSR = 0x200;
export const CR4_OSXMMEXCPT = 0x400;
export const CR4_UMIP = 0x800;
export const CR4_FSGSBASE = 0x10000;
export const CR4_PCIDE = 0x20000;
export const CR4_OSXSAVE = 0x40000;
export const CR4_SMEP = 0x100000;
export const CR4_SMAP = 0x200000;
export const EFER_SCE = 1;
export const EFER_LME = 0x100;
export const EFER_LMA = 0x400;
export const EFER_NXE = 0x800;

// ---- segment attributes ---------------------------------------------------------------------------------------------------
export const A_TYPE = 15;
export const A_ACCESSED = 1;
export const A_WRITABLE = 2; // data: writable; code: readable
export const A_DOWN = 4; // data: expand-down; code: conforming
export const A_CODE = 8;
export const A_S = 16;
export const A_P = 128;
export const A_L = 0x2000;
export const A_DB = 0x4000;
export const A_G = 0x8000;
export const A_UNUSABLE = 0x10000;

export const NONCANONICAL_SHIFT: i64 = 16;

export function reg(n: i32): i64 {
  return load<i64>(REGS + (n << 3));
}

export function setReg(n: i32, value: i64): void {
  store<i64>(REGS + (n << 3), value);
}

/** Register by a record's byte offset, `size` bytes; 4-byte writes clear the upper half. */
export function readField(offset: i32, size: i32): i64 {
  const p: usize = REGS + offset;
  if (size == 8) return load<i64>(p);
  if (size == 4) return <i64>load<u32>(p);
  if (size == 2) return <i64>load<u16>(p);
  return <i64>load<u8>(p);
}

export function writeField(offset: i32, size: i32, value: i64): void {
  const p: usize = REGS + offset;
  if (size == 8) store<i64>(p, value);
  else if (size == 4) store<i64>(p, value & 0xffffffff);
  else if (size == 2) store<i16>(p, <i16>value);
  else store<i8>(p, <i8>value);
}

export function rip(): i64 {
  return load<i64>(RIP);
}

export function setRip(value: i64): void {
  store<i64>(RIP, value);
}

export function cr0(): i32 {
  return load<i32>(CR0);
}

export function cr4(): i32 {
  return load<i32>(CR4);
}

export function efer(): i32 {
  return load<i32>(EFER);
}

export function cpl(): i32 {
  return load<i32>(CPL);
}

export function eflags(): i32 {
  return load<i32>(EFLAGS);
}

export function iopl(): i32 {
  return (load<i32>(EFLAGS) >> 12) & 3;
}

export function mode(): i32 {
  return load<i32>(MODE);
}

export function isLong(): bool {
  return (load<i32>(MODE) & MODE_LONG) != 0;
}

export function is64(): bool {
  return (load<i32>(MODE) & MODE_64) != 0;
}

export function isVm(): bool {
  return (load<i32>(MODE) & MODE_VM) != 0;
}

/** Protected mode and not v8086 (MODE_PE). */
export function isProtected(): bool {
  return (load<i32>(MODE) & MODE_PE) != 0;
}

// ---- segments ---------------------------------------------------------------------------------------------------------
export function segment(n: i32): usize {
  return SEGS + (n << 5);
}

export function segBase(n: i32): i64 {
  return load<i64>(segment(n), SEG_BASE);
}

export function segLimit(n: i32): u32 {
  return load<u32>(segment(n), SEG_LIMIT);
}

export function segAttr(n: i32): i32 {
  return load<i32>(segment(n), SEG_ATTR);
}

export function segSelector(n: i32): i32 {
  return load<i32>(segment(n), SEG_SEL);
}

export function setSegment(n: i32, selector: i32, base: i64, limit: u32, attr: i32): void {
  const s = segment(n);
  store<i64>(s, base, SEG_BASE);
  store<u32>(s, limit, SEG_LIMIT);
  store<i32>(s, attr, SEG_ATTR);
  store<i32>(s, selector, SEG_SEL);
}

// ---- faults -------------------------------------------------------------------------------------------------------------
export function raise(vector: i32, error: i32): i32 {
  store<i32>(FAULT_VECTOR, vector);
  store<i32>(FAULT_ERROR, error);
  return FAULT;
}

export function ud(): i32 {
  return raise(V_UD, 0);
}

export function gp0(): i32 {
  return raise(V_GP, 0);
}

/** Whether an access or check has raised a fault. */
export function faulted(): bool {
  return load<i32>(FAULT_VECTOR) >= 0;
}

export function faultPending(): i32 {
  return faulted() ? 1 : 0;
}

export function clearFault(): void {
  store<i32>(FAULT_VECTOR, -1);
}

/** Whether bits 63:47 of an address are all alike (SDM vol. 1, 3.3.7.1). */
export function isCanonical(address: i64): bool {
  return (address << 16) >> 16 == address;
}

// ---- leaving --------------------------------------------------------------------------------------------------------------
/** Makes the next block border call `events`. */
export function attention(): void {
  const count = load<i32>(COUNT);
  if (count > 0) {
    store<i32>(COUNT_DEFERRED, load<i32>(COUNT_DEFERRED) + count);
    store<i32>(COUNT, 0);
  }
}

/** Instructions that a block has paid for but not executed. Where `events` is to be called soon, COUNT must stay 0. */
export function giveBack(instructions: i32): void {
  const deferred = load<i32>(COUNT_DEFERRED);
  if (deferred || load<i32>(PENDING) || load<i32>(MODE) & MODE_TF) store<i32>(COUNT_DEFERRED, deferred + instructions);
  else store<i32>(COUNT, load<i32>(COUNT) + instructions);
}

/** Leaves `run`: COUNT holds what is truly left of the budget (negative: overrun). */
export function leave(reason: i32, argument: i32): i32 {
  store<i32>(COUNT, load<i32>(COUNT) + load<i32>(COUNT_DEFERRED));
  store<i32>(COUNT_DEFERRED, 0);
  store<i32>(EXIT_REASON, reason);
  store<i32>(EXIT_ARG, argument);
  return LEAVE;
}

// ---- records ----------------------------------------------------------------------------------------------------------------
/** Linear address of the memory operand. */
export function ea(rec: usize): i64 {
  const base = load<i64>(REGS + <i32>load<u8>(rec, REC_BASE));
  const index = load<i64>(REGS + <i32>load<u8>(rec, REC_INDEX)) << (<i64>(load<u8>(rec, REC_SCALE) & 3));
  return (base + index + <i64>load<i32>(rec, REC_DISP)) & load<i64>(ADDR_MASK);
}

/** Address of the next instruction; only in handlers that end a block. */
export function nextRip(rec: usize): i64 {
  return (load<i64>(REGS + R_PAGE) + <i64>load<i32>(rec, REC_SIZE)) & load<i64>(ADDR_MASK);
}

/** Goes on at the next instruction, from a handler that ends a block. */
export function advance(rec: usize): i32 {
  store<i64>(RIP, nextRip(rec));
  return JUMP;
}

/** Address of this instruction; only in handlers that end a block. */
export function ownRip(rec: usize): i64 {
  return (nextRip(rec) - <i64>load<u8>(rec, REC_LEN)) & load<i64>(ADDR_MASK);
}
