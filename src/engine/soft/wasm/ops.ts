/**
 * WebAssembly expressions as small trees, and the operators that build them. Constants fold where they meet, so semantics
 * written for run-time operands cost nothing extra when a compiler puts constants in.
 */
import type { ByteWriter } from './bytes.js';

export type ValType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';

export const TYPE_CODE: Record<ValType, number> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };

export interface Expr {
  readonly type: ValType;
  /** Opcode; 0xFCxx and 0xFDxx (up to 0xFDFFF) are the prefixed ones. */
  readonly op: number;
  readonly args: readonly Expr[];
  /** Immediates that follow the opcode, already as unsigned LEB numbers, or raw bytes. */
  readonly imm?: readonly number[] | undefined;
  readonly raw?: Uint8Array | undefined;
  readonly constant?: number | bigint | undefined;
  /** A local that nobody assigns again: may be read as often as one likes. */
  readonly stable?: boolean;
  /** Leaves nothing on the stack (store, call without result). */
  readonly void?: boolean;
}

const I32_CONST = 0x41;
const I64_CONST = 0x42;
const F32_CONST = 0x43;
const F64_CONST = 0x44;
const LOCAL_GET = 0x20;
const CALL = 0x10;
const CALL_INDIRECT = 0x11;
const SELECT = 0x1b;
const F32_BITS = 0xbc;
const F64_BITS = 0xbd;

const NONE: readonly never[] = [];

/** All nodes have the same fields in the same order: code that walks trees of many shapes is several times as slow. */
export function node(
  type: ValType,
  op: number,
  args: readonly Expr[],
  imm?: readonly number[],
  constant?: number | bigint,
  stable = false,
  isVoid = false,
  bytes?: Uint8Array,
): Expr {
  return { type, op, args, imm, raw: bytes, constant, stable, void: isVoid };
}

/** One whose opcode is followed by bytes that are no numbers (and before them by `imm`). */
export function withBytes(
  type: ValType,
  op: number,
  args: readonly Expr[],
  bytes: readonly number[],
  imm?: number[],
): Expr {
  return node(type, op, args, imm, undefined, false, false, new Uint8Array(bytes));
}

export function writeExpr(out: ByteWriter, e: Expr): void {
  const { op, args, imm } = e;
  for (let i = 0; i < args.length; i++) writeExpr(out, args[i]);
  if (op < 0x100) out.u8(op);
  else if (op >= 0xfd000) {
    out.u8(0xfd);
    out.u32(op & 0xfff);
  } else {
    out.u8(0xfc);
    out.u32(op & 0xff);
  }
  if (imm !== undefined) for (let i = 0; i < imm.length; i++) out.u32(imm[i]);
  else if (op === I32_CONST) out.s32(e.constant as number);
  else if (op === I64_CONST) out.s64(e.constant as bigint);
  else if (op === F64_CONST) out.f64(e.constant as number);
  else if (op === F32_CONST) out.f32(e.constant as number);
  if (e.raw !== undefined) out.bytes(e.raw);
}

export function i32c(value: number): Expr {
  return node('i32', I32_CONST, NONE, undefined, value | 0);
}

export function i64c(value: number | bigint): Expr {
  return node('i64', I64_CONST, NONE, undefined, BigInt.asIntN(64, BigInt(value)));
}

export function f64c(value: number): Expr {
  return node('f64', F64_CONST, NONE, undefined, value);
}

export function f32c(value: number): Expr {
  return node('f32', F32_CONST, NONE, undefined, value);
}

/** A v128 constant from 16 bytes. */
export function v128c(bytes: readonly number[]): Expr {
  return withBytes('v128', 0xfd000 | 0x0c, NONE, bytes);
}

/** Constant of an integer type. */
export function intc(type: ValType, value: number | bigint): Expr {
  if (type === 'i64') return i64c(value);
  return i32c(typeof value === 'number' ? value : Number(BigInt.asIntN(32, value)));
}

export function localGet(index: number, type: ValType, stable = false): Expr {
  return node(type, LOCAL_GET, NONE, [index], undefined, stable);
}

export function call(index: number, result: ValType | undefined, args: readonly Expr[]): Expr {
  return node(result ?? 'i32', CALL, args, [index], undefined, false, result === undefined);
}

/** Calls the function at `index` of a table. */
export function callIndirect(
  table: number,
  typeIndex: number,
  result: ValType,
  index: Expr,
  args: readonly Expr[],
): Expr {
  return node(result, CALL_INDIRECT, [...args, index], [typeIndex, table]);
}

export function select(condition: Expr, yes: Expr, no: Expr): Expr {
  if (typeof condition.constant === 'number') return condition.constant ? yes : no;
  if (yes.type === 'v128') throw new Error('select on v128 needs the typed form');
  return node(yes.type, SELECT, [yes, no, condition]);
}

/** Any operator by opcode: the SIMD ones are named in simd.ts. */
export function raw(type: ValType, op: number, args: readonly Expr[], imm?: readonly number[]): Expr {
  return node(type, op, args, imm);
}

// ---- integer arithmetic, chosen by the operands' type ---------------------------------------------------------------

type Fold = (a: bigint, b: bigint, bits: 32 | 64) => bigint | undefined;

function binary(op32: number, op64: number, fold: Fold, identity?: bigint) {
  const identity32 = identity === undefined ? undefined : Number(identity);
  return (a: Expr, b: Expr): Expr => {
    if (a.type !== b.type || (a.type !== 'i32' && a.type !== 'i64'))
      throw new Error(`operand types differ: ${a.type} ${b.type} (op ${op32.toString(16)})`);
    const wide = a.type === 'i64';
    if (b.constant !== undefined) {
      if (a.constant !== undefined) {
        const value = fold(BigInt(a.constant), BigInt(b.constant), wide ? 64 : 32);
        if (value !== undefined) return intc(a.type, value);
      }
      if (b.constant === (wide ? identity : identity32)) return a;
    }
    return node(a.type, wide ? op64 : op32, [a, b]);
  };
}

function compare(op32: number, op64: number, fold: (a: bigint, b: bigint) => boolean, unsigned = false) {
  return (a: Expr, b: Expr): Expr => {
    if (a.type !== b.type || (a.type !== 'i32' && a.type !== 'i64'))
      throw new Error(`operand types differ: ${a.type} ${b.type} (op ${op32.toString(16)})`);
    const wide = a.type === 'i64';
    if (a.constant !== undefined && b.constant !== undefined) {
      const bits = wide ? 64 : 32;
      const norm = (v: bigint) => (unsigned ? BigInt.asUintN(bits, v) : v);
      return i32c(fold(norm(BigInt(a.constant)), norm(BigInt(b.constant))) ? 1 : 0);
    }
    return node('i32', wide ? op64 : op32, [a, b]);
  };
}

const shiftBy = (b: bigint, bits: 32 | 64) => b & BigInt(bits - 1);
const u = (v: bigint, bits: 32 | 64) => BigInt.asUintN(bits, v);

export const add = binary(0x6a, 0x7c, (a, b) => a + b, 0n);
export const sub = binary(0x6b, 0x7d, (a, b) => a - b, 0n);
export const mul = binary(0x6c, 0x7e, (a, b) => a * b, 1n);
export const divS = binary(0x6d, 0x7f, () => undefined, 1n);
export const divU = binary(0x6e, 0x80, () => undefined, 1n);
export const remS = binary(0x6f, 0x81, () => undefined);
export const remU = binary(0x70, 0x82, () => undefined);
export const and = binary(0x71, 0x83, (a, b) => a & b, -1n);
export const or = binary(0x72, 0x84, (a, b) => a | b, 0n);
export const xor = binary(0x73, 0x85, (a, b) => a ^ b, 0n);
export const shl = binary(0x74, 0x86, (a, b, n) => a << shiftBy(b, n), 0n);
export const shrS = binary(0x75, 0x87, (a, b, n) => a >> shiftBy(b, n), 0n);
export const shrU = binary(0x76, 0x88, (a, b, n) => u(a, n) >> shiftBy(b, n), 0n);
export const rotl = binary(0x77, 0x89, () => undefined, 0n);
export const rotr = binary(0x78, 0x8a, () => undefined, 0n);

export const eq = compare(0x46, 0x51, (a, b) => a === b);
export const ne = compare(0x47, 0x52, (a, b) => a !== b);
export const ltS = compare(0x48, 0x53, (a, b) => a < b);
export const ltU = compare(0x49, 0x54, (a, b) => a < b, true);
export const gtS = compare(0x4a, 0x55, (a, b) => a > b);
export const gtU = compare(0x4b, 0x56, (a, b) => a > b, true);
export const leS = compare(0x4c, 0x57, (a, b) => a <= b);
export const leU = compare(0x4d, 0x58, (a, b) => a <= b, true);
export const geS = compare(0x4e, 0x59, (a, b) => a >= b);
export const geU = compare(0x4f, 0x5a, (a, b) => a >= b, true);

function unary(op32: number, op64: number, result?: 'i32') {
  return (a: Expr): Expr => node(result ?? a.type, a.type === 'i64' ? op64 : op32, [a]);
}

export const clz = unary(0x67, 0x79);
export const ctz = unary(0x68, 0x7a);
export const popcnt = unary(0x69, 0x7b);

export function eqz(a: Expr): Expr {
  if (a.constant !== undefined) return i32c(BigInt(a.constant) === 0n ? 1 : 0);
  return node('i32', a.type === 'i64' ? 0x50 : 0x45, [a]);
}

/** Low 32 bits. */
export function wrap(a: Expr): Expr {
  if (a.type === 'i32') return a;
  if (a.constant !== undefined) return intc('i32', a.constant);
  // wrap(extend(x)) is x
  if (a.op === 0xac || a.op === 0xad) return a.args[0];
  return node('i32', 0xa7, [a]);
}

export function extendS(a: Expr): Expr {
  if (a.type === 'i64') return a;
  if (a.constant !== undefined) return i64c(a.constant);
  return node('i64', 0xac, [a]);
}

export function extendU(a: Expr): Expr {
  if (a.type === 'i64') return a;
  if (a.constant !== undefined) return i64c(BigInt.asUintN(32, BigInt(a.constant)));
  return node('i64', 0xad, [a]);
}

/** Sign-extends the low 8, 16 or (i64) 32 bits inside the type. */
export function signExtend(a: Expr, fromBits: 8 | 16 | 32): Expr {
  if (a.constant !== undefined) return intc(a.type, BigInt.asIntN(fromBits, BigInt(a.constant)));
  if (a.type === 'i32') return fromBits === 32 ? a : node('i32', fromBits === 8 ? 0xc0 : 0xc1, [a]);
  return node('i64', fromBits === 8 ? 0xc2 : fromBits === 16 ? 0xc3 : 0xc4, [a]);
}

// ---- memory ---------------------------------------------------------------------------------------------------------

/** Loads by name: [opcode, result type]. */
const LOADS = {
  i32: [0x28, 'i32'],
  i64: [0x29, 'i64'],
  f32: [0x2a, 'f32'],
  f64: [0x2b, 'f64'],
  i32_8s: [0x2c, 'i32'],
  i32_8u: [0x2d, 'i32'],
  i32_16s: [0x2e, 'i32'],
  i32_16u: [0x2f, 'i32'],
  i64_8s: [0x30, 'i64'],
  i64_8u: [0x31, 'i64'],
  i64_16s: [0x32, 'i64'],
  i64_16u: [0x33, 'i64'],
  i64_32s: [0x34, 'i64'],
  i64_32u: [0x35, 'i64'],
  v128: [0xfd000, 'v128'],
  v128_32zero: [0xfd05c, 'v128'],
  v128_64zero: [0xfd05d, 'v128'],
} as const satisfies Record<string, readonly [number, ValType]>;

const STORES = {
  i32: 0x36,
  i64: 0x37,
  f32: 0x38,
  f64: 0x39,
  i32_8: 0x3a,
  i32_16: 0x3b,
  i64_8: 0x3c,
  i64_16: 0x3d,
  i64_32: 0x3e,
  v128: 0xfd00b,
} as const;

export type LoadKind = keyof typeof LOADS;
export type StoreKind = keyof typeof STORES;

/** Load from `address + offset`. Alignment hint 0: guests align as they like. */
export function load(kind: LoadKind, address: Expr, offset = 0): Expr {
  const [op, type] = LOADS[kind];
  return node(type, op, [address], [0, offset]);
}

/** Store to `address + offset`: a statement, for FunctionBuilder.do. */
export function store(kind: StoreKind, address: Expr, value: Expr, offset = 0): Expr {
  // The bits of a float are stored as the float.
  if (kind === 'i64' && value.op === F64_BITS) return store('f64', address, value.args[0], offset);
  if (kind === 'i32' && value.op === F32_BITS) return store('f32', address, value.args[0], offset);
  return node('i32', STORES[kind], [address, value], [0, offset], undefined, false, true);
}
