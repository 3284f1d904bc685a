#!/usr/bin/env node
/**
 * The front door: starts the thread of a first vCPU on KVM, which takes as long to start as the command line takes to load, and
 * then loads that: one file (program.ts and all it may need), from what V8 made of it in the build, where this is the same V8.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';
import { type SpareThread, startSpareThread } from '../host/node/kvm/spare-thread.js';

interface Program {
  main(argv: readonly string[], spare: SpareThread | undefined): Promise<number>;
}
/** What the build makes of the program: the function that Node wraps around a CommonJS module, as an expression. */
type ModuleFunction = (module: { exports?: Program }, require: NodeJS.Require, filename: string) => void;

/** Whether KVM is insisted on; what the arguments mean else is not looked at here. */
function asksForKvm(argv: readonly string[]): boolean {
  const own = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
  return own[0] === 'run' && (own.includes('--engine=kvm') || own[own.indexOf('--engine') + 1] === 'kvm');
}

function loadProgram(): Program {
  const filename = fileURLToPath(new URL('program.cjs', import.meta.url));
  const cache = fileURLToPath(new URL('program.cache', import.meta.url));
  const script = new Script(readFileSync(filename, 'latin1'), {
    filename,
    // Another V8 than the build's refuses it, and compiles.
    ...(existsSync(cache) && { cachedData: readFileSync(cache) }),
  });
  const module: { exports?: Program } = {};
  (script.runInThisContext() as ModuleFunction)(module, createRequire(import.meta.url), filename);
  return module.exports!;
}

const argv = process.argv.slice(2);
const worker = new URL('../host/node/kvm/vcpu-worker.js', import.meta.url);
const spare = asksForKvm(argv) && existsSync('/dev/kvm') ? startSpareThread(0, worker) : undefined;
// Open handles (a pipe on standard input that nobody closes) must not keep the process.
process.exit(await loadProgram().main(argv, spare));
