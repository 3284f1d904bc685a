// RDMSR and WRMSR (SDM vol. 4). What isn't listed here belongs to the machine: local APIC, TSC deadline, unknown ones.
import {
  CFG_I386,
  EFER,
  FS,
  GS,
  MSR_CSTAR,
  MSR_FMASK,
  MSR_KERNEL_GS_BASE,
  MSR_LSTAR,
  MSR_MISC_ENABLE,
  MSR_PAT,
  MSR_SPEC_CTRL,
  MSR_STAR,
  MSR_SYSENTER_CS,
  MSR_SYSENTER_EIP,
  MSR_SYSENTER_ESP,
  MSR_TSC_ADJUST,
  MSR_TSC_AUX,
  NEXT,
  SEG_BASE,
} from '../layout';
import { ARCH_CAPABILITIES } from './cpuid';
import { msrRead, msrWrite, tscRead } from './env';
import { updateMode } from './mode';
import {
  MSR_DEBUGCTL,
  MSR_MTRR_DEF_TYPE,
  MSR_MTRR_FIX,
  MSR_MTRR_VAR,
  MSR_UCODE_REV,
  MSR_VALUE,
  TSC_VALUE,
} from './private';
import {
  advance,
  CR0_PG,
  cpl,
  cr0,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
  EFER_SCE,
  gp0,
  isCanonical,
  reg,
  segment,
  setReg,
} from './state';
import { flushAll } from './tlb';

const VARIABLE_MTRRS = 8;

/** Guest TSC now: both start at 0, and a write to either moves both (SDM vol. 3, 18.17.3), so their difference is TSC_ADJUST. */
export function tsc(): i64 {
  tscRead();
  return load<i64>(TSC_VALUE) + load<i64>(MSR_TSC_ADJUST);
}

/** Where an MSR that is plain storage lies; 0: not one of those. */
function storage(msr: u32): usize {
  if (msr >= 0x200 && msr < 0x200 + VARIABLE_MTRRS * 2) return MSR_MTRR_VAR + ((msr - 0x200) << 3);
  if (msr >= 0x268 && msr <= 0x26f) return MSR_MTRR_FIX + ((msr - 0x268 + 3) << 3);
  switch (msr) {
    case 0x48:
      return MSR_SPEC_CTRL;
    case 0x8b:
      return MSR_UCODE_REV;
    case 0x174:
      return MSR_SYSENTER_CS;
    case 0x175:
      return MSR_SYSENTER_ESP;
    case 0x176:
      return MSR_SYSENTER_EIP;
    case 0x1a0:
      return MSR_MISC_ENABLE;
    case 0x1d9:
      return MSR_DEBUGCTL;
    case 0x250:
      return MSR_MTRR_FIX;
    case 0x258:
      return MSR_MTRR_FIX + 8;
    case 0x259:
      return MSR_MTRR_FIX + 16;
    case 0x277:
      return MSR_PAT;
    case 0x2ff:
      return MSR_MTRR_DEF_TYPE;
    case 0xc0000081:
      return MSR_STAR;
    case 0xc0000082:
      return MSR_LSTAR;
    case 0xc0000083:
      return MSR_CSTAR;
    case 0xc0000084:
      return MSR_FMASK;
    case 0xc0000102:
      return MSR_KERNEL_GS_BASE;
    case 0xc0000103:
      return MSR_TSC_AUX;
    case 0x3b:
      return MSR_TSC_ADJUST;
  }
  return 0;
}

/** MSRs that only long mode has. */
function hidden(msr: u32): bool {
  return load<i32>(CFG_I386) != 0 && msr >= 0xc0000081 && msr <= 0xc0000102;
}

/** Bits that may be set; a write of others is #GP. -1: any; -2: must be canonical. */
function writable(msr: u32): i64 {
  switch (msr) {
    case 0x48:
      return 0x407; // IBRS STIBP SSBD BHI_DIS_S
    case 0x174:
      return 0xffffffff;
    case 0x175:
    case 0x176:
    case 0xc0000082:
    case 0xc0000083:
    case 0xc0000102:
      return -2;
    case 0x2ff:
      return 0xcff;
    case 0xc0000084:
    case 0xc0000103:
      return 0xffffffff;
  }
  return -1;
}

/** RDMSR. */
export function op_rdmsr(rec: u32): i32 {
  if (cpl() != 0) return gp0();
  const msr = <u32>reg(1);
  let v: i64 = 0;
  const at = storage(msr);
  if (hidden(msr)) return gp0();
  if (at) v = load<i64>(at);
  else {
    switch (msr) {
      case 0x10:
        v = tsc();
        break;
      case 0x17: // PLATFORM_ID
      case 0x179: // MCG_CAP: no banks
      case 0x17a: // MCG_STATUS
        break;
      case 0x3a: // FEATURE_CONTROL: locked, nothing enabled
        v = 1;
        break;
      case 0xfe: // MTRRCAP: write-combining, fixed ranges, 8 variable ones
        v = 0x500 | VARIABLE_MTRRS;
        break;
      case 0x10a:
        v = ARCH_CAPABILITIES;
        break;
      case 0xc0000080:
        v = load<i64>(EFER);
        break;
      case 0xc0000100:
        v = load<i64>(segment(FS), SEG_BASE);
        break;
      case 0xc0000101:
        v = load<i64>(segment(GS), SEG_BASE);
        break;
      default:
        if (!msrRead(msr)) return gp0();
        v = load<i64>(MSR_VALUE);
        store<i64>(MSR_VALUE, 0);
    }
  }
  setReg(0, v & 0xffffffff);
  setReg(2, <i64>(<u64>v >> 32));
  return NEXT;
}

/** WRMSR. `ends`. */
export function op_wrmsr(rec: u32): i32 {
  if (cpl() != 0) return gp0();
  const msr = <u32>reg(1);
  const v = (reg(0) & 0xffffffff) | (reg(2) << 32);
  if (hidden(msr)) return gp0();
  const at = storage(msr);
  if (at) {
    if (!storeMsr(msr, at, v)) return gp0();
    return advance(rec);
  }
  switch (msr) {
    case 0x10:
      adjustTsc(load<i64>(MSR_TSC_ADJUST) + v - tsc());
      break;
    case 0x49: // PRED_CMD
      if (v & ~1) return gp0();
      break;
    case 0x17:
    case 0x3a:
    case 0xfe:
    case 0x10a:
    case 0x179:
      return gp0();
    case 0x17a:
      if (v) return gp0();
      break;
    case 0xc0000080:
      if (!setEfer(v)) return gp0();
      break;
    case 0xc0000100:
      if (!isCanonical(v)) return gp0();
      store<i64>(segment(FS), v, SEG_BASE);
      break;
    case 0xc0000101:
      if (!isCanonical(v)) return gp0();
      store<i64>(segment(GS), v, SEG_BASE);
      break;
    default:
      if (!msrWrite(msr, <i32>v, <i32>(v >> 32))) return gp0();
  }
  return advance(rec);
}

/** The guest's TSC jumps. The machine, which has the TSC deadlines, is told. */
function adjustTsc(v: i64): void {
  store<i64>(MSR_TSC_ADJUST, v);
  msrWrite(0x3b, <i32>v, <i32>(v >> 32));
}

function storeMsr(msr: u32, at: usize, v: i64): bool {
  const allowed = writable(msr);
  if (allowed == -2) {
    if (!isCanonical(v)) return false;
  } else if (v & ~allowed) return false;
  if (msr == 0x277) {
    for (let i: i64 = 0; i < 64; i += 8) {
      const type = (v >> i) & 0xff;
      if (type > 7 || type == 2 || type == 3) return false;
    }
  }
  if (msr == 0x3b) {
    adjustTsc(v);
    return true;
  }
  // A write to the microcode revision is how software asks for it: CPUID then leaves the true one there.
  if (msr == 0x8b) return true;
  store<i64>(at, v);
  return true;
}

function setEfer(v: i64): bool {
  const i386 = load<i32>(CFG_I386) != 0;
  const known: i64 = i386 ? EFER_NXE : EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
  if (v & ~known) return false;
  const old = load<i64>(EFER);
  if ((v ^ old) & EFER_LME && cr0() & <i32>CR0_PG) return false;
  store<i64>(EFER, (v & ~EFER_LMA) | (old & EFER_LMA));
  if ((v ^ old) & EFER_NXE) flushAll();
  updateMode();
  return true;
}
