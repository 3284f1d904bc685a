/** The entropy device (5.4): whatever buffer it is given it fills to its end. */
import type { Alarm, Clock } from '../../device.js';
import { requireVersion } from '../../persist.js';
import {
  attempt,
  type DescriptorChain,
  featureSet,
  VIRTIO_F_IN_ORDER,
  type VirtioConfigSpace,
  type VirtioDevice,
  type VirtioDriver,
} from '../device.js';

export const VIRTIO_RNG = 4;
/** No configuration (5.4.4). */
const NO_CONFIG: VirtioConfigSpace = { length: 0, read: () => 0 };
const QUEUE_SIZE = 64;
/** Bytes fetched from the source at once. */
const BATCH = 4096;
/** A guest may ask for hundreds of gigabytes: after so many bytes the vCPU goes on, and so do we a little later (ns). */
const TURN = 0x10_0000;
const PAUSE = 100_000;

/** Fills the whole array with unpredictable bytes. */
export type EntropySource = (into: Uint8Array) => void;

export interface RngState {
  version: 1;
}

export interface RngOptions {
  readonly fill: EntropySource;
  readonly clock: Clock;
}

export class VirtioRng implements VirtioDevice<RngState> {
  readonly name = 'virtio-rng';
  readonly type = VIRTIO_RNG;
  /** "Unclassified": there is no class for it. */
  readonly classCode = 0x00_ff00;
  readonly features = featureSet(VIRTIO_F_IN_ORDER);
  readonly queueSizes = [QUEUE_SIZE];
  readonly config = NO_CONFIG;
  private readonly fill: EntropySource;
  private readonly clock: Clock;
  private readonly batch = new Uint8Array(BATCH);
  private driver: VirtioDriver | undefined;
  /** The buffer that is being filled, and how far. */
  private chain: DescriptorChain | undefined;
  private filled = 0;
  private alarm: Alarm | undefined;

  constructor({ fill, clock }: RngOptions) {
    this.fill = fill;
    this.clock = clock;
  }

  start(driver: VirtioDriver): void {
    this.driver = driver;
  }

  notify(_queue: number): void {
    if (this.alarm === undefined) this.work(this.driver!);
  }

  private work(driver: VirtioDriver): void {
    const queue = driver.queue(0);
    let left = TURN;
    while (left > 0) {
      const chain = (this.chain ??= queue.pop());
      if (chain === undefined) break;
      left -= this.fillSome(chain, left);
      if (this.filled < chain.writableLength) continue;
      queue.push(chain, this.filled);
      this.chain = undefined;
      this.filled = 0;
    }
    queue.signal();
    if (left > 0) return;
    this.alarm = this.clock.schedule(this.clock.now() + PAUSE, () => {
      this.alarm = undefined;
      attempt(driver, () => this.work(driver));
    });
  }

  /** The device may use less than the whole buffer (5.4.6.2), but programs rarely expect that. */
  private fillSome(chain: DescriptorChain, most: number): number {
    const piece = this.batch.subarray(0, Math.min(BATCH, most, chain.writableLength - this.filled));
    this.fill(piece);
    this.filled += chain.write(this.filled, piece);
    // A buffer costs more than its bytes: those of no bytes must not go on for ever.
    const cost = piece.length + 64;
    piece.fill(0);
    return cost;
  }

  reset(): void {
    this.driver = undefined;
    this.chain = undefined;
    this.filled = 0;
    this.alarm?.cancel();
    this.alarm = undefined;
  }

  save(): RngState {
    return { version: 1 };
  }

  restore(state: RngState): void {
    requireVersion(this.name, state, 1);
  }
}
