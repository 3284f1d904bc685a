/**
 * The emitter that makes the interpreter: operands are fields of the decoded record that `rec` points to, registers lie in
 * the CPU state, flags are stored. A handler is either a case of the big `run` function or a function of its own; only the
 * ways out differ (ways-out.ts).
 */
import type { HandlerSpec, Variant } from '../isa/define.js';
import * as L from '../layout.js';
import type { FunctionBuilder } from '../wasm/function.js';
import type { Expr, ValType } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { zero } from '../wasm/simd.js';
import { type CoreImports, MachineEmitter, type Miss } from './machine-emitter.js';
import { type Operand, sizeOf } from './operands.js';

/** Where a handler's code sits and how it leaves. */
export interface HandlerContext {
  readonly f: FunctionBuilder;
  /** Address of the current record. */
  readonly rec: Expr;
  /** The record that branched to this block, or 0 where that isn't known. */
  readonly from: Expr;
  /** Address of the current TLB's first entry, and the address mask. */
  readonly tlb: Expr;
  readonly addressMask: Expr;
  /** Goes on with the record `skip` bytes further. */
  next(skip: number): void;
  /** Delivers the fault that FAULT_VECTOR names. */
  fault(): void;
  /** Goes on at `rip`. */
  jump(rip: Expr): void;
  /** Goes on at an offset relative to R_PAGE, through the chain slot at rec + `slot`. */
  chain(target: Expr, slot: number): void;
  /** Obeys a return code of core. `ends`: NEXT does not occur. */
  obey(code: Expr, ends: boolean): void;
  /**
   * Emits a call. In the hot loop V8 is to take it for one that hardly ever comes, or what the loop keeps in the processor's
   * registers (above all, which record comes next) would be kept in memory everywhere.
   * @param ends whether nothing comes after it
   */
  aside(body: () => void, ends?: boolean): void;
}

const EXTENSION = L.REC_SIZE;
const NOTHING: Record<ValType, Expr> = { i32: w.i32c(0), i64: w.i64c(0), f32: w.f32c(0), f64: w.f64c(0), v128: zero };

export class InterpreterEmitter extends MachineEmitter {
  readonly f: FunctionBuilder;
  readonly variant: Variant;
  readonly param: number;
  readonly #context: HandlerContext;
  protected readonly imports: CoreImports;
  protected readonly key: string;
  protected readonly tlb: Expr;
  readonly #spec: HandlerSpec;
  /** True once the handler has left on every path by itself. */
  #left = false;

  constructor(spec: HandlerSpec, context: HandlerContext, imports: CoreImports) {
    super();
    this.f = context.f;
    this.variant = spec.variant;
    this.param = spec.instruction.attributes.param ?? 0;
    this.#context = context;
    this.imports = imports;
    this.key = spec.key;
    this.tlb = context.tlb;
    this.#spec = spec;
  }

  /** Emits the whole handler. */
  emit(): void {
    const { instruction, operands } = this.#spec;
    const wide = operands.some((o) => o.kind === 'imm' && o.size === 8);
    this.f.scope(() => {
      instruction.semantics(this, ...operands);
      if (this.#left) return;
      if (instruction.attributes.ends)
        throw new Error(`${this.#spec.key} ends a block but does not say where to go on`);
      this.#context.next(wide ? 2 * L.REC_SIZE : L.REC_SIZE);
    });
  }

  // ---- fields ----------------------------------------------------------------------------------------------------------

  #byte(offset: number): Expr {
    return w.load('i32_8u', this.#context.rec, offset);
  }

  protected field(field: 'a' | 'b' | 'c' | 'd'): Expr {
    if (field === 'c') return w.load('i32_8u', this.#context.rec, L.REC_IMM + 1);
    if (field === 'd') return this.#byte(L.REC_INDEX);
    return this.#byte(field === 'a' ? L.REC_A : L.REC_B);
  }

  #registerOffset(operand: Operand): Expr {
    if (operand.kind === 'gpr') return this.field(operand.field);
    if (operand.kind === 'fixed') return w.i32c(operand.register);
    throw new Error(`${this.key}: ${operand.kind} is not a general register`);
  }

  #load(offset: Expr, size: number): Expr {
    const kind = size === 1 ? 'i32_8u' : size === 2 ? 'i32_16u' : size === 4 ? 'i32' : 'i64';
    return w.load(kind, offset, L.REGS);
  }

  #store(offset: Expr, value: Expr, size: number): void {
    if (size === 4) this.f.do(w.store('i64', offset, w.extendU(value), L.REGS));
    else this.f.do(w.store(size === 1 ? 'i32_8' : size === 2 ? 'i32_16' : 'i64', offset, value, L.REGS));
  }

  protected loadRegister(operand: Operand): Expr {
    return this.#load(this.#registerOffset(operand), sizeOf(operand));
  }

  protected storeRegister(operand: Operand, value: Expr): void {
    this.#store(this.#registerOffset(operand), value, sizeOf(operand));
  }

  protected effectiveAddress(): Expr {
    const base = w.load('i64', this.#byte(L.REC_BASE), L.REGS);
    const index = w.load('i64', this.#byte(L.REC_INDEX), L.REGS);
    const scaled = w.shl(index, w.extendU(this.#byte(L.REC_SCALE)));
    return w.add(w.add(base, scaled), w.load('i64_32s', this.#context.rec, L.REC_DISP));
  }

  protected immediate(size: number, signed: boolean): Expr {
    if (size === 8) return w.load('i64', this.#context.rec, EXTENSION);
    // With three registers the third one's offset lies above the byte (define.ts).
    if (size === 1 && !signed) return w.load('i32_8u', this.#context.rec, L.REC_IMM);
    const value = w.load('i32', this.#context.rec, L.REC_IMM);
    return size === 2 ? w.and(value, w.i32c(0xffff)) : value;
  }

  maskAddress(linear: Expr): Expr {
    return w.and(linear, this.#context.addressMask);
  }

  addressSize(): Expr {
    return this.#byte(L.REC_BASE);
  }

  isRegister(operand: Operand, n: number): Expr {
    return w.eq(this.#registerOffset(operand), w.i32c(n * 8));
  }

  gpr(n: number, size: number): Expr {
    return this.let(this.#load(w.i32c(n * 8), size));
  }

  setGpr(n: number, size: number, value: Expr): void {
    this.#store(w.i32c(n * 8), value, size);
  }

  commit(pointer: Expr): void {
    const scratch = w.eq(pointer, w.i32c(L.SCRATCH));
    this.f.if(scratch, () => this.f.do(this.invoke('memCommit', undefined, [])), undefined, false);
  }

  /** The TLB's, or core's answer. */
  protected pointerTo(linear: Expr, size: number, tag: number, miss: Miss): Expr {
    const entry = this.tlbEntry(linear);
    const hit = w.eq(w.load('i64', entry, tag), this.pageOfLast(linear, size));
    return this.choose(
      'i32',
      hit,
      () => w.add(w.wrap(linear), w.load('i32', entry, L.TLB_ADDEND)),
      () => this.#missed(miss, linear, size),
      true,
    );
  }

  #missed(name: Miss, linear: Expr, size: number): Expr {
    const host = this.f.temp('i32');
    this.f.set(host, this.invoke(name, 'i32', [linear, w.i32c(size)]));
    this.f.if(w.eqz(w.localGet(host, 'i32')), () => this.fault(), undefined, false);
    return w.localGet(host, 'i32');
  }

  protected fault(): void {
    this.#context.fault();
  }

  noteX87(data?: Expr): void {
    this.setState(L.X87_REC, this.#context.rec);
    this.setState(L.X87_BLOCK, this.state(L.CUR_BLOCK, 'i32'));
    this.setState(L.X87_PAGE, w.load('i64', w.i32c(0), L.REGS + L.R_PAGE));
    if (data) this.setState(L.FPU_FDP, data);
  }

  // ---- ways out ----------------------------------------------------------------------------------------------------------

  nextRip(): Expr {
    return this.let(this.maskAddress(w.add(this.gpr(L.R_PAGE / 8, 8), this.#nextOffset64())));
  }

  #nextOffset64(): Expr {
    return w.load('i64_32s', this.#context.rec, EXTENSION);
  }

  jump(rip: Expr): void {
    this.#left = true;
    this.#context.jump(rip);
  }

  branch(target: Operand, condition?: Expr): void {
    if (target.kind !== 'rel') throw new Error(`${this.#spec.key}: branch to ${target.kind}`);
    this.#left = true;
    if (condition)
      this.f.if(
        condition,
        () => this.#taken(target.size),
        () => this.#notTaken(),
      );
    else this.#taken(target.size);
  }

  fallThrough(): void {
    this.#left = true;
    this.#notTaken();
  }

  unlessRare(rare: Expr, usual: () => void, handler: string, ...args: number[]): void {
    this.f.if(rare, () => this.core(handler, ...args), usual, false);
  }

  #taken(size: number): void {
    if (size === 2) {
      // A 16-bit branch cuts RIP to 16 bits, so the target is computed in RIP space.
      const rip = w.add(
        this.gpr(L.R_PAGE / 8, 8),
        w.add(this.#nextOffset64(), w.load('i64_32s', this.#context.rec, L.REC_IMM)),
      );
      this.#context.jump(w.and(rip, w.i64c(0xffff)));
      return;
    }
    this.#context.chain(w.add(this.#nextOffset64(), w.load('i64_32s', this.#context.rec, L.REC_IMM)), EXTENSION + 4);
  }

  #notTaken(): void {
    this.#context.chain(this.#nextOffset64(), EXTENSION + 8);
  }

  core(name: string, ...args: number[]): void {
    const { rec, aside, obey } = this.#context;
    const ends = this.#spec.instruction.attributes.ends === true;
    aside(() => {
      this.f.do(w.store('i32', w.i32c(0), rec, L.CUR_REC));
      obey(this.invoke(name, 'i32', [rec, ...args.map(w.i32c)]), ends);
    }, ends);
    if (ends) this.#left = true;
  }

  call(name: string, type: ValType, ...args: Expr[]): Expr {
    const result = this.f.temp(type);
    // Or it would have to be kept from one record to the next.
    this.f.set(result, NOTHING[type]);
    this.#context.aside(() => this.f.set(result, this.invoke(name, type, args)));
    return w.localGet(result, type, true);
  }

  callVoid(name: string, ...args: Expr[]): void {
    this.#context.aside(() => this.f.do(this.invoke(name, undefined, args)));
  }
}
