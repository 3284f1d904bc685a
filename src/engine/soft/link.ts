/**
 * From one region straight into another: what `run` would do at a jump (interpreter.ts), for the case that the jump cache
 * knows the target and a region is entered there. A function of the interpreter's module, for that one has the table of
 * regions: a table that each region imported would cost every region a copy, and keep all of them alive.
 */
import { jumpCache, noteJump, regionOf } from './jump.js';
import * as L from './layout.js';
import { FunctionBuilder } from './wasm/function.js';
import type { Signature } from './wasm/module.js';
import type { Expr } from './wasm/ops.js';
import * as w from './wasm/ops.js';

/** What `run` does before it enters a region, whose flags are those of a region before it. */
export function handOverFlags(f: FunctionBuilder): void {
  f.do(w.store('i32', w.i32c(0), w.i32c(0), L.LAZY_KIND));
  f.do(w.store('i64', w.i32c(0), w.load('i64', w.i32c(0), L.FLAG_RES), L.LAZY_A));
  f.do(w.store('i64', w.i32c(0), w.load('i64_32u', w.i32c(0), L.FLAG_AUX), L.LAZY_B));
}

/** RIP to go on at, header of the block that jumps, what is left of the slice. */
export const LINK: Signature = { params: ['i64', 'i32', 'i32'], result: 'i32' };

/**
 * The function that a region calls in its own place once it has written back all state but RIP and COUNT.
 * @param table number of the table of regions
 * @param type index of the regions' function type
 * @param settle index of core's settleFlags
 */
export function linkFunction(table: number, type: number, settle: number): FunctionBuilder {
  const f = new FunctionBuilder(LINK);
  const rip = w.localGet(0, 'i64', true);
  const from = w.localGet(1, 'i32', true);
  const count = w.localGet(2, 'i32', true);
  const put = (value: Expr, address: number) => f.do(w.store(value.type as 'i32' | 'i64', w.i32c(0), value, address));
  f.scope(() => {
    const { hit, block } = jumpCache(f, rip);
    f.if(w.and(hit, w.gtS(count, w.i32c(0))), () => {
      const to = f.let(block);
      const { slot, entry } = regionOf(f, to);
      f.if(slot, () => {
        const heat = f.let(w.add(w.load('i32', to, L.BLK_HEAT), w.i32c(1)));
        f.do(w.store('i32', to, heat, L.BLK_HEAT));
        // Now and then it is the interpreter's turn, which says that the region is hot.
        f.if(w.and(heat, w.i32c(L.REGION_HOT_EVERY - 1)), () => {
          noteJump(f, from, rip);
          put(w.sub(rip, w.load('i64_16u', to, L.BLK_START)), L.REGS + L.R_PAGE);
          put(count, L.COUNT);
          put(to, L.CUR_BLOCK);
          put(w.add(w.load('i64', w.i32c(0), L.STAT_REGIONS), w.i64c(1)), L.STAT_REGIONS);
          f.returnCallIndirect(table, type, slot, [entry]);
        });
      });
    });
  });
  const flag = (address: number) => w.load('i64', w.i32c(0), address);
  const kind = w.load('i32', w.i32c(0), L.LAZY_KIND);
  const operands = [flag(L.LAZY_A), flag(L.LAZY_B), flag(L.LAZY_R)];
  f.if(
    kind,
    () => f.do(w.call(settle, undefined, [kind, ...operands])),
    () => {
      put(flag(L.LAZY_A), L.FLAG_RES);
      put(w.wrap(flag(L.LAZY_B)), L.FLAG_AUX);
    },
  );
  put(count, L.COUNT);
  put(from, L.CUR_BLOCK);
  put(rip, L.RIP);
  f.return(w.i32c(L.JUMP));
  return f;
}
