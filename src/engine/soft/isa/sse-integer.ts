/**
 * Integer arithmetic on lanes: MMX, the MMX part of SSE, SSE2, and SSSE3. Each operation is said once and serves MMX and
 * XMM registers (and, later, VEX forms: the functions here take two sources).
 */
import type { Emitter } from '../emit/emitter.js';
import type { Operand } from '../emit/operands.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import {
  i8x16,
  i16x8,
  i16x8c,
  i32x4,
  i32x4c,
  i64x2,
  i64x2c,
  select,
  shuffle,
  shuffleLanes,
  v128,
  zero,
} from '../wasm/simd.js';
import { InstructionList } from './define.js';
import {
  atMost,
  begin,
  bothFiles,
  bothFiles38,
  FEATURE,
  halves2,
  hex,
  immediate,
  type Lanes2,
  lanes1,
  lanes2,
  moveBytes,
  readVector,
  writeVector,
} from './vector.js';

export const sseInteger = new InstructionList();
const op = sseInteger.op.bind(sseInteger);

/** A Wasm operator as a lane operation. */
const same =
  (f: (a: Expr, b: Expr) => Expr): Lanes2 =>
  (_, a, b) =>
    f(a, b);

// ---- products, sums, signs ---------------------------------------------------------------------------------------------

const HIGH_WORDS = [1, 3, 5, 7, 9, 11, 13, 15];

/** High halves of the 32-bit products of words. */
function highProduct(low: (a: Expr, b: Expr) => Expr, high: (a: Expr, b: Expr) => Expr): Lanes2 {
  return (_, a, b) => shuffleLanes(2, low(a, b), high(a, b), HIGH_WORDS);
}

/** Sums of the absolute differences of eight bytes, in the low word of each half. */
const psadbw: Lanes2 = (e, a, b) => {
  const difference = v128.or(i8x16.subSatU(a, b), i8x16.subSatU(b, a));
  const quads = e.let(i32x4.extaddPairwiseU(i16x8.extaddPairwiseU(difference)));
  return v128.and(i64x2.add(quads, i64x2.shrU(quads, w.i32c(32))), i64x2c(0xffff));
};

const pmuludq: Lanes2 = (_, a, b) => {
  const low = shuffle(a, a, LOW_DWORDS_FIRST);
  return i64x2.extmulLowU(low, shuffle(b, b, LOW_DWORDS_FIRST));
};
const LOW_DWORDS_FIRST = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11];

/** Unsigned bytes of the destination times signed bytes of the source, neighbours added with saturation. */
const pmaddubsw: Lanes2 = (_, a, b) => {
  const eight = w.i32c(8);
  const even = i16x8.mul(v128.and(a, i16x8c(0xff)), i16x8.shrS(i16x8.shl(b, eight), eight));
  const odd = i16x8.mul(i16x8.shrU(a, eight), i16x8.shrS(b, eight));
  return i16x8.addSatS(even, odd);
};

/** Wasm saturates -1 * -1 to 7FFFh where PMULHRSW gives 8000h. */
const pmulhrsw: Lanes2 = (_, a, b) => {
  const least = i16x8c(-0x8000);
  return v128.xor(i16x8.q15mulrSatS(a, b), v128.and(i16x8.eq(a, least), i16x8.eq(b, least)));
};

interface SignedLanes {
  readonly ltS: (a: Expr, b: Expr) => Expr;
  readonly eq: (a: Expr, b: Expr) => Expr;
  readonly sub: (a: Expr, b: Expr) => Expr;
}

/** a, -a or 0 by the sign of b. */
function psign(lanes: SignedLanes): Lanes2 {
  return (e, a, b) => {
    const negative = e.let(lanes.ltS(b, zero));
    return v128.andnot(lanes.sub(v128.xor(a, negative), negative), lanes.eq(b, zero));
  };
}

/** Neighbouring lanes of both sources combined: the first source's results come first. */
function horizontal(size: 2 | 4, f: (a: Expr, b: Expr) => Expr): Lanes2 {
  const count = 16 / size;
  const even = Array.from({ length: count }, (_, i) => 2 * i);
  const odd = even.map((i) => i + 1);
  return (_, a, b) => f(shuffleLanes(size, a, b, even), shuffleLanes(size, a, b, odd));
}

const pshufb: Lanes2 = (_, a, b) => i8x16.swizzle(a, v128.and(b, v128BytesSwizzle));
/** Bits of a PSHUFB index that count: 7 (zero) and 3:0. Anything from 80h on is out of range for swizzle too. */
const v128BytesSwizzle = i32x4c(0x8f8f8f8f | 0);
const v128BytesSwizzle8 = i32x4c(0x87878787 | 0);

// ---- tables ------------------------------------------------------------------------------------------------------------

/** [name, opcode in map 0F, operation, feature of the MMX form: mmx if not said]. */
const LANES: readonly [name: string, opcode: number, f: Lanes2, mmx?: 'sse' | 'sse2'][] = [
  ['pcmpgtb', 0x64, same(i8x16.gtS)],
  ['pcmpgtw', 0x65, same(i16x8.gtS)],
  ['pcmpgtd', 0x66, same(i32x4.gtS)],
  ['pcmpeqb', 0x74, same(i8x16.eq)],
  ['pcmpeqw', 0x75, same(i16x8.eq)],
  ['pcmpeqd', 0x76, same(i32x4.eq)],
  ['paddq', 0xd4, same(i64x2.add), 'sse2'],
  ['pmullw', 0xd5, same(i16x8.mul)],
  ['psubusb', 0xd8, same(i8x16.subSatU)],
  ['psubusw', 0xd9, same(i16x8.subSatU)],
  ['pminub', 0xda, same(i8x16.minU), 'sse'],
  ['paddusb', 0xdc, same(i8x16.addSatU)],
  ['paddusw', 0xdd, same(i16x8.addSatU)],
  ['pmaxub', 0xde, same(i8x16.maxU), 'sse'],
  ['pavgb', 0xe0, same(i8x16.avgrU), 'sse'],
  ['pavgw', 0xe3, same(i16x8.avgrU), 'sse'],
  ['pmulhuw', 0xe4, highProduct(i32x4.extmulLowU, i32x4.extmulHighU), 'sse'],
  ['pmulhw', 0xe5, highProduct(i32x4.extmulLowS, i32x4.extmulHighS)],
  ['psubsb', 0xe8, same(i8x16.subSatS)],
  ['psubsw', 0xe9, same(i16x8.subSatS)],
  ['pminsw', 0xea, same(i16x8.minS), 'sse'],
  ['paddsb', 0xec, same(i8x16.addSatS)],
  ['paddsw', 0xed, same(i16x8.addSatS)],
  ['pmaxsw', 0xee, same(i16x8.maxS), 'sse'],
  ['pmuludq', 0xf4, pmuludq, 'sse2'],
  ['pmaddwd', 0xf5, same(i32x4.dotI16x8S)],
  ['psadbw', 0xf6, psadbw, 'sse'],
  ['psubb', 0xf8, same(i8x16.sub)],
  ['psubw', 0xf9, same(i16x8.sub)],
  ['psubd', 0xfa, same(i32x4.sub)],
  ['psubq', 0xfb, same(i64x2.sub), 'sse2'],
  ['paddb', 0xfc, same(i8x16.add)],
  ['paddw', 0xfd, same(i16x8.add)],
  ['paddd', 0xfe, same(i32x4.add)],
];
for (const [name, opcode, f, mmx] of LANES) op(name, bothFiles(opcode), FEATURE(mmx ?? 'mmx'), lanes2(f));

// Bitwise operations do not care about lanes: the integer and both floating point forms are one.
op('pand', [...bothFiles(0xdb), ['NP 0F 54 /r', 'Vx,Wx'], ['66 0F 54 /r', 'Vx,Wx']], {}, lanes2(same(v128.and)));
op(
  'pandn',
  [...bothFiles(0xdf), ['NP 0F 55 /r', 'Vx,Wx'], ['66 0F 55 /r', 'Vx,Wx']],
  {},
  lanes2((_, a, b) => v128.andnot(b, a)),
);
op('por', [...bothFiles(0xeb), ['NP 0F 56 /r', 'Vx,Wx'], ['66 0F 56 /r', 'Vx,Wx']], {}, lanes2(same(v128.or)));
op('pxor', [...bothFiles(0xef), ['NP 0F 57 /r', 'Vx,Wx'], ['66 0F 57 /r', 'Vx,Wx']], {}, lanes2(same(v128.xor)));

for (const [name, opcode, f] of [
  ['packsswb', 0x63, same(i8x16.narrowS)],
  ['packuswb', 0x67, same(i8x16.narrowU)],
  ['packssdw', 0x6b, same(i16x8.narrowS)],
] as const)
  op(name, bothFiles(opcode), FEATURE('mmx'), halves2(f));

/** SSSE3, map 0F 38. */
const LANES_SSSE3: readonly [name: string, opcode: number, f: Lanes2][] = [
  ['pmaddubsw', 0x04, pmaddubsw],
  ['psignb', 0x08, psign(i8x16)],
  ['psignw', 0x09, psign(i16x8)],
  ['psignd', 0x0a, psign(i32x4)],
  ['pmulhrsw', 0x0b, pmulhrsw],
];
for (const [name, opcode, f] of LANES_SSSE3) op(name, bothFiles38(opcode), FEATURE('ssse3'), lanes2(f));
for (const [name, opcode, f] of [
  ['phaddw', 0x01, horizontal(2, i16x8.add)],
  ['phaddd', 0x02, horizontal(4, i32x4.add)],
  ['phaddsw', 0x03, horizontal(2, i16x8.addSatS)],
  ['phsubw', 0x05, horizontal(2, i16x8.sub)],
  ['phsubd', 0x06, horizontal(4, i32x4.sub)],
  ['phsubsw', 0x07, horizontal(2, i16x8.subSatS)],
] as const)
  op(name, bothFiles38(opcode), FEATURE('ssse3'), halves2(f));
for (const [name, opcode, f] of [
  ['pabsb', 0x1c, i8x16.abs],
  ['pabsw', 0x1d, i16x8.abs],
  ['pabsd', 0x1e, i32x4.abs],
] as const)
  op(
    name,
    bothFiles38(opcode),
    FEATURE('ssse3'),
    lanes1((_, a) => f(a)),
  );
op('pshufb', [['66 0F 38 00 /r', 'Vx,Wx']], FEATURE('ssse3'), lanes2(pshufb));
op(
  'pshufb',
  [['NP 0F 38 00 /r', 'Pq,Qq']],
  FEATURE('ssse3'),
  lanes2((_, a, b) => i8x16.swizzle(a, v128.and(b, v128BytesSwizzle8))),
);

// ---- interleaving ------------------------------------------------------------------------------------------------------

/** Lanes of the destination and the source alternating, from lane `first` on. */
function interleave(size: number, first: number): Lanes2 {
  const count = 16 / size;
  const lanes = Array.from({ length: count }, (_, i) => first + (i >> 1) + (i & 1 ? count : 0));
  return (_, a, b) => shuffleLanes(size, a, b, lanes);
}

for (const [suffix, size, low, high] of [
  ['bw', 1, 0x60, 0x68],
  ['wd', 2, 0x61, 0x69],
  ['dq', 4, 0x62, 0x6a],
] as const) {
  const xmm = (opcode: number) => [[`66 0F ${hex(opcode)} /r`, 'Vx,Wx']] as const;
  op(`punpckl${suffix}`, xmm(low), FEATURE('sse2'), lanes2(interleave(size, 0)));
  op(`punpckh${suffix}`, xmm(high), FEATURE('sse2'), lanes2(interleave(size, 8 / size)));
  // The low MMX forms read four bytes of memory.
  op(`punpckl${suffix}`, [[`NP 0F ${hex(low)} /r`, 'Pq,Qd']], FEATURE('mmx'), lanes2(interleave(size, 0)));
  op(`punpckh${suffix}`, [[`NP 0F ${hex(high)} /r`, 'Pq,Qq']], FEATURE('mmx'), lanes2(interleave(size, 4 / size)));
}
op(
  'punpcklqdq',
  [
    ['66 0F 6C /r', 'Vx,Wx'],
    ['66 0F 14 /r', 'Vx,Wx'],
  ],
  {},
  lanes2(interleave(8, 0)),
);
op(
  'punpckhqdq',
  [
    ['66 0F 6D /r', 'Vx,Wx'],
    ['66 0F 15 /r', 'Vx,Wx'],
  ],
  {},
  lanes2(interleave(8, 1)),
);
op('unpcklps', [['NP 0F 14 /r', 'Vx,Wx']], FEATURE('sse'), lanes2(interleave(4, 0)));
op('unpckhps', [['NP 0F 15 /r', 'Vx,Wx']], FEATURE('sse'), lanes2(interleave(4, 2)));

// ---- shifts ------------------------------------------------------------------------------------------------------------

interface ShiftLanes {
  readonly shl: (a: Expr, n: Expr) => Expr;
  readonly shrS: (a: Expr, n: Expr) => Expr;
  readonly shrU: (a: Expr, n: Expr) => Expr;
}

/** Shifts by a count (i32, unsigned): from the width on, zero or all sign. Wasm takes counts modulo the width. */
function shiftLanes(lanes: ShiftLanes, width: number, kind: 'shl' | 'shrS' | 'shrU') {
  return (e: Emitter, a: Expr, count: Expr): Expr => {
    if (kind === 'shrS') return lanes.shrS(a, atMost(e, count, width - 1));
    const n = e.let(count);
    return select(w.ltU(n, w.i32c(width)), lanes[kind](a, n), zero);
  };
}

/** The count in the low 64 bits of a vector, saturated to 32 bits. */
function vectorCount(e: Emitter, count: Expr): Expr {
  const c = e.let(i64x2.extract(count, 0));
  return w.wrap(w.select(w.ltU(c, w.i64c(255)), c, w.i64c(255)));
}

for (const [suffix, lanes, width, immediateOpcode, column] of [
  ['w', i16x8, 16, 0x71, 1],
  ['d', i32x4, 32, 0x72, 2],
  ['q', i64x2, 64, 0x73, 3],
] as const) {
  for (const [name, kind, row, extension] of [
    ['psrl', 'shrU', 0xd0, 2],
    ['psra', 'shrS', 0xe0, 4],
    ['psll', 'shl', 0xf0, 6],
  ] as const) {
    if (width === 64 && kind === 'shrS') continue;
    const f = shiftLanes(lanes, width, kind);
    op(
      `${name}${suffix}`,
      bothFiles(row + column),
      {},
      lanes2((e, a, b) => f(e, a, vectorCount(e, b))),
    );
    const byImmediate = (e: Emitter, dst: Operand, imm: Operand): void => {
      begin(e, dst);
      writeVector(e, dst, f(e, readVector(e, dst), immediate(e, imm)));
    };
    const pattern = `0F ${hex(immediateOpcode)} /${extension}`;
    op(
      `${name}${suffix}`,
      [
        [`NP ${pattern}`, 'Nq,Ib'],
        [`66 ${pattern}`, 'Ux,Ib'],
      ],
      {},
      byImmediate,
    );
  }
}
for (const [name, extension, left] of [
  ['psrldq', 3, false],
  ['pslldq', 7, true],
] as const) {
  op(name, [[`66 0F 73 /${extension}`, 'Ux,Ib']], FEATURE('sse2'), (e, dst, imm) => {
    begin(e, dst);
    const n = atMost(e, immediate(e, imm), 16);
    writeVector(e, dst, moveBytes(readVector(e, dst), left ? w.sub(w.i32c(0), n) : n));
  });
}

// PALIGNR: dst:src shifted right by bytes. Three pieces at most, of which swizzle gives zeros where a piece is left.
op('palignr', [['66 0F 3A 0F /r', 'Vx,Wx,Ib']], FEATURE('ssse3'), (e, dst, src, imm) => {
  begin(e, dst);
  const b = readVector(e, src);
  const a = readVector(e, dst);
  const n = atMost(e, immediate(e, imm), 32);
  writeVector(e, dst, v128.or(moveBytes(b, n), moveBytes(a, w.sub(n, w.i32c(16)))));
});
op('palignr', [['NP 0F 3A 0F /r', 'Pq,Qq,Ib']], FEATURE('ssse3'), (e, dst, src, imm) => {
  begin(e, dst);
  const b = readVector(e, src);
  const both = shuffleLanes(8, b, readVector(e, dst), [0, 2]);
  writeVector(e, dst, moveBytes(both, atMost(e, immediate(e, imm), 16)));
});

// ---- shuffles with an immediate ----------------------------------------------------------------------------------------

/** Two-bit fields of an immediate, one a lane of `size` bytes for four lanes, as byte indexes for swizzle. */
export function dwordIndexes(e: Emitter, imm: Expr): Expr {
  const fields = i32x4.mul(i32x4.splat(imm), i32x4c(64, 16, 4, 1));
  const lanes = e.let(v128.and(i32x4.shrU(fields, w.i32c(6)), i32x4c(3)));
  return i32x4.add(i32x4.mul(lanes, i32x4c(0x04040404)), i32x4c(0x03020100));
}

/** The same for words: the four of the low or the high half are chosen, the others stay. */
function wordIndexes(imm: Expr, high: boolean): Expr {
  const factors = high ? i16x8c(0, 0, 0, 0, 64, 16, 4, 1) : i16x8c(64, 16, 4, 1, 0, 0, 0, 0);
  const lanes = v128.and(i16x8.shrU(i16x8.mul(i16x8.splat(imm), factors), w.i32c(6)), i16x8c(3));
  const base = high
    ? i16x8c(0x0100, 0x0302, 0x0504, 0x0706, 0x0908, 0x0908, 0x0908, 0x0908)
    : i16x8c(0x0100, 0x0100, 0x0100, 0x0100, 0x0908, 0x0b0a, 0x0d0c, 0x0f0e);
  return i16x8.add(i16x8.mul(lanes, i16x8c(0x0202)), base);
}

function shuffleBy(indexes: (e: Emitter, imm: Expr) => Expr) {
  return (e: Emitter, dst: Operand, src: Operand, imm: Operand): void => {
    begin(e, dst);
    const a = readVector(e, src);
    writeVector(e, dst, i8x16.swizzle(a, indexes(e, immediate(e, imm))));
  };
}
op('pshufd', [['66 0F 70 /r', 'Vx,Wx,Ib']], FEATURE('sse2'), shuffleBy(dwordIndexes));
op(
  'pshuflw',
  [
    ['NP 0F 70 /r', 'Pq,Qq,Ib'],
    ['F2 0F 70 /r', 'Vx,Wx,Ib'],
  ],
  {},
  shuffleBy((_, imm) => wordIndexes(imm, false)),
);
op(
  'pshufhw',
  [['F3 0F 70 /r', 'Vx,Wx,Ib']],
  FEATURE('sse2'),
  shuffleBy((_, imm) => wordIndexes(imm, true)),
);

op('shufps', [['NP 0F C6 /r', 'Vx,Wx,Ib']], FEATURE('sse'), (e, dst, src, imm) => {
  begin(e, dst);
  const b = readVector(e, src);
  const a = readVector(e, dst);
  const indexes = e.let(dwordIndexes(e, immediate(e, imm)));
  writeVector(e, dst, shuffleLanes(8, i8x16.swizzle(a, indexes), i8x16.swizzle(b, indexes), [0, 3]));
});
op('shufpd', [['66 0F C6 /r', 'Vx,Wx,Ib']], FEATURE('sse2'), (e, dst, src, imm) => {
  begin(e, dst);
  const b = readVector(e, src);
  const a = readVector(e, dst);
  const n = immediate(e, imm);
  const one = (v: Expr, bit: number) => w.select(w.and(n, w.i32c(1 << bit)), i64x2.extract(v, 1), i64x2.extract(v, 0));
  writeVector(e, dst, i64x2.replace(i64x2.splat(one(a, 0)), 1, one(b, 1)));
});
