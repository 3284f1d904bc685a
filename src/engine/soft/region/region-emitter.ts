/**
 * The emitter that compiles: operands are constants of the decoded records, registers are Wasm locals. One emitter writes one
 * region (compile.ts).
 */

import { LANES_D0, LANES_S0, VECTOR } from '../emit/emitter.js';
import type { CoreImports, Miss } from '../emit/machine-emitter.js';
import { type Operand, sizeOf } from '../emit/operands.js';
import type { HandlerSpec, Variant } from '../isa/define.js';
import * as L from '../layout.js';
import type { FunctionBuilder, Hint } from '../wasm/function.js';
import type { Expr, ValType } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { f32, f32x4, f64, f64x2, i8x16, i16x8, i32x4, i64x2 } from '../wasm/simd.js';
import { KnownPages } from './known-pages.js';
import { type FlagState, LazyFlagsEmitter } from './lazy-flags.js';
import { type RecentPage, RecentPages } from './recent-pages.js';
import type { DecodedRecord } from './record.js';
import { VectorFile } from './vector-file.js';
import { X87Unit } from './x87-arithmetic.js';

export type { FlagState };

/** Thrown by an instruction that regions leave to the interpreter: the region ends before it. */
export class Unsupported extends Error {}

/** What the region's frame does for the emitter. */
export interface RegionFrame {
  /**
   * Leaves before the instruction that is being emitted: `faulted` says whether to deliver the pending fault; if not, the
   * interpreter does the instruction.
   */
  leaveHere(faulted: Expr): void;
  /** Calls a handler of core with all state written back, obeys its answer and reads the state again. */
  callHandler(call: () => Expr): void;
  /** Address of the instruction behind the block. */
  nextRip(): Expr;
  /** Relative branch of the block's last instruction; undefined: always. */
  branch(condition: Expr | undefined): void;
  jump(rip: Expr): void;
  /** Header of the block that is being emitted. */
  readonly block: number;
}

/** What is known at compile time where a block ends. */
export interface RegionState {
  readonly flags: FlagState;
  readonly x87: ReturnType<X87Unit['save']>;
}

/** Core functions that touch neither general registers nor flags. */
const PURE = /^(sse_|x87_emms$|pdep$|pext$|crc32c$)/;
/** Those that read or write flags. */
const ON_FLAGS = /^(getFlags|setFlags|rc[lr]|pcmp[ei]str)$/;

/** Limits that float.ts asks for (isSafe). */
const SAFE_DOUBLE = w.i64c(0x7fdn << 53n);
const SAFE_SINGLE = w.i32c(0xfd << 24);

export class RegionEmitter extends LazyFlagsEmitter {
  readonly f: FunctionBuilder;
  protected readonly imports: CoreImports;
  protected readonly tlb: Expr;
  readonly #frame: RegionFrame;
  readonly #long: boolean;
  /** Locals: registers, the entry block's page, R_EA. */
  readonly #registers: readonly number[];
  readonly #page: Expr;
  readonly #ea: number;
  /** Whether MXCSR is plain (emit/emitter.ts), and if so the limits of doubles and singles that arithmetic asks for. */
  readonly #plain: number;
  readonly #masked: number;
  readonly #limits: { readonly i32: number; readonly i64: number };
  #usesPlain = false;
  readonly #vectors: VectorFile;
  readonly #known: KnownPages;
  /** What to do where the TLB has no answer to the access being emitted. */
  #onMiss: (() => void) | undefined;
  readonly x87: X87Unit;
  /** The registers that x87 and MMX share: which of the two the region uses. */
  #shared: 'x87' | 'mmx' | undefined;
  readonly #recent: RecentPages;
  /** Words of the CPU state that this block has checked to be zero. */
  readonly #checked = new Set<number>();
  readonly tlbLocal: number;
  readonly pageLocal: number;
  /** Registers read or written so far, and those written. */
  readonly used = new Set<number>();
  readonly dirty = new Set<number>();
  #record: DecodedRecord | undefined;
  #spec: HandlerSpec | undefined;
  /** The current block's page, less the entry's. */
  #delta = 0n;

  /** @param chased general registers that the region loads from memory */
  constructor(f: FunctionBuilder, imports: CoreImports, frame: RegionFrame, mode: number, chased: ReadonlySet<number>) {
    super(f);
    this.f = f;
    this.imports = imports;
    this.#frame = frame;
    this.#long = (mode & L.MODE_64) !== 0;
    this.#registers = Array.from({ length: 16 }, () => f.local('i64'));
    this.pageLocal = f.local('i64');
    this.#page = w.localGet(this.pageLocal, 'i64', true);
    this.#ea = f.local('i64');
    this.#plain = f.local('i32');
    this.#masked = f.local('i32');
    this.#limits = { i32: f.local('i32'), i64: f.local('i64') };
    this.#vectors = new VectorFile(f);
    this.#known = new KnownPages(f, this.#long);
    this.#known.isNew(this.#page);
    this.x87 = new X87Unit({
      f,
      leave: () => this.#frame.leaveHere(w.i32c(0)),
      forgetStatus: () => this.#checked.delete(L.FPU_SW),
      invoke: (name, result, args) => this.invoke(name, result, args),
    });
    this.#recent = new RecentPages(f, chased);
    this.tlbLocal = f.local('i32');
    this.tlb = w.localGet(this.tlbLocal, 'i32', true);
  }

  // ---- what is being emitted ---------------------------------------------------------------------------------------------

  get variant(): Variant {
    return this.#spec!.variant;
  }

  get param(): number {
    return this.#spec!.instruction.attributes.param ?? 0;
  }

  protected get key(): string {
    return this.#spec?.key ?? 'micro-op';
  }

  set delta(delta: bigint) {
    this.#delta = delta;
  }

  /** Address `offset` bytes into the current block's page. */
  at(offset: number | bigint): Expr {
    return this.maskAddress(w.add(this.#page, w.i64c(this.#delta + BigInt(offset))));
  }

  /** Linear address of the current block's page, as R_PAGE has it. */
  pageAddress(): Expr {
    return w.add(this.#page, w.i64c(this.#delta));
  }

  /** Address relative to the entry block's page. */
  fromEntry(delta: bigint): Expr {
    return this.maskAddress(w.add(this.#page, w.i64c(delta)));
  }

  /** Emits one record. @throws Unsupported */
  instruction(record: DecodedRecord): void {
    this.#record = record;
    this.#spec = record.spec;
    this.f.scope(() => {
      if (record.spec) record.spec.instruction.semantics(this, ...record.spec.operands);
      else this.#microOp(record);
      this.#vectors.endInstruction();
    });
  }

  /** Before a block's first instruction: what is known within a block is not known any more. `key` stands for the block. */
  enterBlock(key: unknown): void {
    this.#vectors.abandon();
    this.x87.enterBlock(key);
    this.forgetChecks();
  }

  /** Whether the block that `key` stands for may be gone to from here; else the region must be left. */
  mayEnter(key: unknown): boolean {
    return this.x87.agrees(key);
  }

  /** What is known at the end of a block, which has several ways on. */
  save(): RegionState {
    return { flags: this.flags, x87: this.x87.save() };
  }

  restore({ flags, x87 }: RegionState): void {
    this.flags = flags;
    this.x87.restore(x87);
  }

  override publishFlags(): void {
    super.publishFlags();
    this.x87.publish();
  }

  /** After anything that may have changed the state in memory behind the emitter's back. */
  forgetChecks(): void {
    this.#checked.clear();
    this.#vectors.forget();
    this.#known.forget();
    this.x87.forget();
    this.x87.dropNote();
  }

  #microOp(r: DecodedRecord): void {
    const noSegment = r.a === 255;
    const base = () => this.state(L.SEGS + r.a * L.SEG_SIZE + L.SEG_BASE, 'i64');
    const low32 = (e: Expr) => w.and(e, w.i64c(0xffff_ffff));
    const setEa = (e: Expr) => this.f.set(this.#ea, e);
    switch (r.handler) {
      case L.H_EA64:
        setEa(w.add(this.effectiveAddress(), base()));
        return;
      case L.H_EA32IN64:
        setEa(noSegment ? low32(this.effectiveAddress()) : w.add(low32(this.effectiveAddress()), base()));
        return;
      case L.H_EAMOFFS:
        setEa(noSegment ? w.i64c(r.wide) : w.add(w.i64c(r.wide), base()));
        return;
      case L.H_EASEG:
      case L.H_EA16: {
        const offset = this.let(w.and(this.effectiveAddress(), w.i64c(r.handler === L.H_EA16 ? 0xffff : 0xffff_ffff)));
        if (noSegment) {
          setEa(offset);
          return;
        }
        const args = [w.i32c(r.a), offset, w.i32c(r.b), w.i32c(r.imm & 1)];
        setEa(this.invoke('eaSeg', 'i64', args));
        this.faultIf(w.geS(this.state(L.FAULT_VECTOR, 'i32'), w.i32c(0)));
        return;
      }
      default:
        throw new Unsupported(`fixed handler ${r.handler}`);
    }
  }

  // ---- registers and fields ------------------------------------------------------------------------------------------------

  #get(n: number): Expr {
    this.used.add(n);
    return this.#known.isRegister(n, w.localGet(this.#registers[n], 'i64'));
  }

  #set(n: number, value: Expr): void {
    this.used.add(n);
    this.dirty.add(n);
    this.f.set(this.#registers[n], value);
    this.#known.assign(n, value);
  }

  override let(value: Expr): Expr {
    return this.#known.copied(super.let(value), value);
  }

  override if(condition: Expr, then: () => void, otherwise?: () => void): void {
    if (condition.constant !== undefined) super.if(condition, then, otherwise);
    else this.#known.perhaps(() => super.if(condition, then, otherwise));
  }

  override choose(type: ValType, condition: Expr, yes: () => Expr, no: () => Expr, likely?: Hint): Expr {
    return this.#known.perhaps(() => super.choose(type, condition, yes, no, likely));
  }

  /** Loads at entry, stores at exit. */
  loadRegisters(): void {
    for (const n of this.used) this.f.set(this.#registers[n], w.load('i64', w.i32c(0), L.REGS + n * 8));
    this.#vectors.loadAll();
    this.x87.load();
    this.#recent.forgetAll();
    if (this.#usesPlain) this.#loadPlain();
  }

  storeRegisters(): void {
    for (const n of this.dirty)
      this.f.do(w.store('i64', w.i32c(0), w.localGet(this.#registers[n], 'i64'), L.REGS + n * 8));
    this.#vectors.storeAll();
    this.x87.store();
  }

  protected field(field: 'a' | 'b' | 'c'): Expr {
    const r = this.#record!;
    return w.i32c(field === 'a' ? r.a : field === 'b' ? r.b : (r.imm >>> 8) & 0xff);
  }

  #offset(operand: Operand): number {
    if (operand.kind === 'fixed') return operand.register;
    if (operand.kind === 'gpr') return this.field(operand.field).constant as number;
    throw new Error(`${this.key}: ${operand.kind} is not a general register`);
  }

  #read(offset: number, size: number): Expr {
    const value = this.#get(offset >> 3);
    if (size === 8) return value;
    const low = w.wrap(value);
    if (size === 4) return low;
    if (size === 2) return w.and(low, w.i32c(0xffff));
    return w.and(offset & 1 ? w.shrU(low, w.i32c(8)) : low, w.i32c(0xff));
  }

  #write(offset: number, value: Expr, size: number): void {
    const n = offset >> 3;
    if (size === 8) this.#set(n, value);
    else if (size === 4) this.#set(n, w.extendU(value));
    else {
      const high = offset & 1;
      const bits = size === 2 ? 0xffff : high ? 0xff00 : 0xff;
      const placed = high ? w.shl(value, w.i32c(8)) : value;
      this.#set(n, w.or(w.and(this.#get(n), w.i64c(~bits)), w.extendU(w.and(placed, w.i32c(bits)))));
    }
  }

  protected loadRegister(operand: Operand): Expr {
    return this.#read(this.#offset(operand), sizeOf(operand));
  }

  protected storeRegister(operand: Operand, value: Expr): void {
    this.#write(this.#offset(operand), value, sizeOf(operand));
  }

  gpr(n: number, size: number): Expr {
    return this.let(this.#read(n * 8, size));
  }

  setGpr(n: number, size: number, value: Expr): void {
    this.#write(n * 8, value, size);
  }

  #pseudo(offset: number): Expr | undefined {
    if (offset === L.R_ZERO) return undefined;
    if (offset === L.R_PAGE) return this.pageAddress();
    if (offset === L.R_EA) {
      const ea = w.localGet(this.#ea, 'i64');
      this.#known.isNew(ea);
      return ea;
    }
    return this.#get(offset >> 3);
  }

  protected effectiveAddress(): Expr {
    const r = this.#record!;
    const index = this.#pseudo(r.index);
    let sum = this.#pseudo(r.base);
    if (index) {
      const scaled = w.shl(index, w.i64c(r.scale));
      sum = sum ? w.add(sum, scaled) : scaled;
    }
    const disp = w.i64c(r.disp);
    return sum ? w.add(sum, disp) : disp;
  }

  protected immediate(size: number, signed: boolean): Expr {
    const r = this.#record!;
    if (size === 8) return w.i64c(r.wide);
    if (size === 1 && !signed) return w.i32c(r.imm & 0xff);
    return w.i32c(size === 2 ? r.imm & 0xffff : r.imm);
  }

  maskAddress(linear: Expr): Expr {
    return this.#long ? linear : w.and(linear, w.i64c(0xffff_ffff));
  }

  addressSize(): Expr {
    return w.i32c(this.#record!.base);
  }

  isRegister(operand: Operand, n: number): Expr {
    return w.i32c(this.#offset(operand) === n * 8 ? 1 : 0);
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
    super.commitFloat();
    this.#loadPlain();
  }

  /**
   * The interpreter does it: a call here would cost all the other ways their registers, and so is everything known to be
   * tame afterwards.
   */
  override floatSlow(): undefined {
    this.#frame.leaveHere(w.i32c(0));
  }

  override compareFloats(a: Expr, b: Expr, ordinary: readonly (Expr | undefined)[]): void {
    this.unless(ordinary, () => this.floatSlow());
    this.flagsFloat(a, b);
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

  // ---- memory and core -------------------------------------------------------------------------------------------------------

  override address(operand: Operand): Expr {
    const { base, index } = this.#record!;
    this.#recent.through(base, index);
    return super.address(operand);
  }

  override push(value: Expr, size: number): void {
    this.#recent.throughStack();
    super.push(value, size);
  }

  override top(size: number, offset = 0): Expr {
    this.#recent.throughStack();
    return super.top(size, offset);
  }

  protected override pointerTo(linear: Expr, size: number, tag: number, miss: Miss): Expr {
    const write = tag === L.TLB_WRITE;
    const recent = this.#recent.take(tag);
    const page = (size & (size - 1)) === 0 ? recent : undefined;
    const probe = () => this.#probe(linear, size, tag, miss, page);
    const known = this.#known.lookUp(linear, size, write, probe);
    if (known) return known;
    return this.#known.remember(linear, write, (onMiss) => {
      this.#onMiss = onMiss;
      const pointer = probe();
      this.#onMiss = undefined;
      return pointer;
    });
  }

  /** By the page that the base register was last used with, then the TLB, then core. */
  #probe(linear: Expr, size: number, tag: number, miss: Miss, page: RecentPage | undefined): Expr {
    if (!page) return super.pointerTo(linear, size, tag, miss);
    const addend = w.localGet(page.addend, 'i32');
    const direct = () => w.add(w.wrap(linear), addend);
    const byTlb = () => {
      const entry = this.tlbEntry(linear);
      const hit = w.eq(w.load('i64', entry, tag), this.pageOfLast(linear, size));
      const fill = () => {
        this.f.set(page.tag, w.and(linear, w.i64c(-4096)));
        this.f.set(page.addend, w.load('i32', entry, L.TLB_ADDEND));
        return direct();
      };
      return this.choose('i32', hit, fill, () => this.missed(miss, linear, size), true);
    };
    return this.choose('i32', page.holds(linear, size), direct, byTlb, true);
  }

  protected missed(name: string, linear: Expr, size: number): Expr {
    const host = this.f.temp('i32');
    const get = w.localGet(host, 'i32');
    const miss = name === 'memRead' ? 'regionRead' : 'regionWrite';
    this.f.set(host, this.invoke(miss, 'i32', [linear, w.i32c(size)]));
    this.f.if(w.leU(get, w.i32c(1)), () => this.#frame.leaveHere(w.eqz(get)), undefined, false);
    this.#onMiss?.();
    return get;
  }

  /** Regions store only to plain RAM. */
  commit(): void {}

  protected fault(): void {
    this.#frame.leaveHere(w.i32c(1));
  }

  core(name: string, ...args: number[]): void {
    const { spec, address, base, index } = this.#record!;
    // What ends a block leaves the region anyway.
    if (spec!.instruction.attributes.ends) throw new Unsupported(name);
    this.setState(L.CUR_REC, w.i32c(address));
    if (base === L.R_EA || index === L.R_EA) this.setState(L.REGS + L.R_EA, w.localGet(this.#ea, 'i64'));
    this.#frame.callHandler(() => this.invoke(name, 'i32', [w.i32c(address), ...args.map(w.i32c)]));
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
    const value = this.let(w.sub(this.#read(8, size), w.intc(size === 8 ? 'i64' : 'i32', by)));
    const low = this.let(this.zeroExtend(value, size));
    if (by) this.#write(8, low, size);
    return this.let(w.ne(low, w.intc(low.type, 0)));
  }

  #isX87(name: string): boolean {
    return this.#shared === 'x87' && name.startsWith('x87_');
  }

  #requirePure(name: string): void {
    const simd = this.#spec!.operands.some((o) => o.kind === 'xmm');
    if (!PURE.test(name) && !simd) throw new Unsupported(name);
  }

  /** Core divides RDX:RAX in memory. */
  #divide(name: string, args: Expr[]): Expr {
    for (const n of [0, 2]) this.f.do(w.store('i64', w.i32c(0), this.#get(n), L.REGS + n * 8));
    const failed = this.let(this.invoke(name, 'i32', args));
    for (const n of [0, 2]) this.#set(n, w.load('i64', w.i32c(0), L.REGS + n * 8));
    return failed;
  }

  noteX87(data?: Expr): void {
    const page = w.add(this.#page, w.i64c(this.#delta));
    this.x87.note({ record: this.#record!.address, block: this.#frame.block, page, data: data !== undefined }, data);
  }

  nextRip(): Expr {
    return this.let(this.#frame.nextRip());
  }

  jump(rip: Expr): void {
    this.#frame.jump(rip);
  }

  branch(target: Operand, condition?: Expr): void {
    if (target.kind !== 'rel') throw new Error(`${this.key}: branch to ${target.kind}`);
    this.#frame.branch(condition);
  }
}
