/** What can be wrong with a command line, its files and its machine: each is one sentence, and never a stack trace. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tinyKernel } from './tiny-kernel.js';
import { typevisor } from './typevisor.js';

const folder = mkdtempSync(join(tmpdir(), 'typevisor-usage-'));
const file = (name: string) => join(folder, name);
const HLT_FOREVER = [0xf4, 0xeb, 0xfd];

beforeAll(() => {
  writeFileSync(file('text'), 'This is no kernel.\n');
  writeFileSync(file('empty'), '');
  writeFileSync(file('kernel'), tinyKernel(HLT_FOREVER));
  writeFileSync(file('truncated'), tinyKernel(HLT_FOREVER).subarray(0, 60));
  writeFileSync(file('high'), tinyKernel(HLT_FOREVER, 0x4000_0000));
  writeFileSync(file('big-initrd'), new Uint8Array(20 * 1024 * 1024));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('wrong usage ends with status 2 and one sentence', () => {
  test.each<[string, string[], RegExp]>([
    [
      'an unknown option',
      ['run', 'debian', '--memroy', '1G'],
      /unknown option '--memroy'\n\(Did you mean --memory\?\)/,
    ],
    ['an unknown command', ['walk'], /unknown command 'walk'/],
    ['an unknown guest', ['run', 'plan9'], /There is no guest "plan9"; the guests are: debian; .*--kernel FILE\./],
    ['too many arguments', ['run', 'debian', 'uname'], /too many arguments/],
    ['no guest', ['run'], /Say what to run: a guest, .* or --kernel FILE\./],
    ['an option without its value', ['run', 'debian', '--memory'], /option '--memory <size>' argument missing/],
    ['a size that is none', ['run', 'debian', '--memory', 'lots'], /--memory is written like 512M or 1G, not "lots"\./],
    [
      'too much memory',
      ['run', 'debian', '--engine', 'soft', '--memory', '64G'],
      /64 GiB of memory is more than one WebAssembly .*at most 4032M/,
    ],
    [
      'too little memory',
      ['run', 'debian', '--memory', '1M'],
      /memory must be .* from 2M to 523264M, such as 512M, not 1 MiB\./,
    ],
    ['no processors', ['run', 'debian', '--cpus', '0'], /cpus must be a whole number from 1 to 16, not 0\./],
    ['half a processor', ['run', 'debian', '--cpus', '1.5'], /--cpus must be a whole number, not "1.5"\./],
    [
      'an engine that is none',
      ['run', 'debian', '--engine', 'steam'],
      /'steam' is invalid\. Allowed choices are auto, kvm, soft\./,
    ],
    ['an architecture that is none', ['run', 'debian', '--arch', 'vax'], /Allowed choices are amd64, i386\./],
    [
      'a time that is none',
      ['run', 'debian', '--timeout', 'soon'],
      /--timeout must be a number of seconds .*, not "soon"\./,
    ],
    ['an empty command', ['run', 'debian', '--'], /There is no command after "--"/],
    ['a command without a guest', ['run', '--kernel', 'x', '--', 'ls'], /needs a guest that can run it/],
    ['a command for the doctor', ['doctor', '--', 'ls'], /takes no command/],
  ])('%s', async (_what, args, message) => {
    const { status, stdout, stderr } = await typevisor(args);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^typevisor: /);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect([status, stdout]).toEqual([2, '']);
  });

  test('nothing at all shows the help', async () => {
    const { status, stderr } = await typevisor([]);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^Usage: typevisor/);
  });
});

describe('help and version', () => {
  test('--help explains the exit statuses and the way out', async () => {
    const { status, stdout } = await typevisor(['run', '--help']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/Ctrl-a x/);
    expect(stdout).toMatch(/124 --timeout/);
    expect(stdout).toMatch(/Usage: typevisor run \[GUEST\] \[options\] \[-- CMD\.\.\.\]/);
  });

  test('--version prints the package’s version', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    expect((await typevisor(['--version'])).stdout).toBe(`${version}\n`);
  });
});

describe('bad files end with status 1 and one sentence', () => {
  test.each<[string, string[], RegExp]>([
    [
      'a missing kernel',
      ['--kernel', '/no/such/file'],
      /The kernel "\/no\/such\/file" does not exist; check the path\./,
    ],
    ['a folder for a kernel', ['--kernel', folder], /is a folder; give the file itself\./],
    ['a foreign kernel', ['--kernel', file('text')], /looks like text, not an x86 kernel; give a Linux bzImage/],
    ['an empty kernel', ['--kernel', file('empty')], /The kernel file is empty/],
    ['a truncated kernel', ['--kernel', file('truncated')], /truncated|malformed|beyond/i],
    [
      'a kernel outside RAM',
      ['--kernel', file('high')],
      /lies outside the machine's 512 MiB of RAM; give the machine more memory\./,
    ],
    [
      'a missing initrd',
      ['--kernel', file('kernel'), '--initrd', '/no/initrd'],
      /The initrd "\/no\/initrd" does not exist/,
    ],
    [
      'an initrd too large',
      ['--kernel', file('kernel'), '--initrd', file('big-initrd'), '--memory', '16M'],
      /initial RAM disk/,
    ],
  ])('%s', async (_what, args, message) => {
    const { status, stdout, stderr } = await typevisor(['run', ...args]);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect([status, stdout]).toEqual([1, '']);
  });
});

describe('a guest that can’t be fetched', () => {
  test('without apt: says which files to give instead, and leaves nothing in the cache', async () => {
    const cache = file('cache');
    const { status, stderr } = await typevisor(['run', 'debian', '--', 'true'], {
      env: { PATH: folder, XDG_CACHE_HOME: cache },
    });
    expect(stderr).toMatch(/--kernel FILE --initrd FILE/);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect(status).toBe(1);
    expect(existsSync(join(cache, 'typevisor/debian-amd64.json'))).toBe(false);
  });

  test('with a cache that can’t be written: says so', async () => {
    const { status, stderr } = await typevisor(['run', 'debian', '--', 'true'], {
      env: { XDG_CACHE_HOME: file('text') },
    });
    expect(stderr).toMatch(/set XDG_CACHE_HOME/);
    expect(status).toBe(1);
  });
});

test('the doctor lists what works and ends with status 0 on a machine that runs the tests', async () => {
  const { status, stdout } = await typevisor(['doctor'], { env: { XDG_CACHE_HOME: file('doctor') } });
  expect(stdout).toMatch(/^ok {4}Node {9}version \d+\.\d+/m);
  expect(stdout).toMatch(/^ok {4}WebAssembly {2}with SIMD$/m);
  expect(stdout).toMatch(/^note {2}KVM /m);
  expect(stdout).toMatch(/^note {2}guests {7}none cached yet$/m);
  expect(stdout).toMatch(/Guests can run here\.$/m);
  expect(status).toBe(0);
});
