// What compiled regions call. A region keeps registers in Wasm locals, so nothing in here may look at them. Whatever is intricate
// (TLB misses, devices, page-crossing accesses, stores into code) it leaves to the interpreter.
import {
  AUX_CF,
  AUX_PDB_SHIFT,
  AUX_PO,
  FLAG_AUX,
  FLAG_RES,
  LAZY_A,
  LAZY_B,
  LAZY_KIND,
  LAZY_R,
  LAZY_X,
  MODE,
  MODE_64,
} from '../layout';
import { findBlock } from './code';
import { regionHot } from './env';

/** Kinds of flags that a region leaves to be worked out: operation in bits 3:0, operand size in bytes above. */
const LOGIC: i32 = 3;
const FLOAT: i32 = 4; // a comparison of two floats' bits
const ADD: i32 = 1; // in bits 1:0
/** A carry came in: the operands alone do not tell the result. */
const CARRY: i32 = 4;

/** An operation since then that changes some flags only: in bits 11:8 of the kind, log2 of its size above. */
const ROL: i32 = 1;
const ROR: i32 = 2;
const INC: i32 = 4;

/** Works out the flags that a region has left in LAZY_*, and leaves RES and AUX there. */
export function settleLazy(): void {
  const kind = load<i32>(LAZY_KIND);
  if (kind == 0) return;
  if (kind & 0xff) settleWhole(kind & 0xff, load<i64>(LAZY_A), load<i64>(LAZY_B));
  else {
    store<i64>(FLAG_RES, load<i64>(LAZY_A));
    store<i32>(FLAG_AUX, load<i32>(LAZY_B));
  }
  if (kind >> 8) settlePartial((kind >> 8) & 15, 1 << (kind >> 12), load<i64>(LAZY_X));
  store<i32>(LAZY_KIND, 0);
  store<i64>(LAZY_A, load<i64>(FLAG_RES));
  store<i64>(LAZY_B, <i64>load<u32>(FLAG_AUX));
}

/** The same, and puts them where everybody else looks for them. */
export function settleState(): void {
  settleLazy();
  store<i64>(FLAG_RES, load<i64>(LAZY_A));
  store<i32>(FLAG_AUX, load<i32>(LAZY_B));
}

/** `x`: the operation's result, zero-extended from `size` bytes. */
function settlePartial(operation: i32, size: i32, x: i64): void {
  const aux = load<i32>(FLAG_AUX);
  const top = <i32>(x >> <i64>(size * 8 - 1)) & 1;
  if (operation & (ROL | ROR)) {
    const cf = operation == ROL ? <i32>x & 1 : top;
    const other = operation == ROL ? cf : <i32>(x >> <i64>(size * 8 - 2)) & 1;
    store<i32>(FLAG_AUX, (aux & ~(<i32>AUX_CF | AUX_PO)) | (cf << 31) | ((cf ^ top ^ other) << 30));
    return;
  }
  const bits = <i64>(size * 8);
  const ones: i64 = size == 8 ? -1 : ((1 as i64) << bits) - 1;
  const smallest: i64 = (1 as i64) << (bits - 1);
  // INC overflows into the smallest number, DEC out of it.
  const edge = operation == INC ? x : (x + 1) & ones;
  const cf = aux >>> 31;
  const overflow = i32(edge == smallest);
  const af = i32((edge & 15) == 0);
  store<i64>(FLAG_RES, (x << (64 - bits)) >> (64 - bits));
  store<i32>(FLAG_AUX, (cf << 31) | ((cf ^ overflow) << 30) | (af << 3));
}

/** Operands are zero-extended; a logic operation has left its result only. */
function settleWhole(kind: i32, a: i64, b: i64): void {
  const size = kind >> 4;
  const operation = kind & 15;
  if (operation == FLOAT) {
    settleFloat(
      size == 8 ? reinterpret<f64>(a) : <f64>reinterpret<f32>(<i32>a),
      size == 8 ? reinterpret<f64>(b) : <f64>reinterpret<f32>(<i32>b),
    );
    return;
  }
  const op = kind & 3;
  const r = op == LOGIC ? a : operation & CARRY ? load<i64>(LAZY_R) : op == ADD ? a + b : a - b;
  let aux: i32 = 0;
  if (op != LOGIC) {
    const carries: i64 = op == ADD ? (a & b) | ((a | b) & ~r) : (~a & b) | (~(a ^ b) & r);
    const top = (size << 3) - 32;
    const high: i32 = top >= 0 ? <i32>(carries >> top) : (<i32>carries) << -top;
    aux = (high & (<i32>AUX_CF | AUX_PO)) | (<i32>carries & 8);
  }
  store<i64>(FLAG_RES, size == 8 ? r : size == 4 ? <i64>(<i32>r) : size == 2 ? <i64>(<i16>r) : <i64>(<i8>r));
  store<i32>(FLAG_AUX, aux);
}

/** From the interpreter: a block has become hot. */
export function blockHot(block: u32): void {
  regionHot(block);
}

/** Flags of COMISD: RES is 0 or 100h, whose low byte has even parity. */
function settleFloat(a: f64, b: f64): void {
  const unordered = !(a < b || a >= b);
  store<i64>(FLAG_RES, unordered || a == b ? 0 : 0x100);
  // CF without OF has both bits; the delta takes PF away.
  store<i32>(FLAG_AUX, (unordered || a < b ? <i32>(AUX_CF | AUX_PO) : 0) | (unordered ? 0 : 1 << AUX_PDB_SHIFT));
}

/** The block decoded for RIP `low:high` under the present mappings, or 0. Nothing is fetched or filled. */
export function peekBlock(low: u32, high: u32): u32 {
  const rip = <i64>low | ((<i64>high) << 32);
  return findBlock(load<i32>(MODE) & MODE_64 ? rip : rip & 0xffffffff);
}
