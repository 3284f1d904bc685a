/**
 * The memory balloon device (5.5): pages that the guest hands over, pages that it reports as free, and its statistics. What
 * becomes of the pages is the back end's: it may drop their contents, and does so when it gives the memory to somebody else.
 */
import { type GuestMemory, LONGEST_VIEW } from '../../../engine/contract.js';
import type { Clock } from '../../device.js';
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
import { BUFFER_COST, TURN, Turns } from '../turns.js';

export const VIRTIO_BALLOON = 5;
export const VIRTIO_BALLOON_F_STATS_VQ = 1;
export const VIRTIO_BALLOON_F_DEFLATE_ON_OOM = 2;
export const VIRTIO_BALLOON_F_PAGE_POISON = 4;
export const VIRTIO_BALLOON_F_PAGE_REPORTING = 5;

/** Pages of the balloon, whatever the guest's own are (5.5.6). */
export const BALLOON_PAGE = 4096;
const QUEUE_SIZE = 128;

/** Configuration (5.5.4): num_pages, actual, free_page_hint_cmd_id, poison_val. */
const CONFIG_LENGTH = 16;
const NUM_PAGES = 0;
const ACTUAL = 4;
const POISON_VAL = 12;

/** A page number, and an entry of the statistics: tag and value. */
const PFN_SIZE = 4;
const STAT_SIZE = 10;
/** Bytes of page numbers, a whole number of them, and entries of statistics read at once. */
const CHUNK = 4096;
const MOST_STATS = 64;
/** What dropping a page, or so many bytes of a reported range, costs of a turn. */
const RANGE_COST = 512;
const BYTES_PER_COST = 4096;

/** Statistics by tag (5.5.6.4): `VIRTIO_BALLOON_S_MEMFREE` is 4, `VIRTIO_BALLOON_S_AVAIL` 6. */
export type BalloonStats = ReadonlyMap<number, number>;

export interface BalloonBackend {
  /** The guest does not need what [gpa, gpa+length), whole pages, holds: they may read as anything. At most 1 GiB at once. */
  discard(gpa: number, length: number): void;
  /** The guest has said how its memory is used. */
  stats?(stats: BalloonStats): void;
}

export interface VirtioBalloonOptions {
  readonly memory: GuestMemory;
  readonly clock: Clock;
  readonly backend: BalloonBackend;
}

export interface VirtioBalloonState {
  version: 1;
  target: number;
  actual: number;
  poison: number;
}

type Role = 'inflate' | 'deflate' | 'stats' | 'reporting';

export class VirtioBalloon implements VirtioDevice<VirtioBalloonState> {
  readonly name = 'virtio-balloon';
  readonly type = VIRTIO_BALLOON;
  /** Memory controller, other. */
  readonly classCode = 0x05_8000;
  readonly features = featureSet(
    VIRTIO_BALLOON_F_STATS_VQ,
    VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
    VIRTIO_BALLOON_F_PAGE_POISON,
    VIRTIO_BALLOON_F_PAGE_REPORTING,
  );
  readonly queueSizes = new Array<number>(5).fill(QUEUE_SIZE);
  readonly config: VirtioConfigSpace;
  private readonly memory: GuestMemory;
  private readonly backend: BalloonBackend;
  private readonly bytes = new Uint8Array(CONFIG_LENGTH);
  private readonly layout = new DataView(this.bytes.buffer);
  private readonly chunk = new Uint8Array(CHUNK);
  private readonly turns: Turns;
  private driver: VirtioDriver | undefined;
  private roles: readonly (Role | undefined)[] = [];
  /** Queues notified and not yet worked through. */
  private readonly busy = new Set<number>();
  /** The buffer that a queue is in the midst of, and how many bytes or pieces of it are done. */
  private readonly begun = new Map<number, { chain: DescriptorChain; done: number }>();
  /** The statistics' buffer, which is kept until new ones are wanted. */
  private statsChain: { queue: number; chain: DescriptorChain } | undefined;

  constructor({ memory, clock, backend }: VirtioBalloonOptions) {
    this.memory = memory;
    this.backend = backend;
    this.turns = new Turns(clock, (driver) => this.turn(driver));
    this.config = {
      length: CONFIG_LENGTH,
      read: (offset, width) => configField(this.bytes, offset, width),
      write: (offset, width, value) => {
        for (let at = offset, left = value; at < offset + width; at++, left >>>= 8) {
          // The driver writes `actual` and `poison_val`; legacy ones did so byte by byte.
          if ((at >= ACTUAL && at < ACTUAL + 4) || at >= POISON_VAL) this.layout.setUint8(at, left & 0xff);
        }
      },
    };
  }

  // ---- the host's side ---------------------------------------------------------------------------------------------

  /** Bytes that the guest is to hand over: whole pages, less than 16 TiB. */
  setTarget(bytes: number): void {
    this.layout.setUint32(NUM_PAGES, Math.floor(bytes / BALLOON_PAGE), true);
    this.driver?.configChanged();
  }

  /** Bytes that the guest says it has handed over. */
  get actual(): number {
    return this.layout.getUint32(ACTUAL, true) * BALLOON_PAGE;
  }

  /** Asks for new statistics. @returns false where the guest has not answered the last time, or tells none */
  requestStats(): boolean {
    const { driver, statsChain } = this;
    if (driver === undefined || statsChain === undefined) return false;
    this.statsChain = undefined;
    attempt(driver, () => {
      const queue = driver.queue(statsChain.queue);
      queue.push(statsChain.chain, 0);
      queue.signal();
    });
    return true;
  }

  // ---- the driver's side -------------------------------------------------------------------------------------------

  start(driver: VirtioDriver): void {
    this.driver = driver;
    // The standard gives each queue its number (5.5.2), but Linux, and QEMU with it, leave no gaps for queues whose feature
    // is not there. We do not hint, so reporting is the one behind the statistics' or the standard's.
    const stats: Role[] = driver.has(VIRTIO_BALLOON_F_STATS_VQ) ? ['stats'] : [];
    const reporting = driver.has(VIRTIO_BALLOON_F_PAGE_REPORTING) ? 'reporting' : undefined;
    this.roles = ['inflate', 'deflate', ...stats, reporting, reporting, reporting];
  }

  notify(queue: number): void {
    this.busy.add(queue);
    this.turns.run(this.driver!);
  }

  /** @returns whether there is more to do */
  private turn(driver: VirtioDriver): boolean {
    let left = TURN;
    for (const queue of [...this.busy]) {
      left = this.serve(driver, queue, left);
      driver.queue(queue).signal();
      if (left <= 0) return true;
      this.busy.delete(queue);
    }
    return false;
  }

  /** Works on one queue until it is empty or the turn is over. @returns what is left of the turn */
  private serve(driver: VirtioDriver, index: number, left: number): number {
    const queue = driver.queue(index);
    const role = this.roles[index];
    while (left > 0 && role !== undefined) {
      let work = this.begun.get(index);
      if (work === undefined) {
        const chain = queue.pop();
        if (chain === undefined) break;
        left -= BUFFER_COST;
        work = { chain, done: 0 };
        this.begun.set(index, work);
      }
      const { chain } = work;
      if (role === 'stats') {
        this.begun.delete(index);
        this.takeStats(driver, index, chain);
        continue;
      }
      const total = role === 'reporting' ? chain.writable.length : chain.readableLength;
      while (work.done < total && left > 0) {
        left -= role === 'reporting' ? this.report(driver, chain, work.done++) : this.pages(chain, work, role);
      }
      if (work.done < total) break;
      this.begun.delete(index);
      queue.push(chain, 0);
    }
    return left;
  }

  /** Some page numbers of a buffer of the inflate or the deflate queue. @returns their cost */
  private pages(chain: DescriptorChain, work: { done: number }, role: Role): number {
    if (chain.readableLength % PFN_SIZE !== 0) {
      throw new VirtioViolation(
        `an ${role} request of ${chain.readableLength} bytes is no array of page numbers`,
        '5.5.6',
      );
    }
    const length = chain.read(work.done, this.chunk);
    const view = new DataView(this.chunk.buffer, 0, length);
    let cost = length;
    let start = 0;
    let end = 0;
    for (let at = 0; at < length; at += PFN_SIZE) {
      const gpa = view.getUint32(at, true) * BALLOON_PAGE;
      if (!this.memory.contains(gpa, BALLOON_PAGE)) {
        throw new VirtioViolation(`an ${role} request names the page at gpa ${gpa.toString(16)}h, no RAM`, '5.5.6');
      }
      // What the guest takes back it just uses: there is nothing to do for it.
      if (role === 'deflate') continue;
      if (gpa !== end || !this.memory.contains(start, gpa + BALLOON_PAGE - start)) {
        cost += this.discard(start, end);
        start = gpa;
      }
      end = gpa + BALLOON_PAGE;
    }
    cost += this.discard(start, end);
    work.done += length;
    return cost;
  }

  /** One piece of a report of free pages (5.5.6.7). @returns its cost */
  private report(driver: VirtioDriver, chain: DescriptorChain, index: number): number {
    const { gpa, bytes } = chain.writable[index];
    // Such pages must keep their value, or have poison_val; ours would have 0.
    const keep = driver.has(VIRTIO_BALLOON_F_PAGE_POISON) && this.layout.getUint32(POISON_VAL, true) !== 0;
    if (keep) return BUFFER_COST;
    const start = Math.ceil(gpa / BALLOON_PAGE) * BALLOON_PAGE;
    return BUFFER_COST + this.discard(start, Math.floor((gpa + bytes.length) / BALLOON_PAGE) * BALLOON_PAGE);
  }

  private discard(start: number, end: number): number {
    const length = end - start;
    if (length <= 0) return 0;
    for (let at = start; at < end; at += LONGEST_VIEW) {
      const count = Math.min(LONGEST_VIEW, end - at);
      this.backend.discard(at, count);
      this.memory.dirtied(at, count);
    }
    return RANGE_COST + length / BYTES_PER_COST;
  }

  private takeStats(driver: VirtioDriver, queue: number, chain: DescriptorChain): void {
    // There is one buffer (5.5.6.3.1). A driver with more gets the older one back.
    const older = this.statsChain;
    if (older !== undefined) driver.queue(queue).push(older.chain, 0);
    this.statsChain = { queue, chain };
    const bytes = new Uint8Array(Math.min(chain.readableLength, MOST_STATS * STAT_SIZE));
    const view = new DataView(bytes.buffer, 0, chain.read(0, bytes));
    const stats = new Map<number, number>();
    for (let at = 0; at + STAT_SIZE <= view.byteLength; at += STAT_SIZE) {
      const value = view.getUint32(at + 2, true) + view.getUint32(at + 6, true) * 0x1_0000_0000;
      stats.set(view.getUint16(at, true), value);
    }
    this.backend.stats?.(stats);
  }

  // ---- life --------------------------------------------------------------------------------------------------------

  /** What is in the balloon belongs to the next driver. */
  reset(): void {
    this.driver = undefined;
    this.turns.cancel();
    this.busy.clear();
    this.begun.clear();
    this.statsChain = undefined;
    this.layout.setUint32(ACTUAL, 0, true);
    this.layout.setUint32(POISON_VAL, 0, true);
  }

  resetQueue(queue: number): void {
    this.begun.delete(queue);
    this.busy.delete(queue);
    if (this.statsChain?.queue === queue) this.statsChain = undefined;
  }

  save(): VirtioBalloonState {
    const { layout } = this;
    return {
      version: 1,
      target: layout.getUint32(NUM_PAGES, true),
      actual: layout.getUint32(ACTUAL, true),
      poison: layout.getUint32(POISON_VAL, true),
    };
  }

  restore({ version, target, actual, poison }: VirtioBalloonState): void {
    requireVersion(this.name, { version }, 1);
    this.layout.setUint32(NUM_PAGES, target, true);
    this.layout.setUint32(ACTUAL, actual, true);
    this.layout.setUint32(POISON_VAL, poison, true);
  }
}
