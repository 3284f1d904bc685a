/**
 * The configuration space of one function: bytes, and for each bit whether the guest may write it (PCI Local Bus
 * Specification 3.0, 6.1). What a mask does not allow does not change.
 */

/** Offsets of the type 0 header (PCI 3.0, figure 6-1). */
export const PCI_VENDOR_ID = 0x00;
export const PCI_DEVICE_ID = 0x02;
export const PCI_COMMAND = 0x04;
export const PCI_STATUS = 0x06;
export const PCI_REVISION = 0x08;
export const PCI_CLASS_CODE = 0x09;
export const PCI_HEADER_TYPE = 0x0e;
export const PCI_BAR0 = 0x10;
export const PCI_SUBSYSTEM_VENDOR = 0x2c;
export const PCI_SUBSYSTEM = 0x2e;
export const PCI_CAPABILITIES = 0x34;
export const PCI_INTERRUPT_LINE = 0x3c;
export const PCI_INTERRUPT_PIN = 0x3d;

export const COMMAND_IO = 1 << 0;
export const COMMAND_MEMORY = 1 << 1;
export const COMMAND_BUS_MASTER = 1 << 2;
export const COMMAND_INTX_DISABLE = 1 << 10;
export const STATUS_INTERRUPT = 1 << 3;
export const STATUS_CAPABILITIES = 1 << 4;

export class ConfigSpace {
  readonly bytes: Uint8Array;
  /** 1: the guest may write this bit. */
  readonly writable: Uint8Array;
  /** 1: the guest clears this bit by writing 1 (status bits). Such a bit must not be `writable` too. */
  readonly clearable: Uint8Array;

  /** @param size 256, or 4096 for PCI Express. */
  constructor(size: 256 | 4096) {
    this.bytes = new Uint8Array(size);
    this.writable = new Uint8Array(size);
    this.clearable = new Uint8Array(size);
  }

  /** As the guest reads it. Beyond the space: 0, as a conventional device in PCI Express reads there. */
  read(offset: number, size: 1 | 2 | 4): number {
    if (offset + size > this.bytes.length) return 0;
    let value = this.bytes[offset];
    for (let i = 1; i < size; i++) value |= this.bytes[offset + i] << (8 * i);
    return value >>> 0;
  }

  /** As the guest writes it: through the masks. */
  write(offset: number, size: 1 | 2 | 4, value: number): void {
    if (offset + size > this.bytes.length) return;
    for (let i = offset; i < offset + size; i++) {
      const byte = (value >>> (8 * (i - offset))) & 0xff;
      const mask = this.writable[i];
      this.bytes[i] = ((this.bytes[i] & ~mask) | (byte & mask)) & ~(byte & this.clearable[i]);
    }
  }

  /** As the device sets it: past the masks, little-endian. */
  set(offset: number, size: 1 | 2 | 4, value: number): void {
    for (let i = 0; i < size; i++) this.bytes[offset + i] = value >>> (8 * i);
  }

  /** Makes bits writable for the guest. */
  allow(offset: number, size: 1 | 2 | 4, mask: number): void {
    for (let i = 0; i < size; i++) this.writable[offset + i] |= mask >>> (8 * i);
  }
}
