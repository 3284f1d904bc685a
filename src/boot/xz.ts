/**
 * The .xz container as the kernel's build and Debian's modules use it: one stream of blocks, LZMA2 with or without the
 * x86 branch filter. Source: "The .xz File Format" 1.0.4 (tukaani.org). A CRC32 of the data is verified; CRC64 and
 * SHA-256, which neither of them uses, are not. What follows the stream (the kernel's size word) is left alone.
 */

import { crc32 } from './crc32.js';
import { BootError } from './errors.js';
import { LARGEST_CHUNK, unpackLzma2 } from './lzma2.js';
import { Unpacker } from './unpacker.js';

const MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
const FILTER_LZMA2 = 0x21;
const FILTER_BCJ_X86 = 0x04;
const CHECK_CRC32 = 1;
/** Size of the check behind each block, by check type ID (format, 2.1.1.2). */
const CHECK_SIZES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];

/**
 * Unpacks an .xz stream.
 * @param module dist/boot/unpack.wasm
 * @param expected the unpacked size where it is known (a hint for the allocation), else 0
 * @param limit more unpacked bytes than this are refused
 * @throws BootError on anything damaged, and on filters other than LZMA2 and x86
 */
export function unpackXz(module: WebAssembly.Module, input: Uint8Array, expected: number, limit: number): Uint8Array {
  if (input.length < 12 || MAGIC.some((byte, i) => input[i] !== byte)) throw damaged('they have no stream header');
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  if (view.getUint32(8, true) !== crc32(input.subarray(6, 8))) throw damaged('the stream header is damaged');
  const check = input[7];
  if (input[6] !== 0 || check > 15) throw damaged('they have unknown stream flags');
  const output = new Unpacker(module, LARGEST_CHUNK, damaged);
  output.reserve(Math.min(expected, limit));
  const reserve = (more: number): void => {
    if (output.length + more > limit)
      throw new BootError('bad-payload', `The xz data unpack to more than the ${limit} bytes that they should have.`);
    output.reserve(more);
  };
  let at = 12;
  for (;;) {
    if (at >= input.length) throw damaged('they end too soon');
    if (input[at] === 0) break; // The index: no more blocks.
    const header = blockHeader(input, view, at);
    const start = output.length;
    const data = at + header.size;
    at = unpackLzma2(input, data, output, reserve);
    if (header.x86) output.module.unfilterX86(output.address(start), output.length - start);
    const block = output.bytes(start);
    // The block is padded to four bytes, counted from its start, as is the file.
    while ((at & 3) !== 0) if (input[at++] !== 0) throw damaged('a block is padded with something');
    const checkSize = CHECK_SIZES[check];
    if (checkSize > input.length - at) throw damaged('they end too soon');
    if (check === CHECK_CRC32 && view.getUint32(at, true) !== crc32(block)) throw damaged('a check sum is wrong');
    at += checkSize;
  }
  // What is kept must not hold on to a memory of its own, which costs more than its bytes.
  return output.length === expected ? output.bytes() : output.bytes().slice();
}

function blockHeader(input: Uint8Array, view: DataView, start: number): { size: number; x86: boolean } {
  const size = (input[start] + 1) * 4;
  if (size > input.length - start) throw damaged('they end too soon');
  if (view.getUint32(start + size - 4, true) !== crc32(input.subarray(start, start + size - 4)))
    throw damaged('a block header is damaged');
  const flags = input[start + 1];
  if ((flags & 0x3c) !== 0) throw damaged('a block has unknown flags');
  let at = start + 2;
  const end = start + size - 4;
  const number = (): number => {
    let value = 0;
    for (let i = 0; i < 9; i++) {
      if (at >= end) throw damaged('a block header is damaged');
      const byte = input[at++];
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    throw damaged('a block header is damaged');
  };
  if ((flags & 0x40) !== 0) number(); // Compressed size: the LZMA2 data say themselves where they end.
  if ((flags & 0x80) !== 0) number(); // Uncompressed size.
  const filters = (flags & 3) + 1;
  let x86 = false;
  for (let i = 0; i < filters; i++) {
    const id = number();
    const properties = number();
    const last = i === filters - 1;
    if (last && id === FILTER_LZMA2 && properties === 1) at += 1;
    else if (!last && id === FILTER_BCJ_X86 && properties === 0 && !x86) x86 = true;
    else
      throw new BootError(
        'unsupported-compression',
        `The xz data use the filter 0x${id.toString(16)}, which is not supported.`,
      );
  }
  return { size, x86 };
}

function damaged(why: string): BootError {
  return new BootError('bad-payload', `The xz data are damaged: ${why}.`);
}
