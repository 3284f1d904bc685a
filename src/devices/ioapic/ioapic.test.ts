import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ApicFabric, ApicMessage } from '../lapic/message.js';
import { apicRig } from '../lapic/testing.js';
import { IoApic } from './ioapic.js';

class RecordingFabric implements ApicFabric {
  readonly sent: ApicMessage[] = [];
  takes = true;
  deliver(message: ApicMessage): boolean {
    this.sent.push({ ...message });
    return this.takes;
  }
  deliverToAll(): void {}
  broadcastEoi(): void {}
}

const readReg = (ioapic: IoApic, index: number): number => {
  ioapic.mmioWrite(0, 4, index);
  return ioapic.mmioRead(0x10, 4);
};
const writeReg = (ioapic: IoApic, index: number, value: number): void => {
  ioapic.mmioWrite(0, 4, index);
  ioapic.mmioWrite(0x10, 4, value);
};
const setEntry = (ioapic: IoApic, pin: number, low: number, dest = 0): void => {
  writeReg(ioapic, 0x11 + 2 * pin, dest << 24);
  writeReg(ioapic, 0x10 + 2 * pin, low);
};
const make = (hardwareVersion: 0x11 | 0x20 = 0x20): { ioapic: IoApic; fabric: RecordingFabric } => {
  const fabric = new RecordingFabric();
  return { ioapic: new IoApic({ id: 2, fabric, hardwareVersion }), fabric };
};
const LEVEL = 0x8000;
const MASKED = 0x1_0000;
const REMOTE_IRR = 0x4000;

describe('IOAPIC', () => {
  it('tells its ID, its version, 24 pins, and masked entries after power-on', () => {
    const { ioapic } = make();
    expect(readReg(ioapic, 0)).toBe(0x0200_0000);
    expect(readReg(ioapic, 1)).toBe(0x0017_0020);
    for (let pin = 0; pin < 24; pin++) expect(readReg(ioapic, 0x10 + 2 * pin)).toBe(MASKED);
    writeReg(ioapic, 0, 0xff00_0000);
    expect(readReg(ioapic, 0)).toBe(0x0f00_0000);
  });

  it('keeps the writable bits of an entry, polarity among them', () => {
    const { ioapic } = make();
    setEntry(ioapic, 5, 0xffff_ffff, 0xab);
    expect(readReg(ioapic, 0x1a)).toBe(0x1_afff);
    expect(readReg(ioapic, 0x1b)).toBe(0xab00_0000);
  });

  it('sends one message for each rising edge', () => {
    const { ioapic, fabric } = make();
    setEntry(ioapic, 2, 0x0830, 3);
    for (const level of [true, true, false, true]) ioapic.pins[2].set(level);
    expect(fabric.sent).toEqual([
      { dest: 3, destMode: 1, deliveryMode: 0, vector: 0x30, trigger: 0 },
      { dest: 3, destMode: 1, deliveryMode: 0, vector: 0x30, trigger: 0 },
    ]);
  });

  it('loses an edge that comes while the entry is masked', () => {
    const { ioapic, fabric } = make();
    setEntry(ioapic, 2, MASKED | 0x30);
    ioapic.pins[2].set(true);
    setEntry(ioapic, 2, 0x30);
    expect(fabric.sent).toEqual([]);
  });

  it('delivers a level that was asserted while the entry was masked', () => {
    const { ioapic, fabric } = make();
    setEntry(ioapic, 9, MASKED | LEVEL | 0x39);
    ioapic.pins[9].set(true);
    expect(fabric.sent).toEqual([]);
    setEntry(ioapic, 9, LEVEL | 0x39);
    expect(fabric.sent).toHaveLength(1);
    expect(readReg(ioapic, 0x10 + 18) & REMOTE_IRR).not.toBe(0);
  });

  it('requests a level again after EOI of its vector while it stays asserted', () => {
    const { ioapic, fabric } = make();
    setEntry(ioapic, 16, LEVEL | 0x50);
    ioapic.pins[16].set(true);
    ioapic.eoi(0x51);
    expect(fabric.sent).toHaveLength(1);
    ioapic.eoi(0x50);
    expect(fabric.sent).toHaveLength(2);
    ioapic.pins[16].set(false);
    ioapic.eoi(0x50);
    expect(fabric.sent).toHaveLength(2);
    expect(readReg(ioapic, 0x30) & REMOTE_IRR).toBe(0);
  });

  it('ends a vector by the EOI register in version 20h and ignores it in 11h', () => {
    for (const [version, expected] of [
      [0x20, 2],
      [0x11, 1],
    ] as const) {
      const { ioapic, fabric } = make(version);
      setEntry(ioapic, 16, LEVEL | 0x50);
      ioapic.pins[16].set(true);
      ioapic.mmioWrite(0x40, 4, 0x50);
      expect(fabric.sent).toHaveLength(expected);
    }
  });

  it('clears remote IRR when the entry is switched to edge', () => {
    const { ioapic } = make();
    setEntry(ioapic, 16, LEVEL | 0x50);
    ioapic.pins[16].set(true);
    setEntry(ioapic, 16, MASKED | 0x50);
    setEntry(ioapic, 16, MASKED | LEVEL | 0x50);
    expect(readReg(ioapic, 0x30) & REMOTE_IRR).toBe(0);
  });

  it('does not set remote IRR when nobody takes the message', () => {
    const { ioapic, fabric } = make();
    fabric.takes = false;
    setEntry(ioapic, 16, LEVEL | 0x50);
    ioapic.pins[16].set(true);
    expect(readReg(ioapic, 0x30) & REMOTE_IRR).toBe(0);
  });

  it('ends with the local APIC: a level interrupt comes back after EOI until it is cleared', () => {
    const { lapics, bus } = apicRig();
    const ioapic = new IoApic({ id: 1, fabric: bus });
    bus.onEoi((vector) => ioapic.eoi(vector));
    lapics[0].mmioWrite(0xf0, 4, 0x1ff);
    setEntry(ioapic, 17, LEVEL | 0x61);
    ioapic.pins[17].set(true);
    expect(lapics[0].acknowledge()).toBe(0x61);
    lapics[0].mmioWrite(0xb0, 4, 0);
    expect(lapics[0].acknowledge()).toBe(0x61);
    ioapic.pins[17].set(false);
    lapics[0].mmioWrite(0xb0, 4, 0);
    expect(lapics[0].acknowledge()).toBe(-1);
  });

  it('passes the 8259 through a pin programmed as ExtINT', () => {
    const { lapics, bus, cpus } = apicRig([0], { acknowledgeExtInt: () => 0x20 });
    const ioapic = new IoApic({ id: 1, fabric: bus });
    lapics[0].mmioWrite(0xf0, 4, 0x1ff);
    setEntry(ioapic, 0, 0x700);
    ioapic.pins[0].set(true);
    expect(cpus[0].intr).toBe(true);
    expect(lapics[0].acknowledge()).toBe(0x20);
    expect(cpus[0].intr).toBe(false);
  });

  const access = fc.record({
    offset: fc.oneof(fc.constantFrom(0, 0x10, 0x40), fc.nat(0xfff)),
    size: fc.constantFrom<1 | 2 | 4>(1, 2, 4),
    value: fc.oneof(fc.nat(0x3f), fc.nat(0xffff_ffff)),
    write: fc.boolean(),
    pin: fc.nat(23),
    level: fc.boolean(),
  });

  it('whatever a guest writes, reads stay in range and the state survives a snapshot', () => {
    fc.assert(
      fc.property(fc.array(access, { maxLength: 150 }), (ops) => {
        const { ioapic, fabric } = make();
        for (const { offset, size, value, write, pin, level } of ops) {
          const before = fabric.sent.length;
          if (write) ioapic.mmioWrite(offset, size, value);
          else expect(ioapic.mmioRead(offset, size)).toBeLessThan(2 ** (8 * size));
          expect(ioapic.mmioRead(offset, size)).toBeGreaterThanOrEqual(0);
          ioapic.pins[pin].set(level);
          expect(fabric.sent.length - before).toBeLessThanOrEqual(25);
        }
        const state = ioapic.save();
        const other = make().ioapic;
        other.restore(JSON.parse(JSON.stringify(state)));
        expect(other.save()).toEqual(state);
      }),
    );
  });
});
