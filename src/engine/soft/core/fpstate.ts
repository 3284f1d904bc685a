// FXSAVE, FXRSTOR, XSAVE, XRSTOR, LDMXCSR, STMXCSR: the memory side. The images are made by float/x87state.ts.
import { CR0, CR4, FAULT, FPR, MXCSR, NEXT, XCR0, XMM, YMMH } from '../layout';
import { xsaveSize } from './cpuid';
import { MXCSR_MASK, x87_fninit, x87_fxrstor, x87_fxsave } from './float/x87state';
import { copyIn, copyOut, ld, probe, st } from './mmu';
import {
  CR0_EM,
  CR0_TS,
  CR4_OSFXSR,
  CR4_OSXSAVE,
  cr0,
  ea,
  faulted,
  gp0,
  is64,
  raise,
  reg,
  ud,
  V_NM,
  V_UD,
} from './state';

/** The area in the core's own memory. */
const AREA = memory.data(1024, 16);
const HEADER = AREA + 512;
const YMM_AT = AREA + 576;

function xmms(): i32 {
  return is64() ? 16 : 8;
}

/** FXSAVE m512. `size` 8: REX.W form. */
export function op_fxsave(rec: u32, size: i32): i32 {
  if (cr0() & (CR0_EM | CR0_TS)) return raise(V_NM, 0);
  const address = ea(rec);
  if (address & 15) return gp0();
  const bytes = 160 + xmms() * 16;
  if (!probe(address, bytes, true)) return FAULT;
  memory.fill(AREA, 0, 512);
  x87_fxsave(AREA, size == 8 ? 1 : 0, xmms());
  return copyOut(address, AREA, bytes) ? NEXT : FAULT;
}

/** FXRSTOR m512. */
export function op_fxrstor(rec: u32, size: i32): i32 {
  if (cr0() & (CR0_EM | CR0_TS)) return raise(V_NM, 0);
  const address = ea(rec);
  if (address & 15) return gp0();
  if (!copyIn(address, AREA, 512)) return FAULT;
  return x87_fxrstor(AREA, size == 8 ? 1 : 0, xmms()) ? gp0() : NEXT;
}

/** Checks of the XSAVE family; 0: go on. */
function refuseXsave(address: i64): i32 {
  if ((load<i32>(CR4) & CR4_OSXSAVE) == 0) return ud();
  if (load<i32>(CR0) & CR0_TS) return raise(V_NM, 0);
  return address & 63 ? gp0() : NEXT;
}

/** State components that EDX:EAX and XCR0 ask for. */
function requested(): i64 {
  return ((reg(0) & 0xffffffff) | (reg(2) << 32)) & load<i64>(XCR0);
}

/** XSAVE and XSAVEOPT m. `size` 8: REX.W form. */
export function op_xsave(rec: u32, size: i32): i32 {
  const address = ea(rec);
  if (refuseXsave(address)) return FAULT;
  const want = requested();
  const bytes = <i32>xsaveSize(want);
  if (!probe(address, bytes, true)) return FAULT;
  const old = ld(address + 512, 8);
  if (faulted()) return FAULT;
  x87_fxsave(AREA, size == 8 ? 1 : 0, xmms());
  let ok = true;
  if (want & 1) ok = copyOut(address, AREA, 24) && copyOut(address + 32, AREA + 32, 128);
  if (ok && want & 6) ok = copyOut(address + 24, AREA + 24, 8);
  if (ok && want & 2) ok = copyOut(address + 160, AREA + 160, xmms() * 16);
  if (ok && want & 4) ok = copyOut(address + 576, YMMH, xmms() * 16);
  if (!ok) return FAULT;
  st(address + 512, (old & ~want) | want, 8);
  return faulted() ? FAULT : NEXT;
}

/** XRSTOR m, standard form. */
export function op_xrstor(rec: u32, size: i32): i32 {
  const address = ea(rec);
  if (refuseXsave(address)) return FAULT;
  const want = requested();
  const bytes = <i32>xsaveSize(want);
  if (!copyIn(address, AREA, bytes)) return FAULT;
  const present = load<i64>(HEADER);
  if (present & ~load<i64>(XCR0)) return gp0();
  // XCOMP_BV: the compacted form isn't offered; the rest of the first 24 bytes is reserved.
  if (load<i64>(HEADER, 8) | load<i64>(HEADER, 16)) return gp0();
  const count = xmms();
  const mxcsr = load<u32>(AREA + 24);
  if (want & 6 && mxcsr & ~MXCSR_MASK) return gp0();
  if (want & 1) {
    if (present & 1) {
      // The helper loads MXCSR too, which belongs to the other components.
      store<u32>(AREA + 24, load<u32>(MXCSR));
      x87_fxrstor(AREA, size == 8 ? 1 : 0, 0);
    } else {
      x87_fninit();
      clearX87();
    }
  }
  if (want & 6) store<u32>(MXCSR, mxcsr);
  if (want & 2) {
    if (present & 2) memory.copy(XMM, AREA + 160, count * 16);
    else memory.fill(XMM, 0, count * 16);
  }
  if (want & 4) {
    if (present & 4) memory.copy(YMMH, YMM_AT, count * 16);
    else memory.fill(YMMH, 0, count * 16);
  }
  return NEXT;
}

/** XRSTOR's initial x87 state has empty registers of value 0, unlike FNINIT's. */
function clearX87(): void {
  memory.fill(FPR, 0, 128);
}

/** Checks that SSE instructions share; 0: go on. Exported for semantics that need it: `sseReady`. */
export function sseReady(): i32 {
  if (load<i32>(CR0) & CR0_EM || (load<i32>(CR4) & CR4_OSFXSR) == 0) return raise(V_UD, 0);
  return load<i32>(CR0) & CR0_TS ? raise(V_NM, 0) : NEXT;
}
