/**
 * The emitter that compiles: operands are constants of the decoded records, general registers are Wasm locals, flags are the
 * operands of whatever set them last, worked out only where somebody reads them. One emitter writes one region (compile.ts).
 */

import type { CoreImports } from '../emit/machine-emitter.js';
import { MachineEmitter } from '../emit/machine-emitter.js';
import { type Operand, sizeOf } from '../emit/operands.js';
import type { HandlerSpec, Variant } from '../isa/define.js';
import * as L from '../layout.js';
import type { FunctionBuilder } from '../wasm/function.js';
import type { Expr, ValType } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import type { DecodedRecord } from './record.js';

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
}

/** Flags as known at compile time: settled in FA (RES) and FB (AUX), an operation's operands, or only known at run time. */
export type FlagState = 'settled' | 'unknown' | number;

/** With a carry in, the operands alone do not give the conditions. */
const OPERATION = { add: 1, sub: 2, logic: 3, adc: 5, sbb: 6 } as const;
const kindOf = (operation: number, size: number) => operation | (size << 4);

/** Core functions that touch neither general registers nor flags. */
const PURE = /^(sse_|pdep$|pext$|crc32c$)/;
/** Those of SIMD instructions that do. */
const IMPURE_SIMD = /^(pcmp[ei]str|memR|memW|x87_|getFlags|setFlags)/;

export class RegionEmitter extends MachineEmitter {
  readonly f: FunctionBuilder;
  protected readonly imports: CoreImports;
  protected readonly tlb: Expr;
  readonly #frame: RegionFrame;
  readonly #long: boolean;
  /** Locals: registers, the entry block's page, R_EA, and the flags' FK FA FB FR. */
  readonly #registers: readonly number[];
  readonly #page: Expr;
  readonly #ea: number;
  readonly #fk: number;
  readonly #fa: number;
  readonly #fb: number;
  readonly #fr: number;
  readonly tlbLocal: number;
  readonly pageLocal: number;
  flags: FlagState = 'unknown';
  /** Registers read or written so far, and those written. */
  readonly used = new Set<number>();
  readonly dirty = new Set<number>();
  #record: DecodedRecord | undefined;
  #spec: HandlerSpec | undefined;
  /** The current block's page, less the entry's. */
  #delta = 0n;

  constructor(f: FunctionBuilder, imports: CoreImports, frame: RegionFrame, mode: number) {
    super();
    this.f = f;
    this.imports = imports;
    this.#frame = frame;
    this.#long = (mode & L.MODE_64) !== 0;
    this.#registers = Array.from({ length: 16 }, () => f.local('i64'));
    this.pageLocal = f.local('i64');
    this.#page = w.localGet(this.pageLocal, 'i64', true);
    this.#ea = f.local('i64');
    this.#fk = f.local('i32');
    this.#fa = f.local('i64');
    this.#fb = f.local('i64');
    this.#fr = f.local('i64');
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
    });
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
    return w.localGet(this.#registers[n], 'i64');
  }

  #set(n: number, value: Expr): void {
    this.used.add(n);
    this.dirty.add(n);
    this.f.set(this.#registers[n], value);
  }

  /** Loads at entry, stores at exit. */
  loadRegisters(): void {
    for (const n of this.used) this.f.set(this.#registers[n], w.load('i64', w.i32c(0), L.REGS + n * 8));
  }

  storeRegisters(): void {
    for (const n of this.dirty)
      this.f.do(w.store('i64', w.i32c(0), w.localGet(this.#registers[n], 'i64'), L.REGS + n * 8));
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
    if (offset === L.R_EA) return w.localGet(this.#ea, 'i64');
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

  // ---- memory and core -------------------------------------------------------------------------------------------------------

  protected missed(name: string, linear: Expr, size: number): Expr {
    const host = this.f.temp('i32');
    const get = w.localGet(host, 'i32');
    const miss = name === 'memRead' ? 'regionRead' : 'regionWrite';
    this.f.set(host, this.invoke(miss, 'i32', [linear, w.i32c(size)]));
    this.f.if(w.leU(get, w.i32c(1)), () => this.#frame.leaveHere(w.eqz(get)));
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
    this.#requirePure(name);
    return this.let(this.invoke(name, result, args));
  }

  callVoid(name: string, ...args: Expr[]): void {
    this.#requirePure(name);
    this.f.do(this.invoke(name, undefined, args));
  }

  #requirePure(name: string): void {
    const simd = this.#spec!.operands.some((o) => o.kind === 'xmm') && !IMPURE_SIMD.test(name);
    if (!PURE.test(name) && !simd) throw new Unsupported(name);
  }

  /** Core divides RDX:RAX in memory. */
  #divide(name: string, args: Expr[]): Expr {
    for (const n of [0, 2]) this.f.do(w.store('i64', w.i32c(0), this.#get(n), L.REGS + n * 8));
    const failed = this.let(this.invoke(name, 'i32', args));
    for (const n of [0, 2]) this.#set(n, w.load('i64', w.i32c(0), L.REGS + n * 8));
    return failed;
  }

  noteX87(): void {
    throw new Unsupported('x87');
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

  // ---- control flow inside an instruction: what is known of the flags must hold on both ways --------------------------------

  override if(condition: Expr, then: () => void, otherwise?: () => void): void {
    const before = this.flags;
    let changed = false;
    this.f.if(
      condition,
      () => {
        then();
        changed = this.flags !== before;
        if (changed) this.settle();
      },
      () => {
        this.flags = before;
        otherwise?.();
        if (changed || this.flags !== before) {
          changed = true;
          this.settle();
        }
      },
    );
    if (changed) this.flags = 'settled';
  }

  // ---- flags -------------------------------------------------------------------------------------------------------------------

  #remember(operation: number, size: number, a: Expr | undefined, b: Expr | undefined, r: Expr): void {
    const set = (local: number, value: Expr) => this.f.set(local, w.extendU(value));
    if (a) set(this.#fa, a);
    if (b) set(this.#fb, b);
    set(this.#fr, r);
    this.flags = kindOf(operation, size);
  }

  override flagsAdd(size: number, a: Expr, b: Expr, result: Expr, carryIn = false): void {
    const operation = carryIn ? OPERATION.adc : OPERATION.add;
    this.#remember(operation, size, this.zeroExtend(a, size), this.zeroExtend(b, size), result);
  }

  override flagsSub(size: number, a: Expr, b: Expr, result: Expr, carryIn = false): void {
    const operation = carryIn ? OPERATION.sbb : OPERATION.sub;
    this.#remember(operation, size, this.zeroExtend(a, size), this.zeroExtend(b, size), result);
  }

  override flagsLogic(size: number, result: Expr): void {
    this.#remember(OPERATION.logic, size, undefined, undefined, result);
  }

  protected override setFlagsRaw(res: Expr, aux: Expr): void {
    const r = this.let(res);
    const x = this.let(aux);
    this.f.set(this.#fa, r);
    this.f.set(this.#fb, w.extendU(x));
    this.flags = 'settled';
  }

  override setState(address: number, value: Expr): void {
    if (address === L.FLAG_AUX) {
      this.settle();
      this.f.set(this.#fb, w.extendU(value));
    } else if (address === L.FLAG_RES) {
      this.settle();
      this.f.set(this.#fa, value);
    } else super.setState(address, value);
  }

  override aux(): Expr {
    this.settle();
    return this.let(w.wrap(w.localGet(this.#fb, 'i64')));
  }

  override res(): Expr {
    this.settle();
    return this.let(w.localGet(this.#fa, 'i64'));
  }

  #operand(local: number, size: number): Expr {
    const value = w.localGet(local, 'i64');
    return size === 8 ? value : w.wrap(value);
  }

  /** Brings the flags into RES and AUX (locals FA and FB). */
  settle(): void {
    const { flags } = this;
    if (flags === 'settled') return;
    if (flags === 'unknown') {
      this.f.if(w.localGet(this.#fk, 'i32'), () => this.#settleByCore());
    } else {
      const size = flags >> 4;
      const r = this.let(this.#operand(this.#fr, size));
      if ((flags & 15) === OPERATION.logic) super.flagsLogic(size, r);
      else {
        const a = this.let(this.#operand(this.#fa, size));
        const b = this.let(this.#operand(this.#fb, size));
        if ((flags & 3) === OPERATION.add) super.flagsAdd(size, a, b, r);
        else super.flagsSub(size, a, b, r);
      }
    }
    this.flags = 'settled';
  }

  #settleByCore(): void {
    const args = [w.localGet(this.#fk, 'i32'), ...[this.#fa, this.#fb, this.#fr].map((l) => w.localGet(l, 'i64'))];
    this.f.do(this.invoke('settleFlags', undefined, args));
    this.f.set(this.#fa, w.load('i64', w.i32c(0), L.FLAG_RES));
    this.f.set(this.#fb, w.load('i64_32u', w.i32c(0), L.FLAG_AUX));
    this.f.set(this.#fk, w.i32c(0));
  }

  /** Makes FK tell at run time what is known now: before every way to another block or out. */
  publishFlags(): void {
    if (this.flags !== 'unknown') this.f.set(this.#fk, w.i32c(this.flags === 'settled' ? 0 : this.flags));
  }

  loadFlags(): void {
    this.f.set(this.#fa, w.load('i64', w.i32c(0), L.FLAG_RES));
    this.f.set(this.#fb, w.load('i64_32u', w.i32c(0), L.FLAG_AUX));
    this.f.set(this.#fk, w.i32c(0));
  }

  storeFlags(): void {
    this.f.if(
      w.localGet(this.#fk, 'i32'),
      () => this.#settleByCore(),
      () => {
        this.f.do(w.store('i64', w.i32c(0), w.localGet(this.#fa, 'i64'), L.FLAG_RES));
        this.f.do(w.store('i64_32', w.i32c(0), w.localGet(this.#fb, 'i64'), L.FLAG_AUX));
      },
    );
  }

  override condition(code: number): Expr {
    return this.#direct(code) ?? super.condition(code);
  }

  /** Conditions straight from the operands of the last operation. */
  #direct(code: number): Expr | undefined {
    const { flags } = this;
    if (typeof flags !== 'number') return undefined;
    const size = flags >> 4;
    const operation = flags & 15;
    const value = (local: number) => this.#operand(local, size);
    const signed = (local: number) => this.signExtend(value(local), size);
    const zero = w.intc(size === 8 ? 'i64' : 'i32', 0);
    const result = () => this.zeroExtend(value(this.#fr), size);
    const not = (e: Expr | undefined) => (e && code & 1 ? w.eqz(e) : e);
    const which = code >> 1;
    if (which === 2) return not(operation === OPERATION.sub ? w.eq(value(this.#fa), value(this.#fb)) : w.eqz(result()));
    if (which === 4) return not(w.ltS(signed(this.#fr), zero));
    if (operation === OPERATION.sub) {
      if (which === 1) return not(w.ltU(value(this.#fa), value(this.#fb)));
      if (which === 3) return not(w.leU(value(this.#fa), value(this.#fb)));
      if (which === 6) return not(w.ltS(signed(this.#fa), signed(this.#fb)));
      if (which === 7) return not(w.leS(signed(this.#fa), signed(this.#fb)));
    } else if (operation === OPERATION.logic) {
      if (which === 0 || which === 1) return not(w.i32c(0));
      if (which === 3) return not(w.eqz(result()));
      if (which === 6) return not(w.ltS(signed(this.#fr), zero));
      if (which === 7) return not(w.leS(signed(this.#fr), zero));
    } else if (operation === OPERATION.add && which === 1) return not(w.ltU(result(), value(this.#fa)));
    return undefined;
  }
}
