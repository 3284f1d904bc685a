/** The machine's door to the outside, on Node. */
import { randomFillSync } from 'node:crypto';
import type { Host } from '../../machine/host.js';
import { IoHub } from './io/hub.js';

/** Below this many milliseconds a sleep blocks the thread: a guest's tick of 4 ms would go through the event loop twice. */
const BLOCKING_SLEEP = 5;
/** Longest delay that setTimeout takes. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

export class NodeHost implements Host {
  /** What other threads have done for the machine. */
  readonly io = new IoHub();
  /** As a field: the module's binding is a getter, which a guest's RDTSC would call each time. */
  private readonly clock = performance;
  private wakeSleeper: (() => void) | undefined;
  private listening = false;

  now(): number {
    return this.clock.now() * 1e6;
  }

  wallClock(): number {
    return Date.now();
  }

  /**
   * The event loop's timers have whole milliseconds, too coarse for a guest that sleeps 100 µs; so the last stretch of
   * a sleep is a blocking wait, which is exact and takes no processor time. Input waits at most that long; the bell of the
   * I/O threads ends either.
   */
  async sleepUntil(at: number): Promise<void> {
    const left = (at - this.now()) / 1e6;
    if (left <= 0 || this.io.due) return;
    // An answer that is awaited comes soon, and the event loop would bring it later than a guest's disk is used to.
    if (left < BLOCKING_SLEEP || this.io.expecting) {
      this.io.wait(Math.min(left, BLOCKING_SLEEP));
      return;
    }
    await new Promise<void>((resolve) => {
      // The timer also keeps the process alive where neither an alarm nor open input does.
      const timer = setTimeout(resolve, Math.min(Math.floor(left - 1), LONGEST_TIMEOUT));
      this.wakeSleeper = () => {
        clearTimeout(timer);
        resolve();
      };
      this.listen();
    });
    this.wakeSleeper = undefined;
  }

  wake(): void {
    this.wakeSleeper?.();
  }

  yield(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  entropy(bytes: number): Uint8Array {
    return randomFillSync(new Uint8Array(bytes));
  }

  get due(): boolean {
    return this.io.due;
  }

  get expecting(): boolean {
    return this.io.expecting;
  }

  poll(): void {
    this.io.poll();
  }

  /** One listener at a time: one that nobody needs any more can't be taken back. */
  private listen(): void {
    if (this.listening) return;
    this.listening = true;
    this.io.listen(() => {
      this.listening = false;
      this.wake();
    });
  }
}
