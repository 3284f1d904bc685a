import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OpenMode } from '../../../devices/virtio/9p/tree.js';
import { Folder } from './folder.js';

const READ: OpenMode = { read: true, write: false, truncate: false, sync: false };
const WRITE: OpenMode = { read: false, write: true, truncate: false, sync: false };

/** What the system's error is called. */
function codeOf(attempt: () => unknown): string {
  try {
    attempt();
  } catch (error) {
    const { code, errno } = error as NodeJS.ErrnoException;
    return code ?? `errno ${errno}`;
  }
  return 'none';
}

describe.skipIf(process.platform !== 'linux')('a shared folder', () => {
  let place: string;
  let shared: string;
  let folder: Folder;
  const open = () => fs.readdirSync('/proc/self/fd').length;
  let before: number;

  beforeEach(() => {
    place = fs.mkdtempSync(join(tmpdir(), 'typevisor-share-'));
    shared = join(place, 'shared');
    fs.mkdirSync(join(shared, 'sub'), { recursive: true });
    fs.writeFileSync(join(place, 'secret'), 'secret');
    fs.writeFileSync(join(shared, 'file'), 'hello');
    before = open();
    folder = new Folder(shared);
  });

  afterEach(() => {
    folder.end();
    expect(open()).toBe(before);
    fs.rmSync(place, { recursive: true });
  });

  /** Does something with a node, and lets it go. */
  function at<T>(path: string, use: (node: ReturnType<Folder['root']>) => T): T {
    let node = folder.root();
    try {
      for (const name of path === '' ? [] : path.split('/')) {
        const next = folder.walk(node, name);
        folder.release(node);
        node = next;
      }
      return use(node);
    } finally {
      folder.release(node);
    }
  }

  test('above it there is nothing: .. of the folder is the folder', () => {
    const itself = at('', (node) => folder.status(node).ino);
    expect(at('..', (node) => folder.status(node).ino)).toBe(itself);
    expect(at('sub/../..', (node) => folder.status(node).ino)).toBe(itself);
  });

  test('a symbolic link is shown and never followed', () => {
    fs.symlinkSync('../secret', join(shared, 'out'));
    fs.symlinkSync('/', join(shared, 'root'));
    at('out', (node) => {
      expect(folder.readlink(node)).toBe('../secret');
      expect(Number(folder.status(node).mode) & fs.constants.S_IFMT).toBe(fs.constants.S_IFLNK);
      expect(codeOf(() => folder.open(node, READ))).toBe('errno 40');
      expect(codeOf(() => folder.change(node, { mode: 0o777 }))).toBe('errno 95');
      expect(codeOf(() => folder.change(node, { size: 0 }))).toBe('errno 22');
      folder.change(node, { atime: 1, mtime: 2 });
      expect(folder.status(node).mtimeNs).toBe(2_000_000_000n);
    });
    expect(codeOf(() => at('root/etc', () => {}))).toBe('ENOTDIR');
    at('', (root) => {
      expect(codeOf(() => folder.create(root, 'out', WRITE, 0o600, false))).toBe('errno 40');
      expect(codeOf(() => folder.create(root, 'out', WRITE, 0o600, true))).toBe('errno 17');
    });
    expect(fs.readFileSync(join(place, 'secret'), 'utf8')).toBe('secret');
  });

  test('a folder that becomes a link to elsewhere while it is held still is the folder that it was', () => {
    at('sub', (node) => {
      fs.renameSync(join(shared, 'sub'), join(shared, 'moved'));
      fs.symlinkSync(place, join(shared, 'sub'));
      expect(codeOf(() => folder.walk(node, 'secret'))).toBe('ENOENT');
      folder.close(folder.create(node, 'new', WRITE, 0o600, true));
      expect(fs.readdirSync(join(shared, 'moved'))).toEqual(['new']);
      expect(folder.list(node).map(({ name }) => name)).toEqual(['new']);
    });
  });

  test('pipes and devices of the host are not opened', () => {
    execFileSync('mkfifo', [join(shared, 'pipe')]);
    expect(codeOf(() => at('pipe', (node) => folder.open(node, READ)))).toBe('errno 1');
    at('', (root) => expect(codeOf(() => folder.create(root, 'pipe', WRITE, 0o600, false))).toBe('errno 1'));
  });

  test('files are made, written, read, changed, renamed and removed', () => {
    at('', (root) => {
      const file = folder.create(root, 'new', { ...READ, write: true }, 0o640, true);
      expect(folder.write(file, Buffer.from('12345'), 2)).toBe(5);
      const into = new Uint8Array(10);
      expect(folder.read(file, into, 1)).toBe(6);
      folder.sync(file, true);
      folder.close(file);
      expect(fs.statSync(join(shared, 'new')).mode & 0o7777).toBe(0o640);
      folder.rename(root, 'new', root, 'renamed');
      at('renamed', (node) => {
        folder.change(node, { size: 3, mode: 0o600, mtime: 1000.5 });
        expect(folder.status(node)).toMatchObject({ size: 3n, mtimeNs: 1_000_500_000_000n });
        folder.link(root, 'again', node);
      });
      folder.mkdir(root, 'made', 0o777);
      expect(fs.statSync(join(shared, 'made')).mode & 0o7777).toBe(0o777);
      expect(codeOf(() => folder.unlink(root, 'made', false))).toMatch(/^E(ISDIR|PERM)$/);
      folder.unlink(root, 'made', true);
      folder.unlink(root, 'renamed', false);
      expect(folder.list(root).map(({ name }) => name)).toEqual(expect.arrayContaining(['again', 'file', 'sub']));
    });
  });

  test('a name that is not UTF-8 is left out, for it could not be asked for', () => {
    fs.writeFileSync(Buffer.concat([Buffer.from(`${shared}/`), Buffer.of(0xff, 0x41)]), '');
    at('', (root) =>
      expect(
        folder
          .list(root)
          .map(({ name }) => name)
          .sort(),
      ).toEqual(['file', 'sub']),
    );
  });
});
