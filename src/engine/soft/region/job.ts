/**
 * What the region compiler is asked, and what it answers, in forms that another thread can take: a job holds copies of the
 * decoded blocks, the answer a compiled module. Pure but for WebAssembly.Module.
 */
import { ModuleImports } from '../emit/module-imports.js';
import type { HandlerSpec } from '../isa/define.js';
import { ModuleBuilder } from '../wasm/module.js';
import { compileRegion } from './compile.js';
import { readBlock } from './record.js';

export interface JobBlock {
  /** Offset of its bytes in the job's, its header's address in linear memory, and the linear address of its page. */
  readonly at: number;
  readonly header: number;
  readonly page: bigint;
}

export interface RegionJob {
  readonly id: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The entry first. */
  readonly blocks: readonly JobBlock[];
  /** By block, the blocks that its indirect jump or return goes to. */
  readonly indirect: readonly (readonly number[])[];
}

export interface RegionAnswer {
  readonly id: number;
  /** Undefined: the region's first instruction can't be compiled. */
  readonly module: WebAssembly.Module | undefined;
  readonly instructions: number;
  /** Bytes of the module. */
  readonly size: number;
  /** Milliseconds: making the module's bytes, and the WebAssembly compiler. */
  readonly emitMs: number;
  readonly compileMs: number;
}

/** Compiles regions, perhaps on another thread. */
export interface RegionCompiler {
  submit(job: RegionJob): void;
  /** One that is ready. */
  poll(): RegionAnswer | undefined;
  close(): void;
}

/** The export of a region's module. */
export const REGION_EXPORT = 'region';

export function compileJob(job: RegionJob, handlers: readonly (HandlerSpec | undefined)[]): RegionAnswer {
  const start = performance.now();
  const view = new DataView(job.bytes.buffer, job.bytes.byteOffset, job.bytes.byteLength);
  const blocks = job.blocks.map((b) => readBlock(view, b.at, b.header, b.page, handlers));
  const builder = new ModuleBuilder('region');
  builder.importTable('regions');
  const type = builder.type({ params: [], result: 'i32' });
  const compiled = compileRegion(blocks, job.indirect, new ModuleImports(builder), type);
  if (!compiled) return { id: job.id, module: undefined, instructions: 0, size: 0, emitMs: 0, compileMs: 0 };
  builder.export(REGION_EXPORT, builder.add(compiled.body));
  const bytes = builder.build(1);
  const emitted = performance.now();
  const module = new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>);
  return {
    id: job.id,
    module,
    instructions: compiled.instructions,
    size: bytes.length,
    emitMs: emitted - start,
    compileMs: performance.now() - emitted,
  };
}

/** Compiles at once, in the caller's time. */
export class SynchronousCompiler implements RegionCompiler {
  readonly #handlers: readonly (HandlerSpec | undefined)[];
  readonly #ready: RegionAnswer[] = [];

  constructor(handlers: readonly (HandlerSpec | undefined)[]) {
    this.#handlers = handlers;
  }

  submit(job: RegionJob): void {
    this.#ready.push(compileJob(job, this.#handlers));
  }

  poll(): RegionAnswer | undefined {
    return this.#ready.shift();
  }

  close(): void {}
}
