/**
 * Real guests on tap devices and a bridge, in a network namespace of their own: ping, and bulk TCP both ways between host
 * and guest and from one guest to another, with checksums of what has arrived.
 */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { MAIN, typevisor } from './typevisor.js';

const run = promisify(execFile);
const canBridge =
  process.getuid?.() === 0 &&
  existsSync('/dev/net/tun') &&
  spawnSync('apt-get', ['--version']).status === 0 &&
  spawnSync('unshare', ['-n', 'ip', 'link', 'add', 'br0', 'type', 'bridge']).status === 0;
const PATIENCE = 600_000;

/** Runs inside the namespace: the host's end of the network, and the guests. Prints what everybody has seen. */
const PROGRAM = `
  import { execFileSync, spawn } from 'node:child_process';
  import { createHash, randomBytes } from 'node:crypto';
  import { createServer } from 'node:net';
  const main = process.argv[1];
  const sum = (bytes) => createHash('sha256').update(bytes).digest('hex');
  const data = randomBytes(4_000_000);
  const host = { source: sum(data), sinks: [] };
  const listen = (port, serve) =>
    new Promise((resolve) => createServer((socket) => serve(socket.on('error', () => {}))).listen(port, '0.0.0.0', resolve));
  await listen(7001, (socket) => socket.end(data));
  await listen(7002, (socket) => {
    const hash = createHash('sha256');
    socket.on('data', (bytes) => hash.update(bytes));
    socket.on('end', () => (host.sinks.push(hash.digest('hex')), socket.end()));
  });
  const guest = (args) =>
    new Promise((resolve) => {
      const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
      let output = '';
      child.stdout.on('data', (text) => (output += text));
      child.stderr.resume();
      child.on('close', (status) => resolve({ status, lines: output.replaceAll('  -', '').trim().split('\\n') }));
    });
  const up = (address) => 'ip addr add ' + address + '/24 dev eth0; ip link set eth0 up; ';
  const bulk = (address) =>
    'ping -c 2 -W 9 ' + address + ' >/dev/null && echo ping; nc ' + address + ' 7001 | sha256sum; ' +
    'head -c 4000000 /dev/urandom >/tmp/a; sha256sum </tmp/a; nc ' + address + ' 7002 </tmp/a >/dev/null; ';
`;

async function inNamespace(program: string): Promise<unknown> {
  const script = `${PROGRAM}console.log(JSON.stringify(await (async () => { ${program} })())); process.exit(0);`;
  const { stdout } = await run('unshare', ['-n', process.execPath, '--input-type=module', '-e', script, MAIN]);
  return JSON.parse(stdout);
}

interface Seen {
  readonly host: { readonly source: string; readonly sinks: readonly string[] };
  readonly guests: readonly { readonly status: number; readonly lines: readonly string[] }[];
}

describe.skipIf(!canBridge)('real guests on the host’s network', { timeout: PATIENCE }, () => {
  // Fetched here where nobody has yet: that says so on standard error, and needs the host's network.
  beforeAll(async () => {
    expect((await typevisor(['run', 'debian', '--', 'true'])).status).toBe(0);
  });

  test('a bridge: host and guest, and two guests, exchange what they should', async () => {
    const { host, guests } = (await inNamespace(`
      execFileSync('ip', ['link', 'add', 'br0', 'type', 'bridge']);
      execFileSync('ip', ['addr', 'add', '10.9.0.1/24', 'dev', 'br0']);
      execFileSync('ip', ['link', 'set', 'br0', 'up']);
      const run = (words, command) => guest(['run', 'debian', '--memory', '256M', '--net', 'bridge=br0', ...words, '--', command]);
      const guests = await Promise.all([
        run([], up('10.9.0.2') + bulk('10.9.0.1') + 'nc -l -p 7003 </tmp/a'),
        run(['--mac', '52:54:00:00:00:77'],
          up('10.9.0.3') + 'mkfifo /tmp/open; exec 9<>/tmp/open; ' +
            // With an end of its input nc would close the connection under what is still on its way.
            'until nc 10.9.0.2 7003 <&9 >/tmp/b 2>/dev/null && [ -s /tmp/b ]; do sleep 1; done; sha256sum </tmp/b; cat /sys/class/net/eth0/address'),
      ]);
      return { host, guests };
    `)) as Seen;
    const [first, second] = guests;
    expect(first).toEqual({ status: 0, lines: ['ping', host.source, host.sinks[0]] });
    expect(second).toEqual({ status: 0, lines: [host.sinks[0], '52:54:00:00:00:77'] });
  });

  test('--tunnet of lguest: a new tap device with an address, and the guest reaches it', async () => {
    const { host, guests } = (await inNamespace(`
      const { readFileSync } = await import('node:fs');
      const { homedir } = await import('node:os');
      // A first run makes sure that there is a guest to take the files from.
      await guest(['run', 'debian', '--', 'true']);
      const cache = (process.env.XDG_CACHE_HOME || homedir() + '/.cache') + '/typevisor';
      const manifest = JSON.parse(readFileSync(cache + '/debian-amd64.json', 'utf8'));
      const command = up('192.168.19.2') + bulk('192.168.19.1') + 'poweroff -f';
      const child = spawn(process.execPath, [main, 'lguest', '--tunnet=192.168.19.1:02:00:00:00:00:09', '--rng', '256',
        cache + '/' + manifest.kernel.path, '--initrd', cache + '/' + manifest.initrd.path, 'quiet', 'cryptomgr.notests', 'panic=-1']);
      let output = '';
      let typed = false;
      child.stdout.on('data', (text) => {
        output += text;
        // The prompt, with or without the shell's question for the cursor behind it.
        if (typed || !output.includes('# ')) return;
        typed = true;
        child.stdin.write("echo START''ED; cat /sys/class/net/eth0/address; " + command + '\\n');
      });
      const status = await new Promise((resolve) => child.on('close', resolve));
      const lines = output.replaceAll('\\r', '').replaceAll('  -', '').split('\\n');
      return { host, guests: [{ status, lines: lines.slice(lines.indexOf('STARTED') + 1).filter((line) => line !== '') }] };
    `)) as Seen;
    expect(guests[0].status).toBe(0);
    expect(guests[0].lines.slice(0, 4)).toEqual(['02:00:00:00:00:09', 'ping', host.source, host.sinks[0]]);
  });
});

describe('a network of the host that can’t be had', () => {
  test.skipIf(!canBridge)('a bridge that is not there is named, with what makes one', async () => {
    const { status, stderr } = await typevisor(['run', 'debian', '--net', 'bridge=no-such-bridge', '--', 'true']);
    expect(stderr).toMatch(/There is no bridge "no-such-bridge" on this machine; as root, make it: ip link add/);
    expect(status).toBe(1);
  });
});
