/**
 * The page that each base register was last used with, in locals: its tag and addend, as the TLB has them. An access through
 * it costs a comparison instead of a look into the TLB, which above all is no part of the address's way any more. Holds
 * from a region's entry to its exit, and to the next call of a handler, for only those can change a translation.
 */
import * as L from '../layout.js';
import type { FunctionBuilder } from '../wasm/function.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';

export interface RecentPage {
  /** Whose tag: reads go through a page of TLB_WRITE also, where the register is written through. */
  readonly kind: number;
  /** Locals: the TLB's tag (i64), and what to add for the host address (i32). */
  readonly tag: number;
  readonly addend: number;
  /** Whether an access of `size` bytes, a power of two, lies in the page. What isn't aligned goes the long way. */
  holds(linear: Expr, size: number): Expr;
}

const STACK = 4 * 8;
const STACK_WAY = wayOf(STACK, L.R_ZERO);

/** Names what an address is made of, by the fields of a record. */
export function wayOf(base: number, index: number): string {
  return `${base},${index}`;
}

export class RecentPages {
  readonly #f: FunctionBuilder;
  readonly #chased: ReadonlySet<number>;
  readonly #stored: ReadonlySet<string>;
  readonly #pages = new Map<string, RecentPage>();
  #through: string | undefined;

  /**
   * @param chased registers that the region loads from memory: a pointer that is followed seldom stays in its page
   * @param stored what the region stores through (`wayOf`)
   */
  constructor(f: FunctionBuilder, chased: ReadonlySet<number>, stored: ReadonlySet<string>) {
    this.#f = f;
    this.#chased = chased;
    this.#stored = stored;
  }

  /** The next access goes through these fields of a record. */
  through(base: number, index: number): void {
    const chased = base < L.R_ZERO && base !== STACK && this.#chased.has(base >> 3);
    this.#through = chased ? undefined : wayOf(base, index);
  }

  throughStack(): void {
    this.#through = STACK_WAY;
  }

  /** For the access that was announced; its kind by the TLB's tag. */
  take(tag: number): RecentPage | undefined {
    const through = this.#through;
    this.#through = undefined;
    if (through === undefined) return undefined;
    const kind = through === STACK_WAY || this.#stored.has(through) ? L.TLB_WRITE : tag;
    const key = `${through},${kind}`;
    let page = this.#pages.get(key);
    if (!page) {
      const local = this.#f.local('i64');
      page = {
        kind,
        tag: local,
        addend: this.#f.local('i32'),
        holds: (linear, size) => w.eq(w.and(linear, w.i64c(BigInt(size - 1) - 4096n)), w.localGet(local, 'i64')),
      };
      this.#pages.set(key, page);
    }
    return page;
  }

  /** Once all accesses are known: at entry, and wherever translations may have changed. */
  forgetAll(): void {
    for (const { tag } of this.#pages.values()) this.#f.set(tag, w.i64c(L.TLB_INVALID));
  }
}
