/** Fakes for tests of the machine: a host whose time moves only when told, and an engine that runs a script. */
import {
  type Engine,
  type EngineConfig,
  type EngineStats,
  type Exit,
  type ExitSink,
  type MsrValue,
  NO_STATS,
  type Vcpu,
  type VcpuState,
} from '../engine/contract.js';
import type { Host } from './host.js';
import type { BoardParts, MachineBoard } from './machine.js';

export class FakeHost implements Host {
  time = 0;
  yields = 0;
  readonly sleeps: number[] = [];
  /** Called when the machine sleeps: a test's chance to bring input. */
  onSleep: () => void = () => {};
  onYield: () => void = () => {};

  now(): number {
    return this.time;
  }

  wallClock(): number {
    return 1_000_000;
  }

  async sleepUntil(at: number): Promise<void> {
    this.sleeps.push(at);
    if (Number.isFinite(at)) this.time = Math.max(this.time, at);
    this.onSleep();
  }

  wake(): void {}

  /** What `poll` delivers: set by a test. */
  arrived: (() => void)[] = [];
  expecting = false;

  get due(): boolean {
    return this.arrived.length > 0;
  }

  poll(): void {
    for (const deliver of this.arrived.splice(0)) deliver();
  }

  async yield(): Promise<void> {
    this.yields++;
    this.onYield();
  }

  entropy(bytes: number): Uint8Array {
    return new Uint8Array(bytes).fill(7);
  }
}

/** What a fake vCPU does in one call of `run`; `used` instructions are counted. */
export type Step = (vcpu: FakeVcpu, budget: number) => Exit;

export class FakeVcpu implements Vcpu {
  readonly index: number;
  readonly sink: ExitSink;
  instructions = 0;
  tscOffset = 0;
  kicks = 0;
  budgets: number[] = [];
  rflags = 0x202n;
  activity: VcpuState['activity'] = 'running';
  private readonly step: Step;

  constructor(index: number, sink: ExitSink, step: Step) {
    this.index = index;
    this.sink = sink;
    this.step = step;
  }

  run(budget: number): Exit {
    this.budgets.push(budget);
    return this.step(this, budget);
  }

  kick(): void {
    this.kicks++;
  }

  setInterruptRequest(): void {}
  nmi(): void {}
  init(): void {}
  sipi(): void {}
  setState(): void {}
  reset(): void {}

  translate(): undefined {}

  getState(): VcpuState {
    const { rflags, activity } = this;
    return { rip: 0x1234n, rflags, activity } as VcpuState;
  }

  get stats(): EngineStats {
    return { ...NO_STATS, instructions: this.instructions, blocksDecoded: 1 };
  }
}

export class FakeEngine implements Engine {
  readonly name = 'fake';
  readonly countsInstructions = true;
  readonly memory = { size: 0, regions: [], pieces: [], view: no, contains: () => false, write: no, dirtied: no };
  readonly vcpus: FakeVcpu[];
  closed = false;

  constructor(config: EngineConfig, step: Step) {
    this.vcpus = Array.from({ length: config.cpus }, (_, index) => new FakeVcpu(index, config.sink, step));
  }

  close(): void {
    this.closed = true;
  }
}

function no(): never {
  throw new RangeError('A fake engine has no memory.');
}

/** A board where nothing answers but port 0x60. */
export class FakeBoard implements MachineBoard {
  readonly parts: BoardParts;
  currentCpu = 0;
  readonly written: [number, number][] = [];
  close: () => void = () => {};
  onPortOut: (port: number, value: number) => void = () => {};

  constructor(parts: BoardParts) {
    this.parts = parts;
  }

  attachVcpus(): void {}

  portIn(port: number, size: 1 | 2 | 4): number {
    if (port === 0x60) return 0x42;
    this.parts.onUnhandled({ bus: 'port', direction: 'in', address: port, size, value: 0xff });
    return 0xff;
  }

  portOut(port: number, size: 1 | 2 | 4, value: number): void {
    if (port !== 0x60) this.parts.onUnhandled({ bus: 'port', direction: 'out', address: port, size, value });
    this.written.push([port, value]);
    this.onPortOut(port, value);
  }

  mmioRead(): number {
    return 0xffff_ffff;
  }

  mmioWrite(): void {}

  readMsr(_cpu: number, msr: number): MsrValue | undefined {
    return msr === 0x1b ? { low: 0xfee0_0900, high: 0 } : undefined;
  }

  writeMsr(_cpu: number, msr: number): boolean {
    return msr === 0x1b;
  }

  acknowledgeInterrupt(): number {
    return 0x20;
  }

  readCr8(): number {
    return 3;
  }

  writeCr8(): void {}
}
