/**
 * Message-signalled interrupts: the MSI and MSI-X capabilities (PCI Local Bus Specification 3.0, 6.8). A device calls
 * `notify(vector)`; false means that the guest uses neither, so the device falls back to its INTx pin.
 */
import type { MmioDevice, Persist } from '../device.js';
import { requireVersion } from '../persist.js';
import type { PciFunction } from './function.js';

const CAP_MSI = 0x05;
const CAP_MSIX = 0x11;

/** Offsets within the MSI capability, 64-bit with per-vector masking (figure 6-9). */
const MSI_CONTROL = 2;
const MSI_ADDRESS = 4;
const MSI_ADDRESS_HIGH = 8;
const MSI_DATA = 12;
const MSI_MASK = 16;
const MSI_PENDING = 20;
const MSI_LENGTH = 24;

const MSI_ENABLE = 1 << 0;
const MSI_64BIT = 1 << 7;
const MSI_PER_VECTOR_MASKING = 1 << 8;

export class Msi {
  private readonly fn: PciFunction;
  private readonly at: number;
  private readonly vectors: number;

  /** @param vectors 1, 2, 4, 8, 16 or 32 */
  constructor(fn: PciFunction, vectors: 1 | 2 | 4 | 8 | 16 | 32) {
    this.fn = fn;
    this.vectors = vectors;
    const body = new Uint8Array(MSI_LENGTH - 2);
    const view = new DataView(body.buffer);
    view.setUint16(MSI_CONTROL - 2, (Math.log2(vectors) << 1) | MSI_64BIT | MSI_PER_VECTOR_MASKING, true);
    const writable = new Uint8Array(body.length);
    const mask = new DataView(writable.buffer);
    mask.setUint16(MSI_CONTROL - 2, 0x71, true);
    mask.setUint32(MSI_ADDRESS - 2, 0xffff_fffc, true);
    mask.setUint32(MSI_ADDRESS_HIGH - 2, 0xffff_ffff, true);
    mask.setUint16(MSI_DATA - 2, 0xffff, true);
    mask.setUint32(MSI_MASK - 2, vectors === 32 ? 0xffff_ffff : (1 << vectors) - 1, true);
    this.at = fn.addCapability(CAP_MSI, body, writable);
    fn.watch(this.at, MSI_LENGTH, () => this.flush());
  }

  get enabled(): boolean {
    return (this.read16(MSI_CONTROL) & MSI_ENABLE) !== 0;
  }

  /** Signals a vector (0 to vectors-1). @returns false where MSI is off. */
  notify(vector: number): boolean {
    const control = this.read16(MSI_CONTROL);
    if ((control & MSI_ENABLE) === 0) return false;
    // The guest may have granted fewer than asked for: vectors then share messages.
    const granted = Math.min(1 << ((control >> 4) & 7), this.vectors);
    const message = vector & (granted - 1);
    if (((this.read32(MSI_MASK) >>> message) & 1) !== 0) {
      this.fn.config.set(this.at + MSI_PENDING, 4, this.read32(MSI_PENDING) | (1 << message));
    } else {
      const data = (this.read16(MSI_DATA) & ~(granted - 1)) | message;
      this.fn.sendMessage(this.read32(MSI_ADDRESS), this.read32(MSI_ADDRESS_HIGH), data);
    }
    return true;
  }

  private flush(): void {
    const due = this.read32(MSI_PENDING) & ~this.read32(MSI_MASK);
    if (due === 0 || !this.enabled) return;
    this.fn.config.set(this.at + MSI_PENDING, 4, this.read32(MSI_PENDING) & ~due);
    for (let vector = 0; vector < 32; vector++) if (((due >>> vector) & 1) !== 0) this.notify(vector);
  }

  private read16(offset: number): number {
    return this.fn.config.read(this.at + offset, 2);
  }

  private read32(offset: number): number {
    return this.fn.config.read(this.at + offset, 4);
  }
}

/** Message control of MSI-X (6.8.2.3). */
const MSIX_CONTROL = 2;
const MSIX_ENABLE = 1 << 15;
const MSIX_FUNCTION_MASK = 1 << 14;

/** A table entry: address, high address, data, vector control (6.8.2.6 to 6.8.2.9). */
const ENTRY_SIZE = 16;
const ENTRY_MASKED = 1;

export interface MsixState {
  version: 1;
  table: number[];
  pending: number[];
}

/** MSI-X with its table and pending bits in a BAR of its own: the table in the lower half, the bits in the upper. */
export class Msix implements MmioDevice, Persist<MsixState> {
  private readonly fn: PciFunction;
  private readonly at: number;
  private readonly vectors: number;
  private readonly table: Uint32Array;
  private readonly pending: Uint32Array;
  private readonly pendingOffset: number;

  /**
   * @param vectors 1 to 2048
   * @param bar index of the 32-bit memory BAR that it adds to the function
   */
  constructor(fn: PciFunction, vectors: number, bar: number) {
    if (!Number.isInteger(vectors) || vectors < 1 || vectors > 2048) {
      throw new RangeError(`${fn.name}: MSI-X can't have ${vectors} vectors.`);
    }
    this.fn = fn;
    this.vectors = vectors;
    this.table = new Uint32Array(vectors * 4);
    this.pending = new Uint32Array(Math.ceil(vectors / 32) + 1); // whole quadwords
    const half = Math.max(0x800, 2 ** Math.ceil(Math.log2(vectors * ENTRY_SIZE)));
    this.pendingOffset = half;
    fn.addBar(bar, { kind: 'mem32', size: half * 2 }, this);
    const body = new Uint8Array(10);
    const view = new DataView(body.buffer);
    view.setUint16(0, vectors - 1, true);
    view.setUint32(2, bar, true);
    view.setUint32(6, half | bar, true);
    const writable = new Uint8Array(10);
    writable[1] = 0xc0;
    this.at = fn.addCapability(CAP_MSIX, body, writable);
    fn.watch(this.at, 4, () => this.flushAll());
    fn.onReset(() => this.clear());
    this.clear();
  }

  get enabled(): boolean {
    return (this.control & MSIX_ENABLE) !== 0;
  }

  /** Signals a vector. @returns false where MSI-X is off. A vector beyond the table is swallowed. */
  notify(vector: number): boolean {
    const control = this.control;
    if ((control & MSIX_ENABLE) === 0) return false;
    if (vector < 0 || vector >= this.vectors) return true;
    const entry = vector * 4;
    if ((control & MSIX_FUNCTION_MASK) !== 0 || (this.table[entry + 3] & ENTRY_MASKED) !== 0) {
      this.pending[vector >> 5] |= 1 << (vector & 31);
    } else {
      this.fn.sendMessage(this.table[entry], this.table[entry + 1], this.table[entry + 2]);
    }
    return true;
  }

  /** Registers are doublewords; parts of them are undefined (6.8.2): smaller reads give the part, smaller writes nothing. */
  mmioRead(offset: number, size: 1 | 2 | 4): number {
    const within = offset & 3;
    if (within + size > 4) return 0;
    const index = offset >> 2;
    const pendingIndex = (offset - this.pendingOffset) >> 2;
    const value = offset < this.pendingOffset ? (this.table[index] ?? 0) : (this.pending[pendingIndex] ?? 0);
    return size === 4 ? value : (value >>> (within * 8)) & (size === 1 ? 0xff : 0xffff);
  }

  mmioWrite(offset: number, size: 1 | 2 | 4, value: number): void {
    const index = offset >> 2;
    if (size !== 4 || (offset & 3) !== 0 || index >= this.table.length) return; // pending bits are read-only
    const field = index & 3;
    this.table[index] = field === 0 ? value & ~3 : field === 3 ? value & ENTRY_MASKED : value;
    if (field === 3) this.flush(index >> 2);
  }

  save(): MsixState {
    return { version: 1, table: Array.from(this.table), pending: Array.from(this.pending) };
  }

  /** @throws UnknownStateVersion */
  restore(state: MsixState): void {
    requireVersion(`${this.fn.name} MSI-X`, state, 1);
    this.table.set(state.table.slice(0, this.table.length));
    this.pending.set(state.pending.slice(0, this.pending.length));
  }

  private get control(): number {
    return this.fn.config.read(this.at + MSIX_CONTROL, 2);
  }

  private clear(): void {
    this.table.fill(0);
    this.pending.fill(0);
    for (let vector = 0; vector < this.vectors; vector++) this.table[vector * 4 + 3] = ENTRY_MASKED;
  }

  private flush(vector: number): void {
    const bit = 1 << (vector & 31);
    const masked = (this.table[vector * 4 + 3] & ENTRY_MASKED) !== 0 || (this.control & MSIX_FUNCTION_MASK) !== 0;
    if ((this.pending[vector >> 5] & bit) === 0 || masked || !this.enabled) return;
    this.pending[vector >> 5] &= ~bit;
    this.notify(vector);
  }

  private flushAll(): void {
    for (let vector = 0; vector < this.vectors; vector++) {
      if (this.pending[vector >> 5] !== 0) this.flush(vector);
    }
  }
}
