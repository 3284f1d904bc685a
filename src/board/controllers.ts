/**
 * The interrupt controllers and the timer that hangs on them: ours (8259 pair, IOAPIC, a local APIC for each processor,
 * 8254), or the engine's own. Whoever has them, the board's devices see the same lines (interrupts.ts).
 */
import type { Clock, IrqLine } from '../devices/device.js';
import { IOAPIC_WINDOW, IoApic, type IoApicState } from '../devices/ioapic/index.js';
import {
  ApicBus,
  type LapicCpuPort,
  type LapicState,
  LocalApic,
  MSR_APIC_BASE,
  MSR_TSC_ADJUST,
  MSR_TSC_DEADLINE,
  MSR_X2APIC_FIRST,
  MSR_X2APIC_LAST,
  type TscSource,
} from '../devices/lapic/index.js';
import { Pic8259Pair, type PicState } from '../devices/pic/pic.js';
import { Pit8254, type PitState } from '../devices/pit/pit.js';
import type { EngineControllers, MsrValue } from '../engine/contract.js';
import type { MmioBus, PortBus } from './bus.js';
import { InterruptRouter } from './interrupts.js';
import * as MAP from './memory-map.js';

export const IOAPIC_ID = 0;
/** PCI interrupts and the SCI are levels: IRQ 9, 10 and 11, in the two bytes of the edge/level registers. */
const LEVEL_IRQS = 0b1110_0000_0000;

export interface ControllersState {
  pic: PicState;
  pit: PitState;
  ioapic: IoApicState;
  lapics: LapicState[];
}

export interface Controllers {
  /** The lines that devices drive. */
  readonly router: InterruptRouter;
  readonly apicIds: readonly number[];
  deliverMsi(address: number, data: number): void;
  /** @throws RangeError where there are not as many as there are local APICs */
  attachVcpus(vcpus: readonly LapicCpuPort[]): void;
  /** What a BIOS sets up: virtual wire mode, and which ISA interrupts are levels. */
  setUp(): void;
  /** The local APIC's page, where the processor has it there and it is ours; undefined: the address is somebody else's. */
  lapicRead(cpu: number, gpa: number, size: 1 | 2 | 4): number | undefined;
  lapicWrite(cpu: number, gpa: number, size: 1 | 2 | 4, value: number): boolean;
  readMsr(cpu: number, msr: number): MsrValue | undefined;
  writeMsr(cpu: number, msr: number, low: number, high: number): boolean;
  acknowledge(cpu: number): number;
  readCr8(cpu: number): number;
  writeCr8(cpu: number, value: number): void;
  save(): ControllersState;
  restore(state: ControllersState): void;
}

export interface OwnControllersOptions {
  readonly cpus: number;
  readonly clock: Clock;
  readonly ports: PortBus;
  readonly mmio: MmioBus;
  readonly tsc: (cpu: number) => TscSource;
  readonly x2apic?: boolean;
  readonly apicTimerHz?: number;
}

/** Ours. */
export class OwnControllers implements Controllers {
  readonly pic = new Pic8259Pair();
  readonly apicBus = new ApicBus();
  readonly ioapic: IoApic;
  readonly lapics: readonly LocalApic[];
  readonly pit: Pit8254;
  readonly router: InterruptRouter;

  constructor({ cpus, clock, ports, mmio, tsc, x2apic, apicTimerHz }: OwnControllersOptions) {
    const { pic, apicBus } = this;
    const ioapic = new IoApic({ id: IOAPIC_ID, fabric: apicBus });
    this.ioapic = ioapic;
    this.lapics = Array.from(
      { length: cpus },
      (_, id) =>
        new LocalApic({
          id,
          bsp: id === 0,
          clock,
          fabric: apicBus,
          tsc: tsc(id),
          acknowledgeExtInt: () => pic.acknowledge(),
          ...(x2apic !== undefined && { x2apic }),
          ...(apicTimerHz !== undefined && { timerHz: apicTimerHz }),
        }),
    );
    for (const lapic of this.lapics) apicBus.attach(lapic);
    apicBus.onEoi((vector) => ioapic.eoi(vector));
    mmio.map(MAP.IOAPIC_BASE, IOAPIC_WINDOW, ioapic, 'IOAPIC');
    ports.map(0x20, 2, pic.master, '8259 master');
    ports.map(0xa0, 2, pic.slave, '8259 slave');
    ports.map(0x4d0, 2, pic.elcr, '8259 edge/level control');

    // Their wires.
    this.router = new InterruptRouter((irq) => pic.irq(irq), ioapic.pins);
    const picToIoapic = this.router.gsi(0);
    const picToLint0 = this.lapics[0].lint0;
    pic.onIntr((level) => {
      picToLint0.set(level);
      picToIoapic.set(level);
    });

    this.pit = new Pit8254({ clock, irq0: this.router.isa(0) });
    ports.map(0x40, 4, this.pit, 'PIT');
    ports.map(0x61, 1, this.pit.port61, 'system control port B');
  }

  get apicIds(): readonly number[] {
    return this.lapics.map(({ id }) => id);
  }

  deliverMsi(address: number, data: number): void {
    this.apicBus.deliverMsi(address, data);
  }

  attachVcpus(vcpus: readonly LapicCpuPort[]): void {
    if (vcpus.length !== this.lapics.length) {
      throw new RangeError(`The board was made for ${this.lapics.length} vCPUs, not ${vcpus.length}.`);
    }
    this.lapics.forEach((lapic, i) => {
      lapic.attachCpu(vcpus[i]);
    });
  }

  setUp(): void {
    this.lapics[0].setVirtualWire();
    this.pic.elcr.portOut(1, 1, LEVEL_IRQS >> 8);
  }

  lapicRead(cpu: number, gpa: number, size: 1 | 2 | 4): number | undefined {
    const lapic = this.lapics[cpu];
    const offset = gpa - lapic.mmioBase;
    return offset >= 0 && offset < 0x1000 && lapic.mmioEnabled ? lapic.mmioRead(offset, size) : undefined;
  }

  lapicWrite(cpu: number, gpa: number, size: 1 | 2 | 4, value: number): boolean {
    const lapic = this.lapics[cpu];
    const offset = gpa - lapic.mmioBase;
    if (offset < 0 || offset >= 0x1000 || !lapic.mmioEnabled) return false;
    lapic.mmioWrite(offset, size, value);
    return true;
  }

  readMsr(cpu: number, msr: number): MsrValue | undefined {
    return isLapicMsr(msr) ? this.lapics[cpu].readMsr(msr) : undefined;
  }

  writeMsr(cpu: number, msr: number, low: number, high: number): boolean {
    return isLapicMsr(msr) && this.lapics[cpu].writeMsr(msr, low, high);
  }

  acknowledge(cpu: number): number {
    return this.lapics[cpu].acknowledge();
  }

  readCr8(cpu: number): number {
    return this.lapics[cpu].cr8;
  }

  writeCr8(cpu: number, value: number): void {
    this.lapics[cpu].cr8 = value;
  }

  save(): ControllersState {
    return {
      pic: this.pic.save(),
      pit: this.pit.save(),
      ioapic: this.ioapic.save(),
      lapics: this.lapics.map((lapic) => lapic.save()),
    };
  }

  restore(state: ControllersState): void {
    if (state.lapics.length !== this.lapics.length) {
      throw new RangeError(`The snapshot has ${state.lapics.length} vCPUs; this machine has ${this.lapics.length}.`);
    }
    this.pit.restore(state.pit);
    this.pic.restore(state.pic);
    this.ioapic.restore(state.ioapic);
    this.lapics.forEach((lapic, i) => {
      lapic.restore(state.lapics[i]);
    });
  }
}

/** The engine's: its ports and pages never come out to us, and we drive its inputs. */
export class ForeignControllers implements Controllers {
  readonly router: InterruptRouter;
  readonly apicIds: readonly number[];
  private readonly engine: EngineControllers;

  constructor(engine: EngineControllers, cpus: number) {
    this.engine = engine;
    this.apicIds = Array.from({ length: cpus }, (_, id) => id);
    const line = (set: (level: boolean) => void): IrqLine => ({ set });
    const pins = Array.from({ length: engine.ioapicPins }, (_, pin) =>
      line((level) => engine.setIoapicPin(pin, level)),
    );
    this.router = new InterruptRouter((irq) => line((level) => engine.setPicInput(irq, level)), pins);
  }

  deliverMsi(address: number, data: number): void {
    this.engine.signalMsi(address, data);
  }

  attachVcpus(vcpus: readonly LapicCpuPort[]): void {
    if (vcpus.length !== this.apicIds.length) {
      throw new RangeError(`The board was made for ${this.apicIds.length} vCPUs, not ${vcpus.length}.`);
    }
  }

  setUp(): void {
    this.engine.setLevelInputs(LEVEL_IRQS);
  }

  lapicRead(): undefined {}

  lapicWrite(): boolean {
    return false;
  }

  readMsr(): undefined {}

  writeMsr(): boolean {
    return false;
  }

  acknowledge(): number {
    return -1;
  }

  readCr8(): number {
    return 0;
  }

  writeCr8(): void {}

  save(): never {
    throw new RangeError('The engine has the interrupt controllers, so the board cannot save them.');
  }

  restore(): never {
    throw new RangeError('The engine has the interrupt controllers, so the board cannot restore them.');
  }
}

function isLapicMsr(msr: number): boolean {
  return (
    (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST) ||
    msr === MSR_TSC_DEADLINE ||
    msr === MSR_APIC_BASE ||
    msr === MSR_TSC_ADJUST
  );
}
