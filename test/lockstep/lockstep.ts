// Runs two machines slice by slice and compares them after each slice: two engines, or two tiers of one, must do exactly the
// same. The machines must be deterministic (`--deterministic`): then nothing but the engine can make them differ.
//
// A difference is first seen at the end of a slice of many instructions. Both machines are then run again from the start, in
// the same slices up to the last point where all was well and in the smallest possible from there on, which names the
// block. (With other slices a fault that depends on when something was compiled may stay away: then larger ones are tried.)

import type { Engine, GuestMemory, Vcpu, VcpuState } from '../../src/engine/contract.js';
import type { Host } from '../../src/machine/host.js';
import type { MachineResult } from '../../src/machine/machine.js';
import { differences, differingWords, wordAt } from './compare.js';

/** What is needed of a machine. */
export interface Steppable {
  start(): Promise<MachineResult>;
  powerOff(): void;
}

/** Makes one of the two, deterministic, on this host, its engine passed through `watch`. Called again for each run. */
export type Make = (host: Host, watch: <E extends Engine>(engine: E) => Engine) => Steppable;

export interface LockstepOptions {
  readonly make: readonly [Make, Make];
  /** Instructions in a slice. */
  readonly slice: number;
  /** RAM is compared after so many slices. */
  readonly every: number;
  /** Instructions after which all is well. */
  readonly until: number;
  /** Called after each slice of the second machine: a test's chance to break something. */
  readonly tamper?: (vcpu: Vcpu, memory: GuestMemory) => void;
  readonly onProgress?: (instructions: number, finding: boolean) => void;
}

export interface Difference {
  /** Instructions up to the last point where both were equal, and where the difference was seen, on both. */
  readonly good: number;
  readonly seen: readonly [number, number];
  readonly cpu: number;
  /** The first machine's registers at the last good point of the finest run: what it was about to do. */
  readonly before: VcpuState;
  /** The first machine's RIP when the difference was seen: elsewhere, where an interrupt came first. */
  readonly after: bigint;
  /** Guest memory at RIP before, as far as it is mapped: the code that went wrong. */
  readonly code: Uint8Array;
  /** What differs: `rax: 1 | 2`, first machine first. */
  readonly lines: readonly string[];
  /** Instructions in a slice of the run that found this. */
  readonly slice: number;
}

export interface LockstepResult {
  readonly instructions: number;
  readonly slices: number;
  /** How the two ended, where they did before `until`. */
  readonly ends?: readonly [string, string];
  readonly difference?: Difference;
}

/** Slices tried to find the block, in instructions; an engine runs at least one block. */
const FINE = [1, 64, 4096];
const CODE_BYTES = 256;
/** Words of RAM that are watched once they are known to differ. */
const WATCHED = 8;
/** Host nanoseconds after which a machine yields (and more). */
const YIELD = 20_000_000;

/** Runs the two until they differ, end, or have done `until` instructions. */
export async function lockstep(options: LockstepOptions): Promise<LockstepResult> {
  const first = await new Run(options, { from: Number.POSITIVE_INFINITY, fine: options.slice, watch: [] }).run();
  const { difference } = first;
  if (!difference) return first;
  for (const fine of FINE.filter((n) => n < options.slice)) {
    const plan: Plan = { from: difference.good, fine, watch: first.watch };
    const until = Math.max(...difference.seen) + options.slice;
    const again = await new Run({ ...options, until }, plan).run();
    if (again.difference) return { ...first, difference: again.difference };
  }
  return first;
}

interface Plan {
  /** From this instruction on slices are of `fine` instructions, and these words of RAM are compared after each. */
  readonly from: number;
  readonly fine: number;
  readonly watch: readonly number[];
}

class Run {
  readonly #options: LockstepOptions;
  readonly #plan: Plan;
  readonly #sides: readonly [Side, Side];
  #slices = 0;
  /** Instructions when the registers, and when all of RAM, were last found equal. */
  #good = 0;
  #goodRam = 0;
  #before: VcpuState[] = [];

  constructor(options: LockstepOptions, plan: Plan) {
    this.#options = options;
    this.#plan = plan;
    const sliceAt = (n: number) => (n < plan.from ? options.slice : plan.fine);
    this.#sides = [new Side(options.make[0], sliceAt), new Side(options.make[1], sliceAt, options.tamper)];
  }

  async run(): Promise<LockstepResult & { readonly watch: readonly number[] }> {
    const [a, b] = this.#sides;
    let difference: Difference | undefined;
    let watch: readonly number[] = [];
    let ended = false;
    try {
      a.start();
      b.start();
      for (;;) {
        await Promise.all([a.arrival, b.arrival]);
        this.#slices++;
        ({ difference, watch } = this.#compare());
        ended = a.end !== undefined || b.end !== undefined || a.idle;
        if (difference || ended || a.instructions >= this.#options.until) break;
        this.#options.onProgress?.(a.instructions, Number.isFinite(this.#plan.from));
        a.go();
        b.go();
      }
    } finally {
      await Promise.all([a.quit(), b.quit()]);
    }
    return {
      instructions: a.instructions,
      slices: this.#slices,
      watch,
      ...(difference && { difference }),
      ...(ended && { ends: [a.end ?? 'waits', b.end ?? 'waits'] as const }),
    };
  }

  #compare(): { difference: Difference | undefined; watch: readonly number[] } {
    const [a, b] = this.#sides;
    const lines: string[] = [];
    let cpu = 0;
    if (a.end !== b.end) lines.push(`end: ${a.end ?? 'running'} | ${b.end ?? 'running'}`);
    if (a.instructions !== b.instructions) lines.push(`instructions: ${a.instructions} | ${b.instructions}`);
    const [statesA, statesB] = [a.states(), b.states()];
    for (const [i, state] of statesA.entries()) {
      const found = differences(state, statesB[i]);
      if (found.length > 0 && lines.length === 0) cpu = i;
      lines.push(...(i > 0 ? found.map((line) => `cpu ${i} ${line}`) : found));
    }
    const words = this.#words(lines.length > 0);
    for (const gpa of words)
      lines.push(`memory at ${gpa.toString(16)}: ${wordAt(a.memory, gpa)} | ${wordAt(b.memory, gpa)}`);
    if (lines.length === 0) {
      this.#good = a.instructions;
      this.#before = statesA;
      return { difference: undefined, watch: [] };
    }
    const before = this.#before[cpu] ?? statesA[cpu];
    const difference = {
      good: words.length > 0 && this.#plan.watch.length === 0 ? this.#goodRam : this.#good,
      seen: [a.instructions, b.instructions] as const,
      cpu,
      before,
      after: statesA[cpu].rip,
      code: a.codeAt(cpu, before),
      lines,
      slice: this.#good < this.#plan.from ? this.#options.slice : this.#plan.fine,
    };
    return { difference, watch: words };
  }

  /** Words of RAM that differ: of all RAM when that is due or something else differs already, else of the watched ones. */
  #words(always: boolean): number[] {
    const [a, b] = this.#sides;
    const { slice, every } = this.#options;
    if (always || a.instructions - this.#goodRam >= slice * every || a.end !== undefined) {
      const found = differingWords(a.memory, b.memory, WATCHED);
      if (found.length === 0) this.#goodRam = a.instructions;
      return found;
    }
    return this.#plan.watch.filter((gpa) => wordAt(a.memory, gpa) !== wordAt(b.memory, gpa));
  }
}

/** One of the two machines. It stops in its host's `yield` after each round of slices. */
class Side {
  readonly #make: Make;
  readonly #sliceAt: (instructions: number) => number;
  readonly #tamper: LockstepOptions['tamper'];
  #machine: Steppable | undefined;
  #done: Promise<void> | undefined;
  #engine: Engine | undefined;
  /** The last states are kept when the machine has ended, for its engine is gone then. */
  #last: { instructions: number; states: VcpuState[] } = { instructions: 0, states: [] };
  #time = 0;
  #failure: unknown;
  #arrive: () => void = () => {};
  #release: () => void = () => {};
  /** Settles when the machine has stopped after a slice, waits, or has ended. */
  arrival: Promise<void> = Promise.resolve();
  end: string | undefined;
  /** It waits for input that nobody will send. */
  idle = false;

  constructor(make: Make, sliceAt: (instructions: number) => number, tamper?: LockstepOptions['tamper']) {
    this.#make = make;
    this.#sliceAt = sliceAt;
    this.#tamper = tamper;
  }

  get instructions(): number {
    return this.#last.instructions;
  }

  get memory(): GuestMemory {
    if (this.#engine === undefined) throw this.#failure ?? new Error('The machine ended before it began.');
    return this.#engine.memory;
  }

  states(): VcpuState[] {
    return this.#last.states;
  }

  start(): void {
    this.#expect();
    this.#machine = this.#make(this.#host(), (engine) => this.#watch(engine));
    this.#done = this.#machine.start().then(
      ({ reason, detail }) => this.#ended(detail === undefined ? reason : `${reason} (${detail})`),
      (error: unknown) => {
        this.#failure = error;
        this.#ended(`${error}`);
      },
    );
  }

  go(): void {
    this.#expect();
    this.#release();
  }

  /** Ends the machine, if it has not ended. */
  async quit(): Promise<void> {
    this.#machine?.powerOff();
    this.#release();
    await this.#done;
  }

  /** Bytes at RIP, as far as they are mapped. */
  codeAt(cpu: number, { rip, cs }: VcpuState): Uint8Array {
    const vcpu = this.#engine?.vcpus[cpu];
    const bytes: number[] = [];
    for (let i = 0; vcpu !== undefined && i < CODE_BYTES; i++) {
      const gpa = vcpu.translate(cs.base + rip + BigInt(i));
      if (gpa === undefined || !this.memory.contains(gpa, 1)) break;
      bytes.push(this.memory.view(gpa, 1)[0]);
    }
    return Uint8Array.from(bytes);
  }

  #expect(): void {
    this.arrival = new Promise((resolve) => (this.#arrive = resolve));
  }

  #ended(how: string): void {
    this.end = how;
    this.#arrive();
  }

  /** Time stands still but for a leap after each slice, which makes the machine yield. */
  #host(): Host {
    return {
      now: () => this.#time,
      wallClock: () => 0,
      entropy: (bytes) => new Uint8Array(bytes),
      wake: () => {},
      sleepUntil: (at) => {
        if (Number.isFinite(at)) this.#time = Math.max(this.#time, at);
        this.idle = true;
        return this.#stop();
      },
      yield: () => this.#stop(),
      due: false,
      expecting: false,
      poll: () => {},
    };
  }

  #stop(): Promise<void> {
    if (this.end !== undefined) return Promise.resolve();
    this.#keep();
    return new Promise((resolve) => {
      this.#release = resolve;
      this.#arrive();
    });
  }

  #keep(): void {
    const vcpus = this.#engine?.vcpus ?? [];
    this.#last = {
      instructions: vcpus.reduce((sum, v) => sum + v.instructions, 0),
      states: vcpus.map((v) => v.getState()),
    };
  }

  #watch(engine: Engine): Engine {
    this.#engine = engine;
    const vcpus = engine.vcpus.map((vcpu) => this.#stepped(vcpu, engine));
    const { name, memory, countsInstructions } = engine;
    return { name, memory, countsInstructions, vcpus, close: () => this.#close(engine) };
  }

  #close(engine: Engine): void {
    this.#keep();
    engine.close();
  }

  #stepped(vcpu: Vcpu, engine: Engine): Vcpu {
    const total = () => engine.vcpus.reduce((sum, v) => sum + v.instructions, 0);
    return {
      index: vcpu.index,
      get instructions() {
        return vcpu.instructions;
      },
      get tscOffset() {
        return vcpu.tscOffset;
      },
      get stats() {
        return vcpu.stats;
      },
      run: (budget) => {
        const exit = vcpu.run(Math.min(budget, this.#sliceAt(total())));
        this.#tamper?.(vcpu, engine.memory);
        this.idle = false;
        this.#time += YIELD;
        return exit;
      },
      setInterruptRequest: (level) => vcpu.setInterruptRequest(level),
      nmi: () => vcpu.nmi(),
      init: () => vcpu.init(),
      sipi: (vector) => vcpu.sipi(vector),
      kick: () => vcpu.kick(),
      getState: () => vcpu.getState(),
      setState: (state) => vcpu.setState(state),
      reset: () => vcpu.reset(),
      translate: (linear) => vcpu.translate(linear),
    };
  }
}
