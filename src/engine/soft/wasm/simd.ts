/** WebAssembly SIMD operators (0xFD prefix) by name: opcode numbers of the core specification 3.0, section 5.4.9. */
import type { Expr, ValType } from './ops.js';
import { node, raw, v128c, withBytes } from './ops.js';

const PREFIX = 0xfd000;

const unary =
  (op: number, type: ValType = 'v128') =>
  (a: Expr): Expr =>
    raw(type, PREFIX | op, [a]);
const binary =
  (op: number) =>
  (a: Expr, b: Expr): Expr =>
    raw('v128', PREFIX | op, [a, b]);
const extract =
  (op: number, type: ValType) =>
  (a: Expr, lane: number): Expr =>
    raw(type, PREFIX | op, [a], [lane]);
const replace =
  (op: number) =>
  (a: Expr, lane: number, value: Expr): Expr =>
    raw('v128', PREFIX | op, [a, value], [lane]);
/** The same; the bits of a float go in as the float (`bits`: the reinterpretation, `asFloat`: the other operator). */
const replaceBits =
  (op: number, bits: number, asFloat: number) =>
  (a: Expr, lane: number, value: Expr): Expr =>
    value.op === bits
      ? raw('v128', PREFIX | asFloat, [a, value.args[0]], [lane])
      : raw('v128', PREFIX | op, [a, value], [lane]);
const ternary =
  (op: number) =>
  (a: Expr, b: Expr, c: Expr): Expr =>
    raw('v128', PREFIX | op, [a, b, c]);
/** Shift of every lane by an i32 count, modulo the lane's width. */
const shift = binary;

/** Bytes chosen from a (0 to 15) and b (16 to 31) by constants. */
export function shuffle(a: Expr, b: Expr, lanes: readonly number[]): Expr {
  return withBytes('v128', PREFIX | 0x0d, [a, b], lanes);
}

/** shuffle() by lanes of `size` bytes: 16 / size numbers. */
export function shuffleLanes(size: number, a: Expr, b: Expr, lanes: readonly number[]): Expr {
  return shuffle(
    a,
    b,
    lanes.flatMap((lane) => Array.from({ length: size }, (_, i) => lane * size + i)),
  );
}

/** Conditional choice of a whole vector. */
export function select(condition: Expr, yes: Expr, no: Expr): Expr {
  return withBytes('v128', 0x1c, [yes, no, condition], [0x7b], [1]);
}

/** Constants by lanes. */
export const zero = v128c(new Array<number>(16).fill(0));
const lanesConstant =
  (size: number) =>
  (...lanes: readonly number[]): Expr => {
    const all = lanes.length === 1 ? new Array<number>(16 / size).fill(lanes[0]) : lanes;
    return v128c(
      all.flatMap((v) => Array.from({ length: size }, (_, i) => (i < 4 ? (v >> (8 * i)) & 255 : v < 0 ? 255 : 0))),
    );
  };
/** One number stands for all lanes. */
export const i8x16c = lanesConstant(1);
export const i16x8c = lanesConstant(2);
export const i32x4c = lanesConstant(4);
/** Lanes within the range of a 32-bit integer. */
export const i64x2c = lanesConstant(8);
/** Both lanes the same 64 bits. */
export function i64x2same(value: bigint): Expr {
  const bytes = Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));
  return v128c([...bytes, ...bytes]);
}

/** Lane indexes of the bytes: 0 to 15. */
export const iota = v128c(Array.from({ length: 16 }, (_, i) => i));

export const v128 = {
  not: unary(0x4d),
  and: binary(0x4e),
  /** a & ~b */
  andnot: binary(0x4f),
  or: binary(0x50),
  xor: binary(0x51),
  /** Bits of a where the mask is set, else of b. */
  bitselect: ternary(0x52),
  anyTrue: unary(0x53, 'i32'),
};

export const i8x16 = {
  /** Bytes of a chosen by b; indexes above 15 give 0. */
  swizzle: binary(0x0e),
  splat: unary(0x0f),
  extractS: extract(0x15, 'i32'),
  extractU: extract(0x16, 'i32'),
  replace: replace(0x17),
  eq: binary(0x23),
  ltS: binary(0x25),
  gtS: binary(0x27),
  gtU: binary(0x28),
  abs: unary(0x60),
  neg: unary(0x61),
  allTrue: unary(0x63, 'i32'),
  bitmask: unary(0x64, 'i32'),
  narrowS: binary(0x65),
  narrowU: binary(0x66),
  shl: shift(0x6b),
  shrS: shift(0x6c),
  shrU: shift(0x6d),
  add: binary(0x6e),
  addSatS: binary(0x6f),
  addSatU: binary(0x70),
  sub: binary(0x71),
  subSatS: binary(0x72),
  subSatU: binary(0x73),
  minS: binary(0x76),
  minU: binary(0x77),
  maxS: binary(0x78),
  maxU: binary(0x79),
  avgrU: binary(0x7b),
};

export const i16x8 = {
  splat: unary(0x10),
  extractS: extract(0x18, 'i32'),
  extractU: extract(0x19, 'i32'),
  replace: replace(0x1a),
  eq: binary(0x2d),
  ltS: binary(0x2f),
  gtS: binary(0x31),
  extaddPairwiseU: unary(0x7d),
  abs: unary(0x80),
  neg: unary(0x81),
  q15mulrSatS: binary(0x82),
  allTrue: unary(0x83, 'i32'),
  bitmask: unary(0x84, 'i32'),
  narrowS: binary(0x85),
  narrowU: binary(0x86),
  extendLowS: unary(0x87),
  extendHighS: unary(0x88),
  extendLowU: unary(0x89),
  extendHighU: unary(0x8a),
  shl: shift(0x8b),
  shrS: shift(0x8c),
  shrU: shift(0x8d),
  add: binary(0x8e),
  addSatS: binary(0x8f),
  addSatU: binary(0x90),
  sub: binary(0x91),
  subSatS: binary(0x92),
  subSatU: binary(0x93),
  mul: binary(0x95),
  minS: binary(0x96),
  minU: binary(0x97),
  maxS: binary(0x98),
  maxU: binary(0x99),
  avgrU: binary(0x9b),
};

export const i32x4 = {
  splat: unary(0x11),
  extract: extract(0x1b, 'i32'),
  replace: replaceBits(0x1c, 0xbc, 0x20),
  eq: binary(0x37),
  ltS: binary(0x39),
  ltU: binary(0x3a),
  gtS: binary(0x3b),
  extaddPairwiseU: unary(0x7f),
  abs: unary(0xa0),
  neg: unary(0xa1),
  allTrue: unary(0xa3, 'i32'),
  bitmask: unary(0xa4, 'i32'),
  extendLowS: unary(0xa7),
  extendHighS: unary(0xa8),
  extendLowU: unary(0xa9),
  extendHighU: unary(0xaa),
  shl: shift(0xab),
  shrS: shift(0xac),
  shrU: shift(0xad),
  add: binary(0xae),
  sub: binary(0xb1),
  mul: binary(0xb5),
  minS: binary(0xb6),
  minU: binary(0xb7),
  maxS: binary(0xb8),
  maxU: binary(0xb9),
  dotI16x8S: binary(0xba),
  extmulLowS: binary(0xbc),
  extmulHighS: binary(0xbd),
  extmulLowU: binary(0xbe),
  extmulHighU: binary(0xbf),
  truncSatF32x4S: unary(0xf8),
  truncSatF64x2SZero: unary(0xfc),
};

export const i64x2 = {
  splat: unary(0x12),
  extract: extract(0x1d, 'i64'),
  replace: replaceBits(0x1e, 0xbd, 0x22),
  neg: unary(0xc1),
  allTrue: unary(0xc3, 'i32'),
  bitmask: unary(0xc4, 'i32'),
  extendLowS: unary(0xc7),
  extendLowU: unary(0xc9),
  shl: shift(0xcb),
  shrS: shift(0xcc),
  shrU: shift(0xcd),
  add: binary(0xce),
  sub: binary(0xd1),
  mul: binary(0xd5),
  eq: binary(0xd6),
  ltS: binary(0xd8),
  gtS: binary(0xd9),
  extmulLowS: binary(0xdc),
  extmulLowU: binary(0xde),
};

export const f32x4 = {
  neg: unary(0xe1),
  splat: unary(0x13),
  extract: extract(0x1f, 'f32'),
  replace: replace(0x20),
  eq: binary(0x41),
  lt: binary(0x43),
  le: binary(0x45),
  nearest: unary(0x6a),
  abs: unary(0xe0),
  sqrt: unary(0xe3),
  add: binary(0xe4),
  sub: binary(0xe5),
  mul: binary(0xe6),
  div: binary(0xe7),
  pmin: binary(0xea),
  pmax: binary(0xeb),
  /** a * b + c, rounded once or twice (fused.ts). */
  relaxedMadd: ternary(0x105),
  convertI32x4S: unary(0xfa),
  demoteF64x2Zero: unary(0x5e),
};

export const f64x2 = {
  neg: unary(0xed),
  splat: unary(0x14),
  extract: extract(0x21, 'f64'),
  replace: replace(0x22),
  eq: binary(0x47),
  lt: binary(0x49),
  le: binary(0x4b),
  nearest: unary(0x94),
  abs: unary(0xec),
  sqrt: unary(0xef),
  add: binary(0xf0),
  sub: binary(0xf1),
  mul: binary(0xf2),
  div: binary(0xf3),
  pmin: binary(0xf6),
  pmax: binary(0xf7),
  relaxedMadd: ternary(0x107),
  convertLowI32x4S: unary(0xfe),
  promoteLowF32x4: unary(0x5f),
};

/** Scalar floating point, which the integer side of the engine has no use for. Opcodes: section 5.4.6. */
const scalar1 =
  (type: ValType, op: number) =>
  (a: Expr): Expr =>
    raw(type, op, [a]);
const scalar2 =
  (type: ValType, op: number) =>
  (a: Expr, b: Expr): Expr =>
    raw(type, op, [a, b]);

/** Bits as another type; there and back again is nothing, and the bits of what nobody assigns again stay the same too. */
const reinterpret =
  (type: ValType, op: number, inverse: number) =>
  (a: Expr): Expr =>
    a.op === inverse ? a.args[0] : node(type, op, [a], undefined, undefined, a.stable === true);

export const f32 = {
  neg: scalar1('f32', 0x8c),
  abs: scalar1('f32', 0x8b),
  nearest: scalar1('f32', 0x90),
  sqrt: scalar1('f32', 0x91),
  add: scalar2('f32', 0x92),
  sub: scalar2('f32', 0x93),
  mul: scalar2('f32', 0x94),
  div: scalar2('f32', 0x95),
  lt: scalar2('i32', 0x5d),
  eq: scalar2('i32', 0x5b),
  le: scalar2('i32', 0x5f),
  ge: scalar2('i32', 0x60),
  convertI32S: scalar1('f32', 0xb2),
  convertI64S: scalar1('f32', 0xb4),
  demote: scalar1('f32', 0xb6),
  fromBits: reinterpret('f32', 0xbe, 0xbc),
  toBits: reinterpret('i32', 0xbc, 0xbe),
  truncSatI32: scalar1('i32', 0xfc00),
  truncSatI64: scalar1('i64', 0xfc04),
};

export const f64 = {
  neg: scalar1('f64', 0x9a),
  abs: scalar1('f64', 0x99),
  nearest: scalar1('f64', 0x9e),
  sqrt: scalar1('f64', 0x9f),
  add: scalar2('f64', 0xa0),
  sub: scalar2('f64', 0xa1),
  mul: scalar2('f64', 0xa2),
  div: scalar2('f64', 0xa3),
  lt: scalar2('i32', 0x63),
  eq: scalar2('i32', 0x61),
  le: scalar2('i32', 0x65),
  ge: scalar2('i32', 0x66),
  convertI32S: scalar1('f64', 0xb7),
  convertI64S: scalar1('f64', 0xb9),
  promote: scalar1('f64', 0xbb),
  fromBits: reinterpret('f64', 0xbf, 0xbd),
  toBits: reinterpret('i64', 0xbd, 0xbf),
  truncSatI32: scalar1('i32', 0xfc02),
  truncSatI64: scalar1('i64', 0xfc06),
};
