/**
 * Lets the semantics of an SSE instruction make one 128-bit half of its VEX form: reading an operand gives a value that the
 * form has prepared (a half of a register, of memory, of the second source), and what is written to the destination is kept
 * until both halves are known to raise nothing. Everything else goes to the emitter behind it.
 */
import type { Variant } from '../isa/define.js';
import type { Conditions, RareTest } from '../isa/float-rare.js';
import * as L from '../layout.js';
import type { FunctionBuilder } from '../wasm/function.js';
import type { Expr, ValType } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { f32, f32x4, f64, f64x2, i32x4, i64x2, zero } from '../wasm/simd.js';
import { Emitter, LANES_D, LANES_D0, LANES_S, LANES_S0 } from './emitter.js';
import { type Operand, sizeOf } from './operands.js';

/** What stands for an operand: a vector, or an integer where only a part is there. */
export type Stand = () => Expr;

export class HalfEmitter extends Emitter {
  readonly f: FunctionBuilder;
  readonly variant: Variant;
  readonly param: number;
  /** What was written to the destination. */
  result: Expr | undefined;
  /** Floating point exceptions may have been raised, to be committed with those of the other half. */
  raised = false;
  readonly #inner: Emitter;
  readonly #stands: ReadonlyMap<Operand, Stand>;
  readonly #destination: Operand;
  readonly #hold: boolean;

  /** @param hold the other half's exceptions are to be committed together with this one's */
  constructor(inner: Emitter, stands: ReadonlyMap<Operand, Stand>, destination: Operand, hold: boolean) {
    super();
    this.#inner = inner;
    this.#stands = stands;
    this.#destination = destination;
    this.#hold = hold;
    this.f = inner.f;
    this.variant = inner.variant;
    this.param = inner.param;
  }

  // ---- operands ----------------------------------------------------------------------------------------------------------

  read(operand: Operand): Expr {
    const stand = this.#stands.get(operand);
    if (!stand) return this.#inner.read(operand);
    const value = this.let(stand());
    if (value.type !== 'v128') return value;
    const size = sizeOf(operand);
    if (size === 8) return this.let(i64x2.extract(value, 0));
    return size === 4 ? this.let(i32x4.extract(value, 0)) : value;
  }

  readFloat(operand: Operand): Expr {
    const stand = this.#stands.get(operand);
    if (!stand) return this.#inner.readFloat(operand);
    const value = this.let(stand());
    if (value.type !== 'v128') return value;
    const double = sizeOf(operand) === 8;
    const bits = double ? f64.toBits(this.let(f64x2.extract(value, 0))) : f32.toBits(this.let(f32x4.extract(value, 0)));
    const lanes = double ? LANES_D0 : LANES_S0;
    if (this.#inner.isTame(value, lanes)) this.#inner.tame(bits, lanes);
    return bits;
  }

  override vectorOf(operand: Operand): Expr | undefined {
    const stand = this.#stands.get(operand);
    if (!stand) return this.#inner.vectorOf(operand);
    const value = stand();
    if (value.type === 'v128') return this.let(value);
    return this.let((value.type === 'i64' ? i64x2 : i32x4).replace(zero, 0, value));
  }

  vector(operand: Operand): Expr {
    return this.vectorOf(operand)!;
  }

  setVector(operand: Operand, value: Expr): void {
    if (operand !== this.#destination) throw new Error('a VEX form writes something else than its destination');
    this.result = this.let(value);
  }

  write(operand: Operand, value: Expr): void {
    if (operand !== this.#destination || operand.kind !== 'xmm') this.#inner.write(operand, value);
    else this.result = value.type === 'v128' ? this.let(value) : this.#withLow(this.vector(operand), value);
  }

  /** `rest` with another low lane; what is known of lanes stays. */
  #withLow(rest: Expr, value: Expr): Expr {
    const double = value.type === 'i64';
    const result = this.let((double ? i64x2 : i32x4).replace(rest, 0, value));
    const [all, low] = double ? [LANES_D, LANES_D0] : [LANES_S, LANES_S0];
    for (const [lanes, from] of [
      [low, value],
      [all & ~low, rest],
    ] as const)
      if (this.#inner.isTame(from, lanes)) this.#inner.tame(result, lanes);
    return result;
  }

  /** Only where there is one half: registers are as they stand. */
  lane(operand: Operand, size: number, index: Expr): Expr {
    return this.#inner.lane(operand, size, index);
  }

  // ---- guards and exceptions: the form's, once for both halves -----------------------------------------------------------

  override requireSse(): void {}

  override commitFloat(): void {
    if (this.#hold) this.raised = true;
    else this.#inner.commitFloat();
  }

  override isTame(value: Expr, lanes: number): boolean {
    return this.#inner.isTame(value, lanes);
  }

  override tame(value: Expr, lanes: number): void {
    this.#inner.tame(value, lanes);
  }

  override floatInCore(compute: () => Expr): Expr {
    if (!this.#hold) return compute();
    this.raised = true;
    this.setState(L.FLOAT_HOLD, w.i32c(1));
    const result = compute();
    this.setState(L.FLOAT_HOLD, w.i32c(0));
    return result;
  }

  override floatSlow(compute: () => Expr): Expr | undefined {
    if (!this.#hold) return this.#inner.floatSlow(compute);
    this.raised = true;
    const result = this.#inner.floatSlow(() => {
      this.setState(L.FLOAT_HOLD, w.i32c(1));
      return compute();
    });
    if (result) this.setState(L.FLOAT_HOLD, w.i32c(0));
    return result;
  }

  override rarely(test: RareTest, args: readonly Expr[]): Conditions {
    return this.#inner.rarely(test, args);
  }

  override maskedFloat(): Expr {
    return this.#inner.maskedFloat();
  }
  override plainFloat(): Expr {
    return this.#inner.plainFloat();
  }
  override plainLimit(limit: Expr): Expr {
    return this.#inner.plainLimit(limit);
  }
  override compareFloats(a: Expr, b: Expr, ordinary: readonly (Expr | undefined)[], slow: () => Expr): void {
    this.#inner.compareFloats(a, b, ordinary, slow);
  }

  // ---- the rest ------------------------------------------------------------------------------------------------------------

  override if(condition: Expr, then: () => void, otherwise?: () => void): void {
    this.#inner.if(condition, then, otherwise);
  }
  override flagsZpc(zf: Expr, pf: Expr, cf: Expr): void {
    this.#inner.flagsZpc(zf, pf, cf);
  }
  override flagsZsco(zf: Expr, sf: Expr, cf: Expr, of: Expr): void {
    this.#inner.flagsZsco(zf, sf, cf, of);
  }
  call(name: string, result: ValType, ...args: Expr[]): Expr {
    return this.#inner.call(name, result, ...args);
  }
  pointer(operand: Operand): Expr {
    return this.#inner.pointer(operand);
  }
  upper(operand: Operand): Expr {
    return this.#inner.upper(operand);
  }
  setUpper(operand: Operand, value: Expr): void {
    this.#inner.setUpper(operand, value);
  }
  clearHalf(n: number, which: 'low' | 'upper'): void {
    this.#inner.clearHalf(n, which);
  }
  xmm0(): Expr {
    return this.#inner.xmm0();
  }
  setXmm0(value: Expr): void {
    this.#inner.setXmm0(value);
  }
  update(operand: Operand, compute: (old: Expr) => Expr): void {
    this.#inner.update(operand, compute);
  }
  address(operand: Operand): Expr {
    return this.#inner.address(operand);
  }
  readPointer(linear: Expr, size: number): Expr {
    return this.#inner.readPointer(linear, size);
  }
  writePointer(linear: Expr, size: number): Expr {
    return this.#inner.writePointer(linear, size);
  }
  updatePointer(linear: Expr, size: number): Expr {
    return this.#inner.updatePointer(linear, size);
  }
  protected fault(): void {
    this.#inner.faultIf(w.i32c(1));
  }
  commit(pointer: Expr): void {
    this.#inner.commit(pointer);
  }
  gpr(n: number, size: number): Expr {
    return this.#inner.gpr(n, size);
  }
  setGpr(n: number, size: number, value: Expr): void {
    this.#inner.setGpr(n, size, value);
  }
  state(address: number, type: 'i32' | 'i64' | 'v128'): Expr {
    return this.#inner.state(address, type);
  }
  setState(address: number, value: Expr): void {
    this.#inner.setState(address, value);
  }
  maskAddress(linear: Expr): Expr {
    return this.#inner.maskAddress(linear);
  }
  nextRip(): Expr {
    return this.#inner.nextRip();
  }
  jump(rip: Expr): void {
    this.#inner.jump(rip);
  }
  branch(target: Operand, condition?: Expr): void {
    this.#inner.branch(target, condition);
  }
  raise(vector: number, errorCode?: Expr): void {
    this.#inner.raise(vector, errorCode);
  }
  fallThrough(): void {
    this.#inner.fallThrough();
  }
  unlessRare(rare: Expr, usual: () => void, handler: string, ...args: number[]): void {
    this.#inner.unlessRare(rare, usual, handler, ...args);
  }
  core(name: string, ...args: number[]): void {
    this.#inner.core(name, ...args);
  }
  callVoid(name: string, ...args: Expr[]): void {
    this.#inner.callVoid(name, ...args);
  }
  faultIf(failed: Expr): void {
    this.#inner.faultIf(failed);
  }
  number(operand: Operand): Expr {
    return this.#inner.number(operand);
  }
  addressSize(): Expr {
    return this.#inner.addressSize();
  }
  isRegister(operand: Operand, n: number): Expr {
    return this.#inner.isRegister(operand, n);
  }
  noteX87(data?: Expr): void {
    this.#inner.noteX87(data);
  }
}
