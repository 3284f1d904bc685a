/** Puts a test machine into 64-bit mode: identity map of the first 16 MiB, flat segments, an IDT and a TSS. */
import type { SegmentRegister } from '../../src/engine/contract.js';
import { assemble, type Program } from '../asm/assemble.js';
import type { TestMachine } from './machine.js';

export const PML4 = 0x1000;
export const PDPT = 0x2000;
export const PD = 0x3000;
export const PT = 0x4000; // maps the 2 MiB from 4 MiB on in 4 KiB pages
export const GDT = 0x5000;
export const IDT = 0x6000;
export const TSS = 0x8000;
export const CODE = 0x10000;
export const STACK0 = 0x20000; // top of ring 0's stack
export const STACK_IST1 = 0x28000;
export const STACK3 = 0x30000;
/** Every vector goes here unless the program has a label `vector_N`: pushes nothing, halts. */
export const P = 1n;
export const W = 2n;
export const U = 4n;
export const PS = 0x80n;
export const NX = 1n << 63n;

export const SELECTORS = { code0: 0x08, data0: 0x10, code32: 0x18, data3: 0x20, code3: 0x28, tss: 0x30 } as const;

export function flat(selector: number, attributes: number): SegmentRegister {
  return { selector, base: 0n, limit: 0xffffffff, attributes };
}

const NULL_SEGMENT: SegmentRegister = { selector: 0, base: 0n, limit: 0, attributes: 0x10000 };

/** A 64-bit interrupt gate. */
export function gate(m: TestMachine, vector: number, target: number, { dpl = 0, ist = 0, type = 14 } = {}): void {
  const t = BigInt(target);
  const low =
    (t & 0xffffn) |
    (8n << 16n) |
    (BigInt(ist) << 32n) |
    (BigInt(type | (dpl << 5) | 0x80) << 40n) |
    ((t >> 16n) << 48n);
  m.setU64(IDT + vector * 16, low);
  m.setU64(IDT + vector * 16 + 8, t >> 32n);
}

export function enterLongMode(m: TestMachine, source: string): Program {
  const program = assemble(64, CODE, source);
  m.write(CODE, program.bytes);
  m.setU64(PML4, BigInt(PDPT) | P | W | U);
  m.setU64(PDPT, BigInt(PD) | P | W | U);
  for (let i = 0; i < 8; i++) m.setU64(PD + i * 8, BigInt(i * 0x200000) | P | W | U | PS);
  m.setU64(PD + 16, BigInt(PT) | P | W | U);
  for (let i = 0; i < 512; i++) m.setU64(PT + i * 8, BigInt(0x400000 + i * 0x1000) | P | W | U);
  const gdt = [
    0n,
    0x00af9b000000ffffn,
    0x00cf93000000ffffn,
    0x00cffb000000ffffn,
    0x00cff3000000ffffn,
    0x00affb000000ffffn,
  ];
  for (const [i, d] of gdt.entries()) m.setU64(GDT + i * 8, d);
  const tss = BigInt(TSS);
  m.setU64(GDT + 0x30, 0x67n | ((tss & 0xffffffn) << 16n) | (0x8bn << 40n) | ((tss >> 24n) << 56n));
  m.setU64(GDT + 0x38, tss >> 32n);
  m.setU64(TSS + 4, BigInt(STACK0));
  m.setU64(TSS + 0x24, BigInt(STACK_IST1));
  for (let v = 0; v < 256; v++) {
    let target: number | undefined;
    try {
      target = program.at(`vector_${v}`);
    } catch {
      continue;
    }
    gate(m, v, target, { dpl: v >= 0x80 ? 3 : 0 });
  }
  m.set((s) => {
    s.cr0 = 0x80010033n;
    s.cr3 = BigInt(PML4);
    s.cr4 = 0x620n; // PAE OSFXSR OSXMMEXCPT
    s.efer = 0xd01n; // SCE LME LMA NXE
    s.cs = flat(SELECTORS.code0, 0xa09b);
    s.ss = flat(SELECTORS.data0, 0xc093);
    s.ds = s.es = flat(SELECTORS.data0, 0xc093);
    s.fs = s.gs = NULL_SEGMENT;
    s.ldtr = NULL_SEGMENT;
    s.tr = { selector: SELECTORS.tss, base: tss, limit: 0x67, attributes: 0x8b };
    s.gdtr = { base: BigInt(GDT), limit: 0x3f };
    s.idtr = { base: BigInt(IDT), limit: 0xfff };
    s.rip = BigInt(CODE);
    s.gpr[4] = BigInt(STACK0);
    s.rflags = 2n;
  });
  return program;
}
