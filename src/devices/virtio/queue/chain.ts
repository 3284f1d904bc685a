/**
 * A buffer that a ring has given out: pieces of guest RAM to read from and to write to. Rings keep a chain for each buffer
 * that may be in flight and fill it again and again; its segments too are used again.
 */
import { type DescriptorChain, type Segment, VirtioViolation } from '../device.js';
import type { Ram, RamPiece } from './ram.js';

/** Segments that a chain keeps for its next use: a guest that once had very long chains shall not cost memory for ever. */
const KEPT_SEGMENTS = 64;
const TWO_32 = 0x1_0000_0000;

class PooledSegment implements Segment {
  gpa = 0;
  length = 0;
  piece: RamPiece;
  private view: Uint8Array | undefined;

  constructor(piece: RamPiece) {
    this.piece = piece;
  }

  place(piece: RamPiece, gpa: number, length: number): void {
    this.piece = piece;
    this.gpa = gpa;
    this.length = length;
    this.view = undefined;
  }

  get bytes(): Uint8Array {
    const from = this.gpa - this.piece.gpa;
    return (this.view ??= this.piece.bytes.subarray(from, from + this.length));
  }
}

/** A chain in a snapshot: `[gpa, length]` of each piece. */
export interface ChainState {
  readonly id: number;
  readonly slots: number;
  readonly readable: readonly (readonly [number, number])[];
  readonly writable: readonly (readonly [number, number])[];
}

export class Chain implements DescriptorChain {
  readonly readable: PooledSegment[] = [];
  readonly writable: PooledSegment[] = [];
  readableLength = 0;
  writableLength = 0;
  /** Descriptor index (split) or buffer ID (packed). */
  head = 0;
  /** Places that it takes in a packed ring. */
  slots = 0;
  /** When it was popped, for the order of a snapshot; 0 where it is not in flight. */
  serial = 0;
  /** In-order rings: it has been pushed, but older ones have not. */
  done = false;
  written = 0;
  private readonly ram: Ram;
  private readonly pool: PooledSegment[] = [];
  private pooled = 0;

  constructor(ram: Ram) {
    this.ram = ram;
  }

  /** A new buffer. The chain is empty, unless reading the one before has failed half-way. */
  begin(head: number): void {
    if (this.pooled > 0) this.empty();
    this.head = head;
    this.slots = 0;
  }

  /** Takes its bytes away: whoever still holds it after a reset reads and writes nothing. */
  empty(): void {
    this.serial = 0;
    this.done = false;
    this.written = 0;
    // One by one: setting `length` is a call into the runtime.
    for (let left = this.readable.length; left > 0; left--) this.readable.pop();
    for (let left = this.writable.length; left > 0; left--) this.writable.pop();
    this.readableLength = 0;
    this.writableLength = 0;
    this.pooled = 0;
    if (this.pool.length > KEPT_SEGMENTS) this.pool.length = KEPT_SEGMENTS;
  }

  /**
   * Appends what a descriptor names. Pieces of no bytes are left out.
   * @param section where descriptors of this ring are described
   * @throws VirtioViolation
   */
  add(low: number, high: number, length: number, write: boolean, section: string): void {
    if (length === 0) return;
    const gpa = high * TWO_32 + low;
    if (!write && this.writableLength > 0) {
      throw new VirtioViolation('a device-readable descriptor follows a device-writable one', '2.7.4.2');
    }
    if (this.readableLength + this.writableLength + length > TWO_32) {
      throw new VirtioViolation('a descriptor chain is longer than 2^32 bytes', '2.7.5.2');
    }
    // An engine may have its RAM in several pieces that follow each other.
    for (let done = 0; done < length; ) {
      const at = gpa + done;
      const piece = this.ram.locate(at, length - done) ?? this.ram.locate(at, 1);
      if (piece === undefined) {
        throw new VirtioViolation(
          `a descriptor names ${length} bytes at gpa ${gpa.toString(16)}h, which are not all in RAM`,
          section,
        );
      }
      const count = Math.min(length - done, piece.end - at);
      this.place(piece, at, count, write);
      done += count;
    }
  }

  private place(piece: RamPiece, gpa: number, length: number, write: boolean): void {
    const { pool } = this;
    let segment = pool[this.pooled];
    if (segment === undefined) {
      segment = new PooledSegment(piece);
      pool.push(segment);
    }
    this.pooled++;
    segment.place(piece, gpa, length);
    if (write) {
      this.writable.push(segment);
      this.writableLength += length;
    } else {
      this.readable.push(segment);
      this.readableLength += length;
    }
  }

  read(offset: number, into: Uint8Array): number {
    let copied = 0;
    for (const { gpa, length, piece } of this.readable) {
      if (offset >= length) {
        offset -= length;
        continue;
      }
      const count = Math.min(length - offset, into.length - copied);
      if (count <= 0) break;
      const from = gpa - piece.gpa + offset;
      into.set(piece.bytes.subarray(from, from + count), copied);
      copied += count;
      offset = 0;
    }
    return copied;
  }

  write(offset: number, bytes: Uint8Array): number {
    let copied = 0;
    for (const { gpa, length, piece } of this.writable) {
      if (offset >= length) {
        offset -= length;
        continue;
      }
      const count = Math.min(length - offset, bytes.length - copied);
      if (count <= 0) break;
      const source = count === bytes.length ? bytes : bytes.subarray(copied, copied + count);
      piece.bytes.set(source, gpa - piece.gpa + offset);
      this.ram.memory.dirtied(gpa + offset, count);
      copied += count;
      offset = 0;
    }
    return copied;
  }

  save(): ChainState {
    return {
      id: this.head,
      slots: this.slots,
      readable: this.readable.map(({ gpa, length }) => [gpa, length]),
      writable: this.writable.map(({ gpa, length }) => [gpa, length]),
    };
  }

  /** @throws VirtioViolation where the snapshot's pieces are not RAM. */
  restore(state: ChainState): void {
    this.begin(state.id);
    this.slots = state.slots;
    for (const [gpa, length] of state.readable) this.add(gpa % TWO_32, Math.floor(gpa / TWO_32), length, false, '2.7');
    for (const [gpa, length] of state.writable) this.add(gpa % TWO_32, Math.floor(gpa / TWO_32), length, true, '2.7');
  }
}
