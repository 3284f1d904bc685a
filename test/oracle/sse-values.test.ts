// Floating point in vectors, of values where something changes: zeros, denormals, the neighbours of one, halves of a last bit, the
// ends of the range, NaNs of both kinds; in every rounding mode, with and without DAZ and FTZ, masked and not.

import { describe, expect, test } from 'vitest';
import { nativeX86 } from '../native/exec-page.js';
import { SSE_ARITHMETIC } from '../native/sse-opcodes.js';
import { Borders } from './borders.js';
import { F_FX, offered } from './native-frame.js';

const XMM = F_FX + 160;
const MXCSR = F_FX + 24;

const SIGN64 = 1n << 63n;
const DOUBLES = [
  0n,
  1n,
  0x000f_ffff_ffff_ffffn,
  0x0010_0000_0000_0000n,
  0x0010_0000_0000_0001n,
  0x369f_ffff_ffff_ffffn, // below the denormals of 32 bits
  0x3810_0000_1000_0000n, // about the least normal one of 32 bits
  0x3ca0_0000_0000_0000n, // 2^-53
  0x3fdf_ffff_ffff_ffffn,
  0x3fe0_0000_0000_0000n,
  0x3fef_ffff_ffff_ffffn,
  0x3ff0_0000_0000_0000n,
  0x3ff0_0000_0000_0001n,
  0x3ff8_0000_0000_0000n,
  0x41df_ffff_ffe0_0000n, // 2^31 - 0.5
  0x41e0_0000_0000_0000n,
  0x43e0_0000_0000_0000n,
  0x47ef_ffff_f000_0000n, // half of a last bit above the largest one of 32 bits
  0x7fef_ffff_ffff_ffffn,
  0x7ff0_0000_0000_0000n,
  0x7ff0_0000_0000_0001n,
  0x7ff8_0000_0000_0001n,
].flatMap((v) => [v, v | SIGN64]);
const FLOATS = [
  0, 1, 0x007f_ffff, 0x0080_0000, 0x0080_0001, 0x3380_0000, 0x3eff_ffff, 0x3f00_0000, 0x3f7f_ffff, 0x3f80_0000,
  0x3f80_0001, 0x3fc0_0000, 0x4eff_ffff, 0x4f00_0000, 0x5f00_0000, 0x7f7f_ffff, 0x7f80_0000, 0x7f80_0001, 0x7fc0_0001,
].flatMap((v) => [BigInt(v), BigInt(v) | (1n << 31n)]);

/** TYPEVISOR_FULL goes through all of them, which takes minutes. */
const full = process.env.TYPEVISOR_FULL === '1';
/** As at the start; PE set; up; DAZ and FTZ; nothing masked; then the other rounding modes, DAZ, and FTZ. */
const CONTROL = [0x1f80, 0x1fa0, 0x5f80, 0x9fc0, 0x0000, ...(full ? [0x3f80, 0x7f80, 0x1fc0, 0x9f80] : [])];
const STEPS = [1, full ? 1 : 3];
const FUSED_STEPS = [1, 1, full ? 5 : 61];

type Kind = 'ss' | 'sd' | 'ps' | 'pd';
interface Form {
  readonly name: string;
  readonly bytes: readonly number[];
  readonly kind: Kind;
  /** Numbers of the registers that hold operands. */
  readonly registers: readonly number[];
  /** For each of them one value in so many is gone through. */
  readonly steps: readonly number[];
}

const PREFIX: Readonly<Record<Kind, readonly number[]>> = { ss: [0xf3], sd: [0xf2], ps: [], pd: [0x66] };
const KINDS = ['ss', 'sd', 'ps', 'pd'] as const;
const forms: Form[] = [];
for (const kind of KINDS) {
  const add = (name: string, opcode: readonly number[], registers: readonly number[], ...immediate: number[]) => {
    const bytes = [...PREFIX[kind], 0x0f, ...opcode, 0xc1, ...immediate];
    forms.push({ name: `${name}${kind}`, bytes, kind, registers, steps: STEPS });
  };
  for (const [name, opcode] of SSE_ARITHMETIC) add(name, [opcode], [1, 0]);
  add('sqrt', [0x51], [1]);
  for (let predicate = 0; predicate < 8; predicate++) add(`cmp${predicate}`, [0xc2], [1, 0], predicate);
}
for (const [name, bytes, kind, registers] of [
  ['ucomisd', [0x66, 0x0f, 0x2e, 0xc1], 'sd', [1, 0]],
  ['comisd', [0x66, 0x0f, 0x2f, 0xc1], 'sd', [1, 0]],
  ['ucomiss', [0x0f, 0x2e, 0xc1], 'ss', [1, 0]],
  ['comiss', [0x0f, 0x2f, 0xc1], 'ss', [1, 0]],
  ['cvtsd2ss', [0xf2, 0x0f, 0x5a, 0xc1], 'sd', [1]],
  ['cvtss2sd', [0xf3, 0x0f, 0x5a, 0xc1], 'ss', [1]],
  ['cvtpd2ps', [0x66, 0x0f, 0x5a, 0xc1], 'pd', [1]],
  ['cvtps2pd', [0x0f, 0x5a, 0xc1], 'ps', [1]],
  ['cvtsd2si', [0xf2, 0x0f, 0x2d, 0xc1], 'sd', [1]],
  ['cvtsd2si, 64 bits', [0xf2, 0x48, 0x0f, 0x2d, 0xc1], 'sd', [1]],
  ['cvttsd2si', [0xf2, 0x0f, 0x2c, 0xc1], 'sd', [1]],
  ['cvttsd2si, 64 bits', [0xf2, 0x48, 0x0f, 0x2c, 0xc1], 'sd', [1]],
  ['cvtss2si', [0xf3, 0x0f, 0x2d, 0xc1], 'ss', [1]],
  ['cvttss2si, 64 bits', [0xf3, 0x48, 0x0f, 0x2c, 0xc1], 'ss', [1]],
  ['cvtps2dq', [0x66, 0x0f, 0x5b, 0xc1], 'ps', [1]],
  ['cvttps2dq', [0xf3, 0x0f, 0x5b, 0xc1], 'ps', [1]],
  ['cvtpd2dq', [0xf2, 0x0f, 0xe6, 0xc1], 'pd', [1]],
  ['cvttpd2dq', [0x66, 0x0f, 0xe6, 0xc1], 'pd', [1]],
  ['haddpd', [0x66, 0x0f, 0x7c, 0xc1], 'pd', [1, 0]],
  ['addsubps', [0xf2, 0x0f, 0xd0, 0xc1], 'ps', [1, 0]],
] as const)
  forms.push({ name, bytes, kind, registers, steps: STEPS });
for (const [name, opcode, kind] of [
  ['ps', 0x08, 'ps'],
  ['pd', 0x09, 'pd'],
  ['ss', 0x0a, 'ss'],
  ['sd', 0x0b, 'sd'],
] as const)
  for (const mode of [0, 1, 4, 11]) // to nearest, down, as MXCSR says, to zero without PE
    forms.push({
      name: `round${name} ${mode}`,
      bytes: [0x66, 0x0f, 0x3a, opcode, 0xc1, mode],
      kind,
      registers: [1],
      steps: STEPS,
    });

const FUSED = ['vfmadd', 'vfmsub', 'vfnmadd', 'vfnmsub'].flatMap((name, k) =>
  (['sd', 'ss', 'pd'] as const).map((kind): Form => {
    const wide = kind === 'ss' ? 0x71 : 0xf1;
    const opcode = 0x98 + k * 2 + (kind === 'pd' ? 0 : 1);
    const bytes = [0xc4, 0xe2, wide, opcode, 0xc2];
    return { name: `${name}132${kind}`, bytes, kind, registers: [0, 2, 1], steps: FUSED_STEPS };
  }),
);

const isWide = (kind: Kind) => kind === 'sd' || kind === 'pd';
const valuesOf = (kind: Kind) => (isWide(kind) ? DOUBLES : FLOATS);

/** Puts values into all lanes of a register, each lane another one. */
function put(state: DataView, register: number, kind: Kind, i: number): void {
  const values = valuesOf(kind);
  const size = isWide(kind) ? 8 : 4;
  for (let lane = 0; lane * size < 16; lane++) {
    const value = values[(i + lane * 7) % values.length];
    const at = XMM + register * 16 + lane * size;
    if (size === 8) state.setBigUint64(at, value, true);
    else state.setUint32(at, Number(value), true);
  }
}

/** Indexes of values for each of the registers that are left; after others before them it begins elsewhere. */
function* indexes(form: Form, before: readonly number[] = []): Generator<readonly number[]> {
  const { kind, registers, steps } = form;
  const n = before.length;
  if (n === registers.length) {
    yield before;
    return;
  }
  const first = before.reduce((all, i) => all * 7 + i, 0) % steps[n];
  for (let i = first; i < valuesOf(kind).length; i += steps[n]) yield* indexes(form, [...before, i]);
}

describe.skipIf(!nativeX86).each(['64', 'compiled'] as const)('with the engine in %s mode', (mode) => {
  const title = '$name does as the processor at all borders';
  const check = async (form: Form) => {
    const borders = await Borders.create(mode, form.bytes);
    for (const control of CONTROL) {
      for (const values of indexes(form)) {
        borders.check(
          () => `MXCSR ${control.toString(16)}, values ${values.join()}`,
          (state) => {
            state.setUint32(MXCSR, control, true);
            for (const [n, register] of form.registers.entries()) put(state, register, form.kind, values[n]);
          },
        );
      }
    }
    expect(borders.problems).toEqual([]);
    if (mode === 'compiled') expect(borders.engine.regions).toBeGreaterThan(0);
  };
  test.each(forms)(title, check);
  test.skipIf(!offered.has('fma')).each(FUSED)(title, check);
});
