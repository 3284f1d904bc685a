/** Unpacks one compressed cluster. What follows the packed bytes is of no meaning, and no more than a cluster comes out. */
import { inflateRawSync } from 'node:zlib';
import { Decompress } from 'fzstd';
import type { Compression } from './header.js';

class Enough extends Error {}

/** fzstd waits for more where it has less than this. */
const LEAST_PUSHED = 18;
/** Windows that every decoder of zstd has (RFC 8878, 3.1.1.1.2). A frame may ask for terabytes. */
const LARGEST_WINDOW = 8 * 2 ** 20;

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
  if (windowOf(packed) > LARGEST_WINDOW) throw new RangeError('a window without honest reason');
  const bytes = new Uint8Array(cluster);
  let filled = 0;
  const stream = new Decompress((chunk) => {
    bytes.set(chunk.subarray(0, cluster - filled), filled);
    filled = Math.min(cluster, filled + chunk.length);
    if (filled === cluster) throw new Enough();
  });
  try {
    stream.push(packed.length < LEAST_PUSHED ? padded(packed) : packed);
  } catch (error) {
    if (!(error instanceof Enough)) throw error;
  }
  return bytes.subarray(0, filled);
}

function padded(packed: Uint8Array): Uint8Array {
  const longer = new Uint8Array(LEAST_PUSHED);
  longer.set(packed);
  return longer;
}

/** The memory that a frame asks for (RFC 8878, 3.1.1.1). */
function windowOf(frame: Uint8Array): number {
  const descriptor = frame[4];
  if ((descriptor & 0x20) === 0) {
    const base = 2 ** (10 + (frame[5] >> 3));
    return base + (base / 8) * (frame[5] & 7);
  }
  // A single segment: its window is its content, whose size follows the dictionary's number.
  const at = 5 + [0, 1, 2, 4][descriptor & 3];
  const length = [1, 2, 4, 8][descriptor >> 6];
  let size = 0;
  for (let i = length - 1; i >= 0; i--) size = size * 256 + (frame[at + i] ?? 0);
  return length === 2 ? size + 256 : size;
}
