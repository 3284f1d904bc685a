/**
 * Operands and memory for both emitters: the TLB probe is inlined, a miss goes to core. What differs (where fields and
 * registers are, how a fault leaves) is abstract.
 */
import * as L from '../layout.js';
import type { Expr, ValType } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { f32, f64, zero } from '../wasm/simd.js';
import { Emitter } from './emitter.js';
import { type Operand, sizeOf } from './operands.js';

/** Functions of core, by name; an import is made when first asked for. */
export interface CoreImports {
  index(name: string, params: readonly ValType[], result: ValType | undefined): number;
}

/** Core's functions for accesses that miss the TLB. */
export type Miss = 'memRead' | 'memWrite' | 'memRmw';

export abstract class MachineEmitter extends Emitter {
  protected abstract readonly imports: CoreImports;
  /** The handler's name, for messages. */
  protected abstract readonly key: string;
  /** Address of the current TLB's first entry. */
  protected abstract readonly tlb: Expr;

  protected abstract loadRegister(operand: Operand): Expr;
  protected abstract storeRegister(operand: Operand, value: Expr): void;
  /** Byte offset of an xmm or mmx operand's register, or a raw operand's number. */
  protected abstract field(field: 'a' | 'b' | 'c' | 'd'): Expr;
  protected abstract immediate(size: number, signed: boolean): Expr;
  /** base + (index << scale) + disp, not masked. */
  protected abstract effectiveAddress(): Expr;
  /** Host address for an access, whose tag in the TLB and function of core are named. `linear` must be `let`. */
  protected abstract pointerTo(linear: Expr, size: number, tag: number, miss: Miss): Expr;

  address(operand: Operand): Expr {
    if (operand.kind !== 'mem') throw new Error(`${this.key}: address of ${operand.kind}`);
    return this.let(this.maskAddress(this.effectiveAddress()));
  }

  /** Address of the TLB entry where a linear address would be (layout.ts has the index). */
  tlbEntry(linear: Expr): Expr {
    const low = this.let(w.wrap(linear));
    const entry = Math.log2(L.TLB_ENTRY_SIZE);
    // Two shifts of one value would take a copy of it.
    const folded = w.xor(w.shrU(low, w.i32c(L.TLB_HASH_SHIFT - 12)), low);
    const hash = w.shrU(folded, w.i32c(12 - entry));
    const offset = w.and(hash, w.i32c((L.TLB_ENTRIES - 1) * L.TLB_ENTRY_SIZE));
    return this.let(w.add(offset, this.tlb));
  }

  /** The tag that an access of `size` bytes needs: the last byte's page, so that one that crosses pages hits nothing. */
  protected pageOfLast(linear: Expr, size: number): Expr {
    const last = size > 1 ? w.add(linear, w.i64c(size - 1)) : linear;
    return w.and(last, w.i64c(-4096));
  }

  readPointer(linear: Expr, size: number): Expr {
    return this.pointerTo(this.let(linear), size, L.TLB_READ, 'memRead');
  }

  writePointer(linear: Expr, size: number): Expr {
    return this.pointerTo(this.let(linear), size, L.TLB_WRITE, 'memWrite');
  }

  updatePointer(linear: Expr, size: number): Expr {
    return this.pointerTo(this.let(linear), size, L.TLB_WRITE, 'memRmw');
  }

  read(operand: Operand): Expr {
    switch (operand.kind) {
      case 'gpr':
      case 'fixed':
        return this.let(this.loadRegister(operand));
      case 'mem':
        if (operand.size === 16) return this.let(w.load('v128', this.readPointer(this.address(operand), 16)));
        return this.let(this.loadInt(this.readPointer(this.address(operand), operand.size), operand.size));
      case 'imm':
        return this.let(this.immediate(operand.size, operand.signed));
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
        throw new Error(`${this.key}: cannot read ${operand.kind}`);
    }
  }

  write(operand: Operand, value: Expr): void {
    switch (operand.kind) {
      case 'gpr':
      case 'fixed':
        this.storeRegister(operand, value);
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
        throw new Error(`${this.key}: cannot write ${operand.kind}`);
    }
  }

  update(operand: Operand, compute: (old: Expr) => Expr): void {
    if (operand.kind !== 'mem') {
      this.write(operand, compute(this.read(operand)));
      return;
    }
    const p = this.updatePointer(this.address(operand), operand.size);
    const old = this.let(this.loadInt(p, operand.size));
    this.storeInt(p, compute(old), operand.size);
    this.commit(p);
  }

  pointer(operand: Operand): Expr {
    if (operand.kind === 'xmm') return this.let(w.add(this.field(operand.field), w.i32c(L.XMM)));
    if (operand.kind === 'mmx') return this.let(w.add(this.field(operand.field), w.i32c(L.FPR)));
    if (operand.kind === 'mem') return this.readPointer(this.address(operand), sizeOf(operand));
    throw new Error(`${this.key}: no pointer to ${operand.kind}`);
  }

  vector(operand: Operand): Expr {
    return this.let(w.load('v128', this.pointer(operand)));
  }

  setVector(operand: Operand, value: Expr): void {
    this.f.do(w.store('v128', this.pointer(operand), value));
  }

  upper(operand: Operand): Expr {
    return this.let(w.load('v128', this.pointer(operand), L.YMMH - L.XMM));
  }

  setUpper(operand: Operand, value: Expr): void {
    this.f.do(w.store('v128', this.pointer(operand), value, L.YMMH - L.XMM));
  }

  clearHalf(n: number, which: 'low' | 'upper'): void {
    this.setState((which === 'low' ? L.XMM : L.YMMH) + n * 16, zero);
  }

  xmm0(): Expr {
    return this.let(this.state(L.XMM, 'v128'));
  }

  setXmm0(value: Expr): void {
    this.setState(L.XMM, value);
  }

  lane(operand: Operand, size: number, index: Expr): Expr {
    return this.let(this.loadInt(w.add(this.pointer(operand), w.mul(index, w.i32c(size))), size));
  }

  readFloat(operand: Operand): Expr {
    const size = sizeOf(operand);
    const pointer = operand.kind === 'mem' ? this.readPointer(this.address(operand), size) : this.pointer(operand);
    return size === 8 ? f64.toBits(this.let(w.load('f64', pointer))) : f32.toBits(this.let(w.load('f32', pointer)));
  }

  number(operand: Operand): Expr {
    if (operand.kind !== 'raw') throw new Error(`${this.key}: ${operand.kind} is no number`);
    return this.let(this.field(operand.field));
  }

  state(address: number, type: 'i32' | 'i64' | 'v128'): Expr {
    return w.load(type, w.i32c(0), address);
  }

  setState(address: number, value: Expr): void {
    this.f.do(w.store(value.type as 'i32' | 'i64' | 'v128', w.i32c(0), value, address));
  }

  raise(vector: number, errorCode?: Expr): void {
    this.setState(L.FAULT_VECTOR, w.i32c(vector));
    this.setState(L.FAULT_ERROR, errorCode ?? w.i32c(0));
    this.fault();
  }

  faultIf(failed: Expr): void {
    this.f.if(failed, () => this.fault(), undefined, false);
  }

  /** Calls core's `name`; the result is a value still to be evaluated. */
  protected invoke(name: string, result: ValType | undefined, args: readonly Expr[]): Expr {
    const params = args.map((a) => a.type);
    return w.call(this.imports.index(name, params, result), result, args);
  }
}
