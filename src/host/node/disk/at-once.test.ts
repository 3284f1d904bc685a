import { spawnSync } from 'node:child_process';
import { closeSync, fsyncSync, mkdtempSync, openSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { BlockRequest } from '../../../devices/virtio/block/backend.js';
import { TestMemory } from '../../../engine/testing.js';
import { AtOnce } from './at-once.js';

const folder = mkdtempSync(join(tmpdir(), 'typevisor-at-once-'));
const path = join(folder, 'disk');
const content = Uint8Array.from({ length: 64 * 512 }, (_, i) => (i >> 9) + 1);
writeFileSync(path, content);
const fd = openSync(path, 'r+');
afterAll(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true, force: true });
});

const memory = new TestMemory(0x10_0000, 0);
const piece = (gpa: number, length: number) => ({ gpa, length, bytes: memory.view(gpa, length) });

function request(operation: BlockRequest['operation'], sector: number, ...data: BlockRequest['data']): BlockRequest {
  const length = data.reduce((sum, { bytes }) => sum + bytes.length, 0);
  return { operation, offset: sector * 512, length, data, durable: false, unmap: false };
}

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')('without waiting', () => {
  const atOnce = AtOnce.over(fd, memory)!;

  test('is read what the system has in its cache, in pieces, or nothing is said to be done', () => {
    readFileSync(path);
    const done = atOnce.does(request('read', 3, piece(0x1000, 300), piece(0x5001, 724)));
    // Where the file system knows nothing of it the thread does everything.
    if (!done) return;
    expect([...memory.view(0x1000, 300), ...memory.view(0x5001, 724)]).toEqual([...content.subarray(1536, 2560)]);
  });

  test('is written what was to be written, where the system does it at all', () => {
    memory.view(0x8000, 4096).fill(0xab);
    const expected = content.slice();
    const done = atOnce.does(request('write', 8, piece(0x8000, 512), piece(0x8200, 3072), piece(0x8e00, 512)));
    if (done) expected.fill(0xab, 8 * 512, 16 * 512);
    expect(Buffer.compare(readFileSync(path), expected)).toBe(0);
  });

  test.each<[string, BlockRequest]>([
    ['a flush', request('flush', 0)],
    ['a discard', request('discard', 1)],
    ['a durable write', { ...request('write', 1, piece(0, 512)), durable: true }],
    ['a write to the first sector', request('write', 0, piece(0, 512))],
    ['a request of two MiB', { ...request('read', 0, piece(0, 512)), length: 2 ** 21 }],
    ['a read beyond the end of the file', request('read', 64, piece(0, 512))],
    ['a piece that is not RAM', request('read', 0, { gpa: 0x10_0000 - 256, length: 512, bytes: new Uint8Array(512) })],
    ['more pieces than it takes', request('read', 0, ...Array.from({ length: 600 }, () => piece(0, 1)))],
  ])('is not done: %s', (_, one) => {
    expect(atOnce.does(one)).toBe(false);
  });
});

const EXT4_SUPER_MAGIC = 0xef53;

describe.skipIf(process.arch !== 'x64' || statfsSync(folder).type !== EXT4_SUPER_MAGIC)(
  'without waiting, on ext4',
  () => {
    const atOnce = AtOnce.over(fd, memory)!;

    test('nothing is read that would have to come from the disk', () => {
      fsyncSync(fd);
      // The system's cache lets go of the file.
      expect(spawnSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0']).status).toBe(0);
      expect(atOnce.does(request('read', 0, piece(0, 4096)))).toBe(false);
      readFileSync(path);
      expect(atOnce.does(request('read', 0, piece(0, 4096)))).toBe(true);
    });

    test.each<[string, number, number]>([
      ['begins within a page', 9, 4096],
      ['ends within a page', 8, 4608],
    ])('nothing is written that %s', (_, sector, length) => {
      expect(atOnce.does(request('write', sector, piece(0x8000, length)))).toBe(false);
    });
  },
);
