// A sequence of instructions: pieces of code with labels, put together at an address, and what each does to the flags.

import { Decoder, DecoderOptions, Formatter, FormatterSyntax, RflagsBits } from 'iced-x86';
import type { Bits } from './native-frame.js';

/** A field that depends on where things lie: from the instruction's end to the target, or the target itself. */
export interface Fixup {
  readonly at: number;
  readonly size: 1 | 4 | 8;
  readonly kind: 'relative' | 'absolute';
  /** A label, or an address; `plus` bytes further. */
  readonly to: string | number;
  readonly plus?: number;
}

export interface Piece {
  /** Pieces of one group are taken out together when a sequence is made smaller. */
  readonly group: number;
  /** A place to jump to, without code. */
  readonly label?: string;
  /** Where the sequence ends; subroutines lie behind it. */
  readonly end?: boolean;
  readonly bytes: readonly number[];
  readonly fixups: readonly Fixup[];
  /** Label that it may jump to, besides going on; `jump`: it never goes on. */
  readonly to?: string;
  readonly jump?: boolean;
  /** The long form of a short jump, should that not reach. */
  readonly longer?: Piece;
  /** Flags as bits of RFLAGS: read, surely written, left undefined. */
  readonly reads: number;
  readonly defines: number;
  readonly spoils: number;
  /** Name of the definition. */
  readonly name: string;
}

export interface Assembled {
  readonly code: Uint8Array;
  /** Address of each piece. */
  readonly addresses: readonly number[];
  readonly pieces: readonly Piece[];
  /** Offset of the end in `code`. */
  readonly end: number;
}

/** Bytes kept free at the end, for what comes back from the sequence. */
const WAY_BACK = 5;

/** @throws RangeError where a field does not reach and there is no longer form. */
export function assemble(pieces: readonly Piece[], origin: number): Assembled {
  let current = [...pieces];
  for (;;) {
    const addresses: number[] = [];
    const labels = new Map<string, number>();
    let at = origin;
    let end = -1;
    for (const piece of current) {
      addresses.push(at);
      if (piece.label !== undefined) labels.set(piece.label, at);
      if (piece.end) end = at - origin;
      at += piece.end ? WAY_BACK : piece.bytes.length;
    }
    const code = new Uint8Array(at - origin);
    let again = false;
    current = current.map((piece, i) => {
      const start = addresses[i] - origin;
      code.set(piece.bytes, start);
      const view = new DataView(code.buffer, start, piece.bytes.length);
      for (const fixup of piece.fixups) {
        if (fits(view, fixup, labels, addresses[i] + piece.bytes.length)) continue;
        if (!piece.longer) throw new RangeError(`${piece.name} does not reach`);
        again = true;
        return piece.longer;
      }
      return piece;
    });
    if (!again) return { code, addresses, pieces: current, end };
  }
}

function fits(view: DataView, { at, size, kind, to, plus = 0 }: Fixup, labels: Map<string, number>, next: number) {
  const target = (typeof to === 'number' ? to : labels.get(to)!) + plus;
  const value = kind === 'relative' ? target - next : target;
  if (size === 8) view.setBigUint64(at, BigInt(value), true);
  else if (size === 4) view.setInt32(at, value, true);
  else view.setInt8(at, value);
  return size !== 1 || (value >= -128 && value < 128);
}

/**
 * Flags that are undefined before each piece, whichever way it is reached; undefined where a piece reads one of them.
 * @returns with `bad` the index of the first such piece
 */
export function undefinedFlagsOf(pieces: readonly Piece[]): {
  readonly before: readonly number[];
  readonly bad: number;
} {
  const before = new Array<number>(pieces.length).fill(0);
  const places = new Map(pieces.flatMap((p, i) => (p.label === undefined ? [] : [[p.label, i] as const])));
  // A subroutine's end leads back to wherever it was called from.
  let returned = 0;
  for (let changed = true; changed; ) {
    changed = false;
    const reach = (i: number, flags: number) => {
      if (i >= pieces.length || (before[i] | flags) === before[i]) return;
      before[i] |= flags;
      changed = true;
    };
    pieces.forEach((piece, i) => {
      const after = (before[i] & ~piece.defines) | piece.spoils;
      if (piece.to !== undefined) reach(places.get(piece.to) ?? i, after);
      if (piece.name === 'ret') {
        if ((returned | after) !== returned) {
          returned |= after;
          changed = true;
        }
      } else if (piece.name === 'call') reach(i + 1, returned);
      else if (!piece.jump && !piece.end) reach(i + 1, after);
    });
  }
  return { before, bad: pieces.findIndex((p, i) => (p.reads & before[i]) !== 0) };
}

const ICED_FLAGS: readonly [number, number][] = [
  [RflagsBits.CF, 1],
  [RflagsBits.PF, 4],
  [RflagsBits.AF, 0x10],
  [RflagsBits.ZF, 0x40],
  [RflagsBits.SF, 0x80],
  [RflagsBits.DF, 0x400],
  [RflagsBits.OF, 0x800],
];

export function fromIced(bits: number): number {
  return ICED_FLAGS.reduce((sum, [bit, flag]) => (bits & bit ? sum | flag : sum), 0);
}

/** One line for each instruction: address, bytes, text. */
export function listing({ code, addresses, pieces }: Assembled, bits: Bits): string[] {
  const formatter = new Formatter(FormatterSyntax.Nasm);
  const lines = pieces.map((piece, i) => {
    const address = addresses[i].toString(16);
    if (piece.label !== undefined) return `${address} ${piece.label}:`;
    if (piece.end) return `${address} (end)`;
    const start = addresses[i] - addresses[0];
    const bytes = code.subarray(start, start + piece.bytes.length);
    const decoder = new Decoder(bits, bytes, DecoderOptions.None);
    decoder.ip = BigInt(addresses[i]);
    const instruction = decoder.decode();
    const text = formatter.format(instruction);
    instruction.free();
    decoder.free();
    return `${address} ${Buffer.from(bytes).toString('hex').padEnd(22)} ${text}`;
  });
  formatter.free();
  return lines;
}
