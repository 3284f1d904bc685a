// Decoding: from guest code to a block of records (../layout: block header, record). A block is a straight run of
// instructions of one page; it ends at a transfer of control or anything else that may change how code is read.
import {
  BLK_BYTES,
  BLK_COUNT,
  BLK_END,
  BLK_FLAGS,
  BLK_GPA,
  BLK_HASH_NEXT,
  BLK_HEADER,
  BLK_MODE,
  BLK_PAGE_NEXT,
  BLK_PAGE2,
  BLK_START,
  H_FALL,
  H_GP0,
  MODE_64,
  MODE_TF,
  RAM_BASE,
  REC_SCALE,
  REC_SCALE_EXT,
  REC_SIZE,
  RECORDS,
  RECORDS_END,
} from '../layout';
import {
  decodeInstruction,
  emitEnd,
  emitFault,
  ended,
  LONGEST,
  LOOKAHEAD,
  out,
  prepareMode,
  setOut,
} from './decode-instruction';
import { fetchPage } from './mmu';
import { raise, V_GP } from './state';

/** Most instructions in a block. */
const BLOCK_INSTRUCTIONS: i32 = 64;
/** Bytes of records that `decodeBlock` needs at most: flush when fewer are left. */
export const BLOCK_RECORDS: i32 = 8192;

/** Where the next block's header goes. */
let recNext: i32 = RECORDS;

/** Bytes of record memory that are left. */
export function recordsLeft(): i32 {
  return RECORDS_END - recNext;
}

/** Frees all records. Only while no block runs. */
export function resetRecords(): void {
  recNext = RECORDS;
}

/**
 * The record after the one at `rec`, an instruction's or micro-op's extension record skipped (not that of a block's end).
 * Holds for records that have been made stale too.
 */
export function nextRecord(rec: i32): i32 {
  return load<u8>(rec, REC_SCALE) & REC_SCALE_EXT ? rec + 2 * REC_SIZE : rec + REC_SIZE;
}

// An instruction near its page's end is decoded from here: the page's last bytes, then the next page's, or zeros.
const EDGE_SIZE: i32 = 64;
const EDGE: usize = memory.data(64);

/**
 * Decodes a block for the present MODE. `lin`: linear address of its first instruction; `host`: where that byte lies in
 * linear memory, in RAM; `room`: bytes that the limit of CS leaves from there on. Returns the header (BLK_*; the caller
 * links it), or 0 where the first instruction runs into a page that can't be fetched, or over the limit: the fault has been
 * raised. Needs BLOCK_RECORDS bytes of records.
 */
export function decodeBlock(lin: i64, host: i32, room: i64): i32 {
  const mode = prepareMode();
  const header = recNext;
  const pageEnd = (host | 0xfff) + 1;
  const most = mode & MODE_TF ? 1 : BLOCK_INSTRUCTIONS;
  let p = host;
  let count = 0;
  let page2 = 0;
  let done = false;
  setOut(header + BLK_HEADER);
  while (!done && count < most && p < pageEnd) {
    const left = pageEnd - p;
    const mark = out;
    const offset = 4096 - left;
    let length: i32;
    if (left >= LOOKAHEAD) length = decodeInstruction(p, offset);
    else {
      const edge = <i32>EDGE;
      memory.copy(edge, p, left);
      memory.fill(edge + left, 0, EDGE_SIZE - left);
      length = decodeInstruction(edge, offset);
      if (min(length, LONGEST) > left) {
        setOut(mark);
        if (count) break;
        let next = (lin & ~0xfff) + 0x1000;
        if (!(mode & MODE_64)) next &= 0xffff_ffff;
        const host2 = fetchPage(next);
        if (host2 == 0) return 0;
        memory.copy(edge + left, host2, EDGE_SIZE - left);
        length = decodeInstruction(edge, offset);
        page2 = host2 + 1;
      }
    }
    if (<i64>(p - host) + <i64>min(length, LONGEST) > room) {
      setOut(mark);
      if (count) break;
      raise(V_GP, 0);
      return 0;
    }
    if (length > LONGEST) {
      setOut(mark);
      length = emitFault(H_GP0, LONGEST, offset + LONGEST);
    }
    done = ended;
    p += length;
    count++;
  }
  if (!done) {
    store<i64>(out, H_FALL);
    store<i64>(out, 0, 8);
    setOut(out + REC_SIZE);
    emitEnd(p - (pageEnd - 4096));
  }
  store<u16>(header, host & 0xfff, BLK_START);
  store<u16>(header, count, BLK_COUNT);
  store<i32>(header, mode, BLK_MODE);
  store<i32>(header, pageEnd - 4096 - RAM_BASE, BLK_GPA);
  store<i32>(header, 0, BLK_HASH_NEXT);
  store<i32>(header, 0, BLK_PAGE_NEXT);
  store<i32>(header, out, BLK_END);
  store<u16>(header, p - host, BLK_BYTES);
  store<u16>(header, 0, BLK_FLAGS);
  store<i32>(header, page2, BLK_PAGE2);
  recNext = out;
  return header;
}
