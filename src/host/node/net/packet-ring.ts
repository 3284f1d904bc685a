/**
 * A ring of packets in shared memory between two threads, one that writes and one that reads. A packet lies in one piece, so
 * that a system call can fill it or send it where it lies; where one does not fit before the ring's end, the rest is
 * skipped. Positions only grow (modulo 2^32): the writer publishes a packet by moving his behind it, the reader gives the room
 * back by moving his.
 *
 * Whoever finds nothing to do says so (`readerWaits`, `writerWaits`) and looks once more; the other side then knows that it
 * has somebody to wake. Who is woken and finds nothing again says so again: the other side may take the wish just after what
 * it handed over before has been found, and then there is nobody whom it would wake for the next.
 */

/** Words of the header, each on a cache line of its own. */
const READ_AT = 0;
const WRITTEN_TO = 16;
const READER_WAITS = 32;
const WRITER_WAITS = 48;
const HEADER_BYTES = 256;
/** Before each packet its length; this one says that the ring goes on at its beginning. */
const SKIP = 0xffff_ffff;
const ALIGNMENT = 8;

export class PacketRing {
  /** For handing to the other thread. */
  readonly shared: SharedArrayBuffer;
  private readonly header: Int32Array;
  private readonly lengths: Uint32Array;
  private readonly bytes: Uint8Array;
  private readonly mask: number;
  private reserved = 0;

  /** @param from bytes of a new ring, a power of two and at least twice the longest packet; or another thread's ring */
  constructor(from: number | SharedArrayBuffer) {
    this.shared = typeof from === 'number' ? new SharedArrayBuffer(HEADER_BYTES + from) : from;
    this.header = new Int32Array(this.shared, 0, HEADER_BYTES / 4);
    this.bytes = new Uint8Array(this.shared, HEADER_BYTES);
    this.lengths = new Uint32Array(this.shared, HEADER_BYTES);
    this.mask = this.bytes.length - 1;
    if (this.bytes.length < 64 || (this.bytes.length & this.mask) !== 0)
      throw new RangeError(`a ring of ${this.bytes.length} bytes: a power of two is wanted`);
  }

  get isEmpty(): boolean {
    return Atomics.load(this.header, READ_AT) === Atomics.load(this.header, WRITTEN_TO);
  }

  // ---- the writer --------------------------------------------------------------------------------------------------

  /** Room for a packet, with arbitrary content; undefined where there is none now. */
  reserve(length: number): Uint8Array | undefined {
    const { bytes, mask } = this;
    const to = Atomics.load(this.header, WRITTEN_TO);
    const free = bytes.length - ((to - Atomics.load(this.header, READ_AT)) >>> 0);
    const needed = recordSize(length);
    const untilEnd = bytes.length - (to & mask);
    const skipped = needed > untilEnd ? untilEnd : 0;
    if (needed + skipped > free) return undefined;
    if (skipped > 0) this.lengths[(to & mask) >> 2] = SKIP;
    this.reserved = (to + skipped) | 0;
    const at = this.reserved & mask;
    return bytes.subarray(at + 4, at + 4 + length);
  }

  /** Hands over the first `length` bytes of what was reserved last. */
  commit(length: number): void {
    this.lengths[(this.reserved & this.mask) >> 2] = length;
    Atomics.store(this.header, WRITTEN_TO, (this.reserved + recordSize(length)) | 0);
  }

  /** Whether the reader is to be woken; asking takes the wish away. For after `commit`. */
  takeReaderWaits(): boolean {
    return Atomics.load(this.header, READER_WAITS) !== 0 && Atomics.exchange(this.header, READER_WAITS, 0) !== 0;
  }

  /** The writer wants to be woken when there is room. He must look for it once more afterwards. */
  writerWaits(): void {
    Atomics.store(this.header, WRITER_WAITS, 1);
  }

  // ---- the reader --------------------------------------------------------------------------------------------------

  /** The oldest packet, valid until `shift`. */
  peek(): Uint8Array | undefined {
    const { bytes, mask, lengths } = this;
    let at = Atomics.load(this.header, READ_AT);
    if (at === Atomics.load(this.header, WRITTEN_TO)) return undefined;
    let length = lengths[(at & mask) >> 2];
    if (length === SKIP) {
      at = (at + bytes.length - (at & mask)) | 0;
      Atomics.store(this.header, READ_AT, at);
      length = lengths[(at & mask) >> 2];
    }
    const from = (at & mask) + 4;
    return bytes.subarray(from, from + length);
  }

  /** Gives back the room of what `peek` has shown. */
  shift(): void {
    const at = Atomics.load(this.header, READ_AT);
    Atomics.store(this.header, READ_AT, (at + recordSize(this.lengths[(at & this.mask) >> 2])) | 0);
  }

  /** Whether the writer is to be woken; asking takes the wish away. For after `shift`. */
  takeWriterWaits(): boolean {
    return Atomics.load(this.header, WRITER_WAITS) !== 0 && Atomics.exchange(this.header, WRITER_WAITS, 0) !== 0;
  }

  /** The reader wants to be woken when there is a packet. He must look for one once more afterwards. */
  readerWaits(): void {
    Atomics.store(this.header, READER_WAITS, 1);
  }
}

function recordSize(length: number): number {
  return (length + 4 + ALIGNMENT - 1) & -ALIGNMENT;
}
