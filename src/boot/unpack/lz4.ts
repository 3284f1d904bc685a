// One LZ4 block (doc/lz4_Block_format.md). Copies go sixteen bytes at a time and may write beyond what they copy, which
// comes next or lies in the slack that unpacker.ts leaves behind the output.
import { BEFORE_START, BEYOND_END, LITERALS_BEYOND, OFFSET_CUT, OK, setProgress } from './progress';

/** Literals of a token, or a match's length less four, that mean that more bytes of it follow. */
const MORE: u32 = 15;

/**
 * Unpacks memory[from, end) to `to` and on, until `pause` is reached or the block is at its end: OK, with how far it came in
 * the progress, or what is wrong. Matches reach back to `start` at most, nothing is unpacked beyond `limit`.
 */
export function unpackLz4(from: u32, end: u32, start: u32, to: u32, limit: u32, pause: u32): i32 {
  while (from < end && to < pause) {
    const token: u32 = load<u8>(from++);
    let literals = token >>> 4;
    if (literals == MORE) {
      let more: u32 = 255;
      while (more == 255 && from < end) literals += more = load<u8>(from++);
    }
    if (literals > end - from || literals > limit - to) return LITERALS_BEYOND;
    copyApart(to, from, literals);
    from += literals;
    to += literals;
    if (from >= end) break; // The last sequence has literals only.
    if (end - from < 2) return OFFSET_CUT;
    const offset: u32 = load<u16>(from);
    from += 2;
    let length = token & 15;
    if (length == MORE) {
      let more: u32 = 255;
      while (more == 255 && from < end) length += more = load<u8>(from++);
    }
    length += 4;
    if (offset == 0 || offset > to - start) return BEFORE_START;
    if (length > limit - to) return BEYOND_END;
    if (offset >= 16) copyApart(to, to - offset, length);
    else repeat(to, offset, length);
    to += length;
  }
  setProgress(from, to);
  return OK;
}

/** Copies upwards from where `to` is at least sixteen bytes behind, or not near. */
export function copyApart(to: u32, from: u32, length: u32): void {
  v128.store(to, v128.load(from));
  for (let done: u32 = 16; done < length; done += 16) v128.store(to + done, v128.load(from + done));
}

/** Repeats the last `offset` bytes, fewer than sixteen: once byte by byte, until whole words repeat. */
export function repeat(to: u32, offset: u32, length: u32): void {
  let period = offset;
  while (period < 8) period += offset;
  const first = min(period, length);
  for (let i: u32 = 0; i < first; i++) store<u8>(to + i, load<u8>(to + i - offset));
  for (let i = first; i < length; i += 8) store<u64>(to + i, load<u64>(to + i - period));
}
