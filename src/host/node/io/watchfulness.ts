/**
 * How long a thread watches for an answer before it sleeps, as KVM's halt_poll_ns. Falling asleep and being woken costs some
 * microseconds on both sides, and more where the host gives a processor that has nothing to do to somebody else; but watching
 * takes processor time. So the time follows the waits: while they are short it grows until it covers them, and a wait that would
 * not have been covered by any ends it.
 */
import { availableParallelism } from 'node:os';

/** Times in ms. The longest one bounds what watching costs a guest that waits often. */
const SHORTEST = 0.02;
const LONGEST = 0.2;
/**
 * After so many times in vain in a row there is no watching for so many waits: probably there is no processor for whoever
 * makes the answer while we watch.
 */
const MOST_IN_VAIN = 6;
const REST = 256;

export class Watchfulness {
  private readonly isOfUse: boolean;
  private length = 0;
  private inVain = 0;
  private rest = 0;

  /** @param processors how many this process may use: on one, who watches holds up who works */
  constructor(processors = availableParallelism()) {
    this.isOfUse = processors > 1;
  }

  /** How long to watch, in ms. */
  get time(): number {
    return this.rest > 0 ? 0 : this.length;
  }

  /**
   * A wait is over.
   * @param waited how long it was, in ms
   * @param seen whether its end came while we watched
   */
  learn(waited: number, seen: boolean): void {
    if (!this.isOfUse) return;
    if (this.rest > 0) {
      this.rest--;
      return;
    }
    if (seen) {
      this.inVain = 0;
    } else if (waited > LONGEST) {
      this.length = 0;
    } else if (this.length > 0 && ++this.inVain >= MOST_IN_VAIN) {
      this.length = this.inVain = 0;
      this.rest = REST;
    } else {
      this.length = Math.min(LONGEST, Math.max(SHORTEST, this.length * 2));
    }
  }
}
