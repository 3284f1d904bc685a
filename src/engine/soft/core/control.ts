// Control registers and what goes with them: MOV CR, LMSW, SMSW, CLTS, INVLPG, INVPCID, XSETBV, XGETBV, cache instructions.
import { CPL, CR0, CR2, CR3, CR4, CS, EFER, FAULT, MAXPHYADDR, NEXT, REC_A, REC_B, XCR0 } from '../layout';
import { CPUID_XCR0 } from './cpuid';
import { armBreakpoints } from './debug';
import { readCr8, writeCr8 } from './env';
import { updateFpuFaults } from './fpu';
import { ld, st } from './mmu';
import { updateControl } from './mode';
import { loadPdptes } from './pdpte';
import { refusedByUmip } from './sreg';
import {
  A_L,
  advance,
  CR0_AM,
  CR0_CD,
  CR0_EM,
  CR0_ET,
  CR0_MP,
  CR0_NE,
  CR0_NW,
  CR0_PE,
  CR0_PG,
  CR0_TS,
  CR0_WP,
  CR4_DE,
  CR4_FSGSBASE,
  CR4_MCE,
  CR4_OSFXSR,
  CR4_OSXMMEXCPT,
  CR4_OSXSAVE,
  CR4_PAE,
  CR4_PCE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PSE,
  CR4_SMAP,
  CR4_SMEP,
  CR4_TSD,
  CR4_UMIP,
  cpl,
  cr0,
  cr4,
  EFER_LMA,
  EFER_LME,
  ea,
  efer,
  faulted,
  gp0,
  is64,
  isCanonical,
  isVm,
  readField,
  reg,
  segAttr,
  setReg,
  ud,
  writeField,
} from './state';
import { flushAll, flushAllNonGlobal, flushNonGlobal, flushPage, flushPcid, PCID_MASK, switchPcid } from './tlb';

const CR0_BITS = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | <i32>CR0_PG;
const CR4_BITS =
  CR4_TSD |
  CR4_DE |
  CR4_PSE |
  CR4_PAE |
  CR4_MCE |
  CR4_PGE |
  CR4_PCE |
  CR4_OSFXSR |
  CR4_OSXMMEXCPT |
  CR4_UMIP |
  CR4_FSGSBASE |
  CR4_PCIDE |
  CR4_OSXSAVE |
  CR4_SMEP |
  CR4_SMAP;

/** MOV r, CRn. Fields: a = GPR, b = register number. */
export function op_movFromCr(rec: u32): i32 {
  if (cpl() != 0) return gp0();
  let v: i64;
  switch (load<u8>(rec, REC_B)) {
    case 0:
      v = load<i64>(CR0);
      break;
    case 2:
      v = load<i64>(CR2);
      break;
    case 3:
      v = load<i64>(CR3);
      break;
    case 4:
      v = load<i64>(CR4);
      break;
    case 8:
      if (!is64()) return ud();
      v = <i64>readCr8();
      break;
    default:
      return ud();
  }
  writeField(load<u8>(rec, REC_A), is64() ? 8 : 4, v);
  return NEXT;
}

/** MOV CRn, r. `ends`. Fields: a = register number, b = GPR. */
export function op_movToCr(rec: u32): i32 {
  if (cpl() != 0) return gp0();
  const v = readField(load<u8>(rec, REC_B), is64() ? 8 : 4);
  switch (load<u8>(rec, REC_A)) {
    case 0:
      if (setCr0(v)) return FAULT;
      break;
    case 2:
      store<i64>(CR2, v);
      break;
    case 3:
      if (setCr3(v)) return FAULT;
      break;
    case 4:
      if (setCr4(v)) return FAULT;
      break;
    case 8:
      if (!is64()) return ud();
      if (<u64>v > 15) return gp0();
      writeCr8(<i32>v);
      break;
    default:
      return ud();
  }
  return advance(rec);
}

/** With all checks (SDM vol. 3, 2.5 and 4.1.2). 0, or FAULT. */
function setCr0(value: i64): i32 {
  if (<u64>value >> 32) return gp0();
  const v = (<i32>value & CR0_BITS) | CR0_ET;
  const old = cr0();
  if ((v & <i32>CR0_PG && !(v & CR0_PE)) || (v & CR0_NW && !(v & CR0_CD))) return gp0();
  const on = v & ~old & <i32>CR0_PG;
  const off = old & ~v & <i32>CR0_PG;
  if (on) {
    if (efer() & EFER_LME) {
      if (!(cr4() & CR4_PAE) || segAttr(CS) & A_L) return gp0();
    } else if (cr4() & CR4_PAE && !loadPdptes(load<i64>(CR3))) return gp0();
  }
  if (off && (is64() || cr4() & CR4_PCIDE)) return gp0();
  store<i64>(CR0, <i64>(<u32>v));
  if (on && efer() & EFER_LME) store<i64>(EFER, load<i64>(EFER) | EFER_LMA);
  if (off) store<i64>(EFER, load<i64>(EFER) & ~EFER_LMA);
  if ((v ^ old) & CR0_PE) store<i32>(CPL, 0);
  if ((v ^ old) & (CR0_PE | CR0_WP | <i32>CR0_PG)) flushAll();
  updateControl();
  return NEXT;
}

function setCr3(value: i64): i32 {
  if (efer() & EFER_LMA) {
    const keep = value < 0 && (cr4() & CR4_PCIDE) != 0;
    const v = cr4() & CR4_PCIDE ? value & 0x7fffffffffffffff : value;
    if (<u64>v >> MAXPHYADDR) return gp0();
    const changed = v ^ load<i64>(CR3);
    store<i64>(CR3, v);
    if (cr4() & CR4_PCIDE && <i32>changed & PCID_MASK) switchPcid(<i32>v & PCID_MASK, keep);
    else if (!keep || changed) flushNonGlobal();
    return NEXT;
  }
  if (cr0() < 0 && cr4() & CR4_PAE && !loadPdptes(value)) return gp0();
  store<i64>(CR3, value & 0xffffffff);
  flushNonGlobal();
  return NEXT;
}

function setCr4(value: i64): i32 {
  if (value & ~(<i64>CR4_BITS)) return gp0();
  const v = <i32>value;
  const old = cr4();
  const long = (efer() & EFER_LMA) != 0;
  if (long && !(v & CR4_PAE)) return gp0();
  if (v & ~old & CR4_PCIDE && (!long || load<i64>(CR3) & 0xfff)) return gp0();
  const paging = CR4_PGE | CR4_PAE | CR4_PSE | CR4_SMEP | CR4_SMAP | CR4_PCIDE;
  if (!long && cr0() < 0 && v & CR4_PAE && (v ^ old) & (CR4_PGE | CR4_PAE | CR4_PSE | CR4_SMEP)) {
    if (!loadPdptes(load<i64>(CR3))) return gp0();
  }
  store<i64>(CR4, <i64>v);
  if ((v ^ old) & paging) flushAll();
  if ((v ^ old) & CR4_DE) armBreakpoints();
  updateControl();
  return NEXT;
}

/** LMSW r/m16. `ends`. `mem`: 1 for memory; else field a = GPR. */
export function op_lmsw(rec: u32, mem: i32): i32 {
  if (cpl() != 0) return gp0();
  const v = mem ? <i32>ld(ea(rec), 2) : <i32>readField(load<u8>(rec, REC_A), 2);
  if (faulted()) return FAULT;
  // PE can be set and not cleared.
  const low = (v & 15) | (cr0() & CR0_PE);
  if (setCr0(<i64>(<u32>((cr0() & ~15) | low)))) return FAULT;
  return advance(rec);
}

/** SMSW r. Field a = GPR. `size`: operand size. */
export function op_smsw(rec: u32, size: i32): i32 {
  if (refusedByUmip()) return FAULT;
  writeField(load<u8>(rec, REC_A), size, load<i64>(CR0));
  return NEXT;
}

/** SMSW m16. */
export function op_smswMem(rec: u32): i32 {
  if (refusedByUmip()) return FAULT;
  st(ea(rec), load<i64>(CR0), 2);
  return faulted() ? FAULT : NEXT;
}

/** CLTS. `ends` (CR0.TS decides about #NM, which a block may look at once). */
export function op_clts(rec: u32): i32 {
  if (cpl() != 0) return gp0();
  store<i64>(CR0, load<i64>(CR0) & ~CR0_TS);
  updateFpuFaults();
  return advance(rec);
}

/** INVLPG m. `ends`. */
export function op_invlpg(rec: u32): i32 {
  if (cpl() != 0 || isVm()) return gp0();
  flushPage(ea(rec));
  return advance(rec);
}

/** INVPCID r, m128. `ends`. Fields: a = GPR (type); memory operand. */
export function op_invpcid(rec: u32): i32 {
  if (isVm() || cpl() != 0) return gp0();
  const type = readField(load<u8>(rec, REC_A), is64() ? 8 : 4);
  const address = ea(rec);
  const pcid = ld(address, 8);
  if (faulted()) return FAULT;
  const linear = ld(address + 8, 8);
  if (faulted()) return FAULT;
  if (<u64>type > 3 || <u64>pcid >> 12) return gp0();
  if (type < 2 && pcid != 0 && !(cr4() & CR4_PCIDE)) return gp0();
  if (type == 0 && !isCanonical(linear)) return gp0();
  const current = !(cr4() & CR4_PCIDE) || pcid == (load<i64>(CR3) & PCID_MASK);
  if (type == 2) flushAll();
  else if (type == 3) flushAllNonGlobal();
  else if (!current) flushPcid(<i32>pcid);
  else if (type == 0) flushPage(linear);
  else flushNonGlobal();
  return advance(rec);
}

/** INVD, WBINVD. */
export function op_wbinvd(rec: u32): i32 {
  return cpl() != 0 ? gp0() : NEXT;
}

/** CLFLUSH, CLFLUSHOPT, CLWB m8: nothing to flush, but the address must be readable. */
export function op_clflush(rec: u32): i32 {
  ld(ea(rec), 1);
  return faulted() ? FAULT : NEXT;
}

/** XGETBV. */
export function op_xgetbv(rec: u32): i32 {
  if (!(cr4() & CR4_OSXSAVE)) return ud();
  if (<u32>reg(1) != 0) return gp0();
  const v = load<i64>(XCR0);
  setReg(0, v & 0xffffffff);
  setReg(2, <i64>(<u64>v >> 32));
  return NEXT;
}

/** XSETBV. `ends`. */
export function op_xsetbv(rec: u32): i32 {
  if (!(cr4() & CR4_OSXSAVE)) return ud();
  if (cpl() != 0 || <u32>reg(1) != 0) return gp0();
  const v = (reg(0) & 0xffffffff) | (reg(2) << 32);
  if (!(v & 1) || v & ~(<i64>CPUID_XCR0) || (v & 6) == 4) return gp0();
  store<i64>(XCR0, v);
  updateFpuFaults();
  return advance(rec);
}
