// What interrupts and call gates read of the TSS (SDM vol. 3, 7.2).
import { CPL, MODE, MODE_PE, MODE_VM, TR } from '../layout';
import { sysLd } from './mmu';
import { faulted, iopl, isProtected, raise, segAttr, segBase, segLimit, segSelector, V_GP, V_TS } from './state';

/** Stack of an inner ring, as `readInnerStack` found it. */
export let tssSs: i32 = 0;
export let tssSp: i64 = 0;

/** Bit 3 of the type: 32-bit TSS. */
export function tssIs32(): bool {
  return (segAttr(TR) & 8) != 0;
}

/** Reads SS:ESP of `level` from the current 16- or 32-bit TSS; false: #TS raised. */
export function readInnerStack(level: i32, ext: i32): bool {
  const wide = tssIs32();
  const offset: u32 = wide ? 4 + level * 8 : 2 + level * 4;
  if (offset + (wide ? 5 : 3) > segLimit(TR)) {
    raise(V_TS, (segSelector(TR) & 0xfffc) | ext);
    return false;
  }
  const at = segBase(TR) + <i64>offset;
  tssSp = sysLd(at, wide ? 4 : 2);
  if (faulted()) return false;
  tssSs = <i32>sysLd(at + (wide ? 4 : 2), 2);
  return !faulted();
}

/**
 * Whether the running code may touch ports [port, port + size): IOPL, else the I/O permission bitmap (SDM vol. 1, 19.5).
 * #GP(0) is raised if not.
 */
export function mayUsePort(port: i32, size: i32): bool {
  const vm = !isProtected();
  if (isReal() || (!vm && load<i32>(CPL) <= iopl())) return true;
  // In v8086 mode only the bitmap counts.
  if (segAttr(TR) & 8 && segLimit(TR) >= 103) {
    const base = segBase(TR);
    const map = <i32>sysLd(base + 102, 2);
    if (faulted()) return false;
    const byte = map + (port >> 3);
    if (<u32>(byte + 1) <= segLimit(TR)) {
      const bits = <i32>sysLd(base + <i64>byte, 2);
      if (faulted()) return false;
      if (((bits >> (port & 7)) & ((1 << size) - 1)) == 0) return true;
    }
  }
  raise(V_GP, 0);
  return false;
}

function isReal(): bool {
  return (load<i32>(MODE) & (MODE_PE | MODE_VM)) == 0;
}
