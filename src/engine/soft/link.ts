/**
 * From one region straight into another: what `run` would do at a jump (interpreter.ts), for the case that the target is
 * known and a region is entered there. Functions of the interpreter's module, for that one has the table of regions: a table
 * that each region imported would cost every region a copy, and keep all of them alive.
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

/**
 * RIP to go on at; header of the block that jumps, where its target is only known now (else 0); what is left of the slice.
 */
export const LINK: Signature = { params: ['i64', 'i32', 'i32'], result: 'i32' };

/** Linear address of the block's page; the block's header; what is left of the slice; the record, and FAULTED. */
export const LEAVE: Signature = { params: ['i64', 'i32', 'i32', 'i32'], result: 'i32' };
/** Bit of a record's address: the pending fault is to be delivered. */
const FAULTED = 1;

const PAGE = w.i64c(-4096);

function parameters() {
  return { rip: w.localGet(0, 'i64', true), from: w.localGet(1, 'i32', true), count: w.localGet(2, 'i32', true) };
}

/**
 * The function that a region calls in its own place once it has written back all state but RIP and COUNT: by the link cache.
 * It calls nothing that comes back: whatever does is left to `searchFunction`.
 * @param table number of the table of regions
 * @param type index of the regions' function type
 * @param search index of `searchFunction`
 */
export function linkFunction(table: number, type: number, search: number): FunctionBuilder {
  const f = new FunctionBuilder(LINK);
  const { rip, from, count } = parameters();
  f.scope(() => {
    const low = w.wrap(rip);
    const index = w.and(w.xor(low, w.shrU(low, w.i32c(L.LINK_HASH_SHIFT))), w.i32c(L.LINK_ENTRIES - 1));
    const at = f.let(w.shl(index, w.i32c(Math.log2(L.LINK_SIZE))));
    const field = (offset: number) => w.load('i32', at, L.LINK_CACHE + offset);
    const isRip = w.eq(w.load('i64', at, L.LINK_CACHE), rip);
    const counts = w.eq(field(L.LINK_KEY), w.load('i32', w.i32c(0), L.JC_KEY));
    const isSampled = w.eqz(w.and(count, w.i32c(L.LINK_SAMPLE - 1)));
    const goOn = w.and(w.and(isRip, counts), w.and(w.gtS(count, w.i32c(0)), w.eqz(isSampled)));
    f.if(goOn, () => {
      const { slot, entry } = regionOf(f.let(field(L.LINK_REGION)));
      f.if(from, () => noteJump(f, from, rip));
      f.returnCallIndirect(table, type, slot, [entry, w.and(rip, PAGE), count, field(L.LINK_MASK)]);
    });
  });
  f.returnCall(search, [rip, from, count]);
  return f;
}

/**
 * What the link cache does not know, and now and then what it does: by the jump cache. Counts how often regions are entered.
 * @param settle index of core's settleState
 * @param enter index of core's enterRegion
 */
export function searchFunction(table: number, type: number, settle: number, enter: number): FunctionBuilder {
  const f = new FunctionBuilder(LINK);
  const { rip, from, count } = parameters();
  const put = (value: Expr, address: number) => f.do(w.store(value.type as 'i32' | 'i64', w.i32c(0), value, address));
  f.scope(() => {
    const { hit, block } = jumpCache(f, rip);
    f.if(w.and(hit, w.gtS(count, w.i32c(0))), () => {
      const to = f.let(block);
      const region = f.let(w.load('i32', to, L.BLK_REGION));
      f.if(region, () => {
        const heat = f.let(w.add(w.load('i32', to, L.BLK_HEAT), w.i32c(L.LINK_SAMPLE)));
        f.do(w.store('i32', to, heat, L.BLK_HEAT));
        // Now and then it is the interpreter's turn, which says that the region is hot.
        f.if(w.geU(w.and(heat, w.i32c(L.REGION_HOT_EVERY - 1)), w.i32c(L.LINK_SAMPLE)), () => {
          f.if(from, () => noteJump(f, from, rip));
          put(w.sub(rip, w.load('i64_16u', to, L.BLK_START)), L.REGS + L.R_PAGE);
          put(w.add(w.load('i64', w.i32c(0), L.STAT_REGIONS), w.i64c(L.LINK_SAMPLE)), L.STAT_REGIONS);
          const mask = f.let(w.call(enter, 'i32', [to]));
          const { slot, entry } = regionOf(region);
          f.returnCallIndirect(table, type, slot, [entry, w.load('i64', w.i32c(0), L.REGS + L.R_PAGE), count, mask]);
        });
      });
    });
  });
  f.do(w.call(settle, undefined, []));
  put(count, L.COUNT);
  put(from, L.CUR_BLOCK);
  put(rip, L.RIP);
  f.return(w.i32c(L.JUMP));
  return f;
}

/**
 * What a region calls in its own place to be left in mid-block, once it has written back the registers: here, for a call that
 * comes back would cost every region the room for keeping things over it.
 * @param settle index of core's settleState
 */
export function leaveFunction(settle: number): FunctionBuilder {
  const f = new FunctionBuilder(LEAVE);
  const put = (value: Expr, address: number) => f.do(w.store(value.type as 'i32' | 'i64', w.i32c(0), value, address));
  const record = w.localGet(3, 'i32', true);
  f.do(w.call(settle, undefined, []));
  put(w.localGet(0, 'i64', true), L.REGS + L.R_PAGE);
  put(w.localGet(1, 'i32', true), L.CUR_BLOCK);
  put(w.localGet(2, 'i32', true), L.COUNT);
  put(w.and(record, w.i32c(~FAULTED)), L.CUR_REC);
  f.return(w.select(w.and(record, w.i32c(FAULTED)), w.i32c(L.FAULT), w.i32c(L.RESUME)));
  return f;
}
