/**
 * The one door to the outside (DESIGN: `host/` only). Everything that is not a function of the guest comes through
 * here: time, sleep, entropy. `host/node` implements it; a test hands in a fake, a replay will hand in a log.
 */
export interface Host {
  /** Monotonic time in nanoseconds; its zero is arbitrary. */
  now(): number;
  /** Date and time in milliseconds since 1970-01-01 UTC. */
  wallClock(): number;
  /**
   * Sleeps until `now()` reaches `at` (Infinity: no limit) or `wake` is called, whichever is first. May come back
   * early; must not come back much more than a millisecond late. Sleeping takes no processor time.
   */
  sleepUntil(at: number): Promise<void>;
  /** Ends a `sleepUntil` in progress: input has arrived, or somebody asked something of the machine. */
  wake(): void;
  /** Lets pending input, signals and timers of the host be served, then comes back at once. */
  yield(): Promise<void>;
  /** Unpredictable bytes from the host's generator. */
  entropy(bytes: number): Uint8Array;
}
