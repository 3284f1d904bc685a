// x87 arithmetic of values where something changes: a zero, a bit below the precision, the distances at which an addend counts no
// more, the ends of the range.

import { describe, expect, test } from 'vitest';
import { nativeX86 } from '../native/exec-page.js';
import { Borders } from './borders.js';
import { F_FX } from './native-frame.js';

/** Exponents (biased) and significands; each with both signs. */
const VALUES: readonly (readonly [exponent: number, significand: bigint])[] = [
  [0, 0n],
  [0, 1n],
  [1, 1n << 63n],
  [0x3f80, 0xffff_ff00_0000_0000n],
  ...[0x3fbd, 0x3fbe, 0x3fbf, 0x3fc0].map((e): [number, bigint] => [e, 0x8000_0000_0000_0001n]),
  [0x3ffe, 0xffff_ffff_ffff_ffffn],
  [0x3fff, 1n << 63n],
  [0x3fff, 0x8000_0000_0000_0001n],
  [0x3fff, 0x8000_0000_0000_0400n], // half of the last bit of 53
  [0x3fff, 0x8000_0000_0000_0c00n],
  [0x3fff, 0x8000_0080_0000_0000n], // half of the last bit of 24
  [0x3fff, 0xffff_ffff_ffff_fc00n],
  [0x403e, 1n << 63n],
  [0x7ffe, 0xffff_ffff_ffff_ffffn],
  [0x7fff, 1n << 63n],
  [0x7fff, 0xc000_0000_0000_0000n],
];
const M32 = [0, 1, 0x0080_0000, 0x3f80_0000, 0x3f80_0001, 0x7f80_0000, 0x7f7f_ffff].flatMap((v) => [v, v + 2 ** 31]);
const M64 = [0n, 1n, 1n << 52n, 0x3ff0_0000_0000_0001n, 0x7ff0_0000_0000_0000n].flatMap((v) => [v, v | (1n << 63n)]);

/** Everything masked; precision 24, 53 and 64, to nearest and up. */
const CONTROL = [0x03f, 0x23f, 0x33f, 0xa3f, 0xb3f];
/** C1 of FCOMI is 0 by the SDM and stays on AMD's processors. */
const ALL_BUT_C1 = ~0x200;

interface Form {
  readonly name: string;
  readonly bytes: readonly number[];
  /** What the second operand is, if there is one: ST(1), or at RAX. */
  readonly second?: 'register' | 'm32' | 'm64';
  readonly status?: number;
}

const ARITHMETIC = ['fadd', 'fmul', 'fcom', 'fcomp', 'fsub', 'fsubr', 'fdiv', 'fdivr'];
const FORMS: readonly Form[] = [
  ...ARITHMETIC.flatMap((name, k): Form[] => [
    { name, bytes: [0xd8, 0xc1 + k * 8], second: 'register' },
    { name: `${name} m32`, bytes: [0xd8, k * 8], second: 'm32' },
    { name: `${name} m64`, bytes: [0xdc, k * 8], second: 'm64' },
  ]),
  { name: 'fcomi', bytes: [0xdb, 0xf1], second: 'register', status: ALL_BUT_C1 },
  { name: 'fsqrt', bytes: [0xd9, 0xfa] },
  { name: 'frndint', bytes: [0xd9, 0xfc] },
  { name: 'fst m32', bytes: [0xd9, 0x10] },
  { name: 'fst m64', bytes: [0xdd, 0x10] },
  { name: 'fistp m64', bytes: [0xdf, 0x38] },
  { name: 'fist m32', bytes: [0xdb, 0x10] },
];

describe.skipIf(!nativeX86).each(['64', 'compiled'] as const)('with the engine in %s mode', (mode) => {
  test.each(FORMS)('$name does as the processor at all borders', async ({ bytes, second, status }) => {
    const borders = await Borders.create(mode, bytes, status);
    const put = (state: DataView, n: number, i: number) => {
      const [exponent, significand] = VALUES[i >> 1];
      state.setBigUint64(F_FX + 32 + n * 16, significand, true);
      state.setUint16(F_FX + 40 + n * 16, exponent | ((i & 1) << 15), true);
    };
    const seconds = { register: 2 * VALUES.length, m32: M32.length, m64: M64.length, none: 1 }[second ?? 'none'];
    const putSecond = (state: DataView, i: number) => {
      if (second === 'register') put(state, 1, i);
      else if (second === 'm32') borders.memory.setUint32(0, M32[i], true);
      else borders.memory.setBigUint64(0, second === 'm64' ? M64[i] : 0n, true);
    };
    for (const control of CONTROL) {
      for (let i = 0; i < 2 * VALUES.length; i++) {
        for (let j = 0; j < seconds; j++) {
          borders.check(
            () => `control ${control.toString(16)}, value ${i}, ${second} ${j}`,
            (state) => {
              state.setUint16(F_FX, control, true);
              state.setUint8(F_FX + 4, 3); // ST(0) and ST(1) are valid
              put(state, 0, i);
              putSecond(state, j);
            },
          );
        }
      }
    }
    expect(borders.problems).toEqual([]);
    expect(borders.cases).toBe(CONTROL.length * 2 * VALUES.length * seconds);
    if (mode === 'compiled') expect(borders.engine.regions).toBeGreaterThan(0);
  });
});
