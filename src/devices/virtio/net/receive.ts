/** From the network to the guest (virtio 1.2, 5.1.6.3, 5.1.6.4). Packets wait where they are until there is a buffer. */
import { type DescriptorChain, type VirtioDriver, VirtioViolation } from '../device.js';
import type { NetBackend, Offloads } from './backend.js';
import { finishChecksum } from './checksum.js';
import { receiveOffloads, VIRTIO_NET_F_MRG_RXBUF } from './features.js';
import type { ReceiveFilter } from './filter.js';
import {
  ETHERNET_HEADER,
  HDR_FLAGS,
  HDR_GSO_TYPE,
  HDR_NUM_BUFFERS,
  HEADER_LENGTH,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
} from './header.js';

/** The least that a buffer for receiving holds without mergeable buffers: header and frame (5.1.6.3.1). */
const LEAST_BUFFER = HEADER_LENGTH + ETHERNET_HEADER + 1500;
/** Packets delivered in one go: a network that is as fast as we must not hold the guest up. */
const TURN = 1024;

export class ReceiveQueue {
  readonly #backend: NetBackend;
  readonly #driver: VirtioDriver;
  readonly #queue: number;
  readonly #filter: ReceiveFilter;
  readonly #merges: boolean;
  readonly #agreed: Offloads;
  /** Buffers that are too few for the packet that waits. */
  #buffers: DescriptorChain[] = [];
  #room = 0;
  /** Frames that the guest could never have taken. */
  dropped = 0;

  constructor(backend: NetBackend, driver: VirtioDriver, queue: number, filter: ReceiveFilter) {
    this.#backend = backend;
    this.#driver = driver;
    this.#queue = queue;
    this.#filter = filter;
    this.#merges = driver.has(VIRTIO_NET_F_MRG_RXBUF);
    this.#agreed = receiveOffloads(driver.features);
  }

  /** Delivers what there is and fits. @returns whether there may be more, which waits for its turn */
  run(): boolean {
    const queue = this.#driver.queue(this.#queue);
    if (!queue.enabled) return false;
    let turn = TURN;
    for (; turn > 0; turn--) {
      const packet = this.#backend.peek();
      if (packet === undefined) break;
      if (!this.#prepare(packet)) {
        this.dropped++;
      } else if (!this.#gather(packet.length)) {
        if (this.#mayStillFit()) break;
        this.dropped++;
      } else {
        this.#deliver(packet);
      }
      this.#backend.shift();
    }
    queue.signal();
    return turn === 0;
  }

  /** Whether the guest wants the packet; finishes what the guest does not take undone. */
  #prepare(packet: Uint8Array): boolean {
    if (packet.length < HEADER_LENGTH + ETHERNET_HEADER) return false;
    if (!this.#filter.passes(packet.subarray(HEADER_LENGTH))) return false;
    const gso = packet[HDR_GSO_TYPE];
    const kind = gso & ~VIRTIO_NET_HDR_GSO_ECN;
    if (gso !== VIRTIO_NET_HDR_GSO_NONE) {
      if (
        kind === VIRTIO_NET_HDR_GSO_TCPV4 ? !this.#agreed.tso4 : kind !== VIRTIO_NET_HDR_GSO_TCPV6 || !this.#agreed.tso6
      )
        return false;
      if (gso !== kind && !this.#agreed.ecn) return false;
    }
    if (!this.#agreed.checksum) {
      if ((packet[HDR_FLAGS] & VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0) finishChecksum(packet);
      packet[HDR_FLAGS] = 0;
    }
    return true;
  }

  /** Takes buffers until `length` bytes fit. @throws VirtioViolation where one is too small for anything */
  #gather(length: number): boolean {
    const queue = this.#driver.queue(this.#queue);
    const least = this.#merges ? HEADER_LENGTH : LEAST_BUFFER;
    while (this.#room < length) {
      if (!this.#merges && this.#buffers.length === 1) return false;
      const chain = queue.pop();
      if (chain === undefined) return false;
      if (chain.writableLength < least)
        throw new VirtioViolation(
          `the driver has given a buffer of ${chain.writableLength} bytes for receiving, less than ${least}`,
          '5.1.6.3.1',
        );
      this.#buffers.push(chain);
      this.#room += chain.writableLength;
    }
    return true;
  }

  /** Whether more buffers can come: not where one must do, or all that the ring holds are here. */
  #mayStillFit(): boolean {
    return this.#merges ? this.#buffers.length < this.#driver.queue(this.#queue).size : this.#buffers.length === 0;
  }

  #deliver(packet: Uint8Array): void {
    const queue = this.#driver.queue(this.#queue);
    const used: number[] = [];
    let at = 0;
    while (at < packet.length) {
      const { writableLength } = this.#buffers[used.length];
      used.push(Math.min(writableLength, packet.length - at));
      at += used[used.length - 1];
    }
    // Always 1 without mergeable buffers (5.1.6.4.1).
    packet[HDR_NUM_BUFFERS] = used.length;
    packet[HDR_NUM_BUFFERS + 1] = used.length >> 8;
    at = 0;
    for (const [i, length] of used.entries()) {
      const chain = this.#buffers[i];
      chain.write(0, at === 0 && length === packet.length ? packet : packet.subarray(at, at + length));
      this.#room -= chain.writableLength;
      queue.push(chain, length);
      at += length;
    }
    this.#buffers.splice(0, used.length);
  }
}
