/**
 * Jobs that wait to be compiled together. V8 gives every module a place of its own at a random address, so a module takes
 * entries of the processor's TLBs, and tables of pages, that it shares with nothing. A guest whose work is spread over many
 * regions jumps from module to module, and with some hundred of them most of its time goes into translating host addresses
 * (measured: 1,500 small functions called in turn take 212 ns each in a module of their own, 62 in modules of four, 40 in modules of 16).
 *
 * What is hot at once must not wait for that: a job goes as soon as a block of it has become about as hot again as it took
 * to get here. So waiting costs a part of what it took to become hot, however slow or fast the guest does that.
 */
import type { RegionJob } from './job.js';

/** So many are worth a module. */
const ENOUGH = 8;
/** Nothing waits longer, in instructions of the guest: about a quarter of a second. */
const LONGEST = 30e6;

export class Outbox {
  #jobs: RegionJob[] = [];
  #isUrgent = false;
  #due = 0;

  get isEmpty(): boolean {
    return this.#jobs.length === 0;
  }

  /** @param age instructions that the guest has retired */
  add(job: RegionJob, age: number): void {
    if (this.isEmpty) this.#due = age + LONGEST;
    this.#jobs.push(job);
  }

  has(id: number): boolean {
    return this.#jobs.some((job) => job.id === id);
  }

  /** This one is wanted now, if it is still here. */
  hurry(id: number): void {
    this.#isUrgent ||= this.#jobs.some((job) => job.id === id);
  }

  /** Those that are still wanted, if it is time; then none are left. */
  take(age: number, isWanted: (id: number) => boolean): readonly RegionJob[] {
    if (this.isEmpty || !(this.#isUrgent || this.#jobs.length >= ENOUGH || age >= this.#due)) return [];
    const wanted = this.#jobs.filter((job) => isWanted(job.id));
    this.#jobs = [];
    this.#isUrgent = false;
    return wanted;
  }
}
