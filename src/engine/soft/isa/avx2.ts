/** AVX2's own instructions: permutations over both halves, shifts by a vector of counts, gathers. */
import type { Emitter } from '../emit/emitter.js';
import * as L from '../layout.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { i8x16, i32x4, i32x4c, i64x2, v128 } from '../wasm/simd.js';
import { dwordsBy } from './avx.js';
import { InstructionList } from './define.js';
import { FEATURE, immediate } from './vector.js';
import { eachHalf, lengths, readHalves, writeHalves } from './vex.js';

export const avx2 = new InstructionList();
const op = avx2.op.bind(avx2);
const AVX2 = FEATURE('avx2');

// ---- permutations over both halves -------------------------------------------------------------------------------------

for (const [name, opcode] of [
  ['vpermd', '36'],
  ['vpermps', '16'],
])
  op(name, [[`VEX.256.66.0F38.W0 ${opcode} /r`, 'Vx,Hx,Wx']], AVX2, (e, dst, control, src) => {
    e.requireAvx();
    const [low, high] = readHalves(e, src);
    const four = i32x4c(4);
    const chosen = readHalves(e, control).map((c) => {
      const indexes = e.let(dwordsBy(c));
      const upper = i32x4.eq(v128.and(c, four), four);
      return e.let(v128.bitselect(i8x16.swizzle(high, indexes), i8x16.swizzle(low, indexes), upper));
    });
    writeHalves(e, dst, chosen);
  });

for (const [name, opcode] of [
  ['vpermq', '00'],
  ['vpermpd', '01'],
])
  op(name, [[`VEX.256.66.0F3A.W1 ${opcode} /r`, 'Vx,Wx,Ib']], AVX2, (e, dst, src, imm) => {
    e.requireAvx();
    const [low, high] = readHalves(e, src);
    // VECTOR_A and VECTOR_B are neighbours.
    e.setState(L.VECTOR_A, low);
    e.setState(L.VECTOR_B, high);
    const n = immediate(e, imm);
    const qword = (i: number) => {
      const lane = w.and(w.shrU(n, w.i32c(2 * i)), w.i32c(3));
      return w.load('i64', w.shl(lane, w.i32c(3)), L.VECTOR_A);
    };
    const pair = (i: number) => e.let(i64x2.replace(i64x2.splat(qword(i)), 1, qword(i + 1)));
    writeHalves(e, dst, [pair(0), pair(2)]);
  });

// ---- shifts by a count for each lane ---------------------------------------------------------------------------------------

const LANES = { 4: { of: i32x4, count: 4 }, 8: { of: i64x2, count: 2 } } as const;

for (const [name, opcode, size, shift] of [
  ['vpsrlvd', '45', 4, w.shrU],
  ['vpsrlvq', '45', 8, w.shrU],
  ['vpsravd', '46', 4, w.shrS],
  ['vpsllvd', '47', 4, w.shl],
  ['vpsllvq', '47', 8, w.shl],
] as const) {
  const { of, count } = LANES[size];
  const type = size === 4 ? 'i32' : 'i64';
  const most = w.intc(type, size * 8 - 1);
  const lane = (e: Emitter, a: Expr, counts: Expr, i: number): Expr => {
    const n = e.let(of.extract(counts, i));
    const inside = w.leU(n, most);
    const v = of.extract(a, i);
    // Too far: zero, or all sign.
    if (shift === w.shrS) return shift(v, w.select(inside, n, most));
    return w.select(inside, shift(v, n), w.intc(type, 0));
  };
  op(
    name,
    lengths('66.0F38', `${opcode} /r`, 'Vx,Hx,Wx', size === 4 ? 'W0' : 'W1'),
    AVX2,
    eachHalf((e, [a, counts]) => {
      let result = of.splat(lane(e, a, counts, 0));
      for (let i = 1; i < count; i++) result = of.replace(result, i, lane(e, a, counts, i));
      return result;
    }),
  );
}

// ---- gathers: in core ------------------------------------------------------------------------------------------------------

// Opcode's low bit: the size of indexes; W: of elements.
for (const [family, base] of [
  ['vpgather', 0x90],
  ['vgather', 0x92],
] as const)
  for (const [index, indexSize] of [
    ['d', 4],
    ['q', 8],
  ] as const)
    for (const [element, size] of [
      [family === 'vgather' ? 'ps' : 'd', 4],
      [family === 'vgather' ? 'pd' : 'q', 8],
    ] as const) {
      const opcode = (base + (indexSize === 8 ? 1 : 0)).toString(16).toUpperCase();
      // The wider of both fills the vector; with wide indexes the elements fill half of one.
      const forms = ([128, 256] as const).map((length) => {
        const letter = length === 256 && indexSize > size ? 'dq' : 'x';
        const code = `VEX.${length}.66.0F38.${size === 4 ? 'W0' : 'W1'} ${opcode} /r`;
        return { length, code, operands: `V${letter},M${size === 4 ? 'd' : 'q'},H${letter}` };
      });
      for (const { length, code, operands } of forms) {
        const vector = length / 8;
        const elements = vector / Math.max(size, indexSize);
        op(
          `${family}${index}${element}`,
          [[code, operands]],
          { feature: 'avx2', addressParts: 'vsib', param: elements },
          (e: Emitter) => {
            e.requireAvx();
            e.core('op_gather', size, indexSize, elements);
          },
        );
      }
    }
