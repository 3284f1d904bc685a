/**
 * What the region compiler is asked, and what it answers, in forms that another thread can take: a job holds copies of the
 * decoded blocks, the answer a compiled module. Pure but for WebAssembly.Module.
 */
import { ModuleImports } from '../emit/module-imports.js';
import type { HandlerSpec } from '../isa/define.js';
import { ModuleBuilder } from '../wasm/module.js';
import { compileRegion, type RegionEntry, type RegionPlan } from './compile.js';
import type { RegionPage } from './pages.js';
import { readBlock } from './record.js';

export interface JobBlock {
  /** Offset of its bytes in the job's, its header's address in linear memory, and the linear address of its page. */
  readonly at: number;
  readonly header: number;
  readonly page: bigint;
}

export interface RegionJob extends RegionPlan {
  readonly id: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The entry first. */
  readonly blocks: readonly JobBlock[];
}

export interface CompiledRegionInfo {
  /** The job's. */
  readonly id: number;
  /** The module's export; undefined: the region's first instruction can't be compiled. */
  readonly name: string | undefined;
  readonly instructions: number;
  /** See CompiledRegion. */
  readonly entries: readonly (RegionEntry | undefined)[];
  readonly pages: readonly RegionPage[];
}

/** Some regions, which share a module: making one costs as much as compiling a small region. */
export interface RegionAnswer {
  readonly module: WebAssembly.Module | undefined;
  readonly regions: readonly CompiledRegionInfo[];
  /** Bytes of the module. */
  readonly size: number;
  /** Milliseconds: making the module's bytes, and the WebAssembly compiler. */
  readonly emitMs: number;
  readonly compileMs: number;
}

/** Compiles regions, perhaps on another thread. */
export interface RegionCompiler {
  submit(jobs: readonly RegionJob[]): void;
  /** One that is ready. */
  poll(): RegionAnswer | undefined;
  close(): void;
}

export function compileJobs(jobs: readonly RegionJob[], handlers: readonly (HandlerSpec | undefined)[]): RegionAnswer {
  const start = performance.now();
  const builder = new ModuleBuilder('region');
  const imports = new ModuleImports(builder);
  // All imports come before the first function.
  const compiled = jobs.map((job) => {
    const view = new DataView(job.bytes.buffer, job.bytes.byteOffset, job.bytes.byteLength);
    const blocks = job.blocks.map((b) => readBlock(view, b.at, b.header, b.page, handlers));
    return compileRegion(blocks, job, imports);
  });
  const regions = jobs.map(({ id }, i): CompiledRegionInfo => {
    const region = compiled[i];
    if (!region) return { id, name: undefined, instructions: 0, entries: [], pages: [] };
    const name = `region${id}`;
    builder.export(name, builder.add(region.body));
    return { id, name, instructions: region.instructions, entries: region.entries, pages: region.pages };
  });
  const useful = regions.some((r) => r.name !== undefined);
  const bytes = useful ? builder.build(1) : new Uint8Array(0);
  const emitted = performance.now();
  const module = useful ? new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>) : undefined;
  const compileMs = performance.now() - emitted;
  return { module, regions, size: bytes.length, emitMs: emitted - start, compileMs };
}

/** Compiles at once, in the caller's time. */
export class SynchronousCompiler implements RegionCompiler {
  readonly #handlers: readonly (HandlerSpec | undefined)[];
  readonly #delay: number;
  readonly #ready: { readonly answer: RegionAnswer; polls: number }[] = [];

  /** @param delay how often it says that it isn't ready yet, as one on another thread would (tests) */
  constructor(handlers: readonly (HandlerSpec | undefined)[], delay = 0) {
    this.#handlers = handlers;
    this.#delay = delay;
  }

  submit(jobs: readonly RegionJob[]): void {
    this.#ready.push({ answer: compileJobs(jobs, this.#handlers), polls: this.#delay });
  }

  poll(): RegionAnswer | undefined {
    const first = this.#ready[0];
    if (first === undefined || first.polls-- > 0) return undefined;
    return this.#ready.shift()!.answer;
  }

  close(): void {}
}
