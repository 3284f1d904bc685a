import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CpioEntry, readCpio, writeCpio } from '../../boot/cpio.js';
import { initramfsVersion } from '../../boot/initramfs.js';
import { parseKernel, planLinux } from '../../boot/linux.js';
import { makeBzImage, makeElf } from '../../boot/testing.js';
import { type FetchProgress, fetchDebianGuest } from './debian.js';
import { nodeDecompressors } from './decompressors.js';
import { defaultCacheDir, GuestCache } from './guest-cache.js';
import { GuestError } from './guest-error.js';

let folder: string;
let cacheDir: string;
const path = process.env.PATH ?? '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'typevisor-test-'));
  cacheDir = join(folder, 'cache');
  mkdirSync(join(folder, 'bin'));
});
afterEach(() => {
  process.env.PATH = path;
  rmSync(folder, { recursive: true, force: true });
});

const RELEASE = '6.1.0-9-cloud-amd64';
const vmlinux = makeElf(64, 0x100_0000, [{ paddr: 0x100_0000, bytes: new Uint8Array(100).fill(0x90) }]);

function tool(name: string, script: string): void {
  const file = join(folder, 'bin', name);
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
}

/** A package client that behaves like Debian's, with the two packages, and logs what it is asked. */
function fakeApt(change: Partial<Record<'update' | 'download' | 'show' | 'unpack', string>> = {}): void {
  const tar = join(folder, 'kernel.tar');
  writeFileSync(
    tar,
    ustar([
      [`boot/vmlinuz-${RELEASE}`, makeBzImage({ payload: vmlinux })],
      ['bin/busybox', new TextEncoder().encode('\x7fELF\0[\0[[\0ash\0\0')],
    ]),
  );
  const log = `echo "$0 $*" >>${folder}/log`;
  tool(
    'apt-config',
    `${log}\nprintf 'APT::Architecture "arm64";\\nAPT::Update::Post-Invoke:: "touch ${folder}/hook";\\nAcquire::http::Proxy "http://proxy:1";\\n'`,
  );
  const update = change.update ?? 'echo "dlstatus:1:50.0:x" >&3';
  const download =
    change.download ??
    'for a in "$@"; do case $a in *=*) echo deb >"$(echo "$a" | sed "s/=/_/")_amd64.deb";; esac; done';
  tool(
    'apt-get',
    `${log}\ncp "$APT_CONFIG" ${folder}/apt.conf\ncase "$*" in *update*) ${update} ;; *download*) ${download} ;; esac`,
  );
  tool('apt-cache', `${log}\n${change.show ?? SHOW}`);
  tool('dpkg-deb', change.unpack ?? `case "$2" in *linux-image*) cat ${tar};; *) head -c 1024 /dev/zero;; esac`);
  process.env.PATH = `${join(folder, 'bin')}${delimiter}${path}`;
}

const SHOW = `case "$*" in
*linux-image-cloud-amd64*) printf 'Package: linux-image-cloud-amd64\\nVersion: 9\\nDepends: linux-image-${RELEASE} (= 9-1)\\nSize: 1\\n\\nPackage: busybox-static\\nVersion: 1:1.35\\nSize: 1000000\\n\\n';;
*linux-image-${RELEASE}*) printf 'Package: linux-image-${RELEASE}\\nVersion: 9-1\\nDepends: kmod, linux-base (>= 4)\\nSize: 2000000\\n\\n';;
*busybox*) printf 'Package: busybox-static\\nVersion: 1:1.35\\nSize: 1000000\\n\\n';;
esac`;

function ustar(files: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  const blocks = files.flatMap(([name, data]) => {
    const header = Buffer.alloc(512);
    header.write(name);
    header.write(`${data.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write('0', 156);
    const padded = Buffer.alloc(Math.ceil(data.length / 512) * 512);
    padded.set(data);
    return [header, padded];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

async function refusal(options: { cacheDir?: string; signal?: AbortSignal } = {}): Promise<GuestError> {
  const error: unknown = await fetchDebianGuest({ arch: 'amd64', cacheDir, ...options }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof GuestError)) throw error ?? new Error('not refused');
  // One sentence.
  expect(error.message).toMatch(/^[^\n]*\.$/);
  return error;
}

const left = () => readdirSync(cacheDir, { recursive: true }).map(String).sort();

describe('the guest debian', () => {
  it('is fetched with private state, built, and kept', async () => {
    fakeApt();
    const seen: FetchProgress[] = [];
    const guest = await fetchDebianGuest({ arch: 'amd64', cacheDir, onProgress: (p) => seen.push(p) });
    expect(guest.kernelVersion).toBe(RELEASE);
    expect(new Uint8Array(readFileSync(guest.kernel))).toEqual(vmlinux);
    const paths = readCpio(readFileSync(guest.initrd)).map((e) => e.path);
    expect(paths).toContain('init');
    expect(paths).toContain(`lib/modules/${RELEASE}/modules.dep`);
    expect(guest.append).toContain('console=ttyS0');
    // Only the guest and its manifest are left.
    expect(left().filter((name) => name.includes('tmp'))).toEqual([]);
    expect(seen.map((p) => p.fraction)).toEqual(seen.map((p) => p.fraction).sort((a, b) => a - b));
    expect(seen.at(-1)?.fraction).toBe(1);
    expect(seen.some((p) => p.phase === 'lists' && p.fraction > 0.1)).toBe(true);
    const conf = readFileSync(join(folder, 'apt.conf'), 'utf8');
    expect(conf).toContain('Acquire::http::Proxy "http://proxy:1";');
    expect(conf).toContain('APT::Architecture "amd64";');
    expect(conf).not.toMatch(/Post-Invoke|arm64|\/var\//);
  });

  it('runs nothing when the cache has it', async () => {
    fakeApt();
    const first = await fetchDebianGuest({ arch: 'amd64', cacheDir });
    rmSync(join(folder, 'log'));
    for (const name of ['apt-get', 'apt-cache', 'apt-config']) tool(name, `touch ${folder}/log; exit 1`);
    expect(await fetchDebianGuest({ arch: 'amd64', cacheDir })).toEqual(first);
    expect(() => statSync(join(folder, 'log'))).toThrow();
  });

  it('is fetched again when a cached file is cut short or the manifest is damaged', async () => {
    fakeApt();
    const guest = await fetchDebianGuest({ arch: 'amd64', cacheDir });
    writeFileSync(guest.kernel, 'short');
    expect(new Uint8Array(readFileSync((await fetchDebianGuest({ arch: 'amd64', cacheDir })).kernel))).toEqual(vmlinux);
    writeFileSync(join(cacheDir, 'debian-amd64.json'), '{"format":');
    expect((await fetchDebianGuest({ arch: 'amd64', cacheDir })).kernelVersion).toBe(RELEASE);
  });

  it('gets a new init without any fetching, when only that has changed', async () => {
    fakeApt();
    const guest = await fetchDebianGuest({ arch: 'amd64', cacheDir });
    const manifestPath = join(cacheDir, 'debian-amd64.json');
    const manifest = JSON.parse(readFileSync(manifestPath, 'utf8')) as {
      initVersion: string;
      initrd: { path: string; size: number };
    };
    const old: CpioEntry[] = readCpio(readFileSync(guest.initrd)).map((e) =>
      e.path === 'init' && e.type === 'file' ? { ...e, data: new Uint8Array([35]) } : e,
    );
    const bytes = writeCpio(old);
    manifest.initrd = { path: manifest.initrd.path.replace(/initrd-.*/, 'initrd-old.cpio'), size: bytes.length };
    manifest.initVersion = 'old';
    writeFileSync(join(cacheDir, manifest.initrd.path), bytes);
    writeFileSync(manifestPath, JSON.stringify(manifest));
    process.env.PATH = join(folder, 'nothing');
    const renewed = await fetchDebianGuest({ arch: 'amd64', cacheDir });
    expect(readFileSync(renewed.initrd)).toEqual(readFileSync(guest.initrd));
    expect(readFileSync(manifestPath, 'utf8')).toContain(initramfsVersion());
  });

  it('can be fetched twice at the same time', async () => {
    fakeApt();
    const guests = await Promise.all([1, 2, 3].map(() => fetchDebianGuest({ arch: 'amd64', cacheDir })));
    expect(new Set(guests.map((g) => g.kernel)).size).toBe(1);
    expect(new Uint8Array(readFileSync(guests[0].kernel))).toEqual(vmlinux);
    expect(left().filter((name) => name.includes('tmp'))).toEqual([]);
  });

  it('uses the sources that work when one does not, and says so', async () => {
    fakeApt({ update: 'echo "E: Failed to fetch http://x/Packages  Hash mismatch" >&2; exit 100' });
    const seen: string[] = [];
    const guest = await fetchDebianGuest({ arch: 'amd64', cacheDir, onProgress: (p) => seen.push(p.message) });
    expect(guest.kernelVersion).toBe(RELEASE);
    expect(seen.join('\n')).toMatch(/A package source cannot be used \(Failed to fetch/);
  });
});

describe('what keeps the guest from being fetched', () => {
  it('no apt: says which files to give instead', async () => {
    process.env.PATH = join(folder, 'bin');
    const error = await refusal();
    expect(error.code).toBe('no-apt');
    expect(error.message).toMatch(/--kernel FILE --initrd FILE/);
    expect(left()).toEqual([]);
  });

  it.each([
    [
      'no network while fetching the lists',
      'no-network',
      { update: 'echo "W: Failed to fetch http://x  Could not resolve \'x\'" >&2', show: 'exit 100' },
    ],
    [
      'no network while downloading',
      'no-network',
      { download: 'echo "E: Failed to fetch http://x  Unable to connect" >&2; exit 100' },
    ],
    ['no such package', 'no-package', { show: 'exit 100' }],
    ['a wrong signature', 'untrusted', { download: 'echo "E: Failed to fetch x  Hash Sum mismatch" >&2; exit 100' }],
    [
      'a full disk while downloading',
      'no-space',
      { download: 'echo "E: You don\'t have enough free space in /x/." >&2; exit 100' },
    ],
    [
      'a full disk while fetching the lists',
      'no-space',
      { update: 'echo "E: Write error - write (28: No space left on device)" >&2; exit 100' },
    ],
    ['another failure of apt', 'package-manager', { download: 'echo "E: Unable to lock" >&2; exit 100' }],
    [
      'a package that cannot be unpacked',
      'bad-package',
      { unpack: 'echo "dpkg-deb: error: not a Debian archive" >&2; exit 2' },
    ],
    ['packages without a kernel', 'bad-package', { unpack: 'head -c 1024 /dev/zero' }],
  ])('%s is %s, and leaves nothing in the cache', async (_name, code, change) => {
    fakeApt(change);
    expect((await refusal()).code).toBe(code);
    expect(left()).toEqual([]);
  });

  it('a cache that cannot be made: says to set XDG_CACHE_HOME', async () => {
    fakeApt();
    writeFileSync(join(folder, 'file'), '');
    const error = await refusal({ cacheDir: join(folder, 'file', 'cache') });
    expect(error.code).toBe('cache-not-writable');
    expect(error.message).toMatch(/XDG_CACHE_HOME/);
  });

  it('an interruption leaves nothing in the cache', async () => {
    fakeApt({ download: 'exec sleep 60' });
    const controller = new AbortController();
    const refused = refusal({ signal: controller.signal });
    const log = () => readFileSync(join(folder, 'log'), { encoding: 'utf8', flag: 'a+' });
    while (!log().includes('download')) await new Promise((resolve) => setTimeout(resolve, 10));
    controller.abort();
    expect((await refused).code).toBe('aborted');
    expect(left()).toEqual([]);
  });
});

describe('the guest cache', () => {
  it('removes what a killed process has left, once it is a day old', async () => {
    const cache = new GuestCache(cacheDir);
    mkdirSync(join(cacheDir, 'tmp-old'), { recursive: true });
    mkdirSync(join(cacheDir, 'tmp-new'));
    const yesterday = Date.now() / 1000 - 25 * 3600;
    utimesSync(join(cacheDir, 'tmp-old'), yesterday, yesterday);
    await cache.withTemporary(async () => {
      expect(left().filter((name) => name === 'tmp-old' || name === 'tmp-new')).toEqual(['tmp-new']);
    });
  });

  it.skipIf(!isCharacterDevice('/dev/full'))('says that the disk is full, and leaves no half of a file', async () => {
    const cache = new GuestCache(cacheDir);
    mkdirSync(cacheDir);
    // A file in whose place writing always fails with ENOSPC.
    await expect(
      cache.withTemporary(async (directory) => {
        symlinkSync('/dev/full', join(directory, 'full'));
        writeFileSync(join(directory, 'full'), 'x'.repeat(5000));
      }),
    ).rejects.toMatchObject({ code: 'no-space', message: expect.stringMatching(/is full; free 500 MB/) });
    expect(left()).toEqual([]);
  });

  it('lies below XDG_CACHE_HOME where that is set', () => {
    const before = process.env.XDG_CACHE_HOME;
    try {
      process.env.XDG_CACHE_HOME = '/somewhere';
      expect(defaultCacheDir()).toBe('/somewhere/typevisor');
      process.env.XDG_CACHE_HOME = 'relative';
      expect(defaultCacheDir()).toMatch(/\.cache\/typevisor$/);
    } finally {
      if (before === undefined) delete process.env.XDG_CACHE_HOME;
      else process.env.XDG_CACHE_HOME = before;
    }
  });
});

function isCharacterDevice(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isCharacterDevice() ?? false;
}

describe("Debian's real kernels", () => {
  it.for(['amd64', 'i386'] as const)(
    'of %s can be had, unpacked and placed',
    { timeout: 120_000 },
    async (arch, context) => {
      let guest: Awaited<ReturnType<typeof fetchDebianGuest>>;
      try {
        guest = await fetchDebianGuest({ arch });
      } catch (error) {
        if (error instanceof GuestError) return context.skip(error.message);
        throw error;
      }
      const kernel = parseKernel(readFileSync(guest.kernel), nodeDecompressors);
      const plan = planLinux({
        kernel,
        arch,
        initrd: [readFileSync(guest.initrd)],
        commandLine: guest.append.join(' '),
        ram: [{ gpa: 0, length: 128 << 20 }],
      });
      expect(kernel.bits).toBe(arch === 'amd64' ? 64 : 32);
      expect(plan.protocol).toBe(arch === 'amd64' ? 'pvh' : 'linux32');
      const modules = readCpio(readFileSync(guest.initrd)).filter((e) => e.path.endsWith('.ko'));
      expect(modules.map((e) => e.path.replace(/.*\//, ''))).toEqual(
        expect.arrayContaining(['virtio_pci.ko', 'virtio_blk.ko', 'virtio_net.ko']),
      );
    },
  );
});
