/**
 * What a disk can do without waiting it does at once, on the machine's thread: the system is asked to read or write only if
 * that needs no waiting (RWF_NOWAIT: the pages are in its cache), which is a copy of some microseconds, less than a thread
 * takes to wake up. Everything else goes to the thread. Either way the guest hears of it by the one door, `Host.poll`.
 *
 * ext4 reads so, but never writes. What whole pages of it are written to is the cache all the same; there we look for
 * ourselves whether that needs no waiting (write-room.ts).
 */
import { statfsSync } from 'node:fs';
import type { BlockRequest } from '../../../devices/virtio/block/backend.js';
import type { GuestMemory } from '../../../engine/contract.js';
import { type Libc, loadLibc, RWF_NOWAIT } from '../ffi/libc.js';
import { Luck } from './luck.js';
import { WriteRoom } from './write-room.js';

/** Longest request in bytes: a copy of a quarter of a millisecond. */
const LARGEST = 2 ** 20;
const MOST_PIECES = 512;
/** Refusals in a row, of reads or of writes, after which as many are not asked for: some file systems never write so. */
const PATIENCE = 32;
const PAGE = 4096;
/** statfs(2). */
const EXT4_SUPER_MAGIC = 0xef53;
const TWO_32 = 2 ** 32;
/** struct iovec in words: address and length of 64 bits each. */
const IOVEC_WORDS = 4;

/** A piece of guest RAM. */
interface Piece {
  readonly gpa: number;
  readonly end: number;
  readonly address: number;
  /** Kept: an address keeps nothing. */
  readonly bytes: Uint8Array;
}

export class AtOnce {
  private readonly libc: Libc;
  private readonly fd: number;
  private readonly pieces: readonly Piece[];
  private readonly vector = new Uint32Array(MOST_PIECES * IOVEC_WORDS);
  private readonly vectorBytes = new Uint8Array(this.vector.buffer);
  private readonly luck = { read: new Luck(PATIENCE), write: new Luck(PATIENCE) };
  private readonly room: WriteRoom | undefined;

  private constructor(libc: Libc, fd: number, memory: GuestMemory) {
    this.room = statfsSync(`/proc/self/fd/${fd}`).type === EXT4_SUPER_MAGIC ? new WriteRoom() : undefined;
    this.libc = libc;
    this.fd = fd;
    this.pieces = memory.pieces.map(({ gpa, bytes }) => ({
      gpa,
      end: gpa + bytes.length,
      address: Number(libc.addressOf(bytes)),
      bytes,
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
    const { operation, offset, length, durable } = request;
    if (length > LARGEST) return false;
    if (operation === 'read') return this.luck.read.isGood && this.noted('read', this.reads(request));
    // The thread looks at what is written to the first sector (RawImage).
    if (operation !== 'write' || durable || offset === 0) return false;
    if (this.room === undefined) return this.luck.write.isGood && this.noted('write', this.writes(request, RWF_NOWAIT));
    // A part of a page that is not in the cache would have to be read first.
    if (offset % PAGE !== 0 || length % PAGE !== 0) return false;
    return this.room.write(length, () => this.writes(request, 0));
  }

  private reads({ offset, length, data }: BlockRequest): boolean {
    const count = this.point(data);
    return count > 0 && this.libc.tryReadv(this.fd, this.vectorBytes, count, offset, RWF_NOWAIT) === length;
  }

  private writes({ offset, length, data }: BlockRequest, flags: number): boolean {
    const count = this.point(data);
    return count > 0 && this.libc.tryWritev(this.fd, this.vectorBytes, count, offset, flags) === length;
  }

  private noted(operation: 'read' | 'write', done: boolean): boolean {
    this.luck[operation].note(done);
    return done;
  }

  /** Points the vector at pieces of guest RAM. @returns how many; 0 where they are too many, or not in RAM */
  private point(data: BlockRequest['data']): number {
    const { vector } = this;
    let count = 0;
    let end = -1;
    let piece = this.pieces[0];
    for (const { gpa, length } of data) {
      const isNear = gpa >= piece.gpa && gpa + length <= piece.end;
      if (isNear && gpa === end) {
        vector[count * IOVEC_WORDS - 2] += length;
        end += length;
        continue;
      }
      if (!isNear) {
        const other = this.pieces.find((p) => gpa >= p.gpa && gpa + length <= p.end);
        if (other === undefined) return 0;
        piece = other;
      }
      if (count === MOST_PIECES) return 0;
      const address = piece.address + (gpa - piece.gpa);
      const at = count++ * IOVEC_WORDS;
      // Stored modulo 2^32. The high halves of lengths stay 0.
      vector[at] = address;
      vector[at + 1] = address / TWO_32;
      vector[at + 2] = length;
      end = gpa + length;
    }
    return count;
  }
}
