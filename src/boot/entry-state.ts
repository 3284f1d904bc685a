/**
 * The processor as a boot protocol wants it at the kernel's first instruction, and the small tables in low memory that
 * this needs. Sources: Documentation/arch/x86/boot.rst ("32-bit Boot Protocol", "64-bit Boot Protocol") and Xen's
 * docs/misc/pvh.pandoc.
 */

import type { SegmentRegister } from '../engine/contract.js';
import type { InitialState } from './plan.js';

/** Where the loader's own structures lie: pages that a kernel treats as used by the firmware. */
export const LowMemory = {
  gdt: 0x1000,
  startInfo: 0x2000,
  bootParams: 0x3000,
  /** PML4, PDPT and four page directories. */
  pageTables: 0x4000,
  commandLine: 0x2_0000,
} as const;

const BOOT_CS = 0x10;
const BOOT_DS = 0x18;
const BOOT_TSS = 0x20;

// Access rights as in a descriptor's bits 55:40 (SDM vol. 3, 3.4.5).
const CODE32 = 0xc09b; // G, D, present, execute/read, accessed
const CODE64 = 0xa09b; // G, L, present, execute/read, accessed
const DATA = 0xc093; // G, B, present, read/write, accessed
const TSS_BUSY = 0x008b; // present, 32-bit (in long mode 64-bit) busy TSS
const UNUSABLE = 1 << 16;

const CR0_PE = 1n << 0n;
const CR0_ET = 1n << 4n;
const CR0_PG = 1n << 31n;
const CR4_PAE = 1n << 5n;
const EFER_LME = 1n << 8n;
const EFER_LMA = 1n << 10n;

const GPR = { rbx: 3, rsi: 6 } as const;

function segment(selector: number, attributes: number): SegmentRegister {
  return { selector, base: 0n, limit: 0xffff_ffff, attributes };
}

function flat(code: number): Omit<InitialState, 'gpr' | 'rip' | 'cr0' | 'cr3' | 'cr4' | 'efer'> {
  return {
    rflags: 2n,
    cs: segment(BOOT_CS, code),
    ds: segment(BOOT_DS, DATA),
    es: segment(BOOT_DS, DATA),
    fs: segment(BOOT_DS, DATA),
    gs: segment(BOOT_DS, DATA),
    ss: segment(BOOT_DS, DATA),
    tr: { selector: BOOT_TSS, base: 0n, limit: 0x67, attributes: TSS_BUSY },
    ldtr: { selector: 0, base: 0n, limit: 0, attributes: UNUSABLE },
    gdtr: { base: BigInt(LowMemory.gdt), limit: 5 * 8 - 1 },
    idtr: { base: 0n, limit: 0 },
  };
}

function registers(values: Partial<Record<keyof typeof GPR, number>>): bigint[] {
  const gpr = new Array<bigint>(16).fill(0n);
  for (const name of Object.keys(GPR) as (keyof typeof GPR)[]) gpr[GPR[name]] = BigInt(values[name] ?? 0);
  return gpr;
}

/** PVH: 32-bit protected mode, paging off, EBX = hvm_start_info. */
export function pvhState(entry: number): InitialState {
  return {
    ...flat(CODE32),
    gpr: registers({ rbx: LowMemory.startInfo }),
    rip: BigInt(entry),
    cr0: CR0_PE | CR0_ET,
    cr3: 0n,
    cr4: 0n,
    efer: 0n,
  };
}

/** 32-bit boot protocol: the same, with ESI = boot_params and EBX, EBP, EDI zero. */
export function linux32State(entry: number): InitialState {
  return {
    ...flat(CODE32),
    gpr: registers({ rsi: LowMemory.bootParams }),
    rip: BigInt(entry),
    cr0: CR0_PE | CR0_ET,
    cr3: 0n,
    cr4: 0n,
    efer: 0n,
  };
}

/** 64-bit boot protocol: long mode, the first 4 GiB mapped to themselves, RSI = boot_params. */
export function linux64State(entry: number): InitialState {
  return {
    ...flat(CODE64),
    gpr: registers({ rsi: LowMemory.bootParams }),
    rip: BigInt(entry),
    cr0: CR0_PE | CR0_ET | CR0_PG,
    cr3: BigInt(LowMemory.pageTables),
    cr4: CR4_PAE,
    efer: EFER_LME | EFER_LMA,
  };
}

/** The GDT behind those segments: null, null, code at 0x10, data at 0x18, TSS at 0x20. */
export function gdt(long: boolean): Uint8Array {
  const bytes = new Uint8Array(5 * 8);
  const view = new DataView(bytes.buffer);
  const descriptor = (selector: number, limit: number, attributes: number): void => {
    // Base 0. Limit bits 15:0 in bytes 0 and 1, 19:16 in the low half of byte 6; rights in byte 5 and the rest of byte 6.
    view.setUint16(selector, limit & 0xffff, true);
    view.setUint8(selector + 5, attributes & 0xff);
    view.setUint8(selector + 6, ((attributes >> 8) & 0xf0) | ((limit >> 16) & 0xf));
  };
  descriptor(BOOT_CS, 0xf_ffff, long ? CODE64 : CODE32);
  descriptor(BOOT_DS, 0xf_ffff, DATA);
  descriptor(BOOT_TSS, 0x67, TSS_BUSY);
  return bytes;
}

/** Identity map of the first 4 GiB with 2 MiB pages (SDM vol. 3, 4.5): one PML4, one PDPT, four page directories. */
export function identityPageTables(): Uint8Array {
  const PRESENT_WRITABLE = 3;
  const LARGE = 0x80;
  const bytes = new Uint8Array(6 * 4096);
  const view = new DataView(bytes.buffer);
  const base = LowMemory.pageTables;
  view.setUint32(0, (base + 0x1000) | PRESENT_WRITABLE, true);
  for (let i = 0; i < 4; i++) view.setUint32(0x1000 + i * 8, (base + 0x2000 + i * 0x1000) | PRESENT_WRITABLE, true);
  for (let i = 0; i < 2048; i++)
    view.setUint32(0x2000 + i * 8, (i * 0x20_0000 + (PRESENT_WRITABLE | LARGE)) >>> 0, true);
  return bytes;
}
