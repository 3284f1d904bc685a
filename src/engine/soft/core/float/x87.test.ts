// The x87 unit of the software CPU against the processor under us: registers, tags, status and control word, memory.

import { beforeAll, describe, test } from 'vitest';
import { nativeX86 } from '../../../../../test/native/exec-page.js';
import { type FloatModule, loadFloat } from '../../../../../test/native/float-wasm.js';
import {
  checkX87,
  MEM,
  memoryF32,
  memoryF64,
  memoryInt,
  memoryM80,
  type Op,
  randomMemory,
} from '../../../../../test/native/x87-check.js';
import { FSAVE_ST } from '../../../../../test/native/x87-oracle.js';

/** Vendors differ in whether an instruction that can't round clears C1. */
const C1 = 0x200;

const ARITH: [string, number, number][] = [
  ['fadd', 0, 0],
  ['fmul', 1, 1],
  ['fsub', 4, 5],
  ['fsubr', 5, 4],
  ['fdiv', 6, 7],
  ['fdivr', 7, 6],
];

function arithmetic(): Op[] {
  return ARITH.flatMap(([name, op, dcOp]): Op[] => [
    { name: `${name} st0, st1`, code: [0xd8, 0xc1 | (op << 3)], run: (w) => w.x87_arith(op, 0, 1, 0) },
    { name: `${name} st0, st0`, code: [0xd8, 0xc0 | (op << 3)], run: (w) => w.x87_arith(op, 0, 0, 0) },
    { name: `${name} st3, st0`, code: [0xdc, 0xc3 | (dcOp << 3)], run: (w) => w.x87_arith(op, 3, 0, 0) },
    { name: `${name}p st1, st0`, code: [0xde, 0xc1 | (dcOp << 3)], run: (w) => w.x87_arith(op, 1, 0, 1) },
    {
      name: `${name} m32`,
      code: [0xd8, ...MEM(op)],
      memory: memoryF32,
      run: (w, v, at) => w.x87_arith_m32(op, v.getInt32(at, true)),
    },
    {
      name: `${name} m64`,
      code: [0xdc, ...MEM(op)],
      memory: memoryF64,
      run: (w, v, at) => w.x87_arith_m64(op, v.getBigInt64(at, true)),
    },
    {
      name: `${name} m32int`,
      code: [0xda, ...MEM(op)],
      memory: memoryInt,
      run: (w, v, at) => w.x87_arith_int(op, v.getInt32(at, true)),
    },
    {
      name: `${name} m16int`,
      code: [0xde, ...MEM(op)],
      memory: memoryInt,
      run: (w, v, at) => w.x87_arith_int(op, v.getInt16(at, true)),
    },
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
    {
      name: 'fcom m32',
      code: [0xd8, ...MEM(2)],
      memory: memoryF32,
      run: (w, v, at) => w.x87_com_m32(v.getInt32(at, true), 0),
    },
    {
      name: 'fcomp m32',
      code: [0xd8, ...MEM(3)],
      memory: memoryF32,
      run: (w, v, at) => w.x87_com_m32(v.getInt32(at, true), 1),
    },
    {
      name: 'fcom m64',
      code: [0xdc, ...MEM(2)],
      memory: memoryF64,
      run: (w, v, at) => w.x87_com_m64(v.getBigInt64(at, true), 0),
    },
    {
      name: 'fcomp m64',
      code: [0xdc, ...MEM(3)],
      memory: memoryF64,
      run: (w, v, at) => w.x87_com_m64(v.getBigInt64(at, true), 1),
    },
    {
      name: 'ficom m32',
      code: [0xda, ...MEM(2)],
      memory: memoryInt,
      run: (w, v, at) => w.x87_com_int(v.getInt32(at, true), 0),
    },
    {
      name: 'ficomp m16',
      code: [0xde, ...MEM(3)],
      memory: memoryInt,
      run: (w, v, at) => w.x87_com_int(v.getInt16(at, true), 1),
    },
    { name: 'fcomi', code: [0xdb, 0xf1], flags: true, ignoreSw: C1, run: (w) => w.x87_comi(1, 0, 0) },
    { name: 'fcomip', code: [0xdf, 0xf1], flags: true, ignoreSw: C1, run: (w) => w.x87_comi(1, 0, 1) },
    { name: 'fucomi', code: [0xdb, 0xe9], flags: true, ignoreSw: C1, run: (w) => w.x87_comi(1, 1, 0) },
    { name: 'fucomip st2', code: [0xdf, 0xea], flags: true, ignoreSw: C1, run: (w) => w.x87_comi(2, 1, 1) },
    { name: 'ftst', code: [0xd9, 0xe4], run: (w) => w.x87_tst() },
    { name: 'fxam', code: [0xd9, 0xe5], run: (w) => w.x87_xam() },
  ];
}

/** A denormal times 2^0 is tiny on AMD's processors, and just copied on Intel's: here it is scaled by something. */
const scaled: NonNullable<Op['state']> = (view, at) => {
  const [st0, st1] = [at + FSAVE_ST, at + FSAVE_ST + 10];
  const isZero = view.getBigUint64(st1, true) === 0n && (view.getUint16(st1 + 8, true) & 0x7fff) === 0;
  if ((view.getUint16(st0 + 8, true) & 0x7fff) !== 0 || !isZero) return;
  view.setBigUint64(st1, 1n << 63n, true);
  view.setUint16(st1 + 8, 0x3fff, true);
};

function unary(): Op[] {
  return [
    { name: 'fchs', code: [0xd9, 0xe0], run: (w) => w.x87_chs() },
    { name: 'fabs', code: [0xd9, 0xe1], run: (w) => w.x87_abs() },
    { name: 'fsqrt', code: [0xd9, 0xfa], run: (w) => w.x87_sqrt() },
    { name: 'frndint', code: [0xd9, 0xfc], run: (w) => w.x87_rndint() },
    { name: 'fxtract', code: [0xd9, 0xf4], run: (w) => w.x87_xtract() },
    { name: 'fscale', code: [0xd9, 0xfd], state: scaled, run: (w) => w.x87_scale() },
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
    {
      name: 'fld m32',
      code: [0xd9, ...MEM(0)],
      memory: memoryF32,
      run: (w, v, at) => w.x87_fld_m32(v.getInt32(at, true)),
    },
    {
      name: 'fld m64',
      code: [0xdd, ...MEM(0)],
      memory: memoryF64,
      run: (w, v, at) => w.x87_fld_m64(v.getBigInt64(at, true)),
    },
    {
      name: 'fld m80',
      code: [0xdb, ...MEM(5)],
      memory: memoryM80,
      run: (w, v, at) => w.x87_fld_m80(v.getBigInt64(at, true), v.getUint16(at + 8, true)),
    },
    { name: 'fld st0', code: [0xd9, 0xc0], run: (w) => w.x87_fld(0) },
    { name: 'fld st3', code: [0xd9, 0xc3], run: (w) => w.x87_fld(3) },
    {
      name: 'fild m16',
      code: [0xdf, ...MEM(0)],
      memory: memoryInt,
      run: (w, v, at) => w.x87_fild(BigInt(v.getInt16(at, true))),
    },
    {
      name: 'fild m32',
      code: [0xdb, ...MEM(0)],
      memory: memoryInt,
      run: (w, v, at) => w.x87_fild(BigInt(v.getInt32(at, true))),
    },
    {
      name: 'fild m64',
      code: [0xdf, ...MEM(5)],
      memory: memoryInt,
      run: (w, v, at) => w.x87_fild(v.getBigInt64(at, true)),
    },
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
    ...[0, 1, 2, 3, 4, 5, 6].map(
      (n): Op => ({ name: `constant ${n}`, code: [0xd9, 0xe8 + n], run: (w) => w.x87_fldconst(n) }),
    ),
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
    {
      name: 'fldcw',
      code: [0xd9, ...MEM(5)],
      memory: randomMemory,
      run: (w, v, at) => w.x87_fldcw(v.getUint16(at, true)),
    },
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

describe.skipIf(!nativeX86)('x87 against the processor under us', () => {
  let w: FloatModule;

  beforeAll(async () => {
    w = await loadFloat();
  });

  const ops = [...arithmetic(), ...comparisons(), ...unary(), ...moves()].map((op) => [op.name, op] as const);

  test.each(ops)('%s gives the same state, exceptions masked', (_name, op) => {
    checkX87(w, op, { unmasked: false, count: 12000, empty: 0 });
  });
  test.each(ops)('%s treats an empty or full stack the same way', (_name, op) => {
    checkX87(w, op, { unmasked: false, count: 500, empty: 100 });
    checkX87(w, op, { unmasked: true, count: 500, empty: 100 });
  });
  test.each(ops)('%s gives the same state, exceptions unmasked', (_name, op) => {
    checkX87(w, op, {
      unmasked: true,
      count: 6000,
      empty: op.name.includes('fld') || op.name.includes('fild') ? 220 : 0,
    });
  });
});
