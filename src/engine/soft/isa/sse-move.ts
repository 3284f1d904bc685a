/** SSE and MMX moves: loads, stores, moves between register files, masks, insertions and extractions. */
import type { Emitter } from '../emit/emitter.js';
import { type Operand, sizeOf } from '../emit/operands.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import {
  f64,
  f64x2,
  i8x16,
  i16x8,
  i16x8c,
  i32x4,
  i32x4c,
  i64x2,
  i64x2c,
  iota,
  shuffleLanes,
  v128,
  zero,
} from '../wasm/simd.js';
import { InstructionList } from './define.js';
import { type Alignment, begin, FEATURE, immediate, readVector, writeMmx, writeVector } from './vector.js';

export const sseMove = new InstructionList();
const op = sseMove.op.bind(sseMove);

const HOT = { writes: true };

// ---- whole registers ---------------------------------------------------------------------------------------------------

function move(alignment: Alignment) {
  return (e: Emitter, dst: Operand, src: Operand): void => {
    begin(e, dst, src);
    writeVector(e, dst, readVector(e, src, alignment), alignment);
  };
}
// MOVAPS MOVAPD MOVDQA, and the non-temporal ones: caching is nothing that we model.
op(
  'movaps',
  [
    ['NP 0F 28 /r', 'Vx,Wx'],
    ['66 0F 28 /r', 'Vx,Wx'],
    ['66 0F 6F /r', 'Vx,Wx'],
    ['66 0F 38 2A /r', 'Vx,Mdq'],
    ['NP 0F 29 /r', 'Wx,Vx'],
    ['66 0F 29 /r', 'Wx,Vx'],
    ['66 0F 7F /r', 'Wx,Vx'],
    ['NP 0F 2B /r', 'Mdq,Vx'],
    ['66 0F 2B /r', 'Mdq,Vx'],
    ['66 0F E7 /r', 'Mdq,Vx'],
  ],
  HOT,
  move('aligned'),
);
// MOVUPS MOVUPD MOVDQU LDDQU
op(
  'movups',
  [
    ['NP 0F 10 /r', 'Vx,Wx'],
    ['66 0F 10 /r', 'Vx,Wx'],
    ['F3 0F 6F /r', 'Vx,Wx'],
    ['F2 0F F0 /r', 'Vx,Mdq'],
    ['NP 0F 11 /r', 'Wx,Vx'],
    ['66 0F 11 /r', 'Wx,Vx'],
    ['F3 0F 7F /r', 'Wx,Vx'],
  ],
  HOT,
  move('any'),
);
op(
  'movq',
  [
    ['NP 0F 6F /r', 'Pq,Qq'],
    ['NP 0F 7F /r', 'Qq,Pq'],
    ['NP 0F E7 /r', 'Mq,Pq'],
  ],
  { writes: true },
  (e, dst, src) => {
    begin(e, dst, src);
    const v = e.read(src);
    if (dst.kind === 'mmx') writeMmx(e, dst, v);
    else {
      e.write(dst, v);
      e.enterMmx();
    }
  },
);

// ---- parts of registers ------------------------------------------------------------------------------------------------

/** An integer alone in a vector, zeros above it. */
function zeroExtended(value: Expr): Expr {
  return value.type === 'i64' ? i64x2.replace(zero, 0, value) : i32x4.replace(zero, 0, value);
}

/** dst = src zero-extended to the whole register; to memory: as many bytes as there are. */
function moveZeroExtended(e: Emitter, dst: Operand, src: Operand): void {
  begin(e, dst, src);
  if (src.kind === 'mem') {
    writeVector(e, dst, readVector(e, src));
    return;
  }
  const v = e.read(src);
  if (dst.kind === 'mem') e.write(dst, v);
  else writeVector(e, dst, zeroExtended(v));
}
op('movd', [['66 0F 6E /r', 'Vx,Ey']], {}, moveZeroExtended);
op(
  'movq',
  [
    ['F3 0F 7E /r', 'Vx,Wq'],
    ['66 0F D6 /r', 'Wq,Vq'],
  ],
  HOT,
  moveZeroExtended,
);
op('movss', [['F3 0F 10 /r', 'Vx,Md']], {}, moveZeroExtended);
op('movsd', [['F2 0F 10 /r', 'Vx,Mq']], {}, moveZeroExtended);

/** Only the low lane changes. */
function moveLow(e: Emitter, dst: Operand, src: Operand): void {
  begin(e, dst, src);
  e.write(dst, src.kind === 'xmm' ? e.readFloat(src) : e.read(src));
}
op(
  'movss',
  [
    ['F3 0F 10 /r', 'Vd,Ud'],
    ['F3 0F 11 /r', 'Wd,Vd'],
  ],
  HOT,
  moveLow,
);
op(
  'movsd',
  [
    ['F2 0F 10 /r', 'Vq,Uq'],
    ['F2 0F 11 /r', 'Wq,Vq'],
  ],
  HOT,
  moveLow,
);
op(
  'movlps',
  [
    ['NP 0F 12 /r', 'Vq,Mq'],
    ['66 0F 12 /r', 'Vq,Mq'],
    ['NP 0F 13 /r', 'Mq,Vq'],
    ['66 0F 13 /r', 'Mq,Vq'],
  ],
  { writes: true },
  moveLow,
);

op(
  'movhps',
  [
    ['NP 0F 16 /r', 'Vx,Mq'],
    ['66 0F 16 /r', 'Vx,Mq'],
  ],
  {},
  (e, dst, src) => {
    begin(e, dst);
    const v = e.read(src);
    writeVector(e, dst, i64x2.replace(readVector(e, dst), 1, v));
  },
);
op(
  'movhps',
  [
    ['NP 0F 17 /r', 'Mq,Vx'],
    ['66 0F 17 /r', 'Mq,Vx'],
  ],
  { writes: true },
  (e, dst, src) => {
    begin(e, src);
    e.write(dst, e.let(i64x2.extract(readVector(e, src), 1)));
  },
);

/** dst = lanes chosen from dst (the lower numbers) and src. */
function pick(size: number, lanes: readonly number[]) {
  return (e: Emitter, dst: Operand, src: Operand): void => {
    begin(e, dst);
    const b = readVector(e, src);
    writeVector(e, dst, shuffleLanes(size, readVector(e, dst), b, lanes));
  };
}
op('movhlps', [['NP 0F 12 /r', 'Vx,Ux']], FEATURE('sse'), pick(8, [3, 1]));
op('movlhps', [['NP 0F 16 /r', 'Vx,Ux']], FEATURE('sse'), pick(8, [0, 2]));
op('movsldup', [['F3 0F 12 /r', 'Vx,Wx']], FEATURE('sse3'), pick(4, [4, 4, 6, 6]));
op('movshdup', [['F3 0F 16 /r', 'Vx,Wx']], FEATURE('sse3'), pick(4, [5, 5, 7, 7]));
op('movddup', [['F2 0F 12 /r', 'Vx,Wq']], FEATURE('sse3'), (e, dst, src) => {
  begin(e, dst);
  writeVector(e, dst, f64x2.splat(f64.fromBits(e.readFloat(src))));
});

// ---- to and from the other register files ------------------------------------------------------------------------------

/** The low bytes of a vector register, as an integer of dst's size. */
function lowPart(e: Emitter, dst: Operand, src: Operand): Expr {
  return e.lane(src, sizeOf(dst), w.i32c(0));
}
op('movd', [['66 0F 7E /r', 'Ey,Vx']], HOT, (e, dst, src) => {
  begin(e, src);
  e.write(dst, lowPart(e, dst, src));
});
op('movd', [['NP 0F 7E /r', 'Ey,Pq']], { writes: true }, (e, dst, src) => {
  begin(e, src);
  e.write(dst, lowPart(e, dst, src));
  e.enterMmx();
});
op('movd', [['NP 0F 6E /r', 'Pq,Ey']], FEATURE('mmx'), (e, dst, src) => {
  begin(e, dst);
  writeMmx(e, dst, w.extendU(e.read(src)));
});
op('movq2dq', [['F3 0F D6 /r', 'Vx,Nq']], FEATURE('sse2'), (e, dst, src) => {
  begin(e, dst, src);
  writeVector(e, dst, zeroExtended(e.read(src)));
  e.enterMmx();
});
op('movdq2q', [['F2 0F D6 /r', 'Pq,Uq']], FEATURE('sse2'), (e, dst, src) => {
  begin(e, dst, src);
  writeMmx(e, dst, e.read(src));
});
op('movnti', [['NP 0F C3 /r', 'My,Gy']], { feature: 'sse2', writes: true }, (e, dst, src) => e.write(dst, e.read(src)));

op('movmskps', [['NP 0F 50 /r', 'Gd,Ux']], FEATURE('sse'), (e, dst, src) => {
  begin(e, src);
  e.write(dst, i32x4.bitmask(readVector(e, src)));
});
op('movmskpd', [['66 0F 50 /r', 'Gd,Ux']], FEATURE('sse2'), (e, dst, src) => {
  begin(e, src);
  e.write(dst, i64x2.bitmask(readVector(e, src)));
});
op('pmovmskb', [['66 0F D7 /r', 'Gd,Ux']], { feature: 'sse2' }, (e, dst, src) => {
  begin(e, src);
  e.write(dst, i8x16.bitmask(readVector(e, src)));
});
op('pmovmskb', [['NP 0F D7 /r', 'Gd,Nq']], FEATURE('sse'), (e, dst, src) => {
  begin(e, src);
  e.write(dst, i8x16.bitmask(readVector(e, src)));
  e.enterMmx();
});

// Bytes whose mask has bit 7 set go to DS:rDI; in core, for there may be holes.
op('maskmovdqu', [['66 0F F7 /r', 'Vx,Ux']], FEATURE('sse2'), (e, dst) => {
  begin(e, dst);
  e.core('op_maskmov', 16);
});
op('maskmovq', [['NP 0F F7 /r', 'Pq,Nq']], FEATURE('sse'), (e, dst) => {
  begin(e, dst);
  e.core('op_maskmov', 8);
  e.enterMmx();
});

// ---- insertions --------------------------------------------------------------------------------------------------------

interface InsertLanes {
  readonly splat: (v: Expr) => Expr;
  readonly eq: (a: Expr, b: Expr) => Expr;
  /** Lane numbers. */
  readonly numbers: Expr;
}
const LANES: Record<number, InsertLanes> = {
  1: { ...i8x16, numbers: iota },
  2: { ...i16x8, numbers: i16x8c(0, 1, 2, 3, 4, 5, 6, 7) },
  4: { ...i32x4, numbers: i32x4c(0, 1, 2, 3) },
  8: { ...i64x2, numbers: i64x2c(0, 1) },
};

/** `a` with lane `n` (i32, in range) replaced. */
function insertLane(size: number, a: Expr, n: Expr, value: Expr): Expr {
  const { splat, eq, numbers } = LANES[size];
  const mask = eq(numbers, splat(size === 8 ? w.extendU(n) : n));
  return v128.bitselect(splat(value), a, mask);
}

/** PINSR: lanes of `size` bytes; a register operand gives its low bytes. */
function insert(size: number) {
  return (e: Emitter, dst: Operand, src: Operand, imm: Operand): void => {
    begin(e, dst);
    const v = e.read(src);
    const count = (dst.kind === 'mmx' ? 8 : 16) / size;
    const n = w.and(immediate(e, imm), w.i32c(count - 1));
    writeVector(e, dst, insertLane(size, readVector(e, dst), n, v));
  };
}
op(
  'pinsrw',
  [
    ['NP 0F C4 /r', 'Pq,Rd,Ib'],
    ['NP 0F C4 /r', 'Pq,Mw,Ib'],
    ['66 0F C4 /r', 'Vx,Rd,Ib'],
    ['66 0F C4 /r', 'Vx,Mw,Ib'],
  ],
  {},
  insert(2),
);
op(
  'pinsrb',
  [
    ['66 0F 3A 20 /r', 'Vx,Rd,Ib'],
    ['66 0F 3A 20 /r', 'Vx,Mb,Ib'],
  ],
  FEATURE('sse41'),
  insert(1),
);
op('pinsrd', [['66 0F 3A 22 /r', 'Vx,Ey,Ib']], FEATURE('sse41'), (e, dst, src, imm) =>
  insert(sizeOf(src))(e, dst, src, imm),
);

/** PEXTR: one lane of `size` bytes, zero-extended to a register. */
function extract(e: Emitter, size: number, dst: Operand, src: Operand, imm: Operand): void {
  begin(e, src);
  const count = (src.kind === 'mmx' ? 8 : 16) / size;
  e.write(dst, e.lane(src, size, w.and(immediate(e, imm), w.i32c(count - 1))));
  if (src.kind === 'mmx') e.enterMmx();
}
op(
  'pextrw',
  [
    ['NP 0F C5 /r', 'Gd,Nq,Ib'],
    ['66 0F C5 /r', 'Gd,Ux,Ib'],
  ],
  {},
  (e, dst, src, imm) => extract(e, 2, dst, src, imm),
);
for (const [name, opcode, size, memory] of [
  ['pextrb', '14', 1, 'Mb'],
  ['pextrw', '15', 2, 'Mw'],
] as const)
  op(
    name,
    [
      [`66 0F 3A ${opcode} /r`, 'Rd,Vx,Ib'],
      [`66 0F 3A ${opcode} /r`, `${memory},Vx,Ib`],
    ],
    { feature: 'sse41', writes: true, param: size },
    (e, dst, src, imm) => extract(e, size, dst, src, imm),
  );
op('pextrd', [['66 0F 3A 16 /r', 'Ey,Vx,Ib']], { feature: 'sse41', writes: true }, (e, dst, src, imm) =>
  extract(e, sizeOf(dst), dst, src, imm),
);
op('extractps', [['66 0F 3A 17 /r', 'Ed,Vx,Ib']], { feature: 'sse41', writes: true }, (e, dst, src, imm) =>
  extract(e, 4, dst, src, imm),
);

// INSERTPS: imm 7:6 source lane (registers), 5:4 destination lane, 3:0 lanes to clear.
op(
  'insertps',
  [
    ['66 0F 3A 21 /r', 'Vx,Ux,Ib'],
    ['66 0F 3A 21 /r', 'Vx,Md,Ib'],
  ],
  FEATURE('sse41'),
  (e, dst, src, imm) => {
    begin(e, dst);
    const n = immediate(e, imm);
    const v = src.kind === 'mem' ? e.read(src) : e.lane(src, 4, w.shrU(n, w.i32c(6)));
    const inserted = insertLane(4, readVector(e, dst), w.and(w.shrU(n, w.i32c(4)), w.i32c(3)), v);
    const bits = i32x4c(1, 2, 4, 8);
    const cleared = i32x4.eq(v128.and(i32x4.splat(n), bits), bits);
    writeVector(e, dst, v128.andnot(inserted, cleared));
  },
);

op('emms', [['NP 0F 77', '']], FEATURE('mmx'), (e) => {
  e.requireMmx();
  e.enterMmx(); // TOP = 0
  e.callVoid('x87_emms');
});
