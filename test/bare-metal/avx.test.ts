/** YMM registers: who may use them, how VEX is coded, XSAVE's component 2, page borders (SDM vol. 1, 13 and 14; vol. 2, 2.3). */
import { describe, expect, test } from 'vitest';
import { type Bench, machine } from './bench.js';
import { CR0, CR4, DATA, P, SPARE, V, W, WINDOW } from './layout.js';

const ALLOWED = CR4.OSFXSR | CR4.OSXMMEXCPT | CR4.OSXSAVE;

function ready(mode: 'protected' | 'long' = 'long'): Bench {
  const b = machine(mode);
  b.state.cr4 |= ALLOWED;
  b.state.xcr0 = 7n;
  return b;
}

/** Register n whole, as its bytes. */
function ymm(b: Bench, n: number): number[] {
  return [...b.state.fxsave.slice(160 + n * 16, 176 + n * 16), ...b.state.ymmHigh.slice(n * 16, n * 16 + 16)];
}

function setYmm(b: Bench, n: number, bytes: readonly number[]): void {
  b.state.fxsave.set(bytes.slice(0, 16), 160 + n * 16);
  b.state.ymmHigh.set(bytes.slice(16, 32), n * 16);
}

/** Bytes of guest memory. */
const bytesAt = (b: Bench, gpa: number, length: number) => [...b.engine.memory.view(gpa, length)];

/** Pages at WINDOW: the first is SPARE, the second lies apart or is absent. */
const BORDER = WINDOW + 0x1000;
const SECOND = SPARE + 0x8000;
function atBorder(both: boolean): Bench {
  const b = ready();
  b.map(WINDOW, SPARE, P | W);
  if (both) b.map(BORDER, SECOND, P | W);
  return b;
}

const counted = (from: number, length = 32) => Array.from({ length }, (_, i) => (from + i) & 255);
const zeros = (length: number) => new Array<number>(length).fill(0);

describe('who may use YMM registers', () => {
  test.each([
    ['allowed', 0n, ALLOWED, 7n, -1],
    ['without OSXSAVE', 0n, CR4.OSFXSR, 7n, V.UD],
    ['with XCR0 = x87 and SSE', 0n, ALLOWED, 3n, V.UD],
    ['with XCR0 = x87', 0n, ALLOWED, 1n, V.UD],
    ['under TS', CR0.TS, ALLOWED, 7n, V.NM],
    ['under TS without OSXSAVE: #UD comes first', CR0.TS, CR4.OSFXSR, 7n, V.UD],
    ['under EM, which is for others', CR0.EM, ALLOWED, 7n, -1],
    ['without OSFXSR, which is for others', 0n, CR4.OSXSAVE, 7n, -1],
  ])('%s', (_name, cr0, cr4, xcr0, vector) => {
    for (const instruction of [
      'vpaddb ymm0, ymm1, ymm2',
      'vaddps xmm0, xmm1, xmm2',
      'vzeroupper',
      'vfmadd132sd xmm0, xmm1, xmm2',
      'vpgatherdd xmm0, [rbx+xmm1*4], xmm2',
      'vmaskmovps ymm0, ymm1, [rbx]',
    ]) {
      const b = machine('long');
      b.state.cr0 |= cr0;
      b.state.cr4 |= cr4;
      b.state.xcr0 = xcr0;
      b.set({ rbx: DATA });
      expect(b.go(`${instruction}\n hlt`).vector, instruction).toBe(vector);
    }
  });

  test('BMI instructions, which are VEX too, are not asked', () => {
    const b = machine('long');
    b.state.cr0 |= CR0.TS;
    expect(b.go('andn eax, ecx, edx\n hlt').vector).toBe(-1);
  });

  test('XSETBV and CLTS count for the very next instruction', () => {
    const b = ready();
    b.state.xcr0 = 1n;
    b.state.cr0 |= CR0.TS;
    expect(b.go('clts\n mov eax, 7\n xor edx, edx\n xor ecx, ecx\n xsetbv\n vzeroall\n hlt').vector).toBe(-1);
    const c = ready();
    const p = c.load('mov eax, 3\n xor edx, edx\n xor ecx, ecx\n xsetbv\n here: vzeroall\n hlt');
    expect(c.run()).toMatchObject({ vector: V.UD, rip: p.at('here') });
  });

  test.each(['real', 'protected'] as const)('C4 and C5 in %s mode', (mode) => {
    const b = machine(mode);
    b.state.cr4 |= ALLOWED;
    b.state.xcr0 = 7n;
    // VZEROUPPER, which real mode takes for LDS with a register
    expect(b.go('db 0xc5, 0xf8, 0x77\n hlt').vector).toBe(mode === 'real' ? V.UD : -1);
  });
});

describe('VEX encodings that are #UD', () => {
  test.each([
    ['66 before VEX', '0x66, 0xc5, 0xf8, 0x58, 0xc0'],
    ['F3 before VEX', '0xf3, 0xc5, 0xf8, 0x58, 0xc0'],
    ['F2 before VEX', '0xf2, 0xc5, 0xf8, 0x58, 0xc0'],
    ['LOCK before VEX', '0xf0, 0xc5, 0xf8, 0x58, 0xc0'],
    ['REX before VEX', '0x48, 0xc5, 0xf8, 0x58, 0xc0'],
    ['vvvv where no second source is', '0xc5, 0xf0, 0x28, 0xc0'],
    ['VEX.L where only 128 bits are', '0xc5, 0xf5, 0x6e, 0xc0'],
    ['VEX.L clear where only 256 bits are', '0xc4, 0xe2, 0x79, 0x19, 0xc0'],
    ['VEX.W where it must be clear', '0xc4, 0xe2, 0xfd, 0x16, 0xc0'],
    ['VEX.W clear where it must be set', '0xc4, 0xe3, 0x7d, 0x00, 0xc0, 0'],
    ['map 0', '0xc4, 0xe0, 0x78, 0x58, 0xc0'],
    ['map 4', '0xc4, 0xe4, 0x78, 0x58, 0xc0'],
    ['an MMX opcode', '0xc5, 0xf8, 0xfc, 0xc0'],
    ['a gather with a register operand', '0xc4, 0xe2, 0x69, 0x90, 0xc1'],
    ['a gather without SIB', '0xc4, 0xe2, 0x69, 0x90, 0x03'],
    ['a gather into its own mask', '0xc4, 0xe2, 0x79, 0x90, 0x04, 0x0b'],
    ['a gather into its own index', '0xc4, 0xe2, 0x69, 0x90, 0x0c, 0x0b'],
    ['a gather whose mask is the index', '0xc4, 0xe2, 0x71, 0x90, 0x04, 0x0b'],
    ['VMASKMOVPS between registers', '0xc4, 0xe2, 0x79, 0x2c, 0xc1'],
    ['VBROADCASTF128 of a register', '0xc4, 0xe2, 0x7d, 0x1a, 0xc1'],
  ])('%s', (_name, bytes) => {
    const b = ready();
    const p = b.load(`mov rbx, DATA\n here: db ${bytes}\n hlt`);
    expect(b.run()).toMatchObject({ vector: V.UD, rip: p.at('here') });
  });

  test('VEX.W and the fourth bit of vvvv mean nothing to 32-bit code', () => {
    const b = ready('protected');
    setYmm(b, 1, counted(1));
    setYmm(b, 2, counted(2));
    // VPADDB ymm0, ymm1, ymm2 with W and vvvv = 9
    expect(b.go('db 0xc4, 0xe1, 0xb5, 0xfc, 0xc2\n hlt').vector).toBe(-1);
    expect(ymm(b, 0)).toEqual(counted(0).map((i) => 2 * i + 3));
  });
});

describe('upper halves', () => {
  test('a legacy SSE instruction leaves them, a VEX.128 one clears them', () => {
    const b = ready();
    for (const n of [0, 3, 9]) setYmm(b, n, counted(n));
    b.go('paddb xmm0, xmm1\n vpaddb xmm3, xmm3, xmm1\n vmovd xmm9, eax\n hlt');
    expect(ymm(b, 0)).toEqual(counted(0));
    expect(ymm(b, 3)).toEqual([...counted(3, 16), ...zeros(16)]);
    expect(ymm(b, 9).slice(16)).toEqual(zeros(16));
  });

  test.each([
    ['protected', 8],
    ['long', 16],
  ] as const)('VZEROUPPER and VZEROALL in %s mode clear %i registers', (mode, count) => {
    for (const [instruction, kept] of [
      ['vzeroupper', 16],
      ['vzeroall', 0],
    ] as const) {
      const b = ready(mode);
      for (let n = 0; n < 16; n++) setYmm(b, n, counted(n + 1));
      b.go(`${instruction}\n hlt`);
      for (let n = 0; n < 16; n++) {
        const expected = n < count ? [...counted(n + 1).slice(0, kept), ...zeros(32 - kept)] : counted(n + 1);
        expect(ymm(b, n), `${instruction}, register ${n}`).toEqual(expected);
      }
    }
  });
});

describe('memory operands of 32 bytes', () => {
  test('may lie anywhere, but for VMOVAPS and its like', () => {
    const b = ready();
    b.write(DATA + 1, counted(7));
    expect(b.go('vpor ymm0, ymm1, [DATA+1]\n vmovups [DATA+0x83], ymm0\n hlt').vector).toBe(-1);
    expect(bytesAt(b, DATA + 0x83, 32)).toEqual(counted(7));
    for (const instruction of [
      'vmovaps ymm0, [DATA+16]',
      'vmovdqa [DATA+16], ymm0',
      'vmovntdq [DATA+16], ymm0',
      'vmovntdqa ymm0, [DATA+16]',
      'vmovapd xmm0, [DATA+8]',
    ])
      expect(ready().go(`${instruction}\n hlt`), instruction).toMatchObject({ vector: V.GP, error: 0 });
  });

  test('a load over a page border takes both parts; a fault in the second page changes nothing', () => {
    const b = atBorder(true);
    b.write(SPARE + 0x1000 - 20, counted(1, 20));
    b.write(SECOND, counted(21, 12));
    b.set({ rbx: BORDER - 20 });
    b.go('vmovdqu ymm4, [rbx]\n vpaddb ymm5, ymm5, [rbx]\n vmovdqu [rbx-1], ymm4\n hlt');
    expect(ymm(b, 4)).toEqual(counted(1));
    expect(ymm(b, 5)).toEqual(counted(1));
    expect(bytesAt(b, SPARE + 0x1000 - 21, 21)).toEqual(counted(1, 21));
    expect(bytesAt(b, SECOND, 12)).toEqual([...counted(22, 11), 32]);
    for (const [instruction, error] of [
      ['vmovdqu ymm4, [rbx]', 0],
      ['vpaddb ymm4, ymm4, [rbx]', 0],
      ['vmovdqu [rbx], ymm4', 2],
    ] as const) {
      const c = atBorder(false);
      c.write(SPARE + 0x1000 - 20, counted(1, 20));
      setYmm(c, 4, counted(50));
      c.set({ rbx: BORDER - 20 });
      const p = c.load(`here: ${instruction}\n hlt`);
      expect(c.run(), instruction).toMatchObject({ vector: V.PF, error, rip: p.at('here') });
      expect(c.state.cr2).toBe(BigInt(BORDER));
      expect(ymm(c, 4)).toEqual(counted(50));
      expect(bytesAt(c, SPARE + 0x1000 - 20, 20)).toEqual(counted(1, 20));
    }
  });
});

describe('XSAVE with YMM registers', () => {
  test('CPUID says how large the area is', () => {
    const b = ready();
    b.set({ rax: 0xd, rcx: 0 }).go('cpuid\n hlt');
    expect([b.reg('rax'), b.reg('rbx'), b.reg('rcx'), b.reg('rdx')]).toEqual([7n, 832n, 832n, 0n]);
    const c = ready();
    c.state.xcr0 = 3n;
    c.set({ rax: 0xd, rcx: 0 }).go('cpuid\n hlt');
    expect([c.reg('rbx'), c.reg('rcx')]).toEqual([576n, 832n]);
    const d = ready();
    d.set({ rax: 0xd, rcx: 2 }).go('cpuid\n hlt');
    expect([d.reg('rax'), d.reg('rbx'), d.reg('rcx')]).toEqual([256n, 576n, 0n]);
  });

  test('XCR0 takes AVX only together with SSE', () => {
    const set = (value: number) => ready().go(`mov eax, ${value}\n xor edx, edx\n xor ecx, ecx\n xsetbv\n hlt`).vector;
    expect([7, 3, 1].map(set)).toEqual([-1, -1, -1]);
    expect([5, 6, 2, 15].map(set)).toEqual([V.GP, V.GP, V.GP, V.GP]);
  });

  test('the component lies at 576 and comes back', () => {
    const b = ready();
    setYmm(b, 2, counted(40));
    setYmm(b, 15, counted(80));
    b.write(DATA, zeros(1024));
    b.go('mov eax, 4\n xor edx, edx\n xsave [DATA]\n hlt');
    expect(bytesAt(b, DATA + 576 + 2 * 16, 16)).toEqual(counted(56, 16));
    expect(bytesAt(b, DATA + 576 + 15 * 16, 16)).toEqual(counted(96, 16));
    expect(bytesAt(b, DATA + 160, 256), 'the SSE component was not asked for').toEqual(zeros(256));
    expect(bytesAt(b, DATA + 512, 8)).toEqual([4, 0, 0, 0, 0, 0, 0, 0]);

    const c = ready();
    c.write(DATA, zeros(1024));
    c.put32(DATA + 24, 0x1f80);
    c.write(DATA + 576 + 32, counted(56, 16));
    c.write(DATA + 512, [4]);
    setYmm(c, 2, counted(1));
    setYmm(c, 3, counted(2));
    c.go('mov eax, 4\n xor edx, edx\n xrstor [DATA]\n hlt');
    expect(ymm(c, 2)).toEqual([...counted(1, 16), ...counted(56, 16)]);
    expect(ymm(c, 3)).toEqual([...counted(2, 16), ...zeros(16)]);
  });

  test('without its bit in XSTATE_BV the upper halves become zero', () => {
    const b = ready();
    b.write(DATA, zeros(1024));
    b.put32(DATA + 24, 0x1f80);
    setYmm(b, 2, counted(1));
    b.go('mov eax, 4\n xor edx, edx\n xrstor [DATA]\n hlt');
    expect(ymm(b, 2)).toEqual([...counted(1, 16), ...zeros(16)]);
  });

  test('a bit that XCR0 does not have is #GP(0)', () => {
    const b = ready();
    b.state.xcr0 = 3n;
    b.write(DATA, zeros(1024));
    b.put32(DATA + 24, 0x1f80);
    b.write(DATA + 512, [4]);
    expect(b.go('mov eax, 3\n xor edx, edx\n xrstor [DATA]\n hlt')).toMatchObject({ vector: V.GP, error: 0 });
  });
});

describe('exceptions of both halves', () => {
  const ONE = [0, 0, 0x80, 0x3f];
  const SNAN = [1, 0, 0x80, 0x7f];
  const TINY = [0, 0, 0x80, 0x00];

  test('an unmasked one in the upper half keeps the lower half and its flags from showing', () => {
    const b = ready();
    b.put32(DATA, 0x1f80 & ~0x80); // IM unmasked
    setYmm(b, 1, [...ONE, ...ONE, ...ONE, ...ONE, ...SNAN, ...ONE, ...ONE, ...ONE]);
    setYmm(b, 2, [...TINY, ...ONE, ...ONE, ...ONE, ...ONE, ...ONE, ...ONE, ...ONE]);
    setYmm(b, 0, counted(5));
    const p = b.load('ldmxcsr [DATA]\n here: vaddps ymm0, ymm1, ymm2\n hlt');
    expect(b.run()).toMatchObject({ vector: V.XM, rip: p.at('here') });
    expect(ymm(b, 0)).toEqual(counted(5));
    // IE alone: the lower half's PE is of a sum that was not computed.
    expect(new DataView(b.state.fxsave.buffer, b.state.fxsave.byteOffset).getUint32(24, true)).toBe(0x1f01);
  });

  test('flags of the halves are joined', () => {
    const b = ready();
    b.put32(DATA, 0x1f80);
    setYmm(b, 1, [...ONE, ...ONE, ...ONE, ...ONE, ...SNAN, ...ONE, ...ONE, ...ONE]);
    setYmm(b, 2, [...TINY, ...ONE, ...ONE, ...ONE, ...ONE, ...ONE, ...ONE, ...ONE]);
    expect(b.go('ldmxcsr [DATA]\n vaddps ymm0, ymm1, ymm2\n hlt').vector).toBe(-1);
    expect(new DataView(b.state.fxsave.buffer, b.state.fxsave.byteOffset).getUint32(24, true)).toBe(0x1fa1);
  });

  test('VCVTPS2PH has set its flags when the store faults, as processors do', () => {
    const b = atBorder(false);
    b.put32(DATA, 0x1f80);
    // A little more than 1: inexact as a half.
    setYmm(b, 1, [1, 0, 0x80, 0x3f, ...zeros(28)]);
    b.set({ rbx: BORDER });
    const p = b.load('ldmxcsr [DATA]\n here: vcvtps2ph [rbx], xmm1, 0\n hlt');
    expect(b.run()).toMatchObject({ vector: V.PF, cr2: BORDER, rip: p.at('here') });
    expect(new DataView(b.state.fxsave.buffer, b.state.fxsave.byteOffset).getUint32(24, true)).toBe(0x1fa0);
  });
});

describe('masked moves and gathers', () => {
  const ON = [0, 0, 0, 0x80];
  const OFF = [0xff, 0xff, 0xff, 0x7f];

  test('elements that the mask leaves out cannot fault', () => {
    const b = atBorder(false);
    b.write(SPARE + 0x1000 - 8, counted(1, 8));
    setYmm(b, 1, [...ON, ...ON, ...OFF, ...OFF, ...OFF, ...OFF, ...OFF, ...OFF]);
    b.set({ rbx: BORDER - 8 });
    expect(b.go('vmaskmovps ymm0, ymm1, [rbx]\n vpmaskmovd [rbx], ymm1, ymm0\n hlt').vector).toBe(-1);
    expect(ymm(b, 0)).toEqual([...counted(1, 8), ...zeros(24)]);
  });

  test('a masked store that faults has written nothing', () => {
    const b = atBorder(false);
    b.write(SPARE + 0x1000 - 4, [9, 9, 9, 9]);
    setYmm(b, 1, [...ON, ...ON, ...OFF, ...OFF, ...OFF, ...OFF, ...OFF, ...OFF]);
    b.set({ rbx: BORDER - 4 });
    expect(b.go('vmaskmovps [rbx], ymm1, ymm0\n hlt').vector).toBe(V.PF);
    expect(b.state.cr2).toBe(BigInt(BORDER));
    expect(bytesAt(b, SPARE + 0x1000 - 4, 4)).toEqual([9, 9, 9, 9]);
  });

  test('a gather that faults goes on where it stopped', () => {
    const b = atBorder(false);
    b.write(DATA, counted(1, 16));
    setYmm(b, 0, counted(100));
    setYmm(b, 1, [
      ...[0, 0, 0, 0],
      ...[8, 0, 0, 0],
      ...new Uint8Array(new Uint32Array([BORDER - DATA]).buffer),
      0,
      0,
      0,
      0,
      ...zeros(16),
    ]);
    setYmm(b, 2, [...ON, ...ON, ...ON, ...OFF, ...zeros(16)]);
    b.set({ rbx: DATA });
    const p = b.load('here: vpgatherdd xmm0, [rbx+xmm1], xmm2\n hlt');
    expect(b.run()).toMatchObject({ vector: V.PF, rip: p.at('here') });
    expect(b.state.cr2).toBe(BigInt(BORDER));
    expect(ymm(b, 0).slice(0, 16)).toEqual([...counted(1, 4), ...counted(9, 4), ...counted(108, 8)]);
    expect(ymm(b, 2).slice(0, 16)).toEqual([...zeros(8), ...ON, ...OFF]);
  });
});
