/** A folder of the host in a real guest, from the outside. */
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { typevisor } from './typevisor.js';

const hasApt = spawnSync('apt-get', ['--version']).status === 0;
/** A first run fetches the guest. */
const PATIENCE = 240_000;

const WORK = `cd /mnt/share
cat file; sha256sum large; readlink out; head -c 4 out
mkdir made; echo text >made/new; mv made/new made/newer; ln made/newer linked; chmod 4711 linked; touch -d @1000000 linked
cp large copied; truncate -s 5 linked
mknod device c 1 3 2>/dev/null || echo no device
ls / >root; ln -s ../../../etc/passwd way-out; cat way-out | head -c 4; rm file; rmdir sub
echo x 2>/dev/null >/mnt/only/x || echo read-only; cat /mnt/only/seen`;

describe.skipIf(!hasApt || process.platform !== 'linux')('--share', { timeout: PATIENCE }, () => {
  let place: string;
  const at = (...path: string[]) => join(place, ...path);
  beforeAll(() => {
    place = mkdtempSync(join(tmpdir(), 'typevisor-share-'));
    mkdirSync(at('shared', 'sub'), { recursive: true });
    mkdirSync(at('only'));
  });
  afterAll(() => rmSync(place, { recursive: true }));

  test('folders of the host are below /mnt: written and read there and here, and no way leads out of them', async () => {
    const large = randomBytes(3_000_000);
    const sum = createHash('sha256').update(large).digest('hex');
    writeFileSync(at('shared', 'file'), 'hello\n');
    writeFileSync(at('shared', 'large'), large);
    writeFileSync(at('secret'), 'secret');
    symlinkSync(at('secret'), at('shared', 'out'));
    writeFileSync(at('only', 'seen'), 'seen\n');
    const shares = ['--share', at('shared'), '--share', `${at('only')},tag=only,readonly`];
    const { status, stdout, stderr } = await typevisor(['run', 'debian', '--arch', 'i386', ...shares, '--', WORK]);
    // Links are the guest's to follow, and lead to its own files.
    expect(stdout.split('\n')).toEqual([
      'hello',
      `${sum}  large`,
      at('secret'),
      'no device',
      'rootread-only',
      'seen',
      '',
    ]);
    expect([status, stderr.includes("can't open 'out'") || stderr.includes('out: No such file')]).toEqual([0, true]);
    expect(readdirSync(at('shared')).sort()).toEqual(['copied', 'large', 'linked', 'made', 'out', 'root', 'way-out']);
    expect(readFileSync(at('shared', 'copied')).equals(large)).toBe(true);
    expect(readFileSync(at('shared', 'made', 'newer'), 'utf8')).toBe('text\n');
    expect(statSync(at('shared', 'linked'))).toMatchObject({ size: 5, nlink: 2 });
    expect(statSync(at('shared', 'linked')).mode & 0o7777).toBe(0o711);
    expect(existsSync(at('only', 'x'))).toBe(false);
  });

  test.each([
    ['nowhere', /^typevisor: The shared folder ".*nowhere" does not exist; check the path\.\n$/],
    ['secret', /^typevisor: The shared folder ".*secret" does not exist; check the path\.\n$/],
  ])('a folder that is none (%s) is refused with one sentence', async (name, message) => {
    writeFileSync(at('secret'), 'secret');
    const { status, stderr } = await typevisor(['run', 'debian', '--arch', 'i386', '--share', at(name), '--', 'true']);
    expect(status).toBe(1);
    expect(stderr).toMatch(message);
  });
});
