/** AVX's own instructions, and the VEX forms that are more than an SSE instruction in two halves (vex-sse.ts has those). */
import type { Emitter } from '../emit/emitter.js';
import { type Operand, sizeOf } from '../emit/operands.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { i8x16, i16x8, i32x4, i32x4c, i64x2, i64x2c, i64x2same, select, v128, zero } from '../wasm/simd.js';
import { InstructionList } from './define.js';
import { dwordIndexes } from './sse-integer.js';
import { SIGN_BLENDS } from './sse4.js';
import { loadMxcsr, storeMxcsr } from './system.js';
import { FEATURE, immediate } from './vector.js';
import { eachHalf, type Halves, isWide, lengths, readHalves, writeHalves } from './vex.js';

export const avx = new InstructionList();
const op = avx.op.bind(avx);
const AVX = FEATURE('avx');
const AVX2 = FEATURE('avx2');

// ---- whole registers ---------------------------------------------------------------------------------------------------

const move = (aligned: boolean) => (e: Emitter, dst: Operand, src: Operand) => {
  e.requireAvx();
  writeHalves(e, dst, readHalves(e, src, aligned), aligned);
};
// VMOVAPS VMOVAPD VMOVDQA, and the non-temporal ones.
op(
  'vmovaps',
  [
    ...['NP.0F', '66.0F'].flatMap((code) => [
      ...lengths(code, '28 /r', 'Vx,Wx'),
      ...lengths(code, '29 /r', 'Wx,Vx'),
      ...lengths(code, '2B /r', 'Mx,Vx'),
    ]),
    ...lengths('66.0F', '6F /r', 'Vx,Wx'),
    ...lengths('66.0F', '7F /r', 'Wx,Vx'),
    ...lengths('66.0F', 'E7 /r', 'Mx,Vx'),
    ...lengths('66.0F38', '2A /r', 'Vx,Mx'),
  ],
  { feature: 'avx', writes: true },
  move(true),
);
// VMOVUPS VMOVUPD VMOVDQU VLDDQU
op(
  'vmovups',
  [
    ...['NP.0F', '66.0F'].flatMap((code) => [...lengths(code, '10 /r', 'Vx,Wx'), ...lengths(code, '11 /r', 'Wx,Vx')]),
    ...lengths('F3.0F', '6F /r', 'Vx,Wx'),
    ...lengths('F3.0F', '7F /r', 'Wx,Vx'),
    ...lengths('F2.0F', 'F0 /r', 'Vx,Mx'),
  ],
  { feature: 'avx', writes: true },
  move(false),
);

/** VZEROUPPER, VZEROALL: eight registers outside 64-bit mode. */
for (const [mode, count] of [
  ['i64', 8],
  ['only64', 16],
] as const)
  for (const [name, length, halves] of [
    ['vzeroupper', 128, ['upper']],
    ['vzeroall', 256, ['upper', 'low']],
  ] as const)
    op(name, [[`VEX.${length}.NP.0F.WIG 77 ${mode}`, '']], { feature: 'avx', param: count }, (e) => {
      e.requireAvx();
      for (let n = 0; n < count; n++) for (const half of halves) e.clearHalf(n, half);
    });

op('vldmxcsr', [['VEX.LZ.NP.0F.WIG AE /2', 'Md']], AVX, (e, src) => {
  e.requireAvx();
  loadMxcsr(e, src);
});
op('vstmxcsr', [['VEX.LZ.NP.0F.WIG AE /3', 'Md']], { feature: 'avx', writes: true }, (e, dst) => {
  e.requireAvx();
  storeMxcsr(e, dst);
});

// ---- masks, tests ------------------------------------------------------------------------------------------------------

for (const [name, code, lanes, count, feature] of [
  ['vmovmskps', 'NP.0F', i32x4, 4, AVX],
  ['vmovmskpd', '66.0F', i64x2, 2, AVX],
  ['vpmovmskb', '66.0F', i8x16, 16, AVX2],
] as const)
  op(name, lengths(code, `${count === 16 ? 'D7' : '50'} /r`, 'Gd,Ux'), feature, (e, dst, src) => {
    e.requireAvx();
    const masks = readHalves(e, src).map((half) => lanes.bitmask(half));
    e.write(dst, masks.length === 2 ? w.or(masks[0], w.shl(masks[1], w.i32c(count))) : masks[0]);
  });

/** ZF: no bit of a & b that counts; CF: none of ~a & b. */
function testing(counts: (v: Expr) => Expr) {
  return (e: Emitter, dst: Operand, src: Operand): void => {
    e.requireAvx();
    const b = readHalves(e, src);
    const a = readHalves(e, dst);
    const none = (f: (x: Expr, y: Expr) => Expr) =>
      e.let(w.eqz(a.map((half, i) => counts(f(half, b[i]))).reduce((x, y) => w.or(x, y))));
    e.flagsZpc(
      none(v128.and),
      w.i32c(0),
      none((x, y) => v128.andnot(y, x)),
    );
  };
}
op('vptest', lengths('66.0F38', '17 /r', 'Vx,Wx'), AVX, testing(v128.anyTrue));
op('vtestps', lengths('66.0F38', '0E /r', 'Vx,Wx', 'W0'), AVX, testing(i32x4.bitmask));
op('vtestpd', lengths('66.0F38', '0F /r', 'Vx,Wx', 'W0'), AVX, testing(i64x2.bitmask));

// ---- blends by the sign of a fourth operand's lanes ----------------------------------------------------------------------

for (const [name, opcode, feature] of [
  ['blendvps', '4A', AVX],
  ['blendvpd', '4B', AVX],
  ['pblendvb', '4C', AVX2],
] as const)
  op(`v${name}`, lengths('66.0F3A', `${opcode} /r`, 'Vx,Hx,Wx,Lx', 'W0'), feature, (e, dst, first, second, mask) => {
    // Memory is read first: it may fault.
    eachHalf((_, [b, a, m]) => v128.bitselect(b, a, SIGN_BLENDS[name].mask(m)))(e, dst, second, first, mask);
  });
op('vpblendd', lengths('66.0F3A', '02 /r', 'Vx,Hx,Wx,Ib', 'W0'), AVX2, (e, dst, first, second, imm) => {
  eachHalf((_, [a, b], half) => {
    const bits = half ? i32x4c(16, 32, 64, 128) : i32x4c(1, 2, 4, 8);
    return v128.bitselect(b, a, i32x4.eq(v128.and(i32x4.splat(immediate(e, imm)), bits), bits));
  })(e, dst, first, second);
});

// ---- broadcasts --------------------------------------------------------------------------------------------------------

const SPLATS = { 1: i8x16, 2: i16x8, 4: i32x4, 8: i64x2 } as const;
const EXTRACTS = { 1: i8x16.extractU, 2: i16x8.extractU, 4: i32x4.extract, 8: i64x2.extract } as const;
function broadcast(size: 1 | 2 | 4 | 8) {
  return (e: Emitter, dst: Operand, src: Operand): void => {
    e.requireAvx();
    const [v] = readHalves(e, src);
    const all = e.let(SPLATS[size].splat(EXTRACTS[size](v, 0)));
    writeHalves(e, dst, isWide(dst) ? [all, all] : [all]);
  };
}
op('vbroadcastss', lengths('66.0F38', '18 /r', 'Vx,Wd', 'W0'), AVX2, broadcast(4));
op('vbroadcastsd', [['VEX.256.66.0F38.W0 19 /r', 'Vx,Wq']], AVX2, broadcast(8));
for (const [letter, opcode, size] of [
  ['b', '78', 1],
  ['w', '79', 2],
  ['d', '58', 4],
  ['q', '59', 8],
] as const)
  op(`vpbroadcast${letter}`, lengths('66.0F38', `${opcode} /r`, `Vx,W${letter}`, 'W0'), AVX2, broadcast(size));
for (const [name, opcode] of [
  ['vbroadcastf128', '1A'],
  ['vbroadcasti128', '5A'],
])
  op(name, [[`VEX.256.66.0F38.W0 ${opcode} /r`, 'Vx,Mdq']], AVX2, (e, dst, src) => {
    e.requireAvx();
    const [v] = readHalves(e, src);
    writeHalves(e, dst, [v, v]);
  });

// ---- halves moved about --------------------------------------------------------------------------------------------------

for (const [suffix, insert, extract, permute, feature] of [
  ['f128', '18', '19', '06', AVX],
  ['i128', '38', '39', '46', AVX2],
] as const) {
  const code = (opcode: string) => `VEX.256.66.0F3A.W0 ${opcode} /r`;
  op(`vinsert${suffix}`, [[code(insert), 'Vx,Hx,Wdq,Ib']], feature, (e, dst, first, second, imm) => {
    e.requireAvx();
    const [b] = readHalves(e, second);
    const [low, high] = readHalves(e, first);
    const upper = e.let(w.and(immediate(e, imm), w.i32c(1)));
    writeHalves(e, dst, [e.let(select(upper, low, b)), e.let(select(upper, b, high))]);
  });
  op(`vextract${suffix}`, [[code(extract), 'Wdq,Vx,Ib']], { ...feature, writes: true }, (e, dst, src, imm) => {
    e.requireAvx();
    const [low, high] = readHalves(e, src);
    writeHalves(e, dst, [e.let(select(w.and(immediate(e, imm), w.i32c(1)), high, low))]);
  });
  op(`vperm2${suffix}`, [[code(permute), 'Vx,Hx,Wx,Ib']], feature, (e, dst, first, second, imm) => {
    e.requireAvx();
    const b = readHalves(e, second);
    const a = readHalves(e, first);
    const n = immediate(e, imm);
    const half = (at: number) => {
      const bit = (i: number) => w.and(n, w.i32c(1 << (at + i)));
      const of = ([low, high]: Halves) => select(bit(0), high, low);
      return e.let(select(bit(3), zero, select(bit(1), of(b), of(a))));
    };
    writeHalves(e, dst, [half(0), half(4)]);
  });
}

// ---- permutations --------------------------------------------------------------------------------------------------------

/** Byte indexes for swizzle of the dwords that the low two bits of each dword choose. */
export const dwordsBy = (control: Expr): Expr =>
  i32x4.add(i32x4.mul(v128.and(control, i32x4c(3)), i32x4c(0x04040404)), i32x4c(0x03020100));
/** Of the qwords that the lowest bit of each qword chooses. */
const qwordsBy = (low: Expr): Expr =>
  i64x2.add(i64x2.mul(low, i64x2same(0x0808080808080808n)), i64x2same(0x0706050403020100n));

op('vpermilps', lengths('66.0F3A', '04 /r', 'Vx,Wx,Ib', 'W0'), AVX, (e, dst, src, imm) => {
  eachHalf((e2, [a]) => i8x16.swizzle(a, dwordIndexes(e2, immediate(e2, imm))))(e, dst, src);
});
op('vpermilpd', lengths('66.0F3A', '05 /r', 'Vx,Wx,Ib', 'W0'), AVX, (e, dst, src, imm) => {
  eachHalf((e2, [a], half) => {
    const n = immediate(e2, imm);
    const one = (bit: number) =>
      w.select(w.and(n, w.i32c(1 << (2 * half + bit))), i64x2.extract(a, 1), i64x2.extract(a, 0));
    return i64x2.replace(i64x2.splat(one(0)), 1, one(1));
  })(e, dst, src);
});
op(
  'vpermilps',
  lengths('66.0F38', '0C /r', 'Vx,Hx,Wx', 'W0'),
  AVX,
  eachHalf((_, [a, control]) => i8x16.swizzle(a, dwordsBy(control))),
);
// Bit 1 of each qword is the one that counts.
op(
  'vpermilpd',
  lengths('66.0F38', '0D /r', 'Vx,Hx,Wx', 'W0'),
  AVX,
  eachHalf((_, [a, control]) => i8x16.swizzle(a, qwordsBy(v128.and(i64x2.shrU(control, w.i32c(1)), i64x2c(1))))),
);

// ---- masked moves: in core, for there may be holes -------------------------------------------------------------------------

for (const [suffix, size, loadOpcode, storeOpcode, rexW, feature] of [
  ['ps', 4, '2C', '2E', 'W0', 'avx'],
  ['pd', 8, '2D', '2F', 'W0', 'avx'],
  ['d', 4, '8C', '8E', 'W0', 'avx2'],
  ['q', 8, '8C', '8E', 'W1', 'avx2'],
] as const) {
  const name = size === 4 && suffix === 'ps' ? 'vmaskmovps' : suffix === 'pd' ? 'vmaskmovpd' : `vpmaskmov${suffix}`;
  op(name, lengths('66.0F38', `${loadOpcode} /r`, 'Vx,Hx,Mx', rexW), { feature, addressParts: 'plain' }, (e, dst) => {
    e.requireAvx();
    e.core('op_maskLoad', size, sizeOf(dst));
  });
  op(
    name,
    lengths('66.0F38', `${storeOpcode} /r`, 'Mx,Hx,Vx', rexW),
    { feature, writes: true, addressParts: 'plain' },
    (e, _dst, _mask, src) => {
      e.requireAvx();
      e.core('op_maskStore', size, sizeOf(src));
    },
  );
}
