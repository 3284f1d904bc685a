/**
 * The PC's timer: an 8254 at ports 40h-43h whose channel 0 drives IRQ 0, and system control port B (61h), which holds
 * channel 2's gate and shows its output (PIIX4 data sheet, 4.4 and 4.5.1). Channel 1, once the DRAM refresh, drives nothing.
 */

import { BytePortBlock, BytePorts } from '../byte-ports.js';
import type { Clock, IrqLine, Persist, PortDevice } from '../device.js';
import { requireVersion } from '../persist.js';
import { Crystal, Timer } from '../timing.js';
import { Channel8254, type ChannelState } from './channel.js';

/** Input clock in Hz. */
export const PIT_HZ = 1_193_182;

/** Control word: D7 D6 select the counter, 11 is the read-back command. */
const CONTROL_OFFSET = 3;
const SELECT_READ_BACK = 3;
/** Control word bits 5:4; 00 is the counter latch command. */
const RW_FIELD = 0x30;
/** Read-back command: both are active low. */
const READ_BACK_NO_COUNT = 0x20;
const READ_BACK_NO_STATUS = 0x10;
/** Port 61h. */
const NMISC_GATE2 = 0x01;
const NMISC_WRITABLE = 0x0f;
const NMISC_REFRESH_TOGGLE = 0x10;
const NMISC_OUT2 = 0x20;
/** The refresh request toggles each 15.085 µs: 18 ticks of the PIT's clock. */
const REFRESH_TICKS = 18;
/**
 * Channel 0 looks at its output at most this often (20 µs); edges in between are one interrupt. It keeps a guest that
 * programs a count of 2 from costing the host 600,000 alarms a second.
 */
const MIN_ALARM_TICKS = 24;

export interface PitState {
  version: 1;
  channels: ChannelState[];
  port61: number;
}

export class Pit8254 extends BytePorts implements Persist<PitState> {
  /** Port 61h. */
  readonly port61: PortDevice;
  readonly #clock: Clock;
  readonly #irq0: IrqLine;
  readonly #crystal = new Crystal(PIT_HZ);
  readonly #channels = [new Channel8254(true), new Channel8254(true), new Channel8254(false)];
  readonly #timer: Timer;
  /** The tick of OUT 0's next rise as the timer was armed for it; null where there is none. */
  #nextRise: number | null = null;
  /** When the timer last fired, in ticks. Only paces alarms, so no part of the saved state. */
  #lastAlarm = Number.NEGATIVE_INFINITY;
  #port61 = 0;

  constructor(options: { clock: Clock; irq0: IrqLine }) {
    super(4);
    this.#clock = options.clock;
    this.#irq0 = options.irq0;
    this.#timer = new Timer(options.clock, () => this.#onTimer());
    this.port61 = new BytePortBlock(
      1,
      () => this.#readPort61(),
      (_offset, value) => this.#writePort61(value),
    );
    this.#irq0.set(this.#channels[0]!.out(this.#now()));
  }

  protected override readByte(offset: number): number {
    // The control word can't be read back.
    return offset === CONTROL_OFFSET ? 0xff : this.#channels[offset]!.readCount(this.#now());
  }

  protected override writeByte(offset: number, value: number): void {
    const now = this.#now();
    const touches0 = offset === CONTROL_OFFSET ? value >> 6 === 0 && (value & RW_FIELD) !== 0 : offset === 0;
    // An edge that is due comes before what the guest changes, however late the alarm is.
    if (touches0) this.#deliver(now);
    if (offset === CONTROL_OFFSET) this.#writeControl(value, now);
    else this.#channels[offset]!.writeCount(value, now);
    if (touches0) this.#follow(now);
  }

  /** Level of channel 2's output, which the speaker and port 61h bit 5 show. */
  get out2(): boolean {
    return this.#channels[2]!.out(this.#now());
  }

  save(): PitState {
    const now = this.#now();
    return { version: 1, channels: this.#channels.map((channel) => channel.save(now)), port61: this.#port61 };
  }

  restore(state: PitState): void {
    requireVersion('8254', state, 1);
    const now = this.#now();
    this.#channels.forEach((channel, i) => {
      channel.restore(state.channels[i]!, now);
    });
    this.#port61 = state.port61;
    this.#follow(now);
  }

  #now(): number {
    return this.#crystal.ticksAt(this.#clock.now());
  }

  #writeControl(value: number, now: number): void {
    const select = value >> 6;
    if (select !== SELECT_READ_BACK) {
      const channel = this.#channels[select]!;
      if ((value & RW_FIELD) === 0) channel.latchCount(now);
      else channel.setControl(value, now);
      return;
    }
    this.#channels.forEach((channel, i) => {
      if ((value & (2 << i)) === 0) return;
      if ((value & READ_BACK_NO_COUNT) === 0) channel.latchCount(now);
      if ((value & READ_BACK_NO_STATUS) === 0) channel.latchStatus(now);
    });
  }

  /**
   * Channel 0 was touched: drive IRQ 0 as OUT 0 is, and wait for its next rise. Between rises the line is left alone
   * (mode 2's low tick and mode 3's low half are not shown): IRQ 0 is edge-triggered, and only rises interrupt.
   */
  #follow(now: number): void {
    this.#irq0.set(this.#channels[0]!.out(now));
    this.#arm(now);
  }

  #arm(now: number): void {
    this.#nextRise = this.#channels[0]!.nextRise(now);
    if (this.#nextRise === null) {
      this.#timer.disarm();
      return;
    }
    this.#timer.arm(this.#crystal.timeOf(Math.max(this.#nextRise, this.#lastAlarm + MIN_ALARM_TICKS)));
  }

  #onTimer(): void {
    const now = this.#now();
    this.#lastAlarm = now;
    this.#deliver(now);
    this.#arm(now);
  }

  /** One edge where OUT 0 has risen since it was looked at, be it several times: a late machine gets no burst. */
  #deliver(now: number): void {
    if (this.#nextRise === null || now < this.#nextRise) return;
    this.#nextRise = null;
    this.#irq0.set(false);
    this.#irq0.set(true);
  }

  #readPort61(): number {
    const now = this.#now();
    const refresh = Math.floor(now / REFRESH_TICKS) % 2 === 1;
    return this.#port61 | (refresh ? NMISC_REFRESH_TOGGLE : 0) | (this.#channels[2]!.out(now) ? NMISC_OUT2 : 0);
  }

  #writePort61(value: number): void {
    this.#port61 = value & NMISC_WRITABLE;
    this.#channels[2]!.setGate((value & NMISC_GATE2) !== 0, this.#now());
  }
}
