/**
 * The network card (virtio 1.2, 5.1): a queue to receive, one to send, one for commands. What is behind the card is a
 * `NetBackend`.
 */
import type { Alarm, Clock } from '../../device.js';
import { requireVersion } from '../../persist.js';
import { configField } from '../config.js';
import { attempt, type VirtioConfigSpace, type VirtioDevice, type VirtioDriver } from '../device.js';
import { type NetBackend, type NetPort, NO_OFFLOADS } from './backend.js';
import { serveControl } from './control.js';
import {
  isConsistent,
  offeredFeatures,
  receiveOffloads,
  sendOffloads,
  VIRTIO_NET_F_CTRL_VLAN,
  VIRTIO_NET_F_GUEST_ANNOUNCE,
} from './features.js';
import { type FilterState, keyOf, ReceiveFilter } from './filter.js';
import { ReceiveQueue } from './receive.js';
import { Transmitter } from './transmit.js';

export const VIRTIO_NET = 1;
/** Network controller, Ethernet. */
const CLASS_ETHERNET = 0x02_0000;
const RECEIVE = 0;
const TRANSMIT = 1;
const CONTROL = 2;
const DATA_ENTRIES = 256;
const CONTROL_ENTRIES = 64;
/** Commands served in one go. */
const CONTROL_TURN = 64;
/** After a long turn the guest runs for so long (ns) before it goes on. */
const PAUSE = 100_000;
/** When a guest that sends nothing more is told that its last packets are out (ns). */
const TELL_AFTER = 2_000_000;

/** `status` (5.1.4). */
const S_LINK_UP = 1;
const S_ANNOUNCE = 2;
/** Up to `mtu`. */
const CONFIG_LENGTH = 12;

export interface NetState {
  version: 1;
  mac: string;
  announce: boolean;
  filter: FilterState;
}

export interface NetOptions {
  readonly backend: NetBackend;
  /** Six bytes, unicast. */
  readonly mac: Uint8Array;
  readonly clock: Clock;
}

interface Running {
  readonly driver: VirtioDriver;
  readonly receiver: ReceiveQueue;
  readonly transmitter: Transmitter;
}

export class VirtioNet implements VirtioDevice<NetState>, NetPort {
  readonly name = 'virtio-net';
  readonly type = VIRTIO_NET;
  readonly classCode = CLASS_ETHERNET;
  readonly features: bigint;
  readonly queueSizes = [DATA_ENTRIES, DATA_ENTRIES, CONTROL_ENTRIES];
  readonly config: VirtioConfigSpace;
  readonly #backend: NetBackend;
  readonly #mac: Uint8Array;
  readonly #clock: Clock;
  readonly #filter: ReceiveFilter;
  #running: Running | undefined;
  #announce = false;
  #sentAt = 0;
  #telling: Alarm | undefined;
  /** Turns that were cut short go on. */
  readonly #alarms: (Alarm | undefined)[] = [];

  constructor({ backend, mac, clock }: NetOptions) {
    this.#backend = backend;
    this.#mac = mac.slice();
    this.#clock = clock;
    this.#filter = new ReceiveFilter(mac);
    this.features = offeredFeatures(backend);
    this.config = { length: CONFIG_LENGTH, read: (offset, size) => this.#readConfig(offset, size) };
  }

  #readConfig(offset: number, size: 1 | 2 | 4): number {
    const { linkUp, mtu = 0 } = this.#backend;
    const status = (linkUp ? S_LINK_UP : 0) | (this.#announce ? S_ANNOUNCE : 0);
    // One pair of queues: max_virtqueue_pairs is there, and nobody may read it without VIRTIO_NET_F_MQ.
    const bytes = [...this.#filter.mac, status, status >> 8, 1, 0, mtu & 255, mtu >> 8];
    return configField(bytes, offset, size);
  }

  accepts(features: bigint): boolean {
    return isConsistent(features);
  }

  start(driver: VirtioDriver): void {
    const { features } = driver;
    this.#filter.filterVlans(driver.has(VIRTIO_NET_F_CTRL_VLAN));
    this.#running = {
      driver,
      receiver: new ReceiveQueue(this.#backend, driver, RECEIVE, this.#filter),
      transmitter: new Transmitter(this.#backend, driver, TRANSMIT, sendOffloads(features)),
    };
    this.#backend.connect(this, receiveOffloads(features));
  }

  notify(queue: number): void {
    const running = this.#running;
    if (running === undefined) return;
    const more = queue === CONTROL ? this.#control(running) : this.#work(running, queue);
    if (!more || this.#alarms[queue] !== undefined) return;
    this.#alarms[queue] = this.#clock.schedule(this.#clock.now() + PAUSE, () => {
      this.#alarms[queue] = undefined;
      attempt(running.driver, () => this.notify(queue));
    });
  }

  #work({ receiver, transmitter }: Running, queue: number): boolean {
    if (queue === RECEIVE) return receiver.run();
    const more = transmitter.run();
    this.#sentAt = this.#clock.now();
    if (transmitter.owes && this.#telling === undefined) this.#tellLater();
    return more;
  }

  /** The guest is told of what went out when nothing has gone out for a while. */
  #tellLater(): void {
    this.#telling = this.#clock.schedule(this.#sentAt + TELL_AFTER, () => {
      this.#telling = undefined;
      const running = this.#running;
      if (running === undefined || !running.transmitter.owes) return;
      if (this.#clock.now() < this.#sentAt + TELL_AFTER) this.#tellLater();
      else attempt(running.driver, () => running.transmitter.tell());
    });
  }

  #control({ driver }: Running): boolean {
    const queue = driver.queue(CONTROL);
    const target = { filter: this.#filter, announced: () => this.#setAnnounce(false) };
    let turn = CONTROL_TURN;
    for (; turn > 0; turn--) {
      const chain = queue.pop();
      if (chain === undefined) break;
      queue.push(chain, serveControl(chain, driver, target));
    }
    queue.signal();
    return turn === 0;
  }

  // ---- news of the network -----------------------------------------------------------------------------------------

  onPackets(): void {
    this.#onNews(RECEIVE);
  }

  onRoom(): void {
    this.#onNews(TRANSMIT);
  }

  #onNews(queue: number): void {
    const driver = this.#running?.driver;
    if (driver !== undefined) attempt(driver, () => this.notify(queue));
  }

  onLink(): void {
    // Whoever is at the other end now has not heard of this guest.
    if (this.#backend.linkUp && this.#running?.driver.has(VIRTIO_NET_F_GUEST_ANNOUNCE)) this.#announce = true;
    this.#running?.driver.configChanged();
  }

  #setAnnounce(on: boolean): void {
    this.#announce = on;
  }

  // ---- reset and state ---------------------------------------------------------------------------------------------

  reset(): void {
    for (const alarm of this.#alarms) alarm?.cancel();
    this.#alarms.length = 0;
    this.#telling?.cancel();
    this.#telling = undefined;
    if (this.#running !== undefined) this.#backend.connect(undefined, NO_OFFLOADS);
    this.#running = undefined;
    this.#announce = false;
    this.#filter.reset(this.#mac);
  }

  save(): NetState {
    return { version: 1, mac: keyOf(this.#filter.mac), announce: this.#announce, filter: this.#filter.save() };
  }

  restore(state: NetState): void {
    requireVersion(this.name, state, 1);
    const mac = Uint8Array.from(state.mac.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
    this.#filter.restore(mac, state.filter);
    this.#announce = state.announce;
  }
}
