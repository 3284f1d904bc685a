/** One vCPU of the software engine: the run call, its exits, interrupts from outside, and its state while another runs. */
import type { EngineStats, Exit, Vcpu, VcpuState } from '../contract.js';
import type { SoftEngine } from './engine.js';
import * as L from './layout.js';
import { readState, writeState } from './state.js';

/** Per-vCPU state: registers and the core's private words; the counters and machine constants between are the engine's. */
const IMAGE_START = L.CPU_STATE;
const IMAGE_END = L.FX_IMAGE;
const SHARED_START = L.STAT_BLOCKS;
const SHARED_END = L.CORE_PRIVATE;
const MAX_BUDGET = 0x7fff_ffff;

export class SoftVcpu implements Vcpu {
  readonly index: number;
  readonly #engine: SoftEngine;
  #image: Uint8Array | undefined;
  /** Instructions of ended slices; of the running one, its budget. */
  #retired = 0;
  #budget = 0;
  #interruptRequest = false;

  constructor(engine: SoftEngine, index: number) {
    this.#engine = engine;
    this.index = index;
    if (index > 0) this.#image = new Uint8Array(IMAGE_END - IMAGE_START);
  }

  get instructions(): number {
    return this.#retired + this.#budget - this.#left();
  }

  get tscOffset(): number {
    return this.#get32(L.MSR_TSC_ADJUST) + (this.#get32(L.MSR_TSC_ADJUST + 4) | 0) * 0x1_0000_0000;
  }

  get stats(): EngineStats {
    return this.#engine.readStats();
  }

  run(budget: number): Exit {
    if (!(budget >= 1)) throw new RangeError(`budget of ${budget} instructions`);
    this.#engine.regions?.installReady();
    const { view } = this.#engine;
    this.#engine.select(this);
    const activity = view.getUint32(L.ACTIVITY, true);
    if (activity === L.ACT_WAIT_SIPI) return { kind: 'hlt' };
    if (activity === L.ACT_HALTED) {
      if (!this.#wakes()) return { kind: 'hlt' };
      view.setUint32(L.ACTIVITY, L.ACT_RUNNING, true);
    }
    this.#budget = Math.min(budget | 0 || MAX_BUDGET, MAX_BUDGET);
    view.setInt32(L.COUNT, this.#budget, true);
    view.setInt32(L.COUNT_DEFERRED, 0, true);
    view.setInt32(L.EXIT_REASON, 0, true);
    view.setInt32(L.FAULT_VECTOR, -1, true);
    // Always: besides what is pending, a single step may have been under way when the last slice ended.
    this.#engine.core.requestEvents();
    let reason: number;
    try {
      reason = this.#engine.runInterpreter();
    } finally {
      this.#retired += this.#budget - this.#left();
      this.#budget = 0;
      view.setInt32(L.COUNT, 0, true);
      view.setInt32(L.COUNT_DEFERRED, 0, true);
    }
    return this.#exit(reason);
  }

  setInterruptRequest(level: boolean): void {
    this.#interruptRequest = level;
    this.#pend(L.PEND_INTR, level);
  }

  nmi(): void {
    this.#pend(L.PEND_NMI, true);
  }

  kick(): void {
    this.#pend(L.PEND_KICK, true);
  }

  init(): void {
    const apic = this.#interruptRequest;
    this.reset();
    this.setInterruptRequest(apic);
    if (this.index > 0) this.#put32(L.ACTIVITY, L.ACT_WAIT_SIPI);
  }

  sipi(vector: number): void {
    if (this.#get32(L.ACTIVITY) !== L.ACT_WAIT_SIPI) return; // only a waiting processor listens
    const page = vector & 0xff;
    this.#inPlace(() => {
      const { view, core } = this.#engine;
      const cs = L.SEGS + L.CS * L.SEG_SIZE;
      view.setUint32(cs + L.SEG_SEL, page << 8, true);
      view.setUint32(cs + L.SEG_BASE, page << 12, true);
      view.setUint32(cs + L.SEG_BASE + 4, 0, true);
      view.setUint32(cs + L.SEG_LIMIT, 0xffff, true);
      view.setUint32(cs + L.SEG_ATTR, 0x9b, true);
      view.setUint32(L.RIP, 0, true);
      view.setUint32(L.RIP + 4, 0, true);
      view.setUint32(L.ACTIVITY, L.ACT_RUNNING, true);
      core.stateLoaded();
    });
  }

  reset(): void {
    this.#inPlace(() => {
      this.#engine.core.resetCpu();
      this.#engine.view.setUint32(L.CFG_CPU_INDEX, this.index, true);
      this.#engine.view.setUint32(L.ACTIVITY, this.index === 0 ? L.ACT_RUNNING : L.ACT_WAIT_SIPI, true);
    });
  }

  getState(): VcpuState {
    return this.#inPlace(() => readState(this.#engine.view, this.#engine.core));
  }

  setState(state: VcpuState): void {
    this.#inPlace(() => writeState(this.#engine.view, this.#engine.core, state));
  }

  translate(linear: bigint): number | undefined {
    const address = BigInt.asUintN(64, linear);
    return this.#inPlace(() => {
      const found = this.#engine.core.translate(Number(address & 0xffff_ffffn) | 0, Number(address >> 32n) | 0);
      return found ? Number(this.#engine.view.getBigUint64(L.TRANSLATED, true)) : undefined;
    });
  }

  /** Moves the state out of place, for another vCPU. */
  park(): void {
    // The note of the last x87 instruction names a record, which may be gone when the state comes back.
    this.#engine.core.x87_resolve();
    this.#image = new Uint8Array(this.#engine.linear.buffer, IMAGE_START, IMAGE_END - IMAGE_START).slice();
  }

  unpark(): void {
    const memory = new Uint8Array(this.#engine.linear.buffer);
    const image = this.#image!;
    memory.set(image.subarray(0, SHARED_START - IMAGE_START), IMAGE_START);
    memory.set(image.subarray(SHARED_END - IMAGE_START), SHARED_END);
    this.#image = undefined;
    this.#engine.view.setUint32(L.CFG_CPU_INDEX, this.index, true);
    this.#engine.core.flushAll();
  }

  #exit(reason: number): Exit {
    switch (reason) {
      case L.EXIT_BUDGET:
        return { kind: 'budget' };
      case L.EXIT_KICK:
        return { kind: 'kick' };
      case L.EXIT_HLT:
        return { kind: 'hlt' };
      case L.EXIT_SHUTDOWN:
        return { kind: 'shutdown', detail: `triple fault, last vector ${this.#get32(L.EXIT_ARG)}` };
      case L.EXIT_DEBUG:
        return {
          kind: 'debug',
          reason: (['step', 'breakpoint', 'watchpoint'] as const)[this.#get32(L.EXIT_ARG)] ?? 'step',
        };
      default:
        return { kind: 'error', detail: `the interpreter left with reason ${reason}` };
    }
  }

  /** Whether something pending ends HLT. */
  #wakes(): boolean {
    const pending = this.#get32(L.PENDING);
    if (pending & (L.PEND_NMI | L.PEND_DB) && !(pending & L.PEND_NMI_MASKED)) return true;
    return (pending & L.PEND_INTR) !== 0 && (this.#get32(L.EFLAGS) & INTERRUPT_FLAG) !== 0;
  }

  #left(): number {
    if (!this.#engine.isCurrent(this)) return this.#budget;
    const { view } = this.#engine;
    return this.#budget === 0 ? 0 : view.getInt32(L.COUNT, true) + view.getInt32(L.COUNT_DEFERRED, true);
  }

  #pend(bit: number, on: boolean): void {
    const pending = this.#get32(L.PENDING);
    const next = on ? pending | bit : pending & ~bit;
    if (next === pending) return;
    this.#put32(L.PENDING, next);
    if (on && this.#budget > 0) this.#engine.core.requestEvents();
  }

  /** Runs `work` with this vCPU's state in place, and puts things back as they were. */
  #inPlace<T>(work: () => T): T {
    if (this.#engine.isCurrent(this) || !this.#image) return work();
    const memory = new Uint8Array(this.#engine.linear.buffer, IMAGE_START, IMAGE_END - IMAGE_START);
    const other = memory.slice();
    const index = this.#engine.view.getUint32(L.CFG_CPU_INDEX, true);
    const shared = memory.slice(SHARED_START - IMAGE_START, SHARED_END - IMAGE_START);
    memory.set(this.#image);
    memory.set(shared, SHARED_START - IMAGE_START);
    this.#engine.view.setUint32(L.CFG_CPU_INDEX, this.index, true);
    const result = work();
    this.#image = memory.slice();
    const counters = memory.slice(SHARED_START - IMAGE_START, SHARED_END - IMAGE_START);
    memory.set(other);
    memory.set(counters, SHARED_START - IMAGE_START);
    this.#engine.view.setUint32(L.CFG_CPU_INDEX, index, true);
    this.#engine.core.flushAll();
    return result;
  }

  #get32(address: number): number {
    return this.#image
      ? new DataView(this.#image.buffer).getUint32(address - IMAGE_START, true)
      : this.#engine.view.getUint32(address, true);
  }

  #put32(address: number, value: number): void {
    if (this.#image) new DataView(this.#image.buffer).setUint32(address - IMAGE_START, value, true);
    else this.#engine.view.setUint32(address, value, true);
  }
}

const INTERRUPT_FLAG = 0x200;
