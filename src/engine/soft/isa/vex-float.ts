/** What VEX brought in floating point: comparisons with 32 predicates, FMA3, F16C. */
import type { Emitter } from '../emit/emitter.js';
import { type Operand, sizeOf } from '../emit/operands.js';
import * as L from '../layout.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { i32x4, i64x2, v128 } from '../wasm/simd.js';
import { InstructionList } from './define.js';
import * as F from './float.js';
import { DOUBLE, DOUBLES, type Format, type PackedFormat, SINGLE, SINGLES } from './float-formats.js';
import { FEATURE, hex, immediate } from './vector.js';
import { type Halves, lengths, readHalves, writeHalves } from './vex.js';

export const vexFloat = new InstructionList();
const op = vexFloat.op.bind(vexFloat);
const AVX = FEATURE('avx');
const FMA = FEATURE('fma');
const F16C = FEATURE('f16c');

const A = w.i32c(L.VECTOR_A);
const B = w.i32c(L.VECTOR_B);
const C = w.i32c(L.VECTOR_C);
const OUT = w.i32c(L.VECTOR_OUT);

/** A vector operation of core that leaves what it raises to be committed by the instruction. */
function inCore(e: Emitter, name: string, sources: readonly Expr[], ...args: readonly Expr[]): Expr {
  const places = [A, B, C].slice(0, sources.length);
  sources.forEach((v, i) => {
    e.setState(places[i].constant as number, v);
  });
  e.setState(L.FLOAT_HOLD, w.i32c(1));
  e.call(name, 'i32', OUT, ...places, ...args);
  e.setState(L.FLOAT_HOLD, w.i32c(0));
  return e.let(e.state(L.VECTOR_OUT, 'v128'));
}

/** The low lane of a register becomes `value`; the other lanes are those of `rest`, and nothing is above them. */
function writeLow(e: Emitter, dst: Operand, rest: Operand, value: Expr): void {
  const lanes = value.type === 'i64' ? i64x2 : i32x4;
  writeHalves(e, dst, [e.let(lanes.replace(e.vector(rest), 0, value))]);
}

// ---- comparisons -------------------------------------------------------------------------------------------------------

/** What predicates 0 to 15 say of less (bit 0), equal, greater, as nibbles; 16 to 31 differ in what they raise only. */
const PREDICATES = [2, 1, 3, 0, 5, 6, 4, 7, 2, 1, 3, 0, 5, 6, 4, 7].reduceRight(
  (all, n) => (all << 4n) | BigInt(n),
  0n,
);

function predicate(e: Emitter, n: Expr): Expr {
  const shift = w.extendU(w.shl(w.and(n, w.i32c(15)), w.i32c(2)));
  return e.let(w.wrap(w.shrU(w.i64c(PREDICATES), shift)));
}

function compareScalars(e: Emitter, f: Format, a: Expr, b: Expr, n: Expr): Expr {
  const [x, y] = [f.native.fromBits(a), f.native.fromBits(b)];
  const relation = w.select(f.native.eq(x, y), w.i32c(1), w.select(f.native.lt(x, y), w.i32c(0), w.i32c(2)));
  const mask = w.sub(w.i32c(0), w.and(w.shrU(predicate(e, n), relation), w.i32c(1)));
  const native = f.bits === 'i64' ? w.extendS(mask) : mask;
  return F.converted(e, native, F.ordinary(e, f, a, b), () => e.call(`sse_cmp_${f.suffix}`, f.bits, a, b, n));
}

function comparePacked(e: Emitter, f: PackedFormat, a: Expr, b: Expr, n: Expr): Expr {
  const native = () => {
    const said = predicate(e, n);
    const mask = (bit: number) => i32x4.splat(w.sub(w.i32c(0), w.and(w.shrU(said, w.i32c(bit)), w.i32c(1))));
    const less = v128.and(f.native.lt(a, b), mask(0));
    const equal = v128.and(f.native.eq(a, b), mask(1));
    return e.let(v128.or(v128.or(less, equal), v128.and(f.native.lt(b, a), mask(2))));
  };
  return e.choose('v128', F.allOrdinary(e, f, a, b), native, () => inCore(e, `sse_cmp_${f.suffix}`, [a, b], n));
}

for (const [suffix, code, letter, format] of [
  ['ss', 'F3.0F', 'd', SINGLE],
  ['sd', 'F2.0F', 'q', DOUBLE],
] as const)
  op(
    `vcmp${suffix}`,
    [[`VEX.LIG.${code}.WIG C2 /r`, `V${letter},H${letter},W${letter},Ib`]],
    AVX,
    (e, dst, first, second, imm) => {
      e.requireAvx();
      const b = e.readFloat(second);
      const n = e.let(w.and(immediate(e, imm), w.i32c(31)));
      writeLow(e, dst, first, compareScalars(e, format, e.readFloat(first), b, n));
    },
  );
for (const [suffix, code, format] of [
  ['ps', 'NP.0F', SINGLES],
  ['pd', '66.0F', DOUBLES],
] as const)
  op(`vcmp${suffix}`, lengths(code, 'C2 /r', 'Vx,Hx,Wx,Ib'), AVX, (e, dst, first, second, imm) => {
    e.requireAvx();
    const b = readHalves(e, second);
    const a = readHalves(e, first);
    const n = e.let(w.and(immediate(e, imm), w.i32c(31)));
    const results = a.map((half, i) => comparePacked(e, format, half, b[i], n));
    e.commitFloat();
    writeHalves(e, dst, results);
  });

// ---- FMA3 --------------------------------------------------------------------------------------------------------------

const { product: PRODUCT, addend: ADDEND, even: EVEN, odd: ODD } = F.NEGATE;

/** Operands in the order x * y + z, of (V, H, W); for NaNs the order of x and y matters. */
const ORDERS: readonly [name: string, base: number, order: (v: Expr, h: Expr, w: Expr) => [Expr, Expr, Expr]][] = [
  ['132', 0x90, (v, h, m) => [v, m, h]],
  ['213', 0xa0, (v, h, m) => [h, v, m]],
  ['231', 0xb0, (v, h, m) => [h, m, v]],
];

for (const [order, base, ordered] of ORDERS)
  for (const [name, opcode, negates] of [
    ['vfmaddsub', 6, EVEN],
    ['vfmsubadd', 7, ODD],
    ['vfmadd', 8, 0],
    ['vfmsub', 0xa, ADDEND],
    ['vfnmadd', 0xc, PRODUCT],
    ['vfnmsub', 0xe, PRODUCT | ADDEND],
  ] as const)
    for (const [rexW, single, packed, scalar, letter] of [
      ['W0', 'ps', SINGLES, SINGLE, 'd'],
      ['W1', 'pd', DOUBLES, DOUBLE, 'q'],
    ] as const) {
      op(
        `${name}${order}${single}`,
        lengths('66.0F38', `${hex(base + opcode)} /r`, 'Vx,Hx,Wx', rexW),
        FMA,
        (e, v, h, m) => {
          e.requireAvx();
          const [c, b, a]: readonly Halves[] = [m, h, v].map((o) => readHalves(e, o));
          const results = a.map((x, i) => {
            const terms = ordered(x, b[i], c[i]);
            const slow = () => inCore(e, `sse_fma_${single}`, terms, w.i32c(negates));
            return F.packedFused(e, packed, terms, negates, slow);
          });
          if (!e.fuses) e.commitFloat();
          writeHalves(e, v, results);
        },
      );
      if (negates & (EVEN | ODD)) continue;
      const form = `VEX.LIG.66.0F38.${rexW} ${hex(base + opcode + 1)} /r`;
      op(`${name}${order}s${single[1]}`, [[form, `V${letter},H${letter},W${letter}`]], FMA, (e, v, h, m) => {
        e.requireAvx();
        const [c, b, a] = [m, h, v].map((o) => e.readFloat(o));
        writeLow(e, v, v, F.scalarFused(e, scalar, ordered(a, b, c), negates));
      });
    }

// ---- F16C --------------------------------------------------------------------------------------------------------------

op(
  'vcvtph2ps',
  [
    ['VEX.128.66.0F38.W0 13 /r', 'Vx,Wq'],
    ['VEX.256.66.0F38.W0 13 /r', 'Vx,Wdq'],
  ],
  F16C,
  (e, dst, src) => {
    e.requireAvx();
    const [v] = readHalves(e, src);
    const results = [inCore(e, 'sse_cvt_ph2ps', [v], w.i32c(0))];
    if (sizeOf(dst) === 32) results.push(inCore(e, 'sse_cvt_ph2ps', [v], w.i32c(4)));
    e.commitFloat();
    writeHalves(e, dst, results);
  },
);

// Exceptions are committed before memory is translated: processors have set MXCSR's flags when the store faults.
op(
  'vcvtps2ph',
  [
    ['VEX.128.66.0F3A.W0 1D /r', 'Wq,Vx,Ib'],
    ['VEX.256.66.0F3A.W0 1D /r', 'Wdq,Vx,Ib'],
  ],
  { ...F16C, writes: true },
  (e, dst, src, imm) => {
    e.requireAvx();
    const n = immediate(e, imm);
    const [low, high] = readHalves(e, src).map((half) => inCore(e, 'sse_cvt_ps2ph', [half], n));
    e.commitFloat();
    const pointer = dst.kind === 'mem' ? e.let(e.writePointer(e.address(dst), sizeOf(dst))) : undefined;
    const all = high ? e.let(i64x2.replace(low, 1, i64x2.extract(high, 0))) : low;
    if (!pointer) {
      writeHalves(e, dst, [all]);
      return;
    }
    if (high) e.f.do(w.store('v128', pointer, all));
    else e.f.do(w.store('i64', pointer, i64x2.extract(all, 0)));
    e.commit(pointer);
  },
);
