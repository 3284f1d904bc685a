/**
 * 16550A UART (National PC16550D data sheet, 1995) on eight ports. Sending takes no time: THR is empty again as soon as
 * it is written, so a console costs one call of the back end a byte. Receiving is nearly as fast as the guest reads.
 */

import { BytePorts } from '../byte-ports.js';
import type { Clock, IrqLine, Persist } from '../device.js';
import { requireVersion } from '../persist.js';
import { Timer } from '../timing.js';

/** Register offsets. With LCR's DLAB set, 0 and 1 are the divisor latch. */
const RBR_THR = 0;
const IER = 1;
const IIR_FCR = 2;
const LCR = 3;
const MCR = 4;
const LSR = 5;
const MSR = 6;

const IER_ERBFI = 0x01;
const IER_ETBEI = 0x02;
const IER_ELSI = 0x04;
const IER_EDSSI = 0x08;
const IIR_NONE = 0x01;
const IIR_RLS = 0x06;
const IIR_RDA = 0x04;
const IIR_TIMEOUT = 0x0c;
const IIR_THRE = 0x02;
const IIR_MODEM = 0x00;
const IIR_FIFO = 0xc0;
const FCR_ENABLE = 0x01;
const FCR_RESET_RX = 0x02;
const LCR_DLAB = 0x80;
const MCR_DTR = 0x01;
const MCR_RTS = 0x02;
const MCR_OUT1 = 0x04;
const MCR_OUT2 = 0x08;
const MCR_LOOP = 0x10;
const LSR_DR = 0x01;
const LSR_OE = 0x02;
const LSR_THRE_TEMT = 0x60;
const MSR_TERI = 0x04;
const MSR_CTS = 0x10;
const MSR_DSR = 0x20;
const MSR_RI = 0x40;
const MSR_DCD = 0x80;

const FIFO_SIZE = 16;
/** FCR bits 7:6. */
const TRIGGER_LEVELS = [1, 4, 8, 14];
/** The PC's crystal over 16: the rate with divisor 1. */
const BASE_BAUD = 115_200;
/** A character timeout is four character times of ten bits. */
const TIMEOUT_BITS = 40;
/** A slow line may not make a guest deaf: no character timeout is longer (ns). */
const MAX_TIMEOUT_NS = 50_000_000;
/** Silence between one FIFO full of input and the next (ns): half a megabyte a second. */
const GAP_NS = 30_000;
/** Input that waits for room in the FIFO, in bytes. */
const BACKLOG_SIZE = 4096;

export interface UartBackend {
  /** A byte that the guest sent. Called at once, within the guest's OUT: batching is the back end's work. */
  transmit(byte: number): void;
  /** The input queue, which `receive` had filled, has room again. May call `receive`. */
  roomForInput?(): void;
}

export interface UartState {
  version: 1;
  rx: number[];
  backlog: number[];
  ier: number;
  fcr: number;
  lcr: number;
  mcr: number;
  scr: number;
  divisor: number;
  overrun: boolean;
  msrDelta: number;
  thrInterrupt: boolean;
  timedOut: boolean;
  usesRts: boolean;
  gap: boolean;
}

export class Uart16550 extends BytePorts implements Persist<UartState> {
  readonly #clock: Clock;
  readonly #irq: IrqLine;
  readonly #backend: UartBackend;
  readonly #timer: Timer;
  /** Armed while the line is silent between one FIFO full and the next. */
  readonly #gap: Timer;
  /** Receiver FIFO, or the one RBR where FIFOs are off: a ring. */
  readonly #rx = new Uint8Array(FIFO_SIZE);
  #rxHead = 0;
  #rxCount = 0;
  readonly #backlog = new Uint8Array(BACKLOG_SIZE);
  #backlogHead = 0;
  #backlogCount = 0;
  #ier = 0;
  /** FCR_ENABLE and the trigger bits. */
  #fcr = 0;
  #lcr = 0;
  #mcr = 0;
  #scr = 0;
  #divisor = 12;
  #overrun = false;
  #msrDelta = 0;
  #thrInterrupt = false;
  /** The character timeout has passed without the FIFO being read. */
  #timedOut = false;
  #line = false;
  #askedForRoom = false;
  /** The guest has raised RTS once: from then on a low RTS holds input back. A guest that never touches it is not deaf. */
  #usesRts = false;

  constructor(options: { clock: Clock; irq: IrqLine; backend: UartBackend }) {
    super(8);
    this.#clock = options.clock;
    this.#irq = options.irq;
    this.#backend = options.backend;
    this.#timer = new Timer(options.clock, () => {
      this.#timedOut = this.#rxCount > 0;
      this.#updateIrq();
    });
    this.#gap = new Timer(options.clock, () => {
      if (this.#refill()) this.#rxChanged();
    });
  }

  /** How many bytes `receive` would accept now. */
  get inputRoom(): number {
    return BACKLOG_SIZE - this.#backlogCount;
  }

  /** Input from the host. Returns how many bytes were accepted; the rest is to be offered again after `roomForInput`. */
  receive(bytes: Uint8Array): number {
    const accepted = Math.min(bytes.length, this.inputRoom);
    for (let i = 0; i < accepted; i++) {
      this.#backlog[(this.#backlogHead + this.#backlogCount++) % BACKLOG_SIZE] = bytes[i]!;
    }
    if (accepted < bytes.length) this.#askedForRoom = true;
    if (accepted > 0 && this.#refill()) this.#rxChanged();
    return accepted;
  }

  override portOut(offset: number, size: 1 | 2 | 4, value: number): void {
    // The console's hot path: a byte to THR.
    if (offset === RBR_THR && size === 1 && (this.#lcr & LCR_DLAB) === 0) this.#transmit(value);
    else super.portOut(offset, size, value);
  }

  protected override readByte(offset: number): number {
    const dlab = (this.#lcr & LCR_DLAB) !== 0;
    switch (offset) {
      case RBR_THR:
        return dlab ? this.#divisor & 0xff : this.#readData();
      case IER:
        return dlab ? this.#divisor >> 8 : this.#ier;
      case IIR_FCR:
        return this.#readIir();
      case LCR:
        return this.#lcr;
      case MCR:
        return this.#mcr;
      case LSR:
        return this.#readLsr();
      case MSR:
        return this.#readMsr();
      default:
        return this.#scr;
    }
  }

  protected override writeByte(offset: number, value: number): void {
    const dlab = (this.#lcr & LCR_DLAB) !== 0;
    switch (offset) {
      case RBR_THR:
        if (dlab) this.#divisor = (this.#divisor & 0xff00) | value;
        else this.#transmit(value);
        break;
      case IER:
        if (dlab) this.#divisor = (this.#divisor & 0xff) | (value << 8);
        else this.#writeIer(value);
        break;
      case IIR_FCR:
        this.#writeFcr(value);
        break;
      case LCR:
        this.#lcr = value;
        break;
      case MCR:
        this.#writeMcr(value);
        break;
      // LSR and MSR are read-only: writing them is for factory tests.
      case LSR:
      case MSR:
        break;
      default:
        this.#scr = value;
    }
  }

  save(): UartState {
    const ring = (bytes: Uint8Array, head: number, count: number) =>
      Array.from({ length: count }, (_, i) => bytes[(head + i) % bytes.length]!);
    return {
      version: 1,
      rx: ring(this.#rx, this.#rxHead, this.#rxCount),
      backlog: ring(this.#backlog, this.#backlogHead, this.#backlogCount),
      ier: this.#ier,
      fcr: this.#fcr,
      lcr: this.#lcr,
      mcr: this.#mcr,
      scr: this.#scr,
      divisor: this.#divisor,
      overrun: this.#overrun,
      msrDelta: this.#msrDelta,
      thrInterrupt: this.#thrInterrupt,
      timedOut: this.#timedOut,
      usesRts: this.#usesRts,
      gap: this.#gap.armed,
    };
  }

  /** A character timeout that was running starts anew. */
  restore(state: UartState): void {
    requireVersion('16550A', state, 1);
    this.#rxHead = this.#backlogHead = 0;
    this.#rxCount = Math.min(FIFO_SIZE, state.rx.length);
    this.#rx.set(state.rx.slice(0, FIFO_SIZE));
    this.#backlogCount = Math.min(BACKLOG_SIZE, state.backlog.length);
    this.#backlog.set(state.backlog.slice(0, BACKLOG_SIZE));
    this.#ier = state.ier & 0x0f;
    this.#fcr = state.fcr;
    this.#lcr = state.lcr;
    this.#mcr = state.mcr;
    this.#scr = state.scr;
    this.#divisor = state.divisor;
    this.#overrun = state.overrun;
    this.#msrDelta = state.msrDelta;
    this.#thrInterrupt = state.thrInterrupt;
    this.#timedOut = state.timedOut;
    this.#usesRts = state.usesRts;
    this.#gap.disarm();
    if (state.gap) this.#gap.arm(this.#clock.now() + GAP_NS);
    this.#armTimeout();
    this.#updateIrq();
  }

  get #fifoEnabled(): boolean {
    return (this.#fcr & FCR_ENABLE) !== 0;
  }

  get #rxCapacity(): number {
    return this.#fifoEnabled ? FIFO_SIZE : 1;
  }

  get #trigger(): number {
    return this.#fifoEnabled ? TRIGGER_LEVELS[this.#fcr >> 6]! : 1;
  }

  get #loopback(): boolean {
    return (this.#mcr & MCR_LOOP) !== 0;
  }

  #transmit(value: number): void {
    if (this.#loopback) this.#loop(value);
    else this.#backend.transmit(value);
    if ((this.#ier & IER_ETBEI) === 0) return;
    // Writing THR takes the request back; THR is empty again at once, which is a new request: an edge on the line.
    this.#thrInterrupt = false;
    this.#updateIrq();
    this.#thrInterrupt = true;
    this.#updateIrq();
  }

  /** Loopback: what is sent is received. Here the FIFO may overrun: the newest byte is lost (without FIFO: the older). */
  #loop(value: number): void {
    if (this.#rxCount < this.#rxCapacity) {
      this.#pushRx(value);
    } else {
      this.#overrun = true;
      if (!this.#fifoEnabled) this.#rx[this.#rxHead] = value;
    }
    this.#rxChanged();
  }

  #pushRx(value: number): void {
    this.#rx[(this.#rxHead + this.#rxCount++) % FIFO_SIZE] = value;
  }

  /** Moves waiting input into the FIFO. Returns whether any came. */
  #refill(): boolean {
    // In loopback the receiver is off the line; without RTS the other side does not send.
    if (this.#loopback || (this.#usesRts && (this.#mcr & MCR_RTS) === 0)) return false;
    if (this.#gap.armed) return false;
    let moved = false;
    while (this.#backlogCount > 0 && this.#rxCount < this.#rxCapacity) {
      this.#pushRx(this.#backlog[this.#backlogHead]!);
      this.#backlogHead = (this.#backlogHead + 1) % BACKLOG_SIZE;
      this.#backlogCount--;
      moved = true;
    }
    if (this.#askedForRoom && this.#backlogCount <= BACKLOG_SIZE / 2) {
      this.#askedForRoom = false;
      this.#backend.roomForInput?.();
    }
    return moved;
  }

  /** Bytes came or went: the timeout starts anew. */
  #rxChanged(): void {
    this.#timedOut = false;
    this.#armTimeout();
    this.#updateIrq();
  }

  #armTimeout(): void {
    if (!this.#fifoEnabled || this.#timedOut || this.#rxCount === 0 || this.#rxCount >= this.#trigger) {
      this.#timer.disarm();
      return;
    }
    const divisor = this.#divisor === 0 ? 1 : this.#divisor;
    const ns = Math.min(MAX_TIMEOUT_NS, Math.ceil((TIMEOUT_BITS * divisor * 1e9) / BASE_BAUD));
    this.#timer.arm(this.#clock.now() + ns);
  }

  #readData(): number {
    if (this.#rxCount === 0) return 0;
    const value = this.#rx[this.#rxHead]!;
    this.#rxHead = (this.#rxHead + 1) % FIFO_SIZE;
    this.#rxCount--;
    // A driver that never finds the FIFO empty would stay in its interrupt handler; Linux gives up after a while and
    // leaves the interrupt pending for good. So the line has a gap after each FIFO full.
    if (this.#rxCount === 0 && this.#backlogCount > 0) this.#gap.arm(this.#clock.now() + GAP_NS);
    this.#rxChanged();
    return value;
  }

  #writeIer(value: number): void {
    const before = this.#ier;
    this.#ier = value & 0x0f;
    // THR is always empty: enabling its interrupt requests at once, disabling takes the request back.
    if ((before & IER_ETBEI) === 0) this.#thrInterrupt = (value & IER_ETBEI) !== 0;
    else if ((value & IER_ETBEI) === 0) this.#thrInterrupt = false;
    this.#updateIrq();
  }

  #writeFcr(value: number): void {
    const toggled = ((value ^ this.#fcr) & FCR_ENABLE) !== 0;
    // The other bits are not programmed unless bit 0 is written 1. The transmitter FIFO is always empty.
    if (toggled || (value & (FCR_ENABLE | FCR_RESET_RX)) === (FCR_ENABLE | FCR_RESET_RX)) {
      this.#rxCount = 0;
      this.#rxHead = 0;
    }
    this.#fcr = (value & FCR_ENABLE) !== 0 ? value & (0xc0 | FCR_ENABLE) : 0;
    this.#refill();
    this.#rxChanged();
  }

  #writeMcr(value: number): void {
    const before = this.#modemLines;
    this.#mcr = value & 0x1f;
    if ((value & (MCR_RTS | MCR_LOOP)) === MCR_RTS) this.#usesRts = true;
    const after = this.#modemLines;
    // DCTS, DDSR and DDCD tell of any change, TERI of RI's going low.
    const changed = before ^ after;
    this.#msrDelta |= (changed & (MSR_CTS | MSR_DSR | MSR_DCD)) >> 4;
    if ((before & ~after & MSR_RI) !== 0) this.#msrDelta |= MSR_TERI;
    if (this.#refill()) this.#rxChanged();
    else this.#updateIrq();
  }

  /** MSR bits 7:4. In loopback they are MCR's outputs, else those of a terminal that is there and ready. */
  get #modemLines(): number {
    const mcr = this.#mcr;
    if ((mcr & MCR_LOOP) === 0) return MSR_DCD | MSR_DSR | MSR_CTS;
    return (
      ((mcr & MCR_RTS) !== 0 ? MSR_CTS : 0) |
      ((mcr & MCR_DTR) !== 0 ? MSR_DSR : 0) |
      ((mcr & MCR_OUT1) !== 0 ? MSR_RI : 0) |
      ((mcr & MCR_OUT2) !== 0 ? MSR_DCD : 0)
    );
  }

  #readLsr(): number {
    const value = LSR_THRE_TEMT | (this.#overrun ? LSR_OE : 0) | (this.#rxCount > 0 ? LSR_DR : 0);
    if (this.#overrun) {
      this.#overrun = false;
      this.#updateIrq();
    }
    return value;
  }

  #readMsr(): number {
    const value = this.#modemLines | this.#msrDelta;
    if (this.#msrDelta !== 0) {
      this.#msrDelta = 0;
      this.#updateIrq();
    }
    return value;
  }

  #readIir(): number {
    const source = this.#pendingSource();
    if (source === IIR_THRE) {
      // Reading IIR while it tells of THRE takes that request back.
      this.#thrInterrupt = false;
      this.#updateIrq();
    }
    return source | (this.#fifoEnabled ? IIR_FIFO : 0);
  }

  /** IIR bits 3:0: the pending interrupt of highest priority. */
  #pendingSource(): number {
    const ier = this.#ier;
    if (ier === 0) return IIR_NONE;
    if ((ier & IER_ELSI) !== 0 && this.#overrun) return IIR_RLS;
    if ((ier & IER_ERBFI) !== 0) {
      if (this.#rxCount >= this.#trigger) return IIR_RDA;
      if (this.#timedOut) return IIR_TIMEOUT;
    }
    if (this.#thrInterrupt) return IIR_THRE;
    if ((ier & IER_EDSSI) !== 0 && this.#msrDelta !== 0) return IIR_MODEM;
    return IIR_NONE;
  }

  /** The PC gates the interrupt by OUT2, a pin that loopback holds inactive. */
  #updateIrq(): void {
    const gate = (this.#mcr & (MCR_OUT2 | MCR_LOOP)) === MCR_OUT2;
    const level = gate && this.#pendingSource() !== IIR_NONE;
    if (level === this.#line) return;
    this.#line = level;
    this.#irq.set(level);
  }
}
