/**
 * What an instruction's semantics may say. The primitives are abstract: the interpreter's emitter takes operands from the
 * fields of a decoded record; a compiler's takes them as constants and keeps registers in locals. Whatever can be said in
 * terms of the primitives (flags, conditions, stack) is said here, once, for both.
 *
 * Integers of 1, 2 and 4 bytes are i32, zero-extended when read, truncated when written; 8 bytes are i64.
 * Order matters: everything that can fault comes before the first write, so a fault leaves the state as it was.
 */
import type { Variant } from '../isa/define.js';
import type { Conditions, RareTest } from '../isa/float-rare.js';
import { RFLAGS } from '../isa/rflags.js';
import * as L from '../layout.js';
import { AUX_AF, AUX_CF, AUX_PDB_SHIFT, AUX_PO, AUX_SFD, EFLAGS, FLAG_AUX, FLAG_RES } from '../layout.js';
import type { FunctionBuilder, Hint } from '../wasm/function.js';
import type { Expr, ValType } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { f32, f64 } from '../wasm/simd.js';
import { isMasked, isPlain } from './mxcsr.js';
import { intType, type Operand, sizeOf } from './operands.js';

/** Exceptions by vector (SDM vol. 3, table 6-1). */
export const VECTOR = {
  DE: 0,
  DB: 1,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  XM: 19,
} as const;

/** Lanes of a vector that is known to hold no denormals there: the low double, both, the low single, all. */
export const LANES_D0 = 1;
export const LANES_D = 3;
export const LANES_S0 = 4;
export const LANES_S = 12;

export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;

const CF_PO = AUX_CF | AUX_PO;
const CF_PO_AF = CF_PO | 8;

export abstract class Emitter {
  abstract readonly f: FunctionBuilder;
  abstract readonly variant: Variant;
  /** The definition's `param` (condition number and the like). */
  abstract readonly param: number;

  // ---- primitives ---------------------------------------------------------------------------------------------------

  /** Value of an operand: registers, memory (may fault), immediates. Evaluated here and now. */
  abstract read(operand: Operand): Expr;
  /** Writes an operand (memory may fault). A 32-bit register write clears bits 63:32. */
  abstract write(operand: Operand, value: Expr): void;
  /** Reads, computes and writes back, with one address translation, checked for writing before `compute` runs. */
  abstract update(operand: Operand, compute: (old: Expr) => Expr): void;
  /** Linear address of a memory operand, i64. */
  abstract address(operand: Operand): Expr;
  /** Host address (i32) for reading / writing `size` bytes at a linear address; faults leave the instruction. */
  abstract readPointer(linear: Expr, size: number): Expr;
  abstract writePointer(linear: Expr, size: number): Expr;
  /** As writePointer, for what is read first. */
  abstract updatePointer(linear: Expr, size: number): Expr;
  /** After stores through a writePointer. */
  abstract commit(pointer: Expr): void;
  /** General register `n` (0 = RAX), `size` 1 (low byte), 2, 4 or 8. */
  abstract gpr(n: number, size: number): Expr;
  abstract setGpr(n: number, size: number, value: Expr): void;
  /** State that isn't a register: a 32- or 64-bit word or a vector of the CPU state (layout.ts). */
  abstract state(address: number, type: 'i32' | 'i64' | 'v128'): Expr;
  abstract setState(address: number, value: Expr): void;
  /** Keeps addresses of this code's mode: 32 bits outside 64-bit mode. */
  abstract maskAddress(linear: Expr): Expr;
  /** Address of the next instruction (only in instructions that end a block). */
  abstract nextRip(): Expr;
  /** Goes on at `rip` (i64). Ends the instruction. */
  abstract jump(rip: Expr): void;
  /** Relative branch: goes to the target if `condition` (absent: always), else to the next instruction. Ends the instruction. */
  abstract branch(target: Operand, condition?: Expr): void;
  /** Leaves with an exception, state unchanged. */
  abstract raise(vector: number, errorCode?: Expr): void;
  /** Goes on at the next instruction. Ends the instruction, and with it the block. */
  abstract fallThrough(): void;
  /** Does the instruction as `usual` emits it, unless `rare` holds: then core's handler does all of it. */
  abstract unlessRare(rare: Expr, usual: () => void, handler: string, ...args: number[]): void;
  /** Calls core handler `name(rec, ...args)` and obeys its return code (NEXT, FAULT, JUMP, LEAVE). */
  abstract core(name: string, ...args: number[]): void;
  /** Calls a core function with typed arguments; it can't fault. The result is evaluated here and now. */
  abstract call(name: string, result: ValType, ...args: Expr[]): Expr;
  abstract callVoid(name: string, ...args: Expr[]): void;
  /** Leaves with the fault that core has raised, if `failed` is not zero. */
  abstract faultIf(failed: Expr): void;
  /** Leaves with the fault that is pending. */
  protected abstract fault(): void;
  /** Address of an xmm or mmx operand's register, i32, and a memory operand's host pointer (may fault). */
  abstract pointer(operand: Operand): Expr;
  /** An xmm register, whole (v128). Evaluated here and now. */
  abstract vector(operand: Operand): Expr;
  abstract setVector(operand: Operand, value: Expr): void;
  /** Its upper 16 bytes as a YMM register. */
  abstract upper(operand: Operand): Expr;
  abstract setUpper(operand: Operand, value: Expr): void;
  /** Clears the upper half of YMM register `n`, or the low one. */
  abstract clearHalf(n: number, which: 'low' | 'upper'): void;
  /** XMM0, where an instruction implies it. */
  abstract xmm0(): Expr;
  abstract setXmm0(value: Expr): void;
  /** Integer of `size` bytes at lane `index` (i32, in range) of an xmm or mmx register, zero-extended. */
  abstract lane(operand: Operand, size: number, index: Expr): Expr;
  /** Bits of a float in memory or in an xmm register's low lane, where they are used as a float. */
  abstract readFloat(operand: Operand): Expr;
  /** Number that a raw operand names (ST(i), segment, control register). */
  abstract number(operand: Operand): Expr;

  /** Address size in bytes (i32) of instructions with the `rep` attribute. */
  abstract addressSize(): Expr;
  /** Whether a register operand is general register `n` (i32, 0 or 1). */
  abstract isRegister(operand: Operand, n: number): Expr;

  // ---- values -------------------------------------------------------------------------------------------------------

  let(value: Expr): Expr {
    return this.f.let(value);
  }

  if(condition: Expr, then: () => void, otherwise?: () => void): void {
    this.f.if(condition, then, otherwise);
  }

  /** Runs `otherwise` unless all conditions hold; undefined ones do. A branch for each: they are rarely false. */
  unless(conditions: readonly (Expr | undefined)[], otherwise: () => void): void {
    const open = conditions.filter((c) => c !== undefined);
    const last = open.pop();
    if (!last) return;
    const { f } = this;
    f.block((done) => {
      if (open.length > 0)
        f.block((no) => {
          for (const c of open) f.brIf(no, w.eqz(c), false);
          f.brIf(done, last, true);
        });
      else f.brIf(done, last, true);
      otherwise();
    });
  }

  /** The conditions of a test that is rarely asked. */
  rarely(test: RareTest, args: readonly Expr[]): Conditions {
    return test.conditions(this, ...args);
  }

  /** Evaluates one of two ways of getting a value. */
  choose(type: ValType, condition: Expr, yes: () => Expr, no: () => Expr, likely?: Hint): Expr {
    const result = this.f.temp(type);
    this.f.if(
      condition,
      () => this.f.set(result, yes()),
      () => this.f.set(result, no()),
      likely,
    );
    return w.localGet(result, type, true);
  }

  /** Zero-extended integer of `size` bytes from whatever lies above it. */
  zeroExtend(value: Expr, size: number): Expr {
    if (size === 1) return w.and(value, w.i32c(0xff));
    if (size === 2) return w.and(value, w.i32c(0xffff));
    return value;
  }

  /** Sign-extended within its type. */
  signExtend(value: Expr, size: number): Expr {
    if (size === 1) return w.signExtend(value, 8);
    if (size === 2) return w.signExtend(value, 16);
    return value;
  }

  /** Sign-extended to i64. */
  signExtend64(value: Expr, size: number): Expr {
    return w.extendS(this.signExtend(value, size));
  }

  /** An integer converted to the type of another size, zero-extended. */
  resize(value: Expr, size: number): Expr {
    return size === 8 ? w.extendU(value) : w.wrap(value);
  }

  // ---- flags (layout.ts: RES and AUX) --------------------------------------------------------------------------------

  protected setFlagsRaw(res: Expr, aux: Expr): void {
    this.setState(FLAG_RES, res);
    this.setState(FLAG_AUX, aux);
  }

  aux(): Expr {
    return this.state(FLAG_AUX, 'i32');
  }

  res(): Expr {
    return this.state(FLAG_RES, 'i64');
  }

  /** AUX from a vector of carries out of each bit. */
  #auxOf(carries: Expr, size: number): Expr {
    if (size === 4) return w.and(carries, w.i32c(CF_PO_AF));
    const c = this.let(carries);
    if (size === 8) return w.or(w.and(w.wrap(w.shrU(c, w.i64c(32))), w.i32c(CF_PO)), w.and(w.wrap(c), w.i32c(8)));
    return w.or(w.and(w.shl(c, w.i32c(size === 1 ? 24 : 16)), w.i32c(CF_PO)), w.and(c, w.i32c(8)));
  }

  /** Flags of result = a + b (+ carry, then `carryIn`). All three must be `let`. */
  flagsAdd(size: number, a: Expr, b: Expr, result: Expr, _carryIn = false): void {
    const ones = w.intc(a.type, -1);
    const carries = w.or(w.and(a, b), w.and(w.or(a, b), w.xor(result, ones)));
    this.setFlagsRaw(this.signExtend64(result, size), this.#auxOf(carries, size));
  }

  /** Flags of result = a - b (- borrow, then `carryIn`). */
  flagsSub(size: number, a: Expr, b: Expr, result: Expr, _carryIn = false): void {
    const ones = w.intc(a.type, -1);
    const borrows = w.or(w.and(w.xor(a, ones), b), w.and(w.xor(w.xor(a, b), ones), result));
    this.setFlagsRaw(this.signExtend64(result, size), this.#auxOf(borrows, size));
  }

  /** Flags of AND, OR, XOR, TEST: CF = OF = 0. */
  flagsLogic(size: number, result: Expr): void {
    this.setFlagsRaw(this.signExtend64(result, size), w.i32c(0));
  }

  /** SF, ZF, PF from the result; CF and OF (0 or 1) as given; AF clear. */
  flagsResult(size: number, result: Expr, cf: Expr, of: Expr): void {
    const c = this.let(cf);
    this.setFlagsRaw(this.signExtend64(result, size), this.#auxCfOf(c, of));
  }

  #auxCfOf(cf: Expr, of: Expr): Expr {
    return w.or(w.shl(cf, w.i32c(31)), w.shl(w.xor(cf, of), w.i32c(30)));
  }

  /** INC and DEC: CF stays. `of` is the new OF, `af` the new AF in bit 3. */
  flagsKeepCarry(size: number, result: Expr, of: Expr, af: Expr): void {
    const cf = this.let(w.and(this.aux(), w.i32c(AUX_CF)));
    const po = w.xor(w.shrU(cf, w.i32c(1)), w.shl(of, w.i32c(30)));
    this.setFlagsRaw(this.signExtend64(result, size), w.or(w.or(cf, po), af));
  }

  /** INC (`by` 1) and DEC (-1) of `from`: `result` is what comes out. Both must be `let`. */
  flagsStep(size: number, from: Expr, result: Expr, by: 1 | -1): void {
    // INC overflows into the smallest number, DEC out of it.
    const edge = by === 1 ? result : from;
    const smallest = size === 8 ? w.i64c(-(2n ** 63n)) : w.i32c(size === 4 ? 0x8000_0000 : 1 << (size * 8 - 1));
    const low = w.and(w.wrap(edge), w.i32c(15));
    this.flagsKeepCarry(size, result, w.eq(edge, smallest), w.shl(w.eqz(low), w.i32c(3)));
  }

  /** ROL and ROR, by their result, which must be `let`: CF and OF. */
  flagsRotate(size: number, result: Expr, left: boolean): void {
    const bit = (n: number) => w.and(w.wrap(w.shrU(result, w.intc(result.type, n))), w.i32c(1));
    const top = this.let(bit(size * 8 - 1));
    const cf = left ? this.let(bit(0)) : top;
    this.setCarryOverflow(cf, w.xor(top, left ? cf : bit(size * 8 - 2)));
  }

  /** Only CF and OF (0 or 1) change: rotates, MUL. */
  setCarryOverflow(cf: Expr, of: Expr): void {
    const c = this.let(cf);
    this.setState(FLAG_AUX, w.or(w.and(this.aux(), w.i32c(~CF_PO)), this.#auxCfOf(c, of)));
  }

  /** Only CF (0 or 1) changes; OF stays. */
  setCarry(cf: Expr): void {
    const of = this.let(this.condition(0));
    this.setCarryOverflow(cf, of);
  }

  /** ZF as given (0 or 1), CF, PF as given, OF SF AF clear: COMIS, PTEST and their like. */
  flagsZpc(zf: Expr, pf: Expr, cf: Expr): void {
    // ZF needs RES == 0, whose own parity is even: the delta flips it where PF must be clear, and the other way round.
    const z = this.let(zf);
    const flip = w.xor(pf, w.i32c(1)); // RES is 0 or 0x100: low byte 0, PF = 1 without a delta
    const res = w.extendU(w.shl(w.xor(z, w.i32c(1)), w.i32c(8)));
    this.setFlagsRaw(res, w.or(w.shl(flip, w.i32c(8)), this.#auxCfOf(this.let(cf), w.i32c(0))));
  }

  /** ZF, SF, CF, OF as given (0 or 1), AF and PF clear: comparisons of strings. */
  flagsZsco(zf: Expr, sf: Expr, cf: Expr, of: Expr): void {
    // As above: RES's low byte is 0, and the deltas give PF and SF.
    const res = w.extendU(w.shl(w.xor(zf, w.i32c(1)), w.i32c(8)));
    const deltas = w.or(w.shl(sf, w.i32c(Math.log2(AUX_SFD))), w.i32c(1 << AUX_PDB_SHIFT));
    this.setFlagsRaw(res, w.or(deltas, this.#auxCfOf(this.let(cf), of)));
  }

  /** Only ZF changes (CMPXCHG8B, BSF on zero, ARPL, LAR ...): the others are made explicit. */
  setZero(zf: Expr): void {
    const s = this.let(this.condition(8));
    const p = this.let(this.condition(10));
    const z = this.let(zf);
    const keep = w.and(this.aux(), w.i32c(CF_PO_AF));
    const delta = w.or(w.shl(s, w.i32c(29)), w.shl(w.xor(p, w.i32c(1)), w.i32c(8)));
    const res = w.extendU(w.shl(w.xor(z, w.i32c(1)), w.i32c(8)));
    this.setFlagsRaw(res, w.or(keep, delta));
  }

  /** RFLAGS bits 31:0, as PUSHF and LAHF have them. */
  rflags(): Expr {
    const aux = this.let(this.aux());
    const res = this.let(this.res());
    const bit = (value: Expr, flag: number) => w.shl(value, w.i32c(Math.log2(flag)));
    const top = (value: Expr, flag: number) => w.and(w.shrU(value, w.i32c(31 - Math.log2(flag))), w.i32c(flag));
    return [
      top(aux, RFLAGS.CF),
      bit(this.condition(10), RFLAGS.PF),
      w.shl(w.and(aux, w.i32c(AUX_AF)), w.i32c(1)),
      bit(w.eqz(res), RFLAGS.ZF),
      top(w.xor(w.wrap(w.shrU(res, w.i64c(32))), w.shl(aux, w.i32c(2))), RFLAGS.SF),
      top(w.xor(aux, w.shl(aux, w.i32c(1))), RFLAGS.OF),
    ].reduce((all, one) => w.or(all, one), w.or(this.eflags(), w.i32c(2)));
  }

  /** OF, SF, ZF, AF, PF and CF as `flags` (i32) has them. */
  setArithmetic(flags: Expr): void {
    const bit = (flag: number) => w.and(w.shrU(flags, w.i32c(Math.log2(flag))), w.i32c(1));
    // RES is 0 or 1: its own parity is even exactly when it is 0.
    const zf = this.let(bit(RFLAGS.ZF));
    const partial = w.xor(bit(RFLAGS.CF), bit(RFLAGS.OF));
    const aux = [
      w.shl(flags, w.i32c(31)),
      w.shl(partial, w.i32c(30)),
      w.shl(bit(RFLAGS.SF), w.i32c(Math.log2(AUX_SFD))),
      w.shl(w.xor(bit(RFLAGS.PF), zf), w.i32c(AUX_PDB_SHIFT)),
      w.shl(bit(RFLAGS.AF), w.i32c(Math.log2(AUX_AF))),
    ].reduce((all, one) => w.or(all, one));
    this.setFlagsRaw(w.extendU(w.xor(zf, w.i32c(1))), aux);
  }

  /** CF as 0 or 1. */
  carry(): Expr {
    return w.shrU(this.aux(), w.i32c(31));
  }

  /** Condition code 0 to 15 as in Jcc (SDM vol. 1, appendix B): 0 or 1. */
  condition(code: number): Expr {
    const value = this.#positive(code >> 1);
    return code & 1 ? w.eqz(value) : value;
  }

  #positive(which: number): Expr {
    const topBit = (e: Expr) => w.shrU(e, w.i32c(31));
    const sign = () => w.wrap(w.shrU(this.res(), w.i64c(32)));
    const zero = () => w.eqz(this.res());
    switch (which) {
      case 0: {
        const a = this.let(this.aux());
        return topBit(w.xor(a, w.shl(a, w.i32c(1))));
      }
      case 1:
        return topBit(this.aux());
      case 2:
        return zero();
      case 3:
        return w.or(topBit(this.aux()), zero());
      case 4:
        return topBit(w.xor(sign(), w.shl(this.aux(), w.i32c(2))));
      case 5: {
        const x = this.let(w.xor(w.wrap(this.res()), w.shrU(this.aux(), w.i32c(8))));
        const nibble = w.and(w.xor(x, w.shrU(x, w.i32c(4))), w.i32c(15));
        return w.and(w.shrU(w.i32c(0x9669), nibble), w.i32c(1));
      }
      case 6:
        return this.#less();
      default:
        return w.or(this.#less(), zero());
    }
  }

  /** SF != OF. */
  #less(): Expr {
    const a = this.let(this.aux());
    const sign = w.wrap(w.shrU(this.res(), w.i64c(32)));
    const bits = w.xor(w.xor(sign, w.shl(a, w.i32c(2))), w.xor(a, w.shl(a, w.i32c(1))));
    return w.shrU(bits, w.i32c(31));
  }

  // ---- stack ----------------------------------------------------------------------------------------------------------

  /** Pushes `value` of `size` bytes. Faults before RSP changes. */
  push(value: Expr, size: number): void {
    const v = this.let(value);
    if (this.variant.slowStack) {
      this.faultIf(this.call('pushSlow', 'i32', this.resize(v, 8), w.i32c(size)));
      return;
    }
    const sp = this.let(this.maskAddress(w.sub(this.gpr(RSP, 8), w.i64c(size))));
    const p = this.writePointer(sp, size);
    this.storeInt(p, v, size);
    this.commit(p);
    this.setGpr(RSP, 8, sp);
  }

  /** Value at the top of the stack; `drop` moves RSP afterwards, once nothing can fault any more. */
  top(size: number, offset = 0): Expr {
    if (this.variant.slowStack) {
      const v = this.call('topSlow', 'i64', w.i32c(size), w.i32c(offset));
      this.faultIf(this.call('faultPending', 'i32'));
      return this.let(this.resize(v, size));
    }
    const sp = offset ? this.maskAddress(w.add(this.gpr(RSP, 8), w.i64c(offset))) : this.gpr(RSP, 8);
    return this.let(this.loadInt(this.readPointer(this.let(sp), size), size));
  }

  /** Adds `bytes` to the stack pointer. */
  drop(bytes: Expr): void {
    if (this.variant.slowStack) this.callVoid('dropSlow', bytes);
    else this.setGpr(RSP, 8, this.maskAddress(w.add(this.gpr(RSP, 8), w.extendU(bytes))));
  }

  pop(size: number): Expr {
    const v = this.top(size);
    this.drop(w.i32c(size));
    return v;
  }

  // ---- plain loads and stores of integers by size ---------------------------------------------------------------------

  loadInt(pointer: Expr, size: number): Expr {
    const kind = size === 1 ? 'i32_8u' : size === 2 ? 'i32_16u' : size === 4 ? 'i32' : 'i64';
    return w.load(kind, pointer);
  }

  storeInt(pointer: Expr, value: Expr, size: number): void {
    const kind = size === 1 ? 'i32_8' : size === 2 ? 'i32_16' : size === 4 ? 'i32' : 'i64';
    this.f.do(w.store(kind, pointer, value));
  }

  /** #UD / #NM / #GP guards that many instructions share. */
  raiseIf(condition: Expr, vector: number, errorCode?: Expr): void {
    this.f.if(condition, () => this.raise(vector, errorCode), undefined, false);
  }

  /** EFLAGS bits outside the arithmetic six (DF, IF ...). */
  eflags(): Expr {
    return this.state(EFLAGS, 'i32');
  }

  // ---- floating point and vectors ---------------------------------------------------------------------------------------

  /** Remembers this instruction as the last x87 one (FIP); `data` is its memory operand's address (FDP). */
  abstract noteX87(data?: Expr): void;

  /** #UD or #NM where this word of the CPU state isn't zero. */
  protected requireWord(address: number): void {
    const vector = this.let(this.state(address, 'i32'));
    this.f.if(
      vector,
      () => {
        this.setState(L.FAULT_VECTOR, vector);
        this.setState(L.FAULT_ERROR, w.i32c(0));
        this.fault();
      },
      undefined,
      false,
    );
  }

  /** #UD or #NM where CR0 and CR4 forbid SSE. Comes before everything else. */
  requireSse(): void {
    this.requireWord(L.SSE_FAULT);
  }

  /** #UD or #NM where CR4.OSXSAVE, XCR0 or CR0 forbid VEX-coded vector instructions. Comes before everything else. */
  requireAvx(): void {
    this.requireWord(L.AVX_FAULT);
  }

  /** An operand that stands ready as a vector; undefined: memory or an MMX register, still to be read. */
  vectorOf(operand: Operand): Expr | undefined {
    return operand.kind === 'xmm' ? this.vector(operand) : undefined;
  }

  /** The same for MMX, which also waits for x87 exceptions (#MF). */
  requireMmx(): void {
    this.requireWord(L.MMX_FAULT);
    this.waitX87();
  }

  /** The same for x87; `waits`: not one of the FN... control instructions. */
  requireX87(waits: boolean): void {
    this.requireWord(L.FPU_FAULT);
    if (waits) this.waitX87();
  }

  /** FWAIT. */
  requireWait(): void {
    this.requireWord(L.FWAIT_FAULT);
    this.waitX87();
  }

  /** As under KVM, #MF whether CR0.NE is set or not: there is no FERR# to IRQ 13. */
  protected waitX87(): void {
    this.raiseIf(w.and(this.state(L.FPU_SW, 'i32'), w.i32c(0x80)), VECTOR.MF);
  }

  /** FCOMI and its like: ZF, PF, CF by comparing ST(0) with ST(i). */
  compareX87(st: Operand, quiet: boolean, popped: number): void {
    const flags = this.call('x87_comi', 'i32', this.number(st), w.i32c(quiet ? 1 : 0), w.i32c(popped));
    const bit = (k: number) => w.and(w.shrU(flags, w.i32c(k)), w.i32c(1));
    this.if(w.geS(flags, w.i32c(0)), () => this.flagsZpc(bit(6), bit(2), bit(0)));
  }

  /** What MMX instructions do to the x87 state; after everything that can fault (SDM vol. 3, 12.2). */
  enterMmx(): void {
    this.setState(L.FPU_TOP, w.i32c(0));
    this.setState(L.FPU_TAG, w.i32c(0xff));
  }

  /** Merges the floating point exceptions raised so far into MXCSR; leaves with #XM where one is unmasked. */
  commitFloat(): void {
    this.if(this.state(L.FLOAT_FLAGS, 'i32'), () => this.faultIf(this.call('sse_commit', 'i32')));
  }

  /** Whether relaxed multiply-adds may be used, and are fused (wasm/fused.ts). */
  readonly fuses: boolean = false;

  /** Whether MXCSR asks for nothing that native operators don't do: nearest, all masked, PE set already, no DAZ or FTZ. */
  plainFloat(): Expr {
    return isPlain(this.state(L.MXCSR, 'i32'));
  }

  /** `limit` where MXCSR is plain, else 0: what is unsigned less than this is below the limit, and MXCSR plain. */
  plainLimit(limit: Expr): Expr {
    return w.select(this.plainFloat(), limit, w.intc(limit.type, 0));
  }

  /** Whether these lanes of the value (LANES_*) are known not to be denormal. */
  isTame(_value: Expr, _lanes: number): boolean {
    return false;
  }

  /** Tells that they are, on the way on which `floatSlow` was not called. */
  tame(_value: Expr, _lanes: number): void {}

  /** As plainFloat, but PE may be clear. */
  maskedFloat(): Expr {
    return isMasked(this.state(L.MXCSR, 'i32'));
  }

  /** A floating point operation of core's, which commits its exceptions. */
  floatInCore(compute: () => Expr): Expr {
    return compute();
  }

  /**
   * The way of a floating point operation that native operators cannot go: `compute` calls core, and all exceptions are
   * committed. Undefined: this way leads out of here.
   */
  floatSlow(compute: () => Expr): Expr | undefined {
    const result = compute();
    this.commitFloat();
    return result;
  }

  /**
   * COMIS: ZF, PF, CF by comparing the bits of two floats. `slow` gives them from core (40h, 4, 1), with exceptions, where
   * the operands are not `ordinary`.
   */
  compareFloats(a: Expr, b: Expr, ordinary: readonly (Expr | undefined)[], slow: () => Expr): void {
    const native = a.type === 'i64' ? f64 : f32;
    const [x, y] = [native.fromBits(a), native.fromBits(b)];
    const local = this.f.temp('i32');
    this.f.set(local, w.or(w.shl(native.eq(x, y), w.i32c(6)), native.lt(x, y)));
    this.unless(ordinary, () => {
      const code = this.floatSlow(slow);
      if (code) this.f.set(local, code);
    });
    const r = w.localGet(local, 'i32', true);
    const bit = (n: number) => w.and(w.shrU(r, w.i32c(n)), w.i32c(1));
    this.flagsZpc(bit(6), bit(2), bit(0));
  }

  /** An immediate or register operand converted to another operand's size. */
  readAs(operand: Operand, size: number): Expr {
    const value = this.read(operand);
    const type = intType(size);
    if (value.type === type) return value;
    return operand.kind === 'imm' && operand.signed
      ? w.extendS(value)
      : this.resize(value, sizeOf(operand) === 8 ? 4 : size);
  }
}
