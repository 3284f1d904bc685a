/** The device's side of a split virtqueue (2.7): descriptor table, available ring and used ring. */
import { VirtioViolation } from '../device.js';
import { Chain } from './chain.js';
import { DESC_INDIRECT, DESC_NEXT, DESC_SIZE, DESC_WRITE, Ring, type RingOptions, type RingState } from './ring.js';

/** `flags` of the available ring (2.7.6). */
const AVAIL_NO_INTERRUPT = 1;
/** Half-words in the available and the used ring. */
const FLAGS = 0;
const IDX = 1;
const RING = 2;

/** Where indirect tables are described, and what drivers must not do with them. */
const INDIRECT_SECTIONS = ['2.7.5.3', '2.7.5.3.1'] as const;

export class SplitRing extends Ring {
  /** Four words a descriptor: address, high address, length, flags and next. */
  private readonly table: Uint32Array;
  private readonly avail: Uint16Array;
  private readonly used16: Uint16Array;
  private readonly used32: Uint32Array;
  private readonly device: number;
  /** By head: made when first needed. */
  private readonly chains: (Chain | undefined)[] = [];
  private readonly mask: number;
  /** Free-running 16-bit indices: of the next available element to take, of the next used element, and of the last told. */
  private nextAvail = 0;
  private nextUsed = 0;
  private told = 0;
  /** What avail_event says now. */
  private asked = 0;

  /** @throws VirtioViolation where a part is not aligned or not in RAM, or the size is no power of two. */
  constructor(options: RingOptions) {
    super(options);
    const { size, desc, driver, device, ram } = options;
    if ((size & (size - 1)) !== 0) {
      throw new VirtioViolation(`a split virtqueue has ${size} entries, which is no power of two`, '2.7');
    }
    const availLength = 3 + size;
    const usedLength = 3 + 4 * size;
    const tablePiece = this.part('descriptor table', desc, DESC_SIZE * size, 16, '2.7.1');
    const availPiece = this.part('available ring', driver, 2 * availLength, 2, '2.7.1');
    const usedPiece = this.part('used ring', device, 2 * usedLength, 4, '2.7.1');
    this.table = ram.words(tablePiece, desc, 4 * size);
    this.avail = ram.halfWords(availPiece, driver, availLength);
    this.used16 = ram.halfWords(usedPiece, device, usedLength);
    this.used32 = ram.words(usedPiece, device, 1 + 2 * size);
    this.device = device;
    this.mask = size - 1;
  }

  protected override take(): Chain | undefined {
    const { avail, nextAvail } = this;
    let idx = Atomics.load(avail, IDX);
    if (idx === nextAvail) {
      if (!this.eventIdx || this.asked === nextAvail) return undefined;
      this.ask(nextAvail);
      idx = Atomics.load(avail, IDX);
      if (idx === nextAvail) return undefined;
    }
    const pending = (idx - nextAvail) & 0xffff;
    if (pending > this.size) {
      throw new VirtioViolation(
        `the available index went from ${nextAvail} to ${idx} in a queue of ${this.size} entries`,
        '2.7.6.1',
      );
    }
    const head = avail[RING + (nextAvail & this.mask)];
    if (head >= this.size) {
      throw new VirtioViolation(
        `the available ring names descriptor ${head} of a queue of ${this.size} entries`,
        '2.7.6',
      );
    }
    const chain = this.chainFor(head);
    if (chain.serial !== 0) {
      throw new VirtioViolation(`descriptor ${head} is made available while its buffer is in use`, '2.7.13.1');
    }
    chain.begin(head);
    this.gather(chain);
    this.nextAvail = (nextAvail + 1) & 0xffff;
    return chain;
  }

  /** avail_event: the driver is to notify of the element with this index (2.7.10). */
  private ask(index: number): void {
    const at = RING + 4 * this.size;
    Atomics.store(this.used16, at, index);
    this.ram.memory.dirtied(this.device + 2 * at, 2);
    this.asked = index;
  }

  /** Follows a chain through the table, and its end through an indirect one. */
  private gather(chain: Chain): void {
    const { table, size } = this;
    let index = chain.head;
    let count = 0;
    for (;;) {
      const at = index * 4;
      const last = table[at + 3];
      const flags = last & 0xffff;
      if ((flags & DESC_INDIRECT) !== 0) {
        const entries = this.openIndirect(table[at], table[at + 1], table[at + 2], flags, INDIRECT_SECTIONS);
        this.gatherIndirect(chain, entries, count);
        return;
      }
      if (++count > size) throw this.tooLong('2.7.5.2');
      chain.add(table[at], table[at + 1], table[at + 2], (flags & DESC_WRITE) !== 0, '2.7.5');
      if ((flags & DESC_NEXT) === 0) return;
      const next = last >>> 16;
      if (next >= size) {
        throw new VirtioViolation(`descriptor ${index} is followed by ${next} in a queue of ${size} entries`, '2.7.5');
      }
      if (this.inOrder && next !== ((index + 1) & this.mask)) {
        throw new VirtioViolation(
          `descriptor ${index} is followed by ${next}, though VIRTIO_F_IN_ORDER was negotiated`,
          '2.7.5.2',
        );
      }
      index = next;
    }
  }

  private gatherIndirect(chain: Chain, entries: number, count: number): void {
    const table = this.indirectWords;
    let index = 0;
    for (;;) {
      if (++count > this.size) throw this.tooLong('2.7.5.3.1');
      const at = this.indirectAt(index);
      const last = table[at + 3];
      const flags = last & 0xffff;
      if ((flags & DESC_INDIRECT) !== 0) {
        throw new VirtioViolation('a descriptor in an indirect table has VIRTQ_DESC_F_INDIRECT', '2.7.5.3.1');
      }
      chain.add(table[at], table[at + 1], table[at + 2], (flags & DESC_WRITE) !== 0, '2.7.5');
      if ((flags & DESC_NEXT) === 0) return;
      const next = last >>> 16;
      if (next >= entries) {
        throw new VirtioViolation(
          `descriptor ${index} of an indirect table is followed by ${next}, but the table has ${entries} entries`,
          '2.7.5.3',
        );
      }
      if (this.inOrder && next !== index + 1) {
        throw new VirtioViolation(
          `descriptor ${index} of an indirect table is followed by ${next}, though VIRTIO_F_IN_ORDER was negotiated`,
          '2.7.5.3.1',
        );
      }
      index = next;
    }
  }

  protected override use(chain: Chain, written: number): void {
    const { used32, nextUsed, device } = this;
    const at = 1 + 2 * (nextUsed & this.mask);
    used32[at] = chain.head;
    used32[at + 1] = written;
    const next = (nextUsed + 1) & 0xffff;
    this.nextUsed = next;
    Atomics.store(this.used16, IDX, next);
    this.ram.memory.dirtied(device + 4 * at, 8);
    this.ram.memory.dirtied(device + 2 * IDX, 2);
  }

  override shouldSignal(): boolean {
    const { nextUsed, told, avail } = this;
    const fresh = (nextUsed - told) & 0xffff;
    if (fresh === 0) return false;
    this.told = nextUsed;
    const flags = Atomics.load(avail, FLAGS);
    if ((flags & (this.eventIdx ? 0xffff : ~AVAIL_NO_INTERRUPT)) !== 0) {
      this.remark(
        new VirtioViolation(
          `the available ring's flags are ${flags} with${this.eventIdx ? '' : 'out'} VIRTIO_F_EVENT_IDX`,
          '2.7.7.1',
        ),
      );
    }
    if (!this.eventIdx) return (flags & AVAIL_NO_INTERRUPT) === 0;
    // 2.7.7.2: exactly when the element that used_event names is among the new ones.
    const usedEvent = Atomics.load(avail, RING + this.size);
    return ((nextUsed - usedEvent - 1) & 0xffff) < fresh;
  }

  protected override owns(chain: Chain): boolean {
    return this.chains[chain.head] === chain;
  }

  protected override flying(): Chain[] {
    return this.chains.filter((chain) => chain !== undefined && chain.serial !== 0) as Chain[];
  }

  protected override chainFor(head: number): Chain {
    return (this.chains[head] ??= new Chain(this.ram));
  }

  protected override saveIndices(): { avail: number; used: number } {
    return { avail: this.nextAvail, used: this.nextUsed };
  }

  protected override restoreIndices({ avail, used }: RingState): void {
    this.nextAvail = avail & 0xffff;
    this.nextUsed = this.told = used & 0xffff;
    this.asked = this.used16[RING + 4 * this.size];
  }
}
