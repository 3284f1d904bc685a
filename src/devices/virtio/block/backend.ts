/** What a virtio block device needs of the disk behind it. `host/` implements it; a test hands in an array of bytes. */
import type { Segment } from '../device.js';

export interface BlockRequest {
  /** `zero`: the range reads as zeros afterwards. `discard`: its contents are of no interest any more. */
  readonly operation: 'read' | 'write' | 'flush' | 'discard' | 'zero';
  /** In bytes: multiples of 512, inside the disk. 0 for a flush. */
  readonly offset: number;
  readonly length: number;
  /** Guest RAM to read into or to write from, `length` bytes. Empty for the other operations. */
  readonly data: readonly Segment[];
  /** Done only when it would survive a power cut. */
  readonly durable: boolean;
  /** For `zero`: the room may be given back. */
  readonly unmap: boolean;
}

/** Whether the request has been carried out. What it has read is in guest RAM then. */
export type BlockDone = (ok: boolean) => void;

export interface BlockBackend {
  /** In bytes, a multiple of 512. */
  readonly capacity: number;
  readonly readonly: boolean;
  /** What the guest sees as the disk's serial number; of its UTF-8 bytes the first 20. */
  readonly id: string;
  /** In bytes: accesses aligned to this cost least. A power of two from 512. */
  readonly physicalBlock: number;
  /** In bytes: pieces that can be given back; 0 where nothing can. */
  readonly discardUnit: number;
  /**
   * Begins a request, after everything submitted before it has begun, and comes back at once. `done` is called later, from the
   * machine's thread and never within `submit`; in any order.
   */
  submit(request: BlockRequest, done: BlockDone): void;
  /** No request submitted until now touches guest RAM, or the disk with data of it, any more; `done` is not called for them. */
  cancel(): void;
  /** Called after a group of `done`s. */
  onBatch: () => void;
}
