// Delivery of exceptions and interrupts (SDM vol. 3, chapter 6; 64-bit mode: 6.14; v8086: 20.3).
// RIP is the address to return to. A fault during delivery leaves the registers as they were.
import {
  COUNT,
  CPL,
  CS,
  DS,
  EFLAGS,
  ES,
  EXIT_SHUTDOWN,
  FAULT,
  FAULT_ERROR,
  FAULT_VECTOR,
  FS,
  GS,
  IDTR,
  INT_SHADOW,
  JUMP,
  MODE,
  MODE_LONG,
  MODE_PE,
  MODE_VM,
  NEXT,
  PEND_DB,
  PENDING,
  RIP,
  SS,
  STAT_EXCEPTIONS,
  STAT_INTERRUPTS,
  TR,
} from '../layout';
import { stopBefore } from './code';
import {
  checkStack,
  dAttr,
  dBase,
  dConforming,
  dDpl,
  dHi,
  dIsCode,
  dLimit,
  dLo,
  dMarkAccessed,
  dPresent,
  isNull,
  loadCs,
  needDescriptor,
  setDescriptor,
  T_INT,
  T_INT16,
  T_TASK,
  T_TRAP,
  T_TRAP16,
} from './descriptors';
import { getFlags } from './flags';
import { sysLd, systemSet } from './mmu';
import { updateMode } from './mode';
import { DB_BITS, STEP, STEP_NONE } from './private';
import { beginCurrentStack, beginStack, commitSp, nsPush, push, RSP, setStackError } from './segments';
import {
  A_DB,
  A_L,
  A_UNUSABLE,
  clearFault,
  cpl,
  F_AC,
  F_IF,
  F_NT,
  F_RF,
  F_TF,
  F_VM,
  faulted,
  isCanonical,
  leave,
  raise,
  reg,
  rip,
  segBase,
  segLimit,
  segSelector,
  setReg,
  setRip,
  setSegment,
  V_DB,
  V_DE,
  V_DF,
  V_GP,
  V_NP,
  V_PF,
  V_TS,
} from './state';
import { noSwitch, SWITCH_INTERRUPT, switched, taskSwitch } from './task';
import { userSet } from './tlb';
import { readInnerStack, tssSp, tssSs } from './tss';

// Where an event comes from.
export const K_HARDWARE = 0;
export const K_EXCEPTION = 1;
/** INT n, INT3, INTO: the gate's DPL is checked, and EXT stays clear. */
export const K_SOFTWARE = 2;
/** INT1. */
export const K_ICE = 3;

/** Whether an exception pushes an error code (in protected mode). */
function hasErrorCode(vector: i32): bool {
  // 8, 10 to 14, 17, 21
  return vector < 32 && (((0x227d00 as u32) >> (vector as u32)) & 1) != 0;
}

/** Delivers. 0, or FAULT with another fault raised. */
export function deliver(vector: i32, kind: i32, error: i32): i32 {
  const withError = kind == K_EXCEPTION && hasErrorCode(vector);
  const mode = load<i32>(MODE);
  store<i32>(INT_SHADOW, 0);
  store<i32>(STEP, STEP_NONE);
  if (mode & MODE_LONG) return deliverLong(vector, kind, withError, error);
  if (mode & (MODE_PE | MODE_VM)) return deliverProtected(vector, kind, withError, error);
  return deliverReal(vector);
}

/** RFLAGS as pushed: a fault sets RF, so that the instruction may be restarted past its breakpoint (SDM vol. 3, 18.3.1.1). */
function pushedFlags(vector: i32, kind: i32): i64 {
  const f = getFlags();
  const fault = kind == K_EXCEPTION && vector != V_DB && vector != V_DF;
  return <i64>(fault ? f | F_RF : f);
}

function deliverReal(vector: i32): i32 {
  if (<u32>(vector * 4 + 3) > load<u32>(IDTR, 8)) return raise(vector == V_DF ? V_DF : V_GP, 0);
  const entry = <i32>sysLd(load<i64>(IDTR) + <i64>(vector * 4), 4);
  if (faulted()) return FAULT;
  const sp = reg(RSP);
  if (push(<i64>getFlags(), 2)) return FAULT;
  if (push(<i64>segSelector(CS), 2) || push(rip(), 2)) {
    setReg(RSP, sp);
    return FAULT;
  }
  store<i32>(EFLAGS, load<i32>(EFLAGS) & ~(F_IF | F_TF | F_AC | F_RF));
  const selector = (entry >> 16) & 0xffff;
  setSegment(CS, selector, <i64>(selector << 4), segLimit(CS), 0x93);
  setRip(<i64>(entry & 0xffff));
  updateMode();
  return NEXT;
}

/** Checks the target of a gate; leaves its descriptor at hand. The new CPL, or -1 with a fault raised. */
function checkTarget(selector: i32, ext: i32, long: bool): i32 {
  if (isNull(selector)) {
    raise(V_GP, ext);
    return -1;
  }
  if (!needDescriptor(selector, 8, V_GP, ext)) return -1;
  const code = (selector & 0xfffc) | ext;
  if (!dIsCode() || dDpl() > cpl() || (long && (dAttr() & (A_L | A_DB)) != A_L)) {
    raise(V_GP, code);
    return -1;
  }
  if (!dPresent()) {
    raise(V_NP, code);
    return -1;
  }
  dMarkAccessed();
  if (faulted()) return -1;
  return dConforming() ? cpl() : dDpl();
}

function deliverLong(vector: i32, kind: i32, withError: bool, error: i32): i32 {
  const ext = kind == K_SOFTWARE ? 0 : 1;
  const code = vector * 8 + 2 + ext;
  if (<u32>(vector * 16 + 15) > load<u32>(IDTR, 8)) return raise(V_GP, code);
  const gate = load<i64>(IDTR) + <i64>(vector * 16);
  const low = sysLd(gate, 8);
  if (faulted()) return FAULT;
  const high = sysLd(gate + 8, 8);
  if (faulted()) return FAULT;
  const lo = <u32>low;
  const hi = <u32>(low >> 32);
  const type = <i32>(hi >> 8) & 31;
  if (type != T_INT && type != T_TRAP) return raise(V_GP, code);
  if (kind == K_SOFTWARE && (<i32>(hi >> 13) & 3) < cpl()) return raise(V_GP, code);
  if ((hi & 0x8000) == 0) return raise(V_NP, code);
  const selector = <i32>(lo >> 16);
  const level = checkTarget(selector, ext, true);
  if (level < 0) return FAULT;
  const target = <i64>((lo & 0xffff) | (hi & 0xffff0000)) | (high << 32);
  if (!isCanonical(target)) return raise(V_GP, ext);
  const ist = <i32>(hi & 7);
  let sp = reg(RSP);
  if (ist || level < cpl()) {
    const offset: u32 = ist ? 0x1c + ist * 8 : 4 + level * 8;
    if (offset + 7 > segLimit(TR)) return raise(V_TS, (segSelector(TR) & 0xfffc) | ext);
    sp = sysLd(segBase(TR) + <i64>offset, 8);
    if (faulted()) return FAULT;
  }
  setStackError(ext);
  beginStack(0, 0, 0, true, level == 3 ? userSet : systemSet(), sp & ~15);
  const flags = pushedFlags(vector, kind);
  if (
    nsPush(<i64>segSelector(SS), 8) ||
    nsPush(reg(RSP), 8) ||
    nsPush(flags, 8) ||
    nsPush(<i64>segSelector(CS), 8) ||
    nsPush(rip(), 8)
  )
    return FAULT;
  if (withError && nsPush(<i64>error, 8)) return FAULT;
  loadCs(selector, level);
  if (level < cpl()) {
    setSegment(SS, level, 0, 0, A_UNUSABLE | (level << 5));
    store<i32>(CPL, level);
  }
  clearFlags(type == T_INT);
  updateMode();
  commitSp();
  setRip(target);
  return NEXT;
}

function clearFlags(interruptGate: bool): void {
  store<i32>(EFLAGS, load<i32>(EFLAGS) & ~(F_TF | F_NT | F_RF | F_VM | (interruptGate ? F_IF : 0)));
}

function deliverProtected(vector: i32, kind: i32, withError: bool, error: i32): i32 {
  const ext = kind == K_SOFTWARE ? 0 : 1;
  const code = vector * 8 + 2 + ext;
  if (<u32>(vector * 8 + 7) > load<u32>(IDTR, 8)) return raise(V_GP, code);
  const gate = sysLd(load<i64>(IDTR) + <i64>(vector * 8), 8);
  if (faulted()) return FAULT;
  const lo = <u32>gate;
  const hi = <u32>(gate >> 32);
  const type = <i32>(hi >> 8) & 31;
  if (type != T_TASK && type != T_INT16 && type != T_TRAP16 && type != T_INT && type != T_TRAP)
    return raise(V_GP, code);
  if (kind == K_SOFTWARE && (<i32>(hi >> 13) & 3) < cpl()) return raise(V_GP, code);
  if ((hi & 0x8000) == 0) return raise(V_NP, code);
  const selector = <i32>(lo >> 16);
  if (type == T_TASK) return taskSwitch(selector, SWITCH_INTERRUPT, withError, error, ext);

  const size = type & 8 ? 4 : 2;
  const level = checkTarget(selector, ext, false);
  if (level < 0) return FAULT;
  const codeLo = dLo;
  const codeHi = dHi;
  const vm = (load<i32>(MODE) & MODE_VM) != 0;
  const inner = level < cpl();
  if (vm && level != 0) return raise(V_GP, (selector & 0xfffc) | ext);
  const target = <i64>((lo & 0xffff) | (size == 4 ? hi & 0xffff0000 : 0));
  if (target > <i64>dLimit()) return raise(V_GP, ext);
  let ssSelector = 0;
  let ssLo: u32 = 0;
  let ssHi: u32 = 0;
  if (inner) {
    if (!readInnerStack(level, ext)) return FAULT;
    ssSelector = tssSs;
    if (!checkStack(ssSelector, level, V_TS, ext)) return FAULT;
    dMarkAccessed();
    if (faulted()) return FAULT;
    ssLo = dLo;
    ssHi = dHi;
    setStackError((ssSelector & 0xfffc) | ext);
    beginStack(dBase(), dLimit(), dAttr(), false, level == 3 ? userSet : systemSet(), tssSp);
    if (vm) {
      if (
        nsPush(<i64>segSelector(GS), size) ||
        nsPush(<i64>segSelector(FS), size) ||
        nsPush(<i64>segSelector(DS), size) ||
        nsPush(<i64>segSelector(ES), size)
      )
        return FAULT;
    }
    if (nsPush(<i64>segSelector(SS), size) || nsPush(reg(RSP), size)) return FAULT;
  } else {
    setStackError(ext);
    beginCurrentStack(level == 3 ? userSet : systemSet());
  }
  const flags = pushedFlags(vector, kind);
  if (nsPush(flags, size) || nsPush(<i64>segSelector(CS), size) || nsPush(rip(), size)) return FAULT;
  if (withError && nsPush(<i64>error, size)) return FAULT;

  if (inner) {
    setDescriptor(ssLo, ssHi);
    setSegment(SS, ssSelector, dBase(), dLimit(), dAttr());
    store<i32>(CPL, level);
  }
  setDescriptor(codeLo, codeHi);
  loadCs(selector, level);
  if (vm) {
    setSegment(GS, 0, 0, 0, A_UNUSABLE);
    setSegment(FS, 0, 0, 0, A_UNUSABLE);
    setSegment(DS, 0, 0, 0, A_UNUSABLE);
    setSegment(ES, 0, 0, 0, A_UNUSABLE);
  }
  clearFlags((type & 1) == 0);
  updateMode();
  commitSp();
  setRip(target);
  return NEXT;
}

// ---- faults ------------------------------------------------------------------------------------------------------------
function isContributory(vector: i32): bool {
  return vector == V_DE || (vector >= V_TS && vector <= V_GP);
}

/**
 * Delivers the fault that is raised, with RIP as its address; faults on the way make double and triple faults (SDM vol. 3,
 * table 6-5). JUMP, or LEAVE.
 */
export function deliverHere(): i32 {
  let previous = -1;
  while (true) {
    let vector = load<i32>(FAULT_VECTOR);
    let error = load<i32>(FAULT_ERROR);
    clearFault();
    if (previous == V_DF) return leave(EXIT_SHUTDOWN, vector);
    const severe = isContributory(vector);
    if ((isContributory(previous) && severe) || (previous == V_PF && (severe || vector == V_PF))) {
      vector = V_DF;
      error = 0;
    }
    store<i64>(STAT_EXCEPTIONS, load<i64>(STAT_EXCEPTIONS) + 1);
    if (deliver(vector, K_EXCEPTION, error) == NEXT) return JUMP;
    previous = vector;
  }
  return JUMP;
}

/** The record's instruction has raised a fault. JUMP, or LEAVE. */
export function deliverFault(rec: u32): i32 {
  stopBefore(rec);
  // It counts all the same: a handler that faults at once must use its slice up.
  store<i32>(COUNT, load<i32>(COUNT) - 1);
  // Breakpoints that the instruction has hit count only if it completes.
  store<i32>(PENDING, load<i32>(PENDING) & ~PEND_DB);
  store<i32>(DB_BITS, 0);
  return deliverHere();
}

/** An interrupt from outside, at RIP. JUMP, or LEAVE. */
export function deliverInterrupt(vector: i32): i32 {
  store<i64>(STAT_INTERRUPTS, load<i64>(STAT_INTERRUPTS) + 1);
  return deliver(vector, K_HARDWARE, 0) == NEXT ? JUMP : deliverHere();
}

/** INT n and its like: `after` is the next instruction, `at` the instruction itself. JUMP, or LEAVE. */
export function softwareInterrupt(vector: i32, kind: i32, at: i64, after: i64): i32 {
  store<i64>(RIP, after);
  noSwitch();
  if (deliver(vector, kind, 0) == NEXT) return JUMP;
  if (!switched) store<i64>(RIP, at);
  return deliverHere();
}
