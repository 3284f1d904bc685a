/** Where a test machine keeps its tables, and how their entries are made. Guest-physical = linear below 2 MiB. */

export const GDT = 0x1000;
export const GDT_LIMIT = 0x3ff;
export const IDT = 0x2000;
export const TSS = 0x3000;
/** One HLT every 16 bytes: where all vectors go unless a test says otherwise. */
export const STUBS = 0x4000;
/** Stack tops: where ring 0 starts, where interrupts from outer rings go (TSS), the rings between, the ISTs. */
export const STACK = 0x7000;
export const RING0_STACK = 0x6000;
export const RING1_STACK = 0x5c00;
export const RING2_STACK = 0x5800;
export const IST1 = 0x7800;
export const IST2 = 0x8000;
export const LDT = 0x8000;
export const TSS2 = 0x9000;
/** Page tables: root, the levels below, leaf tables of the first 2 MiB and of the 2 MiB from `WINDOW`. */
export const ROOT = 0xa000;
export const PDPT = 0xb000;
export const PD = 0xc000;
export const PT = 0xd000;
export const WINDOW_PT = 0xe000;
export const CODE = 0x10000;
export const DATA = 0x20000;
/** Pages that ring 3 may use: code, data, stack top. */
export const USER_START = 0x40000;
export const USER_CODE = 0x40000;
export const USER_DATA = 0x50000;
export const USER_STACK = 0x60000;
export const USER_END = 0x80000;
/** Linear addresses that a test maps as it likes. */
export const WINDOW = 0x400000;
/** RAM that nothing lies in. */
export const SPARE = 0x100000;
export const RAM = 8 << 20;

// ---- selectors -----------------------------------------------------------------------------------------------------
// The order is what SYSCALL, SYSRET, SYSENTER and SYSEXIT want.
export const K64 = 0x08;
export const KDATA = 0x10;
export const K32 = 0x18;
export const KDATA2 = 0x20;
export const U32 = 0x2b;
export const UDATA = 0x33;
export const U64 = 0x3b;
export const UDATA2 = 0x43;
export const K16 = 0x48;
export const KDATA16 = 0x50;
export const TR = 0x58;
export const LDTR = 0x68;
/** First selector that tests may use as they like. */
export const FREE = 0x80;

// ---- attributes: descriptor bits 55:40 without the limit (contract.ts) ---------------------------------------------
export const ATTR = {
  code64: 0xa09b,
  code32: 0xc09b,
  code16: 0x009b,
  data32: 0xc093,
  data16: 0x0093,
  userCode64: 0xa0fb,
  userCode32: 0xc0fb,
  userData: 0xc0f3,
  tss32: 0x0089,
  tss16: 0x0081,
  busyTss32: 0x008b,
  ldt: 0x0082,
} as const;

const GRANULAR = 0x8000;

/** An 8-byte descriptor (SDM vol. 3, 3.4.5). `limit` in bytes: with G set, its low 12 bits count as ones. */
export function descriptor(base: number, limit: number, attributes: number): bigint {
  const l = BigInt(attributes & GRANULAR ? limit >>> 12 : limit);
  const b = BigInt(base >>> 0);
  const a = BigInt(attributes);
  return (
    (l & 0xffffn) |
    ((b & 0xffffffn) << 16n) |
    ((a & 0xffn) << 40n) |
    ((l >> 16n) << 48n) |
    ((a >> 12n) << 52n) |
    ((b >> 24n) << 56n)
  );
}

export interface GateOptions {
  /** Gate type: 4 call16, 5 task, 6/7 int/trap 16, 12 call32/64, 14/15 int/trap. Default 14. */
  type?: number;
  dpl?: number;
  present?: boolean;
  ist?: number;
  /** Parameters of a call gate. */
  count?: number;
}

/** A gate (SDM vol. 3, 5.8.3, 6.11): the low 8 bytes; in long mode `gateHigh` follows. */
export function gate(selector: number, offset: number | bigint, options: GateOptions = {}): bigint {
  const { type = 14, dpl = 0, present = true, ist = 0, count = 0 } = options;
  const o = BigInt(offset);
  const access = BigInt(type | (dpl << 5) | (present ? 0x80 : 0));
  return (
    (o & 0xffffn) |
    (BigInt(selector) << 16n) |
    (BigInt(ist | count) << 32n) |
    (access << 40n) |
    (((o >> 16n) & 0xffffn) << 48n)
  );
}

export function gateHigh(offset: number | bigint): bigint {
  return (BigInt(offset) >> 32n) & 0xffff_ffffn;
}

// ---- page table entries ---------------------------------------------------------------------------------------------
export const P = 1;
export const W = 2;
export const U = 4;
export const A = 0x20;
export const D = 0x40;
export const PS = 0x80;
export const G = 0x100;
export const NX = 1n << 63n;

// ---- vectors, error codes, flags ---------------------------------------------------------------------------------------
export const V = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  XM: 19,
} as const;
export const CR0 = {
  PE: 1n,
  MP: 2n,
  EM: 4n,
  TS: 8n,
  ET: 16n,
  NE: 32n,
  WP: 1n << 16n,
  AM: 1n << 18n,
  NW: 1n << 29n,
  CD: 1n << 30n,
  PG: 1n << 31n,
} as const;
export const CR4 = {
  VME: 1n,
  PVI: 2n,
  TSD: 4n,
  DE: 8n,
  PSE: 0x10n,
  PAE: 0x20n,
  MCE: 0x40n,
  PGE: 0x80n,
  PCE: 0x100n,
  OSFXSR: 0x200n,
  OSXMMEXCPT: 0x400n,
  UMIP: 0x800n,
  FSGSBASE: 1n << 16n,
  PCIDE: 1n << 17n,
  OSXSAVE: 1n << 18n,
  SMEP: 1n << 20n,
  SMAP: 1n << 21n,
} as const;
export const EFER = { SCE: 1n, LME: 0x100n, LMA: 0x400n, NXE: 0x800n } as const;
export const F = {
  CF: 1,
  PF: 4,
  AF: 16,
  ZF: 64,
  SF: 128,
  TF: 0x100,
  IF: 0x200,
  DF: 0x400,
  OF: 0x800,
  NT: 0x4000,
  RF: 0x10000,
  VM: 0x20000,
  AC: 0x40000,
  ID: 0x200000,
} as const;
