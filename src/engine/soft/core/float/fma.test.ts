// Fused multiply-add: the way by native operators against the exact one, and both against integers of any length; halves
// against singles. (test/oracle has the instructions against the processor.)

import { beforeAll, describe, expect, test } from 'vitest';
import { type FloatModule, loadFloat } from '../../../../../test/native/float-wasm.js';
import { Random } from '../../../../../test/oracle/random.js';
import { FLOAT_FLAGS, MXCSR, VECTOR_A, VECTOR_OUT } from '../../layout.js';

/** Everything masked, to nearest. With PE set already native operators may be used, without it they may not. */
const FAST = 0x1fa0;
const EXACT = 0x1f80;

let module: FloatModule;
beforeAll(async () => {
  module = await loadFloat();
});

const fma64 = (a: bigint, b: bigint, c: bigint, negates: number): bigint =>
  BigInt.asUintN(64, BigInt(module.fn.sse_fma_f64(a, b, c, negates)));
const fma32 = (a: number, b: number, c: number, negates: number): number =>
  Number(module.fn.sse_fma_f32(a, b, c, negates)) >>> 0;

function under<T>(mxcsr: number, compute: () => T): T {
  module.view.setUint32(MXCSR, mxcsr, true);
  module.view.setUint32(FLOAT_FLAGS, 0, true);
  return compute();
}

/** A double near 2^exponent: bits at the ends of the significand often, so that ties come up. */
function double(random: Random, exponent: number): bigint {
  const fraction = random.pick([
    0n,
    1n,
    (1n << 52n) - 1n,
    1n << 51n,
    1n << BigInt(random.below(52)),
    ((1n << 52n) - 1n) ^ ((1n << BigInt(random.below(52))) - 1n),
    random.u64() >> 12n,
    random.u64() >> 12n,
  ]);
  return (BigInt(random.below(2)) << 63n) | (BigInt(exponent + 1023) << 52n) | fraction;
}

/** value = m * 2^e */
function exactly(bits: bigint): { m: bigint; e: number } {
  const m = (bits & ((1n << 52n) - 1n)) | (1n << 52n);
  return { m: bits >> 63n ? -m : m, e: Number((bits >> 52n) & 0x7ffn) - 1075 };
}

/** Rounded to nearest even; normal results only. */
function rounded(m: bigint, e: number): bigint {
  const sign = m < 0n ? 1n << 63n : 0n;
  let k = m < 0n ? -m : m;
  if (k === 0n) return 0n;
  const extra = k.toString(2).length - 53;
  if (extra > 0) {
    const rest = k & ((1n << BigInt(extra)) - 1n);
    const half = 1n << BigInt(extra - 1);
    k >>= BigInt(extra);
    if (rest > half || (rest === half && k & 1n)) k++;
  } else k <<= BigInt(-extra);
  let exponent = e + extra;
  if (k >> 53n) {
    k >>= 1n;
    exponent++;
  }
  return sign | (BigInt(exponent + 1075) << 52n) | (k & ((1n << 52n) - 1n));
}

function model(a: bigint, b: bigint, c: bigint): bigint {
  const [x, y, z] = [a, b, c].map(exactly);
  const low = Math.min(x.e + y.e, z.e);
  return rounded(((x.m * y.m) << BigInt(x.e + y.e - low)) + (z.m << BigInt(z.e - low)), low);
}

describe('a * b + c on doubles', () => {
  test('is rounded once, by native operators as well as by the exact way', () => {
    const random = new Random(7);
    for (let i = 0; i < 60_000; i++) {
      const ea = random.below(120) - 60;
      const eb = random.below(120) - 60;
      const a = double(random, ea);
      const b = double(random, eb);
      // From far above the product to far below it, mostly near.
      const c = double(random, ea + eb + random.pick([0, 1, -1, 52, 53, 54, -52, -53, -54, random.below(240) - 120]));
      const wanted = model(a, b, c);
      const fast = under(FAST, () => fma64(a, b, c, 0));
      if (fast !== wanted || under(EXACT, () => fma64(a, b, c, 0)) !== wanted)
        expect.fail(
          `${a.toString(16)} * ${b.toString(16)} + ${c.toString(16)}: ${fast.toString(16)}, not ${wanted.toString(16)}`,
        );
    }
  });

  test('is exact where the product and the addend nearly cancel', () => {
    const random = new Random(8);
    for (let i = 0; i < 20_000; i++) {
      const a = double(random, 3);
      const b = double(random, -5);
      const product = under(EXACT, () => fma64(a, b, 0n, 0));
      const c = (product ^ (1n << 63n)) + BigInt(random.below(5) - 2);
      const wanted = model(a, b, c);
      const results = [FAST, EXACT].map((mxcsr) => under(mxcsr, () => fma64(a, b, c, 0)));
      if (results.some((r) => r !== wanted))
        expect.fail(`${[a, b, c].map((v) => v.toString(16))}: ${results.map((v) => v.toString(16))}`);
    }
  });
});

describe('a * b + c on singles', () => {
  test('is the same by native operators and by the exact way', () => {
    const random = new Random(9);
    const single = (exponent: number) =>
      Number(
        (BigInt(random.below(2)) << 31n) |
          (BigInt(exponent + 127) << 23n) |
          random.pick([0n, 1n, 0x7fffffn, 0x400000n, 1n << BigInt(random.below(23)), BigInt(random.u32() & 0x7fffff)]),
      );
    for (let i = 0; i < 100_000; i++) {
      const [ea, eb] = [random.below(60) - 30, random.below(60) - 30];
      const [a, b] = [single(ea), single(eb)];
      const c = single(ea + eb + random.pick([0, 1, -1, 23, 24, 25, -23, -24, -25, random.below(120) - 60]));
      const negates = random.below(4);
      const fast = under(FAST, () => fma32(a, b, c, negates));
      const exact = under(EXACT, () => fma32(a, b, c, negates));
      if (fast !== exact)
        expect.fail(`${[a, b, c].map((v) => v.toString(16))}: ${fast.toString(16)}, ${exact.toString(16)}`);
    }
  });
});

describe('half precision', () => {
  const convert = (name: 'sse_cvt_ph2ps' | 'sse_cvt_ps2ph', argument: number) =>
    module.fn[name](VECTOR_OUT, VECTOR_A, argument);

  test('every half comes back from a single as it was, but for signaling NaNs, which become quiet', () => {
    for (let h = 0; h < 0x10000; h += 4) {
      for (let i = 0; i < 4; i++) module.view.setUint16(VECTOR_A + 2 * i, h + i, true);
      under(EXACT, () => convert('sse_cvt_ph2ps', 0));
      for (let i = 0; i < 16; i += 4)
        module.view.setUint32(VECTOR_A + i, module.view.getUint32(VECTOR_OUT + i, true), true);
      under(EXACT, () => convert('sse_cvt_ps2ph', 0));
      for (let i = 0; i < 4; i++) {
        const half = h + i;
        const isNan = (half & 0x7c00) === 0x7c00 && (half & 0x3ff) !== 0;
        const back = module.view.getUint16(VECTOR_OUT + 2 * i, true);
        if (back !== (isNan ? half | 0x200 : half))
          expect.fail(`${half.toString(16)} comes back as ${back.toString(16)}`);
      }
    }
  });
});
