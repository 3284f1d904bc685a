/** Guest RAM of the software engine: a piece of the one linear memory, split at the PCI hole. */
import { FOUR_GIB, type GuestMemory, LONGEST_VIEW, type MemoryPiece, type MemoryRegion } from '../contract.js';
import { notRam, ramOffset, ramRegions } from '../ram.js';
import { RAM_BASE } from './layout.js';

const WASM_PAGE = 65536;
/** Linear memory is at most 4 GiB, the engine's own tables come off it. */
export const MAX_RAM = FOUR_GIB - RAM_BASE;

/** Pages of the linear memory for `size` bytes of RAM. */
export function linearPages(size: number): number {
  return (RAM_BASE + size) / WASM_PAGE;
}

/**
 * Linear memory for `size` bytes of RAM. Shared, so that threads which do the host's I/O read and write RAM in place:
 * measured, the loops of both tiers run no slower on it.
 * @throws RangeError where that is more than WebAssembly can address.
 */
export function createLinearMemory(size: number): WebAssembly.Memory {
  if (!Number.isInteger(size) || size <= 0 || size % (1 << 20) !== 0)
    throw new RangeError(`guest memory of ${size} bytes is not a whole number of MiB`);
  if (size > MAX_RAM)
    throw new RangeError(
      `guest memory of ${size / 2 ** 20} MiB is more than the software engine can address: at most ${Math.floor(MAX_RAM / 2 ** 20)} MiB`,
    );
  const pages = linearPages(size);
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}

export class SoftMemory implements GuestMemory {
  readonly size: number;
  readonly regions: readonly MemoryRegion[];
  readonly pieces: readonly MemoryPiece[];
  readonly #changed: (host: number, length: number) => void;
  readonly #ram: Uint8Array;

  /** @param changed told the linear-memory address of what `write` changed. */
  constructor(linear: WebAssembly.Memory, size: number, changed: (host: number, length: number) => void) {
    this.size = size;
    this.#changed = changed;
    this.#ram = new Uint8Array(linear.buffer, RAM_BASE, size);
    this.regions = ramRegions(size);
    let at = 0;
    this.pieces = this.regions.map(({ gpa, length }) => {
      const bytes = this.#ram.subarray(at, at + length);
      at += length;
      return { gpa, bytes };
    });
  }

  contains(gpa: number, length: number): boolean {
    return this.#offset(gpa, length) >= 0;
  }

  view(gpa: number, length: number): Uint8Array {
    const offset = this.#offset(gpa, length);
    if (offset < 0 || length > LONGEST_VIEW) throw notRam(gpa, length, this.size);
    return this.#ram.subarray(offset, offset + length);
  }

  write(gpa: number, bytes: Uint8Array): void {
    this.view(gpa, bytes.length).set(bytes);
    this.dirtied(gpa, bytes.length);
  }

  dirtied(gpa: number, length: number): void {
    const offset = this.#offset(gpa, length);
    if (offset < 0) throw notRam(gpa, length, this.size);
    if (length > 0) this.#changed(RAM_BASE + offset, length);
  }

  #offset(gpa: number, length: number): number {
    return ramOffset(this.size, gpa, length);
  }
}
