/** Chooses and loads an engine. */
import { readFile } from 'node:fs/promises';
import type { MachineConfig } from '../../config/config.js';
import type { Engine, EngineConfig } from '../../engine/contract.js';
import { SoftEngine, type SoftModules } from '../../engine/soft/engine.js';
import { collectGarbage } from './collect.js';
import { FileError } from './files.js';
import { PACKAGE_ROOT } from './package.js';
import { ThreadedCompiler } from './region-compiler.js';
import { askForWasmFeatures } from './wasm-flags.js';

export interface ChosenEngine {
  readonly name: string;
  /** Why this one, for `--verbose`. */
  readonly reason: string;
  readonly create: (config: EngineConfig) => Promise<Engine>;
}

/** Loading begins at once, beside whatever the caller does meanwhile. */
export function chooseEngine(asked: MachineConfig['engine']): ChosenEngine {
  const modules = loadSoftModules();
  // Whoever makes the machine sees the error; until then nobody may be asking.
  modules.catch(() => {});
  return {
    name: 'soft',
    reason: asked === 'soft' ? 'as asked for' : 'the only engine of this version',
    create: async (config) => new SoftEngine(config, await modules),
  };
}

/** What the build has made of the engine, compiled. @throws FileError where it has not been built. */
export async function loadSoftModules(): Promise<SoftModules> {
  askForWasmFeatures();
  try {
    const [core, interpreter, tables, flow] = await Promise.all([
      built('core.wasm').then((bytes) => WebAssembly.compile(bytes)),
      built('interp.wasm').then((bytes) => WebAssembly.compile(bytes)),
      built('tables.bin'),
      process.env.TYPEVISOR_REGIONS === '0' ? undefined : built('flow.bin'),
    ]);
    const regions = flow && { flow, compiler: () => new ThreadedCompiler(), collect: collectGarbage };
    return { core, interpreter, tables, ...(regions && { regions }) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new FileError('The software engine has not been built yet; run npm run build.');
  }
}

function built(name: string): Promise<Uint8Array<ArrayBuffer>> {
  return readFile(new URL(`dist/engine/soft/${name}`, PACKAGE_ROOT));
}
