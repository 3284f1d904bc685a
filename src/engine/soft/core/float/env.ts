// AssemblyScript. Constants of the floating point unit, and the word in which an instruction collects its exceptions.
// Names of bits from the Intel SDM, volume 1, 8.1 (x87) and 10.2.3 (MXCSR).

import { CORE_PRIVATE, FLOAT_FLAGS as FLAGS_AT, FLOAT_OUT as OUT_AT } from '../../layout';

/** u32: exceptions raised by the instruction in execution (IE DE ZE OE UE PE). 0 between instructions. */
export const FLOAT_FLAGS: usize = FLAGS_AT;
/** 16 bytes: what an x87 store hands to its caller (little-endian image; an m80 is 10 bytes, an m32 is 4 ...). */
export const FLOAT_OUT: usize = OUT_AT;
/** 32 bytes: results of a packed operation until it is known that no lane faults. */
export const FLOAT_TEMP: usize = CORE_PRIVATE + 0x520;

export const IE: u32 = 1;
export const DE: u32 = 2;
export const ZE: u32 = 4;
export const OE: u32 = 8;
export const UE: u32 = 16;
export const PE: u32 = 32;
/** Exceptions found before computing: an unmasked one stops the operation. */
export const PRE: u32 = 7;

// Rounding control, as in CW 11:10 and MXCSR 14:13.
export const RC_NEAREST: u32 = 0;
export const RC_DOWN: u32 = 1;
export const RC_UP: u32 = 2;
export const RC_ZERO: u32 = 3;

// MXCSR
export const MX_DAZ: u32 = 0x40;
export const MX_OM: u32 = 0x400;
export const MX_UM: u32 = 0x800;
export const MX_FTZ: u32 = 0x8000;

// x87 status word
export const SW_SF: u32 = 0x40;
export const SW_ES: u32 = 0x80;
export const SW_C0: u32 = 0x100;
export const SW_C1: u32 = 0x200;
export const SW_C2: u32 = 0x400;
export const SW_C3: u32 = 0x4000;
export const SW_B: u32 = 0x8000;
export const SW_CC: u32 = 0x4700;

export const MSB: u64 = 0x8000000000000000;
export const QUIET80: u64 = 0x4000000000000000;
export const NAN80_SE: u32 = 0xffff;
export const NAN80_SIG: u64 = 0xc000000000000000;
export const NAN64: u64 = 0xfff8000000000000;
export const NAN32: u32 = 0xffc00000;

export function raise(f: u32): void {
  store<u32>(FLOAT_FLAGS, load<u32>(FLOAT_FLAGS) | f);
}
