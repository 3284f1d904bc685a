/**
 * LZ4's legacy frame, which the kernel's build packs with (`lz4 -l`): a magic, then blocks of at most 8 MiB unpacked,
 * each behind its packed size. Sources: lz4's doc/lz4_Frame_format.md ("Legacy frame") and doc/lz4_Block_format.md.
 */

import { BootError } from './errors.js';
import { Unpacker } from './unpacker.js';

export const LZ4_LEGACY_MAGIC = 0x184c2102;
/** Unpacked size of every block but the last. */
const BLOCK_SIZE = 8 << 20;
/** Packed size of a block at most (LZ4_compressBound). */
const LARGEST_PACKED = BLOCK_SIZE + Math.floor(BLOCK_SIZE / 255) + 16;
/** Bytes unpacked in one call: V8 replaces its baseline's code by optimized code only between calls. */
const GO = 512 << 10;

/**
 * Unpacks a legacy frame of exactly `size` unpacked bytes.
 * @param module dist/boot/unpack.wasm
 * @throws BootError where the data are malformed or do not unpack to `size` bytes.
 */
export function unpackLz4Legacy(module: WebAssembly.Module, input: Uint8Array, size: number): Uint8Array {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  if (input.length < 8 || view.getUint32(0, true) !== LZ4_LEGACY_MAGIC)
    throw malformed('it has no legacy frame header');
  const output = new Unpacker(module, Math.min(input.length, LARGEST_PACKED), malformed);
  output.reserve(size);
  let from = 4;
  while (from + 4 <= input.length && output.length < size) {
    const packed = view.getUint32(from, true);
    from += 4;
    // Frames may be concatenated, so a magic may stand where a block's size is expected.
    if (packed === LZ4_LEGACY_MAGIC) continue;
    if (packed > input.length - from) throw malformed('a block runs beyond the end');
    if (packed > LARGEST_PACKED) throw malformed(`a block has ${packed} bytes`);
    unpackBlock(output, input.subarray(from, from + packed), Math.min(BLOCK_SIZE, size - output.length));
    from += packed;
  }
  if (output.length !== size) throw malformed(`it unpacks to ${output.length} bytes instead of ${size}`);
  return output.bytes();
}

/** Unpacks one block of at most `most` bytes. References do not reach before it. */
function unpackBlock(output: Unpacker, packed: Uint8Array, most: number): void {
  const { module } = output;
  const start = output.address(output.length);
  let from = output.input(packed);
  let to = start;
  for (const end = from + packed.length; from < end; from = module.readTo(), to = module.writtenTo())
    output.check(module.unpackLz4(from, end, start, to, start + most, to + GO));
  output.length += to - start;
}

function malformed(why: string): BootError {
  return new BootError('bad-payload', `The LZ4 data are damaged: ${why}.`);
}
