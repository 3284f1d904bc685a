/** What our WebAssembly modules ask of V8 beyond what a version of it gives unasked. */
import { setFlagsFromString } from 'node:v8';

let asked = false;

/**
 * Asks, for the whole process and its threads. Later versions know these flags no more and would say so on stderr.
 *
 * Branch hints: our modules say which way their branches mostly go, and V8 keeps the calls on the other ways from emptying
 * registers on this one. Relaxed SIMD: it has the fused multiply-add (engine/soft/wasm/fused.ts). The register allocator: for
 * large functions, and the interpreter is one, these versions have a quick one that keeps next to everything in memory.
 *
 * Hints: our modules say that the interpreter's big function should be optimized at once. V8 listens to that only when told to,
 * and while it does not compile everything when it is first called. That stays so, for regions are hot, and their functions
 * would be compiled in the guest's time.
 */
export function askForWasmFeatures(): void {
  const [major, minor] = process.versions.v8.split('.').map(Number);
  if (major < 13) setFlagsFromString('--experimental-wasm-branch-hinting');
  if (major < 11 || (major === 11 && minor < 4)) setFlagsFromString('--experimental-wasm-relaxed-simd');
  asked = true;
  listenToHints(true);
  if (major < 12) setFlagsFromString('--no-turbo-use-mid-tier-regalloc-for-huge-functions');
}

function listenToHints(on: boolean): void {
  if (Number.parseInt(process.versions.v8, 10) >= 13) return;
  setFlagsFromString(on ? '--experimental-wasm-compilation-hints' : '--no-experimental-wasm-compilation-hints');
  setFlagsFromString(on ? '--no-wasm-lazy-compilation' : '--wasm-lazy-compilation');
}

/**
 * Compiles in place, and nothing but what is called: whoever executes single instructions must not wait for the interpreter to
 * be optimized (measured: 8 ms instead of 210).
 */
export function compileLazily<T>(compile: () => T): T {
  listenToHints(false);
  try {
    return compile();
  } finally {
    if (asked) listenToHints(true);
  }
}
