import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeCpu } from '../devices/lapic/testing.js';
import { PciFunction } from '../devices/pci/index.js';
import { UnknownStateVersion } from '../devices/persist.js';
import { FakeClock } from '../devices/testing.js';
import type { GuestMemory } from '../engine/contract.js';
import type { BoardOptions } from './board.js';
import { Board } from './board.js';
import type { UnhandledAccess } from './bus.js';

const MIB = 0x10_0000;

function ram(size: number): GuestMemory {
  const bytes = new Uint8Array(size);
  const contains = (gpa: number, length: number): boolean => gpa >= 0 && gpa + length <= size;
  return {
    size,
    regions: [{ gpa: 0, length: bytes.length }],
    pieces: [{ gpa: 0, bytes }],
    contains,
    view(gpa, length) {
      if (!contains(gpa, length)) throw new RangeError('not RAM');
      return bytes.subarray(gpa, gpa + length);
    },
    write(gpa, data) {
      this.view(gpa, data.length).set(data);
    },
    dirtied() {},
  };
}

interface Rig {
  board: Board;
  clock: FakeClock;
  cpus: FakeCpu[];
  memory: GuestMemory;
  unhandled: UnhandledAccess[];
  events: string[];
  output: number[];
}

function rig(options: Partial<BoardOptions> = {}, build: (board: Board) => void = () => {}): Rig {
  const clock = new FakeClock();
  const memory = ram(4 * MIB);
  const unhandled: UnhandledAccess[] = [];
  const events: string[] = [];
  const output: number[] = [];
  const board = new Board({
    memory,
    cpus: 1,
    clock,
    wallClock: () => 1_700_000_000_000 + clock.now() / 1e6,
    readTsc: () => Math.floor(clock.now()),
    tscHz: 1e9,
    entropy: () => 42,
    onPowerOff: () => events.push('power-off'),
    onReset: () => events.push('reset'),
    onUnhandled: (access) => unhandled.push(access),
    serial: [{ transmit: (byte) => output.push(byte) }],
    ...options,
  });
  build(board);
  const cpus = board.controllers.apicIds.map(() => new FakeCpu());
  board.attachVcpus(cpus);
  return { board, clock, cpus, memory, unhandled, events, output };
}

describe('functions that a board is made with', () => {
  const named = (name: string): PciFunction =>
    new PciFunction({ name, ids: { vendor: 0x1af4, device: 0x1042, classCode: 0x10000 }, interruptPin: 1 });

  it('stand where they are asked to, or in the first free place, and firmware knows them', () => {
    const functions = ['a', 'b', 'c', 'd'].map(named);
    for (const fn of functions)
      fn.addBar(0, { kind: 'mem32', size: 0x4000 }, { mmioRead: () => 7, mmioWrite: () => {} });
    const [a, b, c, d] = functions;
    const { board } = rig({ pci: [{ pci: a }, { pci: b, device: 5, fn: 2 }, { pci: c }, { pci: d, device: 9 }] });
    expect(functions.map(({ devfn }) => [devfn >> 3, devfn & 7])).toEqual([
      [1, 0],
      [5, 2],
      [2, 0],
      [9, 0],
    ]);
    for (const fn of functions) {
      expect(board.mmioRead(fn.listBars()[0].base, 4)).toBe(7);
      expect([10, 11]).toContain(fn.config.bytes[0x3c]);
    }
  });

  it('are refused a place that is taken', () => {
    expect(() => rig({ pci: [{ pci: named('a'), device: 31 }] })).toThrow(/PCI slot 31:0 holds/);
  });

  it('are reset when the board is closed, and told when it has been restored', () => {
    const fn = named('a');
    const events: string[] = [];
    fn.onReset(() => events.push('reset'));
    fn.resume = () => events.push('resume');
    const { board } = rig({ pci: [{ pci: fn }] });
    board.restore(board.save());
    expect(events).toEqual(['resume']);
    board.close();
    expect(events).toEqual(['resume', 'reset']);
  });
});

/** Both 8259s initialised as Linux does: vectors 30h-3Fh, only the given inputs open. */
function initPic(board: Board, irqs: readonly number[]): void {
  for (const [command, data, vector, cascade] of [
    [0x20, 0x21, 0x30, 4],
    [0xa0, 0xa1, 0x38, 2],
  ]) {
    board.portOut(command, 1, 0x11);
    board.portOut(data, 1, vector);
    board.portOut(data, 1, cascade);
    board.portOut(data, 1, 1);
  }
  const open = irqs.reduce((mask, irq) => mask | (1 << irq), 1 << 2);
  board.portOut(0x21, 1, ~open & 0xff);
  board.portOut(0xa1, 1, (~open >> 8) & 0xff);
}

function redirect(board: Board, pin: number, low: number): void {
  board.mmioWrite(0xfec0_0000, 4, 0x10 + 2 * pin);
  board.mmioWrite(0xfec0_0010, 4, low);
}

/** Timer channel 0 as a rate generator with the given count. */
function startPit(board: Board, count: number): void {
  board.portOut(0x43, 1, 0x34);
  board.portOut(0x40, 1, count & 0xff);
  board.portOut(0x40, 1, count >> 8);
}

describe('board', () => {
  it('interrupts through the 8259s in virtual wire mode, as firmware left it', () => {
    const { board, clock, cpus } = rig();
    initPic(board, [0]);
    startPit(board, 11932);
    clock.advance(10_100_000);
    expect(cpus[0].intr).toBe(true);
    expect(board.acknowledgeInterrupt(0)).toBe(0x30);
    expect(cpus[0].intr).toBe(false);
  });

  it('interrupts through the IOAPIC: the timer on pin 2', () => {
    const { board, clock } = rig();
    redirect(board, 2, 0x40);
    startPit(board, 11932);
    clock.advance(10_100_000);
    expect(board.acknowledgeInterrupt(0)).toBe(0x40);
  });

  it('writes the first serial port and interrupts when it can take more', () => {
    const { board, output } = rig();
    redirect(board, 4, 0x54);
    for (const letter of [0x68, 0x69]) board.portOut(0x3f8, 1, letter);
    expect(output).toEqual([0x68, 0x69]);
    board.portOut(0x3fc, 1, 0x08);
    board.portOut(0x3f9, 1, 0x02);
    expect(board.acknowledgeInterrupt(0)).toBe(0x54);
  });

  it('switches off through what the ACPI tables say, and resets in three ways', () => {
    const { board, events } = rig();
    board.portOut(0x604, 2, (5 << 10) | 0x2000);
    board.portOut(0xcf9, 1, 6);
    board.portOut(0x64, 1, 0xfe);
    expect(events).toEqual(['power-off', 'reset', 'reset']);
  });

  it('puts reachable ACPI tables into memory and names them in the memory map', () => {
    const { board, memory } = rig();
    const root = memory.view(board.acpiRsdp, 36);
    expect(new TextDecoder().decode(root.subarray(0, 8))).toBe('RSD PTR ');
    const xsdt = new DataView(root.buffer, root.byteOffset).getUint32(24, true);
    expect(new TextDecoder().decode(memory.view(xsdt, 4))).toBe('XSDT');
    const entry = board.memoryMap.find(({ gpa, length }) => xsdt >= gpa && xsdt < gpa + length);
    expect(entry?.type).toBe(3);
    expect(Array.from(memory.view(0x40e, 2))).toEqual([0xc0, 0x9f]);
    expect(Array.from(memory.view(0x413, 2))).toEqual([0x7f, 0x02]);
  });

  it('leaves memory and APIC alone where a ROM does firmware’s work', () => {
    const { board, memory } = rig({ firmware: false });
    expect(board.acpiRsdp).toBe(0);
    expect(memory.view(0, memory.size).every((byte) => byte === 0)).toBe(true);
    expect(board.mmioRead(0xfee0_0350, 4)).toBe(0x1_0000);
  });

  it('shows the bridges by mechanism 1 and by ECAM', () => {
    const { board } = rig();
    board.portOut(0xcf8, 4, 0x8000_0000);
    expect(board.portIn(0xcfc, 4)).toBe(0x29c0_8086);
    expect(board.mmioRead(0xe000_0000 + (0x1f << 15), 4)).toBe(0x2918_8086);
    expect(board.mmioRead(0xe000_0000 + (0x1f << 15) + 0x40, 4)).toBe(0x601);
  });

  it('gives an added PCI function an address and brings its interrupt to 8259 and IOAPIC', () => {
    const data = { mmioRead: (offset: number) => offset, mmioWrite: () => {} };
    const fn = new PciFunction({
      name: 'test',
      ids: { vendor: 0x1af4, device: 0x1042, classCode: 0x01_8000 },
      interruptPin: 1,
    });
    fn.addBar(0, { kind: 'mem32', size: 0x1000 }, data);
    const { board } = rig({}, (target) => target.pci.add(1, 0, fn));
    const base = fn.listBars()[0].base;
    expect(base).toBeGreaterThanOrEqual(0xc000_0000);
    expect(board.mmioRead(base + 0x24, 4)).toBe(0x24);
    initPic(board, [11]);
    fn.intx.set(true);
    expect(board.acknowledgeInterrupt(0)).toBe(0x3b);
    redirect(board, 17, 0x8000 | 0x61);
    expect(board.acknowledgeInterrupt(0)).toBe(0x61);
  });

  it('shows each processor its own local APIC, wherever it moved the page', () => {
    const { board } = rig({ cpus: 2 });
    board.currentCpu = 1;
    expect(board.mmioRead(0xfee0_0020, 4)).toBe(0x0100_0000);
    expect(board.writeMsr(1, 0x1b, 0xfed0_0800, 0)).toBe(true);
    expect(board.mmioRead(0xfee0_0020, 4)).toBe(0xffff_ffff);
    expect(board.mmioRead(0xfed0_0020, 4)).toBe(0x0100_0000);
    board.currentCpu = 0;
    expect(board.mmioRead(0xfee0_0020, 4)).toBe(0);
  });

  it('starts the second processor by IPIs of the first', () => {
    const { board, cpus } = rig({ cpus: 2 });
    board.mmioWrite(0xfee0_0310, 4, 1 << 24);
    board.mmioWrite(0xfee0_0300, 4, 0x4500);
    board.mmioWrite(0xfee0_0300, 4, 0x4609);
    expect(cpus[1]).toMatchObject({ inits: 1, sipis: [9] });
  });

  it('answers the local APIC’s MSRs and refuses others', () => {
    const { board } = rig();
    expect(board.readMsr(0, 0x1b)).toEqual({ low: 0xfee0_0900, high: 0 });
    expect(board.readMsr(0, 0x10)).toBeUndefined();
    expect(board.writeMsr(0, 0xc000_0080, 0, 0)).toBe(false);
    board.writeCr8(0, 9);
    expect(board.readCr8(0)).toBe(9);
  });

  it('fires a TSC deadline', () => {
    const { board, clock } = rig();
    board.mmioWrite(0xfee0_0320, 4, 0x4_0050);
    expect(board.writeMsr(0, 0x6e0, 1_000_000, 0)).toBe(true);
    clock.advance(999_999);
    expect(board.acknowledgeInterrupt(0)).toBe(-1);
    clock.advance(1);
    expect(board.acknowledgeInterrupt(0)).toBe(0x50);
  });

  it('reports what nobody answers', () => {
    const { board, unhandled } = rig();
    expect(board.portIn(0x1234, 2)).toBe(0xffff);
    board.mmioWrite(0xd000_0000, 4, 1);
    expect(unhandled.map(({ bus, direction, address }) => [bus, direction, address])).toEqual([
      ['port', 'in', 0x1234],
      ['mmio', 'out', 0xd000_0000],
    ]);
  });

  it('refuses another number of vCPUs and snapshots of another make', () => {
    const { board } = rig({ cpus: 2 });
    expect(() => board.attachVcpus([new FakeCpu()])).toThrow(RangeError);
    const { board: single } = rig();
    expect(() => single.restore(board.save())).toThrow(RangeError);
    expect(() => single.restore({ ...single.save(), version: 0 as 1 })).toThrow(UnknownStateVersion);
  });
});

describe('whatever a guest does to the board', () => {
  const size = fc.constantFrom<1 | 2 | 4>(1, 2, 4);
  const value = fc.oneof(fc.nat(0xff), fc.nat(0xffff_ffff));
  const port = fc.oneof(
    fc.nat(0xffff),
    fc.constantFrom(0x20, 0x21, 0x40, 0x43, 0x60, 0x61, 0x64, 0x70, 0x71, 0x3f8, 0x600, 0x604, 0xcf8, 0xcfc),
  );
  const gpa = fc.oneof(
    fc.nat(0x3fff_ffff).map((low) => 0xc000_0000 + low),
    fc.nat(0xfff).map((low) => 0xfee0_0000 + low),
    fc.nat(0x3f).map((low) => 0xfec0_0000 + low),
    fc.nat(0xfff_ffff).map((low) => 0xe000_0000 + low),
  );
  const op = fc.oneof(
    fc.record({ op: fc.constant('in' as const), at: port, size, value }),
    fc.record({ op: fc.constant('out' as const), at: port, size, value }),
    fc.record({ op: fc.constant('read' as const), at: gpa, size, value }),
    fc.record({ op: fc.constant('write' as const), at: gpa, size, value }),
    fc.record({ op: fc.constant('ack' as const), at: fc.constant(0), size, value }),
    fc.record({ op: fc.constant('wait' as const), at: fc.nat(1_000_000), size, value }),
  );

  it('nothing is thrown, reads are in range, INTR agrees with acknowledge, and a snapshot is faithful', () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 150 }), (ops) => {
        const { board, clock, cpus } = rig();
        for (const { op, at, size, value } of ops) {
          const cut = size === 4 ? value : value % 2 ** (8 * size);
          if (op === 'out') board.portOut(at, size, cut);
          else if (op === 'write') board.mmioWrite(at, size, cut);
          else if (op === 'wait') clock.jump(at);
          else if (op === 'ack') {
            const requested = cpus[0].intr;
            expect(board.acknowledgeInterrupt(0) >= 0).toBe(requested);
          } else {
            const got = op === 'in' ? board.portIn(at, size) : board.mmioRead(at, size);
            expect(got).toBeGreaterThanOrEqual(0);
            expect(got).toBeLessThan(2 ** (8 * size));
          }
        }
        const state = board.save();
        const other = rig();
        other.clock.advanceTo(clock.now());
        other.board.restore(JSON.parse(JSON.stringify(state)));
        expect(other.board.save()).toEqual(state);
        expect(other.cpus[0].intr).toBe(cpus[0].intr);
      }),
      { numRuns: 150 },
    );
  });
});
