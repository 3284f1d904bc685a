/**
 * LZMA2, the compression inside .xz: chunks that are either plain bytes or LZMA (unpack/lzma.ts). What a block unpacks to is
 * its dictionary too. Source: the .xz file format 1.0.4 and Igor Pavlov's LZMA specification (public domain).
 */

import type { Unpacker } from './unpacker.js';

/** Packed size of a chunk at most. */
export const LARGEST_CHUNK = 1 << 16;

/**
 * Unpacks LZMA2 chunks from input[from…] to the end marker; returns the position after it.
 * @param reserve makes room in `output`, or throws where that is more than there should be
 * @throws BootError
 */
export function unpackLzma2(
  input: Uint8Array,
  from: number,
  output: Unpacker,
  reserve: (more: number) => void,
): number {
  const { module, damaged } = output;
  const cutOff = 'they end too soon';
  let dictionary = output.length;
  let needDictionaryReset = true;
  let needProperties = true;
  for (;;) {
    if (from >= input.length) throw damaged(cutOff);
    const control = input[from++];
    if (control === 0) return from;
    if (control >= 0xe0 || control === 1) {
      needDictionaryReset = false;
      dictionary = output.length;
    } else if (needDictionaryReset) throw damaged('the first chunk does not reset the dictionary');
    if (control < 0x80) {
      if (control > 2) throw damaged(`a chunk has the control byte ${control}`);
      if (from + 2 > input.length) throw damaged(cutOff);
      const size = ((input[from] << 8) | input[from + 1]) + 1;
      from += 2;
      if (size > input.length - from) throw damaged(cutOff);
      reserve(size);
      output.append(input.subarray(from, from + size));
      from += size;
      continue;
    }
    if (from + 5 > input.length) throw damaged(cutOff);
    const unpacked = ((control & 0x1f) << 16) + (input[from] << 8) + input[from + 1] + 1;
    const packed = (input[from + 2] << 8) + input[from + 3] + 1;
    from += 4;
    if (control >= 0xc0) {
      const byte = input[from++];
      if (byte >= 9 * 5 * 5) throw damaged(`an LZMA chunk has the properties ${byte}`);
      const [lc, lp, pb] = [byte % 9, Math.floor(byte / 9) % 5, Math.floor(byte / 45)];
      if (lc + lp > 4) throw damaged('an LZMA chunk has more literal contexts than LZMA2 allows');
      module.setProperties(lc, lp, pb);
      needProperties = false;
    } else if (needProperties) throw damaged('the first LZMA chunk has no properties');
    if (control >= 0xa0) module.resetState();
    if (packed > input.length - from || packed < 5) throw damaged(cutOff);
    reserve(unpacked);
    const chunk = output.input(input.subarray(from, from + packed));
    const to = output.address(output.length);
    output.check(module.decodeChunk(chunk, chunk + packed, output.address(dictionary), to, unpacked));
    output.length += unpacked;
    from += packed;
  }
}
