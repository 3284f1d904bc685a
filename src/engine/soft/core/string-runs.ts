// Runs of MOVS and STOS: upwards, through plain memory, in segments that are flat. Nearly all are such. Regions call these
// with what they keep in Wasm locals: nothing in here looks at a general register or at flags that are lazy.
import { ADDR_MASK, EFLAGS, MODE, MODE_TF, TLB_ADDEND, TLB_CUR, TLB_READ, TLB_WRITE } from '../layout';
import { F_DF } from './state';
import { tlbEntry } from './tlb';

/** Bytes that one go may move before interrupts are looked at again. */
export const GO: i32 = 65536;
/** Up to so many bytes a loop is sooner done than a call of the host's. */
const SHORT: i32 = 256;

/** Whether so many elements are a run at all: what takes more than one go is paid for by op_movs and op_stos. */
function isRun(count: i64, shift: i32): bool {
  if (load<i32>(EFLAGS) & F_DF || load<i32>(MODE) & MODE_TF) return false;
  return <u64>count <= <u64>(GO >> shift);
}

/** Host address of the byte at `lin` by the TLB's tag, or 0: a fault, a device, decoded code, or just a miss. */
function plain(lin: i64, tag: i32): u32 {
  const e = tlbEntry(load<u32>(TLB_CUR), lin);
  return load<i64>(e + tag) == (lin & ~0xfff) ? <u32>lin + load<u32>(e, TLB_ADDEND) : 0;
}

/**
 * Moves elements of 2^shift bytes, at most `count`: how many. The rest is for op_movs: what the TLB does not have, an
 * element across pages.
 */
export function moveRun(src: i64, dst: i64, count: i64, shift: i32): i64 {
  if (!isRun(count, shift)) return 0;
  const limit = <i32>count;
  const mask = load<i64>(ADDR_MASK);
  let done = 0;
  while (done < limit) {
    const s = (src + <i64>(done << shift)) & mask;
    const d = (dst + <i64>(done << shift)) & mask;
    const n = min((0x1000 - max(<i32>s & 0xfff, <i32>d & 0xfff)) >> shift, limit - done);
    if (n == 0) break;
    const bytes = n << shift;
    const from = plain(s, TLB_READ);
    if (from == 0) break;
    const to = plain(d, TLB_WRITE);
    if (to == 0) break;
    // What lies before its source may go in any portions; what lies in it repeats what has just been written.
    if (to > from && to - from < <u32>bytes) repeat(to, from, bytes, shift);
    else copy(to, from, bytes);
    done += n;
  }
  return done;
}

/** Stores elements of 2^shift bytes, at most `count`: how many. */
export function storeRun(value: i64, dst: i64, count: i64, shift: i32): i64 {
  if (!isRun(count, shift)) return 0;
  const limit = <i32>count;
  const mask = load<i64>(ADDR_MASK);
  let done = 0;
  while (done < limit) {
    const d = (dst + <i64>(done << shift)) & mask;
    const n = min((0x1000 - (<i32>d & 0xfff)) >> shift, limit - done);
    if (n == 0) break;
    const to = plain(d, TLB_WRITE);
    if (to == 0) break;
    fill(to, value, n << shift, shift);
    done += n;
  }
  return done;
}

function copy(to: u32, from: u32, bytes: i32): void {
  if (bytes > SHORT) {
    memory.copy(to, from, bytes);
    return;
  }
  for (; bytes >= 16; bytes -= 16) {
    v128.store(to, v128.load(from));
    to += 16;
    from += 16;
  }
  if (bytes & 8) {
    store<u64>(to, load<u64>(from));
    to += 8;
    from += 8;
  }
  if (bytes & 4) {
    store<u32>(to, load<u32>(from));
    to += 4;
    from += 4;
  }
  if (bytes & 2) {
    store<u16>(to, load<u16>(from));
    to += 2;
    from += 2;
  }
  if (bytes & 1) store<u8>(to, load<u8>(from));
}

/** An element after the other, upwards. */
export function repeat(to: u32, from: u32, bytes: i32, shift: i32): void {
  const end = to + bytes;
  if (shift == 0) for (; to < end; to++, from++) store<u8>(to, load<u8>(from));
  else if (shift == 1) for (; to < end; to += 2, from += 2) store<u16>(to, load<u16>(from));
  else if (shift == 2) for (; to < end; to += 4, from += 4) store<u32>(to, load<u32>(from));
  else for (; to < end; to += 8, from += 8) store<u64>(to, load<u64>(from));
}

/** Fills with the low 2^shift bytes of `value`, once and again. */
export function fill(to: u32, value: i64, bytes: i32, shift: i32): void {
  let all = value;
  if (shift == 0) all = (value & 0xff) * 0x0101010101010101;
  else if (shift == 1) all = (value & 0xffff) * 0x0001000100010001;
  else if (shift == 2) all = (value & 0xffffffff) * 0x0000000100000001;
  if (bytes > SHORT && all == (value & 0xff) * 0x0101010101010101) {
    memory.fill(to, <u8>value, bytes);
    return;
  }
  const lanes = i64x2.splat(all);
  for (; bytes >= 16; bytes -= 16) {
    v128.store(to, lanes);
    to += 16;
  }
  if (bytes & 8) {
    store<i64>(to, all);
    to += 8;
  }
  if (bytes & 4) {
    store<i32>(to, <i32>all);
    to += 4;
  }
  if (bytes & 2) {
    store<i16>(to, <i16>all);
    to += 2;
  }
  if (bytes & 1) store<u8>(to, <u8>all);
}
