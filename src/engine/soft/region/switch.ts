/** Where an indirect jump goes that has been seen to go to some blocks of the region: comparisons, or a table. */
import type { FunctionBuilder, Label } from '../wasm/function.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';

export interface SwitchCase {
  /** Offset in its page, by which the table tells it. */
  readonly offset: number;
  readonly address: () => Expr;
  /** Goes there, and does not come back. */
  readonly go: () => void;
}

/** Cases up to which they are compared one by one. */
const FEW = 3;

/** @param otherwise where `rip` is none of the cases' addresses; does not come back either; called several times */
export function emitSwitch(f: FunctionBuilder, rip: Expr, cases: readonly SwitchCase[], otherwise: () => void): void {
  const hash = cases.length > FEW ? perfectHash(cases.map((c) => c.offset)) : undefined;
  if (!hash) {
    for (const { address, go } of cases) f.if(w.eq(rip, address()), go);
    otherwise();
    return;
  }
  const slots: (number | undefined)[] = Array.from({ length: hash.mask + 1 }, () => undefined);
  for (const [i, { offset }] of cases.entries()) slots[(offset >> hash.shift) & hash.mask] = i;
  const value = w.and(w.shrU(w.wrap(rip), w.i32c(hash.shift)), w.i32c(hash.mask));
  const labels: Label[] = [];
  const nest = (i: number): void => {
    if (i < 0) {
      f.block((miss) => {
        f.brTable(
          value,
          slots.map((s) => (s === undefined ? miss : labels[s])),
          miss,
        );
      });
      otherwise();
      return;
    }
    f.block((label) => {
      labels[i] = label;
      nest(i - 1);
    });
    f.if(w.ne(rip, cases[i].address()), otherwise);
    cases[i].go();
  };
  nest(cases.length - 1);
}

/** A shift and a mask that tell the numbers apart; undefined where a table of 256 does not. */
function perfectHash(numbers: readonly number[]): { readonly shift: number; readonly mask: number } | undefined {
  for (let bits = Math.ceil(Math.log2(numbers.length)); bits <= 8; bits++) {
    const mask = (1 << bits) - 1;
    for (let shift = 0; shift + bits <= 12; shift++)
      if (new Set(numbers.map((n) => (n >> shift) & mask)).size === numbers.length) return { shift, mask };
  }
  return undefined;
}
