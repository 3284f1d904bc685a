/**
 * The software engine's processor as another engine's helper: executes one instruction from a state that it is given, on
 * RAM that is not its own. RAM comes page by page as the instruction touches it, and what it has changed goes back
 * afterwards, byte by byte: bytes that it has not written are left to whoever else writes them meanwhile. So a LOCK prefix
 * is no lock against the other engine's vCPUs; an engine that asks for help has no better to offer.
 */
import type { EngineConfig, ExitSink, GuestMemory, VcpuState } from '../contract.js';
import { SoftEngine, type SoftModules } from './engine.js';
import * as L from './layout.js';
import { isPlain, LONGEST } from './plain.js';
import type { SoftVcpu } from './vcpu.js';

const PAGE = 4096;
/** Pages that one instruction may touch: page walks, descriptor tables, stacks and all of a long string instruction's slice. */
const SLOTS = 256;
/** Instructions that may follow the one that was asked for, while they only compute: each is cheaper than carrying state. */
const MOST_FOLLOWERS = 256;
/** Slots that are left for one instruction. */
const ENOUGH_SLOTS = 32;
/** RFLAGS.TF (SDM vol. 1, 3.4.3.3). */
const TF = 0x100;
/** Attributes of a code segment of 64-bit code (contract.ts). */
const CODE_LONG = 0x2000;
/** Instructions' worth of a long string instruction in one go; its rest is another step. */
const BUDGET = 1000;

export interface StepperOptions extends Pick<EngineConfig, 'cpus' | 'sink' | 'tscHz' | 'arch'> {
  readonly memory: GuestMemory;
}

export type StepOutcome =
  | { readonly kind: 'done'; readonly state: VcpuState }
  | { readonly kind: 'shutdown' | 'failed'; readonly detail: string };

export class SoftStepper {
  private readonly engine: SoftEngine;
  private readonly memory: GuestMemory;
  private readonly slots: Uint8Array;
  private readonly before = new Uint8Array(SLOTS * PAGE);
  /** Both once more, as 32-bit words. */
  private readonly words: Int32Array;
  private readonly wordsBefore = new Int32Array(this.before.buffer);
  /** Page number by slot; the first `used` hold. */
  private readonly pages = new Float64Array(SLOTS);
  private used = 0;
  private overflow = false;

  constructor(modules: SoftModules, { memory, cpus, sink, tscHz, arch }: StepperOptions) {
    this.memory = memory;
    const { core, interpreter, tables } = modules;
    const config = { memorySize: SLOTS * PAGE, cpus, sink: withoutInterrupts(sink), tscHz, ...(arch && { arch }) };
    this.engine = new SoftEngine(config, { core, interpreter, tables });
    const { view, linear } = this.engine;
    view.setBigUint64(L.CFG_RAM_LOW, 0n, true);
    view.setUint32(L.CFG_PAGED, 1, true);
    this.slots = new Uint8Array(linear.buffer, L.RAM_BASE, SLOTS * PAGE);
    this.words = new Int32Array(linear.buffer, L.RAM_BASE, (SLOTS * PAGE) >> 2);
    this.engine.pageIn = (gpa) => this.pageIn(gpa);
  }

  /**
   * Executes the instruction at the state's RIP, or delivers the fault that it raises; and what follows, while that only
   * computes: code that needs help once needs it often.
   * @param alone nothing follows: somebody looks at each instruction
   */
  step(cpu: number, state: VcpuState, alone = false): StepOutcome {
    const vcpu = this.engine.vcpus[cpu];
    const { view } = this.engine;
    vcpu.reset();
    this.engine.select(vcpu);
    view.setUint32(L.DEBUG_STEP, 1, true);
    vcpu.setState({ ...state, activity: 'running' });
    let exit = vcpu.run(BUDGET);
    let followers = alone ? 0 : MOST_FOLLOWERS;
    while (exit.kind === 'debug' && followers-- > 0 && this.used + ENOUGH_SLOTS < SLOTS && this.mayFollow(vcpu)) {
      this.engine.core.stepOnce();
      exit = vcpu.run(BUDGET);
    }
    this.giveBack();
    if (this.overflow) return { kind: 'failed', detail: `it touches more than ${SLOTS} pages` };
    switch (exit.kind) {
      case 'debug':
      case 'hlt':
      case 'budget':
        return { kind: 'done', state: vcpu.getState() };
      case 'shutdown':
        return { kind: 'shutdown', detail: exit.detail };
      default:
        return { kind: 'failed', detail: `the software engine left with ${exit.kind}` };
    }
  }

  /** Not under TF, of which the instruction just executed may have made an end or a beginning: each traps then. */
  private mayFollow(vcpu: SoftVcpu): boolean {
    return (this.engine.view.getUint32(L.EFLAGS, true) & TF) === 0 && this.isNextPlain(vcpu);
  }

  /** Whether the next instruction only computes; one that may lie in two pages is taken for one that does not. */
  private isNextPlain(vcpu: SoftVcpu): boolean {
    const { view } = this.engine;
    const cs = L.SEGS + L.CS * L.SEG_SIZE;
    const linear = BigInt.asUintN(64, view.getBigUint64(L.RIP, true) + view.getBigUint64(cs + L.SEG_BASE, true));
    const within = Number(linear & 0xfffn);
    if (within > PAGE - LONGEST) return false;
    const gpa = vcpu.translate(linear);
    const at = gpa === undefined ? 0 : this.pageIn(gpa);
    if (at === 0) return false;
    const from = at - L.RAM_BASE;
    const long = (view.getUint32(cs + L.SEG_ATTR, true) & CODE_LONG) !== 0;
    return isPlain(this.slots.subarray(from, from + LONGEST), long);
  }

  private pageIn(gpa: number): number {
    const page = Math.floor(gpa / PAGE);
    const start = page * PAGE;
    for (let slot = 0; slot < this.used; slot++)
      if (this.pages[slot] === page) return L.RAM_BASE + slot * PAGE + (gpa - start);
    if (!this.memory.contains(start, PAGE)) return 0;
    if (this.used === SLOTS) {
      this.overflow = true;
      return 0;
    }
    const slot = this.used++;
    this.pages[slot] = page;
    const bytes = this.memory.view(start, PAGE);
    this.slots.set(bytes, slot * PAGE);
    this.before.set(bytes, slot * PAGE);
    return L.RAM_BASE + slot * PAGE + (gpa - start);
  }

  /** Writes changed bytes to where they belong, and forgets the pages with what was decoded from them. */
  private giveBack(): void {
    const { slots, before } = this;
    for (let slot = 0; slot < this.used; slot++) {
      const at = slot * PAGE;
      const gpa = this.pages[slot] * PAGE;
      let target: Uint8Array | undefined;
      for (let word = at >> 2; word < (at + PAGE) >> 2; word++) {
        if (this.words[word] === this.wordsBefore[word]) continue;
        target ??= this.memory.view(gpa, PAGE);
        for (let i = word << 2; i < (word + 1) << 2; i++) if (slots[i] !== before[i]) target[i - at] = slots[i];
      }
      if (target !== undefined) this.memory.dirtied(gpa, PAGE);
      this.engine.core.notifyWrite(L.RAM_BASE + at, PAGE);
    }
    this.used = 0;
  }
}

/** Interrupts are delivered by the engine that asks for help. */
function withoutInterrupts(sink: ExitSink): ExitSink {
  return {
    portIn: (port, size) => sink.portIn(port, size),
    portOut: (port, size, value) => sink.portOut(port, size, value),
    mmioRead: (gpa, size) => sink.mmioRead(gpa, size),
    mmioWrite: (gpa, size, value) => sink.mmioWrite(gpa, size, value),
    readMsr: (cpu, msr) => sink.readMsr(cpu, msr),
    writeMsr: (cpu, msr, low, high) => sink.writeMsr(cpu, msr, low, high),
    acknowledgeInterrupt: () => -1,
    readCr8: (cpu) => sink.readCr8(cpu),
    writeCr8: (cpu, value) => sink.writeCr8(cpu, value),
    readTsc: (cpu) => sink.readTsc(cpu),
    entropy: () => sink.entropy(),
  };
}
