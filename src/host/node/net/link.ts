/** The network's end of the channel: packets are built in the ring, and the machine is woken once for many of them. */
import { NO_OFFLOADS, type Offloads } from '../../../devices/virtio/net/backend.js';
import type { Link } from '../../../net/link.js';
import type { NetChannel } from './channel.js';

export class ChannelLink implements Link {
  offloads: Offloads = NO_OFFLOADS;
  readonly #channel: NetChannel;
  #reserved = 0;
  #dirty = false;

  constructor(channel: NetChannel) {
    this.#channel = channel;
  }

  /** The machine empties the ring where there is no driver, so it is drained then, too. */
  get drained(): boolean {
    return this.#channel.toGuest.isEmpty;
  }

  reserve(length: number): Uint8Array | undefined {
    const { toGuest } = this.#channel;
    this.#reserved = length;
    const room = toGuest.reserve(length);
    if (room !== undefined) return room;
    toGuest.writerWaits();
    return toGuest.reserve(length);
  }

  commit(length = this.#reserved): void {
    this.#channel.toGuest.commit(length);
    this.#dirty = true;
  }

  /** Tells the machine of what was sent since the last call. */
  flush(): void {
    if (!this.#dirty) return;
    this.#dirty = false;
    this.#channel.machineBell.ring();
  }
}
