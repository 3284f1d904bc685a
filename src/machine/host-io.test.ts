/** What the host does for the guest on other threads, and when the guest hears of it. */
import { describe, expect, test } from 'vitest';
import { machineConfig } from '../config/config.js';
import type { Exit } from '../engine/contract.js';
import { Machine } from './machine.js';
import { FakeBoard, FakeEngine, FakeHost, type Step } from './testing.js';

const HLT: Exit = { kind: 'hlt' };
const BUDGET: Exit = { kind: 'budget' };

function machine(step: (host: FakeHost, end: () => void) => Step, config: { [key: string]: unknown } = {}) {
  const host = new FakeHost();
  let board: FakeBoard | undefined;
  const subject: Machine<FakeBoard> = new Machine<FakeBoard>({
    config: machineConfig(config),
    host,
    createEngine: (engineConfig) =>
      new FakeEngine(
        engineConfig,
        step(host, () => board!.parts.onPowerOff()),
      ),
    createBoard: (parts) => {
      board = new FakeBoard(parts);
      return board;
    },
    boot: () => {},
  });
  return { subject, host };
}

describe('what the host has done for the guest', () => {
  test('is delivered between two slices, before the next instruction', async () => {
    const seen: string[] = [];
    const { subject } = machine((host, end) => () => {
      seen.push('slice');
      host.time += 1000;
      if (seen.length === 1) host.arrived.push(() => seen.push('delivered'));
      else end();
      return BUDGET;
    });
    await subject.start();
    expect(seen).toEqual(['slice', 'delivered', 'slice']);
  });

  test('ends the slice where the request needed no waiting', async () => {
    const { subject } = machine((host, end) => (vcpu) => {
      if (vcpu.budgets.length > 1) end();
      vcpu.sink.mmioWrite(0xfe00_0000, 4, 1);
      expect(vcpu.kicks).toBe(0);
      host.arrived.push(() => {});
      vcpu.sink.mmioWrite(0xfe00_0000, 4, 1);
      expect(vcpu.kicks--).toBe(1);
      return BUDGET;
    });
    expect((await subject.start()).reason).toBe('poweroff');
  });

  test('ends the sleep of a guest that waits for it', async () => {
    let slices = 0;
    let delivered = false;
    const { subject, host } = machine((_, end) => (vcpu) => {
      vcpu.activity = 'halted';
      if (delivered) end();
      slices++;
      return HLT;
    });
    host.onSleep = () => host.arrived.push(() => (delivered = true));
    await subject.start();
    expect(slices).toBe(2);
  });

  test('is looked for more often while it is awaited', async () => {
    const { subject } = machine((host, end) => (vcpu) => {
      // A second in each slice: the pace knows how fast we are.
      const budgets = vcpu.budgets.length;
      host.time += 1_000_000;
      vcpu.instructions += 1_000_000;
      if (budgets === 20) host.expecting = true;
      if (budgets === 22) {
        expect(vcpu.budgets[21]).toBeLessThan(vcpu.budgets[19] / 10);
        end();
      }
      return BUDGET;
    });
    expect((await subject.start()).reason).toBe('poweroff');
  });

  test('comes to a deterministic guest where it has asked for it, however long that takes', async () => {
    const order: string[] = [];
    const { subject, host } = machine(
      (h, end) => (vcpu) => {
        order.push('slice');
        vcpu.instructions += 1000;
        if (order.length === 1) h.expecting = true;
        else end();
        return BUDGET;
      },
      { deterministic: true },
    );
    let sleeps = 0;
    host.onSleep = () => {
      order.push('sleep');
      if (++sleeps < 3) return;
      host.arrived.push(() => {
        host.expecting = false;
        order.push('delivered');
      });
    };
    await subject.start();
    expect(order).toEqual(['slice', 'sleep', 'sleep', 'sleep', 'delivered', 'slice']);
  });
});
