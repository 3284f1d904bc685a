/**
 * What split and packed rings have in common on the device's side: where they lie, what is in flight, the order of use, and
 * when a notification is due.
 *
 * Indices that the driver may change meanwhile, and those that it waits for, are read and written by `Atomics`: with KVM
 * vCPUs run beside us, and the barrier between "I have published" and "do you want to be told" is part of the protocol
 * (2.7.13.3.1).
 */
import { VIRTIO_F_EVENT_IDX, VIRTIO_F_IN_ORDER, VIRTIO_F_INDIRECT_DESC, VirtioViolation } from '../device.js';
import type { Chain, ChainState } from './chain.js';
import type { Ram, RamPiece } from './ram.js';

/** Descriptor flags of both formats (2.7.5, 2.8.6, 2.8.7). */
export const DESC_NEXT = 1;
export const DESC_WRITE = 2;
export const DESC_INDIRECT = 4;
/** Bytes of a descriptor of both formats. */
export const DESC_SIZE = 16;
/** The most entries of a ring of both formats (2.7, 2.8). */
export const MOST_ENTRIES = 32768;

/** What the driver has told the transport of one queue. */
export interface RingLayout {
  readonly size: number;
  /** Descriptor area, driver area (available ring, driver events) and device area (used ring, device events): gpas. */
  readonly desc: number;
  readonly driver: number;
  readonly device: number;
}

export interface RingOptions extends RingLayout {
  readonly ram: Ram;
  readonly has: (feature: number) => boolean;
  /** A breach that does no harm: told where the driver is checked strictly, else ignored. */
  readonly remark: (violation: VirtioViolation) => void;
}

/** Chains that were in flight when a snapshot was taken come out of `pop` again, oldest first. */
export interface RingState {
  /** Split: the available and the used index. Packed: places in the ring, bit 15 the wrap counter. */
  readonly avail: number;
  readonly used: number;
  readonly inFlight: readonly ChainState[];
}

export abstract class Ring {
  readonly size: number;
  /** Buffers popped and not pushed. */
  inFlight = 0;
  protected readonly ram: Ram;
  protected readonly indirect: boolean;
  protected readonly eventIdx: boolean;
  protected readonly inOrder: boolean;
  protected readonly remark: (violation: VirtioViolation) => void;
  private serial = 0;
  /** In-order rings: what is in flight, oldest first. */
  private readonly order: Chain[] = [];
  /** In flight before a snapshot, and not yet popped again. */
  private revived: Chain[] = [];
  /** The indirect table that is read now. */
  private indirectPiece: RamPiece | undefined;
  private indirectOffset = 0;
  private readonly scratch = new Uint32Array(DESC_SIZE / 4);
  private readonly scratchBytes = new Uint8Array(this.scratch.buffer);
  protected indirectWords: Uint32Array = this.scratch;

  protected constructor(options: RingOptions) {
    this.size = options.size;
    this.ram = options.ram;
    this.remark = options.remark;
    this.indirect = options.has(VIRTIO_F_INDIRECT_DESC);
    this.eventIdx = options.has(VIRTIO_F_EVENT_IDX);
    this.inOrder = options.has(VIRTIO_F_IN_ORDER);
  }

  /** The next available buffer; where there is none the driver is asked to notify of it. @throws VirtioViolation */
  pop(): Chain | undefined {
    const chain = this.revived.length > 0 ? this.revived.shift() : this.take();
    if (chain !== undefined) this.fly(chain);
    return chain;
  }

  private fly(chain: Chain): void {
    chain.serial = ++this.serial;
    this.inFlight++;
    if (this.inOrder) this.order.push(chain);
  }

  /** Gives a buffer back. A chain that is not in flight here (the ring has been reset meanwhile) is ignored. */
  push(chain: Chain, written: number): void {
    if (chain.serial === 0 || !this.owns(chain)) return;
    if (!this.inOrder) {
      this.retire(chain, written);
      return;
    }
    // 2.7.9, 2.8.8: buffers are used in the order in which they were made available. What is done early waits.
    chain.done = true;
    chain.written = written;
    while (this.order.length > 0 && this.order[0].done) {
      const oldest = this.order.shift()!;
      this.retire(oldest, oldest.written);
    }
  }

  private retire(chain: Chain, written: number): void {
    this.inFlight--;
    this.use(chain, written);
    chain.empty();
  }

  /** Whoever still holds a chain holds nothing from now on. */
  kill(): void {
    for (const chain of this.flying()) chain.empty();
    this.revived = [];
    this.order.length = 0;
    this.inFlight = 0;
  }

  save(): RingState {
    const inFlight = [...this.flying().sort((a, b) => a.serial - b.serial), ...this.revived];
    return { ...this.saveIndices(), inFlight: inFlight.map((chain) => chain.save()) };
  }

  restore(state: RingState): void {
    this.restoreIndices(state);
    this.revived = state.inFlight.map((saved) => {
      const chain = this.chainFor(saved.id);
      chain.restore(saved);
      return chain;
    });
  }

  /** Whether a notification of what has been pushed since the last call is due (2.7.7, 2.8.10). */
  abstract shouldSignal(): boolean;
  /** Reads the next available chain, if there is one. */
  protected abstract take(): Chain | undefined;
  /** Writes a used element. */
  protected abstract use(chain: Chain, written: number): void;
  protected abstract owns(chain: Chain): boolean;
  /** All chains in flight. */
  protected abstract flying(): Chain[];
  /** A chain to restore one with this head or buffer ID into. */
  protected abstract chainFor(id: number): Chain;
  protected abstract saveIndices(): { avail: number; used: number };
  protected abstract restoreIndices(state: RingState): void;

  /**
   * The region of a part of the queue.
   * @throws VirtioViolation where it is not aligned or not all RAM
   */
  protected part(name: string, gpa: number, bytes: number, alignment: number, section: string): RamPiece {
    if (gpa % alignment !== 0) {
      throw new VirtioViolation(
        `the ${name} at gpa ${gpa.toString(16)}h is not aligned to ${alignment} bytes`,
        section,
      );
    }
    const piece = this.ram.locate(gpa, bytes);
    if (piece === undefined) {
      throw new VirtioViolation(
        `the ${name}, ${bytes} bytes at gpa ${gpa.toString(16)}h, does not lie wholly in RAM`,
        section,
      );
    }
    return piece;
  }

  /**
   * Finds the indirect table that a descriptor refers to; `indirectAt` then reads it.
   * @param sections where tables are described, and what the driver must not do with them
   * @returns its entries
   * @throws VirtioViolation
   */
  protected openIndirect(
    low: number,
    high: number,
    length: number,
    flags: number,
    sections: readonly [string, string],
  ): number {
    if (!this.indirect) {
      throw new VirtioViolation(
        'a descriptor has VIRTQ_DESC_F_INDIRECT, but VIRTIO_F_INDIRECT_DESC was not negotiated',
        sections[1],
      );
    }
    if ((flags & DESC_NEXT) !== 0) {
      throw new VirtioViolation('a descriptor has both VIRTQ_DESC_F_INDIRECT and VIRTQ_DESC_F_NEXT', sections[1]);
    }
    if (length === 0 || length % DESC_SIZE !== 0) {
      throw new VirtioViolation(`an indirect table has ${length} bytes, no multiple of ${DESC_SIZE}`, sections[0]);
    }
    const gpa = high * 0x1_0000_0000 + low;
    const piece = this.ram.locate(gpa, length);
    if (piece === undefined) {
      throw new VirtioViolation(
        `an indirect table, ${length} bytes at gpa ${gpa.toString(16)}h, does not lie wholly in RAM`,
        sections[0],
      );
    }
    this.indirectPiece = piece;
    this.indirectOffset = gpa - piece.gpa;
    this.indirectWords = gpa % 4 === 0 ? piece.words32 : this.scratch;
    return length / DESC_SIZE;
  }

  /** Where in `indirectWords` entry `index` of the open table begins. */
  protected indirectAt(index: number): number {
    const from = this.indirectOffset + index * DESC_SIZE;
    if (this.indirectWords !== this.scratch) return from / 4;
    // No alignment is asked for (2.7.5.3). But nobody lays a table so; it may cost a copy.
    this.scratchBytes.set(this.indirectPiece!.bytes.subarray(from, from + DESC_SIZE));
    return 0;
  }

  protected tooLong(section: string): VirtioViolation {
    return new VirtioViolation(
      `a descriptor chain loops or is longer than the queue, which has ${this.size} entries`,
      section,
    );
  }
}
