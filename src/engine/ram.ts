/** Guest RAM of either engine: bytes end to end on the host, split at the PCI hole for the guest. */
import { FOUR_GIB, type MemoryRegion, PCI_HOLE_START } from './contract.js';

/** The regions of `size` bytes of RAM. */
export function ramRegions(size: number): MemoryRegion[] {
  const low = Math.min(size, PCI_HOLE_START);
  const regions = [{ gpa: 0, length: low }];
  if (size > low) regions.push({ gpa: FOUR_GIB, length: size - low });
  return regions;
}

/** Offset of [gpa, gpa+length) in RAM, regions end to end; -1 where it is not wholly in one region. */
export function ramOffset(size: number, gpa: number, length: number): number {
  if (!Number.isSafeInteger(gpa) || !Number.isInteger(length) || gpa < 0 || length < 0) return -1;
  const low = Math.min(size, PCI_HOLE_START);
  if (gpa + length <= low) return gpa;
  const above = gpa - FOUR_GIB;
  if (above >= 0 && above + length <= size - low) return low + above;
  return -1;
}

export function notRam(gpa: number, length: number, size: number): RangeError {
  return new RangeError(
    `guest-physical 0x${gpa.toString(16)}, ${length} bytes, is not wholly RAM (${size / 2 ** 20} MiB), or too long a piece of it`,
  );
}
