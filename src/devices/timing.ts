/**
 * Time as devices count it: ticks of a crystal computed from guest time, exactly and without drift, and one re-armable
 * alarm.
 */

import type { Alarm, Clock } from './device.js';

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/**
 * A crystal of `hz` cycles a second whose tick 0 is guest time 0. The conversion is exact integer arithmetic in doubles:
 * whole periods of the reduced fraction first, so the product stays below 2^53 (checked here) however late it is.
 */
export class Crystal {
  readonly hz: number;
  /** `#ticks` ticks take exactly `#ns` nanoseconds. */
  readonly #ticks: number;
  readonly #ns: number;

  constructor(hz: number) {
    const divisor = gcd(hz, 1e9);
    this.hz = hz;
    this.#ticks = hz / divisor;
    this.#ns = 1e9 / divisor;
    if (!Number.isSafeInteger(this.#ticks * this.#ns)) throw new RangeError(`a crystal of ${hz} Hz is not exact`);
  }

  /** Ticks completed at guest time `ns`. */
  ticksAt(ns: number): number {
    const whole = Math.floor(ns / this.#ns);
    const rest = Math.floor(ns) - whole * this.#ns;
    return whole * this.#ticks + Math.floor((rest * this.#ticks) / this.#ns);
  }

  /** The earliest whole nanosecond at which tick `tick` is complete: the inverse of `ticksAt`. */
  timeOf(tick: number): number {
    const whole = Math.floor(tick / this.#ticks);
    const rest = tick - whole * this.#ticks;
    return whole * this.#ns + Math.ceil((rest * this.#ns) / this.#ticks);
  }
}

/** One alarm that is armed again and again. A superseded alarm never fires, whatever the clock does with it. */
export class Timer {
  readonly #clock: Clock;
  readonly #fire: () => void;
  #alarm: Alarm | undefined;
  #generation = 0;

  constructor(clock: Clock, fire: () => void) {
    this.#clock = clock;
    this.#fire = fire;
  }

  /** Fires once at guest time `at` (ns), instead of whenever it was armed for before. */
  arm(at: number): void {
    this.disarm();
    const generation = this.#generation;
    const alarm = this.#clock.schedule(at, () => {
      if (generation !== this.#generation) return;
      this.#generation++;
      this.#alarm = undefined;
      this.#fire();
    });
    // A clock may fire at once; then there is nothing left to cancel.
    if (generation === this.#generation) this.#alarm = alarm;
  }

  disarm(): void {
    this.#generation++;
    this.#alarm?.cancel();
    this.#alarm = undefined;
  }

  get armed(): boolean {
    return this.#alarm !== undefined;
  }
}
