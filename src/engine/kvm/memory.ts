/**
 * Guest RAM of the KVM engine: one stretch of shared memory of the host, looked at through views of 1 GiB: longer ones are
 * slow or not to be had. They overlap by half, so that hardly anything lies across a border.
 */
import { type GuestMemory, LONGEST_VIEW, type MemoryPiece, type MemoryRegion, WHOLE_IN_A_PIECE } from '../contract.js';
import { notRam, ramOffset, ramRegions } from '../ram.js';
import type { KvmCalls, SharedRam } from './calls.js';

/** A piece that is opened when it is first looked at: V8 takes each for memory of its own, and a gigabyte more has it collect. */
interface Window {
  readonly gpa: number;
  readonly length: number;
  piece: MemoryPiece | undefined;
}

export class KvmMemory implements GuestMemory {
  readonly size: number;
  readonly regions: readonly MemoryRegion[];
  private readonly ram: SharedRam;
  private readonly calls: KvmCalls;
  private readonly windows: Window[] = [];
  /** Told what devices and the host change, while somebody keeps account of it. */
  onChanged: ((gpa: number, length: number) => void) | undefined;

  constructor(calls: KvmCalls, ram: SharedRam) {
    this.calls = calls;
    this.ram = ram;
    this.size = ram.length;
    this.regions = ramRegions(ram.length);
    for (const { gpa, length } of this.regions) {
      for (let at = 0; at === 0 || at + WHOLE_IN_A_PIECE < length; at += WHOLE_IN_A_PIECE)
        this.windows.push({ gpa: gpa + at, length: Math.min(LONGEST_VIEW, length - at), piece: undefined });
    }
  }

  get pieces(): readonly MemoryPiece[] {
    return this.windows.map((window) => this.open(window));
  }

  contains(gpa: number, length: number): boolean {
    return ramOffset(this.size, gpa, length) >= 0;
  }

  view(gpa: number, length: number): Uint8Array {
    const offset = ramOffset(this.size, gpa, length);
    if (offset < 0 || length > LONGEST_VIEW) throw notRam(gpa, length, this.size);
    for (const window of this.windows) {
      const within = gpa - window.gpa;
      if (within >= 0 && within + length <= window.length)
        return this.open(window).bytes.subarray(within, within + length);
    }
    return this.exactly(gpa, length);
  }

  write(gpa: number, bytes: Uint8Array): void {
    const { length } = bytes;
    if (ramOffset(this.size, gpa, length) < 0) throw notRam(gpa, length, this.size);
    // By views of just these bytes: nothing that is written before the guest starts opens a window.
    for (let at = 0; at < length; at += WHOLE_IN_A_PIECE) {
      const part = bytes.subarray(at, at + WHOLE_IN_A_PIECE);
      this.exactly(gpa + at, part.length).set(part);
    }
    this.dirtied(gpa, length);
  }

  /** The processor sees what is written by itself; only the account of dirty pages does not. */
  dirtied(gpa: number, length: number): void {
    if (ramOffset(this.size, gpa, length) < 0) throw notRam(gpa, length, this.size);
    this.onChanged?.(gpa, length);
  }

  private open(window: Window): MemoryPiece {
    const { gpa, length } = window;
    window.piece ??= { gpa, bytes: this.exactly(gpa, length) };
    return window.piece;
  }

  /** A view of its own, of RAM. */
  private exactly(gpa: number, length: number): Uint8Array {
    const offset = ramOffset(this.size, gpa, length);
    return new Uint8Array(this.calls.view(this.ram.address + BigInt(offset), length));
  }
}
