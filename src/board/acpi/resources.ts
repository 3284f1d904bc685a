/** Resource descriptors (ACPI 6.5, 6.4) and the template that holds them. All addresses and lengths in bytes. */
import type { Aml } from './aml.js';
import { buffer, concat } from './aml.js';

/** A resource template: the descriptors and an end tag without checksum (6.4.2.9: zero means "not computed"). */
export function resources(...descriptors: readonly Uint8Array[]): Aml {
  return buffer(concat(...descriptors, [0x79, 0]));
}

/** IO (Decode16, …): `length` ports at a fixed base (6.4.2.5). */
export function io(base: number, length: number): Uint8Array {
  return Uint8Array.of(0x47, 1, base & 0xff, base >> 8, base & 0xff, base >> 8, 1, length);
}

/** IRQNoFlags () {irq}: ISA interrupt, edge, active high, not shared (6.4.2.1). */
export function irq(number: number): Uint8Array {
  const mask = 1 << number;
  return Uint8Array.of(0x22, mask & 0xff, mask >> 8);
}

/** Memory32Fixed (6.4.3.4). */
export function memory32(base: number, length: number, writable = true): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x86;
  view.setUint16(1, 9, true);
  bytes[3] = writable ? 1 : 0;
  view.setUint32(4, base, true);
  view.setUint32(8, length, true);
  return bytes;
}

const MEMORY = 0;
const IO = 1;
const BUS = 2;
/** General flags: minimum and maximum fixed, decoded positively, produced (not consumed) by the bridge. */
const FIXED_WINDOW = 0x0c;

/** An address space descriptor (6.4.3.5) that a bridge passes to its children. */
function addressSpace(width: 2 | 4 | 8, type: number, typeFlags: number, base: number, length: number): Uint8Array {
  const tag = { 2: 0x88, 4: 0x87, 8: 0x8a }[width];
  const bytes = new Uint8Array(6 + 5 * width);
  const view = new DataView(bytes.buffer);
  bytes[0] = tag;
  view.setUint16(1, bytes.length - 3, true);
  bytes.set([type, FIXED_WINDOW, typeFlags], 3);
  // Granularity, minimum, maximum, translation offset, length.
  [0, base, base + length - 1, 0, length].forEach((value, i) => {
    const at = 6 + i * width;
    if (width === 2) view.setUint16(at, value, true);
    else if (width === 4) view.setUint32(at, value, true);
    else view.setBigUint64(at, BigInt(value), true);
  });
  return bytes;
}

export function busWindow(first: number, count: number): Uint8Array {
  return addressSpace(2, BUS, 0, first, count);
}

/** I/O window, all of it usable (type flags: entire range). */
export function ioWindow(base: number, length: number): Uint8Array {
  return addressSpace(2, IO, 3, base, length);
}

/** Memory window below 4 GiB: writable, not cacheable. */
export function memoryWindow32(base: number, length: number): Uint8Array {
  return addressSpace(4, MEMORY, 1, base, length);
}

/** Memory window above 4 GiB: writable, not cacheable. */
export function memoryWindow64(base: number, length: number): Uint8Array {
  return addressSpace(8, MEMORY, 1, base, length);
}
