// The SSE arithmetic of the software CPU against the processor under us: result bits, MXCSR flags, #XM.

import { beforeAll, describe, expect, test } from 'vitest';
import { nativeBuffer, nativeX86 } from '../../../../../test/native/exec-page.js';
import { type FloatModule, loadFloat } from '../../../../../test/native/float-wasm.js';
import {
  runSse,
  SSE_FLAGS,
  SSE_MXCSR,
  SSE_MXCSR_OUT,
  SSE_OUT,
  SSE_RAX,
  SSE_RAX_OUT,
  SSE_RECORD,
  SSE_TRAPPED,
  SSE_XMM0,
  SSE_XMM1,
} from '../../../../../test/native/sse-oracle.js';
import { CR4, FAULT_VECTOR, MXCSR } from '../../layout.js';

/** Deterministic random numbers (xorshift32). */
function generator(seed: number): () => number {
  let x = seed | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

const F64_EDGES = [
  0n,
  1n,
  2n,
  0x8000000000000n,
  0xfffffffffffffn,
  0x10000000000000n,
  0x10000000000001n,
  0x1fffffffffffffn,
  0x20000000000000n,
  0x3ca0000000000000n,
  0x3cb0000000000000n,
  0x3fd0000000000000n,
  0x3fdfffffffffffffn,
  0x3fe0000000000000n,
  0x3fe0000000000001n,
  0x3fefffffffffffffn,
  0x3ff0000000000000n,
  0x3ff0000000000001n,
  0x3ff8000000000000n,
  0x4000000000000000n,
  0x4004000000000000n,
  0x4008000000000000n,
  0x4330000000000001n,
  0x41dfffffffc00000n,
  0x41dfffffffe00000n,
  0x41e0000000000000n,
  0x41e0000000200000n,
  0x43dfffffffffffffn,
  0x43e0000000000000n,
  0x43f0000000000000n,
  0x47efffffe0000000n,
  0x47efffffefffffffn,
  0x47effffff0000000n,
  0x380fffffffffffffn,
  0x380fffffe0000000n,
  0x3810000000000000n,
  0x36a0000000000000n,
  0x3690000000000000n,
  0x3690000000000001n,
  0x7fe0000000000000n,
  0x7fefffffffffffffn,
  0x7ff0000000000000n,
  0x7ff0000000000001n,
  0x7ff4000000000000n,
  0x7ff8000000000000n,
  0x7ff8000000001234n,
  0x7fffffffffffffffn,
];
const F32_EDGES = [
  0, 1, 2, 0x400000, 0x7fffff, 0x800000, 0x800001, 0xffffff, 0x1000000, 0x33000000, 0x33800000, 0x3e800000, 0x3effffff,
  0x3f000000, 0x3f000001, 0x3f7fffff, 0x3f800000, 0x3f800001, 0x3fc00000, 0x40000000, 0x40200000, 0x40400000,
  0x4b000001, 0x4effffff, 0x4f000000, 0x4f800000, 0x5effffff, 0x5f000000, 0x5f800000, 0x7f000000, 0x7f7fffff,
  0x7f800000, 0x7f800001, 0x7fa00000, 0x7fc00000, 0x7fc01234, 0x7fffffff,
];

type Kind = 'f64' | 'f32' | 'int';
interface Op {
  name: string;
  code: number[];
  from: Kind;
  two: boolean;
  out: 'f64' | 'f32' | 'i64' | 'i32' | 'flags';
  run: (w: FloatModule['fn'], a: bigint, b: bigint) => bigint | number;
}

const n32 = (v: bigint): number => Number(BigInt.asIntN(32, v));

function arithmetic(name: string, opcode: number, two: boolean): Op[] {
  const rm = two ? 0xc1 : 0xc0;
  return [
    {
      name: `${name}sd`,
      code: [0xf2, 0x0f, opcode, rm],
      from: 'f64',
      two,
      out: 'f64',
      run: (w, a, b) => (two ? w[`sse_${name}_f64`](a, b) : w[`sse_${name}_f64`](a)),
    },
    {
      name: `${name}ss`,
      code: [0xf3, 0x0f, opcode, rm],
      from: 'f32',
      two,
      out: 'f32',
      run: (w, a, b) => (two ? w[`sse_${name}_f32`](n32(a), n32(b)) : w[`sse_${name}_f32`](n32(a))),
    },
  ];
}

function rounding(imm: number): Op[] {
  return [
    {
      name: `roundsd ${imm}`,
      code: [0x66, 0x0f, 0x3a, 0x0b, 0xc0, imm],
      from: 'f64',
      two: false,
      out: 'f64',
      run: (w, a) => w.sse_round_f64(a, imm),
    },
    {
      name: `roundss ${imm}`,
      code: [0x66, 0x0f, 0x3a, 0x0a, 0xc0, imm],
      from: 'f32',
      two: false,
      out: 'f32',
      run: (w, a) => w.sse_round_f32(n32(a), imm),
    },
  ];
}

function comparison(imm: number): Op[] {
  return [
    {
      name: `vcmpsd ${imm}`,
      code: [0xc5, 0xfb, 0xc2, 0xc1, imm],
      from: 'f64',
      two: true,
      out: 'f64',
      run: (w, a, b) => w.sse_cmp_f64(a, b, imm),
    },
    {
      name: `vcmpss ${imm}`,
      code: [0xc5, 0xfa, 0xc2, 0xc1, imm],
      from: 'f32',
      two: true,
      out: 'f32',
      run: (w, a, b) => w.sse_cmp_f32(n32(a), n32(b), imm),
    },
  ];
}

function conversions(): Op[] {
  const ops: Op[] = [
    {
      name: 'cvtsd2ss',
      code: [0xf2, 0x0f, 0x5a, 0xc0],
      from: 'f64',
      two: false,
      out: 'f32',
      run: (w, a) => w.sse_f64_to_f32(a),
    },
    {
      name: 'cvtss2sd',
      code: [0xf3, 0x0f, 0x5a, 0xc0],
      from: 'f32',
      two: false,
      out: 'f64',
      run: (w, a) => w.sse_f32_to_f64(n32(a)),
    },
    {
      name: 'cvtsi2sd rax',
      code: [0xf2, 0x48, 0x0f, 0x2a, 0xc0],
      from: 'int',
      two: false,
      out: 'f64',
      run: (w, a) => w.sse_int_to_f64(a),
    },
    {
      name: 'cvtsi2sd eax',
      code: [0xf2, 0x0f, 0x2a, 0xc0],
      from: 'int',
      two: false,
      out: 'f64',
      run: (w, a) => w.sse_int_to_f64(BigInt.asIntN(32, a)),
    },
    {
      name: 'cvtsi2ss rax',
      code: [0xf3, 0x48, 0x0f, 0x2a, 0xc0],
      from: 'int',
      two: false,
      out: 'f32',
      run: (w, a) => w.sse_int_to_f32(a),
    },
    {
      name: 'cvtsi2ss eax',
      code: [0xf3, 0x0f, 0x2a, 0xc0],
      from: 'int',
      two: false,
      out: 'f32',
      run: (w, a) => w.sse_int_to_f32(BigInt.asIntN(32, a)),
    },
  ];
  for (const truncate of [0, 1]) {
    for (const wide of [0, 1]) {
      const rex = wide ? [0x48] : [];
      const out = wide ? 'i64' : 'i32';
      const t = truncate ? 't' : '';
      ops.push({
        name: `cvt${t}sd2si ${out}`,
        code: [0xf2, ...rex, 0x0f, 0x2d - truncate, 0xc0],
        from: 'f64',
        two: false,
        out,
        run: (w, a) => w[`sse_f64_to_${out}`](a, truncate),
      });
      ops.push({
        name: `cvt${t}ss2si ${out}`,
        code: [0xf3, ...rex, 0x0f, 0x2d - truncate, 0xc0],
        from: 'f32',
        two: false,
        out,
        run: (w, a) => w[`sse_f32_to_${out}`](n32(a), truncate),
      });
    }
  }
  for (const [name, opcode] of [
    ['comi', 0x2f],
    ['ucomi', 0x2e],
  ] as const) {
    ops.push({
      name: `${name}sd`,
      code: [0x66, 0x0f, opcode, 0xc1],
      from: 'f64',
      two: true,
      out: 'flags',
      run: (w, a, b) => w[`sse_${name}_f64`](a, b),
    });
    ops.push({
      name: `${name}ss`,
      code: [0x0f, opcode, 0xc1],
      from: 'f32',
      two: true,
      out: 'flags',
      run: (w, a, b) => w[`sse_${name}_f32`](n32(a), n32(b)),
    });
  }
  return ops;
}

const OPS: Op[] = [
  ...arithmetic('add', 0x58, true),
  ...arithmetic('sub', 0x5c, true),
  ...arithmetic('mul', 0x59, true),
  ...arithmetic('div', 0x5e, true),
  ...arithmetic('min', 0x5d, true),
  ...arithmetic('max', 0x5f, true),
  ...arithmetic('sqrt', 0x51, false),
  ...[0, 1, 2, 3, 4, 8, 12].flatMap(rounding),
  ...Array.from({ length: 32 }, (_, i) => i).flatMap(comparison),
  ...conversions(),
];

function randomOperand(kind: Kind, random: () => number): bigint {
  const wide = (BigInt(random()) << 32n) | BigInt(random());
  const pick = random() % 8;
  if (kind === 'int') return BigInt.asIntN(64, wide) >> BigInt(random() % 64);
  if (kind === 'f32') {
    const v = random();
    if (pick < 3) return BigInt(v);
    if (pick < 6) return BigInt(((v & 0x807fffff) | ((124 + (random() % 8)) << 23)) >>> 0);
    return BigInt(((v & 0x807fffff) | ((random() % 30) << 23)) >>> 0);
  }
  if (pick < 3) return wide;
  const mantissa = wide & 0x800fffffffffffffn;
  if (pick < 6) return mantissa | (BigInt(1020 + (random() % 8)) << 52n);
  // Few bits: exact results and ties.
  return (
    (wide & 0x8008000000000000n) | ((BigInt(random()) << 20n) & 0xff00000000000n) | (BigInt(random() % 2048) << 52n)
  );
}

function edges(kind: Kind): bigint[] {
  if (kind === 'f64') return F64_EDGES.flatMap((v) => [v, v | (1n << 63n)]);
  if (kind === 'f32') return F32_EDGES.flatMap((v) => [BigInt(v), BigInt(v) | 0x80000000n]);
  const list: bigint[] = [0n];
  for (const n of [0, 1, 23, 24, 25, 31, 32, 52, 53, 54, 62, 63]) {
    for (const d of [-1n, 0n, 1n]) {
      const v = BigInt.asIntN(64, (1n << BigInt(n)) + d);
      list.push(v, BigInt.asIntN(64, -v));
    }
  }
  return list;
}

interface Case {
  a: bigint;
  b: bigint;
  mxcsr: number;
}

function* cases(op: Op, count: number, unmasked: boolean): Generator<Case> {
  const random = generator(op.name.length * 7919 + op.code[op.code.length - 1] + (unmasked ? 77 : 0));
  const list = edges(op.from);
  const control = (): number => {
    const r = random();
    const masks = unmasked ? (r >> 8) & 0x1f80 : 0x1f80;
    return (
      masks |
      ((r & 3) << 13) |
      (r & 4 ? 0x8000 : 0) |
      (r & 8 ? 0x40 : 0) |
      (r & 0x70 ? 0 : (r >> 24) & 0x3f & ~(~masks >> 7))
    );
  };
  if (!unmasked) {
    for (const a of list) for (const b of op.two ? list : list.slice(0, 8)) yield { a, b, mxcsr: control() };
    if (!op.two)
      for (const a of list)
        for (let m = 0; m < 16; m++)
          yield { a, b: 0n, mxcsr: 0x1f80 | ((m & 3) << 13) | (m & 4 ? 0x8000 : 0) | (m & 8 ? 0x40 : 0) };
  }
  const operand = (): bigint => (random() % 4 === 0 ? list[random() % list.length] : randomOperand(op.from, random));
  for (let i = 0; i < count; i++) yield { a: operand(), b: operand(), mxcsr: control() };
}

function hex(v: bigint | number): string {
  return BigInt.asUintN(64, BigInt(v)).toString(16);
}

describe.skipIf(!nativeX86)('SSE against the processor under us', () => {
  let w: FloatModule;
  const capacity = 65536;
  const buffer = nativeX86 ? nativeBuffer(capacity * SSE_RECORD) : undefined;

  beforeAll(async () => {
    w = await loadFloat();
    w.view.setUint32(CR4, 0x400, true);
  });

  function check(op: Op, count: number, unmasked: boolean): number {
    const { view, address } = buffer!;
    const list = [...cases(op, count, unmasked)].slice(0, capacity);
    list.forEach((c, i) => {
      const r = i * SSE_RECORD;
      view.setBigUint64(r + SSE_XMM0, c.a & (op.from === 'f32' ? 0xffffffffn : -1n), true);
      view.setBigUint64(r + SSE_XMM1, c.b & (op.from === 'f32' ? 0xffffffffn : -1n), true);
      view.setBigInt64(r + SSE_RAX, c.a, true);
      view.setUint32(r + SSE_MXCSR, c.mxcsr, true);
    });
    runSse(op.code, address, list.length);
    const wrong: string[] = [];
    list.forEach((c, i) => {
      const r = i * SSE_RECORD;
      w.view.setUint32(MXCSR, c.mxcsr, true);
      w.view.setInt32(FAULT_VECTOR, -1, true);
      let ours = BigInt(op.run(w.fn, c.a, c.b));
      const fault = w.fn.sse_commit();
      const mxcsr = w.view.getUint32(MXCSR, true);
      const trapped = view.getUint32(r + SSE_TRAPPED, true);
      const theirMxcsr = view.getUint32(r + SSE_MXCSR_OUT, true);
      let theirs: bigint;
      switch (op.out) {
        case 'f64':
          theirs = view.getBigUint64(r + SSE_OUT, true);
          ours = BigInt.asUintN(64, ours);
          break;
        case 'f32':
          theirs = BigInt(view.getUint32(r + SSE_OUT, true));
          ours = BigInt.asUintN(32, ours);
          break;
        case 'i64':
          theirs = view.getBigInt64(r + SSE_RAX_OUT, true);
          break;
        case 'i32':
          theirs = BigInt(view.getInt32(r + SSE_RAX_OUT, true));
          break;
        case 'flags':
          theirs = view.getBigUint64(r + SSE_FLAGS, true) & 0x45n;
          break;
      }
      const vector = w.view.getInt32(FAULT_VECTOR, true);
      const bad = mxcsr !== theirMxcsr || fault !== trapped || (trapped ? vector !== 19 : ours !== theirs);
      if (bad && wrong.length < 8)
        wrong.push(
          `${op.name} ${hex(c.a)} ${hex(c.b)} mxcsr ${hex(c.mxcsr)}: ours ${hex(ours)} ${hex(mxcsr)} ${fault}, native ${hex(theirs)} ${hex(theirMxcsr)} ${trapped}`,
        );
    });
    expect(wrong).toEqual([]);
    return list.length;
  }

  test.each(OPS.map((op) => [op.name, op] as const))('%s gives the same bits and flags, masked', (_name, op) => {
    expect(check(op, op.name.includes('cmp') ? 2000 : 20000, false)).toBeGreaterThan(2000);
  });

  test.each(OPS.map((op) => [op.name, op] as const))('%s raises #XM where the processor does', (_name, op) => {
    expect(check(op, op.name.includes('cmp') ? 300 : 3000, true)).toBeGreaterThan(200);
  });
});
