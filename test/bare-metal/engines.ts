/** The one place where these suites get an engine: the same programs run on whatever stands behind the contract. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Engine, EngineConfig } from '../../src/engine/contract.js';
import { KvmEngine } from '../../src/engine/kvm/engine.js';
import { createSoftEngine, type SoftModules } from '../../src/engine/soft/engine.js';
import { SoftStepper } from '../../src/engine/soft/stepper.js';
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

/** TYPEVISOR_TEST_ENGINE=kvm runs these suites on KVM; what a poor KVM can't do fails there (test/kvm/bare-metal.test.ts). */
const ENGINE = process.env.TYPEVISOR_TEST_ENGINE ?? 'soft';

/** An engine to test. The caller closes it. */
export function openEngine(config: EngineConfig, which = ENGINE): Engine {
  if (which !== 'kvm') return createSoftEngine(config, softModules());
  const engine = new KvmEngine(config, new NodeKvmHost());
  const { cpus, sink, tscHz, arch } = config;
  const { memory } = engine;
  engine.helper = () => new SoftStepper(softModules(), { memory, cpus, sink, tscHz, ...(arch && { arch }) });
  return engine;
}

/** The machine begins afresh, with page tables that nobody has seen before. */
export function forgetTranslations(engine: Engine): void {
  if (engine instanceof KvmEngine) engine.vm.remapMemory();
}
