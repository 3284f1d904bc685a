/** A device that does what another does, and tells which bytes it has been allowed to write. */
import type {
  DescriptorChain,
  VirtioConfigSpace,
  VirtioDevice,
  VirtioDriver,
  VirtioViolation,
  Virtqueue,
} from '../device.js';

export type Popped = (queue: number, chain: DescriptorChain) => void;

class WatchedQueue implements Virtqueue {
  readonly index: number;
  private readonly inner: Virtqueue;
  private readonly popped: Popped;

  constructor(inner: Virtqueue, popped: Popped) {
    this.index = inner.index;
    this.inner = inner;
    this.popped = popped;
  }

  get size(): number {
    return this.inner.size;
  }

  get enabled(): boolean {
    return this.inner.enabled;
  }

  get inFlight(): number {
    return this.inner.inFlight;
  }

  pop(): DescriptorChain | undefined {
    const chain = this.inner.pop();
    if (chain !== undefined) this.popped(this.index, chain);
    return chain;
  }

  push(chain: DescriptorChain, written: number): void {
    if (written > chain.writableLength) throw new Error(`${written} bytes written of ${chain.writableLength}`);
    this.inner.push(chain, written);
  }

  signal(): void {
    this.inner.signal();
  }
}

class WatchedDriver implements VirtioDriver {
  private readonly inner: VirtioDriver;
  private readonly popped: Popped;

  constructor(inner: VirtioDriver, popped: Popped) {
    this.inner = inner;
    this.popped = popped;
  }

  get live(): boolean {
    return this.inner.live;
  }

  get features(): bigint {
    return this.inner.features;
  }

  has(feature: number): boolean {
    return this.inner.has(feature);
  }

  queue(index: number): Virtqueue {
    return new WatchedQueue(this.inner.queue(index), this.popped);
  }

  configChanged(): void {
    this.inner.configChanged();
  }

  violation(violation: VirtioViolation): void {
    this.inner.violation(violation);
  }
}

export class WatchedDevice implements VirtioDevice {
  readonly name: string;
  readonly type: number;
  readonly classCode: number;
  readonly features: bigint;
  readonly queueSizes: readonly number[];
  readonly config: VirtioConfigSpace;
  readonly accepts?: (features: bigint) => boolean;
  readonly resetQueue?: (queue: number) => void;
  private readonly inner: VirtioDevice;
  private readonly popped: Popped;

  constructor(inner: VirtioDevice, popped: Popped) {
    this.inner = inner;
    this.popped = popped;
    this.name = inner.name;
    this.type = inner.type;
    this.classCode = inner.classCode;
    this.features = inner.features;
    this.queueSizes = inner.queueSizes;
    this.config = inner.config;
    if (inner.accepts !== undefined) this.accepts = (features) => inner.accepts!(features);
    if (inner.resetQueue !== undefined) this.resetQueue = (queue) => inner.resetQueue!(queue);
  }

  start(driver: VirtioDriver): void {
    this.inner.start(new WatchedDriver(driver, this.popped));
  }

  notify(queue: number): void {
    this.inner.notify(queue);
  }

  reset(): void {
    this.inner.reset();
  }

  save(): { version: number } {
    return this.inner.save();
  }

  restore(state: { version: number }): void {
    this.inner.restore(state);
  }
}
