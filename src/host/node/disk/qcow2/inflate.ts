/** Unpacks one compressed cluster. What follows the packed bytes is of no meaning, and no more than a cluster comes out. */
import { inflateRawSync } from 'node:zlib';
import { Decompress } from 'fzstd';
import type { Compression } from './header.js';

class Enough extends Error {}

/** @returns undefined where the bytes do not unpack to a whole cluster */
export function inflateCluster(packed: Uint8Array, cluster: number, how: Compression): Uint8Array | undefined {
  try {
    const bytes = how === 'deflate' ? inflateRawSync(packed, { maxOutputLength: cluster }) : unzstd(packed, cluster);
    return bytes.length === cluster ? bytes : undefined;
  } catch {
    return undefined;
  }
}

function unzstd(packed: Uint8Array, cluster: number): Uint8Array {
  const bytes = new Uint8Array(cluster);
  let filled = 0;
  const stream = new Decompress((chunk) => {
    bytes.set(chunk.subarray(0, cluster - filled), filled);
    filled = Math.min(cluster, filled + chunk.length);
    if (filled === cluster) throw new Enough();
  });
  try {
    stream.push(packed);
  } catch (error) {
    if (!(error instanceof Enough)) throw error;
  }
  return bytes.subarray(0, filled);
}
