/**
 * How many instructions a slice may have. The engine counts instructions and the machine wants time, and the ratio of
 * the two changes by a factor of a hundred: the interpreter starts slowly until V8 has optimised it, string moves and
 * page walks cost more than additions. So the speed is measured all the time, and the next budget follows it.
 */

/** Budgets stay within these: big enough that entering the engine costs nothing, small enough for the contract. */
const SMALLEST = 2_000;
const LARGEST = 50_000_000;
/** Guess before anything is measured: slow, so that the first alarm is not late. */
const FIRST_SPEED = 0.05;
/**
 * Slices are added up until they have taken so long (ns): one that is shorter says more about the call, or about the one device
 * that it has asked for something, than about the guest. They must count all the same. A guest that talks to a network gets
 * short slices only; were they ignored, a single slow one would keep its budgets small, which keeps its slices short.
 */
const WINDOW = 200_000;

export class Pace {
  /** Instructions per nanosecond, a moving mean. */
  speed = FIRST_SPEED;
  /** Of slices that have not made a whole window yet. */
  private instructions = 0;
  private ns = 0;

  /** Instructions that take about `ns` nanoseconds. */
  budget(ns: number): number {
    return Math.min(LARGEST, Math.max(SMALLEST, Math.floor(ns * this.speed)));
  }

  /** Takes in what a slice has shown: `instructions` in `ns` nanoseconds. */
  learn(instructions: number, ns: number): void {
    // A slice that has run nothing was spent in a device, or the vCPU was halted.
    if (instructions <= 0) return;
    this.instructions += instructions;
    this.ns += ns;
    if (this.ns < WINDOW) return;
    const speed = this.instructions / this.ns;
    this.instructions = this.ns = 0;
    // Slower at once, faster by halves: a slice too short costs little, one too long delays an alarm.
    this.speed = speed < this.speed ? speed : (this.speed + speed) / 2;
  }
}
