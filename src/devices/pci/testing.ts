/** A PCI bus with address spaces that remember claims and, for memory, pass accesses on. Only tests import this. */
import type { MmioDevice, PortDevice } from '../device.js';
import { RecordingIrqLine } from '../testing.js';
import { PciBus } from './bus.js';

export interface Claim {
  readonly base: number;
  readonly length: number;
  readonly name: string;
}

/** A fake of the board's buses: refuses overlaps and what lies beyond `limit`. */
class FakeSpace<D> {
  readonly claims: Claim[] = [];
  private readonly devices = new Map<Claim, D>();
  private readonly limit: number;
  constructor(limit: number) {
    this.limit = limit;
  }
  claim(base: number, length: number, device: D, name: string): { unmap(): void } | undefined {
    if (base < 0 || base + length > this.limit) return undefined;
    if (this.claims.some((other) => base < other.base + other.length && other.base < base + length)) return undefined;
    const claim = { base, length, name };
    this.claims.push(claim);
    this.devices.set(claim, device);
    return {
      unmap: () => {
        const at = this.claims.indexOf(claim);
        if (at < 0) throw new Error(`${name} unmapped twice`);
        this.claims.splice(at, 1);
      },
    };
  }

  /** Who answers at an address, and at which offset. */
  find(address: number): { device: D; offset: number } {
    const claim = this.claims.find(({ base, length }) => address >= base && address < base + length);
    if (claim === undefined) throw new Error(`nothing answers at ${address.toString(16)}h`);
    return { device: this.devices.get(claim)!, offset: address - claim.base };
  }
}

export interface PciRig {
  bus: PciBus;
  ports: Claim[];
  mmio: Claim[];
  messages: { address: number; data: number }[];
  links: RecordingIrqLine[];
  /** Memory accesses; an Error where no BAR answers. */
  read(address: number, size: 1 | 2 | 4): number;
  write(address: number, size: 1 | 2 | 4, value: number): void;
}

export function pciRig(): PciRig {
  const ports = new FakeSpace<PortDevice>(0x1_0000);
  const mmio = new FakeSpace<MmioDevice>(2 ** 40);
  const messages: { address: number; data: number }[] = [];
  const bus = new PciBus({
    mapPorts: (base, length, device, name) => ports.claim(base, length, device, name),
    mapMmio: (base, length, device, name) => mmio.claim(base, length, device, name),
    deliverMsi: (address, data) => messages.push({ address, data }),
  });
  const links = [0, 1, 2, 3].map(() => new RecordingIrqLine());
  bus.connectLinks(links);
  return {
    bus,
    ports: ports.claims,
    mmio: mmio.claims,
    messages,
    links,
    read: (address, size) => {
      const { device, offset } = mmio.find(address);
      return device.mmioRead(offset, size);
    },
    write: (address, size, value) => {
      const { device, offset } = mmio.find(address);
      device.mmioWrite(offset, size, value);
    },
  };
}

export const NO_PORTS: PortDevice = { portIn: () => 0, portOut: () => {} };
export const NO_MMIO: MmioDevice = { mmioRead: () => 0, mmioWrite: () => {} };
