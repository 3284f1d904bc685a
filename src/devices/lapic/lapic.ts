/**
 * The local APIC: SDM vol. 3, chapter 11 (chapter 10 before 2022). Registers are reached through a page (xAPIC) or
 * through MSRs (x2APIC); both ways end in `readRegister` and `writeRegister`.
 *
 * The INTR pin towards the processor is a function of the state: high while something is deliverable. `update` computes
 * it after every change and tells the processor only when it changes.
 */
import type { MsrValue } from '../../engine/contract.js';
import type { Clock, IrqLine, MmioDevice, Persist } from '../device.js';
import { requireVersion } from '../persist.js';
import { reachesX2apic, reachesXapic } from './destination.js';
import type { ApicEndpoint, ApicFabric, ApicMessage, LapicCpuPort, TscSource } from './message.js';
import {
  DELIVERY_EXTINT,
  DELIVERY_FIXED,
  DELIVERY_INIT,
  DELIVERY_LOWEST_PRIORITY,
  DELIVERY_NMI,
  DELIVERY_SMI,
  DELIVERY_STARTUP,
  DEST_LOGICAL,
  DEST_PHYSICAL,
  TRIGGER_EDGE,
  TRIGGER_LEVEL,
} from './message.js';
import * as R from './registers.js';
import type { LapicTimerState } from './timer.js';
import { LapicTimer } from './timer.js';
import { VectorSet } from './vector-set.js';
import { x2apicReadable, x2apicWritable } from './x2apic.js';

export interface LapicOptions {
  /** Initial APIC ID: 0 to 254 can be reached in xAPIC mode, more only in x2APIC mode. */
  id: number;
  /** Whether this is the bootstrap processor's. */
  bsp: boolean;
  clock: Clock;
  fabric: ApicFabric;
  tsc: TscSource;
  /**
   * The timer's input clock, in Hz. Must be the core crystal clock that CPUID 15h names, where it names one (SDM vol. 3,
   * 11.5.4). Default 1 GHz.
   */
  timerHz?: number;
  /** Whether CPUID offers x2APIC. Default true. */
  x2apic?: boolean;
  /** INTA cycle of the 8259 pair, for ExtINT. Without it ExtINT is never signalled. */
  acknowledgeExtInt?: () => number;
}

export interface LapicState {
  version: 1;
  baseLow: number;
  baseHigh: number;
  tpr: number;
  ldr: number;
  dfr: number;
  svr: number;
  esr: number;
  esrPending: number;
  icrLow: number;
  icrHigh: number;
  lvt: number[];
  isr: number[];
  tmr: number[];
  irr: number[];
  lint: boolean[];
  extIntLatched: boolean;
  timer: LapicTimerState;
}

const NO_CPU: LapicCpuPort = { setInterruptRequest() {}, nmi() {}, init() {}, sipi() {} };

export class LocalApic implements ApicEndpoint, MmioDevice, Persist<LapicState> {
  readonly id: number;
  /** Inputs LINT0 (the 8259's INTR on a PC) and LINT1 (NMI). */
  readonly lint0: IrqLine = { set: (level) => this.setLint(0, level) };
  readonly lint1: IrqLine = { set: (level) => this.setLint(1, level) };
  private readonly bsp: boolean;
  private readonly offersX2apic: boolean;
  private readonly fabric: ApicFabric;
  private readonly acknowledgeExtInt: (() => number) | undefined;
  private readonly timer: LapicTimer;
  private cpu: LapicCpuPort = NO_CPU;
  /** What the processor was told last. */
  private requesting = false;

  private baseLow: number;
  private baseHigh = 0;
  private enabled = true;
  private x2 = false;
  private tpr = 0;
  private ppr = 0;
  private ldr = 0;
  private dfr = 0xffff_ffff;
  private svr = 0xff;
  private esr = 0;
  private esrPending = 0;
  private icrLow = 0;
  private icrHigh = 0;
  /** Timer, thermal, performance, LINT0, LINT1, error. */
  private readonly lvt = new Int32Array(6);
  private readonly isr = new VectorSet();
  private readonly tmr = new VectorSet();
  private readonly irr = new VectorSet();
  private readonly lint = [false, false];
  /** LINT0 passes the 8259's request through: ExtINT in the LVT, or APIC globally disabled (11.4.3). */
  private lint0IsExtInt = false;
  /** An IOAPIC sent an ExtINT message that has not been acknowledged. */
  private extIntLatched = false;
  /** What `readMsr` returns, every time. */
  private readonly msrValue = { low: 0, high: 0 };
  /** The one message this APIC sends IPIs with. */
  private readonly ipi: ApicMessage = {
    dest: 0,
    destMode: DEST_PHYSICAL,
    deliveryMode: DELIVERY_FIXED,
    vector: 0,
    trigger: TRIGGER_EDGE,
  };

  constructor(options: LapicOptions) {
    this.id = options.id;
    this.bsp = options.bsp;
    this.offersX2apic = options.x2apic ?? true;
    this.fabric = options.fabric;
    this.acknowledgeExtInt = options.acknowledgeExtInt;
    this.timer = new LapicTimer(options.clock, options.tsc, options.timerHz ?? 1e9, () => this.signal(0));
    this.baseLow = 0;
    this.reset();
  }

  /** Hands in the processor (which is made after its APIC) and tells it the present request. */
  attachCpu(cpu: LapicCpuPort): void {
    this.cpu = cpu;
    cpu.setInterruptRequest(this.requesting);
  }

  /** Power-on: 11.4.7.1, and the base back at FEE00000h, enabled. */
  reset(): void {
    this.baseLow = (R.LAPIC_DEFAULT_BASE | R.BASE_ENABLE | (this.bsp ? R.BASE_BSP : 0)) >>> 0;
    this.baseHigh = 0;
    this.enabled = true;
    this.x2 = false;
    this.initRegisters();
  }

  /** INIT: all but the ID, the base and the mode (11.4.7.3). */
  private initRegisters(): void {
    this.tpr = 0;
    this.ldr = 0;
    this.dfr = 0xffff_ffff;
    this.svr = 0xff;
    this.esr = this.esrPending = 0;
    this.icrLow = this.icrHigh = 0;
    this.lvt.fill(R.LVT_MASKED);
    this.isr.clear();
    this.tmr.clear();
    this.irr.clear();
    this.extIntLatched = false;
    this.timer.reset();
    this.gateLint0();
  }

  /**
   * What firmware leaves on the bootstrap processor: software-enabled, LINT0 passes the 8259 through (virtual wire mode,
   * MultiProcessor Specification 1.4, 3.6.2.2), LINT1 is NMI. For kernels that are started without firmware.
   */
  setVirtualWire(): void {
    this.svr = R.SVR_ENABLE | 0xff;
    this.lvt[3] = DELIVERY_EXTINT << 8;
    this.lvt[4] = DELIVERY_NMI << 8;
    this.gateLint0();
  }

  // ---- the processor's side ------------------------------------------------------------------------------------

  /**
   * INTA: the vector to deliver, now in service; -1 when nothing is deliverable any more. The 8259 goes first, as its
   * request does not take part in the APIC's priorities (11.8.1).
   */
  acknowledge(): number {
    if (this.acknowledgeExtInt !== undefined && (this.extIntLatched || (this.lint0IsExtInt && this.lint[0]))) {
      this.extIntLatched = false;
      const vector = this.acknowledgeExtInt();
      this.update();
      return vector;
    }
    const vector = this.irr.top;
    if (!this.enabled || (vector & 0xf0) <= (this.ppr & 0xf0)) return -1;
    this.irr.delete(vector);
    this.isr.add(vector);
    this.update();
    return vector;
  }

  /** CR8: bits 7:4 of the TPR (11.8.6). */
  get cr8(): number {
    return this.tpr >> 4;
  }

  set cr8(value: number) {
    this.tpr = (value & 15) << 4;
    this.update();
  }

  /** Processor priority register. */
  get processorPriority(): number {
    return this.ppr;
  }

  /** Whether the processor's accesses to the page at `mmioBase` belong to this APIC. */
  get mmioEnabled(): boolean {
    return this.enabled && !this.x2;
  }

  /** Base of the register page, in bytes. */
  get mmioBase(): number {
    return this.baseHigh * 0x1_0000_0000 + ((this.baseLow & 0xffff_f000) >>> 0);
  }

  get x2apicMode(): boolean {
    return this.x2;
  }

  // ---- the other controllers' side -----------------------------------------------------------------------------

  get takesFixed(): boolean {
    return this.enabled && (this.svr & R.SVR_ENABLE) !== 0;
  }

  matches(dest: number, destMode: number, wide: boolean): boolean {
    if (!this.enabled) return false;
    if (this.x2) return reachesX2apic(dest >>> 0, destMode, wide, this.id);
    return reachesXapic(dest >>> 0, destMode, wide, this.id & 0xff, this.ldr, this.dfr);
  }

  accept(message: ApicMessage): boolean {
    switch (message.deliveryMode) {
      case DELIVERY_FIXED:
      case DELIVERY_LOWEST_PRIORITY:
        if (!this.takesFixed) return false;
        this.request(message.vector, message.trigger === TRIGGER_LEVEL);
        return true;
      case DELIVERY_SMI:
        return this.enabled; // no system management mode: taken and forgotten
      case DELIVERY_NMI:
        this.cpu.nmi();
        return true;
      case DELIVERY_INIT:
        this.initRegisters();
        this.cpu.init();
        return true;
      case DELIVERY_STARTUP:
        this.cpu.sipi(message.vector);
        return true;
      case DELIVERY_EXTINT:
        if (!this.takesFixed || this.acknowledgeExtInt === undefined) return false;
        this.extIntLatched = true;
        this.update();
        return true;
      default:
        return false;
    }
  }

  // ---- registers -----------------------------------------------------------------------------------------------

  /** xAPIC page. Registers are 32 bits at 16-byte steps (11.4.1); reads may take a part, other accesses read 0. */
  mmioRead(offset: number, size: 1 | 2 | 4): number {
    const within = offset & 15;
    if (within + size > 4) return 0;
    const value = this.readRegister((offset >> 4) & 0xff);
    if (value < 0) {
      this.error(R.ESR_ILLEGAL_REGISTER);
      return 0;
    }
    return size === 4 ? value : (value >>> (within * 8)) & (size === 1 ? 0xff : 0xffff);
  }

  /** Only aligned 32-bit writes are defined (11.4.1); others are ignored. */
  mmioWrite(offset: number, size: 1 | 2 | 4, value: number): void {
    if (size !== 4 || (offset & 15) !== 0) return;
    const index = (offset >> 4) & 0xff;
    if (index === R.APIC_EOI) this.eoi();
    else if (!this.writeRegister(index, value) && this.readRegister(index) < 0) this.error(R.ESR_ILLEGAL_REGISTER);
  }

  /**
   * One of the MSRs that are the APIC's: IA32_APIC_BASE, IA32_TSC_DEADLINE, 800h-8FFh.
   * @returns one and the same object, which holds until the next read; undefined where the read must raise #GP(0).
   */
  readMsr(msr: number): MsrValue | undefined {
    const value = this.msrValue;
    if (msr === R.MSR_APIC_BASE) {
      value.low = this.baseLow;
      value.high = this.baseHigh;
      return value;
    }
    if (msr === R.MSR_TSC_DEADLINE) {
      value.low = this.timer.deadlineLow;
      value.high = this.timer.deadlineHigh;
      return value;
    }
    if (!this.x2 || msr < R.MSR_X2APIC_FIRST || msr > R.MSR_X2APIC_LAST) return undefined;
    const index = msr - R.MSR_X2APIC_FIRST;
    if (!x2apicReadable(index)) return undefined;
    const low = this.readRegister(index);
    if (low < 0) return undefined;
    value.low = low;
    value.high = index === R.APIC_ICR_LOW ? this.icrHigh : 0;
    return value;
  }

  /**
   * IA32_TSC_ADJUST is the processor's; written here, it says that the TSC has jumped.
   * @returns false where the write must raise #GP(0): no such register, read-only, or reserved bits (11.12.1.3).
   */
  writeMsr(msr: number, low: number, high: number): boolean {
    low = low >>> 0;
    high = high >>> 0;
    if (msr === R.MSR_TSC_DEADLINE) {
      this.timer.setDeadline(low, high);
      return true;
    }
    if (msr === R.MSR_APIC_BASE) return this.writeBase(low, high);
    if (msr === R.MSR_TSC_ADJUST) {
      this.timer.tscMoved();
      return true;
    }
    if (!this.x2 || msr < R.MSR_X2APIC_FIRST || msr > R.MSR_X2APIC_LAST) return false;
    const index = msr - R.MSR_X2APIC_FIRST;
    if (!x2apicWritable(index, low, high)) return false;
    switch (index) {
      case R.APIC_EOI:
        this.eoi();
        return true;
      case R.APIC_ICR_LOW:
        this.icrLow = low & ~0x1000;
        this.icrHigh = high;
        this.sendIpi();
        return true;
      case R.APIC_SELF_IPI:
        this.selfIpi(low);
        return true;
      default:
        return this.writeRegister(index, low);
    }
  }

  /** @returns the register, or -1 where there is none. */
  private readRegister(index: number): number {
    switch (index) {
      case R.APIC_ID:
        return this.x2 ? this.id : ((this.id & 0xff) << 24) >>> 0;
      case R.APIC_VERSION:
        return R.LAPIC_VERSION;
      case R.APIC_TPR:
        return this.tpr;
      case R.APIC_PPR:
        return this.ppr;
      case R.APIC_LDR:
        return this.x2 ? (((this.id >>> 4) << 16) | (1 << (this.id & 15))) >>> 0 : this.ldr;
      case R.APIC_DFR:
        return this.dfr;
      case R.APIC_SVR:
        return this.svr;
      case R.APIC_ESR:
        return this.esr;
      case R.APIC_ICR_LOW:
        return this.icrLow;
      case R.APIC_ICR_HIGH:
        return this.icrHigh;
      case R.APIC_INITIAL_COUNT:
        return this.timer.initialCount;
      case R.APIC_CURRENT_COUNT:
        return this.timer.currentCount();
      case R.APIC_DIVIDE:
        return this.timer.divideConfiguration;
      case R.APIC_APR:
      case R.APIC_RRD:
      case R.APIC_EOI: // write-only; reading it is harmless
        return 0;
      default:
        if (index >= R.APIC_ISR && index < R.APIC_TMR) return this.isr.words[index - R.APIC_ISR] >>> 0;
        if (index >= R.APIC_TMR && index < R.APIC_IRR) return this.tmr.words[index - R.APIC_TMR] >>> 0;
        if (index >= R.APIC_IRR && index < R.APIC_ESR) return this.irr.words[index - R.APIC_IRR] >>> 0;
        if (index >= R.APIC_LVT_TIMER && index <= R.APIC_LVT_ERROR) return this.lvt[index - R.APIC_LVT_TIMER] >>> 0;
        return -1;
    }
  }

  /** Bits that a register does not have are dropped. @returns false where there is nothing to write. */
  private writeRegister(index: number, value: number): boolean {
    switch (index) {
      case R.APIC_ID:
        return !this.x2; // read-only on this processor: the ID is what topology enumeration told
      case R.APIC_TPR:
        this.tpr = value & 0xff;
        this.update();
        return true;
      case R.APIC_LDR:
        this.ldr = (value & 0xff00_0000) >>> 0;
        return true;
      case R.APIC_DFR:
        this.dfr = (value | 0x0fff_ffff) >>> 0;
        return true;
      case R.APIC_SVR:
        this.svr = value & 0x11ff;
        if ((value & R.SVR_ENABLE) === 0) {
          // Software-disabled: every LVT entry is masked, and stays so (11.4.7.2).
          for (let i = 0; i < 6; i++) this.lvt[i] |= R.LVT_MASKED;
          this.gateLint0();
        }
        return true;
      case R.APIC_ESR:
        this.esr = this.esrPending;
        this.esrPending = 0;
        return true;
      case R.APIC_ICR_LOW:
        this.icrLow = value & 0x000c_cfff;
        this.sendIpi();
        return true;
      case R.APIC_ICR_HIGH:
        this.icrHigh = (value & 0xff00_0000) >>> 0;
        return true;
      case R.APIC_INITIAL_COUNT:
        this.timer.setInitialCount(value);
        return true;
      case R.APIC_DIVIDE:
        this.timer.setDivide(value);
        return true;
      default:
        if (index >= R.APIC_LVT_TIMER && index <= R.APIC_LVT_ERROR) {
          this.writeLvt(index - R.APIC_LVT_TIMER, value);
          return true;
        }
        return false;
    }
  }

  private writeLvt(entry: number, value: number): void {
    let lvt = (value & R.LVT_WRITABLE[entry]) | (this.lvt[entry] & R.LVT_REMOTE_IRR);
    if ((this.svr & R.SVR_ENABLE) === 0) lvt |= R.LVT_MASKED;
    if ((lvt & R.LVT_TRIGGER_LEVEL) === 0) lvt &= ~R.LVT_REMOTE_IRR;
    this.lvt[entry] = lvt;
    if (entry === 0) this.timer.setMode((value >> 17) & 3);
    else if (entry === 3) this.gateLint0();
    if (entry === 3 || entry === 4) this.serveLevelLint(entry);
  }

  /** Legal changes only: figure 11-27. Base beyond MAXPHYADDR and undefined bits are reserved. */
  private writeBase(low: number, high: number): boolean {
    const known = 0xffff_f000 | R.BASE_BSP | R.BASE_ENABLE | (this.offersX2apic ? R.BASE_EXTD : 0);
    if ((low & ~known) !== 0 || high > 0xff) return false;
    const enable = (low & R.BASE_ENABLE) !== 0;
    const x2 = (low & R.BASE_EXTD) !== 0;
    if (x2 && !enable) return false;
    if (x2 && !this.enabled) return false; // from disabled straight to x2APIC
    if (!x2 && enable && this.x2) return false; // from x2APIC back to xAPIC
    const wasEnabled = this.enabled;
    const wasX2 = this.x2;
    this.baseLow = ((low & ~R.BASE_BSP) | (this.bsp ? R.BASE_BSP : 0)) >>> 0;
    this.baseHigh = high;
    this.enabled = enable;
    this.x2 = x2;
    if (wasEnabled !== enable) this.initRegisters();
    if (!wasX2 && x2) this.icrHigh = 0;
    this.update();
    return true;
  }

  // ---- interrupts ----------------------------------------------------------------------------------------------

  private request(vector: number, level: boolean): void {
    if (vector < 16) {
      this.error(R.ESR_RECEIVE_ILLEGAL_VECTOR);
      return;
    }
    this.irr.add(vector);
    if (level) this.tmr.add(vector);
    else this.tmr.delete(vector);
    this.update();
  }

  /** End of interrupt: the highest vector in service is done (11.8.5). */
  private eoi(): void {
    const vector = this.isr.top;
    if (vector === 0) return;
    this.isr.delete(vector);
    if (this.tmr.has(vector)) {
      this.endLevelLint(vector);
      if ((this.svr & R.SVR_SUPPRESS_EOI_BROADCAST) === 0) this.fabric.broadcastEoi(vector);
    }
    this.update();
  }

  /** PPR is the higher class of TPR and highest vector in service (11.8.3.1); INTR follows. */
  private update(): void {
    const service = this.isr.top & 0xf0;
    const ppr = (this.tpr & 0xf0) >= service ? this.tpr : service;
    this.ppr = ppr;
    const request =
      (this.enabled && (this.irr.top & 0xf0) > (ppr & 0xf0)) ||
      this.extIntLatched ||
      (this.lint0IsExtInt && this.lint[0] && this.acknowledgeExtInt !== undefined);
    if (request !== this.requesting) {
      this.requesting = request;
      this.cpu.setInterruptRequest(request);
    }
  }

  /** A local source fired: what its LVT entry says (11.5.1). */
  private signal(entry: number): void {
    const lvt = this.lvt[entry];
    if ((lvt & R.LVT_MASKED) !== 0 || !this.enabled) return;
    // Timer and error entries have no delivery mode: their bits 10:8 are 0, fixed.
    switch ((lvt >> 8) & 7) {
      case DELIVERY_FIXED:
        this.request(lvt & 0xff, false);
        break;
      case DELIVERY_NMI:
        this.cpu.nmi();
        break;
      case DELIVERY_INIT:
        this.initRegisters();
        this.cpu.init();
        break;
      default:
        break; // SMI, ExtINT (a level, see gateLint0) and the reserved ones
    }
  }

  /** An error is recorded, and signalled through the error entry (11.5.3). */
  private error(bit: number): void {
    const lvt = this.lvt[5];
    this.esrPending |= bit;
    if ((lvt & R.LVT_MASKED) !== 0) return;
    // An illegal vector in the error entry itself is one more error, but does not signal again.
    if ((lvt & 0xff) < 16) this.esrPending |= R.ESR_RECEIVE_ILLEGAL_VECTOR;
    else this.request(lvt & 0xff, false);
  }

  private setLint(pin: 0 | 1, level: boolean): void {
    if (this.lint[pin] === level) return;
    this.lint[pin] = level;
    const lvt = this.lvt[3 + pin];
    if (pin === 0 && this.lint0IsExtInt) this.update();
    else if (((lvt >> 8) & 7) === DELIVERY_FIXED && (lvt & R.LVT_TRIGGER_LEVEL) !== 0) this.serveLevelLint(3 + pin);
    else if (level) {
      if (pin === 1 && !this.enabled)
        this.cpu.nmi(); // LINT1 is the NMI pin when the APIC is off (11.4.3)
      else this.signal(3 + pin);
    }
  }

  private gateLint0(): void {
    const lvt = this.lvt[3];
    this.lint0IsExtInt = !this.enabled || ((lvt & R.LVT_MASKED) === 0 && ((lvt >> 8) & 7) === DELIVERY_EXTINT);
    this.update();
  }

  /** A level-triggered LINT pin with fixed delivery: requests while high and not in service (remote IRR, 11.5.1). */
  private serveLevelLint(entry: number): void {
    const lvt = this.lvt[entry];
    const wanted = R.LVT_TRIGGER_LEVEL;
    if (!this.lint[entry - 3] || !this.enabled) return;
    if ((lvt & (wanted | R.LVT_MASKED | R.LVT_REMOTE_IRR | 0x700)) !== wanted) return;
    this.lvt[entry] = lvt | R.LVT_REMOTE_IRR;
    this.request(lvt & 0xff, true);
  }

  private endLevelLint(vector: number): void {
    for (let entry = 3; entry <= 4; entry++) {
      const lvt = this.lvt[entry];
      if ((lvt & R.LVT_REMOTE_IRR) === 0 || (lvt & 0xff) !== vector) continue;
      this.lvt[entry] = lvt & ~R.LVT_REMOTE_IRR;
      this.serveLevelLint(entry);
    }
  }

  private selfIpi(vector: number): void {
    const ipi = this.ipi;
    ipi.deliveryMode = DELIVERY_FIXED;
    ipi.vector = vector;
    ipi.trigger = TRIGGER_EDGE;
    this.accept(ipi);
  }

  /** Sends what the ICR says (11.6.1). It is done at once, so delivery status always reads idle. */
  private sendIpi(): void {
    const low = this.icrLow;
    const mode = (low >> 8) & 7;
    const vector = low & 0xff;
    // INIT level de-assert only reset arbitration IDs, long ago; later processors ignore it.
    if (mode === DELIVERY_INIT && (low & 0xc000) === 0x8000) return;
    if (!this.enabled) return;
    if ((mode === DELIVERY_FIXED || mode === DELIVERY_LOWEST_PRIORITY) && vector < 16) {
      this.error(R.ESR_SEND_ILLEGAL_VECTOR);
      return;
    }
    const ipi = this.ipi;
    ipi.deliveryMode = mode;
    ipi.vector = vector;
    ipi.trigger = TRIGGER_EDGE;
    switch ((low >> 18) & 3) {
      case 0:
        ipi.destMode = (low & 0x800) !== 0 ? DEST_LOGICAL : DEST_PHYSICAL;
        ipi.dest = this.x2 ? this.icrHigh : this.icrHigh >>> 24;
        this.fabric.deliver(ipi, this.x2);
        break;
      case 1:
        // Only fixed and NMI make sense to oneself (table 11-3); the rest is ignored.
        if (mode === DELIVERY_FIXED || mode === DELIVERY_NMI) this.accept(ipi);
        break;
      case 2:
        this.fabric.deliverToAll(ipi);
        break;
      default:
        this.fabric.deliverToAll(ipi, this);
    }
  }

  // ---- snapshot ------------------------------------------------------------------------------------------------

  save(): LapicState {
    return {
      version: 1,
      baseLow: this.baseLow,
      baseHigh: this.baseHigh,
      tpr: this.tpr,
      ldr: this.ldr,
      dfr: this.dfr,
      svr: this.svr,
      esr: this.esr,
      esrPending: this.esrPending,
      icrLow: this.icrLow,
      icrHigh: this.icrHigh,
      lvt: Array.from(this.lvt),
      isr: this.isr.save(),
      tmr: this.tmr.save(),
      irr: this.irr.save(),
      lint: [...this.lint],
      extIntLatched: this.extIntLatched,
      timer: this.timer.save(),
    };
  }

  /** @throws UnknownStateVersion */
  restore(state: LapicState): void {
    requireVersion('local APIC', state, 1);
    this.baseLow = state.baseLow;
    this.baseHigh = state.baseHigh;
    this.enabled = (state.baseLow & R.BASE_ENABLE) !== 0;
    this.x2 = (state.baseLow & R.BASE_EXTD) !== 0;
    this.tpr = state.tpr;
    this.ldr = state.ldr;
    this.dfr = state.dfr;
    this.svr = state.svr;
    this.esr = state.esr;
    this.esrPending = state.esrPending;
    this.icrLow = state.icrLow;
    this.icrHigh = state.icrHigh;
    this.lvt.set(state.lvt);
    this.isr.restore(state.isr);
    this.tmr.restore(state.tmr);
    this.irr.restore(state.irr);
    this.lint[0] = state.lint[0];
    this.lint[1] = state.lint[1];
    this.extIntLatched = state.extIntLatched;
    this.timer.restore(state.timer);
    this.gateLint0();
    this.cpu.setInterruptRequest(this.requesting);
  }
}
