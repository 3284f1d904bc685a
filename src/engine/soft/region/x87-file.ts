/**
 * The x87 registers of a region: significands and signs with exponents as locals, named by their distance from one that the
 * top stood at. How far the top has moved since is known at compile time in each block, as the first way there has it;
 * another way that has it otherwise leaves the region, and whoever enters it there takes it so. The status word's C1 and PE are kept apart, for nearly every
 * instruction changes them.
 *
 * Here are the state and its moves; x87-arithmetic.ts computes. What isn't the common case leaves the region before the
 * instruction; what core alone can do gets the state in memory and takes it back from there.
 */
import * as L from '../layout.js';
import type { FunctionBuilder } from '../wasm/function.js';
import type { Expr, ValType } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';

/** What the registers need of their emitter. */
export interface X87Host {
  readonly f: FunctionBuilder;
  /** Leaves before the instruction: it is the interpreter's. */
  leave(): void;
  /** ES may have changed. */
  forgetStatus(): void;
  invoke(name: string, result: ValType | undefined, args: readonly Expr[]): Expr;
}

/** A register's value: `tame` is known to be normal or zero. */
export interface Extended {
  readonly m: Expr;
  readonly se: Expr;
  readonly tame: boolean;
}

/** What is known of the stack at compile time: at the start of a block, what holds on all ways there. */
export interface StackState {
  /** How far the top has moved. */
  readonly depth: number;
  /** Registers by distance, a bit each: not empty, empty, normal or zero. */
  readonly valid: number;
  readonly empty: number;
  readonly tame: number;
  /** The control word is one that arithmetic is computed for here. */
  readonly controlled: boolean;
}

/** Of two ways to the same block: what is known on both. They have the same depth. */
export function meetStacks(a: StackState, b: StackState): StackState {
  const { depth } = a;
  const controlled = a.controlled && b.controlled;
  return { depth, valid: a.valid & b.valid, empty: a.empty & b.empty, tame: a.tame & b.tame, controlled };
}

export const MSB = w.i64c(1n << 63n);
const i32 = w.i32c;
const C1 = 0x200;
const PE = 0x20;
/** FIP's source: the record of the last x87 instruction, its block, its page, and whether it had a memory operand. */
export interface Note {
  readonly record: number;
  readonly block: number;
  readonly page: Expr;
  readonly data: boolean;
}

export class X87File {
  protected readonly host: X87Host;
  protected readonly f: FunctionBuilder;
  readonly #m: readonly number[];
  readonly #se: readonly number[];
  /** The top at distance 0; valid registers, a bit each, by distance; the distance at an entry and at an exit. */
  readonly #top: number;
  readonly #tags: number;
  readonly #exit: number;
  readonly #sw: number;
  readonly #c1: number;
  /** Not zero: something was inexact. */
  readonly #pe: number;
  readonly #fdp: number;
  /** Whether the precision control says 53 bits. */
  readonly #short: number;
  /** Whether the region has x87 instructions. */
  active = false;
  readonly #used = new Set<number>();
  readonly #dirty = new Set<number>();
  // Known in this block.
  #depth = 0;
  #valid = 0;
  #empty = 0;
  #tame = 0;
  #controlled = false;
  #note: Note | undefined;

  constructor(host: X87Host) {
    this.host = host;
    const { f } = host;
    this.f = f;
    this.#m = Array.from({ length: 8 }, () => f.local('i64'));
    this.#se = Array.from({ length: 8 }, () => f.local('i32'));
    this.#top = f.local('i32');
    this.#tags = f.local('i32');
    this.#exit = f.local('i32');
    this.#sw = f.local('i32');
    this.#c1 = f.local('i32');
    this.#pe = f.local('i64');
    this.#fdp = f.local('i64');
    this.#short = f.local('i32');
  }

  // ---- blocks ----------------------------------------------------------------------------------------------------------

  /** What is known at the end of a block, for each of its ways on. */
  save(): StackState & { readonly note: Note | undefined } {
    const controlled = this.#controlled;
    return {
      depth: this.#depth,
      valid: this.#valid,
      empty: this.#empty,
      tame: this.#tame,
      controlled,
      note: this.#note,
    };
  }

  restore({ note, ...state }: StackState & { readonly note: Note | undefined }): void {
    this.enterBlock(state);
    this.#note = note;
  }

  /** Undefined: nobody has come to the block yet. */
  enterBlock(state: StackState | undefined): void {
    this.#depth = state?.depth ?? 0;
    this.#valid = state?.valid ?? 0;
    this.#empty = state?.empty ?? 0;
    this.#tame = state?.tame ?? 0;
    this.#controlled = state?.controlled ?? false;
    this.#note = undefined;
  }

  forget(): void {
    this.#valid = 0;
    this.#empty = 0;
    this.#tame = 0;
    this.#controlled = false;
  }

  note(note: Note, data: Expr | undefined): void {
    if (data) this.f.set(this.#fdp, data);
    this.#note = { ...note, data: data !== undefined || (this.#note?.data ?? false) };
  }

  dropNote(): void {
    this.#note = undefined;
  }

  /** Before every way out of the block: what is known at compile time for whoever comes next. */
  publish(): void {
    const { f } = this;
    if (!this.active) {
      // A region that comes to its first x87 instruction later has been through it where this is a loop's head.
      const depth = i32(this.#depth);
      f.later(() => {
        if (this.active) f.set(this.#exit, depth);
      });
      return;
    }
    f.set(this.#exit, i32(this.#depth));
    const note = this.#note;
    if (!note) return;
    const store = (kind: 'i32' | 'i64', at: number, value: Expr) => f.do(w.store(kind, i32(0), value, at));
    store('i32', L.X87_REC, i32(note.record));
    store('i32', L.X87_BLOCK, i32(note.block));
    store('i64', L.X87_PAGE, note.page);
    if (note.data) store('i64', L.FPU_FDP, w.localGet(this.#fdp, 'i64'));
  }

  // ---- state in memory ---------------------------------------------------------------------------------------------------

  #address(k: number): Expr {
    return w.shl(w.and(w.add(w.localGet(this.#top, 'i32'), i32(k)), i32(7)), i32(4));
  }

  /** Before `load` at the region's entry: at what distance the top is where it is entered. */
  enterAt(depth: Expr): void {
    if (this.active) this.f.set(this.#exit, depth);
  }

  /** From memory, where the top is at the distance published last. */
  load(): void {
    if (!this.active) return;
    const { f } = this;
    const state = (at: number) => w.load('i32', i32(0), at);
    f.set(this.#top, w.and(w.sub(state(L.FPU_TOP), w.localGet(this.#exit, 'i32')), i32(7)));
    const tags = f.let(state(L.FPU_TAG));
    const twice = w.or(tags, w.shl(tags, i32(8)));
    f.set(this.#tags, w.and(w.shrU(twice, w.localGet(this.#top, 'i32')), i32(0xff)));
    f.set(this.#sw, state(L.FPU_SW));
    f.set(this.#c1, w.and(w.shrU(w.localGet(this.#sw, 'i32'), i32(9)), i32(1)));
    f.set(this.#pe, w.i64c(0));
    for (const k of this.#used) {
      const at = f.let(this.#address(k));
      f.set(this.#m[k], w.load('i64', at, L.FPR));
      f.set(this.#se[k], w.load('i32_16u', at, L.FPR + 8));
    }
  }

  /** To memory; the distance is what was published last. */
  store(): void {
    if (!this.active) return;
    const { f } = this;
    const state = (at: number, value: Expr) => f.do(w.store('i32', i32(0), value, at));
    const top = w.localGet(this.#top, 'i32');
    state(L.FPU_TOP, w.and(w.add(top, w.localGet(this.#exit, 'i32')), i32(7)));
    const tags = f.let(w.shl(w.localGet(this.#tags, 'i32'), top));
    state(L.FPU_TAG, w.and(w.or(tags, w.shrU(tags, i32(8))), i32(0xff)));
    state(L.FPU_SW, this.status());
    for (const k of this.#dirty) {
      const at = f.let(this.#address(k));
      f.do(w.store('i64', at, w.localGet(this.#m[k], 'i64'), L.FPR));
      f.do(w.store('i32', at, w.localGet(this.#se[k], 'i32'), L.FPR + 8));
    }
  }

  /** Lets core do it, on the state in memory. */
  inCore(name: string, result: ValType | undefined, args: readonly Expr[]): Expr | undefined {
    const { f } = this;
    for (let k = 0; k < 8; k++) {
      this.#used.add(k);
      this.#dirty.add(k);
    }
    f.set(this.#exit, i32(this.#depth));
    this.store();
    const call = this.host.invoke(name, result, args);
    let value: Expr | undefined;
    if (result) value = f.let(call);
    else f.do(call);
    this.load();
    this.forget();
    this.host.forgetStatus();
    return value;
  }

  // ---- status and control ------------------------------------------------------------------------------------------------

  /** FSW without TOP. */
  status(): Expr {
    const c1 = w.shl(w.localGet(this.#c1, 'i32'), i32(9));
    const pe = w.shl(w.xor(w.eqz(w.localGet(this.#pe, 'i64')), i32(1)), i32(5));
    return w.or(w.and(w.localGet(this.#sw, 'i32'), i32(~C1)), w.or(c1, pe));
  }

  statusWithTop(): Expr {
    const top = w.and(w.add(w.localGet(this.#top, 'i32'), i32(this.#depth)), i32(7));
    return w.or(this.status(), w.shl(top, i32(11)));
  }

  errorSummary(): Expr {
    return w.and(w.localGet(this.#sw, 'i32'), i32(0x80));
  }

  /** FNCLEX. */
  clearExceptions(): void {
    this.f.set(this.#sw, w.and(w.localGet(this.#sw, 'i32'), i32(0x4700)));
    this.f.set(this.#pe, w.i64c(0));
  }

  /** FLDCW. */
  setControl(value: Expr): void {
    const { f } = this;
    const cw = f.let(w.or(w.and(value, i32(0x1f3f)), i32(0x40)));
    this.leaveIf(w.and(w.and(this.status(), w.xor(cw, i32(-1))), i32(0x3f)));
    f.do(w.store('i32', i32(0), cw, L.FPU_CW));
    f.set(this.#sw, w.and(w.localGet(this.#sw, 'i32'), i32(~0x8080)));
    this.#controlled = false;
    this.host.forgetStatus();
  }

  control(): Expr {
    return w.load('i32', i32(0), L.FPU_CW);
  }

  /** To nearest, 64 or 53 bits, PE masked: what is computed here. */
  requireDefault(): void {
    if (this.#controlled) return;
    this.#controlled = true;
    const cw = this.f.let(this.control());
    this.leaveIf(w.ne(w.and(cw, i32(0xe00 | PE)), i32(0x200 | PE)));
    this.f.set(this.#short, w.eqz(w.and(cw, i32(0x100))));
  }

  /** Whether results are rounded to 53 bits; after requireDefault. */
  protected isShort(): Expr {
    return w.localGet(this.#short, 'i32');
  }

  /** Sets C3, C2 and C0; C1 is cleared. */
  setCodes(codes: Expr): void {
    this.f.set(this.#sw, w.or(w.and(w.localGet(this.#sw, 'i32'), i32(~0x4500)), codes));
    this.rounded(i32(0));
  }

  /** C1: whether the result was rounded up; `rest`, where given: not zero if it was rounded at all. */
  rounded(up: Expr, rest?: Expr): void {
    this.f.set(this.#c1, up);
    if (rest) this.f.set(this.#pe, w.or(w.localGet(this.#pe, 'i64'), rest));
  }

  // ---- registers ---------------------------------------------------------------------------------------------------------

  protected leaveIf(condition: Expr): void {
    if (condition.constant === 0) return;
    this.f.if(condition, () => this.host.leave(), undefined, false);
  }

  protected leaveUnless(condition: Expr): void {
    this.leaveIf(w.eqz(condition));
  }

  #k(i: number): number {
    return (this.#depth + i) & 7;
  }

  /** ST(i), which must not be empty. */
  get(i: number): Extended {
    const k = this.#k(i);
    const bit = 1 << k;
    if (!(this.#valid & bit)) {
      this.leaveIf(w.eqz(w.and(w.localGet(this.#tags, 'i32'), i32(bit))));
      this.#valid |= bit;
    }
    this.#used.add(k);
    const m = this.f.let(w.localGet(this.#m[k], 'i64'));
    const se = this.f.let(w.localGet(this.#se[k], 'i32'));
    return { m, se, tame: (this.#tame & bit) !== 0 };
  }

  /** ST(i), which must be normal or zero. */
  getTame(i: number): Extended {
    const value = this.get(i);
    if (value.tame) return value;
    const { m, se } = value;
    const e = w.and(se, i32(0x7fff));
    const normal = w.and(w.ltS(m, w.i64c(0)), w.ltU(w.sub(e, i32(1)), i32(0x7ffe)));
    this.leaveUnless(w.or(normal, w.and(w.eqz(m), w.eqz(e))));
    this.#tame |= 1 << this.#k(i);
    return { m, se, tame: true };
  }

  /** ST(i) = value, which makes it valid. */
  set(i: number, { m, se, tame }: Extended): void {
    const k = this.#k(i);
    const bit = 1 << k;
    this.#used.add(k);
    this.#dirty.add(k);
    this.f.set(this.#m[k], m);
    this.f.set(this.#se[k], se);
    if (!(this.#valid & bit)) this.f.set(this.#tags, w.or(w.localGet(this.#tags, 'i32'), i32(bit)));
    this.#valid |= bit;
    this.#empty &= ~bit;
    this.#tame = tame ? this.#tame | bit : this.#tame & ~bit;
  }

  /** The register that a push takes must be empty. */
  requireRoom(): void {
    const bit = 1 << this.#k(7);
    if (this.#empty & bit) return;
    this.leaveIf(w.and(w.localGet(this.#tags, 'i32'), i32(bit)));
  }

  push(value: Extended): void {
    this.#depth = this.#k(7);
    this.set(0, value);
  }

  #free(k: number): void {
    const bit = 1 << k;
    this.f.set(this.#tags, w.and(w.localGet(this.#tags, 'i32'), i32(~bit)));
    this.#valid &= ~bit;
    this.#empty |= bit;
  }

  pop(times = 1): void {
    for (; times > 0; times--) {
      this.#free(this.#depth);
      this.#depth = this.#k(1);
    }
  }

  free(i: number): void {
    this.#free(this.#k(i));
  }

  /** FINCSTP, FDECSTP. */
  turn(by: number): void {
    this.#depth = this.#k(by);
  }
}
