/** The software engine's modules as the build made them, for whoever needs them at once. */
import { readFileSync } from 'node:fs';
import type { SoftModules } from '../../engine/soft/engine.js';
import { PACKAGE_ROOT } from './package.js';
import { compileLazily } from './wasm-flags.js';

let loaded: SoftModules | undefined;

/** Without regions: what executes single instructions compiles none. Reads and compiles in place, once. */
export function loadStepperModules(): SoftModules {
  const file = (name: string) => new Uint8Array(readFileSync(new URL(`dist/engine/soft/${name}`, PACKAGE_ROOT)));
  loaded ??= compileLazily(() => ({
    core: new WebAssembly.Module(file('core.wasm')),
    interpreter: new WebAssembly.Module(file('interp.wasm')),
    tables: file('tables.bin'),
  }));
  return loaded;
}
