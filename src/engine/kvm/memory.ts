/**
 * Guest RAM of the KVM engine: one stretch of shared memory of the host, looked at through views of 1 GiB: longer ones are
 * slow or not to be had. They overlap by half, so that hardly anything lies across a border.
 */
import { type GuestMemory, LONGEST_VIEW, type MemoryPiece, type MemoryRegion, WHOLE_IN_A_PIECE } from '../contract.js';
import { notRam, ramOffset, ramRegions } from '../ram.js';
import type { KvmCalls, SharedRam } from './calls.js';

export class KvmMemory implements GuestMemory {
  readonly size: number;
  readonly regions: readonly MemoryRegion[];
  readonly pieces: readonly MemoryPiece[];
  private readonly ram: SharedRam;
  private readonly calls: KvmCalls;
  /** Told what devices and the host change, while somebody keeps account of it. */
  onChanged: ((gpa: number, length: number) => void) | undefined;

  constructor(calls: KvmCalls, ram: SharedRam) {
    this.calls = calls;
    this.ram = ram;
    this.size = ram.length;
    this.regions = ramRegions(ram.length);
    this.pieces = this.regions.flatMap((region) => this.overlapping(region));
  }

  contains(gpa: number, length: number): boolean {
    return ramOffset(this.size, gpa, length) >= 0;
  }

  view(gpa: number, length: number): Uint8Array {
    const offset = ramOffset(this.size, gpa, length);
    if (offset < 0 || length > LONGEST_VIEW) throw notRam(gpa, length, this.size);
    for (const { gpa: start, bytes } of this.pieces) {
      const within = gpa - start;
      if (within >= 0 && within + length <= bytes.length) return bytes.subarray(within, within + length);
    }
    return new Uint8Array(this.calls.view(this.ram.address + BigInt(offset), length));
  }

  write(gpa: number, bytes: Uint8Array): void {
    const { length } = bytes;
    if (ramOffset(this.size, gpa, length) < 0) throw notRam(gpa, length, this.size);
    for (let at = 0; at < length; at += WHOLE_IN_A_PIECE) {
      const part = bytes.subarray(at, at + WHOLE_IN_A_PIECE);
      this.view(gpa + at, part.length).set(part);
    }
    this.dirtied(gpa, length);
  }

  /** The processor sees what is written by itself; only the account of dirty pages does not. */
  dirtied(gpa: number, length: number): void {
    if (ramOffset(this.size, gpa, length) < 0) throw notRam(gpa, length, this.size);
    this.onChanged?.(gpa, length);
  }

  private overlapping({ gpa, length }: MemoryRegion): MemoryPiece[] {
    const pieces: MemoryPiece[] = [];
    for (let at = 0; at === 0 || at + WHOLE_IN_A_PIECE < length; at += WHOLE_IN_A_PIECE) {
      const offset = ramOffset(this.size, gpa + at, 0);
      const view = this.calls.view(this.ram.address + BigInt(offset), Math.min(LONGEST_VIEW, length - at));
      pieces.push({ gpa: gpa + at, bytes: new Uint8Array(view) });
    }
    return pieces;
  }
}
