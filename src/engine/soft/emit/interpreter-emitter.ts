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
import { Emitter } from './emitter.js';
import { intType, type Operand, sizeOf } from './operands.js';

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
}

/** Functions of core, by name; an import is made when first asked for. */
export interface CoreImports {
  index(name: string, params: readonly ValType[], result: ValType | undefined): number;
}

const EXTENSION = L.REC_SIZE;

export class InterpreterEmitter extends Emitter {
  readonly f: FunctionBuilder;
  readonly variant: Variant;
  readonly param: number;
  readonly #context: HandlerContext;
  readonly #imports: CoreImports;
  readonly #spec: HandlerSpec;
  /** True once the handler has left on every path by itself. */
  #left = false;

  constructor(spec: HandlerSpec, context: HandlerContext, imports: CoreImports) {
    super();
    this.f = context.f;
    this.variant = spec.variant;
    this.param = spec.instruction.attributes.param ?? 0;
    this.#context = context;
    this.#imports = imports;
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

  #imm(): Expr {
    return w.load('i32', this.#context.rec, L.REC_IMM);
  }

  #field(field: 'a' | 'b' | 'c'): Expr {
    if (field === 'c') return w.load('i32_8u', this.#context.rec, L.REC_IMM + 1);
    return this.#byte(field === 'a' ? L.REC_A : L.REC_B);
  }

  #loadReg(offset: Expr, size: number): Expr {
    const kind = size === 1 ? 'i32_8u' : size === 2 ? 'i32_16u' : size === 4 ? 'i32' : 'i64';
    return w.load(kind, offset, L.REGS);
  }

  #storeReg(offset: Expr, value: Expr, size: number): void {
    if (size === 4) this.f.do(w.store('i64', offset, w.extendU(value), L.REGS));
    else this.f.do(w.store(size === 1 ? 'i32_8' : size === 2 ? 'i32_16' : 'i64', offset, value, L.REGS));
  }

  #registerOffset(operand: Operand): Expr {
    if (operand.kind === 'gpr') return this.#field(operand.field);
    if (operand.kind === 'fixed') return w.i32c(operand.register);
    throw new Error(`${this.#spec.key}: ${operand.kind} is not a general register`);
  }

  // ---- operands ----------------------------------------------------------------------------------------------------------

  address(operand: Operand): Expr {
    if (operand.kind !== 'mem') throw new Error(`${this.#spec.key}: address of ${operand.kind}`);
    const base = w.load('i64', this.#byte(L.REC_BASE), L.REGS);
    const index = w.load('i64', this.#byte(L.REC_INDEX), L.REGS);
    const scaled = w.shl(index, w.extendU(this.#byte(L.REC_SCALE)));
    const disp = w.load('i64_32s', this.#context.rec, L.REC_DISP);
    return this.let(this.maskAddress(w.add(w.add(base, scaled), disp)));
  }

  maskAddress(linear: Expr): Expr {
    return w.and(linear, this.#context.addressMask);
  }

  #tlbEntry(linear: Expr): Expr {
    const low = this.let(w.wrap(linear));
    const shift = 12 - Math.log2(L.TLB_ENTRY_SIZE);
    const hash = w.xor(w.shrU(low, w.i32c(shift)), w.shrU(low, w.i32c(L.TLB_HASH_SHIFT - Math.log2(L.TLB_ENTRY_SIZE))));
    const offset = w.and(hash, w.i32c((L.TLB_ENTRIES - 1) * L.TLB_ENTRY_SIZE));
    return this.let(w.add(offset, this.#context.tlb));
  }

  #pointerTo(linear: Expr, size: number, tag: number, slow: string): Expr {
    const lin = this.let(linear);
    const entry = this.#tlbEntry(lin);
    const last = size > 1 ? w.add(lin, w.i64c(size - 1)) : lin;
    const hit = w.eq(w.load('i64', entry, tag), w.and(last, w.i64c(-4096)));
    const result = this.f.temp('i32');
    this.f.if(
      hit,
      () => this.f.set(result, w.add(w.wrap(lin), w.load('i32', entry, L.TLB_ADDEND))),
      () => {
        const index = this.#imports.index(slow, ['i64', 'i32'], 'i32');
        this.f.set(result, w.call(index, 'i32', [lin, w.i32c(size)]));
        this.f.if(w.eqz(w.localGet(result, 'i32')), () => this.#context.fault());
      },
    );
    return w.localGet(result, 'i32', true);
  }

  readPointer(linear: Expr, size: number): Expr {
    return this.#pointerTo(linear, size, L.TLB_READ, 'memRead');
  }

  writePointer(linear: Expr, size: number): Expr {
    this.#noteRecord();
    return this.#pointerTo(linear, size, L.TLB_WRITE, 'memWrite');
  }

  /** A write may turn out to hit decoded code, the running block's even: core must know which record runs. */
  #noteRecord(): void {}

  commit(pointer: Expr): void {
    this.f.if(w.eq(pointer, w.i32c(L.SCRATCH)), () =>
      this.f.do(w.call(this.#imports.index('memCommit', [], undefined), undefined, [])),
    );
  }

  read(operand: Operand): Expr {
    switch (operand.kind) {
      case 'gpr':
      case 'fixed':
        return this.let(this.#loadReg(this.#registerOffset(operand), operand.size));
      case 'mem':
        if (operand.size === 16) return this.let(w.load('v128', this.readPointer(this.address(operand), 16)));
        return this.let(this.loadInt(this.readPointer(this.address(operand), operand.size), operand.size));
      case 'imm':
        return this.let(this.#immediate(operand.size, operand.signed));
      case 'const':
        return w.i32c(operand.value);
      case 'xmm':
      case 'mmx': {
        const kind = operand.kind === 'mmx' || operand.size === 8 ? 'i64' : operand.size === 4 ? 'i32' : 'v128';
        return this.let(w.load(kind, this.pointer(operand)));
      }
      case 'raw':
        return this.number(operand);
      default:
        throw new Error(`${this.#spec.key}: cannot read ${operand.kind}`);
    }
  }

  #immediate(size: number, signed: boolean): Expr {
    if (size === 8) return w.load('i64', this.#context.rec, EXTENSION);
    const value = this.#imm();
    // With three registers the third one's offset lies above the byte (define.ts).
    if (size === 1 && !signed) return w.load('i32_8u', this.#context.rec, L.REC_IMM);
    return size === 2 ? w.and(value, w.i32c(0xffff)) : value;
  }

  write(operand: Operand, value: Expr): void {
    switch (operand.kind) {
      case 'gpr':
      case 'fixed':
        this.#storeReg(this.#registerOffset(operand), value, operand.size);
        return;
      case 'mem': {
        const v = this.let(value);
        const p = this.writePointer(this.address(operand), operand.size);
        if (v.type === 'v128') this.f.do(w.store('v128', p, v));
        else this.storeInt(p, v, operand.size);
        this.commit(p);
        return;
      }
      case 'xmm':
      case 'mmx': {
        const v = this.let(value);
        this.f.do(w.store(v.type as 'i32' | 'i64' | 'v128', this.pointer(operand), v));
        return;
      }
      default:
        throw new Error(`${this.#spec.key}: cannot write ${operand.kind}`);
    }
  }

  update(operand: Operand, compute: (old: Expr) => Expr): void {
    if (operand.kind !== 'mem') {
      this.write(operand, compute(this.read(operand)));
      return;
    }
    this.#noteRecord();
    const p = this.#pointerTo(this.address(operand), operand.size, L.TLB_WRITE, 'memRmw');
    const old = this.let(this.loadInt(p, operand.size));
    this.storeInt(p, compute(old), operand.size);
    this.commit(p);
  }

  pointer(operand: Operand): Expr {
    if (operand.kind === 'xmm') return this.let(w.add(this.#field(operand.field), w.i32c(L.XMM)));
    if (operand.kind === 'mmx') return this.let(w.add(this.#field(operand.field), w.i32c(L.FPR)));
    if (operand.kind === 'mem') return this.readPointer(this.address(operand), sizeOf(operand));
    throw new Error(`${this.#spec.key}: no pointer to ${operand.kind}`);
  }

  number(operand: Operand): Expr {
    if (operand.kind !== 'raw') throw new Error(`${this.#spec.key}: ${operand.kind} is no number`);
    return this.let(this.#field(operand.field));
  }

  addressSize(): Expr {
    return this.#byte(L.REC_BASE);
  }

  isRegister(operand: Operand, n: number): Expr {
    return w.eq(this.#registerOffset(operand), w.i32c(n * 8));
  }

  gpr(n: number, size: number): Expr {
    return this.let(this.#loadReg(w.i32c(n * 8), size));
  }

  setGpr(n: number, size: number, value: Expr): void {
    this.#storeReg(w.i32c(n * 8), value, size);
  }

  state(address: number, type: 'i32' | 'i64' | 'v128'): Expr {
    return w.load(type, w.i32c(0), address);
  }

  setState(address: number, value: Expr): void {
    this.f.do(w.store(value.type as 'i32' | 'i64' | 'v128', w.i32c(0), value, address));
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

  raise(vector: number, errorCode?: Expr): void {
    this.setState(L.FAULT_VECTOR, w.i32c(vector));
    this.setState(L.FAULT_ERROR, errorCode ?? w.i32c(0));
    this.#context.fault();
  }

  core(name: string, ...args: number[]): void {
    const index = this.#imports.index(name, ['i32', ...args.map((): ValType => 'i32')], 'i32');
    this.f.do(w.store('i32', w.i32c(0), this.#context.rec, L.CUR_REC));
    const ends = this.#spec.instruction.attributes.ends === true;
    this.#context.obey(w.call(index, 'i32', [this.#context.rec, ...args.map(w.i32c)]), ends);
    if (ends) this.#left = true;
  }

  call(name: string, result: ValType, ...args: Expr[]): Expr {
    const index = this.#imports.index(
      name,
      args.map((a) => a.type),
      result,
    );
    return this.let(w.call(index, result, args));
  }

  callVoid(name: string, ...args: Expr[]): void {
    this.f.do(
      w.call(
        this.#imports.index(
          name,
          args.map((a) => a.type),
          undefined,
        ),
        undefined,
        args,
      ),
    );
  }

  faultIf(failed: Expr): void {
    this.f.if(failed, () => this.#context.fault());
  }
}

/** Integer type of an operand, for semantics that need constants of the same type. */
export function typeOfOperand(operand: Operand): ValType {
  return intType(sizeOf(operand));
}
