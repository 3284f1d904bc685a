/** A disk in memory, for tests: requests wait until the test carries them out, in the order that it likes. */
import type { BlockBackend, BlockDone, BlockRequest } from './backend.js';

export class MemoryDisk implements BlockBackend {
  readonly bytes: Uint8Array;
  readonly readonly: boolean;
  readonly id = 'memory-disk-with-a-long-name';
  readonly physicalBlock = 4096;
  readonly discardUnit = 4096;
  onBatch: () => void = () => {};
  readonly waiting: { readonly request: BlockRequest; readonly done: BlockDone }[] = [];
  readonly asked: BlockRequest[] = [];
  cancels = 0;

  constructor(sectors: number, readonly = false) {
    this.bytes = new Uint8Array(sectors * 512).map((_, i) => (i >> 9) + 1);
    this.readonly = readonly;
  }

  get capacity(): number {
    return this.bytes.length;
  }

  submit(request: BlockRequest, done: BlockDone): void {
    this.asked.push(request);
    this.waiting.push({ request, done });
  }

  cancel(): void {
    this.cancels++;
    this.waiting.length = 0;
  }

  /** Carries out the request that waits at place `at`. */
  finish(at = 0, ok = true): void {
    const [{ request, done }] = this.waiting.splice(at, 1);
    if (ok) this.carryOut(request);
    done(ok);
  }

  finishAll(): void {
    while (this.waiting.length > 0) this.finish();
    this.onBatch();
  }

  private carryOut({ operation, offset, length, data }: BlockRequest): void {
    if (operation === 'zero' || operation === 'discard') this.bytes.fill(0, offset, offset + length);
    let at = offset;
    for (const { bytes } of data) {
      if (operation === 'read') bytes.set(this.bytes.subarray(at, at + bytes.length));
      else this.bytes.set(bytes, at);
      at += bytes.length;
    }
  }
}
