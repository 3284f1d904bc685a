/**
 * What a disk can do without waiting it does at once, on the machine's thread: the system is asked to read or write only if
 * that needs no waiting (RWF_NOWAIT: the pages are in its cache), which is a copy of some microseconds, less than a thread
 * takes to wake up. Everything else goes to the thread. Either way the guest hears of it by the one door, `Host.poll`.
 */
import type { BlockRequest } from '../../../devices/virtio/block/backend.js';
import type { GuestMemory } from '../../../engine/contract.js';
import { type Libc, loadLibc, RWF_NOWAIT } from '../ffi/libc.js';

/** Longest request in bytes: a copy of a quarter of a millisecond. */
const LARGEST = 2 ** 20;
const MOST_PIECES = 512;
/** Refusals in a row after which an operation is left to the thread for as many requests. */
const PATIENCE = 32;
const TWO_32 = 2 ** 32;
/** struct iovec. */
const IOVEC_SIZE = 16;

/** Whether it pays to ask, for reads and for writes each: a disk that is not in the cache is not asked all the time. */
class Luck {
  private refusals = 0;
  private pause = 0;

  get isGood(): boolean {
    if (this.pause === 0) return true;
    this.pause--;
    return false;
  }

  note(done: boolean): void {
    this.refusals = done ? 0 : this.refusals + 1;
    if (this.refusals < PATIENCE) return;
    this.refusals = 0;
    this.pause = PATIENCE;
  }
}

export class AtOnce {
  private readonly libc: Libc;
  private readonly fd: number;
  /** Kept: addresses do not keep it. */
  private readonly memory: GuestMemory;
  private readonly pieces: readonly { readonly gpa: number; readonly end: number; readonly address: number }[];
  private readonly vector = new Uint8Array(MOST_PIECES * IOVEC_SIZE);
  private readonly view = new DataView(this.vector.buffer);
  private readonly luck = { read: new Luck(), write: new Luck() };

  private constructor(libc: Libc, fd: number, memory: GuestMemory) {
    this.libc = libc;
    this.fd = fd;
    this.memory = memory;
    this.pieces = memory.pieces.map(({ gpa, bytes }) => ({
      gpa,
      end: gpa + bytes.length,
      address: Number(libc.addressOf(bytes)),
    }));
  }

  /** Undefined where the C library can't be called: everything goes to the thread then. */
  static over(fd: number, memory: GuestMemory): AtOnce | undefined {
    try {
      return new AtOnce(loadLibc(), fd, memory);
    } catch {
      return undefined;
    }
  }

  /** @returns whether the request has been carried out, all of it */
  does(request: BlockRequest): boolean {
    const { operation, offset, length, data, durable } = request;
    if (operation !== 'read' && operation !== 'write') return false;
    // The thread looks at what is written to the first sector (RawImage).
    if (durable || length > LARGEST || (operation === 'write' && offset === 0)) return false;
    const luck = this.luck[operation];
    if (!luck.isGood) return false;
    const count = this.point(data);
    if (count === 0) return false;
    const call = operation === 'read' ? this.libc.tryReadv : this.libc.tryWritev;
    const done = call(this.fd, this.vector, count, offset, RWF_NOWAIT) === length;
    luck.note(done);
    return done;
  }

  /** Points the vector at pieces of guest RAM. @returns how many; 0 where they are too many, or not in RAM */
  private point(data: BlockRequest['data']): number {
    if (data.length > MOST_PIECES) return 0;
    for (const [i, { gpa, bytes }] of data.entries()) {
      const piece = this.pieces.find((p) => gpa >= p.gpa && gpa + bytes.length <= p.end);
      if (piece === undefined || !this.memory.contains(gpa, bytes.length)) return 0;
      const address = piece.address + (gpa - piece.gpa);
      const at = i * IOVEC_SIZE;
      this.view.setUint32(at, address % TWO_32, true);
      this.view.setUint32(at + 4, Math.floor(address / TWO_32), true);
      this.view.setUint32(at + 8, bytes.length, true);
      this.view.setUint32(at + 12, 0, true);
    }
    return data.length;
  }
}
