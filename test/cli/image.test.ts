/** A Debian on a disk, from the packages to the login: built, booted, written to, restarted and switched off. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { MAIN, typevisor } from './typevisor.js';

const hasApt = spawnSync('apt-get', ['--version']).status === 0;
/** It takes some minutes: TYPEVISOR_FULL. */
const full = hasApt && process.env.TYPEVISOR_FULL !== undefined;

const folder = mkdtempSync(join(tmpdir(), 'typevisor-image-'));
const file = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true }));

describe('what can be wrong with an image', () => {
  test.each<[string, string[], number, RegExp]>([
    ['another system', ['plan9', 'x.img'], 2, /There is no image of "plan9"; the images are: debian\./],
    ['a size that is none', ['debian', 'x.img', '--size', 'big'], 2, /--size is written like 512M or 1G, not "big"\./],
    ['too small', ['debian', 'x.img', '--size', '10M'], 2, /--size must be a whole number of MiB from 512M/],
    [
      'a package that is no name',
      ['debian', 'x.img', '--include', '-o'],
      2,
      /--include: "-o" is no name of a package\./,
    ],
    ['no place for it', ['debian', '/no/such/folder/x.img'], 1, /can't be made in "\/no\/such\/folder" \(ENOENT\)/],
  ])('%s', async (_what, args, wanted, message) => {
    const { status, stderr } = await typevisor(['image', 'build', ...args]);
    expect(stderr).toMatch(message);
    expect(status).toBe(wanted);
  });

  test('a file that is there already is left alone', async () => {
    writeFileSync(file('mine'), 'precious');
    const { status, stderr } = await typevisor(['image', 'build', 'debian', file('mine')]);
    expect(stderr).toMatch(/mine" exists already; remove it, or give another name\./);
    expect(status).toBe(1);
    expect(statSync(file('mine')).size).toBe(8);
  });
});

/** Runs `typevisor ARGS` on pipes and types what each cue says once its `when` has come out. */
async function conversation(args: readonly string[], ...cues: { when: RegExp; type?: string; signal?: 'SIGTERM' }[]) {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: 'pipe' });
  let output = '';
  let seen = 0;
  const hear = (text: string) => {
    output += text;
    while (cues.length > 0 && cues[0].when.test(output.slice(seen))) {
      const { type, signal } = cues.shift()!;
      seen = output.length;
      if (type !== undefined) child.stdin.write(type);
      if (signal !== undefined) child.kill(signal);
    }
  };
  child.stdout.setEncoding('latin1').on('data', hear);
  child.stderr.setEncoding('latin1').on('data', hear);
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  // Where a shell says that it takes pasted text whole, that stands before what it prints next.
  for (const noise of ['\r', '\u001b[?2004h', '\u001b[?2004l']) output = output.replaceAll(noise, '');
  return { status, output };
}

describe.skipIf(!hasApt)('an image whose building is interrupted', { timeout: 240_000 }, () => {
  test('leaves nothing behind', async () => {
    const before = readdirSync(folder);
    const { status } = await conversation(['image', 'build', 'debian', file('half.img')], {
      when: /Fetching the package lists|Downloading/,
      signal: 'SIGTERM',
    });
    expect(status).toBe(143);
    expect(readdirSync(folder)).toEqual(before);
  });
});

interface Variety {
  readonly arch: 'amd64' | 'i386';
  /** Words for `image build`, and what shows that they have been heeded. */
  readonly options: readonly string[];
  readonly look: string;
  readonly shows: RegExp;
}

const VARIETIES: readonly Variety[] = [
  { arch: 'amd64', options: [], look: 'dpkg --print-architecture', shows: /^amd64$/m },
  {
    arch: 'i386',
    options: ['--include', 'openssh-server', '--include', 'file'],
    look: 'dpkg --print-architecture; file -b /usr/bin/file; systemctl is-active ssh',
    shows: /^i386\nELF 32-bit LSB[^\n]*Intel 80386[^\n]*\nactive$/m,
  },
];

describe.skipIf(!full).each(VARIETIES)('a Debian on a disk: $arch $options (TYPEVISOR_FULL)', (variety) => {
  const { arch, options, look, shows } = variety;
  const disk = file(`${arch}.img`);
  const guest = ['run', 'debian', '--arch', arch, '--disk', disk];
  const boot = [...guest, '--net', 'user'];
  const prompt = /root@typevisor:\S* ?# $/;

  test('is built without being there before it is whole', { timeout: 3_000_000 }, async () => {
    const args = ['image', 'build', 'debian', '--arch', arch, '--size', '1G', ...options, disk];
    const { status, stderr } = await typevisor(args, { minutes: 45 });
    expect(stderr).toMatch(/\.img has a Debian of 1\d\d packages; root has no password/);
    expect(status).toBe(0);
    expect(statSync(disk).size).toBe(2 ** 30);
  });

  test('boots to a login with systemd and a network; restarts and switches itself off', {
    timeout: 900_000,
  }, async () => {
    const state =
      "systemctl is-system-running --wait; ip -4 -o addr show scope global; apt-get update >/dev/null && echo up''dated";
    const { status, output } = await conversation(
      boot,
      { when: /typevisor login: $/, type: 'root\n' },
      { when: prompt, type: `${state}; ${look}; echo kept >/root/mark; findmnt -no SOURCE,FSTYPE,OPTIONS /\n` },
      { when: /\/dev\/vda +ext4 +rw[\s\S]*# $/, type: 'reboot\n' },
      { when: /typevisor login: $/, type: 'root\n' },
      { when: prompt, type: 'cat /root/mark; poweroff\n' },
    );
    expect(output).toMatch(/^running$/m);
    expect(output).toMatch(/inet 10\.0\.2\.15\/24/);
    expect(output).toMatch(/^updated$/m);
    expect(output).toMatch(shows);
    expect(output).toMatch(/^kept$/m);
    expect(status).toBe(0);
  });

  test('a command runs in the initial RAM disk, with the disk as /dev/vda', { timeout: 300_000 }, async () => {
    const command = 'modprobe ext4; mount -o ro /dev/vda /mnt && cat /mnt/root/mark; findfs LABEL=typevisor-root';
    const { status, stdout } = await typevisor([...guest, '--', command]);
    expect([status, stdout]).toEqual([0, 'kept\n/dev/vda\n']);
  });

  test('tv.root=none stays in the initial RAM disk', { timeout: 300_000 }, async () => {
    // Behind its prompt this shell asks where the cursor is.
    const { output } = await conversation([...boot, '--append', 'tv.root=none'], { when: /~# /, type: 'poweroff\n' });
    expect(output).toMatch(/BusyBox/);
  });
});
