/**
 * The software engine's two modules, compiled for a machine. V8's optimizer takes longer for the interpreter than anything else
 * that a guest's start needs, so the command line begins with it before it is itself loaded: this file imports next to nothing.
 */
import { readFileSync } from 'node:fs';
import { linearPages } from '../../engine/soft/memory.js';
import { withFixedMemory } from '../../engine/soft/wasm/fixed-memory.js';
import { askForWasmFeatures } from './wasm-flags.js';

export interface EngineModules {
  readonly core: WebAssembly.Module;
  readonly interpreter: WebAssembly.Module;
}

/**
 * Reads and compiles what the build has made. The interpreter is optimized when this resolves, where V8 takes our hints.
 * @param folder dist/engine/soft
 * @param memory RAM of the machine in bytes; undefined: the modules serve any machine, but less fast
 */
export async function compileModules(folder: URL, memory: number | undefined): Promise<EngineModules> {
  askForWasmFeatures();
  // Compiling keeps no event loop alive, and Node waits for all of V8's threads, optimizing ones too, when one has ended.
  const alive = setInterval(() => {}, 1e9);
  // In place, so that the compiler has its work when this returns.
  const compiled = async (name: string): Promise<WebAssembly.Module> => {
    const bytes = readFileSync(new URL(name, folder));
    return WebAssembly.compile(memory === undefined ? bytes : withFixedMemory(bytes, linearPages(memory)));
  };
  try {
    const [core, interpreter] = await Promise.all([compiled('core.wasm'), compiled('interp.wasm')]);
    return { core, interpreter };
  } finally {
    clearInterval(alive);
  }
}

/** Modules that are being compiled for a machine with `memory` bytes of RAM. */
export interface ModulesBegun {
  readonly memory: number;
  readonly modules: Promise<EngineModules>;
}

/** Begins to compile for a machine with `memory` bytes of RAM, in case that somebody wants what comes of it. */
export function beginModules(folder: URL, memory: number): ModulesBegun {
  const modules = compileModules(folder, memory);
  // Whoever wants it sees the error.
  modules.catch(() => {});
  return { memory, modules };
}

let lent: ModulesBegun | undefined;

/** Leaves modules to whoever has such a machine. */
export function lendModules(modules: ModulesBegun): void {
  lent = modules;
}

/** What has been lent for such a machine, else what is compiled now. */
export function takeModules(folder: URL, memory: number | undefined): Promise<EngineModules> {
  return lent !== undefined && lent.memory === memory ? lent.modules : compileModules(folder, memory);
}
