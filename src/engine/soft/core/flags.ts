// RFLAGS between its two forms: the lazy one of layout.ts (RES, AUX, EFLAGS) and the architectural one.
import { AUX_AF, AUX_CF, AUX_PDB_SHIFT, AUX_PO, AUX_SFD, EFLAGS, FLAG_AUX, FLAG_RES } from '../layout';
import { F_AF, F_ARITH, F_CF, F_OF, F_PF, F_SF, F_ZF } from './state';

/** RFLAGS bits 31:0. */
export function getFlags(): i32 {
  const res = load<i64>(FLAG_RES);
  const aux = load<i32>(FLAG_AUX);
  let f = load<i32>(EFLAGS) | 2;
  if (aux & <i32>AUX_CF) f |= F_CF;
  if ((aux ^ (aux << 1)) & <i32>AUX_CF) f |= F_OF;
  if (aux & AUX_AF) f |= F_AF;
  if (res == 0) f |= F_ZF;
  if (<i32>(<u64>res >> 63) != ((aux & AUX_SFD) != 0 ? 1 : 0)) f |= F_SF;
  if ((popcnt<i32>((<i32>res ^ (aux >> AUX_PDB_SHIFT)) & 0xff) & 1) == 0) f |= F_PF;
  return f;
}

/** Takes the bits of `mask` from `value`. Whoever changes TF, IF, IOPL, VM or AC calls `updateMode` afterwards. */
export function setFlags(value: i32, mask: i32): void {
  const other = mask & ~F_ARITH;
  if (mask & F_ARITH) {
    const f = (getFlags() & ~mask) | (value & mask);
    const zero = (f & F_ZF) != 0;
    let aux = 0;
    if (f & F_CF) aux |= <i32>AUX_CF;
    if (((f & F_CF) != 0) != ((f & F_OF) != 0)) aux |= AUX_PO;
    if (f & F_AF) aux |= AUX_AF;
    if (f & F_SF) aux |= AUX_SFD;
    // RES is 0 or 1: its own parity is even exactly when it is 0.
    if (((f & F_PF) != 0) != zero) aux |= 1 << AUX_PDB_SHIFT;
    store<i64>(FLAG_RES, zero ? 0 : 1);
    store<i32>(FLAG_AUX, aux);
  }
  if (other) store<i32>(EFLAGS, (load<i32>(EFLAGS) & ~other) | (value & other) | 2);
}

/** Changes ZF alone. */
export function setZero(zero: bool): void {
  setFlags(zero ? F_ZF : 0, F_ZF);
}
