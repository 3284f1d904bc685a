/**
 * Packets on their way from one thread to another: a ring of bytes in shared memory, one writer, one reader. A packet lies in
 * one piece, so it is built and read in place. Positions count bytes and only grow (modulo 2^32).
 */

const READ_AT = 0;
/** Sixteen words further: the two threads write to different cache lines. */
const WRITTEN_TO = 16;
/** The writer waits for room. */
const WAITING = 17;
const HEADER_WORDS = 32;
/** Before each packet: its length, or SKIP where the next begins at the ring's begin. */
const LENGTH_BYTES = 4;
const SKIP = -1;

export class PacketRing {
  /** For handing to the other thread. */
  readonly shared: SharedArrayBuffer;
  readonly #positions: Int32Array<SharedArrayBuffer>;
  readonly #lengths: Int32Array<SharedArrayBuffer>;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #size: number;
  /** Where the reserved packet will lie, and how long it may be. */
  #reservedAt = 0;
  #reserved = -1;

  /** @param from the bytes of a new ring, a power of two; or another thread's ring */
  constructor(from: number | SharedArrayBuffer) {
    this.shared = typeof from === 'number' ? new SharedArrayBuffer(HEADER_WORDS * 4 + from) : from;
    this.#positions = new Int32Array(this.shared, 0, HEADER_WORDS);
    this.#lengths = new Int32Array(this.shared, HEADER_WORDS * 4);
    this.#bytes = new Uint8Array(this.shared, HEADER_WORDS * 4);
    this.#size = this.#bytes.length;
    if ((this.#size & (this.#size - 1)) !== 0)
      throw new RangeError(`a ring of ${this.#size} bytes: a power of two is wanted`);
  }

  get isEmpty(): boolean {
    return Atomics.load(this.#positions, READ_AT) === Atomics.load(this.#positions, WRITTEN_TO);
  }

  // ---- the writer --------------------------------------------------------------------------------------------------

  /** Room for a packet of at most `length` bytes, until `commit`; undefined where there is none: the reader will say (`shift`). */
  reserve(length: number): Uint8Array | undefined {
    const room = this.#place(length);
    if (room !== undefined) return room;
    Atomics.store(this.#positions, WAITING, 1);
    // The reader may have gone on between the two.
    return this.#place(length);
  }

  #place(length: number): Uint8Array | undefined {
    const to = Atomics.load(this.#positions, WRITTEN_TO);
    const used = (to - Atomics.load(this.#positions, READ_AT)) >>> 0;
    const offset = to & (this.#size - 1);
    const needed = (LENGTH_BYTES + length + 3) & ~3;
    const skip = offset + needed > this.#size ? this.#size - offset : 0;
    if (used + skip + needed > this.#size) return undefined;
    if (skip > 0) this.#lengths[offset >> 2] = SKIP;
    this.#reservedAt = (to + skip) | 0;
    this.#reserved = length;
    const at = (this.#reservedAt & (this.#size - 1)) + LENGTH_BYTES;
    return this.#bytes.subarray(at, at + length);
  }

  /** Hands over what was reserved, or its first `length` bytes. */
  commit(length = this.#reserved): void {
    if (length < 0 || length > this.#reserved)
      throw new RangeError(`commit of ${length} bytes, ${this.#reserved} reserved`);
    this.#lengths[(this.#reservedAt & (this.#size - 1)) >> 2] = length;
    this.#reserved = -1;
    Atomics.store(this.#positions, WRITTEN_TO, (this.#reservedAt + ((LENGTH_BYTES + length + 3) & ~3)) | 0);
  }

  // ---- the reader --------------------------------------------------------------------------------------------------

  /** The next packet, valid until `shift`; undefined where there is none. */
  peek(): Uint8Array | undefined {
    const at = this.#next();
    if (at === undefined) return undefined;
    const offset = at & (this.#size - 1);
    const length = this.#lengths[offset >> 2];
    return this.#bytes.subarray(offset + LENGTH_BYTES, offset + LENGTH_BYTES + length);
  }

  /** Gives the next packet's room back. @returns whether the writer waits for it, and is to be told that there is room */
  shift(): boolean {
    const at = this.#next();
    if (at === undefined) return false;
    const length = this.#lengths[(at & (this.#size - 1)) >> 2];
    return this.#free(at + ((LENGTH_BYTES + length + 3) & ~3));
  }

  /** Throws everything away that is there now. @returns as `shift` */
  clear(): boolean {
    return this.#free(Atomics.load(this.#positions, WRITTEN_TO));
  }

  #next(): number | undefined {
    const at = Atomics.load(this.#positions, READ_AT);
    if (at === Atomics.load(this.#positions, WRITTEN_TO)) return undefined;
    const offset = at & (this.#size - 1);
    return this.#lengths[offset >> 2] === SKIP ? (at + this.#size - offset) | 0 : at;
  }

  #free(until: number): boolean {
    Atomics.store(this.#positions, READ_AT, until | 0);
    if (Atomics.load(this.#positions, WAITING) === 0) return false;
    // Waking somebody for one packet at a time would cost more than the packets.
    const used = (Atomics.load(this.#positions, WRITTEN_TO) - until) >>> 0;
    if (used > this.#size / 2) return false;
    Atomics.store(this.#positions, WAITING, 0);
    return true;
  }
}
