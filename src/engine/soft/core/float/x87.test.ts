// The x87 unit of the software CPU against the processor under us: registers, tags, status and control word, memory.

import { beforeAll, describe, expect, test } from 'vitest';
import { nativeBuffer, nativeX86 } from '../../../../../test/native/exec-page.js';
import { type FloatModule, loadFloat } from '../../../../../test/native/float-wasm.js';
import {
  FSAVE_CW,
  FSAVE_SIZE,
  FSAVE_ST,
  FSAVE_SW,
  FSAVE_TW,
  runX87,
  X87_AFTER,
  X87_BEFORE,
  X87_FLAGS,
  X87_FLAGS_BEFORE,
  X87_MEMORY,
  X87_RECORD,
} from '../../../../../test/native/x87-oracle.js';

type W = FloatModule['fn'];

function generator(seed: number): () => number {
  let x = (seed * 2654435761) | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

interface X80 {
  se: number;
  hi: number; // upper half of the significand
  lo: number;
}

const SIGNIFICANDS: [number, number][] = [
  [0x80000000, 0], [0x80000000, 1], [0xc0000000, 0], [0xa0000000, 0], [0xffffffff, 0xffffffff], [0x80000000, 0x400],
  [0x80000000, 0x800], [0x80000080, 0], [0x80000100, 0], [0xffffff80, 0], [0xfffffe80, 0], [0xffffffff, 0xfffffc00],
  [0x00000000, 0], [0x00000000, 1], [0x40000000, 0], [0x7fffffff, 0xffffffff], [0xc90fdaa2, 0x2168c235], [0xe0000000, 0],
  [0xfffffffe, 0], [0xde0b6b3a, 0x763ffff0],
];
const EXPONENTS = [
  0, 0, 1, 2, 0x3c00, 0x3bcd, 0x3bff, 0x3c01, 0x3f80, 0x3f81, 0x3f6a, 0x3fbe, 0x3ffd, 0x3ffe, 0x3fff, 0x4000, 0x4001,
  0x400d, 0x400e, 0x401d, 0x401e, 0x403a, 0x403c, 0x403d, 0x403e, 0x403f, 0x407e, 0x407f, 0x43fe, 0x43ff, 0x5fff, 0x1fff,
  0x7ffd, 0x7ffe, 0x7fff, 0x7fff,
];

function operand(random: () => number): X80 {
  const pick = random() % 16;
  const sign = random() & 0x8000;
  const e = EXPONENTS[random() % EXPONENTS.length];
  const s = SIGNIFICANDS[random() % SIGNIFICANDS.length];
  if (pick < 6) return { se: sign | e, hi: s[0], lo: s[1] };
  if (pick < 7) return { se: sign, hi: 0, lo: 0 };
  if (pick < 8) return { se: random() & 0xffff, hi: random(), lo: random() };
  const near = 0x3ff0 + (random() % 32);
  if (pick < 12) return { se: sign | near, hi: (random() | 0x80000000) >>> 0, lo: random() };
  if (pick < 14) return { se: sign | near, hi: ((random() & 0xffffff00) | 0x80000000) >>> 0, lo: 0 };
  if (pick < 15) return { se: sign | (random() % 0x7fff), hi: (random() | 0x80000000) >>> 0, lo: random() };
  // A whole number.
  const n = random() >>> (random() % 32) || 1;
  const shift = Math.clz32(n);
  return { se: sign | (0x401e - shift), hi: (n << shift) >>> 0, lo: 0 };
}

interface Options {
  unmasked: boolean;
  count: number;
  /** Chance in 256 that a register is empty. */
  empty: number;
}

interface Op {
  name: string;
  code: number[];
  /** Bits of the status word that are undefined after it. */
  ignoreSw?: number;
  /** Fills the memory operand. */
  memory?: (view: DataView, at: number, random: () => number) => void;
  /** Bytes of memory that it writes. */
  writes?: number;
  flags?: boolean;
  /** Starts with TOP = 0. */
  top0?: boolean;
  run: (w: W, view: DataView, at: number, m: FloatModule, rflags: number) => number | bigint | void;
}

/** Vendors differ in whether an instruction that can't round clears C1. */
const C1 = 0x200;

const MEM = (reg: number): number[] => [0x43 | (reg << 3), X87_MEMORY];

function randomMemory(view: DataView, at: number, random: () => number): void {
  for (let i = 0; i < 16; i += 4) view.setUint32(at + i, random(), true);
}

function memoryF32(view: DataView, at: number, random: () => number): void {
  const exps = [0, 0, 1, 126, 127, 128, 150, 254, 255, 255, 130, 125];
  const fracs = [0, 1, 0x400000, 0x400001, 0x7fffff, 0x3fffff];
  const r = random();
  const e = r & 1 ? exps[(r >>> 1) % exps.length] : (r >>> 1) & 0xff;
  const f = r & 0x1000 ? fracs[(r >>> 14) % fracs.length] : random() & 0x7fffff;
  view.setUint32(at, ((r & 0x80000000) | (e << 23) | f) >>> 0, true);
}

function memoryF64(view: DataView, at: number, random: () => number): void {
  const exps = [0, 0, 1, 1022, 1023, 1024, 1075, 2046, 2047, 2047, 1030, 1020];
  const fracs: [number, number][] = [[0, 0], [0, 1], [0x80000, 0], [0x80000, 1], [0xfffff, 0xffffffff], [0x7ffff, 0xffffffff]];
  const r = random();
  const e = r & 1 ? exps[(r >>> 1) % exps.length] : (r >>> 1) & 0x7ff;
  const f = r & 0x1000 ? fracs[(r >>> 14) % fracs.length] : [random() & 0xfffff, random()];
  view.setUint32(at + 4, ((r & 0x80000000) | (e << 20) | f[0]) >>> 0, true);
  view.setUint32(at, f[1], true);
}

function memoryInt(view: DataView, at: number, random: () => number): void {
  view.setBigInt64(at, BigInt.asIntN(64, (BigInt(random()) << 32n) | BigInt(random())) >> BigInt(random() % 64), true);
}

function memoryM80(view: DataView, at: number, random: () => number): void {
  const v = operand(random);
  view.setUint32(at, v.lo, true);
  view.setUint32(at + 4, v.hi, true);
  view.setUint16(at + 8, v.se, true);
}

const ARITH: [string, number, number][] = [
  ['fadd', 0, 0], ['fmul', 1, 1], ['fsub', 4, 5], ['fsubr', 5, 4], ['fdiv', 6, 7], ['fdivr', 7, 6],
];

function arithmetic(): Op[] {
  return ARITH.flatMap(([name, op, dcOp]): Op[] => [
    { name: `${name} st0, st1`, code: [0xd8, 0xc1 | (op << 3)], run: (w) => w.x87_arith(op, 0, 1, 0) },
    { name: `${name} st0, st0`, code: [0xd8, 0xc0 | (op << 3)], run: (w) => w.x87_arith(op, 0, 0, 0) },
    { name: `${name} st3, st0`, code: [0xdc, 0xc3 | (dcOp << 3)], run: (w) => w.x87_arith(op, 3, 0, 0) },
    { name: `${name}p st1, st0`, code: [0xde, 0xc1 | (dcOp << 3)], run: (w) => w.x87_arith(op, 1, 0, 1) },
    { name: `${name} m32`, code: [0xd8, ...MEM(op)], memory: memoryF32, run: (w, v, at) => w.x87_arith_m32(op, v.getInt32(at, true)) },
    { name: `${name} m64`, code: [0xdc, ...MEM(op)], memory: memoryF64, run: (w, v, at) => w.x87_arith_m64(op, v.getBigInt64(at, true)) },
    { name: `${name} m32int`, code: [0xda, ...MEM(op)], memory: memoryInt, run: (w, v, at) => w.x87_arith_int(op, v.getInt32(at, true)) },
    { name: `${name} m16int`, code: [0xde, ...MEM(op)], memory: memoryInt, run: (w, v, at) => w.x87_arith_int(op, v.getInt16(at, true)) },
  ]);
}

function comparisons(): Op[] {
  return [
    { name: 'fcom st1', code: [0xd8, 0xd1], run: (w) => w.x87_com(1, 0, 0) },
    { name: 'fcomp st1', code: [0xd8, 0xd9], run: (w) => w.x87_com(1, 0, 1) },
    { name: 'fcompp', code: [0xde, 0xd9], run: (w) => w.x87_com(1, 0, 2) },
    { name: 'fucom st1', code: [0xdd, 0xe1], run: (w) => w.x87_com(1, 1, 0) },
    { name: 'fucomp st2', code: [0xdd, 0xea], run: (w) => w.x87_com(2, 1, 1) },
    { name: 'fucompp', code: [0xda, 0xe9], run: (w) => w.x87_com(1, 1, 2) },
    { name: 'fcom m32', code: [0xd8, ...MEM(2)], memory: memoryF32, run: (w, v, at) => w.x87_com_m32(v.getInt32(at, true), 0) },
    { name: 'fcomp m32', code: [0xd8, ...MEM(3)], memory: memoryF32, run: (w, v, at) => w.x87_com_m32(v.getInt32(at, true), 1) },
    { name: 'fcom m64', code: [0xdc, ...MEM(2)], memory: memoryF64, run: (w, v, at) => w.x87_com_m64(v.getBigInt64(at, true), 0) },
    { name: 'fcomp m64', code: [0xdc, ...MEM(3)], memory: memoryF64, run: (w, v, at) => w.x87_com_m64(v.getBigInt64(at, true), 1) },
    { name: 'ficom m32', code: [0xda, ...MEM(2)], memory: memoryInt, run: (w, v, at) => w.x87_com_int(v.getInt32(at, true), 0) },
    { name: 'ficomp m16', code: [0xde, ...MEM(3)], memory: memoryInt, run: (w, v, at) => w.x87_com_int(v.getInt16(at, true), 1) },
    { name: 'fcomi', code: [0xdb, 0xf1], flags: true, ignoreSw: C1, run: (w) => w.x87_comi(1, 0, 0) },
    { name: 'fcomip', code: [0xdf, 0xf1], flags: true, ignoreSw: C1, run: (w) => w.x87_comi(1, 0, 1) },
    { name: 'fucomi', code: [0xdb, 0xe9], flags: true, ignoreSw: C1, run: (w) => w.x87_comi(1, 1, 0) },
    { name: 'fucomip st2', code: [0xdf, 0xea], flags: true, ignoreSw: C1, run: (w) => w.x87_comi(2, 1, 1) },
    { name: 'ftst', code: [0xd9, 0xe4], run: (w) => w.x87_tst() },
    { name: 'fxam', code: [0xd9, 0xe5], run: (w) => w.x87_xam() },
  ];
}

function unary(): Op[] {
  return [
    { name: 'fchs', code: [0xd9, 0xe0], run: (w) => w.x87_chs() },
    { name: 'fabs', code: [0xd9, 0xe1], run: (w) => w.x87_abs() },
    { name: 'fsqrt', code: [0xd9, 0xfa], run: (w) => w.x87_sqrt() },
    { name: 'frndint', code: [0xd9, 0xfc], run: (w) => w.x87_rndint() },
    { name: 'fxtract', code: [0xd9, 0xf4], run: (w) => w.x87_xtract() },
    { name: 'fscale', code: [0xd9, 0xfd], run: (w) => w.x87_scale() },
    { name: 'fprem', code: [0xd9, 0xf8], run: (w) => w.x87_prem(0) },
    { name: 'fprem1', code: [0xd9, 0xf5], run: (w) => w.x87_prem(1) },
  ];
}

function store(name: string, code: number[], kind: number, popped: number, writes: number): Op {
  return {
    name,
    code,
    writes,
    memory: randomMemory,
    run: (w, v, at, m) => {
      if (w.x87_store(kind)) for (let i = 0; i < writes; i++) v.setUint8(at + i, m.view.getUint8(0xf10 + i));
      return w.x87_store_done(popped);
    },
  };
}

function moves(): Op[] {
  return [
    { name: 'fld m32', code: [0xd9, ...MEM(0)], memory: memoryF32, run: (w, v, at) => w.x87_fld_m32(v.getInt32(at, true)) },
    { name: 'fld m64', code: [0xdd, ...MEM(0)], memory: memoryF64, run: (w, v, at) => w.x87_fld_m64(v.getBigInt64(at, true)) },
    { name: 'fld m80', code: [0xdb, ...MEM(5)], memory: memoryM80, run: (w, v, at) => w.x87_fld_m80(v.getBigInt64(at, true), v.getUint16(at + 8, true)) },
    { name: 'fld st0', code: [0xd9, 0xc0], run: (w) => w.x87_fld(0) },
    { name: 'fld st3', code: [0xd9, 0xc3], run: (w) => w.x87_fld(3) },
    { name: 'fild m16', code: [0xdf, ...MEM(0)], memory: memoryInt, run: (w, v, at) => w.x87_fild(BigInt(v.getInt16(at, true))) },
    { name: 'fild m32', code: [0xdb, ...MEM(0)], memory: memoryInt, run: (w, v, at) => w.x87_fild(BigInt(v.getInt32(at, true))) },
    { name: 'fild m64', code: [0xdf, ...MEM(5)], memory: memoryInt, run: (w, v, at) => w.x87_fild(v.getBigInt64(at, true)) },
    {
      name: 'fbld',
      code: [0xdf, ...MEM(4)],
      memory: (v, at, random) => {
        for (let i = 0; i < 10; i++) v.setUint8(at + i, (random() % 10) | ((random() % 10) << 4));
        v.setUint8(at + 9, random() & 0x80);
        if (random() & 1) for (let i = random() % 10; i < 9; i++) v.setUint8(at + i, 0);
      },
      run: (w, v, at) => w.x87_fbld(v.getBigInt64(at, true), v.getUint16(at + 8, true)),
    },
    ...[0, 1, 2, 3, 4, 5, 6].map((n): Op => ({ name: `constant ${n}`, code: [0xd9, 0xe8 + n], run: (w) => w.x87_fldconst(n) })),
    store('fst m32', [0xd9, ...MEM(2)], 0, 0, 4),
    store('fstp m32', [0xd9, ...MEM(3)], 0, 1, 4),
    store('fst m64', [0xdd, ...MEM(2)], 1, 0, 8),
    store('fstp m64', [0xdd, ...MEM(3)], 1, 1, 8),
    store('fstp m80', [0xdb, ...MEM(7)], 2, 1, 10),
    store('fist m16', [0xdf, ...MEM(2)], 3, 0, 2),
    store('fistp m16', [0xdf, ...MEM(3)], 3, 1, 2),
    store('fist m32', [0xdb, ...MEM(2)], 4, 0, 4),
    store('fistp m32', [0xdb, ...MEM(3)], 4, 1, 4),
    store('fistp m64', [0xdf, ...MEM(7)], 5, 1, 8),
    store('fisttp m16', [0xdf, ...MEM(1)], 6, 1, 2),
    store('fisttp m32', [0xdb, ...MEM(1)], 7, 1, 4),
    store('fisttp m64', [0xdd, ...MEM(1)], 8, 1, 8),
    store('fbstp', [0xdf, ...MEM(6)], 9, 1, 10),
    { name: 'fst st3', code: [0xdd, 0xd3], run: (w) => w.x87_fst(3, 0) },
    { name: 'fstp st1', code: [0xdd, 0xd9], run: (w) => w.x87_fst(1, 1) },
    { name: 'fxch', code: [0xd9, 0xc9], run: (w) => w.x87_fxch(1) },
    { name: 'fcmovb', code: [0xda, 0xc1], ignoreSw: C1, run: (w, _v, _at, _m, f) => w.x87_fcmov(f & 1, 1) },
    { name: 'fcmovne', code: [0xdb, 0xca], ignoreSw: C1, run: (w, _v, _at, _m, f) => w.x87_fcmov(f & 0x40 ? 0 : 1, 2) },
    { name: 'ffree st2', code: [0xdd, 0xc2], run: (w) => w.x87_ffree(2, 0) },
    { name: 'ffreep st1', code: [0xdf, 0xc1], run: (w) => w.x87_ffree(1, 1) },
    { name: 'fincstp', code: [0xd9, 0xf7], run: (w) => w.x87_fincstp() },
    { name: 'fdecstp', code: [0xd9, 0xf6], run: (w) => w.x87_fdecstp() },
    { name: 'fninit', code: [0xdb, 0xe3], run: (w) => w.x87_fninit() },
    { name: 'fnclex', code: [0xdb, 0xe2], run: (w) => w.x87_fnclex() },
    { name: 'emms', code: [0x0f, 0x77], top0: true, run: (w) => w.x87_emms() },
    { name: 'fldcw', code: [0xd9, ...MEM(5)], memory: randomMemory, run: (w, v, at) => w.x87_fldcw(v.getUint16(at, true)) },
    {
      name: 'fnstsw m16',
      code: [0xdd, ...MEM(7)],
      writes: 2,
      memory: randomMemory,
      run: (w, v, at) => v.setUint16(at, Number(w.x87_status()), true),
    },
    {
      name: 'fnstcw m16',
      code: [0xd9, ...MEM(7)],
      writes: 2,
      memory: randomMemory,
      run: (w, v, at) => v.setUint16(at, Number(w.x87_control()), true),
    },
  ];
}

function fillState(view: DataView, at: number, random: () => number, o: Options): void {
  const masks = o.unmasked ? random() & 0x3f : 0x3f;
  const pc = [0, 2, 3, 3][random() & 3];
  view.setUint32(at + FSAVE_CW, 0xffff0040 | masks | (pc << 8) | ((random() & 3) << 10), true);
  const sticky = random() & 3 ? 0 : random() & masks & 0x3f;
  view.setUint32(at + FSAVE_SW, 0xffff0000 | ((random() & 0x7f) << 8 & 0x7f00) | sticky | (sticky & 1 ? random() & 0x40 : 0), true);
  let tw = 0;
  for (let i = 0; i < 8; i++) if (random() % 256 < o.empty) tw |= 3 << (i * 2);
  view.setUint32(at + FSAVE_TW, 0xffff0000 | tw, true);
  for (let i = 12; i < 28; i++) view.setUint8(at + i, 0);
  for (let i = 0; i < 8; i++) {
    const v = operand(random);
    const r = at + FSAVE_ST + i * 10;
    view.setUint32(r, v.lo, true);
    view.setUint32(r + 4, v.hi, true);
    view.setUint16(r + 8, v.se, true);
  }
}

function register(view: DataView, at: number, i: number): string {
  const r = at + FSAVE_ST + i * 10;
  return `${view.getUint16(r + 8, true).toString(16)}:${view.getBigUint64(r, true).toString(16)}`;
}

describe.skipIf(!nativeX86)('x87 against the processor under us', () => {
  let w: FloatModule;
  const capacity = 16384;
  const buffer = nativeX86 ? nativeBuffer(capacity * X87_RECORD) : undefined;
  const IMAGE = 0x200000; // of ours
  const image = new DataView(new ArrayBuffer(X87_RECORD));

  beforeAll(async () => {
    w = await loadFloat();
  });

  function check(op: Op, o: Options): void {
    const { view, bytes, address } = buffer!;
    const random = generator(op.name.length * 31 + op.code[op.code.length - 1] + op.code[0] * 7 + (o.unmasked ? 5 : 0));
    const count = Math.min(o.count, capacity);
    bytes.fill(0, 0, count * X87_RECORD);
    for (let i = 0; i < count; i++) {
      const r = i * X87_RECORD;
      fillState(view, r + X87_BEFORE, random, o);
      view.setUint32(r + X87_FLAGS_BEFORE, 0x202 | (random() & 0x8d5), true);
      if (op.top0) view.setUint8(r + FSAVE_SW + 1, view.getUint8(r + FSAVE_SW + 1) & 0xc7);
      op.memory?.(view, r + X87_MEMORY, random);
    }
    const before = bytes.slice(0, count * X87_RECORD);
    const beforeView = new DataView(before.buffer);
    runX87(op.code, address, count);
    const wrong: string[] = [];
    for (let i = 0; i < count && wrong.length < 8; i++) {
      const r = i * X87_RECORD;
      w.bytes.set(before.subarray(r, r + FSAVE_SIZE), IMAGE);
      w.fn.x87_frstor(IMAGE, 1, 1);
      new Uint8Array(image.buffer).set(before.subarray(r, r + X87_RECORD));
      const result = op.run(w.fn, image, X87_MEMORY, w, view.getUint32(r + X87_FLAGS_BEFORE, true));
      w.fn.x87_fnsave(IMAGE, 1, 1);
      const at = r + X87_AFTER;
      const bad: string[] = [];
      const ignore = op.ignoreSw ?? 0;
      const sw = w.view.getUint16(IMAGE + FSAVE_SW, true);
      const theirSw = view.getUint16(at + FSAVE_SW, true);
      if ((sw ^ theirSw) & ~ignore) bad.push(`sw ${sw.toString(16)} native ${theirSw.toString(16)}`);
      for (const [n, off] of [['cw', FSAVE_CW], ['tw', FSAVE_TW]] as const) {
        const a = w.view.getUint16(IMAGE + off, true);
        const b = view.getUint16(at + off, true);
        if (a !== b) bad.push(`${n} ${a.toString(16)} native ${b.toString(16)}`);
      }
      for (let k = 0; k < 8; k++) {
        const a = register(w.view, IMAGE, k);
        const b = register(view, at, k);
        if (a !== b) bad.push(`st${k} ${a} native ${b}`);
      }
      for (let k = 0; k < (op.writes ?? 0); k++) {
        const a = image.getUint8(X87_MEMORY + k);
        const b = view.getUint8(r + X87_MEMORY + k);
        if (a !== b) bad.push(`m[${k}] ${a.toString(16)} native ${b.toString(16)}`);
      }
      if (op.flags) {
        const ours = Number(result);
        const theirs = view.getUint32(r + X87_FLAGS, true) & 0x8d5;
        if (ours !== theirs) bad.push(`flags ${ours.toString(16)} native ${theirs.toString(16)}`);
      }
      if (bad.length) {
        const c = r + X87_BEFORE;
        wrong.push(
          `${op.name} cw ${beforeView.getUint16(c, true).toString(16)} sw ${beforeView.getUint16(c + 4, true).toString(16)} tw ${beforeView.getUint16(c + 8, true).toString(16)} st0 ${register(beforeView, c, 0)} st1 ${register(beforeView, c, 1)} m ${beforeView.getBigUint64(r + X87_MEMORY, true).toString(16)}: ${bad.join(', ')}`,
        );
      }
    }
    expect(wrong).toEqual([]);
  }

  const ops = [...arithmetic(), ...comparisons(), ...unary(), ...moves()].map((op) => [op.name, op] as const);

  test.each(ops)('%s gives the same state, exceptions masked', (_name, op) => {
    check(op, { unmasked: false, count: 12000, empty: 0 });
  });
  test.each(ops)('%s treats an empty or full stack the same way', (_name, op) => {
    check(op, { unmasked: false, count: 500, empty: 100 });
    check(op, { unmasked: true, count: 500, empty: 100 });
  });
  test.each(ops)('%s gives the same state, exceptions unmasked', (_name, op) => {
    check(op, { unmasked: true, count: 6000, empty: op.name.includes('fld') || op.name.includes('fild') ? 220 : 0 });
  });
});
