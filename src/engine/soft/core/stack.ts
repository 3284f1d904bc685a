// PUSHA POPA ENTER LEAVE XLAT (SDM vol. 2). Everything is probed before a register changes.
import { FAULT, NEXT, REC_A, REC_BASE, REC_DISP, REC_IMM, REGS } from '../layout';
import { ld } from './mmu';
import { drop, eaSeg, push, setSp, stackLoad, stackMask } from './segments';
import { faulted } from './state';

const RSP: i32 = 4;
const RBP: i32 = 5;

function at(n: i32): i32 {
  return REGS + (n << 3);
}

function write(n: i32, value: i64, size: i32): void {
  if (size == 2) store<u16>(at(n), <u16>value);
  else if (size == 4) store<i64>(at(n), value & 0xffffffff);
  else store<i64>(at(n), value);
}

/** Puts the stack pointer back where it was and reports the fault. */
function undo(sp: i64): i32 {
  store<i64>(at(RSP), sp);
  return FAULT;
}

export function op_pusha(rec: i32, size: i32): i32 {
  const sp = load<i64>(at(RSP));
  for (let n = 0; n < 8; n++) {
    const value = n == RSP ? sp : load<i64>(at(n));
    if (push(value, size)) return undo(sp);
  }
  return NEXT;
}

export function op_popa(rec: i32, size: i32): i32 {
  // EDI comes first, ESP's place is passed over. One read of the last element tells whether all of them can be read.
  for (let n = 0; n < 8; n++) {
    stackLoad(n * size, size);
    if (faulted()) return FAULT;
  }
  for (let n = 7; n >= 0; n--) if (n != RSP) write(n, stackLoad((7 - n) * size, size), size);
  drop(8 * size);
  return NEXT;
}

/** ENTER imm16, imm8: the frame's size in imm 15:0, the nesting level in disp. */
export function op_enter(rec: i32, size: i32): i32 {
  const bytes = load<u16>(rec + REC_IMM);
  const level: i32 = load<u8>(rec + REC_DISP) & 31;
  const sp = load<i64>(at(RSP));
  const bp = load<i64>(at(RBP));
  if (push(bp, size)) return undo(sp);
  const frame = load<i64>(at(RSP));
  for (let n = 1; n < level; n++) {
    // The outer frames' pointers, read below the old RBP through SS.
    const here = load<i64>(at(RSP));
    setSp((bp - <i64>(n * size)) & stackMask());
    const value = stackLoad(0, size);
    store<i64>(at(RSP), here);
    if (faulted() || push(value, size)) return undo(sp);
  }
  if (level && push(frame, size)) return undo(sp);
  const low = (load<i64>(at(RSP)) - <i64>bytes) & stackMask();
  setSp(low);
  // The frame's last byte must be writable (SDM: "checks for stack fault"); the probe reads.
  stackLoad(0, size);
  if (faulted()) return undo(sp);
  write(RBP, frame, size);
  return NEXT;
}

export function op_leave(rec: i32, size: i32): i32 {
  const sp = load<i64>(at(RSP));
  setSp(load<i64>(at(RBP)) & stackMask());
  const value = stackLoad(0, size);
  if (faulted()) return undo(sp);
  drop(size);
  write(RBP, value, size);
  return NEXT;
}

/** AL = [seg:rBX + AL]; segment and address size as with strings. */
export function op_xlat(rec: i32): i32 {
  const as: i32 = load<u8>(rec + REC_BASE);
  const mask: i64 = as == 8 ? -1 : as == 4 ? 0xffffffff : 0xffff;
  const offset = (load<i64>(at(3)) + <i64>load<u8>(at(0))) & mask;
  const lin = eaSeg(load<u8>(rec + REC_A), offset, 1, 0);
  if (faulted()) return FAULT;
  const value = ld(lin, 1);
  if (faulted()) return FAULT;
  store<u8>(at(0), <u8>value);
  return NEXT;
}
