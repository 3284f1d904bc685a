// The packed SSE operations against the processor under us, and what they do when an exception is unmasked.

import { beforeAll, describe, expect, test } from 'vitest';
import { nativeBuffer, nativeX86 } from '../../../../../test/native/exec-page.js';
import { type FloatModule, loadFloat } from '../../../../../test/native/float-wasm.js';
import { SSE_ARITHMETIC } from '../../../../../test/native/sse-opcodes.js';
import {
  runSse,
  SSE_MXCSR,
  SSE_MXCSR_OUT,
  SSE_OUT,
  SSE_RECORD,
  SSE_TRAPPED,
  SSE_XMM0,
} from '../../../../../test/native/sse-oracle.js';
import { generator } from '../../../../../test/native/x87-check.js';
import { CR4, FAULT_VECTOR, MXCSR, XMM } from '../../layout.js';

const A = XMM;
const B = XMM + 16;

interface Op {
  name: string;
  code: number[];
  kind: 'ps' | 'pd' | 'dq';
  run: (w: FloatModule['fn']) => number | bigint;
}

const OPS: Op[] = [
  ...SSE_ARITHMETIC.flatMap(([name, opcode]): Op[] => [
    { name: `${name}ps`, code: [0x0f, opcode, 0xc1], kind: 'ps', run: (w) => w.sse_ps(opcode & 7, A, A, B) },
    { name: `${name}pd`, code: [0x66, 0x0f, opcode, 0xc1], kind: 'pd', run: (w) => w.sse_pd(opcode & 7, A, A, B) },
  ]),
  { name: 'sqrtps', code: [0x0f, 0x51, 0xc1], kind: 'ps', run: (w) => w.sse_ps(2, A, A, B) },
  { name: 'sqrtpd', code: [0x66, 0x0f, 0x51, 0xc1], kind: 'pd', run: (w) => w.sse_pd(2, A, A, B) },
  { name: 'haddps', code: [0xf2, 0x0f, 0x7c, 0xc1], kind: 'ps', run: (w) => w.sse_horizontal_ps(0, A, A, B) },
  { name: 'haddpd', code: [0x66, 0x0f, 0x7c, 0xc1], kind: 'pd', run: (w) => w.sse_horizontal_pd(0, A, A, B) },
  { name: 'hsubps', code: [0xf2, 0x0f, 0x7d, 0xc1], kind: 'ps', run: (w) => w.sse_horizontal_ps(4, A, A, B) },
  { name: 'hsubpd', code: [0x66, 0x0f, 0x7d, 0xc1], kind: 'pd', run: (w) => w.sse_horizontal_pd(4, A, A, B) },
  { name: 'addsubps', code: [0xf2, 0x0f, 0xd0, 0xc1], kind: 'ps', run: (w) => w.sse_addsub_ps(A, A, B) },
  { name: 'addsubpd', code: [0x66, 0x0f, 0xd0, 0xc1], kind: 'pd', run: (w) => w.sse_addsub_pd(A, A, B) },
  { name: 'cmpltps', code: [0x0f, 0xc2, 0xc1, 1], kind: 'ps', run: (w) => w.sse_cmp_ps(A, A, B, 1) },
  { name: 'cmpneqpd', code: [0x66, 0x0f, 0xc2, 0xc1, 4], kind: 'pd', run: (w) => w.sse_cmp_pd(A, A, B, 4) },
  { name: 'roundps', code: [0x66, 0x0f, 0x3a, 0x08, 0xc1, 4], kind: 'ps', run: (w) => w.sse_round_ps(A, B, 4) },
  { name: 'roundpd', code: [0x66, 0x0f, 0x3a, 0x09, 0xc1, 1], kind: 'pd', run: (w) => w.sse_round_pd(A, B, 1) },
  { name: 'dpps ff', code: [0x66, 0x0f, 0x3a, 0x40, 0xc1, 0xff], kind: 'ps', run: (w) => w.sse_dpps(A, A, B, 0xff) },
  { name: 'dpps 7a', code: [0x66, 0x0f, 0x3a, 0x40, 0xc1, 0x7a], kind: 'ps', run: (w) => w.sse_dpps(A, A, B, 0x7a) },
  { name: 'dppd 31', code: [0x66, 0x0f, 0x3a, 0x41, 0xc1, 0x31], kind: 'pd', run: (w) => w.sse_dppd(A, A, B, 0x31) },
  { name: 'cvtps2dq', code: [0x66, 0x0f, 0x5b, 0xc1], kind: 'ps', run: (w) => w.sse_cvt_ps2dq(A, B, 0, 4) },
  { name: 'cvttps2dq', code: [0xf3, 0x0f, 0x5b, 0xc1], kind: 'ps', run: (w) => w.sse_cvt_ps2dq(A, B, 1, 4) },
  { name: 'cvtdq2ps', code: [0x0f, 0x5b, 0xc1], kind: 'dq', run: (w) => w.sse_cvt_dq2ps(A, B, 4) },
  { name: 'cvtps2pd', code: [0x0f, 0x5a, 0xc1], kind: 'ps', run: (w) => w.sse_cvt_ps2pd(A, B) },
  { name: 'cvtpd2ps', code: [0x66, 0x0f, 0x5a, 0xc1], kind: 'pd', run: (w) => w.sse_cvt_pd2ps(A, B) },
  { name: 'cvtpd2dq', code: [0xf2, 0x0f, 0xe6, 0xc1], kind: 'pd', run: (w) => w.sse_cvt_pd2dq(A, B, 0, 16) },
  { name: 'cvttpd2dq', code: [0x66, 0x0f, 0xe6, 0xc1], kind: 'pd', run: (w) => w.sse_cvt_pd2dq(A, B, 1, 16) },
  { name: 'cvtdq2pd', code: [0xf3, 0x0f, 0xe6, 0xc1], kind: 'dq', run: (w) => w.sse_cvt_dq2pd(A, B) },
];

const EXP32 = [0, 0, 1, 126, 127, 127, 128, 150, 158, 254, 255];
const EXP64 = [0, 0, 1, 1022, 1023, 1023, 1024, 1050, 1054, 2046, 2047];

function fill(view: DataView, at: number, kind: Op['kind'], random: () => number): void {
  for (let i = 0; i < 32; i += 4) view.setUint32(at + i, random(), true);
  if (kind === 'ps')
    for (let i = 0; i < 32; i += 4) {
      const e = EXP32[random() % EXP32.length];
      const f = random() & 3 ? random() & 0x7fffff : (random() & 1) << 22;
      view.setUint32(at + i, ((random() & 0x80000000) | (e << 23) | f) >>> 0, true);
    }
  if (kind === 'pd')
    for (let i = 0; i < 32; i += 8) {
      const e = EXP64[random() % EXP64.length];
      const f = random() & 3 ? random() & 0xfffff : (random() & 1) << 19;
      view.setUint32(at + i + 4, ((random() & 0x80000000) | (e << 20) | f) >>> 0, true);
      if (random() & 1) view.setUint32(at + i, 0, true);
    }
}

const hex = (b: Uint8Array): string => [...b].map((x) => x.toString(16).padStart(2, '0')).join('');

/** Which of several NaNs a dot product hands on is the processor's: all of them made the same. */
function withOneNan(vector: Uint8Array, kind: Op['kind']): Uint8Array {
  const copy = vector.slice();
  const elements = kind === 'pd' ? new Float64Array(copy.buffer) : new Float32Array(copy.buffer);
  for (const [i, value] of elements.entries()) if (Number.isNaN(value)) elements[i] = Number.NaN;
  return copy;
}

describe.skipIf(!nativeX86)('packed SSE against the processor under us', () => {
  let w: FloatModule;
  const count = 6000;
  const buffer = nativeX86 ? nativeBuffer(count * SSE_RECORD) : undefined;

  beforeAll(async () => {
    w = await loadFloat();
    w.view.setUint32(CR4, 0x400, true);
  });

  function check(op: Op, n: number, unmasked: boolean): void {
    const { view, bytes, address } = buffer!;
    const random = generator(op.code[op.code.length - 2] * 16 + op.code.length + (unmasked ? 1 : 0));
    for (let i = 0; i < n; i++) {
      const r = i * SSE_RECORD;
      fill(view, r + SSE_XMM0, op.kind, random);
      const masks = unmasked ? random() & 0x1f80 : 0x1f80;
      view.setUint32(r + SSE_MXCSR, masks | (random() & (random() & 1 ? 0xe040 : 0x6000)), true);
    }
    runSse(op.code, address, n);
    const wrong: string[] = [];
    for (let i = 0; i < n && wrong.length < 5; i++) {
      const r = i * SSE_RECORD;
      w.bytes.set(bytes.subarray(r, r + 32), A);
      w.view.setUint32(MXCSR, view.getUint32(r + SSE_MXCSR, true), true);
      w.view.setInt32(FAULT_VECTOR, -1, true);
      const fault = op.run(w.fn);
      const shown = (vector: Uint8Array) => hex(op.name.startsWith('dpp') ? withOneNan(vector, op.kind) : vector);
      const ours = `${w.view.getUint32(MXCSR, true).toString(16)} ${fault} ${shown(w.bytes.subarray(A, A + 16))}`;
      const trapped = view.getUint32(r + SSE_TRAPPED, true);
      // A trapped instruction leaves its destination alone.
      const result = bytes.subarray(trapped ? r + SSE_XMM0 : r + SSE_OUT, (trapped ? r + SSE_XMM0 : r + SSE_OUT) + 16);
      const theirs = `${view.getUint32(r + SSE_MXCSR_OUT, true).toString(16)} ${trapped} ${shown(result)}`;
      // Which flags a trapping DPPS leaves depends on how a processor splits it up.
      if (ours !== theirs && !(trapped && fault && op.name.startsWith('dpps')))
        wrong.push(
          `${op.name} ${hex(bytes.subarray(r, r + 16))} ${hex(bytes.subarray(r + 16, r + 32))} mxcsr ${view.getUint32(r + SSE_MXCSR, true).toString(16)}: ${ours} native ${theirs}`,
        );
    }
    expect(wrong).toEqual([]);
  }

  const ops = OPS.map((op) => [op.name, op] as const);
  test.each(ops)('%s gives the same vector and flags, masked', (_name, op) => check(op, count, false));
  test.each(ops)('%s leaves its destination alone on #XM', (_name, op) => check(op, 2000, true));
});

describe('SSE without the processor under us', () => {
  let w: FloatModule;

  beforeAll(async () => {
    w = await loadFloat();
  });

  test('an unmasked exception is #UD while CR4.OSXMMEXCPT is clear, #XM otherwise', () => {
    for (const [cr4, vector] of [
      [0, 6],
      [0x400, 19],
    ]) {
      w.view.setUint32(CR4, cr4, true);
      w.view.setUint32(MXCSR, 0x1f00, true);
      w.fn.sse_div_f64(0n, 0n);
      expect(w.fn.sse_commit()).toBe(1);
      expect(w.view.getInt32(FAULT_VECTOR, true)).toBe(vector);
      expect(w.view.getUint32(MXCSR, true)).toBe(0x1f01);
    }
  });

  test('approximations are within 1.5 * 2^-12 and take denormals for zero', () => {
    const bits = new DataView(new ArrayBuffer(4));
    const random = generator(99);
    const f32 = (v: number): number => {
      bits.setInt32(0, v);
      return bits.getFloat32(0);
    };
    for (let i = 0; i < 5000; i++) {
      const v = ((random() & 0x3fffffff) + 0x20000000) | 0;
      const x = f32(v);
      expect(Math.abs(f32(Number(w.fn.sse_rcp_f32(v))) * x - 1)).toBeLessThan(1.5 / 4096);
      expect(Math.abs(f32(Number(w.fn.sse_rsqrt_f32(v))) * Math.sqrt(x) - 1)).toBeLessThan(1.5 / 4096);
    }
    expect(Number(w.fn.sse_rcp_f32(1)) >>> 0).toBe(0x7f800000);
    expect(Number(w.fn.sse_rsqrt_f32(-2)) >>> 0).toBe(0xfffffffe);
    expect(Number(w.fn.sse_rsqrt_f32(0xbf800000 | 0)) >>> 0).toBe(0xffc00000);
  });
});
