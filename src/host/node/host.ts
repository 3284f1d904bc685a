/** The machine's door to the outside, on Node. */
import { randomFillSync } from 'node:crypto';
import type { Host } from '../../machine/host.js';

/** Below this many milliseconds a sleep blocks the thread: a guest's tick of 4 ms would go through the event loop twice. */
const BLOCKING_SLEEP = 5;
/** Longest delay that setTimeout takes. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

export class NodeHost implements Host {
  /** As a field: the module's binding is a getter, which a guest's RDTSC would call each time. */
  private readonly clock = performance;
  private readonly never = new Int32Array(new SharedArrayBuffer(4));
  private wakeSleeper: (() => void) | undefined;

  now(): number {
    return this.clock.now() * 1e6;
  }

  wallClock(): number {
    return Date.now();
  }

  /**
   * The event loop's timers have whole milliseconds, too coarse for a guest that sleeps 100 µs; so the last stretch of
   * a sleep is a blocking wait, which is exact and takes no processor time. Input waits at most that long.
   */
  async sleepUntil(at: number): Promise<void> {
    const left = (at - this.now()) / 1e6;
    if (left <= 0) return;
    if (left < BLOCKING_SLEEP) {
      Atomics.wait(this.never, 0, 0, left);
      return;
    }
    await new Promise<void>((resolve) => {
      // The timer also keeps the process alive where neither an alarm nor open input does.
      const timer = setTimeout(resolve, Math.min(Math.floor(left - 1), LONGEST_TIMEOUT));
      this.wakeSleeper = () => {
        clearTimeout(timer);
        resolve();
      };
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
}
