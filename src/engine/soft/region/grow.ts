/** Chooses the blocks of a region: what its entry leads to, calls and returns included, as far as it has been decoded. */
import { FLOW } from '../isa/flow.js';
import * as L from '../layout.js';
import type { JobBlock, RegionJob } from './job.js';

/**
 * Largest region, in blocks and in instructions. Larger ones are left less often, but V8's optimizer, which takes ten times
 * as long as everything else here, is ready with them later (measured: with 64 and 500 awk takes a quarter longer).
 */
const MOST_BLOCKS = 32;
const MOST_INSTRUCTIONS = 250;
/** A block belongs to the region when it has run so often. */
const LEAST_HEAT = L.HOT_EVERY / 2;
/**
 * A function of one block of so many instructions is copied rather than jumped to, for going there and back costs as much as
 * it does: above all, the thunks of position-independent i386 code (measured: against 8, system calls gain some percent).
 */
const SHORT_LEAF = 20;
/** Targets of one indirect jump. */
const MOST_TARGETS = 24;

/** What growing asks of the engine. */
export interface DecodedCode {
  readonly view: DataView;
  /** FLOW by handler. */
  readonly flow: Uint8Array;
  /** The block decoded for a RIP, or 0. */
  blockAt(rip: bigint): number;
}

interface Grown {
  readonly header: number;
  readonly page: bigint;
  readonly flow: number;
  readonly target: bigint | undefined;
  readonly behind: bigint;
}

/**
 * @param takeAll takes in blocks that have regions of their own also
 * @returns which blocks, and where their jumps go; undefined where there is nothing to compile
 */
export function growRegion(
  code: DecodedCode,
  rip: bigint,
  takeAll: boolean,
): Pick<RegionJob, 'bytes' | 'blocks' | 'indirect'> | undefined {
  const { view } = code;
  const mode = view.getUint32(L.MODE, true);
  const wrap = (a: bigint) => BigInt.asUintN(mode & L.MODE_64 ? 64 : 32, a);
  const seen = recentJumps(view);
  const blocks: Grown[] = [];
  const index = new Map<bigint, number>();
  const queue = [rip];
  let instructions = 0;
  const pages = new Set<bigint>();
  const read = (header: number, address: bigint): Grown => {
    const page = address & ~0xfffn;
    const end = view.getUint32(header + L.BLK_END, true);
    const last = end - 2 * L.REC_SIZE;
    const flow = last < header + L.BLK_HEADER ? FLOW.none : code.flow[view.getUint16(last + L.REC_HANDLER, true)];
    const behind = wrap(page + BigInt(view.getInt32(end - L.REC_SIZE, true)));
    const relative = flow === FLOW.branch || flow === FLOW.jump || flow === FLOW.call;
    const target = relative ? wrap(behind + BigInt(view.getInt32(last + L.REC_IMM, true))) : undefined;
    return { header, page, flow, target, behind };
  };
  const isShortLeaf = ({ header, flow }: Grown) =>
    flow === FLOW.return && view.getUint16(header + L.BLK_COUNT, true) <= SHORT_LEAF;
  while (queue.length > 0 && blocks.length < MOST_BLOCKS && instructions < MOST_INSTRUCTIONS) {
    const address = queue.shift()!;
    if (index.has(address)) continue;
    const header = code.blockAt(address);
    if (header === 0 || view.getUint16(header + L.BLK_HEADER + L.REC_HANDLER, true) === L.H_STALE) continue;
    // What a region is entered at is jumped to, until it turns out how often.
    const hasRegion = view.getUint32(header + L.BLK_REGION, true) !== 0;
    const block = read(header, address);
    const belongs = hasRegion ? takeAll || isShortLeaf(block) : view.getUint32(header + L.BLK_HEAT, true) >= LEAST_HEAT;
    if (!belongs && blocks.length > 0) continue;
    const own = view.getUint32(header + L.BLK_PAGE2, true) ? [block.page, wrap(block.page + 0x1000n)] : [block.page];
    if (new Set([...pages, ...own]).size > L.REGION_MOST_PAGES) continue;
    for (const page of own) pages.add(page);
    index.set(address, blocks.length);
    blocks.push(block);
    instructions += view.getUint16(header + L.BLK_COUNT, true);
    if (block.flow === FLOW.none) continue;
    if (block.flow === FLOW.branch || block.flow === FLOW.fall) queue.push(block.behind);
    if (block.target !== undefined) queue.push(block.target);
    for (const to of seen(header, address)) queue.push(wrap(to));
  }
  if (blocks.length === 0) return undefined;
  const indirect = blocks.map((b): number[] => {
    const targets = [...seen(b.header, b.page)].map((to) => index.get(wrap(to))).filter((i) => i !== undefined);
    return b.flow >= FLOW.jumpIndirect ? [...new Set(targets)].slice(0, MOST_TARGETS) : [];
  });
  addReturns(blocks, index, indirect);
  return { ...copyBlocks(view, blocks), indirect };
}

/** Where the last jumps that weren't chained have gone, by the block they came from; high halves as the block's. */
function recentJumps(view: DataView): (header: number, near: bigint) => Iterable<bigint> {
  const jumps = new Map<number, Set<number>>();
  for (let at = L.RECENT; at < L.RECENT + L.RECENT_BYTES; at += 8) {
    const from = view.getUint32(at, true);
    let set = jumps.get(from);
    if (!set) {
      set = new Set();
      jumps.set(from, set);
    }
    set.add(view.getUint32(at + 4, true));
  }
  return function* (header, near) {
    for (const low of jumps.get(header) ?? []) yield (near & ~0xffff_ffffn) | BigInt(low);
  };
}

/** A return may go behind each call in the region whose function it ends. */
function addReturns(blocks: readonly Grown[], index: ReadonlyMap<bigint, number>, indirect: number[][]): void {
  for (const [self, call] of blocks.entries()) {
    const site = index.get(call.behind);
    if (site === undefined || (call.flow !== FLOW.call && call.flow !== FLOW.callIndirect)) continue;
    const work = [...indirect[self]];
    const entry = call.target === undefined ? undefined : index.get(call.target);
    if (entry !== undefined) work.push(entry);
    const visited = new Set<number>();
    while (work.length > 0) {
      const i = work.pop()!;
      if (visited.has(i)) continue;
      visited.add(i);
      const b = blocks[i];
      const on = (address: bigint | undefined) => {
        const to = address === undefined ? undefined : index.get(address);
        if (to !== undefined) work.push(to);
      };
      if (b.flow === FLOW.return) {
        if (!indirect[i].includes(site) && indirect[i].length < MOST_TARGETS) indirect[i].push(site);
      } else if (b.flow === FLOW.call || b.flow === FLOW.callIndirect) on(b.behind);
      else {
        on(b.target);
        if (b.flow === FLOW.branch || b.flow === FLOW.fall) on(b.behind);
        work.push(...indirect[i]);
      }
    }
  }
}

function copyBlocks(view: DataView, blocks: readonly Grown[]): { bytes: Uint8Array<ArrayBuffer>; blocks: JobBlock[] } {
  let size = 0;
  const placed = blocks.map(({ header, page }) => {
    const at = size;
    size += view.getUint32(header + L.BLK_END, true) - header;
    return { at, header, page };
  });
  const bytes = new Uint8Array(size);
  for (const { at, header } of placed) {
    const length = view.getUint32(header + L.BLK_END, true) - header;
    bytes.set(new Uint8Array(view.buffer, header, length), at);
  }
  return { bytes, blocks: placed };
}
