/** A device for the tests of queues and transports: it remembers what is asked of it, and answers when it is told to. */
import { configField } from '../config.js';
import type { DescriptorChain, VirtioConfigSpace, VirtioDevice, VirtioDriver } from '../device.js';
import { featureSet, VIRTIO_F_IN_ORDER } from '../device.js';

export const ECHO_F_REFUSED = 3;

/** Gives back what it is sent, as far as there is room. Queue 1 is answered only by `finish`. */
export class EchoDevice implements VirtioDevice<{ version: 1; mark: number }> {
  readonly name = 'virtio-echo';
  readonly type = 63;
  readonly classCode = 0xff_0000;
  readonly features = featureSet(VIRTIO_F_IN_ORDER, ECHO_F_REFUSED, 1);
  readonly queueSizes = [64, 256, 8];
  readonly bytes = new Uint8Array(10);
  readonly config: VirtioConfigSpace = {
    length: 10,
    read: (offset, size) => configField(this.bytes, offset, size),
    write: (offset, size, value) => {
      for (let i = 0; i < size; i++) this.bytes[offset + i] = value >>> (8 * i);
    },
  };
  readonly events: string[] = [];
  readonly waiting: DescriptorChain[] = [];
  driver: VirtioDriver | undefined;
  mark = 0;

  accepts(features: bigint): boolean {
    return (features & featureSet(ECHO_F_REFUSED)) === 0n;
  }

  start(driver: VirtioDriver): void {
    this.driver = driver;
    this.events.push('start');
  }

  notify(index: number): void {
    this.events.push(`notify ${index}`);
    const queue = this.driver!.queue(index);
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      if (index === 1) this.waiting.push(chain);
      else queue.push(chain, echo(chain));
    }
    queue.signal();
  }

  /** Answers the request of queue 1 that has waited at place `at`. */
  finish(at = 0): void {
    const [chain] = this.waiting.splice(at, 1);
    const queue = this.driver!.queue(1);
    queue.push(chain, echo(chain));
    queue.signal();
  }

  reset(): void {
    this.driver = undefined;
    this.waiting.length = 0;
    this.events.push('reset');
  }

  resetQueue(queue: number): void {
    this.events.push(`reset queue ${queue}`);
    if (queue === 1) this.waiting.length = 0;
  }

  save(): { version: 1; mark: number } {
    return { version: 1, mark: this.mark };
  }

  restore({ mark }: { version: 1; mark: number }): void {
    this.mark = mark;
  }
}

/** Copies the readable into the writable part. */
export function echo(chain: DescriptorChain): number {
  const bytes = new Uint8Array(chain.readableLength);
  return chain.write(0, bytes.subarray(0, chain.read(0, bytes)));
}
