/**
 * One PCI function: header, base address registers, capability list and interrupt pin (PCI Local Bus Specification 3.0,
 * chapter 6). Devices extend it or hold one. The command register decides whether BARs answer; the function claims and
 * releases addresses on the machine's buses as the guest moves them.
 */
import type { IrqLine, MmioDevice, Persist, PortDevice } from '../device.js';
import { requireVersion } from '../persist.js';
import * as C from './config-space.js';
import { ConfigSpace } from './config-space.js';

/** A claim on a bus; `unmap` ends it. */
export interface PciMapping {
  unmap(): void;
}

/** What a function needs of its bus. */
export interface PciHost {
  /** Claims addresses; undefined where somebody else has them (the BAR then stays silent until they are free). */
  mapPorts(base: number, length: number, device: PortDevice, name: string): PciMapping | undefined;
  mapMmio(base: number, length: number, device: MmioDevice, name: string): PciMapping | undefined;
  /** A claim was ended: others may be waiting for the addresses. */
  released(): void;
  /** Level of the function's INTx pin changed. */
  setIntx(fn: PciFunction, level: boolean): void;
  /** A message-signalled interrupt: a memory write of `data` to `address` (low half; the high half must be 0). */
  deliverMsi(address: number, data: number): void;
}

export interface PciIds {
  vendor: number;
  device: number;
  /** Base class, sub-class and interface: 24 bits. */
  classCode: number;
  revision?: number;
  subsystemVendor?: number;
  subsystem?: number;
}

export interface PciFunctionOptions {
  /** For messages and listings. */
  name: string;
  ids: PciIds;
  /** 256 (default) or 4096 bytes of configuration space. */
  configSize?: 256 | 4096;
  /** INTA to INTD as 1 to 4; 0 (default) for none. */
  interruptPin?: 0 | 1 | 2 | 3 | 4;
}

export type BarKind = 'io' | 'mem32' | 'mem64';

export interface BarSpec {
  kind: BarKind;
  /** Bytes: a power of two, at least 4 (I/O, at most 256) or 16 (memory). */
  size: number;
  prefetchable?: boolean;
}

/** A BAR as firmware sees it. */
export interface Bar extends BarSpec {
  readonly index: number;
  /** Present address in bytes; 0 when none has been given. */
  readonly base: number;
}

interface BarState {
  readonly index: number;
  readonly spec: BarSpec;
  readonly ports: PortDevice | undefined;
  readonly mmio: MmioDevice | undefined;
  /** Where it is claimed, or wants to be; -1: nowhere. */
  wanted: number;
  mapping: PciMapping | undefined;
}

export interface PciFunctionState {
  version: 1;
  config: number[];
  intx: boolean;
}

const FIRST_CAPABILITY = 0x40;
const TWO_32 = 0x1_0000_0000;

export class PciFunction implements Persist<PciFunctionState> {
  readonly name: string;
  readonly config: ConfigSpace;
  /** The function's INTx output, a level; gated by command bit 10. */
  readonly intx: IrqLine = { set: (level) => this.setIntx(level) };
  /** Device and function number on the bus, as `device << 3 | function`; set when the bus takes it. */
  devfn = 0;
  protected host: PciHost | undefined;
  private readonly bars: BarState[] = [];
  /** Reset values, taken when the bus takes the function. */
  private initial: Uint8Array | undefined;
  private lastCapability = C.PCI_CAPABILITIES;
  private nextCapability = FIRST_CAPABILITY;
  private intxLevel = false;
  private intxDriven = false;
  private readonly watches: { start: number; end: number; written: () => void }[] = [];
  private readonly resetListeners: (() => void)[] = [];

  constructor(options: PciFunctionOptions) {
    this.name = options.name;
    const config = new ConfigSpace(options.configSize ?? 256);
    this.config = config;
    const { ids } = options;
    config.set(C.PCI_VENDOR_ID, 2, ids.vendor);
    config.set(C.PCI_DEVICE_ID, 2, ids.device);
    config.set(C.PCI_REVISION, 4, (ids.classCode << 8) | (ids.revision ?? 0));
    config.set(C.PCI_SUBSYSTEM_VENDOR, 2, ids.subsystemVendor ?? 0);
    config.set(C.PCI_SUBSYSTEM, 2, ids.subsystem ?? 0);
    config.set(C.PCI_INTERRUPT_PIN, 1, options.interruptPin ?? 0);
    config.allow(C.PCI_COMMAND, 2, C.COMMAND_BUS_MASTER | C.COMMAND_INTX_DISABLE | 0x140); // with parity and SERR#
    config.allow(C.PCI_INTERRUPT_LINE, 1, 0xff);
    config.allow(0x0c, 1, 0xff); // cache line size: kept, without effect
  }

  // ---- building ------------------------------------------------------------------------------------------------

  /**
   * Adds a base address register (PCI 3.0, 6.2.5). A mem64 takes this index and the next.
   * @throws RangeError where index or size is impossible or the index is taken.
   */
  addBar(index: number, spec: BarSpec & { kind: 'io' }, device: PortDevice): void;
  addBar(index: number, spec: BarSpec & { kind: 'mem32' | 'mem64' }, device: MmioDevice): void;
  addBar(index: number, spec: BarSpec, device: PortDevice | MmioDevice): void {
    const { kind, size } = spec;
    const slots = kind === 'mem64' ? [index, index + 1] : [index];
    const used = new Set(
      this.bars.flatMap((bar) => (bar.spec.kind === 'mem64' ? [bar.index, bar.index + 1] : bar.index)),
    );
    const least = kind === 'io' ? 4 : 16;
    const most = kind === 'io' ? 256 : kind === 'mem32' ? 2 ** 31 : 2 ** 39;
    const powerOfTwo = size > 0 && Number.isInteger(Math.log2(size));
    if (slots.some((slot) => slot < 0 || slot > 5 || used.has(slot)) || !powerOfTwo || size < least || size > most) {
      throw new RangeError(`${this.name}: BAR ${index} can't be ${kind} of ${size} bytes.`);
    }
    const offset = C.PCI_BAR0 + 4 * index;
    if (kind === 'io') {
      this.config.set(offset, 4, 1);
      this.config.allow(offset, 4, ~(size - 1) & ~3);
      this.config.allow(C.PCI_COMMAND, 2, C.COMMAND_IO);
    } else {
      this.config.set(offset, 4, (kind === 'mem64' ? 4 : 0) | (spec.prefetchable === true ? 8 : 0));
      this.config.allow(offset, 4, size >= TWO_32 ? 0 : ~(size - 1) & ~15);
      if (kind === 'mem64') this.config.allow(offset + 4, 4, size >= TWO_32 ? ~(size / TWO_32 - 1) : ~0);
      this.config.allow(C.PCI_COMMAND, 2, C.COMMAND_MEMORY);
    }
    const io = kind === 'io';
    this.bars.push({
      index,
      spec,
      ports: io ? (device as PortDevice) : undefined,
      mmio: io ? undefined : (device as MmioDevice),
      wanted: -1,
      mapping: undefined,
    });
  }

  /**
   * Appends a capability (PCI 3.0, 6.7): `body` follows ID and next pointer.
   * @param writable mask of the body's bits that the guest may write; none by default
   * @returns the capability's offset in configuration space.
   * @throws RangeError where the first 256 bytes are full.
   */
  addCapability(id: number, body: Uint8Array, writable?: Uint8Array): number {
    const offset = this.nextCapability;
    const end = offset + 2 + body.length;
    if (end > 256) throw new RangeError(`${this.name}: no room for capability ${id.toString(16)}h.`);
    const config = this.config;
    config.bytes[this.lastCapability] = offset;
    config.bytes[offset] = id;
    config.bytes.set(body, offset + 2);
    if (writable !== undefined) config.writable.set(writable, offset + 2);
    config.bytes[C.PCI_STATUS] |= C.STATUS_CAPABILITIES;
    this.lastCapability = offset + 1;
    this.nextCapability = (end + 3) & ~3;
    return offset;
  }

  /** Calls `written` after each guest write that touches [offset, offset+length) of configuration space. */
  watch(offset: number, length: number, written: () => void): void {
    this.watches.push({ start: offset, end: offset + length, written });
  }

  /** Calls `listener` on reset: for parts that belong to the function but are not in its configuration space. */
  onReset(listener: () => void): void {
    this.resetListeners.push(listener);
  }

  /** Takes the place on the bus. Called by PciBus. */
  attach(host: PciHost, devfn: number): void {
    this.host = host;
    this.devfn = devfn;
    this.initial = this.config.bytes.slice();
  }

  /** Everything as after RST#: BARs empty, decoding off, interrupt off. Devices override and call this too. */
  reset(): void {
    if (this.initial !== undefined) this.config.bytes.set(this.initial);
    this.intxLevel = false;
    for (const listener of this.resetListeners) listener();
    this.driveIntx();
    this.updateDecoding();
  }

  // ---- the guest's side ----------------------------------------------------------------------------------------

  configRead(offset: number, size: 1 | 2 | 4): number {
    return this.config.read(offset, size);
  }

  /** Devices with registers of their own in configuration space override this and call it first. */
  configWrite(offset: number, size: 1 | 2 | 4, value: number): void {
    this.config.write(offset, size, value);
    const end = offset + size;
    if (offset < C.PCI_COMMAND + 2 && end > C.PCI_COMMAND) {
      this.driveIntx();
      this.updateDecoding();
    } else if (offset < C.PCI_BAR0 + 24 && end > C.PCI_BAR0) {
      this.updateDecoding();
    }
    for (const watch of this.watches) if (offset < watch.end && end > watch.start) watch.written();
  }

  // ---- the device's side ---------------------------------------------------------------------------------------

  get command(): number {
    return this.config.read(C.PCI_COMMAND, 2);
  }

  /** Whether the device may access memory and send MSIs (command bit 2). */
  get busMaster(): boolean {
    return (this.command & C.COMMAND_BUS_MASTER) !== 0;
  }

  /** Sends a message-signalled interrupt, if the function may master the bus. Messages above 4 GiB hit no local APIC. */
  sendMessage(addressLow: number, addressHigh: number, data: number): void {
    if (this.busMaster && addressHigh === 0) this.host?.deliverMsi(addressLow >>> 0, data >>> 0);
  }

  /** BARs in order of index, for firmware and listings. */
  listBars(): Bar[] {
    return this.bars.map((bar) => ({ ...bar.spec, index: bar.index, base: Math.max(0, this.barBase(bar)) }));
  }

  /** Gives BAR `index` an address, as firmware does. */
  assignBar(index: number, base: number): void {
    const bar = this.bars.find((candidate) => candidate.index === index);
    if (bar === undefined) throw new RangeError(`${this.name} has no BAR ${index}.`);
    this.configWrite(C.PCI_BAR0 + 4 * index, 4, base % TWO_32);
    if (bar.spec.kind === 'mem64') this.configWrite(C.PCI_BAR0 + 4 * index + 4, 4, Math.floor(base / TWO_32));
  }

  /** Claims again what a BAR wants and could not get. Called by PciBus. */
  retry(): void {
    for (const bar of this.bars) if (bar.wanted >= 0 && bar.mapping === undefined) this.claim(bar);
  }

  private setIntx(level: boolean): void {
    this.intxLevel = level;
    this.driveIntx();
  }

  private driveIntx(): void {
    // The status bit shows the request even where the pin is disabled (PCI 3.0, 6.2.3).
    if (this.intxLevel) this.config.bytes[C.PCI_STATUS] |= C.STATUS_INTERRUPT;
    else this.config.bytes[C.PCI_STATUS] &= ~C.STATUS_INTERRUPT;
    const driven = this.intxLevel && (this.command & C.COMMAND_INTX_DISABLE) === 0;
    if (driven === this.intxDriven) return;
    this.intxDriven = driven;
    this.host?.setIntx(this, driven);
  }

  private barBase(bar: BarState): number {
    const offset = C.PCI_BAR0 + 4 * bar.index;
    const low = this.config.read(offset, 4);
    switch (bar.spec.kind) {
      case 'io':
        return (low & ~3) >>> 0;
      case 'mem32':
        return (low & ~15) >>> 0;
      default:
        return this.config.read(offset + 4, 4) * TWO_32 + ((low & ~15) >>> 0);
    }
  }

  private updateDecoding(): void {
    const command = this.command;
    let released = false;
    const moved: BarState[] = [];
    for (const bar of this.bars) {
      const enabled = (command & (bar.spec.kind === 'io' ? C.COMMAND_IO : C.COMMAND_MEMORY)) !== 0;
      const base = enabled ? this.barBase(bar) : 0;
      // Address 0 is "not assigned": nothing on a PC lives there but RAM and the DMA controller.
      const wanted = base === 0 ? -1 : base;
      if (wanted === bar.wanted) continue;
      bar.wanted = wanted;
      if (bar.mapping !== undefined) {
        bar.mapping.unmap();
        bar.mapping = undefined;
        released = true;
      }
      if (wanted >= 0) moved.push(bar);
    }
    for (const bar of moved) this.claim(bar);
    if (released) this.host?.released();
  }

  private claim(bar: BarState): void {
    const name = `${this.name} BAR ${bar.index}`;
    const { size } = bar.spec;
    if (bar.ports !== undefined) bar.mapping = this.host?.mapPorts(bar.wanted, size, bar.ports, name);
    else if (bar.mmio !== undefined) bar.mapping = this.host?.mapMmio(bar.wanted, size, bar.mmio, name);
  }

  // ---- snapshot ------------------------------------------------------------------------------------------------

  save(): PciFunctionState {
    return { version: 1, config: Array.from(this.config.bytes), intx: this.intxLevel };
  }

  /** @throws UnknownStateVersion */
  restore(state: PciFunctionState): void {
    requireVersion(`${this.name} PCI function`, state, 1);
    this.config.bytes.set(state.config.slice(0, this.config.bytes.length));
    this.intxLevel = state.intx;
    this.driveIntx();
    this.updateDecoding();
  }

  /** All of the board has been restored: a device that goes on by itself, and interrupts, does so from now on. */
  resume(): void {}
}
