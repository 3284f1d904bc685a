/**
 * The bytes of 9P2000.L messages: `size[4] type[1] tag[2]` and then fields, little-endian (the protocol's description in
 * Linux's Documentation/filesystems/9p.rst and diod's protocol.md). A message comes from the guest, so whatever is read is
 * checked against its end first.
 */

/** size, type and tag. */
export const HEADER = 7;

/** Requests by number; an answer's number is one more. */
export const T = {
  lerror: 6,
  statfs: 8,
  lopen: 12,
  lcreate: 14,
  symlink: 16,
  mknod: 18,
  rename: 20,
  readlink: 22,
  getattr: 24,
  setattr: 26,
  xattrwalk: 30,
  xattrcreate: 32,
  readdir: 40,
  fsync: 50,
  lock: 52,
  getlock: 54,
  link: 70,
  mkdir: 72,
  renameat: 74,
  unlinkat: 76,
  version: 100,
  auth: 102,
  attach: 104,
  flush: 108,
  walk: 110,
  read: 116,
  write: 118,
  clunk: 120,
  remove: 122,
} as const;

/** Linux's numbers for errors, which 9P2000.L sends as they are (asm-generic/errno-base.h, errno.h). */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  EBADF: 9,
  EACCES: 13,
  EEXIST: 17,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EROFS: 30,
  ENAMETOOLONG: 36,
  ELOOP: 40,
  EPROTO: 71,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
} as const;

/** A request that is answered with an error. */
export class NinepError extends Error {
  override readonly name = 'NinepError';
  readonly errno: number;

  constructor(errno: number) {
    super(`errno ${errno}`);
    this.errno = errno;
  }
}

const utf8 = new TextEncoder();
/** Names are bytes on Linux; those that are not UTF-8 can't be told to Node without loss and are refused. */
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class MessageReader {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private at = HEADER;

  /** @param bytes one whole message, header included, in memory that nobody else changes */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get type(): number {
    return this.bytes[4];
  }

  get tag(): number {
    return this.view.getUint16(5, true);
  }

  u8(): number {
    return this.bytes[this.take(1)];
  }

  u16(): number {
    return this.view.getUint16(this.take(2), true);
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  /** An offset or size. @throws NinepError from 2^53 on: no file of ours is as long */
  u64(): number {
    const at = this.take(8);
    const value = this.view.getUint32(at + 4, true) * 0x1_0000_0000 + this.view.getUint32(at, true);
    if (value > Number.MAX_SAFE_INTEGER) throw new NinepError(Errno.EOVERFLOW);
    return value;
  }

  /** Two words that are copied and never looked at. */
  raw64(): bigint {
    return this.view.getBigUint64(this.take(8), true);
  }

  string(): string {
    const length = this.u16();
    const at = this.take(length);
    try {
      return strictUtf8.decode(this.bytes.subarray(at, at + length));
    } catch {
      throw new NinepError(Errno.EINVAL);
    }
  }

  data(length: number): Uint8Array {
    const at = this.take(length);
    return this.bytes.subarray(at, at + length);
  }

  private take(length: number): number {
    const at = this.at;
    if (at + length > this.bytes.length) throw new NinepError(Errno.EPROTO);
    this.at += length;
    return at;
  }
}

export class MessageWriter {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private at = HEADER;
  private limit: number;

  /** @param capacity the longest message, header included */
  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
    this.limit = capacity;
  }

  /** Begins a message anew, which may be `limit` bytes long. */
  begin(type: number, tag: number, limit: number): void {
    this.at = HEADER;
    this.limit = Math.min(limit, this.bytes.length);
    this.bytes[4] = type;
    this.view.setUint16(5, tag, true);
  }

  /** The message, valid until the next `begin`. */
  finish(): Uint8Array {
    this.view.setUint32(0, this.at, true);
    return this.bytes.subarray(0, this.at);
  }

  /** Bytes that still fit. */
  get room(): number {
    return this.limit - this.at;
  }

  u8(value: number): void {
    this.bytes[this.take(1)] = value;
  }

  u16(value: number): void {
    this.view.setUint16(this.take(2), value, true);
  }

  u32(value: number): void {
    this.view.setUint32(this.take(4), value, true);
  }

  u64(value: bigint): void {
    this.view.setBigUint64(this.take(8), BigInt.asUintN(64, value), true);
  }

  string(text: string): void {
    const bytes = utf8.encode(text);
    this.u16(bytes.length);
    this.bytes.set(bytes, this.take(bytes.length));
  }

  /** Room for `length` bytes behind their number, for a reader that fills it: `count[4] data[count]`. */
  block(length: number, fill: (into: Uint8Array) => number): void {
    const head = this.take(4);
    const start = this.at;
    const filled = fill(this.bytes.subarray(start, start + Math.min(length, this.room)));
    this.view.setUint32(head, filled, true);
    this.at = start + filled;
  }

  private take(length: number): number {
    const at = this.at;
    if (at + length > this.limit) throw new NinepError(Errno.EPROTO);
    this.at += length;
    return at;
  }
}

/** Bytes of a string on the wire. */
export function wireLength(text: string): number {
  return 2 + utf8.encode(text).length;
}
