/**
 * The software engine's modules for tests, compiled from the sources as they are: core by asc, interpreter and tables by
 * the generator. The core is kept in node_modules/.cache under a hash of its sources, for it takes seconds to compile.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';
import type { SoftModules } from '../../src/engine/soft/engine.js';
import { type Generated, generate } from '../../src/engine/soft/generate.js';
import { restoreHandlers } from '../../src/engine/soft/isa/stored.js';
import { SynchronousCompiler } from '../../src/engine/soft/region/job.js';
import { collectGarbage } from '../../src/host/node/collect.js';
import { askForWasmFeatures } from '../../src/host/node/wasm-flags.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SOFT = join(ROOT, 'src/engine/soft');
const CACHE = join(ROOT, 'node_modules/.cache/typevisor');
/** As in scripts/build.mjs. */
const FLAGS = [
  '-O3 --runtime stub --importMemory --sharedMemory --initialMemory 1 --maximumMemory 65536 --noAssert --memoryBase 8192',
  '--enable simd,threads --debug --use abort=',
].flatMap((words) => words.split(' '));

function coreSources(): string[] {
  const files = [join(SOFT, 'layout.ts'), join(SOFT, 'tables.ts')];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (!entry.name.endsWith('.test.ts')) files.push(path);
    }
  };
  walk(join(SOFT, 'core'));
  return files.sort();
}

async function compile(out: string): Promise<void> {
  const file = relative(ROOT, out);
  const { error, stderr } = await asc.main(['src/engine/soft/core/index.ts', '--outFile', file, ...FLAGS], {
    readFile: (name, base) => {
      const path = join(ROOT, relative(ROOT, join(base, name)));
      return existsSync(path) ? readFileSync(path, 'utf8') : null;
    },
    writeFile: (name, contents, base) => writeFileSync(join(base, name), contents),
    listFiles: () => [],
  });
  if (error) throw new Error(`asc: ${error.message}\n${stderr.toString()}`);
}

let core: Promise<WebAssembly.Module> | undefined;

/** core.wasm, from the cache or compiled. */
export function compileCore(): Promise<WebAssembly.Module> {
  core ??= makeCore();
  return core;
}

async function makeCore(): Promise<WebAssembly.Module> {
  const hash = createHash('sha256').update(FLAGS.join());
  for (const file of coreSources()) hash.update(`${relative(ROOT, file)}\0`).update(readFileSync(file));
  const cached = join(CACHE, `core-${hash.digest('hex').slice(0, 24)}.wasm`);
  if (!existsSync(cached)) {
    mkdirSync(CACHE, { recursive: true });
    const fresh = `${cached}.${process.pid}`;
    await compile(fresh);
    renameSync(fresh, cached);
  }
  return new WebAssembly.Module(readFileSync(cached));
}

let generated: Generated | undefined;

/** Interpreter, tables and handler names. */
export function generatedParts(): Generated {
  generated ??= generate();
  return generated;
}

/**
 * Everything that SoftEngine needs; with `regions` it compiles what is hot.
 * @param hotEvery how often a block has to be entered for that (a power of two)
 */
export async function compileModules(regions = false, hotEvery?: number): Promise<SoftModules> {
  askForWasmFeatures();
  const { interpreter, tables, handlers, flow } = hotEvery ? generate(undefined, hotEvery) : generatedParts();
  return {
    ...(regions && {
      regions: {
        flow,
        compiler: () => new SynchronousCompiler(restoreHandlers(handlers)),
        collect: collectGarbage,
        patience: 1,
      },
    }),
    core: await compileCore(),
    interpreter: new WebAssembly.Module(interpreter as Uint8Array<ArrayBuffer>),
    tables,
  };
}
