/**
 * How much may be on its way to the guest (RFC 5681, RFC 6582). The way is a copy in memory that holds back when it is full,
 * so it begins fast; what can lose segments is the guest itself.
 */
import { distance } from './sequence.js';

const FIRST_WINDOW = 256 * 1024;
const LARGEST = 16 * 1024 * 1024;
const DUPLICATES = 3;

export class Congestion {
  window = FIRST_WINDOW;
  #threshold = Number.POSITIVE_INFINITY;
  #duplicates = 0;
  /** The highest number sent when a loss was noticed; undefined where none is being mended. */
  #recover: number | undefined;

  /** @returns whether the segment at `ack` must be sent again: the loss that is being mended goes on there */
  acknowledged(ack: number, bytes: number, mss: number): boolean {
    this.#duplicates = 0;
    if (this.#recover !== undefined) {
      if (distance(ack, this.#recover) < 0) {
        this.window = Math.max(mss, this.window - bytes + mss);
        return true;
      }
      this.#recover = undefined;
      this.window = this.#threshold;
      return false;
    }
    const more = this.window < this.#threshold ? bytes : Math.max(1, (mss * bytes) / this.window);
    this.window = Math.min(LARGEST, this.window + more);
    return false;
  }

  /** @returns whether the first unacknowledged segment must be sent again */
  duplicate(flight: number, highest: number, mss: number): boolean {
    this.#duplicates++;
    if (this.#recover !== undefined) {
      this.window += mss;
      return false;
    }
    if (this.#duplicates < DUPLICATES) return false;
    this.#threshold = Math.max(flight / 2, 2 * mss);
    this.window = this.#threshold + DUPLICATES * mss;
    this.#recover = highest;
    return true;
  }

  timedOut(flight: number, mss: number): void {
    this.#threshold = Math.max(flight / 2, 2 * mss);
    this.window = mss;
    this.#duplicates = 0;
    this.#recover = undefined;
  }
}
