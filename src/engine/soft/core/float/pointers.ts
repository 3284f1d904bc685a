// AssemblyScript. FIP and FOP: x87 instructions only note their record (emitter, noteX87); what it says is worked out when
// somebody looks. Must run before records are freed and before another vCPU's state takes the place of this one's.

import {
  BLK_HEADER,
  BLK_START,
  FPU_FCS,
  FPU_FDS,
  FPU_FIP,
  FPU_FOP,
  REC_IMM,
  REC_LEN,
  REC_SCALE,
  REC_SCALE_EXT,
  REC_SIZE,
  X87_BLOCK,
  X87_PAGE,
  X87_REC,
} from '../../layout';

/**
 * Makes FPU_FIP and FPU_FOP true. The decoder leaves the opcode's eleven bits as the record's immediate. FCS and FDS are
 * 0, as on processors that have given them up (CPUID.7.EBX bit 13).
 */
export function x87_resolve(): void {
  const rec = load<u32>(X87_REC);
  if (rec == 0) return;
  store<u32>(X87_REC, 0);
  const block = load<u32>(X87_BLOCK);
  let offset = <u64>load<u16>(block, BLK_START);
  let r = block + BLK_HEADER;
  while (r < rec) {
    offset += <u64>load<u8>(r, REC_LEN);
    r += load<u8>(r, REC_SCALE) & REC_SCALE_EXT ? 2 * REC_SIZE : REC_SIZE;
  }
  store<u64>(FPU_FIP, load<u64>(X87_PAGE) + offset);
  store<u32>(FPU_FOP, load<u32>(rec, REC_IMM) & 0x7ff);
  store<u32>(FPU_FCS, 0);
  store<u32>(FPU_FDS, 0);
}
