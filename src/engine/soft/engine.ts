/**
 * The software engine behind the contract: one linear memory, the core and the interpreter instantiated over it, and the
 * vCPUs. All vCPUs share the memory and the decoded code; the one that runs has its state in place at the fixed addresses,
 * the others keep theirs in images (vcpu.ts).
 */
import type { Engine, EngineConfig, EngineStats, ExitSink } from '../contract.js';
import type { CoreExports, CoreImports } from './core-exports.js';
import * as L from './layout.js';
import { createLinearMemory, SoftMemory } from './memory.js';
import type { RegionCompiler } from './region/job.js';
import { type RegionHost, Regions } from './region/regions.js';
import { SoftVcpu } from './vcpu.js';

/** What the build made (generate.ts and the core), compiled by the host layer. */
export interface SoftModules {
  readonly core: WebAssembly.Module;
  readonly interpreter: WebAssembly.Module;
  /** Decode tables. */
  readonly tables: Uint8Array;
  /** For compiled regions; without it everything is interpreted. */
  readonly regions?: RegionParts;
}

export interface RegionParts {
  /** How each handler ends its block (generate.ts). */
  readonly flow: Uint8Array;
  /** A compiler of the engine's own. */
  readonly compiler: () => RegionCompiler;
  /** Has modules freed that nobody reaches any more. */
  readonly collect: () => void;
  /** See RegionHost; 8 where it isn't given. */
  readonly patience?: number;
}

/** Measured: boots that compile sooner lose more than they gain. */
const PATIENCE = 8;
/** At most so many vCPUs: the xAPIC's physical addresses less the broadcast. */
const MAX_CPUS = 255;

export class SoftEngine implements Engine {
  readonly name = 'soft';
  readonly countsInstructions = true;
  readonly memory: SoftMemory;
  readonly vcpus: readonly SoftVcpu[];
  readonly linear: WebAssembly.Memory;
  readonly view: DataView;
  readonly core: CoreExports;
  readonly runInterpreter: () => number;
  readonly regions: Regions | undefined;
  /** Where RAM is somebody else's: see CFG_PAGED. */
  pageIn: ((gpa: number) => number) | undefined;
  readonly #sink: ExitSink;
  readonly #compiler: RegionCompiler | undefined;
  #current: SoftVcpu;

  constructor(config: EngineConfig, modules: SoftModules) {
    if (!Number.isInteger(config.cpus) || config.cpus < 1 || config.cpus > MAX_CPUS)
      throw new RangeError(`${config.cpus} vCPUs: the software engine has 1 to ${MAX_CPUS}`);
    this.#sink = config.sink;
    this.linear = createLinearMemory(config.memorySize);
    this.view = new DataView(this.linear.buffer);
    const core = new WebAssembly.Instance(modules.core, { env: { ...this.#imports(), abort: unreachable } });
    this.core = core.exports as unknown as CoreExports;
    const table = new WebAssembly.Table({ element: 'anyfunc', initial: L.REGION_SLOTS });
    const interpreter = new WebAssembly.Instance(modules.interpreter, {
      env: { memory: this.linear, regions: table },
      core: core.exports,
    });
    this.runInterpreter = interpreter.exports.run as () => number;
    if (modules.regions) {
      const { view, linear, core } = this;
      const { flow, compiler, collect, patience = PATIENCE } = modules.regions;
      const age = () => this.vcpus.reduce((sum, v) => sum + v.instructions, 0);
      this.#compiler = compiler();
      const imports = { ...core, ...interpreter.exports } as unknown as RegionHost['imports'];
      this.regions = new Regions({
        view,
        linear,
        core,
        imports,
        table,
        flow,
        compiler: this.#compiler,
        collect,
        patience,
        age,
      });
    }
    new Uint8Array(this.linear.buffer).set(modules.tables, L.TABLES);
    this.memory = new SoftMemory(this.linear, config.memorySize, (host, length) => this.core.notifyWrite(host, length));
    this.#configure(config);
    this.vcpus = Array.from({ length: config.cpus }, (_, index) => new SoftVcpu(this, index));
    this.#current = this.vcpus[0];
    for (const vcpu of this.vcpus) vcpu.reset();
  }

  /** Puts a vCPU's state in place, if it isn't. */
  select(vcpu: SoftVcpu): void {
    if (this.#current === vcpu) return;
    this.#current?.park();
    this.#current = vcpu;
    vcpu.unpark();
  }

  isCurrent(vcpu: SoftVcpu): boolean {
    return this.#current === vcpu;
  }

  /** Counters live outside the vCPUs' images: they count for the engine. */
  readStats(): EngineStats {
    const counter = (address: number) => Number(this.view.getBigUint64(address, true));
    const regions = this.regions?.stats;
    return {
      instructions: this.vcpus.reduce((sum, v) => sum + v.instructions, 0),
      blocksDecoded: counter(L.STAT_BLOCKS),
      instructionsDecoded: counter(L.STAT_DECODED),
      tlbMisses: counter(L.STAT_TLB_MISS),
      pageFaults: counter(L.STAT_PAGE_FAULT),
      interrupts: counter(L.STAT_INTERRUPTS),
      exceptions: counter(L.STAT_EXCEPTIONS),
      tlbFlushes: counter(L.STAT_FLUSHES),
      blockLookups: counter(L.STAT_LOOKUPS),
      regionsCompiled: regions?.compiled ?? 0,
      regionsDropped: regions?.dropped ?? 0,
      regionsRefused: regions?.refused ?? 0,
      instructionsTranslated: regions?.instructions ?? 0,
      regionsEntered: counter(L.STAT_REGIONS),
      instructionsInRegions: counter(L.STAT_COMPILED),
      compileMs: regions === undefined ? 0 : regions.emitMs + regions.compileMs + regions.installMs,
    };
  }

  close(): void {
    this.#compiler?.close();
  }

  #configure(config: EngineConfig): void {
    const low = this.memory.regions[0].length;
    this.view.setBigUint64(L.CFG_RAM_LOW, BigInt(low), true);
    this.view.setBigUint64(L.CFG_RAM_HIGH, BigInt(config.memorySize - low), true);
    this.view.setUint32(L.CFG_TSC_KHZ, Math.round(config.tscHz / 1000), true);
    this.view.setUint32(L.CFG_CPUS, config.cpus, true);
    this.view.setUint32(L.CFG_I386, config.arch === 'i386' ? 1 : 0, true);
    this.view.setUint32(L.CFG_PAGE_FLAGS, L.PAGE_FLAGS, true);
  }

  #imports(): CoreImports {
    const sink = this.#sink;
    const gpa = (low: number, high: number) => (low >>> 0) + (high >>> 0) * 0x1_0000_0000;
    const cpu = () => this.#current.index;
    const { view } = this;
    const put = (address: number, low: number, high: number) => {
      view.setUint32(address, low, true);
      view.setUint32(address + 4, high, true);
    };
    return {
      memory: this.linear,
      portIn: (port, size) => sink.portIn(port, size as 1 | 2 | 4),
      portOut: (port, size, value) => sink.portOut(port, size as 1 | 2 | 4, value >>> 0),
      mmioRead: (low, high, size) => sink.mmioRead(gpa(low, high), size as 1 | 2 | 4),
      mmioWrite: (low, high, size, value) => sink.mmioWrite(gpa(low, high), size as 1 | 2 | 4, value >>> 0),
      msrRead: (msr) => {
        const value = sink.readMsr(cpu(), msr >>> 0);
        if (value === undefined) return 0;
        put(MSR_VALUE, value.low, value.high);
        return 1;
      },
      msrWrite: (msr, low, high) => (sink.writeMsr(cpu(), msr >>> 0, low >>> 0, high >>> 0) ? 1 : 0),
      ack: () => sink.acknowledgeInterrupt(cpu()),
      readCr8: () => sink.readCr8(cpu()),
      writeCr8: (value) => sink.writeCr8(cpu(), value),
      tscRead: () => {
        const ticks = sink.readTsc(cpu());
        put(TSC_VALUE, ticks, Math.floor(ticks / 0x1_0000_0000)); // setUint32 takes the low 32 bits
      },
      entropy: () => put(ENTROPY_VALUE, sink.entropy(), sink.entropy()),
      trace: () => {},
      regionDropped: (block) => this.regions?.dropped(block >>> 0),
      regionHot: (block) => this.regions?.hot(block >>> 0),
      pageIn: (low, high) => this.pageIn?.(gpa(low, high)) ?? 0,
    };
  }
}

/** Where core/private.ts expects what imports leave. */
const MSR_VALUE = 0xa00;
const TSC_VALUE = 0xa08;
const ENTROPY_VALUE = 0xa10;

function unreachable(): never {
  throw new Error('the core ran into an abort: a defect of the engine');
}

/** Makes the engine. @throws RangeError for a memory size or vCPU count that can't be. */
export function createSoftEngine(config: EngineConfig, modules: SoftModules): SoftEngine {
  return new SoftEngine(config, modules);
}
