/**
 * What a device gets handed in and what it gives back. A device knows neither the machine nor the engine: it has
 * registers, an interrupt line, a clock and a back end, so a test hands in fakes and a replay hands in a log.
 */

/** Guest time for timers, in nanoseconds since the machine started. Wall time or instruction count: devices can't tell. */
export interface Clock {
  now(): number;
  /** Calls `fire` at guest time `at` (ns) or as soon after as the machine can; at once if it has passed. */
  schedule(at: number, fire: () => void): Alarm;
}

export interface Alarm {
  cancel(): void;
}

/** One interrupt line: level as driven by the device. An edge is `set(true)` followed by `set(false)`. */
export interface IrqLine {
  set(level: boolean): void;
}

/** A block of I/O ports. `offset` is relative to the block's start; `value` is unsigned, of `size` bytes. */
export interface PortDevice {
  portIn(offset: number, size: 1 | 2 | 4): number;
  portOut(offset: number, size: 1 | 2 | 4, value: number): void;
}

/** A block of memory-mapped registers. */
export interface MmioDevice {
  mmioRead(offset: number, size: 1 | 2 | 4): number;
  mmioWrite(offset: number, size: 1 | 2 | 4, value: number): void;
  /**
   * Writes that only ring: whoever maps the device may deliver them a little later, several as one, so that the vCPU need
   * not wait.
   */
  readonly doorbells?: readonly Doorbell[];
}

export interface Doorbell {
  readonly offset: number;
  readonly size: 1 | 2 | 4;
  readonly value: number;
}

/** State that a snapshot keeps: plain JSON data with a version of its own. `restore` refuses an unknown version. */
export interface Persist<S extends { version: number }> {
  save(): S;
  restore(state: S): void;
}
