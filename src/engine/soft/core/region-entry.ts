// Where regions are entered: which pages of a region are the memory that it was compiled from, under the present mappings,
// and the link cache, by which one region finds the next (link.ts, layout.ts).
//
// A region spans pages, and asks nothing about them at run time: it is told a mask. The mask holds for as long as the key
// of the jump cache does, for every page in it is stamped there as one whose translation counts. Pages that aren't mapped
// yet, or that nobody has fetched from, are left out of it; the region is left where it would go on in one.
import {
  BLK_REGION,
  BLK_START,
  JC_KEY,
  LINK_CACHE,
  LINK_ENTRIES,
  LINK_HASH_SHIFT,
  LINK_KEY,
  LINK_MASK,
  LINK_REGION,
  LINK_SIZE,
  MODE,
  MODE_64,
  R_PAGE,
  REGION_FOUND,
  REGION_FOUND_KEY,
  REGION_FOUND_MASK,
  REGION_FOUND_SIZE,
  REGION_PAGE_COUNT,
  REGION_PAGE_HOST,
  REGION_PAGE_LIST,
  REGION_PAGE_SIZE,
  REGION_PAGES,
  REGION_PAGES_STRIDE,
  REGION_SLOTS,
  REGS,
} from '../layout';
import { jcStamp } from './jumpcache';
import { peekCode, peekedGlobal } from './mmu';

/** By JavaScript also: a region's slot, or the entry of a block, has changed. */
export function forgetLinks(): void {
  memory.fill(LINK_CACHE, 0, LINK_ENTRIES * LINK_SIZE);
}

/** Keys begin anew. */
export function forgetFound(): void {
  memory.fill(REGION_FOUND, 0, REGION_SLOTS * REGION_FOUND_SIZE);
  forgetLinks();
}

/**
 * A region is about to be entered at a block, which lies at R_PAGE: takes the jump there into the link cache.
 * @returns the mask of its pages
 */
export function enterRegion(block: u32): i32 {
  const region = load<i32>(block, BLK_REGION);
  const slot = region & 0xffff;
  const pages: usize = REGION_PAGES + slot * REGION_PAGES_STRIDE;
  const long = (load<i32>(MODE) & MODE_64) != 0;
  const page = load<i64>(REGS + R_PAGE);
  const own = <i32>load<u8>(pages + (region >>> 16));
  const base = page - load<i64>(pages + own * REGION_PAGE_SIZE, REGION_PAGE_LIST);
  const mask = maskOf(slot, pages, base, long) | (1 << own);
  const rip = page + <i64>load<u16>(block, BLK_START);
  const low = <u32>rip;
  const link: usize = LINK_CACHE + ((low ^ (low >> LINK_HASH_SHIFT)) & (LINK_ENTRIES - 1)) * LINK_SIZE;
  store<i64>(link, long ? rip : rip & 0xffffffff);
  store<i32>(link, load<i32>(JC_KEY), LINK_KEY);
  store<i32>(link, region, LINK_REGION);
  store<i32>(link, mask, LINK_MASK);
  return mask;
}

function maskOf(slot: i32, pages: usize, base: i64, long: bool): i32 {
  const found: usize = REGION_FOUND + slot * REGION_FOUND_SIZE;
  const key = load<i32>(JC_KEY);
  const count = load<i32>(pages, REGION_PAGE_COUNT);
  const all: i32 = (1 << count) - 1;
  const isKnown = load<i64>(found) == base && load<i32>(found, REGION_FOUND_KEY) == key;
  let mask = isKnown ? load<i32>(found, REGION_FOUND_MASK) : 0;
  // What isn't mapped may be by now.
  if (mask == all) return mask;
  for (let n = 0; n < count; n++) {
    if (mask & (1 << n)) continue;
    const at = pages + n * REGION_PAGE_SIZE;
    let lin = base + load<i64>(at, REGION_PAGE_LIST);
    if (!long) lin &= 0xffffffff;
    if (peekCode(lin, true) != load<u32>(at, REGION_PAGE_LIST + REGION_PAGE_HOST)) continue;
    jcStamp(lin, peekedGlobal);
    mask |= 1 << n;
  }
  store<i64>(found, base);
  store<i32>(found, key, REGION_FOUND_KEY);
  store<i32>(found, mask, REGION_FOUND_MASK);
  return mask;
}
