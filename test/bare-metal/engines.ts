/** The one place where these suites get an engine: the same programs run on whatever stands behind the contract. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Engine, EngineConfig } from '../../src/engine/contract.js';
import { KvmEngine } from '../../src/engine/kvm/engine.js';
import { createSoftEngine, type SoftModules } from '../../src/engine/soft/engine.js';
import { NodeKvmHost } from '../../src/host/node/kvm/host.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Where the build put the engine's modules; TYPEVISOR_SOFT names another build. */
const folder = process.env.TYPEVISOR_SOFT ?? join(root, 'dist/engine/soft');

let modules: SoftModules | undefined;

function softModules(): SoftModules {
  const file = (name: string) => new Uint8Array(readFileSync(join(folder, name)));
  modules ??= {
    core: new WebAssembly.Module(file('core.wasm')),
    interpreter: new WebAssembly.Module(file('interp.wasm')),
    tables: file('tables.bin'),
  };
  return modules;
}

/** An engine to test. The caller closes it. */
export function openEngine(config: EngineConfig): Engine {
  if (process.env.TYPEVISOR_TEST_ENGINE === 'kvm') return new KvmEngine(config, new NodeKvmHost());
  return createSoftEngine(config, softModules());
}
