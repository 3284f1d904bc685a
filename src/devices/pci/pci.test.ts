import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PortDevice } from '../device.js';
import { UnknownStateVersion } from '../persist.js';
import { RecordingIrqLine } from '../testing.js';
import { Ecam, PciConfigPorts } from './access.js';
import { HostBridge, LpcBridge } from './bridges.js';
import type { PciBus } from './bus.js';
import { configurePci } from './firmware.js';
import { PciFunction } from './function.js';
import { NO_MMIO, NO_PORTS, pciRig } from './testing.js';

const ids = { vendor: 0x1af4, device: 0x1042, classCode: 0x01_8000, revision: 1 };

/** A function with one BAR of each kind: I/O of 64 in 0, memory of 4 KiB in 1, 64-bit of 16 KiB in 4. */
function threeBars(name = 'device', pin: 0 | 1 | 2 | 3 | 4 = 1): PciFunction {
  const fn = new PciFunction({ name, ids, interruptPin: pin });
  fn.addBar(0, { kind: 'io', size: 64 }, NO_PORTS);
  fn.addBar(1, { kind: 'mem32', size: 0x1000 }, NO_MMIO);
  fn.addBar(4, { kind: 'mem64', size: 0x4000, prefetchable: true }, NO_MMIO);
  return fn;
}

const read = (bus: PciBus, device: number, offset: number, size: 1 | 2 | 4 = 4): number =>
  bus.configRead(0, device << 3, offset, size);
const write = (bus: PciBus, device: number, offset: number, value: number, size: 1 | 2 | 4 = 4): void =>
  bus.configWrite(0, device << 3, offset, size, value);

describe('configuration space', () => {
  it('shows the header and keeps read-only fields', () => {
    const { bus } = pciRig();
    bus.add(3, 0, threeBars());
    write(bus, 3, 0, 0xffff_ffff);
    write(bus, 3, 8, 0xffff_ffff);
    expect(read(bus, 3, 0)).toBe(0x1042_1af4);
    expect(read(bus, 3, 8)).toBe(0x0180_0001);
    expect(read(bus, 3, 0x3c, 2)).toBe(0x0100);
    write(bus, 3, 0x3c, 0xffff, 2);
    expect(read(bus, 3, 0x3c, 2)).toBe(0x01ff);
  });

  it('is all ones where no function is, on this bus and on others', () => {
    const { bus } = pciRig();
    bus.add(3, 0, threeBars());
    expect(read(bus, 4, 0)).toBe(0xffff_ffff);
    expect(read(bus, 4, 0, 2)).toBe(0xffff);
    expect(bus.configRead(1, 3 << 3, 0, 1)).toBe(0xff);
  });

  it('tells function 0 of its siblings, in either order', () => {
    for (const order of [
      [0, 1],
      [1, 0],
    ]) {
      const { bus } = pciRig();
      for (const fn of order) bus.add(2, fn, threeBars());
      expect(read(bus, 2, 0x0e, 1)).toBe(0x80);
      bus.reset();
      expect(read(bus, 2, 0x0e, 1)).toBe(0x80);
    }
  });

  it('refuses a slot twice by naming the holder', () => {
    const { bus } = pciRig();
    bus.add(2, 0, threeBars('disk'));
    expect(() => bus.add(2, 0, threeBars('net'))).toThrow('net: PCI slot 2:0 holds disk.');
    expect(() => bus.add(32, 0, threeBars('net'))).toThrow(RangeError);
  });

  it('links capabilities in order', () => {
    const { bus } = pciRig();
    const fn = threeBars();
    const first = fn.addCapability(0x09, Uint8Array.of(5, 1, 2));
    const second = fn.addCapability(0x11, new Uint8Array(10));
    bus.add(1, 0, fn);
    expect(read(bus, 1, 6, 2) & 0x10).toBe(0x10);
    expect(read(bus, 1, 0x34, 1)).toBe(first);
    expect(read(bus, 1, first)).toBe(0x0105_0009 + (second << 8));
    expect(read(bus, 1, second, 2)).toBe(0x0011);
    expect(() => fn.addCapability(9, new Uint8Array(200))).toThrow(RangeError);
  });
});

describe('base address registers', () => {
  it('answer the sizing protocol', () => {
    const { bus } = pciRig();
    bus.add(1, 0, threeBars());
    for (let offset = 0x10; offset < 0x28; offset += 4) write(bus, 1, offset, 0xffff_ffff);
    const bars = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24].map((offset) => read(bus, 1, offset));
    expect(bars).toEqual([0xffff_ffc1, 0xffff_f000, 0, 0, 0xffff_c00c, 0xffff_ffff]);
  });

  it('size a 64-bit BAR of 8 GiB', () => {
    const { bus } = pciRig();
    const fn = new PciFunction({ name: 'big', ids });
    fn.addBar(2, { kind: 'mem64', size: 2 ** 33 }, NO_MMIO);
    bus.add(1, 0, fn);
    write(bus, 1, 0x18, 0xffff_ffff);
    write(bus, 1, 0x1c, 0xffff_ffff);
    expect([read(bus, 1, 0x18), read(bus, 1, 0x1c)]).toEqual([4, 0xffff_fffe]);
  });

  it('claim addresses only while the command register enables them', () => {
    const { bus, ports, mmio } = pciRig();
    bus.add(1, 0, threeBars());
    write(bus, 1, 0x10, 0xc000);
    write(bus, 1, 0x14, 0xd000_0000);
    write(bus, 1, 0x20, 0x1000_0000);
    write(bus, 1, 0x24, 0x80);
    expect(mmio).toEqual([]);
    write(bus, 1, 4, 2, 2);
    expect(mmio.map(({ base }) => base)).toEqual([0xd000_0000, 0x80_1000_0000]);
    expect(ports).toEqual([]);
    write(bus, 1, 4, 1, 2);
    expect(mmio).toEqual([]);
    expect(ports).toEqual([{ base: 0xc000, length: 64, name: 'device BAR 0' }]);
  });

  it('move while decoding is on, and claim nothing at 0 or beyond the space', () => {
    const { bus, mmio } = pciRig();
    bus.add(1, 0, threeBars());
    write(bus, 1, 4, 2, 2);
    expect(mmio).toEqual([]);
    write(bus, 1, 0x14, 0xd000_0000);
    write(bus, 1, 0x14, 0xd000_1000);
    expect(mmio.map(({ base }) => base)).toEqual([0xd000_1000]);
    write(bus, 1, 0x24, 0xffff_ffff);
    expect(mmio).toHaveLength(1);
  });

  it('that want a taken address get it when it is free', () => {
    const { bus, mmio } = pciRig();
    bus.add(1, 0, threeBars('a'));
    bus.add(2, 0, threeBars('b'));
    for (const device of [1, 2]) {
      write(bus, device, 0x14, 0xd000_0000);
      write(bus, device, 4, 2, 2);
    }
    expect(mmio.map(({ name }) => name)).toEqual(['a BAR 1']);
    write(bus, 1, 0x14, 0xd100_0000);
    expect(mmio.map(({ name }) => name)).toEqual(['a BAR 1', 'b BAR 1']);
  });

  it('of impossible size or place are refused', () => {
    const fn = threeBars();
    expect(() => fn.addBar(2, { kind: 'mem32', size: 0x1001 }, NO_MMIO)).toThrow(RangeError);
    expect(() => fn.addBar(2, { kind: 'io', size: 512 }, NO_PORTS)).toThrow(RangeError);
    expect(() => fn.addBar(5, { kind: 'mem32', size: 0x1000 }, NO_MMIO)).toThrow(RangeError);
    expect(() => fn.addBar(3, { kind: 'mem64', size: 0x1000 }, NO_MMIO)).toThrow(RangeError);
    expect(() => fn.addBar(6, { kind: 'mem32', size: 0x1000 }, NO_MMIO)).toThrow(RangeError);
  });

  it('are given out by firmware, aligned and without overlap, the interrupt line too', () => {
    const { bus, ports, mmio } = pciRig();
    for (let device = 1; device < 6; device++) bus.add(device, 0, threeBars(`d${device}`));
    const windows = {
      io: { base: 0xc000, length: 0x1000 },
      mem32: { base: 0xc000_0000, length: 0x1000_0000 },
      mem64: { base: 2 ** 39, length: 2 ** 38 },
    };
    expect(configurePci(bus, windows, [10, 11, 10, 11])).toEqual([]);
    expect(mmio).toHaveLength(10);
    expect(ports).toHaveLength(5);
    for (const { base, length } of [...ports, ...mmio]) expect(base % length).toBe(0);
    expect([1, 2, 3].map((device) => read(bus, device, 0x3c, 1))).toEqual([11, 10, 11]);
  });

  it('that find no room are named', () => {
    const { bus } = pciRig();
    bus.add(1, 0, threeBars());
    const none = { base: 0xc000, length: 0 };
    const homeless = configurePci(bus, { io: none, mem32: none, mem64: none }, []);
    expect(homeless.sort()).toEqual(['device BAR 0', 'device BAR 1', 'device BAR 4']);
  });
});

describe('interrupt pins', () => {
  it('are swizzled over the links and shared', () => {
    const { bus, links } = pciRig();
    const fns = [1, 2, 5].map((device) => {
      const fn = threeBars(`d${device}`);
      bus.add(device, 0, fn);
      return fn;
    });
    fns[0].intx.set(true);
    fns[2].intx.set(true);
    fns[2].intx.set(true);
    fns[1].intx.set(true);
    expect(links.map(({ level }) => level)).toEqual([false, true, true, false]);
    fns[0].intx.set(false);
    expect(links[1].level).toBe(true);
    fns[2].intx.set(false);
    expect(links[1].level).toBe(false);
    expect(links[1].edges).toBe(1);
  });

  it('are gated by command bit 10, while the status bit shows the request', () => {
    const { bus, links } = pciRig();
    const fn = threeBars();
    bus.add(1, 0, fn);
    write(bus, 1, 4, 0x400, 2);
    fn.intx.set(true);
    expect(links[1].level).toBe(false);
    expect(read(bus, 1, 6, 2) & 8).toBe(8);
    write(bus, 1, 4, 0, 2);
    expect(links[1].level).toBe(true);
    bus.reset();
    expect(links[1].level).toBe(false);
  });
});

describe('mechanism 1', () => {
  const select = (ports: PciConfigPorts, device: number, register: number): void =>
    ports.portOut(0, 4, 0x8000_0000 | (device << 11) | register);

  it('reaches registers in all sizes', () => {
    const { bus } = pciRig();
    bus.add(1, 0, threeBars());
    const ports = new PciConfigPorts(bus);
    select(ports, 1, 0);
    expect(ports.portIn(0, 4)).toBe(0x8000_0800);
    expect(ports.portIn(4, 4)).toBe(0x1042_1af4);
    expect(ports.portIn(6, 2)).toBe(0x1042);
    expect(ports.portIn(5, 1)).toBe(0x1a);
    select(ports, 1, 0x3c);
    ports.portOut(4, 1, 0x0b);
    expect(read(bus, 1, 0x3c, 1)).toBe(0x0b);
  });

  it('reads all ones without the enable bit or a function', () => {
    const { bus } = pciRig();
    bus.add(1, 0, threeBars());
    const ports = new PciConfigPorts(bus);
    ports.portOut(0, 4, 0x800);
    expect(ports.portIn(4, 4)).toBe(0xffff_ffff);
    select(ports, 9, 0);
    expect(ports.portIn(4, 2)).toBe(0xffff);
  });

  it('sends only byte accesses of CF9h to the reset register, none to the address register', () => {
    const { bus } = pciRig();
    const written: number[] = [];
    const reset: PortDevice = { portIn: () => 0x0e, portOut: (_offset, _size, value) => written.push(value) };
    const ports = new PciConfigPorts(bus, reset);
    select(ports, 1, 0x40);
    ports.portOut(1, 1, 6);
    ports.portOut(0, 1, 0xaa);
    expect(written).toEqual([6]);
    expect(ports.portIn(1, 1)).toBe(0x0e);
    expect(ports.portIn(0, 4)).toBe(0x8000_0840);
  });
});

describe('ECAM', () => {
  it('reaches the same registers, and splits what crosses a function', () => {
    const { bus } = pciRig();
    const fn = new PciFunction({ name: 'express', ids, configSize: 4096 });
    bus.add(1, 0, fn);
    bus.add(1, 1, threeBars());
    fn.config.set(0xffe, 2, 0xbbaa);
    const ecam = new Ecam(bus);
    expect(ecam.mmioRead(0x8000, 4)).toBe(0x1042_1af4);
    expect(ecam.mmioRead(0x8ffe, 4)).toBe(0x1af4_bbaa);
    ecam.mmioWrite(0x803c, 1, 9);
    expect(read(bus, 1, 0x3c, 1)).toBe(9);
    expect(ecam.mmioRead(0x9100, 4)).toBe(0);
    expect(ecam.mmioRead(0x10_8000, 4)).toBe(0xffff_ffff);
  });
});

describe('bridges', () => {
  const lpcRig = (): { lpc: LpcBridge; isa: RecordingIrqLine[]; pins: RecordingIrqLine[] } => {
    const isa = Array.from({ length: 16 }, () => new RecordingIrqLine());
    const pins = Array.from({ length: 4 }, () => new RecordingIrqLine());
    const lpc = new LpcBridge({ pmBase: 0x600, isaIrqs: isa, ioapicPins: pins, routes: [10, 11, 10, 11] });
    pciRig().bus.add(31, 0, lpc);
    return { lpc, isa, pins };
  };

  it('the host bridge tells where ECAM is', () => {
    const bridge = new HostBridge(0xe000_0000);
    bridge.configWrite(0x60, 4, 0);
    expect(bridge.configRead(0x60, 4)).toBe(0xe000_0001);
    expect(bridge.configRead(0x0a, 2)).toBe(0x0600);
  });

  it('the LPC bridge sends a link to its IOAPIC pin and its ISA interrupt', () => {
    const { lpc, isa, pins } = lpcRig();
    lpc.links[1].set(true);
    expect(pins.map(({ level }) => level)).toEqual([false, true, false, false]);
    expect(isa[11].level).toBe(true);
  });

  it('links that share an interrupt hold it up together', () => {
    const { lpc, isa } = lpcRig();
    lpc.links[0].set(true);
    lpc.links[2].set(true);
    lpc.links[0].set(false);
    expect(isa[10].level).toBe(true);
    lpc.links[2].set(false);
    expect(isa[10].level).toBe(false);
    expect(isa[10].edges).toBe(1);
  });

  it('PIRQ registers move an asserted link, switch it off, and route nowhere illegal', () => {
    const { lpc, isa } = lpcRig();
    lpc.links[0].set(true);
    lpc.configWrite(0x60, 1, 5);
    expect([isa[10].level, isa[5].level]).toEqual([false, true]);
    lpc.configWrite(0x60, 1, 0x85);
    expect(isa[5].level).toBe(false);
    for (const irq of [0, 1, 2, 8, 13]) {
      lpc.configWrite(0x60, 1, irq);
      expect(isa.some(({ level }) => level)).toBe(false);
    }
    lpc.reset();
    expect(isa[10].level).toBe(true);
  });
});

describe('whatever a guest writes into configuration space', () => {
  const op = fc.record({
    device: fc.nat(4),
    offset: fc.oneof(fc.nat(0x3f), fc.nat(0xfff)),
    size: fc.constantFrom<1 | 2 | 4>(1, 2, 4),
    value: fc.oneof(fc.nat(0xffff_ffff), fc.constantFrom(0, 3, 7, 0xffff_ffff, 0xd000_0000, 0xd000_0004, 0xc000)),
    intx: fc.boolean(),
  });

  it('read-only bits stay, claims agree with the registers and never overlap, and a snapshot is faithful', () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 120 }), (ops) => {
        const { bus, ports, mmio, links } = pciRig();
        const build = (target: PciBus): PciFunction[] => {
          const fns = [threeBars('a'), threeBars('b', 2), threeBars('c', 0)];
          fns.forEach((fn, i) => {
            target.add(i + 1, 0, fn);
          });
          return fns;
        };
        const fns = build(bus);
        for (const { device, offset, size, value, intx } of ops) {
          const before = fns[0].config.bytes.slice();
          bus.configWrite(0, device << 3, offset, size, value);
          if (device === 1) {
            const { writable, bytes } = fns[0].config;
            before.forEach((byte, i) => {
              expect((bytes[i] ^ byte) & ~writable[i]).toBe(0);
            });
          }
          const got = bus.configRead(0, device << 3, offset, size);
          expect(got).toBeGreaterThanOrEqual(0);
          expect(got).toBeLessThan(2 ** (8 * size));
          fns[device % 3].intx.set(intx);
        }
        for (const fn of fns) {
          for (const bar of fn.listBars()) {
            const claims = (bar.kind === 'io' ? ports : mmio).filter(
              ({ name }) => name === `${fn.name} BAR ${bar.index}`,
            );
            const decoding = (fn.command & (bar.kind === 'io' ? 1 : 2)) !== 0;
            expect(claims.length).toBeLessThanOrEqual(decoding ? 1 : 0);
            for (const claim of claims) expect(claim).toMatchObject({ base: bar.base, length: bar.size });
          }
        }
        const state = bus.save();
        const other = pciRig();
        build(other.bus);
        other.bus.restore(JSON.parse(JSON.stringify(state)));
        expect(other.bus.save()).toEqual(state);
        expect(other.links.map(({ level }) => level)).toEqual(links.map(({ level }) => level));
      }),
    );
  });

  it('a snapshot of another version is refused', () => {
    const fn = threeBars();
    expect(() => fn.restore({ ...fn.save(), version: 9 as 1 })).toThrow(UnknownStateVersion);
  });
});
