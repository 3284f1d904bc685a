/**
 * Linux's KVM interface: requests, capabilities and the layout of its structures on x86-64, by the kernel's own names
 * (Documentation/virt/kvm/api.rst, include/uapi/linux/kvm.h, arch/x86/include/uapi/asm/kvm.h). Offsets are in bytes.
 */

// ---- requests: on /dev/kvm, on a VM, on a vCPU -----------------------------------------------------------------------
export const KVM_GET_API_VERSION = 0xae00;
export const KVM_CREATE_VM = 0xae01;
export const KVM_GET_MSR_INDEX_LIST = 0xc004_ae02;
export const KVM_CHECK_EXTENSION = 0xae03;
export const KVM_GET_VCPU_MMAP_SIZE = 0xae04;
export const KVM_GET_SUPPORTED_CPUID = 0xc008_ae05;

export const KVM_CREATE_VCPU = 0xae41;
export const KVM_GET_DIRTY_LOG = 0x4010_ae42;
export const KVM_SET_USER_MEMORY_REGION = 0x4020_ae46;
export const KVM_SET_TSS_ADDR = 0xae47;
export const KVM_SET_IDENTITY_MAP_ADDR = 0x4008_ae48;
export const KVM_CREATE_IRQCHIP = 0xae60;
export const KVM_IRQ_LINE = 0x4008_ae61;
export const KVM_GET_IRQCHIP = 0xc208_ae62;
export const KVM_SET_IRQCHIP = 0x8208_ae63;
export const KVM_SET_GSI_ROUTING = 0x4008_ae6a;
export const KVM_IRQFD = 0x4020_ae76;
export const KVM_CREATE_PIT2 = 0x4040_ae77;
export const KVM_IOEVENTFD = 0x4040_ae79;
export const KVM_SET_CLOCK = 0x4030_ae7b;
export const KVM_GET_CLOCK = 0x8030_ae7c;
export const KVM_GET_PIT2 = 0x8070_ae9f;
export const KVM_SET_PIT2 = 0x4070_aea0;
export const KVM_ENABLE_CAP = 0x4068_aea3;
export const KVM_SIGNAL_MSI = 0x4020_aea5;
export const KVM_X86_SET_MSR_FILTER = 0x4188_aec6;

export const KVM_RUN = 0xae80;
export const KVM_GET_REGS = 0x8090_ae81;
export const KVM_SET_REGS = 0x4090_ae82;
export const KVM_GET_SREGS = 0x8138_ae83;
export const KVM_SET_SREGS = 0x4138_ae84;
export const KVM_TRANSLATE = 0xc018_ae85;
export const KVM_INTERRUPT = 0x4004_ae86;
export const KVM_GET_MSRS = 0xc008_ae88;
export const KVM_SET_MSRS = 0x4008_ae89;
export const KVM_GET_LAPIC = 0x8400_ae8e;
export const KVM_SET_LAPIC = 0x4400_ae8f;
export const KVM_SET_CPUID2 = 0x4008_ae90;
export const KVM_GET_MP_STATE = 0x8004_ae98;
export const KVM_SET_MP_STATE = 0x4004_ae99;
export const KVM_NMI = 0xae9a;
export const KVM_SET_GUEST_DEBUG = 0x4048_ae9b;
export const KVM_GET_VCPU_EVENTS = 0x8040_ae9f;
export const KVM_SET_VCPU_EVENTS = 0x4040_aea0;
export const KVM_GET_DEBUGREGS = 0x8080_aea1;
export const KVM_SET_DEBUGREGS = 0x4080_aea2;
export const KVM_GET_TSC_KHZ = 0xaea3;
export const KVM_GET_XSAVE = 0x9000_aea4;
export const KVM_SET_XSAVE = 0x5000_aea5;
export const KVM_GET_XCRS = 0x8188_aea6;
export const KVM_SET_XCRS = 0x4188_aea7;

export const KVM_API_VERSION = 12;

// ---- capabilities ------------------------------------------------------------------------------------------------------
export const KVM_CAP_IRQCHIP = 0;
export const KVM_CAP_USER_MEMORY = 3;
export const KVM_CAP_IRQFD = 32;
export const KVM_CAP_PIT2 = 33;
export const KVM_CAP_IOEVENTFD = 36;
export const KVM_CAP_DEBUGREGS = 50;
export const KVM_CAP_XSAVE = 55;
export const KVM_CAP_TSC_DEADLINE_TIMER = 72;
export const KVM_CAP_SIGNAL_MSI = 77;
export const KVM_CAP_SPLIT_IRQCHIP = 121;
export const KVM_CAP_IMMEDIATE_EXIT = 136;
export const KVM_CAP_X86_USER_SPACE_MSR = 188;
export const KVM_CAP_X86_MSR_FILTER = 189;
export const KVM_CAP_EXIT_ON_EMULATION_FAILURE = 204;
export const KVM_CAP_MAX_VCPUS = 66;

// ---- sizes of structures -----------------------------------------------------------------------------------------------
export const SIZE = {
  regs: 144,
  sregs: 312,
  xsave: 4096,
  xcrs: 392,
  debugregs: 128,
  events: 64,
  mpState: 4,
  memoryRegion: 32,
  pitConfig: 64,
  irqLevel: 8,
  irqfd: 32,
  ioeventfd: 64,
  msi: 32,
  routingEntry: 48,
  enableCap: 104,
  msrFilter: 392,
  dirtyLog: 16,
  guestDebug: 72,
  translation: 24,
  cpuidEntry: 40,
  interrupt: 4,
  lapic: 1024,
  irqchip: 520,
  routing: 8,
  pitState: 112,
  clock: 48,
} as const;

// ---- struct kvm_sregs --------------------------------------------------------------------------------------------------
/** Segments, in the structure's order, 24 bytes each. */
export const SREGS_SEGMENTS = ['cs', 'ds', 'es', 'fs', 'gs', 'ss', 'tr', 'ldtr'] as const;
export const SREGS_SEGMENT_SIZE = 24;
export const SREGS_GDT = 192;
export const SREGS_IDT = 208;
export const SREGS_CR0 = 224;
export const SREGS_CR2 = 232;
export const SREGS_CR3 = 240;
export const SREGS_CR4 = 248;
export const SREGS_CR8 = 256;
export const SREGS_EFER = 264;
export const SREGS_APIC_BASE = 272;
export const SREGS_INTERRUPT_BITMAP = 280;

// ---- struct kvm_run ------------------------------------------------------------------------------------------------------
export const RUN_REQUEST_INTERRUPT_WINDOW = 0;
export const RUN_IMMEDIATE_EXIT = 1;
export const RUN_EXIT_REASON = 8;
export const RUN_READY_FOR_INTERRUPT = 12;
export const RUN_IF_FLAG = 13;
export const RUN_CR8 = 16;
export const RUN_APIC_BASE = 24;
/** The union that the exit reason selects. */
export const RUN_UNION = 32;
export const RUN_IO_DIRECTION = 32;
export const RUN_IO_SIZE = 33;
export const RUN_IO_PORT = 34;
export const RUN_IO_COUNT = 36;
export const RUN_IO_DATA_OFFSET = 40;
export const RUN_MMIO_GPA = 32;
export const RUN_MMIO_DATA = 40;
export const RUN_MMIO_LENGTH = 48;
export const RUN_MMIO_IS_WRITE = 52;
export const RUN_MSR_ERROR = 32;
export const RUN_MSR_REASON = 40;
export const RUN_MSR_INDEX = 44;
export const RUN_MSR_DATA = 48;
export const RUN_INTERNAL_SUBERROR = 32;
export const RUN_INTERNAL_NDATA = 36;
export const RUN_INTERNAL_DATA = 40;
/** With KVM_INTERNAL_ERROR_EMULATION: flags, then the instruction's bytes where flag 0 is set. */
export const RUN_EMULATION_FLAGS = 40;
export const RUN_EMULATION_SIZE = 48;
export const RUN_EMULATION_BYTES = 49;
export const RUN_EOI_VECTOR = 32;
export const RUN_DEBUG_EXCEPTION = 32;
export const RUN_DEBUG_DR6 = 48;
export const RUN_SYSTEM_EVENT_TYPE = 32;
export const RUN_HARDWARE_REASON = 32;

export const KVM_EXIT_IO_OUT = 1;

export const KVM_EXIT_UNKNOWN = 0;
export const KVM_EXIT_IO = 2;
export const KVM_EXIT_DEBUG = 4;
export const KVM_EXIT_HLT = 5;
export const KVM_EXIT_MMIO = 6;
export const KVM_EXIT_IRQ_WINDOW_OPEN = 7;
export const KVM_EXIT_SHUTDOWN = 8;
export const KVM_EXIT_FAIL_ENTRY = 9;
export const KVM_EXIT_INTR = 10;
export const KVM_EXIT_SET_TPR = 11;
export const KVM_EXIT_INTERNAL_ERROR = 17;
export const KVM_EXIT_SYSTEM_EVENT = 24;
export const KVM_EXIT_IOAPIC_EOI = 26;
export const KVM_EXIT_X86_RDMSR = 29;
export const KVM_EXIT_X86_WRMSR = 30;

export const KVM_INTERNAL_ERROR_EMULATION = 1;
export const KVM_SYSTEM_EVENT_SHUTDOWN = 1;
export const KVM_SYSTEM_EVENT_RESET = 2;

// ---- values ----------------------------------------------------------------------------------------------------------------
export const KVM_MP_STATE_RUNNABLE = 0;
export const KVM_MP_STATE_UNINITIALIZED = 1;
export const KVM_MP_STATE_INIT_RECEIVED = 2;
export const KVM_MP_STATE_HALTED = 3;

export const KVM_MEM_LOG_DIRTY_PAGES = 1;
export const KVM_MEM_READONLY = 2;

export const KVM_MSR_EXIT_REASON_INVAL = 1;
export const KVM_MSR_EXIT_REASON_UNKNOWN = 2;
export const KVM_MSR_EXIT_REASON_FILTER = 4;
export const KVM_MSR_FILTER_READ = 1;
export const KVM_MSR_FILTER_WRITE = 2;

export const KVM_CPUID_FLAG_SIGNIFICANT_INDEX = 1;

export const KVM_GUESTDBG_ENABLE = 1;
export const KVM_GUESTDBG_SINGLESTEP = 2;
export const KVM_GUESTDBG_USE_SW_BP = 0x1_0000;
export const KVM_GUESTDBG_USE_HW_BP = 0x2_0000;

export const KVM_IOEVENTFD_FLAG_DATAMATCH = 1;
export const KVM_IOEVENTFD_FLAG_PIO = 2;
export const KVM_IOEVENTFD_FLAG_DEASSIGN = 4;
export const KVM_IRQFD_FLAG_DEASSIGN = 1;

export const KVM_IRQ_ROUTING_IRQCHIP = 1;
export const KVM_IRQ_ROUTING_MSI = 2;
export const KVM_IRQCHIP_PIC_MASTER = 0;
export const KVM_IRQCHIP_PIC_SLAVE = 1;
export const KVM_IRQCHIP_IOAPIC = 2;
export const KVM_PIT_SPEAKER_DUMMY = 1;

/** KVM_GET_VCPU_EVENTS: which parts of the structure hold. */
export const KVM_VCPUEVENT_VALID_NMI_PENDING = 1;
export const KVM_VCPUEVENT_VALID_SHADOW = 4;
/** Pending NMI, SIPI's vector, interrupt shadow. */
export const KVM_VCPUEVENT_ALL = 7;
/** struct kvm_vcpu_events: where the flags are. */
export const EVENTS_FLAGS = 20;
