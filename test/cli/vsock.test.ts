/** Sockets between a real guest and the host, from the outside. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MAIN, typevisor } from './typevisor.js';

const hasApt = spawnSync('apt-get', ['--version']).status === 0;
const hasCompiler = process.arch === 'x64' && spawnSync('gcc', ['--version']).status === 0;
/** A first run fetches the guest. */
const PATIENCE = 240_000;

describe.skipIf(!hasApt || !hasCompiler)('--vsock', { timeout: PATIENCE }, () => {
  let place: string;
  let program: Buffer;
  let server: Server;
  const path = () => join(place, 'v');

  beforeAll(() => {
    place = mkdtempSync(join(tmpdir(), 'typevisor-vsock-'));
    const source = new URL('./programs/vsock.c', import.meta.url).pathname;
    const binary = join(place, 'vsock');
    const options = ['-O2', '-static', '-nostdlib', '-fno-stack-protector', '-o', binary];
    expect(spawnSync('gcc', [...options, source]).stderr.toString()).toBe('');
    program = readFileSync(binary);
    // Sends back what comes.
    server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(`${path()}_1000`);
  });
  afterAll(() => {
    server.close();
    rmSync(place, { recursive: true });
  });

  test('the guest reaches sockets of the host, and the host those of the guest', async () => {
    const work = [
      'cat >/tmp/vsock; chmod +x /tmp/vsock; head -c 3000000 /dev/urandom >/tmp/sent',
      '/tmp/vsock connect 1000 </tmp/sent >/tmp/received; cmp /tmp/sent /tmp/received && echo same',
      '/tmp/vsock connect 1001 </dev/null || echo refused',
      '/tmp/vsock listen 77; echo over',
    ].join('\n');
    const child = spawn(process.execPath, [MAIN, 'run', 'debian', '--vsock', path(), '--', work]);
    child.stdin.end(program);
    let output = '';
    let heard = '';
    const sent = 'x'.repeat(200_000);
    child.stdout.on('data', (bytes: Buffer) => {
      output += bytes;
      if (!output.endsWith('listening\n')) return;
      const socket = createConnection({ path: path(), allowHalfOpen: true });
      socket.write('CONNECT 77\n');
      socket.end(sent);
      socket.setEncoding('latin1').on('data', (text: string) => (heard += text));
    });
    const status = await new Promise((resolve) => child.on('close', resolve));
    expect([status, output]).toEqual([0, 'same\nrefused\nlistening\nover\n']);
    expect(heard).toBe(`OK 1073741824\n${sent}`);
    expect(existsSync(path())).toBe(false);
  });

  test('a path that is taken is refused with one sentence, and what lies there stays', async () => {
    const taken = join(place, 'file');
    writeFileSync(taken, 'content');
    const run = await typevisor(['run', 'debian', '--vsock', taken, '--', 'true']);
    expect([run.status, run.stderr]).toEqual([
      1,
      `typevisor: --vsock: "${taken}" can't be used: it is in use; give another path, or end who uses it.\n`,
    ]);
    expect(readFileSync(taken, 'utf8')).toBe('content');
  });

  test('a folder that is missing is said to be', async () => {
    const nowhere = join(place, 'none', 'v.sock');
    const run = await typevisor(['run', 'debian', '--vsock', nowhere, '--', 'true']);
    expect([run.status, run.stderr]).toEqual([
      1,
      `typevisor: --vsock: "${nowhere}" can't be used: there is no such folder.\n`,
    ]);
  });
});
