// Integer instructions too long to inline: wide division, rotates through carry, BCD, PDEP/PEXT, CRC32, PUSHA and friends.
import { AUX_CF, AUX_PO, FAULT, FAULT_VECTOR, FLAG_AUX, NEXT, REC_IMM, REGS } from '../layout';
import { getFlags, setFlags } from './flags';

const RAX: i32 = REGS;
const RCX: i32 = REGS + 8;
const RDX: i32 = REGS + 16;
const DE: i32 = 0;

function fault(vector: i32): i32 {
  store<i32>(FAULT_VECTOR, vector);
  return FAULT;
}

// Leading-zero normalised schoolbook division of hi:lo by d (Knuth, vol. 2, 4.3.1, algorithm D with two digits).
// The caller has checked hi < d. Leaves the remainder in `remainder`.
let remainder: u64 = 0;
function divide128(hi: u64, lo: u64, d: u64): u64 {
  if (hi == 0) {
    remainder = lo % d;
    return lo / d;
  }
  const s = clz(d);
  d <<= s;
  if (s) hi = (hi << s) | (lo >> (64 - s));
  lo <<= s;
  const dh = d >> 32;
  const dl = d & 0xffffffff;
  let q1 = hi / dh;
  let r = hi % dh;
  while (q1 >> 32 || q1 * dl > ((r << 32) | (lo >> 32))) {
    q1--;
    r += dh;
    if (r >> 32) break;
  }
  const mid = (hi << 32) + (lo >> 32) - q1 * d;
  let q0 = mid / dh;
  r = mid % dh;
  while (q0 >> 32 || q0 * dl > ((r << 32) | (lo & 0xffffffff))) {
    q0--;
    r += dh;
    if (r >> 32) break;
  }
  remainder = ((mid << 32) + (lo & 0xffffffff) - q0 * d) >> s;
  return (q1 << 32) + q0;
}

/** DIV r/m64: RDX:RAX by d. NEXT, or FAULT with #DE raised. */
export function div64(d: u64): i32 {
  const hi = load<u64>(RDX);
  if (hi >= d) return fault(DE); // d == 0 is in this, too
  const q = divide128(hi, load<u64>(RAX), d);
  store<u64>(RAX, q);
  store<u64>(RDX, remainder);
  return NEXT;
}

/** IDIV r/m64. */
export function idiv64(d: i64): i32 {
  if (d == 0) return fault(DE);
  let hi = load<u64>(RDX);
  let lo = load<u64>(RAX);
  const negative = <i64>hi < 0;
  if (negative) {
    lo = 0 - lo;
    hi = ~hi + (lo == 0 ? 1 : 0);
  }
  const divisor: u64 = d < 0 ? 0 - <u64>d : <u64>d;
  if (hi >= divisor) return fault(DE);
  let q = divide128(hi, lo, divisor);
  const negativeQuotient = negative != d < 0;
  // -2^63 fits, +2^63 doesn't.
  if (negativeQuotient ? q > 0x8000000000000000 : q >= 0x8000000000000000) return fault(DE);
  if (negativeQuotient) q = 0 - q;
  store<u64>(RAX, q);
  store<u64>(RDX, negative ? 0 - remainder : remainder);
  return NEXT;
}

function setCfOf(cf: u32, over: u32): void {
  const aux = load<u32>(FLAG_AUX) & ~(<u32>AUX_CF | <u32>AUX_PO);
  store<u32>(FLAG_AUX, aux | (cf << 31) | ((cf ^ over) << 30));
}

/** RCL: `count` already masked to 5 or 6 bits and not 0. Sets CF and OF. */
export function rcl(size: i32, a: u64, count: i32): u64 {
  const bits: u64 = size << 3;
  let cf: u64 = load<u32>(FLAG_AUX) >> 31;
  let n: u64 = <u64>count % (bits + 1);
  const mask: u64 = bits == 64 ? -1 : ((<u64>1) << bits) - 1;
  while (n--) {
    const top = (a >> (bits - 1)) & 1;
    a = ((a << 1) | cf) & mask;
    cf = top;
  }
  setCfOf(<u32>cf, <u32>(((a >> (bits - 1)) & 1) ^ cf));
  return a;
}

/** RCR: as rcl. OF is the xor of the two top bits of the result. */
export function rcr(size: i32, a: u64, count: i32): u64 {
  const bits: u64 = size << 3;
  let cf: u64 = load<u32>(FLAG_AUX) >> 31;
  let n: u64 = <u64>count % (bits + 1);
  while (n--) {
    const low = a & 1;
    a = (a >> 1) | (cf << (bits - 1));
    cf = low;
  }
  setCfOf(<u32>cf, <u32>(((a >> (bits - 1)) ^ (a >> (bits - 2))) & 1));
  return a;
}

/** PDEP, PEXT (BMI2). */
export function pdep(source: u64, mask: u64): u64 {
  let result: u64 = 0;
  while (mask) {
    const lowest = mask & (0 - mask);
    if (source & 1) result |= lowest;
    source >>= 1;
    mask ^= lowest;
  }
  return result;
}

export function pext(source: u64, mask: u64): u64 {
  let result: u64 = 0;
  let to: u64 = 1;
  while (mask) {
    const lowest = mask & (0 - mask);
    if (source & lowest) result |= to;
    to <<= 1;
    mask ^= lowest;
  }
  return result;
}

/** CRC32 with the Castagnoli polynomial, reflected (82F63B78h), over `size` low bytes of `data`. */
export function crc32c(crc: u32, data: u64, size: i32): u32 {
  for (let i = 0; i < size; i++) {
    crc ^= <u32>(data & 0xff);
    data >>= 8;
    for (let k = 0; k < 8; k++) crc = (crc >> 1) ^ (0x82f63b78 & (0 - (crc & 1)));
  }
  return crc;
}

/** RCX by address size (2, 4, 8 bytes), less one if asked; whether it is not zero then. */
export function countRegister(size: i32, decrement: i32): i32 {
  if (size == 8) {
    const v = load<u64>(RCX) - decrement;
    store<u64>(RCX, v);
    return i32(v != 0);
  }
  if (size == 4) {
    const v = load<u32>(RCX) - decrement;
    if (decrement) store<u64>(RCX, v);
    return i32(v != 0);
  }
  const v: u32 = (load<u16>(RCX) - decrement) & 0xffff;
  store<u16>(RCX, <u16>v);
  return i32(v != 0);
}

// ---- BCD (SDM vol. 1, 7.3.12; flags by the pseudo code) -----------------------------------------------------------------

const CF: i32 = 1;
const PF: i32 = 4;
const AF: i32 = 0x10;
const ZF: i32 = 0x40;
const SF: i32 = 0x80;
const OF: i32 = 0x800;

function resultFlags(al: i32): i32 {
  al &= 0xff;
  return (al == 0 ? ZF : 0) | (al & 0x80 ? SF : 0) | (popcnt(al) & 1 ? 0 : PF);
}

function decimalAdjust(sign: i32): i32 {
  const flags = getFlags();
  const old = load<u8>(RAX);
  let al: i32 = old;
  let cf = 0;
  let af = 0;
  if ((al & 15) > 9 || flags & AF) {
    al += sign * 6;
    cf = flags & CF || (sign > 0 ? al > 0xff : old < 6) ? 1 : 0;
    af = AF;
  }
  if (old > 0x99 || flags & CF) {
    al += sign * 0x60;
    cf = 1;
  }
  store<u8>(RAX, <u8>al);
  setFlags(resultFlags(al) | cf | af, CF | AF | SF | ZF | PF | OF);
  return NEXT;
}

export function op_daa(rec: i32): i32 {
  return decimalAdjust(1);
}

export function op_das(rec: i32): i32 {
  return decimalAdjust(-1);
}

function asciiAdjust(sign: i32): i32 {
  const flags = getFlags();
  let ax: i32 = load<u16>(RAX);
  let carry = 0;
  if ((ax & 15) > 9 || flags & AF) {
    ax += sign * 0x106;
    carry = CF | AF;
  }
  ax = (ax & 0xff00) | (ax & 0x0f);
  store<u16>(RAX, <u16>ax);
  setFlags(resultFlags(ax) | carry, CF | AF | SF | ZF | PF | OF);
  return NEXT;
}

export function op_aaa(rec: i32): i32 {
  return asciiAdjust(1);
}

export function op_aas(rec: i32): i32 {
  return asciiAdjust(-1);
}

export function op_aam(rec: i32): i32 {
  const base = load<u8>(rec + REC_IMM);
  if (base == 0) return fault(DE);
  const al = load<u8>(RAX);
  store<u8>(RAX + 1, al / base);
  store<u8>(RAX, al % base);
  setFlags(resultFlags(al % base), CF | AF | SF | ZF | PF | OF);
  return NEXT;
}

export function op_aad(rec: i32): i32 {
  const al = (load<u8>(RAX) + load<u8>(RAX + 1) * load<u8>(rec + REC_IMM)) & 0xff;
  store<u16>(RAX, <u16>al);
  setFlags(resultFlags(al), CF | AF | SF | ZF | PF | OF);
  return NEXT;
}
