/** Machines whose vCPUs run by themselves: what the machine's thread does while they do. */
import { describe, expect, test } from 'vitest';
import { machineConfig } from '../config/config.js';
import type { EngineConfig, ParallelVcpus, VcpuServer } from '../engine/contract.js';
import { Machine } from './machine.js';
import { FakeBoard, FakeEngine, FakeHost } from './testing.js';

/** What the vCPUs ask for in the n-th call of `serve`; returns how many were served. */
type Script = (n: number, server: VcpuServer, engine: ParallelEngine) => number;

class ParallelEngine extends FakeEngine {
  readonly log: string[] = [];
  readonly waits: number[] = [];
  readonly parallel: ParallelVcpus;
  ring: (() => void) | undefined;
  private calls = 0;

  constructor(config: EngineConfig, script: Script) {
    super(config, () => ({ kind: 'budget' }));
    const note = (word: string) => {
      if (this.log.at(-1) !== word) this.log.push(word);
    };
    this.parallel = {
      start: () => note('start'),
      stop: () => note('stop'),
      serve: (ns, server) => {
        this.waits.push(ns);
        return script(++this.calls, server, this);
      },
      onRequest: (ring) => {
        this.ring = ring;
      },
    };
  }
}

function machine(script: Script, config: { [key: string]: unknown } = {}) {
  const host = new FakeHost();
  const made: { engine?: ParallelEngine; board?: FakeBoard } = {};
  const subject = new Machine<FakeBoard>({
    config: machineConfig(config),
    host,
    createEngine: (engineConfig) => (made.engine = new ParallelEngine(engineConfig, script)),
    createBoard: (parts) => (made.board = new FakeBoard(parts)),
    boot: () => {},
  });
  return { subject, host, made };
}

describe('a machine whose vCPUs run by themselves', () => {
  test('serves them under their own name, and sleeps when they ask for nothing', async () => {
    const seen: number[] = [];
    const { subject, host, made } = machine(
      (n, server, { vcpus }) => {
        if (n > 2) host.time += 1e6;
        if (n === 1) {
          server.select(vcpus[1]);
          seen.push(made.board!.currentCpu);
          vcpus[1].sink.portOut(0x60, 1, 7);
        }
        return n <= 2 ? 1 : 0;
      },
      { cpus: 2 },
    );
    host.onSleep = () => {
      host.onSleep = () => subject.powerOff();
    };
    expect((await subject.start()).reason).toBe('quit');
    expect(seen).toEqual([1]);
    expect(made.board!.written).toEqual([[0x60, 7]]);
    expect(host.sleeps.length).toBeGreaterThan(0);
    expect(made.engine!.ring).toBeUndefined();
    expect(made.engine!.closed).toBe(true);
  });

  test('waits in place for what comes soon: a request after another, an alarm', async () => {
    const { subject, host, made } = machine((n) => {
      if (n === 1) {
        made.board!.parts.clock.schedule(3e6, () => made.board!.parts.onPowerOff());
        host.time += 1e6;
        return 0;
      }
      host.time += 2.5e6;
      return 0;
    });
    expect((await subject.start()).reason).toBe('poweroff');
    // Two milliseconds were left; the event loop's timers are no finer than one.
    expect(made.engine!.waits.some((ns) => ns > 1.5e6 && ns <= 3e6)).toBe(true);
    expect(host.sleeps).toEqual([]);
  });

  test('stops them while it is paused', async () => {
    const { subject, host, made } = machine((n) => {
      if (n === 1) subject.pause();
      if (n === 3) subject.powerOff();
      return 1;
    });
    host.onYield = () => {
      if (subject.state === 'paused') subject.resume();
    };
    expect((await subject.start()).reason).toBe('quit');
    expect(made.engine!.log).toEqual(['start', 'stop', 'start']);
  });

  test('ends with the vCPU that has run into a triple fault', async () => {
    const { subject } = machine((_, server, { vcpus }) => {
      server.ended(vcpus[0], { kind: 'shutdown', detail: 'triple fault' });
      return 1;
    });
    expect(await subject.start()).toMatchObject({ reason: 'shutdown', detail: 'triple fault', crash: { cpu: 0 } });
  });

  test('says what failed where the engine throws', async () => {
    const { subject } = machine(() => {
      throw new Error('KVM_RUN failed');
    });
    expect(await subject.start()).toMatchObject({ reason: 'error', detail: 'The engine failed: KVM_RUN failed' });
  });

  test('sees after a second without requests that all have halted for good', async () => {
    const { subject, host, made } = machine((_, __, { vcpus }) => {
      for (const vcpu of vcpus) Object.assign(vcpu, { activity: 'halted', rflags: 2n });
      host.time += 1e6;
      return 0;
    });
    expect((await subject.start()).reason).toBe('halt');
    expect(made.engine!.log).toContain('stop');
  });
});
