import { describe, expect, test } from 'vitest';
import { type CpuidEntry, composeCpuid, encodeCpuid, parseCpuid } from './cpuid.js';

function entry(leaf: number, registers: Partial<CpuidEntry> = {}): CpuidEntry {
  return { leaf, sub: 0, flags: 0, eax: 0, ebx: 0, ecx: 0, edx: 0, ...registers };
}

const ALL = 0xffff_ffff;
const SUPPORTED = [
  entry(1, { eax: 0xa0671, ebx: 0x0f_10_08_00, ecx: ALL, edx: ALL }),
  entry(4, { eax: 0x0c00_4121 }),
  entry(4, { sub: 3, flags: 1, eax: 0x0400_c163 }),
  entry(7, { flags: 1, ebx: ALL, ecx: ALL, edx: ALL }),
  entry(0xb, { flags: 1, ebx: 99 }),
  entry(0xd, { flags: 1, eax: 0x602e7, ebx: 2696, ecx: 2696 }),
  entry(0xd, { sub: 1, flags: 1, eax: 0x1f, ebx: 2696, ecx: 0x1900 }),
  entry(0xd, { sub: 2, flags: 1, eax: 256, ebx: 576 }),
  entry(0xd, { sub: 5, flags: 1, eax: 64, ebx: 1088 }),
  entry(0x4000_0001, { eax: ALL }),
  entry(0x8000_0001, { ecx: ALL, edx: ALL }),
  entry(0x8000_0008, { eax: 0x3930 }),
];
const OPTIONS = { index: 2, cpus: 3, arch: 'amd64', irqchip: 'kernel', tscDeadline: true } as const;

function compose(options: Partial<Parameters<typeof composeCpuid>[1]> = {}) {
  const entries = composeCpuid(SUPPORTED, { ...OPTIONS, ...options });
  return (leaf: number, sub = 0) => entries.find((e) => e.leaf === leaf && e.sub === sub);
}

describe('the CPUID leaves of a guest on KVM', () => {
  test('have the guest’s own topology, of which each processor sees its own part', () => {
    const leaf = compose();
    expect((leaf(1)!.ebx >>> 24) & 0xff).toBe(2);
    expect((leaf(1)!.ebx >>> 16) & 0xff).toBe(4);
    expect(leaf(4)!.eax >>> 26).toBe(3);
    expect((leaf(4)!.eax >>> 14) & 0xfff).toBe(0);
    expect((leaf(4, 3)!.eax >>> 14) & 0xfff).toBe(3);
    expect(leaf(0xb)).toMatchObject({ eax: 0, ebx: 1, ecx: 0x100, edx: 2 });
    expect(leaf(0xb, 1)).toMatchObject({ eax: 2, ebx: 3, ecx: 0x201, edx: 2 });
    expect(compose({ cpus: 1, index: 0 })(1)!.edx & (1 << 28)).toBe(0);
  });

  test('offer no state that a VcpuState does not hold', () => {
    const leaf = compose();
    expect(leaf(0xd)).toMatchObject({ eax: 7, ebx: 576, ecx: 832, edx: 0 });
    expect(leaf(0xd, 1)).toMatchObject({ eax: 7, ebx: 0, ecx: 0 });
    expect(leaf(0xd, 5)).toBeUndefined();
    // AVX-512F, PKU, AMX-TILE.
    expect([leaf(7)!.ebx & (1 << 16), leaf(7)!.ecx & (1 << 3), leaf(7)!.edx & (1 << 24)]).toEqual([0, 0, 0]);
    // AVX2 stays.
    expect(leaf(7)!.ebx & (1 << 5)).toBe(1 << 5);
  });

  test('offer the kernel’s TSC deadline and paravirtual interrupts only where the kernel has the local APICs', () => {
    const [own, kernel] = [compose({ irqchip: 'machine' }), compose()];
    const DEADLINE = 1 << 24;
    expect([own(1)!.ecx & DEADLINE, kernel(1)!.ecx & DEADLINE]).toEqual([0, DEADLINE]);
    const CLOCK = 1 << 3;
    const UNHALT = 1 << 7;
    expect([own(0x4000_0001)!.eax & (CLOCK | UNHALT), kernel(0x4000_0001)!.eax & (CLOCK | UNHALT)]).toEqual([
      CLOCK,
      CLOCK | UNHALT,
    ]);
  });

  test('hide long mode on i386', () => {
    const LONG = (1 << 29) | (1 << 11);
    expect(compose({ arch: 'i386' })(0x8000_0001)!.edx & LONG).toBe(0);
    expect(compose()(0x8000_0001)!.edx & LONG).toBe(LONG);
  });

  test('come back out of the kernel’s structure', () => {
    expect(parseCpuid(encodeCpuid(SUPPORTED))).toEqual(SUPPORTED);
  });
});
