import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PciFunction } from './function.js';
import { Msi, Msix } from './msi.js';
import type { PciRig } from './testing.js';
import { pciRig } from './testing.js';

const ids = { vendor: 0x1af4, device: 0x1042, classCode: 0x01_8000 };

function msiRig(vectors: 1 | 4 | 32): PciRig & { fn: PciFunction; msi: Msi } {
  const rig = pciRig();
  const fn = new PciFunction({ name: 'device', ids });
  const msi = new Msi(fn, vectors);
  rig.bus.add(1, 0, fn);
  fn.configWrite(4, 2, 4);
  fn.configWrite(0x44, 4, 0xfee0_1000);
  fn.configWrite(0x4c, 2, 0x4070);
  return { ...rig, fn, msi };
}

function msixRig(vectors: number): PciRig & { fn: PciFunction; msix: Msix } {
  const rig = pciRig();
  const fn = new PciFunction({ name: 'device', ids });
  const msix = new Msix(fn, vectors, 1);
  rig.bus.add(1, 0, fn);
  fn.configWrite(4, 2, 4);
  for (let i = 0; i < vectors; i++) {
    msix.mmioWrite(16 * i, 4, 0xfee0_0000);
    msix.mmioWrite(16 * i + 8, 4, 0x40 + i);
  }
  return { ...rig, fn, msix };
}

describe('MSI', () => {
  it('is off until enabled, so that the device uses its pin', () => {
    const { msi, messages } = msiRig(1);
    expect(msi.notify(0)).toBe(false);
    expect(messages).toEqual([]);
  });

  it('writes address and data, the vector in the low bits that were granted', () => {
    const { msi, fn, messages } = msiRig(4);
    fn.configWrite(0x42, 2, 0x21);
    for (const vector of [0, 3]) expect(msi.notify(vector)).toBe(true);
    fn.configWrite(0x42, 2, 0x11);
    msi.notify(3);
    expect(messages.map(({ data }) => data)).toEqual([0x4070, 0x4073, 0x4071]);
    expect(messages[0].address).toBe(0xfee0_1000);
  });

  it('holds masked vectors pending and sends them when unmasked', () => {
    const { msi, fn, messages } = msiRig(4);
    fn.configWrite(0x42, 2, 0x21);
    fn.configWrite(0x50, 4, 0b100);
    msi.notify(2);
    expect(messages).toEqual([]);
    expect(fn.configRead(0x54, 4)).toBe(0b100);
    fn.configWrite(0x50, 4, 0);
    expect(messages.map(({ data }) => data)).toEqual([0x4072]);
    expect(fn.configRead(0x54, 4)).toBe(0);
  });

  it('sends nothing without bus mastering or to an address above 4 GiB', () => {
    const { msi, fn, messages } = msiRig(1);
    fn.configWrite(0x42, 2, 1);
    fn.configWrite(4, 2, 0);
    msi.notify(0);
    fn.configWrite(4, 2, 4);
    fn.configWrite(0x48, 4, 1);
    msi.notify(0);
    expect(messages).toEqual([]);
  });
});

describe('MSI-X', () => {
  it('describes its table and pending bits', () => {
    const { fn } = msixRig(5);
    expect(fn.configRead(0x40, 4)).toBe(0x0004_0011);
    expect(fn.configRead(0x44, 4)).toBe(1);
    expect(fn.configRead(0x48, 4)).toBe(0x801);
  });

  it('sends unmasked vectors by their table entry', () => {
    const { fn, msix, messages } = msixRig(3);
    expect(msix.notify(1)).toBe(false);
    fn.configWrite(0x42, 2, 0x8000);
    msix.mmioWrite(16 + 12, 4, 0);
    expect(msix.notify(1)).toBe(true);
    expect(msix.notify(99)).toBe(true);
    expect(messages).toEqual([{ address: 0xfee0_0000, data: 0x41 }]);
  });

  it('holds vectors pending under the entry mask and the function mask', () => {
    const { fn, msix, messages } = msixRig(40);
    fn.configWrite(0x42, 2, 0x8000);
    msix.notify(33);
    expect(msix.mmioRead(0x800 + 4, 4)).toBe(2);
    msix.mmioWrite(16 * 33 + 12, 4, 0);
    expect(messages).toHaveLength(1);
    fn.configWrite(0x42, 2, 0xc000);
    msix.notify(33);
    msix.notify(33);
    expect(messages).toHaveLength(1);
    fn.configWrite(0x42, 2, 0x8000);
    expect(messages).toHaveLength(2);
    expect(msix.mmioRead(0x804, 4)).toBe(0);
  });

  it('masks all vectors again on reset', () => {
    const { bus, msix } = msixRig(2);
    msix.mmioWrite(12, 4, 0);
    bus.reset();
    expect(msix.mmioRead(12, 4)).toBe(1);
    expect(msix.enabled).toBe(false);
  });

  it('whatever a guest writes into the table, reads are in range and a snapshot is faithful', () => {
    const op = fc.record({
      offset: fc.nat(0x1000),
      size: fc.constantFrom<1 | 2 | 4>(1, 2, 4),
      value: fc.nat(0xffff_ffff),
      control: fc.nat(0xffff),
      vector: fc.nat(70),
    });
    fc.assert(
      fc.property(fc.array(op, { maxLength: 60 }), (ops) => {
        const { fn, msix, messages } = msixRig(64);
        for (const { offset, size, value, control, vector } of ops) {
          fn.configWrite(0x42, 2, control);
          msix.mmioWrite(offset, size, value);
          const before = messages.length;
          msix.notify(vector);
          expect(messages.length - before).toBeLessThanOrEqual(1);
          expect(msix.mmioRead(offset, size)).toBeLessThan(2 ** (8 * size));
        }
        const state = msix.save();
        const other = msixRig(64).msix;
        other.restore(JSON.parse(JSON.stringify(state)));
        expect(other.save()).toEqual(state);
      }),
    );
  });
});
