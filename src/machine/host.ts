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
   * early; must not come back much more than a millisecond late. Sleeping takes no processor time. Ends when `due`.
   */
  sleepUntil(at: number): Promise<void>;
  /** Ends a `sleepUntil` in progress: input has arrived, or somebody asked something of the machine. */
  wake(): void;
  /** Lets pending input, signals and timers of the host be served, then comes back at once. */
  yield(): Promise<void>;
  /** Whether something that the host has done for the guest waits for `poll`. Cheap enough to be asked at every exit. */
  readonly due: boolean;
  /** Whether requests of the guest are under way whose answers will come by themselves, and soon. */
  readonly expecting: boolean;
  /**
   * Delivers what the host has done for the guest (disks read and written, packets received), on this thread. The machine
   * calls it between slices, and what other threads do enters the guest nowhere else.
   */
  poll(): void;
  /** Unpredictable bytes from the host's generator. */
  entropy(bytes: number): Uint8Array;
}
