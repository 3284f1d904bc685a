/** A garbage collection now, of the calling thread's heap. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let collector: (() => void) | undefined;

/**
 * Compiled WebAssembly code is freed only by a full collection, and a heap that hardly grows does not bring one about: a
 * guest that makes code for ever would fill the address space.
 */
export function collectGarbage(): void {
  if (!collector) {
    setFlagsFromString('--expose-gc');
    collector = runInNewContext('gc') as () => void;
    setFlagsFromString('--no-expose-gc');
  }
  collector();
}
