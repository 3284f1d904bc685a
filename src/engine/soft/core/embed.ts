// What the engine's JavaScript asks of the core beside running it: power-on state, state from outside, translation.
import {
  ACT_RUNNING,
  ACTIVITY,
  CPL,
  CR0,
  CR2,
  CR3,
  CR4,
  CS,
  DEBUG_STEP,
  DR,
  EFER,
  EFLAGS,
  FAULT_VECTOR,
  FLAG_AUX,
  FLAG_RES,
  FPR,
  FPU_CW,
  GDTR,
  IDTR,
  INT_SHADOW,
  LDTR,
  MSR_MISC_ENABLE,
  MSR_PAT,
  MSR_STAR,
  MXCSR,
  PEND_INTR,
  PENDING,
  R_EA,
  REGS,
  RIP,
  SCRATCH,
  SEG_ATTR,
  SEGS,
  SS,
  TR,
  TRANSLATED,
  XCR0,
  XMM,
  YMMH,
} from '../layout';
import { initCode } from './code';
import { armBreakpoints } from './debug';
import { x87_fninit, x87_fxrstor, x87_fxsave } from './float/x87state';
import { initJumpCache } from './jumpcache';
import { translateQuiet } from './mmu';
import { updateControl, updateMode } from './mode';
import { loadPdptes } from './pdpte';
import { MSR_MTRR_DEF_TYPE, MSR_MTRR_FIX, MSR_UCODE_REV, STEP, STEP_NONE } from './private';
import { attention, CR4_PAE, cr0, cr4, EFER_LMA, efer, F_VM, setSegment } from './state';
import { flushAll, initTlb } from './tlb';

const BP_ARMED_FROM: i32 = 0xa40; // SHADOW_RIP and what follows of the core's private state per CPU
let started: bool = false;

// Access rights as in layout.ts: present data, read/write, accessed; code likewise; LDT; busy 32-bit TSS.
const DATA: i32 = 0x93;
const CODE: i32 = 0x9b;
const LDT: i32 = 0x82;
const TSS32_BUSY: i32 = 0x8b;

/** Power-on state (SDM vol. 3, table 10-1). Family, model and stepping are in EDX, as after a reset. */
export function resetCpu(): void {
  if (!started) {
    started = true;
    initTlb();
    initJumpCache();
    initCode();
  }
  memory.fill(REGS, 0, R_EA + 8);
  memory.fill(BP_ARMED_FROM, 0, 0x200);
  store<i64>(RIP, 0xfff0);
  store<i64>(FLAG_RES, 1);
  store<i32>(FLAG_AUX, 0);
  store<i32>(EFLAGS, 2);
  for (let n = 0; n < 6; n++) setSegment(n, 0, 0, 0xffff, DATA);
  setSegment(CS, 0xf000, 0xffff0000, 0xffff, CODE);
  setSegment(LDTR, 0, 0, 0xffff, LDT);
  setSegment(TR, 0, 0, 0xffff, TSS32_BUSY);
  store<i64>(GDTR, 0);
  store<u32>(GDTR + 8, 0xffff);
  store<i64>(IDTR, 0);
  store<u32>(IDTR + 8, 0xffff);
  store<i64>(CR0, 0x60000010);
  store<i64>(CR2, 0);
  store<i64>(CR3, 0);
  store<i64>(CR4, 0);
  store<i64>(EFER, 0);
  store<i64>(XCR0, 1);
  memory.fill(DR, 0, 64);
  store<i64>(DR + 48, 0xffff0ff0);
  store<i64>(DR + 56, 0x400);
  memory.fill(MSR_STAR, 0, FPR - MSR_STAR);
  store<i64>(MSR_UCODE_REV, (1 as i64) << 32);
  // As firmware leaves the MTRRs: on, and write-back throughout.
  memory.fill(MSR_MTRR_FIX, 6, 88);
  store<i64>(MSR_MTRR_DEF_TYPE, 0xc06);
  store<i64>(MSR_PAT, 0x0007040600070406);
  store<i64>(MSR_MISC_ENABLE, 1); // fast strings
  x87_fninit();
  store<i32>(FPU_CW, 0x40);
  store<i32>(MXCSR, 0x1f80);
  memory.fill(XMM, 0, 256);
  memory.fill(YMMH, 0, 256);
  store<i32>(CPL, 0);
  store<i32>(INT_SHADOW, 0);
  store<i32>(PENDING, load<i32>(PENDING) & PEND_INTR);
  store<i32>(FAULT_VECTOR, -1);
  store<i32>(ACTIVITY, ACT_RUNNING);
  store<i32>(STEP, STEP_NONE);
  store<i32>(DEBUG_STEP, 0);
  armBreakpoints();
  flushAll();
  updateControl();
}

/** `run` ends with EXIT_DEBUG after the next instruction. */
export function stepOnce(): void {
  store<i32>(DEBUG_STEP, 1);
  updateMode();
}

/** After JavaScript wrote registers: privilege level, mode, PDPTEs and breakpoints follow from them, TLBs are stale. */
export function stateLoaded(): void {
  const flags = load<i32>(EFLAGS);
  let cpl = 0;
  if (cr0() & 1) cpl = flags & F_VM ? 3 : (load<i32>(SEGS + (SS << 5) + SEG_ATTR) >> 5) & 3;
  store<i32>(CPL, cpl);
  if (cr0() < 0 && cr4() & CR4_PAE && !(efer() & EFER_LMA)) loadPdptes(load<i64>(CR3));
  store<i32>(FAULT_VECTOR, -1);
  store<i32>(STEP, STEP_NONE);
  armBreakpoints();
  flushAll();
  updateControl();
}

/** FXSAVE64 image at a linear-memory address, all 16 XMM registers. */
export function fxsaveImage(at: usize): void {
  memory.fill(at, 0, 512);
  x87_fxsave(at, 1, 16);
  store<u32>(at + 24, load<u32>(MXCSR));
  store<u32>(at + 28, 0xffff);
}

export function fxrstorImage(at: usize): void {
  x87_fxrstor(at, 1, 16);
}

/** Linear to guest-physical without side effects; 1 and the gpa at TRANSLATED, or 0. */
export function translate(low: u32, high: u32): i32 {
  const keep = load<i64>(SCRATCH);
  const found = translateQuiet(low, high);
  if (found) store<i64>(TRANSLATED, load<i64>(SCRATCH));
  store<i64>(SCRATCH, keep);
  return found;
}

export function requestEvents(): void {
  attention();
}
