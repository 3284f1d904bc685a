import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadUnpackModule } from '../host/node/decompressors.js';
import { BootError } from './errors.js';
import { LZ4_LEGACY_MAGIC, unpackLz4Legacy } from './lz4.js';

const module = loadUnpackModule();

/** A simple packer: the longest match at the last place with the same four bytes. Blocks of `blockSize` unpacked bytes. */
function packLz4(data: Uint8Array, blockSize = 8 << 20): Uint8Array {
  const out: number[] = [];
  const u32 = (value: number) => out.push(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24);
  u32(LZ4_LEGACY_MAGIC);
  for (let start = 0; start < data.length; start += blockSize) {
    const packed = packBlock(data.subarray(start, start + blockSize));
    u32(packed.length);
    for (const byte of packed) out.push(byte);
  }
  return new Uint8Array(out);
}

function packBlock(data: Uint8Array): number[] {
  const out: number[] = [];
  const seen = new Map<string, number>();
  let literal = 0;
  const length = (value: number) => {
    for (value -= 15; value >= 255; value -= 255) out.push(255);
    out.push(value);
  };
  const sequence = (end: number, offset: number, match: number) => {
    const literals = end - literal;
    out.push((Math.min(literals, 15) << 4) | (offset === 0 ? 0 : Math.min(match - 4, 15)));
    if (literals >= 15) length(literals);
    out.push(...data.subarray(literal, end));
    if (offset === 0) return;
    out.push(offset & 255, offset >> 8);
    if (match - 4 >= 15) length(match - 4);
  };
  for (let at = 0; at + 12 < data.length; ) {
    const key = data.subarray(at, at + 4).join();
    const before = seen.get(key);
    seen.set(key, at);
    if (before === undefined || at - before > 65535) {
      at++;
      continue;
    }
    let match = 4;
    while (at + match < data.length - 5 && data[before + match] === data[at + match]) match++;
    sequence(at, at - before, match);
    at += match;
    literal = at;
  }
  sequence(data.length, 0, 0);
  return out;
}

/** Data with runs, repeats near and far, and noise. */
const repetitive = fc
  .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 70 }), fc.integer({ min: 1, max: 30 })), {
    minLength: 1,
    maxLength: 30,
  })
  .map(
    (parts) => new Uint8Array(parts.flatMap(([bytes, times]) => new Array<number[]>(times).fill([...bytes]).flat())),
  );

describe('LZ4 legacy frames', () => {
  it('gives back what was packed, in one block and in several', () => {
    fc.assert(
      fc.property(repetitive, fc.constantFrom(8 << 20, 1000), (data, blockSize) => {
        // Blocks smaller than 8 MiB stand for the last one of concatenated frames.
        expect(unpackLz4Legacy(module, packLz4(data, blockSize), data.length)).toEqual(data);
      }),
    );
  });

  it('unpacks a match that overlaps itself, at every offset from 1 to 60', () => {
    for (let offset = 1; offset <= 60; offset++) {
      const pattern = Uint8Array.from({ length: offset }, (_, i) => i * 7);
      const data = Uint8Array.from({ length: offset * 9 + 40 }, (_, i) => pattern[i % offset]);
      expect(unpackLz4Legacy(module, packLz4(data), data.length)).toEqual(data);
    }
  });

  it('unpacks a block of 20 literals written by hand', () => {
    const text = new TextEncoder().encode('twenty bytes of text');
    const frame = new Uint8Array([2, 0x21, 0x4c, 0x18, 22, 0, 0, 0, 0xf0, 5, ...text]);
    expect(unpackLz4Legacy(module, frame, 20)).toEqual(text);
  });

  it('skips a second magic between concatenated frames', () => {
    const one = packLz4(new Uint8Array(100).fill(1));
    const two = packLz4(new Uint8Array(50).fill(2));
    expect(unpackLz4Legacy(module, new Uint8Array([...one, ...two]), 150)[149]).toBe(2);
  });

  it('refuses a size other than that of the data', () => {
    const frame = packLz4(new Uint8Array(100).fill(1));
    expect(() => unpackLz4Legacy(module, frame, 99)).toThrow(BootError);
    expect(() => unpackLz4Legacy(module, frame, 101)).toThrow(/100 bytes instead of 101/);
  });

  it('refuses a match before the block and an offset of zero', () => {
    const frame = (offset: number) => new Uint8Array([2, 0x21, 0x4c, 0x18, 4, 0, 0, 0, 0x10, 65, offset, 0]);
    expect(() => unpackLz4Legacy(module, frame(2), 5)).toThrow(/before the start/);
    expect(() => unpackLz4Legacy(module, frame(0), 5)).toThrow(/before the start/);
    expect(unpackLz4Legacy(module, frame(1), 5)).toEqual(new Uint8Array(5).fill(65));
  });

  it('answers any bytes with data or a BootError', () => {
    const valid = packLz4(
      new TextEncoder().encode('a text, a text, a longer text, and the same text again, the same text'),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(valid.length), fc.nat(2000), (tail, cut, size) => {
        try {
          expect(unpackLz4Legacy(module, new Uint8Array([...valid.subarray(0, cut), ...tail]), size).length).toBe(size);
        } catch (error) {
          expect(error).toBeInstanceOf(BootError);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
