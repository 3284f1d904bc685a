import { describe, expect, test } from 'vitest';
import { machineConfig } from '../config/config.js';
import type { Exit } from '../engine/contract.js';
import { Machine, type MachineOptions } from './machine.js';
import { Pace } from './pace.js';
import { FakeBoard, FakeEngine, FakeHost, type Step } from './testing.js';

const MS = 1_000_000;
const HLT: Exit = { kind: 'hlt' };
const BUDGET: Exit = { kind: 'budget' };

/** A machine around a scripted vCPU. `takes` ns of host time pass for each instruction. */
function machine(step: Step, config: { [key: string]: unknown } = {}, more: Partial<MachineOptions<FakeBoard>> = {}) {
  const host = new FakeHost();
  const made: { engine?: FakeEngine; board?: FakeBoard; engines: FakeEngine[]; boots: number } = {
    engines: [],
    boots: 0,
  };
  const subject = new Machine<FakeBoard>({
    config: machineConfig(config),
    host,
    createEngine: (engineConfig) => {
      made.engine = new FakeEngine(engineConfig, step);
      made.engines.push(made.engine);
      return made.engine;
    },
    createBoard: (parts) => {
      made.board = new FakeBoard(parts);
      return made.board;
    },
    boot: () => {
      made.boots++;
    },
    ...more,
  });
  return { subject, host, made };
}

/** Ends the machine by a power-off at the given call of `run`. */
function powerOffAt(
  call: number,
  before: (host: () => FakeHost, made: ReturnType<typeof machine>['made'], n: number) => Exit,
) {
  let calls = 0;
  const context: { it?: ReturnType<typeof machine> } = {};
  const step: Step = () => {
    const { host, made } = context.it!;
    calls++;
    if (calls === call) {
      made.board!.parts.onPowerOff();
      return { kind: 'kick' };
    }
    return before(() => host, made, calls);
  };
  return { step, context };
}

describe('the end of a machine', () => {
  test('is power-off where the guest switches itself off', async () => {
    const { step, context } = powerOffAt(1, () => BUDGET);
    context.it = machine(step);
    expect(await context.it.subject.start()).toEqual({ reason: 'poweroff' });
    expect(context.it.subject.state).toBe('ended');
    expect(context.it.made.engine!.closed).toBe(true);
    expect(context.it.made.engine!.vcpus[0].kicks).toBe(1);
  });

  test('is a triple fault with registers and the exits that led there', async () => {
    const { subject } = machine((vcpu) => {
      vcpu.sink.portOut(0x80, 1, 9);
      return { kind: 'shutdown', detail: 'Triple fault.' };
    });
    const result = await subject.start();
    expect(result).toMatchObject({ reason: 'shutdown', detail: 'Triple fault.', crash: { cpu: 0 } });
    expect(result.crash!.state.rip).toBe(0x1234n);
    expect(result.crash!.recent).toEqual([{ kind: 'port-out', address: 0x80, value: 9 }]);
  });

  test('is an error where the engine throws, with the cause', async () => {
    const cause = new Error('unreachable');
    const { subject } = machine(() => {
      throw cause;
    });
    expect(await subject.start()).toMatchObject({ reason: 'error', detail: 'The engine failed: unreachable', cause });
  });

  test('is an error where strict I/O refuses a port, and the slice is cut short', async () => {
    const { subject, made } = machine(
      (vcpu) => {
        vcpu.sink.portIn(0x777, 1);
        return { kind: 'kick' };
      },
      { strictIo: true },
    );
    const result = await subject.start();
    expect(result.reason).toBe('error');
    expect(result.detail).toContain('byte-wide in of port 0x777 at rip 0x1234');
    expect(made.engine!.vcpus[0].kicks).toBe(1);
  });

  test('is a timeout when the configured time is over', async () => {
    const { subject, host } = machine(
      () => {
        host.time += 10 * MS;
        return BUDGET;
      },
      { timeout: 1 },
    );
    expect(await subject.start()).toEqual({ reason: 'timeout' });
    expect(host.time).toBeLessThan(1100 * MS);
  });

  test('is a timeout from when the guest begins, however long the machine takes to be made', async () => {
    const { subject, host } = machine(() => HLT, { timeout: 1 }, { open: async () => void (host.time += 5000 * MS) });
    expect(await subject.start()).toEqual({ reason: 'timeout' });
    expect(host.time).toBe(6000 * MS);
  });

  test('is a timeout also for a guest that sleeps', async () => {
    const { subject, host } = machine(() => HLT, { timeout: 1 });
    expect(await subject.start()).toEqual({ reason: 'timeout' });
    expect(host.time).toBe(1000 * MS);
    expect(host.sleeps.length).toBeLessThanOrEqual(2);
  });

  test('is a halt where every vCPU halted with interrupts off', async () => {
    const { subject, host } = machine((vcpu) => {
      vcpu.rflags = 2n;
      vcpu.activity = 'halted';
      return HLT;
    });
    expect(await subject.start()).toEqual({ reason: 'halt' });
    expect(host.time).toBeLessThanOrEqual(2000 * MS);
  });

  test('is quit when the operator pulls the plug while the guest sleeps', async () => {
    const { subject, host } = machine(() => HLT);
    host.onSleep = () => subject.powerOff();
    expect(await subject.start()).toEqual({ reason: 'quit' });
  });
});

describe('the run loop', () => {
  test('sleeps until the next alarm when the guest waits, and fires it', async () => {
    const fired: number[] = [];
    const { step, context } = powerOffAt(2, (host, made) => {
      made.board!.parts.clock.schedule(5 * MS, () => fired.push(host().time));
      return HLT;
    });
    context.it = machine(step);
    await context.it.subject.start();
    expect(context.it.host.sleeps).toEqual([5 * MS]);
    expect(fired).toEqual([5 * MS]);
    expect(context.it.subject.stats().idleMs).toBe(5);
  });

  test('spins instead of sleeping where exits on HLT are off', async () => {
    const { step, context } = powerOffAt(50, () => HLT);
    context.it = machine(step, { exitOnHlt: false });
    await context.it.subject.start();
    expect(context.it.host.sleeps).toEqual([]);
  });

  test('lets the host serve input at least every 8 ms or so', async () => {
    const { step, context } = powerOffAt(101, (host) => {
      host().time += 1 * MS;
      return BUDGET;
    });
    context.it = machine(step);
    await context.it.subject.start();
    expect(context.it.host.yields).toBeGreaterThanOrEqual(11);
    expect(context.it.host.yields).toBeLessThanOrEqual(14);
  });

  test('cuts the slice short when the guest sets an earlier alarm', async () => {
    const { step, context } = powerOffAt(2, (_host, made) => {
      made.board!.parts.clock.schedule(1000, () => {});
      return { kind: 'kick' };
    });
    context.it = machine(step);
    await context.it.subject.start();
    // One kick for the alarm, one for the power-off.
    expect(context.it.made.engine!.vcpus[0].kicks).toBe(2);
  });

  test('ends the slice of a guest that polls once its time is up', async () => {
    const { step, context } = powerOffAt(2, (host, made) => {
      const { sink } = made.engine!.vcpus[0];
      for (let i = 0; i < 64; i++) sink.portIn(0x60, 1);
      expect(made.engine!.vcpus[0].kicks).toBe(0);
      host().time += 3 * MS;
      for (let i = 0; i < 64; i++) sink.portIn(0x60, 1);
      expect(made.engine!.vcpus[0].kicks).toBe(1);
      return { kind: 'kick' };
    });
    context.it = machine(step);
    expect(await context.it.subject.start()).toEqual({ reason: 'poweroff' });
  });

  test('runs every vCPU in turn and sleeps only when all of them wait', async () => {
    const order: number[] = [];
    const { subject, host, made } = machine(
      (vcpu) => {
        order.push(vcpu.index);
        if (order.length === 6) made.board!.parts.onPowerOff();
        return vcpu.index === 0 || order.length > 3 ? HLT : BUDGET;
      },
      { cpus: 2 },
    );
    await subject.start();
    expect(order).toEqual([0, 1, 0, 1, 0, 1]);
    expect(host.sleeps.length).toBe(1);
  });

  test('waits for a slow reader of the output', async () => {
    let release: (() => void) | undefined;
    let waited = 0;
    const { step, context } = powerOffAt(3, (host) => {
      host().time += 20 * MS;
      return BUDGET;
    });
    context.it = machine(
      step,
      {},
      {
        flush: () => {
          if (waited++ > 0) return undefined;
          setImmediate(() => release?.());
          return new Promise<void>((resolve) => (release = resolve));
        },
      },
    );
    await context.it.subject.start();
    expect(release).toBeDefined();
  });
});

describe('a reset', () => {
  test('starts the guest afresh on a new engine and board and adds up the counters', async () => {
    let runs = 0;
    const { subject, made } = machine((vcpu) => {
      runs++;
      vcpu.instructions += 100;
      if (runs === 1) made.board!.parts.onReset();
      else made.board!.parts.onPowerOff();
      return { kind: 'kick' };
    });
    expect(await subject.start()).toEqual({ reason: 'poweroff' });
    expect(made.boots).toBe(2);
    expect(made.engines.map((engine) => engine.closed)).toEqual([true, true]);
    expect(subject.stats()).toMatchObject({ instructions: 200, blocksDecoded: 2, resets: 1 });
  });

  test('closes the old board while its memory is there', async () => {
    const order: string[] = [];
    let runs = 0;
    const { subject, made } = machine(() => {
      const { board, engines } = made;
      const engine = engines.at(-1)!;
      const life = ++runs;
      board!.close = () => order.push(`board ${life}, engine ${engine.closed ? 'gone' : 'there'}`);
      if (life === 1) board!.parts.onReset();
      else board!.parts.onPowerOff();
      return { kind: 'kick' };
    });
    await subject.start();
    expect(order).toEqual(['board 1, engine there', 'board 2, engine there']);
  });

  test('takes the old board’s alarms away', async () => {
    const fired: string[] = [];
    let runs = 0;
    const { subject, made, host } = machine(() => {
      runs++;
      if (runs === 1) {
        made.board!.parts.clock.schedule(MS, () => fired.push('stale'));
        made.board!.parts.onReset();
      }
      host.time += 2 * MS;
      if (runs === 4) made.board!.parts.onPowerOff();
      return BUDGET;
    });
    await subject.start();
    expect(fired).toEqual([]);
  });

  test('ends the machine where the configuration says so', async () => {
    const { subject, made } = machine(
      () => {
        made.board!.parts.onReset();
        return { kind: 'kick' };
      },
      { reboot: false },
    );
    expect(await subject.start()).toEqual({ reason: 'reset' });
    expect(made.boots).toBe(1);
  });
});

test('a paused machine runs nothing and its guest time stands still', async () => {
  const times: number[] = [];
  const { subject, host, made } = machine(() => {
    times.push(made.board!.parts.clock.now());
    if (times.length === 1) subject.pause();
    if (times.length === 2) made.board!.parts.onPowerOff();
    return { kind: 'kick' };
  });
  host.onYield = () => {
    host.time += 500 * MS;
    setImmediate(() => subject.resume());
  };
  await subject.start();
  expect(times).toEqual([0, 0]);
});

test('the TSC costs one look at the host’s clock, and a vCPU’s own is that plus its offset, in 64 signed bits', async () => {
  let seen: unknown[] = [];
  const { subject, host, made } = machine((vcpu) => {
    const { parts } = made.board!;
    host.time += 5_000_000_000;
    const ticks = vcpu.sink.readTsc(0);
    let looks = 0;
    const now = host.now;
    host.now = () => {
      looks++;
      return now.call(host);
    };
    vcpu.sink.readTsc(0);
    const once = looks;
    host.now = now;
    vcpu.tscOffset = 1e15;
    const later = parts.guestTsc(0) - ticks;
    vcpu.tscOffset = -ticks - 4097;
    const before = parts.guestTsc(0);
    vcpu.tscOffset = 2 ** 63 - 1024;
    seen = [ticks, once, parts.readTsc(), later, before, parts.guestTsc(0) < 0];
    parts.onPowerOff();
    return { kind: 'kick' };
  });
  await subject.start();
  expect(seen).toEqual([5e9, 1, 5e9, 1e15, -4097, true]);
});

test('a deterministic machine counts instructions as time, skips idle time and never sleeps', async () => {
  const run = async () => {
    const log: string[] = [];
    let calls = 0;
    const { subject, host, made } = machine(
      (vcpu, budget) => {
        const { parts } = made.board!;
        const alarm = (after: number) => {
          const at = parts.clock.now() + after;
          parts.clock.schedule(at, () => log.push(`${parts.clock.now() - at} late`));
        };
        vcpu.instructions += budget;
        host.time += Math.random() * MS;
        log.push(`${budget} ${parts.clock.now()} ${parts.entropy()} ${parts.wallClock()}`);
        calls++;
        if (calls === 1) alarm(12_345);
        if (calls === 2) alarm(777_777);
        if (calls === 4) parts.onPowerOff();
        return calls === 3 ? HLT : { kind: 'kick' };
      },
      { deterministic: true },
    );
    await subject.start();
    expect(host.sleeps).toEqual([]);
    return log;
  };
  const first = await run();
  expect(first).toEqual(await run());
  // The slice ends at the alarm; then the guest waits, and time jumps to the next one.
  expect(first.map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
    '200000 200000',
    '12345 212345',
    '0 late',
    '200000 412345',
    '0 late',
    '200000 1190122',
  ]);
});

describe('the pace', () => {
  test('follows the measured speed', () => {
    const pace = new Pace();
    for (let i = 0; i < 20; i++) pace.learn(400_000, MS);
    expect(pace.budget(MS)).toBeGreaterThan(390_000);
    expect(pace.budget(MS)).toBeLessThanOrEqual(400_000);
  });

  test('slows down at once, so that the next alarm is not late', () => {
    const pace = new Pace();
    for (let i = 0; i < 20; i++) pace.learn(400_000, MS);
    pace.learn(40_000, MS);
    expect(pace.budget(MS)).toBe(40_000);
  });

  test('learns nothing from one slice too short to measure', () => {
    const pace = new Pace();
    pace.learn(1, 100);
    expect(pace.budget(MS)).toBe(50_000);
  });

  test('gets over a slow slice also where all that follow are short', () => {
    const pace = new Pace();
    // Most of its time a device has had.
    pace.learn(1, MS);
    expect(pace.budget(MS)).toBe(2_000);
    for (let i = 0; i < 200; i++) pace.learn(2_000, 0.02 * MS);
    expect(pace.budget(MS)).toBeGreaterThan(90_000);
  });
});
