// Far JMP, CALL and RET (SDM vol. 2): direct, through call gates, to other tasks.
import {
  CPL,
  CS,
  FAULT,
  JUMP,
  MODE,
  MODE_LONG,
  MODE_PE,
  MODE_VM,
  NEXT,
  REC_DISP,
  REC_IMM,
  RIP,
  SS,
  TR,
} from '../layout';
import {
  checkStack,
  dAddress,
  dAttr,
  dBase,
  dConforming,
  dDpl,
  dHi,
  dIsCode,
  dKind,
  dLimit,
  dLo,
  dMarkAccessed,
  dPresent,
  isNull,
  loadCs,
  needDescriptor,
  notPresent,
  setDescriptor,
  T_CALL,
  T_CALL16,
  T_TASK,
  T_TSS,
  T_TSS16,
} from './descriptors';
import { checkReturnCs, finishOuter, loadOuterStack } from './iret';
import { currentSet, ld, sysLd, systemSet } from './mmu';
import { updateMode } from './mode';
import {
  beginCurrentStack,
  beginStack,
  commitSp,
  drop,
  nsPush,
  RSP,
  setSp,
  setStackError,
  stackLoad,
} from './segments';
import {
  A_DB,
  A_L,
  A_UNUSABLE,
  cpl,
  ea,
  faulted,
  gp0,
  isCanonical,
  nextRip,
  raise,
  reg,
  segBase,
  segLimit,
  segSelector,
  setSegment,
  V_GP,
  V_TS,
} from './state';
import { SWITCH_CALL, SWITCH_JUMP, switchFault, taskSwitch } from './task';
import { readInnerStack, tssSp, tssSs } from './tss';

/** JMP ptr16:16/32. `ends`. Fields: imm = offset, disp = selector. */
export function op_jmpFar(rec: u32, size: i32): i32 {
  return jumpFar(rec, load<i32>(rec, REC_DISP) & 0xffff, <i64>load<u32>(rec, REC_IMM), size);
}

/** CALL ptr16:16/32. `ends`. */
export function op_callFar(rec: u32, size: i32): i32 {
  return callFar(rec, load<i32>(rec, REC_DISP) & 0xffff, <i64>load<u32>(rec, REC_IMM), size);
}

/** JMP m16:16/32/64. `ends`. Memory operand of 2 + size bytes. */
export function op_jmpFarMem(rec: u32, size: i32): i32 {
  const address = ea(rec);
  const offset = ld(address, size);
  if (faulted()) return FAULT;
  const selector = <i32>ld(address + <i64>size, 2);
  return faulted() ? FAULT : jumpFar(rec, selector, offset, size);
}

/** CALL m16:16/32/64. `ends`. */
export function op_callFarMem(rec: u32, size: i32): i32 {
  const address = ea(rec);
  const offset = ld(address, size);
  if (faulted()) return FAULT;
  const selector = <i32>ld(address + <i64>size, 2);
  return faulted() ? FAULT : callFar(rec, selector, offset, size);
}

/** Loads CS as real and v8086 mode do. */
function realCs(selector: i32): void {
  const vm = (load<i32>(MODE) & MODE_VM) != 0;
  setSegment(CS, selector, <i64>(selector << 4), vm ? 0xffff : segLimit(CS), vm ? 0xf3 : 0x93);
}

/** A code segment as the direct target of a jump or call; its descriptor is at hand. */
function checkDirect(selector: i32): i32 {
  const error = selector & 0xfffc;
  if (dConforming() ? dDpl() > cpl() : (selector & 3) > cpl() || dDpl() != cpl()) return raise(V_GP, error);
  if (load<i32>(MODE) & MODE_LONG && (dAttr() & (A_L | A_DB)) == (A_L | A_DB)) return raise(V_GP, error);
  if (!dPresent()) return notPresent(selector, 0);
  dMarkAccessed();
  return faulted() ? FAULT : NEXT;
}

/** Whether `offset` may be RIP in the code segment at hand: #GP(0) if not. */
function checkOffset(offset: i64): bool {
  const good = load<i32>(MODE) & MODE_LONG && dAttr() & A_L ? isCanonical(offset) : <u64>offset <= <u64>dLimit();
  if (!good) gp0();
  return good;
}

function jumpFar(rec: u32, selector: i32, offset: i64, size: i32): i32 {
  if ((load<i32>(MODE) & MODE_PE) == 0) {
    if (offset > <i64>segLimit(CS)) return gp0();
    realCs(selector);
    store<i64>(RIP, offset);
    updateMode();
    return JUMP;
  }
  if (isNull(selector)) return gp0();
  if (!needDescriptor(selector, 8, V_GP, 0)) return FAULT;
  if (dIsCode()) {
    if (checkDirect(selector)) return FAULT;
    if (!checkOffset(offset)) return FAULT;
  } else {
    const kind = dKind();
    const long = (load<i32>(MODE) & MODE_LONG) != 0;
    if (
      long ? kind != T_CALL : kind != T_CALL && kind != T_CALL16 && kind != T_TASK && kind != T_TSS && kind != T_TSS16
    )
      return raise(V_GP, selector & 0xfffc);
    if (dDpl() < cpl() || dDpl() < (selector & 3)) return raise(V_GP, selector & 0xfffc);
    if (!dPresent()) return notPresent(selector, 0);
    if (kind == T_TASK || kind == T_TSS || kind == T_TSS16) {
      store<i64>(RIP, nextRip(rec));
      if (taskSwitch(kind == T_TASK ? <i32>(dLo >> 16) : selector, SWITCH_JUMP, false, 0, 0)) return switchFault();
      return JUMP;
    }
    if (!readGate(selector, kind)) return FAULT;
    // A jump through a gate stays at its privilege.
    if (dConforming() ? dDpl() > cpl() : dDpl() != cpl()) return raise(V_GP, gateSelector & 0xfffc);
    if (!dPresent()) return notPresent(gateSelector, 0);
    dMarkAccessed();
    if (faulted() || !checkOffset(gateOffset)) return FAULT;
    selector = gateSelector;
    offset = gateOffset;
  }
  loadCs(selector, cpl());
  store<i64>(RIP, offset);
  updateMode();
  return JUMP;
}

let gateSelector: i32 = 0;
let gateOffset: i64 = 0;
let gateCount: i32 = 0;
let gateSize: i32 = 0;

/** Takes the call gate at hand apart and puts its code segment's descriptor at hand. */
function readGate(selector: i32, kind: i32): bool {
  const long = (load<i32>(MODE) & MODE_LONG) != 0;
  gateSelector = <i32>(dLo >> 16);
  gateCount = <i32>(dHi & 31);
  gateSize = long ? 8 : kind == T_CALL ? 4 : 2;
  gateOffset = <i64>((dLo & 0xffff) | (kind == T_CALL ? dHi & 0xffff0000 : 0));
  if (long) {
    if (!needDescriptor(selector, 16, V_GP, 0)) return false;
    const high = sysLd(dAddress + 8, 8);
    if (faulted()) return false;
    if ((high >> 40) & 31) {
      raise(V_GP, selector & 0xfffc);
      return false;
    }
    gateOffset |= high << 32;
  }
  if (isNull(gateSelector)) {
    gp0();
    return false;
  }
  if (!needDescriptor(gateSelector, 8, V_GP, 0)) return false;
  const bad = !dIsCode() || dDpl() > cpl() || (long && (dAttr() & (A_L | A_DB)) != A_L);
  if (bad) raise(V_GP, gateSelector & 0xfffc);
  return !bad;
}

function callFar(rec: u32, selector: i32, offset: i64, size: i32): i32 {
  const next = nextRip(rec);
  if ((load<i32>(MODE) & MODE_PE) == 0) {
    if (offset > <i64>segLimit(CS)) return gp0();
    setStackError(0);
    beginCurrentStack(currentSet());
    if (nsPush(<i64>segSelector(CS), size) || nsPush(next, size)) return FAULT;
    commitSp();
    realCs(selector);
    store<i64>(RIP, offset);
    updateMode();
    return JUMP;
  }
  if (isNull(selector)) return gp0();
  if (!needDescriptor(selector, 8, V_GP, 0)) return FAULT;
  if (!dIsCode()) return callGate(rec, selector);
  if (checkDirect(selector)) return FAULT;
  if (!checkOffset(offset)) return FAULT;
  setStackError(0);
  const lo = dLo;
  const hi = dHi;
  beginCurrentStack(currentSet());
  if (nsPush(<i64>segSelector(CS), size) || nsPush(next, size)) return FAULT;
  commitSp();
  setDescriptor(lo, hi);
  loadCs(selector, cpl());
  store<i64>(RIP, offset);
  updateMode();
  return JUMP;
}

function callGate(rec: u32, selector: i32): i32 {
  const kind = dKind();
  const long = (load<i32>(MODE) & MODE_LONG) != 0;
  if (long ? kind != T_CALL : kind != T_CALL && kind != T_CALL16 && kind != T_TASK && kind != T_TSS && kind != T_TSS16)
    return raise(V_GP, selector & 0xfffc);
  if (dDpl() < cpl() || dDpl() < (selector & 3)) return raise(V_GP, selector & 0xfffc);
  if (!dPresent()) return notPresent(selector, 0);
  const next = nextRip(rec);
  if (kind == T_TASK || kind == T_TSS || kind == T_TSS16) {
    store<i64>(RIP, next);
    if (taskSwitch(kind == T_TASK ? <i32>(dLo >> 16) : selector, SWITCH_CALL, false, 0, 0)) return switchFault();
    return JUMP;
  }
  if (!readGate(selector, kind)) return FAULT;
  if (!dPresent()) return notPresent(gateSelector, 0);
  dMarkAccessed();
  if (faulted() || !checkOffset(gateOffset)) return FAULT;
  const codeLo = dLo;
  const codeHi = dHi;
  const size = gateSize;
  const level = dDpl();
  if (dConforming() || level == cpl()) {
    setStackError(0);
    beginCurrentStack(currentSet());
    if (nsPush(<i64>segSelector(CS), size) || nsPush(next, size)) return FAULT;
    commitSp();
    setDescriptor(codeLo, codeHi);
    loadCs(gateSelector, cpl());
    store<i64>(RIP, gateOffset);
    updateMode();
    return JUMP;
  }
  // To an inner ring.
  let ss = 0;
  let ssLo: u32 = 0;
  let ssHi: u32 = 0;
  if (long) {
    const at: u32 = 4 + level * 8;
    if (at + 7 > segLimit(TR)) return raise(V_TS, segSelector(TR) & 0xfffc);
    const sp = sysLd(segBase(TR) + <i64>at, 8);
    if (faulted()) return FAULT;
    setStackError(0);
    beginStack(0, 0, 0, true, systemSet(), sp);
  } else {
    if (!readInnerStack(level, 0)) return FAULT;
    ss = tssSs;
    if (!checkStack(ss, level, V_TS, 0)) return FAULT;
    dMarkAccessed();
    if (faulted()) return FAULT;
    ssLo = dLo;
    ssHi = dHi;
    setStackError(ss & 0xfffc);
    beginStack(dBase(), dLimit(), dAttr(), false, systemSet(), tssSp);
  }
  if (nsPush(<i64>segSelector(SS), size) || nsPush(reg(RSP) & (long ? -1 : 0xffffffff), size)) return FAULT;
  if (!long) {
    for (let i = gateCount - 1; i >= 0; i--) {
      const v = stackLoad(i * size, size);
      if (faulted() || nsPush(v, size)) return FAULT;
    }
  }
  if (nsPush(<i64>segSelector(CS), size) || nsPush(next, size)) return FAULT;
  if (long) setSegment(SS, level, 0, 0, A_UNUSABLE | (level << 5));
  else {
    setDescriptor(ssLo, ssHi);
    setSegment(SS, ss, dBase(), dLimit(), dAttr());
  }
  setDescriptor(codeLo, codeHi);
  loadCs(gateSelector, level);
  store<i32>(CPL, level);
  updateMode();
  commitSp();
  store<i64>(RIP, gateOffset);
  return JUMP;
}

/** RET far. `ends`. `size`: operand size. */
export function op_retFar(rec: u32, size: i32): i32 {
  return returnFar(0, size);
}

/** RET far imm16. `ends`. */
export function op_retFarImm(rec: u32, size: i32): i32 {
  return returnFar(load<i32>(rec, REC_IMM) & 0xffff, size);
}

function returnFar(extra: i32, size: i32): i32 {
  const ip = stackLoad(0, size);
  if (faulted()) return FAULT;
  const selector = <i32>stackLoad(size, size) & 0xffff;
  if (faulted()) return FAULT;
  if ((load<i32>(MODE) & MODE_PE) == 0) {
    if (ip > <i64>segLimit(CS)) return gp0();
    drop(2 * size + extra);
    realCs(selector);
    store<i64>(RIP, ip);
    updateMode();
    return JUMP;
  }
  if (!checkReturnCs(selector)) return FAULT;
  if (!checkOffset(ip)) return FAULT;
  const rpl = selector & 3;
  if (rpl == cpl()) {
    drop(2 * size + extra);
    loadCs(selector, rpl);
    store<i64>(RIP, ip);
    updateMode();
    return JUMP;
  }
  const codeLo = dLo;
  const codeHi = dHi;
  const sp = stackLoad(2 * size + extra, size);
  if (faulted()) return FAULT;
  const ss = <i32>stackLoad(3 * size + extra, size) & 0xffff;
  if (faulted()) return FAULT;
  const to64 = (load<i32>(MODE) & MODE_LONG) != 0 && (dAttr() & A_L) != 0;
  if (isNull(ss) && to64 && rpl != 3 && (ss & 3) == rpl) setDescriptor(0, 0);
  else if (!loadOuterStack(ss, rpl)) return FAULT;
  finishOuter(selector, rpl, codeLo, codeHi, ss, sp, size);
  if (extra) setSp(reg(RSP) + <i64>extra);
  store<i64>(RIP, ip);
  return JUMP;
}
