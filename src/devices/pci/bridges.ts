/**
 * The two functions that every machine has: the host bridge in 0:0.0 (Intel Q35's, so that guests look for ECAM) and the
 * LPC bridge in 0:1f.0 (ICH9's), whose PIRQ registers route the interrupt links to the 8259s.
 */
import type { IrqLine } from '../device.js';
import { PCI_LINKS } from './bus.js';
import type { PciFunctionState } from './function.js';
import { PciFunction } from './function.js';

export const INTEL = 0x8086;
const Q35_MCH = 0x29c0;
const ICH9_LPC = 0x2918;

/** MCH: PCIEXBAR, 64 bits: base, length in bits 2:1 (0: 256 MiB, 1: 128, 2: 64), enable in bit 0. */
const PCIEXBAR = 0x60;

/** LPC: ACPI base and its enable (ICH9 data sheet 13.1.13, 13.1.14), PIRQ[A-D]_ROUT and PIRQ[E-H]_ROUT (13.1.17, 13.1.19). */
const PMBASE = 0x40;
const ACPI_CNTL = 0x44;
const PIRQA_ROUT = 0x60;
const SIRQ_CNTL = 0x64;
const PIRQE_ROUT = 0x68;
const PIRQ_OFF = 0x80;

/** ISA interrupts that a PIRQ may go to: 3-7, 9-12, 14, 15. */
const ROUTABLE = 0b1101_1110_1111_1000;

export class HostBridge extends PciFunction {
  /** @param ecamBase gpa of 256 MiB of ECAM, told in PCIEXBAR (fixed: the window does not move). */
  constructor(ecamBase: number) {
    super({ name: 'host bridge', ids: { vendor: INTEL, device: Q35_MCH, classCode: 0x06_0000, revision: 2 } });
    this.config.set(PCIEXBAR, 4, (ecamBase | 1) >>> 0);
    // PAM0-PAM6: firmware writes and reads back whether shadow RAM is open. Ours is always RAM.
    for (let offset = 0x90; offset <= 0x96; offset++) this.config.allow(offset, 1, 0x33);
  }
}

export interface LpcBridgeOptions {
  /** I/O base of the ACPI registers, told in PMBASE. */
  pmBase: number;
  /** Inputs of the 8259 pair by ISA interrupt; entries that no PIRQ may reach can be missing. */
  isaIrqs: readonly (IrqLine | undefined)[];
  /** IOAPIC inputs of links A to D. They are wired whatever the PIRQ registers say. */
  ioapicPins: readonly IrqLine[];
  /** ISA interrupt of links A to D after firmware; -1 leaves one off. */
  routes: readonly number[];
}

export class LpcBridge extends PciFunction {
  /** Inputs: link A to D. */
  readonly links: readonly IrqLine[];
  private readonly isaIrqs: readonly (IrqLine | undefined)[];
  private readonly ioapicPins: readonly IrqLine[];
  private readonly levels = [false, false, false, false];
  /** Which ISA interrupt each asserted link holds up; -1: none. */
  private readonly holding = [-1, -1, -1, -1];

  constructor(options: LpcBridgeOptions) {
    super({ name: 'LPC bridge', ids: { vendor: INTEL, device: ICH9_LPC, classCode: 0x06_0100, revision: 2 } });
    this.isaIrqs = options.isaIrqs;
    this.ioapicPins = options.ioapicPins;
    const { config } = this;
    config.set(PMBASE, 4, options.pmBase | 1);
    config.set(ACPI_CNTL, 1, 0x80); // ACPI registers on, SCI on IRQ 9
    config.set(SIRQ_CNTL, 1, 0x10);
    for (let link = 0; link < 4; link++) {
      const route = options.routes[link] ?? -1;
      config.set(PIRQA_ROUT + link, 1, route >= 0 ? route : PIRQ_OFF);
      config.set(PIRQE_ROUT + link, 1, PIRQ_OFF);
      config.allow(PIRQA_ROUT + link, 1, 0x8f);
      config.allow(PIRQE_ROUT + link, 1, 0x8f);
    }
    this.links = [0, 1, 2, 3].map((link) => ({ set: (level: boolean) => this.setLink(link, level) }));
  }

  override configWrite(offset: number, size: 1 | 2 | 4, value: number): void {
    super.configWrite(offset, size, value);
    if (offset < PIRQA_ROUT + PCI_LINKS && offset + size > PIRQA_ROUT) this.route();
  }

  override reset(): void {
    super.reset();
    this.route();
  }

  override restore(state: PciFunctionState): void {
    super.restore(state);
    this.route();
  }

  private setLink(link: number, level: boolean): void {
    if (this.levels[link] === level) return;
    this.levels[link] = level;
    this.ioapicPins[link]?.set(level);
    this.route();
  }

  /** Brings the 8259 inputs in line with levels and registers. Links that share an interrupt are wired together. */
  private route(): void {
    const before = [...this.holding];
    for (let link = 0; link < PCI_LINKS; link++) {
      const register = this.config.bytes[PIRQA_ROUT + link];
      const irq = register & 15;
      const routed = (register & PIRQ_OFF) === 0 && ((ROUTABLE >> irq) & 1) !== 0;
      this.holding[link] = routed && this.levels[link] ? irq : -1;
    }
    for (const irq of before) if (irq >= 0 && !this.holding.includes(irq)) this.isaIrqs[irq]?.set(false);
    for (const irq of this.holding) if (irq >= 0 && !before.includes(irq)) this.isaIrqs[irq]?.set(true);
  }
}
