/** Chooses and loads an engine. */
import { readFile } from 'node:fs/promises';
import { ConfigError, type MachineConfig } from '../../config/config.js';
import { LARGEST_SOFT_MEMORY, MIB } from '../../config/limits.js';
import { SoftEngine, type SoftModules } from '../../engine/soft/engine.js';
import { collectGarbage } from './collect.js';
import { takeModules } from './engine-modules.js';
import { FileError } from './files.js';

export type { ChosenEngine } from './chosen.js';

import type { ChosenEngine } from './chosen.js';
import { chooseKvm, kvmFailure } from './kvm/choose.js';
import { PACKAGE_ROOT } from './package.js';
import { CompilerThread } from './region-compiler.js';

const BUILT = new URL('dist/engine/soft/', PACKAGE_ROOT);

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
  try {
    const [modules, tables, flow] = await Promise.all([
      takeModules(BUILT, memory),
      readFile(new URL('tables.bin', BUILT)),
      process.env.TYPEVISOR_REGIONS === '0' ? undefined : readFile(new URL('flow.bin', BUILT)),
    ]);
    const regions = flow && { flow, compiler: () => compiler.connect(), collect: collectGarbage };
    return { ...modules, tables, ...(regions && { regions }) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new FileError('The software engine has not been built yet; run npm run build.');
  }
}
