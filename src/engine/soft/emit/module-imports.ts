/** The functions of core that a module under construction imports, each once. */
import type { ModuleBuilder } from '../wasm/module.js';
import type { ValType } from '../wasm/ops.js';
import type { CoreImports } from './machine-emitter.js';

export class ModuleImports implements CoreImports {
  readonly #known = new Map<string, { index: number; params: string }>();
  readonly #module: ModuleBuilder;
  constructor(module: ModuleBuilder) {
    this.#module = module;
  }

  index(name: string, params: readonly ValType[], result: ValType | undefined): number {
    const signature = `${params.join()}>${result ?? ''}`;
    const known = this.#known.get(name);
    if (known) {
      if (known.params !== signature) throw new Error(`core function ${name}: ${signature}, before ${known.params}`);
      return known.index;
    }
    const index = this.#module.import('core', name, { params, result });
    this.#known.set(name, { index, params: signature });
    return index;
  }
}
