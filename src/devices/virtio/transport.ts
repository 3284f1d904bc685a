/**
 * What every transport does for its device, however its registers are reached: the device status, the negotiation of
 * features, the settings of queues, the device's configuration, and what follows when the driver breaks the standard.
 *
 * There are two kinds of breach. One leaves the device with nothing sensible to go on with (a ring that points outside of
 * RAM): a violation, after which it needs a reset. The other has an effect that the standard or good sense defines (a write
 * to a read-only register, ignored): a remark. A strict transport ends the machine on both.
 */
import type { GuestMemory } from '../../engine/contract.js';
import { requireVersion } from '../persist.js';
import {
  featureSet,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_VERSION_1,
  type VirtioDevice,
  type VirtioDriver,
  VirtioViolation,
} from './device.js';
import { DeviceQueue, type QueueHost } from './queue/queue.js';
import { Ram } from './queue/ram.js';
import { MOST_ENTRIES, type RingLayout, type RingState } from './queue/ring.js';

/** The device status field (2.1). */
export const ACKNOWLEDGE = 1;
export const DRIVER = 2;
export const DRIVER_OK = 4;
export const FEATURES_OK = 8;
export const DEVICE_NEEDS_RESET = 64;
export const FAILED = 128;
const STATUS_BITS = ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | DEVICE_NEEDS_RESET | FAILED;

const TWO_32 = 0x1_0000_0000;
const IGNORED = 'This was ignored.';
/** A guest may break every rule in turn, but not fill the log. */
const MOST_WARNINGS = 16;

export interface TransportOptions {
  readonly device: VirtioDevice;
  readonly memory: GuestMemory;
  /** A breach of the standard ends the machine. Default false: it is told to `warn`, and the device may need a reset. */
  readonly strict?: boolean;
  /** Whether packed virtqueues are offered. Default true. */
  readonly packed?: boolean;
  /**
   * Whether drivers are offered to notify with the place in the ring (VIRTIO_F_NOTIFICATION_DATA). We look it up anyhow, and
   * whoever watches notify registers for us expects the queue's number alone. Default false.
   */
  readonly notificationData?: boolean;
  /** One sentence about what the driver did; at most a few of them. */
  readonly warn?: (message: string) => void;
  /** Strict: what the driver of the device `name` did. The machine is to end. */
  readonly onViolation?: (name: string, violation: VirtioViolation) => void;
}

/** The register side, which brings the notifications to the driver. */
export interface TransportPort {
  queueInterrupt(queue: number): void;
  configInterrupt(): void;
  /** Whether the device may access memory now. */
  mayAccess(): boolean;
  /** The device has been reset: interrupts go, vectors too. */
  wasReset(): void;
}

/** What the driver has set of one queue. */
export interface QueueSettings {
  size: number;
  /** Gpa of descriptor, driver and device area: each low half, high half. */
  addresses: number[];
}

export interface TransportState {
  version: 1;
  status: number;
  features: [number, number];
  generation: number;
  queues: (QueueSettings & { ring: RingState | null })[];
  device: { version: number };
}

/** One life of a driver. */
class Session implements VirtioDriver {
  live = true;
  readonly features: bigint;
  private readonly transport: Transport;
  private readonly queues: readonly DeviceQueue[];
  /** The same features without a bigint: devices ask for each packet. */
  private readonly words: readonly [number, number];

  constructor(transport: Transport, queues: readonly DeviceQueue[]) {
    this.transport = transport;
    this.features = transport.features;
    this.words = [transport.driverFeatures(0), transport.driverFeatures(1)];
    this.queues = queues;
  }

  has(feature: number): boolean {
    return hasBit(this.words, feature);
  }

  queue(index: number): DeviceQueue {
    const queue = this.queues[index];
    if (queue === undefined) throw new RangeError(`${this.transport.name} has no queue ${index}.`);
    return queue;
  }

  configChanged(): void {
    if (this.live) this.transport.configChanged();
  }

  violation(violation: VirtioViolation): void {
    if (this.live) this.transport.violate(violation);
  }
}

function hasBit([low, high]: readonly [number, number], feature: number): boolean {
  return (((feature < 32 ? low : high) >>> (feature & 31)) & 1) !== 0;
}

export class Transport implements QueueHost {
  readonly device: VirtioDevice;
  readonly ram: Ram;
  /** The features offered, bits 0 to 31 and 32 to 63, unsigned. */
  readonly offered: readonly [number, number];
  /** As the driver has set them. */
  readonly queues: QueueSettings[];
  readonly remark = (violation: VirtioViolation): void => this.report(violation, IGNORED);
  private readonly options: TransportOptions;
  private readonly port: TransportPort;
  private readonly accepted: [number, number] = [0, 0];
  private rings: readonly DeviceQueue[] = [];
  private session: Session | undefined;
  private statusBits = 0;
  private generationCount = 0;
  /** The configuration has changed since it was last read. */
  private configDirty = false;
  /** Queues to look at when DRIVER_OK comes. */
  private readonly early = new Set<number>();
  private readonly told = new Set<string>();

  constructor(options: TransportOptions, port: TransportPort) {
    const { device } = options;
    this.options = options;
    this.port = port;
    this.device = device;
    this.ram = new Ram(options.memory);
    let offered = device.features | featureSet(VIRTIO_F_VERSION_1, VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX);
    if (options.packed !== false) offered |= featureSet(VIRTIO_F_RING_PACKED);
    if (options.notificationData === true) offered |= featureSet(VIRTIO_F_NOTIFICATION_DATA);
    if (device.resetQueue !== undefined) offered |= featureSet(VIRTIO_F_RING_RESET);
    this.offered = [Number(offered & 0xffff_ffffn), Number((offered >> 32n) & 0xffff_ffffn)];
    for (const size of device.queueSizes) {
      if (size < 1 || size > MOST_ENTRIES || (size & (size - 1)) !== 0) {
        throw new RangeError(`${device.name}: a queue can't have ${size} entries.`);
      }
    }
    this.queues = device.queueSizes.map((size) => ({ size, addresses: [0, 0, 0, 0, 0, 0] }));
    this.rings = this.makeRings();
  }

  get name(): string {
    return this.device.name;
  }

  // ---- device status and reset -------------------------------------------------------------------------------------

  get status(): number {
    return this.statusBits;
  }

  /** Whether the driver drives and the device has not given up. */
  get running(): boolean {
    return this.session?.live === true;
  }

  writeStatus(value: number): void {
    if (value === 0) {
      this.reset();
      return;
    }
    const old = this.statusBits;
    const cleared = old & ~value & ~DEVICE_NEEDS_RESET;
    if (cleared !== 0) this.refuse(`cleared device status bits ${cleared} without a reset`, '2.1.1');
    let fresh = value & ~old;
    const strange = fresh & (~STATUS_BITS | DEVICE_NEEDS_RESET);
    if (strange !== 0) this.refuse(`set device status bits ${strange}, which are not the driver's`, '2.1');
    fresh &= STATUS_BITS & ~DEVICE_NEEDS_RESET;
    if ((fresh & DRIVER) !== 0 && (value & ACKNOWLEDGE) === 0) this.refuse('set DRIVER before ACKNOWLEDGE', '3.1.1');
    if ((fresh & FEATURES_OK) !== 0) {
      if ((value & DRIVER) === 0) this.refuse('set FEATURES_OK before DRIVER', '3.1.1');
      if (!this.settle()) fresh &= ~FEATURES_OK;
    }
    const starts = (fresh & DRIVER_OK) !== 0;
    if (starts && ((old | fresh) & FEATURES_OK) === 0) {
      this.refuse('set DRIVER_OK without FEATURES_OK', '3.1.1');
      fresh &= ~DRIVER_OK;
    } else if (starts && (old & FAILED) !== 0) {
      this.refuse('set DRIVER_OK after FAILED without a reset', '2.1.1');
      fresh &= ~DRIVER_OK;
    }
    this.statusBits = old | fresh;
    if ((fresh & DRIVER_OK) !== 0 && (old & DEVICE_NEEDS_RESET) === 0) this.start();
  }

  /** Everything as after power-on; late completions of the old driver's requests reach nobody. */
  reset(): void {
    this.stop();
    this.rings = this.makeRings();
    this.queues.forEach((_, queue) => {
      this.forget(queue);
    });
    this.statusBits = 0;
    this.accepted.fill(0);
    this.early.clear();
    this.port.wasReset();
  }

  private makeRings(): DeviceQueue[] {
    return this.device.queueSizes.map((_, index) => new DeviceQueue(index, this));
  }

  private stop(): void {
    if (this.session !== undefined) this.session.live = false;
    this.session = undefined;
    for (const ring of this.rings) ring.disable();
    this.device.reset();
  }

  private start(): void {
    const session = new Session(this, this.rings);
    this.session = session;
    this.guard(() => this.device.start(session));
    for (const queue of [...this.early]) this.notified(queue);
    this.early.clear();
  }

  // ---- features ----------------------------------------------------------------------------------------------------

  /** Bits 0 to 31 or 32 to 63 as accepted by the driver so far. */
  driverFeatures(select: number): number {
    return this.accepted[select] ?? 0;
  }

  acceptFeatures(select: number, value: number): void {
    if ((this.statusBits & FEATURES_OK) !== 0) this.refuse('accepted features after FEATURES_OK', '3.1.1');
    else if (select < 2) this.accepted[select] = value >>> 0;
    else if (value !== 0) this.refuse(`accepted feature bits beyond 63 (select ${select})`, '2.2.1');
  }

  get features(): bigint {
    return BigInt(this.accepted[0]) | (BigInt(this.accepted[1]) << 32n);
  }

  has(feature: number): boolean {
    return hasBit(this.accepted, feature);
  }

  /** FEATURES_OK: whether the device works with what the driver has accepted (2.2.2). */
  private settle(): boolean {
    for (const select of [0, 1]) {
      const extra = this.accepted[select] & ~this.offered[select];
      if (extra !== 0) {
        const bits = Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => ((extra >>> bit) & 1) !== 0);
        const names = bits.map((bit) => bit + 32 * select).join(', ');
        this.refuse(`accepted features that were not offered (bits ${names})`, '2.2.1');
        return false;
      }
    }
    if (!this.has(VIRTIO_F_VERSION_1)) {
      this.refuse('did not accept VIRTIO_F_VERSION_1', '6.1');
      return false;
    }
    return this.device.accepts?.(this.features) !== false;
  }

  // ---- queues ------------------------------------------------------------------------------------------------------

  queueEnabled(queue: number): boolean {
    return this.rings[queue]?.enabled === true;
  }

  /** The driver writes a setting; `name` is the register's. */
  setQueue(queue: number, name: string, change: (settings: QueueSettings) => void): void {
    const settings = this.queues[queue];
    if (settings === undefined) this.refuse(`wrote ${name} of queue ${queue}, which is not there`, '4.1.4.3.2');
    else if (this.queueEnabled(queue)) this.refuse(`wrote ${name} of queue ${queue} after enabling it`, '4.1.4.3.2');
    else change(settings);
  }

  setQueueSize(queue: number, size: number): void {
    this.setQueue(queue, 'queue_size', (settings) => {
      if (size === 0 || (!this.has(VIRTIO_F_RING_PACKED) && (size & (size - 1)) !== 0)) {
        this.refuse(`wrote ${size} to queue_size of queue ${queue}`, '4.1.4.3.2');
      } else if (size > this.device.queueSizes[queue]) {
        const most = this.device.queueSizes[queue];
        this.refuse(`wrote ${size} to queue_size of queue ${queue}, of which there are at most ${most}`, '4.1.4.3');
      } else {
        settings.size = size;
      }
    });
  }

  /** The settings of a queue as after a reset. */
  private forget(queue: number): void {
    this.queues[queue].size = this.device.queueSizes[queue];
    this.queues[queue].addresses.fill(0);
  }

  private layoutOf(queue: number): RingLayout {
    const { size, addresses } = this.queues[queue];
    const gpa = (area: number): number => addresses[2 * area + 1] * TWO_32 + addresses[2 * area];
    return { size, desc: gpa(0), driver: gpa(1), device: gpa(2) };
  }

  enableQueue(queue: number): void {
    const settings = this.queues[queue];
    if (settings === undefined) this.refuse(`enabled queue ${queue}, which is not there`, '4.1.4.3.2');
    else if ((this.statusBits & FEATURES_OK) === 0) this.refuse(`enabled queue ${queue} before FEATURES_OK`, '3.1.1');
    else if (!this.queueEnabled(queue) && (this.statusBits & DEVICE_NEEDS_RESET) === 0) {
      this.guard(() => this.rings[queue].enable(this.layoutOf(queue)));
    }
  }

  /** VIRTIO_F_RING_RESET (2.6.1): done when it returns. */
  resetQueue(queue: number): void {
    const settings = this.queues[queue];
    if (!this.has(VIRTIO_F_RING_RESET)) {
      this.refuse(`reset queue ${queue} without VIRTIO_F_RING_RESET`, '2.6.1');
    } else if (settings === undefined || !this.queueEnabled(queue)) {
      this.refuse(`reset queue ${queue}, which is not enabled`, '2.6.1');
    } else {
      this.rings[queue].disable();
      this.forget(queue);
      if (this.running) this.device.resetQueue?.(queue);
    }
  }

  /** An available buffer notification has come (2.3). */
  notified(queue: number): void {
    if (this.running) {
      if (!this.queueEnabled(queue)) {
        this.refuse(`notified queue ${queue}, which is not enabled`, '4.1.5.2');
        return;
      }
      try {
        this.device.notify(queue);
      } catch (error) {
        if (!(error instanceof VirtioViolation)) throw error;
        this.violate(error);
      }
    } else if ((this.statusBits & DEVICE_NEEDS_RESET) === 0) {
      this.refuse(`notified queue ${queue} before DRIVER_OK`, '3.1.1', 'It is looked at when that comes.');
      if (this.queueEnabled(queue)) this.early.add(queue);
    }
  }

  /** The device may access memory again: whatever was notified of meanwhile is looked at now. */
  lookAgain(): void {
    for (const ring of this.rings) if (this.running && ring.enabled) this.notified(ring.index);
  }

  // ---- QueueHost ---------------------------------------------------------------------------------------------------

  mayPop(): boolean {
    return this.session?.live === true && this.port.mayAccess();
  }

  interrupt(queue: number): void {
    if (this.running) this.port.queueInterrupt(queue);
  }

  // ---- device configuration ----------------------------------------------------------------------------------------

  /** Changes whenever somebody who reads two fields might see an old one and a new one (4.1.4.3.1). 8 bits. */
  get generation(): number {
    return this.generationCount;
  }

  configChanged(): void {
    this.configDirty = true;
    this.port.configInterrupt();
  }

  readConfig(offset: number, size: 1 | 2 | 4): number {
    if (this.configDirty) {
      this.configDirty = false;
      this.generationCount = (this.generationCount + 1) & 0xff;
    }
    const { config } = this.device;
    if (offset + size <= config.length) return config.read(offset, size) >>> 0;
    this.refuse(`read ${size} bytes at ${offset} of a configuration of ${config.length} bytes`, '2.5');
    let value = 0;
    for (let i = 0; i < size && offset + i < config.length; i++) value |= config.read(offset + i, 1) << (8 * i);
    return value >>> 0;
  }

  writeConfig(offset: number, size: 1 | 2 | 4, value: number): void {
    const { config } = this.device;
    if (offset + size > config.length) {
      this.refuse(`wrote ${size} bytes at ${offset} of a configuration of ${config.length} bytes`, '2.5');
    } else if (config.write === undefined) {
      this.refuse(`wrote to the configuration at ${offset}, and nothing in it is writable`, '2.5');
    } else {
      this.guard(() => config.write!(offset, size, value));
    }
  }

  // ---- breaches ----------------------------------------------------------------------------------------------------

  /** The driver did what can be ignored. `what` goes on from "the driver". */
  refuse(what: string, section: string, effect = IGNORED): void {
    this.report(new VirtioViolation(`the driver ${what}`, section), effect);
  }

  /** The device cannot go on with this driver: it needs a reset (2.1.2). */
  violate(violation: VirtioViolation): void {
    this.report(violation, 'The device needs a reset.');
    this.stop();
    this.statusBits |= DEVICE_NEEDS_RESET;
    if ((this.statusBits & DRIVER_OK) !== 0) this.port.configInterrupt();
  }

  private guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof VirtioViolation)) throw error;
      this.violate(error);
    }
  }

  private report(violation: VirtioViolation, effect: string): void {
    const { strict, warn, onViolation } = this.options;
    if (strict === true) {
      onViolation?.(this.name, violation);
      return;
    }
    const message = `${this.name}: ${violation.message}. ${effect}`;
    if (this.told.has(message) || this.told.size >= MOST_WARNINGS) return;
    this.told.add(message);
    warn?.(message);
  }

  // ---- snapshot ----------------------------------------------------------------------------------------------------

  save(): TransportState {
    return {
      version: 1,
      status: this.statusBits,
      features: [this.accepted[0], this.accepted[1]],
      generation: this.generationCount,
      queues: this.queues.map(({ size, addresses }, i) => ({
        size,
        addresses: [...addresses],
        ring: this.rings[i].save() ?? null,
      })),
      device: this.device.save(),
    };
  }

  /**
   * Guest RAM and the device's back end have what they had by now. `resume` follows.
   * @throws UnknownStateVersion
   */
  restore(state: TransportState): void {
    requireVersion(`${this.name} transport`, state, 1);
    this.reset();
    this.statusBits = state.status;
    [this.accepted[0], this.accepted[1]] = state.features;
    // Whoever reads the configuration now may have begun before the snapshot.
    this.generationCount = state.generation;
    this.configDirty = true;
    state.queues.slice(0, this.queues.length).forEach(({ size, addresses, ring }, i) => {
      this.queues[i].size = size;
      this.queues[i].addresses = [...addresses];
      if (ring === null) return;
      this.rings[i].enable(this.layoutOf(i));
      this.rings[i].restore(ring);
    });
    this.device.restore(state.device);
    // Whatever was in flight, or notified of and not yet looked at, is looked at when the driver drives.
    for (const ring of this.rings) if (ring.enabled) this.early.add(ring.index);
  }

  /** Goes on after `restore`, when interrupts reach the vCPUs again. */
  resume(): void {
    if ((this.statusBits & DRIVER_OK) !== 0 && (this.statusBits & DEVICE_NEEDS_RESET) === 0) this.start();
  }
}
