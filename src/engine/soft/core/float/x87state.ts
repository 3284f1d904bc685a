// AssemblyScript. The x87 and SSE state as images in memory: FLDENV/FNSTENV, FSAVE/FRSTOR, FXSAVE/FXRSTOR, and the
// control instructions. Pointers are addresses in linear memory: the caller deals with the guest's paging.
// Layouts: Intel SDM volume 1, 8.1.10 and 8.1.11, and FXSAVE in volume 2.

import {
  CR0,
  FAULT,
  FAULT_ERROR,
  FAULT_VECTOR,
  FPR,
  FPU_CW,
  FPU_FCS,
  FPU_FDP,
  FPU_FDS,
  FPU_FIP,
  FPU_FOP,
  FPU_SW,
  FPU_TAG,
  FPU_TOP,
  MXCSR,
  NEXT,
  X87_REC,
  XMM,
} from '../../layout';
import { SW_B, SW_ES } from './env';
import { x87_resolve } from './pointers';
import { aC, C_DENORMAL, C_INF, C_NAN, C_UNSUPPORTED, C_ZERO, unpackA80 } from './unpack';

/** MXCSR bits that exist (the MXCSR_MASK field of FXSAVE). */
export const MXCSR_MASK: u32 = 0xffff;

/**
 * To be called at the start of a waiting x87 or MMX instruction. 0: nothing pending. 1 (FAULT): an unmasked exception
 * is, and CR0.NE is set: FAULT_VECTOR is #MF (16). 2: CR0.NE is clear: the caller raises FERR# (IRQ 13) and freezes.
 */
export function x87_check_pending(): i32 {
  if (!(load<u32>(FPU_SW) & SW_ES)) return NEXT;
  if (!(load<u32>(CR0) & 0x20)) return 2;
  store<i32>(FAULT_VECTOR, 16);
  store<i32>(FAULT_ERROR, 0);
  return FAULT;
}

/** Status word with TOP (FNSTSW). */
export function x87_status(): u32 {
  return load<u32>(FPU_SW) | (load<u32>(FPU_TOP) << 11);
}

/** Control word (FNSTCW). */
export function x87_control(): u32 {
  return load<u32>(FPU_CW);
}

/** ES and B follow from flags and masks. */
function updateSummary(): void {
  const sw = load<u32>(FPU_SW);
  const pending = sw & ~load<u32>(FPU_CW) & 0x3f;
  store<u32>(FPU_SW, pending ? sw | SW_ES | SW_B : sw & ~(SW_ES | SW_B));
}

/** FLDCW. Bit 6 reads as 1, bits 15:13 and 7 as 0; bit 12 (infinity control) is kept. */
export function x87_fldcw(cw: u32): void {
  store<u32>(FPU_CW, (cw & 0x1f3f) | 0x40);
  updateSummary();
}

function setStatus(sw: u32): void {
  store<u32>(FPU_TOP, (sw >> 11) & 7);
  store<u32>(FPU_SW, sw & 0x477f);
  updateSummary();
}

/** FNINIT */
export function x87_fninit(): void {
  store<u32>(X87_REC, 0);
  store<u32>(FPU_CW, 0x37f);
  store<u32>(FPU_SW, 0);
  store<u32>(FPU_TOP, 0);
  store<u32>(FPU_TAG, 0);
  store<u64>(FPU_FIP, 0);
  store<u64>(FPU_FDP, 0);
  store<u32>(FPU_FOP, 0);
  store<u32>(FPU_FCS, 0);
  store<u32>(FPU_FDS, 0);
}

/** FNCLEX */
export function x87_fnclex(): void {
  store<u32>(FPU_SW, load<u32>(FPU_SW) & 0x4700);
}

/** EMMS */
export function x87_emms(): void {
  store<u32>(FPU_TAG, 0);
}

/** What an MMX instruction other than EMMS does to the x87 state: TOP = 0, all registers valid. */
export function x87_enter_mmx(): void {
  store<u32>(FPU_TOP, 0);
  store<u32>(FPU_TAG, 0xff);
}

/** Writes an MMX register (0 to 7): the exponent and sign become ones. */
export function x87_write_mmx(reg: i32, v: u64): void {
  store<u64>(FPR + (reg << 4), v);
  store<u32>(FPR + (reg << 4) + 8, 0xffff);
}

/** The tag word with two bits a register: 0 valid, 1 zero, 2 special, 3 empty. */
export function x87_tag_word(): u32 {
  let tw: u32 = 0;
  const tags = load<u32>(FPU_TAG);
  for (let i = 0; i < 8; i++) {
    let t: u32 = 3;
    if ((tags >> i) & 1) {
      unpackA80(load<u32>(FPR + (i << 4) + 8), load<u64>(FPR + (i << 4)));
      t = aC & C_ZERO ? 1 : aC & (C_DENORMAL | C_INF | C_NAN | C_UNSUPPORTED) ? 2 : 0;
    }
    tw |= t << (i << 1);
  }
  return tw;
}

function setTagWord(tw: u32): void {
  let tags: u32 = 0;
  for (let i = 0; i < 8; i++) if (((tw >> (i << 1)) & 3) != 3) tags |= 1 << i;
  store<u32>(FPU_TAG, tags);
}

/** Bytes of the environment image: 14, or 28 with a 32-bit operand size. */
export function x87_env_size(wide: i32): i32 {
  return wide ? 28 : 14;
}

function writeEnv(p: usize, wide: i32, protectedMode: i32): void {
  x87_resolve();
  const cw = load<u32>(FPU_CW),
    sw = x87_status(),
    tw = x87_tag_word();
  const ip = <u32>load<u64>(FPU_FIP),
    dp = <u32>load<u64>(FPU_FDP),
    op = load<u32>(FPU_FOP) & 0x7ff;
  const cs = load<u32>(FPU_FCS) & 0xffff,
    ds = load<u32>(FPU_FDS) & 0xffff;
  if (wide) {
    store<u32>(p, cw | 0xffff0000);
    store<u32>(p + 4, sw | 0xffff0000);
    store<u32>(p + 8, tw | 0xffff0000);
    if (protectedMode) {
      store<u32>(p + 12, ip);
      store<u32>(p + 16, cs | (op << 16));
      store<u32>(p + 20, dp);
      store<u32>(p + 24, ds | 0xffff0000);
    } else {
      const i = ip + (cs << 4),
        d = dp + (ds << 4);
      store<u32>(p + 12, (i & 0xffff) | 0xffff0000);
      store<u32>(p + 16, ((i >> 16) << 12) | op);
      store<u32>(p + 20, (d & 0xffff) | 0xffff0000);
      store<u32>(p + 24, (d >> 16) << 12);
    }
    return;
  }
  store<u16>(p, <u16>cw);
  store<u16>(p + 2, <u16>sw);
  store<u16>(p + 4, <u16>tw);
  if (protectedMode) {
    store<u16>(p + 6, <u16>ip);
    store<u16>(p + 8, <u16>cs);
    store<u16>(p + 10, <u16>dp);
    store<u16>(p + 12, <u16>ds);
  } else {
    const i = ip + (cs << 4),
      d = dp + (ds << 4);
    store<u16>(p + 6, <u16>i);
    store<u16>(p + 8, <u16>(((i >> 16) << 12) | op));
    store<u16>(p + 10, <u16>d);
    store<u16>(p + 12, <u16>((d >> 16) << 12));
  }
}

/**
 * FNSTENV: writes the image at p; then all exceptions are masked. wide: 32-bit operand size; protectedMode: 0 in real
 * and v8086 mode (pointers as linear addresses). Take a page fault before calling it.
 */
export function x87_fnstenv(p: usize, wide: i32, protectedMode: i32): void {
  writeEnv(p, wide, protectedMode);
  store<u32>(FPU_CW, load<u32>(FPU_CW) | 0x3f);
  updateSummary();
}

/** FLDENV: reads the image at p. An exception that is set and unmasked in it is pending afterwards. */
export function x87_fldenv(p: usize, wide: i32, protectedMode: i32): void {
  store<u32>(X87_REC, 0);
  const step: usize = wide ? 4 : 2;
  store<u32>(FPU_CW, (load<u16>(p) & 0x1f3f) | 0x40);
  setTagWord(load<u16>(p + 2 * step));
  setStatus(load<u16>(p + step));
  let ip: u32,
    dp: u32,
    op: u32 = 0,
    cs: u32 = 0,
    ds: u32 = 0;
  if (wide) {
    if (protectedMode) {
      ip = load<u32>(p + 12);
      cs = load<u16>(p + 16);
      op = load<u16>(p + 18);
      dp = load<u32>(p + 20);
      ds = load<u16>(p + 24);
    } else {
      op = load<u32>(p + 16);
      ip = load<u16>(p + 12) | ((op << 4) & 0xffff0000);
      dp = load<u16>(p + 20) | ((load<u32>(p + 24) << 4) & 0xffff0000);
    }
  } else {
    ip = load<u16>(p + 6);
    dp = load<u16>(p + 10);
    if (protectedMode) {
      cs = load<u16>(p + 8);
      ds = load<u16>(p + 12);
      op = load<u32>(FPU_FOP);
    } else {
      op = load<u16>(p + 8);
      ip |= (op & 0xf000) << 4;
      dp |= (<u32>load<u16>(p + 12) & 0xf000) << 4;
    }
  }
  store<u64>(FPU_FIP, <u64>ip);
  store<u64>(FPU_FDP, <u64>dp);
  store<u32>(FPU_FOP, op & 0x7ff);
  store<u32>(FPU_FCS, cs);
  store<u32>(FPU_FDS, ds);
}

/** FNSAVE: environment and ST(0) to ST(7), 10 bytes each (94 or 108 bytes); then as FNINIT. */
export function x87_fnsave(p: usize, wide: i32, protectedMode: i32): void {
  writeEnv(p, wide, protectedMode);
  p += x87_env_size(wide);
  const top = load<u32>(FPU_TOP);
  for (let i: u32 = 0; i < 8; i++) {
    const r = FPR + (((top + i) & 7) << 4);
    store<u64>(p, load<u64>(r));
    store<u16>(p + 8, load<u16>(r + 8));
    p += 10;
  }
  x87_fninit();
}

/** FRSTOR */
export function x87_frstor(p: usize, wide: i32, protectedMode: i32): void {
  x87_fldenv(p, wide, protectedMode);
  p += x87_env_size(wide);
  const top = load<u32>(FPU_TOP);
  for (let i: u32 = 0; i < 8; i++) {
    const r = FPR + (((top + i) & 7) << 4);
    store<u64>(r, load<u64>(p));
    store<u32>(r + 8, <u32>load<u16>(p + 8));
    p += 10;
  }
}

/**
 * FXSAVE (also the legacy area of XSAVE) to the 512 bytes at p; bytes that it doesn't define keep their values.
 * wide64: REX.W form (64-bit pointers, no selectors). xmms: how many XMM registers to write: 16 in 64-bit mode, 8 else,
 * 0 for EFER.FFXSR.
 */
export function x87_fxsave(p: usize, wide64: i32, xmms: i32): void {
  x87_resolve();
  store<u16>(p, <u16>load<u32>(FPU_CW));
  store<u16>(p + 2, <u16>x87_status());
  store<u16>(p + 4, <u16>load<u32>(FPU_TAG));
  store<u16>(p + 6, <u16>(load<u32>(FPU_FOP) & 0x7ff));
  store<u64>(p + 8, load<u64>(FPU_FIP));
  store<u64>(p + 16, load<u64>(FPU_FDP));
  if (!wide64) {
    store<u32>(p + 12, load<u32>(FPU_FCS) & 0xffff);
    store<u32>(p + 20, load<u32>(FPU_FDS) & 0xffff);
  }
  store<u32>(p + 24, load<u32>(MXCSR));
  store<u32>(p + 28, MXCSR_MASK);
  const top = load<u32>(FPU_TOP);
  for (let i: u32 = 0; i < 8; i++) {
    const r = FPR + (((top + i) & 7) << 4);
    store<u64>(p + 32 + (i << 4), load<u64>(r));
    store<u64>(p + 40 + (i << 4), <u64>load<u16>(r + 8));
  }
  memory.copy(p + 160, XMM, xmms << 4);
}

/** FXRSTOR. Returns 1, and changes nothing, if MXCSR in the image has reserved bits set: the caller raises #GP(0). */
export function x87_fxrstor(p: usize, wide64: i32, xmms: i32): i32 {
  if (load<u32>(p + 24) & ~MXCSR_MASK) return 1;
  store<u32>(MXCSR, load<u32>(p + 24));
  store<u32>(X87_REC, 0);
  store<u32>(FPU_CW, (load<u16>(p) & 0x1f3f) | 0x40);
  setStatus(load<u16>(p + 2));
  store<u32>(FPU_TAG, <u32>load<u8>(p + 4));
  store<u32>(FPU_FOP, load<u16>(p + 6) & 0x7ff);
  if (wide64) {
    store<u64>(FPU_FIP, load<u64>(p + 8));
    store<u64>(FPU_FDP, load<u64>(p + 16));
  } else {
    store<u64>(FPU_FIP, <u64>load<u32>(p + 8));
    store<u64>(FPU_FDP, <u64>load<u32>(p + 16));
    store<u32>(FPU_FCS, <u32>load<u16>(p + 12));
    store<u32>(FPU_FDS, <u32>load<u16>(p + 20));
  }
  const top = load<u32>(FPU_TOP);
  for (let i: u32 = 0; i < 8; i++) {
    const r = FPR + (((top + i) & 7) << 4);
    store<u64>(r, load<u64>(p + 32 + (i << 4)));
    store<u32>(r + 8, <u32>load<u16>(p + 40 + (i << 4)));
  }
  memory.copy(XMM, p + 160, xmms << 4);
  return 0;
}
