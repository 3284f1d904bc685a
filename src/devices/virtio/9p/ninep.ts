/**
 * The 9P transport device (device ID 9): a folder of the host that the guest mounts by its tag. Each buffer is a message of
 * 9P2000.L with room for its answer; who answers is behind `NinepBackend`, off the vCPU's thread.
 */
import type { GuestMemory } from '../../../engine/contract.js';
import { requireVersion } from '../../persist.js';
import { configField } from '../config.js';
import {
  attempt,
  type DescriptorChain,
  featureSet,
  type VirtioConfigSpace,
  type VirtioDevice,
  type VirtioDriver,
  VirtioViolation,
} from '../device.js';
import { HEADER } from './message.js';

export const VIRTIO_9P = 9;
/** The configuration has a tag. */
export const VIRTIO_9P_F_MOUNT_TAG = 0;
const QUEUE_SIZE = 128;
/** An error's answer, the shortest: its header and a number. */
const LEAST_ANSWER = HEADER + 4;

export interface NinepBackend {
  /**
   * Answers the message in a buffer's readable part into its writable part, in guest memory. `done` gets the answer's length,
   * between two slices of the guest; never after `reset`.
   */
  serve(chain: DescriptorChain, done: (written: number) => void): void;
  /** The driver is gone: guest memory is not touched any more when this comes back, and its fids are let go. */
  reset(): void;
}

export interface NinepOptions {
  readonly tag: string;
  readonly memory: GuestMemory;
  readonly backend: NinepBackend;
}

export interface NinepState {
  version: 1;
}

export class VirtioNinep implements VirtioDevice<NinepState> {
  readonly name = 'virtio-9p';
  readonly type = VIRTIO_9P;
  /** A mass storage controller of no particular kind. */
  readonly classCode = 0x01_8000;
  readonly features = featureSet(VIRTIO_9P_F_MOUNT_TAG);
  readonly queueSizes = [QUEUE_SIZE];
  readonly config: VirtioConfigSpace;
  private readonly options: NinepOptions;
  private driver: VirtioDriver | undefined;

  constructor(options: NinepOptions) {
    this.options = options;
    const tag = new TextEncoder().encode(options.tag);
    // tag_len[2] tag[tag_len]
    const bytes = Uint8Array.of(tag.length & 0xff, tag.length >> 8, ...tag);
    this.config = {
      length: bytes.length,
      read: (offset, size) => configField(bytes, offset, size),
    };
  }

  start(driver: VirtioDriver): void {
    this.driver = driver;
  }

  notify(_queue: number): void {
    const driver = this.driver!;
    const queue = driver.queue(0);
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      if (chain.readableLength < HEADER || chain.writableLength < LEAST_ANSWER) {
        throw new VirtioViolation(
          `the driver sent virtio-9p a message of ${chain.readableLength} bytes with room for an answer of ${chain.writableLength}`,
          '2.6',
        );
      }
      const buffer = chain;
      this.options.backend.serve(buffer, (written) => this.answered(driver, buffer, written));
    }
  }

  private answered(driver: VirtioDriver, chain: DescriptorChain, written: number): void {
    if (!driver.live || driver !== this.driver) return;
    for (const { gpa, bytes } of chain.writable) this.options.memory.dirtied(gpa, bytes.length);
    attempt(driver, () => {
      const queue = driver.queue(0);
      queue.push(chain, written);
      queue.signal();
    });
  }

  reset(): void {
    if (this.driver === undefined) return;
    this.driver = undefined;
    this.options.backend.reset();
  }

  save(): NinepState {
    return { version: 1 };
  }

  /** @throws UnknownStateVersion */
  restore(state: NinepState): void {
    requireVersion('virtio-9p', state, 1);
  }
}
