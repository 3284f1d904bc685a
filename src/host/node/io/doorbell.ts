/**
 * The bell that threads ring when they have something for the machine's thread: one word of shared memory, which counts the
 * rings. Whoever waits notes the count first, looks at everything, and then waits only while the count is still the same;
 * so no ring is lost.
 */

/** Looks at the word between two looks at the clock. */
const LOOKS = 64;

export class Doorbell {
  /** For handing to a thread. */
  readonly cell: Int32Array<SharedArrayBuffer>;

  constructor(cell = new Int32Array(new SharedArrayBuffer(4))) {
    this.cell = cell;
  }

  /** How often it has been rung, modulo 2^32. */
  get count(): number {
    return Atomics.load(this.cell, 0);
  }

  ring(): void {
    Atomics.add(this.cell, 0, 1);
    Atomics.notify(this.cell, 0);
  }

  /** Looks until the count differs from `seen` or it is `until`, in ms of `performance.now()`. @returns whether it differs */
  watch(seen: number, until: number): boolean {
    do {
      for (let looks = LOOKS; looks > 0; looks--) if (Atomics.load(this.cell, 0) !== seen) return true;
    } while (performance.now() < until);
    return false;
  }

  /** Blocks this thread until the count differs from `seen`, at most `ms` milliseconds. */
  wait(seen: number, ms?: number): void {
    Atomics.wait(this.cell, 0, seen, ms);
  }

  /** Calls back once, from the event loop, when the count differs from `seen`. Does not keep the process alive. */
  listen(seen: number, heard: () => void): void {
    const { async, value } = Atomics.waitAsync(this.cell, 0, seen);
    if (async) void value.then(heard);
    else heard();
  }
}
