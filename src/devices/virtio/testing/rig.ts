/**
 * A driver that we play ourselves, for the tests of virtio devices: it finds the device on a PCI bus, walks its
 * capabilities, negotiates, lays rings in test memory and drives them.
 *
 *   const rig = new VirtioRig({ device });
 *   rig.start();
 *   const answer = rig.queue(0).send([request], [512]).answer;
 */
import { TestMemory } from '../../../engine/testing.js';
import { configurePci } from '../../pci/index.js';
import { type PciRig, pciRig } from '../../pci/testing.js';
import * as V from '../device.js';
import * as L from '../pci/layout.js';
import { VirtioPci } from '../pci/virtio-pci.js';
import * as S from '../transport.js';
import { PackedDriver } from './packed.js';
import { type DriverRing, Heap, putDescriptor } from './ring.js';
import { SplitDriver } from './split.js';

const HEAP_START = 0x1_0000;
const NO_ROOM = { base: 0, length: 0 };

export interface RigOptions {
  readonly device: V.VirtioDevice;
  /** RAM in bytes from 0, default 4 MiB, and from 4 GiB, default none. */
  readonly memory?: number;
  readonly memoryAbove?: number;
  /** Instead: RAM that is there already, and where in it rings and buffers begin. */
  readonly ram?: TestMemory;
  readonly heapStart?: number;
  readonly strict?: boolean;
  readonly notificationData?: boolean;
}

export interface StartOptions {
  /** Accepted of what is offered. Default: all but VIRTIO_F_RING_PACKED and VIRTIO_F_IN_ORDER. */
  readonly features?: (offered: bigint) => bigint;
  /** Packed rings where they are offered. Default false. */
  readonly packed?: boolean;
  /** Entries of each queue at most; default 64. */
  readonly queueSize?: number;
  /** Which queues to lay; default all. */
  readonly queues?: readonly number[];
  /** MSI-X with a vector for each queue and the configuration; false: INTx. Default true. */
  readonly msix?: boolean;
}

/** Places of the structures that a driver finds in the capabilities: gpas. */
interface Structures {
  readonly common: number;
  readonly isr: number;
  readonly notify: number;
  readonly multiplier: number;
  readonly config: number | undefined;
  readonly msixTable: number;
  /** Offsets in configuration space. */
  readonly window: number;
  readonly msix: number;
}

export class VirtioRig {
  readonly memory: TestMemory;
  readonly heap: Heap;
  readonly fn: VirtioPci;
  readonly pci: PciRig;
  /** What the transport warned of, and what a strict one ended the machine for. */
  readonly warnings: string[] = [];
  readonly violations: V.VirtioViolation[] = [];
  readonly structures: Structures;
  private rings: (DriverRing | undefined)[] = [];
  private seen = 0;

  constructor(options: RigOptions) {
    this.memory = options.ram ?? new TestMemory(options.memory ?? 0x40_0000, options.memoryAbove ?? 0);
    this.heap = new Heap(this.memory, options.heapStart ?? HEAP_START, this.memory.pieces[0].bytes.length);
    this.pci = pciRig();
    this.fn = new VirtioPci({
      device: options.device,
      memory: this.memory,
      strict: options.strict ?? false,
      notificationData: options.notificationData ?? false,
      warn: (message) => this.warnings.push(message),
      onViolation: (_name, violation) => this.violations.push(violation),
    });
    this.pci.bus.add(1, 0, this.fn);
    configurePci(this.pci.bus, { io: NO_ROOM, mem32: { base: 0xc000_0000, length: 0x100_0000 }, mem64: NO_ROOM }, [10]);
    this.structures = this.walk();
  }

  // ---- configuration space -----------------------------------------------------------------------------------------

  configRead(offset: number, size: 1 | 2 | 4): number {
    return this.pci.bus.configRead(0, 8, offset, size);
  }

  configWrite(offset: number, size: 1 | 2 | 4, value: number): void {
    this.pci.bus.configWrite(0, 8, offset, size, value);
  }

  private barBase(bar: number): number {
    return (this.configRead(0x10 + 4 * bar, 4) & ~15) >>> 0;
  }

  private walk(): Structures {
    const found = new Map<number, number>();
    let window = 0;
    let msix = 0;
    let msixTable = 0;
    let multiplier = 0;
    for (let at = this.configRead(0x34, 1); at !== 0; at = this.configRead(at + 1, 1)) {
      const id = this.configRead(at, 1);
      if (id === 0x11) {
        const table = this.configRead(at + 4, 4);
        msix = at;
        msixTable = this.barBase(table & 7) + (table & ~7);
      }
      if (id !== L.CAP_VENDOR) continue;
      const type = this.configRead(at + 3, 1);
      if (type === L.CAP_PCI_CFG) window = at;
      else if (!found.has(type)) found.set(type, this.barBase(this.configRead(at + 4, 1)) + this.configRead(at + 8, 4));
      if (type === L.CAP_NOTIFY_CFG) multiplier = this.configRead(at + 16, 4);
    }
    return {
      common: found.get(L.CAP_COMMON_CFG)!,
      isr: found.get(L.CAP_ISR_CFG)!,
      notify: found.get(L.CAP_NOTIFY_CFG)!,
      config: found.get(L.CAP_DEVICE_CFG),
      multiplier,
      msixTable,
      window,
      msix,
    };
  }

  // ---- registers ---------------------------------------------------------------------------------------------------

  /** A field of the common configuration, by its offset in `pci/layout.ts`. */
  common(offset: number): number {
    return this.pci.read(this.structures.common + offset, L.COMMON_FIELDS.get(offset)!.size);
  }

  setCommon(offset: number, value: number): void {
    this.pci.write(this.structures.common + offset, L.COMMON_FIELDS.get(offset)!.size, value);
  }

  /** Device-specific configuration. */
  config(offset: number, size: 1 | 2 | 4): number {
    return this.pci.read(this.structures.config! + offset, size);
  }

  setConfig(offset: number, size: 1 | 2 | 4, value: number): void {
    this.pci.write(this.structures.config! + offset, size, value);
  }

  /** Reads ISR status, which clears it. */
  isr(): number {
    return this.pci.read(this.structures.isr, 1);
  }

  notify(queue: number, next = 0): void {
    const at = this.structures.notify + queue * this.structures.multiplier;
    if (this.accepted(V.VIRTIO_F_NOTIFICATION_DATA)) this.pci.write(at, 4, ((next << 16) | queue) >>> 0);
    else this.pci.write(at, 2, queue);
  }

  get status(): number {
    return this.common(L.DEVICE_STATUS);
  }

  set status(value: number) {
    this.setCommon(L.DEVICE_STATUS, value);
  }

  get needsReset(): boolean {
    return (this.status & S.DEVICE_NEEDS_RESET) !== 0;
  }

  // ---- what drivers do ---------------------------------------------------------------------------------------------

  get offered(): bigint {
    return this.featureWords(L.DEVICE_FEATURE_SELECT, L.DEVICE_FEATURE);
  }

  accepted(feature: number): boolean {
    return ((this.featureWords(L.DRIVER_FEATURE_SELECT, L.DRIVER_FEATURE) >> BigInt(feature)) & 1n) !== 0n;
  }

  private featureWords(select: number, register: number): bigint {
    let features = 0n;
    for (const word of [0, 1]) {
      this.setCommon(select, word);
      features |= BigInt(this.common(register)) << BigInt(32 * word);
    }
    return features;
  }

  accept(features: bigint): void {
    for (const word of [0, 1]) {
      this.setCommon(L.DRIVER_FEATURE_SELECT, word);
      this.setCommon(L.DRIVER_FEATURE, Number((features >> BigInt(32 * word)) & 0xffff_ffffn));
    }
  }

  /** Reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK. @returns whether the device agrees */
  negotiate(options: StartOptions = {}): boolean {
    this.reset();
    this.status = S.ACKNOWLEDGE;
    this.status |= S.DRIVER;
    const { offered } = this;
    let features = offered & ~V.featureSet(V.VIRTIO_F_RING_PACKED, V.VIRTIO_F_IN_ORDER);
    if (options.packed === true) features |= V.featureSet(V.VIRTIO_F_RING_PACKED);
    this.accept(options.features?.(offered) ?? features);
    this.status |= S.FEATURES_OK;
    return (this.status & S.FEATURES_OK) !== 0;
  }

  /** Lays a ring and enables the queue. */
  layQueue(index: number, size = 64): DriverRing {
    const ring = this.makeRing(index, size);
    this.setCommon(L.QUEUE_SELECT, index);
    this.setCommon(L.QUEUE_SIZE, ring.size);
    ring.areas.forEach((gpa, area) => {
      this.setCommon(L.QUEUE_DESC + 8 * area, gpa % 0x1_0000_0000);
      this.setCommon(L.QUEUE_DESC + 8 * area + 4, Math.floor(gpa / 0x1_0000_0000));
    });
    this.setCommon(L.QUEUE_ENABLE, 1);
    this.rings[index] = ring;
    return ring;
  }

  private makeRing(index: number, size: number): DriverRing {
    this.setCommon(L.QUEUE_SELECT, index);
    const ringOptions = {
      heap: this.heap,
      size: Math.min(size, this.common(L.QUEUE_SIZE)),
      eventIdx: this.accepted(V.VIRTIO_F_EVENT_IDX),
      notify: (next: number) => this.notify(index, next),
    };
    return this.accepted(V.VIRTIO_F_RING_PACKED) ? new PackedDriver(ringOptions) : new SplitDriver(ringOptions);
  }

  /** All that a driver does up to DRIVER_OK. @throws Error where the device refuses the features */
  start(options: StartOptions = {}): this {
    if (!this.negotiate(options)) throw new Error('the device refuses the features');
    const queues = options.queues ?? Array.from({ length: this.common(L.NUM_QUEUES) }, (_, i) => i);
    if (options.msix !== false) this.enableMsix();
    for (const queue of queues) this.layQueue(queue, options.queueSize);
    this.status |= S.DRIVER_OK;
    return this;
  }

  /** A vector for the configuration (0) and one for each queue (its number + 1); the message's data is the vector. */
  enableMsix(): void {
    const { msix, msixTable } = this.structures;
    const queues = this.common(L.NUM_QUEUES);
    this.configWrite(msix + 2, 2, 0x8000);
    for (let vector = 0; vector <= queues; vector++) {
      this.pci.write(msixTable + 16 * vector, 4, 0xfee0_0000);
      this.pci.write(msixTable + 16 * vector + 8, 4, vector);
      this.pci.write(msixTable + 16 * vector + 12, 4, 0);
    }
    this.setCommon(L.CONFIG_MSIX_VECTOR, 0);
    for (let queue = 0; queue < queues; queue++) {
      this.setCommon(L.QUEUE_SELECT, queue);
      this.setCommon(L.QUEUE_MSIX_VECTOR, queue + 1);
    }
  }

  /** A descriptor of an indirect table; split and packed ones have their flags in different places. */
  putDescriptor(at: number, gpa: number, length: number, flags: number, next: number): void {
    const packed = this.fn.transport.has(V.VIRTIO_F_RING_PACKED);
    putDescriptor(this.memory, at, gpa, length, packed ? [next, flags] : [flags, next]);
  }

  hasQueue(index: number): boolean {
    return this.rings[index] !== undefined;
  }

  queue(index: number): DriverRing {
    const ring = this.rings[index];
    if (ring === undefined) throw new RangeError(`queue ${index} has no ring`);
    return ring;
  }

  reset(): void {
    this.status = 0;
    this.rings = [];
  }

  /** Messages since the last call: -1 for the configuration, else the queue's number. */
  interrupts(): number[] {
    const fresh = this.pci.messages.slice(this.seen).map(({ data }) => data - 1);
    this.seen = this.pci.messages.length;
    return fresh;
  }

  /** Whether the INTx pin is high: device 1's INTA goes to link B. */
  get pin(): boolean {
    return this.pci.links[1].level;
  }
}
