/**
 * Work that a guest can make as long as it likes (a buffer may be 4 GiB, and there are many), done in turns: after each of
 * them the vCPU runs on for a while, and the host gets a chance.
 */
import type { Alarm, Clock } from '../device.js';
import { attempt, type VirtioDriver } from './device.js';

/** What a turn may cost, in bytes copied; whatever else costs time is to be counted like so many bytes. */
export const TURN = 0x10_0000;
/** What a buffer costs, however small it is. */
export const BUFFER_COST = 256;
/** Guest time between two turns in ns. */
const PAUSE = 100_000;

export class Turns {
  private readonly clock: Clock;
  private readonly turn: (driver: VirtioDriver) => boolean;
  private alarm: Alarm | undefined;

  /** @param turn does work worth about `TURN`; true: there is more of it */
  constructor(clock: Clock, turn: (driver: VirtioDriver) => boolean) {
    this.clock = clock;
    this.turn = turn;
  }

  /** Does a turn now, unless the next one is waited for anyhow. @throws VirtioViolation what the turn throws */
  run(driver: VirtioDriver): void {
    if (this.alarm !== undefined || !this.turn(driver)) return;
    this.alarm = this.clock.schedule(this.clock.now() + PAUSE, () => {
      this.alarm = undefined;
      attempt(driver, () => this.run(driver));
    });
  }

  cancel(): void {
    this.alarm?.cancel();
    this.alarm = undefined;
  }
}
