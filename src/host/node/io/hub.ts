/**
 * Where everything comes together that other threads have done for a machine. Back ends are registered here as sources;
 * their threads ring the hub's bell; the machine asks at the borders of its slices and then, on its own thread, each
 * source delivers what has arrived. So what threads do enters the guest here and nowhere else.
 */
import { Doorbell } from './doorbell.js';
import { Watchfulness } from './watchfulness.js';

export interface IoSource {
  /** Delivers what has arrived since the last call. */
  poll(): void;
}

export class IoHub {
  readonly bell = new Doorbell();
  private readonly sources: IoSource[] = [];
  private seen = 0;
  private awaited = 0;
  private readonly watchfulness = new Watchfulness();

  add(source: IoSource): void {
    this.sources.push(source);
  }

  remove(source: IoSource): void {
    const at = this.sources.indexOf(source);
    if (at >= 0) this.sources.splice(at, 1);
  }

  /** Whether the bell has been rung since the last `poll`. */
  get due(): boolean {
    return this.bell.count !== this.seen;
  }

  /** Whether answers are outstanding that will come by themselves, see `expect`. */
  get expecting(): boolean {
    return this.awaited > 0;
  }

  /** Tells of requests handed to a thread (positive) and of their answers (negative). */
  expect(change: number): void {
    this.awaited += change;
  }

  /** @returns whether there was anything. */
  poll(): boolean {
    const { count } = this.bell;
    if (count === this.seen) return false;
    this.seen = count;
    for (const source of this.sources) source.poll();
    return true;
  }

  /**
   * Blocks until the bell has been rung since the last `poll`, at most `ms` milliseconds. Where an answer is awaited it is
   * watched for at first; a guest that just sleeps costs nothing.
   */
  wait(ms: number): void {
    const { bell, seen, watchfulness } = this;
    if (!this.expecting) {
      bell.wait(seen, ms);
      return;
    }
    const from = performance.now();
    const isSeen = bell.watch(seen, from + Math.min(watchfulness.time, ms));
    const left = from + ms - performance.now();
    if (!isSeen && left > 0) bell.wait(seen, left);
    watchfulness.learn(performance.now() - from, isSeen);
  }

  /** Calls back from the event loop when the bell has been rung since the last `poll`. */
  listen(heard: () => void): void {
    this.bell.listen(this.seen, heard);
  }
}
