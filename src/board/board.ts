/**
 * The board: everything of a PC but its processors, assembled in one place. The constructor reads as a parts list, in the
 * order in which the parts need each other. What the vCPUs do comes in through the methods that `ExitSink` names; what
 * the machine does about it (counters, policies) happens before it comes here.
 *
 * A board is made for one life of the guest: a reset throws it away and makes another.
 */
import { DebugConsole, PostCodePort } from '../devices/debugport/debugport.js';
import type { Clock, MmioDevice, PortDevice } from '../devices/device.js';
import { I8042, type I8042State } from '../devices/i8042/i8042.js';
import type { LapicCpuPort } from '../devices/lapic/index.js';
import {
  configurePci,
  ECAM_BUS_SIZE,
  Ecam,
  HostBridge,
  LpcBridge,
  PCI_CONFIG_PORT,
  PCI_CONFIG_PORTS,
  PciBus,
  type PciBusState,
  PciConfigPorts,
  type PciFunction,
  type PciMapping,
} from '../devices/pci/index.js';
import { requireVersion } from '../devices/persist.js';
import { DEFAULT_S5_TYPE, PmDevice, type PmPorts, type PmState } from '../devices/pm/pm.js';
import { cmosMemorySize, RTC_CENTURY, Rtc, type RtcState } from '../devices/rtc/rtc.js';
import { Uart16550, type UartBackend, type UartState } from '../devices/uart/uart.js';
import type {
  EngineControllers,
  EngineLocalApics,
  EngineShortcuts,
  GuestMemory,
  MsrValue,
} from '../engine/contract.js';
import { type AcpiOptions, buildAcpi } from './acpi/index.js';
import { MmioBus, PortBus, type UnhandledListener } from './bus.js';
import {
  type Controllers,
  type ControllersState,
  ForeignControllers,
  IOAPIC_ID,
  OwnControllers,
  SplitControllers,
} from './controllers.js';
import { type InterruptRouter, PCI_LINK_GSI, PCI_LINK_IRQS, SCI_IRQ, TIMER_GSI } from './interrupts.js';
import type { E820Entry, MemoryLayout } from './memory-map.js';
import * as MAP from './memory-map.js';

/** COM1 to COM4. */
export const SERIAL_PORTS = [
  { base: 0x3f8, irq: 4 },
  { base: 0x2f8, irq: 3 },
  { base: 0x3e8, irq: 4 },
  { base: 0x2e8, irq: 3 },
] as const;

/** The ACPI registers as ICH9 lays them out behind PMBASE. */
const PM_BASE = 0x600;
const PM_LENGTH = 0x80;
const PM_PORTS: PmPorts = { event: PM_BASE, control: PM_BASE + 4, timer: PM_BASE + 8 };
const RESET_PORT = 0xcf9;
/** SYS_RST and RST_CPU: a hard reset. */
const RESET_VALUE = 6;
const DEBUG_CONSOLE_PORT = 0xe9;
const POST_CODE_PORT = 0x80;

export interface BoardOptions {
  readonly memory: GuestMemory;
  readonly cpus: number;
  readonly clock: Clock;
  /** Date and time in milliseconds since 1970-01-01 UTC. */
  readonly wallClock: () => number;
  /** Minutes that the guest's real-time clock is ahead of UTC. Default 0. */
  readonly utcOffsetMinutes?: (wallMs: number) => number;
  /** The machine's time-stamp counter in ticks, before what the guest adds to it. */
  readonly readTsc: () => number;
  readonly tscHz: number;
  /** The counter as the guest reads it on a vCPU, see `TscSource`; for TSC deadlines. Default: `readTsc`. */
  readonly guestTsc?: (cpu: number) => number;
  /** 32 random bits, unsigned. */
  readonly entropy: () => number;
  readonly onPowerOff: () => void;
  readonly onReset: () => void;
  /** An access that no device claims. */
  readonly onUnhandled?: UnhandledListener;
  /** Back ends of COM1 to COM4; a port without one swallows what it is sent. */
  readonly serial?: readonly (UartBackend | undefined)[];
  /** Bytes written to the debug console, port E9h; without it the port is not there. */
  readonly debugConsole?: (byte: number) => void;
  /** Interrupt controllers of the engine's; without them the board has its own. */
  readonly controllers?: EngineControllers | undefined;
  /** Local APICs of the engine's, where the rest is the board's own. */
  readonly localApics?: EngineLocalApics | undefined;
  /** Writes that the engine can take without stopping a vCPU. */
  readonly shortcuts?: EngineShortcuts | undefined;
  /** Whether CPUID offers x2APIC. Default true. */
  readonly x2apic?: boolean;
  /** Hz of the local APICs' timer: the core crystal clock of CPUID 15h, where it tells one. Default 1 GHz. */
  readonly apicTimerHz?: number;
  /**
   * Whether the board does what a BIOS would (tables, BARs, virtual wire). Default true; false for a ROM that does it
   * itself.
   */
  readonly firmware?: boolean;
  /** PCI functions beside those that every board has. */
  readonly pci?: readonly PciSlot[];
}

/** A PCI function and its place. */
export interface PciSlot {
  readonly pci: PciFunction;
  /** 1 to 30. Default: the first free one. */
  readonly device?: number;
  /** 0 to 7, default 0. */
  readonly fn?: number;
}

export interface BoardState extends ControllersState {
  version: 1;
  rtc: RtcState;
  i8042: I8042State;
  uarts: UartState[];
  pm: PmState;
  pciAddress: number;
  pci: PciBusState;
}

const NO_BACKEND: UartBackend = { transmit() {} };

export class Board {
  readonly ports: PortBus;
  readonly mmio: MmioBus;
  readonly layout: MemoryLayout;
  readonly controllers: Controllers;
  readonly rtc: Rtc;
  readonly i8042: I8042;
  /** COM1 to COM4. */
  readonly uarts: readonly Uart16550[];
  readonly pm: PmDevice;
  readonly postCode: PostCodePort;
  readonly pci: PciBus;
  readonly interrupts: InterruptRouter;
  /**
   * The vCPU that runs: whose local APIC the page at FEE00000h shows. A machine with several vCPUs sets it before each
   * slice, as MMIO accesses do not say who made them.
   */
  currentCpu = 0;
  private readonly options: BoardOptions;
  private readonly configPorts: PciConfigPorts;
  private poweredOn = false;

  /** @throws RangeError where the RAM does not fit the memory map, or a PCI function's place is taken or none is left. */
  constructor(options: BoardOptions) {
    const { clock, onReset } = options;
    this.options = options;
    this.layout = MAP.layoutMemory(options.memory.regions);

    // The buses.
    const ports = new PortBus(options.onUnhandled);
    const mmio = new MmioBus(options.onUnhandled);
    this.ports = ports;
    this.mmio = mmio;

    // Interrupt controllers and the timer that hangs on them.
    const { cpus, readTsc, tscHz, guestTsc, x2apic, apicTimerHz } = options;
    const tsc = (cpu: number) => ({ hz: tscHz, now: guestTsc === undefined ? readTsc : () => guestTsc(cpu) });
    const { controllers, localApics } = options;
    this.controllers =
      controllers !== undefined
        ? new ForeignControllers(controllers, cpus)
        : localApics !== undefined
          ? new SplitControllers(localApics, cpus, { clock, ports, mmio })
          : new OwnControllers({
              cpus,
              clock,
              ports,
              mmio,
              tsc,
              ...(x2apic !== undefined && { x2apic }),
              ...(apicTimerHz !== undefined && { apicTimerHz }),
            });
    const interrupts = this.controllers.router;
    this.interrupts = interrupts;

    // The clock with the CMOS memory.
    this.rtc = new Rtc({
      clock,
      irq8: interrupts.isa(8),
      wallClock: options.wallClock,
      ...(options.utcOffsetMinutes && { utcOffsetMinutes: options.utcOffsetMinutes }),
    });
    ports.map(0x70, 2, this.rtc, 'RTC');
    for (const [index, value] of cmosMemorySize(this.layout.below4G, this.layout.above4G)) this.rtc.poke(index, value);

    // Keyboard controller.
    this.i8042 = new I8042({ irq1: interrupts.isa(1), irq12: interrupts.isa(12), onReset });
    ports.map(0x60, 1, this.i8042.data, 'i8042 data');
    ports.map(0x64, 1, this.i8042.command, 'i8042 command');
    ports.map(0x92, 1, this.i8042.port92, 'system control port A');

    // Serial ports.
    this.uarts = SERIAL_PORTS.map(({ base, irq }, i) => {
      const backend = options.serial?.[i] ?? NO_BACKEND;
      const uart = new Uart16550({ clock, irq: interrupts.isa(irq), backend });
      ports.map(base, 8, uart, `COM${i + 1}`);
      return uart;
    });

    // Power management. Its reset register lies among PCI's ports, which pass it on.
    this.pm = new PmDevice({
      clock,
      sci: interrupts.isa(SCI_IRQ),
      ports: { ...PM_PORTS, reset: RESET_PORT },
      onPowerOff: options.onPowerOff,
      onReset,
    });
    let resetControl: PortDevice | undefined;
    for (const { name, base, length, device } of this.pm.blocks) {
      if (base === RESET_PORT) resetControl = device;
      else ports.map(base, length, device, name);
    }

    // Debug ports.
    this.postCode = new PostCodePort(options.shortcuts?.latch(POST_CODE_PORT));
    ports.map(POST_CODE_PORT, 1, this.postCode, 'POST codes');
    if (options.debugConsole !== undefined) {
      ports.map(DEBUG_CONSOLE_PORT, 1, new DebugConsole(options.debugConsole), 'debug console');
    }

    // PCI: both ways into it, the host bridge, and the LPC bridge with the routing of its interrupts.
    this.pci = new PciBus({
      mapPorts: (base, length, device, name) => ports.tryMap(base, length, device, name),
      mapMmio: (base, length, device, name) => this.mapBar(base, length, device, name),
      deliverMsi: (address, data) => this.controllers.deliverMsi(address, data),
    });
    this.configPorts = new PciConfigPorts(this.pci, resetControl);
    ports.map(PCI_CONFIG_PORT, PCI_CONFIG_PORTS, this.configPorts, 'PCI configuration');
    mmio.map(MAP.ECAM_BASE, MAP.ECAM_BUSES * ECAM_BUS_SIZE, new Ecam(this.pci), 'PCI ECAM');
    const lpc = new LpcBridge({
      pmBase: PM_BASE,
      isaIrqs: Array.from({ length: 16 }, (_, irq) => interrupts.picOnly(irq)),
      ioapicPins: [0, 1, 2, 3].map((link) => interrupts.gsi(PCI_LINK_GSI + link)),
      routes: PCI_LINK_IRQS,
    });
    this.pci.add(0, 0, new HostBridge(MAP.ECAM_BASE));
    this.pci.add(31, 0, lpc);
    this.pci.connectLinks(lpc.links);
    for (const { pci, device, fn } of options.pci ?? []) this.pci.add(device ?? this.pci.freeDevice(), fn ?? 0, pci);
  }

  /** What only rings is left to the engine, if it can take it without stopping a vCPU. */
  private mapBar(base: number, length: number, device: MmioDevice, name: string): PciMapping | undefined {
    const mapping = this.mmio.tryMap(base, length, device, name);
    const { shortcuts } = this.options;
    if (mapping === undefined || shortcuts === undefined || device.doorbells === undefined) return mapping;
    const ends = device.doorbells.map(({ offset, size, value }) =>
      shortcuts.doorbell(base + offset, size, value, () => device.mmioWrite(offset, size, value)),
    );
    return {
      unmap: () => {
        for (const end of ends) end();
        mapping.unmap();
      },
    };
  }

  /** Devices with work in flight forget it. */
  close(): void {
    this.pci.reset();
  }

  // ---- power-on ------------------------------------------------------------------------------------------------

  /**
   * Plugs the processors in and powers the board on: what PCI functions there are to be must have been added by now.
   * @throws RangeError where there are not as many as the board was made for.
   */
  attachVcpus(vcpus: readonly LapicCpuPort[]): void {
    this.controllers.attachVcpus(vcpus);
    if (this.options.firmware !== false) this.playFirmware();
  }

  /** The part of a BIOS that a directly booted kernel relies on. Does its work once. */
  private playFirmware(): void {
    if (this.poweredOn) return;
    this.poweredOn = true;
    const { memory } = this.options;
    this.controllers.setUp();
    configurePci(this.pci, MAP.FIRMWARE_WINDOWS, PCI_LINK_IRQS);
    // BIOS data area: segment of the extended one (40Eh), KiB of conventional memory (413h).
    memory.write(0x40e, Uint8Array.of((MAP.EBDA_BASE >> 4) & 0xff, MAP.EBDA_BASE >> 12));
    memory.write(0x413, Uint8Array.of((MAP.EBDA_BASE >> 10) & 0xff, MAP.EBDA_BASE >> 18));
    memory.write(MAP.EBDA_BASE, Uint8Array.of(1)); // its length in KiB
    for (const { gpa, bytes } of buildAcpi(this.acpiOptions())) memory.write(gpa, bytes);
  }

  private acpiOptions(): AcpiOptions {
    const slots = new Set(this.pci.functions.map((fn) => fn.devfn >> 3));
    return {
      area: this.layout.acpi,
      facsGpa: this.layout.facsGpa,
      rsdpGpa: this.layout.rsdpGpa,
      fadt: {
        pm: {
          event: PM_PORTS.event,
          control: PM_PORTS.control,
          timer: PM_PORTS.timer,
          timer32: true,
          gpe0: { port: 0, length: 0 },
        },
        sciIrq: SCI_IRQ,
        reset: { port: RESET_PORT, value: RESET_VALUE },
        century: RTC_CENTURY,
      },
      madt: {
        lapicBase: MAP.LAPIC_BASE,
        apicIds: this.controllers.apicIds,
        ioapic: { id: IOAPIC_ID, base: MAP.IOAPIC_BASE },
        timerGsi: TIMER_GSI,
        sciIrq: SCI_IRQ,
      },
      dsdt: {
        s5SleepType: DEFAULT_S5_TYPE,
        ecam: { base: MAP.ECAM_BASE, buses: MAP.ECAM_BUSES },
        memory32: [MAP.PCI_MEM_LOW, MAP.PCI_MEM_HIGH],
        memory64: [MAP.PCI_MEM_64],
        pciDevices: [...slots].filter((device) => device !== 0),
        linkIrqs: PCI_LINK_IRQS,
        linkGsi: PCI_LINK_GSI,
        serialPorts: SERIAL_PORTS,
        pm: { base: PM_BASE, length: PM_LENGTH },
      },
    };
  }

  /** What INT 15h E820h would say: for boot_params and PVH's start information. */
  get memoryMap(): readonly E820Entry[] {
    return this.layout.e820;
  }

  /** Gpa of the ACPI root pointer; 0 where the board does not play the firmware. */
  get acpiRsdp(): number {
    return this.options.firmware === false ? 0 : this.layout.rsdpGpa;
  }

  // ---- what the vCPUs do: the shape of ExitSink ----------------------------------------------------------------

  portIn(port: number, size: 1 | 2 | 4): number {
    return this.ports.in(port, size);
  }

  portOut(port: number, size: 1 | 2 | 4, value: number): void {
    this.ports.out(port, size, value);
  }

  /** The local APIC's page comes first: each processor sees its own, wherever it has moved it. */
  mmioRead(gpa: number, size: 1 | 2 | 4): number {
    return this.controllers.lapicRead(this.currentCpu, gpa, size) ?? this.mmio.read(gpa, size);
  }

  mmioWrite(gpa: number, size: 1 | 2 | 4, value: number): void {
    if (!this.controllers.lapicWrite(this.currentCpu, gpa, size, value)) this.mmio.write(gpa, size, value);
  }

  readMsr(cpu: number, msr: number): MsrValue | undefined {
    return this.controllers.readMsr(cpu, msr);
  }

  writeMsr(cpu: number, msr: number, low: number, high: number): boolean {
    return this.controllers.writeMsr(cpu, msr, low, high);
  }

  acknowledgeInterrupt(cpu: number): number {
    return this.controllers.acknowledge(cpu);
  }

  readCr8(cpu: number): number {
    return this.controllers.readCr8(cpu);
  }

  writeCr8(cpu: number, value: number): void {
    this.controllers.writeCr8(cpu, value);
  }

  readTsc(_cpu: number): number {
    return this.options.readTsc();
  }

  entropy(): number {
    return this.options.entropy();
  }

  // ---- snapshot ------------------------------------------------------------------------------------------------

  /** The board's own devices; PCI functions that were added save what they hold beside configuration space. */
  save(): BoardState {
    return {
      version: 1,
      ...this.controllers.save(),
      rtc: this.rtc.save(),
      i8042: this.i8042.save(),
      uarts: this.uarts.map((uart) => uart.save()),
      pm: this.pm.save(),
      pciAddress: this.configPorts.address,
      pci: this.pci.save(),
    };
  }

  /**
   * Into a board of the same make, instead of power-on. Devices first: they drive their lines, and what the controllers
   * make of that is overwritten by what they had made of it when the snapshot was taken. The vCPUs have their state by
   * now: TSC deadlines are measured by their TSC.
   * @throws UnknownStateVersion, or RangeError where the number of vCPUs differs.
   */
  restore(state: BoardState): void {
    requireVersion('board', state, 1);
    this.poweredOn = true;
    this.rtc.restore(state.rtc);
    this.i8042.restore(state.i8042);
    this.uarts.forEach((uart, i) => {
      uart.restore(state.uarts[i]);
    });
    this.pm.restore(state.pm);
    this.configPorts.address = state.pciAddress;
    this.pci.restore(state.pci);
    this.controllers.restore(state);
    this.pci.resume();
  }
}
