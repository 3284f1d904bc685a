/** How long to wait for an acknowledgement (RFC 6298). Times in milliseconds. */

const FIRST = 1000;
/** As Linux has it; the guest's delayed acknowledgements take up to 40 ms. */
const SHORTEST = 200;
const LONGEST = 30_000;

export class RetransmissionTimer {
  #smoothed: number | undefined;
  #variation = 0;
  #backoff = 1;

  get timeout(): number {
    const base = this.#smoothed === undefined ? FIRST : this.#smoothed + Math.max(1, 4 * this.#variation);
    return Math.min(LONGEST, Math.max(SHORTEST, base) * this.#backoff);
  }

  /** A round trip was measured, of a segment that was sent once only (Karn). */
  sample(roundTrip: number): void {
    if (this.#smoothed === undefined) {
      this.#smoothed = roundTrip;
      this.#variation = roundTrip / 2;
    } else {
      this.#variation = 0.75 * this.#variation + 0.25 * Math.abs(this.#smoothed - roundTrip);
      this.#smoothed = 0.875 * this.#smoothed + 0.125 * roundTrip;
    }
  }

  /** Nothing came in time. */
  backOff(): void {
    this.#backoff = Math.min(this.#backoff * 2, 1024);
  }

  /** Something new was acknowledged. */
  restore(): void {
    this.#backoff = 1;
  }
}
