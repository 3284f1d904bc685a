/** What has come from outside and the guest has not acknowledged: a ring of bytes that grows as it must. */

const SMALLEST = 16 * 1024;

export class SendBuffer {
  #bytes: Uint8Array = new Uint8Array();
  #start = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  append(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#bytes.length) this.#grow(this.#length + bytes.length);
    const capacity = this.#bytes.length;
    const at = (this.#start + this.#length) % capacity;
    const first = Math.min(bytes.length, capacity - at);
    this.#bytes.set(bytes.subarray(0, first), at);
    this.#bytes.set(bytes.subarray(first), 0);
    this.#length += bytes.length;
  }

  /** Fills `into` with the bytes from `offset` on; they must be there. */
  copy(offset: number, into: Uint8Array): void {
    const at = (this.#start + offset) % this.#bytes.length;
    const first = Math.min(into.length, this.#bytes.length - at);
    into.set(this.#bytes.subarray(at, at + first));
    into.set(this.#bytes.subarray(0, into.length - first), first);
  }

  /** Forgets the first `count` bytes. */
  drop(count: number): void {
    this.#length -= count;
    this.#start = this.#length === 0 ? 0 : (this.#start + count) % this.#bytes.length;
  }

  /** Gives the memory back, where it is empty and holds more than `most`. */
  trim(most: number): void {
    if (this.#length === 0 && this.#bytes.length > most) this.#bytes = new Uint8Array();
  }

  #grow(needed: number): void {
    const bytes = new Uint8Array(Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(needed))));
    if (this.#length > 0) this.copy(0, bytes.subarray(0, this.#length));
    this.#bytes = bytes;
    this.#start = 0;
  }
}
