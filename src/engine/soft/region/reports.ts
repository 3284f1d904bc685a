/** What is known of the blocks that have been reported hot: how many times that was, and how often they run. */

export interface Report {
  /** How many there have been, this one included. */
  readonly count: number;
  /** In so many instructions of the guest the block has run once, since the report before. Infinite for the first one. */
  readonly period: number;
}

interface Note {
  readonly count: number;
  readonly heat: number;
  readonly age: number;
}

export class Reports {
  readonly #notes = new Map<number, Note>();

  /**
   * @param heat how often the block has run so far, modulo 2^32
   * @param age instructions that the guest has retired so far
   */
  add(block: number, heat: number, age: number): Report {
    const before = this.#notes.get(block);
    const count = (before?.count ?? 0) + 1;
    this.#notes.set(block, { count, heat, age });
    if (before === undefined) return { count, period: Number.POSITIVE_INFINITY };
    return { count, period: (age - before.age) / ((heat - before.heat) >>> 0) };
  }

  forget(block: number): void {
    this.#notes.delete(block);
  }

  forgetAll(): void {
    this.#notes.clear();
  }
}
