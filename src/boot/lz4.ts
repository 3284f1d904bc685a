/**
 * LZ4's legacy frame, which the kernel's build packs with (`lz4 -l`): a magic, then blocks of at most 8 MiB unpacked,
 * each behind its packed size. Sources: lz4's doc/lz4_Frame_format.md ("Legacy frame") and doc/lz4_Block_format.md.
 */

import { BootError } from './errors.js';

export const LZ4_LEGACY_MAGIC = 0x184c2102;
/** Unpacked size of every block but the last. */
const BLOCK_SIZE = 8 << 20;
/** Below this a loop is faster than a call of copyWithin or set. */
const SHORT = 48;
/** Literals up to this many are copied as two words, whatever their number: four in five sequences have so few. */
const WORDS = 8;

/**
 * Unpacks a legacy frame of exactly `size` unpacked bytes.
 * @throws BootError where the data are malformed or do not unpack to `size` bytes.
 */
export function unpackLz4Legacy(input: Uint8Array, size: number): Uint8Array {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  if (input.length < 8 || view.getUint32(0, true) !== LZ4_LEGACY_MAGIC)
    throw malformed('it has no legacy frame header');
  const output = new Uint8Array(size);
  let from = 4;
  let to = 0;
  while (from + 4 <= input.length && to < size) {
    const packed = view.getUint32(from, true);
    from += 4;
    // Frames may be concatenated, so a magic may stand where a block's size is expected.
    if (packed === LZ4_LEGACY_MAGIC) continue;
    if (packed > input.length - from) throw malformed('a block runs beyond the end');
    to = unpackBlock(input, from, from + packed, output, to, Math.min(to + BLOCK_SIZE, size));
    from += packed;
  }
  if (to !== size) throw malformed(`it unpacks to ${to} bytes instead of ${size}`);
  return output;
}

/** Unpacks one block into output[to, limit); returns where it ended. References may not reach before the block. */
function unpackBlock(
  input: Uint8Array,
  from: number,
  end: number,
  output: Uint8Array,
  to: number,
  limit: number,
): number {
  const start = to;
  // Words may be read and written unaligned through these. Near the ends of the arrays single bytes are copied instead.
  const source = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const target = new DataView(output.buffer, output.byteOffset, output.byteLength);
  const wordsFrom = input.length - WORDS;
  const wordsTo = output.length - WORDS;
  while (from < end) {
    const token = input[from++];
    let literals = token >>> 4;
    if (literals === 15) {
      let more = 255;
      while (more === 255 && from < end) literals += more = input[from++];
    }
    if (literals > end - from || literals > limit - to) throw malformed('literals run beyond the end');
    if (literals <= WORDS && from <= wordsFrom && to <= wordsTo) {
      // What is written beyond the literals is overwritten by what comes next.
      target.setInt32(to, source.getInt32(from, true), true);
      target.setInt32(to + 4, source.getInt32(from + 4, true), true);
      from += literals;
      to += literals;
    } else if (literals < SHORT) for (const stop = to + literals; to < stop; ) output[to++] = input[from++];
    else {
      output.set(input.subarray(from, from + literals), to);
      from += literals;
      to += literals;
    }
    if (from >= end) break; // The last sequence has literals only.
    if (end - from < 2) throw malformed('an offset is cut off');
    const offset = input[from] | (input[from + 1] << 8);
    from += 2;
    let length = token & 15;
    if (length === 15) {
      let more = 255;
      while (more === 255 && from < end) length += more = input[from++];
    }
    length += 4;
    let match = to - offset;
    if (offset === 0 || match < start) throw malformed('a match reaches before the start');
    if (length > limit - to) throw malformed('a match runs beyond the end');
    const stop = to + length;
    if (offset >= 4 && length < SHORT && stop <= wordsTo) {
      do {
        target.setInt32(to, target.getInt32(match, true), true);
        to += 4;
        match += 4;
      } while (to < stop);
      to = stop;
    } else if (length < SHORT || offset < SHORT) while (to < stop) output[to++] = output[match++];
    else {
      // copyWithin does not repeat what it has just written, so a match longer than its offset goes piece by piece.
      while (to < stop) {
        const piece = Math.min(stop - to, to - match);
        output.copyWithin(to, match, match + piece);
        to += piece;
      }
    }
  }
  return to;
}

function malformed(why: string): BootError {
  return new BootError('bad-payload', `The LZ4 data are damaged: ${why}.`);
}
