/**
 * The CPUID leaves of one vCPU: what this KVM supports, less what a VcpuState can't hold, plus the guest's own topology.
 * An entry is struct kvm_cpuid_entry2; the layout is in SDM vol. 2, CPUID.
 */
import type { IrqchipMode } from '../contract.js';
import { KVM_CPUID_FLAG_SIGNIFICANT_INDEX, SIZE } from './abi.js';

export interface CpuidEntry {
  leaf: number;
  sub: number;
  flags: number;
  eax: number;
  ebx: number;
  ecx: number;
  edx: number;
}

export interface CpuidOptions {
  readonly index: number;
  readonly cpus: number;
  readonly arch: 'amd64' | 'i386';
  readonly irqchip: IrqchipMode;
  /** Whether the kernel's local APIC has the TSC-deadline timer. */
  readonly tscDeadline: boolean;
}

const HEADER = 8;
/** XCR0: x87, SSE and AVX, what VcpuState holds. */
const XCR0_KEPT = 7;
const XSAVE_SIZE_SSE = 576;
const XSAVE_SIZE_AVX = 832;

const LEAF1_ECX_X2APIC = 1 << 21;
const LEAF1_ECX_TSC_DEADLINE = 1 << 24;
const LEAF1_ECX_OSXSAVE = 1 << 27;
const LEAF1_ECX_HYPERVISOR = 1 << 31;
const LEAF1_ECX_MONITOR = 1 << 3;
const LEAF1_EDX_HTT = 1 << 28;
/** Leaf 7: state beyond AVX (AVX-512, MPX, PKU, CET, AMX), and what belongs to features that a guest does not get (SGX). */
const LEAF7_EBX_DROPPED =
  (1 << 2) | (1 << 14) | (1 << 16) | (1 << 17) | (1 << 21) | (1 << 26) | (1 << 27) | (1 << 28) | (1 << 30) | (1 << 31);
const LEAF7_ECX_DROPPED =
  (1 << 1) | (1 << 3) | (1 << 4) | (1 << 6) | (1 << 7) | (1 << 11) | (1 << 12) | (1 << 14) | (1 << 31);
const LEAF7_EDX_DROPPED = (1 << 2) | (1 << 3) | (1 << 8) | (1 << 20) | (1 << 22) | (1 << 23) | (1 << 24) | (1 << 25);
const EXT1_EDX_LONG_MODE = 1 << 29;
const EXT1_EDX_SYSCALL = 1 << 11;
const EXT1_ECX_LAHF = 1;
/** KVM's own leaves: CLOCKSOURCE2 (kvmclock), and the stable bit. The others need a kernel's own APIC or more state. */
const KVM_LEAF = 0x4000_0001;
const KVM_FEATURES_KEPT = (1 << 1) | (1 << 3) | (1 << 24);
const KVM_FEATURES_WITH_APIC = (1 << 7) | (1 << 6) | (1 << 11) | (1 << 13);

/** The leaves of one vCPU. */
export function composeCpuid(supported: readonly CpuidEntry[], options: CpuidOptions): CpuidEntry[] {
  const entries: CpuidEntry[] = [];
  for (const entry of supported) {
    const own = { ...entry };
    if (adapt(own, options)) entries.push(own);
  }
  for (const sub of [0, 1]) entries.push(topology(sub, options));
  return entries;
}

/** Makes an entry the guest's own. @returns false where the guest does not get it. */
function adapt(entry: CpuidEntry, { index, cpus, arch, irqchip, tscDeadline }: CpuidOptions): boolean {
  switch (entry.leaf) {
    case 1:
      entry.ebx = (entry.ebx & 0xffff) | ((1 << coreShift(cpus)) << 16) | (index << 24);
      entry.ecx &= ~(LEAF1_ECX_OSXSAVE | LEAF1_ECX_MONITOR | LEAF1_ECX_TSC_DEADLINE);
      entry.ecx |= LEAF1_ECX_HYPERVISOR | LEAF1_ECX_X2APIC;
      if (tscDeadline && irqchip !== 'machine') entry.ecx |= LEAF1_ECX_TSC_DEADLINE;
      entry.edx = cpus > 1 ? entry.edx | LEAF1_EDX_HTT : entry.edx & ~LEAF1_EDX_HTT;
      return true;
    case 4:
      // Cores of the package; the last level of cache is shared by all of them.
      if ((entry.eax & 0x1f) === 0) return true;
      entry.eax &= 0x3fff;
      entry.eax |= ((1 << coreShift(cpus)) - 1) << 26;
      if (((entry.eax >> 5) & 7) >= 3) entry.eax |= ((1 << coreShift(cpus)) - 1) << 14;
      return true;
    case 7:
      if (entry.sub === 0) {
        entry.ebx &= ~LEAF7_EBX_DROPPED;
        entry.ecx &= ~LEAF7_ECX_DROPPED;
        entry.edx &= ~LEAF7_EDX_DROPPED;
      }
      // AVX-VNNI and the like need no state of their own; AMX and AVX-512 do.
      if (entry.sub === 1) entry.eax &= ~((1 << 5) | (1 << 21));
      return true;
    case 0xb:
    case 0x1f:
      return false; // `topology`
    case 0xd:
      return adaptXsave(entry);
    case 0x12: // SGX
    case 0x14: // Processor Trace
    case 0x19: // Key Locker
    case 0x1d: // AMX
    case 0x1e:
      Object.assign(entry, { eax: 0, ebx: 0, ecx: 0, edx: 0 });
      return true;
    case KVM_LEAF:
      entry.eax &= irqchip === 'machine' ? KVM_FEATURES_KEPT : KVM_FEATURES_KEPT | KVM_FEATURES_WITH_APIC;
      return true;
    case 0x8000_0001:
      if (arch === 'i386') {
        entry.edx &= ~(EXT1_EDX_LONG_MODE | EXT1_EDX_SYSCALL);
        entry.ecx &= ~EXT1_ECX_LAHF;
      }
      return true;
    case 0x8000_0008:
      entry.ecx = (cpus - 1) | (coreShift(cpus) << 12);
      return true;
    case 0x8000_001e: // AMD's topology: id, core, node
      entry.eax = index;
      entry.ebx = index;
      entry.ecx = 0;
      return true;
    default:
      return true;
  }
}

function adaptXsave(entry: CpuidEntry): boolean {
  if (entry.sub === 0) {
    entry.eax &= XCR0_KEPT;
    entry.edx = 0;
    entry.ecx = entry.eax & 4 ? XSAVE_SIZE_AVX : XSAVE_SIZE_SSE;
    entry.ebx = XSAVE_SIZE_SSE;
    return true;
  }
  if (entry.sub === 1) {
    entry.eax &= 7; // XSAVEOPT, XSAVEC, XGETBV with ECX 1; no XSAVES: its state is not in a VcpuState
    entry.ebx = 0;
    entry.ecx = 0;
    entry.edx = 0;
    return true;
  }
  return entry.sub === 2;
}

/** Leaf 0Bh: one thread a core, all cores in one package. */
function topology(sub: number, { index, cpus }: CpuidOptions): CpuidEntry {
  const flags = KVM_CPUID_FLAG_SIGNIFICANT_INDEX;
  return sub === 0
    ? { leaf: 0xb, sub, flags, eax: 0, ebx: 1, ecx: 0x100, edx: index }
    : { leaf: 0xb, sub, flags, eax: coreShift(cpus), ebx: cpus, ecx: 0x201, edx: index };
}

/** Bits of an APIC id that number the cores of the package. */
function coreShift(cpus: number): number {
  return Math.ceil(Math.log2(cpus));
}

/** struct kvm_cpuid2 with room for `count` entries. */
export function cpuidBuffer(count: number): DataView {
  const view = new DataView(new ArrayBuffer(HEADER + count * SIZE.cpuidEntry));
  view.setUint32(0, count, true);
  return view;
}

export function parseCpuid(view: DataView): CpuidEntry[] {
  return Array.from({ length: view.getUint32(0, true) }, (_, i) => {
    const word = (n: number) => view.getUint32(HEADER + i * SIZE.cpuidEntry + n * 4, true);
    return { leaf: word(0), sub: word(1), flags: word(2), eax: word(3), ebx: word(4), ecx: word(5), edx: word(6) };
  });
}

export function encodeCpuid(entries: readonly CpuidEntry[]): DataView {
  const view = cpuidBuffer(entries.length);
  entries.forEach(({ leaf, sub, flags, eax, ebx, ecx, edx }, i) => {
    [leaf, sub, flags, eax, ebx, ecx, edx].forEach((word, n) => {
      view.setUint32(HEADER + i * SIZE.cpuidEntry + n * 4, word, true);
    });
  });
  return view;
}
