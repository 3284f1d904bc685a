import { createHash } from 'node:crypto';
import { crc32 as zlibCrc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadUnpackModule } from '../host/node/decompressors.js';
import { crc32 } from './crc32.js';
import { BootError } from './errors.js';
import { XZ_PLAIN, XZ_PLAIN_SHA256, XZ_TEXT, XZ_TEXT_SHA256, XZ_X86, XZ_X86_SHA256 } from './testing.js';
import { unpackXz } from './xz.js';

const MIB = 1 << 20;
const module = loadUnpackModule();
const bytesOf = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'));
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('xz', () => {
  it.each([
    ['machine code through the x86 filter', XZ_X86, XZ_X86_SHA256],
    ['text with unusual lc, lp and pb', XZ_TEXT, XZ_TEXT_SHA256],
    ['noise in a plain chunk', XZ_PLAIN, XZ_PLAIN_SHA256],
  ])('unpacks %s as liblzma does', (_name, packed, digest) => {
    expect(sha256(unpackXz(module, bytesOf(packed), 0, MIB))).toBe(digest);
  });

  it('leaves alone what follows the stream', () => {
    const bytes = new Uint8Array([...bytesOf(XZ_TEXT), 1, 2, 3, 4]);
    expect(sha256(unpackXz(module, bytes, 0, MIB))).toBe(XZ_TEXT_SHA256);
  });

  it('refuses to unpack beyond the limit', () => {
    expect(() => unpackXz(module, bytesOf(XZ_X86), 0, 2187)).toThrow(/more than the 2187 bytes/);
  });

  it('notices a flipped bit anywhere in data that a CRC32 covers', () => {
    const valid = bytesOf(XZ_X86);
    // Behind the blocks come the index and the footer, which are not needed.
    const end = valid.length - 12 - 16;
    for (let at = 0; at < end; at += 7) {
      const bytes = valid.slice();
      bytes[at] ^= 1 << (at % 8);
      expect(() => unpackXz(module, bytes, 0, MIB), `byte ${at}`).toThrow(BootError);
    }
  });

  it('answers any damage with data or a BootError', () => {
    for (const fixture of [XZ_X86, XZ_TEXT, XZ_PLAIN]) {
      const valid = bytesOf(fixture);
      fc.assert(
        fc.property(
          fc.array(fc.tuple(fc.integer({ min: 12, max: valid.length - 1 }), fc.nat(255)), { maxLength: 6 }),
          fc.integer({ min: 0, max: valid.length }),
          (changes, length) => {
            const bytes = valid.slice(0, length);
            for (const [at, value] of changes) if (at < length) bytes[at] = value;
            // The block header's own check sum would catch nearly everything: put it right.
            if (length > 24) {
              const size = Math.min((bytes[12] + 1) * 4, length - 12);
              new DataView(bytes.buffer).setUint32(12 + size - 4, crc32(bytes.subarray(12, 12 + size - 4)), true);
            }
            try {
              expect(unpackXz(module, bytes, 0, MIB).length).toBeLessThanOrEqual(MIB);
            } catch (error) {
              expect(error).toBeInstanceOf(BootError);
            }
          },
        ),
        { numRuns: 700 },
      );
    }
  });
});

describe('crc32', () => {
  it('gives the check value of the standard', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
  });

  it.skipIf(typeof zlibCrc32 !== 'function')('agrees with zlib on any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => crc32(bytes) === zlibCrc32(bytes)));
  });
});
