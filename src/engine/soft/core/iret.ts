// IRET in every form (SDM vol. 2, IRET/IRETD/IRETQ).
import {
  CPL,
  CS,
  DS,
  EFLAGS,
  ES,
  FAULT,
  FS,
  GS,
  JUMP,
  MODE,
  MODE_64,
  MODE_LONG,
  MODE_PE,
  MODE_VM,
  PEND_NMI,
  PEND_NMI_MASKED,
  PENDING,
  RIP,
  SS,
} from '../layout';
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
} from './descriptors';
import { setFlags } from './flags';
import { interruptsMayGo, updateMode } from './mode';
import { BP_EXEC } from './private';
import { drop, dropPrivilegedSegments, RSP, setSp, stackLoad, stackMask } from './segments';
import {
  A_DB,
  A_L,
  A_UNUSABLE,
  attention,
  cpl,
  eflags,
  F_AC,
  F_ARITH,
  F_DF,
  F_ID,
  F_IF,
  F_IOPL,
  F_NT,
  F_RF,
  F_TF,
  F_VIF,
  F_VIP,
  F_VM,
  faulted,
  gp0,
  iopl,
  isCanonical,
  nextRip,
  raise,
  reg,
  segLimit,
  setReg,
  setSegment,
  V_GP,
  V_NP,
} from './state';
import { backLink, noSwitch, SWITCH_IRET, switchFault, taskSwitch } from './task';

const F_PLAIN = F_ARITH | F_TF | F_DF | F_NT;

/** IRET. `ends`. `size`: operand size. */
export function op_iret(rec: u32, size: i32): i32 {
  const mode = load<i32>(MODE);
  const next = nextRip(rec);
  let result: i32;
  noSwitch();
  // Even an IRET that faults unblocks NMIs (SDM vol. 3, 6.7.1).
  const pending = load<i32>(PENDING);
  if (pending & PEND_NMI_MASKED) {
    store<i32>(PENDING, pending & ~PEND_NMI_MASKED);
    if (pending & PEND_NMI) attention();
  }
  if (mode & MODE_PE) result = mode & MODE_LONG ? iretLong(size) : iretProtected(size, next);
  else if (mode & MODE_VM) result = iretVm(size);
  else result = iretReal(size);
  if (result) return switchFault();
  // RF protects one instruction from its breakpoint; without breakpoints nobody takes it away again.
  if (load<i32>(BP_EXEC) == 0) store<i32>(EFLAGS, load<i32>(EFLAGS) & ~F_RF);
  if ((mode & MODE_LONG) == 0) updateMode(); // iretLong has done so
  interruptsMayGo();
  return JUMP;
}

/** Real mode, and v8086 mode with IOPL 3: no checks but the limit. */
function iretReal(size: i32): i32 {
  const ip = stackLoad(0, size);
  if (faulted()) return FAULT;
  const selector = <i32>stackLoad(size, size) & 0xffff;
  if (faulted()) return FAULT;
  const flags = <i32>stackLoad(2 * size, size);
  if (faulted()) return FAULT;
  if (ip > <i64>segLimit(CS)) return gp0();
  const vm = (load<i32>(MODE) & MODE_VM) != 0;
  drop(3 * size);
  setSegment(CS, selector, <i64>(selector << 4), vm ? 0xffff : segLimit(CS), vm ? 0xf3 : 0x93);
  store<i64>(RIP, ip);
  let mask = F_PLAIN | F_IF | (vm ? 0 : F_IOPL);
  if (size == 4) mask |= F_RF | F_AC | F_ID;
  setFlags(flags, mask);
  return 0;
}

function iretVm(size: i32): i32 {
  if (iopl() < 3) return gp0();
  return iretReal(size);
}

/** Flags that a return at the present CPL may load. */
function flagMask(size: i32): i32 {
  let mask = F_PLAIN;
  if (cpl() <= iopl()) mask |= F_IF;
  if (cpl() == 0) mask |= F_IOPL;
  if (size != 2) {
    mask |= F_RF | F_AC | F_ID;
    if (cpl() == 0) mask |= F_VIF | F_VIP;
  }
  return mask;
}

/** Checks the code segment that a return goes to; leaves its descriptor at hand. */
export function checkReturnCs(selector: i32): bool {
  if (isNull(selector)) {
    raise(V_GP, 0);
    return false;
  }
  if (!needDescriptor(selector, 8, V_GP, 0)) return false;
  const rpl = selector & 3;
  if (!dIsCode() || rpl < cpl() || (dConforming() ? dDpl() > rpl : dDpl() != rpl)) {
    raise(V_GP, selector & 0xfffc);
    return false;
  }
  if (!dPresent()) {
    raise(V_NP, selector & 0xfffc);
    return false;
  }
  dMarkAccessed();
  return !faulted();
}

function iretProtected(size: i32, next: i64): i32 {
  if (eflags() & F_NT) {
    const link = backLink();
    if (faulted()) return FAULT;
    store<i64>(RIP, next);
    return taskSwitch(link, SWITCH_IRET, false, 0, 0);
  }
  const ip = stackLoad(0, size);
  if (faulted()) return FAULT;
  const selector = <i32>stackLoad(size, size) & 0xffff;
  if (faulted()) return FAULT;
  const flags = <i32>stackLoad(2 * size, size);
  if (faulted()) return FAULT;
  if (size == 4 && flags & F_VM && cpl() == 0) return returnToVm(ip, selector, flags);
  if (!checkReturnCs(selector)) return FAULT;
  if (ip > <i64>dLimit()) return gp0();
  const mask = flagMask(size);
  const rpl = selector & 3;
  if (rpl == cpl()) {
    drop(3 * size);
    loadCs(selector, rpl);
  } else {
    const codeLo = dLo;
    const codeHi = dHi;
    const sp = stackLoad(3 * size, size);
    if (faulted()) return FAULT;
    const ss = <i32>stackLoad(4 * size, size) & 0xffff;
    if (faulted()) return FAULT;
    if (!loadOuterStack(ss, rpl)) return FAULT;
    finishOuter(selector, rpl, codeLo, codeHi, ss, sp, size);
  }
  store<i64>(RIP, ip);
  setFlags(flags, mask);
  return 0;
}

/** Checks SS of an outer ring and leaves its descriptor at hand. */
export function loadOuterStack(ss: i32, rpl: i32): bool {
  if (!checkStack(ss, rpl, V_GP, 0)) return false;
  dMarkAccessed();
  return !faulted();
}

/** Loads CS, SS (its descriptor is at hand), (E)SP and CPL of an outer ring; data segments that it may not have go. */
export function finishOuter(selector: i32, rpl: i32, codeLo: u32, codeHi: u32, ss: i32, sp: i64, size: i32): void {
  setSegment(SS, ss, dBase(), dLimit(), dAttr());
  setDescriptor(codeLo, codeHi);
  loadCs(selector, rpl);
  store<i32>(CPL, rpl);
  dropPrivilegedSegments();
  updateMode();
  // A 16-bit return to a wide stack has only read the low half.
  if (size == 2 && stackMask() != 0xffff) setReg(RSP, sp & 0xffff);
  else setSp(sp);
}

function returnToVm(ip: i64, cs: i32, flags: i32): i32 {
  const words = memory.data(24); // ESP SS ES DS FS GS
  for (let i = 0; i < 6; i++) {
    store<u32>(words + (i << 2), <u32>stackLoad(12 + i * 4, 4));
    if (faulted()) return FAULT;
  }
  setFlags(flags, F_PLAIN | F_IF | F_IOPL | F_RF | F_VM | F_AC | F_ID | F_VIF | F_VIP);
  vmSegment(CS, cs);
  vmSegment(SS, load<u16>(words + 4));
  vmSegment(ES, load<u16>(words + 8));
  vmSegment(DS, load<u16>(words + 12));
  vmSegment(FS, load<u16>(words + 16));
  vmSegment(GS, load<u16>(words + 20));
  store<i32>(CPL, 3);
  updateMode();
  setReg(RSP, <i64>load<u32>(words));
  store<i64>(RIP, ip & 0xffff);
  return 0;
}

function vmSegment(seg: i32, selector: i32): void {
  setSegment(seg, selector, <i64>(selector << 4), 0xffff, 0xf3);
}

function iretLong(size: i32): i32 {
  if (eflags() & F_NT) return gp0();
  const from64 = (load<i32>(MODE) & MODE_64) != 0;
  const ip = stackLoad(0, size);
  if (faulted()) return FAULT;
  const selector = <i32>stackLoad(size, size) & 0xffff;
  if (faulted()) return FAULT;
  const flags = <i32>stackLoad(2 * size, size);
  if (faulted()) return FAULT;
  const rpl = selector & 3;
  const outer = rpl != cpl();
  let sp: i64 = 0;
  let ss = 0;
  if (from64 || outer) {
    sp = stackLoad(3 * size, size);
    if (faulted()) return FAULT;
    ss = <i32>stackLoad(4 * size, size) & 0xffff;
    if (faulted()) return FAULT;
  }
  if (!checkReturnCs(selector)) return FAULT;
  const to64 = (dAttr() & A_L) != 0;
  if (to64 ? !isCanonical(ip) || (dAttr() & A_DB) != 0 : ip > <i64>dLimit()) return gp0();
  const codeLo = dLo;
  const codeHi = dHi;
  const mask = flagMask(size);
  if (from64 || outer) {
    if (isNull(ss)) {
      // Only 64-bit code may run without a stack segment, and not in ring 3.
      if (!to64 || rpl == 3 || (ss & 3) != rpl) return gp0();
      setSegment(SS, ss, 0, 0, A_UNUSABLE | (rpl << 5));
    } else {
      if (!loadOuterStack(ss, rpl)) return FAULT;
      setSegment(SS, ss, dBase(), dLimit(), dAttr());
    }
  } else drop(3 * size);
  setDescriptor(codeLo, codeHi);
  loadCs(selector, rpl);
  store<i32>(CPL, rpl);
  if (outer) dropPrivilegedSegments();
  setFlags(flags, mask);
  updateMode();
  if (from64 || outer) {
    if (size == 2 && stackMask() != 0xffff) setReg(RSP, sp & 0xffff);
    else setSp(sp);
  }
  store<i64>(RIP, ip);
  return 0;
}
