// Images of the x87 and SSE state (FSTENV, FSAVE, FXSAVE and back) against the processor under us, and pending
// exceptions.

import { beforeAll, describe, expect, test } from 'vitest';
import { callNative, nativeBuffer, nativeX86 } from '../../../../../test/native/exec-page.js';
import { type FloatModule, loadFloat } from '../../../../../test/native/float-wasm.js';
import { fillState, generator } from '../../../../../test/native/x87-check.js';
import { CR0, FAULT_VECTOR, FPU_CW, FPU_FCS, FPU_FDP, FPU_FDS, FPU_FIP, FPU_FOP, FPU_SW, MXCSR } from '../../layout.js';

const IMAGE = 0x200000;
const OUT = 0x201000;

const le32 = (v: number): number[] => [v & 255, (v >> 8) & 255, (v >> 16) & 255, (v >> 24) & 255];
/** Opcode, with [rdi + disp32] as its operand. */
const at = (opcode: number[], reg: number, disp: number): number[] => [...opcode, 0x87 | (reg << 3), ...le32(disp)];

const FRSTOR = at([0xdd], 4, 0);
const options = { unmasked: false, count: 0, empty: 80 };

describe.skipIf(!nativeX86)('state images against the processor under us', () => {
  let w: FloatModule;
  const native = nativeX86 ? nativeBuffer(8192) : undefined;

  beforeAll(async () => {
    w = await loadFloat();
  });

  /** A random state in an FSAVE image, at native offset 0 and in ours. */
  function start(random: () => number): void {
    const { bytes, view } = native!;
    bytes.fill(0xcc);
    bytes.fill(0, 0, 108);
    fillState(view, 0, random, options);
    w.bytes.set(bytes.subarray(0, 108), IMAGE);
    w.fn.x87_frstor(IMAGE, 1, 1);
  }

  const same = (from: number, length: number, out = OUT): void => {
    const hex = (b: Uint8Array): string => Buffer.from(b).toString('hex');
    expect(hex(w.bytes.subarray(out, out + length))).toBe(hex(native!.bytes.subarray(from, from + length)));
  };

  test.each([
    ['32-bit', 1, 28, [] as number[]],
    ['16-bit', 0, 14, [0x66]],
  ] as const)('FNSTENV, FLDENV, FNSAVE and FRSTOR in their %s form', (_name, wide, size, prefix) => {
    const random = generator(5);
    for (let i = 0; i < 400; i++) {
      start(random);
      const env = 128;
      const env2 = 256;
      const save = 512;
      const code = [
        ...FRSTOR,
        ...at([...prefix, 0xd9], 6, env), // fnstenv
        ...at([...prefix, 0xd9], 4, env), // fldenv
        ...at([...prefix, 0xd9], 6, env2), // fnstenv
        ...at([...prefix, 0xdd], 6, save), // fnsave
        ...at([...prefix, 0xdd], 4, save), // frstor
        ...at([0xdd], 6, 1024), // fnsave, 32-bit
        0xc3,
      ];
      callNative(new Uint8Array(code), native!.address);
      w.bytes.fill(0xcc, OUT, OUT + 256);
      w.fn.x87_fnstenv(OUT, wide, 1);
      same(env, size);
      w.fn.x87_fldenv(OUT, wide, 1);
      w.fn.x87_fnstenv(OUT, wide, 1);
      same(env2, size);
      w.fn.x87_fnsave(OUT, wide, 1);
      same(save, size + 80 + 8);
      w.fn.x87_frstor(OUT, wide, 1);
      w.fn.x87_fnsave(OUT, 1, 1);
      same(1024, 108);
    }
  });

  test.each([
    ['FXSAVE', 0, []],
    ['FXSAVE64', 1, [0x48]],
  ] as const)('%s and back', (_name, wide64, rex) => {
    const random = generator(6);
    for (let i = 0; i < 400; i++) {
      start(random);
      w.bytes.set(native!.bytes.subarray(0, 108), IMAGE);
      const { view, bytes } = native!;
      const code = [
        ...FRSTOR,
        ...at([...rex, 0x0f, 0xae], 0, 1024), // fxsave
        ...at([...rex, 0x0f, 0xae], 0, 2048),
        ...at([...rex, 0x0f, 0xae], 1, 3072), // fxrstor
        ...at([...rex, 0x0f, 0xae], 0, 4096),
        ...at([...rex, 0x0f, 0xae], 1, 2048), // as it was
        0xdb,
        0xe3, // fninit
        0xc3,
      ];
      // A second state to restore: from the image of ours.
      w.fn.x87_fxsave(IMAGE + 1024, wide64, 16);
      bytes.set(w.bytes.subarray(IMAGE + 1024, IMAGE + 1536), 3072);
      for (let k = 160; k < 416; k++) bytes[3072 + k] = random();
      view.setUint32(3072 + 24, 0x1f80 | (random() & 0xe07f), true);
      callNative(new Uint8Array(code), native!.address);
      // Without a pending exception the pointers aren't everybody's: left out, as XMM and MXCSR in the first image.
      w.bytes.fill(0xcc, OUT, OUT + 512);
      w.fn.x87_fxsave(OUT, wide64, 16);
      same(1024, 6);
      same(1024 + 32, 160 - 32, OUT + 32);
      w.bytes.set(bytes.subarray(3072, 3072 + 512), IMAGE);
      expect(w.fn.x87_fxrstor(IMAGE, wide64, 16)).toBe(0);
      w.bytes.fill(0xcc, OUT, OUT + 512);
      w.fn.x87_fxsave(OUT, wide64, 16);
      same(4096, 6);
      same(4096 + 24, 4, OUT + 24);
      same(4096 + 32, 416 - 32, OUT + 32); // MXCSR_MASK is a matter of the model
    }
  });
});

describe('x87 state without the processor under us', () => {
  let w: FloatModule;

  beforeAll(async () => {
    w = await loadFloat();
  });

  test('pointers keep 64 bits in FXSAVE64, selectors in FXSAVE, and linear addresses in real mode', () => {
    w.fn.x87_fninit();
    const set = (): void => {
      w.view.setBigUint64(FPU_FIP, 0xffff_8000_1234_5678n, true);
      w.view.setBigUint64(FPU_FDP, 0x0000_7fff_9abc_def0n, true);
      w.view.setUint32(FPU_FOP, 0x5d9, true);
      w.view.setUint32(FPU_FCS, 0x33, true);
      w.view.setUint32(FPU_FDS, 0x2b, true);
    };
    set();
    w.view.setUint32(MXCSR, 0x1f80, true);
    w.fn.x87_fxsave(OUT, 1, 16);
    w.fn.x87_fninit();
    w.fn.x87_fxrstor(OUT, 1, 16);
    expect(w.view.getBigUint64(FPU_FIP, true)).toBe(0xffff_8000_1234_5678n);
    expect(w.view.getBigUint64(FPU_FDP, true)).toBe(0x0000_7fff_9abc_def0n);
    expect(w.view.getUint32(FPU_FOP, true)).toBe(0x5d9);
    set();
    w.fn.x87_fxsave(OUT, 0, 8);
    expect(w.view.getUint16(OUT + 12, true)).toBe(0x33);
    expect(w.view.getUint16(OUT + 20, true)).toBe(0x2b);
    w.view.setBigUint64(FPU_FIP, 0x1_2345n, true);
    w.view.setBigUint64(FPU_FDP, 0x2_3456n, true);
    w.view.setUint32(FPU_FCS, 0x1000, true);
    w.view.setUint32(FPU_FDS, 0, true);
    for (const wide of [0, 1]) {
      w.fn.x87_fnstenv(OUT, wide, 0);
      w.fn.x87_fldenv(OUT, wide, 0);
      expect(w.view.getBigUint64(FPU_FIP, true)).toBe(0x2_2345n);
      expect(w.view.getBigUint64(FPU_FDP, true)).toBe(0x2_3456n);
      expect(w.view.getUint32(FPU_FOP, true)).toBe(0x5d9);
    }
  });

  test('FXRSTOR refuses reserved bits of MXCSR and changes nothing', () => {
    w.fn.x87_fninit();
    w.view.setUint32(MXCSR, 0x1f80, true);
    w.fn.x87_fxsave(OUT, 1, 16);
    w.view.setUint16(OUT, 0x27f, true);
    w.view.setUint32(OUT + 24, 0x11f80, true);
    expect(w.fn.x87_fxrstor(OUT, 1, 16)).toBe(1);
    expect(w.view.getUint32(FPU_CW, true)).toBe(0x37f);
    expect(w.view.getUint32(MXCSR, true)).toBe(0x1f80);
  });

  test('a pending exception is #MF with CR0.NE and FERR# without', () => {
    w.fn.x87_fninit();
    expect(w.fn.x87_check_pending()).toBe(0);
    w.fn.x87_fldcw(0x37e);
    w.fn.x87_fld(0); // stack underflow
    expect(w.view.getUint32(FPU_SW, true) & 0x80c1).toBe(0x80c1);
    w.view.setUint32(CR0, 0x21, true);
    w.view.setInt32(FAULT_VECTOR, -1, true);
    expect(w.fn.x87_check_pending()).toBe(1);
    expect(w.view.getInt32(FAULT_VECTOR, true)).toBe(16);
    w.view.setUint32(CR0, 1, true);
    expect(w.fn.x87_check_pending()).toBe(2);
    w.fn.x87_fldcw(0x37f);
    expect(w.fn.x87_check_pending()).toBe(0);
  });

  test('an MMX write makes the register a NaN and all registers valid', () => {
    w.fn.x87_fninit();
    w.fn.x87_enter_mmx();
    w.fn.x87_write_mmx(2, 0x1234n);
    expect(w.fn.x87_tag_word()).not.toBe(0xffff);
    w.fn.x87_fnsave(OUT, 1, 1);
    expect(w.view.getBigUint64(OUT + 28 + 20, true)).toBe(0x1234n);
    expect(w.view.getUint16(OUT + 28 + 28, true)).toBe(0xffff);
  });

  test('log2 of a power of two is exact, other results raise PE', () => {
    w.fn.x87_fninit();
    w.fn.x87_fldconst(0);
    w.fn.x87_fild(8n);
    w.fn.x87_yl2x();
    expect(w.fn.x87_store(5)).toBe(1);
    expect(w.view.getBigInt64(0xf10, true)).toBe(3n);
    expect(w.view.getUint32(FPU_SW, true) & 0x3f).toBe(0);
    w.fn.x87_store_done(0);
    w.fn.x87_sin();
    expect(w.view.getUint32(FPU_SW, true) & 0x3f).toBe(0x20);
  });
});
