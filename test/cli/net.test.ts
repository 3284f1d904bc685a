/** Networks from the outside: Linux's own driver, busybox's own clients and servers, and servers of this machine. */
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { MAIN, typevisor } from './typevisor.js';

const hasApt = spawnSync('apt-get', ['--version']).status === 0;
const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');

async function bodyOf(stream: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** `/big` gives much, `/up` says what it was sent, `/fetch` what the guest's own server has at `/f`. */
async function withServer<T>(
  big: Uint8Array,
  forwarded: number,
  use: (port: number) => Promise<T>,
  address = '127.0.0.1',
): Promise<T> {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.url === '/big') {
      response.end(big);
    } else if (request.url === '/up') {
      response.end(`up ${sha256(await bodyOf(request))}\n`);
    } else {
      const [reply] = (await once(get(`http://127.0.0.1:${forwarded}/f`), 'response')) as [IncomingMessage];
      response.end(`fetched ${sha256(await bodyOf(reply))}\n`);
    }
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: Error) => response.writeHead(500).end(String(error)));
  });
  server.listen(0, address);
  await once(server, 'listening');
  try {
    return await use((server.address() as AddressInfo).port);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

describe.skipIf(!hasApt)('a guest of Debian with a network', () => {
  // Fetched here where nobody has yet: that says so on standard error, and needs the host's network.
  beforeAll(async () => {
    expect((await typevisor(['run', 'debian', '--', 'true'])).status).toBe(0);
  });

  test('gets its address by itself, asks names, moves data both ways, and serves by a forwarded port', async () => {
    const big = randomBytes(3_000_000);
    const forwarded = await freePort();
    const { status, stdout, stderr } = await withServer(big, forwarded, (port) => {
      const command = [
        'ip -4 -o addr show dev eth0 | cut -d " " -f 7',
        'ip route | head -1; cat /etc/resolv.conf',
        // Text, for busybox's wget posts no file beyond a NUL.
        'mkdir /www; head -c 1500000 /dev/urandom | base64 >/www/f; httpd -p 80 -h /www',
        'set -- $(sha256sum /www/f); echo "own $1"',
        `set -- $(wget -q -O - http://10.0.2.2:${port}/big | sha256sum); echo "big $1"`,
        `wget -q -O - --post-file=/www/f http://10.0.2.2:${port}/up`,
        `wget -q -O - http://10.0.2.2:${port}/fetch`,
        'ping -c 1 10.0.2.2 | grep received',
        'nslookup typevisor.invalid | head -2',
        'wget -q -O - http://10.0.2.2:1/ 2>&1',
      ].join('\n');
      const net = `user,host-loopback=on,hostfwd=tcp:127.0.0.1:${forwarded}-:80`;
      return typevisor(['run', 'debian', '--net', net, '--virtio-strict', '--', command], { minutes: 4 });
    });
    expect(stderr).toBe('');
    expect(status).toBe(1); // wget's, of the last line
    const own = /^own (\w{64})$/m.exec(stdout)?.[1];
    expect(stdout.split('\n').map((line) => line.trim())).toEqual([
      '10.0.2.15/24',
      'default via 10.0.2.2 dev eth0',
      'nameserver 10.0.2.3',
      `own ${own}`,
      `big ${sha256(big)}`,
      `up ${own}`,
      `fetched ${own}`,
      '1 packets transmitted, 1 packets received, 0% packet loss',
      expect.stringMatching(/^Server:\s+10\.0\.2\.3$/),
      expect.stringMatching(/^Address:\s+10\.0\.2\.3:53$/),
      expect.stringContaining('Connection refused'),
      '',
    ]);
  }, 300_000);

  test('talks to another one over a socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'typevisor-wire-'));
    const run = (command: string) =>
      typevisor(['run', 'debian', '--memory', '256M', '--net', `socket=${join(folder, 's')}`, '--', command], {
        minutes: 4,
      });
    const [server, client] = await Promise.all([
      // Its input never ends, or it would end the connection before it has all.
      run('ip addr add 192.168.9.1/24 dev eth0; mkfifo /tmp/p; nc -l -p 5000 <>/tmp/p >/tmp/f; sha256sum </tmp/f'),
      run(`ip addr add 192.168.9.2/24 dev eth0
        head -c 2000000 /dev/urandom >/tmp/f
        until nc 192.168.9.1 5000 </tmp/f 2>/dev/null; do sleep 0.3; done
        sha256sum </tmp/f`),
    ]);
    rmSync(folder, { recursive: true, force: true });
    expect([server.status, client.status]).toEqual([0, 0]);
    expect(server.stdout).toBe(client.stdout);
    expect(client.stdout).toMatch(/^[0-9a-f]{64} /);
  }, 300_000);

  test('waits for nobody on a cable that has no other end', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'typevisor-wire-'));
    const net = ['--net', `socket=${join(folder, 's')}`, '--net', 'user'];
    const command = 'cat /proc/uptime; pidof udhcpc | wc -w; ip -4 -o addr show dev eth1';
    const { stdout } = await typevisor(['run', 'debian', '--deterministic', ...net, '--', command], { minutes: 4 });
    rmSync(folder, { recursive: true, force: true });
    const [uptime, clients, address] = stdout.split('\n');
    // Guest time, which follows the instructions: asking twice on the cable takes two seconds of it.
    expect(Number.parseFloat(uptime)).toBeLessThan(2);
    expect(clients, 'one goes on asking').toBe('1');
    expect(address).toContain('10.0.2.15/24');
  }, 300_000);

  const hasLoopback6 = Object.values(networkInterfaces()).some((list) =>
    list?.some(({ address }) => address === '::1'),
  );

  test.skipIf(!hasLoopback6)(
    'finds its IPv6 address by itself, and moves data both ways over it',
    async () => {
      const big = randomBytes(2_000_000);
      const serve = (port: number) => {
        const command = [
          // No two may have an address: the kernel asks about it for a second or two.
          'until ip -6 -o addr show dev eth0 | grep -v tentative | grep -q fec0; do sleep 0.2; done',
          'ip -6 -o addr show dev eth0 scope site | grep -o "fec0[^ ]*"',
          'ping6 -c 1 fec0::2 | grep received',
          `set -- $(wget -q -O - http://[fec0::2]:${port}/big | sha256sum); echo "big $1"`,
          'head -c 1000000 /dev/urandom | base64 >/tmp/f; set -- $(sha256sum /tmp/f); echo "own $1"',
          `wget -q -O - --post-file=/tmp/f http://[fec0::2]:${port}/up`,
          'nslookup -type=aaaa typevisor.invalid fec0::3 | grep -o "fec0::3" | head -1',
        ].join('\n');
        return typevisor(['run', 'debian', '--net', 'user,host-loopback=on', '--virtio-strict', '--', command], {
          minutes: 4,
        });
      };
      const { stdout, stderr } = await withServer(big, 0, serve, '::1');
      expect(stderr).toBe('');
      const own = /^own (\w{64})$/m.exec(stdout)?.[1];
      expect(stdout.split('\n')).toEqual([
        'fec0::5054:ff:fe12:3456/64',
        '1 packets transmitted, 1 packets received, 0% packet loss',
        `big ${sha256(big)}`,
        `own ${own}`,
        `up ${own}`,
        'fec0::3',
        '',
      ]);
    },
    300_000,
  );

  /** A network of the host's own, in which everybody may have sockets for echo, and another machine's place. */
  const ELSEWHERE = [
    'ip link set lo up && ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up',
    'ip addr add 192.0.2.7/24 dev v0 && ip addr add 2001:db8::7/64 dev v0 nodad',
    'echo 0 0 >/proc/sys/net/ipv4/ping_group_range',
  ].join(' && ');
  const elsewhere = (command: string, ...words: string[]) =>
    ['unshare', '-rn', 'sh', '-c', `${ELSEWHERE} && ${command}`, 'sh', ...words] as const;
  const [unshare, ...rest] = elsewhere('true');
  const hasElsewhere = spawnSync(unshare, rest).status === 0;

  test.skipIf(!hasElsewhere)(
    'pings the outside where the host lets it (with unshare and veth)',
    async () => {
      const command = [
        'until ip -6 -o addr show dev eth0 | grep -v tentative | grep -q fec0; do sleep 0.2; done',
        'for to in 192.0.2.7 2001:db8::7; do ping -c 2 -s 3000 $to | grep received; done',
      ].join('\n');
      const args = [MAIN, 'run', 'debian', '--net', 'user,host-loopback=on', '--', command];
      const [program, ...words] = elsewhere('exec "$@"', process.execPath, ...args);
      const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'], timeout: 240_000 });
      let stdout = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      await once(child, 'close');
      const all = '2 packets transmitted, 2 packets received, 0% packet loss\n';
      expect(stdout).toBe(all + all);
    },
    300_000,
  );

  test("does not reach the host's loopback unless that is allowed", async () => {
    const { stdout } = await withServer(new Uint8Array(8), 0, (port) =>
      typevisor(['run', 'debian', '--net', 'user', '--', `wget -q -O - http://10.0.2.2:${port}/big 2>&1`]),
    );
    expect(stdout).toContain('Connection refused');
  }, 300_000);
});
