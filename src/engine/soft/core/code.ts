// Decoded blocks: finding them by host address and mode, dropping them when their bytes change.
import {
  BLK_BYTES,
  BLK_COUNT,
  BLK_END,
  BLK_FLAGS,
  BLK_GPA,
  BLK_HASH_NEXT,
  BLK_HEADER,
  BLK_HEAT,
  BLK_MODE,
  BLK_PAGE_NEXT,
  BLK_PAGE2,
  BLK_PART,
  BLK_REGION,
  BLK_START,
  BLOCK_HASH,
  BLOCK_HASH_ENTRIES,
  COUNT,
  CS,
  CUR_BLOCK,
  H_STALE,
  JUMP,
  LEAVE,
  MODE,
  MODE_64,
  PAGE_BLOCKS,
  PAGE_FLAGS,
  PAGE_LINES,
  PF_CODE,
  R_PAGE,
  RAM_BASE,
  REC_HANDLER,
  REC_LEN,
  REC_SIZE,
  REGION_DROPS,
  REGS,
  RIP,
  STAT_BLOCKS,
  STAT_DECODED,
  STAT_LOOKUPS,
} from '../layout';
import { BLOCK_RECORDS, decodeBlock, nextRecord, recordsLeft, resetRecords } from './decode';
import { regionDropped } from './env';
import { events } from './events';
import { x87_resolve } from './float/pointers';
import { deliverHere } from './interrupts';
import { initJumpCache, jcConfirm, jcInsert, jcRemove, jcSecond } from './jumpcache';
import { execGlobal, execHost, peekCode } from './mmu';
import { PAGE2_NODES, PAGE2_NODES_END } from './private';
import { clearFault, giveBack, raise, segBase, segLimit, V_GP, V_UD } from './state';
import { forbidWrites } from './tlb';

/** The second page's list has nodes of its own; in the lists, their addresses have this bit set. */
const NODE: u32 = 1;
const NODE_SIZE: u32 = 8;

let nodes: u32 = PAGE2_NODES;

export function initCode(): void {
  resetRecords();
  nodes = PAGE2_NODES;
  memory.fill(BLOCK_HASH, 0, BLOCK_HASH_ENTRIES * 4);
}

function bucket(offset: u32, mode: i32): usize {
  const h = offset ^ (offset >> 15) ^ (<u32>mode * 0x9e5);
  return BLOCK_HASH + ((h & (BLOCK_HASH_ENTRIES - 1)) << 2);
}

function pageIndex(host: u32): u32 {
  return (host - RAM_BASE) >> 12;
}

// ---- finding -----------------------------------------------------------------------------------------------------------
/**
 * The block at RIP, decoded if need be, put into the jump cache; R_PAGE is set. 0: the fetch has raised a fault, which is
 * delivered already (or EXIT_REASON says why to leave).
 */
export function lookup(): u32 {
  store<i64>(STAT_LOOKUPS, load<i64>(STAT_LOOKUPS) + 1);
  const rip = load<i64>(RIP);
  let block = jcSecond(rip);
  if (block) return block;
  const mode = load<i32>(MODE);
  let lin = rip;
  let room: i64 = 0x1000; // no block is longer than a page
  if ((mode & MODE_64) == 0) {
    if (<u64>rip > <u64>segLimit(CS)) return faultAtFetch(V_GP);
    room = <i64>segLimit(CS) + 1 - rip;
    lin = (segBase(CS) + rip) & 0xffffffff;
  }
  const host = execHost(lin);
  if (host == 0) return deliverAtFetch();
  if (host == 1) return faultAtFetch(V_UD); // FF FF, what the bus gives where nobody answers
  const offset = lin & 0xfff;
  store<i64>(REGS + R_PAGE, rip - offset);
  let global = execGlobal(lin);
  block = jcConfirm(rip, lin, host, room, global);
  if (block) return block;
  block = find(host, mode, lin, room, false);
  if (block == 0) {
    if (recordsLeft() < BLOCK_RECORDS || nodes == PAGE2_NODES_END) flushCode();
    block = decodeBlock(lin, <i32>host, room);
    if (block == 0) return deliverAtFetch();
    link(block, host);
  }
  if (load<i32>(block, BLK_PAGE2)) global = global && execGlobal((lin & ~0xfff) + 0x1000);
  jcInsert(rip, lin, block, global);
  return block;
}

function faultAtFetch(vector: i32): u32 {
  raise(vector, 0);
  return deliverAtFetch();
}

/**
 * Delivers the fault that the fetch has raised. It uses a bit of the slice up and lets events in, or else a handler that
 * can't be fetched would go on for ever.
 */
function deliverAtFetch(): u32 {
  store<i32>(COUNT, load<i32>(COUNT) - 1);
  if (deliverHere() != LEAVE && load<i32>(COUNT) <= 0) events();
  return 0;
}

/** `peeks`: nothing is filled for its second page. */
function find(host: u32, mode: i32, lin: i64, room: i64, peeks: bool): u32 {
  const offset = host - RAM_BASE;
  const page = offset & ~0xfff;
  const start = offset & 0xfff;
  let block = load<u32>(bucket(offset, mode));
  while (block) {
    if (
      load<u32>(block, BLK_GPA) == page &&
      load<u16>(block, BLK_START) == start &&
      load<i32>(block, BLK_MODE) == mode &&
      <i64>load<u16>(block, BLK_BYTES) <= room
    ) {
      const page2 = load<u32>(block, BLK_PAGE2);
      if (page2 == 0) return block;
      // It runs into the next page: only good where that page is still the same memory.
      const second = (lin & ~0xfff) + 0x1000;
      const next = peeks ? peekHost(second) : execHost(second);
      if (next == 0) clearFault();
      else if ((next & ~0xfff) + 1 == page2) return block;
    }
    block = load<u32>(block, BLK_HASH_NEXT);
  }
  return 0;
}

function peekHost(lin: i64): u32 {
  const page = peekCode(lin, false);
  return page ? page + (<u32>lin & 0xfff) : 0;
}

/** The block decoded for a linear address (RIP where CS.base is 0), or 0. Nothing is filled, no bit of a table set. */
export function findBlock(lin: i64): u32 {
  const host = peekHost(lin);
  return host == 0 ? 0 : find(host, load<i32>(MODE), lin, 0x1000, true);
}

// ---- linking -----------------------------------------------------------------------------------------------------------
/** Bits of the 64-byte lines that [from, to) touches; from < to <= 4096. */
function lines(from: i32, to: i32): u64 {
  const first = from >> 6;
  const last = (to - 1) >> 6;
  return (~(0 as u64) << first) & (~(0 as u64) >> (63 - last));
}

/** Bytes of the block in its first page, from BLK_START on. */
function bytesInFirst(block: u32): i32 {
  const bytes = <i32>load<u16>(block, BLK_BYTES);
  return load<u32>(block, BLK_PAGE2) ? min(bytes, 0x1000 - <i32>load<u16>(block, BLK_START)) : bytes;
}

/** Takes a block that the decoder has just written into all lists. */
function link(block: u32, host: u32): void {
  const offset = host - RAM_BASE;
  store<u16>(block, 0, BLK_FLAGS);
  store<i32>(block, 0, BLK_REGION);
  store<i32>(block, 0, BLK_PART);
  store<i32>(block, 0, BLK_HEAT);
  const b = bucket(offset, load<i32>(block, BLK_MODE));
  store<u32>(block, load<u32>(b), BLK_HASH_NEXT);
  store<u32>(b, block);
  const start = <i32>load<u16>(block, BLK_START);
  const here = max(bytesInFirst(block), 1);
  addToPage(host, block, start, start + here, true);
  const page2 = load<u32>(block, BLK_PAGE2);
  if (page2) {
    const node = nodes;
    nodes += NODE_SIZE;
    store<u32>(node, block);
    addToPage(page2 - 1, node | NODE, 0, max(<i32>load<u16>(block, BLK_BYTES) - here, 1), false);
  }
  store<i64>(STAT_BLOCKS, load<i64>(STAT_BLOCKS) + 1);
  store<i64>(STAT_DECODED, load<i64>(STAT_DECODED) + <i64>load<u16>(block, BLK_COUNT));
}

function addToPage(host: u32, item: u32, from: i32, to: i32, first: bool): void {
  const index = pageIndex(host);
  const head = PAGE_BLOCKS + (index << 2);
  if (first) store<u32>(item, load<u32>(head), BLK_PAGE_NEXT);
  else store<u32>(item & ~NODE, load<u32>(head), 4);
  store<u32>(head, item);
  const map = PAGE_LINES + (index << 3);
  store<u64>(map, load<u64>(map) | lines(from, to));
  const flags = load<u8>(PAGE_FLAGS + index);
  if ((flags & PF_CODE) == 0) {
    store<u8>(PAGE_FLAGS + index, flags | PF_CODE);
    forbidWrites(host);
  }
}

function nextItem(item: u32): u32 {
  return item & NODE ? load<u32>(item & ~NODE, 4) : load<u32>(item, BLK_PAGE_NEXT);
}

function setNext(item: u32, next: u32): void {
  if (item & NODE) store<u32>(item & ~NODE, next, 4);
  else store<u32>(item, next, BLK_PAGE_NEXT);
}

function blockOf(item: u32): u32 {
  return item & NODE ? load<u32>(item & ~NODE) : item;
}

function itemFrom(item: u32): i32 {
  return item & NODE ? 0 : <i32>load<u16>(item, BLK_START);
}

function itemTo(item: u32): i32 {
  if ((item & NODE) == 0) return <i32>load<u16>(item, BLK_START) + max(bytesInFirst(item), 1);
  const block = load<u32>(item & ~NODE);
  return max(<i32>load<u16>(block, BLK_BYTES) - bytesInFirst(block), 1);
}

function unlinkFromPage(index: u32, block: u32): void {
  const head = PAGE_BLOCKS + (index << 2);
  let previous: u32 = 0;
  let item = load<u32>(head);
  while (item) {
    const next = nextItem(item);
    if (blockOf(item) == block) {
      if (previous) setNext(previous, next);
      else store<u32>(head, next);
    } else previous = item;
    item = next;
  }
}

// ---- dropping ----------------------------------------------------------------------------------------------------------
/**
 * Bytes [host, host + size) are about to change, or have changed: drops the blocks made of them. The running block stays
 * in memory, with H_STALE in all its records, so that whichever comes next looks up again.
 */
export function invalidateCode(host: u32, size: i32): void {
  while (size > 0) {
    const from = <i32>(host & 0xfff);
    const piece = min(size, 0x1000 - from);
    const index = pageIndex(host);
    if (load<u8>(PAGE_FLAGS + index) & PF_CODE && load<u64>(PAGE_LINES + (index << 3)) & lines(from, from + piece))
      dropRange(index, from, from + piece);
    host += piece;
    size -= piece;
  }
}

function dropRange(index: u32, from: i32, to: i32): void {
  const head = PAGE_BLOCKS + (index << 2);
  let item = load<u32>(head);
  let dropped = false;
  while (item) {
    // `drop` takes nothing but this block's items out, so the successor stays good unless it is this block's other item.
    let next = nextItem(item);
    if (itemFrom(item) < to && itemTo(item) > from) {
      const block = blockOf(item);
      while (next && blockOf(next) == block) next = nextItem(next);
      drop(block);
      dropped = true;
    }
    item = next;
  }
  if (dropped || load<u32>(head) == 0) recount(index);
}

/** Makes the line bitmap and PF_CODE of a page true again. */
function recount(index: u32): void {
  let map: u64 = 0;
  let item = load<u32>(PAGE_BLOCKS + (index << 2));
  while (item) {
    map |= lines(itemFrom(item), itemTo(item));
    item = nextItem(item);
  }
  store<u64>(PAGE_LINES + (index << 3), map);
  if (map == 0) store<u8>(PAGE_FLAGS + index, load<u8>(PAGE_FLAGS + index) & ~PF_CODE);
}

function drop(block: u32): void {
  if (load<i32>(block, BLK_PART)) {
    store<i32>(REGION_DROPS, load<i32>(REGION_DROPS) + 1);
    regionDropped(block);
  }
  const gpa = load<u32>(block, BLK_GPA);
  const b = bucket(gpa | load<u16>(block, BLK_START), load<i32>(block, BLK_MODE));
  let p = load<u32>(b);
  if (p == block) store<u32>(b, load<u32>(block, BLK_HASH_NEXT));
  else {
    while (p) {
      const next = load<u32>(p, BLK_HASH_NEXT);
      if (next == block) {
        store<u32>(p, load<u32>(block, BLK_HASH_NEXT), BLK_HASH_NEXT);
        break;
      }
      p = next;
    }
  }
  unlinkFromPage(gpa >> 12, block);
  const page2 = load<u32>(block, BLK_PAGE2);
  if (page2) unlinkFromPage(pageIndex(page2 - 1), block);
  store<i32>(block, -1, BLK_MODE); // whoever still has its address: the jump cache, stale chains
  const end = load<u32>(block, BLK_END);
  const first = block + BLK_HEADER;
  if (block == load<u32>(CUR_BLOCK)) {
    // All but the last, which is the extension record of the instruction that ends the block (it may be under way).
    let rec = first;
    for (; rec < end - REC_SIZE; rec = <u32>nextRecord(rec)) store<u16>(rec, H_STALE, REC_HANDLER);
    if (rec < end && load<u8>(rec, REC_LEN)) store<u16>(rec, H_STALE, REC_HANDLER); // H_UD at the end: no extension
  } else store<u16>(first, H_STALE, REC_HANDLER);
}

/** Drops everything. Only while no block runs. */
export function flushCode(): void {
  x87_resolve(); // the note names a record
  regionDropped(0);
  store<i32>(REGION_DROPS, load<i32>(REGION_DROPS) + 1);
  for (let b: usize = BLOCK_HASH; b < <usize>(BLOCK_HASH + BLOCK_HASH_ENTRIES * 4); b += 4) {
    let block = load<u32>(b);
    while (block) {
      forgetPage(load<u32>(block, BLK_GPA) >> 12);
      const page2 = load<u32>(block, BLK_PAGE2);
      if (page2) forgetPage(pageIndex(page2 - 1));
      block = load<u32>(block, BLK_HASH_NEXT);
    }
    store<u32>(b, 0);
  }
  resetRecords();
  nodes = PAGE2_NODES;
  store<i32>(CUR_BLOCK, 0);
  initJumpCache();
}

function forgetPage(index: u32): void {
  store<u32>(PAGE_BLOCKS + (index << 2), 0);
  store<u64>(PAGE_LINES + (index << 3), 0);
  store<u8>(PAGE_FLAGS + index, load<u8>(PAGE_FLAGS + index) & ~PF_CODE);
}

/** For devices: RAM at host addresses [host, host + size) has been written by somebody else than the CPU. */
export function notifyWrite(host: u32, size: i32): void {
  invalidateCode(host, size);
}

// ---- walking a block ---------------------------------------------------------------------------------------------------
/** Address (RIP) of the instruction that a record belongs to. */
export function currentRip(rec: u32): i64 {
  const block = load<u32>(CUR_BLOCK);
  let offset = <i64>load<u16>(block, BLK_START);
  let r = block + BLK_HEADER;
  while (r < rec) {
    offset += <i64>load<u8>(r, REC_LEN);
    r = <u32>nextRecord(r);
  }
  const rip = load<i64>(REGS + R_PAGE) + offset;
  return load<i32>(MODE) & MODE_64 ? rip : rip & 0xffffffff;
}

/** Instructions of the running block that have not been completed, the record's own included. */
export function unexecuted(rec: u32): i32 {
  const block = load<u32>(CUR_BLOCK);
  let done = 0;
  let r = block + BLK_HEADER;
  while (r < rec) {
    if (load<u8>(r, REC_LEN)) done++;
    r = <u32>nextRecord(r);
  }
  return <i32>load<u16>(block, BLK_COUNT) - done;
}

/** Stops before the record's instruction: RIP and COUNT are made true. */
export function stopBefore(rec: u32): void {
  store<i64>(RIP, currentRip(rec));
  giveBack(unexecuted(rec));
}

/** H_STALE: looks the instruction up again. */
export function stale(rec: u32): i32 {
  stopBefore(rec);
  jcRemove(load<i64>(RIP));
  return JUMP;
}
