/**
 * General registers as locals, operands as constants of the decoded records, and memory: the part of the region's emitter
 * that an instruction's operands are made of.
 */
import type { CoreImports } from '../emit/machine-emitter.js';
import { type Operand, sizeOf } from '../emit/operands.js';
import type { Variant } from '../isa/define.js';
import * as L from '../layout.js';
import type { FunctionBuilder, Hint } from '../wasm/function.js';
import type { Expr, ValType } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { KnownPages } from './known-pages.js';
import { LazyFlagsEmitter } from './lazy-flags.js';
import { type RecentPage, RecentPages } from './recent-pages.js';
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
  /** The same for the handler of an instruction that ends its block: goes on wherever that has put RIP. */
  callLastHandler(call: () => Expr): void;
  /** Address of the instruction behind the block. */
  nextRip(): Expr;
  /** Relative branch of the block's last instruction; undefined: always. */
  branch(condition: Expr | undefined): void;
  jump(rip: Expr): void;
  /** Header of the block that is being emitted. */
  readonly block: number;
}

export abstract class RegionRegisters extends LazyFlagsEmitter {
  readonly f: FunctionBuilder;
  protected readonly imports: CoreImports;
  protected readonly frame: RegionFrame;
  readonly #long: boolean;
  /** Whether all segments but CS, FS and GS are flat: in 64-bit mode CS also. */
  protected readonly flat: boolean;
  readonly #inPlace: boolean;
  /** Locals: registers, the entry block's page, R_EA. */
  readonly #registers: readonly number[];
  readonly #page: Expr;
  readonly #ea: number;
  /** Local: where the TLB is. Only handlers of core move it, and behind them registers are loaded again. */
  readonly #tlb: number;
  #usesTlb = false;
  readonly #known: KnownPages;
  readonly #recent: RecentPages;
  readonly pageLocal: number;
  /** Registers read or written so far, and those written. */
  readonly used = new Set<number>();
  readonly dirty = new Set<number>();
  /** In place: registers whose local is a copy here. */
  #copies: ReadonlySet<number> = new Set();
  /** What is being emitted. */
  protected record: DecodedRecord | undefined;
  /** The current block's page, less the entry's. */
  #delta = 0n;

  /**
   * @param chased general registers that the region loads from memory
   * @param stored what it stores through (recent-pages.ts)
   * @param inPlace general registers stay where the interpreter has them, and locals are copies only: for code that runs
   * through once, loading all and storing all costs more than it saves, and every rare way out would have to have them at hand
   */
  constructor(
    f: FunctionBuilder,
    imports: CoreImports,
    frame: RegionFrame,
    mode: number,
    chased: ReadonlySet<number>,
    stored: ReadonlySet<string>,
    inPlace: boolean,
  ) {
    super(f);
    this.#inPlace = inPlace;
    this.f = f;
    this.imports = imports;
    this.frame = frame;
    this.#long = (mode & L.MODE_64) !== 0;
    this.flat = this.#long || (mode & L.MODE_SEGMENTED) === 0;
    this.#registers = Array.from({ length: 16 }, () => f.local('i64'));
    this.pageLocal = f.local('i64');
    this.#tlb = f.local('i32');
    this.#page = w.localGet(this.pageLocal, 'i64', true);
    this.#ea = f.local('i64');
    this.#known = new KnownPages(f, this.#long);
    this.#known.isNew(this.#page);
    this.#recent = new RecentPages(f, chased, stored);
  }

  // ---- what is being emitted ---------------------------------------------------------------------------------------------

  get variant(): Variant {
    return this.record!.spec!.variant;
  }

  get param(): number {
    return this.record!.spec!.instruction.attributes.param ?? 0;
  }

  protected get key(): string {
    return this.record?.spec?.key ?? 'micro-op';
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

  protected microOp(r: DecodedRecord): void {
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
        setEa(this.#throughSegment(r, offset));
        return;
      }
      default:
        throw new Unsupported(`fixed handler ${r.handler}`);
    }
  }

  /** A checked access to readable and writable data that grows upwards; any other is the interpreter's. */
  #throughSegment(r: DecodedRecord, offset: Expr): Expr {
    const segment = L.SEGS + r.a * L.SEG_SIZE;
    const limit = w.load('i64_32u', w.i32c(0), segment + L.SEG_LIMIT);
    const attributes = w.and(w.load('i32', w.i32c(0), segment + L.SEG_ATTR), w.i32c(L.SEG_PLAIN_MASK));
    const within = w.leU(w.add(offset, w.i64c(Math.max(r.b, 1) - 1)), limit);
    // A call of core here would cost as much as one at a TLB miss.
    const isPlain = w.and(w.eq(attributes, w.i32c(L.SEG_PLAIN)), within);
    this.f.if(w.eqz(isPlain), () => this.frame.leaveHere(w.i32c(0)), undefined, false);
    return w.and(w.add(w.load('i64', w.i32c(0), segment + L.SEG_BASE), offset), w.i64c(0xffff_ffff));
  }

  // ---- registers and fields ------------------------------------------------------------------------------------------------

  #now(n: number): Expr {
    this.used.add(n);
    if (this.#inPlace && !this.#copies.has(n)) {
      this.f.set(this.#registers[n], w.load('i64', w.i32c(0), L.REGS + n * 8));
      this.#isCopied(n);
    }
    return this.#known.isRegister(n, w.localGet(this.#registers[n], 'i64'));
  }

  #isCopied(n: number): void {
    if (!this.#copies.has(n)) this.#copies = new Set(this.#copies).add(n);
  }

  /** Registers whose locals are right, where the code has come to. */
  protected get copies(): ReadonlySet<number> {
    return this.#copies;
  }

  protected set copies(copies: ReadonlySet<number>) {
    this.#copies = copies;
  }

  /** What may or may not be run leaves no copies that are not there before. */
  #perhaps<T>(body: () => T): T {
    const copies = this.#copies;
    const result = this.#known.perhaps(body);
    this.#copies = copies;
    return result;
  }

  /** One of two ways. */
  #way<T>(body: () => T): () => T {
    const copies = this.#copies;
    return () => {
      this.#copies = copies;
      return body();
    };
  }

  #set(n: number, value: Expr): void {
    this.used.add(n);
    this.dirty.add(n);
    this.f.set(this.#registers[n], value);
    if (this.#inPlace) {
      this.f.do(w.store('i64', w.i32c(0), w.localGet(this.#registers[n], 'i64'), L.REGS + n * 8));
      this.#isCopied(n);
    }
    this.#known.assign(n, value);
  }

  override let(value: Expr): Expr {
    return this.#known.copied(super.let(value), value);
  }

  override if(condition: Expr, then: () => void, otherwise?: () => void): void {
    if (condition.constant !== undefined) super.if(condition, then, otherwise);
    else this.#perhaps(() => super.if(condition, this.#way(then), otherwise && this.#way(otherwise)));
  }

  override unless(conditions: readonly (Expr | undefined)[], otherwise: () => void): void {
    this.#perhaps(() => super.unless(conditions, otherwise));
  }

  override choose(type: ValType, condition: Expr, yes: () => Expr, no: () => Expr, likely?: Hint): Expr {
    return this.#perhaps(() => super.choose(type, condition, this.#way(yes), this.#way(no), likely));
  }

  protected loadGeneral(): void {
    this.#recent.forgetAll();
    if (this.#usesTlb) this.f.set(this.#tlb, w.load('i32', w.i32c(0), L.TLB_CUR));
    if (this.#inPlace) return;
    for (const n of this.used) this.f.set(this.#registers[n], w.load('i64', w.i32c(0), L.REGS + n * 8));
  }

  protected storeGeneral(): void {
    if (this.#inPlace) return;
    for (const n of this.dirty)
      this.f.do(w.store('i64', w.i32c(0), w.localGet(this.#registers[n], 'i64'), L.REGS + n * 8));
  }

  protected forgetPages(): void {
    this.#known.forget();
  }

  /** R_EA. */
  protected effective(): Expr {
    return w.localGet(this.#ea, 'i64');
  }

  protected field(field: 'a' | 'b' | 'c' | 'd'): Expr {
    const r = this.record!;
    if (field === 'd') return w.i32c(r.index);
    return w.i32c(field === 'a' ? r.a : field === 'b' ? r.b : (r.imm >>> 8) & 0xff);
  }

  #offset(operand: Operand): number {
    if (operand.kind === 'fixed') return operand.register;
    if (operand.kind === 'gpr') return this.field(operand.field).constant as number;
    throw new Error(`${this.key}: ${operand.kind} is not a general register`);
  }

  protected readRegister(offset: number, size: number): Expr {
    const value = this.#now(offset >> 3);
    if (size === 8) return value;
    const low = w.wrap(value);
    if (size === 4) return low;
    if (size === 2) return w.and(low, w.i32c(0xffff));
    return w.and(offset & 1 ? w.shrU(low, w.i32c(8)) : low, w.i32c(0xff));
  }

  protected writeRegister(offset: number, value: Expr, size: number): void {
    const n = offset >> 3;
    if (size === 8) this.#set(n, value);
    else if (size === 4) this.#set(n, w.extendU(value));
    else {
      const high = offset & 1;
      const bits = size === 2 ? 0xffff : high ? 0xff00 : 0xff;
      const placed = high ? w.shl(value, w.i32c(8)) : value;
      this.#set(n, w.or(w.and(this.#now(n), w.i64c(~bits)), w.extendU(w.and(placed, w.i32c(bits)))));
    }
  }

  protected loadRegister(operand: Operand): Expr {
    return this.readRegister(this.#offset(operand), sizeOf(operand));
  }

  protected storeRegister(operand: Operand, value: Expr): void {
    this.writeRegister(this.#offset(operand), value, sizeOf(operand));
  }

  gpr(n: number, size: number): Expr {
    return this.let(this.readRegister(n * 8, size));
  }

  setGpr(n: number, size: number, value: Expr): void {
    this.writeRegister(n * 8, value, size);
  }

  #pseudo(offset: number): Expr | undefined {
    if (offset === L.R_ZERO) return undefined;
    if (offset === L.R_PAGE) return this.pageAddress();
    if (offset === L.R_EA) {
      const ea = w.localGet(this.#ea, 'i64');
      this.#known.isNew(ea);
      return ea;
    }
    return this.#now(offset >> 3);
  }

  protected effectiveAddress(): Expr {
    const r = this.record!;
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
    const r = this.record!;
    if (size === 8) return w.i64c(r.wide);
    if (size === 1 && !signed) return w.i32c(r.imm & 0xff);
    return w.i32c(size === 2 ? r.imm & 0xffff : r.imm);
  }

  /** The address size of code that does not ask for another. */
  protected get usualAddressSize(): 4 | 8 {
    return this.#long ? 8 : 4;
  }

  maskAddress(linear: Expr): Expr {
    return this.#long ? linear : w.and(linear, w.i64c(0xffff_ffff));
  }

  addressSize(): Expr {
    return w.i32c(this.record!.base);
  }

  isRegister(operand: Operand, n: number): Expr {
    return w.i32c(this.#offset(operand) === n * 8 ? 1 : 0);
  }

  /** Looked for in memory each time where general registers are locals: one more would hold a register through every loop. */
  protected get tlb(): Expr {
    if (!this.#inPlace) return w.load('i32', w.i32c(0), L.TLB_CUR);
    this.#usesTlb = true;
    return w.localGet(this.#tlb, 'i32');
  }

  // ---- memory ----------------------------------------------------------------------------------------------------------------

  override address(operand: Operand): Expr {
    const { base, index } = this.record!;
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

  protected pointerTo(linear: Expr, size: number, tag: number): Expr {
    const write = tag === L.TLB_WRITE;
    const recent = this.#recent.take(tag);
    const page = !this.#inPlace && (size & (size - 1)) === 0 ? recent : undefined;
    const known = this.#known.lookUp(linear, size, write, () => this.#byTlb(linear, size, tag));
    return known ?? this.#known.remember(linear, write, () => this.let(this.#byPage(linear, size, tag, page)));
  }

  /** By the page that the base register was last used with, then the TLB. */
  #byPage(linear: Expr, size: number, tag: number, page: RecentPage | undefined): Expr {
    if (!page) return this.#byTlb(linear, size, tag);
    const look = () => {
      const entry = this.#hit(linear, size, tag);
      // Read, a page that can't be written now is not remembered as one that can.
      const isWritable = tag === page.kind;
      this.f.set(page.tag, isWritable ? w.and(linear, w.i64c(-4096)) : w.load('i64', entry, page.kind));
      this.f.set(page.addend, w.load('i32', entry, L.TLB_ADDEND));
    };
    this.f.if(w.eqz(page.holds(linear, size)), look, undefined, false);
    return w.add(w.wrap(linear), w.localGet(page.addend, 'i32'));
  }

  #byTlb(linear: Expr, size: number, tag: number): Expr {
    const entry = this.#hit(linear, size, tag);
    return w.add(w.wrap(linear), w.load('i32', entry, L.TLB_ADDEND));
  }

  /**
   * The TLB's entry for an access; where there is none the interpreter does the instruction. To call core and go on would
   * make V8's optimizer keep all registers out of the way of that call, in every access: regions took 1.6 times as long to
   * compile and as much room, and were slower.
   */
  #hit(linear: Expr, size: number, tag: number): Expr {
    const entry = this.tlbEntry(linear);
    const isMiss = w.ne(w.load('i64', entry, tag), this.pageOfLast(linear, size));
    this.f.if(isMiss, () => this.frame.leaveHere(w.i32c(0)), undefined, false);
    return entry;
  }

  /** Regions store only to plain RAM. */
  commit(): void {}

  protected fault(): void {
    this.frame.leaveHere(w.i32c(1));
  }
}
