/** Kernel decompressors with Node's zlib where it has the format; the others are the pure ones. */

import { readFileSync } from 'node:fs';
import * as zlib from 'node:zlib';
import { type Decompressors, pureDecompressors } from '../../boot/decompress.js';
import { FileError } from './files.js';
import { PACKAGE_ROOT } from './package.js';

let unpack: WebAssembly.Module | undefined;

/** The module of our own unpackers. @throws FileError where it has not been built */
export function loadUnpackModule(): WebAssembly.Module {
  try {
    unpack ??= new WebAssembly.Module(readFileSync(new URL('dist/boot/unpack.wasm', PACKAGE_ROOT)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new FileError('The unpackers have not been built yet; run npm run build.');
  }
  return unpack;
}

const pure = pureDecompressors(loadUnpackModule);

export const nodeDecompressors: Decompressors = {
  ...pure,
  gzip: (packed, size) => zlib.gunzipSync(packed, { maxOutputLength: size }),
  // Node 20 has no zstd.
  zstd: (packed, size) =>
    typeof zlib.zstdDecompressSync === 'function'
      ? zlib.zstdDecompressSync(packed, { maxOutputLength: size, params: { [zlib.constants.ZSTD_d_windowLogMax]: 27 } })
      : pure.zstd(packed, size),
};
