/**
 * One Intel 8259A programmable interrupt controller (data sheet 231468, 1988). The pair that a PC has is in `pic.ts`.
 *
 * An input that goes high sets its bit in IRR. The priority resolver compares the unmasked requests with what is in
 * service (ISR); INT is high while one of them may interrupt. INTA moves the winner from IRR to ISR; EOI clears ISR.
 */

/** ICW1 (A0 = 0, D4 = 1) and what it announces. */
const ICW1_SELECT = 0x10;
const ICW1_IC4 = 0x01;
const ICW1_SNGL = 0x02;
const ICW4_AEOI = 0x02;
const ICW4_SFNM = 0x10;
/** OCW3 is A0 = 0, D4 D3 = 01. */
const OCW3_SELECT = 0x08;
const OCW3_ESMM = 0x40;
const OCW3_SMM = 0x20;
const OCW3_POLL = 0x04;
const OCW3_RR = 0x02;
const OCW3_RIS = 0x01;
/** OCW2: R SL EOI in bits 7 to 5, a level in bits 2 to 0. */
const OCW2_ROTATE_AEOI_CLEAR = 0;
const OCW2_EOI = 1;
const OCW2_SPECIFIC_EOI = 3;
const OCW2_ROTATE_AEOI_SET = 4;
const OCW2_ROTATE_EOI = 5;
const OCW2_SET_PRIORITY = 6;
const OCW2_ROTATE_SPECIFIC_EOI = 7;

/** Which initialization word A0 = 1 expects; 'ready' means that it is OCW1, the mask. */
type InitStep = 'ready' | 'icw2' | 'icw3' | 'icw4';

export interface ChipState {
  lines: number;
  irr: number;
  imr: number;
  isr: number;
  elcr: number;
  step: InitStep;
  icw1: number;
  icw2: number;
  icw3: number;
  icw4: number;
  lowest: number;
  rotateOnAeoi: boolean;
  specialMask: boolean;
  readIsr: boolean;
  poll: boolean;
}

/** Power-on. The data sheet leaves it open; everything masked keeps stray requests away until somebody sends ICW1. */
function powerOnState(): ChipState {
  return {
    lines: 0,
    irr: 0,
    imr: 0xff,
    isr: 0,
    elcr: 0,
    step: 'ready',
    icw1: 0,
    icw2: 0,
    icw3: 0,
    icw4: 0,
    lowest: 7,
    rotateOnAeoi: false,
    specialMask: false,
    readIsr: false,
    poll: false,
  };
}

export class Chip8259 {
  #s: ChipState = powerOnState();
  /** Inputs that a slave drives: 04h on the PC's master, 0 on its slave. Their requests follow the slave's INT. */
  readonly #cascade: number;
  /** Called after anything that may have changed INT. */
  readonly #changed: () => void;

  constructor(cascade: number, changed: () => void) {
    this.#cascade = cascade;
    this.#changed = changed;
  }

  /** Level of the INT output. Low while the chip is being initialized. */
  get int(): boolean {
    return this.#s.step === 'ready' && this.#resolve() >= 0;
  }

  /** The vector number of input `level`: ICW2 gives bits 7 to 3. */
  vector(level: number): number {
    return this.#s.icw2 | level;
  }

  /**
   * Drives input `level`. Level-triggered inputs (ELCR) and cascade inputs request while high. An edge-triggered one
   * requests from its rising edge until INTA: unlike the data sheet's, the request outlives the input's falling, for
   * our devices may pulse a line within one instruction.
   */
  setInput(level: number, high: boolean): void {
    const s = this.#s;
    const bit = 1 << level;
    if (high === ((s.lines & bit) !== 0)) return;
    if (high) {
      s.lines |= bit;
      s.irr |= bit;
    } else {
      s.lines &= ~bit;
      s.irr &= ~(bit & this.#followsInput);
    }
    this.#changed();
  }

  /** INTA: the level that becomes in service, -1 where no request is left (the caller gives the spurious level 7). */
  acknowledge(): number {
    const level = this.#s.step === 'ready' ? this.#resolve() : -1;
    if (level >= 0) this.#take(level);
    return level;
  }

  get elcr(): number {
    return this.#s.elcr;
  }

  /** Edge/level control: a set bit makes the input level-triggered. */
  set elcr(value: number) {
    const s = this.#s;
    const changed = s.elcr ^ value;
    s.elcr = value;
    // Inputs that became level-triggered request exactly while high.
    s.irr &= ~(changed & value & ~s.lines);
    s.irr |= changed & value & s.lines;
    this.#changed();
  }

  /** A0 is the address bit: 0 for the command port, 1 for the data port. */
  read(a0: number): number {
    const s = this.#s;
    if (s.poll) return this.#readPoll();
    if (a0 === 1) return s.imr;
    return s.readIsr ? s.isr : s.irr;
  }

  write(a0: number, value: number): void {
    if (a0 === 1) this.#writeData(value);
    else if ((value & ICW1_SELECT) !== 0) this.#startInit(value);
    else if ((value & OCW3_SELECT) !== 0) this.#writeOcw3(value);
    else this.#writeOcw2(value);
    this.#changed();
  }

  reset(): void {
    const lines = this.#s.lines;
    this.#s = { ...powerOnState(), lines };
    this.#s.irr = lines & this.#followsInput;
    this.#changed();
  }

  save(): ChipState {
    return { ...this.#s };
  }

  restore(state: ChipState): void {
    this.#s = { ...state };
  }

  get #followsInput(): number {
    return this.#s.elcr | this.#cascade;
  }

  /** The level that INT stands for, -1 for none: the highest-priority request not blocked by what is in service. */
  #resolve(): number {
    const s = this.#s;
    const requests = s.irr & ~s.imr;
    if (requests === 0) return -1;
    // Special mask mode: a level in service that is masked blocks nobody.
    const inService = s.specialMask ? s.isr & ~s.imr : s.isr;
    const nestingSlaves = (s.icw4 & ICW4_SFNM) !== 0 ? this.#cascade : 0;
    for (let i = 1; i <= 8; i++) {
      const level = (s.lowest + i) & 7;
      const bit = 1 << level;
      if ((inService & bit) !== 0) {
        // Special fully nested mode: a slave in service may interrupt again; it has something of higher priority.
        return (requests & bit & nestingSlaves) !== 0 ? level : -1;
      }
      if ((requests & bit) !== 0) return level;
    }
    return -1;
  }

  #take(level: number): void {
    const s = this.#s;
    const bit = 1 << level;
    s.irr &= ~(bit & ~(this.#followsInput & s.lines));
    if ((s.icw4 & ICW4_AEOI) === 0) s.isr |= bit;
    else if (s.rotateOnAeoi) s.lowest = level;
    this.#changed();
  }

  /** The read after OCW3's P bit is an INTA: D7 says whether there is a request, D2-D0 which. */
  #readPoll(): number {
    this.#s.poll = false;
    const level = this.acknowledge();
    return level >= 0 ? 0x80 | level : 0;
  }

  #startInit(icw1: number): void {
    const s = this.#s;
    // LTIM is disabled in PC chipsets, the ELCR stands in for it (PIIX4 data sheet, 4.2.1): ICW1 bit 3 is ignored.
    s.icw1 = icw1;
    s.step = 'icw2';
    s.imr = 0;
    // The data sheet doesn't name ISR; a level left in service by whoever ran before would block the new owner forever.
    s.isr = 0;
    // "The edge sense circuit is reset": a request needs a new low-to-high transition.
    s.irr = s.lines & this.#followsInput;
    s.lowest = 7;
    s.specialMask = false;
    s.readIsr = false;
    s.poll = false;
    s.rotateOnAeoi = false;
    if ((icw1 & ICW1_IC4) === 0) s.icw4 = 0;
  }

  #writeData(value: number): void {
    const s = this.#s;
    const afterIcw3: InitStep = (s.icw1 & ICW1_IC4) !== 0 ? 'icw4' : 'ready';
    switch (s.step) {
      case 'ready':
        s.imr = value;
        break;
      case 'icw2':
        s.icw2 = value & 0xf8;
        s.step = (s.icw1 & ICW1_SNGL) !== 0 ? afterIcw3 : 'icw3';
        break;
      case 'icw3':
        // The wiring of a PC is fixed; what ICW3 says of it is kept but not acted upon.
        s.icw3 = value;
        s.step = afterIcw3;
        break;
      case 'icw4':
        s.icw4 = value;
        s.step = 'ready';
        break;
    }
  }

  #writeOcw2(value: number): void {
    const s = this.#s;
    const level = value & 7;
    switch (value >>> 5) {
      case OCW2_EOI:
        this.#endHighest();
        break;
      case OCW2_SPECIFIC_EOI:
        s.isr &= ~(1 << level);
        break;
      case OCW2_ROTATE_EOI: {
        const ended = this.#endHighest();
        if (ended >= 0) s.lowest = ended;
        break;
      }
      case OCW2_ROTATE_SPECIFIC_EOI:
        s.isr &= ~(1 << level);
        s.lowest = level;
        break;
      case OCW2_SET_PRIORITY:
        s.lowest = level;
        break;
      case OCW2_ROTATE_AEOI_SET:
        s.rotateOnAeoi = true;
        break;
      case OCW2_ROTATE_AEOI_CLEAR:
        s.rotateOnAeoi = false;
        break;
      // 010 is "no operation".
    }
  }

  /** Non-specific EOI. In special mask mode masked levels are passed over. Returns the level, -1 for none in service. */
  #endHighest(): number {
    const s = this.#s;
    const candidates = s.specialMask ? s.isr & ~s.imr : s.isr;
    for (let i = 1; i <= 8; i++) {
      const level = (s.lowest + i) & 7;
      if ((candidates & (1 << level)) !== 0) {
        s.isr &= ~(1 << level);
        return level;
      }
    }
    return -1;
  }

  #writeOcw3(value: number): void {
    const s = this.#s;
    if ((value & OCW3_ESMM) !== 0) s.specialMask = (value & OCW3_SMM) !== 0;
    if ((value & OCW3_RR) !== 0) s.readIsr = (value & OCW3_RIS) !== 0;
    // With both P and RR set, P decides what the next read gives.
    s.poll = (value & OCW3_POLL) !== 0;
  }
}
