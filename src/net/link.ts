/**
 * The cable between the stack and the guest's card. Packets are built in place: whoever sends reserves room, fills it
 * and commits. There may be none: then TCP waits, and everything else is dropped, as on any other cable.
 */
import type { Offloads } from '../devices/virtio/net/backend.js';

export interface Link {
  /** What the guest's driver lets us leave undone. */
  readonly offloads: Offloads;
  /** Room for one packet, header (virtio_net_hdr) and all, with arbitrary content; undefined where there is none. */
  reserve(length: number): Uint8Array | undefined;
  /** Sends what was reserved last, or its first `length` bytes. */
  commit(length?: number): void;
  /** Whether the guest has taken everything: if not, a missing answer says nothing. */
  readonly drained: boolean;
}
