/**
 * ACPI fixed hardware (ACPI 6.5, section 4.8): the PM1a event and control registers, the power management timer, an empty
 * GPE0 block, and the reset register at CF9h. Everything that happens is an SCI, one level-triggered interrupt.
 *
 * There is no SMI command port: the machine is in ACPI mode from the start (SCI_EN set), which a FADT with SMI_CMD = 0 says.
 */

import { BytePortBlock, BytePorts } from '../byte-ports.js';
import type { Clock, IrqLine, Persist, PortDevice } from '../device.js';
import { requireVersion } from '../persist.js';
import { Crystal, Timer } from '../timing.js';

/** PM timer clock in Hz. */
export const PM_TIMER_HZ = 3_579_545;

/** PM1 status and enable bits (tables 4.11 and 4.12). */
const TMR = 0x0001;
const GBL = 0x0020;
const PWRBTN = 0x0100;
const SLPBTN = 0x0200;
const RTC = 0x0400;
const WAK = 0x8000;
const PM1_STATUS_MASK = TMR | GBL | PWRBTN | SLPBTN | RTC | WAK;
const PM1_ENABLE_MASK = TMR | GBL | PWRBTN | SLPBTN | RTC;
/** PM1 control bits (table 4.13). GBL_RLS and SLP_EN are write-only. */
const SCI_EN = 0x0001;
const BM_RLD = 0x0002;
const SLP_TYP_SHIFT = 10;
const SLP_TYP = 0x1c00;
const SLP_EN = 0x2000;
/** RST_CNT at CF9h: 06h or 0Eh in two steps or one. */
const RST_CNT_SYS_RST = 0x02;
const RST_CNT_RST_CPU = 0x04;
const RST_CNT_FULL_RST = 0x08;

/** SLP_TYP of S5, soft off, unless said otherwise: what the DSDT's \_S5 object has to name. */
export const DEFAULT_S5_TYPE = 5;

export interface PmPorts {
  /** PM1a_EVT_BLK, 4 ports. */
  event: number;
  /** PM1a_CNT_BLK, 2 ports. */
  control: number;
  /** PM_TMR_BLK, 4 ports. */
  timer: number;
  /** GPE0_BLK and its length in ports (even); left out where there is none. */
  gpe0?: { base: number; length: number };
  /** Reset register. Default CF9h. */
  reset?: number;
}

export interface PmOptions {
  clock: Clock;
  sci: IrqLine;
  ports: PmPorts;
  /** 24 or 32 (the FADT's TMR_VAL_EXT). Default 32. */
  timerBits?: 24 | 32;
  /** SLP_TYP value of S5. Default `DEFAULT_S5_TYPE`. */
  s5Type?: number;
  /** The guest entered S5. */
  onPowerOff: () => void;
  /** The guest wrote the reset register: 'hard' with SYS_RST (06h, 0Eh), 'soft' without (04h, INIT only). */
  onReset: (kind: 'hard' | 'soft') => void;
}

/** A block of ports and where it sits. */
export interface PortBlock {
  readonly name: string;
  readonly base: number;
  readonly length: number;
  readonly device: PortDevice;
}

export interface PmState {
  version: 1;
  status: number;
  enable: number;
  control: number;
  gpe: number[];
  resetControl: number;
  /** Half periods of the PM timer that `status` has been told of. */
  halvesSeen: number;
  /** The timer's value at the time of the snapshot, before masking. */
  timer: number;
}

export class PmDevice implements Persist<PmState> {
  /** What to put on the port bus. */
  readonly blocks: readonly PortBlock[];
  readonly #options: PmOptions;
  readonly #crystal = new Crystal(PM_TIMER_HZ);
  readonly #timer: Timer;
  readonly #timerMask: number;
  /** Ticks between changes of the timer's top bit, each of which sets TMR_STS. */
  readonly #halfPeriod: number;
  readonly #s5Type: number;
  #status = 0;
  #enable = 0;
  #control = SCI_EN;
  readonly #gpe: Uint8Array;
  #resetControl = 0;
  /** What a restored timer is ahead of guest time, in ticks. */
  #timerOffset = 0;
  /** The half periods that TMR_STS has been told of. */
  #halvesSeen = 0;

  constructor(options: PmOptions) {
    const { ports } = options;
    this.#options = options;
    const bits = options.timerBits ?? 32;
    this.#timerMask = bits === 32 ? 0xffff_ffff : 0xff_ffff;
    this.#halfPeriod = 2 ** (bits - 1);
    this.#s5Type = options.s5Type ?? DEFAULT_S5_TYPE;
    this.#gpe = new Uint8Array(ports.gpe0?.length ?? 0);
    this.#timer = new Timer(options.clock, () => this.#follow());
    this.#halvesSeen = this.#halves();
    const blocks: PortBlock[] = [
      { name: 'PM1a_EVT', base: ports.event, length: 4, device: this.#words(4, this.#eventRegisters()) },
      { name: 'PM1a_CNT', base: ports.control, length: 2, device: this.#words(2, this.#controlRegister()) },
      { name: 'PM_TMR', base: ports.timer, length: 4, device: this.#timerPort() },
      {
        name: 'RST_CNT',
        base: ports.reset ?? 0xcf9,
        length: 1,
        device: new BytePortBlock(
          1,
          () => this.#resetControl,
          (_offset, value) => this.#writeReset(value),
        ),
      },
    ];
    if (ports.gpe0 !== undefined) {
      blocks.push({ name: 'GPE0', base: ports.gpe0.base, length: ports.gpe0.length, device: this.#gpePort() });
    }
    this.blocks = blocks;
  }

  /** Somebody pressed the power button: PWRBTN_STS, and an SCI if the guest enabled it. */
  pressPowerButton(): void {
    this.#status |= PWRBTN;
    this.#follow();
  }

  /** The guest listens for the power button: a press will reach its ACPI driver. */
  get powerButtonEnabled(): boolean {
    return (this.#enable & PWRBTN) !== 0 && (this.#control & SCI_EN) !== 0;
  }

  save(): PmState {
    this.#follow();
    return {
      version: 1,
      status: this.#status,
      enable: this.#enable,
      control: this.#control,
      gpe: [...this.#gpe],
      resetControl: this.#resetControl,
      halvesSeen: this.#halvesSeen,
      timer: this.#ticks(),
    };
  }

  restore(state: PmState): void {
    requireVersion('ACPI PM', state, 1);
    this.#status = state.status & PM1_STATUS_MASK;
    this.#enable = state.enable & PM1_ENABLE_MASK;
    this.#control = state.control;
    this.#gpe.set(state.gpe.slice(0, this.#gpe.length));
    this.#resetControl = state.resetControl;
    this.#timerOffset = 0;
    this.#timerOffset = state.timer - this.#ticks();
    this.#halvesSeen = state.halvesSeen;
    this.#follow();
  }

  #ticks(): number {
    return this.#crystal.ticksAt(this.#options.clock.now()) + this.#timerOffset;
  }

  #halves(): number {
    return Math.floor(this.#ticks() / this.#halfPeriod);
  }

  /** Brings TMR_STS and the SCI up to date, and waits for the timer's next carry if the guest wants to hear of it. */
  #follow(): void {
    const halves = this.#halves();
    if (halves !== this.#halvesSeen) {
      this.#halvesSeen = halves;
      this.#status |= TMR;
    }
    const sci = (this.#control & SCI_EN) !== 0 && (this.#status & this.#enable & PM1_ENABLE_MASK) !== 0;
    this.#options.sci.set(sci);
    if ((this.#enable & TMR) !== 0 && (this.#status & TMR) === 0) {
      this.#timer.arm(this.#crystal.timeOf((halves + 1) * this.#halfPeriod - this.#timerOffset));
    } else {
      this.#timer.disarm();
    }
  }

  #eventRegisters(): WordRegisters {
    return {
      read: (index) => {
        this.#follow();
        return index === 0 ? this.#status : this.#enable;
      },
      write: (index, value, mask) => {
        this.#follow();
        // Status bits are cleared by writing 1.
        if (index === 0) this.#status &= ~(value & mask);
        else this.#enable = ((this.#enable & ~mask) | (value & mask)) & PM1_ENABLE_MASK;
        this.#follow();
      },
    };
  }

  #controlRegister(): WordRegisters {
    return {
      read: () => this.#control,
      write: (_index, value, mask) => {
        const kept = SCI_EN | BM_RLD | SLP_TYP;
        this.#control = ((this.#control & ~mask) | (value & mask)) & kept;
        this.#follow();
        // Sleep types other than S5's name states that this machine hasn't; the write has no effect.
        const entersSleep = (value & SLP_EN) !== 0;
        if (entersSleep && (this.#control & SLP_TYP) >> SLP_TYP_SHIFT === this.#s5Type) this.#options.onPowerOff();
      },
    };
  }

  /** The timer is read whole with 32 bits, or byte by byte; writing it has no effect. */
  #timerPort(): PortDevice {
    const value = () => {
      // Modulo 2^32 first: bit operations take no more.
      const ticks = this.#ticks() % 2 ** 32;
      return (ticks & this.#timerMask) >>> 0;
    };
    const bytes = new BytePortBlock(
      4,
      (offset) => (value() >>> (8 * offset)) & 0xff,
      () => {},
    );
    return {
      portIn: (offset, size) => (offset === 0 && size === 4 ? value() : bytes.portIn(offset, size)),
      portOut: () => {},
    };
  }

  /** GPE0: a status half, which nothing sets, and an enable half that remembers. */
  #gpePort(): PortDevice {
    const half = this.#gpe.length >> 1;
    return new BytePortBlock(
      this.#gpe.length,
      (offset) => this.#gpe[offset]!,
      (offset, value) => {
        if (offset >= half) this.#gpe[offset] = value;
      },
    );
  }

  #writeReset(value: number): void {
    // The rising RST_CPU bit resets; it doesn't stick.
    this.#resetControl = value & (RST_CNT_SYS_RST | RST_CNT_FULL_RST);
    if ((value & RST_CNT_RST_CPU) !== 0) this.#options.onReset((value & RST_CNT_SYS_RST) !== 0 ? 'hard' : 'soft');
  }

  #words(length: number, registers: WordRegisters): PortDevice {
    return new WordPorts(length, registers);
  }
}

/** 16-bit registers side by side. `mask` says which of a write's bits the access reached. */
interface WordRegisters {
  read(index: number): number;
  write(index: number, value: number, mask: number): void;
}

/** A 16-bit access to an even offset is one access to a register; any other is made of bytes. */
class WordPorts extends BytePorts {
  readonly #registers: WordRegisters;

  constructor(length: number, registers: WordRegisters) {
    super(length);
    this.#registers = registers;
  }

  override portOut(offset: number, size: 1 | 2 | 4, value: number): void {
    if ((offset & 1) !== 0 || size === 1) {
      super.portOut(offset, size, value);
      return;
    }
    for (let i = 0; i < size && offset + i < this.length; i += 2) {
      this.#registers.write((offset + i) >> 1, (value >>> (8 * i)) & 0xffff, 0xffff);
    }
  }

  protected override readByte(offset: number): number {
    return (this.#registers.read(offset >> 1) >> (8 * (offset & 1))) & 0xff;
  }

  protected override writeByte(offset: number, value: number): void {
    const shift = 8 * (offset & 1);
    this.#registers.write(offset >> 1, value << shift, 0xff << shift);
  }
}
