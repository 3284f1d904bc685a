/** Rights are given up in a process of their own, which root starts: who has lost them can't run the next test. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { confine, findUser } from './privileges.js';

const isRoot = process.getuid?.() === 0;
const run = promisify(execFile);

/** Threads of each kind that Node has, then the steps, then what the kernel says of every thread. */
const PROGRAM = `
  import { readdirSync, readFileSync, existsSync } from 'node:fs';
  import { readFile } from 'node:fs/promises';
  import { Worker } from 'node:worker_threads';
  const { confine, findUser } = await import(process.argv[1]);
  const folder = process.argv[2];
  const code = "import { parentPort } from 'node:worker_threads'; parentPort.postMessage(''); parentPort.on('message', () => {})";
  const workers = [1, 2].map(() => new Worker(code, { eval: true }));
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
  await readFile('/proc/self/stat');
  if (folder !== '') confine({ chroot: folder });
  const seen = existsSync('/inside') && !existsSync('/proc/self');
  if (folder === '') {
    confine({ user: findUser('nobody') });
    const threads = readdirSync('/proc/self/task').map((task) => {
      const text = readFileSync('/proc/self/task/' + task + '/status', 'utf8');
      return ['Uid', 'Gid', 'Groups', 'CapEff'].map((key) => new RegExp('^' + key + ':\\\\s*(.*?)\\\\s*$', 'm').exec(text)[1].replace(/\\t/g, ' '));
    });
    console.log(JSON.stringify(threads));
  } else console.log(JSON.stringify({ seen, cwd: process.cwd() }));
  process.exit(0);
`;

async function inProcess(folder: string): Promise<unknown> {
  // The sources erase to JavaScript, which the test runner does for itself and Node 20 does not: so the built module.
  const built = new URL('../../../dist/host/node/privileges.js', import.meta.url).href;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', PROGRAM, built, folder]);
  return JSON.parse(stdout);
}

describe('rights that are given up', () => {
  test.skipIf(!isRoot)(
    'the user changes for every thread: all user, group and saved IDs, no other group, no capability',
    async () => {
      const threads = (await inProcess('')) as [string, string, string, string][];
      expect(threads.length).toBeGreaterThan(6);
      const { uid, gid } = findUser('nobody');
      for (const thread of threads) {
        expect(thread).toEqual([
          `${Array(4).fill(uid).join(' ')}`,
          `${Array(4).fill(gid).join(' ')}`,
          `${gid}`,
          '0000000000000000',
        ]);
      }
    },
  );

  test.skipIf(!isRoot)('the root directory and the working directory change', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'typevisor-root-'));
    writeFileSync(join(folder, 'inside'), '');
    try {
      expect(await inProcess(folder)).toEqual({ seen: true, cwd: '/' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('a user that is not there is named before anything is done', () => {
    expect(() => findUser('no-such-user-here')).toThrow('There is no user "no-such-user-here" on this machine');
  });

  test('a folder that is not there is named, with the reason', () => {
    expect(() => confine({ chroot: '/no/such/folder' })).toThrow(
      `The root directory can't be changed to "/no/such/folder": ${isRoot ? 'there is no such folder' : 'only root may do that'}.`,
    );
  });
});
