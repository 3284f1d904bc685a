// The decode tables' format: written by isa/expand.ts at build time, read by core/decode.ts. Two compilers read this file
// (tsc and asc), so it holds nothing but numeric constants.
//
// TABLES holds 7 root tables of 256 entries (i32): maps 1-byte, 0F, 0F38, 0F3A, and the VEX maps 0F, 0F38, 0F3A. An entry
// is 0 (undefined) or the linear-memory address of a node (multiple of 8), with T_LEAF and T_MODRM in its low bits.
// An inner node is one i32 (shift in bits 7:0, mask in bits 15:8) followed by mask + 1 entries; the selector word, built
// from the instruction's bytes and the mode, says which entry: (selector >> shift) & mask. A leaf is a descriptor.

export const T_LEAF = 1; // this entry names a leaf
export const T_MODRM = 2; // in roots: the opcode has a ModRM byte
export const T_ADDRESS = -8; // mask of the address bits

/** Root tables, 256 entries each: index = map. */
export const MAP_VEX = 3; // VEX map m (1 to 3) is root MAP_VEX + m
export const MAPS = 7;

// ---- selector word: shift of each field ----------------------------------------------------------------------------
export const S_SIZE = 0; // 2 bits: operand size by 66 and REX.W alone: 0 = 16, 1 = 32, 2 = 64
export const S_ADDR = 2; // 2 bits: address size: 0 = 16, 1 = 32, 2 = 64
export const S_PREFIX = 4; // 2 bits: 0 none, 1 = 66, 2 = F3, 3 = F2 (VEX: pp)
export const S_REG = 6; // 3 bits: ModRM.reg
export const S_RM = 9; // 3 bits: ModRM.rm
export const S_MOD3 = 12; // ModRM.mod == 3
export const S_W = 13; // REX.W or VEX.W
export const S_L = 14; // VEX.L
export const S_LONG = 15; // 64-bit mode
export const S_PROTECTED = 16; // protected mode, not v8086
export const S_SLOW = 17; // stack accesses need checks
export const S_REXB = 18; // REX.B

// ---- leaf descriptor (16 bytes) ------------------------------------------------------------------------------------
export const L_HANDLER = 0; // u16
export const L_FLAGS = 2; // u16: LF_*
export const L_A = 4; // u8: register plan of field a: source | class << 4; 0: none
export const L_B = 5; // u8
export const L_C = 6; // u8
export const L_IMM = 7; // u8: IMM_*
export const L_SIZE = 8; // u8: bytes that the memory operand has (at most 64); 0: address only
export const L_SCALE = 9; // u8: string instructions: log2 of the element size
export const L_POP = 10; // u8: POP to memory: bytes by which RSP as a base counts as already raised
export const L_D = 11; // u8: register plan of field d, for forms without a memory operand: it takes the index's place
export const LEAF_SIZE = 16;

export const LF_MEM = 1; // ModRM memory operand
export const LF_ENDS = 2;
export const LF_LOCK = 4; // LOCK is legal
export const LF_REP = 8; // string instruction: segment, repetition and address size go to the record
export const LF_ADDRESS = 16; // the operand is an address only: no segment
export const LF_WRITE = 32; // the memory operand is written
export const LF_VVVV = 64; // VEX.vvvv names a register
export const LF_MOFFS = 128; // absolute memory offset instead of an immediate
export const LF_IMM64 = 256; // extension record with the immediate
export const LF_PARTS = 512; // the handler makes addresses itself: segment in imm 7:0, address size (0 to 2) in imm 15:8
export const LF_VSIB = 1024; // with LF_PARTS: the index is a vector register (reg * 16)

// ---- register plans --------------------------------------------------------------------------------------------------
// Source: 0 none, or
export const P_REG = 1; // ModRM.reg with REX.R
export const P_RM = 2; // ModRM.rm with REX.B
export const P_OPCODE = 3; // opcode bits 2:0 with REX.B
export const P_VVVV = 4;
export const P_IMM = 5; // immediate bits 7:4
// Class, shifted by 4:
export const C_GPR = 0x00; // reg * 8
export const C_GPR8 = 0x10; // byte registers: AH CH DH BH without REX
export const C_XMM = 0x20; // reg * 16
export const C_MMX = 0x30; // (reg & 7) * 16
export const C_ST = 0x40; // reg & 7, as it is
export const C_SEG = 0x50; // segment number; above 5: #UD
export const C_SEGW = 0x60; // the same, written: CS is #UD too
export const C_CR = 0x70; // CR0 CR2 CR3 CR4 CR8; others: #UD
export const C_DR = 0x80; // DR0 to DR7; REX.R: #UD

// ---- immediates ------------------------------------------------------------------------------------------------------
export const IMM_NONE = 0;
export const IMM_U8 = 1;
export const IMM_S8 = 2;
export const IMM_U16 = 3;
export const IMM_S16 = 4;
export const IMM_32 = 5;
export const IMM_64 = 6; // extension record
export const IMM_FAR16 = 7; // offset 16 -> imm, selector -> disp
export const IMM_FAR32 = 8;
export const IMM_ENTER = 9; // u16 -> imm, u8 -> disp
