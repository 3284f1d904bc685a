/**
 * What is known of addresses within a block: which differ by a constant only (two fields of a structure, pushes one after
 * the other), and of which a page has been looked up already. An access to the same page then needs one comparison instead
 * of a look at the TLB. Nothing that runs in mid-block may take a mapping away: whatever could (INVLPG, a handler of core)
 * ends the block or makes all of this be forgotten.
 */
import type { FunctionBuilder } from '../wasm/function.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';

/** A value as an unknown one, which the key names, plus a constant. */
interface Place {
  readonly key: string;
  readonly disp: number;
}

export interface KnownPage {
  /** Locals: the offset in its page of the address looked up, and its host address. */
  readonly offset: number;
  readonly host: number;
  readonly disp: number;
  readonly writable: boolean;
}

const PAGE = 4096;
const FAR = 2 ** 31;
const OP = { add32: 0x6a, sub32: 0x6b, wrap: 0xa7, extend: 0xad, add: 0x7c, sub: 0x7d, and: 0x83, shl: 0x86 } as const;

export class KnownPages {
  readonly #f: FunctionBuilder;
  readonly #long: boolean;
  readonly #registers: Place[];
  readonly #values = new WeakMap<Expr, Place>();
  readonly #pages = new Map<string, KnownPage>();
  readonly #locals: number[] = [];
  #taken = 0;
  #names = 0;
  #depth = 0;
  /** Registers written on only one of two ways. */
  readonly #doubtful = new Set<number>();

  constructor(f: FunctionBuilder, long: boolean) {
    this.#f = f;
    this.#long = long;
    this.#registers = Array.from({ length: 16 }, () => this.#fresh());
  }

  #fresh(): Place {
    return { key: `${this.#names++}`, disp: 0 };
  }

  /** At the start of a block: other registers may be alike on another way here. */
  forget(): void {
    for (let n = 0; n < 16; n++) this.#registers[n] = this.#fresh();
    this.#pages.clear();
    this.#taken = 0;
  }

  /** `value` is register n as it is now. */
  isRegister(n: number, value: Expr): Expr {
    this.#values.set(value, this.#registers[n]);
    return value;
  }

  /** `value` is unlike any other. */
  isNew(value: Expr): void {
    this.#values.set(value, this.#fresh());
  }

  /** Register n takes a value. */
  assign(n: number, value: Expr): void {
    if (this.#depth > 0) this.#doubtful.add(n);
    this.#registers[n] = (this.#depth === 0 ? this.#placeOf(value) : undefined) ?? this.#fresh();
  }

  /** `copy` has just been given `value`. */
  copied(copy: Expr, value: Expr): Expr {
    if (copy === value) return copy;
    const place = this.#placeOf(value);
    if (place) this.#values.set(copy, place);
    return copy;
  }

  /** Around what may or may not be run. */
  perhaps<T>(body: () => T): T {
    this.#depth++;
    const result = body();
    if (--this.#depth === 0) {
      for (const n of this.#doubtful) this.#registers[n] = this.#fresh();
      this.#doubtful.clear();
    }
    return result;
  }

  #placeOf(value: Expr): Place | undefined {
    const known = this.#values.get(value);
    if (known) return known;
    const [a, b] = value.args;
    switch (value.op) {
      case OP.add32:
      case OP.sub32:
        return this.#long ? undefined : this.#sum(a, b, value.op === OP.sub32);
      case OP.add:
      case OP.sub:
        return this.#sum(a, b, value.op === OP.sub);
      case OP.wrap:
      case OP.extend:
        return this.#long ? undefined : this.#placeOf(a);
      case OP.and:
        return !this.#long && b.constant === 0xffff_ffffn ? this.#placeOf(a) : undefined;
      case OP.shl: {
        const place = this.#placeOf(a);
        if (!place || b.constant === undefined || b.constant > 3n) return undefined;
        return { key: `(${place.key}<<${b.constant})`, disp: place.disp * 2 ** Number(b.constant) };
      }
      default:
        return undefined;
    }
  }

  #sum(a: Expr, b: Expr, minus: boolean): Place | undefined {
    const x = this.#placeOf(a);
    if (!x) return undefined;
    if (b.constant === undefined) {
      const y = minus ? undefined : this.#placeOf(b);
      return y && { key: `${x.key}+${y.key}`, disp: x.disp + y.disp };
    }
    const by = minus ? -Number(b.constant) : Number(b.constant);
    return Math.abs(by) < FAR && Math.abs(x.disp) < FAR ? { key: x.key, disp: x.disp + by } : undefined;
  }

  // ---- pages -----------------------------------------------------------------------------------------------------------

  /** Host address of `size` bytes if they lie in a page that is known; `otherwise` gives it if not. */
  lookUp(linear: Expr, size: number, write: boolean, otherwise: () => Expr): Expr | undefined {
    const place = this.#placeOf(linear);
    const page = place && this.#pages.get(place.key);
    if (!page || (write && !page.writable)) return undefined;
    const by = w.i32c(place.disp - page.disp);
    if (Math.abs(place.disp - page.disp) >= PAGE) return undefined;
    const f = this.#f;
    const result = f.temp('i32');
    f.set(result, w.add(w.localGet(page.host, 'i32'), by));
    const inside = w.leU(w.add(w.localGet(page.offset, 'i32'), by), w.i32c(PAGE - size));
    f.if(w.eqz(inside), () => f.set(result, otherwise()), undefined, false);
    return w.localGet(result, 'i32', true);
  }

  /** Looks a page up by `probe` and remembers it. */
  remember(linear: Expr, write: boolean, probe: () => Expr): Expr {
    const place = this.#depth === 0 ? this.#placeOf(linear) : undefined;
    if (!place) return probe();
    const offset = this.#local();
    const host = this.#local();
    const f = this.#f;
    f.set(offset, w.and(w.wrap(linear), w.i32c(PAGE - 1)));
    const pointer = probe();
    f.set(host, pointer);
    this.#pages.set(place.key, { offset, host, disp: place.disp, writable: write });
    return pointer;
  }

  #local(): number {
    this.#locals[this.#taken] ??= this.#f.local('i32');
    return this.#locals[this.#taken++];
  }
}
