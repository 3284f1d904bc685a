/** A virtqueue as a device has it, for one life of its driver: nothing until the driver has laid a ring, then that ring. */
import { VIRTIO_F_RING_PACKED, type VirtioViolation, type Virtqueue } from '../device.js';
import type { Chain } from './chain.js';
import { PackedRing } from './packed.js';
import type { Ram } from './ram.js';
import type { Ring, RingLayout, RingState } from './ring.js';
import { SplitRing } from './split.js';

/** What a queue needs of its transport. */
export interface QueueHost {
  readonly ram: Ram;
  /** Whether a feature has been negotiated. */
  has(feature: number): boolean;
  /** Whether the device may look for buffers now. */
  mayPop(): boolean;
  /** A used buffer notification (2.3). */
  interrupt(queue: number): void;
  /** A breach that does no harm by itself. */
  remark(violation: VirtioViolation): void;
}

export class DeviceQueue implements Virtqueue {
  readonly index: number;
  private readonly host: QueueHost;
  private ring: Ring | undefined;

  constructor(index: number, host: QueueHost) {
    this.index = index;
    this.host = host;
  }

  get size(): number {
    return this.ring?.size ?? 0;
  }

  get enabled(): boolean {
    return this.ring !== undefined;
  }

  get inFlight(): number {
    return this.ring?.inFlight ?? 0;
  }

  pop(): Chain | undefined {
    return this.ring === undefined || !this.host.mayPop() ? undefined : this.ring.pop();
  }

  push(chain: Chain, written: number): void {
    this.ring?.push(chain, written);
  }

  signal(): void {
    if (this.ring?.shouldSignal() === true) this.host.interrupt(this.index);
  }

  /** The driver has laid a ring. @throws VirtioViolation where it can't lie there */
  enable(layout: RingLayout): void {
    const { ram, remark } = this.host;
    const options = {
      ...layout,
      ram,
      has: (feature: number) => this.host.has(feature),
      remark: (violation: VirtioViolation) => remark.call(this.host, violation),
    };
    this.ring = this.host.has(VIRTIO_F_RING_PACKED) ? new PackedRing(options) : new SplitRing(options);
  }

  /** The ring is no more: what is in flight loses its bytes and goes nowhere when it is pushed. */
  disable(): void {
    this.ring?.kill();
    this.ring = undefined;
  }

  save(): RingState | undefined {
    return this.ring?.save();
  }

  /** Into an enabled queue. */
  restore(state: RingState): void {
    this.ring?.restore(state);
  }
}
