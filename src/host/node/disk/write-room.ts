/**
 * Whether writing into a file is a mere copy into the host's page cache. The system makes writers wait for the disk when too
 * much of the cache is waiting to be written (Linux: balance_dirty_pages, from half way between its background limit and its
 * limit); far below that it does not. So it is asked how far away that is, from time to time, and what is written meanwhile
 * is counted. Where a write takes long all the same, none is called a copy for a while.
 */
import { readFileSync } from 'node:fs';

/** Bytes after which the system is asked again. The limits of any host that runs a VM are further apart. */
const STEP = 2 ** 25;
/** Milliseconds after which it is asked again. */
const STALE = 100;
/** A write that has taken so many milliseconds was no copy, even if the host is busy. */
const SLOW = 20;
/** Milliseconds without writes after a slow one: at first, and at most after several. */
const PENALTY = 1000;
const LONGEST_PENALTY = 16_000;
/** Those that /proc/vmstat counts. */
const PAGE = 4096;

export interface WriteRoomOptions {
  /** Milliseconds. */
  readonly now: () => number;
  /** The text of /proc/vmstat. */
  readonly vmstat: () => string;
}

const SYSTEM: WriteRoomOptions = {
  now: () => performance.now(),
  vmstat: () => readFileSync('/proc/vmstat', 'latin1'),
};

export class WriteRoom {
  private readonly options: WriteRoomOptions;
  private left = 0;
  private validUntil = Number.NEGATIVE_INFINITY;
  private hasRoom = false;
  private penalty = PENALTY;

  constructor(options = SYSTEM) {
    this.options = options;
  }

  /** Writes if it is a copy. @returns what `write` returns; false where it has not been called */
  write(bytes: number, write: () => boolean): boolean {
    const begin = this.options.now();
    if (begin >= this.validUntil || (this.hasRoom && this.left < bytes)) this.look(begin);
    if (this.left < bytes) return false;
    this.left -= bytes;
    const written = write();
    const end = this.options.now();
    if (end - begin >= SLOW) this.close(end);
    return written;
  }

  private look(now: number): void {
    const vmstat = this.options.vmstat();
    const limit = pages(vmstat, 'nr_dirty_background_threshold');
    const dirty = pages(vmstat, 'nr_dirty') + pages(vmstat, 'nr_writeback');
    // NaN where the system says nothing of the kind.
    this.hasRoom = (limit - dirty) * PAGE >= STEP;
    this.left = this.hasRoom ? STEP : 0;
    this.validUntil = now + STALE;
  }

  private close(now: number): void {
    this.hasRoom = false;
    this.left = 0;
    this.validUntil = now + this.penalty;
    this.penalty = Math.min(2 * this.penalty, LONGEST_PENALTY);
  }
}

function pages(vmstat: string, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(vmstat)?.[1] ?? Number.NaN);
}
