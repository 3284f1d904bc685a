/**
 * The socket device (virtio 1.2, 5.10): carries packets between the guest and whoever switches them (`switch.ts`), which
 * runs elsewhere. It looks at lengths only; connections and their credit are the switch's.
 */
import type { Clock } from '../../device.js';
import { requireVersion } from '../../persist.js';
import { configField } from '../config.js';
import {
  attempt,
  type DescriptorChain,
  featureSet,
  type VirtioConfigSpace,
  type VirtioDevice,
  type VirtioDriver,
  VirtioViolation,
  type Virtqueue,
} from '../device.js';
import { Turns } from '../turns.js';
import { HEADER_LENGTH, LONGEST_PAYLOAD, Op, readHeader, setLength } from './header.js';

export const VIRTIO_VSOCK = 19;
/** Stream sockets (5.10.3). */
export const VIRTIO_VSOCK_F_STREAM = 0;
const RX = 0;
const TX = 1;
const QUEUE_SIZE = 128;
/** Buffers of a turn. */
const TURN = 256;

/** Packets each way, without waiting: the shape of a network's back end (net/backend.ts). */
export interface VsockBackend {
  /** A driver has started and hears of news, or (undefined) there is none any more. */
  connect(port: { onPackets(): void; onRoom(): void } | undefined): void;
  /** @returns false where there is no room now: nothing has been taken, and `onRoom` will follow */
  send(pieces: readonly Uint8Array[], length: number): boolean;
  /** The next packet for the guest, valid until `shift`. */
  peek(): Uint8Array | undefined;
  shift(): void;
}

export interface VsockOptions {
  /** The guest's address, 3 and up. */
  readonly cid: number;
  readonly backend: VsockBackend;
  readonly clock: Clock;
}

export interface VsockState {
  version: 1;
}

export class VirtioVsock implements VirtioDevice<VsockState> {
  readonly name = 'virtio-vsock';
  readonly type = VIRTIO_VSOCK;
  /** A communication controller of no particular kind. */
  readonly classCode = 0x07_8000;
  readonly features = featureSet(VIRTIO_VSOCK_F_STREAM);
  /** To the guest, from it, and events, of which there are none before snapshots are restored. */
  readonly queueSizes = [QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE];
  readonly config: VirtioConfigSpace;
  private readonly backend: VsockBackend;
  private driver: VirtioDriver | undefined;
  /** The guest's packet that there is no room for. */
  private held: DescriptorChain | undefined;
  /** Payload of the first packet that has gone to the guest already. */
  private delivered = 0;
  private readonly header = new Uint8Array(HEADER_LENGTH);
  private readonly sending: Turns;
  private readonly delivering: Turns;

  constructor({ cid, backend, clock }: VsockOptions) {
    this.backend = backend;
    this.sending = new Turns(clock, (driver) => this.send(driver));
    this.delivering = new Turns(clock, (driver) => this.deliver(driver));
    // guest_cid[8], the upper half zero
    const bytes = new Uint8Array(Uint32Array.of(cid, 0).buffer);
    this.config = { length: bytes.length, read: (offset, size) => configField(bytes, offset, size) };
  }

  start(driver: VirtioDriver): void {
    this.driver = driver;
    this.backend.connect({
      onPackets: () => attempt(driver, () => this.delivering.run(driver)),
      onRoom: () => attempt(driver, () => this.sending.run(driver)),
    });
  }

  notify(queue: number): void {
    if (queue === RX) this.delivering.run(this.driver!);
    else if (queue === TX) this.sending.run(this.driver!);
  }

  reset(): void {
    if (this.driver === undefined) return;
    this.driver = undefined;
    this.sending.cancel();
    this.delivering.cancel();
    this.held = undefined;
    this.delivered = 0;
    this.backend.connect(undefined);
  }

  /** @returns whether there may be more, which waits for its turn */
  private send(driver: VirtioDriver): boolean {
    const queue = driver.queue(TX);
    let turn = TURN;
    for (; turn > 0; turn--) {
      const chain = this.held ?? queue.pop();
      this.held = undefined;
      if (chain === undefined) break;
      if (!this.backend.send(this.piecesOf(chain), chain.readableLength)) {
        this.held = chain;
        break;
      }
      queue.push(chain, 0);
    }
    queue.signal();
    return turn === 0;
  }

  /** The checked header, in a copy that the guest can't change any more, and the payload. */
  private piecesOf(chain: DescriptorChain): Uint8Array[] {
    const { header } = this;
    const { readableLength } = chain;
    header.fill(0);
    chain.read(0, header);
    const { length } = readHeader(header);
    if (readableLength !== HEADER_LENGTH + length || length > LONGEST_PAYLOAD) {
      throw new VirtioViolation(
        `the driver sent virtio-vsock a packet of ${readableLength} bytes that says its payload is ${length}`,
        '5.10.6',
      );
    }
    const pieces: Uint8Array[] = [header];
    let skip = HEADER_LENGTH;
    for (const { bytes } of chain.readable) {
      if (skip < bytes.length) pieces.push(bytes.subarray(skip));
      skip = Math.max(0, skip - bytes.length);
    }
    return pieces;
  }

  /** @returns whether there may be more, which waits for its turn */
  private deliver(driver: VirtioDriver): boolean {
    const queue = driver.queue(RX);
    let turn = TURN;
    for (; turn > 0; turn--) {
      const packet = this.backend.peek();
      if (packet === undefined || !this.deliverPiece(queue, packet)) break;
    }
    queue.signal();
    return turn === 0;
  }

  /** As much of a packet as the guest's next buffer takes: a stream may be cut anywhere. @returns whether there was one */
  private deliverPiece(queue: Virtqueue, packet: Uint8Array): boolean {
    const chain = queue.pop();
    if (chain === undefined) return false;
    if (chain.writableLength < HEADER_LENGTH)
      throw new VirtioViolation(`the driver gave virtio-vsock a buffer of ${chain.writableLength} bytes`, '5.10.6');
    const { header } = this;
    header.set(packet.subarray(0, HEADER_LENGTH));
    const left = packet.length - HEADER_LENGTH - this.delivered;
    const length = Math.min(left, chain.writableLength - HEADER_LENGTH);
    if (left > 0 && length === 0)
      throw new VirtioViolation(`the driver gave virtio-vsock a buffer with no room behind the header`, '5.10.6');
    if (readHeader(header).op === Op.rw) setLength(header, length);
    chain.write(0, header);
    const from = HEADER_LENGTH + this.delivered;
    chain.write(HEADER_LENGTH, packet.subarray(from, from + length));
    queue.push(chain, HEADER_LENGTH + length);
    this.delivered += length;
    if (length === left) {
      this.delivered = 0;
      this.backend.shift();
    }
    return true;
  }

  save(): VsockState {
    return { version: 1 };
  }

  /** @throws UnknownStateVersion */
  restore(state: VsockState): void {
    requireVersion('virtio-vsock', state, 1);
  }
}
