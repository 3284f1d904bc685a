// Who may use the x87 and SSE registers, and the x87 instructions that move whole images.

import { AVX_FAULT, CR0, CR4, FAULT, FPU_FAULT, FWAIT_FAULT, MMX_FAULT, NEXT, SSE_FAULT, XCR0 } from '../layout';
import { x87_env_size, x87_fldenv, x87_fnsave, x87_fnstenv, x87_frstor } from './float/x87state';
import { copyIn, copyOut, probe } from './mmu';
import { CR0_EM, CR0_MP, CR0_TS, CR4_OSFXSR, CR4_OSXSAVE, ea, isProtected, V_NM, V_UD } from './state';

/**
 * Recomputes SSE_FAULT and its neighbours from CR0 and CR4 (SDM vol. 3, 2.5 and 13.1): to be called after every change of
 * theirs. `updateControl` does it.
 */
export function updateFpuFaults(): void {
  const cr0 = load<i32>(CR0);
  const em = cr0 & CR0_EM;
  const ts = cr0 & CR0_TS ? V_NM : 0;
  store<i32>(SSE_FAULT, em || !(load<i32>(CR4) & CR4_OSFXSR) ? V_UD : ts);
  store<i32>(AVX_FAULT, load<i32>(CR4) & CR4_OSXSAVE && (load<i32>(XCR0) & 6) == 6 ? ts : V_UD);
  store<i32>(MMX_FAULT, em ? V_UD : ts);
  store<i32>(FPU_FAULT, em ? V_NM : ts);
  store<i32>(FWAIT_FAULT, cr0 & CR0_MP ? ts : 0);
}

/** Room for the largest image: FSAVE's with a 32-bit operand size, 108 bytes. */
const IMAGE: usize = memory.data(128);

/** FLDENV (whole 0) and FRSTOR (1). Handlers. */
export function op_fldenv(rec: u32, wide: i32, whole: i32): i32 {
  const size = <i32>x87_env_size(wide) + (whole ? 80 : 0);
  if (!copyIn(ea(rec), IMAGE, size)) return FAULT;
  const mode = isProtected() ? 1 : 0;
  if (whole) x87_frstor(IMAGE, wide, mode);
  else x87_fldenv(IMAGE, wide, mode);
  return NEXT;
}

/** FNSTENV (whole 0) and FNSAVE (1): nothing changes unless the whole image can be written. */
export function op_fnstenv(rec: u32, wide: i32, whole: i32): i32 {
  const size = <i32>x87_env_size(wide) + (whole ? 80 : 0);
  const lin = ea(rec);
  if (!probe(lin, size, true)) return FAULT;
  const mode = isProtected() ? 1 : 0;
  if (whole) x87_fnsave(IMAGE, wide, mode);
  else x87_fnstenv(IMAGE, wide, mode);
  return copyOut(lin, IMAGE, size) ? NEXT : FAULT;
}
