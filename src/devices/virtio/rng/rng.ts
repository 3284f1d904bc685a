/** The entropy device (5.4): whatever buffer it is given it fills to its end. */
import type { Clock } from '../../device.js';
import { requireVersion } from '../../persist.js';
import {
  type DescriptorChain,
  featureSet,
  VIRTIO_F_IN_ORDER,
  type VirtioConfigSpace,
  type VirtioDevice,
  type VirtioDriver,
} from '../device.js';
import { BUFFER_COST, TURN, Turns } from '../turns.js';

export const VIRTIO_RNG = 4;
/** No configuration (5.4.4). */
const NO_CONFIG: VirtioConfigSpace = { length: 0, read: () => 0 };
const QUEUE_SIZE = 64;
/** Bytes fetched from the source at once. */
const BATCH = 4096;

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
  private readonly turns: Turns;
  private readonly batch = new Uint8Array(BATCH);
  private driver: VirtioDriver | undefined;
  /** The buffer that is being filled, and how far. */
  private chain: DescriptorChain | undefined;
  private filled = 0;

  constructor({ fill, clock }: RngOptions) {
    this.fill = fill;
    this.turns = new Turns(clock, (driver) => this.turn(driver));
  }

  start(driver: VirtioDriver): void {
    this.driver = driver;
  }

  notify(_queue: number): void {
    this.turns.run(this.driver!);
  }

  private turn(driver: VirtioDriver): boolean {
    const queue = driver.queue(0);
    let left = TURN;
    while (left > 0) {
      const chain = (this.chain ??= queue.pop());
      if (chain === undefined) break;
      left -= BUFFER_COST + this.fillSome(chain);
      if (this.filled < chain.writableLength) continue;
      queue.push(chain, this.filled);
      this.forget();
    }
    queue.signal();
    return left <= 0;
  }

  /** The device may use less than the whole buffer (5.4.6.2), but programs rarely expect that. */
  private fillSome(chain: DescriptorChain): number {
    const piece = this.batch.subarray(0, Math.min(BATCH, chain.writableLength - this.filled));
    this.fill(piece);
    const written = chain.write(this.filled, piece);
    this.filled += written;
    piece.fill(0);
    return written;
  }

  private forget(): void {
    this.chain = undefined;
    this.filled = 0;
  }

  reset(): void {
    this.driver = undefined;
    this.turns.cancel();
    this.forget();
  }

  resetQueue(_queue: number): void {
    this.forget();
  }

  save(): RngState {
    return { version: 1 };
  }

  restore(state: RngState): void {
    requireVersion(this.name, state, 1);
  }
}
