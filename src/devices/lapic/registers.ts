/**
 * Registers of the local APIC by index: MMIO offset / 16 (table 11-1), which is also MSR number - 800h (table 11-6).
 */
export const APIC_ID = 0x02;
export const APIC_VERSION = 0x03;
export const APIC_TPR = 0x08;
/** Arbitration priority: xAPIC only, not used since Pentium 4; reads 0. */
export const APIC_APR = 0x09;
export const APIC_PPR = 0x0a;
export const APIC_EOI = 0x0b;
/** Remote read: xAPIC only; reads 0. */
export const APIC_RRD = 0x0c;
export const APIC_LDR = 0x0d;
/** Destination format: xAPIC only. */
export const APIC_DFR = 0x0e;
export const APIC_SVR = 0x0f;
export const APIC_ISR = 0x10;
export const APIC_TMR = 0x18;
export const APIC_IRR = 0x20;
export const APIC_ESR = 0x28;
export const APIC_ICR_LOW = 0x30;
/** xAPIC only: in x2APIC mode the ICR is one 64-bit MSR. */
export const APIC_ICR_HIGH = 0x31;
export const APIC_LVT_TIMER = 0x32;
export const APIC_LVT_THERMAL = 0x33;
export const APIC_LVT_PERF = 0x34;
export const APIC_LVT_LINT0 = 0x35;
export const APIC_LVT_LINT1 = 0x36;
export const APIC_LVT_ERROR = 0x37;
export const APIC_INITIAL_COUNT = 0x38;
export const APIC_CURRENT_COUNT = 0x39;
export const APIC_DIVIDE = 0x3e;
/** x2APIC only. */
export const APIC_SELF_IPI = 0x3f;

export const MSR_APIC_BASE = 0x1b;
export const MSR_TSC_ADJUST = 0x3b;
export const MSR_TSC_DEADLINE = 0x6e0;
export const MSR_X2APIC_FIRST = 0x800;
export const MSR_X2APIC_LAST = 0x8ff;

/** IA32_APIC_BASE bits. */
export const BASE_BSP = 1 << 8;
export const BASE_EXTD = 1 << 10;
export const BASE_ENABLE = 1 << 11;
/** Where the page lies after power-on. */
export const LAPIC_DEFAULT_BASE = 0xfee0_0000;

/** Version 14h (integrated), six LVT entries (bits 23:16 hold the number less one), EOI-broadcast suppression (bit 24). */
export const LAPIC_VERSION = 0x0105_0014;

export const SVR_ENABLE = 1 << 8;
export const SVR_SUPPRESS_EOI_BROADCAST = 1 << 12;

export const LVT_MASKED = 1 << 16;
export const LVT_TRIGGER_LEVEL = 1 << 15;
export const LVT_REMOTE_IRR = 1 << 14;

/** Writable bits of each LVT entry, timer first (figure 11-8). */
export const LVT_WRITABLE: readonly number[] = [0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff];

/** Error status register bits (figure 11-9). */
export const ESR_SEND_ILLEGAL_VECTOR = 1 << 5;
export const ESR_RECEIVE_ILLEGAL_VECTOR = 1 << 6;
export const ESR_ILLEGAL_REGISTER = 1 << 7;
