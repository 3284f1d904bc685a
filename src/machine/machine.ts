/**
 * The machine: an engine, a board and something to boot, and the loop that runs them. The loop gives each vCPU slices
 * of a millisecond or two; between slices it fires the alarms that are due, lets the host serve input and signals, and
 * sleeps when every vCPU waits. It knows no engine and no device by name.
 */
import type { UnhandledListener } from '../board/bus.js';
import type { MachineConfig } from '../config/config.js';
import type { Clock } from '../devices/device.js';
import {
  type Engine,
  type EngineConfig,
  type EngineControllers,
  type EngineLocalApics,
  type EngineShortcuts,
  type EngineStats,
  type GuestMemory,
  NO_STATS,
  type ParallelVcpus,
  type Vcpu,
  type VcpuServer,
  type VcpuState,
} from '../engine/contract.js';
import { GuestClock, InstructionTime, WallTime } from './clock.js';
import { type Buses, type ExitKind, ExitTable, type RecentExit } from './exits.js';
import type { Host } from './host.js';
import { Pace } from './pace.js';
import { hostEntropy, seededEntropy } from './random.js';

/** Time-stamp counter: one tick a nanosecond. */
export const TSC_HZ = 1_000_000_000;
/** Length of a slice in ns: with one vCPU, and with several, which often wait for each other. */
const SLICE = 2_000_000;
const SLICE_SMP = 250_000;
/** Shortest slice: below, entering the engine costs more than the guest gets. */
const SLICE_LEAST = 10_000;
/** While the host does something for the guest: how late it hears that it is done. */
const SLICE_IO = 100_000;
/** Slice of a deterministic machine in instructions. */
const SLICE_INSTRUCTIONS = 200_000;
/** Longest time between two looks at input and signals. */
const YIELD_EVERY = 8_000_000;
/** How often a waiting machine is asked whether it can ever wake up. */
const DEAD_CHECK_EVERY = 1_000_000_000;
/** vCPUs that run by themselves have asked for something in so many ns: the thread waits for more in place. */
const ASKS_OFTEN = 200_000;
/** Sleeps shorter than this, in ns, are waits in place. */
const SHORT_SLEEP = 6_000_000;
/** 2024-01-01, where deterministic machines begin. */
const FIXED_EPOCH = 1_704_067_200_000;
/** RFLAGS.IF (SDM vol. 1, 3.4.3.3). */
const IF = 1n << 9n;

/** What a board gets from its machine. */
export interface BoardParts {
  readonly memory: GuestMemory;
  readonly cpus: number;
  /** Interrupt controllers that the engine has in place of the board's. */
  readonly controllers: EngineControllers | undefined;
  readonly localApics: EngineLocalApics | undefined;
  /** Writes that the engine can take by itself. */
  readonly shortcuts: EngineShortcuts | undefined;
  readonly clock: Clock;
  /** Date and time in milliseconds since 1970-01-01 UTC. */
  readonly wallClock: () => number;
  /** The machine's time-stamp counter in ticks, before what the guest adds to it. */
  readonly readTsc: () => number;
  readonly tscHz: number;
  /** The counter as the guest reads it on one vCPU, its 64 bits taken as signed. */
  readonly guestTsc: (cpu: number) => number;
  /** 32 random bits, unsigned. */
  readonly entropy: () => number;
  readonly onPowerOff: () => void;
  readonly onReset: () => void;
  /** An access that no device claims. */
  readonly onUnhandled: UnhandledListener;
}

export interface MachineBoard extends Buses {
  /** The vCPU whose accesses come in: the machine sets it before each slice. */
  currentCpu: number;
  attachVcpus(vcpus: readonly Vcpu[]): void;
  /** The guest's life is over, and its memory goes: nothing of the board may touch it from now on. */
  close?(): void;
}

export type MachineState = 'created' | 'running' | 'paused' | 'ended';

/** Why a machine ended. */
export type EndReason =
  /** The guest switched itself off. */
  | 'poweroff'
  /** The guest asked for a reset, and the configuration says that this is the end. */
  | 'reset'
  /** Every vCPU halted with interrupts off: nothing can wake it again. */
  | 'halt'
  /** Triple fault. */
  | 'shutdown'
  /** The strict policy refused something, or a defect of ours; `detail` says which. */
  | 'error'
  /** The configured time is over. */
  | 'timeout'
  /** Somebody outside the guest ended it. */
  | 'quit';

export interface MachineResult {
  readonly reason: EndReason;
  /** One sentence, for `shutdown` and `error`. */
  readonly detail?: string;
  /** Where a defect of ours was noticed. */
  readonly cause?: unknown;
  /** For `shutdown` and `error`: the vCPU that did it, and what led there. */
  readonly crash?: { readonly cpu: number; readonly state: VcpuState; readonly recent: readonly RecentExit[] };
}

export interface MachineStats extends EngineStats {
  /** Time since start in ms, pauses included. */
  readonly wallMs: number;
  /** Time slept because every vCPU waited, in ms. */
  readonly idleMs: number;
  /** Time in the engine, with the exits that it completes inside: everything from entering a slice to its end, in ms. */
  readonly runMs: number;
  readonly slices: number;
  readonly resets: number;
  readonly exits: Partial<Record<ExitKind, number>>;
  /** Port and MMIO accesses that no device answered. */
  readonly unclaimed: number;
}

export interface MachineOptions<B extends MachineBoard = MachineBoard> {
  readonly config: MachineConfig;
  readonly host: Host;
  readonly createEngine: (config: EngineConfig) => Engine | Promise<Engine>;
  readonly createBoard: (parts: BoardParts) => B;
  /** Called once, before the first engine is made: opens what outlives resets. Rejecting it rejects `start`. */
  readonly open?: () => Promise<void>;
  /** Called once at the end, if `open` has succeeded. Rejecting it rejects `start`. */
  readonly close?: () => Promise<void>;
  /** Puts the guest's software into memory and sets the vCPUs' registers; called at the start and after each reset. */
  boot(engine: Engine, board: B): void | Promise<void>;
  /** Hands collected output to its readers; a promise where they are slow. */
  readonly flush?: () => undefined | Promise<void>;
  readonly onWarning?: (message: string) => void;
  readonly onState?: (state: MachineState) => void;
  readonly onReset?: () => void;
}

export class Machine<B extends MachineBoard = MachineBoard> {
  readonly config: MachineConfig;
  readonly exits: ExitTable;
  private readonly options: MachineOptions<B>;
  private readonly host: Host;
  private readonly pace = new Pace();
  private readonly entropy: () => number;
  private phase: MachineState = 'created';
  private engine: Engine | undefined;
  private board: B | undefined;
  private clock: GuestClock;
  private result: MachineResult | undefined;
  private resetAsked = false;
  private unpause: (() => void) | undefined;
  /** The vCPU inside `run`, and when its slice ends: by the host's clock, and by the guest's. */
  private current: Vcpu | undefined;
  private sliceEndHost = 0;
  private sliceEndGuest = 0;
  private halted = false;
  private startedAt = 0;
  private endedAt: number | undefined;
  private lastYield = 0;
  private lastServed = 0;
  private lastDeadCheck = 0;
  private idleNs = 0;
  private runNs = 0;
  private slices = 0;
  private resets = 0;
  /** Counters of the engines before the last reset. */
  private earlier: EngineStats = NO_STATS;

  private readonly server: VcpuServer = {
    select: (vcpu) => {
      this.current = vcpu;
      this.board!.currentCpu = vcpu.index;
    },
    ended: (vcpu, exit) => {
      this.current = undefined;
      this.exits.dispatch(vcpu, exit);
    },
  };

  constructor(options: MachineOptions<B>) {
    const { config, host } = options;
    this.options = options;
    this.config = config;
    this.host = host;
    this.entropy = config.deterministic ? seededEntropy(1) : hostEntropy(host);
    this.clock = this.makeClock();
    this.exits = new ExitTable({
      policy: {
        strictIo: config.strictIo,
        strictMsr: config.strictMsr,
        exitOnHlt: config.exitOnHlt,
        detailed: config.detailedExits,
      },
      ticks: () => this.clock.ticks(),
      entropy: this.entropy,
      rip: () => this.current?.getState().rip,
      refuse: (error) => this.endWithCrash('error', error.message),
      warn: (message) => options.onWarning?.(message),
      onBusy: () => {
        if (!config.deterministic && (host.due || host.now() > this.sliceEndHost)) this.current?.kick();
      },
      isDue: () => host.due,
      handlers: {
        budget: () => {},
        kick: () => {},
        hlt: () => {
          this.halted = this.exits.policy.exitOnHlt;
        },
        shutdown: (vcpu, exit) => this.endWithCrash('shutdown', exit.detail, vcpu),
        // Nobody debugs yet: a debugger will take this row.
        debug: () => {},
        error: (vcpu, exit) => this.endWithCrash('error', exit.detail, vcpu),
      },
    });
  }

  get state(): MachineState {
    return this.phase;
  }

  /** Builds the machine, runs it to its end and says how it ended. Rejects where it can't be built or booted. */
  async start(): Promise<MachineResult> {
    if (this.phase !== 'created') throw new Error('This machine has been started before; make a new one.');
    this.startedAt = this.host.now();
    let opened = false;
    try {
      await this.options.open?.();
      opened = true;
      await this.assemble();
      this.setState('running');
      await this.loop();
    } finally {
      this.endedAt = this.host.now();
      this.dismantle();
      try {
        if (opened) await this.options.close?.();
      } finally {
        await this.options.flush?.();
        this.setState('ended');
      }
    }
    return this.result!;
  }

  /** Stops the vCPUs and the guest's clock after the slice that runs now. */
  pause(): void {
    if (this.phase !== 'running') return;
    this.clock.pause();
    this.setState('paused');
    this.interrupt();
  }

  resume(): void {
    if (this.phase !== 'paused') return;
    this.clock.resume();
    this.setState('running');
    this.unpause?.();
  }

  /** As the reset button: everything begins again, whatever the guest thinks of it. */
  reset(): void {
    this.resetAsked = true;
    this.interrupt();
  }

  /** Ends the machine because something outside the guest, that it can't do without, has failed. One sentence. */
  fail(detail: string): void {
    this.end({ reason: 'error', detail });
  }

  /** Ends the machine at once, as pulling the plug does. */
  powerOff(): void {
    this.end({ reason: 'quit' });
  }

  stats(): MachineStats {
    return {
      ...addStats(this.earlier, this.engineStats()),
      wallMs: ((this.endedAt ?? this.host.now()) - this.startedAt) / 1e6,
      idleMs: this.idleNs / 1e6,
      runMs: this.runNs / 1e6,
      slices: this.slices,
      resets: this.resets,
      exits: this.exits.counts(),
      unclaimed: this.exits.unclaimed,
    };
  }

  // ---- building ----------------------------------------------------------------------------------------------------

  private makeClock(): GuestClock {
    const source = this.config.deterministic
      ? new InstructionTime(() => this.retired())
      : new WallTime(() => this.host.now());
    const clock = new GuestClock(source, TSC_HZ);
    clock.onEarlier = (at) => {
      if (at < this.sliceEndGuest) this.current?.kick();
    };
    return clock;
  }

  private async assemble(): Promise<void> {
    const { config, host, options } = this;
    this.clock = this.makeClock();
    const engine = await options.createEngine({
      memorySize: config.memory,
      cpus: config.cpus,
      sink: this.exits,
      tscHz: TSC_HZ,
      arch: config.arch,
    });
    this.engine = engine;
    const { clock } = this;
    const board = options.createBoard({
      memory: engine.memory,
      cpus: config.cpus,
      controllers: engine.controllers,
      localApics: engine.localApics,
      // What an engine takes by itself is not counted.
      shortcuts: config.detailedExits ? undefined : engine.shortcuts,
      clock,
      wallClock: config.deterministic ? () => FIXED_EPOCH + clock.now() / 1e6 : () => host.wallClock(),
      readTsc: () => clock.ticks(),
      tscHz: TSC_HZ,
      guestTsc: (cpu) => {
        const ticks = clock.ticks() + engine.vcpus[cpu].tscOffset;
        return ticks >= 2 ** 63 ? ticks - 2 ** 64 : ticks;
      },
      entropy: this.entropy,
      onPowerOff: () => this.end({ reason: 'poweroff' }),
      onReset: () => this.reset(),
      onUnhandled: this.exits.unhandled,
    });
    this.board = board;
    this.exits.connect(board);
    board.attachVcpus(engine.vcpus);
    engine.parallel?.onRequest(() => host.wake());
    await options.boot(engine, board);
  }

  /** The guest starts afresh: a new engine and a new board, the same back ends. */
  private async restart(): Promise<void> {
    this.resetAsked = false;
    this.resets++;
    this.dismantle();
    this.options.onReset?.();
    await this.assemble();
  }

  private dismantle(): void {
    this.earlier = addStats(this.earlier, this.engineStats());
    this.clock.clear();
    this.engine?.parallel?.onRequest(undefined);
    this.board?.close?.();
    this.board = undefined;
    this.engine?.close();
    this.engine = undefined;
  }

  // ---- running -----------------------------------------------------------------------------------------------------

  private async loop(): Promise<void> {
    const { host } = this;
    const limit = this.config.timeout === undefined ? Number.POSITIVE_INFINITY : this.config.timeout * 1e9;
    this.lastYield = this.lastDeadCheck = host.now();
    // From here: what a busy host takes to prepare the engine is not the guest's.
    const deadline = this.lastYield + limit;
    for (;;) {
      if (this.result !== undefined) return;
      const now = host.now();
      if (now >= deadline) return this.end({ reason: 'timeout' });
      if (now - this.lastYield >= YIELD_EVERY) {
        await this.breathe();
        continue;
      }
      if (this.phase === 'paused') {
        this.engine!.parallel?.stop();
        await this.breathe();
        if (this.phase === 'paused') await new Promise<void>((resolve) => (this.unpause = resolve));
        this.unpause = undefined;
        continue;
      }
      if (this.resetAsked) {
        if (!this.config.reboot) return this.end({ reason: 'reset' });
        await this.restart();
      }
      if (this.config.deterministic && host.expecting) {
        await this.settle(deadline);
        continue;
      }
      host.poll();
      this.clock.fireDue();
      const { parallel } = this.engine!;
      if (parallel !== undefined) await this.serve(parallel, deadline);
      else if (this.runRound()) await this.idle(deadline);
    }
  }

  /** One slice for each vCPU. Returns whether all of them wait for something. */
  private runRound(): boolean {
    const vcpus = this.engine!.vcpus;
    let waiting = true;
    for (const vcpu of vcpus) {
      this.halted = false;
      this.runSlice(vcpu, vcpus.length);
      if (this.result !== undefined || this.resetAsked || this.phase === 'paused') return false;
      if (!this.halted) waiting = false;
    }
    return waiting;
  }

  private runSlice(vcpu: Vcpu, cpus: number): void {
    const { host, clock, pace } = this;
    const guestNow = clock.now();
    const untilAlarm = clock.nextAlarm - guestNow;
    const begin = host.now();
    let budget: number;
    if (this.config.deterministic) {
      budget = Math.max(1, Math.min(SLICE_INSTRUCTIONS, Math.ceil(untilAlarm)));
      this.sliceEndGuest = guestNow + budget;
    } else {
      const longest = host.expecting ? SLICE_IO : cpus === 1 ? SLICE : SLICE_SMP;
      const length = Math.max(SLICE_LEAST, Math.min(longest, untilAlarm));
      budget = pace.budget(length);
      this.sliceEndGuest = guestNow + length;
      this.sliceEndHost = begin + length;
    }
    const before = vcpu.instructions;
    this.current = vcpu;
    this.board!.currentCpu = vcpu.index;
    this.slices++;
    try {
      const exit = vcpu.run(budget);
      this.current = undefined;
      const took = host.now() - begin;
      this.runNs += took;
      pace.learn(vcpu.instructions - before, took);
      this.exits.dispatch(vcpu, exit);
    } catch (cause) {
      this.current = undefined;
      this.endWithCrash('error', `The engine failed: ${messageOf(cause)}`, vcpu, cause);
    }
  }

  /**
   * vCPUs that run by themselves: answers what they ask for. While they ask often the thread waits for the next request in
   * place; then it sleeps in the event loop, where input and the ends of the host's I/O come in.
   */
  private async serve(parallel: ParallelVcpus, deadline: number): Promise<void> {
    const { host, clock } = this;
    parallel.start();
    const from = host.now();
    const left = Math.min(clock.nextAlarm - clock.now(), deadline - from);
    // What other threads of the host do for the guest does not ring here: it is looked for in between.
    const busy = from - this.lastServed < ASKS_OFTEN || host.expecting;
    // The host's sleep has whole milliseconds.
    const inPlace = busy ? Math.min(left, ASKS_OFTEN / 2) : left < SHORT_SLEEP ? left : 0;
    this.slices++;
    let served = 0;
    try {
      served = parallel.serve(Math.max(0, inPlace), this.server);
    } catch (cause) {
      return this.endWithCrash('error', `The engine failed: ${messageOf(cause)}`, this.current, cause);
    } finally {
      this.current = undefined;
    }
    if (served > 0) {
      this.lastServed = host.now();
      this.runNs += this.lastServed - from;
      return;
    }
    if (inPlace > 0 || left <= 0) {
      this.idleNs += host.now() - from;
      return;
    }
    if (from - this.lastDeadCheck >= DEAD_CHECK_EVERY) this.lookForLife(parallel);
    const congested = this.options.flush?.();
    if (congested !== undefined) await congested;
    if (this.result === undefined) await host.sleepUntil(Math.min(from + left, this.lastDeadCheck + DEAD_CHECK_EVERY));
    this.lastYield = host.now();
    this.idleNs += this.lastYield - from;
  }

  /** Nothing was asked for in a second: either the guest needs nothing, or it has halted for good. */
  private lookForLife(parallel: ParallelVcpus): void {
    this.lastDeadCheck = this.host.now();
    if (this.lastDeadCheck - this.lastServed < DEAD_CHECK_EVERY) return;
    parallel.stop();
    if (this.engine!.vcpus.every(isDead)) this.end({ reason: 'halt' });
    else parallel.start();
  }

  /**
   * A deterministic guest sees what the host has done for it where it has asked for it, however long that took: nothing
   * runs meanwhile.
   */
  private async settle(deadline: number): Promise<void> {
    const { host } = this;
    await host.sleepUntil(Math.min(deadline, host.now() + YIELD_EVERY));
    host.poll();
  }

  /** Every vCPU waits: sleep until an alarm or input. */
  private async idle(deadline: number): Promise<void> {
    const { host, clock } = this;
    const from = host.now();
    if (from - this.lastDeadCheck >= DEAD_CHECK_EVERY) {
      this.lastDeadCheck = from;
      if (this.engine!.vcpus.every(isDead)) return this.end({ reason: 'halt' });
    }
    if (clock.skipToNextAlarm()) return;
    const left = clock.nextAlarm - clock.now();
    if (left <= 0) return;
    const congested = this.options.flush?.();
    if (congested !== undefined) await congested;
    await host.sleepUntil(Math.min(from + left, deadline, this.lastDeadCheck + DEAD_CHECK_EVERY));
    this.idleNs += host.now() - from;
  }

  /** Output goes out, input and signals come in. */
  private async breathe(): Promise<void> {
    const congested = this.options.flush?.();
    if (congested !== undefined) await congested;
    await this.host.yield();
    this.lastYield = this.host.now();
  }

  /** Makes the loop look at what has changed, whether it runs a slice, sleeps or is paused. */
  private interrupt(): void {
    this.current?.kick();
    this.host.wake();
    this.unpause?.();
  }

  // ---- ending ------------------------------------------------------------------------------------------------------

  /** The first reason counts. */
  private end(result: MachineResult): void {
    this.result ??= result;
    this.interrupt();
  }

  private endWithCrash(reason: 'shutdown' | 'error', detail: string, vcpu = this.current, cause?: unknown): void {
    const crash = vcpu && { cpu: vcpu.index, state: vcpu.getState(), recent: this.exits.recent() };
    this.end({ reason, detail, ...(cause !== undefined && { cause }), ...(crash && { crash }) });
  }

  private setState(state: MachineState): void {
    this.phase = state;
    this.options.onState?.(state);
  }

  private retired(): number {
    let sum = 0;
    for (const vcpu of this.engine?.vcpus ?? []) sum += vcpu.instructions;
    return sum;
  }

  private engineStats(): EngineStats {
    // Counters are the engine's: any vCPU tells them.
    return this.engine?.vcpus[0].stats ?? NO_STATS;
  }
}

/** Whether a vCPU can never run again by itself: halted with interrupts off, or never started. */
function isDead(vcpu: Vcpu): boolean {
  const { activity, rflags } = vcpu.getState();
  return activity === 'wait-for-sipi' || (activity === 'halted' && (rflags & IF) === 0n);
}

function addStats(a: EngineStats, b: EngineStats): EngineStats {
  const sum = { ...a };
  for (const key of Object.keys(a) as (keyof EngineStats)[]) sum[key] += b[key];
  return sum;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
