import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CpioEntry, readCpio, withParents, writeCpio } from './cpio.js';
import { BootError } from './errors.js';

const path = fc.stringMatching(/^[a-z0-9_.-]{1,12}(\/[a-z0-9_.-]{1,12}){0,3}$/);
const mode = fc.nat(0o7777);
const entry: fc.Arbitrary<CpioEntry> = fc.oneof(
  fc.record({ type: fc.constant('file' as const), path, mode, data: fc.uint8Array({ maxLength: 50 }) }),
  fc.record({ type: fc.constant('directory' as const), path, mode }),
  fc.record({
    type: fc.constant('symlink' as const),
    path,
    mode,
    target: fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme-ascii' }),
  }),
  fc.record({
    type: fc.constantFrom('char' as const, 'block' as const),
    path,
    mode,
    major: fc.nat(255),
    minor: fc.nat(255),
  }),
  fc.record({ type: fc.constant('fifo' as const), path, mode }),
);

const hasCpio = spawnSync('cpio', ['--version']).status === 0;

describe('cpio', () => {
  it('reads back what it has written, from one archive and from several', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 8 }), fc.array(entry, { maxLength: 3 }), (one, two) => {
        expect(readCpio(writeCpio(one))).toEqual(one);
        const both = new Uint8Array([...writeCpio(one), 0, 0, 0, 0, ...writeCpio(two)]);
        expect(readCpio(both)).toEqual([...one, ...two]);
      }),
    );
  });

  it('makes archives whose length is a multiple of four', () => {
    fc.assert(fc.property(fc.array(entry, { maxLength: 5 }), (entries) => writeCpio(entries).length % 4 === 0));
  });

  it.skipIf(!hasCpio)('is understood by cpio itself', () => {
    const archive = writeCpio([
      { type: 'directory', path: 'd', mode: 0o755 },
      { type: 'file', path: 'd/f', mode: 0o640, data: new Uint8Array([1, 2, 3]) },
      { type: 'symlink', path: 'l', mode: 0o777, target: 'd/f' },
      { type: 'char', path: 'c', mode: 0o600, major: 5, minor: 1 },
    ]);
    const listing = spawnSync('cpio', ['-itv', '--quiet', '--numeric-uid-gid'], {
      input: archive,
      env: { ...process.env, TZ: 'UTC', LC_ALL: 'C' },
    });
    expect(listing.stderr.toString()).toBe('');
    const lines = listing.stdout
      .toString()
      .trim()
      .split('\n')
      .map((line) => line.replace(/ +/g, ' '));
    expect(lines).toEqual([
      'drwxr-xr-x 2 0 0 0 Jan 1 1970 d',
      '-rw-r----- 1 0 0 3 Jan 1 1970 d/f',
      'lrwxrwxrwx 1 0 0 3 Jan 1 1970 l -> d/f',
      'crw------- 1 0 0 5, 1 Jan 1 1970 c',
    ]);
  });

  it('adds missing parents once, before their first use', () => {
    const file = (p: string): CpioEntry => ({ type: 'file', path: p, mode: 0o644, data: new Uint8Array() });
    expect(withParents([file('a/b/c'), file('a/b/d'), file('e')]).map((e) => e.path)).toEqual([
      'a',
      'a/b',
      'a/b/c',
      'a/b/d',
      'e',
    ]);
  });

  it('refuses archives that are cut off or malformed', () => {
    const archive = writeCpio([{ type: 'file', path: 'f', mode: 0o644, data: new Uint8Array(100) }]);
    for (const length of [50, 115, 150]) expect(() => readCpio(archive.slice(0, length))).toThrow(BootError);
    const bad = archive.slice();
    bad[20] = 0x7a;
    expect(() => readCpio(bad)).toThrow(/no newc header/);
  });

  it('answers any bytes with entries or a BootError', () => {
    const valid = writeCpio([{ type: 'file', path: 'f', mode: 0o644, data: new Uint8Array(20) }]);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(valid.length - 1), fc.constantFrom(...'0123456789abcdef')), { maxLength: 6 }),
        fc.uint8Array(),
        (changes, tail) => {
          const bytes = new Uint8Array([...valid, ...tail]);
          for (const [at, digit] of changes) bytes[at] = digit.charCodeAt(0);
          try {
            readCpio(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(BootError);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});
