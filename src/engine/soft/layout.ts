// Where everything lies in the engine's linear memory. This file is read by two compilers: tsc (emitter, engine) and
// asc (core/*.ts), so it holds nothing but numeric constants.
//
//   0x0000      CPU state (flags, registers, segments, control registers ...): what compiled code uses most comes first,
//               for up to 127 the processor's instructions have one byte for the address instead of four
//   0x0140      scratch for accesses that can't go straight to RAM
//   0x2000      static tables and the core's own data (asc --memoryBase)
//   0x140000    jump cache, page heads
//   RECORDS     decoded records
//   0x3000000   software TLBs
//   RAM_BASE    guest RAM: region 0 (below the PCI hole), then region 1 (above 4 GiB)

// ---- scratch: slow-path accesses land here; the address is what the emitter compares with -------------------------
/** 64 bytes that a slow read fills and a slow write is collected in. */
export const SCRATCH = 0x140;

// ---- CPU state -----------------------------------------------------------------------------------------------------
/** First byte of what each vCPU has of its own. */
export const CPU_STATE = 0;
/** 16 GPRs of 8 bytes. In legacy modes the upper halves are zero. A record names registers by byte offset from here. */
export const REGS = 0x20;
/** Pseudo registers, addressed by records like GPRs. */
export const R_ZERO = 128; // always 0
export const R_PAGE = 136; // linear address of the page that the current block lies in (bits 11:0 clear)
export const R_EA = 144; // linear address computed by a preceding `ea` micro-op

/** Instruction pointer: true at block borders and in helpers that were told so; between, see R_PAGE and the record. */
export const RIP = 0x1a0;
/** Lazy flags. RES: the last result, sign-extended to 64 bits. AUX: see flags below. */
export const FLAG_RES = 0x1a8; // i64
export const FLAG_AUX = 0x1b0; // i32
/** RFLAGS without OF SF ZF AF PF CF (those are lazy); bit 1 always set. */
export const EFLAGS = 0x1b4; // i32
/** Instructions left in this slice; a block subtracts its length on entry. Negative: leave at the next block border. */
export const COUNT = 0x1b8; // i32
/** Record in execution, stored by the interpreter before it calls a helper that may fault or needs RIP. */
export const CUR_REC = 0x1bc; // i32
/** Block in execution (address of its header). */
export const CUR_BLOCK = 0x1c0; // i32
/** 1 while the instruction after STI / MOV SS must not be interrupted. */
export const INT_SHADOW = 0x1c4; // i32
/** Address of the one instruction that INT_SHADOW protects. */
export const SHADOW_RIP = 0xa40; // i64
/** Current TLB (user, supervisor, supervisor with AC or without SMAP): address of its first entry. */
export const TLB_CUR = 0x04; // i32
/** Linear address mask: FFFFFFFFh in legacy and compatibility mode, -1 in 64-bit mode. */
export const ADDR_MASK = 0x1d0; // i64
/** Current privilege level, 0 to 3. */
export const CPL = 0x1d8; // i32
/** Key that an entry of the jump cache has if it counts now: MODE in the low bits, above them the generation. */
export const JC_KEY = 0x6e8; // i32
export const JC_KEY_SHIFT = 9;
/** MODE_* bits below: the decoder's key, recomputed by core `updateMode`. */
export const MODE = 0x1dc; // i32
/** Fault raised by a slow path: vector (-1: none), error code, and whether one is pushed. */
export const FAULT_VECTOR = 0x1e0; // i32
export const FAULT_ERROR = 0x1e4; // i32
/** Reason why the interpreter came back (EXIT_*). */
export const EXIT_REASON = 0x1e8; // i32
export const EXIT_ARG = 0x1ec; // i32
/** Pending asynchronous things, PEND_* bits. */
export const PENDING = 0x1f0; // i32
/** Count that was taken away by a kick; added back when the slice ends. */
export const COUNT_DEFERRED = 0x1f4; // i32
export const ACTIVITY = 0x1f8; // i32: ACT_*
/** Physical address mask by MAXPHYADDR (40 bits). */
export const MAXPHYADDR = 40;

/** Segment caches: ES CS SS DS FS GS LDTR TR, 32 bytes each. */
export const SEGS = 0x200;
export const SEG_SIZE = 32;
export const SEG_BASE = 0; // i64
export const SEG_LIMIT = 8; // u32, in bytes (granularity applied)
export const SEG_ATTR = 12; // u32: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15, unusable 16 (as in a VMCS)
export const SEG_SEL = 16; // u32
/** Attributes of data that may be read and written up to its limit, and the bits that say so: unusable, P, type. */
export const SEG_PLAIN = 0x82;
export const SEG_PLAIN_MASK = 0x1008e;
export const ES = 0;
export const CS = 1;
export const SS = 2;
export const DS = 3;
export const FS = 4;
export const GS = 5;
export const LDTR = 6;
export const TR = 7;
export const GDTR = 0x300; // base i64, limit u32 at +8
export const IDTR = 0x310;

export const CR0 = 0x320; // i64 each
export const CR2 = 0x328;
export const CR3 = 0x330;
export const CR4 = 0x338;
export const EFER = 0x340;
export const XCR0 = 0x348;
export const DR = 0x350; // DR0..DR7, i64 each, to 0x38f
/** MSRs that the engine owns, i64 each. */
export const MSR_STAR = 0x390;
export const MSR_LSTAR = 0x398;
export const MSR_CSTAR = 0x3a0;
export const MSR_FMASK = 0x3a8;
export const MSR_KERNEL_GS_BASE = 0x3b0;
export const MSR_SYSENTER_CS = 0x3b8;
export const MSR_SYSENTER_ESP = 0x3c0;
export const MSR_SYSENTER_EIP = 0x3c8;
export const MSR_PAT = 0x3d0;
export const MSR_TSC_AUX = 0x3d8;
export const MSR_TSC_ADJUST = 0x3e0; // guest TSC = machine's TSC + this
export const MSR_MISC_ENABLE = 0x3f0;
export const MSR_SPEC_CTRL = 0x3f8;
/** Room for more MSRs of the core's own choosing. */
export const MSR_MORE = 0x400; // to 0x5ff

/** x87: eight physical registers of 16 bytes (mantissa u64, sign+exponent u16 at +8); MMX is the mantissa. */
export const FPR = 0x600; // to 0x67f
export const FPU_CW = 0x680; // i32 each
export const FPU_SW = 0x684; // TOP is kept in FPU_TOP, not here
export const FPU_TAG = 0x688; // one bit per physical register: 1 = valid (not empty)
export const FPU_TOP = 0x68c; // 0 to 7
export const FPU_FIP = 0x690; // i64
export const FPU_FDP = 0x698; // i64
export const FPU_FOP = 0x6a0; // i32
export const FPU_FCS = 0x6a4;
export const FPU_FDS = 0x6a8;
export const MXCSR = 0x6ac;
/** What stands against SSE, MMX, x87 instructions and FWAIT: 0 or the vector to raise. Core `updateFpuFaults` keeps them. */
export const SSE_FAULT = 0x6b0; // i32 each
export const MMX_FAULT = 0x6b4;
export const FPU_FAULT = 0x6b8;
export const FWAIT_FAULT = 0x6bc;
/** The same for VEX-coded vector instructions. */
export const AVX_FAULT = 0x6d0;
/** Where the last x87 instruction is, for FIP: its record (0: FPU_FIP is up to date), page and block. */
export const X87_REC = 0x6c0; // i32
export const X87_BLOCK = 0x6c4; // i32
export const X87_PAGE = 0x6c8; // i64

/** XMM0..15, 16 bytes each; the upper halves of YMM0..15, parallel at a constant distance. Records use reg * 16. */
export const XMM = 0x700; // to 0x7ff
export const YMMH = 0x800; // to 0x8ff

/** Engine statistics, i64 each. */
export const STAT_BLOCKS = 0x900;
export const STAT_DECODED = 0x908;
export const STAT_TLB_MISS = 0x910;
export const STAT_PAGE_FAULT = 0x918;
export const STAT_INTERRUPTS = 0x920;
export const STAT_FLUSHES = 0x928;
export const STAT_EXCEPTIONS = 0x930;
export const STAT_LOOKUPS = 0x938;
/** Instructions retired in ended slices, i64. */
export const STAT_INSTRUCTIONS = 0x940;

/** Counts blocks of compiled regions that have been dropped, i32: a region that has called core looks whether it still holds. */
export const REGION_DROPS = 0x948;
/** i32: where in RECENT the next jump is noted, in bytes. */
export const RECENT_NEXT = 0x950;

/** Machine constants that the engine writes at start. */
export const CFG_RAM_LOW = 0x960; // i64: bytes of RAM below the PCI hole, at gpa 0
export const CFG_RAM_HIGH = 0x968; // i64: bytes of RAM at gpa 4 GiB
export const CFG_TSC_KHZ = 0x970; // i32
export const CFG_CPUS = 0x974; // i32
export const CFG_CPU_INDEX = 0x978; // i32
export const CFG_I386 = 0x97c; // i32: 1 hides long mode
export const CFG_PAGE_FLAGS = 0x980; // i32: address of one byte per RAM page: PF_*
/** Read-only memory outside RAM (boot ROM below 4 GiB): gpa (i64), bytes (i32, 0: none), host address (i32). Writes are MMIO. */
export const CFG_ROM_GPA = 0x988;
export const CFG_ROM_SIZE = 0x990;
export const CFG_ROM_HOST = 0x994;
/** i32: 1 where RAM is somebody else's and comes page by page, as `pageIn` brings it (stepper.ts). */
export const CFG_PAGED = 0x998;
/** Entries into compiled regions (about: jumps between them are counted by LINK_SAMPLE), and instructions retired in them, i64. */
export const STAT_REGIONS = 0x9a0;
export const STAT_COMPILED = 0x9a8;
/** Flags on the way from one region to the next, not worked out yet: kind (core/region.ts; 0: A is RES, B is AUX) and operands. */
export const LAZY_KIND = 0x00; // i32
export const LAZY_A = 0x08; // i64 each
export const LAZY_B = 0x10;
export const LAZY_R = 0x18;
export const LAZY_X = 0x9d0; // result of a later operation that changes some flags only
/** 512 bytes for FXSAVE images that JavaScript asks for. */
export const FX_IMAGE = 0x1000; // to 0x11ff
/** gpa that core `translate` found, i64. */
export const TRANSLATED = 0xa18;
/** i32: 1 leaves with EXIT_DEBUG after the next instruction. */
export const DEBUG_STEP = 0xa6c;
/** Core-private state: debug register arming, task switch, fault nesting ... */
export const CORE_PRIVATE = 0xa00; // to 0xfff
/** u32: floating point exceptions that the instruction in execution has raised (core/float/env.ts). */
export const FLOAT_FLAGS = 0xf00;
/** u32: 1 while an instruction of two halves computes one: what commits exceptions leaves them where they are. */
export const FLOAT_HOLD = 0xf04;
/** 16 bytes: what an x87 store has converted. */
export const FLOAT_OUT = 0xf10;
/** Operands and result of vector operations that core does, 16 bytes each. */
export const VECTOR_A = 0xf40;
export const VECTOR_B = 0xf50;
export const VECTOR_OUT = 0xf60;
export const VECTOR_C = 0xf70;

// ---- flags ---------------------------------------------------------------------------------------------------------
// ZF = RES == 0; SF = bit 63 of RES xor AUX_SFD; PF = even parity of (RES ^ AUX_PDB byte) & FFh;
// CF = AUX bit 31; OF = AUX bit 31 xor bit 30; AF = AUX bit 3.
export const AUX_CF = 0x80000000;
export const AUX_PO = 0x40000000; // "partial overflow": OF = CF xor PO
export const AUX_SFD = 0x20000000; // sign delta, only after POPF and the like
export const AUX_AF = 8;
export const AUX_PDB_SHIFT = 8; // parity delta byte in bits 15:8, only after POPF and the like

// ---- decode mode (key of a block together with its physical address) ----------------------------------------------
export const MODE_64 = 1; // CS.L in long mode
export const MODE_D = 2; // default operand/address size 32 (CS.D) -- 64-bit mode has it clear
export const MODE_SS32 = 4; // stack address size 32 (SS.B); 64-bit mode has it clear
export const MODE_SEGMENTED = 8; // some of ES CS SS DS isn't flat (base 0, limit 4 GiB, present, right type): check each access
export const MODE_PE = 16; // protected mode and not v8086
export const MODE_VM = 32; // v8086
export const MODE_LONG = 64; // EFER.LMA
export const MODE_CPL0 = 128; // CPL 0
export const MODE_TF = 256; // single stepping (TF or data/instruction breakpoints armed): one instruction a block

// ---- exits ---------------------------------------------------------------------------------------------------------
export const EXIT_NONE = 0;
export const EXIT_BUDGET = 1; // COUNT ran out
export const EXIT_HLT = 2;
export const EXIT_SHUTDOWN = 3; // triple fault
export const EXIT_DEBUG = 4;
export const EXIT_ERROR = 5;
export const EXIT_KICK = 6;

// ---- pending -------------------------------------------------------------------------------------------------------
export const PEND_INTR = 1;
export const PEND_NMI = 2;
export const PEND_KICK = 4;
export const PEND_DB = 8; // #DB trap due after this instruction
export const PEND_NMI_MASKED = 16; // NMIs blocked until IRET
export const PEND_SMI = 32;

// ---- return codes of out-of-line handlers and of core functions that act as handlers ------------------------------
export const NEXT = 0; // go on with the next record
export const FAULT = 1; // FAULT_VECTOR/FAULT_ERROR set, state unchanged: deliver it
export const JUMP = 2; // RIP holds the next instruction's address; mode may have changed
export const RESUME = 4; // only from a region: go on at record CUR_REC of block CUR_BLOCK, whose instructions COUNT has paid for
export const LEAVE = 3; // EXIT_REASON set, RIP is right: return from run()

// ---- fixed handler numbers (the generator gives the rest) ----------------------------------------------------------
export const H_STALE = 0; // the code under this record has changed: look up again at this instruction
export const H_FALL = 1; // block ends without a branch: go on at the next instruction (has an extension record)
export const H_EA64 = 2; // micro-ops that compute R_EA, see the decoder
export const H_EA32IN64 = 3;
export const H_EASEG = 4;
export const H_EA16 = 5;
export const H_EAMOFFS = 6; // extension record: u64 offset
export const H_UD = 7; // raise #UD
export const H_GP0 = 8; // raise #GP(0): instruction longer than 15 bytes
export const H_FETCH_FAULT = 9; // the fetch of this instruction's later bytes faulted: fetch again and deliver
export const H_FIRST_FREE = 16;

// ---- activity ------------------------------------------------------------------------------------------------------
export const ACT_RUNNING = 0;
export const ACT_HALTED = 1;
export const ACT_WAIT_SIPI = 2;

// ---- segmentation of the address space of linear memory -----------------------------------------------------------
export const CORE_DATA = 0x2000; // asc --memoryBase; to 0x3ffff
export const TABLES = 0x40000; // decode tables generated at build time; to 0xfffff

// TLB: 3 sets (user, supervisor, supervisor that may touch user pages), and further user sets for other address spaces
// (TLB_MORE; core/tlb.ts), of TLB_ENTRIES entries of 32 bytes:
//   +0 i64 tag for reads   (linear page address, bits 11:0 clear; TLB_INVALID = no)
//   +8 i64 tag for writes  (also invalid for pages that hold decoded code, are not dirty yet, or are MMIO)
//   +16 i32 addend: linear memory address = low 32 bits of the linear address + addend
//   +20 i32 index in the fill list, or -1
//   +24 i64 tag for execution
// Index: ((lin >> 12) ^ (lin >> 21)) & (TLB_ENTRIES - 1).
// There are many, for two pages that a loop uses and that share an entry make it miss all the time: of 2,048 entries a
// system call's twenty pages shared one in every tenth boot, and then it took twice as long; of 8,192, still in some.
export const TLB_ENTRIES = 32768;
export const TLB_ENTRY_SIZE = 32;
export const TLB_SET_SIZE = 0x100000; // TLB_ENTRIES * TLB_ENTRY_SIZE
export const TLB_USER = 0x3000000;
export const TLB_SUPER = 0x3100000;
export const TLB_SUPER_AC = 0x3200000;
/** User sets beyond the first. */
export const TLB_MORE = 0x3300000; // to 0x39fffff
export const TLB_READ = 0;
export const TLB_WRITE = 8;
export const TLB_ADDEND = 16;
export const TLB_EXEC = 24;
export const TLB_INVALID = 0x800; // equal to no page address, nor to one with low bits below it
export const TLB_HASH_SHIFT = 21;
// Behind them, to 0x3b7ffff, lists of filled entries, so that a flush costs what was filled (core/private.ts).

// Jump cache: RIP -> block header, JC_ENTRIES of 16 bytes: +0 i64 rip, +8 i32 block, +12 i32 key (core/jumpcache.ts).
// Offset of an entry: (rip * JC_SPREAD ^ (rip >> 10)) & ((JC_ENTRIES - 1) << 4). Bits 15:2 of RIP count most, so that the
// blocks of one function share lines of the processor's cache; the product puts bits 1:0 on top of that.
export const JC_BASE = 0x180000;
export const JC_SPREAD = 0x10004; // (rip << 2) + (rip << 16)
export const JC_ENTRIES = 16384; // 256 KiB, to 0x1bffff

// Decoded blocks: hash of (gpa, mode) -> chain of headers.
export const BLOCK_HASH = 0x1c0000;
export const BLOCK_HASH_ENTRIES = 65536; // i32 each: 256 KiB, to 0x1fffff

// Records: bump allocated; when full, everything is dropped and decoded anew.
export const RECORDS = 0x200000;
export const RECORDS_END = 0x1f00000; // 29 MiB

// One byte per RAM page from here (PF_*): 4 GiB / 4 KiB = 1 MiB.
export const PAGE_FLAGS = 0x2000000;
export const PF_CODE = 1; // decoded blocks come from this page
export const PF_MMIO = 2; // not RAM after all (VGA window and the like): accesses go to the MMIO imports
export const PF_ROM = 4; // reads and fetches as RAM, writes go to the MMIO imports
/** Per RAM page: u64 bitmap of 64-byte lines that hold decoded code. Sparse: the host maps it on touch. */
export const PAGE_LINES = 0x2100000; // 8 bytes * 1 Mi pages = 8 MiB
/** Per RAM page: i32 head of the list of blocks that touch it. */
export const PAGE_BLOCKS = 0x2900000; // 4 MiB
/** The last jumps that weren't chained: i32 block that jumped, i32 low half of the new RIP; a ring. */
export const RECENT = 0x2d00000;
export const RECENT_BYTES = 8192;

// Compiled regions (core/region.ts). Pages of each, REGION_PAGES_STRIDE bytes a slot: a byte per entry, the number of the
// page that it lies in; then at REGION_PAGE_LIST for each page +0 i64 linear address less the first block's page, +8 i32
// host address.
export const REGION_SLOTS = 2048;
export const REGION_PAGES = 0x2e00000;
export const REGION_PAGES_STRIDE = 512;
export const REGION_PAGE_COUNT = 64; // i32
export const REGION_PAGE_LIST = 68;
export const REGION_PAGE_HOST = 8;
export const REGION_PAGE_SIZE = 12;
export const REGION_MOST_ENTRIES = 64;
/** A mask of them and a sign. */
export const REGION_MOST_PAGES = 31;
/** By slot, what was found last: +0 i64 linear address of the first block's page, +8 i32 key, +12 i32 mask of pages. */
export const REGION_FOUND = 0x2f00000;
export const REGION_FOUND_KEY = 8;
export const REGION_FOUND_MASK = 12;
export const REGION_FOUND_SIZE = 16;
// Jumps between regions: RIP -> region, LINK_ENTRIES of 32 bytes: +0 i64 rip, +8 i32 key (0: none), +12 i32 region as in
// BLK_REGION, +16 i32 mask of its pages that are what they were when it was compiled. A small table that stays in the
// processor's cache. Index: (rip ^ (rip >> LINK_HASH_SHIFT)).
export const LINK_CACHE = 0x2f10000;
export const LINK_ENTRIES = 4096; // 128 KiB, to 0x2f2ffff
export const LINK_KEY = 8;
export const LINK_REGION = 12;
export const LINK_MASK = 16;
export const LINK_SIZE = 32;
export const LINK_HASH_SHIFT = 12;
/** Of the jumps between regions one in so many is counted, for all of them. */
export const LINK_SAMPLE = 64;

export const RAM_BASE = 0x4000000; // guest RAM, 64 MiB in

// ---- block header (48 bytes) ---------------------------------------------------------------------------------------
export const BLK_START = 0; // u16: offset of the first instruction in its page
export const BLK_COUNT = 2; // u16: instructions in the block
export const BLK_MODE = 4; // i32: MODE_* it was decoded for
export const BLK_GPA = 8; // i32: RAM page number << 12 in linear memory terms (host offset of its page from RAM_BASE)
export const BLK_HASH_NEXT = 12; // i32: next header of the hash chain
export const BLK_PAGE_NEXT = 16; // i32: next header of the page's list
export const BLK_END = 20; // i32: address just past its last record
export const BLK_BYTES = 24; // u16: length of the code in bytes (may run into the next page: then PAGE2)
export const BLK_FLAGS = 26; // u16: where it stands in the jump cache (core/jumpcache.ts)
export const BLK_PAGE2 = 28; // i32: host page of the second page plus 1, or 0: such blocks are never cached across mappings
export const BLK_REGION = 32; // i32: compiled region that is entered here, or 0: its slot in bits 15:0, which of its entries above
export const BLK_PART = 36; // i32: 1 while it is part of a region, compiled or being compiled
export const BLK_HEAT = 40; // i32: how often it has been entered, but for from within a region
/** A block is reported hot each time its heat is a multiple of this power of two. */
export const HOT_EVERY = 2048;
/** A region's entry is reported hot each time its heat has passed a multiple of this power of two. */
export const REGION_HOT_EVERY = 0x40000;
export const BLK_HEADER = 48;

// ---- decoded record (16 bytes) -------------------------------------------------------------------------------------
export const REC_HANDLER = 0; // u16
export const REC_LEN = 2; // u8: bytes of the instruction; 0 for a micro-op that precedes it
export const REC_A = 3; // u8: byte offset of operand a's register from REGS (or XMM: reg * 16; or segment number ...)
export const REC_B = 4; // u8
export const REC_BASE = 5; // u8: byte offset of the base register (R_ZERO: none; R_PAGE: RIP-relative; R_EA)
export const REC_INDEX = 6; // u8
export const REC_SCALE = 7; // u8: 0 to 3 (shift). VEX forms with a third register keep it in imm bits 15:8
/**
 * Bit 6 of REC_SCALE: an extension record with a u64 follows in mid-block (MOV r64, imm64; H_EAMOFFS). Walks along the
 * records skip it; shift counts of 64 bits are taken modulo 64, so it does no harm where the scale is used.
 */
export const REC_SCALE_EXT = 64;
// Without a memory operand: REC_BASE is the address size in bytes, REC_SCALE the segment override plus 1 (0: none).
export const REC_DISP = 8; // i32
export const REC_IMM = 12; // i32; x87 instructions have the eleven bits of FOP here
export const REC_SIZE = 16;
