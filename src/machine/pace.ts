/**
 * How many instructions a slice may have. The engine counts instructions and the machine wants time, and the ratio of
 * the two changes by a factor of a hundred: the interpreter starts slowly until V8 has optimised it, string moves and
 * page walks cost more than additions. So the speed is measured over every slice, and the next budget follows it.
 */

/** Budgets stay within these: big enough that entering the engine costs nothing, small enough for the contract. */
const SMALLEST = 2_000;
const LARGEST = 50_000_000;
/** Guess before the first slice: slow, so that the first alarm is not late. */
const FIRST_SPEED = 0.05;
/** Slices shorter than this (ns) say more about the call than about the guest. */
const TOO_SHORT = 50_000;

export class Pace {
  /** Instructions per nanosecond, a moving mean. */
  speed = FIRST_SPEED;

  /** Instructions that take about `ns` nanoseconds. */
  budget(ns: number): number {
    return Math.min(LARGEST, Math.max(SMALLEST, Math.floor(ns * this.speed)));
  }

  /** Takes in what a slice has shown: `instructions` in `ns` nanoseconds. */
  learn(instructions: number, ns: number): void {
    if (ns < TOO_SHORT || instructions <= 0) return;
    const speed = instructions / ns;
    // Slower at once, faster by halves: a slice too short costs little, one too long delays an alarm.
    this.speed = speed < this.speed ? speed : (this.speed + speed) / 2;
  }
}
