// The jump cache: RIP and MODE to block header, looked at by the interpreter at every jump that isn't chained. It is
// indexed by virtual addresses, so its entries hold only as long as the translations that they were made under. They are
// not taken out for that: an entry carries the generation it was made in, as part of its key, and when translations go
// away, a new generation begins. An entry of an earlier one may still be right (a process that comes back, a page
// that was invalidated beside it), and one look at the TLB tells: see `jcConfirm`.
//
// Ring 0 and the rest have generations of their own, because a MOV to CR3 leaves a kernel's global pages alone.
//
// Each RIP has two places, its slot and another one. The interpreter looks at the first; what is found in the second
// changes places with it, so two jumps that share a slot don't throw each other out.
import {
  BLK_BYTES,
  BLK_GPA,
  BLK_MODE,
  BLK_PAGE2,
  BLK_START,
  JC_BASE,
  JC_ENTRIES,
  JC_KEY,
  JC_KEY_SHIFT,
  JC_SPREAD,
  MODE,
  MODE_CPL0,
  RAM_BASE,
} from '../layout';
import { JC_PAGES_REST, JC_PAGES_RING0 } from './private';
import { forgetFound } from './region-entry';

// An entry (layout.ts): +0 i64 RIP, +8 i32 block, +12 i32 key.
const BLOCK = 8;
const KEY = 12;
const ENTRY_SIZE = 16;
/** From an entry to the other place of the same RIP: far off, for beside it are its neighbours' in the code. */
const OTHER = (JC_ENTRIES / 2) * ENTRY_SIZE;
/** The key of nothing: no generation gets so far. */
const NOBODY = -1;
const LAST_GENERATION: i32 = (1 << (31 - JC_KEY_SHIFT)) - 2;
const MODE_BITS: i32 = (1 << JC_KEY_SHIFT) - 1;

let ring0: i32 = 1;
let rest: i32 = 1;
/** Whether ring 0 has entries of this generation that aren't global, which a MOV to CR3 ends. */
let ring0Local: bool = false;

/** By JavaScript, and when generations run out: no entry is left, nor a block's address. */
export function initJumpCache(): void {
  for (let e: usize = JC_BASE; e < <usize>(JC_BASE + JC_ENTRIES * ENTRY_SIZE); e += ENTRY_SIZE) {
    store<i32>(e, 0, BLOCK);
    store<i32>(e, NOBODY, KEY);
  }
  memory.fill(JC_PAGES_RING0, 0, 0x4000);
  memory.fill(JC_PAGES_REST, 0, 0x4000);
  ring0 = 1;
  rest = 1;
  ring0Local = false;
  forgetFound();
  jcSetKey();
}

function generationOf(mode: i32): i32 {
  return mode & MODE_CPL0 ? ring0 : rest;
}

/** MODE or a generation has changed: says which entries count now. */
export function jcSetKey(): void {
  const mode = load<i32>(MODE);
  store<i32>(JC_KEY, (generationOf(mode) << JC_KEY_SHIFT) | mode);
}

function slotOf(rip: i64): usize {
  const r = <u32>rip;
  return JC_BASE + (((r * JC_SPREAD) ^ (r >> 10)) & ((JC_ENTRIES - 1) * ENTRY_SIZE));
}

/** Where the stamp of a page is: the generation in which an entry of it was last made or confirmed. */
function stampOf(lin: i64, mode: i32): usize {
  const hash = <i32>((<u64>lin >> 12) ^ (<u64>lin >> 24)) & 0xfff;
  return (mode & MODE_CPL0 ? JC_PAGES_RING0 : JC_PAGES_REST) + (hash << 2);
}

function stamp(lin: i64, mode: i32, global: bool): void {
  store<i32>(stampOf(lin, mode), generationOf(mode));
  if (mode & MODE_CPL0 && !global) ring0Local = true;
}

/** A translation of code counts that isn't an entry's (region-entry.ts). */
export function jcStamp(lin: i64, global: bool): void {
  stamp(lin, load<i32>(MODE), global);
}

function exchange(a: usize, b: usize): void {
  const first = load<i64>(a);
  const second = load<i64>(a, 8);
  store<i64>(a, load<i64>(b));
  store<i64>(a, load<i64>(b, 8), 8);
  store<i64>(b, first);
  store<i64>(b, second, 8);
}

/** The interpreter has missed in the slot of RIP: the block, where the other place has it; else 0. */
export function jcSecond(rip: i64): u32 {
  const e = slotOf(rip);
  const other = e ^ OTHER;
  if (load<i64>(other) != rip || load<i32>(other, KEY) != load<i32>(JC_KEY)) return 0;
  exchange(e, other);
  return load<u32>(e, BLOCK);
}

/**
 * The block of an entry of an earlier generation that is still right: its bytes lie at `host`, where RIP (at linear
 * address `lin`) leads now, and at most `room` of them are left before CS ends. Else 0.
 */
export function jcConfirm(rip: i64, lin: i64, host: u32, room: i64, global: bool): u32 {
  const mode = load<i32>(MODE);
  let e = slotOf(rip);
  if (load<i64>(e) != rip || (load<i32>(e, KEY) & MODE_BITS) != mode) {
    e ^= OTHER;
    if (load<i64>(e) != rip || (load<i32>(e, KEY) & MODE_BITS) != mode) return 0;
  }
  const block = load<u32>(e, BLOCK);
  // A block that has been dropped has no mode any more; one of two pages depends on a second translation.
  if (
    load<i32>(block, BLK_MODE) != mode ||
    load<u32>(block, BLK_GPA) + load<u16>(block, BLK_START) + RAM_BASE != host ||
    load<u32>(block, BLK_PAGE2) ||
    <i64>load<u16>(block, BLK_BYTES) > room
  )
    return 0;
  store<i32>(e, load<i32>(JC_KEY), KEY);
  stamp(lin, mode, global);
  return block;
}

/** `lin` is the linear address that RIP stands for; `global`: all of the block's pages are global. */
export function jcInsert(rip: i64, lin: i64, block: usize, global: bool): void {
  const e = slotOf(rip);
  const key = load<i32>(e, KEY);
  // Who is here and still counts gets the other place.
  if (key >> JC_KEY_SHIFT == generationOf(key)) exchange(e, e ^ OTHER);
  store<i64>(e, rip);
  store<u32>(e, <u32>block, BLOCK);
  store<i32>(e, load<i32>(JC_KEY), KEY);
  const mode = load<i32>(MODE);
  stamp(lin, mode, global);
  if (load<i32>(block, BLK_PAGE2)) stamp(lin + 0x1000, mode, global);
}

/** Takes the entries of a RIP out. A block that has been dropped is found so: its first record says that it is stale. */
export function jcRemove(rip: i64): void {
  const e = slotOf(rip);
  if (load<i64>(e) == rip) store<i32>(e, NOBODY, KEY);
  const other = e ^ OTHER;
  if (load<i64>(other) == rip) store<i32>(other, NOBODY, KEY);
}

/** Translations have gone: all, or all but the global ones. */
export function jcFlush(all: bool): void {
  if (rest == LAST_GENERATION || ring0 == LAST_GENERATION) {
    initJumpCache();
    return;
  }
  rest++;
  if (all || ring0Local) {
    ring0++;
    ring0Local = false;
  }
  jcSetKey();
}

/**
 * The translation of one page has gone. Blocks in it, and blocks of the page before that run into it, count no more. (RIP
 * may differ from the linear address by CS.base, so they can't be looked up.)
 */
export function jcFlushPage(lin: i64): void {
  if (load<i32>(stampOf(lin, 0)) == rest || load<i32>(stampOf(lin, MODE_CPL0)) == ring0) jcFlush(true);
}
