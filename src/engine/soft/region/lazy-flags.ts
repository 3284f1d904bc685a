/**
 * Flags in a region: the operands of whatever set them last, worked out only where somebody reads them. Locals FK (which
 * operation, at run time), FA, FB (its operands, or RES and AUX), FR (its result) and FX (that of a later one which changes
 * some flags only).
 */
import { MachineEmitter } from '../emit/machine-emitter.js';
import * as L from '../layout.js';
import type { FunctionBuilder } from '../wasm/function.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { f32, f64 } from '../wasm/simd.js';

/**
 * Flags as known at compile time: settled in FA (RES) and FB (AUX), an operation's operands, or only known at run time.
 * In bits 15:8 of a number, and of FK, may be an operation that has changed some of the flags since (PARTIAL); then bits
 * 7:0 are 0 for settled ones and UNKNOWN for those known at run time.
 */
export type FlagState = 'settled' | 'unknown' | number;

/** core/region.ts has the same numbers. With a carry in, the operands alone do not give the conditions. */
const OPERATION = { add: 1, sub: 2, logic: 3, float: 4, adc: 5, sbb: 6 } as const;
/** Rotates change CF and OF, INC and DEC all but CF: bits 3:0, and log2 of the operand size above. FX is the result. */
const PARTIAL = { rol: 1, ror: 2, inc: 4, dec: 8 } as const;
const ROTATES = (PARTIAL.rol | PARTIAL.ror) << 8;
const STEPS = (PARTIAL.inc | PARTIAL.dec) << 8;
const UNKNOWN = 0xff;
const kindOf = (operation: number, size: number) => operation | (size << 4);

export abstract class LazyFlagsEmitter extends MachineEmitter {
  readonly #fk: number;
  readonly #fa: number;
  readonly #fb: number;
  readonly #fr: number;
  readonly #fx: number;
  #usesX = false;
  flags: FlagState = 'unknown';

  constructor(f: FunctionBuilder) {
    super();
    this.#fk = f.local('i32');
    this.#fa = f.local('i64');
    this.#fb = f.local('i64');
    this.#fr = f.local('i64');
    this.#fx = f.local('i64');
  }

  // ---- control flow inside an instruction: what is known of the flags must hold on both ways --------------------------------

  override if(condition: Expr, then: () => void, otherwise?: () => void): void {
    if (condition.constant !== undefined) {
      if (condition.constant) then();
      else otherwise?.();
      return;
    }
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

  /** ZF, PF, CF of two floats' bits; OF, SF, AF clear. */
  protected flagsFloat(a: Expr, b: Expr): void {
    this.f.set(this.#fa, w.extendU(a));
    this.f.set(this.#fb, w.extendU(b));
    this.flags = kindOf(OPERATION.float, a.type === 'i64' ? 8 : 4);
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

  override flagsStep(size: number, _from: Expr, result: Expr, by: 1 | -1): void {
    this.#change(by === 1 ? PARTIAL.inc : PARTIAL.dec, size, result, ROTATES);
  }

  override flagsRotate(size: number, result: Expr, left: boolean): void {
    this.#change(left ? PARTIAL.rol : PARTIAL.ror, size, result, STEPS);
  }

  /** @param others the kinds that this one doesn't wholly undo: they are settled first */
  #change(operation: number, size: number, result: Expr, others: number): void {
    if (typeof this.flags === 'number' && this.flags & others) this.settle();
    const { flags } = this;
    if (flags === 'unknown') {
      const mixed = w.and(w.localGet(this.#fk, 'i32'), w.i32c(others));
      this.f.if(mixed, () => this.#settleByCore(), undefined, false);
    }
    this.#usesX = true;
    this.f.set(this.#fx, w.extendU(result));
    const base = flags === 'settled' ? 0 : flags === 'unknown' ? UNKNOWN : flags & 0xff;
    this.flags = base | (operation << 8) | (Math.log2(size) << 12);
  }

  /** Works the later operation in, once the others are settled. */
  #settlePartial(partial: number): void {
    const size = 1 << (partial >> 4);
    const result = this.let(this.#operand(this.#fx, size));
    if (partial & (PARTIAL.rol | PARTIAL.ror)) {
      super.flagsRotate(size, result, (partial & PARTIAL.rol) !== 0);
      return;
    }
    const by = partial & PARTIAL.inc ? 1 : -1;
    const from = this.let(this.zeroExtend(w.sub(result, w.intc(result.type, by)), size));
    super.flagsStep(size, from, result, by);
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
    } else if (flags >> 8) {
      if ((flags & 0xff) === UNKNOWN) {
        this.publishFlags();
        this.#settleByCore();
      } else {
        this.flags = flags & 0xff || 'settled';
        this.settle();
        this.#settlePartial(flags >> 8);
      }
    } else {
      const size = flags >> 4;
      if ((flags & 15) === OPERATION.float) {
        this.#settleFloat(size);
        this.flags = 'settled';
        return;
      }
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

  #settleFloat(size: number): void {
    const native = size === 8 ? f64 : f32;
    const [a, b] = [this.#fa, this.#fb].map((l) => this.let(native.fromBits(this.#operand(l, size))));
    const less = this.let(native.lt(a, b));
    const unordered = this.let(w.eqz(w.or(less, native.ge(a, b))));
    this.flagsZpc(w.or(unordered, native.eq(a, b)), unordered, w.or(unordered, less));
  }

  /** Runs what core does to flags in memory. */
  protected withFlags<T>(body: () => T): T {
    this.settle();
    this.#storeSettled();
    const result = body();
    this.loadFlags();
    this.flags = 'settled';
    return result;
  }

  #storeSettled(): void {
    this.f.do(w.store('i64', w.i32c(0), w.localGet(this.#fa, 'i64'), L.FLAG_RES));
    this.f.do(w.store('i64_32', w.i32c(0), w.localGet(this.#fb, 'i64'), L.FLAG_AUX));
  }

  #settleByCore(): void {
    this.f.later(() => this.#storeX());
    const args = [w.localGet(this.#fk, 'i32'), ...[this.#fa, this.#fb, this.#fr].map((l) => w.localGet(l, 'i64'))];
    this.f.do(this.invoke('settleFlags', undefined, args));
    this.f.set(this.#fa, w.load('i64', w.i32c(0), L.FLAG_RES));
    this.f.set(this.#fb, w.load('i64_32u', w.i32c(0), L.FLAG_AUX));
    this.f.set(this.#fk, w.i32c(0));
  }

  #storeX(): void {
    if (this.#usesX) this.f.do(w.store('i64', w.i32c(0), w.localGet(this.#fx, 'i64'), L.LAZY_X));
  }

  /** Makes FK tell at run time what is known now: before every way to another block or out. */
  publishFlags(): void {
    const { flags } = this;
    if (flags === 'unknown') return;
    if (flags === 'settled') this.f.set(this.#fk, w.i32c(0));
    else if ((flags & 0xff) !== UNKNOWN) this.f.set(this.#fk, w.i32c(flags));
    else {
      const base = w.and(w.localGet(this.#fk, 'i32'), w.i32c(0xff));
      this.f.set(this.#fk, w.or(base, w.i32c(flags & ~0xff)));
    }
  }

  /** From the state in memory, where they are worked out. */
  loadFlags(): void {
    this.f.set(this.#fa, w.load('i64', w.i32c(0), L.FLAG_RES));
    this.f.set(this.#fb, w.load('i64_32u', w.i32c(0), L.FLAG_AUX));
    this.f.set(this.#fk, w.i32c(0));
  }

  storeFlags(): void {
    this.f.if(
      w.localGet(this.#fk, 'i32'),
      () => this.#settleByCore(),
      () => this.#storeSettled(),
    );
  }

  /** As the region before has left them. */
  takeOverFlags(): void {
    this.f.set(this.#fk, w.load('i32', w.i32c(0), L.LAZY_KIND));
    this.f.set(this.#fa, w.load('i64', w.i32c(0), L.LAZY_A));
    this.f.set(this.#fb, w.load('i64', w.i32c(0), L.LAZY_B));
    this.f.set(this.#fr, w.load('i64', w.i32c(0), L.LAZY_R));
    // Where the region has nothing to do with it, it stays in memory for the next.
    if (this.#usesX) this.f.set(this.#fx, w.load('i64', w.i32c(0), L.LAZY_X));
  }

  handOverFlags(): void {
    this.f.do(w.store('i32', w.i32c(0), w.localGet(this.#fk, 'i32'), L.LAZY_KIND));
    this.f.do(w.store('i64', w.i32c(0), w.localGet(this.#fa, 'i64'), L.LAZY_A));
    this.f.do(w.store('i64', w.i32c(0), w.localGet(this.#fb, 'i64'), L.LAZY_B));
    this.f.do(w.store('i64', w.i32c(0), w.localGet(this.#fr, 'i64'), L.LAZY_R));
    this.#storeX();
  }

  override condition(code: number): Expr {
    return this.#direct(code) ?? super.condition(code);
  }

  /** Conditions straight from the operands of the last operation. */
  #direct(code: number): Expr | undefined {
    const { flags } = this;
    if (typeof flags !== 'number') return undefined;
    if (flags >> 8) return this.#afterPartial(code, flags);
    const size = flags >> 4;
    const operation = flags & 15;
    const value = (local: number) => this.#operand(local, size);
    const signed = (local: number) => this.signExtend(value(local), size);
    const zero = w.intc(size === 8 ? 'i64' : 'i32', 0);
    const result = () => this.zeroExtend(value(this.#fr), size);
    const not = (e: Expr | undefined) => (e && code & 1 ? w.eqz(e) : e);
    const which = code >> 1;
    if (operation === OPERATION.float) return not(this.#float(which, size));
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

  #afterPartial(code: number, flags: number): Expr | undefined {
    const partial = flags >> 8;
    const size = 1 << (partial >> 4);
    const which = code >> 1;
    const not = (e: Expr) => (code & 1 ? w.eqz(e) : e);
    const result = this.#operand(this.#fx, size);
    const constant = (value: number) => w.intc(result.type, value);
    if (partial & (PARTIAL.rol | PARTIAL.ror)) {
      const at = partial & PARTIAL.rol ? 0 : size * 8 - 1;
      if (which === 1) return not(w.and(w.wrap(w.shrU(result, constant(at))), w.i32c(1)));
      return which === 2 || which === 4 ? this.#before(code, flags) : undefined;
    }
    const by = partial & PARTIAL.inc ? 1 : -1;
    const from = () => this.signExtend(w.sub(result, constant(by)), size);
    switch (which) {
      case 1:
        return this.#before(code, flags);
      case 2:
        return not(w.eqz(this.zeroExtend(result, size)));
      case 4:
        return not(w.ltS(this.signExtend(result, size), constant(0)));
      case 6: // the sum without bounds, compared with 0
        return not(w.ltS(from(), constant(-by)));
      case 7:
        return not(w.leS(from(), constant(-by)));
      default:
        return undefined;
    }
  }

  /** A condition on flags that the later operation has left alone. */
  #before(code: number, flags: number): Expr | undefined {
    const base = flags & 0xff;
    if (base === 0 || base === UNKNOWN) return undefined;
    this.flags = base;
    const condition = this.#direct(code);
    this.flags = flags;
    return condition;
  }

  /** Conditions of a comparison of floats: whatever is not ordered counts as below and equal. */
  #float(which: number, size: number): Expr | undefined {
    const native = size === 8 ? f64 : f32;
    const [a, b] = [this.#fa, this.#fb].map((l) => native.fromBits(this.#operand(l, size)));
    switch (which) {
      case 0:
      case 4:
      case 6: // OF, SF, and L, which is SF != OF
        return w.i32c(0);
      case 1:
        return w.eqz(native.ge(a, b));
      case 2:
      case 7: // LE is ZF
        return w.eqz(w.or(native.lt(a, b), native.lt(b, a)));
      case 3:
        return w.eqz(native.lt(b, a));
      default:
        return w.eqz(w.or(native.lt(a, b), native.ge(a, b)));
    }
  }
}
