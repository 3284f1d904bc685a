/** SSE4.1 and SSE4.2 on integers: extensions, products, blends, tests, strings. */
import type { Emitter } from '../emit/emitter.js';
import type { Operand } from '../emit/operands.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { i8x16, i16x8, i16x8c, i32x4, i32x4c, i64x2, i64x2c, shuffle, v128 } from '../wasm/simd.js';
import { InstructionList } from './define.js';
import {
  begin,
  FEATURE,
  halves2,
  hex,
  immediate,
  type Lanes2,
  lanes2,
  readVector,
  viaCore,
  writeVector,
  xmm0,
} from './vector.js';

export const sse4 = new InstructionList();
const op = sse4.op.bind(sse4);
const SSE41 = FEATURE('sse41');
const SSE42 = FEATURE('sse42');

const same =
  (f: (a: Expr, b: Expr) => Expr): Lanes2 =>
  (_, a, b) =>
    f(a, b);
const LOW_DWORDS_FIRST = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11];
const pmuldq: Lanes2 = (_, a, b) => i64x2.extmulLowS(shuffle(a, a, LOW_DWORDS_FIRST), shuffle(b, b, LOW_DWORDS_FIRST));

for (const [name, opcode, f] of [
  ['pmuldq', 0x28, pmuldq],
  ['pcmpeqq', 0x29, same(i64x2.eq)],
  ['pcmpgtq', 0x37, same(i64x2.gtS)],
  ['pminsb', 0x38, same(i8x16.minS)],
  ['pminsd', 0x39, same(i32x4.minS)],
  ['pminuw', 0x3a, same(i16x8.minU)],
  ['pminud', 0x3b, same(i32x4.minU)],
  ['pmaxsb', 0x3c, same(i8x16.maxS)],
  ['pmaxsd', 0x3d, same(i32x4.maxS)],
  ['pmaxuw', 0x3e, same(i16x8.maxU)],
  ['pmaxud', 0x3f, same(i32x4.maxU)],
  ['pmulld', 0x40, same(i32x4.mul)],
] as const)
  op(name, [[`66 0F 38 ${hex(opcode)} /r`, 'Vx,Wx']], name === 'pcmpgtq' ? SSE42 : SSE41, lanes2(f));
op('packusdw', [['66 0F 38 2B /r', 'Vx,Wx']], SSE41, halves2(same(i16x8.narrowU)));

// ---- sign and zero extension -------------------------------------------------------------------------------------------

type Step = (a: Expr) => Expr;
for (const [name, opcode, memory, signed, unsigned] of [
  ['bw', 0, 'Wq', [i16x8.extendLowS], [i16x8.extendLowU]],
  ['bd', 1, 'Wd', [i16x8.extendLowS, i32x4.extendLowS], [i16x8.extendLowU, i32x4.extendLowU]],
  [
    'bq',
    2,
    'Ww',
    [i16x8.extendLowS, i32x4.extendLowS, i64x2.extendLowS],
    [i16x8.extendLowU, i32x4.extendLowU, i64x2.extendLowU],
  ],
  ['wd', 3, 'Wq', [i32x4.extendLowS], [i32x4.extendLowU]],
  ['wq', 4, 'Wd', [i32x4.extendLowS, i64x2.extendLowS], [i32x4.extendLowU, i64x2.extendLowU]],
  ['dq', 5, 'Wq', [i64x2.extendLowS], [i64x2.extendLowU]],
] as const)
  for (const [letter, base, steps] of [
    ['s', 0x20, signed],
    ['z', 0x30, unsigned],
  ] as const)
    op(`pmov${letter}x${name}`, [[`66 0F 38 ${hex(base + opcode)} /r`, `Vx,${memory}`]], SSE41, (e, dst, src) => {
      begin(e, dst);
      writeVector(
        e,
        dst,
        (steps as readonly Step[]).reduce((v, step) => step(v), readVector(e, src)),
      );
    });

// ---- blends ------------------------------------------------------------------------------------------------------------

/** Lanes of src where the mask says so. */
function blend(mask: (e: Emitter, imm: Operand | undefined) => Expr) {
  return (e: Emitter, dst: Operand, src: Operand, imm?: Operand): void => {
    begin(e, dst);
    const b = readVector(e, src);
    writeVector(e, dst, v128.bitselect(b, readVector(e, dst), mask(e, imm)));
  };
}
interface MaskLanes {
  readonly splat: (v: Expr) => Expr;
  readonly eq: (a: Expr, b: Expr) => Expr;
}
/** Lane n by bit n of the immediate. */
function byImmediate(lanes: MaskLanes, bits: Expr, wide = false) {
  return blend((e, imm) => {
    const n = immediate(e, imm!);
    return lanes.eq(v128.and(lanes.splat(wide ? w.extendU(n) : n), bits), bits);
  });
}
op('blendps', [['66 0F 3A 0C /r', 'Vx,Wx,Ib']], SSE41, byImmediate(i32x4, i32x4c(1, 2, 4, 8)));
op('blendpd', [['66 0F 3A 0D /r', 'Vx,Wx,Ib']], SSE41, byImmediate(i64x2, i64x2c(1, 2), true));
op('pblendw', [['66 0F 3A 0E /r', 'Vx,Wx,Ib']], SSE41, byImmediate(i16x8, i16x8c(1, 2, 4, 8, 16, 32, 64, 128)));
/** By the sign of a mask's lanes: XMM0's; with VEX a fourth operand's. */
export const SIGN_BLENDS = {
  pblendvb: { opcode: '10', mask: (m: Expr) => i8x16.shrS(m, w.i32c(7)) },
  blendvps: { opcode: '14', mask: (m: Expr) => i32x4.shrS(m, w.i32c(31)) },
  blendvpd: { opcode: '15', mask: (m: Expr) => i64x2.shrS(m, w.i32c(63)) },
} as const;
for (const [name, { opcode, mask }] of Object.entries(SIGN_BLENDS))
  op(
    name,
    [[`66 0F 38 ${opcode} /r`, 'Vx,Wx']],
    SSE41,
    blend((e) => mask(xmm0(e))),
  );

op('ptest', [['66 0F 38 17 /r', 'Vx,Wx']], SSE41, (e, dst, src) => {
  begin(e, dst);
  const b = readVector(e, src);
  const a = readVector(e, dst);
  const none = (v: Expr) => e.let(w.eqz(v128.anyTrue(v)));
  e.flagsZpc(none(v128.and(a, b)), w.i32c(0), none(v128.andnot(b, a)));
});

// ---- in core -----------------------------------------------------------------------------------------------------------

op('phminposuw', [['66 0F 38 41 /r', 'Vx,Wx']], SSE41, (e, dst, src) => {
  begin(e, dst);
  const a = readVector(e, src);
  writeVector(e, dst, viaCore(e, 'phminposuw', a, a));
});
op('mpsadbw', [['66 0F 3A 42 /r', 'Vx,Wx,Ib']], SSE41, (e, dst, src, imm) => {
  begin(e, dst);
  const b = readVector(e, src);
  const a = readVector(e, dst);
  writeVector(e, dst, viaCore(e, 'mpsadbw', a, b, immediate(e, imm)));
});
