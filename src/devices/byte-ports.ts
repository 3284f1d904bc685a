/**
 * Most classic PC devices have 8-bit registers side by side. A 16 or 32-bit access to them is that many byte accesses to
 * consecutive ports, lowest first, as the ISA bus does it. Ports beyond the block's end float: reads give FFh.
 */

import type { PortDevice } from './device.js';

export abstract class BytePorts implements PortDevice {
  /** How many ports the block has. */
  readonly length: number;

  constructor(length: number) {
    this.length = length;
  }

  /** The register at `offset` (0 to length-1), 8 bits. */
  protected abstract readByte(offset: number): number;

  /** `value` is 8 bits. */
  protected abstract writeByte(offset: number, value: number): void;

  portIn(offset: number, size: 1 | 2 | 4): number {
    if (size === 1) return offset < this.length ? this.readByte(offset) : 0xff;
    let value = 0;
    for (let i = 0; i < size; i++) {
      value |= (offset + i < this.length ? this.readByte(offset + i) : 0xff) << (8 * i);
    }
    return value >>> 0;
  }

  portOut(offset: number, size: 1 | 2 | 4, value: number): void {
    for (let i = 0; i < size; i++) {
      if (offset + i < this.length) this.writeByte(offset + i, (value >>> (8 * i)) & 0xff);
    }
  }
}

/** A block of byte ports made of two functions, for devices that answer at several places. */
export class BytePortBlock extends BytePorts {
  readonly #read: (offset: number) => number;
  readonly #write: (offset: number, value: number) => void;

  constructor(length: number, read: (offset: number) => number, write: (offset: number, value: number) => void) {
    super(length);
    this.#read = read;
    this.#write = write;
  }

  protected override readByte(offset: number): number {
    return this.#read(offset);
  }

  protected override writeByte(offset: number, value: number): void {
    this.#write(offset, value);
  }
}
