// RFLAGS between its two forms: the lazy one of layout.ts (RES, AUX, EFLAGS) and the architectural one.
import { AUX_AF, AUX_PDB_SHIFT, EFLAGS, FLAG_AUX, FLAG_RES } from '../layout';
import { F_AF, F_ARITH, F_OF, F_SF, F_ZF } from './state';

/** RFLAGS bits 31:0. Without branches: what a program's flags are is what nobody can predict. */
export function getFlags(): i32 {
  const res = load<i64>(FLAG_RES);
  const aux = load<i32>(FLAG_AUX);
  const sign = <i32>(res >> 32) ^ (aux << 2);
  const parity = popcnt<i32>((<i32>res ^ (aux >> AUX_PDB_SHIFT)) & 0xff) & 1;
  return (
    load<i32>(EFLAGS) |
    2 |
    (aux >>> 31) |
    ((parity ^ 1) << 2) |
    ((aux & AUX_AF) << 1) |
    (i32(res == 0) << 6) |
    ((sign >>> 24) & F_SF) |
    (((aux ^ (aux << 1)) >>> 20) & F_OF)
  );
}

/** Takes the bits of `mask` from `value`. Whoever changes TF, IF, IOPL, VM or AC calls `updateMode` afterwards. */
export function setFlags(value: i32, mask: i32): void {
  if ((mask & F_ARITH) == F_ARITH) setArithmetic(value);
  else if (mask & F_ARITH) setArithmetic((getFlags() & ~mask) | (value & mask));
  const other = mask & ~F_ARITH;
  if (other) store<i32>(EFLAGS, (load<i32>(EFLAGS) & ~other) | (value & other) | 2);
}

/** OF, SF, ZF, AF, PF and CF as `f` has them. */
function setArithmetic(f: i32): void {
  const zero = (f >> 6) & 1;
  // RES is 0 or 1: its own parity is even exactly when it is 0.
  store<i64>(FLAG_RES, <i64>(zero ^ 1));
  const parity = ((f >> 2) & 1) ^ zero;
  const partial = (f ^ (f >> 11)) & 1;
  store<i32>(
    FLAG_AUX,
    (f << 31) | (partial << 30) | ((f & F_SF) << 22) | (parity << AUX_PDB_SHIFT) | ((f & F_AF) >> 1),
  );
}

/** Changes ZF alone. */
export function setZero(zero: bool): void {
  setFlags(zero ? F_ZF : 0, F_ZF);
}
