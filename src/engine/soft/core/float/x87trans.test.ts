// The transcendental instructions against the processor under us: at most one unit in the last place apart (neither
// side promises more), exceptions and stack the same.

import { beforeAll, describe, test } from 'vitest';
import { nativeX86 } from '../../../../../test/native/exec-page.js';
import { type FloatModule, loadFloat } from '../../../../../test/native/float-wasm.js';
import { checkX87, type Op } from '../../../../../test/native/x87-check.js';
import { FSAVE_ST } from '../../../../../test/native/x87-oracle.js';

const C1 = 0x200;
/** ES and B follow what is unmasked of the next two. */
const SUMMARY = 0x8080;
/** PE: log2 of a power of two is exact; some processors say PE all the same. */
const INEXACT = 0x20;
/** UE: the sine of the least normal number is tiny before rounding on some processors, and is that number on others. */
const TINY = 0x10;

type State = NonNullable<Op['state']>;

/** Limits the exponent of ST(i) to below `top`; half of the time to the interesting range below it. */
function below(i: number, top: number): State {
  return (view, at, random) => {
    const r = at + FSAVE_ST + i * 10 + 8;
    const se = view.getUint16(r, true);
    const e = se & 0x7fff;
    if (e === 0x7fff || e === 0) return;
    if (random() & 1) view.setUint16(r, (se & 0x8000) | (top - 1 - (random() % 12)), true);
    else if (e >= top) view.setUint16(r, (se & 0x8000) | (random() % top), true);
  };
}

const anything: State = () => {};

/** Mostly positive. */
function positive(i: number): State {
  return (view, at, random) => {
    const r = at + FSAVE_ST + i * 10 + 8;
    if (random() & 7) view.setUint16(r, view.getUint16(r, true) & 0x7fff, true);
  };
}

/** ST(0) within the range of FYL2XP1. */
const nearZero: State = (view, at, random) => {
  const r = at + FSAVE_ST + 8;
  const se = view.getUint16(r, true);
  if ((se & 0x7fff) > 0x3ffc)
    view.setUint16(r, (se & 0x8000) | (0x3ffc - (random() % (random() & 1 ? 8 : 0x3ffc))), true);
};

const ALL: Op[] = [
  { name: 'fsin', code: [0xd9, 0xfe], near: [0], state: anything, run: (w) => w.x87_sin() },
  { name: 'fcos', code: [0xd9, 0xff], near: [0], state: anything, run: (w) => w.x87_cos() },
  { name: 'fsincos', code: [0xd9, 0xfb], near: [0, 1], state: anything, run: (w) => w.x87_sincos() },
  { name: 'fptan', code: [0xd9, 0xf2], near: [1], state: anything, run: (w) => w.x87_ptan() },
  { name: 'fpatan', code: [0xd9, 0xf3], near: [0], state: anything, run: (w) => w.x87_patan() },
  { name: 'f2xm1', code: [0xd9, 0xf0], near: [0], state: below(0, 0x3fff), run: (w) => w.x87_f2xm1() },
  { name: 'fyl2x', code: [0xd9, 0xf1], near: [0], state: positive(0), run: (w) => w.x87_yl2x() },
  { name: 'fyl2xp1', code: [0xd9, 0xf9], near: [0], state: nearZero, run: (w) => w.x87_yl2xp1() },
];
const OPS = ALL.map(
  (op): Op => ({
    ...op,
    ignoreSw: C1 | TINY | SUMMARY | (op.name === 'fyl2x' ? INEXACT : 0),
  }),
);

describe.skipIf(!nativeX86)('transcendental x87 instructions against the processor under us', () => {
  let w: FloatModule;

  beforeAll(async () => {
    w = await loadFloat();
  });

  const ops = OPS.map((op) => [op.name, op] as const);

  test.each(ops)('%s agrees to the last place but one, exceptions masked', (name, op) => {
    const full = name === 'fsincos' || name === 'fptan';
    checkX87(w, op, { unmasked: false, count: 12000, empty: full ? 220 : 0 });
  });
  test.each(ops)('%s treats an empty or full stack the same way', (_name, op) => {
    checkX87(w, op, { unmasked: false, count: 500, empty: 100 });
  });
  test.each(ops)('%s agrees with exceptions unmasked', (name, op) => {
    const full = name === 'fsincos' || name === 'fptan';
    checkX87(w, op, { unmasked: true, count: 4000, empty: full ? 220 : 0 });
  });
});
