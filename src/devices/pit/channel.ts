/**
 * One counter of an Intel 8254 (data sheet 231164, 1993), computed from time instead of ticked: what a counter holds and
 * what its OUT pin shows follow from the tick at which it was last loaded.
 *
 * All times in here are ticks of the 1193182 Hz input, handed in by the caller, never decreasing.
 */

/** Control word bits 5:4: which bytes of the count are read and written. */
const RW_LSB = 1;
const RW_MSB = 2;
const RW_BOTH = 3;
/** Read-back status byte. */
const STATUS_OUT = 0x80;
const STATUS_NULL_COUNT = 0x40;

export interface ChannelState {
  /** Control word bits 5:0 as written: RW, mode, BCD. */
  control: number;
  gate: boolean;
  /** The count in effect, 1 to 65536; undefined until one has been written after the control word. */
  count: number | null;
  /** A count that takes effect at the end of the period, or at the next trigger. */
  pending: number | null;
  /** Ticks from now to the end of the (half) period at which a pending count loads, and from now to its period's start. */
  pendingLoad: { at: number; start: number } | null;
  /** Ticks between the load and `now` of the snapshot; negative where the load is the next tick. Null: not running. */
  age: number | null;
  /** Ticks counted when the gate stopped the counter (modes 0 and 4), or the frozen value's age. */
  stoppedAt: number | null;
  /** Mode 1: triggered again during the pulse, so OUT is low until the load, too. */
  retriggered: boolean;
  writeLow: number | null;
  readHigh: boolean;
  latchedCount: number | null;
  latchedStatus: number | null;
}

export class Channel8254 {
  /** Power-on: undefined by the data sheet; mode 0 with nothing loaded keeps OUT low and the channel silent. */
  #control = RW_BOTH << 4;
  #gate: boolean;
  #count: number | null = null;
  #pending: number | null = null;
  /** Modes 2 and 3: the tick at which the pending count loads, and the start of the period that this makes it part of. */
  #pendingLoad: { at: number; start: number } | null = null;
  /** Tick of the last load; null while nothing counts. May be one tick ahead: a load takes a clock pulse. */
  #start: number | null = null;
  #stoppedAt: number | null = null;
  #retriggered = false;
  #writeLow: number | null = null;
  #readHigh = false;
  #latchedCount: number | null = null;
  #latchedStatus: number | null = null;

  constructor(gate: boolean) {
    this.#gate = gate;
  }

  /** Modes 6 and 7 are 2 and 3. */
  get mode(): number {
    const mode = (this.#control >> 1) & 7;
    return mode > 5 ? mode & 3 : mode;
  }

  get #bcd(): boolean {
    return (this.#control & 1) !== 0;
  }

  /** A control word for this counter with RW not 0. OUT goes to the mode's idle level, and counting waits for a count. */
  setControl(word: number, now: number): void {
    this.#settle(now);
    this.#control = word & 0x3f;
    this.#count = null;
    this.#dropPending();
    this.#start = null;
    this.#stoppedAt = null;
    this.#retriggered = false;
    this.#writeLow = null;
    this.#readHigh = false;
    this.#latchedCount = null;
    this.#latchedStatus = null;
  }

  writeCount(value: number, now: number): void {
    this.#settle(now);
    switch (this.#control >> 4) {
      case RW_LSB:
        this.#load(value, now);
        break;
      case RW_MSB:
        this.#load(value << 8, now);
        break;
      default:
        if (this.#writeLow === null) {
          this.#writeLow = value;
          // Mode 0: the first byte stops the counting and sets OUT low at once.
          if (this.mode === 0) this.#start = this.#stoppedAt = null;
        } else {
          const count = (value << 8) | this.#writeLow;
          this.#writeLow = null;
          this.#load(count, now);
        }
    }
  }

  /** One byte as the RW bits and the latches say. */
  readCount(now: number): number {
    if (this.#latchedStatus !== null) {
      const status = this.#latchedStatus;
      this.#latchedStatus = null;
      return status;
    }
    const rw = this.#control >> 4;
    const value = this.#latchedCount ?? this.counter(now);
    if (rw === RW_BOTH && !this.#readHigh) {
      this.#readHigh = true;
      return value & 0xff;
    }
    this.#readHigh = false;
    this.#latchedCount = null;
    return rw === RW_LSB ? value & 0xff : value >> 8;
  }

  /** Counter latch command. A count that is latched already stays until read. */
  latchCount(now: number): void {
    this.#latchedCount ??= this.counter(now);
  }

  /** Read-back command with STATUS. */
  latchStatus(now: number): void {
    this.#settle(now);
    const waiting = this.#count === null || this.#pending !== null || this.#start === null || now < this.#start;
    this.#latchedStatus ??= (this.out(now) ? STATUS_OUT : 0) | (waiting ? STATUS_NULL_COUNT : 0) | this.#control;
  }

  get gate(): boolean {
    return this.#gate;
  }

  setGate(gate: boolean, now: number): void {
    if (gate === this.#gate) return;
    this.#settle(now);
    this.#gate = gate;
    if (this.#count === null) return;
    switch (this.mode) {
      case 0:
      case 4:
        if (gate && this.#stoppedAt !== null) {
          this.#start = now - this.#stoppedAt;
          this.#stoppedAt = null;
        } else if (!gate && this.#start !== null) {
          this.#stoppedAt = now - this.#start;
        }
        break;
      case 1:
      case 5:
        if (gate) this.#reload(now);
        break;
      default:
        if (gate) this.#reload(now);
        else if (this.#start !== null) this.#stoppedAt = now - this.#start;
    }
  }

  /** Level of the OUT pin. */
  out(now: number): boolean {
    this.#settle(now);
    const age = this.#age(now);
    if (age === null || this.#count === null) return this.mode !== 0;
    switch (this.mode) {
      case 0:
        return age >= this.#count;
      case 1:
        return age < 0 ? !this.#retriggered : age >= this.#count;
      case 2:
        return !this.#gate || age < 0 || age % this.#count !== this.#count - 1;
      case 3:
        return !this.#gate || age < 0 || age % this.#count < this.#highTicks;
      default:
        return age !== this.#count;
    }
  }

  /**
   * The tick of the next low-to-high transition of OUT after tick `now`, null where none comes by itself. Modes 2 and 3
   * repeat every count; the edges lie on multiples of it, so they don't drift.
   */
  nextRise(now: number): number | null {
    this.#settle(now);
    if (this.#start === null || this.#stoppedAt !== null || this.#count === null) return null;
    const age = now - this.#start;
    switch (this.mode) {
      case 0:
      case 1:
        return age < this.#count ? this.#start + this.#count : null;
      case 2:
      case 3: {
        // A count that loads while OUT falls (mode 3), or before the first period, decides when OUT rises next.
        const load = this.#pendingLoad;
        if (load !== null && (age < 0 || load.start !== load.at)) return load.start + this.#pending!;
        return this.#start + (age < 0 ? 1 : Math.floor(age / this.#count) + 1) * this.#count;
      }
      default:
        return age <= this.#count ? this.#start + this.#count + 1 : null;
    }
  }

  /** What the counting element shows, as the guest reads it: 16 bits, BCD in BCD mode. */
  counter(now: number): number {
    this.#settle(now);
    if (this.#count === null) return 0;
    const modulus = this.#bcd ? 10000 : 65536;
    const age = Math.max(0, this.#age(now) ?? 0);
    let value: number;
    switch (this.mode) {
      case 2:
        value = this.#count - (age % this.#count);
        break;
      case 3: {
        // Counts down by two, twice a period; an odd count is loaded less one.
        const even = this.#count & ~1;
        const phase = age % this.#count;
        value = even - 2 * (phase < this.#highTicks ? phase : phase - this.#highTicks);
        break;
      }
      default:
        value = this.#count - age;
    }
    value = ((value % modulus) + modulus) % modulus;
    return this.#bcd ? toBcd(value) : value;
  }

  save(now: number): ChannelState {
    this.#settle(now);
    return {
      control: this.#control,
      gate: this.#gate,
      count: this.#count,
      pending: this.#pending,
      pendingLoad:
        this.#pendingLoad === null ? null : { at: this.#pendingLoad.at - now, start: this.#pendingLoad.start - now },
      age: this.#start === null ? null : now - this.#start,
      stoppedAt: this.#stoppedAt,
      retriggered: this.#retriggered,
      writeLow: this.#writeLow,
      readHigh: this.#readHigh,
      latchedCount: this.#latchedCount,
      latchedStatus: this.#latchedStatus,
    };
  }

  restore(state: ChannelState, now: number): void {
    this.#control = state.control;
    this.#gate = state.gate;
    this.#count = state.count;
    this.#pending = state.pending;
    const load = state.pendingLoad;
    this.#pendingLoad = load === null ? null : { at: load.at + now, start: load.start + now };
    this.#start = state.age === null ? null : now - state.age;
    this.#stoppedAt = state.stoppedAt;
    this.#retriggered = state.retriggered;
    this.#writeLow = state.writeLow;
    this.#readHigh = state.readHigh;
    this.#latchedCount = state.latchedCount;
    this.#latchedStatus = state.latchedStatus;
  }

  /** Mode 3: OUT is high for (N+1)/2 ticks of N. */
  get #highTicks(): number {
    return halfUp(this.#count!);
  }

  #age(now: number): number | null {
    return this.#stoppedAt ?? (this.#start === null ? null : now - this.#start);
  }

  /** A whole count has been written. */
  #load(raw: number, now: number): void {
    const count = this.#decode(raw);
    const mode = this.mode;
    if (mode === 0 || mode === 4) {
      this.#count = count;
      this.#start = now + 1;
      this.#stoppedAt = this.#gate ? null : 0;
    } else if (this.#count === null) {
      this.#count = count;
      // Modes 1 and 5 wait for the gate to rise, modes 2 and 3 only for it to be high.
      if ((mode === 2 || mode === 3) && this.#gate) this.#start = now + 1;
    } else {
      // Waits for the trigger, or for the end of what runs.
      this.#pending = count;
      if ((mode === 2 || mode === 3) && this.#start !== null) {
        this.#pendingLoad = this.#nextLoad(now - this.#start, count);
      }
    }
  }

  #decode(raw: number): number {
    const modulus = this.#bcd ? 10000 : 65536;
    const value = this.#bcd ? fromBcd(raw) : raw;
    const count = value === 0 ? modulus : value;
    // A count of 1 is illegal in modes 2 and 3; it behaves as 2 here.
    return this.mode === 2 || this.mode === 3 ? Math.max(2, count) : count;
  }

  /** The gate rose: load and start over. */
  #reload(now: number): void {
    this.#retriggered = this.mode === 1 && !this.out(now);
    if (this.#pending !== null) this.#count = this.#pending;
    this.#dropPending();
    this.#stoppedAt = null;
    this.#start = now + 1;
  }

  /** Where a count written at `age` loads: at the end of mode 2's period, of mode 3's half period. */
  #nextLoad(age: number, pending: number): { at: number; start: number } {
    const count = this.#count!;
    if (age < 0) return { at: this.#start!, start: this.#start! };
    const phase = age % count;
    const end = this.#start! + age - phase + count;
    if (this.mode === 2 || phase >= this.#highTicks) return { at: end, start: end };
    // The new count's low half follows the old one's high half.
    const at = end - count + this.#highTicks;
    return { at, start: at - halfUp(pending) };
  }

  /** Puts the pending count into effect once its time has come. */
  #settle(now: number): void {
    if (this.#pendingLoad === null || this.#stoppedAt !== null || now < this.#pendingLoad.at) return;
    this.#count = this.#pending;
    this.#start = this.#pendingLoad.start;
    this.#dropPending();
  }

  #dropPending(): void {
    this.#pending = null;
    this.#pendingLoad = null;
  }
}

function halfUp(count: number): number {
  return Math.ceil(count / 2);
}

function fromBcd(raw: number): number {
  return ((raw >> 12) & 15) * 1000 + ((raw >> 8) & 15) * 100 + ((raw >> 4) & 15) * 10 + (raw & 15);
}

function toBcd(value: number): number {
  const digit = (scale: number) => Math.floor(value / scale) % 10;
  return (digit(1000) << 12) | (digit(100) << 8) | (digit(10) << 4) | digit(1);
}
