/** SSE, SSE2, SSE3 and SSE4.1 floating point: arithmetic, comparisons, conversions, rounding. See float.ts for exactness. */
import type { Emitter } from '../emit/emitter.js';
import { type Operand, sizeOf } from '../emit/operands.js';
import type { Expr } from '../wasm/ops.js';
import { f64, f64x2, i64x2, shuffleLanes, zero } from '../wasm/simd.js';
import { InstructionList } from './define.js';
import * as F from './float.js';
import { DOUBLE, DOUBLES, type Format, type PackedFormat, SINGLE, SINGLES } from './float-formats.js';
import { begin, FEATURE, hex, immediate, readVector, writeMmx, writeVector } from './vector.js';

export const sseFloat = new InstructionList();
const op = sseFloat.op.bind(sseFloat);

/** The four shapes of an operation in map 0F: prefix, letters, format. */
const SCALARS = [
  ['ss', 'F3', 'Vd,Wd', SINGLE],
  ['sd', 'F2', 'Vq,Wq', DOUBLE],
] as const;
const PACKED = [
  ['ps', 'NP', SINGLES],
  ['pd', '66', DOUBLES],
] as const;

type Scalar2 = (e: Emitter, f: Format, a: Expr, b: Expr) => Expr;
type Packed2 = (e: Emitter, f: PackedFormat, a: Expr, b: Expr) => Expr;

/** dst's low lane = f(dst, src). */
function scalar2(f: Format, compute: Scalar2) {
  return (e: Emitter, dst: Operand, src: Operand): void => {
    begin(e, dst);
    const b = e.readFloat(src);
    e.write(dst, compute(e, f, e.readFloat(dst), b));
  };
}

function packed2(f: PackedFormat, compute: Packed2) {
  return (e: Emitter, dst: Operand, src: Operand): void => {
    begin(e, dst);
    const b = readVector(e, src);
    writeVector(e, dst, compute(e, f, readVector(e, dst), b));
  };
}

function fourForms(name: string, opcode: number, scalar: Scalar2, packed: Packed2): void {
  const code = hex(opcode);
  for (const [suffix, prefix, letters, format] of SCALARS)
    op(`${name}${suffix}`, [[`${prefix} 0F ${code} /r`, letters]], FEATURE('sse'), scalar2(format, scalar));
  for (const [suffix, prefix, format] of PACKED)
    op(`${name}${suffix}`, [[`${prefix} 0F ${code} /r`, 'Vx,Wx']], FEATURE('sse'), packed2(format, packed));
}

for (const [name, opcode] of [
  ['add', 0x58],
  ['mul', 0x59],
  ['sub', 0x5c],
  ['div', 0x5e],
] as const)
  fourForms(
    name,
    opcode,
    (e, f, a, b) => F.scalar(e, f, name, a, b),
    (e, f, a, b) => F.packed(e, f, name, a, b),
  );
for (const [name, opcode] of [
  ['min', 0x5d],
  ['max', 0x5f],
] as const)
  fourForms(
    name,
    opcode,
    (e, f, a, b) => F.scalarExtreme(e, f, name, a, b),
    (e, f, a, b) => F.packedExtreme(e, f, name, a, b),
  );
fourForms(
  'sqrt',
  0x51,
  (e, f, _, b) => F.scalarSqrt(e, f, b),
  (e, f, _, b) => F.packedSqrt(e, f, b),
);

// Approximations (core/float/sse.ts says how good): they raise nothing.
for (const [name, opcode] of [
  ['rcp', 0x53],
  ['rsqrt', 0x52],
] as const) {
  op(
    `${name}ss`,
    [[`F3 0F ${hex(opcode)} /r`, 'Vd,Wd']],
    FEATURE('sse'),
    scalar2(SINGLE, (e, _f, _a, b) => e.call(`sse_${name}_f32`, 'i32', b)),
  );
  op(
    `${name}ps`,
    [[`NP 0F ${hex(opcode)} /r`, 'Vx,Wx']],
    FEATURE('sse'),
    packed2(SINGLES, (e, _f, _a, b) => F.approximate(e, name, b)),
  );
}

// ---- SSE3: neighbours --------------------------------------------------------------------------------------------------

for (const [suffix, prefix, format, size] of [
  ['pd', '66', DOUBLES, 8],
  ['ps', 'F2', SINGLES, 4],
] as const) {
  op(
    `addsub${suffix}`,
    [[`${prefix} 0F D0 /r`, 'Vx,Wx']],
    FEATURE('sse3'),
    packed2(format, (e, f, a, b) => F.packed(e, f, 'addsub', a, b)),
  );
  const even = Array.from({ length: 16 / size }, (_, i) => 2 * i);
  const odd = even.map((i) => i + 1);
  for (const [name, opcode, kind] of [
    ['hadd', '7C', 'add'],
    ['hsub', '7D', 'sub'],
  ] as const)
    op(
      `${name}${suffix}`,
      [[`${prefix} 0F ${opcode} /r`, 'Vx,Wx']],
      FEATURE('sse3'),
      packed2(format, (e, f, a, b) => {
        const first = e.let(shuffleLanes(size, a, b, even));
        return F.packed(e, f, kind, first, e.let(shuffleLanes(size, a, b, odd)));
      }),
    );
}

// ---- comparisons -------------------------------------------------------------------------------------------------------

for (const [suffix, prefix, letters, format] of SCALARS)
  op(`cmp${suffix}`, [[`${prefix} 0F C2 /r`, `${letters},Ib`]], FEATURE('sse'), (e, dst, src, imm) =>
    scalar2(format, (e2, f, a, b) => F.scalarCompare(e2, f, a, b, immediate(e2, imm)))(e, dst, src),
  );
for (const [suffix, prefix, format] of PACKED)
  op(`cmp${suffix}`, [[`${prefix} 0F C2 /r`, 'Vx,Wx,Ib']], FEATURE('sse'), (e, dst, src, imm) =>
    packed2(format, (e2, f, a, b) => F.packedCompare(e2, f, a, b, immediate(e2, imm)))(e, dst, src),
  );

for (const [name, opcode, quiet] of [
  ['ucomis', '2E', true],
  ['comis', '2F', false],
] as const)
  for (const [suffix, prefix, letters, format] of [
    ['s', 'NP', 'Vd,Wd', SINGLE],
    ['d', '66', 'Vq,Wq', DOUBLE],
  ] as const)
    op(`${name}${suffix}`, [[`${prefix} 0F ${opcode} /r`, letters]], FEATURE('sse'), (e, dst, src) => {
      begin(e, dst);
      const b = e.readFloat(src);
      F.relate(e, format, quiet, e.readFloat(dst), b);
    });

// ---- conversions of scalars --------------------------------------------------------------------------------------------

function convertScalar(convert: (e: Emitter, v: Expr, dst: Operand) => Expr, fromInteger = false) {
  return (e: Emitter, dst: Operand, src: Operand): void => {
    // Not `begin`: from memory to a general register none of the operands tells.
    e.requireSse();
    e.write(dst, convert(e, fromInteger ? e.read(src) : e.readFloat(src), dst));
  };
}
op('cvtss2sd', [['F3 0F 5A /r', 'Vq,Wd']], FEATURE('sse2'), convertScalar(F.widen));
op('cvtsd2ss', [['F2 0F 5A /r', 'Vd,Wq']], FEATURE('sse2'), convertScalar(F.narrow));
op(
  'cvtsi2ss',
  [['F3 0F 2A /r', 'Vd,Ey']],
  FEATURE('sse'),
  convertScalar((e, v) => F.fromInteger(e, SINGLE, v), true),
);
op(
  'cvtsi2sd',
  [['F2 0F 2A /r', 'Vq,Ey']],
  FEATURE('sse2'),
  convertScalar((e, v) => F.fromInteger(e, DOUBLE, v), true),
);
for (const [name, prefix, letters, format] of [
  ['ss2si', 'F3', 'Gy,Wd', SINGLE],
  ['sd2si', 'F2', 'Gy,Wq', DOUBLE],
] as const)
  for (const [t, opcode] of [
    ['', '2D'],
    ['t', '2C'],
  ] as const)
    op(
      `cvt${t}${name}`,
      [[`${prefix} 0F ${opcode} /r`, letters]],
      FEATURE('sse'),
      convertScalar((e, v, dst) => F.toInteger(e, format, t === 't', sizeOf(dst), v)),
    );

// ---- conversions of vectors --------------------------------------------------------------------------------------------

/** A source of which only eight bytes count: zeros above them, which raise nothing. */
function readLow(e: Emitter, src: Operand): Expr {
  if (src.kind === 'mem') return readVector(e, src);
  return e.let(f64x2.replace(zero, 0, f64.fromBits(e.readFloat(src))));
}

function convertPacked(read: (e: Emitter, src: Operand) => Expr, convert: (e: Emitter, a: Expr) => Expr) {
  return (e: Emitter, dst: Operand, src: Operand): void => {
    begin(e, dst);
    writeVector(e, dst, convert(e, read(e, src)));
  };
}
op('cvtdq2ps', [['NP 0F 5B /r', 'Vx,Wx']], FEATURE('sse2'), convertPacked(readVector, F.integersToSingles));
op(
  'cvtps2dq',
  [['66 0F 5B /r', 'Vx,Wx']],
  FEATURE('sse2'),
  convertPacked(readVector, (e, a) => F.singlesToIntegers(e, false, a)),
);
op(
  'cvttps2dq',
  [['F3 0F 5B /r', 'Vx,Wx']],
  FEATURE('sse2'),
  convertPacked(readVector, (e, a) => F.singlesToIntegers(e, true, a)),
);
op('cvtps2pd', [['NP 0F 5A /r', 'Vx,Wq']], FEATURE('sse2'), convertPacked(readLow, F.singlesToDoubles));
op('cvtpd2ps', [['66 0F 5A /r', 'Vx,Wx']], FEATURE('sse2'), convertPacked(readVector, F.doublesToSingles));
op(
  'cvtdq2pd',
  [['F3 0F E6 /r', 'Vx,Wq']],
  FEATURE('sse2'),
  convertPacked(readVector, (e, a) => e.let(f64x2.convertLowI32x4S(a))),
);
op(
  'cvtpd2dq',
  [['F2 0F E6 /r', 'Vx,Wx']],
  FEATURE('sse2'),
  convertPacked(readVector, (e, a) => F.doublesToIntegers(e, false, a)),
);
op(
  'cvttpd2dq',
  [['66 0F E6 /r', 'Vx,Wx']],
  FEATURE('sse2'),
  convertPacked(readVector, (e, a) => F.doublesToIntegers(e, true, a)),
);

// From MMX registers. From memory they are no MMX instructions: AMD's manual says so of both, the SDM of CVTPI2PD.
op('cvtpi2ps', [['NP 0F 2A /r', 'Vq,Qq']], FEATURE('sse'), (e, dst, src) => {
  begin(e, dst, src);
  const r = F.integersToSingles(e, readVector(e, src));
  e.write(dst, i64x2.extract(r, 0));
  if (src.kind === 'mmx') e.enterMmx();
});
op('cvtpi2pd', [['66 0F 2A /r', 'Vx,Qq']], FEATURE('sse2'), (e, dst, src) => {
  begin(e, dst, src);
  writeVector(e, dst, f64x2.convertLowI32x4S(readVector(e, src)));
  if (src.kind === 'mmx') e.enterMmx();
});
// To MMX registers.
for (const [t, opcode] of [
  ['', '2D'],
  ['t', '2C'],
] as const) {
  const toMmx =
    (read: typeof readLow, convert: (e: Emitter, truncate: boolean, a: Expr) => Expr) =>
    (e: Emitter, dst: Operand, src: Operand) => {
      e.requireSse();
      e.requireMmx();
      const r = convert(e, t === 't', read(e, src));
      writeMmx(e, dst, i64x2.extract(r, 0));
    };
  op(`cvt${t}ps2pi`, [[`NP 0F ${opcode} /r`, 'Pq,Wq']], FEATURE('sse'), toMmx(readLow, F.singlesToIntegers));
  op(`cvt${t}pd2pi`, [[`66 0F ${opcode} /r`, 'Pq,Wx']], FEATURE('sse2'), toMmx(readVector, F.doublesToIntegers));
}

// ---- SSE4.1: rounding, dot products ------------------------------------------------------------------------------------

for (const [suffix, opcode, letters, bits, core] of [
  ['ss', '0A', 'Vd,Wd,Ib', 'i32', 'round32'],
  ['sd', '0B', 'Vq,Wq,Ib', 'i64', 'round64'],
] as const)
  op(`round${suffix}`, [[`66 0F 3A ${opcode} /r`, letters]], FEATURE('sse41'), (e, dst, src, imm) => {
    begin(e, dst);
    const r = e.call(core, bits, e.read(src), immediate(e, imm));
    e.commitFloat();
    e.write(dst, r);
  });
for (const [suffix, opcode, format] of [
  ['ps', '08', SINGLES],
  ['pd', '09', DOUBLES],
] as const)
  op(`round${suffix}`, [[`66 0F 3A ${opcode} /r`, 'Vx,Wx,Ib']], FEATURE('sse41'), (e, dst, src, imm) => {
    packed2(format, (e2, f, _, b) => F.packedRound(e2, f, b, immediate(e2, imm)))(e, dst, src);
  });
for (const [suffix, opcode, format] of [
  ['ps', '40', SINGLES],
  ['pd', '41', DOUBLES],
] as const)
  op(`dp${suffix}`, [[`66 0F 3A ${opcode} /r`, 'Vx,Wx,Ib']], FEATURE('sse41'), (e, dst, src, imm) => {
    packed2(format, (e2, f, a, b) => F.dotProduct(e2, f, a, b, immediate(e2, imm)))(e, dst, src);
  });
