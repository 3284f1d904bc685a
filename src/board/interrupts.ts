/**
 * Who is wired to whom. Each ISA interrupt goes to an input of the 8259 pair and to a pin of the IOAPIC at once, as on
 * every PC since there are both: the guest masks the one that it does not use.
 *
 *   ISA interrupt 0 (timer)    8259 input 0      IOAPIC pin 2
 *   ISA interrupt n            8259 input n      IOAPIC pin n
 *   PCI links A to D           8259 by PIRQ      IOAPIC pins 16 to 19
 *   8259 pair's INTR           LINT0 of cpu 0    IOAPIC pin 0
 */
import type { IrqLine } from '../devices/device.js';

/** ISA interrupt of the ACPI registers (SCI), level-triggered. */
export const SCI_IRQ = 9;
/** ISA interrupts that the PCI links A to D are routed to when the guest uses the 8259s. */
export const PCI_LINK_IRQS: readonly number[] = [10, 11, 10, 11];
/** IOAPIC pin of link A; B to D follow. */
export const PCI_LINK_GSI = 16;
/** IOAPIC pin of ISA interrupt 0. */
export const TIMER_GSI = 2;

/** IOAPIC pin of an ISA interrupt. */
export function gsiOfIsa(irq: number): number {
  return irq === 0 ? TIMER_GSI : irq;
}

/** A wire with several drivers: high while at least one of them drives it. */
export class WiredOr {
  private readonly output: IrqLine;
  private drivers = 0;

  constructor(output: IrqLine) {
    this.output = output;
  }

  /** One more driver. */
  input(): IrqLine {
    let mine = false;
    return {
      set: (level) => {
        if (level === mine) return;
        mine = level;
        this.drivers += level ? 1 : -1;
        if (this.drivers === (level ? 1 : 0)) this.output.set(level);
      },
    };
  }
}

export class InterruptRouter {
  private readonly pic: WiredOr[] = [];
  private readonly pins: WiredOr[];

  /**
   * @param picInput input of the 8259 pair by ISA interrupt, 0 to 15
   * @param ioapicPins inputs of the IOAPIC
   */
  constructor(picInput: (irq: number) => IrqLine, ioapicPins: readonly IrqLine[]) {
    for (let irq = 0; irq < 16; irq++) this.pic.push(new WiredOr(picInput(irq)));
    this.pins = ioapicPins.map((pin) => new WiredOr(pin));
  }

  /**
   * A new driver of ISA interrupt `irq`: 8259 and IOAPIC. Several devices may share one.
   * @throws RangeError for 2, which is the cascade, and what is no ISA interrupt.
   */
  isa(irq: number): IrqLine {
    if (!Number.isInteger(irq) || irq < 0 || irq > 15 || irq === 2) {
      throw new RangeError(`${irq} is no ISA interrupt that a device may have.`);
    }
    const pic = this.pic[irq].input();
    const pin = this.pins[gsiOfIsa(irq)].input();
    return {
      set: (level) => {
        pic.set(level);
        pin.set(level);
      },
    };
  }

  /** A new driver of an 8259 input alone, as PIRQ routing has it. */
  picOnly(irq: number): IrqLine {
    return this.pic[irq].input();
  }

  /** A new driver of an IOAPIC pin alone. */
  gsi(pin: number): IrqLine {
    return this.pins[pin].input();
  }
}
