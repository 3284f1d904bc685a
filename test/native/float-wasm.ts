// Compiles the floating point part of the software CPU with asc and instantiates it, for tests.

import asc from 'assemblyscript/asc';

/** Every export takes and returns numbers (i32) and BigInts (i64). */
export type FloatExports = Record<string, (...args: (number | bigint)[]) => number | bigint>;

export interface FloatModule {
  readonly fn: FloatExports;
  readonly memory: WebAssembly.Memory;
  readonly view: DataView;
  readonly bytes: Uint8Array;
}

/** As scripts/build.mjs compiles the core. */
const FLAGS = '-O3 --runtime stub --importMemory --noAssert --memoryBase 8192 --enable simd --use abort=';

/** Compiles an entry file (relative to the repository) as the build does. */
export async function compileCore(entry: string): Promise<Uint8Array<ArrayBuffer>> {
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main([entry, '-o', 'out.wasm', ...FLAGS.split(' ')], {
    writeFile(name: string, contents: Uint8Array | string) {
      if (name.endsWith('.wasm') && typeof contents !== 'string') binary = contents;
    },
  });
  if (error || binary === undefined) throw new Error(`asc: ${String(stderr)}`);
  return new Uint8Array(binary);
}

export async function loadFloat(): Promise<FloatModule> {
  const memory = new WebAssembly.Memory({ initial: 64 });
  const module = await WebAssembly.compile(await compileCore('src/engine/soft/core/float/index.ts'));
  const instance = await WebAssembly.instantiate(module, {
    env: { memory },
  });
  return {
    fn: instance.exports as unknown as FloatExports,
    memory,
    view: new DataView(memory.buffer),
    bytes: new Uint8Array(memory.buffer),
  };
}
