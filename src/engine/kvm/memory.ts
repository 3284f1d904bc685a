/**
 * Guest RAM of the KVM engine: one piece of shared memory of the host, looked at through views of 1 GiB. Longer views are
 * slow or not to be had, so what lies across a border of two gets a view of its own.
 */
import { type GuestMemory, LONGEST_VIEW, type MemoryRegion } from '../contract.js';
import { notRam, ramOffset, ramRegions } from '../ram.js';
import type { KvmCalls, SharedRam } from './calls.js';

export class KvmMemory implements GuestMemory {
  readonly size: number;
  readonly regions: readonly MemoryRegion[];
  private readonly ram: SharedRam;
  private readonly calls: KvmCalls;
  /** One for each GiB, made when it is first looked at. */
  private readonly windows: (Uint8Array | undefined)[] = [];
  /** Told what devices and the host change, when somebody keeps account. */
  onChanged: ((gpa: number, length: number) => void) | undefined;

  constructor(calls: KvmCalls, ram: SharedRam) {
    this.calls = calls;
    this.ram = ram;
    this.size = ram.length;
    this.regions = ramRegions(ram.length);
  }

  contains(gpa: number, length: number): boolean {
    return ramOffset(this.size, gpa, length) >= 0;
  }

  view(gpa: number, length: number): Uint8Array {
    const offset = ramOffset(this.size, gpa, length);
    if (offset < 0 || length > LONGEST_VIEW) throw notRam(gpa, length, this.size);
    const index = Math.floor(offset / LONGEST_VIEW);
    const within = offset - index * LONGEST_VIEW;
    if (within + length <= LONGEST_VIEW) {
      const window = this.windows[index] ?? this.open(index);
      return window.subarray(within, within + length);
    }
    return new Uint8Array(this.calls.view(this.ram.address + BigInt(offset), length));
  }

  write(gpa: number, bytes: Uint8Array): void {
    const { length } = bytes;
    if (ramOffset(this.size, gpa, length) < 0) throw notRam(gpa, length, this.size);
    for (let at = 0; at < length; at += LONGEST_VIEW) {
      const piece = bytes.subarray(at, at + LONGEST_VIEW);
      this.view(gpa + at, piece.length).set(piece);
    }
    this.dirtied(gpa, length);
  }

  /** The processor sees what is written by itself; only the account of dirty pages does not. */
  dirtied(gpa: number, length: number): void {
    if (ramOffset(this.size, gpa, length) < 0) throw notRam(gpa, length, this.size);
    this.onChanged?.(gpa, length);
  }

  private open(index: number): Uint8Array {
    const at = index * LONGEST_VIEW;
    const window = new Uint8Array(
      this.calls.view(this.ram.address + BigInt(at), Math.min(LONGEST_VIEW, this.size - at)),
    );
    this.windows[index] = window;
    return window;
  }
}
