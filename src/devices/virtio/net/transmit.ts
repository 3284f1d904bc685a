/** From the guest to the network (virtio 1.2, 5.1.6.2). */
import type { DescriptorChain, VirtioDriver } from '../device.js';
import type { NetBackend, Offloads } from './backend.js';
import { checkHeader, checkSendLength } from './check.js';
import { ETHERNET_HEADER, HEADER_LENGTH, LONGEST_PACKET } from './header.js';

/** Buffers served in one go; the guest may add as fast as we take. */
const TURN = 1024;
/**
 * A guest hears at once that so many bytes or buffers have gone out, for then it may be waiting for that. Otherwise it
 * finds out by itself when it sends the next, and is spared an interrupt for each packet.
 */
const TELL_BYTES = 8192;
const TELL_BUFFERS = 32;

export class Transmitter {
  readonly #backend: NetBackend;
  readonly #driver: VirtioDriver;
  readonly #queue: number;
  readonly #agreed: Offloads;
  /** A copy: what has been checked must be what is sent. */
  readonly #header = new Uint8Array(HEADER_LENGTH);
  /** The packet that the network has no room for. */
  #held: DescriptorChain | undefined;
  /** What the guest has not been told of. */
  #bytes = 0;
  #buffers = 0;

  constructor(backend: NetBackend, driver: VirtioDriver, queue: number, agreed: Offloads) {
    this.#backend = backend;
    this.#driver = driver;
    this.#queue = queue;
    this.#agreed = agreed;
  }

  /** Sends what there is. @returns whether there may be more, which waits for its turn */
  run(): boolean {
    const queue = this.#driver.queue(this.#queue);
    let turn = TURN;
    for (; turn > 0; turn--) {
      const chain = this.#held ?? queue.pop();
      this.#held = undefined;
      if (chain === undefined) break;
      if (!this.#send(chain)) {
        this.#held = chain;
        break;
      }
      this.#bytes += chain.readableLength;
      this.#buffers++;
      queue.push(chain, 0);
    }
    if (this.#bytes >= TELL_BYTES || this.#buffers >= TELL_BUFFERS || this.#held !== undefined) this.tell();
    return turn === 0;
  }

  /** Whether packets have gone out that the guest has not been told of: `tell` must follow, some time. */
  get owes(): boolean {
    return this.#buffers > 0;
  }

  tell(): void {
    this.#bytes = 0;
    this.#buffers = 0;
    this.#driver.queue(this.#queue).signal();
  }

  /** @returns false where the network has no room now. What is no frame is dropped. */
  #send(chain: DescriptorChain): boolean {
    const { readableLength } = chain;
    checkSendLength(readableLength);
    chain.read(0, this.#header);
    checkHeader(this.#header, readableLength - HEADER_LENGTH, this.#agreed);
    if (readableLength < HEADER_LENGTH + ETHERNET_HEADER || readableLength > LONGEST_PACKET) return true;
    const pieces: Uint8Array[] = [this.#header];
    let skip = HEADER_LENGTH;
    for (const { bytes } of chain.readable) {
      if (skip < bytes.length) pieces.push(skip === 0 ? bytes : bytes.subarray(skip));
      skip = Math.max(0, skip - bytes.length);
    }
    return this.#backend.send(pieces, readableLength);
  }
}
