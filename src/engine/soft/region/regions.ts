/**
 * The regions of one engine: which blocks are hot, what is compiled, where it is entered, and when it must go. Heat comes from
 * sampling: the engine says now and then which instruction is next.
 */
import type { CoreExports } from '../core-exports.js';
import { ModuleImports } from '../emit/module-imports.js';
import type { HandlerSpec } from '../isa/define.js';
import { restoreHandler, type StoredHandler } from '../isa/stored.js';
import * as L from '../layout.js';
import { ModuleBuilder } from '../wasm/module.js';
import { compileRegion } from './compile.js';
import { type DecodedBlock, readBlock, successorsOf } from './record.js';

/** Samples after which a block is compiled. */
const HOT = 2;
/** Largest region, in blocks and in instructions. */
const MOST_BLOCKS = 48;
const MOST_INSTRUCTIONS = 600;
/** Slots of the table; when they are used up, all regions go. */
export const REGION_SLOTS = 1024;

interface Region {
  readonly slot: number;
  readonly entry: number;
  readonly blocks: readonly number[];
  readonly original: { readonly handler: number; readonly imm: number };
}

export interface RegionStats {
  compiled: number;
  dropped: number;
  refused: number;
  instructions: number;
  compileMs: number;
}

/** What regions need of their engine. */
export interface RegionHost {
  readonly view: DataView;
  readonly linear: WebAssembly.Memory;
  readonly core: CoreExports;
  readonly table: WebAssembly.Table;
  /** Milliseconds, for statistics only. */
  readonly now: () => number;
}

export class Regions {
  readonly stats: RegionStats = { compiled: 0, dropped: 0, refused: 0, instructions: 0, compileMs: 0 };
  readonly #host: RegionHost;
  readonly #handlers: (HandlerSpec | undefined)[];
  #heat = new Map<number, number>();
  readonly #byEntry = new Map<number, Region>();
  readonly #byBlock = new Map<number, Set<Region>>();
  #free: number[] = [];

  constructor(host: RegionHost, handlers: readonly (StoredHandler | null)[]) {
    this.#host = host;
    this.#handlers = handlers.map((h) => (h ? restoreHandler(h) : undefined));
    this.#free = Array.from({ length: REGION_SLOTS }, (_, i) => REGION_SLOTS - 1 - i);
  }

  /** The next instruction is at RIP. May compile. */
  sample(): void {
    const { view } = this.#host;
    const mode = view.getUint32(L.MODE, true);
    if (mode & (L.MODE_TF | L.MODE_SEGMENTED)) return;
    const rip = view.getBigUint64(L.RIP, true);
    const block = this.#decodedAt(rip);
    if (block === 0) return;
    const known = this.#byEntry.get(block);
    if (known) {
      this.#enter(known);
      return;
    }
    const heat = (this.#heat.get(block) ?? 0) + 1;
    this.#heat.set(block, heat);
    if (heat === HOT) this.#compile(block, rip);
  }

  /** Compiles what is at RIP, hot or not (tests). */
  compileAtRip(): void {
    const rip = this.#host.view.getBigUint64(L.RIP, true);
    const block = this.#decodedAt(rip);
    if (block !== 0 && !this.#byEntry.has(block)) this.#compile(block, rip);
  }

  #decodedAt(address: bigint): number {
    return this.#host.core.peekBlock(Number(address & 0xffff_ffffn) | 0, Number(address >> 32n) | 0);
  }

  /** A block has gone, or with 0 all code: what was compiled of it must not be entered any more. */
  dropped(block: number): void {
    if (block !== 0) {
      for (const region of [...(this.#byBlock.get(block) ?? [])]) this.#remove(region);
      this.#heat.delete(block);
      return;
    }
    for (const region of [...this.#byEntry.values()]) this.#remove(region);
    this.#heat = new Map();
  }

  #compile(entry: number, rip: bigint): void {
    const start = this.#host.now();
    const blocks = this.#grow(entry, rip);
    if (blocks.length === 0) return;
    const module = new ModuleBuilder();
    const compiled = compileRegion(blocks, new ModuleImports(module));
    if (!compiled) {
      this.stats.refused++;
      return;
    }
    if (this.#free.length === 0) this.dropped(0);
    const slot = this.#free.pop()!;
    module.export('region', module.add(compiled.body));
    const instance = new WebAssembly.Instance(new WebAssembly.Module(module.build(1)), {
      env: { memory: this.#host.linear },
      core: this.#host.core,
    });
    this.#host.table.set(slot, instance.exports.region);
    this.#install(
      slot,
      entry,
      blocks.map((b) => b.header),
    );
    this.stats.compiled++;
    this.stats.instructions += compiled.instructions;
    this.stats.compileMs += this.#host.now() - start;
  }

  /** The entry and what it leads to, as far as that has been decoded, breadth first. */
  #grow(entry: number, rip: bigint): DecodedBlock[] {
    const { view } = this.#host;
    const mode = view.getUint32(L.MODE, true);
    const bits = mode & L.MODE_64 ? 64 : 32;
    const wrap = (a: bigint) => BigInt.asUintN(bits, a);
    const blocks: DecodedBlock[] = [];
    const seen = new Set<bigint>();
    const queue = [rip];
    let instructions = 0;
    while (queue.length > 0 && blocks.length < MOST_BLOCKS && instructions < MOST_INSTRUCTIONS) {
      const address = queue.shift()!;
      if (seen.has(address)) continue;
      seen.add(address);
      const header = blocks.length === 0 ? entry : this.#decodedAt(address);
      if (header === 0 || view.getUint32(header + L.BLK_PAGE2, true) !== 0) continue;
      const block = readBlock(view, header, address & ~0xfffn, this.#handlers, this.#byEntry.get(header)?.original);
      if (block.records[0]?.handler === L.H_STALE) continue;
      blocks.push(block);
      instructions += block.records.length;
      const { taken, next } = successorsOf(block, wrap);
      if (next !== undefined) queue.push(next);
      if (taken !== undefined) queue.push(taken);
    }
    return blocks;
  }

  #install(slot: number, entry: number, blocks: readonly number[]): void {
    const { view } = this.#host;
    const first = entry + L.BLK_HEADER;
    const original = {
      handler: view.getUint16(first + L.REC_HANDLER, true),
      imm: view.getInt32(first + L.REC_IMM, true),
    };
    const region: Region = { slot, entry, blocks, original };
    view.setInt32(entry + L.BLK_ENTRY_IMM, original.imm, true);
    view.setUint16(entry + L.BLK_ENTRY_HANDLER, original.handler, true);
    this.#enter(region);
    this.#byEntry.set(entry, region);
    for (const block of blocks) {
      const flags = block + L.BLK_FLAGS;
      view.setUint16(flags, view.getUint16(flags, true) | L.BLKF_REGION, true);
      let set = this.#byBlock.get(block);
      if (!set) {
        set = new Set();
        this.#byBlock.set(block, set);
      }
      set.add(region);
    }
  }

  #enter({ entry, slot }: Region): void {
    const { view } = this.#host;
    const first = entry + L.BLK_HEADER;
    view.setInt32(first + L.REC_IMM, slot, true);
    view.setUint16(first + L.REC_HANDLER, L.H_REGION, true);
  }

  #remove(region: Region): void {
    const { view, table } = this.#host;
    const first = region.entry + L.BLK_HEADER;
    if (view.getUint16(first + L.REC_HANDLER, true) === L.H_REGION) {
      view.setUint16(first + L.REC_HANDLER, region.original.handler, true);
      view.setInt32(first + L.REC_IMM, region.original.imm, true);
    }
    this.#byEntry.delete(region.entry);
    for (const block of region.blocks) this.#byBlock.get(block)?.delete(region);
    table.set(region.slot, null);
    this.#free.push(region.slot);
    this.#heat.delete(region.entry);
    this.stats.dropped++;
  }
}
