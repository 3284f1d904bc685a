// Hardware task switches (SDM vol. 3, chapter 7). Not in long mode.
import { CPL, CR0, CR3, CR4, CS, DR, EFLAGS, FAULT, GS, LDTR, NEXT, RIP, SS, TR } from '../layout';
import { armBreakpoints, noteTaskTrap } from './debug';
import {
  checkStack,
  dAddress,
  dAttr,
  dBase,
  dConforming,
  dDpl,
  dIsCode,
  dKind,
  dLimit,
  dLoadableAsData,
  dMarkAccessed,
  dPresent,
  isNull,
  loadFromDescriptor,
  needDescriptor,
  readDescriptor,
  T_LDT,
  T_TSS16,
  T_TSS16_BUSY,
} from './descriptors';
import { getFlags, setFlags } from './flags';
import { updateFpuFaults } from './fpu';
import { deliverHere } from './interrupts';
import { sysLd, sysSt } from './mmu';
import { updateMode } from './mode';
import { loadPdptes } from './pdpte';
import { push } from './segments';
import {
  A_UNUSABLE,
  CR0_TS,
  CR4_PAE,
  cr0,
  F_NT,
  F_VM,
  faulted,
  isLong,
  raise,
  reg,
  rip,
  segBase,
  segLimit,
  segSelector,
  setReg,
  setSegment,
  V_GP,
  V_NP,
  V_TS,
} from './state';
import { flushNonGlobal } from './tlb';
import { tssIs32 } from './tss';

export const SWITCH_JUMP = 0;
export const SWITCH_CALL = 1;
export const SWITCH_INTERRUPT = 2;
export const SWITCH_IRET = 3;

/** The back link of the current TSS; look at `faulted()`. */
export function backLink(): i32 {
  return <i32>sysLd(segBase(TR), 2);
}

function setBusy(address: i64, busy: bool): void {
  const hi = <i32>sysLd(address + 5, 1);
  if (faulted()) return;
  sysSt(address + 5, <i64>(busy ? hi | 2 : hi & ~2), 1);
}

/** Whether the last switch has passed the point of no return: a fault is then the new task's, and RIP is right already. */
export let switched: bool = false;

export function noSwitch(): void {
  switched = false;
}

/** What a handler returns after a switch that has faulted: FAULT where its instruction is to be restarted. */
export function switchFault(): i32 {
  return switched ? deliverHere() : FAULT;
}

/**
 * Switches to the task of a TSS selector. RIP is the address that the old task goes on at. 0 with RIP and everything
 * else loaded; FAULT before the point of no return (nothing changed) or in the new task (as the SDM has it).
 */
export function taskSwitch(selector: i32, why: i32, withError: bool, error: i32, ext: i32): i32 {
  const vector = why == SWITCH_IRET ? V_TS : V_GP;
  const code = (selector & 0xfffc) | ext;
  switched = false;
  if (isLong() || isNull(selector) || selector & 4) return raise(vector, code);
  if (!readDescriptor(selector, 8)) return faulted() ? FAULT : raise(vector, code);
  const kind = dKind();
  const wanted = why == SWITCH_IRET ? T_TSS16_BUSY : T_TSS16;
  if (kind != wanted && kind != (wanted | 8)) return raise(vector, code);
  if (!dPresent()) return raise(V_NP, code);
  const wide = (kind & 8) != 0;
  const limit = dLimit();
  const least: u32 = wide ? 0x67 : 0x2b;
  if (limit < least) return raise(V_TS, code);
  const base = dBase();
  const attr = dAttr();
  const address = dAddress;

  // Read all of the new TSS first: a page fault here leaves the old task untouched.
  const words = memory.data(128);
  const size = wide ? 4 : 2;
  const first = wide ? 0x20 : 0x0e; // EIP
  const count = wide ? 17 : 15; // EIP EFLAGS EAX..EDI ES CS SS DS FS GS LDT; 16 bits: no FS and GS
  let newCr3: i64 = 0;
  if (wide) {
    newCr3 = sysLd(base + 0x1c, 4);
    if (faulted()) return FAULT;
  }
  for (let i = 0; i < count; i++) {
    store<u32>(words + (i << 2), <u32>sysLd(base + <i64>(first + i * size), size));
    if (faulted()) return FAULT;
  }
  const trap = wide ? <i32>sysLd(base + 0x64, 2) & 1 : 0;
  if (faulted()) return FAULT;

  // Save the old task.
  const oldBase = segBase(TR);
  const oldWide = tssIs32();
  const oldSelector = segSelector(TR);
  let flags = getFlags();
  if (why == SWITCH_IRET) flags &= ~F_NT;
  const oldSize = oldWide ? 4 : 2;
  const oldFirst = oldWide ? 0x20 : 0x0e;
  let at = oldBase + <i64>oldFirst;
  if (!systemWritable(oldBase, oldWide ? 0x5f : 0x29)) return FAULT;
  sysSt(at, rip(), oldSize);
  sysSt(at + <i64>oldSize, <i64>flags, oldSize);
  for (let i = 0; i < 8; i++) sysSt(at + <i64>((2 + i) * oldSize), reg(i), oldSize);
  const oldSegments = oldWide ? 6 : 4;
  for (let i = 0; i < oldSegments; i++) sysSt(at + <i64>((10 + i) * oldSize), <i64>segSelector(i), 2);
  if (faulted()) return FAULT;
  if (why == SWITCH_CALL || why == SWITCH_INTERRUPT) {
    sysSt(base, <i64>oldSelector, 2);
    if (faulted()) return FAULT;
  }
  // Busy bits: the old one is freed by JMP and IRET, the new one taken by all but IRET.
  if (why == SWITCH_JUMP || why == SWITCH_IRET) {
    if (readDescriptor(oldSelector & ~7, 8)) setBusy(dAddress, false);
    if (faulted()) return FAULT;
  }
  if (why != SWITCH_IRET) setBusy(address, true);
  if (faulted()) return FAULT;

  // The new task. From here on faults happen in it.
  switched = true;
  store<i64>(RIP, <i64>load<u32>(words));
  setSegment(TR, selector, base, limit, attr | 2);
  store<i32>(CR0, cr0() | CR0_TS);
  updateFpuFaults();
  if (wide && cr0() < 0) {
    if (load<i32>(CR4) & CR4_PAE && !loadPdptes(newCr3)) return raise(V_GP, 0);
    store<i64>(CR3, newCr3);
    flushNonGlobal();
  }
  let newFlags = <i32>load<u32>(words + 4);
  if (!wide) newFlags = (newFlags & 0xffff) | (flags & ~0xffff & ~F_VM);
  if (why == SWITCH_CALL || why == SWITCH_INTERRUPT) newFlags |= F_NT;
  setFlags(newFlags, 0x3f7fd7);
  for (let i = 0; i < 8; i++) {
    const v = load<u32>(words + ((2 + i) << 2));
    setReg(i, wide ? <i64>v : <i64>(<u32>reg(i) & 0xffff0000) | <i64>v);
  }
  // DR7's local enables are cleared.
  store<i32>(DR + 56, load<i32>(DR + 56) & ~0x155);
  armBreakpoints();
  const ldt = <i32>load<u32>(words + ((wide ? 16 : 14) << 2)) & 0xffff;
  const result = loadTaskSegments(words, wide, ldt);
  updateMode();
  if (result) return result;
  if (withError && push(<i64>error, wide ? 4 : 2)) return FAULT;
  if (load<i64>(RIP) > <i64>segLimit(CS)) return raise(V_GP, 0);
  if (trap) noteTaskTrap();
  return NEXT;
}

/** Selectors of the new task, with the faults of table 7-1. */
function loadTaskSegments(words: usize, wide: bool, ldt: i32): i32 {
  const segments = wide ? 6 : 4;
  for (let i = 0; i <= GS; i++) {
    const s = i < segments ? <i32>load<u32>(words + ((10 + i) << 2)) & 0xffff : 0;
    setSegment(i, s, 0, 0, A_UNUSABLE);
  }
  setSegment(LDTR, ldt, 0, 0, A_UNUSABLE);
  const vm = (load<i32>(EFLAGS) & F_VM) != 0;
  const newCpl = vm ? 3 : segSelector(CS) & 3;
  store<i32>(CPL, newCpl);
  if (!isNull(ldt)) {
    if (ldt & 4) return raise(V_TS, ldt & 0xfffc);
    if (!needDescriptor(ldt, 8, V_TS, 0)) return FAULT;
    if (dKind() != T_LDT || !dPresent()) return raise(V_TS, ldt & 0xfffc);
    loadFromDescriptor(LDTR, ldt);
  }
  if (vm) {
    for (let i = 0; i <= GS; i++) setSegment(i, segSelector(i), <i64>(segSelector(i) << 4), 0xffff, 0xf3);
    return NEXT;
  }
  const cs = segSelector(CS);
  if (isNull(cs)) return raise(V_TS, 0);
  if (!needDescriptor(cs, 8, V_TS, 0)) return FAULT;
  if (!dIsCode()) return raise(V_TS, cs & 0xfffc);
  if (dConforming() ? dDpl() > newCpl : dDpl() != newCpl) return raise(V_TS, cs & 0xfffc);
  if (!dPresent()) return raise(V_NP, cs & 0xfffc);
  dMarkAccessed();
  if (faulted()) return FAULT;
  loadFromDescriptor(CS, cs);
  const ss = segSelector(SS);
  if (!checkStack(ss, newCpl, V_TS, 0)) return FAULT;
  dMarkAccessed();
  if (faulted()) return FAULT;
  loadFromDescriptor(SS, ss);
  for (let i = 0; i <= GS; i++) {
    if (i == CS || i == SS) continue;
    const s = segSelector(i);
    if (isNull(s)) continue;
    if (!needDescriptor(s, 8, V_TS, 0)) return FAULT;
    if (!dLoadableAsData(s)) return raise(V_TS, s & 0xfffc);
    if (!dPresent()) return raise(V_NP, s & 0xfffc);
    dMarkAccessed();
    if (faulted()) return FAULT;
    loadFromDescriptor(i, s);
  }
  return NEXT;
}

/** Whether the old TSS can be written, by writing its ends with what they hold. */
function systemWritable(base: i64, last: i32): bool {
  const a = sysLd(base, 1);
  if (faulted()) return false;
  sysSt(base, a, 1);
  if (faulted()) return false;
  const b = sysLd(base + <i64>last, 1);
  if (faulted()) return false;
  sysSt(base + <i64>last, b, 1);
  return !faulted();
}
