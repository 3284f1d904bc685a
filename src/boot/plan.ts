/** What booting comes to: bytes in RAM and the first vCPU's registers. Made by `linux.ts`, carried out by `applyBoot`. */

import type { GuestMemory, Vcpu, VcpuState } from '../engine/contract.js';
import { BootError, formatBytes, hex } from './errors.js';

export interface BootWrite {
  readonly gpa: number;
  readonly bytes: Uint8Array;
  /** For messages: "the initial RAM disk". */
  readonly what: string;
}

/** RAM that must read as zero although nothing is written there: a segment's .bss. */
export interface BootZeroes {
  readonly gpa: number;
  readonly length: number;
  readonly what: string;
}

/** The registers that a boot protocol sets; everything else is as after reset. */
export type InitialState = Pick<
  VcpuState,
  | 'gpr'
  | 'rip'
  | 'rflags'
  | 'cs'
  | 'ds'
  | 'es'
  | 'fs'
  | 'gs'
  | 'ss'
  | 'tr'
  | 'ldtr'
  | 'gdtr'
  | 'idtr'
  | 'cr0'
  | 'cr3'
  | 'cr4'
  | 'efer'
>;

export type BootProtocol = 'pvh' | 'linux64' | 'linux32';

export interface BootPlan {
  readonly protocol: BootProtocol;
  /** One line for `--verbose`: what is entered, where, and who unpacks. */
  readonly description: string;
  readonly entry: number;
  /** In no order; they overlap neither one another nor `zeroes`, and lie in RAM. */
  readonly writes: readonly BootWrite[];
  /** RAM that the kernel takes to be zero: nobody else's. */
  readonly zeroes: readonly BootZeroes[];
  readonly cpu: InitialState;
}

/** A piece of RAM without its bytes, so that a plan can be made before there is a machine. */
export interface RamRange {
  readonly gpa: number;
  readonly length: number;
}

export function ramRanges(memory: GuestMemory): readonly RamRange[] {
  return memory.regions;
}

/** @throws BootError where a piece of the plan lies outside RAM, or two pieces overlap. */
export function checkPlacement(
  pieces: readonly (RamRange & { readonly what: string })[],
  ram: readonly RamRange[],
): void {
  for (const { gpa, length, what } of pieces) {
    if (!ram.some((r) => gpa >= r.gpa && gpa + length <= r.gpa + r.length)) {
      const total = ram.reduce((sum, r) => sum + r.length, 0);
      throw new BootError(
        'outside-ram',
        `${capital(what)} (${hex(gpa)} to ${hex(gpa + length)}) lies outside the machine's ${formatBytes(total)} of RAM; give the machine more memory.`,
      );
    }
  }
  const sorted = [...pieces].sort((a, b) => a.gpa - b.gpa);
  for (let i = 1; i < sorted.length; i++) {
    const before = sorted[i - 1];
    if (before.gpa + before.length > sorted[i].gpa) {
      throw new BootError(
        'overlap',
        `${capital(before.what)} and ${sorted[i].what} would overlap at ${hex(sorted[i].gpa)}; this kernel cannot be placed.`,
      );
    }
  }
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

const PAGE = 4096;

/**
 * Carries a plan out on a machine's memory, which is zero where nobody has written, and on its first vCPU, which is reset
 * first. Pages of zeroes are not written, so they need not become resident on the host.
 */
export function applyBoot(
  memory: GuestMemory,
  vcpu: Pick<Vcpu, 'reset' | 'getState' | 'setState'>,
  plan: BootPlan,
): void {
  for (const { gpa, bytes } of plan.writes) writeSparsely(memory, gpa, bytes);
  vcpu.reset();
  vcpu.setState({ ...vcpu.getState(), ...plan.cpu, activity: 'running' });
}

/** Writes the pages of `bytes` that are not all zero. */
function writeSparsely(memory: GuestMemory, gpa: number, bytes: Uint8Array): void {
  let run = 0;
  for (let at = 0; at < bytes.length; ) {
    // Pages of the guest, not of the array: the first piece may be shorter.
    const end = Math.min(bytes.length, at + PAGE - ((gpa + at) % PAGE));
    if (isZero(bytes.subarray(at, end))) {
      if (run < at) memory.write(gpa + run, bytes.subarray(run, at));
      run = end;
    }
    at = end;
  }
  if (run < bytes.length) memory.write(gpa + run, bytes.subarray(run));
}

function isZero(bytes: Uint8Array): boolean {
  let at = 0;
  if ((bytes.byteOffset & 3) === 0) {
    const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
    for (let i = 0; i < words.length; i++) if (words[i] !== 0) return false;
    at = words.length * 4;
  }
  for (; at < bytes.length; at++) if (bytes[at] !== 0) return false;
  return true;
}
