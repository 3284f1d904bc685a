/**
 * Images that the real qemu-img makes: read, written, and looked at by qemu-img again. Where it is not installed these tests
 * are left out by name.
 */
import { spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import type { DiskImage } from '../image.js';
import { openImage } from '../open.js';

const hasQemuImg = spawnSync('qemu-img', ['--version']).error === undefined;
const hasQemuIo = spawnSync('qemu-io', ['--version']).error === undefined;
const folder = mkdtempSync(join(tmpdir(), 'typevisor-qemu-img-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

const SECTOR = 512;
const SIZE = 3 * 2 ** 20 + 5 * SECTOR;

function qemuImg(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('qemu-img', args, { encoding: 'utf8', cwd: folder });
  expect(status, `qemu-img ${args.join(' ')}: ${stdout}${stderr}`).toBe(0);
  return stdout;
}

/** Random bytes with long stretches of one byte, so that some of it compresses and some does not. */
function someContent(): Uint8Array {
  const bytes = randomFillSync(new Uint8Array(SIZE));
  for (let from = 0; from < SIZE; from += 300_000) bytes.fill(from & 255, from, from + 200_000);
  return bytes;
}

function open(name: string, readonly = false): DiskImage {
  return openImage(at(name), 'qcow2', readonly);
}

function contentOf(name: string): Uint8Array {
  const image = open(name, true);
  try {
    const bytes = new Uint8Array(image.size);
    image.read(0, [bytes]);
    return bytes;
  } finally {
    image.close();
  }
}

const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

/** Writes and zeroes at random places, in the image and in `model`. */
function change(image: DiskImage, model: Uint8Array): void {
  const sectors = model.length / SECTOR;
  const places = fc.tuple(fc.nat(sectors - 1), fc.integer({ min: 1, max: 300 }), fc.nat(7));
  for (const [sector, most, what] of fc.sample(places, 40)) {
    const from = sector * SECTOR;
    const length = Math.min(most, sectors - sector) * SECTOR;
    if (what < 5) {
      const bytes = randomFillSync(new Uint8Array(length));
      image.write(from, [bytes]);
      model.set(bytes, from);
    } else if (what < 7) {
      image.zero(from, length, what === 6);
      model.fill(0, from, from + length);
    } else {
      image.flush();
    }
  }
}

/** Changes an image; what we read then, and what qemu-img finds, must be the model. */
function writeAndCompare(name: string, content: Uint8Array): Uint8Array {
  const model = content.slice();
  const image = open(name);
  change(image, model);
  image.close();
  expect(same(contentOf(name), model)).toBe(true);
  writeFileSync(at('model.raw'), model);
  qemuImg('check', '-f', 'qcow2', name);
  qemuImg('compare', '-f', 'raw', '-F', 'qcow2', 'model.raw', name);
  return model;
}

/** Content and the same as an image. */
function converted(name: string, ...options: string[]): Uint8Array {
  const content = someContent();
  writeFileSync(at('source.raw'), content);
  qemuImg('convert', '-f', 'raw', '-O', 'qcow2', ...options, 'source.raw', name);
  expect(same(contentOf(name), content)).toBe(true);
  return content;
}

describe.skipIf(!hasQemuImg)('an image of qemu-img (with qemu-utils)', { timeout: 60_000 }, () => {
  test.each([
    ['as it comes', []],
    ['of version 2', ['-o', 'compat=0.10']],
    ['with clusters of 512 bytes', ['-o', 'cluster_size=512']],
    ['with clusters of 2 MiB', ['-o', 'cluster_size=2M']],
    ['with refcounts of one bit', ['-o', 'refcount_bits=1']],
    ['with refcounts of 64 bits', ['-o', 'refcount_bits=64,cluster_size=4k']],
    ['with lazy refcounts', ['-o', 'lazy_refcounts=on']],
    ['with its tables made before', ['-o', 'preallocation=metadata']],
    ['with everything made before', ['-o', 'preallocation=full']],
    ['compressed', ['-c']],
    ['compressed, of version 2', ['-c', '-o', 'compat=0.10']],
    ['compressed, in clusters of 512 bytes', ['-c', '-o', 'cluster_size=512']],
    ['compressed, in clusters of 2 MiB', ['-c', '-o', 'cluster_size=2M']],
    ['compressed by zstd', ['-c', '-o', 'compression_type=zstd']],
    ['compressed by zstd in clusters of 512 bytes', ['-c', '-o', 'compression_type=zstd,cluster_size=512']],
    ['compressed by zstd in clusters of 2 MiB', ['-c', '-o', 'compression_type=zstd,cluster_size=2M']],
  ])('%s is read, written, and found in order', (_, options) => {
    const content = converted('image.qcow2', ...options);
    writeAndCompare('image.qcow2', writeAndCompare('image.qcow2', content));
  });

  test.each([
    ['plain', []],
    ['compressed', ['-c']],
    ['of small clusters', ['-o', 'cluster_size=1k']],
  ])('with snapshots keeps them (%s)', (_, options) => {
    const name = 'snapshots.qcow2';
    const first = converted(name, ...options);
    qemuImg('snapshot', '-c', 'one', name);
    const second = writeAndCompare(name, first);
    qemuImg('snapshot', '-c', 'two', name);
    const third = writeAndCompare(name, second);
    for (const [snapshot, content] of [
      ['one', first],
      ['two', second],
    ] as const) {
      qemuImg('convert', '-l', snapshot, '-O', 'raw', name, 'then.raw');
      expect(same(readFileSync(at('then.raw')), content)).toBe(true);
    }
    qemuImg('snapshot', '-d', 'two', name);
    writeAndCompare(name, third);
    qemuImg('snapshot', '-a', 'one', name);
    expect(same(contentOf(name), first)).toBe(true);
    writeAndCompare(name, first);
  });

  test('stands on others: qcow2 on compressed qcow2 on raw, by relative paths', () => {
    mkdirSync(at('below/deeper'), { recursive: true });
    const base = someContent().subarray(0, 2 ** 20);
    writeFileSync(at('below/deeper/base.raw'), base);
    const create = (name: string, format: string, backing: string, ...size: string[]) =>
      qemuImg('create', '-q', '-f', 'qcow2', '-F', format, '-b', backing, name, ...size);
    create('below/middle.qcow2', 'raw', 'deeper/base.raw', String(SIZE));
    const content = new Uint8Array(SIZE);
    content.set(base);
    const middle = writeAndCompare('below/middle.qcow2', content);
    qemuImg('convert', '-c', '-f', 'qcow2', '-O', 'qcow2', 'below/middle.qcow2', 'below/packed.qcow2');
    create('top.qcow2', 'qcow2', 'below/packed.qcow2');
    create('other.qcow2', 'qcow2', 'file:below/middle.qcow2');
    for (const name of ['top.qcow2', 'other.qcow2']) writeAndCompare(name, middle);
    expect(same(contentOf('below/middle.qcow2'), middle)).toBe(true);
    expect(same(contentOf('below/packed.qcow2'), middle)).toBe(true);
    expect(same(readFileSync(at('below/deeper/base.raw')), base)).toBe(true);
    // What shows through from below comes with it when the chain is made one image.
    const top = contentOf('top.qcow2');
    qemuImg('convert', '-O', 'raw', 'top.qcow2', 'flat.raw');
    expect(same(readFileSync(at('flat.raw')), top)).toBe(true);
  });

  test.each([
    ['extended L2 entries', ['-o', 'extended_l2=on'], 'has extended L2 entries'],
    ['its data elsewhere', ['-o', 'data_file=data.raw'], 'keeps its data in another file'],
    ['a backing file of another kind', ['-b', 'base.vmdk', '-F', 'vmdk'], 'has a backing file of format "vmdk"'],
  ])('with %s is refused', (_, options, sentence) => {
    qemuImg('create', '-q', '-f', 'vmdk', 'base.vmdk', '1M');
    qemuImg('create', '-q', '-f', 'qcow2', ...options, 'no.qcow2', '1M');
    expect(() => open('no.qcow2')).toThrow(sentence);
  });

  test.skipIf(!hasQemuIo)('that was not closed is read, and written when it is repaired (with qemu-io)', () => {
    qemuImg('create', '-q', '-f', 'qcow2', '-o', 'lazy_refcounts=on', 'dirty.qcow2', '1M');
    const commands = ['write -P 7 0 128k', 'flush', 'sigraise 9'].flatMap((command) => ['-c', command]);
    expect(spawnSync('qemu-io', ['-f', 'qcow2', ...commands, at('dirty.qcow2')]).signal).toBe('SIGKILL');
    expect(() => open('dirty.qcow2')).toThrow('was not closed');
    const wanted = new Uint8Array(2 ** 20).fill(7, 0, 2 ** 17);
    expect(same(contentOf('dirty.qcow2'), wanted)).toBe(true);
    qemuImg('check', '-q', '-r', 'all', 'dirty.qcow2');
    writeAndCompare('dirty.qcow2', wanted);
  });
});
