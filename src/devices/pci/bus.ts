/**
 * PCI bus 0: its functions, both ways into their configuration space, and the wires of their interrupt pins.
 */
import type { IrqLine, MmioDevice, Persist, PortDevice } from '../device.js';
import { requireVersion } from '../persist.js';
import * as C from './config-space.js';
import type { PciFunction, PciFunctionState, PciHost, PciMapping } from './function.js';

/** Where functions claim addresses and send messages: the board's buses. */
export interface PciBusOptions {
  mapPorts(base: number, length: number, device: PortDevice, name: string): PciMapping | undefined;
  mapMmio(base: number, length: number, device: MmioDevice, name: string): PciMapping | undefined;
  deliverMsi(address: number, data: number): void;
}

export interface PciBusState {
  version: 1;
  functions: { devfn: number; state: PciFunctionState }[];
}

/** Links that the pins are wired to. */
export const PCI_LINKS = 4;

/** The usual swizzle: pin (1 to 4) of device n goes to link (n + pin - 1) mod 4. */
export function linkOf(device: number, pin: number): number {
  return (device + pin - 1) & 3;
}

export class PciBus implements PciHost, Persist<PciBusState> {
  private readonly options: PciBusOptions;
  private readonly table: (PciFunction | undefined)[] = new Array<PciFunction | undefined>(256).fill(undefined);
  private links: readonly IrqLine[] = [];
  /** How many functions assert each link: the wires are shared. */
  private readonly asserted = [0, 0, 0, 0];

  constructor(options: PciBusOptions) {
    this.options = options;
  }

  /** The four interrupt links, usually the inputs of the PIRQ router. */
  connectLinks(links: readonly IrqLine[]): void {
    this.links = links;
    for (let link = 0; link < PCI_LINKS; link++) links[link].set(this.asserted[link] > 0);
  }

  /**
   * Puts a function in a slot. Function 0 of a device is told when it has siblings.
   * @throws RangeError where the slot does not exist or is taken.
   */
  add(device: number, fn: number, pciFunction: PciFunction): void {
    const devfn = (device << 3) | fn;
    if (device < 0 || device > 31 || fn < 0 || fn > 7) {
      throw new RangeError(`${pciFunction.name}: there is no PCI slot ${device}:${fn}.`);
    }
    const holder = this.table[devfn];
    if (holder !== undefined) {
      throw new RangeError(`${pciFunction.name}: PCI slot ${device}:${fn} holds ${holder.name}.`);
    }
    this.table[devfn] = pciFunction;
    pciFunction.attach(this, devfn);
    const first = this.table[device << 3];
    const siblings = this.table.slice((device << 3) + 1, (device << 3) + 8).some((other) => other !== undefined);
    if (first !== undefined && siblings) {
      first.config.bytes[C.PCI_HEADER_TYPE] |= 0x80;
      first.attach(this, device << 3); // the bit belongs to its reset values
    }
  }

  /** All functions by slot. */
  get functions(): PciFunction[] {
    return this.table.filter((fn) => fn !== undefined);
  }

  /** First device number without a function 0, from `from` on; -1 when all are taken. */
  freeDevice(from = 1): number {
    for (let device = from; device < 32; device++) if (this.table[device << 3] === undefined) return device;
    return -1;
  }

  reset(): void {
    for (const fn of this.functions) fn.reset();
  }

  /** `offset` is within 4096. All ones where no function answers (PCI 3.0, 6.1). */
  configRead(bus: number, devfn: number, offset: number, size: 1 | 2 | 4): number {
    const fn = bus === 0 ? this.table[devfn] : undefined;
    if (fn === undefined) return size === 4 ? 0xffff_ffff : size === 2 ? 0xffff : 0xff;
    return fn.configRead(offset, size);
  }

  configWrite(bus: number, devfn: number, offset: number, size: 1 | 2 | 4, value: number): void {
    if (bus === 0) this.table[devfn]?.configWrite(offset, size, value);
  }

  // ---- PciHost -------------------------------------------------------------------------------------------------

  mapPorts(base: number, length: number, device: PortDevice, name: string): PciMapping | undefined {
    return this.options.mapPorts(base, length, device, name);
  }

  mapMmio(base: number, length: number, device: MmioDevice, name: string): PciMapping | undefined {
    return this.options.mapMmio(base, length, device, name);
  }

  released(): void {
    for (const fn of this.functions) fn.retry();
  }

  setIntx(fn: PciFunction, level: boolean): void {
    const pin = fn.config.bytes[C.PCI_INTERRUPT_PIN];
    if (pin < 1 || pin > 4) return;
    const link = linkOf(fn.devfn >> 3, pin);
    this.asserted[link] += level ? 1 : -1;
    this.links[link]?.set(this.asserted[link] > 0);
  }

  deliverMsi(address: number, data: number): void {
    this.options.deliverMsi(address, data);
  }

  // ---- snapshot ------------------------------------------------------------------------------------------------

  /** Configuration spaces only: what a device holds beside them, it saves itself. */
  save(): PciBusState {
    return { version: 1, functions: this.functions.map((fn) => ({ devfn: fn.devfn, state: fn.save() })) };
  }

  /** @throws UnknownStateVersion, or Error where the snapshot has a function that this machine has not. */
  restore(state: PciBusState): void {
    requireVersion('PCI bus', state, 1);
    for (const saved of state.functions) {
      const fn = this.table[saved.devfn];
      if (fn === undefined) {
        throw new Error(
          `The snapshot has a PCI function ${saved.devfn >> 3}:${saved.devfn & 7}; this machine has none.`,
        );
      }
      fn.restore(saved.state);
    }
  }
  /** After `restore`, when the interrupt controllers have been restored too. */
  resume(): void {
    for (const fn of this.functions) fn.resume();
  }
}
