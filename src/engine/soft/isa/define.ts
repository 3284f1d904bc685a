/**
 * How an instruction is written down: its encodings as the SDM's tables give them, its operands in the letters of the
 * SDM's opcode maps (vol. 2, appendix A.2), and its semantics, once, as a function over an emitter. Both tiers and the
 * decoder's tables come from these definitions and from nothing else.
 */
import type { Emitter } from '../emit/emitter.js';
import type { Operand } from '../emit/operands.js';

/** Emits what the instruction does. Operands come in the order of the operand list. */
export type Semantics = (e: Emitter, ...operands: Operand[]) => void;

/**
 * One encoding: `[pattern, operands]`.
 *
 * Pattern, blank-separated, in this order:
 *   prefix    `NP` (none of 66 F3 F2 allowed), `66`, `F3`, `F2`; nothing: prefixes do not select (66 is operand size).
 *             `VEX.128|256|LZ|LIG.NP|66|F3|F2.0F|0F38|0F3A.W0|W1|WIG` instead for VEX (map given in it).
 *   opcode    `00`..`FF`, `0F xx`, `0F 38 xx`, `0F 3A xx`; `50+r` stands for eight opcodes, register in bits 2:0
 *   modrm     `/r`, or `/0`..`/7` (opcode extension); `mod3` register form only, `mem` memory form only;
 *             `rm0`..`rm7` fixed low field (with mod3)
 *   size      `o16` `o32` `o64` only with this operand size; `W0`/`W1` REX.W as given
 *   mode      `i64` invalid in 64-bit mode; `only64` invalid outside it
 *   default   `d64` operand size defaults to 64 in 64-bit mode (66 still gives 16), `f64` is 64 there whatever the prefixes
 *
 * Operands, comma-separated:
 *   general   E (rm: register or memory), G (modrm.reg), R (rm, register only), M (memory only), B (VEX.vvvv),
 *             Z (register in the opcode) + size b w d q, v (16/32/64 by operand size), y (32/64), z (16/32);
 *             M alone: address only (LEA, INVLPG ...); memory only also `Mdq` (16 bytes), `Mqq` (32), `Mt` (10 bytes), `Mp` (far pointer:
 *             2 + operand size bytes), `Ms` (descriptor table: 2 + 4 or 8), `Mx512` (fxsave area)
 *   xmm       V (modrm.reg), W (rm: register or memory), U (rm, register only), H (vvvv), L (imm8 7:4)
 *             + memory size x (16 bytes; 32 with VEX.256), q, d, w, b; dq (16); qq (32)
 *   mmx       P (modrm.reg), Q (rm), N (rm, register only) + q or d
 *   x87       `STi` (rm as stack index, raw number in the field), memory forms use Md Mq Mt Mw
 *   immediate Ib (unsigned 8), Ibs (8, sign-extended to the operand size), Iw, Iz (16/32, sign-extended for 64), Iv (16/32/64: 64 in the ext record)
 *   branch    Jb Jz (relative), Ap (far pointer: offset in imm, selector in disp)
 *   moffs     Ob Ov (memory operand at an absolute offset)
 *   fixed     AL CL AX EAX rAX(v) DX 1 ; Sw (segment register, modrm.reg), Cd/Dd (control/debug register, modrm.reg; rm is Ry by mode)
 */
export type Encoding = readonly [pattern: string, operands: string];

export interface Attributes {
  /** Ends a block; gets an extension record; the handler leaves through e.jump..., or returns JUMP/LEAVE/FAULT. */
  ends?: boolean;
  /** LOCK is allowed with a memory destination. Elsewhere LOCK is #UD. */
  lock?: boolean;
  /** Uses the stack implicitly: expanded into a fast variant (64-bit, or flat 32-bit stack) and a slow one (variant.slowStack). */
  stack?: boolean;
  /** REP prefixes mean repetition here (string instructions): goes to field b. */
  rep?: boolean;
  /** Memory operand is an address only: no segment, no checks (LEA, NOP Ev). */
  addressOnly?: boolean;
  /** Memory operand is written (or read and written): the segment check of EASEG asks for a writable segment. */
  writes?: boolean;
  /** #UD unless all of these CPUID-like feature words are offered (documentation and CPUID's source). */
  feature?: string;
  /** Condition number (0 to 15) or other constant that the semantics needs; also part of the handler's name. */
  param?: number;
  /** The handler makes the addresses itself, one an element (masked moves); `vsib`: with a vector register as the index. */
  addressParts?: 'plain' | 'vsib';
  /** #UD in real and v8086 mode. */
  protectedOnly?: boolean;
}

export interface Instruction {
  readonly name: string;
  readonly encodings: readonly Encoding[];
  readonly attributes: Attributes;
  readonly semantics: Semantics;
}

/** All instructions, in definition order. Files under isa/ add to a list of their own; isa/index.ts joins them. */
export class InstructionList {
  readonly instructions: Instruction[] = [];

  /** Defines an instruction. */
  op(name: string, encodings: readonly Encoding[], attributes: Attributes, semantics: Semantics): void {
    this.instructions.push({ name, encodings, attributes, semantics });
  }
}

/** Variant of a handler: everything beside the operands that the decoder knows and the semantics may need. */
export interface Variant {
  /** Operand size in bytes (2, 4 or 8): for pushes, string conversions and the like. */
  readonly operandSize: 2 | 4 | 8;
  /** 64-bit mode. */
  readonly long: boolean;
  /** Stack accesses go through the checked core functions. */
  readonly slowStack: boolean;
}

/** What a record's operand is, seen by semantics. */
export type OperandSpec =
  | { readonly kind: 'gpr'; readonly size: 1 | 2 | 4 | 8; readonly field: 'a' | 'b' | 'c' }
  | { readonly kind: 'fixed'; readonly size: 1 | 2 | 4 | 8; readonly register: number } // byte offset from REGS: AL 0, CL 8, DX 16
  | { readonly kind: 'mem'; readonly size: number } // bytes; 0: address only
  | { readonly kind: 'imm'; readonly size: 1 | 2 | 4 | 8; readonly signed: boolean }
  | { readonly kind: 'const'; readonly value: number }
  | { readonly kind: 'rel'; readonly size: 1 | 2 | 4 }
  | { readonly kind: 'far' }
  | { readonly kind: 'xmm'; readonly size: number; readonly field: 'a' | 'b' | 'c' | 'd' } // size: the bytes the encoding names (q: 8)
  | { readonly kind: 'mmx'; readonly size: number; readonly field: 'a' | 'b' }
  | { readonly kind: 'raw'; readonly field: 'a' | 'b' }; // ST(i), segment, control or debug register number

/** One handler of the interpreter: an instruction with its operand kinds and variant fixed. */
export interface HandlerSpec {
  /** Unique: `add.32.gpr4a,gpr4b` and the like. Encodings that come to the same key share the handler. */
  readonly key: string;
  readonly instruction: Instruction;
  readonly operands: readonly OperandSpec[];
  readonly variant: Variant;
}
