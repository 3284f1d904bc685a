// Builds dist: the TypeScript sources, the engine's core (AssemblyScript) and its generated interpreter.
// A build whose inputs have not changed is not repeated; a build that fails leaves the old dist as it was.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { root, run, runScript, tool } from './steps.mjs';

const STAMP = 'inputs.sha256';
/** Runs the program, so it comes when dist is in its place. */
const CODE_CACHE = 'scripts/code-cache.mjs';
/** AssemblyScript without a heap and a run time of its own. */
const ASSEMBLYSCRIPT = '-O3 --runtime stub --noAssert --use abort='.split(' ');
/**
 * The core's constants lie above the CPU state (src/engine/soft/layout.ts), and its memory is shared with the threads that do
 * the host's I/O.
 */
const CORE_FLAGS = [
  '--importMemory --sharedMemory --initialMemory 1 --maximumMemory 65536 --memoryBase 8192 --enable simd,threads --debug',
  // JavaScript can't pass a vector; who does is the interpreter's module and regions.
  '--disableWarning 112',
].flatMap((words) => words.split(' '));

/** The inputs of a build: every source that is not a test, and what says how to build. */
function inputs() {
  const files = ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts/build.mjs', CODE_CACHE];
  const walk = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (!entry.name.endsWith('.test.ts')) files.push(relative(root, path));
    }
  };
  walk(join(root, 'src'));
  return files.sort();
}

function fingerprint() {
  const hash = createHash('sha256');
  for (const file of inputs())
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update('\0');
  return hash.digest('hex');
}

function isUpToDate(wanted) {
  const stamp = join(root, 'dist', STAMP);
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;
}

/** Builds if need be. Everything is made in a folder of its own, which then takes the place of dist. */
export async function build({ force = false } = {}) {
  const wanted = fingerprint();
  if (!force && isUpToDate(wanted)) return;
  process.stderr.write('Building ...\n');
  const out = join(root, `.dist-${process.pid}`);
  rmSync(out, { recursive: true, force: true });
  try {
    await tool('typescript/bin/tsc', ['-p', 'tsconfig.build.json', '--outDir', out]);
    await buildEngine(out);
    await assembly('src/boot/unpack', join(out, 'boot/unpack.wasm'), ['--enable', 'simd']);
    await bundleCli(out);
    writeFileSync(join(out, STAMP), wanted);
    replace(join(root, 'dist'), out);
    await run(process.execPath, [join(root, CODE_CACHE), join(root, 'dist/cli/program.cjs')]);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

async function assembly(folder, file, flags) {
  const module = [`${folder}/index.ts`, '--outFile', relative(root, file)];
  await tool('assemblyscript/bin/asc.js', [...module, ...ASSEMBLYSCRIPT, ...flags]);
}

async function buildEngine(out) {
  const folder = join(out, 'engine/soft');
  mkdirSync(folder, { recursive: true });
  await assembly('src/engine/soft/core', join(folder, 'core.wasm'), CORE_FLAGS);
  const { generate } = await import(pathToFileURL(join(folder, 'generate.js')).href);
  const { interpreter, tables, handlers, flow } = generate();
  writeFileSync(join(folder, 'interp.wasm'), interpreter);
  writeFileSync(join(folder, 'tables.bin'), tables);
  writeFileSync(join(folder, 'handlers.json'), JSON.stringify(handlers));
  writeFileSync(join(folder, 'flow.bin'), flow);
}

/**
 * The command line in one file, as an expression that main.js evaluates: loading sixty modules one by one would be a third of
 * the time to a guest's first step. What runs on a thread of its own is an entry of its own.
 */
async function bundleCli(out) {
  const { build: bundle } = await import('esbuild');
  const common = { bundle: true, platform: 'node', target: 'node20.19', external: ['koffi'], logLevel: 'warning' };
  const threads = readdirSync(join(out, 'host/node'), { recursive: true }).filter((file) =>
    file.endsWith('-worker.js'),
  );
  for (const file of ['cli/main.js', ...threads.map((thread) => join('host/node', thread))])
    await bundle({
      ...common,
      entryPoints: [join(out, file)],
      outdir: join(out, dirname(file)),
      allowOverwrite: true,
      splitting: true,
      format: 'esm',
    });
  const program = join(out, 'cli/program.cjs');
  const url = 'moduleUrl';
  await bundle({
    ...common,
    entryPoints: [join(out, 'cli/program.js')],
    outfile: program,
    format: 'cjs',
    // A script from V8's cache has lost whom to ask for modules.
    supported: { 'dynamic-import': false },
    define: { 'import.meta.url': url },
    banner: {
      js: `(function (module, require, __filename) { const ${url} = require("node:url").pathToFileURL(__filename).href;`,
    },
    footer: { js: '})' },
  });
  // It is read byte for byte (main.ts); what is not ASCII yet are comments.
  const ascii = (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`;
  writeFileSync(program, readFileSync(program, 'utf8').replace(/[^\0-\x7f]/g, ascii));
}

/** Renames: at no time does a reader see half a dist. */
function replace(folder, fresh) {
  const old = `${fresh}-old`;
  if (existsSync(folder)) renameSync(folder, old);
  renameSync(fresh, folder);
  rmSync(old, { recursive: true, force: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runScript(() => build({ force: process.argv.includes('--force') }));
}
