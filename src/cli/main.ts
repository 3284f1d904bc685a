#!/usr/bin/env node
/**
 * The front door: starts what takes as long as the command line takes to load, be that the thread of a first vCPU on KVM or the
 * compilation of the software engine, and then loads that: one file (program.ts and all it may need), from what V8 made of it in
 * the build, where this is the same V8 with the same flags.
 */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';
import { DEFAULT_MEMORY, MIB } from '../config/limits.js';
import { parseSize } from '../config/size.js';
import { beginModules } from '../host/node/engine-modules.js';
import { startSpareThread } from '../host/node/kvm/spare-thread.js';
import { otherThreads } from '../host/node/priority.js';
import { askForWasmFeatures } from '../host/node/wasm-flags.js';
import type { Begun } from './begun.js';

const KVM = '/dev/kvm';

interface Program {
  main(argv: readonly string[], begun: Begun): Promise<number>;
}
/** What the build makes of the program: the function that Node wraps around a CommonJS module, as an expression. */
type ModuleFunction = (module: { exports?: Program }, require: NodeJS.Require, filename: string) => void;

/** What the arguments mean is not looked at here, but for what is worth beginning with: a wrong guess costs time only. */
function begin(argv: readonly string[]): Begun {
  const own = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
  if (own[0] !== 'run') return {};
  const given = (name: string): string | undefined => {
    const word = own.find((w) => w === name || w.startsWith(`${name}=`));
    return word === name ? own[own.indexOf(name) + 1] : word?.slice(name.length + 1);
  };
  const engine = given('--engine') ?? 'auto';
  if (engine === 'kvm') {
    const worker = new URL('../host/node/kvm/vcpu-worker.js', import.meta.url);
    return existsSync(KVM) ? { thread: startSpareThread(0, worker) } : {};
  }
  if (engine !== 'soft' && mayUse(KVM)) return {};
  try {
    const memory = parseSize(given('--memory') ?? `${DEFAULT_MEMORY / MIB}M`);
    return { modules: beginModules(new URL('../engine/soft/', import.meta.url), memory) };
  } catch {
    return {}; // The command line says what is wrong with it.
  }
}

function mayUse(device: string): boolean {
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

async function loadProgram(): Promise<Program> {
  const filename = fileURLToPath(new URL('program.cjs', import.meta.url));
  const cache = fileURLToPath(new URL('program.cache', import.meta.url));
  const script = new Script(readFileSync(filename, 'latin1'), {
    filename,
    // Another V8 than the build's refuses it, and compiles.
    ...(existsSync(cache) && { cachedData: readFileSync(cache) }),
  });
  // V8 begins to compile WebAssembly when it has been decoded and its caller waits for something.
  for (let turns = 0; turns < 2; turns++) await setImmediate();
  const module: { exports?: Program } = {};
  (script.runInThisContext() as ModuleFunction)(module, createRequire(import.meta.url), filename);
  return module.exports!;
}

// First of all, for what V8 made of the program is good for the same flags only (scripts/code-cache.mjs).
askForWasmFeatures();
const argv = process.argv.slice(2);
const others = otherThreads();
const begun = { others, ...begin(argv) };
// Open handles (a pipe on standard input that nobody closes) must not keep the process.
process.exit(await (await loadProgram()).main(argv, begun));
