/**
 * MC146818 real-time clock and CMOS RAM at ports 70h-71h (MC146818A data sheet, 1984). The time is the host's, handed in,
 * plus whatever the guest made of it; nothing ticks. IRQ 8 is armed only for an event that is enabled and not pending.
 */

import { BytePorts } from '../byte-ports.js';
import type { Clock, IrqLine, Persist } from '../device.js';
import { requireVersion } from '../persist.js';
import { Crystal, Timer } from '../timing.js';
import {
  type CalendarTime,
  type Coding,
  calendarOf,
  decode,
  decodeHour,
  encode,
  encodeHour,
  secondsOf,
  untilAlarm,
} from './calendar.js';

const SECONDS = 0x00;
const SECONDS_ALARM = 0x01;
const MINUTES = 0x02;
const MINUTES_ALARM = 0x03;
const HOURS = 0x04;
const HOURS_ALARM = 0x05;
const DAY_OF_WEEK = 0x06;
const DAY_OF_MONTH = 0x07;
const MONTH = 0x08;
const YEAR = 0x09;
const REGISTER_A = 0x0a;
const REGISTER_B = 0x0b;
const REGISTER_C = 0x0c;
const REGISTER_D = 0x0d;
/** The PC's century byte, which ACPI's FADT names (CENTURY). */
export const RTC_CENTURY = 0x32;

const A_UIP = 0x80;
const A_DV = 0x70;
/** DV = 11x holds the divider in reset. */
const A_DV_RESET = 0x60;
const A_RS = 0x0f;
const B_SET = 0x80;
const B_PIE = 0x40;
const B_AIE = 0x20;
const B_UIE = 0x10;
const B_DM = 0x04;
const B_2412 = 0x02;
const C_IRQF = 0x80;
const C_PF = 0x40;
const C_AF = 0x20;
const C_UF = 0x10;
const D_VRT = 0x80;
/** An alarm byte with both top bits set matches everything. */
const ALARM_DONT_CARE = 0xc0;

const RTC_HZ = 32_768;
/** UIP rises 244 µs before the update, which takes 1984 µs. */
const UIP_MS = (244 + 1984) / 1000;
/** After the divider's reset is released the first update comes half a second later. */
const DIVIDER_PHASE_MS = 500;
/** Host time and guest time may run apart: look again at least this often while an update or alarm is awaited. */
const MAX_WAIT_MS = 60_000;
const MIN_WAIT_NS = 100_000;
const CMOS_SIZE = 128;

const TIME_REGISTERS = [SECONDS, MINUTES, HOURS, DAY_OF_WEEK, DAY_OF_MONTH, MONTH, YEAR, RTC_CENTURY];

export interface RtcOptions {
  clock: Clock;
  irq8: IrqLine;
  /** Wall-clock time in ms since 1970, UTC; fractions are welcome. May jump. */
  wallClock: () => number;
  /** Minutes that the guest's time is ahead of UTC at the given wall-clock time. Default: 0, the guest's RTC runs in UTC. */
  utcOffsetMinutes?: (wallMs: number) => number;
}

export interface RtcState {
  version: 1;
  cmos: number[];
  index: number;
  /** Guest time less wall-clock time, in ms. */
  offsetMs: number;
  flags: number;
  lastSecond: number;
  lastPeriodicTick: number;
  dividerWasReset: boolean;
}

export class Rtc extends BytePorts implements Persist<RtcState> {
  readonly #clock: Clock;
  readonly #irq8: IrqLine;
  readonly #wallClock: () => number;
  readonly #crystal = new Crystal(RTC_HZ);
  readonly #timer: Timer;
  /** Time registers in here count only while updates are inhibited; otherwise they are computed. */
  readonly #cmos = new Uint8Array(CMOS_SIZE);
  #index = 0;
  #offsetMs = 0;
  /** PF, AF and UF of register C. */
  #flags = 0;
  /** The second up to which update and alarm flags are evaluated. */
  #lastSecond: number;
  #lastPeriodicTick = 0;
  /** The divider was reset while the time stood: the phase of the seconds starts anew. */
  #dividerWasReset = false;

  constructor(options: RtcOptions) {
    super(2);
    this.#clock = options.clock;
    this.#irq8 = options.irq8;
    this.#wallClock = options.wallClock;
    this.#timer = new Timer(options.clock, () => this.#follow());
    const wall = options.wallClock();
    this.#offsetMs = (options.utcOffsetMinutes?.(wall) ?? 0) * 60_000;
    this.#cmos[REGISTER_A] = 0x26;
    this.#cmos[REGISTER_B] = B_2412;
    this.#lastSecond = this.#seconds();
    this.#lastPeriodicTick = this.#crystal.ticksAt(this.#clock.now());
  }

  /** The CMOS byte at `index` (0 to 127), as the guest reads it, but without side effects. */
  peek(index: number): number {
    if (!this.#stopped && TIME_REGISTERS.includes(index)) return this.#timeRegister(index, calendarOf(this.#seconds()));
    switch (index) {
      case REGISTER_A:
        return this.#cmos[REGISTER_A]! | (this.#updateInProgress ? A_UIP : 0);
      case REGISTER_C:
        return this.#flags | (this.#interrupting ? C_IRQF : 0);
      case REGISTER_D:
        return D_VRT;
      default:
        return this.#cmos[index]!;
    }
  }

  /** Sets a byte of CMOS RAM (0Eh to 7Fh, but not the century) for firmware or board. @throws RangeError elsewhere. */
  poke(index: number, value: number): void {
    if (index <= REGISTER_D || index >= CMOS_SIZE || index === RTC_CENTURY) {
      throw new RangeError(`CMOS byte ${index} is the clock's own.`);
    }
    this.#cmos[index] = value;
  }

  protected override readByte(offset: number): number {
    // The index register is write-only on a PC.
    if (offset === 0) return 0xff;
    if (this.#index !== REGISTER_C) return this.peek(this.#index);
    this.#evaluate();
    const value = this.peek(REGISTER_C);
    this.#flags = 0;
    this.#follow();
    return value;
  }

  protected override writeByte(offset: number, value: number): void {
    if (offset === 0) {
      // Bit 7 masks NMI; nothing in this machine raises one, so it is not kept.
      this.#index = value & 0x7f;
      return;
    }
    const index = this.#index;
    if (index === REGISTER_C || index === REGISTER_D) return;
    this.#evaluate();
    if (TIME_REGISTERS.includes(index)) this.#writeTime(index, value);
    else if (index === REGISTER_A || index === REGISTER_B) this.#writeControl(index, value);
    else this.#cmos[index] = value;
    if (index <= REGISTER_B) this.#follow();
  }

  save(): RtcState {
    this.#follow();
    return {
      version: 1,
      cmos: [...this.#cmos],
      index: this.#index,
      offsetMs: this.#offsetMs,
      flags: this.#flags,
      lastSecond: this.#lastSecond,
      lastPeriodicTick: this.#lastPeriodicTick - this.#crystal.ticksAt(this.#clock.now()),
      dividerWasReset: this.#dividerWasReset,
    };
  }

  /** The guest's clock goes on from the host's time now, as a clock with a battery does. */
  restore(state: RtcState): void {
    requireVersion('MC146818', state, 1);
    this.#cmos.set(state.cmos.slice(0, CMOS_SIZE));
    this.#index = state.index & 0x7f;
    this.#offsetMs = state.offsetMs;
    this.#flags = state.flags & (C_PF | C_AF | C_UF);
    this.#lastSecond = state.lastSecond;
    this.#lastPeriodicTick = this.#crystal.ticksAt(this.#clock.now()) + state.lastPeriodicTick;
    this.#dividerWasReset = state.dividerWasReset;
    this.#follow();
  }

  get #coding(): Coding {
    const b = this.#cmos[REGISTER_B]!;
    return { binary: (b & B_DM) !== 0, hours24: (b & B_2412) !== 0 };
  }

  /** Updates are inhibited: the time stands in the registers. */
  get #stopped(): boolean {
    return (this.#cmos[REGISTER_B]! & B_SET) !== 0 || this.#dividerReset;
  }

  get #dividerReset(): boolean {
    return (this.#cmos[REGISTER_A]! & A_DV_RESET) === A_DV_RESET;
  }

  /** Guest time in ms since 1970. */
  #milliseconds(): number {
    return this.#wallClock() + this.#offsetMs;
  }

  #seconds(): number {
    return Math.floor(this.#milliseconds() / 1000);
  }

  get #updateInProgress(): boolean {
    if (this.#stopped) return false;
    const ms = this.#milliseconds();
    return ms - Math.floor(ms / 1000) * 1000 >= 1000 - UIP_MS;
  }

  get #interrupting(): boolean {
    return (this.#flags & this.#cmos[REGISTER_B]! & (B_PIE | B_AIE | B_UIE)) !== 0;
  }

  #timeRegister(index: number, time: CalendarTime): number {
    const coding = this.#coding;
    switch (index) {
      case SECONDS:
        return encode(time.second, coding);
      case MINUTES:
        return encode(time.minute, coding);
      case HOURS:
        return encodeHour(time.hour, coding);
      case DAY_OF_WEEK:
        return encode(time.weekday, coding);
      case DAY_OF_MONTH:
        return encode(time.day, coding);
      case MONTH:
        return encode(time.month, coding);
      case YEAR:
        return encode(time.year % 100, coding);
      default:
        return encode(Math.floor(time.year / 100), coding);
    }
  }

  #freeze(): void {
    const time = calendarOf(this.#seconds());
    for (const index of TIME_REGISTERS) this.#cmos[index] = this.#timeRegister(index, time);
  }

  /** What stands in the registers becomes the time. The day of the week follows from the date. */
  #thaw(): void {
    const coding = this.#coding;
    const field = (index: number) => decode(this.#cmos[index]!, coding);
    const seconds = secondsOf({
      second: field(SECONDS),
      minute: field(MINUTES),
      hour: decodeHour(this.#cmos[HOURS]!, coding),
      weekday: 0,
      day: field(DAY_OF_MONTH),
      month: field(MONTH),
      year: field(RTC_CENTURY) * 100 + field(YEAR),
    });
    const ms = this.#milliseconds();
    const phase = this.#dividerWasReset ? DIVIDER_PHASE_MS : ms - Math.floor(ms / 1000) * 1000;
    this.#offsetMs += seconds * 1000 + phase - ms;
    this.#dividerWasReset = false;
    this.#lastSecond = this.#seconds();
  }

  #writeTime(index: number, value: number): void {
    const running = !this.#stopped;
    if (running) this.#freeze();
    this.#cmos[index] = value;
    if (running) this.#thaw();
  }

  #writeControl(index: number, value: number): void {
    const wasStopped = this.#stopped;
    const wasDividing = !this.#dividerReset;
    // In the coding that was valid until now; the registers count only if the clock stops.
    if (!wasStopped) this.#freeze();
    if (index === REGISTER_A) {
      this.#cmos[REGISTER_A] = value & (A_DV | A_RS);
      // A new rate counts from now.
      this.#lastPeriodicTick = this.#crystal.ticksAt(this.#clock.now());
    } else {
      // "When SET is written, UIE is cleared" (register B, SET).
      this.#cmos[REGISTER_B] = (value & B_SET) !== 0 ? value & ~B_UIE : value;
    }
    if (wasDividing && this.#dividerReset) this.#dividerWasReset = true;
    if (wasStopped && !this.#stopped) this.#thaw();
  }

  /** Ticks of the crystal in one period of register A's rate, 0 for none. */
  get #period(): number {
    const rate = this.#cmos[REGISTER_A]! & A_RS;
    if (rate === 0 || this.#dividerReset) return 0;
    // Rates 1 and 2 are 256 and 128 Hz; 3 to 15 are 8192 down to 2 Hz.
    return 1 << (rate <= 2 ? rate + 6 : rate - 1);
  }

  #alarm(): { hour: number; minute: number; second: number } {
    const coding = this.#coding;
    const field = (index: number, read: (register: number, coding: Coding) => number) => {
      const register = this.#cmos[index]!;
      return (register & ALARM_DONT_CARE) === ALARM_DONT_CARE ? -1 : read(register, coding);
    };
    return {
      hour: field(HOURS_ALARM, decodeHour),
      minute: field(MINUTES_ALARM, decode),
      second: field(SECONDS_ALARM, decode),
    };
  }

  /** Sets the flags for whatever has happened since the last look. */
  #evaluate(): void {
    const tick = this.#crystal.ticksAt(this.#clock.now());
    const period = this.#period;
    if (period > 0 && Math.floor(tick / period) > Math.floor(this.#lastPeriodicTick / period)) this.#flags |= C_PF;
    this.#lastPeriodicTick = tick;
    if (this.#stopped) return;
    const second = this.#seconds();
    if (second === this.#lastSecond) return;
    this.#flags |= C_UF;
    // Where the host's clock was set back, the alarm waits for its time to come again.
    if (
      second > this.#lastSecond &&
      second - this.#lastSecond >= untilAlarm(secondOfDay(this.#lastSecond), this.#alarm())
    ) {
      this.#flags |= C_AF;
    }
    this.#lastSecond = second;
  }

  /** Brings IRQ 8 up to date and arms the timer for the next event that can change it. */
  #follow(): void {
    this.#evaluate();
    this.#irq8.set(this.#interrupting);
    const b = this.#cmos[REGISTER_B]!;
    const awaited = b & ~this.#flags;
    const now = this.#clock.now();
    let at = Number.POSITIVE_INFINITY;
    if (!this.#interrupting) {
      const period = this.#period;
      if ((awaited & B_PIE) !== 0 && period > 0) {
        at = this.#crystal.timeOf((Math.floor(this.#crystal.ticksAt(now) / period) + 1) * period);
      }
      if ((awaited & (B_AIE | B_UIE)) !== 0 && !this.#stopped) at = Math.min(at, now + this.#waitNs(awaited));
    }
    if (at === Number.POSITIVE_INFINITY) this.#timer.disarm();
    else this.#timer.arm(at);
  }

  /** Nanoseconds until the next update or alarm, whichever of them is awaited. */
  #waitNs(awaited: number): number {
    const ms = this.#milliseconds();
    const second = Math.floor(ms / 1000);
    const seconds = (awaited & B_UIE) !== 0 ? 1 : untilAlarm(secondOfDay(second), this.#alarm());
    const wait = Math.min((second + seconds) * 1000 - ms, MAX_WAIT_MS);
    return Math.max(MIN_WAIT_NS, Math.ceil(wait * 1e6));
  }
}

function secondOfDay(seconds: number): number {
  return ((seconds % 86400) + 86400) % 86400;
}

/**
 * The CMOS bytes from which firmware and old loaders take the memory size, by index: base memory 15h-16h and extended
 * memory 17h-18h, 30h-31h in KiB, memory above 16 MiB in 34h-35h and above 4 GiB in 5Bh-5Dh in 64 KiB.
 */
export function cmosMemorySize(bytesBelow4G: number, bytesAbove4G: number): Map<number, number> {
  const extended = Math.min(0xffff, Math.max(0, Math.floor(bytesBelow4G / 1024) - 1024));
  const above16M = Math.min(0xffff, Math.max(0, Math.floor((bytesBelow4G - 0x100_0000) / 0x1_0000)));
  const above4G = Math.min(0xff_ffff, Math.floor(bytesAbove4G / 0x1_0000));
  return new Map([
    [0x15, 640 & 0xff],
    [0x16, 640 >> 8],
    [0x17, extended & 0xff],
    [0x18, extended >> 8],
    [0x30, extended & 0xff],
    [0x31, extended >> 8],
    [0x34, above16M & 0xff],
    [0x35, above16M >> 8],
    [0x5b, above4G & 0xff],
    [0x5c, (above4G >> 8) & 0xff],
    [0x5d, above4G >> 16],
  ]);
}
