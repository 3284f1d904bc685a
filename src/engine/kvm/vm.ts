/** A virtual machine of KVM: its descriptor, memory slots, interrupt controllers and MSR filter, shared by its vCPUs. */
import type { EngineConfig, ExitSink, IrqchipMode } from '../contract.js';
import * as A from './abi.js';
import type { KvmCalls, KvmHost, SharedRam } from './calls.js';
import type { InstructionHelper } from './completion.js';
import { type CpuidEntry, cpuidBuffer, parseCpuid } from './cpuid.js';
import { KvmMemory } from './memory.js';
import { bytesOf, type StateTransfer } from './state.js';

/** This KVM lacks something that no guest can do without. The message is one sentence. */
export class KvmUnfitError extends Error {
  override readonly name = 'KvmUnfitError';
}

/** What every machine needs, by the name that the kernel's documentation has. */
const NEEDED: readonly (readonly [capability: number, name: string])[] = [
  [A.KVM_CAP_USER_MEMORY, 'KVM_CAP_USER_MEMORY'],
  [A.KVM_CAP_IMMEDIATE_EXIT, 'KVM_CAP_IMMEDIATE_EXIT'],
  [A.KVM_CAP_XSAVE, 'KVM_CAP_XSAVE'],
  [A.KVM_CAP_DEBUGREGS, 'KVM_CAP_DEBUGREGS'],
  [A.KVM_CAP_X86_USER_SPACE_MSR, 'KVM_CAP_X86_USER_SPACE_MSR'],
  [A.KVM_CAP_X86_MSR_FILTER, 'KVM_CAP_X86_MSR_FILTER'],
];
const NEEDED_BY_CHIP: { readonly [M in IrqchipMode]: readonly (readonly [number, string])[] } = {
  machine: [],
  split: [[A.KVM_CAP_SPLIT_IRQCHIP, 'KVM_CAP_SPLIT_IRQCHIP']],
  kernel: [
    [A.KVM_CAP_IRQCHIP, 'KVM_CAP_IRQCHIP'],
    [A.KVM_CAP_PIT2, 'KVM_CAP_PIT2'],
  ],
};
/** Where Intel's processors without unrestricted guests keep a TSS and a page table: below the BIOS, four pages. */
const IDENTITY_MAP = 0xfffb_c000;
const TSS_AREA = 0xfffb_d000;
/** Most entries of CPUID that we make room for; a processor has a hundred. */
const MOST_CPUID = 512;
/** MSRs of the local APIC that belong to the machine where it has the local APIC. */
const MACHINE_MSRS = [0x1b, 0x6e0];
/** Pins of the IOAPIC. */
const IOAPIC_PINS = 24;

export class KvmVm {
  readonly host: KvmHost;
  readonly calls: KvmCalls;
  readonly sink: ExitSink;
  readonly irqchip: IrqchipMode;
  readonly fd: number;
  readonly memory: KvmMemory;
  readonly cpuid: readonly CpuidEntry[];
  readonly tscDeadline: boolean;
  readonly runSize: number;
  /** Errors of KVM_RUN after which it is to be called again. */
  readonly passing: readonly number[];
  state!: StateTransfer;
  /** Told the vector that a local APIC has ended, with a split irqchip. */
  onEoi: ((vector: number) => void) | undefined;
  /** Who completes instructions that KVM can't: see completion.ts. Made when first needed. */
  helper: (() => InstructionHelper) | undefined;
  private readonly ram: SharedRam;
  private readonly msi = new DataView(new ArrayBuffer(A.SIZE.msi));

  /** @throws KvmUnfitError, CallError */
  constructor(host: KvmHost, config: EngineConfig, passing: readonly number[]) {
    const { calls } = host;
    this.host = host;
    this.calls = calls;
    this.sink = config.sink;
    this.irqchip = config.irqchip ?? 'machine';
    this.passing = passing;
    this.requireFitness();
    this.cpuid = this.supportedCpuid();
    this.tscDeadline = this.has(A.KVM_CAP_TSC_DEADLINE_TIMER);
    this.runSize = calls.ioctl(host.kvm, A.KVM_GET_VCPU_MMAP_SIZE, 0, 'KVM_GET_VCPU_MMAP_SIZE');
    this.ram = host.allocateRam(config.memorySize);
    this.memory = new KvmMemory(calls, this.ram);
    this.fd = calls.ioctl(host.kvm, A.KVM_CREATE_VM, 0, 'KVM_CREATE_VM');
    try {
      this.set(A.KVM_SET_IDENTITY_MAP_ADDR, u64(IDENTITY_MAP), 'KVM_SET_IDENTITY_MAP_ADDR');
      calls.ioctl(this.fd, A.KVM_SET_TSS_ADDR, TSS_AREA, 'KVM_SET_TSS_ADDR');
      this.mapMemory();
      this.createIrqchip();
      this.takeMsrs();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Whether the kernel has the local APICs. */
  get hasLapic(): boolean {
    return this.irqchip !== 'machine';
  }

  has(capability: number): boolean {
    return this.calls.ioctl(this.host.kvm, A.KVM_CHECK_EXTENSION, capability, 'KVM_CHECK_EXTENSION') > 0;
  }

  /**
   * The slots of memory anew, while no vCPU runs: a KVM that keeps page tables of its own in place of the guest's (without
   * EPT or NPT) sees what the guest writes to its tables, and not what we do.
   */
  remapMemory(): void {
    this.mapMemory(0, () => 0);
    this.mapMemory();
  }

  /** The slots of memory, with or without an account of the pages that the guest writes. */
  mapMemory(flags = 0, lengthOf = (length: number) => length): void {
    let offset = 0;
    this.memory.regions.forEach(({ gpa, length }, slot) => {
      const view = new DataView(new ArrayBuffer(A.SIZE.memoryRegion));
      view.setUint32(0, slot, true);
      view.setUint32(4, flags, true);
      view.setBigUint64(8, BigInt(gpa), true);
      view.setBigUint64(16, BigInt(lengthOf(length)), true);
      view.setBigUint64(24, this.ram.address + BigInt(offset), true);
      this.set(A.KVM_SET_USER_MEMORY_REGION, view, 'KVM_SET_USER_MEMORY_REGION');
      offset += length;
    });
  }

  set(request: number, view: DataView, what: string): void {
    this.calls.ioctlBytes(this.fd, request, bytesOf(view), what);
  }

  /**
   * A message-signalled interrupt, as a device writes it (SDM vol. 3, 11.11).
   * @returns whether one of the kernel's local APICs took it
   */
  signalMsi(address: number, data: number): boolean {
    const view = this.msi;
    view.setUint32(0, address % 0x1_0000_0000, true);
    view.setUint32(4, Math.floor(address / 0x1_0000_0000), true);
    view.setUint32(8, data, true);
    // An error is a message to nobody, as a guest may write it; 0 one that the local APIC holds back.
    return this.calls.tryIoctlBytes(this.fd, A.KVM_SIGNAL_MSI, bytesOf(view)) > 0;
  }

  /** After the vCPUs have gone. */
  close(): void {
    this.calls.close(this.fd);
    this.ram.release();
  }

  private requireFitness(): void {
    const version = this.calls.ioctl(this.host.kvm, A.KVM_GET_API_VERSION, 0, 'KVM_GET_API_VERSION');
    if (version !== A.KVM_API_VERSION)
      throw new KvmUnfitError(`This KVM speaks version ${version} of its interface, not 12.`);
    const missing = [...NEEDED, ...NEEDED_BY_CHIP[this.irqchip]].filter(([capability]) => !this.has(capability));
    if (missing.length > 0) throw new KvmUnfitError(`This KVM lacks ${missing.map(([, name]) => name).join(', ')}.`);
  }

  private supportedCpuid(): CpuidEntry[] {
    const view = cpuidBuffer(MOST_CPUID);
    this.calls.ioctlBytes(this.host.kvm, A.KVM_GET_SUPPORTED_CPUID, bytesOf(view), 'KVM_GET_SUPPORTED_CPUID');
    return parseCpuid(view);
  }

  private createIrqchip(): void {
    if (this.irqchip === 'split') this.enable(A.KVM_CAP_SPLIT_IRQCHIP, IOAPIC_PINS, 'KVM_CAP_SPLIT_IRQCHIP');
    if (this.irqchip !== 'kernel') return;
    this.calls.ioctl(this.fd, A.KVM_CREATE_IRQCHIP, 0, 'KVM_CREATE_IRQCHIP');
    const pit = new DataView(new ArrayBuffer(A.SIZE.pitConfig));
    pit.setUint32(0, A.KVM_PIT_SPEAKER_DUMMY, true);
    this.set(A.KVM_CREATE_PIT2, pit, 'KVM_CREATE_PIT2');
  }

  /** Unknown MSRs come to the machine, and those of the local APIC where it is the machine's. */
  private takeMsrs(): void {
    const reasons = A.KVM_MSR_EXIT_REASON_UNKNOWN | A.KVM_MSR_EXIT_REASON_FILTER;
    const own = this.hasLapic ? 0 : A.KVM_MSR_EXIT_REASON_INVAL;
    this.enable(A.KVM_CAP_X86_USER_SPACE_MSR, reasons | own, 'KVM_CAP_X86_USER_SPACE_MSR');
    if (this.hasLapic) return;
    const filter = new DataView(new ArrayBuffer(A.SIZE.msrFilter));
    const denied = new Uint8Array(8);
    MACHINE_MSRS.forEach((msr, i) => {
      const at = 8 + i * 24;
      filter.setUint32(at, A.KVM_MSR_FILTER_READ | A.KVM_MSR_FILTER_WRITE, true);
      filter.setUint32(at + 4, 1, true);
      filter.setUint32(at + 8, msr, true);
      filter.setBigUint64(at + 16, this.calls.addressOf(denied), true);
    });
    this.set(A.KVM_X86_SET_MSR_FILTER, filter, 'KVM_X86_SET_MSR_FILTER');
  }

  private enable(capability: number, argument: number, what: string): void {
    const view = new DataView(new ArrayBuffer(A.SIZE.enableCap));
    view.setUint32(0, capability, true);
    view.setBigUint64(8, BigInt(argument), true);
    this.set(A.KVM_ENABLE_CAP, view, what);
  }
}

function u64(value: number): DataView {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(value), true);
  return view;
}
