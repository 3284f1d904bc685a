// CPUID (SDM vol. 2). One line a feature bit: a bit is switched on by being in its list.
import { CFG_CPU_INDEX, CFG_CPUS, CFG_I386, CFG_TSC_KHZ, CR4, MAXPHYADDR, NEXT, XCR0 } from '../layout';
import { CR4_OSXSAVE, reg, setReg } from './state';

/** Family 6, model 8Fh, stepping 8. */
const SIGNATURE = 0x000806f8;

const LEAF1_ECX =
  (1 << 0) | // SSE3
  (1 << 1) | // PCLMULQDQ
  (1 << 9) | // SSSE3
  (1 << 12) | // FMA
  (1 << 13) | // CMPXCHG16B
  (1 << 17) | // PCID
  (1 << 19) | // SSE4.1
  (1 << 20) | // SSE4.2
  (1 << 21) | // x2APIC
  (1 << 22) | // MOVBE
  (1 << 23) | // POPCNT
  (1 << 24) | // TSC deadline
  (1 << 25) | // AES
  (1 << 26) | // XSAVE
  (1 << 28) | // AVX
  (1 << 29) | // F16C
  (1 << 30) | // RDRAND
  (1 << 31); // hypervisor

const LEAF1_EDX =
  (1 << 0) | // FPU
  (1 << 2) | // DE
  (1 << 3) | // PSE
  (1 << 4) | // TSC
  (1 << 5) | // MSR
  (1 << 6) | // PAE
  (1 << 7) | // MCE
  (1 << 8) | // CX8
  (1 << 9) | // APIC
  (1 << 11) | // SEP
  (1 << 12) | // MTRR
  (1 << 13) | // PGE
  (1 << 14) | // MCA
  (1 << 15) | // CMOV
  (1 << 16) | // PAT
  (1 << 17) | // PSE-36
  (1 << 19) | // CLFLUSH
  (1 << 23) | // MMX
  (1 << 24) | // FXSR
  (1 << 25) | // SSE
  (1 << 26) | // SSE2
  (1 << 27); // self-snoop

const LEAF7_EBX =
  (1 << 0) | // FSGSBASE
  (1 << 1) | // TSC_ADJUST
  (1 << 3) | // BMI1
  (1 << 5) | // AVX2
  (1 << 7) | // SMEP
  (1 << 8) | // BMI2
  (1 << 9) | // ERMS
  (1 << 10) | // INVPCID
  (1 << 13) | // FCS and FDS are always 0
  (1 << 18) | // RDSEED
  (1 << 19) | // ADX
  (1 << 20) | // SMAP
  (1 << 23) | // CLFLUSHOPT
  (1 << 24) | // CLWB
  (1 << 29); // SHA

const LEAF7_ECX =
  (1 << 2) | // UMIP
  (1 << 22); // RDPID

const LEAF7_EDX =
  (1 << 4) | // FSRM
  (1 << 26) | // IBRS and IBPB
  (1 << 27) | // STIBP
  (1 << 29) | // ARCH_CAPABILITIES
  (1 << 31); // SSBD

/** Leaf 7, subleaf 2: BHI_DIS_S. Linux without it clears the branch history by a loop at each system call, BHI_NO or not. */
const LEAF7_2_EDX = 1 << 4;

const EXT1_ECX =
  (1 << 0) | // LAHF in 64-bit mode
  (1 << 5) | // LZCNT
  (1 << 8); // PREFETCHW

const EXT1_EDX =
  (1 << 11) | // SYSCALL
  (1 << 20) | // NX
  (1 << 26) | // 1 GiB pages
  (1 << 27) | // RDTSCP
  (1 << 29); // long mode

/** XCR0 bits that may be set: x87, SSE, the upper halves of AVX. */
export const CPUID_XCR0 = 7;
/** XSAVEOPT. */
const LEAFD_1_EAX = 1;

/** IA32_ARCH_CAPABILITIES: what needs no mitigation, one line a bit. */
export const ARCH_CAPABILITIES: i64 =
  (1 << 0) | // RDCL_NO
  (1 << 1) | // IBRS_ALL
  (1 << 3) | // SKIP_L1DFL_VMENTRY
  (1 << 4) | // SSB_NO
  (1 << 5) | // MDS_NO
  (1 << 6) | // IF_PSCHANGE_MC_NO
  (1 << 8) | // TAA_NO
  (1 << 13) | // SBDR_SSDP_NO
  (1 << 14) | // FBSDP_NO
  (1 << 15) | // PSDP_NO
  (1 << 20) | // BHI_NO
  (1 << 24) | // PBRSB_NO
  (1 << 26) | // GDS_NO
  (1 << 27) | // RFDS_NO
  ((1 as i64) << 62); // ITS_NO

const HYPERVISOR_LAST: u32 = 0x40000010;

function set(eax: u32, ebx: u32, ecx: u32, edx: u32): void {
  setReg(0, <i64>eax);
  setReg(3, <i64>ebx);
  setReg(1, <i64>ecx);
  setReg(2, <i64>edx);
}

/** Bits of an APIC id that number the cores of the package. */
function coreShift(cpus: u32): u32 {
  let shift: u32 = 0;
  while ((1 as u32) << shift < cpus) shift++;
  return shift;
}

function leaf1(): void {
  const cpus = max<u32>(load<u32>(CFG_CPUS), 1);
  const id = load<u32>(CFG_CPU_INDEX);
  const osxsave = load<i32>(CR4) & CR4_OSXSAVE ? 1 << 27 : 0;
  const htt = cpus > 1 ? 1 << 28 : 0;
  set(SIGNATURE, (8 << 8) | ((1 << (coreShift(cpus) + 16)) as u32) | (id << 24), LEAF1_ECX | osxsave, LEAF1_EDX | htt);
}

/** Deterministic cache parameters. */
function leaf4(sub: u32): void {
  const cpus = max<u32>(load<u32>(CFG_CPUS), 1);
  const cores = ((((1 as u32) << coreShift(cpus)) - 1) << 26) as u32;
  const all = ((((1 as u32) << coreShift(cpus)) - 1) << 14) as u32;
  switch (sub) {
    case 0: // L1 data, 48 KiB, 12 ways
      set(0x121 | cores, (11 << 22) | 63, 63, 0);
      break;
    case 1: // L1 instruction, 32 KiB, 8 ways
      set(0x122 | cores, (7 << 22) | 63, 63, 0);
      break;
    case 2: // L2, 2 MiB, 16 ways
      set(0x143 | cores, (15 << 22) | 63, 2047, 0);
      break;
    case 3: // L3, 16 MiB, 16 ways, shared
      set(0x163 | cores | all, (15 << 22) | 63, 16383, 0);
      break;
    default:
      set(0, 0, 0, 0);
  }
}

function leafB(sub: u32): void {
  const cpus = max<u32>(load<u32>(CFG_CPUS), 1);
  const id = load<u32>(CFG_CPU_INDEX);
  if (sub == 0) set(0, 1, 0x100, id);
  else if (sub == 1) set(coreShift(cpus), cpus, 0x201, id);
  else set(0, 0, sub & 0xff, id);
}

/** Bytes of an XSAVE area with these components. */
export function xsaveSize(components: i64): u32 {
  return components & 4 ? 832 : 576;
}

function leafD(sub: u32): void {
  if (sub == 0) set(CPUID_XCR0, xsaveSize(load<i64>(XCR0)), xsaveSize(CPUID_XCR0), 0);
  else if (sub == 1) set(LEAFD_1_EAX, 0, 0, 0);
  else if (sub == 2) set(256, 576, 0, 0);
  else set(0, 0, 0, 0);
}

/** The brand string (leaves 80000002h to 80000004h). */
const BRAND = memory.data<u8>([
  0x54, 0x79, 0x70, 0x65, 0x76, 0x69, 0x73, 0x6f, 0x72, 0x20, 0x56, 0x69, 0x72, 0x74, 0x75, 0x61, 0x6c, 0x20, 0x43,
  0x50, 0x55, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
]);

/** CPUID. */
export function op_cpuid(rec: u32): i32 {
  const leaf = <u32>reg(0);
  const sub = <u32>reg(1);
  const i386 = load<i32>(CFG_I386) != 0;
  if (leaf >= 0x40000000 && leaf <= HYPERVISOR_LAST) {
    // "TypevisorTV "
    if (leaf == 0x40000000) set(HYPERVISOR_LAST, 0x65707954, 0x6f736976, 0x20565472);
    else if (leaf == HYPERVISOR_LAST) set(load<u32>(CFG_TSC_KHZ), load<u32>(CFG_TSC_KHZ), 0, 0);
    else set(0, 0, 0, 0);
    return NEXT;
  }
  switch (leaf) {
    case 0: // "GenuineIntel"
      set(0x16, 0x756e6547, 0x6c65746e, 0x49656e69);
      break;
    case 1:
      leaf1();
      break;
    case 2: // see leaf 4
      set(0x00feff01, 0, 0, 0);
      break;
    case 4:
      leaf4(sub);
      break;
    case 5: // MONITOR: none
      set(0, 0, 0, 0);
      break;
    case 6: // ARAT: the APIC timer runs in every state
      set(4, 0, 0, 0);
      break;
    case 7:
      if (sub == 0) set(2, LEAF7_EBX, LEAF7_ECX, LEAF7_EDX);
      else set(0, 0, 0, sub == 2 ? LEAF7_2_EDX : 0);
      break;
    case 0xb:
      leafB(sub);
      break;
    case 0xd:
      leafD(sub);
      break;
    case 0x15: // TSC = crystal * 1 / 1
      set(1, 1, load<u32>(CFG_TSC_KHZ) * 1000, 0);
      break;
    case 0x16: {
      const mhz = load<u32>(CFG_TSC_KHZ) / 1000;
      set(mhz, mhz, 100, 0);
      break;
    }
    case 0x80000000:
      set(0x80000008, 0, 0, 0);
      break;
    case 0x80000001:
      set(0, 0, i386 ? EXT1_ECX & ~1 : EXT1_ECX, i386 ? EXT1_EDX & ~((1 << 29) | (1 << 11)) : EXT1_EDX);
      break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: {
      const p = BRAND + ((leaf - 0x80000002) << 4);
      set(load<u32>(p), load<u32>(p, 4), load<u32>(p, 8), load<u32>(p, 12));
      break;
    }
    case 0x80000006: // L2: 2 MiB, 64-byte lines
      set(0, 0, (2048 << 16) | (8 << 12) | 64, 0);
      break;
    case 0x80000007: // invariant TSC
      set(0, 0, 0, 1 << 8);
      break;
    case 0x80000008:
      set(MAXPHYADDR | ((i386 ? 32 : 48) << 8), 0, 0, 0);
      break;
    default:
      // 3, 0Ah (no performance counters) and whatever lies beyond.
      set(0, 0, 0, 0);
  }
  return NEXT;
}
