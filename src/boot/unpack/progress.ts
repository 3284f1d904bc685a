// What the unpackers answer (src/boot/unpacker.ts has the words for it), and how far they came.
export const OK: i32 = 0;
export const LITERALS_BEYOND: i32 = 1;
export const OFFSET_CUT: i32 = 2;
export const BEFORE_START: i32 = 3;
export const BEYOND_END: i32 = 4;
export const NO_ZERO: i32 = 5;
export const END_MARKER: i32 = 6;
export const BEYOND_CHUNK: i32 = 7;
export const READ_BEYOND: i32 = 8;

let read: u32 = 0;
let written: u32 = 0;

export function setProgress(from: u32, to: u32): void {
  read = from;
  written = to;
}

/** Address of the next byte to read. */
export function readTo(): u32 {
  return read;
}

/** Address behind the last byte written. */
export function writtenTo(): u32 {
  return written;
}
