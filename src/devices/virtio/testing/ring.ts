/** What the driver's side of a split and of a packed ring have in common. Only tests import this folder. */
import type { TestMemory } from '../../../engine/testing.js';
import { DESC_NEXT, DESC_WRITE } from '../queue/ring.js';

/** A piece of a buffer in test memory. */
export interface Piece {
  readonly gpa: number;
  readonly length: number;
  readonly write: boolean;
}

/** A buffer that the driver has made available. */
export class DriverBuffer {
  readonly pieces: readonly Piece[];
  /** The device's word for the bytes written; undefined until the buffer is used. */
  written: number | undefined;
  private readonly memory: TestMemory;

  constructor(memory: TestMemory, pieces: readonly Piece[]) {
    this.memory = memory;
    this.pieces = pieces;
  }

  /** The device-writable part as it is now. */
  get bytes(): Uint8Array {
    const pieces = this.pieces.filter(({ write }) => write);
    const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const { gpa, length } of pieces) {
      whole.set(this.memory.view(gpa, length), at);
      at += length;
    }
    return whole;
  }

  /** What the device has written, by its word. */
  get answer(): Uint8Array {
    return this.bytes.subarray(0, this.written);
  }
}

/** Gives out test memory from the bottom up, and begins again when it is at the end: buffers are not kept for ever. */
export class Heap {
  readonly memory: TestMemory;
  private next: number;
  private readonly bottom: number;
  private start: number;
  private readonly end: number;

  constructor(memory: TestMemory, start: number, end: number) {
    this.memory = memory;
    this.bottom = this.start = this.next = start;
    this.end = end;
  }

  /** Forgets everything, what was reserved too. */
  restart(): void {
    this.start = this.next = this.bottom;
  }

  /** Memory that is never given out again. */
  reserve(length: number, alignment: number): number {
    const at = this.take(length, alignment);
    this.start = this.next;
    return at;
  }

  take(length: number, alignment: number): number {
    let at = Math.ceil(this.next / alignment) * alignment;
    if (at + length > this.end) at = Math.ceil(this.start / alignment) * alignment;
    if (at + length > this.end) throw new RangeError(`test memory has no ${length} bytes`);
    this.next = at + length;
    return at;
  }
}

export interface DriverRingOptions {
  readonly heap: Heap;
  readonly size: number;
  readonly eventIdx: boolean;
  /** Writes the notify register. */
  readonly notify: (next: number) => void;
}

export abstract class DriverRing {
  readonly size: number;
  readonly memory: TestMemory;
  /** Gpas of the three areas, in the order of the transport's registers. */
  abstract readonly areas: readonly [number, number, number];
  protected readonly heap: Heap;
  protected readonly eventIdx: boolean;
  private readonly notify: (next: number) => void;

  constructor(options: DriverRingOptions) {
    this.heap = options.heap;
    this.memory = options.heap.memory;
    this.size = options.size;
    this.eventIdx = options.eventIdx;
    this.notify = options.notify;
  }

  /**
   * Makes a buffer available: bytes that the device reads, then room that it may write.
   * @param writable lengths of the device-writable pieces
   * @param indirect puts the descriptors into an indirect table
   */
  add(readable: readonly Uint8Array[], writable: readonly number[], indirect = false): DriverBuffer {
    const pieces: Piece[] = [];
    for (const bytes of readable) {
      const gpa = this.heap.take(bytes.length, 1);
      this.memory.view(gpa, bytes.length).set(bytes);
      pieces.push({ gpa, length: bytes.length, write: false });
    }
    for (const length of writable) {
      const gpa = this.heap.take(length, 1);
      this.memory.view(gpa, length).fill(0);
      pieces.push({ gpa, length, write: true });
    }
    const buffer = new DriverBuffer(this.memory, pieces);
    this.addPieces(buffer, indirect);
    return buffer;
  }

  /** `add`, `kick` and `collect` in one, for a device that answers at once. */
  send(readable: readonly Uint8Array[], writable: readonly number[] = [], indirect = false): DriverBuffer {
    const buffer = this.add(readable, writable, indirect);
    this.kick();
    this.collect();
    return buffer;
  }

  /** Notifies the device, whether it wants it or not. */
  kick(): void {
    this.notify(this.next);
  }

  /** A descriptor with whatever is in it: at its place in the table (split), or the next one (packed; `next` is its ID). */
  abstract putRaw(at: number, gpa: number, length: number, flags: number, next: number): void;
  /** Split: makes descriptor `head` available, whatever it is. Packed rings know nothing of the kind. */
  abstract offer(head: number): void;
  /** Whether the device wants to be notified of what was added since the last question. */
  abstract wantsKick(): boolean;
  /** Tells the device not to interrupt (true), or to do so. */
  abstract suppress(on: boolean): void;
  /** EVENT_IDX: asks for an interrupt when so many more buffers have been used. */
  abstract interruptAfter(buffers: number): void;
  /** Buffers used since the last call, in order of use. */
  abstract collect(): DriverBuffer[];
  /** What VIRTIO_F_NOTIFICATION_DATA has in its upper half. */
  protected abstract get next(): number;
  protected abstract addPieces(buffer: DriverBuffer, indirect: boolean): void;

  /** A descriptor whose last two half-words are as given. */
  protected putDescriptor(at: number, gpa: number, length: number, lasts: readonly [number, number]): void {
    putDescriptor(this.memory, at, gpa, length, lasts);
  }

  protected dataView(gpa: number, length: number): DataView {
    const bytes = this.memory.view(gpa, length);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }
}

/** A descriptor whose last two half-words are as given. */
export function putDescriptor(
  memory: TestMemory,
  at: number,
  gpa: number,
  length: number,
  lasts: readonly [number, number],
): void {
  const bytes = memory.view(at, 16);
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  view.setBigUint64(0, BigInt(gpa), true);
  view.setUint32(8, length, true);
  view.setUint16(12, lasts[0], true);
  view.setUint16(14, lasts[1], true);
}

/** Descriptor flags of piece `i` of a chain. */
export function flagsOf(pieces: readonly Piece[], i: number): number {
  return (pieces[i].write ? DESC_WRITE : 0) | (i < pieces.length - 1 ? DESC_NEXT : 0);
}
