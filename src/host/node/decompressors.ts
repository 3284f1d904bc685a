/** Kernel decompressors with Node's zlib where it has the format; the others are the pure ones. */

import * as zlib from 'node:zlib';
import { type Decompressors, pureDecompressors } from '../../boot/decompress.js';

export const nodeDecompressors: Decompressors = {
  ...pureDecompressors,
  gzip: (packed, size) => zlib.gunzipSync(packed, { maxOutputLength: size }),
  // Node 20 has no zstd.
  zstd: (packed, size) =>
    typeof zlib.zstdDecompressSync === 'function'
      ? zlib.zstdDecompressSync(packed, { maxOutputLength: size, params: { [zlib.constants.ZSTD_d_windowLogMax]: 27 } })
      : pureDecompressors.zstd(packed, size),
};
