/**
 * From one region straight into another: what `run` would do at a jump (interpreter.ts), for the case that the jump cache
 * knows the target and a region is entered there. All state has been written back.
 */
import { jumpCache, noteJump } from '../jump.js';
import * as L from '../layout.js';
import type { FunctionBuilder } from '../wasm/function.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';

/** The table of regions is table 0 of a region's module. */
const REGIONS = 0;

/**
 * @param type index of the regions' function type
 * @param from header of the block that jumps
 * @param count what is left of the slice
 */
export function linkRegion(f: FunctionBuilder, type: number, rip: Expr, from: Expr, count: Expr): void {
  const { hit, block } = jumpCache(f, rip);
  f.if(w.and(hit, w.gtS(count, w.i32c(0))), () => {
    const to = f.let(block);
    const slot = f.let(w.load('i32', to, L.BLK_REGION));
    f.if(slot, () => {
      const heat = f.let(w.add(w.load('i32', to, L.BLK_HEAT), w.i32c(1)));
      f.do(w.store('i32', to, heat, L.BLK_HEAT));
      // Now and then it is the interpreter's turn, which says that the region is hot.
      f.if(w.and(heat, w.i32c(L.REGION_HOT_EVERY - 1)), () => {
        noteJump(f, from, rip);
        const put = (value: Expr, address: number) =>
          f.do(w.store(value.type as 'i32' | 'i64', w.i32c(0), value, address));
        put(w.sub(rip, w.load('i64_16u', to, L.BLK_START)), L.REGS + L.R_PAGE);
        put(w.sub(count, w.load('i32_16u', to, L.BLK_COUNT)), L.COUNT);
        put(to, L.CUR_BLOCK);
        put(w.add(w.load('i64', w.i32c(0), L.STAT_REGIONS), w.i64c(1)), L.STAT_REGIONS);
        f.returnCallIndirect(REGIONS, type, slot);
      });
    });
  });
}
