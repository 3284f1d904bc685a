// LZMA chunks of LZMA2 (lzma2.ts has the chunks' headers). Source: Igor Pavlov's LZMA specification (public domain).
//
// The range coder's two numbers are local variables in decodeChunk, since that loop is where the time goes. What it calls for
// the rarer symbols takes and leaves them in globals.
import { copyApart } from './lz4';
import { BEFORE_START, BEYOND_CHUNK, END_MARKER, NO_ZERO, OK, READ_BEYOND } from './progress';

const TOP: u32 = 0x100_0000;
/** Probabilities have 11 bits and start at one half. */
const PROB_INIT: u16 = 1 << 10;
const MATCH_MIN: u32 = 2;
const POS_STATES: u32 = 16;
const STATES: u32 = 12;

// Where each group of probabilities begins in the one array.
const IS_MATCH: u32 = 0;
const IS_REP: u32 = IS_MATCH + STATES * POS_STATES;
const IS_REP0: u32 = IS_REP + STATES;
const IS_REP1: u32 = IS_REP0 + STATES;
const IS_REP2: u32 = IS_REP1 + STATES;
const IS_REP0_LONG: u32 = IS_REP2 + STATES;
const POS_SLOT: u32 = IS_REP0_LONG + STATES * POS_STATES;
const POS_SPECIAL: u32 = POS_SLOT + 4 * 64;
const POS_ALIGN: u32 = POS_SPECIAL + 115;
const LENGTH: u32 = POS_ALIGN + 16;
// Inside a length coder: choice, choice 2, low and mid trees for each position state, high tree.
const LENGTH_LOW: u32 = 2;
const LENGTH_MID: u32 = LENGTH_LOW + POS_STATES * 8;
const LENGTH_HIGH: u32 = LENGTH_MID + POS_STATES * 8;
const LENGTH_SIZE: u32 = LENGTH_HIGH + 256;
const REP_LENGTH: u32 = LENGTH + LENGTH_SIZE;
const LITERAL: u32 = REP_LENGTH + LENGTH_SIZE;
/** lc + lp is at most 4 in LZMA2. */
const PROBS: u32 = LITERAL + (0x300 << 4);

const probs: u32 = <u32>memory.data(28672, 16);

let lc: u32 = 3;
let lp: u32 = 0;
let pb: u32 = 2;
let state: u32 = 0;
let rep0: u32 = 0;
let rep1: u32 = 0;
let rep2: u32 = 0;
let rep3: u32 = 0;
// The range coder, while decodeChunk has lent it out.
let range: u32 = 0;
let code: u32 = 0;
let next: u32 = 0;

export function setProperties(literalContext: u32, literalPosition: u32, position: u32): void {
  lc = literalContext;
  lp = literalPosition;
  pb = position;
}

export function resetState(): void {
  for (let i: u32 = 0; i < PROBS; i++) store<u16>(probs + (i << 1), PROB_INIT);
  state = 0;
  rep0 = rep1 = rep2 = rep3 = 0;
}

/**
 * Decodes memory[from, end) into exactly `size` bytes at `to`: OK or what is wrong. Matches reach back to `dictionary` at most,
 * from where positions count. The last symbol may read some bytes beyond the end.
 */
export function decodeChunk(from: u32, end: u32, dictionary: u32, to: u32, size: u32): i32 {
  const posMask: u32 = (1 << pb) - 1;
  const lpMask: u32 = (1 << lp) - 1;
  const stop = to + size;
  if (load<u8>(from) != 0) return NO_ZERO;
  let range_: u32 = 0xffff_ffff;
  let code_: u32 = bswap(load<u32>(from, 1));
  from += 5;
  while (to < stop) {
    if (from > end) return READ_BEYOND;
    const posState = (to - dictionary) & posMask;
    let p = probs + ((IS_MATCH + (state << 4) + posState) << 1);
    let prob: u32 = load<u16>(p);
    let bound = (range_ >>> 11) * prob;
    if (code_ < bound) {
      range_ = bound;
      store<u16>(p, prob + ((2048 - prob) >>> 5));
      if (range_ < TOP) {
        range_ <<= 8;
        code_ = (code_ << 8) | load<u8>(from++);
      }
      const previous: u32 = to > dictionary ? load<u8>(to - 1) : 0;
      const base = probs + ((LITERAL + 0x300 * ((((to - dictionary) & lpMask) << lc) + (previous >>> (8 - lc)))) << 1);
      let symbol: u32 = 1;
      if (state >= 7) {
        if (rep0 >= to - dictionary) return BEFORE_START;
        let matched: u32 = load<u8>(to - rep0 - 1);
        // 100h as long as the literal is like the byte that a match would give: then that has probabilities of its own.
        let like: u32 = 0x100;
        while (symbol < 0x100) {
          matched <<= 1;
          const bit = matched & like;
          p = base + ((like + bit + symbol) << 1);
          prob = load<u16>(p);
          bound = (range_ >>> 11) * prob;
          if (code_ < bound) {
            range_ = bound;
            store<u16>(p, prob + ((2048 - prob) >>> 5));
            symbol <<= 1;
            like &= ~bit;
          } else {
            range_ -= bound;
            code_ -= bound;
            store<u16>(p, prob - (prob >>> 5));
            symbol = (symbol << 1) | 1;
            like &= bit;
          }
          if (range_ < TOP) {
            range_ <<= 8;
            code_ = (code_ << 8) | load<u8>(from++);
          }
        }
      } else {
        while (symbol < 0x100) {
          p = base + (symbol << 1);
          prob = load<u16>(p);
          bound = (range_ >>> 11) * prob;
          if (code_ < bound) {
            range_ = bound;
            store<u16>(p, prob + ((2048 - prob) >>> 5));
            symbol <<= 1;
          } else {
            range_ -= bound;
            code_ -= bound;
            store<u16>(p, prob - (prob >>> 5));
            symbol = (symbol << 1) | 1;
          }
          if (range_ < TOP) {
            range_ <<= 8;
            code_ = (code_ << 8) | load<u8>(from++);
          }
        }
      }
      store<u8>(to++, symbol);
      state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
      continue;
    }
    range = range_ - bound;
    code = code_ - bound;
    next = from;
    store<u16>(p, prob - (prob >>> 5));
    normalize();
    let length: u32 = 0;
    if (bitAt(IS_REP + state) == 0) {
      rep3 = rep2;
      rep2 = rep1;
      rep1 = rep0;
      length = lengthBy(LENGTH, posState);
      state = state < 7 ? 7 : 10;
      rep0 = distance(length);
      if (rep0 == 0xffff_ffff) return END_MARKER;
    } else {
      let short = false;
      if (bitAt(IS_REP0 + state) == 0) short = bitAt(IS_REP0_LONG + (state << 4) + posState) == 0;
      else {
        let chosen = rep1;
        if (bitAt(IS_REP1 + state) != 0) {
          if (bitAt(IS_REP2 + state) == 0) chosen = rep2;
          else {
            chosen = rep3;
            rep3 = rep2;
          }
          rep2 = rep1;
        }
        rep1 = rep0;
        rep0 = chosen;
      }
      if (short) {
        state = state < 7 ? 9 : 11;
        length = 1;
      } else {
        length = lengthBy(REP_LENGTH, posState);
        state = state < 7 ? 8 : 11;
      }
    }
    range_ = range;
    code_ = code;
    from = next;
    if (rep0 >= to - dictionary) return BEFORE_START;
    if (length > stop - to) return BEYOND_CHUNK;
    const source = to - rep0 - 1;
    if (rep0 >= 15) copyApart(to, source, length);
    else for (let i: u32 = 0; i < length; i++) store<u8>(to + i, load<u8>(source + i));
    to += length;
  }
  return from > end ? READ_BEYOND : OK;
}

function bitAt(at: u32): u32 {
  const p = probs + (at << 1);
  const prob: u32 = load<u16>(p);
  const bound = (range >>> 11) * prob;
  let bit: u32 = 0;
  if (code < bound) {
    range = bound;
    store<u16>(p, prob + ((2048 - prob) >>> 5));
  } else {
    range -= bound;
    code -= bound;
    store<u16>(p, prob - (prob >>> 5));
    bit = 1;
  }
  normalize();
  return bit;
}

function normalize(): void {
  if (range < TOP) {
    range <<= 8;
    code = (code << 8) | load<u8>(next++);
  }
}

function tree(base: u32, bits: i32): u32 {
  let symbol: u32 = 1;
  for (let i = 0; i < bits; i++) symbol = (symbol << 1) | bitAt(base + symbol);
  return symbol - (1 << bits);
}

function reverseTree(base: u32, bits: u32): u32 {
  let symbol: u32 = 1;
  let value: u32 = 0;
  for (let i: u32 = 0; i < bits; i++) {
    const bit = bitAt(base + symbol);
    symbol = (symbol << 1) | bit;
    value |= bit << i;
  }
  return value;
}

function lengthBy(base: u32, posState: u32): u32 {
  if (bitAt(base) == 0) return MATCH_MIN + tree(base + LENGTH_LOW + posState * 8, 3);
  if (bitAt(base + 1) == 0) return MATCH_MIN + 8 + tree(base + LENGTH_MID + posState * 8, 3);
  return MATCH_MIN + 16 + tree(base + LENGTH_HIGH, 8);
}

/** Distance less one, as the reps hold it. */
function distance(length: u32): u32 {
  const slot = tree(POS_SLOT + min(length - MATCH_MIN, 3) * 64, 6);
  if (slot < 4) return slot;
  const direct = (slot >>> 1) - 1;
  const base: u32 = (2 | (slot & 1)) << direct;
  if (slot < 14) return base + reverseTree(POS_SPECIAL + base - slot, direct);
  let value: u32 = 0;
  for (let i = direct - 4; i > 0; i--) {
    range >>>= 1;
    value <<= 1;
    if (code >= range) {
      code -= range;
      value++;
    }
    normalize();
  }
  return base + value * 16 + reverseTree(POS_ALIGN, 4);
}
