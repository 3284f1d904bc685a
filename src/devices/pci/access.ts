/** The two ways from the processor into PCI configuration space. */
import type { MmioDevice, PortDevice } from '../device.js';
import type { PciBus } from './bus.js';

/** CONFIG_ADDRESS and CONFIG_DATA: ports CF8h to CFFh. */
export const PCI_CONFIG_PORT = 0xcf8;
export const PCI_CONFIG_PORTS = 8;

/** ECAM takes 1 MiB a bus (PCI Express 7.2.2). */
export const ECAM_BUS_SIZE = 0x10_0000;

/**
 * Configuration mechanism 1 (PCI 3.0, 3.2.2.3.2): a doubleword at CF8h names bus, device, function and register, CFCh
 * to CFFh are a window on it. Smaller accesses to CF8h-CFBh do not reach the address register; among them is CF9h, the
 * reset control register of Intel's chip sets, which is handed in.
 */
export class PciConfigPorts implements PortDevice {
  private readonly bus: PciBus;
  private readonly resetControl: PortDevice | undefined;
  /** CONFIG_ADDRESS: enable 31, bus 23:16, device and function 15:8, register 7:2. */
  address = 0;

  /** @param resetControl one port, CF9h */
  constructor(bus: PciBus, resetControl?: PortDevice) {
    this.bus = bus;
    this.resetControl = resetControl;
  }

  portIn(offset: number, size: 1 | 2 | 4): number {
    if (offset >= 4) {
      if (this.address >>> 31 === 0) return size === 4 ? 0xffff_ffff : size === 2 ? 0xffff : 0xff;
      return this.bus.configRead(
        (this.address >>> 16) & 0xff,
        (this.address >>> 8) & 0xff,
        this.register(offset),
        size,
      );
    }
    if (offset === 0 && size === 4) return this.address;
    if (size === 1) return offset === 1 && this.resetControl !== undefined ? this.resetControl.portIn(0, 1) : 0xff;
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.portIn(offset + i, 1) << (8 * i);
    return value >>> 0;
  }

  portOut(offset: number, size: 1 | 2 | 4, value: number): void {
    if (offset >= 4) {
      if (this.address >>> 31 === 0) return;
      const devfn = (this.address >>> 8) & 0xff;
      this.bus.configWrite((this.address >>> 16) & 0xff, devfn, this.register(offset), size, value);
      return;
    }
    if (offset === 0 && size === 4) this.address = (value & 0x80ff_fffc) >>> 0;
    else if (size === 1) {
      if (offset === 1) this.resetControl?.portOut(0, 1, value);
    } else {
      for (let i = 0; i < size; i++) this.portOut(offset + i, 1, (value >>> (8 * i)) & 0xff);
    }
  }

  private register(offset: number): number {
    return (this.address & 0xfc) + (offset & 3);
  }
}

/** The enhanced configuration access mechanism: bus 27:20, device and function 19:12, register 11:0 of the offset. */
export class Ecam implements MmioDevice {
  private readonly bus: PciBus;

  constructor(bus: PciBus) {
    this.bus = bus;
  }

  mmioRead(offset: number, size: 1 | 2 | 4): number {
    const register = offset & 0xfff;
    if (register + size <= 0x1000) {
      return this.bus.configRead((offset >>> 20) & 0xff, (offset >>> 12) & 0xff, register, size);
    }
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.mmioRead(offset + i, 1) << (8 * i);
    return value >>> 0;
  }

  mmioWrite(offset: number, size: 1 | 2 | 4, value: number): void {
    const register = offset & 0xfff;
    if (register + size <= 0x1000) {
      this.bus.configWrite((offset >>> 20) & 0xff, (offset >>> 12) & 0xff, register, size, value);
      return;
    }
    for (let i = 0; i < size; i++) this.mmioWrite(offset + i, 1, (value >>> (8 * i)) & 0xff);
  }
}
