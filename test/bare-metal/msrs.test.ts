/** Model-specific registers, XCR0, CPUID and the instructions it stands for (SDM vol. 4; vol. 2, CPUID). */
import { describe, expect, test } from 'vitest';
import { machine } from './bench.js';
import { CR0, CR4, DATA, V } from './layout.js';

const gp0 = { vector: V.GP, error: 0 };
const WRITE = 'mov rdx, rax\n shr rdx, 32\n wrmsr\n';
const READ = 'rdmsr\n shl rdx, 32\n or rax, rdx\n';

describe('MSRs', () => {
  test.each([
    ['SYSENTER_ESP', 0x175, 0xffff_8000_0000_1000n],
    ['SYSENTER_EIP', 0x176, 0x7fff_ffff_ffffn],
    ['STAR', 0xc000_0081, 0x1234_5678_9abc_def0n],
    ['LSTAR', 0xc000_0082, 0xffff_ffff_8100_0000n],
    ['CSTAR', 0xc000_0083, 0x1234n],
    ['FMASK', 0xc000_0084, 0x4_7700n],
    ['FS_BASE', 0xc000_0100, 0x7f00_0000_1000n],
    ['GS_BASE', 0xc000_0101, 0xffff_8880_0000_0000n],
    ['KERNEL_GS_BASE', 0xc000_0102, 0xffff_8880_0000_1000n],
    ['TSC_AUX', 0xc000_0103, 0xffff_ffffn],
    ['PAT', 0x277, 0x0007_0106_0504_0006n],
  ])('%s reads back what was written', (_name, msr, value) => {
    const b = machine('long');
    b.set({ rcx: msr, rax: value });
    expect(b.go(`${WRITE} xor eax, eax\n ${READ} hlt`).vector).toBe(-1);
    expect(b.reg('rax')).toBe(value);
  });

  test.each([0x175, 0x176, 0xc000_0082, 0xc000_0083, 0xc000_0100, 0xc000_0101, 0xc000_0102])(
    'MSR %i takes canonical addresses only',
    (msr) => {
      const b = machine('long');
      b.set({ rcx: msr, rax: 0x8000_0000_0000n });
      expect(b.go(`${WRITE} hlt`)).toMatchObject(gp0);
    },
  );

  test.each([
    ['PAT with a reserved type', 0x277, 2n],
    ['EFER with an unknown bit', 0xc000_0080, 0x2000n],
    ['TSC_AUX above 32 bits', 0xc000_0103, 1n << 32n],
    ['ARCH_CAPABILITIES, which is read-only', 0x10a, 0n],
    ['an unknown MSR', 0x1234_5678, 0n],
  ])('a write of %s is #GP(0)', (_name, msr, value) => {
    const b = machine('long');
    b.set({ rcx: msr, rax: value });
    const p = b.load(`${WRITE} hlt`);
    expect(b.run()).toMatchObject(gp0);
    expect(p.bytes.length).toBeGreaterThan(0);
  });

  test("an unknown MSR is the machine's to answer; #GP(0) leaves EDX:EAX alone", () => {
    const b = machine('long');
    b.set({ rcx: 0x1234, rax: 7, rdx: 8 });
    expect(b.go('rdmsr\n hlt')).toMatchObject(gp0);
    expect([b.reg('rax'), b.reg('rdx')]).toEqual([7n, 8n]);
    const c = machine('long');
    const written: [number, bigint][] = [];
    c.outside.readMsr = (msr) => (msr === 0x1b ? 0xfee0_0900_1234n : undefined);
    c.outside.writeMsr = (msr, value) => written.push([msr, value]) > 0;
    c.set({ rcx: 0x1b, rax: -1, rdx: -1 });
    expect(c.go('rdmsr\n mov rsi, rax\n mov rdi, rdx\n mov ecx, 0x6e0\n wrmsr\n hlt').vector).toBe(-1);
    expect([c.reg('rsi'), c.reg('rdi')]).toEqual([0x0900_1234n, 0xfee0n]);
    expect(written).toEqual([[0x6e0, 0xfee0_0900_1234n]]);
  });

  test('RDMSR and WRMSR use ECX and clear the upper halves', () => {
    const b = machine('long');
    b.set({ rcx: 0xffff_ffff_0000_0277n, rax: -1, rdx: -1 });
    expect(b.go('rdmsr\n hlt').vector).toBe(-1);
    expect([b.reg('rax'), b.reg('rdx')]).toEqual([0x0007_0406n, 0x0007_0406n]);
  });

  test('MTRRs store what firmware and kernels write', () => {
    const b = machine('long');
    expect(
      b.go(
        'mov ecx, 0x2ff\n mov eax, 0xc06\n xor edx, edx\n wrmsr\n rdmsr\n mov ebx, eax\n mov ecx, 0xfe\n rdmsr\n hlt',
      ).vector,
    ).toBe(-1);
    expect(b.reg('rbx')).toBe(0xc06n);
    expect(Number(b.reg('rax')) & 0xff).toBe(8);
  });
});

describe('a processor without long mode', () => {
  const at = () => machine('protected', { arch: 'i386' });

  test('says so in CPUID', () => {
    const b = at();
    b.set({ rax: 0x8000_0001 }).go('cpuid\n hlt');
    expect(Number(b.reg('rdx')) & 0x2000_0800).toBe(0);
    const c = at();
    c.set({ rax: 0x8000_0008 }).go('cpuid\n hlt');
    expect(Number(c.reg('rax')) & 0xff00).toBe(0x2000);
  });

  test('has no EFER.LME, no SYSCALL MSRs, and still NX', () => {
    for (const [msr, value, good] of [
      [0xc000_0080, 0x800, true],
      [0xc000_0080, 0x100, false],
      [0xc000_0080, 1, false],
      [0xc000_0081, 0, false],
      [0xc000_0100, 0, false],
    ] as const) {
      const b = at();
      b.set({ rcx: msr, rax: value, rdx: 0 });
      expect(b.go('wrmsr\n hlt'), `${msr.toString(16)} ${value}`).toMatchObject(good ? { vector: -1 } : gp0);
    }
  });
});

describe('XCR0', () => {
  const at = (ring = 0) => {
    const b = machine('long', { ring });
    b.state.cr4 |= CR4.OSXSAVE | CR4.OSFXSR;
    return b;
  };

  test('XGETBV and XSETBV are #UD without OSXSAVE', () => {
    for (const instruction of ['xgetbv', 'xsetbv', 'xsave [DATA]', 'xrstor [DATA]']) {
      expect(machine('long').go(`xor ecx, ecx\n ${instruction}`), instruction).toMatchObject({ vector: V.UD });
    }
  });

  test('XSETBV stores what XGETBV reads', () => {
    const b = at();
    expect(b.go('xor ecx, ecx\n xor edx, edx\n mov eax, 3\n xsetbv\n xor eax, eax\n xgetbv\n hlt').vector).toBe(-1);
    expect([b.reg('rax'), b.reg('rdx'), b.state.xcr0]).toEqual([3n, 0n, 3n]);
  });

  test.each([
    ['without x87', 0, 2, 0],
    ['with an unknown bit', 0, 3, 0x8000_0000],
    ['XCR1', 1, 1, 0],
    ['AVX without SSE', 0, 5, 0],
  ])('XSETBV %s is #GP(0)', (_name, xcr, low, high) => {
    const b = at();
    b.set({ rcx: xcr, rax: low, rdx: high });
    expect(b.go('xsetbv\n hlt')).toMatchObject(gp0);
  });

  test('XSETBV belongs to ring 0, XGETBV to everybody', () => {
    expect(at(3).go('xor ecx, ecx\n xgetbv\n int 0x40').vector).toBe(0x40);
    expect(at(3).go('xor ecx, ecx\n xor edx, edx\n mov eax, 1\n xsetbv')).toMatchObject(gp0);
  });

  test('XSAVE and XRSTOR bring registers back; an unaligned area is #GP(0)', () => {
    const b = at();
    b.state.xcr0 = 3n;
    b.set({ rax: 3, rdx: 0, rbx: 0x1234_5678 });
    expect(
      b.go(
        'movd xmm3, ebx\n fld1\n xsave [DATA]\n xorps xmm3, xmm3\n fninit\n xrstor [DATA]\n movd ecx, xmm3\n fnstsw [DATA+0x800]\n hlt',
      ).vector,
    ).toBe(-1);
    expect(b.reg('rcx')).toBe(0x1234_5678n);
    expect(b.u16(DATA + 0x800) & 0x3800).toBe(0x3800);
    const c = at();
    c.set({ rax: 3, rdx: 0 });
    expect(c.go('xsave [DATA+16]\n hlt')).toMatchObject(gp0);
  });
});

describe('CPUID', () => {
  function cpuid(leaf: number, sub = 0): { eax: number; ebx: number; ecx: number; edx: number } {
    const b = machine('long');
    b.set({ rax: leaf, rcx: sub, rbx: -1, rdx: -1 });
    b.go('cpuid\n hlt');
    const [eax, ebx, ecx, edx] = (['rax', 'rbx', 'rcx', 'rdx'] as const).map((n) => Number(b.reg(n)));
    return { eax, ebx, ecx, edx };
  }
  const leaf1 = cpuid(1);
  const leaf7 = cpuid(7);
  const extended = cpuid(0x8000_0001);
  const bit = (word: number, n: number) => ((word >>> n) & 1) === 1;

  test('leaves have a maximum, a vendor of twelve letters, and clear upper halves', () => {
    const leaf0 = cpuid(0);
    expect(leaf0.eax).toBeGreaterThanOrEqual(0xd);
    const text = [leaf0.ebx, leaf0.edx, leaf0.ecx].flatMap((w) =>
      [0, 8, 16, 24].map((s) => String.fromCharCode((w >>> s) & 0xff)),
    );
    expect(text.join('')).toMatch(/^[A-Za-z]{12}$/);
    expect(cpuid(0x8000_0000).eax).toBeGreaterThanOrEqual(0x8000_0008);
    expect(cpuid(0x8000_0008).eax & 0xffff).toBe(0x3028);
  });

  test('OSXSAVE mirrors CR4', () => {
    for (const on of [0n, CR4.OSXSAVE]) {
      const b = machine('long');
      b.state.cr4 |= on;
      b.set({ rax: 1 }).go('cpuid\n hlt');
      expect(bit(Number(b.reg('rcx')), 27)).toBe(on !== 0n);
    }
  });

  test('SPEC_CTRL takes exactly the bits that leaf 7 offers', () => {
    const offered = [
      [0, bit(leaf7.edx, 26)],
      [1, bit(leaf7.edx, 27)],
      [2, bit(leaf7.edx, 31)],
      [10, leaf7.eax >= 2 && bit(cpuid(7, 2).edx, 4)],
    ] as const;
    for (let n = 0; n < 16; n++) {
      const b = machine('long');
      b.set({ rcx: 0x48, rax: 1 << n, rdx: 0 });
      const good = offered.some(([at, is]) => at === n && is);
      expect(b.go('wrmsr\n rdmsr\n hlt'), `bit ${n}`).toMatchObject(good ? { vector: -1 } : gp0);
      expect(b.reg('rax'), `bit ${n}`).toBe(BigInt(1 << n));
    }
    expect(cpuid(7, 3)).toEqual({ eax: 0, ebx: 0, ecx: 0, edx: 0 });
  });

  test('the ID flag can be toggled', () => {
    const b = machine('protected');
    b.go(
      'pushfd\n pop eax\n mov ecx, eax\n xor eax, 0x200000\n push eax\n popfd\n pushfd\n pop eax\n xor eax, ecx\n hlt',
    );
    expect(b.reg('rax')).toBe(0x20_0000n);
  });

  // Each feature with an instruction of it: it executes exactly where the bit says so.
  test.each<[string, boolean, string]>([
    ['SSE3', bit(leaf1.ecx, 0), 'addsubps xmm0, xmm1'],
    ['PCLMULQDQ', bit(leaf1.ecx, 1), 'pclmulqdq xmm0, xmm1, 0'],
    ['MONITOR', bit(leaf1.ecx, 3), 'db 0x0f, 0x01, 0xc8'],
    ['SSSE3', bit(leaf1.ecx, 9), 'pshufb xmm0, xmm1'],
    ['FMA', bit(leaf1.ecx, 12), 'vfmadd132ps xmm0, xmm1, xmm2'],
    ['CMPXCHG16B', bit(leaf1.ecx, 13), 'cmpxchg16b [DATA]'],
    ['SSE4.1', bit(leaf1.ecx, 19), 'pmulld xmm0, xmm1'],
    ['SSE4.2', bit(leaf1.ecx, 20), 'pcmpgtq xmm0, xmm1'],
    ['MOVBE', bit(leaf1.ecx, 22), 'movbe eax, [DATA]'],
    ['POPCNT', bit(leaf1.ecx, 23), 'popcnt eax, eax'],
    ['AES', bit(leaf1.ecx, 25), 'aesenc xmm0, xmm1'],
    ['XSAVE', bit(leaf1.ecx, 26), 'xor ecx, ecx\n xgetbv'],
    ['AVX', bit(leaf1.ecx, 28), 'vaddps xmm0, xmm1, xmm2'],
    ['F16C', bit(leaf1.ecx, 29), 'vcvtph2ps xmm0, xmm1'],
    ['RDRAND', bit(leaf1.ecx, 30), 'rdrand eax'],
    ['TSC', bit(leaf1.edx, 4), 'rdtsc'],
    ['CX8', bit(leaf1.edx, 8), 'cmpxchg8b [DATA]'],
    ['CMOV', bit(leaf1.edx, 15), 'cmove eax, ecx'],
    ['CLFLUSH', bit(leaf1.edx, 19), 'clflush [DATA]'],
    ['MMX', bit(leaf1.edx, 23), 'paddb mm0, mm1'],
    ['FXSR', bit(leaf1.edx, 24), 'fxsave [DATA]'],
    ['SSE2', bit(leaf1.edx, 26), 'paddq xmm0, xmm1'],
    ['FSGSBASE', bit(leaf7.ebx, 0), 'rdfsbase rax'],
    ['BMI1', bit(leaf7.ebx, 3), 'andn eax, ecx, edx'],
    ['AVX2', bit(leaf7.ebx, 5), 'vpaddb ymm0, ymm1, ymm2'],
    ['BMI2', bit(leaf7.ebx, 8), 'pdep eax, ecx, edx'],
    ['INVPCID', bit(leaf7.ebx, 10), 'mov eax, 2\n invpcid rax, [DATA]'],
    ['RTM', bit(leaf7.ebx, 11), 'db 0xc7, 0xf8, 0, 0, 0, 0'],
    ['RDSEED', bit(leaf7.ebx, 18), 'rdseed eax'],
    ['ADX', bit(leaf7.ebx, 19), 'adcx eax, ecx'],
    ['SMAP', bit(leaf7.ebx, 20), 'stac\n clac'],
    ['CLFLUSHOPT', bit(leaf7.ebx, 23), 'clflushopt [DATA]'],
    ['CLWB', bit(leaf7.ebx, 24), 'clwb [DATA]'],
    ['SHA', bit(leaf7.ebx, 29), 'sha1msg1 xmm0, xmm1'],
    ['PKU', bit(leaf7.ecx, 3), 'xor ecx, ecx\n rdpkru'],
    ['WAITPKG', bit(leaf7.ecx, 5), 'db 0xf3, 0x0f, 0xae, 0xf0'],
    ['GFNI', bit(leaf7.ecx, 8), 'gf2p8mulb xmm0, xmm1'],
    ['VAES', bit(leaf7.ecx, 9), 'vaesenc ymm0, ymm1, ymm2'],
    ['RDPID', bit(leaf7.ecx, 22), 'rdpid rax'],
    ['MOVDIRI', bit(leaf7.ecx, 27), 'movdiri [DATA], eax'],
    ['SERIALIZE', bit(leaf7.edx, 14), 'serialize'],
    ['LAHF in 64-bit mode', bit(extended.ecx, 0), 'lahf'],
    ['SSE4A', bit(extended.ecx, 6), 'extrq xmm0, xmm1'],
    ['SYSCALL', bit(extended.edx, 11), 'syscall'],
    ['RDTSCP', bit(extended.edx, 27), 'rdtscp'],
    ['VMX', bit(leaf1.ecx, 5), 'vmxoff'],
    ['SVM', bit(extended.ecx, 2), 'vmload'],
  ])('%s: offered is %s, and the instruction agrees', (_name, offered, instruction) => {
    const b = machine('long');
    b.state.cr0 |= CR0.MP;
    b.state.cr4 |= CR4.OSFXSR | CR4.OSXMMEXCPT | CR4.OSXSAVE | CR4.FSGSBASE | CR4.SMAP;
    b.state.xcr0 = bit(leaf1.ecx, 28) ? 7n : 3n;
    b.state.efer |= 1n;
    b.state.msrs.set(0xc000_0081, 0x28_0008_0000_0000n);
    b.state.msrs.set(0xc000_0082, 0x11000n);
    b.write(0x11000, [0xf4]);
    const out = b.go(`${instruction}\n hlt`);
    expect(out.vector).toBe(offered ? -1 : V.UD);
  });

  // These are other instructions where the feature is absent.
  test.each<[string, boolean, string, bigint, bigint]>([
    ['LZCNT', bit(extended.ecx, 5), 'lzcnt eax, ecx', 27n, 4n],
    ['TZCNT', bit(leaf7.ebx, 3), 'tzcnt eax, ecx', 4n, 4n],
  ])('%s: offered is %s', (_name, offered, instruction, result, otherwise) => {
    const b = machine('long');
    b.set({ rcx: 0x10 }).go(`${instruction}\n hlt`);
    expect(b.reg('rax')).toBe(offered ? result : otherwise);
  });

  test.each([
    ['MWAIT', 'db 0x0f, 0x01, 0xc9'],
    ['VMCALL', 'vmcall'],
    ['RSM outside SMM', 'rsm'],
    ['UD0', 'db 0x0f, 0xff, 0xc0'],
  ])('%s is #UD', (_name, instruction) => {
    expect(machine('long').go(`${instruction}\n hlt`).vector).toBe(V.UD);
  });

  test('random numbers set CF and use what the host gives', () => {
    const b = machine('long');
    b.go('rdrand rax\n setc bl\n rdseed ecx\n setc bh\n hlt');
    expect(b.reg('rbx') & 0xffffn).toBe(0x101n);
    expect(b.reg('rax')).not.toBe(0n);
  });
});
