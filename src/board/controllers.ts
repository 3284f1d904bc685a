/**
 * The interrupt controllers and the timer that hangs on them: ours (8259 pair, IOAPIC, a local APIC for each processor,
 * 8254), or the engine's own. Whoever has them, the board's devices see the same lines (interrupts.ts).
 */
import type { Clock, IrqLine } from '../devices/device.js';
import { IOAPIC_WINDOW, IoApic, type IoApicState } from '../devices/ioapic/index.js';
import {
  ApicBus,
  type ApicFabric,
  type ApicMessage,
  type LapicCpuPort,
  type LapicState,
  LocalApic,
  MSR_APIC_BASE,
  MSR_TSC_ADJUST,
  MSR_TSC_DEADLINE,
  MSR_X2APIC_FIRST,
  MSR_X2APIC_LAST,
  msiAddress,
  msiData,
  type TscSource,
} from '../devices/lapic/index.js';
import { Pic8259Pair, type PicState } from '../devices/pic/pic.js';
import { Pit8254, type PitState } from '../devices/pit/pit.js';
import type { EngineControllers, EngineInterruptState, EngineLocalApics, MsrValue } from '../engine/contract.js';
import type { MmioBus, PortBus } from './bus.js';
import { InterruptRouter } from './interrupts.js';
import * as MAP from './memory-map.js';

export const IOAPIC_ID = 0;
/** PCI interrupts and the SCI are levels: IRQ 9, 10 and 11, in the two bytes of the edge/level registers. */
const LEVEL_IRQS = 0b1110_0000_0000;

/** Each controller where it is: the board's chips, its local APICs, and what the engine has. */
export interface ControllersState {
  pic?: PicState;
  pit?: PitState;
  ioapic?: IoApicState;
  lapics?: LapicState[];
  engine?: EngineInterruptState;
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

interface ChipsOptions {
  readonly clock: Clock;
  readonly ports: PortBus;
  readonly mmio: MmioBus;
}

/** What the chips hang on: the way to the local APICs, and the 8259 pair's INTR. */
interface ChipsWires {
  readonly fabric: Pick<ApicFabric, 'deliver'>;
  readonly onLevelEntry?: (pin: number, message: ApicMessage) => void;
  readonly intr: IrqLine;
}

/** 8259 pair, IOAPIC and 8254 of the board's own, as they are wired on every PC. */
class Chips {
  readonly pic = new Pic8259Pair();
  readonly ioapic: IoApic;
  readonly pit: Pit8254;
  readonly router: InterruptRouter;

  constructor({ clock, ports, mmio }: ChipsOptions, { fabric, onLevelEntry, intr }: ChipsWires) {
    const { pic } = this;
    const ioapic = new IoApic({ id: IOAPIC_ID, fabric, ...(onLevelEntry && { onLevelEntry }) });
    this.ioapic = ioapic;
    mmio.map(MAP.IOAPIC_BASE, IOAPIC_WINDOW, ioapic, 'IOAPIC');
    ports.map(0x20, 2, pic.master, '8259 master');
    ports.map(0xa0, 2, pic.slave, '8259 slave');
    ports.map(0x4d0, 2, pic.elcr, '8259 edge/level control');

    // Their wires.
    this.router = new InterruptRouter((irq) => pic.irq(irq), ioapic.pins);
    const picToIoapic = this.router.gsi(0);
    pic.onIntr((level) => {
      intr.set(level);
      picToIoapic.set(level);
    });

    this.pit = new Pit8254({ clock, irq0: this.router.isa(0) });
    ports.map(0x40, 4, this.pit, 'PIT');
    ports.map(0x61, 1, this.pit.port61, 'system control port B');
  }

  setUp(): void {
    this.pic.elcr.portOut(1, 1, LEVEL_IRQS >> 8);
  }

  save(): Required<Pick<ControllersState, 'pic' | 'pit' | 'ioapic'>> {
    return { pic: this.pic.save(), pit: this.pit.save(), ioapic: this.ioapic.save() };
  }

  restore({ pic, pit, ioapic }: ControllersState): void {
    if (pic === undefined || pit === undefined || ioapic === undefined) throw elsewhere();
    this.pit.restore(pit);
    this.pic.restore(pic);
    this.ioapic.restore(ioapic);
  }
}

function elsewhere(): RangeError {
  return new RangeError('The snapshot has its interrupt controllers elsewhere than this machine.');
}

export interface OwnControllersOptions extends ChipsOptions {
  readonly cpus: number;
  readonly tsc: (cpu: number) => TscSource;
  readonly x2apic?: boolean;
  readonly apicTimerHz?: number;
}

/** Ours. */
export class OwnControllers implements Controllers {
  readonly apicBus = new ApicBus();
  readonly lapics: readonly LocalApic[];
  readonly router: InterruptRouter;
  private readonly chips: Chips;

  constructor(options: OwnControllersOptions) {
    const { cpus, clock, tsc, x2apic, apicTimerHz } = options;
    const { apicBus } = this;
    this.lapics = Array.from(
      { length: cpus },
      (_, id) =>
        new LocalApic({
          id,
          bsp: id === 0,
          clock,
          fabric: apicBus,
          tsc: tsc(id),
          acknowledgeExtInt: () => this.chips.pic.acknowledge(),
          ...(x2apic !== undefined && { x2apic }),
          ...(apicTimerHz !== undefined && { timerHz: apicTimerHz }),
        }),
    );
    for (const lapic of this.lapics) apicBus.attach(lapic);
    this.chips = new Chips(options, { fabric: apicBus, intr: this.lapics[0].lint0 });
    apicBus.onEoi((vector) => this.chips.ioapic.eoi(vector));
    this.router = this.chips.router;
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
    this.chips.setUp();
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
    return { ...this.chips.save(), lapics: this.lapics.map((lapic) => lapic.save()) };
  }

  restore(state: ControllersState): void {
    const { lapics } = state;
    if (lapics === undefined) throw elsewhere();
    if (lapics.length !== this.lapics.length) {
      throw new RangeError(`The snapshot has ${lapics.length} vCPUs; this machine has ${this.lapics.length}.`);
    }
    this.chips.restore(state);
    this.lapics.forEach((lapic, i) => {
      lapic.restore(lapics[i]);
    });
  }
}

/** Of the local APICs the engine's: their pages and MSRs never come out to us. */
abstract class EngineApics implements Controllers {
  abstract readonly router: InterruptRouter;
  readonly apicIds: readonly number[];

  constructor(cpus: number) {
    this.apicIds = Array.from({ length: cpus }, (_, id) => id);
  }

  attachVcpus(vcpus: readonly LapicCpuPort[]): void {
    if (vcpus.length !== this.apicIds.length) {
      throw new RangeError(`The board was made for ${this.apicIds.length} vCPUs, not ${vcpus.length}.`);
    }
  }

  abstract deliverMsi(address: number, data: number): void;
  abstract setUp(): void;
  abstract acknowledge(cpu: number): number;
  abstract save(): ControllersState;
  abstract restore(state: ControllersState): void;

  lapicRead(): undefined {}

  lapicWrite(): boolean {
    return false;
  }

  readMsr(): undefined {}

  writeMsr(): boolean {
    return false;
  }

  readCr8(): number {
    return 0;
  }

  writeCr8(): void {}
}

/** All the engine's: we drive their inputs. */
export class ForeignControllers extends EngineApics {
  readonly router: InterruptRouter;
  private readonly engine: EngineControllers;

  constructor(engine: EngineControllers, cpus: number) {
    super(cpus);
    this.engine = engine;
    const line = (set: (level: boolean) => void): IrqLine => ({ set });
    const pins = Array.from({ length: engine.ioapicPins }, (_, pin) =>
      line((level) => engine.setIoapicPin(pin, level)),
    );
    this.router = new InterruptRouter((irq) => line((level) => engine.setPicInput(irq, level)), pins);
  }

  deliverMsi(address: number, data: number): void {
    this.engine.signalMsi(address, data);
  }

  setUp(): void {
    this.engine.setLevelInputs(LEVEL_IRQS);
  }

  acknowledge(): number {
    return -1;
  }

  save(): ControllersState {
    return { engine: this.engine.save() };
  }

  restore({ engine }: ControllersState): void {
    if (engine === undefined) throw elsewhere();
    this.engine.restore(engine);
  }
}

/** The engine's local APICs, and our chips before them. */
export class SplitControllers extends EngineApics {
  readonly router: InterruptRouter;
  private readonly engine: EngineLocalApics;
  private readonly chips: Chips;
  private bootCpu: LapicCpuPort | undefined;

  constructor(engine: EngineLocalApics, cpus: number, options: ChipsOptions) {
    super(cpus);
    this.engine = engine;
    this.chips = new Chips(options, {
      fabric: { deliver: (message) => engine.signalPin(msiAddress(message), msiData(message)) },
      onLevelEntry: (pin, message) => engine.routeLevel(pin, msiAddress(message), msiData(message)),
      // LINT0 of vCPU 0, which its local APIC takes for the 8259 pair's.
      intr: { set: (level) => this.bootCpu?.setInterruptRequest(level) },
    });
    this.router = this.chips.router;
    engine.onEoi((vector) => this.chips.ioapic.eoi(vector));
  }

  override attachVcpus(vcpus: readonly LapicCpuPort[]): void {
    super.attachVcpus(vcpus);
    this.bootCpu = vcpus[0];
  }

  deliverMsi(address: number, data: number): void {
    this.engine.signalMsi(address, data);
  }

  setUp(): void {
    this.chips.setUp();
  }

  acknowledge(): number {
    return this.chips.pic.acknowledge();
  }

  save(): ControllersState {
    return { ...this.chips.save(), engine: this.engine.save() };
  }

  restore(state: ControllersState): void {
    if (state.engine === undefined) throw elsewhere();
    this.chips.restore(state);
    this.engine.restore(state.engine);
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
