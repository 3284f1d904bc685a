/**
 * The emitter that compiles: operands are constants of the decoded records, registers are Wasm locals. One emitter writes one
 * region (compile.ts).
 */

import { LANES_D0, LANES_S0, VECTOR } from '../emit/emitter.js';
import { type Operand, sizeOf } from '../emit/operands.js';
import { DOUBLE, SINGLE, safeLimit } from '../isa/float-formats.js';
import type { Conditions, RareTest } from '../isa/float-rare.js';
import * as L from '../layout.js';
import { multiplyAddsAreFused } from '../wasm/fused.js';
import type { Expr, ValType } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { f32, f32x4, f64, f64x2, i8x16, i16x8, i32x4, i64x2, zero } from '../wasm/simd.js';
import { type FlagState, flagsInMemory } from './lazy-flags.js';
import type { DecodedRecord } from './record.js';
import { type RegionFrame, RegionRegisters, Unsupported } from './region-registers.js';
import { meetLanes, UPPER, VectorFile } from './vector-file.js';
import { X87Unit } from './x87-arithmetic.js';
import { meetStacks } from './x87-file.js';

export type { FlagState, RegionFrame };
export { Unsupported };

/** What is known at compile time where a block begins, and where it ends. */
export interface RegionState {
  readonly flags: FlagState;
  readonly x87: ReturnType<X87Unit['save']>;
  /** Lanes of vectors that are not denormal (vector-file.ts). */
  readonly lanes: Uint8Array;
  /** Words of the CPU state that are zero. */
  readonly checked: ReadonlySet<number>;
  /** Registers of which there are copies in locals (region-registers.ts). */
  readonly copies: ReadonlySet<number>;
}

/** Of two ways to the same block: what holds on both. */
export function meetStates(a: RegionState, b: RegionState): RegionState {
  return {
    flags: flagsInMemory(a.flags.kind === b.flags.kind ? a.flags.kind : 'unknown'),
    x87: { ...meetStacks(a.x87, b.x87), note: undefined },
    lanes: meetLanes(a.lanes, b.lanes),
    checked: new Set([...a.checked].filter((at) => b.checked.has(at))),
    copies: new Set([...a.copies].filter((n) => b.copies.has(n))),
  };
}

/** Core functions that touch neither general registers nor flags. */
const PURE = /^(sse_|x87_emms$|pdep$|pext$|crc32c$)/;
/** Those that read or write flags. */
const ON_FLAGS = /^(setFlags|rc[lr])$/;

/** What float.ts asks plainLimit for. */
const SAFE_DOUBLE = safeLimit(DOUBLE);
const SAFE_SINGLE = safeLimit(SINGLE);

export class RegionEmitter extends RegionRegisters {
  override readonly fuses = multiplyAddsAreFused();
  /** Whether MXCSR is plain (emit/emitter.ts), and if so the limits of doubles and singles that arithmetic asks for. */
  readonly #plain: number;
  readonly #masked: number;
  readonly #limits: { readonly i32: number; readonly i64: number };
  #usesPlain = false;
  readonly #vectors: VectorFile;
  readonly x87: X87Unit;
  /** The registers that x87 and MMX share: which of the two the region uses. */
  #shared: 'x87' | 'mmx' | undefined;
  /** Words of the CPU state that are known to be zero. */
  readonly #checked = new Set<number>();

  constructor(...args: ConstructorParameters<typeof RegionRegisters>) {
    super(...args);
    const { f } = this;
    this.#plain = f.local('i32');
    this.#masked = f.local('i32');
    this.#limits = { i32: f.local('i32'), i64: f.local('i64') };
    this.#vectors = new VectorFile(f);
    this.x87 = new X87Unit({
      f,
      leave: () => this.frame.leaveHere(w.i32c(0)),
      forgetStatus: () => this.#checked.delete(L.FPU_SW),
      invoke: (name, result, args) => this.invoke(name, result, args),
    });
  }

  // ---- what is being emitted ---------------------------------------------------------------------------------------------

  /** Emits one record. @throws Unsupported */
  instruction(record: DecodedRecord): void {
    this.record = record;
    this.f.scope(() => {
      if (record.spec) record.spec.instruction.semantics(this, ...record.spec.operands);
      else this.microOp(record);
      this.#vectors.endInstruction();
    });
  }

  /**
   * Before a block's first instruction.
   * @param state what the ways there agree on; undefined: nobody has come there yet
   * @param all whether these are all ways; if not, only how far the x87 stack's top has moved is known
   */
  enterBlock(state: RegionState | undefined, all: boolean): void {
    this.#vectors.abandon();
    this.forgetChecks();
    this.flags = flagsInMemory('unknown');
    this.x87.enterBlock(state?.x87);
    if (!state) return;
    const flags = flagsInMemory(state.flags.kind);
    if (all) this.restore({ ...state, flags, x87: { ...state.x87, note: undefined } });
    else this.x87.forget();
  }

  /** What is known at the end of a block, which has several ways on. */
  save(): RegionState {
    return {
      flags: this.flags,
      x87: this.x87.save(),
      lanes: this.#vectors.known(),
      checked: new Set(this.#checked),
      copies: this.copies,
    };
  }

  restore({ flags, x87, lanes, checked, copies }: RegionState): void {
    this.copies = copies;
    this.flags = flags;
    this.x87.restore(x87);
    this.#vectors.know(lanes);
    this.#checked.clear();
    for (const at of checked) this.#checked.add(at);
  }

  override publishFlags(): void {
    super.publishFlags();
    this.x87.publish();
  }

  /** After anything that may have changed the state in memory behind the emitter's back. */
  forgetChecks(): void {
    this.#checked.clear();
    this.copies = new Set();
    this.#vectors.forget();
    this.forgetPages();
    this.x87.forget();
    this.x87.dropNote();
  }

  // ---- all registers -------------------------------------------------------------------------------------------------------
  /** Loads at entry, stores at exit. */
  loadRegisters(): void {
    this.loadGeneral();
    this.#vectors.loadAll();
    this.x87.load();
    if (this.#usesPlain) this.#loadPlain();
  }

  storeRegisters(): void {
    this.storeGeneral();
    this.#vectors.storeAll();
    this.x87.store();
  }

  // ---- vectors and floating point -------------------------------------------------------------------------------------------

  #xmm(operand: Operand): number {
    if (operand.kind !== 'xmm') throw new Error(`${this.key}: ${operand.kind} is no XMM register`);
    return (this.field(operand.field).constant as number) >> 4;
  }

  override pointer(operand: Operand): Expr {
    return operand.kind === 'xmm' ? w.i32c(this.#vectors.address(this.#xmm(operand))) : super.pointer(operand);
  }

  override vector(operand: Operand): Expr {
    return this.#vectors.get(this.#xmm(operand));
  }

  override setVector(operand: Operand, value: Expr): void {
    this.#vectors.set(this.#xmm(operand), value);
  }

  override upper(operand: Operand): Expr {
    return this.#vectors.get(UPPER + this.#xmm(operand));
  }

  override setUpper(operand: Operand, value: Expr): void {
    this.#vectors.set(UPPER + this.#xmm(operand), value);
  }

  override clearHalf(n: number, which: 'low' | 'upper'): void {
    this.#vectors.set(which === 'low' ? n : UPPER + n, zero);
  }

  override xmm0(): Expr {
    return this.#vectors.get(0);
  }

  override setXmm0(value: Expr): void {
    this.#vectors.set(0, value);
  }

  override lane(operand: Operand, size: number, index: Expr): Expr {
    if (operand.kind !== 'xmm') return super.lane(operand, size, index);
    const lane = index.constant as number;
    const extract = { 1: i8x16.extractU, 2: i16x8.extractU, 4: i32x4.extract, 8: i64x2.extract }[size]!;
    return this.let(this.#vectors.part(this.#xmm(operand), 0, (v) => extract(v, lane)));
  }

  override readFloat(operand: Operand): Expr {
    return operand.kind === 'xmm' ? this.#low(operand) : super.readFloat(operand);
  }

  /** Bits of the low lane as a float's: the same instruction where an integer is wanted. */
  #low(operand: Operand): Expr {
    const n = this.#xmm(operand);
    if (sizeOf(operand) === 8) return this.#vectors.part(n, LANES_D0, (v) => f64.toBits(this.let(f64x2.extract(v, 0))));
    return this.#vectors.part(n, LANES_S0, (v) => f32.toBits(this.let(f32x4.extract(v, 0))));
  }

  override read(operand: Operand): Expr {
    if (operand.kind !== 'xmm') return super.read(operand);
    return sizeOf(operand) === 16 ? this.vector(operand) : this.#low(operand);
  }

  override write(operand: Operand, value: Expr): void {
    if (operand.kind !== 'xmm') {
      super.write(operand, value);
      return;
    }
    const n = this.#xmm(operand);
    if (value.type === 'v128') this.#vectors.set(n, value);
    else if (value.type === 'i64') this.#vectors.setLow(n, LANES_D0, value, (v, x) => i64x2.replace(v, 0, x));
    else this.#vectors.setLow(n, LANES_S0, value, (v, x) => i32x4.replace(v, 0, x));
  }

  override isTame(value: Expr, lanes: number): boolean {
    return this.#vectors.isTame(value, lanes);
  }

  override tame(value: Expr, lanes: number): void {
    this.#vectors.mark(value, lanes);
  }

  #loadPlain(): void {
    this.f.set(this.#plain, super.plainFloat());
    this.f.set(this.#masked, super.maskedFloat());
    const limit = (bits: Expr) => w.select(w.localGet(this.#plain, 'i32'), bits, w.intc(bits.type, 0));
    this.f.set(this.#limits.i64, limit(SAFE_DOUBLE));
    this.f.set(this.#limits.i32, limit(SAFE_SINGLE));
  }

  override plainFloat(): Expr {
    this.#usesPlain = true;
    return w.localGet(this.#plain, 'i32');
  }

  override plainLimit(limit: Expr): Expr {
    const known = limit.type === 'i64' ? SAFE_DOUBLE : SAFE_SINGLE;
    if (limit.constant !== known.constant) return super.plainLimit(limit);
    this.#usesPlain = true;
    return w.localGet(this.#limits[limit.type as 'i32' | 'i64'], limit.type);
  }

  override setState(address: number, value: Expr): void {
    super.setState(address, value);
    if (address === L.MXCSR) this.#loadPlain();
  }

  override maskedFloat(): Expr {
    this.#usesPlain = true;
    return w.localGet(this.#masked, 'i32');
  }

  override commitFloat(): void {
    this.if(this.state(L.FLOAT_FLAGS, 'i32'), () => {
      this.faultIf(this.call('sse_commit', 'i32'));
      this.#loadPlain();
    });
  }

  /**
   * The interpreter does it: a call here would cost all the other ways their registers, and so is everything known to be
   * tame afterwards.
   */
  override floatSlow(): undefined {
    this.frame.leaveHere(w.i32c(0));
  }

  override compareFloats(a: Expr, b: Expr, ordinary: readonly (Expr | undefined)[]): void {
    this.unless(ordinary, () => this.floatSlow());
    this.flagsFloat(a, b);
  }

  override rarely(test: RareTest, args: readonly Expr[]): Conditions {
    return [this.invoke(test.name, 'i32', args)];
  }

  protected override requireWord(address: number): void {
    if (this.#checked.has(address)) return;
    this.#checked.add(address);
    super.requireWord(address);
  }

  #share(use: 'x87' | 'mmx'): void {
    if (this.#shared && this.#shared !== use) throw new Unsupported('x87 and MMX in one region');
    this.#shared = use;
    if (use === 'x87') this.x87.active = true;
  }

  override requireX87(waits: boolean): void {
    this.#share('x87');
    super.requireX87(waits);
  }

  override requireWait(): void {
    this.#share('x87');
    super.requireWait();
  }

  override requireMmx(): void {
    this.#share('mmx');
    super.requireMmx();
  }

  protected override waitX87(): void {
    if (this.#shared === 'mmx') {
      super.waitX87();
      return;
    }
    if (this.#checked.has(L.FPU_SW)) return;
    this.#checked.add(L.FPU_SW);
    this.raiseIf(this.x87.errorSummary(), VECTOR.MF);
  }

  override compareX87(st: Operand, _quiet: boolean, popped: number): void {
    const { less, equal } = this.x87.compare(this.number(st).constant as number, popped);
    this.flagsZpc(equal, w.i32c(0), less);
  }

  // ---- core ----------------------------------------------------------------------------------------------------------------

  core(name: string, ...args: number[]): void {
    if (name === 'op_movs' || name === 'op_stos') {
      const { a: segment, base: size } = this.record!;
      const plain = segment < L.FS && (segment !== L.CS || size === 8);
      if (this.flat && size === this.usualAddressSize && (plain || name === 'op_stos')) {
        this.#run(name === 'op_movs', size);
        return;
      }
    }
    const { spec, address, base, index } = this.record!;
    this.setState(L.CUR_REC, w.i32c(address));
    if (base === L.R_EA || index === L.R_EA) this.setState(L.REGS + L.R_EA, this.effective());
    const call = () => this.invoke(name, 'i32', [w.i32c(address), ...args.map(w.i32c)]);
    if (spec!.instruction.attributes.ends) this.frame.callLastHandler(call);
    else this.frame.callHandler(call);
  }

  /** A run of MOVS or STOS: core does as much as plain memory allows, and the interpreter what is left. */
  #run(moves: boolean, size: 4 | 8): void {
    const { b: repeated, scale } = this.record!;
    const shift = scale & 3;
    const [rcx, rsi, rdi] = [1, 6, 7].map((n) => this.let(w.extendU(this.gpr(n, size))));
    const count = repeated ? rcx : w.i64c(1);
    const from = moves ? rsi : this.gpr(0, 8);
    const args = [from, rdi, count, w.i32c(shift)];
    const done = this.let(this.invoke(moves ? 'moveRun' : 'storeRun', 'i64', args));
    const bytes = this.let(w.shl(done, w.i64c(shift)));
    const advance = (n: number, old: Expr) => this.setGpr(n, size, this.resize(w.add(old, bytes), size));
    if (moves) advance(6, rsi);
    advance(7, rdi);
    const left = this.let(w.sub(count, done));
    if (repeated) this.setGpr(1, size, this.resize(left, size));
    this.f.if(w.ne(left, w.i64c(0)), () => this.frame.leaveHere(w.i32c(0)), undefined, false);
  }

  call(name: string, result: ValType, ...args: Expr[]): Expr {
    if (name === 'div64' || name === 'idiv64') return this.#divide(name, args);
    if (name === 'countRegister') return this.#count(Number(args[0].constant), Number(args[1].constant));
    if (ON_FLAGS.test(name)) return this.withFlags(() => this.let(this.invoke(name, result, args)));
    if (this.#isX87(name)) return this.x87.call(name, result, args)!;
    this.#requirePure(name);
    return this.let(this.invoke(name, result, args));
  }

  callVoid(name: string, ...args: Expr[]): void {
    if (name === 'x87_fninit') this.x87.dropNote();
    if (this.#isX87(name)) {
      this.x87.call(name, undefined, args);
      return;
    }
    if (ON_FLAGS.test(name)) {
      this.withFlags(() => this.f.do(this.invoke(name, undefined, args)));
      return;
    }
    this.#requirePure(name);
    this.f.do(this.invoke(name, undefined, args));
  }

  /** Counts RCX (by address size) down and says whether it is not zero. */
  #count(size: number, by: number): Expr {
    const value = this.let(w.sub(this.readRegister(8, size), w.intc(size === 8 ? 'i64' : 'i32', by)));
    const low = this.let(this.zeroExtend(value, size));
    if (by) this.writeRegister(8, low, size);
    return this.let(w.ne(low, w.intc(low.type, 0)));
  }

  #isX87(name: string): boolean {
    return this.#shared === 'x87' && name.startsWith('x87_');
  }

  #requirePure(name: string): void {
    const simd = this.record!.spec!.operands.some((o) => o.kind === 'xmm');
    if (!PURE.test(name) && !simd) throw new Unsupported(name);
  }

  /** Core divides RDX:RAX in memory. */
  #divide(name: string, args: Expr[]): Expr {
    for (const n of [0, 2]) this.f.do(w.store('i64', w.i32c(0), this.gpr(n, 8), L.REGS + n * 8));
    const failed = this.let(this.invoke(name, 'i32', args));
    for (const n of [0, 2]) this.setGpr(n, 8, w.load('i64', w.i32c(0), L.REGS + n * 8));
    return failed;
  }

  noteX87(data?: Expr): void {
    const page = this.pageAddress();
    this.x87.note({ record: this.record!.address, block: this.frame.block, page, data: data !== undefined }, data);
  }

  nextRip(): Expr {
    return this.let(this.frame.nextRip());
  }

  jump(rip: Expr): void {
    this.frame.jump(rip);
  }

  fallThrough(): void {
    this.frame.branch(undefined);
  }

  /** In the rare case the interpreter does it. */
  unlessRare(rare: Expr, usual: () => void): void {
    this.f.if(rare, () => this.frame.leaveHere(w.i32c(0)), undefined, false);
    usual();
  }

  branch(target: Operand, condition?: Expr): void {
    if (target.kind !== 'rel') throw new Error(`${this.key}: branch to ${target.kind}`);
    this.frame.branch(condition);
  }
}
