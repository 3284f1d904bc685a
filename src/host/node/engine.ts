/** Chooses and loads an engine. */
import { readFile } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';
import { ConfigError, type MachineConfig } from '../../config/config.js';
import { LARGEST_SOFT_MEMORY, MIB } from '../../config/limits.js';
import { SoftEngine, type SoftModules } from '../../engine/soft/engine.js';
import { linearPages } from '../../engine/soft/memory.js';
import { withFixedMemory } from '../../engine/soft/wasm/fixed-memory.js';
import { collectGarbage } from './collect.js';
import { FileError } from './files.js';

export type { ChosenEngine } from './chosen.js';

import type { ChosenEngine } from './chosen.js';
import { chooseKvm, kvmFailure } from './kvm/choose.js';
import { PACKAGE_ROOT } from './package.js';
import { CompilerThread } from './region-compiler.js';
import { askForWasmFeatures } from './wasm-flags.js';

/**
 * The engine that a configuration asks for. Loading begins at once, beside whatever the caller does meanwhile.
 * @throws EngineError where KVM is insisted on and can't be had; ConfigError where no engine here can have that much memory
 */
export function chooseEngine(config: MachineConfig): ChosenEngine {
  if (config.engine === 'kvm') return chooseKvm(config, 'as asked for');
  if (config.engine === 'soft') return chooseSoft(config, 'as asked for');
  if (config.deterministic) return chooseSoft(config, 'the one that counts instructions');
  const failure = kvmFailure();
  if (failure === undefined) return chooseKvm(config, 'KVM works here');
  if (config.memory > LARGEST_SOFT_MEMORY) {
    throw new ConfigError(
      `The software engine has at most ${LARGEST_SOFT_MEMORY / MIB}M of memory, and KVM can't be used: ${failure}; give less memory.`,
    );
  }
  return chooseSoft(config, failure);
}

function chooseSoft(config: MachineConfig, reason: string): ChosenEngine {
  const compiler = new CompilerThread();
  const modules = loadSoftModules(compiler, config.memory);
  // Whoever makes the machine sees the error; until then nobody may be asking.
  modules.catch(() => {});
  return {
    name: 'soft',
    reason,
    create: async (config) => new SoftEngine(config, await modules),
    prepare: async () => {
      if ((await modules).regions !== undefined) await compiler.prepare();
    },
    close: () => compiler.close(),
  };
}

/**
 * What the build has made of the engine, compiled. Regions are compiled on `compiler`, which the caller closes.
 * @param memory RAM of the machine in bytes. Default: the modules serve any machine, but less fast
 * @throws FileError where it has not been built
 */
export async function loadSoftModules(compiler = new CompilerThread(), memory?: number): Promise<SoftModules> {
  const done = listenToHints();
  const compiled = async (name: string): Promise<WebAssembly.Module> => {
    const bytes = await built(name);
    return WebAssembly.compile(memory === undefined ? bytes : withFixedMemory(bytes, linearPages(memory)));
  };
  try {
    const [core, interpreter, tables, flow] = await Promise.all([
      compiled('core.wasm'),
      compiled('interp.wasm'),
      built('tables.bin'),
      process.env.TYPEVISOR_REGIONS === '0' ? undefined : built('flow.bin'),
    ]);
    const regions = flow && { flow, compiler: () => compiler.connect(), collect: collectGarbage };
    return { core, interpreter, tables, ...(regions && { regions }) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new FileError('The software engine has not been built yet; run npm run build.');
  } finally {
    done();
  }
}

/**
 * Besides what wasm-flags.ts asks for: our modules say that the interpreter's big function should be optimized at once. V8
 * listens to that only when told to, and while it does not compile everything when it is first called. That stays so, for
 * regions are hot, and their functions would be compiled in the guest's time. Later versions know no such flags and would
 * say so on stderr.
 *
 * @returns to be called when what is compiled now has been compiled
 */
function listenToHints(): () => void {
  // Compiling keeps no event loop alive, and Node waits for all of V8's threads, optimizing ones too, when one has ended.
  const alive = setInterval(() => {}, 1e9);
  askForWasmFeatures();
  const listens = Number.parseInt(process.versions.v8, 10) < 13;
  if (listens) {
    setFlagsFromString('--experimental-wasm-compilation-hints');
    setFlagsFromString('--no-wasm-lazy-compilation');
  }
  return () => clearInterval(alive);
}

function built(name: string): Promise<Uint8Array<ArrayBuffer>> {
  return readFile(new URL(`dist/engine/soft/${name}`, PACKAGE_ROOT));
}
