/**
 * What a network card needs of the network behind it: the user-mode stack, a tap device, a socket to another machine. A
 * _packet_ is a frame with the 12 bytes of `header.ts` in front. Both directions hold back instead of piling up: the card
 * takes a packet when the guest has a buffer for it, and stops reading the guest's when the network is full.
 *
 * Nothing here blocks, and nothing is called from within a call of the other side: news (`NetPort`) come between two slices
 * of the guest.
 */

/** What the sender of a packet may leave to its receiver (virtio 1.2, 5.1.3). TSO needs the checksum. */
export interface Offloads {
  /** The TCP or UDP checksum. */
  readonly checksum: boolean;
  /** Cutting a TCP segment of up to 64 KiB into pieces of gso_size, over IPv4 and IPv6. */
  readonly tso4: boolean;
  readonly tso6: boolean;
  /** The same where the segment carries TCP's CWR flag. */
  readonly ecn: boolean;
}

export const NO_OFFLOADS: Offloads = { checksum: false, tso4: false, tso6: false, ecn: false };
export const ALL_OFFLOADS: Offloads = { checksum: true, tso4: true, tso6: true, ecn: true };

/** The card, as its network sees it. */
export interface NetPort {
  /** `peek` has a packet where it had none. */
  onPackets(): void;
  /** `send` has room where it had none. */
  onRoom(): void;
  /** `linkUp` has changed. */
  onLink(): void;
}

export interface NetBackend {
  /** What it is, for messages: `user network`, `tap tap0`. */
  readonly name: string;
  /** What the guest may leave undone in what it sends. Constant. */
  readonly takes: Offloads;
  /** What the network would leave undone in what the guest receives, if the guest lets it. Constant. */
  readonly gives: Offloads;
  /** Longest IP packet in bytes where the guest should know it (VIRTIO_NET_F_MTU), 68 to 65535. */
  readonly mtu?: number;
  /** Whether the cable is plugged in. */
  readonly linkUp: boolean;

  /**
   * A driver has started: from now on it hears of news, and has agreed to `offloads` of `gives`. Packets that are on
   * their way may still use others; the card puts them right. Undefined: no driver any more, packets may be dropped.
   */
  connect(port: NetPort | undefined, offloads: Offloads): void;

  /**
   * A packet from the guest, in pieces that are valid only during the call. Its header has been checked: offsets and sizes
   * lie within the frame, and nothing is left undone that `takes` does not have. A network that can't use it drops it.
   * @param length bytes of all pieces together, from HEADER_LENGTH + 14 to LONGEST_PACKET
   * @returns false where there is no room now: nothing has been taken, and `onRoom` will follow
   */
  send(pieces: readonly Uint8Array[], length: number): boolean;

  /** The next packet for the guest, valid until `shift`; undefined where there is none (`onPackets` will follow). */
  peek(): Uint8Array | undefined;
  /** Removes the packet that `peek` has shown. */
  shift(): void;
}
