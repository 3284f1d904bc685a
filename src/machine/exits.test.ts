import { describe, expect, test } from 'vitest';
import type { Vcpu } from '../engine/contract.js';
import { type ExitPolicy, ExitTable, UnclaimedPortError } from './exits.js';
import type { BoardParts } from './machine.js';
import { FakeBoard } from './testing.js';

function table(policy: Partial<ExitPolicy> = {}) {
  const refused: Error[] = [];
  const warnings: string[] = [];
  const seen: string[] = [];
  const busy = { calls: 0 };
  const see = (_: Vcpu, exit: { kind: string }) => void seen.push(exit.kind);
  const exits = new ExitTable({
    policy,
    ticks: () => 99,
    entropy: () => 5,
    rip: () => 0xabcn,
    refuse: (error) => refused.push(error),
    warn: (message) => warnings.push(message),
    onBusy: () => busy.calls++,
    handlers: { budget: see, kick: see, hlt: see, shutdown: see, debug: see, error: see },
  });
  const board = new FakeBoard({ onUnhandled: exits.unhandled } as BoardParts);
  exits.connect(board);
  return { exits, board, refused, warnings, seen, busy };
}

describe('the exit table', () => {
  test('hands accesses to the board and counts each kind by itself', () => {
    const { exits, board } = table();
    expect(exits.portIn(0x60, 1)).toBe(0x42);
    exits.portOut(0x80, 1, 7);
    exits.portOut(0x80, 1, 8);
    expect(exits.mmioRead(0xfee0_0000, 4)).toBe(0xffff_ffff);
    expect(exits.acknowledgeInterrupt(0)).toBe(0x20);
    expect([exits.readTsc(0), exits.entropy(), exits.readCr8(0)]).toEqual([99, 5, 3]);
    expect(board.written).toEqual([
      [0x80, 7],
      [0x80, 8],
    ]);
    expect(exits.counts()).toEqual({
      'port-in': 1,
      'port-out': 2,
      'mmio-read': 1,
      interrupt: 1,
      rdtsc: 1,
      entropy: 1,
      cr8: 1,
    });
  });

  test('sends each exit that ends a run to its own handler', () => {
    const { exits, seen } = table();
    exits.dispatch({} as Vcpu, { kind: 'hlt' });
    exits.dispatch({} as Vcpu, { kind: 'shutdown', detail: '' });
    expect(seen).toEqual(['hlt', 'shutdown']);
    expect(exits.counts()).toEqual({ hlt: 1, shutdown: 1 });
  });

  test('answers as an empty bus before a board is connected', () => {
    const { exits: used } = table();
    const fresh = new ExitTable((used as unknown as { options: ConstructorParameters<typeof ExitTable>[0] }).options);
    expect([fresh.portIn(1, 1), fresh.portIn(1, 2), fresh.portIn(1, 4)]).toEqual([0xff, 0xffff, 0xffff_ffff]);
  });
});

describe('strict I/O', () => {
  test('refuses an unclaimed port and names direction, width, port and rip', () => {
    const { exits, refused } = table({ strictIo: true });
    exits.portOut(0x1234, 2, 0);
    expect(refused[0]).toBeInstanceOf(UnclaimedPortError);
    expect(refused[0]).toMatchObject({ direction: 'out', size: 2, port: 0x1234, rip: 0xabcn });
    expect(refused[0].message).toBe(
      "No device answers the guest's word-wide out of port 0x1234 at rip 0xabc, and strict I/O is on.",
    );
    exits.portIn(0x1234, 4);
    expect(refused[1].message).toContain('dword-wide in of port 0x1234');
  });

  test('lets a claimed port pass', () => {
    const { exits, refused } = table({ strictIo: true });
    expect(exits.portIn(0x60, 1)).toBe(0x42);
    expect(refused).toEqual([]);
  });

  test('when off, an unclaimed port reads all ones and writes are ignored', () => {
    const { exits, refused } = table();
    expect(exits.portIn(0x1234, 1)).toBe(0xff);
    exits.portOut(0x1234, 1, 1);
    expect(refused).toEqual([]);
    expect(exits.unclaimed).toBe(2);
  });
});

describe('unknown MSRs', () => {
  test('strict: the engine is told to raise #GP', () => {
    const { exits, warnings } = table();
    expect(exits.readMsr(0, 0x9999)).toBeUndefined();
    expect(exits.writeMsr(0, 0x9999, 1, 0)).toBe(false);
    expect(warnings).toEqual([]);
  });

  test('lenient: they read zero, ignore writes and are warned about once each', () => {
    const { exits, warnings } = table({ strictMsr: false });
    expect(exits.readMsr(0, 0x9999)).toEqual({ low: 0, high: 0 });
    expect(exits.writeMsr(0, 0x9999, 1, 0)).toBe(true);
    expect(warnings).toEqual(["The guest's read of the unknown MSR 0x9999 was ignored."]);
  });

  test('lenient: a guest that tries them all does not flood the screen', () => {
    const { exits, warnings } = table({ strictMsr: false });
    for (let msr = 0x9000; msr < 0xa000; msr++) exits.readMsr(0, msr);
    expect(warnings.length).toBe(64);
  });

  test('known ones are the board’s', () => {
    const { exits } = table({ strictMsr: false });
    expect(exits.readMsr(0, 0x1b)).toEqual({ low: 0xfee0_0900, high: 0 });
  });
});

test('the last exits are remembered, oldest first, and no more than sixteen', () => {
  const { exits } = table();
  for (let port = 0; port < 20; port++) exits.portOut(port, 1, port + 100);
  const recent = exits.recent();
  expect(recent.length).toBe(16);
  expect(recent[0]).toEqual({ kind: 'port-out', address: 4, value: 104 });
  expect(recent[15]).toEqual({ kind: 'port-out', address: 19, value: 119 });
});

test('an MSR is remembered by its low half, and goes to the board in halves', () => {
  const { exits, board } = table();
  const written: number[][] = [];
  board.writeMsr = (...args: number[]) => written.push(args) > 0;
  expect(exits.writeMsr(2, 0x6e0, 0xffff_ffff, 0x1234)).toBe(true);
  exits.readMsr(0, 0x1b);
  expect(written).toEqual([[2, 0x6e0, 0xffff_ffff, 0x1234]]);
  expect(exits.recent()).toEqual([
    { kind: 'wrmsr', address: 0x6e0, value: 0xffff_ffff },
    { kind: 'rdmsr', address: 0x1b, value: 0xfee0_0900 },
  ]);
  expect(exits.counts()).toEqual({ wrmsr: 1, rdmsr: 1 });
});

test('a guest that polls makes the machine look at the clock every 64 exits', () => {
  const { exits, busy } = table();
  for (let i = 0; i < 640; i++) exits.readTsc(0);
  for (let i = 0; i < 640; i++) exits.portIn(0x60, 1);
  expect(busy.calls).toBe(20);
});

test('detailed counts name the busiest ports and pages and stay bounded', () => {
  const { exits } = table({ detailed: true });
  for (let i = 0; i < 3; i++) exits.portIn(0x60, 1);
  exits.mmioRead(0xfee0_0380, 4);
  exits.mmioRead(0xfee0_0390, 4);
  expect(exits.busiest(2)).toEqual([
    { port: 'port 0x60', count: 3 },
    { port: 'page 0xfee00000', count: 2 },
  ]);
  for (let page = 0; page < 10_000; page++) exits.mmioRead(page * 4096, 4);
  expect(exits.busiest(100_000).length).toBeLessThanOrEqual(4097);
});
