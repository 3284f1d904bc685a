import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withFixedMemory } from './fixed-memory.js';
import { FunctionBuilder } from './function.js';
import { ModuleBuilder } from './module.js';
import * as w from './ops.js';

/** A module like ours: a function that is called, a table, the memory, and a function that reads the memory. */
function example(withTable: boolean): Uint8Array {
  const module = new ModuleBuilder('example');
  module.import('core', 'f', { params: ['i32'], result: undefined });
  if (withTable) module.importTable('regions');
  const f = new FunctionBuilder({ params: [], result: 'i32' });
  f.return(w.load('i32', w.i32c(0), 8));
  module.export('read', module.add(f));
  return module.build(1);
}

const memory = (initial: number, maximum = initial) => new WebAssembly.Memory({ initial, maximum, shared: true });

function instantiate(bytes: Uint8Array, given: WebAssembly.Memory): () => number {
  const regions = new WebAssembly.Table({ element: 'anyfunc', initial: 1 });
  const module = new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>);
  const { exports } = new WebAssembly.Instance(module, { env: { memory: given, regions }, core: { f: () => {} } });
  return exports.read as () => number;
}

describe('a module with a memory of fixed size', () => {
  it.each([false, true])('works with that memory and no other (a table beside it: %s)', (withTable) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), (pages) => {
        const bytes = withFixedMemory(example(withTable), pages);
        const given = memory(pages);
        new Uint32Array(given.buffer)[2] = pages;
        expect(instantiate(bytes, given)()).toBe(pages);
        expect(() => instantiate(bytes, memory(pages, pages + 1))).toThrow(/memory/);
        expect(() => instantiate(bytes, memory(pages + 1))).toThrow(/memory/);
      }),
      { numRuns: 30 },
    );
  });

  it.each(['core', 'interp'])('is what the build has made but for the limits: %s', (name) => {
    const before = new Uint8Array(readFileSync(`dist/engine/soft/${name}.wasm`));
    const after = withFixedMemory(before, 65535);
    const [a, b] = [before, after].map((bytes) => new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>));
    expect(WebAssembly.Module.imports(b)).toEqual(WebAssembly.Module.imports(a));
    expect(WebAssembly.Module.exports(b)).toEqual(WebAssembly.Module.exports(a));
    expect(after.length - before.length).toBeLessThan(8);
  });

  it('is refused where nothing imports a memory', () => {
    expect(() => withFixedMemory(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]), 1)).toThrow(/imports nothing/);
    const one = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 2, 7, 1, 1, 0x61, 1, 0x62, 0, 0]);
    expect(WebAssembly.validate(one)).toBe(true);
    expect(() => withFixedMemory(one, 1)).toThrow(/imports no memory/);
  });
});
