/**
 * The bell that threads ring when they have something for the machine's thread: one word of shared memory, which counts the
 * rings. Whoever waits notes the count first, looks at everything, and then waits only while the count is still the same;
 * so no ring is lost.
 */

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
