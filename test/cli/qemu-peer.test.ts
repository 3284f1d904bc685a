/** A cable with QEMU at its other end: the same guest in both machines, much data both ways. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { appendFileSync, copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { overlayCpio } from '../../src/boot/guest-init.js';
import { type DebianGuest, fetchDebianGuest } from '../../src/host/node/debian.js';
import { typevisor } from './typevisor.js';

const hasApt = spawnSync('apt-get', ['--version']).status === 0;
const qemuHelp = spawnSync('qemu-system-x86_64', ['-netdev', 'help'], { encoding: 'utf8' });
const hasStream = qemuHelp.error === undefined && /^stream$/m.test(qemuHelp.stdout);

const folder = mkdtempSync(join(tmpdir(), 'typevisor-qemu-'));
const running: ChildProcess[] = [];
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** Serves a file of its own and fetches the other's; says both sums, and when it has them. */
function script(own: string, other: string): string {
  return [
    `ip addr add ${own}/24 dev eth0; mkdir /www`,
    'head -c 4000000 /dev/urandom >/www/f; echo "own $(sha256sum </www/f)"; httpd -p 80 -h /www',
    `until wget -q -O /tmp/f http://${other}/f; do sleep 0.3; done`,
    'echo "got $(sha256sum </tmp/f)"; touch /www/done',
  ].join('\n');
}

function startQemu(debian: DebianGuest, socket: string, server: 'on' | 'off'): { said: () => string } {
  const initrd = join(folder, `initrd-${server}`);
  copyFileSync(debian.initrd, initrd);
  const command = `${script('192.168.9.2', '192.168.9.1')}\nsleep 100000`;
  appendFileSync(initrd, overlayCpio({ command, unserved: ['eth0'] }));
  const args = ['-nodefaults', '-display', 'none', '-no-reboot', '-m', '256', '-accel', 'tcg'];
  // Console, the command's output, control, the command's errors.
  for (const where of ['null', 'stdio', 'null', 'null']) args.push('-serial', where);
  args.push('-netdev', `stream,id=cable,server=${server},addr.type=unix,addr.path=${socket}`);
  args.push('-device', 'virtio-net-pci,netdev=cable,romfile=');
  args.push('-kernel', debian.kernel, '-initrd', initrd, '-append', debian.append.join(' '));
  const child = spawn('qemu-system-x86_64', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  running.push(child);
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (more: string) => (text += more));
  return { said: () => text };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 50));
}

describe.skipIf(!hasApt || !hasStream)('a cable to a guest in QEMU (with -netdev stream)', () => {
  test.each(['we', 'QEMU'])(
    'carries much data both ways where %s listened first',
    { timeout: 300_000 },
    async (first) => {
      const debian = await fetchDebianGuest({ arch: 'amd64' });
      const socket = join(folder, first);
      const command = `${script('192.168.9.1', '192.168.9.2')}\nuntil wget -q -O - http://192.168.9.2/done; do sleep 0.3; done`;
      const start = () =>
        typevisor(['run', 'debian', '--memory', '256M', '--net', `socket=${socket}`, '--', command], { minutes: 2 });
      const early = first === 'we' ? start() : undefined;
      if (early !== undefined) await until(() => existsSync(socket));
      const qemu = startQemu(debian, socket, first === 'we' ? 'off' : 'on');
      await until(() => existsSync(socket));
      const ours = await (early ?? start());
      expect(ours.status).toBe(0);
      await until(() => /got .*\n/.test(qemu.said()));
      const sums = (text: string) => [...text.matchAll(/^(own|got) ([0-9a-f]{64})/gm)].map(([, , sum]) => sum);
      const [own, got] = sums(ours.stdout);
      expect(sums(qemu.said())).toEqual([got, own]);
      expect(own).not.toBe(got);
      running.pop()?.kill('SIGKILL');
    },
  );
});
