/**
 * A ring of messages in shared memory between two threads, one that writes and one that reads. A message is a handful of
 * 32-bit words with their number before them. Positions only grow (modulo 2^32); the writer publishes a message by
 * moving its position behind it, the reader gives the room back by moving his.
 */

const READ_AT = 0;
/** Sixteen words further: the two threads write to different cache lines. */
const WRITTEN_TO = 16;
const HEADER_WORDS = 32;

export class WordRing {
  /** For handing to the other thread. */
  readonly shared: SharedArrayBuffer;
  private readonly positions: Int32Array<SharedArrayBuffer>;
  private readonly words: Int32Array<SharedArrayBuffer>;
  private readonly mask: number;

  /** @param from the number of words of a new ring, a power of two; or another thread's ring. */
  constructor(from: number | SharedArrayBuffer) {
    this.shared = typeof from === 'number' ? new SharedArrayBuffer((HEADER_WORDS + from) * 4) : from;
    this.positions = new Int32Array(this.shared, 0, HEADER_WORDS);
    this.words = new Int32Array(this.shared, HEADER_WORDS * 4);
    this.mask = this.words.length - 1;
    if (this.words.length === 0 || (this.words.length & this.mask) !== 0)
      throw new RangeError(`a ring of ${this.words.length} words: a power of two is wanted`);
  }

  get isEmpty(): boolean {
    return Atomics.load(this.positions, READ_AT) === Atomics.load(this.positions, WRITTEN_TO);
  }

  /** Writes a message of `count` words. @returns false where there is no room for it now. */
  push(message: Int32Array, count: number): boolean {
    const { words, mask } = this;
    const to = Atomics.load(this.positions, WRITTEN_TO);
    const used = (to - Atomics.load(this.positions, READ_AT)) >>> 0;
    if (used + count + 1 > words.length) return false;
    words[to & mask] = count;
    for (let i = 0; i < count; i++) words[(to + 1 + i) & mask] = message[i];
    Atomics.store(this.positions, WRITTEN_TO, (to + 1 + count) | 0);
    return true;
  }

  /** Takes the next message. @returns its number of words, -1 where there is none. */
  pop(into: Int32Array): number {
    const { words, mask } = this;
    const at = Atomics.load(this.positions, READ_AT);
    if (at === Atomics.load(this.positions, WRITTEN_TO)) return -1;
    const count = words[at & mask];
    for (let i = 0; i < count; i++) into[i] = words[(at + 1 + i) & mask];
    Atomics.store(this.positions, READ_AT, (at + 1 + count) | 0);
    return count;
  }
}
