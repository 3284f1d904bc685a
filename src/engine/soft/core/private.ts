// State that only the core knows, in CORE_PRIVATE (0xa00 to 0xfff; float/env.ts has scratch in 0xa00 to 0xa3f, so what
// JavaScript leaves at MSR_VALUE is zeroed once read), and the tables beside the TLB.

// ---- values that JavaScript leaves for us --------------------------------------------------------------
export const MSR_VALUE = 0xa00;
export const TSC_VALUE = 0xa08;
export const ENTROPY_VALUE = 0xa10;

// ---- paging ----------------------------------------------------------------------------------------------------------
/** PAE: the four page-directory-pointer-table entries, loaded with CR3 (SDM vol. 3, 4.4.1). */
export const PDPTES = 0xa80; // 4 * i64

// ---- interrupts and debugging ----------------------------------------------------------------------------------------
/** STEP_*: what `events` has let go. */
export const STEP = 0xa48; // i32
export const STEP_NONE = 0;
export const STEP_TRAP = 1; // one instruction is under way with TF set: #DB with BS afterwards
export const STEP_FORCED = 2; // one instruction is under way for another reason (interrupt shadow, RF)
/** DR6 bits of traps that wait for the end of the instruction (PEND_DB is set). */
export const DB_BITS = 0xa4c; // i32
/** Enabled breakpoints, bit n = DRn: execution, data (writes or reads and writes), I/O. */
export const BP_EXEC = 0xa50; // i32
export const BP_DATA = 0xa54; // i32
export const BP_IO = 0xa58; // i32
/** RF as it was when the instruction under way was let go: it protects that one, and IRET may set it for the next. */
export const STEP_RF = 0xa5c; // i32
export const LAST_CS_BASE = 0xa60; // i64: CS base that the jump cache was filled under (legacy modes)
export const LAST_CPL = 0xa68; // i32
/** The limit of CS that the jump cache was filled under (legacy modes). */
export const LAST_CS_LIMIT = 0xa70; // u32

// ---- MSRs without a home in layout.ts (MSR_MORE to 0x5ff) -----------------------------------------------------------
export const MSR_MTRR_FIX = 0x400; // 11 * i64, to 0x457
export const MSR_MTRR_VAR = 0x460; // 16 * i64, to 0x4df
export const MSR_MTRR_DEF_TYPE = 0x4e0;
export const MSR_UCODE_REV = 0x4e8;
export const MSR_DEBUGCTL = 0x4f0;

// ---- beside the TLB and the jump cache ----------------------------------------------------------------
export const FILLS_NONGLOBAL = 0x3b00000; // i32 addresses of entries of the supervisor's sets, at most 65536
export const FILLS_GLOBAL = 0x3b40000;
/** i32 per hash of a page number: the generation of the jump cache in which it last took an entry of such a page. */
export const JC_PAGES_RING0 = 0x140000;
export const JC_PAGES_REST = 0x144000;
export const LARGE_PAGES = 0x155000; // u8 per hash of lin >> 21: 1 = the TLB may hold pieces of such a large page
/** The same for the user sets, 32768 each. */
export const FILLS_USER = 0x3a00000; // to 0x3afffff
/** Nodes by which blocks that run into a second page stand on that page's list: +0 header, +4 next. */
export const PAGE2_NODES = 0x156000;
export const PAGE2_NODES_END = 0x180000;
