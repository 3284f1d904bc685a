// Flags and interrupts by instruction, HLT, time, random numbers.
import {
  ACT_HALTED,
  ACTIVITY,
  CR4,
  EFLAGS,
  EXIT_HLT,
  FAULT,
  JUMP,
  MODE,
  MODE_VM,
  MSR_TSC_AUX,
  NEXT,
  REC_A,
  REC_IMM,
} from '../layout';
import { entropy } from './env';
import { shadowNext, wakes } from './events';
import { getFlags, setFlags } from './flags';
import { K_ICE, K_SOFTWARE, softwareInterrupt } from './interrupts';
import { interruptsMayGo, updateAccess, updateMode } from './mode';
import { tsc } from './msr';
import { ENTROPY_VALUE } from './private';
import { drop, push, stackLoad } from './segments';
import {
  advance,
  attention,
  CR4_TSD,
  cpl,
  F_AC,
  F_ARITH,
  F_CF,
  F_DF,
  F_ID,
  F_IF,
  F_IOPL,
  F_NT,
  F_OF,
  F_RF,
  F_TF,
  F_VM,
  faulted,
  gp0,
  iopl,
  isProtected,
  isVm,
  leave,
  nextRip,
  ownRip,
  setReg,
  ud,
  V_BP,
  V_DB,
  V_OF,
  writeField,
} from './state';

// ---- INT ------------------------------------------------------------------------------------------------------------------
/** INT n. `ends`. imm = vector. */
export function op_int(rec: u32): i32 {
  if (isVm() && iopl() < 3) return gp0();
  return softwareInterrupt(load<u8>(rec, REC_IMM), K_SOFTWARE, ownRip(rec), nextRip(rec));
}

/** INT3. `ends`. */
export function op_int3(rec: u32): i32 {
  return softwareInterrupt(V_BP, K_SOFTWARE, ownRip(rec), nextRip(rec));
}

/** INT1. `ends`. */
export function op_int1(rec: u32): i32 {
  return softwareInterrupt(V_DB, K_ICE, ownRip(rec), nextRip(rec));
}

/** INTO. `ends`. */
export function op_into(rec: u32): i32 {
  if ((getFlags() & F_OF) == 0) return advance(rec);
  return softwareInterrupt(V_OF, K_SOFTWARE, ownRip(rec), nextRip(rec));
}

/** UD0, UD1, UD2. */
export function op_ud(rec: u32): i32 {
  return ud();
}

// ---- flags ----------------------------------------------------------------------------------------------------------------
/** Whether IOPL lets the running code touch IF; raises #GP(0) if not. */
function mayTouchIf(): bool {
  const vm = (load<i32>(MODE) & MODE_VM) != 0;
  if (vm ? iopl() == 3 : cpl() <= iopl()) return true;
  gp0();
  return false;
}

/** CLI. */
export function op_cli(rec: u32): i32 {
  if (!mayTouchIf()) return FAULT;
  store<i32>(EFLAGS, load<i32>(EFLAGS) & ~F_IF);
  return NEXT;
}

/** STI. `ends`. */
export function op_sti(rec: u32): i32 {
  if (!mayTouchIf()) return FAULT;
  const was = load<i32>(EFLAGS) & F_IF;
  store<i32>(EFLAGS, load<i32>(EFLAGS) | F_IF);
  advance(rec);
  if (!was) {
    shadowNext();
    interruptsMayGo();
  }
  return JUMP;
}

/** PUSHF. `size`: operand size. */
export function op_pushf(rec: u32, size: i32): i32 {
  if (isVm() && iopl() < 3) return gp0();
  return push(<i64>(getFlags() & ~(F_VM | F_RF)), size);
}

/** POPF. `ends`. `size`: operand size. */
export function op_popf(rec: u32, size: i32): i32 {
  if (isVm() && iopl() < 3) return gp0();
  const v = <i32>stackLoad(0, size);
  if (faulted()) return FAULT;
  drop(size);
  let mask = F_ARITH | F_TF | F_DF | F_NT;
  if (isVm() || cpl() <= iopl()) mask |= F_IF;
  if (!isVm() && cpl() == 0) mask |= F_IOPL;
  if (size != 2) mask |= F_AC | F_ID | F_RF;
  const old = load<i32>(EFLAGS);
  setFlags(size == 2 ? v : v & ~F_RF, mask);
  if ((load<i32>(EFLAGS) ^ old) & (F_TF | F_AC)) updateMode();
  interruptsMayGo();
  return advance(rec);
}

/** CLAC. `ends` (TLB_CUR changes). */
export function op_clac(rec: u32): i32 {
  return setAc(rec, 0);
}

/** STAC. `ends`. */
export function op_stac(rec: u32): i32 {
  return setAc(rec, F_AC);
}

function setAc(rec: u32, value: i32): i32 {
  if (isVm() || cpl() != 0) return ud();
  store<i32>(EFLAGS, (load<i32>(EFLAGS) & ~F_AC) | value);
  updateAccess();
  return advance(rec);
}

// ---- HLT ------------------------------------------------------------------------------------------------------------------
/** HLT. `ends`. */
export function op_hlt(rec: u32): i32 {
  if (cpl() != 0) return gp0();
  advance(rec);
  // The single-step trap is due already.
  if (wakes() || load<i32>(EFLAGS) & F_TF) {
    attention();
    return JUMP;
  }
  store<i32>(ACTIVITY, ACT_HALTED);
  return leave(EXIT_HLT, 0);
}

// ---- time -------------------------------------------------------------------------------------------------------------------
function refusedTsc(): bool {
  return (load<i32>(CR4) & CR4_TSD) != 0 && cpl() != 0 && (isProtected() || isVm());
}

function putTsc(): void {
  const t = tsc();
  setReg(0, t & 0xffffffff);
  setReg(2, <i64>(<u64>t >> 32));
}

/** RDTSC. */
export function op_rdtsc(rec: u32): i32 {
  if (refusedTsc()) return gp0();
  putTsc();
  return NEXT;
}

/** RDTSCP. */
export function op_rdtscp(rec: u32): i32 {
  if (refusedTsc()) return gp0();
  putTsc();
  setReg(1, load<i64>(MSR_TSC_AUX) & 0xffffffff);
  return NEXT;
}

/** RDPID r. Field a = GPR (full width by mode). */
export function op_rdpid(rec: u32): i32 {
  writeField(load<u8>(rec, REC_A), 8, load<i64>(MSR_TSC_AUX) & 0xffffffff);
  return NEXT;
}

/** RDPMC: there are no counters. */
export function op_rdpmc(rec: u32): i32 {
  return gp0();
}

// ---- random numbers ---------------------------------------------------------------------------------------------------------
/** RDRAND r, RDSEED r. Field a = GPR. `size`: operand size. */
export function op_rdrand(rec: u32, size: i32): i32 {
  entropy();
  writeField(load<u8>(rec, REC_A), size, load<i64>(ENTROPY_VALUE));
  setFlags(F_CF, F_ARITH);
  return NEXT;
}
