// SYSCALL, SYSRET, SYSENTER, SYSEXIT, and the FS and GS base instructions (SDM vol. 2).
import {
  CPL,
  CR4,
  CS,
  EFLAGS,
  JUMP,
  MODE,
  MODE_64,
  MODE_LONG,
  MODE_PE,
  MSR_FMASK,
  MSR_LSTAR,
  MSR_STAR,
  MSR_SYSENTER_CS,
  MSR_SYSENTER_EIP,
  MSR_SYSENTER_ESP,
  NEXT,
  REC_A,
  RIP,
  SEG_BASE,
  SS,
} from '../layout';
import { getFlags, setFlags } from './flags';
import { interruptsMayGo, updateMode } from './mode';
import { STEP, STEP_NONE } from './private';
import {
  CR4_FSGSBASE,
  cpl,
  EFER_SCE,
  efer,
  F_IF,
  F_RF,
  F_TF,
  F_VM,
  gp0,
  is64,
  isCanonical,
  nextRip,
  readField,
  reg,
  segment,
  setReg,
  setSegment,
  ud,
  writeField,
} from './state';

// Flat segments as these instructions load them: accessed, present, 4 GiB.
const CODE64 = 0xa09b;
const CODE32 = 0xc09b;
const DATA = 0xc093;
const RING3 = 0x60;

const RCX = 1;
const RDX = 2;
const RSP = 4;
const R11 = 11;

function flat(seg: i32, selector: i32, attr: i32): void {
  setSegment(seg, selector, 0, 0xffffffff, attr);
}

/** SYSCALL. `ends`. Intel: 64-bit mode only. */
export function op_syscall(rec: u32): i32 {
  if (!is64() || (efer() & EFER_SCE) == 0) return ud();
  const flags = getFlags();
  setReg(RCX, nextRip(rec));
  setReg(R11, <i64>(flags & ~F_RF));
  store<i64>(RIP, load<i64>(MSR_LSTAR));
  setFlags(flags & ~load<i32>(MSR_FMASK) & ~F_RF, -1);
  if ((load<i32>(EFLAGS) & F_TF) == 0) store<i32>(STEP, STEP_NONE);
  const selector = <i32>(load<i64>(MSR_STAR) >> 32) & 0xfffc;
  flat(CS, selector, CODE64);
  flat(SS, (selector + 8) & 0xffff, DATA);
  store<i32>(CPL, 0);
  updateMode();
  return JUMP;
}

/** SYSRET. `ends`. `size`: operand size; 8 returns to 64-bit code. */
export function op_sysret(rec: u32, size: i32): i32 {
  if (!is64() || (efer() & EFER_SCE) == 0) return ud();
  if (cpl() != 0) return gp0();
  const base = <i32>(load<i64>(MSR_STAR) >> 48) & 0xffff;
  const target = reg(RCX);
  if (size == 8) {
    if (!isCanonical(target)) return gp0();
    store<i64>(RIP, target);
    flat(CS, ((base + 16) & 0xffff) | 3, CODE64 | RING3);
  } else {
    store<i64>(RIP, target & 0xffffffff);
    flat(CS, base | 3, CODE32 | RING3);
  }
  flat(SS, ((base + 8) & 0xffff) | 3, DATA | RING3);
  setFlags((<i32>reg(R11) & 0x3c7fd7) | 2, -1);
  store<i32>(CPL, 3);
  updateMode();
  interruptsMayGo();
  return JUMP;
}

/** SYSENTER. `ends`. */
export function op_sysenter(rec: u32): i32 {
  const mode = load<i32>(MODE);
  const cs = load<i32>(MSR_SYSENTER_CS) & 0xfffc;
  if ((mode & (MODE_PE | MODE_LONG)) == 0 && (load<i32>(EFLAGS) & F_VM) == 0) return gp0();
  if (cs == 0) return gp0();
  store<i32>(EFLAGS, load<i32>(EFLAGS) & ~(F_VM | F_IF | F_RF));
  const long = (mode & MODE_LONG) != 0;
  const mask: i64 = long ? -1 : 0xffffffff;
  flat(CS, cs, long ? CODE64 : CODE32);
  flat(SS, (cs + 8) & 0xffff, DATA);
  store<i32>(CPL, 0);
  store<i64>(RIP, load<i64>(MSR_SYSENTER_EIP) & mask);
  setReg(RSP, load<i64>(MSR_SYSENTER_ESP) & mask);
  updateMode();
  return JUMP;
}

/** SYSEXIT. `ends`. `size`: operand size; 8 returns to 64-bit code. */
export function op_sysexit(rec: u32, size: i32): i32 {
  const cs = load<i32>(MSR_SYSENTER_CS) & 0xfffc;
  if ((load<i32>(MODE) & MODE_PE) == 0 || cpl() != 0 || cs == 0) return gp0();
  if (size == 8) {
    if (!isCanonical(reg(RCX)) || !isCanonical(reg(RDX))) return gp0();
    flat(CS, ((cs + 32) & 0xffff) | 3, CODE64 | RING3);
    flat(SS, ((cs + 40) & 0xffff) | 3, DATA | RING3);
    store<i64>(RIP, reg(RDX));
    setReg(RSP, reg(RCX));
  } else {
    flat(CS, ((cs + 16) & 0xffff) | 3, CODE32 | RING3);
    flat(SS, ((cs + 24) & 0xffff) | 3, DATA | RING3);
    store<i64>(RIP, reg(RDX) & 0xffffffff);
    setReg(RSP, reg(RCX) & 0xffffffff);
  }
  store<i32>(CPL, 3);
  updateMode();
  return JUMP;
}

function mayUseBases(): bool {
  return (load<i32>(MODE) & MODE_64) != 0 && (load<i32>(CR4) & CR4_FSGSBASE) != 0;
}

/** RDFSBASE (`seg` FS), RDGSBASE (GS). Field a = GPR. `size` 4 or 8. */
export function op_rdsegbase(rec: u32, size: i32, seg: i32): i32 {
  if (!mayUseBases()) return ud();
  writeField(load<u8>(rec, REC_A), size, load<i64>(segment(seg), SEG_BASE));
  return NEXT;
}

/** WRFSBASE, WRGSBASE. */
export function op_wrsegbase(rec: u32, size: i32, seg: i32): i32 {
  if (!mayUseBases()) return ud();
  const v = readField(load<u8>(rec, REC_A), size);
  if (!isCanonical(v)) return gp0();
  store<i64>(segment(seg), v, SEG_BASE);
  return NEXT;
}
