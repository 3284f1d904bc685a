/** `typevisor lguest` from the outside: its command line, its console, what it gives up, and its reboots. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { out, print, tinyKernel } from './tiny-kernel.js';
import { hasScript, MAIN, onTerminal, typevisor } from './typevisor.js';

const folder = mkdtempSync(join(tmpdir(), 'typevisor-lguest-'));
const file = (name: string) => join(folder, name);
const lguest = (...args: string[]) => typevisor(['lguest', ...args]);
const isRoot = process.getuid?.() === 0;
const canTap = isRoot && existsSync('/dev/net/tun') && spawnSync('unshare', ['-n', 'true']).status === 0;

const HLT_LOOP = [0xf4, 0xeb, 0xfd];
/** PM1a_CNT: SLP_EN with S5's SLP_TYP, as the board has it. */
const POWER_OFF = [...[0x66, 0xb8, 0x00, 0x34], ...[0x66, 0xba, 0x04, 0x06], ...[0x66, 0xef]];
const RESET = out(0xcf9, 6);
/** Tells PCI device 1, a virtio device, that its driver is ready, without having negotiated anything; then goes on. */
const BREAKS_VIRTIO = [
  ...[0xb8, 0x04, 0x08, 0, 0x80, 0x66, 0xba, 0xf8, 0x0c, 0xef], // CONFIG_ADDRESS: device 1, command
  ...[0xb8, 6, 0, 0, 0, 0x66, 0xba, 0xfc, 0x0c, 0xef], // memory space, bus master
  ...[0xb8, 0x10, 0x08, 0, 0x80, 0x66, 0xba, 0xf8, 0x0c, 0xef], // CONFIG_ADDRESS: device 1, BAR 0
  ...[0x66, 0xba, 0xfc, 0x0c, 0xed, 0x24, 0xf0], // in eax, dx; and al, F0h
  ...[0xc6, 0x40, 0x14, 4], // device_status = DRIVER_OK
  ...print('alive\n'),
  ...POWER_OFF,
  ...HLT_LOOP,
];
/** Counts for a while, long enough for regions to be compiled, says so, and starts again. */
const REBOOTING = [
  ...[0xb9, 0, 0, 0x60, 0], // mov ecx, 600000h
  ...[0x40, 0x49, 0x75, 0xfc], // inc eax; dec ecx; jnz -4
  ...print('up\n'),
  ...RESET,
  ...HLT_LOOP,
];
/** Sends back what comes in on COM1. */
const ECHO = [
  ...print('ready\n'),
  ...[0x66, 0xba, 0xfd, 0x03], // mov dx, 3FDh (LSR)
  ...[0xec, 0xa8, 0x01, 0x74, 0xfb], // in al, dx; test al, 1; jz -5
  ...[0xb2, 0xf8, 0xec, 0xee], // mov dl, F8h; in al, dx; out dx, al
  ...[0xb2, 0xfd, 0xeb, 0xf3], // mov dl, FDh; jmp to the first in
];

beforeAll(() => {
  writeFileSync(file('off'), tinyKernel([...print('Hello\n'), ...POWER_OFF, ...HLT_LOOP]));
  writeFileSync(file('crash'), tinyKernel([...print('bye'), 0x0f, 0x0b]));
  writeFileSync(file('breaks-virtio'), tinyKernel(BREAKS_VIRTIO));
  writeFileSync(file('rebooting'), tinyKernel(REBOOTING));
  writeFileSync(file('echo'), tinyKernel(ECHO));
  writeFileSync(file('text'), 'This is no kernel.\n');
  writeFileSync(file('disk'), new Uint8Array(2 ** 20));
  mkdirSync(file('jail'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the command line', () => {
  test.each<[string, string[], RegExp]>([
    ['nothing', [], /^lguest: the memory size and the kernel are missing\nUsage: lguest \[--verbose\]/],
    ['no kernel', ['64'], /^lguest: the kernel is missing\nUsage: lguest/],
    ['an unknown option', ['--disk=x', '64', 'k'], /^lguest: unrecognized option '--disk'\nUsage: lguest/],
    ['an unknown letter', ['-x', '64', 'k'], /^lguest: invalid option -- 'x'\nUsage: lguest/],
    ['an option without its argument', ['64', 'k', '--block'], /^lguest: option '--block' requires an argument\n/],
    ['an argument too many', ['--rng=yes', '64', 'k'], /^lguest: option '--rng' doesn't allow an argument\n/],
    ['memory that is none', ['lots', 'k'], /^lguest: The memory size is written like 512M or 1G, not "lots"\.\n$/],
    ['too little memory', ['1', 'k'], /^lguest: memory must be a whole number of MiB from 2M/],
    ['a network that is none', ['--tunnet=eth0', '64', 'k'], /^lguest: --tunnet needs an IPv4 address such as/],
    ['a bridge without a name', ['--tunnet=bridge:', '64', 'k'], /^lguest: --tunnet: bridge: needs the name/],
    ['a MAC that is none', ['--tunnet=10.0.0.1:xyz', '64', 'k'], /^lguest: --tunnet needs a unicast MAC address/],
    ['a kernel that is not there', ['64', '/no/kernel'], /^lguest: The kernel "\/no\/kernel" does not exist; check/],
    [
      'an initrd that is not there',
      ['--initrd', '/no/rd', '64', file('off')],
      /^lguest: The initrd "\/no\/rd" does not/,
    ],
    ['a file that is no kernel', ['64', file('text')], /^lguest: .*text/],
    ['an unknown user', ['--username=nobody-here', '64', file('off')], /^lguest: There is no user "nobody-here"/],
    [
      'a root that is not there',
      ['--chroot=/no/root', '64', file('off')],
      /^lguest: The root directory can't be changed/,
    ],
  ])('%s: a line that says so, and status 1 as ever', async (_what, args, message) => {
    const { status, stdout, stderr } = await lguest(...args);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect([status, stdout]).toEqual([1, '']);
  });

  test('options stand anywhere and may be cut short; the other words are the kernel’s', async () => {
    const { status, stdout, stderr } = await lguest('16', file('off'), '--verb', 'root=/dev/vda', '--', '--quiet', 'x');
    expect([status, stdout]).toEqual([0, 'Hello\n']);
    expect(stderr).toMatch(/^Kernel command line: console=hvc0 root=\/dev\/vda --quiet x$/m);
  });

  test('whoever names a console gets no other', async () => {
    const { stderr } = await lguest('-v', '16', file('off'), 'console=ttyS0');
    expect(stderr).toMatch(/^Kernel command line: console=ttyS0$/m);
  });

  test('--help shows the usage', async () => {
    const { status, stdout } = await lguest('--help');
    expect(status).toBe(0);
    expect(stdout).toMatch(/<mem-in-mb> vmlinux \[args\.\.\.\]/);
  });
});

describe('the end', () => {
  test('a crash of the guest is told, with status 1', async () => {
    const { status, stdout, stderr } = await lguest('16', file('crash'));
    expect([status, stdout]).toEqual([1, 'bye']);
    expect(stderr).toMatch(/lguest: The guest crashed: .*triple fault/i);
  });

  test('a driver that breaks the standard is named, with what it did and the section, and that is the end', async () => {
    const { status, stdout, stderr } = await lguest('16', file('breaks-virtio'));
    expect(stderr).toMatch(/lguest: The machine stopped: virtio-console: bad driver: .+ \(virtio 1\.2, \d+(\.\d+)+\)/);
    expect(status).toBe(1);
    expect(stdout).not.toContain('alive');
  });

  test('with "run" its device is lost and the guest lives, unless --virtio-strict says otherwise', async () => {
    const kernel = ['run', '--kernel', file('breaks-virtio'), '--rng'];
    const lax = await typevisor(kernel);
    expect([lax.status, lax.stdout]).toEqual([0, 'alive\n']);
    const strict = await typevisor([...kernel, '--virtio-strict']);
    expect(strict.stderr).toMatch(/typevisor: The machine stopped: virtio-rng: bad driver: .+ \(virtio 1\.2, /);
    expect(strict.status).toBe(1);
    expect(strict.stdout).not.toContain('alive');
  });

  test.skipIf(!hasScript)('three ^C end it as one ends other programs; Ctrl-a is the guest’s', async () => {
    const line = `stty -g; ${process.execPath} ${MAIN} lguest 16 ${file('echo')} console=ttyS0; echo status $?; stty -g`;
    const { stdout } = await onTerminal(
      line,
      { when: 'ready', type: '\x01xabc' },
      { when: '\x01xabc', type: '\x03\x03\x03' },
    );
    expect(stdout).toMatch(/status 130/);
    const [before, after] = [...stdout.matchAll(/^([0-9a-f]+(?::[0-9a-f]+){10,})\r?$/gm)].map((match) => match[1]);
    expect(before).toBeDefined();
    expect(after).toBe(before);
  });
});

/** A guest with all devices that begins again and again, and a look at its process meanwhile. */
class Rebooting {
  readonly child: ChildProcess;
  complaints = '';
  private text = '';

  constructor(...args: string[]) {
    const devices = [`--block=${file('disk')}`, '--rng', ...(canTap ? ['--tunnet=192.168.19.1'] : [])];
    const command = [process.execPath, MAIN, 'lguest', ...args, ...devices, '16', file('rebooting')];
    const [program, ...words] = canTap ? ['unshare', '-n', ...command] : command;
    this.child = spawn(program, words, {
      // Region compilers work in the tests, too.
      env: { ...process.env, TYPEVISOR_REGIONS: '1' },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.text += text));
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.complaints += text));
  }

  async boots(count: number): Promise<void> {
    while (this.text.split('up\n').length <= count) {
      if (this.child.exitCode !== null) throw new Error('it has ended');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  list(what: 'fd' | 'task'): string[] {
    return readdirSync(`/proc/${this.child.pid}/${what}`);
  }

  async ended(): Promise<number | null> {
    return new Promise((resolve) => this.child.once('close', resolve));
  }

  async end(): Promise<void> {
    this.child.kill();
    await this.ended();
  }
}

test.skipIf(!canTap)('a device that dies takes the machine down with a message', { timeout: 60_000 }, async () => {
  const guest = new Rebooting();
  await guest.boots(1);
  spawnSync('nsenter', ['-t', `${guest.child.pid}`, '-n', 'ip', 'link', 'delete', 'tap0']);
  expect(await guest.ended()).toBe(1);
  expect(guest.complaints).toMatch(
    /lguest: The machine stopped: The thread of the tap tap0 has failed: its interface has/,
  );
});

describe('reboots', () => {
  test('start the guest afresh, and leak no descriptor and no thread', { timeout: 60_000 }, async () => {
    const guest = new Rebooting();
    try {
      await guest.boots(4);
      const counts = () => [guest.list('fd').length, guest.list('task').length];
      const early = counts();
      await guest.boots(40);
      expect(counts()).toEqual(early);
    } finally {
      await guest.end();
    }
  });

  test.skipIf(!isRoot)(
    'work after everything has been given up: every thread is the user’s, and the root directory another',
    { timeout: 60_000 },
    async () => {
      const guest = new Rebooting('--username=nobody', `--chroot=${file('jail')}`);
      try {
        await guest.boots(4);
        for (const task of guest.list('task')) {
          const status = readFileSync(`/proc/${guest.child.pid}/task/${task}/status`, 'utf8');
          const [, ids] = /^Uid:\t(.*)$/m.exec(status)!;
          expect(new Set(ids.split('\t')).size).toBe(1);
          expect(ids).not.toMatch(/^0\b/);
          expect(status).toMatch(/^CapEff:\t0+$/m);
        }
        expect(readlinkSync(`/proc/${guest.child.pid}/root`)).toBe(file('jail'));
      } finally {
        await guest.end();
      }
    },
  );
});
