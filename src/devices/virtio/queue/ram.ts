/**
 * Guest RAM as a ring reads it: each piece once as bytes, half-words and words, so that no descriptor costs a view. All of
 * virtio is little-endian (1.4), and so is every machine that we run on.
 */
import type { GuestMemory } from '../../../engine/contract.js';

/** One piece of guest RAM. Indices into the arrays are (gpa - `gpa`) over the element's size. */
export interface RamPiece {
  readonly gpa: number;
  readonly end: number;
  readonly bytes: Uint8Array;
  readonly words16: Uint16Array;
  readonly words32: Uint32Array;
}

export class Ram {
  readonly memory: GuestMemory;
  private readonly pieces: readonly RamPiece[];

  constructor(memory: GuestMemory) {
    this.memory = memory;
    this.pieces = memory.pieces.map(({ gpa, bytes }) => ({
      gpa,
      end: gpa + bytes.length,
      bytes,
      words16: new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 1),
      words32: new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2),
    }));
  }

  /** The piece that holds [gpa, gpa+length) whole; undefined where none does. */
  locate(gpa: number, length: number): RamPiece | undefined {
    for (const piece of this.pieces) if (gpa >= piece.gpa && gpa + length <= piece.end) return piece;
    return undefined;
  }

  /** Half-words from `gpa` on, which must be even and RAM. */
  halfWords(piece: RamPiece, gpa: number, count: number): Uint16Array {
    const from = (gpa - piece.gpa) / 2;
    return piece.words16.subarray(from, from + count);
  }

  /** Words from `gpa` on, which must be a multiple of 4 and RAM. */
  words(piece: RamPiece, gpa: number, count: number): Uint32Array {
    const from = (gpa - piece.gpa) / 4;
    return piece.words32.subarray(from, from + count);
  }
}
