/** Guest RAM without an engine, for tests only. */
import { FOUR_GIB, type GuestMemory, type MemoryPiece, type MemoryRegion } from './contract.js';

/** RAM from 0 to `size`, and `above` bytes from 4 GiB on. Notes what it was told has been written. */
export class TestMemory implements GuestMemory {
  readonly size: number;
  readonly regions: readonly MemoryRegion[];
  readonly pieces: readonly MemoryPiece[];
  readonly written: { gpa: number; length: number }[] = [];

  constructor(size: number, above = 0) {
    this.size = size + above;
    this.pieces = [
      { gpa: 0, bytes: new Uint8Array(size) },
      ...(above === 0 ? [] : [{ gpa: FOUR_GIB, bytes: new Uint8Array(above) }]),
    ];
    this.regions = this.pieces.map(({ gpa, bytes }) => ({ gpa, length: bytes.length }));
  }

  view(gpa: number, length: number): Uint8Array {
    const region = this.regionOf(gpa, length);
    if (region === undefined) throw new RangeError(`not RAM: ${length} bytes at ${gpa}`);
    return region.bytes.subarray(gpa - region.gpa, gpa - region.gpa + length);
  }

  contains(gpa: number, length: number): boolean {
    return this.regionOf(gpa, length) !== undefined;
  }

  write(gpa: number, bytes: Uint8Array): void {
    this.view(gpa, bytes.length).set(bytes);
    this.dirtied(gpa, bytes.length);
  }

  dirtied(gpa: number, length: number): void {
    this.view(gpa, length);
    this.written.push({ gpa, length });
  }

  private regionOf(at: number, length: number): MemoryPiece | undefined {
    return this.pieces.find(({ gpa, bytes }) => at >= gpa && at + length <= gpa + bytes.length);
  }
}
