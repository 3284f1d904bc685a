/**
 * The local APIC's timer (SDM vol. 3, 11.5.4): one-shot and periodic by the initial-count register, or TSC deadline.
 * Nothing ticks: the current count is computed from the clock when it is read, and one alarm stands for the next expiry.
 * Expiries that were missed because the machine was late are one interrupt, not many.
 */
import type { Alarm, Clock } from '../device.js';
import type { TscSource } from './message.js';

/** LVT timer bits 18:17. */
export const TIMER_ONE_SHOT = 0;
export const TIMER_PERIODIC = 1;
export const TIMER_TSC_DEADLINE = 2;

/**
 * Alarms of a periodic timer come at most this often (ns). A guest may ask for a period of one nanosecond; it gets a
 * count that runs that fast, and interrupts at a rate that leaves the host alive.
 */
export const MIN_ALARM_DISTANCE_NS = 20_000;

const TWO_32 = 0x1_0000_0000;

export interface LapicTimerState {
  mode: number;
  divide: number;
  initial: number;
  /** Ns since the count was loaded, at the moment of saving; -1 when it does not run. */
  elapsedNs: number;
  deadlineLow: number;
  deadlineHigh: number;
}

export class LapicTimer {
  /** IA32_TSC_DEADLINE in halves; 0 when disarmed or in another mode. */
  deadlineLow = 0;
  deadlineHigh = 0;

  private readonly clock: Clock;
  private readonly tsc: TscSource;
  private readonly expired: () => void;
  /** Ns of one tick of the undivided input clock. */
  private readonly inputNs: number;
  private mode = TIMER_ONE_SHOT;
  /** Divide configuration register, bits 3, 1 and 0. */
  private divide = 0;
  private tickNs: number;
  private initial = 0;
  private running = false;
  /** Guest time at which the count was (re)loaded. */
  private start = 0;
  private alarm: Alarm | undefined;
  /** Made once: arming is a hot path. */
  private readonly onAlarm = (): void => this.fire();

  /** @param expired called at every expiry; the LVT entry decides what that means. */
  constructor(clock: Clock, tsc: TscSource, inputHz: number, expired: () => void) {
    this.clock = clock;
    this.tsc = tsc;
    this.expired = expired;
    this.inputNs = 1e9 / inputHz;
    this.tickNs = this.inputNs * 2;
  }

  reset(): void {
    this.stop();
    this.mode = TIMER_ONE_SHOT;
    this.initial = 0;
    this.divide = 0;
    this.tickNs = this.inputNs * 2;
  }

  /** One-shot and periodic share the count; going to or from TSC deadline disarms (SDM vol. 3, 11.5.4.1). */
  setMode(mode: number): void {
    if (mode === this.mode) return;
    const disarm = (mode === TIMER_TSC_DEADLINE) !== (this.mode === TIMER_TSC_DEADLINE);
    this.mode = mode;
    if (disarm) {
      this.stop();
      this.initial = 0;
    }
  }

  get divideConfiguration(): number {
    return this.divide;
  }

  /** Bits 3, 1, 0: 000 is 2, 001 is 4, … 110 is 128, 111 is 1 (figure 11-10). A running count goes on at the new rate. */
  setDivide(value: number): void {
    const count = this.currentCount();
    this.divide = value & 0b1011;
    const code = (value & 3) | ((value & 8) >> 1);
    this.tickNs = this.inputNs * (code === 7 ? 1 : 2 << code);
    if (this.running && this.mode !== TIMER_TSC_DEADLINE) {
      const now = this.clock.now();
      this.start = now - (this.initial - count) * this.tickNs;
      this.arm(now + count * this.tickNs);
    }
  }

  get initialCount(): number {
    return this.initial;
  }

  /** Loads and starts the count; 0 stops it. Ignored in TSC-deadline mode. */
  setInitialCount(value: number): void {
    if (this.mode === TIMER_TSC_DEADLINE) return;
    this.stop();
    this.initial = value >>> 0;
    if (this.initial === 0) return;
    this.running = true;
    this.start = this.clock.now();
    this.armCount(this.start);
  }

  currentCount(): number {
    if (!this.running || this.mode === TIMER_TSC_DEADLINE) return 0;
    const ticks = Math.floor((this.clock.now() - this.start) / this.tickNs);
    if (ticks < this.initial) return ticks <= 0 ? this.initial : this.initial - ticks;
    // Late: the alarm is due but has not been called yet.
    return this.mode === TIMER_PERIODIC ? this.initial - (ticks % this.initial) : 0;
  }

  /** Arms for the moment at which the TSC reaches the value, at once if it has; 0 disarms; ignored in other modes. */
  setDeadline(low: number, high: number): void {
    if (this.mode !== TIMER_TSC_DEADLINE) return;
    this.alarm?.cancel();
    this.alarm = undefined;
    this.deadlineLow = low >>> 0;
    this.deadlineHigh = high >>> 0;
    if ((low | high) === 0) return;
    const deadline = (high | 0) * TWO_32 + (low >>> 0);
    const now = this.tsc.now();
    let ticks = deadline - now;
    // Signed, to be exact at both ends; but compared as unsigned: below zero is the upper half.
    if (deadline < 0 !== now < 0) ticks = deadline < 0 ? TWO_32 * TWO_32 : 0;
    if (ticks <= 0) this.fire();
    else this.arm(this.clock.now() + (ticks * 1e9) / this.tsc.hz);
  }

  /** The guest has set its TSC: the deadline, which is a value of it, has come nearer, gone farther or passed. */
  tscMoved(): void {
    this.setDeadline(this.deadlineLow, this.deadlineHigh);
  }

  save(): LapicTimerState {
    return {
      mode: this.mode,
      divide: this.divide,
      initial: this.initial,
      elapsedNs: this.running ? Math.max(0, this.clock.now() - this.start) : -1,
      deadlineLow: this.deadlineLow,
      deadlineHigh: this.deadlineHigh,
    };
  }

  restore(state: LapicTimerState): void {
    this.reset();
    this.mode = state.mode;
    this.setDivide(state.divide);
    this.initial = state.initial >>> 0;
    if (this.mode === TIMER_TSC_DEADLINE) this.setDeadline(state.deadlineLow, state.deadlineHigh);
    else if (state.elapsedNs >= 0 && this.initial !== 0) {
      this.running = true;
      this.start = this.clock.now() - state.elapsedNs;
      this.armCount(this.clock.now());
    }
  }

  private stop(): void {
    this.alarm?.cancel();
    this.alarm = undefined;
    this.running = false;
    this.deadlineLow = 0;
    this.deadlineHigh = 0;
  }

  private arm(at: number): void {
    this.alarm?.cancel();
    this.alarm = this.clock.schedule(Math.min(Math.ceil(at), Number.MAX_SAFE_INTEGER), this.onAlarm);
  }

  private armCount(now: number): void {
    const at = this.start + this.initial * this.tickNs;
    this.arm(this.mode === TIMER_PERIODIC ? Math.max(at, now + MIN_ALARM_DISTANCE_NS) : at);
  }

  private fire(): void {
    this.alarm = undefined;
    if (this.mode === TIMER_TSC_DEADLINE) {
      this.deadlineLow = 0;
      this.deadlineHigh = 0;
    } else if (this.mode === TIMER_PERIODIC) {
      const now = this.clock.now();
      const period = this.initial * this.tickNs;
      const missed = Math.floor((now - this.start) / period);
      this.start += Math.max(1, missed) * period;
      this.armCount(now);
    } else {
      this.running = false;
    }
    this.expired();
  }
}
