/** A PCI bus with address spaces that remember claims. Only tests import this. */
import type { MmioDevice, PortDevice } from '../device.js';
import { RecordingIrqLine } from '../testing.js';
import { PciBus } from './bus.js';

export interface Claim {
  readonly base: number;
  readonly length: number;
  readonly name: string;
}

/** A fake of the board's buses: refuses overlaps and what lies beyond `limit`. */
class FakeSpace {
  readonly claims: Claim[] = [];
  private readonly limit: number;
  constructor(limit: number) {
    this.limit = limit;
  }
  claim(base: number, length: number, name: string): { unmap(): void } | undefined {
    if (base < 0 || base + length > this.limit) return undefined;
    if (this.claims.some((other) => base < other.base + other.length && other.base < base + length)) return undefined;
    const claim = { base, length, name };
    this.claims.push(claim);
    return {
      unmap: () => {
        const at = this.claims.indexOf(claim);
        if (at < 0) throw new Error(`${name} unmapped twice`);
        this.claims.splice(at, 1);
      },
    };
  }
}

export interface PciRig {
  bus: PciBus;
  ports: Claim[];
  mmio: Claim[];
  messages: { address: number; data: number }[];
  links: RecordingIrqLine[];
}

export function pciRig(): PciRig {
  const ports = new FakeSpace(0x1_0000);
  const mmio = new FakeSpace(2 ** 40);
  const messages: { address: number; data: number }[] = [];
  const bus = new PciBus({
    mapPorts: (base, length, _device, name) => ports.claim(base, length, name),
    mapMmio: (base, length, _device, name) => mmio.claim(base, length, name),
    deliverMsi: (address, data) => messages.push({ address, data }),
  });
  const links = [0, 1, 2, 3].map(() => new RecordingIrqLine());
  bus.connectLinks(links);
  return { bus, ports: ports.claims, mmio: mmio.claims, messages, links };
}

export const NO_PORTS: PortDevice = { portIn: () => 0, portOut: () => {} };
export const NO_MMIO: MmioDevice = { mmioRead: () => 0, mmioWrite: () => {} };
