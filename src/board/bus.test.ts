import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MmioDevice, PortDevice } from '../devices/device.js';
import type { UnhandledAccess } from './bus.js';
import { BusConflict, MmioBus, PortBus } from './bus.js';

/** Bytes that can be read and written; remembers the sizes of accesses. */
class Bytes implements PortDevice, MmioDevice {
  readonly data: Uint8Array;
  readonly sizes: number[] = [];
  constructor(length: number, fill = 0) {
    this.data = new Uint8Array(length).fill(fill);
  }
  portIn(offset: number, size: 1 | 2 | 4): number {
    this.sizes.push(size);
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + this.data[offset + i];
    return value;
  }
  portOut(offset: number, size: 1 | 2 | 4, value: number): void {
    this.sizes.push(size);
    for (let i = 0; i < size; i++) this.data[offset + i] = (value >>> (8 * i)) & 0xff;
  }
  mmioRead(offset: number, size: 1 | 2 | 4): number {
    return this.portIn(offset, size);
  }
  mmioWrite(offset: number, size: 1 | 2 | 4, value: number): void {
    this.portOut(offset, size, value);
  }
}

describe('port bus', () => {
  it('hands whole accesses to the device with the offset in its block', () => {
    const bus = new PortBus();
    const device = new Bytes(8);
    bus.map(0x3f8, 8, device, 'COM1');
    bus.out(0x3fa, 2, 0xbeef);
    expect(Array.from(device.data)).toEqual([0, 0, 0xef, 0xbe, 0, 0, 0, 0]);
    expect(bus.in(0x3f8, 4)).toBe(0xbeef_0000);
    expect(device.sizes).toEqual([2, 4]);
  });

  it('reads all ones where nobody is, and reports it', () => {
    const seen: UnhandledAccess[] = [];
    const bus = new PortBus((access) => seen.push(access));
    expect([bus.in(0x80, 1), bus.in(0x80, 2), bus.in(0xffff, 4)]).toEqual([0xff, 0xffff, 0xffff_ffff]);
    bus.out(0x80, 1, 7);
    expect(seen.map(({ direction, address, size, value }) => [direction, address, size, value])).toEqual([
      ['in', 0x80, 1, 0xff],
      ['in', 0x80, 2, 0xffff],
      ['in', 0xffff, 4, 0xffff_ffff],
      ['out', 0x80, 1, 7],
    ]);
  });

  it('splits an access that straddles two devices or a device and nobody', () => {
    const seen: UnhandledAccess[] = [];
    const bus = new PortBus((access) => seen.push(access));
    bus.map(0x10, 2, new Bytes(2, 0x11), 'a');
    bus.map(0x12, 1, new Bytes(1, 0x22), 'b');
    expect(bus.in(0x10, 4)).toBe(0xff22_1111);
    expect(bus.in(0x0f, 2)).toBe(0x11ff);
    expect(seen.map(({ address, size }) => [address, size])).toEqual([
      [0x13, 1],
      [0x0f, 1],
    ]);
  });

  it('refuses an overlap by naming both, and what is no port', () => {
    const bus = new PortBus();
    bus.map(0x3f8, 8, new Bytes(8), 'COM1');
    expect(() => bus.map(0x3ff, 2, new Bytes(2), 'thing')).toThrow(
      new BusConflict('port', { name: 'thing', base: 0x3ff, length: 2 }, { name: 'COM1', base: 0x3f8, length: 8 }),
    );
    expect(() => bus.map(0xffff, 2, new Bytes(2), 'thing')).toThrow(RangeError);
    expect(bus.tryMap(0x3f0, 16, new Bytes(16), 'thing')).toBeUndefined();
    expect(bus.list()).toEqual([{ name: 'COM1', base: 0x3f8, length: 8 }]);
  });

  it('frees ports on unmap, once', () => {
    const bus = new PortBus();
    const mapping = bus.map(0x100, 4, new Bytes(4), 'a');
    mapping.unmap();
    bus.map(0x100, 4, new Bytes(4, 0x5a), 'b');
    mapping.unmap();
    expect(bus.in(0x100, 1)).toBe(0x5a);
  });
});

describe('MMIO bus', () => {
  it('finds the device among many, whatever was used before', () => {
    const bus = new MmioBus();
    const bases = [0xfee0_0000, 0xfec0_0000, 0xc000_0000, 0x80_0000_0000, 0xd000_0000];
    bases.forEach((base, i) => {
      bus.map(base, 0x1000, new Bytes(0x1000, i + 1), `d${i}`);
    });
    for (const i of [0, 0, 3, 1, 4, 2, 2]) expect(bus.read(bases[i] + 0xfff, 1)).toBe(i + 1);
    expect(bus.list().map(({ base }) => base)).toEqual([...bases].sort((a, b) => a - b));
  });

  it('reads all ones where nobody is, splits at borders, and reports', () => {
    const seen: UnhandledAccess[] = [];
    const bus = new MmioBus((access) => seen.push(access));
    bus.map(0xd000_0000, 2, new Bytes(2, 0x33), 'a');
    expect(bus.read(0xd000_0001, 4)).toBe(0xffff_ff33);
    expect(bus.read(0xcfff_fffe, 4)).toBe(0x3333_ffff);
    bus.write(0xe000_0000, 4, 5);
    expect(seen.at(-1)).toEqual({ bus: 'mmio', direction: 'out', address: 0xe000_0000, size: 4, value: 5 });
  });

  it('refuses overlaps on either side and addresses beyond the space', () => {
    const bus = new MmioBus();
    bus.map(0x1000, 0x1000, new Bytes(1), 'a');
    for (const [base, length] of [
      [0x0, 0x1001],
      [0x1fff, 1],
      [0x1800, 0x10],
      [0x0, 0x10000],
    ]) {
      expect(() => bus.map(base, length, new Bytes(1), 'b')).toThrow(BusConflict);
    }
    expect(() => bus.map(2 ** 40 - 1, 2, new Bytes(2), 'b')).toThrow(RangeError);
    expect(bus.tryMap(2 ** 63, 16, new Bytes(1), 'b')).toBeUndefined();
  });

  it('forgets an unmapped device even where it was the last used', () => {
    const bus = new MmioBus();
    const mapping = bus.map(0x1000, 0x1000, new Bytes(0x1000, 1), 'a');
    expect(bus.read(0x1000, 1)).toBe(1);
    mapping.unmap();
    expect(bus.read(0x1000, 1)).toBe(0xff);
  });
});

const access = fc.record({
  at: fc.nat(70),
  size: fc.constantFrom<1 | 2 | 4>(1, 2, 4),
  value: fc.nat(0xffff_ffff),
  write: fc.boolean(),
});
const layout = fc.array(fc.record({ base: fc.nat(60), length: fc.integer({ min: 1, max: 12 }) }), { maxLength: 10 });

describe('both buses agree with a plain array of bytes', () => {
  it.each(['port', 'mmio'] as const)('%s', (kind) => {
    fc.assert(
      fc.property(layout, fc.array(access, { maxLength: 60 }), (ranges, accesses) => {
        const ports = new PortBus();
        const mmio = new MmioBus();
        const claimed = new Array<boolean>(80).fill(false);
        const model = new Uint8Array(80).fill(0xff);
        for (const { base, length } of ranges) {
          const free = claimed.slice(base, base + length).every((taken) => !taken);
          const device = new Bytes(length);
          const mapping =
            kind === 'port' ? ports.tryMap(base, length, device, 'd') : mmio.tryMap(base, length, device, 'd');
          expect(mapping !== undefined).toBe(free);
          if (free) {
            claimed.fill(true, base, base + length);
            model.fill(0, base, base + length);
          }
        }
        for (const { at, size, value, write } of accesses) {
          if (write) {
            const cut = size === 4 ? value : value % 2 ** (8 * size);
            if (kind === 'port') ports.out(at, size, cut);
            else mmio.write(at, size, cut);
            for (let i = 0; i < size; i++) if (claimed[at + i]) model[at + i] = (value >>> (8 * i)) & 0xff;
          }
          let expected = 0;
          for (let i = size - 1; i >= 0; i--) expected = expected * 256 + model[at + i];
          expect(kind === 'port' ? ports.in(at, size) : mmio.read(at, size)).toBe(expected);
        }
      }),
    );
  });
});
