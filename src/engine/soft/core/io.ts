// IN and OUT (SDM vol. 1, 19). They end a block: the device may have asked for an interrupt.
import { FAULT, REC_IMM, REGS } from '../layout';
import { noteIo } from './debug';
import { portIn, portOut } from './env';
import { advance } from './state';
import { mayUsePort } from './tss';

const RAX: i32 = REGS;
const RDX: i32 = REGS + 16;

function portOf(rec: u32, fromDx: i32): i32 {
  return fromDx ? <i32>load<u16>(RDX) : <i32>load<u8>(rec + REC_IMM);
}

export function op_in(rec: u32, size: i32, fromDx: i32): i32 {
  const port = portOf(rec, fromDx);
  if (!mayUsePort(port, size)) return FAULT;
  noteIo(port, size);
  const value = portIn(port, size);
  if (size == 4) store<i64>(RAX, <i64>(<u32>value));
  else if (size == 2) store<u16>(RAX, <u16>value);
  else store<u8>(RAX, <u8>value);
  return advance(rec);
}

export function op_out(rec: u32, size: i32, fromDx: i32): i32 {
  const port = portOf(rec, fromDx);
  if (!mayUsePort(port, size)) return FAULT;
  noteIo(port, size);
  const value: i32 = size == 1 ? <i32>load<u8>(RAX) : size == 2 ? <i32>load<u16>(RAX) : load<i32>(RAX);
  portOut(port, size, value);
  return advance(rec);
}
