/**
 * Guest time. All of a machine's timers (PIT, RTC, local APIC, PM timer, TSC) read this one clock, so they agree with
 * each other however they are asked. Where the time comes from is a `TimeSource`: the host's clock (the default), or
 * the count of executed instructions (deterministic: the same guest sees the same times in every run).
 */
import type { Alarm, Clock } from '../devices/device.js';
import { AlarmHeap } from './alarms.js';

export interface TimeSource {
  /** Nanoseconds since the machine started; never goes back, stands still while the machine is paused. */
  now(): number;
  pause(): void;
  resume(): void;
  /**
   * Every vCPU waits and the next alarm is at `at`. A virtual source moves there at once and returns true; a source
   * tied to real time returns false: the machine must sleep.
   */
  skipTo(at: number): boolean;
}

/** The host's monotonic clock, minus the time that the machine was paused. */
export class WallTime implements TimeSource {
  private readonly hostNow: () => number;
  private origin: number;
  private stoppedAt: number | undefined;

  constructor(hostNow: () => number) {
    this.hostNow = hostNow;
    this.origin = hostNow();
  }

  now(): number {
    return (this.stoppedAt ?? this.hostNow()) - this.origin;
  }

  pause(): void {
    this.stoppedAt ??= this.hostNow();
  }

  resume(): void {
    if (this.stoppedAt === undefined) return;
    this.origin += this.hostNow() - this.stoppedAt;
    this.stoppedAt = undefined;
  }

  skipTo(): boolean {
    return false;
  }
}

/** One nanosecond per instruction of any vCPU, plus what was skipped while all of them waited. */
export class InstructionTime implements TimeSource {
  private readonly instructions: () => number;
  private skipped = 0;

  /** `instructions`: how many all vCPUs together have retired so far. */
  constructor(instructions: () => number) {
    this.instructions = instructions;
  }

  now(): number {
    return this.instructions() + this.skipped;
  }

  pause(): void {}

  resume(): void {}

  skipTo(at: number): boolean {
    if (!Number.isFinite(at)) return false;
    const ahead = Math.ceil(at) - this.now();
    if (ahead > 0) this.skipped += ahead;
    return true;
  }
}

export class GuestClock implements Clock {
  /** Called when an alarm becomes the earliest: the slice that runs now may have to end sooner. */
  onEarlier: (at: number) => void = () => {};
  private readonly source: TimeSource;
  private readonly alarms = new AlarmHeap();
  private readonly ticksPerNs: number;

  constructor(source: TimeSource, tscHz: number) {
    this.source = source;
    this.ticksPerNs = tscHz / 1e9;
  }

  now(): number {
    return this.source.now();
  }

  /** The time-stamp counter as a plain number of ticks: exact to 2^53, which is 52 days at 2 GHz. */
  ticks(): number {
    return Math.floor(this.source.now() * this.ticksPerNs);
  }

  schedule(at: number, fire: () => void): Alarm {
    const earliest = this.alarms.next;
    const alarm = this.alarms.add(at, fire);
    if (at < earliest) this.onEarlier(at);
    return alarm;
  }

  /** Time of the earliest alarm in ns, Infinity where there is none. */
  get nextAlarm(): number {
    return this.alarms.next;
  }

  /**
   * Fires the alarms that are due, at most as many as there were when it began: a device that rearms itself for now,
   * without end, must not hold the machine. Returns how many have fired.
   */
  fireDue(): number {
    const now = this.source.now();
    let fired = 0;
    for (let left = this.alarms.size; left > 0; left--) {
      const fire = this.alarms.takeDue(now);
      if (fire === undefined) break;
      fired++;
      fire();
    }
    return fired;
  }

  /** See `TimeSource.skipTo`. */
  skipToNextAlarm(): boolean {
    return this.source.skipTo(this.alarms.next);
  }

  pause(): void {
    this.source.pause();
  }

  resume(): void {
    this.source.resume();
  }

  /** Forgets every alarm: the machine is being reset. */
  clear(): void {
    this.alarms.clear();
  }
}
