import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseElf } from './elf.js';
import { BootError } from './errors.js';
import { makeElf, pvhNote } from './testing.js';

const code = new Uint8Array([0xf4, 0xeb, 0xfd]);

function codeOf(bytes: Uint8Array): string {
  try {
    parseElf(bytes);
    return 'accepted';
  } catch (error) {
    if (error instanceof BootError) return error.code;
    throw error;
  }
}

function patched(change: (view: DataView) => void): Uint8Array {
  const bytes = makeElf(64, 0x100000, [{ paddr: 0x100000, bytes: code }]);
  change(new DataView(bytes.buffer));
  return bytes;
}

describe('ELF', () => {
  it('reads segments, their zeroes and the entry of 32-bit and 64-bit files', () => {
    for (const bits of [32, 64] as const) {
      const elf = parseElf(makeElf(bits, 0x100001, [{ paddr: 0x100000, bytes: code, memorySize: 0x2000 }]));
      expect(elf).toEqual({
        bits,
        entry: 0x100001,
        pvhEntry: undefined,
        segments: [{ gpa: 0x100000, memorySize: 0x2000, bytes: code }],
      });
    }
  });

  it('finds the PVH entry in a note of four or eight bytes, behind other notes', () => {
    const other = new Uint8Array([4, 0, 0, 0, 3, 0, 0, 0, 6, 0, 0, 0, 0x58, 0x65, 0x6e, 0, 1, 2, 3, 0]);
    for (const size of [4, 8] as const) {
      const note = new Uint8Array([...other, ...pvhNote(0x100002, size)]);
      expect(parseElf(makeElf(64, 0x100000, [{ paddr: 0x100000, bytes: code }], note)).pvhEntry).toBe(0x100002);
    }
  });

  it('translates a virtual entry by the segment that holds it', () => {
    const elf = parseElf(
      makeElf(64, 0xffffffff81000002n, [{ paddr: 0x1000000, vaddr: 0xffffffff81000000n, bytes: code }]),
    );
    expect(elf.entry).toBe(0x1000002);
  });

  it('leaves empty segments out', () => {
    const elf = parseElf(
      makeElf(64, 0x100000, [
        { paddr: 0x100000, bytes: code },
        { paddr: 0x5000, bytes: new Uint8Array() },
      ]),
    );
    expect(elf.segments).toHaveLength(1);
  });

  it.each<[string, string, (view: DataView) => void]>([
    ['a class that does not exist', 'bad-elf', (v) => v.setUint8(4, 3)],
    ['big-endian data', 'wrong-machine', (v) => v.setUint8(5, 2)],
    ['another ELF version', 'bad-elf', (v) => v.setUint8(6, 2)],
    ['an ARM machine', 'wrong-machine', (v) => v.setUint16(18, 183, true)],
    ['a 386 machine in a 64-bit file', 'bad-elf', (v) => v.setUint16(18, 3, true)],
    ['an object file', 'not-a-kernel', (v) => v.setUint16(16, 1, true)],
    ['a core dump', 'not-a-kernel', (v) => v.setUint16(16, 4, true)],
    ['no program headers', 'bad-elf', (v) => v.setUint16(56, 0, true)],
    ['too many program headers', 'bad-elf', (v) => v.setUint16(56, 0xffff, true)],
    ['program headers of a wrong size', 'bad-elf', (v) => v.setUint16(54, 32, true)],
    ['program headers beyond the end', 'truncated', (v) => v.setBigUint64(32, 0xffff_ffff_ffff_fff0n, true)],
    ['a segment beyond the end', 'truncated', (v) => v.setBigUint64(64 + 8, 0xffff_ffff_ffff_ffffn, true)],
    ['a segment larger in the file than in memory', 'bad-elf', (v) => v.setBigUint64(64 + 40, 1n, true)],
    ['a segment beyond physical addresses', 'bad-elf', (v) => v.setBigUint64(64 + 24, 0xffff_ffff_ffff_ffffn, true)],
    ['an entry outside the segments', 'bad-elf', (v) => v.setBigUint64(24, 0x200000n, true)],
    ['nothing to load', 'bad-elf', (v) => v.setUint32(64, 0, true)],
    ['an interpreter', 'not-a-kernel', (v) => v.setUint32(64, 3, true)],
  ])('refuses %s as %s', (_name, wanted, change) => {
    expect(codeOf(patched(change))).toBe(wanted);
  });

  it('refuses a note that runs beyond its segment, and a PVH entry outside the segments', () => {
    const segment = [{ paddr: 0x100000, bytes: code }];
    const long = pvhNote(0x100000);
    long[4] = 200;
    expect(codeOf(makeElf(64, 0x100000, segment, long))).toBe('bad-elf');
    expect(codeOf(makeElf(64, 0x100000, segment, pvhNote(0x300000)))).toBe('bad-elf');
    const wide = pvhNote(0x100000, 8);
    wide[20] = 1;
    expect(codeOf(makeElf(64, 0x100000, segment, wide))).toBe('bad-elf');
  });

  it('answers any bytes behind the magic with an image inside the file or a BootError', () => {
    const valid = makeElf(64, 0x100000, [{ paddr: 0x100000, bytes: code }], pvhNote(0x100000));
    const damaged = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 12 }).map((changes) => {
      const bytes = valid.slice();
      for (const [at, value] of changes) bytes[at] = value;
      bytes.set([0x7f, 0x45, 0x4c, 0x46]);
      return bytes;
    });
    const anything = fc.uint8Array({ maxLength: 300 }).map((tail) => new Uint8Array([0x7f, 0x45, 0x4c, 0x46, ...tail]));
    const cut = fc.nat(valid.length).map((length) => valid.slice(0, length));
    fc.assert(
      fc.property(fc.oneof(damaged, anything, cut), (bytes) => {
        if (codeOf(bytes) !== 'accepted') return;
        const elf = parseElf(bytes);
        for (const s of elf.segments) expect(s.memorySize).toBeGreaterThanOrEqual(s.bytes.length);
        expect(elf.segments.some((s) => elf.entry >= s.gpa && elf.entry < s.gpa + s.memorySize)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });
});
