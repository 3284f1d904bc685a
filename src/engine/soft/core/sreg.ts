// Instructions that name segment registers and descriptor tables.
import { CR4, FAULT, GDTR, IDTR, JUMP, LDTR, NEXT, REC_A, REC_B, SS, TR } from '../layout';
import {
  dAddress,
  dAttr,
  dBase,
  dConforming,
  dDpl,
  dHi,
  dIsCode,
  dKind,
  dLimit,
  dPresent,
  isNull,
  needDescriptor,
  notPresent,
  readDescriptor,
  T_CALL,
  T_CALL16,
  T_LDT,
  T_TASK,
  T_TSS,
  T_TSS_BUSY,
  T_TSS16,
  T_TSS16_BUSY,
} from './descriptors';
import { shadowNextSs } from './events';
import { setZero } from './flags';
import { ld, probe, st, sysLd, sysSt } from './mmu';
import { segmentLoaded } from './mode';
import { drop, loadSegment, stackLoad } from './segments';
import {
  A_CODE,
  A_S,
  A_UNUSABLE,
  A_WRITABLE,
  advance,
  CR4_UMIP,
  cpl,
  ea,
  faulted,
  gp0,
  is64,
  isCanonical,
  isLong,
  isProtected,
  raise,
  readField,
  segSelector,
  setSegment,
  ud,
  V_GP,
  writeField,
} from './state';

// ---- MOV, PUSH, POP, LDS and the like -----------------------------------------------------------------------------------
function finishLoad(rec: u32, seg: i32, selector: i32): i32 {
  if (loadSegment(seg, selector)) return FAULT;
  segmentLoaded(seg);
  advance(rec);
  if (seg == SS) shadowNextSs();
  return JUMP;
}

/** MOV Sreg, r16. `ends`. Fields: a = segment number, b = GPR. */
export function op_movToSreg(rec: u32): i32 {
  return finishLoad(rec, load<u8>(rec, REC_A), <i32>readField(load<u8>(rec, REC_B), 2));
}

/** MOV Sreg, m16. `ends`. Fields: a = segment number; memory operand. */
export function op_movToSregMem(rec: u32): i32 {
  const selector = <i32>ld(ea(rec), 2);
  return faulted() ? FAULT : finishLoad(rec, load<u8>(rec, REC_A), selector);
}

/** MOV r, Sreg. Fields: a = GPR, b = segment number. `size`: operand size; wider than 2 is zero-extended. */
export function op_movFromSreg(rec: u32, size: i32): i32 {
  writeField(load<u8>(rec, REC_A), size, <i64>segSelector(load<u8>(rec, REC_B)));
  return NEXT;
}

/** MOV m16, Sreg. Fields: a = segment number; memory operand. */
export function op_movFromSregMem(rec: u32): i32 {
  st(ea(rec), <i64>segSelector(load<u8>(rec, REC_A)), 2);
  return faulted() ? FAULT : NEXT;
}

/** POP Sreg. `ends`. `size`: operand size, `seg`: segment number. */
export function op_popSreg(rec: u32, size: i32, seg: i32): i32 {
  const selector = <i32>stackLoad(0, size) & 0xffff;
  if (faulted()) return FAULT;
  if (loadSegment(seg, selector)) return FAULT;
  drop(size); // by the stack's size as it was: MODE isn't updated yet
  segmentLoaded(seg);
  advance(rec);
  if (seg == SS) shadowNextSs();
  return JUMP;
}

/** LES, LDS, LSS, LFS, LGS. `ends`. Fields: a = GPR; memory operand of 2 + size bytes. */
export function op_loadFarPointer(rec: u32, size: i32, seg: i32): i32 {
  const address = ea(rec);
  const offset = ld(address, size);
  if (faulted()) return FAULT;
  const selector = <i32>ld(address + <i64>size, 2);
  if (faulted()) return FAULT;
  if (loadSegment(seg, selector)) return FAULT;
  writeField(load<u8>(rec, REC_A), size, offset);
  segmentLoaded(seg);
  return advance(rec);
}

// ---- GDTR, IDTR ----------------------------------------------------------------------------------------------------------
/** UMIP keeps SGDT, SIDT, SLDT, STR and SMSW from rings 1 to 3. */
export function refusedByUmip(): bool {
  if (cpl() == 0 || (load<i32>(CR4) & CR4_UMIP) == 0) return false;
  gp0();
  return true;
}

function storeTable(rec: u32, table: usize): i32 {
  if (refusedByUmip()) return FAULT;
  const address = ea(rec);
  const bytes = is64() ? 8 : 4;
  if (!probe(address, 2 + bytes, true)) return FAULT;
  st(address, <i64>load<u32>(table, 8), 2);
  st(address + 2, load<i64>(table), bytes);
  return faulted() ? FAULT : NEXT;
}

function loadTable(rec: u32, size: i32, table: usize): i32 {
  if (cpl() != 0) return gp0();
  const address = ea(rec);
  const limit = <u32>ld(address, 2);
  if (faulted()) return FAULT;
  let base = ld(address + 2, is64() ? 8 : 4);
  if (faulted()) return FAULT;
  if (is64()) {
    if (!isCanonical(base)) return gp0();
  } else if (size == 2) base &= 0xffffff;
  store<i64>(table, base);
  store<u32>(table, limit, 8);
  return NEXT;
}

/** SGDT m, SIDT m. Memory operand of 6 or 10 bytes. */
export function op_sgdt(rec: u32): i32 {
  return storeTable(rec, GDTR);
}

export function op_sidt(rec: u32): i32 {
  return storeTable(rec, IDTR);
}

/** LGDT m, LIDT m. `size`: operand size (16 bits: 24-bit base). */
export function op_lgdt(rec: u32, size: i32): i32 {
  return loadTable(rec, size, GDTR);
}

export function op_lidt(rec: u32, size: i32): i32 {
  return loadTable(rec, size, IDTR);
}

// ---- LDTR, TR -------------------------------------------------------------------------------------------------------------
/** SLDT and STR to a register. Fields: a = GPR. `size`: operand size; zero-extended. */
export function op_sldt(rec: u32, size: i32): i32 {
  return storeSelector(rec, size, LDTR);
}

export function op_str(rec: u32, size: i32): i32 {
  return storeSelector(rec, size, TR);
}

/** SLDT and STR to memory (16 bits). */
export function op_sldtMem(rec: u32): i32 {
  return storeSelectorMem(rec, LDTR);
}

export function op_strMem(rec: u32): i32 {
  return storeSelectorMem(rec, TR);
}

function storeSelector(rec: u32, size: i32, seg: i32): i32 {
  if (!isProtected()) return ud();
  if (refusedByUmip()) return FAULT;
  writeField(load<u8>(rec, REC_A), size, <i64>segSelector(seg));
  return NEXT;
}

function storeSelectorMem(rec: u32, seg: i32): i32 {
  if (!isProtected()) return ud();
  if (refusedByUmip()) return FAULT;
  st(ea(rec), <i64>segSelector(seg), 2);
  return faulted() ? FAULT : NEXT;
}

/** The selector operand of the instructions below: `mem` 0: GPR in field `at`, else memory. Look at `faulted()`. */
function selectorOperand(rec: u32, mem: i32, at: u32): i32 {
  return mem ? <i32>ld(ea(rec), 2) : <i32>readField(load<u8>(rec + at), 2);
}

/** LLDT r/m16. `mem`: 1 for memory; else field a = GPR. */
export function op_lldt(rec: u32, mem: i32): i32 {
  if (!isProtected()) return ud();
  if (cpl() != 0) return gp0();
  const selector = selectorOperand(rec, mem, REC_A);
  if (faulted()) return FAULT;
  if (isNull(selector)) {
    setSegment(LDTR, selector, 0, 0, A_UNUSABLE);
    return NEXT;
  }
  return loadSystem(LDTR, selector);
}

/** LTR r/m16. */
export function op_ltr(rec: u32, mem: i32): i32 {
  if (!isProtected()) return ud();
  if (cpl() != 0) return gp0();
  const selector = selectorOperand(rec, mem, REC_A);
  if (faulted()) return FAULT;
  if (isNull(selector)) return gp0();
  return loadSystem(TR, selector);
}

function loadSystem(seg: i32, selector: i32): i32 {
  const error = selector & 0xfffc;
  if (selector & 4) return raise(V_GP, error);
  const long = isLong();
  if (!needDescriptor(selector, long ? 16 : 8, V_GP, 0)) return FAULT;
  const kind = dKind();
  const good = seg == LDTR ? kind == T_LDT : kind == T_TSS || (kind == T_TSS16 && !long);
  if (!good) return raise(V_GP, error);
  if (!dPresent()) return notPresent(selector, 0);
  let base = dBase();
  const limit = dLimit();
  let attr = dAttr();
  if (long) {
    const high = sysLd(dAddress + 8, 8);
    if (faulted()) return FAULT;
    base |= high << 32;
    if ((high >> 40) & 31 || !isCanonical(base)) return raise(V_GP, error);
  }
  if (seg == TR) {
    attr |= 2; // busy
    sysSt(dAddress + 5, <i64>(((dHi >> 8) & 0xff) | 2), 1);
    if (faulted()) return FAULT;
  }
  setSegment(seg, selector, base, limit, attr);
  return NEXT;
}

// ---- LAR, LSL, VERR, VERW, ARPL -----------------------------------------------------------------------------------------
/** Whether the descriptor of a selector is visible at CPL and RPL, and of a kind that LAR (or LSL) knows. */
function visible(selector: i32, lar: bool): bool {
  if (isNull(selector) || !readDescriptor(selector, 8)) return false;
  const kind = dKind();
  if ((kind & A_S) == 0) {
    const long = isLong();
    let known = kind == T_LDT || kind == T_TSS || kind == T_TSS_BUSY;
    if (!long) known = known || kind == T_TSS16 || kind == T_TSS16_BUSY;
    if (lar) known = known || kind == T_CALL || (!long && (kind == T_CALL16 || kind == T_TASK));
    if (!known) return false;
  } else if (dIsCode() && dConforming()) return true;
  return dDpl() >= cpl() && dDpl() >= (selector & 3);
}

/** LAR r, r/m16. Field a = destination; b = GPR unless `mem`. `size`: operand size. */
export function op_lar(rec: u32, size: i32, mem: i32): i32 {
  if (!isProtected()) return ud();
  const selector = selectorOperand(rec, mem, REC_B);
  if (faulted()) return FAULT;
  const ok = visible(selector, true);
  if (faulted()) return FAULT;
  if (ok) writeField(load<u8>(rec, REC_A), size, <i64>(dHi & 0xffff00) & (size == 2 ? 0xff00 : -1));
  setZero(ok);
  return NEXT;
}

/** LSL r, r/m16. */
export function op_lsl(rec: u32, size: i32, mem: i32): i32 {
  if (!isProtected()) return ud();
  const selector = selectorOperand(rec, mem, REC_B);
  if (faulted()) return FAULT;
  const ok = visible(selector, false);
  if (faulted()) return FAULT;
  if (ok) writeField(load<u8>(rec, REC_A), size, <i64>dLimit());
  setZero(ok);
  return NEXT;
}

/** VERR r/m16 (`write` 0) and VERW (1). Field a = GPR unless `mem`. */
export function op_verify(rec: u32, write: i32, mem: i32): i32 {
  if (!isProtected()) return ud();
  const selector = selectorOperand(rec, mem, REC_A);
  if (faulted()) return FAULT;
  let ok = !isNull(selector) && readDescriptor(selector, 8);
  if (faulted()) return FAULT;
  if (ok) {
    const attr = dAttr();
    const code = (attr & A_CODE) != 0;
    ok = (attr & A_S) != 0;
    if (write) ok = ok && !code && (attr & A_WRITABLE) != 0;
    else ok = ok && (!code || (attr & A_WRITABLE) != 0);
    if (!(code && dConforming() && !write)) ok = ok && dDpl() >= cpl() && dDpl() >= (selector & 3);
  }
  setZero(ok);
  return NEXT;
}

/** ARPL r/m16, r16. `mem` 0: a = destination, b = source; 1: memory destination, a = source. */
export function op_arpl(rec: u32, mem: i32): i32 {
  if (!isProtected()) return ud();
  const address = mem ? ea(rec) : 0;
  const dst = mem ? <i32>ld(address, 2) : <i32>readField(load<u8>(rec, REC_A), 2);
  if (faulted()) return FAULT;
  const src = <i32>readField(mem ? load<u8>(rec, REC_A) : load<u8>(rec, REC_B), 2);
  const raiseRpl = (dst & 3) < (src & 3);
  if (raiseRpl) {
    const v = <i64>((dst & ~3) | (src & 3));
    if (mem) {
      st(address, v, 2);
      if (faulted()) return FAULT;
    } else writeField(load<u8>(rec, REC_A), 2, v);
  }
  setZero(raiseRpl);
  return NEXT;
}
