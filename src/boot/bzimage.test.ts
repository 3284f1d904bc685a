import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isBzImage, parseBzImage, SetupHeader } from './bzimage.js';
import { BootError } from './errors.js';
import { makeBzImage } from './testing.js';

function codeOf(bytes: Uint8Array): string {
  try {
    parseBzImage(bytes);
    return 'accepted';
  } catch (error) {
    if (error instanceof BootError) return error.code;
    throw error;
  }
}

function patched(change: (view: DataView) => void): Uint8Array {
  const bytes = makeBzImage({ payload: new Uint8Array(64) });
  change(new DataView(bytes.buffer));
  return bytes;
}

describe('bzImage', () => {
  it('reads the header of protocol 2.15 and takes the payload out', () => {
    const payload = new Uint8Array([1, 2, 3, 4, 5]);
    const image = parseBzImage(makeBzImage({ payload, has64BitEntry: true, initSize: 0x12_3000 }));
    expect(image).toMatchObject({
      version: 0x020f,
      has64BitEntry: true,
      relocatable: true,
      alignment: 0x20_0000,
      prefAddress: 0x100_0000,
      initSize: 0x12_3000,
      commandLineMax: 2047,
      initrdMax: 0x7fff_ffff,
      payload,
    });
    expect(image.protectedMode.length).toBe(0x410);
    expect(image.setupHeader.length).toBe(0x268 - 0x1f1);
  });

  it('takes the defaults of old protocols for fields that they did not have', () => {
    const image = parseBzImage(makeBzImage({ version: 0x0202, has64BitEntry: true }));
    expect(image).toMatchObject({
      has64BitEntry: false,
      relocatable: false,
      prefAddress: 0x10_0000,
      initSize: 0,
      commandLineMax: 255,
      initrdMax: 0x37ff_ffff,
      payload: undefined,
    });
  });

  it('reads the version string', () => {
    const bytes = makeBzImage();
    new DataView(bytes.buffer).setUint16(SetupHeader.kernel_version, 0x100, true);
    bytes.set(new TextEncoder().encode('6.1.0-test (x) #1'), 0x300);
    expect(parseBzImage(bytes).kernelVersion).toBe('6.1.0-test (x) #1');
  });

  it('does not take a boot sector without HdrS for a kernel', () => {
    expect(isBzImage(patched((v) => v.setUint32(SetupHeader.header, 0)))).toBe(false);
    expect(isBzImage(new Uint8Array(100))).toBe(false);
  });

  it.each<[string, string, (view: DataView) => void]>([
    ['a protocol before 2.02', 'bad-bzimage', (v) => v.setUint16(SetupHeader.version, 0x0201, true)],
    ['a zImage', 'bad-bzimage', (v) => v.setUint8(SetupHeader.loadflags, 0)],
    ['more sectors of setup than the file has', 'truncated', (v) => v.setUint8(SetupHeader.setup_sects, 64)],
    ['more code than the file has', 'truncated', (v) => v.setUint32(SetupHeader.syssize, 0x1000, true)],
    ['a header that ends too early', 'bad-bzimage', (v) => v.setUint8(SetupHeader.jump + 1, 4)],
    ['a header that ends beyond its room', 'bad-bzimage', (v) => v.setUint8(SetupHeader.jump + 1, 0xff)],
    ['an alignment that is no power of two', 'bad-bzimage', (v) => v.setUint32(SetupHeader.kernel_alignment, 3, true)],
    [
      'a preferred address above 4 GiB',
      'bad-bzimage',
      (v) => v.setBigUint64(SetupHeader.pref_address, 1n << 32n, true),
    ],
    ['a payload beyond the end', 'truncated', (v) => v.setUint32(SetupHeader.payload_length, 0xffff_ffff, true)],
  ])('refuses %s as %s', (_name, wanted, change) => {
    expect(codeOf(patched(change))).toBe(wanted);
  });

  it('answers any header with an image or a BootError', () => {
    const valid = makeBzImage({ payload: new Uint8Array(64), has64BitEntry: true });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0x1f1, max: 0x268 }), fc.nat(255)), { maxLength: 10 }),
        fc.nat(valid.length),
        (changes, length) => {
          const bytes = valid.slice(0, length);
          for (const [at, value] of changes) if (at < length) bytes[at] = value;
          expect(['accepted', 'bad-bzimage', 'truncated']).toContain(codeOf(bytes));
        },
      ),
      { numRuns: 2000 },
    );
  });
});
