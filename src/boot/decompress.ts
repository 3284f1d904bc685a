/**
 * Unpacks the vmlinux inside a bzImage on the host, which spares the guest a third of its boot. Everything here is pure;
 * the host layer may hand in faster decompressors (Node's zlib).
 */

import { gunzipSync } from 'fflate';
import { decompress as unzstd } from 'fzstd';
import { BootError, formatBytes } from './errors.js';
import { unpackLz4Legacy } from './lz4.js';
import { unpackXz } from './xz.js';

/**
 * Unpacks `packed` to exactly `size` bytes. May throw anything where it can't; what it returns is checked for its size.
 * It must not produce much more than `size` bytes, whatever the input says.
 */
export type Decompressor = (packed: Uint8Array, size: number) => Uint8Array;

/** One for each format that can be unpacked on the host. */
export interface Decompressors {
  readonly gzip: Decompressor;
  readonly xz: Decompressor;
  readonly lz4: Decompressor;
  readonly zstd: Decompressor;
}

/** The ones without any host: fflate, fzstd and our own, whose module (dist/boot/unpack.wasm) the host loads. */
export function pureDecompressors(unpack: () => WebAssembly.Module): Decompressors {
  return {
    gzip: (packed, size) => gunzipSync(packed, { out: new Uint8Array(size) }),
    xz: (packed, size) => unpackXz(unpack(), packed, size, size),
    lz4: (packed, size) => unpackLz4Legacy(unpack(), packed, size),
    zstd: (packed, size) => unzstd(packed, new Uint8Array(size)),
  };
}

const UNPACKED: readonly string[] = ['gzip', 'xz', 'lz4', 'zstd', 'none'] satisfies (keyof Decompressors | 'none')[];

export type Compression = keyof Decompressors | 'bzip2' | 'lzma' | 'lzo' | 'none' | 'unknown';

/** No kernel is larger; a payload that claims more is damaged or hostile. Bytes. */
const MAX_UNPACKED = 512 << 20;

const MAGICS: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['lz4', [0x02, 0x21, 0x4c, 0x18]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['lzma', [0x5d, 0x00, 0x00]],
  ['lzo', [0x89, 0x4c, 0x5a, 0x4f, 0x00]],
  ['none', [0x7f, 0x45, 0x4c, 0x46]],
];

/** How a bzImage's payload is packed, by its first bytes. */
export function detectCompression(payload: Uint8Array): Compression {
  for (const [name, magic] of MAGICS) {
    if (payload.length >= magic.length && magic.every((byte, i) => payload[i] === byte)) return name;
  }
  return 'unknown';
}

/** Whether `unpackPayload` can do it; the guest's own unpacker can do the others. */
export function canUnpack(compression: Compression): compression is keyof Decompressors | 'none' {
  return UNPACKED.includes(compression);
}

/**
 * The vmlinux inside a bzImage's payload. The payload's last four bytes are its unpacked size (gzip has them by itself,
 * the kernel's build appends them to the others); after the ELF file there may be relocations, which a kernel entered at
 * its link address does not need.
 * @throws BootError `unsupported-compression` or `bad-payload`
 */
export function unpackPayload(payload: Uint8Array, decompressors: Decompressors): Uint8Array {
  const compression = detectCompression(payload);
  if (!canUnpack(compression)) {
    throw new BootError(
      'unsupported-compression',
      `The kernel is packed with ${compression}, which only the guest can unpack.`,
    );
  }
  if (compression === 'none') return payload;
  if (payload.length < 8) throw damaged(compression, 'it is too short');
  const size = new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getUint32(payload.length - 4, true);
  if (size === 0 || size > MAX_UNPACKED) throw damaged(compression, `it claims to unpack to ${formatBytes(size)}`);
  const packed = compression === 'gzip' ? payload : payload.subarray(0, -4);
  let unpacked: Uint8Array;
  try {
    unpacked = decompressors[compression](packed, size);
  } catch (error) {
    if (error instanceof BootError) throw error;
    throw damaged(compression, error instanceof Error ? error.message : String(error));
  }
  if (unpacked.length !== size) throw damaged(compression, `it unpacks to ${unpacked.length} bytes instead of ${size}`);
  return unpacked;
}

function damaged(compression: string, why: string): BootError {
  return new BootError(
    'bad-payload',
    `The kernel's ${compression} data are damaged (${why}); fetch or build it again.`,
  );
}
