/**
 * The I/O APIC: Intel 82093AA data sheet (order number 290566), with the EOI register of later chips (version 20h,
 * ICH9 data sheet 13.5.7). 24 inputs, a redirection entry each; what comes out are messages to the local APICs.
 *
 * An input's level here is "asserted or not", as in every IrqLine: the polarity bit says how the wire looks, is kept for
 * the guest to read back, and otherwise changes nothing, since what is asserted stays asserted.
 */
import type { IrqLine, MmioDevice, Persist } from '../device.js';
import type { ApicFabric, ApicMessage } from '../lapic/message.js';
import { DELIVERY_EXTINT, DELIVERY_NMI, TRIGGER_LEVEL } from '../lapic/message.js';
import { requireVersion } from '../persist.js';

export const IOAPIC_PINS = 24;
export const IOAPIC_DEFAULT_BASE = 0xfec0_0000;
/** Bytes of its register window. */
export const IOAPIC_WINDOW = 0x1000;

/** Window registers (82093AA 3.1); IOEOIR since version 20h. */
const IOREGSEL = 0x00;
const IOWIN = 0x10;
const IOEOIR = 0x40;

/** Registers behind the window. */
const IOAPICID = 0x00;
const IOAPICVER = 0x01;
const IOAPICARB = 0x02;
const IOREDTBL = 0x10;

/** Redirection entry, low half (82093AA 3.2.4). */
const REDIR_LEVEL = 1 << 15;
const REDIR_REMOTE_IRR = 1 << 14;
const REDIR_LOGICAL = 1 << 11;
const REDIR_MASKED = 1 << 16;
/** All but delivery status (12, always idle: messages leave at once) and remote IRR (14). */
const REDIR_WRITABLE = 0x1_afff;

export interface IoApicOptions {
  /** Initial ID, 0 to 15. */
  id: number;
  fabric: Pick<ApicFabric, 'deliver'>;
  /** Told what a pin that is a level sends, whenever that changes. */
  onLevelEntry?: (pin: number, message: ApicMessage) => void;
  /** 11h as on the 82093AA, or 20h with the EOI register. Default 20h. */
  hardwareVersion?: 0x11 | 0x20;
}

export interface IoApicState {
  version: 1;
  id: number;
  select: number;
  low: number[];
  high: number[];
  levels: boolean[];
}

export class IoApic implements MmioDevice, Persist<IoApicState> {
  /** Input pins 0 to 23. */
  readonly pins: readonly IrqLine[];
  private readonly fabric: Pick<ApicFabric, 'deliver'>;
  private readonly onLevelEntry: ((pin: number, message: ApicMessage) => void) | undefined;
  private readonly hardwareVersion: number;
  private readonly initialId: number;
  private id: number;
  private select = 0;
  private readonly low = new Int32Array(IOAPIC_PINS);
  private readonly high = new Int32Array(IOAPIC_PINS);
  private readonly levels: boolean[] = new Array<boolean>(IOAPIC_PINS).fill(false);
  /** The entries as messages, kept ready: pins change far more often than entries. */
  private readonly messages: ApicMessage[] = [];

  constructor(options: IoApicOptions) {
    this.fabric = options.fabric;
    this.onLevelEntry = options.onLevelEntry;
    this.hardwareVersion = options.hardwareVersion ?? 0x20;
    this.initialId = options.id & 15;
    this.id = this.initialId;
    const pins: IrqLine[] = [];
    for (let pin = 0; pin < IOAPIC_PINS; pin++) {
      this.messages.push({ dest: 0, destMode: 0, deliveryMode: 0, vector: 0, trigger: 0 });
      pins.push({ set: (level) => this.setPin(pin, level) });
    }
    this.pins = pins;
    this.reset();
  }

  /** Power-on: all entries masked. The pins keep the level that their devices drive. */
  reset(): void {
    this.id = this.initialId;
    this.select = 0;
    this.low.fill(REDIR_MASKED);
    this.high.fill(0);
    for (let pin = 0; pin < IOAPIC_PINS; pin++) this.decode(pin);
  }

  /** A local APIC ended a level-triggered vector: entries with it may request again. */
  eoi(vector: number): void {
    for (let pin = 0; pin < IOAPIC_PINS; pin++) {
      const low = this.low[pin];
      if ((low & (REDIR_REMOTE_IRR | REDIR_LEVEL)) !== (REDIR_REMOTE_IRR | REDIR_LEVEL)) continue;
      if ((low & 0xff) !== vector) continue;
      this.low[pin] = low & ~REDIR_REMOTE_IRR;
      this.serviceLevel(pin);
    }
  }

  /** Registers are 32 bits; smaller reads take a part of the one that they lie in. */
  mmioRead(offset: number, size: 1 | 2 | 4): number {
    const within = offset & 3;
    if (within + size > 4) return 0;
    let value = 0;
    switch (offset & ~3) {
      case IOREGSEL:
        value = this.select;
        break;
      case IOWIN:
        value = this.readIndexed();
        break;
      default:
        break;
    }
    return size === 4 ? value : (value >>> (within * 8)) & (size === 1 ? 0xff : 0xffff);
  }

  /** IOREGSEL takes any size (its upper bits are reserved); the others only whole registers. */
  mmioWrite(offset: number, size: 1 | 2 | 4, value: number): void {
    switch (offset) {
      case IOREGSEL:
        this.select = value & 0xff;
        break;
      case IOWIN:
        if (size === 4) this.writeIndexed(value);
        break;
      case IOEOIR:
        if (this.hardwareVersion >= 0x20) this.eoi(value & 0xff);
        break;
      default:
        break;
    }
  }

  save(): IoApicState {
    return {
      version: 1,
      id: this.id,
      select: this.select,
      low: Array.from(this.low),
      high: Array.from(this.high),
      levels: [...this.levels],
    };
  }

  /** Messages that were sent are the local APICs' state, so nothing is sent here. @throws UnknownStateVersion */
  restore(state: IoApicState): void {
    requireVersion('IOAPIC', state, 1);
    this.id = state.id;
    this.select = state.select;
    this.low.set(state.low);
    this.high.set(state.high);
    for (let pin = 0; pin < IOAPIC_PINS; pin++) {
      this.levels[pin] = state.levels[pin];
      this.decode(pin);
    }
  }

  private readIndexed(): number {
    switch (this.select) {
      case IOAPICID:
      case IOAPICARB:
        return this.id << 24;
      case IOAPICVER:
        return ((IOAPIC_PINS - 1) << 16) | this.hardwareVersion;
      default: {
        const pin = (this.select - IOREDTBL) >> 1;
        if (pin < 0 || pin >= IOAPIC_PINS) return 0;
        return ((this.select & 1) === 0 ? this.low[pin] : this.high[pin]) >>> 0;
      }
    }
  }

  private writeIndexed(value: number): void {
    if (this.select === IOAPICID) {
      this.id = (value >>> 24) & 15;
      return;
    }
    const pin = (this.select - IOREDTBL) >> 1;
    if (pin < 0 || pin >= IOAPIC_PINS) return;
    if ((this.select & 1) !== 0) {
      this.high[pin] = value & 0xff00_0000;
      this.decode(pin);
      return;
    }
    let low = (value & REDIR_WRITABLE) | (this.low[pin] & REDIR_REMOTE_IRR);
    // Edge entries have no remote IRR: guests clear a stuck one by switching to edge and back.
    if ((low & REDIR_LEVEL) === 0) low &= ~REDIR_REMOTE_IRR;
    this.low[pin] = low;
    this.decode(pin);
    this.serviceLevel(pin);
  }

  private decode(pin: number): void {
    const low = this.low[pin];
    const message = this.messages[pin];
    message.vector = low & 0xff;
    message.deliveryMode = (low >> 8) & 7;
    message.destMode = (low & REDIR_LOGICAL) !== 0 ? 1 : 0;
    message.trigger = (low & REDIR_LEVEL) !== 0 ? 1 : 0;
    message.dest = this.high[pin] >>> 24;
    // NMI and ExtINT are edge, whatever the entry says (3.2.4, delivery mode).
    if (message.deliveryMode === DELIVERY_NMI || message.deliveryMode === DELIVERY_EXTINT) message.trigger = 0;
    if (message.trigger === TRIGGER_LEVEL) this.onLevelEntry?.(pin, message);
  }

  private setPin(pin: number, level: boolean): void {
    if (this.levels[pin] === level) return;
    this.levels[pin] = level;
    if (!level) return;
    const low = this.low[pin];
    if ((low & REDIR_MASKED) !== 0) return; // an edge on a masked pin is lost (3.2.4, interrupt mask)
    const message = this.messages[pin];
    if (message.trigger === TRIGGER_LEVEL) this.serviceLevel(pin);
    else this.fabric.deliver(message);
  }

  /** A level entry requests while its pin is asserted and the last request has been ended. */
  private serviceLevel(pin: number): void {
    const low = this.low[pin];
    if (!this.levels[pin] || (low & (REDIR_LEVEL | REDIR_MASKED | REDIR_REMOTE_IRR)) !== REDIR_LEVEL) return;
    const message = this.messages[pin];
    if (message.trigger !== TRIGGER_LEVEL) return;
    if (this.fabric.deliver(message)) this.low[pin] = low | REDIR_REMOTE_IRR;
  }
}
