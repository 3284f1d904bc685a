/**
 * One vCPU of the KVM engine, seen from the machine's thread. Its own thread runs KVM_RUN and nothing else; whatever the
 * guest needs of the machine is done here while that thread waits.
 */
import { type EngineStats, type Exit, type GuestDebug, NO_STATS, type Vcpu, type VcpuState } from '../contract.js';
import * as A from './abi.js';
import type { SharedRam, VcpuThread } from './calls.js';
import { encodeDebug, NO_DEBUG } from './debug.js';
import { completeExit, takesAnswer } from './exits.js';
import * as M from './mailbox.js';
import { RunPage } from './run-page.js';
import { bytesOf, resetState } from './state.js';
import type { KvmVm } from './vm.js';

const NS_PER_BUDGET = 1000;
/** Longest wait for a thread that has been told to leave the guest. It comes within microseconds; a host may be busy. */
const LEAVE_TIMEOUT = 10e9;

export class KvmVcpu implements Vcpu {
  readonly index: number;
  readonly vm: KvmVm;
  readonly fd: number;
  readonly page: RunPage;
  readonly stats: EngineStats = NO_STATS;
  /** Instructions that KVM could not emulate. */
  completedInstructions = 0;
  /** What a debugger wants. */
  debug = NO_DEBUG;
  private readonly run_: SharedRam;
  private readonly signature: number;
  private thread: VcpuThread | undefined;
  /** µs inside `run`. */
  private ran = 0;
  private runSince = 0;
  private inRun = false;
  private kicked = false;
  /** HLT, where no kernel's local APIC waits for its end. */
  private halted = false;
  private waitsForSipi: boolean;
  private interruptRequest = false;
  private nmiPending = false;
  /** The last exit has been answered, and KVM has not yet taken the answer. */
  private unfinished = false;

  constructor(vm: KvmVm, index: number, fd: number, run: SharedRam, signature: number) {
    this.vm = vm;
    this.index = index;
    this.fd = fd;
    this.run_ = run;
    this.page = new RunPage(vm.calls.view(run.address, run.length));
    this.signature = signature;
    this.waitsForSipi = index > 0;
  }

  // ---- the contract ----------------------------------------------------------------------------------------------------

  get instructions(): number {
    return Math.floor(this.ran + (this.inRun ? (this.vm.host.now() - this.runSince) / NS_PER_BUDGET : 0));
  }

  get tscOffset(): number {
    // KVM keeps the guest's TSC, and deadlines measured by it, itself.
    return 0;
  }

  run(budget: number): Exit {
    if (!(budget >= 1)) throw new RangeError(`budget of ${budget} instructions`);
    if (!this.vm.hasLapic) {
      if (this.waitsForSipi) return { kind: 'hlt' };
      if (this.halted && !this.wakes()) return { kind: 'hlt' };
      this.halted = false;
    }
    this.runSince = this.vm.host.now();
    this.inRun = true;
    try {
      return this.runUntil(this.runSince + budget * NS_PER_BUDGET);
    } finally {
      this.finish();
      this.inRun = false;
      this.ran += (this.vm.host.now() - this.runSince) / NS_PER_BUDGET;
    }
  }

  setInterruptRequest(level: boolean): void {
    this.interruptRequest = level;
    // Where the thread runs by itself nobody else would have it look.
    if (level && this.vm.hasLapic) this.interrupt();
  }

  nmi(): void {
    this.nmiPending = true;
    this.whileOut(() => this.vm.calls.ioctl(this.fd, A.KVM_NMI, 0, 'KVM_NMI'));
  }

  init(): void {
    this.reset();
    this.waitsForSipi = this.index > 0;
  }

  sipi(vector: number): void {
    if (!this.waitsForSipi) return;
    this.waitsForSipi = false;
    const state = this.getState();
    const page = vector & 0xff;
    state.cs = { selector: page << 8, base: BigInt(page << 12), limit: 0xffff, attributes: 0x9b };
    this.setState({ ...state, rip: 0n, activity: 'running' });
  }

  kick(): void {
    this.kicked = true;
    this.interrupt();
  }

  getState(): VcpuState {
    return this.whileOut(() => this.vm.state.read(this.fd, this.activity()));
  }

  setState(state: VcpuState): void {
    this.whileOut(() => {
      this.vm.state.write(this.fd, state);
      this.setActivity(state.activity);
    });
    this.nmiPending = false;
    // What the page says about interrupts is no longer so: ask KVM to say when one can be delivered.
    this.unfinished = false;
    this.stale = true;
  }

  /** After an instruction that was executed elsewhere: what KVM has pending stays, but for what the instruction was about. */
  replaceState(before: VcpuState, state: VcpuState): void {
    this.vm.state.replace(this.fd, before, state);
    if (state.activity !== before.activity) this.setActivity(state.activity);
    this.stale = true;
  }

  reset(): void {
    this.setState(resetState(this.signature, this.index === 0 ? 'running' : 'wait-for-sipi'));
  }

  translate(linear: bigint): number | undefined {
    const view = new DataView(new ArrayBuffer(A.SIZE.translation));
    view.setBigUint64(0, BigInt.asUintN(64, linear), true);
    this.whileOut(() => this.vm.calls.ioctlBytes(this.fd, A.KVM_TRANSLATE, bytesOf(view), 'KVM_TRANSLATE'));
    return view.getUint8(TRANSLATION_VALID) === 0 ? undefined : Number(view.getBigUint64(8, true));
  }

  /** A debugger looks at each instruction, or at some of them. */
  get isWatched(): boolean {
    return this.debug !== undefined && (this.debug.step || this.debug.points.length > 0);
  }

  setDebug(debug: GuestDebug): void {
    const request = encodeDebug(debug);
    this.whileOut(() =>
      this.vm.calls.ioctlBytes(this.fd, A.KVM_SET_GUEST_DEBUG, bytesOf(request), 'KVM_SET_GUEST_DEBUG'),
    );
    this.debug = debug;
  }

  /** Exits that the vCPU's own thread has completed. */
  get ownExits(): number {
    return this.thread?.mailbox[M.OWN_EXITS] ?? 0;
  }

  // ---- in and out of the guest -----------------------------------------------------------------------------------------

  get isOut(): boolean {
    return this.thread === undefined || Atomics.load(this.thread.mailbox, M.STATE) !== M.STATE_RUN;
  }

  /** Lets the thread run the guest. What must be told to KVM before comes first. */
  enter(): void {
    this.thread ??= this.vm.host.thread(this.index, this.fd, this.run_);
    const { mailbox } = this.thread;
    if (this.vm.irqchip !== 'kernel') this.offerInterrupt();
    this.unfinished = false;
    Atomics.store(mailbox, M.STATE, M.STATE_RUN);
    Atomics.notify(mailbox, M.STATE);
    this.thread.runHere?.();
  }

  /** Makes the thread leave the guest soon, if it is there. */
  interrupt(): void {
    if (this.isOut) return;
    this.page.immediateExit = true;
    this.thread?.interrupt();
  }

  /** The vCPU is out: does what it asks for. @returns an exit that ends `run`; undefined: it may go on */
  complete(): Exit | undefined {
    const error = this.thread === undefined ? 0 : Atomics.load(this.thread.mailbox, M.RESULT);
    if (this.vm.irqchip !== 'kernel') this.lookAtPage();
    if (error !== 0) {
      this.page.immediateExit = false;
      if (this.vm.passing.includes(error)) return undefined;
      return { kind: 'error', detail: `KVM_RUN failed with errno ${error}.` };
    }
    const exit = completeExit(this);
    this.unfinished = takesAnswer(this.page.reason);
    return exit;
  }

  /** Leaves the vCPU as it is between two instructions: KVM takes what the last exit was answered. */
  finish(): void {
    while (this.unfinished) {
      this.page.immediateExit = true;
      this.enter();
      this.awaitOut();
      // A string instruction or an access across pages asks again before it is done.
      const exit = this.complete();
      if (exit !== undefined) throw new Error(`KVM left with ${exit.kind} while it completed an exit`);
    }
  }

  /** Stops the vCPU, wherever it is. What it asks for on its way out is answered. @returns an exit that ends `run` */
  stop(): Exit | undefined {
    this.interrupt();
    this.awaitOut();
    const exit = this.complete();
    if (exit === undefined) this.finish();
    return exit;
  }

  /** Gives back what the vCPU has of the kernel. */
  close(): void {
    this.interrupt();
    this.awaitOut();
    this.page.immediateExit = false;
    this.thread?.release();
    this.thread = undefined;
    this.vm.calls.close(this.fd);
    this.run_.release();
  }

  /** Software-enables the kernel's local APIC, as a guest does by its spurious-interrupt vector register (SDM vol. 3, 11.9). */
  enableLapic(): void {
    const lapic = new Uint8Array(A.SIZE.lapic);
    this.vm.calls.ioctlBytes(this.fd, A.KVM_GET_LAPIC, lapic, 'KVM_GET_LAPIC');
    lapic.set([0xff, 1], 0xf0);
    this.vm.calls.ioctlBytes(this.fd, A.KVM_SET_LAPIC, lapic, 'KVM_SET_LAPIC');
  }

  /** HLT: whether it ends `run`. */
  halt(): Exit | undefined {
    if (this.vm.hasLapic || this.wakes()) return undefined;
    this.halted = true;
    return { kind: 'hlt' };
  }

  private runUntil(end: number): Exit {
    const { host } = this.vm;
    for (;;) {
      if (this.kicked) {
        this.kicked = false;
        return { kind: 'kick' };
      }
      const now = host.now();
      if (now >= end) return { kind: 'budget' };
      this.enter();
      let left = end - now;
      while (!this.isOut) {
        if (left <= 0) this.interrupt();
        host.waitForBell(left > 0 ? left : LEAVE_TIMEOUT);
        left = end - host.now();
      }
      const exit = this.complete();
      if (exit !== undefined) return exit;
    }
  }

  private awaitOut(): void {
    const { host } = this.vm;
    const end = host.now() + LEAVE_TIMEOUT;
    while (!this.isOut) {
      const left = end - host.now();
      if (left <= 0) throw new Error(`vCPU ${this.index} does not leave the guest`);
      host.waitForBell(left);
    }
  }

  /** Runs `work` while the vCPU is out of the guest; one that was in goes on afterwards. */
  private whileOut<T>(work: () => T): T {
    if (this.isOut) return work();
    this.interrupt();
    this.awaitOut();
    try {
      return work();
    } finally {
      // What it came out for is looked at by whoever serves: nothing has been answered yet.
      this.vm.host.ring();
    }
  }

  // ---- interrupts that the kernel has not itself: all, or with its local APIC alone those of the 8259s ------------------

  /** Whether the page's word on interrupts is out of date. */
  private stale = true;

  private offerInterrupt(): void {
    const { page, vm } = this;
    if (!vm.hasLapic) page.cr8 = vm.sink.readCr8(this.index);
    let wanted = this.interruptRequest;
    if (wanted && !this.stale && !this.unfinished && page.readyForInterrupt) {
      const vector = vm.sink.acknowledgeInterrupt(this.index);
      if (vector >= 0) {
        const bytes = new Uint8Array(A.SIZE.interrupt);
        new DataView(bytes.buffer).setUint32(0, vector, true);
        vm.calls.ioctlBytes(this.fd, A.KVM_INTERRUPT, bytes, 'KVM_INTERRUPT');
      }
      // The next one, if the acknowledge cycle has left the line up; a spurious request is none.
      wanted = vector >= 0 && this.interruptRequest;
      this.stale = true;
    }
    page.requestInterruptWindow = wanted;
  }

  private lookAtPage(): void {
    const { cr8 } = this.page;
    this.stale = false;
    this.nmiPending = false;
    if (this.vm.hasLapic) return;
    if (cr8 !== this.vm.sink.readCr8(this.index)) this.vm.sink.writeCr8(this.index, cr8);
  }

  private wakes(): boolean {
    if (this.nmiPending) return true;
    if (!this.interruptRequest) return false;
    return (this.vm.state.readBasics(this.fd).rflags & INTERRUPT_FLAG) !== 0n;
  }

  // ---- activity ------------------------------------------------------------------------------------------------------------

  private activity(): VcpuState['activity'] {
    if (!this.vm.hasLapic) return this.waitsForSipi ? 'wait-for-sipi' : this.halted ? 'halted' : 'running';
    const bytes = new Uint8Array(A.SIZE.mpState);
    this.vm.calls.ioctlBytes(this.fd, A.KVM_GET_MP_STATE, bytes, 'KVM_GET_MP_STATE');
    if (bytes[0] === A.KVM_MP_STATE_HALTED) return 'halted';
    return bytes[0] === A.KVM_MP_STATE_UNINITIALIZED || bytes[0] === A.KVM_MP_STATE_INIT_RECEIVED
      ? 'wait-for-sipi'
      : 'running';
  }

  /** KVM_MP_STATE_*, with what only the kernel makes of it. */
  restoreMpState(state: number): void {
    this.vm.calls.ioctlBytes(this.fd, A.KVM_SET_MP_STATE, Uint8Array.of(state, 0, 0, 0), 'KVM_SET_MP_STATE');
  }

  private setActivity(activity: VcpuState['activity']): void {
    this.waitsForSipi = activity === 'wait-for-sipi';
    this.halted = activity === 'halted';
    if (!this.vm.hasLapic) return;
    const state =
      activity === 'wait-for-sipi'
        ? A.KVM_MP_STATE_UNINITIALIZED
        : activity === 'halted'
          ? A.KVM_MP_STATE_HALTED
          : A.KVM_MP_STATE_RUNNABLE;
    this.restoreMpState(state);
  }
}

const INTERRUPT_FLAG = 1n << 9n;
/** struct kvm_translation: `valid`. */
const TRANSLATION_VALID = 16;
