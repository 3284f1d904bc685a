/** What a disk's back end and its threads say to each other, in words (io/io-thread.ts). */
import type { BlockRequest } from '../../../devices/virtio/block/backend.js';
import { LONGEST_MESSAGE } from '../io/io-thread.js';

/** What a thread is to open. */
export interface DiskTask {
  readonly path: string;
  readonly format: 'auto' | 'raw' | 'qcow2';
  readonly readonly: boolean;
  /** ms that each flush takes longer: for tests of what a slow disk does to a guest. */
  readonly slowFlush: number;
}

/** What it has found. */
export interface DiskReady {
  readonly size: number;
  readonly physicalBlock: number;
  readonly discardUnit: number;
  /** The image's bytes are those of this open file: what needs no waiting may be done without the thread. */
  readonly plainFile: number | undefined;
}

export const OPERATIONS = ['read', 'write', 'flush', 'discard', 'zero', 'write-out'] as const;
const DURABLE = 0x100;
const UNMAP = 0x200;
const TWO_32 = 2 ** 32;

/** identifier, operation and flags, offset (two words), length, then address (two words) and length of each piece. */
const FIXED = 5;
const PIECE = 3;

/** What the guest asks for; `write-out`: the system is to begin writing a range to the disk, for it will soon be flushed. */
export interface DiskRequest extends Omit<BlockRequest, 'operation'> {
  readonly operation: (typeof OPERATIONS)[number];
}

/** @returns the number of words; 0 where the request is in more pieces than a message holds */
export function encodeRequest(id: number, request: DiskRequest, words: Int32Array): number {
  const flags = (request.durable ? DURABLE : 0) | (request.unmap ? UNMAP : 0);
  words[0] = id;
  words[1] = OPERATIONS.indexOf(request.operation) | flags;
  words[2] = request.offset % TWO_32;
  words[3] = Math.floor(request.offset / TWO_32);
  words[4] = request.length;
  let count = FIXED;
  let end = -1;
  for (const { gpa, length } of request.data) {
    if (gpa === end) {
      words[count - 1] += length;
    } else {
      if (count + PIECE > LONGEST_MESSAGE) return 0;
      words[count] = gpa % TWO_32;
      words[count + 1] = Math.floor(gpa / TWO_32);
      words[count + 2] = length;
      count += PIECE;
    }
    end = gpa + length;
  }
  return count;
}

export interface DecodedRequest {
  operation: (typeof OPERATIONS)[number];
  durable: boolean;
  unmap: boolean;
  offset: number;
  length: number;
}

/** @param piece called for each piece of guest RAM */
export function decodeRequest(
  words: Int32Array,
  count: number,
  piece: (gpa: number, length: number) => void,
): DecodedRequest {
  for (let at = FIXED; at < count; at += PIECE)
    piece((words[at] >>> 0) + (words[at + 1] >>> 0) * TWO_32, words[at + 2] >>> 0);
  return {
    operation: OPERATIONS[words[1] & 0xff],
    durable: (words[1] & DURABLE) !== 0,
    unmap: (words[1] & UNMAP) !== 0,
    offset: (words[2] >>> 0) + (words[3] >>> 0) * TWO_32,
    length: words[4] >>> 0,
  };
}
