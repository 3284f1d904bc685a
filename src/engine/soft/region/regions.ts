/**
 * The regions of one engine: which blocks are hot, what is being compiled, where it is entered, and when it must go. The
 * interpreter counts how often it enters each block, and says when one has become hot.
 */
import type { CoreExports } from '../core-exports.js';
import * as L from '../layout.js';
import { growRegion } from './grow.js';
import { REGION_EXPORT, type RegionAnswer, type RegionCompiler } from './job.js';

/** Jobs that may wait for the compiler. */
const MOST_PENDING = 8;
/** Slots of the table; when they are used up, all regions go. Slot 0 stays empty: it stands for no region. */
export const REGION_SLOTS = 2048;

/** Times that a region is compiled anew because it is entered so often: by then more is known of where its jumps go. */
const MOST_REMAKES = 2;

interface Region {
  readonly slot: number;
  readonly entry: number;
  readonly blocks: readonly number[];
  readonly remakes: number;
}

interface Pending {
  readonly entry: number;
  readonly blocks: readonly number[];
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
  readonly table: WebAssembly.Table;
  readonly flow: Uint8Array;
  readonly compiler: RegionCompiler;
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

  constructor(host: RegionHost) {
    this.#host = host;
    this.#free = Array.from({ length: REGION_SLOTS - 1 }, (_, i) => REGION_SLOTS - 1 - i);
  }

  /** Installs what the compiler has ready: between slices. */
  installReady(): void {
    const { compiler } = this.#host;
    if (this.#pending.size === 0) return;
    for (let answer = compiler.poll(); answer; answer = compiler.poll()) this.#install(answer);
  }

  /** A block has been interpreted often, or a region entered, and is about to be again. */
  hot(block: number): void {
    const { view } = this.#host;
    if (this.#pending.size >= MOST_PENDING || this.#waiting.has(block)) return;
    if ((this.#byEntry.get(block)?.remakes ?? 0) >= MOST_REMAKES) return;
    const mode = view.getUint32(L.MODE, true);
    if (mode & (L.MODE_TF | L.MODE_SEGMENTED)) return;
    const page = view.getBigUint64(L.REGS + L.R_PAGE, true);
    const rip = page + BigInt(view.getUint16(block + L.BLK_START, true));
    this.#submit(mode & L.MODE_64 ? BigInt.asUintN(64, rip) : BigInt.asUintN(32, rip));
  }

  /** Compiles what is at RIP, hot or not, and waits for it (tests; the compiler must be synchronous). */
  compileAtRip(): void {
    const rip = this.#host.view.getBigUint64(L.RIP, true);
    const block = this.#decodedAt(rip);
    if (block === 0 || this.#byEntry.has(block)) return;
    this.#submit(rip);
    const answer = this.#host.compiler.poll();
    if (answer) this.#install(answer);
  }

  /** A block has gone, or with 0 all code: what was compiled of it must not be entered any more. */
  dropped(block: number): void {
    if (block !== 0) {
      for (const holder of [...(this.#byBlock.get(block) ?? [])]) this.#forget(holder);
      this.#waiting.delete(block);
      return;
    }
    for (const region of [...this.#byEntry.values()]) this.#forget(region);
    for (const pending of [...this.#pending.values()]) this.#forget(pending);
    this.#waiting.clear();
  }

  #decodedAt(address: bigint): number {
    return this.#host.core.peekBlock(Number(address & 0xffff_ffffn) | 0, Number(address >> 32n) | 0);
  }

  #submit(rip: bigint): void {
    const { view, flow, compiler } = this.#host;
    const job = growRegion({ view, flow, blockAt: (a) => this.#decodedAt(a) }, rip);
    if (!job) return;
    const id = ++this.#jobs;
    const blocks = job.blocks.map((b) => b.header);
    const pending = { entry: blocks[0], blocks };
    this.#pending.set(id, pending);
    this.#waiting.add(pending.entry);
    this.#hold(pending);
    compiler.submit({ id, ...job });
  }

  #install(answer: RegionAnswer): void {
    const start = performance.now();
    const pending = this.#pending.get(answer.id);
    this.stats.emitMs += answer.emitMs;
    this.stats.compileMs += answer.compileMs;
    if (!pending || !answer.module) {
      // What can't be compiled stays among the waiting: it isn't asked for again.
      if (pending) {
        this.#pending.delete(answer.id);
        this.#release(pending);
      }
      this.stats.refused++;
      return;
    }
    this.#pending.delete(answer.id);
    this.#release(pending);
    this.#waiting.delete(pending.entry);
    const before = this.#byEntry.get(pending.entry);
    if (before) this.#forget(before);
    if (this.#free.length === 0) this.dropped(0);
    const { view, linear, core, table } = this.#host;
    const instance = new WebAssembly.Instance(answer.module, {
      env: { memory: linear, regions: table },
      core,
    });
    const region: Region = {
      slot: this.#free.pop()!,
      entry: pending.entry,
      blocks: pending.blocks,
      remakes: before ? before.remakes + 1 : 0,
    };
    table.set(region.slot, instance.exports[REGION_EXPORT]);
    view.setUint32(region.entry + L.BLK_REGION, region.slot, true);
    this.#byEntry.set(region.entry, region);
    this.#hold(region);
    this.stats.compiled++;
    this.stats.instructions += answer.instructions;
    this.stats.bytes += answer.size;
    this.stats.installMs += performance.now() - start;
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
      for (const [id, pending] of this.#pending) if (pending === holder) this.#pending.delete(id);
      this.#waiting.delete(holder.entry);
      return;
    }
    const { view, table } = this.#host;
    view.setUint32(holder.entry + L.BLK_REGION, 0, true);
    this.#byEntry.delete(holder.entry);
    table.set(holder.slot, null);
    this.#free.push(holder.slot);
    this.stats.dropped++;
  }
}
