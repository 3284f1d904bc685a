/**
 * What a machine's thread and its network's thread share: a ring of packets each way, a bell each, and a few words. Neither
 * ever waits for the other: the guest goes on while the network is slow, and the network while the guest is.
 */
import { NO_OFFLOADS, type Offloads } from '../../../devices/virtio/net/backend.js';
import { Doorbell } from '../io/doorbell.js';
import { PacketRing } from './packet-ring.js';

/** Bytes of each ring: what a fast network brings within a slice of the guest. */
const RING_BYTES = 2 ** 21;

/** Words: what the guest's driver takes undone (bit 0: there is a driver); its lives; whether the cable is plugged in. */
const OFFLOADS = 0;
const LIFE = 1;
const LINK = 2;
const WORDS = 16;

const CONNECTED = 1;
const BITS: readonly (readonly [keyof Offloads, number])[] = [
  ['checksum', 2],
  ['tso4', 4],
  ['tso6', 8],
  ['ecn', 16],
];

/** For handing to the thread. */
export interface ChannelHandles {
  readonly toGuest: SharedArrayBuffer;
  readonly fromGuest: SharedArrayBuffer;
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly machineBell: Int32Array<SharedArrayBuffer>;
  readonly networkBell: Int32Array<SharedArrayBuffer>;
}

export class NetChannel {
  readonly toGuest: PacketRing;
  readonly fromGuest: PacketRing;
  readonly machineBell: Doorbell;
  readonly networkBell: Doorbell;
  readonly #words: Int32Array<SharedArrayBuffer>;

  /** @param from the other thread's channel, or the machine's bell for a new one */
  constructor(from: ChannelHandles | Doorbell) {
    const handles = from instanceof Doorbell ? undefined : from;
    this.toGuest = new PacketRing(handles?.toGuest ?? RING_BYTES);
    this.fromGuest = new PacketRing(handles?.fromGuest ?? RING_BYTES);
    this.#words = handles?.words ?? new Int32Array(new SharedArrayBuffer(WORDS * 4));
    this.machineBell = from instanceof Doorbell ? from : new Doorbell(from.machineBell);
    this.networkBell = new Doorbell(handles?.networkBell);
  }

  get handles(): ChannelHandles {
    return {
      toGuest: this.toGuest.shared,
      fromGuest: this.fromGuest.shared,
      words: this.#words,
      machineBell: this.machineBell.cell,
      networkBell: this.networkBell.cell,
    };
  }

  /** What the guest's driver takes undone; undefined without a driver. */
  get offloads(): Offloads | undefined {
    const word = Atomics.load(this.#words, OFFLOADS);
    if ((word & CONNECTED) === 0) return undefined;
    const offloads = { ...NO_OFFLOADS };
    for (const [name, bit] of BITS) offloads[name] = (word & bit) !== 0;
    return offloads;
  }

  set offloads(offloads: Offloads | undefined) {
    let word = offloads === undefined ? 0 : CONNECTED;
    for (const [name, bit] of BITS) if (offloads?.[name]) word |= bit;
    Atomics.store(this.#words, OFFLOADS, word);
  }

  /** How often the guest has been born. */
  get life(): number {
    return Atomics.load(this.#words, LIFE);
  }

  beginLife(): void {
    Atomics.add(this.#words, LIFE, 1);
  }

  get linkUp(): boolean {
    return Atomics.load(this.#words, LINK) !== 0;
  }

  set linkUp(up: boolean) {
    Atomics.store(this.#words, LINK, up ? 1 : 0);
  }
}
