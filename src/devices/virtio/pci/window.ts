/**
 * The PCI configuration access capability (4.1.4.9): the back door. Firmware that has not mapped the BARs names a place
 * in them by registers of configuration space, and reaches it through `pci_cfg_data`.
 */
import type { MmioDevice } from '../../device.js';
import type { PciFunction } from '../../pci/index.js';
import type { Transport } from '../transport.js';
import * as L from './layout.js';

/** Offsets within the capability. */
const BAR = 4;
const OFFSET = 8;
const LENGTH = 12;
const DATA = 16;
const CAPABILITY_LENGTH = 20;

export class ConfigWindow {
  private readonly fn: PciFunction;
  private readonly transport: Transport;
  private readonly registers: MmioDevice;
  private readonly at: number;

  /** @param registers what the register BAR shows */
  constructor(fn: PciFunction, transport: Transport, registers: MmioDevice) {
    this.fn = fn;
    this.transport = transport;
    this.registers = registers;
    const body = new Uint8Array(CAPABILITY_LENGTH - 2);
    body[0] = CAPABILITY_LENGTH;
    body[1] = L.CAP_PCI_CFG;
    const writable = new Uint8Array(body.length);
    writable[BAR - 2] = 0xff;
    writable.fill(0xff, OFFSET - 2, DATA - 2);
    this.at = fn.addCapability(L.CAP_VENDOR, body, writable);
  }

  /** Whether an access of configuration space touches `pci_cfg_data`. */
  hit(offset: number, size: number): boolean {
    return offset < this.at + DATA + 4 && offset + size > this.at + DATA;
  }

  /** Fetches what the window shows into `pci_cfg_data`; configuration space is read afterwards. */
  fetch(): void {
    const { config } = this.fn;
    const length = config.read(this.at + LENGTH, 4);
    // Nobody has set the window up: that is a tool that reads all of configuration space.
    if (length === 0) return;
    const place = this.place('read', length);
    if (place === undefined) return;
    config.set(this.at + DATA, place.size, this.registers.mmioRead(place.offset, place.size));
  }

  /** Takes what is written to `pci_cfg_data`, and passes it on. */
  store(offset: number, size: 1 | 2 | 4, value: number): void {
    const { config } = this.fn;
    for (let i = 0; i < size; i++) {
      if (this.hit(offset + i, 1)) config.bytes[offset + i] = value >>> (8 * i);
    }
    const place = this.place('wrote', config.read(this.at + LENGTH, 4));
    if (place === undefined) return;
    this.registers.mmioWrite(place.offset, place.size, config.read(this.at + DATA, place.size));
  }

  /** Where the window is, if it is a place that drivers may reach. */
  private place(verb: string, length: number): { offset: number; size: 1 | 2 | 4 } | undefined {
    const { config } = this.fn;
    const bar = config.bytes[this.at + BAR];
    const offset = config.read(this.at + OFFSET, 4);
    const size = length === 1 || length === 2 || length === 4 ? length : undefined;
    if (size !== undefined && bar === L.REGISTER_BAR && offset % size === 0 && offset + size <= L.REGISTER_BAR_SIZE) {
      return { offset, size };
    }
    this.transport.refuse(`${verb} pci_cfg_data with bar ${bar}, offset ${offset} and length ${length}`, '4.1.4.9.2');
    return undefined;
  }
}
