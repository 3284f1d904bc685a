/**
 * Flags in a region: the operands of whatever set them last, worked out only where somebody reads them. Within a block they
 * are in locals FA, FB (operands, or RES and AUX), FR (result) and FX (that of a later operation which changes some flags
 * only); between blocks and regions in memory (LAZY_*, layout.ts), for locals that live on would have to be carried along
 * every way through the region.
 */
import { MachineEmitter } from '../emit/machine-emitter.js';
import * as L from '../layout.js';
import type { FunctionBuilder } from '../wasm/function.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { f32, f64 } from '../wasm/simd.js';

/**
 * What set the flags: nothing since they were settled in FA (RES) and FB (AUX), an operation, or what LAZY_KIND says at run
 * time. In bits 15:8 of a number, and of LAZY_KIND, may be an operation that has changed some of the flags since (PARTIAL);
 * then bits 7:0 are 0 for settled ones and UNKNOWN for those known at run time.
 */
export type FlagKind = 'settled' | 'unknown' | number;

/** What is known of the flags at compile time. */
export interface FlagState {
  readonly kind: FlagKind;
  /** The operands are in locals; else only in memory. */
  readonly isLocal: boolean;
  /** The same for FX. */
  readonly isXLocal: boolean;
  /** Memory tells all. */
  readonly isPublished: boolean;
}

/** In memory, whatever they are. */
export function flagsInMemory(kind: FlagKind): FlagState {
  return { kind, isLocal: false, isXLocal: false, isPublished: true };
}

/** core/region.ts has the same numbers. With a carry in, the operands alone do not give the conditions. */
const OPERATION = { add: 1, sub: 2, logic: 3, float: 4, adc: 5, sbb: 6 } as const;
/** Rotates change CF and OF, INC and DEC all but CF: bits 3:0, and log2 of the operand size above. FX is the result. */
const PARTIAL = { rol: 1, ror: 2, inc: 4, dec: 8 } as const;
const ROTATES = (PARTIAL.rol | PARTIAL.ror) << 8;
const STEPS = (PARTIAL.inc | PARTIAL.dec) << 8;
const UNKNOWN = 0xff;
const kindOf = (operation: number, size: number) => operation | (size << 4);

export abstract class LazyFlagsEmitter extends MachineEmitter {
  readonly #fa: number;
  readonly #fb: number;
  readonly #fr: number;
  readonly #fx: number;
  flags: FlagState = flagsInMemory('unknown');

  constructor(f: FunctionBuilder) {
    super();
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
    if (changed) this.#now('settled');
  }

  // ---- flags -------------------------------------------------------------------------------------------------------------------

  #now(kind: FlagKind): void {
    this.flags = { kind, isLocal: true, isXLocal: true, isPublished: false };
  }

  #remember(operation: number, size: number, a: Expr, b?: Expr, r?: Expr): void {
    const set = (local: number, value: Expr) => this.f.set(local, w.extendU(value));
    set(this.#fa, a);
    if (b) set(this.#fb, b);
    if (r) set(this.#fr, r);
    this.#now(kindOf(operation, size));
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
    this.#remember(OPERATION.logic, size, result);
  }

  /** ZF, PF, CF of two floats' bits; OF, SF, AF clear. */
  protected flagsFloat(a: Expr, b: Expr): void {
    this.#remember(OPERATION.float, a.type === 'i64' ? 8 : 4, a, b);
  }

  protected override setFlagsRaw(res: Expr, aux: Expr): void {
    const r = this.let(res);
    const x = this.let(aux);
    this.f.set(this.#fa, r);
    this.f.set(this.#fb, w.extendU(x));
    this.#now('settled');
  }

  override setState(address: number, value: Expr): void {
    if (address === L.FLAG_AUX) {
      this.settle();
      this.f.set(this.#fb, w.extendU(value));
      this.#now('settled');
    } else if (address === L.FLAG_RES) {
      this.settle();
      this.f.set(this.#fa, value);
      this.#now('settled');
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

  /** @param others the kinds that this one doesn't wholly undo */
  #change(operation: number, size: number, result: Expr, others: number): void {
    const { kind, isLocal } = this.flags;
    const partial = operation | (Math.log2(size) << 4);
    if (typeof kind === 'number' && kind & others) {
      // A rotate and a step leave nothing of what was before them.
      const before = this.let(this.#x(1 << (kind >> 12)));
      for (const local of [this.#fa, this.#fb]) this.f.set(local, w.i64c(0));
      this.#now('settled');
      this.#settlePartial(kind >> 8, before);
      this.#settlePartial(partial, result);
      return;
    }
    this.f.set(this.#fx, w.extendU(result));
    const base = kind === 'settled' ? 0 : kind === 'unknown' ? UNKNOWN : kind & 0xff;
    this.flags = { kind: base | (partial << 8), isLocal, isXLocal: true, isPublished: false };
  }

  /** Works the later operation in, once the others are settled. */
  #settlePartial(partial: number, result: Expr): void {
    const size = 1 << (partial >> 4);
    if (partial & (PARTIAL.rol | PARTIAL.ror)) {
      super.flagsRotate(size, result, (partial & PARTIAL.rol) !== 0);
      return;
    }
    const by = partial & PARTIAL.inc ? 1 : -1;
    const from = this.let(this.zeroExtend(w.sub(result, w.intc(result.type, by)), size));
    super.flagsStep(size, from, result, by);
  }

  #stored(type: 'i32' | 'i64', address: number): Expr {
    return w.load(type, w.i32c(0), address);
  }

  #operand(isLocal: boolean, local: number, address: number, size: number): Expr {
    const value = isLocal ? w.localGet(local, 'i64') : this.#stored('i64', address);
    return size === 8 ? value : w.wrap(value);
  }

  #a(size: number): Expr {
    return this.#operand(this.flags.isLocal, this.#fa, L.LAZY_A, size);
  }

  #b(size: number): Expr {
    return this.#operand(this.flags.isLocal, this.#fb, L.LAZY_B, size);
  }

  /** Bits above `size` mean nothing. */
  #r(size: number): Expr {
    const { kind, isLocal } = this.flags;
    const operation = (kind as number) & 15;
    if (operation === OPERATION.logic) return this.#a(size);
    if (isLocal || operation === OPERATION.adc || operation === OPERATION.sbb)
      return this.#operand(isLocal, this.#fr, L.LAZY_R, size);
    return operation === OPERATION.add ? w.add(this.#a(size), this.#b(size)) : w.sub(this.#a(size), this.#b(size));
  }

  #x(size: number): Expr {
    return this.#operand(this.flags.isXLocal, this.#fx, L.LAZY_X, size);
  }

  /** Brings the flags into RES and AUX (locals FA and FB). */
  settle(): void {
    const { kind, isLocal } = this.flags;
    if (kind === 'settled') {
      if (!isLocal) this.#loadSettled();
    } else if (kind === 'unknown') {
      this.f.if(this.#stored('i32', L.LAZY_KIND), () => this.f.do(this.invoke('settleLazy', undefined, [])));
      this.#loadSettled();
    } else if (kind >> 8) {
      if ((kind & 0xff) === UNKNOWN) {
        this.publishFlags();
        this.f.do(this.invoke('settleLazy', undefined, []));
        this.#loadSettled();
      } else {
        const partial = kind >> 8;
        const result = this.let(this.#x(1 << (partial >> 4)));
        this.flags = { ...this.flags, kind: kind & 0xff || 'settled' };
        this.settle();
        this.#settlePartial(partial, result);
      }
    } else this.#settleWhole(kind);
  }

  #settleWhole(kind: number): void {
    const size = kind >> 4;
    if ((kind & 15) === OPERATION.float) {
      this.#settleFloat(size);
      return;
    }
    const r = this.let(this.#r(size));
    if ((kind & 15) === OPERATION.logic) super.flagsLogic(size, r);
    else {
      const a = this.let(this.#a(size));
      const b = this.let(this.#b(size));
      if ((kind & 3) === OPERATION.add) super.flagsAdd(size, a, b, r);
      else super.flagsSub(size, a, b, r);
    }
  }

  /** From LAZY_A and LAZY_B, where they are settled. */
  #loadSettled(): void {
    this.f.set(this.#fa, this.#stored('i64', L.LAZY_A));
    this.f.set(this.#fb, this.#stored('i64', L.LAZY_B));
    this.flags = { kind: 'settled', isLocal: true, isXLocal: true, isPublished: true };
  }

  #settleFloat(size: number): void {
    const native = size === 8 ? f64 : f32;
    const [a, b] = [this.#a(size), this.#b(size)].map((bits) => this.let(native.fromBits(bits)));
    const less = this.let(native.lt(a, b));
    const unordered = this.let(w.eqz(w.or(less, native.ge(a, b))));
    this.flagsZpc(w.or(unordered, native.eq(a, b)), unordered, w.or(unordered, less));
  }

  /** Runs what core does to flags in memory. */
  protected withFlags<T>(body: () => T): T {
    this.storeFlags();
    const result = body();
    this.loadFlags();
    return result;
  }

  /** Makes memory tell what is known now: before every way to another block or out. */
  publishFlags(): void {
    const { kind, isLocal, isXLocal, isPublished } = this.flags;
    if (isPublished || kind === 'unknown') return;
    const put = (local: number, address: number) =>
      this.f.do(w.store('i64', w.i32c(0), w.localGet(local, 'i64'), address));
    const number = kind === 'settled' ? 0 : kind;
    const base = number & 0xff;
    const operation = base & 15;
    if (base !== UNKNOWN) this.f.do(w.store('i32', w.i32c(0), w.i32c(number), L.LAZY_KIND));
    else {
      const others = number & ROTATES ? STEPS : ROTATES;
      const isMixed = w.and(this.#stored('i32', L.LAZY_KIND), w.i32c(others));
      this.f.if(isMixed, () => this.f.do(this.invoke('settleLazy', undefined, [])), undefined, false);
      const known = w.and(this.#stored('i32', L.LAZY_KIND), w.i32c(0xff));
      this.f.do(w.store('i32', w.i32c(0), w.or(known, w.i32c(number & ~0xff)), L.LAZY_KIND));
    }
    if (isLocal && base !== UNKNOWN) {
      put(this.#fa, L.LAZY_A);
      if (operation !== OPERATION.logic) put(this.#fb, L.LAZY_B);
      if (operation === OPERATION.adc || operation === OPERATION.sbb) put(this.#fr, L.LAZY_R);
    }
    if (number >> 8 && isXLocal) put(this.#fx, L.LAZY_X);
    this.flags = { ...this.flags, isPublished: true };
  }

  /** From the state in memory, where they are worked out. */
  loadFlags(): void {
    this.f.set(this.#fa, w.load('i64', w.i32c(0), L.FLAG_RES));
    this.f.set(this.#fb, w.load('i64_32u', w.i32c(0), L.FLAG_AUX));
    this.#now('settled');
  }

  /** Into the state in memory. */
  storeFlags(): void {
    this.settle();
    this.f.do(w.store('i64', w.i32c(0), w.localGet(this.#fa, 'i64'), L.FLAG_RES));
    this.f.do(w.store('i64_32', w.i32c(0), w.localGet(this.#fb, 'i64'), L.FLAG_AUX));
  }

  override condition(code: number): Expr {
    return this.#direct(code) ?? super.condition(code);
  }

  /** Conditions straight from the operands of the last operation. */
  #direct(code: number): Expr | undefined {
    const { kind } = this.flags;
    if (typeof kind !== 'number') return undefined;
    if (kind >> 8) return this.#afterPartial(code, kind);
    const size = kind >> 4;
    const operation = kind & 15;
    const signed = (value: Expr) => this.signExtend(value, size);
    const zero = w.intc(size === 8 ? 'i64' : 'i32', 0);
    const [a, b, r] = [() => this.#a(size), () => this.#b(size), () => this.#r(size)];
    const result = () => this.zeroExtend(r(), size);
    const not = (e: Expr | undefined) => (e && code & 1 ? w.eqz(e) : e);
    const which = code >> 1;
    if (operation === OPERATION.float) return not(this.#float(which, size));
    if (which === 2) return not(operation === OPERATION.sub ? w.eq(a(), b()) : w.eqz(result()));
    if (which === 4) return not(w.ltS(signed(r()), zero));
    if (operation === OPERATION.sub) {
      if (which === 1) return not(w.ltU(a(), b()));
      if (which === 3) return not(w.leU(a(), b()));
      if (which === 6) return not(w.ltS(signed(a()), signed(b())));
      if (which === 7) return not(w.leS(signed(a()), signed(b())));
    } else if (operation === OPERATION.logic) {
      if (which === 0 || which === 1) return not(w.i32c(0));
      if (which === 3) return not(w.eqz(result()));
      if (which === 6) return not(w.ltS(signed(r()), zero));
      if (which === 7) return not(w.leS(signed(r()), zero));
    } else if (operation === OPERATION.add && which === 1) return not(w.ltU(result(), a()));
    return undefined;
  }

  #afterPartial(code: number, kind: number): Expr | undefined {
    const partial = kind >> 8;
    const size = 1 << (partial >> 4);
    const which = code >> 1;
    const not = (e: Expr) => (code & 1 ? w.eqz(e) : e);
    const result = this.#x(size);
    const constant = (value: number) => w.intc(result.type, value);
    if (partial & (PARTIAL.rol | PARTIAL.ror)) {
      const at = partial & PARTIAL.rol ? 0 : size * 8 - 1;
      if (which === 1) return not(w.and(w.wrap(w.shrU(result, constant(at))), w.i32c(1)));
      return which === 2 || which === 4 ? this.#before(code, kind) : undefined;
    }
    const by = partial & PARTIAL.inc ? 1 : -1;
    const from = () => this.signExtend(w.sub(result, constant(by)), size);
    switch (which) {
      case 1:
        return this.#before(code, kind);
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
  #before(code: number, kind: number): Expr | undefined {
    const base = kind & 0xff;
    if (base === 0 || base === UNKNOWN) return undefined;
    const { flags } = this;
    this.flags = { ...flags, kind: base };
    const condition = this.#direct(code);
    this.flags = flags;
    return condition;
  }

  /** Conditions of a comparison of floats: whatever is not ordered counts as below and equal. */
  #float(which: number, size: number): Expr | undefined {
    const native = size === 8 ? f64 : f32;
    const [a, b] = [this.#a(size), this.#b(size)].map((bits) => native.fromBits(bits));
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
