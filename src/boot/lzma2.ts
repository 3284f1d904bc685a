/**
 * LZMA2, the compression inside .xz: chunks that are either plain bytes or LZMA. The whole output is one array, which is
 * the dictionary too. Source: Igor Pavlov's LZMA specification (lzma-specification.txt, public domain) and the .xz file
 * format 1.0.4 for what LZMA2 adds.
 *
 * The range coder's two numbers are unsigned 32-bit; they live in local variables inside `decodeChunk`, since that loop
 * is where all the time goes. What it calls for the rarer symbols takes and leaves them in fields.
 */

import { BootError } from './errors.js';

const TOP = 0x100_0000;
/** Probabilities have 11 bits and start at one half. */
const PROB_INIT = 1 << 10;
const MATCH_MIN = 2;
const POS_STATES = 16;
const STATES = 12;

// Where each group of probabilities begins in the one array.
const IS_MATCH = 0;
const IS_REP = IS_MATCH + STATES * POS_STATES;
const IS_REP0 = IS_REP + STATES;
const IS_REP1 = IS_REP0 + STATES;
const IS_REP2 = IS_REP1 + STATES;
const IS_REP0_LONG = IS_REP2 + STATES;
const POS_SLOT = IS_REP0_LONG + STATES * POS_STATES;
const POS_SPECIAL = POS_SLOT + 4 * 64;
const POS_ALIGN = POS_SPECIAL + 115;
const LENGTH = POS_ALIGN + 16;
// Inside a length coder: choice, choice 2, low and mid trees for each position state, high tree.
const LENGTH_LOW = 2;
const LENGTH_MID = LENGTH_LOW + POS_STATES * 8;
const LENGTH_HIGH = LENGTH_MID + POS_STATES * 8;
const LENGTH_SIZE = LENGTH_HIGH + 256;
const REP_LENGTH = LENGTH + LENGTH_SIZE;
const LITERAL = REP_LENGTH + LENGTH_SIZE;
/** lc + lp is at most 4 in LZMA2. */
const PROBS = LITERAL + (0x300 << 4);

/** A growing output that several blocks write one after another. */
export class Output {
  bytes: Uint8Array;
  length = 0;
  readonly limit: number;

  /** `limit`: more bytes than this are refused. `expected` is only a hint. */
  constructor(expected: number, limit: number) {
    this.bytes = new Uint8Array(Math.min(expected, limit));
    this.limit = limit;
  }

  /** Makes room for `more` bytes. @throws BootError beyond the limit. */
  reserve(more: number): void {
    const wanted = this.length + more;
    if (wanted > this.limit)
      throw new BootError(
        'bad-payload',
        `The xz data unpack to more than the ${this.limit} bytes that they should have.`,
      );
    if (wanted <= this.bytes.length) return;
    const bytes = new Uint8Array(Math.min(this.limit, Math.max(wanted, this.bytes.length * 2, 1 << 16)));
    bytes.set(this.bytes.subarray(0, this.length));
    this.bytes = bytes;
  }
}

/** Unpacks LZMA2 chunks from input[from…] to the end marker; returns the position after it. @throws BootError */
export function unpackLzma2(input: Uint8Array, from: number, output: Output): number {
  const decoder = new Decoder(input, output);
  const origin = output.length;
  let needDictionaryReset = true;
  let needProperties = true;
  for (;;) {
    if (from >= input.length) throw cutOff();
    const control = input[from++];
    if (control === 0) return from;
    if (control >= 0xe0 || control === 1) {
      needDictionaryReset = false;
      decoder.dictionaryStart = output.length;
      if (control === 1) needProperties ||= false;
    } else if (needDictionaryReset) throw damaged('the first chunk does not reset the dictionary');
    if (control < 0x80) {
      if (control > 2) throw damaged(`a chunk has the control byte ${control}`);
      if (from + 2 > input.length) throw cutOff();
      const size = ((input[from] << 8) | input[from + 1]) + 1;
      from += 2;
      if (size > input.length - from) throw cutOff();
      output.reserve(size);
      output.bytes.set(input.subarray(from, from + size), output.length);
      output.length += size;
      from += size;
      continue;
    }
    if (from + 5 > input.length) throw cutOff();
    const unpacked = ((control & 0x1f) << 16) + (input[from] << 8) + input[from + 1] + 1;
    const packed = (input[from + 2] << 8) + input[from + 3] + 1;
    from += 4;
    if (control >= 0xc0) {
      decoder.setProperties(input[from++]);
      needProperties = false;
    } else if (needProperties) throw damaged('the first LZMA chunk has no properties');
    if (control >= 0xa0) decoder.resetState();
    if (packed > input.length - from || packed < 5) throw cutOff();
    output.reserve(unpacked);
    decoder.decodeChunk(from, from + packed, unpacked, origin);
    from += packed;
  }
}

class Decoder {
  dictionaryStart = 0;
  private readonly input: Uint8Array;
  private readonly output: Output;
  private readonly probs = new Uint16Array(PROBS);
  private lc = 3;
  private lp = 0;
  private pb = 2;
  private state = 0;
  private readonly reps = [0, 0, 0, 0];
  // The range coder, while `decodeChunk` has lent it out.
  private range = 0;
  private code = 0;
  private from = 0;

  constructor(input: Uint8Array, output: Output) {
    this.input = input;
    this.output = output;
  }

  setProperties(byte: number): void {
    if (byte >= 9 * 5 * 5) throw damaged(`an LZMA chunk has the properties ${byte}`);
    this.lc = byte % 9;
    this.lp = Math.floor(byte / 9) % 5;
    this.pb = Math.floor(byte / 45);
    if (this.lc + this.lp > 4) throw damaged('an LZMA chunk has more literal contexts than LZMA2 allows');
  }

  resetState(): void {
    this.probs.fill(PROB_INIT);
    this.state = 0;
    this.reps.fill(0);
  }

  /** Decodes one LZMA chunk of input[from, end) into exactly `size` bytes; the output has room for them. */
  decodeChunk(from: number, end: number, size: number, origin: number): void {
    const { input, probs } = this;
    const out = this.output.bytes;
    const dictionary = Math.max(this.dictionaryStart, origin);
    const posMask = (1 << this.pb) - 1;
    const lpMask = (1 << this.lp) - 1;
    const lc = this.lc;
    let to = this.output.length;
    const stop = to + size;
    let state = this.state;
    let [rep0, rep1, rep2, rep3] = this.reps;
    let range = 0xffff_ffff;
    let code = ((input[from + 1] << 24) | (input[from + 2] << 16) | (input[from + 3] << 8) | input[from + 4]) >>> 0;
    if (input[from] !== 0) throw damaged('an LZMA chunk does not begin with a zero');
    from += 5;
    while (to < stop) {
      // Reading past `end` yields whatever follows (0 past the array): checked once after the loop, as it is harmless.
      const posState = to & posMask;
      let at = IS_MATCH + (state << 4) + posState;
      let prob = probs[at];
      let bound = Math.imul(range >>> 11, prob) >>> 0;
      if (code < bound) {
        range = bound;
        probs[at] = prob + ((2048 - prob) >>> 5);
        if (range < TOP) {
          range = (range << 8) >>> 0;
          code = ((code << 8) | input[from++]) >>> 0;
        }
        const previous = to > dictionary ? out[to - 1] : 0;
        const base = LITERAL + 0x300 * (((to & lpMask) << lc) + (previous >>> (8 - lc)));
        let symbol = 1;
        if (state >= 7) {
          if (rep0 >= to - dictionary) throw damaged('a match reaches before the start');
          let matched = out[to - rep0 - 1];
          while (symbol < 0x100) {
            const matchBit = (matched >>> 7) & 1;
            matched <<= 1;
            at = base + ((1 + matchBit) << 8) + symbol;
            prob = probs[at];
            bound = Math.imul(range >>> 11, prob) >>> 0;
            let bit = 0;
            if (code < bound) {
              range = bound;
              probs[at] = prob + ((2048 - prob) >>> 5);
              symbol <<= 1;
            } else {
              range = (range - bound) >>> 0;
              code = (code - bound) >>> 0;
              probs[at] = prob - (prob >>> 5);
              symbol = (symbol << 1) | 1;
              bit = 1;
            }
            if (range < TOP) {
              range = (range << 8) >>> 0;
              code = ((code << 8) | input[from++]) >>> 0;
            }
            if (bit !== matchBit) break;
          }
        }
        while (symbol < 0x100) {
          at = base + symbol;
          prob = probs[at];
          bound = Math.imul(range >>> 11, prob) >>> 0;
          if (code < bound) {
            range = bound;
            probs[at] = prob + ((2048 - prob) >>> 5);
            symbol <<= 1;
          } else {
            range = (range - bound) >>> 0;
            code = (code - bound) >>> 0;
            probs[at] = prob - (prob >>> 5);
            symbol = (symbol << 1) | 1;
          }
          if (range < TOP) {
            range = (range << 8) >>> 0;
            code = ((code << 8) | input[from++]) >>> 0;
          }
        }
        out[to++] = symbol;
        state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
        continue;
      }
      range = (range - bound) >>> 0;
      code = (code - bound) >>> 0;
      probs[at] = prob - (prob >>> 5);
      if (range < TOP) {
        range = (range << 8) >>> 0;
        code = ((code << 8) | input[from++]) >>> 0;
      }
      this.range = range;
      this.code = code;
      this.from = from;
      let length: number;
      if (this.bit(IS_REP + state) === 0) {
        rep3 = rep2;
        rep2 = rep1;
        rep1 = rep0;
        length = this.length(LENGTH, posState);
        state = state < 7 ? 7 : 10;
        rep0 = this.distance(length);
        if (rep0 === 0xffff_ffff) throw damaged('an LZMA chunk has an end marker');
      } else {
        let short = false;
        if (this.bit(IS_REP0 + state) === 0) {
          short = this.bit(IS_REP0_LONG + (state << 4) + posState) === 0;
        } else if (this.bit(IS_REP1 + state) === 0) {
          [rep0, rep1] = [rep1, rep0];
        } else if (this.bit(IS_REP2 + state) === 0) {
          [rep0, rep1, rep2] = [rep2, rep0, rep1];
        } else {
          [rep0, rep1, rep2, rep3] = [rep3, rep0, rep1, rep2];
        }
        if (short) {
          state = state < 7 ? 9 : 11;
          length = 1;
        } else {
          length = this.length(REP_LENGTH, posState);
          state = state < 7 ? 8 : 11;
        }
      }
      range = this.range;
      code = this.code;
      from = this.from;
      if (rep0 >= to - dictionary) throw damaged('a match reaches before the start');
      if (length > stop - to) throw damaged('a match runs beyond its chunk');
      let source = to - rep0 - 1;
      for (const last = to + length; to < last; ) out[to++] = out[source++];
    }
    if (from > end) throw damaged('a chunk reads beyond its end');
    this.state = state;
    this.reps[0] = rep0;
    this.reps[1] = rep1;
    this.reps[2] = rep2;
    this.reps[3] = rep3;
    this.output.length = to;
  }

  private bit(at: number): 0 | 1 {
    const prob = this.probs[at];
    const bound = Math.imul(this.range >>> 11, prob) >>> 0;
    let bit: 0 | 1 = 0;
    if (this.code < bound) {
      this.range = bound;
      this.probs[at] = prob + ((2048 - prob) >>> 5);
    } else {
      this.range -= bound;
      this.code -= bound;
      this.probs[at] = prob - (prob >>> 5);
      bit = 1;
    }
    this.normalize();
    return bit;
  }

  private normalize(): void {
    if (this.range < TOP) {
      this.range = (this.range << 8) >>> 0;
      this.code = ((this.code << 8) | this.input[this.from++]) >>> 0;
    }
  }

  private tree(base: number, bits: number): number {
    let symbol = 1;
    for (let i = 0; i < bits; i++) symbol = (symbol << 1) | this.bit(base + symbol);
    return symbol - (1 << bits);
  }

  private reverseTree(base: number, bits: number): number {
    let symbol = 1;
    let value = 0;
    for (let i = 0; i < bits; i++) {
      const bit = this.bit(base + symbol);
      symbol = (symbol << 1) | bit;
      value |= bit << i;
    }
    return value;
  }

  private length(base: number, posState: number): number {
    if (this.bit(base) === 0) return MATCH_MIN + this.tree(base + LENGTH_LOW + posState * 8, 3);
    if (this.bit(base + 1) === 0) return MATCH_MIN + 8 + this.tree(base + LENGTH_MID + posState * 8, 3);
    return MATCH_MIN + 16 + this.tree(base + LENGTH_HIGH, 8);
  }

  /** Distance less one, as `reps` hold it. */
  private distance(length: number): number {
    const slot = this.tree(POS_SLOT + Math.min(length - MATCH_MIN, 3) * 64, 6);
    if (slot < 4) return slot;
    const direct = (slot >>> 1) - 1;
    const base = ((2 | (slot & 1)) << direct) >>> 0;
    if (slot < 14) return base + this.reverseTree(POS_SPECIAL + base - slot, direct);
    let value = 0;
    for (let i = direct - 4; i > 0; i--) {
      this.range >>>= 1;
      value = (value << 1) >>> 0;
      if (this.code >= this.range) {
        this.code -= this.range;
        value++;
      }
      this.normalize();
    }
    return base + value * 16 + this.reverseTree(POS_ALIGN, 4);
  }
}

function damaged(why: string): BootError {
  return new BootError('bad-payload', `The xz data are damaged: ${why}.`);
}

function cutOff(): BootError {
  return damaged('they end too soon');
}
