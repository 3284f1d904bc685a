/** Tap devices of a network namespace of their own, which only root can have. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { openTap } from './tap.js';

const run = promisify(execFile);
const hasTun =
  process.getuid?.() === 0 && existsSync('/dev/net/tun') && spawnSync('unshare', ['-n', 'ip', 'link']).status === 0;

const PROGRAM = `
  import { execFileSync } from 'node:child_process';
  const { openTap, setTapOffloads } = await import(process.argv[1]);
  const ip = (...words) => execFileSync('ip', words, { encoding: 'utf8' });
  const look = (name) => JSON.parse(ip('-j', 'addr', 'show', 'dev', name))[0];
  const attempt = (work) => { try { return work(); } catch (error) { return error.name + ': ' + error.message; } };
  const all = { checksum: true, tso4: true, tso6: true, ecn: true };
`;

async function inNamespace(program: string): Promise<unknown> {
  const built = new URL('../../../../dist/host/node/net/tap.js', import.meta.url).href;
  const script = `${PROGRAM}console.log(JSON.stringify(await (async () => { ${program} })())); process.exit(0);`;
  // Not with --input-type, which threads would inherit and refuse.
  const url = `data:text/javascript,${encodeURIComponent(script)}`;
  const { stdout } = await run('unshare', ['-n', process.execPath, '-e', 'import(process.argv[2])', built, url]);
  return JSON.parse(stdout);
}

describe.skipIf(!hasTun)('a tap device', () => {
  test('is made with the kernel’s next number, an address of its class, and up', async () => {
    const seen = await inNamespace(`
      const tap = openTap({ name: 'tap%d', address: '192.168.19.1' });
      const second = openTap({ name: 'tap%d' });
      setTapOffloads(tap.fd, all);
      setTapOffloads(tap.fd, { ...all, checksum: false });
      const { flags, addr_info } = look(tap.name);
      const { local, prefixlen } = addr_info.find(({ family }) => family === 'inet');
      return { names: [tap.name, second.name], mtu: tap.mtu, up: flags.includes('UP'), local, prefixlen };
    `);
    expect(seen).toEqual({ names: ['tap0', 'tap1'], mtu: 1500, up: true, local: '192.168.19.1', prefixlen: 24 });
  });

  test('takes a network part of any length', async () => {
    const seen = await inNamespace(`
      openTap({ name: 'vm0', address: '10.1.2.1', prefix: 29 });
      return look('vm0').addr_info.filter(({ family }) => family === 'inet').map(({ prefixlen }) => prefixlen);
    `);
    expect(seen).toEqual([29]);
  });

  test('is plugged into a bridge', async () => {
    const seen = await inNamespace(`
      ip('link', 'add', 'br0', 'type', 'bridge');
      const tap = openTap({ name: 'tap%d', bridge: 'br0' });
      return look(tap.name).master;
    `).catch((error: Error) => {
      // A kernel without bridges.
      if (/type bridge|not supported/.test(error.message)) return 'br0';
      throw error;
    });
    expect(seen).toBe('br0');
  });

  test('its packets are told of, also after a ring of the bell for one that had been taken before', async () => {
    const seen = await inNamespace(`
      const { TapBackend } = await import(new URL('tap-backend.js', process.argv[1]));
      const { IoHub } = await import(new URL('../io/hub.js', process.argv[1]));
      const { createSocket } = await import('node:dgram');
      const hub = new IoHub();
      const backend = new TapBackend(openTap({ name: 'tap%d', address: '192.168.19.1' }), hub, (why) => console.error(why));
      await backend.started();
      let told = 0;
      backend.connect({ onPackets: () => told++, onRoom: () => {}, onLink: () => {} }, all);
      const drain = () => { while (backend.peek() !== undefined) backend.shift(); };
      const sender = createSocket('udp4');
      const rounds = [];
      for (let round = 0; round < 3; round++) {
        drain();
        // The thread takes the wish for the packet that has just been taken, and rings.
        backend.received.takeReaderWaits();
        hub.bell.ring();
        hub.poll();
        const before = told;
        const { count } = hub.bell;
        // Nobody has this address, so there is at least a question for it.
        await new Promise((resolve) => sender.send('x', 9, '192.168.19.' + (2 + round), resolve));
        hub.bell.wait(count, 5000);
        hub.poll();
        rounds.push(told > before && backend.peek() !== undefined);
      }
      return rounds;
    `);
    expect(seen).toEqual([true, true, true]);
  });

  test('that can’t be had is told of in one sentence', async () => {
    const seen = await inNamespace(`
      openTap({ name: 'mine' });
      return [
        attempt(() => openTap({ name: 'tap%d', bridge: 'br7' })),
        attempt(() => openTap({ name: 'mine' })),
        attempt(() => openTap({ name: 'lo' })),
        attempt(() => openTap({ name: 'tap%d', bridge: 'lo' })),
      ];
    `);
    expect(seen).toEqual([
      expect.stringMatching(/^FileError: There is no bridge "br7" on this machine; as root, make it: ip link add br7/),
      expect.stringMatching(/^FileError: The tap "mine" is in use by another program; give another one\.$/),
      expect.stringMatching(/^FileError: The interface "lo" is no tap that can be used here/),
      expect.stringMatching(/^FileError: The interface "lo" is no bridge; give one\.$/),
    ]);
  });
});

describe.skipIf(existsSync('/dev/net/tun') && process.getuid?.() === 0)('without rights', () => {
  test('a tap device can’t be had, in one sentence', () => {
    expect(() => openTap({ name: 'tap%d' })).toThrow(/\/dev\/net\/tun|can't be used by you/);
  });
});
