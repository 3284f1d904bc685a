// The jump cache: RIP and MODE to block header, looked at by the interpreter at every jump that isn't chained. It is
// indexed by virtual addresses, so it is cleaned whenever an execution translation goes away.
import { BLK_FLAGS, BLK_PAGE2, JC_BASE, JC_ENTRIES, MODE } from '../layout';
import { JC_FILLS_GLOBAL, JC_FILLS_NONGLOBAL, JC_FLAGS, JC_PAGES } from './private';

const JF_LISTED_NONGLOBAL = 1;
const JF_LISTED_GLOBAL = 2;
const JF_GLOBAL = 4;

// BLK_FLAGS: where in the jump cache the block stands, so that taking it out is cheap.
const BF_SLOT = 0x3fff;
const BF_CACHED = 0x4000;
const BF_SEVERAL = 0x8000; // under more than one slot: look everywhere

let nonGlobals: i32 = 0;
let globals: i32 = 0;

/** By a mode that nobody runs in: RIP may be any number. */
function invalidate(e: usize): void {
  store<i32>(e, -1, 12);
}

export function initJumpCache(): void {
  for (let i = 0; i < JC_ENTRIES; i++) invalidate(JC_BASE + (i << 4));
  memory.fill(JC_FLAGS, 0, JC_ENTRIES);
  memory.fill(JC_PAGES, 0, 4096);
  nonGlobals = 0;
  globals = 0;
}

function slotOf(rip: i64): i32 {
  const r = <u32>rip;
  return (r ^ (r >> 12)) & (JC_ENTRIES - 1);
}

function pageHash(lin: i64): i32 {
  return <i32>((<u64>lin >> 12) ^ (<u64>lin >> 24)) & 0xfff;
}

/** `lin` is the linear address that RIP stands for; `global`: all of the block's pages are global. */
export function jcInsert(rip: i64, lin: i64, block: usize, global: bool): void {
  const slot = slotOf(rip);
  const e: usize = JC_BASE + (slot << 4);
  store<i64>(e, rip);
  store<u32>(e, <u32>block, 8);
  store<i32>(e, load<i32>(MODE), 12);
  const bf = <i32>load<u16>(block, BLK_FLAGS);
  if (bf & BF_CACHED && (bf & BF_SLOT) != slot) store<u16>(block, <u16>(bf | BF_SEVERAL), BLK_FLAGS);
  else store<u16>(block, <u16>((bf & BF_SEVERAL) | BF_CACHED | slot), BLK_FLAGS);

  let f = <i32>load<u8>(JC_FLAGS + slot) & ~JF_GLOBAL;
  if (global) {
    f |= JF_GLOBAL;
    if ((f & JF_LISTED_GLOBAL) == 0) {
      f |= JF_LISTED_GLOBAL;
      store<u16>(JC_FILLS_GLOBAL + (globals << 1), <u16>slot);
      globals++;
    }
  } else if ((f & JF_LISTED_NONGLOBAL) == 0) {
    f |= JF_LISTED_NONGLOBAL;
    store<u16>(JC_FILLS_NONGLOBAL + (nonGlobals << 1), <u16>slot);
    nonGlobals++;
  }
  store<u8>(JC_FLAGS + slot, <u8>f);
  store<u8>(JC_PAGES + pageHash(lin), 1);
  if (load<i32>(block, BLK_PAGE2)) store<u8>(JC_PAGES + pageHash(lin + 0x1000), 1);
}

/** Takes one entry out. */
export function jcRemove(rip: i64): void {
  const e: usize = JC_BASE + (slotOf(rip) << 4);
  if (load<i64>(e) == rip) invalidate(e);
}

/** Takes a block out, wherever it stands. */
export function jcRemoveBlock(block: usize): void {
  const bf = <i32>load<u16>(block, BLK_FLAGS);
  if ((bf & BF_CACHED) == 0) return;
  if (bf & BF_SEVERAL) {
    for (let e: usize = JC_BASE; e < <usize>(JC_BASE + (JC_ENTRIES << 4)); e += 16) {
      if (load<u32>(e, 8) == <u32>block) invalidate(e);
    }
  } else {
    const e: usize = JC_BASE + ((bf & BF_SLOT) << 4);
    if (load<u32>(e, 8) == <u32>block) invalidate(e);
  }
  store<u16>(block, 0, BLK_FLAGS);
}

export function jcFlush(all: bool): void {
  for (let i = 0; i < nonGlobals; i++) {
    const slot = <i32>load<u16>(JC_FILLS_NONGLOBAL + (i << 1));
    const f = <i32>load<u8>(JC_FLAGS + slot);
    store<u8>(JC_FLAGS + slot, <u8>(f & ~JF_LISTED_NONGLOBAL));
    if ((f & JF_GLOBAL) == 0) invalidate(JC_BASE + (slot << 4));
  }
  nonGlobals = 0;
  if (!all) return;
  for (let i = 0; i < globals; i++) {
    const slot = <i32>load<u16>(JC_FILLS_GLOBAL + (i << 1));
    store<u8>(JC_FLAGS + slot, 0);
    invalidate(JC_BASE + (slot << 4));
  }
  globals = 0;
  memory.fill(JC_PAGES, 0, 4096);
}

/**
 * The translation of one page has gone: takes out blocks in it and blocks of the page before that run into it. RIP may
 * differ from the linear address by CS.base, and then finding them would mean looking everywhere: so do that.
 */
export function jcFlushPage(lin: i64): void {
  if (load<u8>(JC_PAGES + pageHash(lin)) == 0) return;
  jcFlush(true);
}
