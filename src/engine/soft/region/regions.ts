/**
 * The regions of one engine: which blocks are hot, what is being compiled, where it is entered, and when it must go. The
 * interpreter counts how often it enters each block, and says when one has become hot.
 */
import type { CoreExports } from '../core-exports.js';
import * as L from '../layout.js';
import { growRegion } from './grow.js';
import type { CompiledRegionInfo, RegionAnswer, RegionCompiler } from './job.js';
import { Outbox } from './outbox.js';
import { Reports } from './reports.js';

/** Jobs that may wait for the compiler or be with it; more for blocks that are really hot. */
const MOST_PENDING = 8;
const MOST_PENDING_HOT = 24;
/**
 * A block is worth compiling where it runs once in so many instructions or more often. What is rarer has left the processor's
 * caches by the time it comes back, and compiled code is several times the size of decoded records (measured: a guest that
 * execs for ever slows down by a third when everything that it does again and again is compiled some day; against 40,000,
 * execs gain some percent and shell loops lose none).
 */
const RARE = 20_000;
/**
 * What runs once in so many instructions, or has been entered so often that it is made again, has few entries: better code is
 * worth that some blocks are compiled again elsewhere (measured: for all, forks and execs lose some percent, and a third more
 * is compiled).
 */
const OFTEN = 1000;
/** A region with so much of the guest's instructions is a busy loop: registers are to stay in locals. */
const BUSY = 0.1;
/** Reports, each of HOT_EVERY runs, that it takes at least: between two of them it shows how often it runs. */
const LEAST_REPORTS = 2;
const REALLY_HOT = 16 * L.HOT_EVERY;

/** Instructions after which a guest is no young one any more: two or three boots. */
const YOUTH = 1e9;

/** Regions that go before a garbage collection is asked for. */
const COLLECT_EVERY = 192;

/** Times that a region is compiled anew because it is entered so often: by then more is known of where its jumps go. */
const MOST_REMAKES = 2;

interface Region {
  readonly slot: number;
  /** Blocks whose headers lead into it. */
  readonly entries: Set<number>;
  readonly blocks: readonly number[];
  readonly remakes: number;
  readonly inPlace: boolean;
}

interface Pending {
  readonly id: number;
  readonly entry: number;
  /** When a block of it is so hot, it is urgent. */
  readonly limit: number;
  readonly blocks: readonly number[];
  readonly inPlace: boolean;
}

export interface RegionStats {
  compiled: number;
  dropped: number;
  /** Compiled in vain: the code had gone meanwhile, or can't be compiled. */
  refused: number;
  instructions: number;
  bytes: number;
  /** Milliseconds of the compiler, wherever it runs, and of installing. */
  emitMs: number;
  compileMs: number;
  installMs: number;
}

/** What regions need of their engine. */
export interface RegionHost {
  readonly view: DataView;
  readonly linear: WebAssembly.Memory;
  readonly core: CoreExports;
  /** What regions import: the core's exports, and the interpreter's (link.ts, isa/float-rare.ts). */
  readonly imports: CoreExports;
  readonly table: WebAssembly.Table;
  readonly flow: Uint8Array;
  readonly compiler: RegionCompiler;
  /** Has unreachable modules freed (host/node/collect.ts). */
  readonly collect: () => void;
  /**
   * How often a block must have been reported hot at the guest's start; twice later on. A guest that boots runs most of its
   * code for a short while only: the older it is, the longer what it does will last.
   */
  readonly patience: number;
  /** Instructions retired so far. */
  readonly age: () => number;
}

export class Regions {
  readonly stats: RegionStats = {
    compiled: 0,
    dropped: 0,
    refused: 0,
    instructions: 0,
    bytes: 0,
    emitMs: 0,
    compileMs: 0,
    installMs: 0,
  };
  readonly #host: RegionHost;
  readonly #byEntry = new Map<number, Region>();
  /** Regions and jobs that hold a block. */
  readonly #byBlock = new Map<number, Set<Region | Pending>>();
  readonly #pending = new Map<number, Pending>();
  readonly #waiting = new Set<number>();
  #free: number[];
  #jobs = 0;
  readonly #outbox = new Outbox();
  #busy = false;
  readonly #reports = new Reports();
  #collectAt = COLLECT_EVERY;

  constructor(host: RegionHost) {
    this.#host = host;
    // When they are used up, all regions go. Slot 0 stays empty: it stands for no region.
    this.#free = Array.from({ length: L.REGION_SLOTS - 1 }, (_, i) => L.REGION_SLOTS - 1 - i);
  }

  /** Installs what the compiler has ready: between slices. */
  installReady(): void {
    const { compiler, collect, age } = this.#host;
    if (this.stats.dropped >= this.#collectAt) {
      this.#collectAt = this.stats.dropped + COLLECT_EVERY;
      collect();
    }
    if (this.#pending.size === 0 && !this.#busy) return;
    for (let answer = compiler.poll(); answer; answer = compiler.poll()) {
      this.#busy = false;
      this.#install(answer);
    }
    if (this.#busy) return;
    const jobs = this.#outbox.take(age(), (id) => this.#pending.has(id));
    if (jobs.length === 0) return;
    compiler.submit(jobs);
    this.#busy = true;
  }

  /** A block has been interpreted often, or a region entered, and is about to be again. */
  hot(block: number): void {
    const { view, age } = this.#host;
    if (this.#isBeingCompiled(block) || this.#waiting.has(block)) return;
    const heat = this.#heatOf(block);
    const { count, period } = this.#reports.add(block, heat, age());
    const isEntry = this.#byEntry.has(block);
    if (!isEntry && (period > RARE || count < this.#reportsNeeded())) return;
    const isReallyHot = heat >= REALLY_HOT;
    if (this.#pending.size >= (isReallyHot ? MOST_PENDING_HOT : MOST_PENDING)) return;
    if ((this.#byEntry.get(block)?.remakes ?? 0) >= MOST_REMAKES) return;
    const mode = view.getUint32(L.MODE, true);
    if (mode & (L.MODE_TF | L.MODE_SEGMENTED)) return;
    const page = view.getBigUint64(L.REGS + L.R_PAGE, true);
    const rip = page + BigInt(view.getUint16(block + L.BLK_START, true));
    this.#submit(mode & L.MODE_64 ? BigInt.asUintN(64, rip) : BigInt.asUintN(32, rip), isEntry, period);
  }

  /** By itself or as a part of something else, where it may be entered soon. It has become hotter meanwhile. */
  #isBeingCompiled(block: number): boolean {
    let isPart = false;
    for (const holder of this.#byBlock.get(block) ?? []) {
      if ('slot' in holder) continue;
      isPart = true;
      if (this.#heatOf(block) >= holder.limit) this.#outbox.hurry(holder.id);
    }
    return isPart;
  }

  #heatOf(block: number): number {
    return this.#host.view.getUint32(block + L.BLK_HEAT, true);
  }

  /** How much of all that the guest runs are these blocks, the first of which runs once in `period` instructions. */
  #shareOf(blocks: readonly number[], period: number): number {
    const { view } = this.#host;
    const run = blocks.reduce((sum, b) => sum + this.#heatOf(b) * view.getUint16(b + L.BLK_COUNT, true), 0);
    return run / (this.#heatOf(blocks[0]) * period);
  }

  #reportsNeeded(): number {
    const { patience, age } = this.#host;
    return LEAST_REPORTS + (patience - LEAST_REPORTS) * Math.max(0, 1 - age() / YOUTH);
  }

  /** Compiles what is at RIP, hot or not, and waits for it (tests; the compiler must be synchronous). */
  compileAtRip(): void {
    const rip = this.#host.view.getBigUint64(L.RIP, true);
    const block = this.#decodedAt(rip);
    if (block === 0 || this.#byEntry.has(block)) return;
    // With few entries and with all, in turn.
    this.#submit(rip, false, 0, this.#jobs % 2 === 0);
    this.#outbox.hurry(this.#jobs);
    this.installReady();
    this.installReady();
  }

  /** A block has gone, or with 0 all code: what was compiled of it must not be entered any more. */
  dropped(block: number): void {
    const before = this.stats.dropped;
    if (block === 0) this.#forgetAll();
    else {
      for (const holder of [...(this.#byBlock.get(block) ?? [])]) this.#forget(holder);
      this.#waiting.delete(block);
      this.#reports.forget(block);
    }
    if (this.stats.dropped !== before) this.#host.core.forgetLinks();
  }

  #forgetAll(): void {
    for (const region of new Set(this.#byEntry.values())) this.#forget(region);
    for (const pending of [...this.#pending.values()]) this.#forget(pending);
    this.#waiting.clear();
    this.#reports.forgetAll();
  }

  #decodedAt(address: bigint): number {
    return this.#host.core.peekBlock(Number(address & 0xffff_ffffn) | 0, Number(address >> 32n) | 0);
  }

  /** @param period see Report */
  #submit(rip: bigint, isRemade: boolean, period: number, fewEntries = isRemade || period < OFTEN): void {
    const { view, flow, age } = this.#host;
    const job = growRegion({ view, flow, blockAt: (a) => this.#decodedAt(a) }, rip, isRemade);
    if (!job) return;
    const id = ++this.#jobs;
    const blocks = job.blocks.map((b) => b.header);
    this.#dropPartsOf(new Set(blocks));
    // Made again: since then only entries have been counted, which says nothing of what runs within.
    const wasBusy = isRemade && blocks.some((b) => this.#byEntry.get(b)?.inPlace === false);
    const inPlace = !wasBusy && this.#shareOf(blocks, period) < BUSY;
    const pending = { id, entry: blocks[0], limit: this.#heatOf(blocks[0]) + L.HOT_EVERY, blocks, inPlace };
    this.#pending.set(id, pending);
    this.#waiting.add(pending.entry);
    this.#hold(pending);
    this.#outbox.add({ id, ...job, inPlace, fewEntries }, age());
  }

  /**
   * Jobs all of whose blocks are in a new one go, where nobody has taken them yet. The blocks of a path become hot in any order,
   * and each of them would be a region of its own up to the path's end.
   */
  #dropPartsOf(blocks: ReadonlySet<number>): void {
    for (const pending of [...this.#pending.values()])
      if (this.#outbox.has(pending.id) && pending.blocks.every((b) => blocks.has(b))) this.#forget(pending);
  }

  #install({ module, regions, size, emitMs, compileMs }: RegionAnswer): void {
    const start = performance.now();
    this.stats.emitMs += emitMs;
    this.stats.compileMs += compileMs;
    this.stats.bytes += size;
    const { linear, imports } = this.#host;
    const wanted = regions.some((r) => r.name !== undefined && this.#pending.has(r.id));
    const instance = module && wanted && new WebAssembly.Instance(module, { env: { memory: linear }, core: imports });
    for (const region of regions) this.#enter(region, instance ? instance.exports : undefined);
    this.stats.installMs += performance.now() - start;
  }

  #enter(
    { id, name, instructions, entries, pages }: CompiledRegionInfo,
    functions: WebAssembly.Instance['exports'] | undefined,
  ): void {
    const pending = this.#pending.get(id);
    if (!pending || name === undefined || !functions) {
      // What can't be compiled stays among the waiting: it isn't asked for again.
      if (pending) {
        this.#pending.delete(id);
        this.#release(pending);
      }
      this.stats.refused++;
      return;
    }
    this.#pending.delete(id);
    this.#release(pending);
    this.#waiting.delete(pending.entry);
    const before = this.#byEntry.get(pending.entry);
    if (this.#free.length === 0) this.dropped(0);
    const { table } = this.#host;
    const region: Region = {
      slot: this.#free.pop()!,
      entries: new Set(),
      blocks: pending.blocks,
      remakes: before ? before.remakes + 1 : 0,
      inPlace: pending.inPlace,
    };
    table.set(region.slot, functions[name]);
    this.#hold(region);
    this.#describe(region.slot, entries, pages);
    for (const [number, entry] of entries.entries()) if (entry) this.#lead(region.blocks[entry.block], region, number);
    this.#host.core.forgetLinks();
    this.stats.compiled++;
    this.stats.instructions += instructions;
  }

  /** For core/region-entry.ts. */
  #describe(slot: number, entries: CompiledRegionInfo['entries'], pages: CompiledRegionInfo['pages']): void {
    const { view } = this.#host;
    const at = L.REGION_PAGES + slot * L.REGION_PAGES_STRIDE;
    for (const [number, entry] of entries.entries()) view.setUint8(at + number, entry?.page ?? 0);
    view.setUint32(at + L.REGION_PAGE_COUNT, pages.length, true);
    for (const [number, { delta, host }] of pages.entries()) {
      const page = at + L.REGION_PAGE_LIST + number * L.REGION_PAGE_SIZE;
      view.setBigInt64(page, delta, true);
      view.setUint32(page + L.REGION_PAGE_HOST, host, true);
    }
    // What was found for who had the slot before.
    view.setUint32(L.REGION_FOUND + slot * L.REGION_FOUND_SIZE + L.REGION_FOUND_KEY, 0, true);
  }

  /** From now on a block's header leads into this region. One that nothing leads into any more goes. */
  #lead(block: number, region: Region, number: number): void {
    const before = this.#byEntry.get(block);
    this.#byEntry.set(block, region);
    region.entries.add(block);
    this.#host.view.setUint32(block + L.BLK_REGION, region.slot | (number << 16), true);
    if (!before) return;
    before.entries.delete(block);
    if (before.entries.size === 0) this.#forget(before);
  }

  #hold(holder: Region | Pending): void {
    for (const block of holder.blocks) {
      this.#host.view.setUint32(block + L.BLK_PART, 1, true);
      let set = this.#byBlock.get(block);
      if (!set) {
        set = new Set();
        this.#byBlock.set(block, set);
      }
      set.add(holder);
    }
  }

  #release(holder: Region | Pending): void {
    for (const block of holder.blocks) {
      const set = this.#byBlock.get(block);
      set?.delete(holder);
      if (set?.size === 0) {
        this.#byBlock.delete(block);
        this.#host.view.setUint32(block + L.BLK_PART, 0, true);
      }
    }
  }

  #forget(holder: Region | Pending): void {
    this.#release(holder);
    if (!('slot' in holder)) {
      this.#pending.delete(holder.id);
      this.#waiting.delete(holder.entry);
      return;
    }
    const { view, table } = this.#host;
    for (const block of holder.entries) {
      view.setUint32(block + L.BLK_REGION, 0, true);
      this.#byEntry.delete(block);
    }
    table.set(holder.slot, null);
    this.#free.push(holder.slot);
    this.stats.dropped++;
  }
}
