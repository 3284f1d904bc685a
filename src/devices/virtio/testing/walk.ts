/**
 * What a ring names, read a second time and as simply as the standard says it, for comparison with what the device's side
 * makes of it: which pieces of memory the chain with this head (split) or at this place (packed) consists of.
 */
import type { TestMemory } from '../../../engine/testing.js';
import { DESC_INDIRECT, DESC_NEXT, DESC_WRITE } from '../queue/ring.js';
import type { Piece } from './ring.js';

interface Descriptor {
  readonly gpa: number;
  readonly length: number;
  readonly lasts: readonly [number, number];
}

function read(memory: TestMemory, at: number): Descriptor {
  const bytes = memory.view(at, 16);
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  return {
    gpa: Number(view.getBigUint64(0, true)),
    length: view.getUint32(8, true),
    lasts: [view.getUint16(12, true), view.getUint16(14, true)],
  };
}

function piece({ gpa, length }: Descriptor, flags: number): Piece {
  return { gpa, length, write: (flags & DESC_WRITE) !== 0 };
}

export function walkSplit(memory: TestMemory, table: number, index: number): Piece[] {
  const descriptor = read(memory, table + 16 * index);
  const [flags, next] = descriptor.lasts;
  if ((flags & DESC_INDIRECT) !== 0) return walkSplit(memory, descriptor.gpa, 0);
  const first = piece(descriptor, flags);
  return (flags & DESC_NEXT) === 0 ? [first] : [first, ...walkSplit(memory, table, next)];
}

/** @returns the pieces and how many places they take */
export function walkPacked(memory: TestMemory, ring: number, size: number, place: number): [Piece[], number] {
  const pieces: Piece[] = [];
  for (let slots = 1; ; slots++) {
    const descriptor = read(memory, ring + 16 * ((place + slots - 1) % size));
    const [, flags] = descriptor.lasts;
    if ((flags & DESC_INDIRECT) !== 0) {
      for (let i = 0; i < descriptor.length / 16; i++) {
        const entry = read(memory, descriptor.gpa + 16 * i);
        pieces.push(piece(entry, entry.lasts[1]));
      }
    } else {
      pieces.push(piece(descriptor, flags));
    }
    if ((flags & DESC_NEXT) === 0) return [pieces, slots];
  }
}
