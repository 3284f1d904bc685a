import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadUnpackModule } from '../host/node/decompressors.js';
import { detectCompression, pureDecompressors, unpackPayload } from './decompress.js';
import { BootError } from './errors.js';
import { XZ_X86, XZ_X86_SHA256, ZSTD_TEXT } from './testing.js';

const decompressors = pureDecompressors(loadUnpackModule);
const unpack = (payload: Uint8Array) => unpackPayload(payload, decompressors);
const bytesOf = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'));

/** As the kernel's build does: the unpacked size behind the packed data. */
function withSize(packed: Uint8Array, size: number): Uint8Array {
  const bytes = new Uint8Array(packed.length + 4);
  bytes.set(packed);
  new DataView(bytes.buffer).setUint32(packed.length, size, true);
  return bytes;
}

describe('kernel payloads', () => {
  it('unpacks gzip, which carries its size itself', () => {
    const data = new TextEncoder().encode('kernel '.repeat(1000));
    expect(unpack(new Uint8Array(gzipSync(data)))).toEqual(data);
  });

  it('unpacks xz with the x86 filter and the size behind it', () => {
    const unpacked = unpack(withSize(bytesOf(XZ_X86), 2188));
    expect(createHash('sha256').update(unpacked).digest('hex')).toBe(XZ_X86_SHA256);
  });

  it('unpacks zstd', () => {
    expect(unpack(withSize(bytesOf(ZSTD_TEXT), 1500))).toEqual(new TextEncoder().encode('typevisor '.repeat(150)));
  });

  it('unpacks LZ4 legacy frames', () => {
    const frame = new Uint8Array([2, 0x21, 0x4c, 0x18, 4, 0, 0, 0, 0x10, 65, 1, 0]);
    expect(unpack(withSize(frame, 5))).toEqual(new Uint8Array(5).fill(65));
  });

  it('gives back an ELF file that is not packed at all', () => {
    const elf = new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 1, 2, 3]);
    expect(unpack(elf)).toBe(elf);
  });

  it.each([
    ['bzip2', [0x42, 0x5a, 0x68, 0x39]],
    ['lzma', [0x5d, 0, 0, 0x80]],
    ['lzo', [0x89, 0x4c, 0x5a, 0x4f, 0, 0x0d]],
    ['unknown', [1, 2, 3, 4]],
  ])('names %s and leaves it to the guest', (name, magic) => {
    const payload = new Uint8Array([...magic, ...new Array(20).fill(0)]);
    expect(detectCompression(payload)).toBe(name);
    expect(() => unpack(payload)).toThrow(expect.objectContaining({ code: 'unsupported-compression' }));
  });

  it('uses the decompressor that it is handed, and checks what comes back', () => {
    const gzip = () => new Uint8Array(3);
    const payload = new Uint8Array(gzipSync(new Uint8Array(10)));
    expect(() => unpackPayload(payload, { ...decompressors, gzip })).toThrow(/3 bytes instead of 10/);
  });

  it('refuses an absurd size before it allocates', () => {
    expect(() => unpack(withSize(bytesOf(XZ_X86), 0xffff_ffff))).toThrow(/claims to unpack to 4096/);
    expect(() => unpack(withSize(bytesOf(XZ_X86), 0))).toThrow(BootError);
  });

  it('answers any damage with data of the stated size or a BootError', () => {
    const valid = [new Uint8Array(gzipSync(new Uint8Array(999).fill(7))), withSize(bytesOf(ZSTD_TEXT), 1500)];
    fc.assert(
      fc.property(
        fc.constantFrom(...valid),
        fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 5 }),
        (payload, changes) => {
          const bytes = payload.slice();
          // The last word stays small, or the test would only show allocations.
          for (const [at, value] of changes) if (at < bytes.length - 3) bytes[at] = value;
          try {
            unpack(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(BootError);
          }
        },
      ),
      { numRuns: 1500 },
    );
  });
});
