/** Disks from the outside: Linux's own driver on raw and qcow2 images, and what is left of them when Typevisor is killed. */
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { checkQcow2, makeQcow2 } from '../../src/host/node/disk/testing.js';
import { tinyKernel } from './tiny-kernel.js';
import { MAIN, typevisor } from './typevisor.js';

const has = (tool: string, flag = '-V') => spawnSync(tool, [flag]).error === undefined;
const hasApt = has('apt-get', '--version');
const hasE2fs = has('mke2fs') && has('e2fsck');
const hasQemuImg = has('qemu-img', '--version');
const PATIENCE = 300_000;
const MIB = 2 ** 20;

const folder = mkdtempSync(join(tmpdir(), 'typevisor-disk-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

function make(name: string, bytes: Uint8Array): string {
  writeFileSync(at(name), bytes);
  return at(name);
}

const sum = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const random = (bytes: number) => randomFillSync(new Uint8Array(bytes));

function command(program: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return { status, text: stdout + stderr };
}

describe.skipIf(!hasApt)('a guest with disks', { timeout: PATIENCE }, () => {
  test('reads and writes raw and qcow2 images, and changes neither their length nor what is not its own', async () => {
    const content = random(3 * MIB);
    const base = random(2 * MIB);
    const raw = make('raw.img', content);
    const only = make('only.img', content);
    make('base.img', base);
    const made = makeQcow2({ clusterBits: 16, size: 4 * MIB, backing: 'base.img' });
    const overlay = make('overlay.qcow2', made);
    const limits = ['max_segments', 'max_segment_size', 'physical_block_size', 'discard_granularity'];
    limits.push('discard_max_hw_bytes', 'write_zeroes_max_bytes', 'write_cache');
    const script = [
      'for d in vda vdb vdc; do sha256sum </dev/$d; done',
      // 100 sectors from sector 5 on, and something in the middle of the overlay's second MiB.
      'dd if=/dev/vdb of=/dev/vda bs=512 skip=1000 seek=5 count=100 conv=fsync 2>/dev/null',
      'dd if=/dev/vdb of=/dev/vdc bs=512 skip=7 seek=3001 count=9 conv=fsync 2>/dev/null',
      'dd if=/dev/zero of=/dev/vda bs=1M seek=2 count=9 2>&1 | grep -c "No space"',
      'dd if=/dev/zero of=/dev/vdb bs=512 count=1 conv=fsync 2>/dev/null || echo refused',
      'cat /sys/block/vda/ro /sys/block/vdb/ro /sys/block/vda/serial; echo',
      `for f in ${limits.join(' ')}; do echo $(for d in vda vdb vdc; do cat /sys/block/$d/queue/$f; done); done`,
      'echo "write through" >/sys/block/vda/cache_type; cat /sys/block/vda/queue/write_cache',
      'echo 3 >/proc/sys/vm/drop_caches; for d in vda vdc; do sha256sum </dev/$d; done',
    ].join('\n');
    const disks = ['--disk', raw, '--disk', `${only},readonly`, '--disk', `${overlay},format=qcow2`];
    const { status, stdout, stderr } = await typevisor(['run', 'debian', ...disks, '--', script], { minutes: 5 });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    const seen = new Uint8Array(4 * MIB);
    seen.set(base);
    const first = [sum(content), sum(content), sum(seen)];
    content.copyWithin(5 * 512, 1000 * 512, 1100 * 512);
    const written = content.slice();
    written.fill(0, 2 * MIB);
    seen.set(readFileSync(only).subarray(7 * 512, 16 * 512), 3001 * 512);
    const lines = stdout.split('\n').map((line) => line.replace(/ +-$/, ''));
    expect(lines).toEqual([
      ...first,
      '1',
      'refused',
      '0',
      '1',
      'raw.img',
      '510 510 510',
      '4294967295 4294967295 4294967295',
      '4096 4096 4096',
      '4096 0 65536',
      '1073741824 0 1073741824',
      '1073741824 0 1073741824',
      'write back write back write back',
      'write through',
      sum(written),
      sum(seen),
      '',
    ]);
    expect(sum(readFileSync(raw))).toBe(sum(written));
    expect(statSync(only).size).toBe(3 * MIB);
    expect(sum(readFileSync(at('base.img')))).toBe(sum(base));
    expect(checkQcow2(readFileSync(overlay))).toEqual({ errors: [], leaks: 0 });
    if (hasQemuImg) expect(command('qemu-img', 'check', overlay)).toMatchObject({ status: 0 });
  });

  test('goes on while the host syncs slowly', async () => {
    const disk = make('slow.img', new Uint8Array(MIB));
    const script = [
      '(dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync 2>/dev/null; echo >/tmp/done) &',
      'i=0; while [ ! -e /tmp/done ]; do i=$((i+1)); done; echo $i',
    ].join('\n');
    const env = { TYPEVISOR_SLOW_FLUSH: '3000' };
    const { status, stdout } = await typevisor(['run', 'debian', '--disk', disk, '--', script], { env, minutes: 5 });
    expect(status).toBe(0);
    // A guest that stood still would have counted as far as the request takes without the delay.
    expect(Number(stdout)).toBeGreaterThan(1000);
  });
});

/** Runs a guest that writes files for ever, and kills Typevisor when so many are said to be safe. @returns how many were */
async function killWhileWriting(disk: string, files: number): Promise<number> {
  const script = [
    'mount -t ext4 /dev/vda /mnt || exit 1',
    'n=1; while :; do head -c 20000 /dev/urandom >/mnt/$n; sha256sum /mnt/$n >>/mnt/sums; sync; echo safe $n; n=$((n+1)); done',
  ].join('\n');
  const child = spawn(
    process.execPath,
    [MAIN, 'run', 'debian', '--disk', disk, '--', `modprobe ext4; mkdir -p /mnt; ${script}`],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: PATIENCE,
    },
  );
  let safe = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    for (const [, n] of text.matchAll(/safe (\d+)/g)) safe = Math.max(safe, Number(n));
    if (safe >= files) child.kill('SIGKILL');
  });
  await new Promise((resolve) => child.on('close', resolve));
  return safe;
}

describe.skipIf(!hasApt || !hasE2fs)('a disk whose machine is killed in the middle of writes (with e2fsprogs)', () => {
  const formats = hasQemuImg ? (['raw', 'qcow2'] as const) : (['raw'] as const);
  test.each(formats)('holds what was synced (%s)', { timeout: 2 * PATIENCE }, async (format) => {
    const raw = make('killed.raw', new Uint8Array(48 * MIB));
    expect(command('mke2fs', '-q', '-F', '-t', 'ext4', raw).status).toBe(0);
    const disk = format === 'raw' ? raw : at('killed.qcow2');
    if (format === 'qcow2') command('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, disk);
    const safe = await killWhileWriting(disk, 15);
    expect(safe).toBeGreaterThanOrEqual(15);
    if (format === 'qcow2') {
      // 3: clusters that nobody uses, which costs room and nothing else.
      const { status, text } = command('qemu-img', 'check', disk);
      expect([0, 3], text).toContain(status);
      command('qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', disk, raw);
    }
    const check = command('e2fsck', '-fy', raw);
    expect([0, 1], check.text).toContain(check.status);
    const verify = `modprobe ext4; mkdir -p /mnt; mount -t ext4 -o ro /dev/vda /mnt && head -n ${safe} /mnt/sums | sha256sum -c | grep -c OK`;
    const { stdout } = await typevisor(['run', 'debian', '--disk', `${raw},readonly`, '--', verify], { minutes: 5 });
    expect(stdout.trim()).toBe(String(safe));
  });
});

describe('a disk that can not be used', { timeout: 60_000 }, () => {
  const kernel = make('kernel', tinyKernel([0xf4]));
  const run = (...disks: string[]) =>
    typevisor(['run', '--kernel', kernel, '--timeout', '1', ...disks.flatMap((disk) => ['--disk', disk])]);

  test.each<[string, () => string, string]>([
    ['that is not there', () => at('missing.img'), 'There is no disk'],
    ['that is a folder', () => folder, 'is a folder'],
    ['that is no file at all', () => '/dev/null', 'neither a file nor a block device'],
    ['that is empty', () => make('empty.img', new Uint8Array(0)), 'is empty'],
    ['of an odd size', () => make('odd.img', new Uint8Array(8204)), 'has 8204 bytes, which is no whole number of'],
    [
      'of an odd size, in a qcow2 image',
      () => make('odd.qcow2', makeQcow2({ clusterBits: 9, size: 4100 })),
      'has 4100 bytes, which is no whole number of',
    ],
    ['that is no qcow2 image', () => `${make('no.qcow2', new Uint8Array(4096))},format=qcow2`, 'does not begin as one'],
    [
      'whose backing file is missing',
      () => make('orphan.qcow2', makeQcow2({ clusterBits: 9, size: 4096, backing: 'nowhere.img' })),
      'There is no disk',
    ],
  ])('%s is refused by one sentence', async (_, path, sentence) => {
    const { status, stderr } = await run(path());
    const lines = stderr.trim().split('\n');
    expect(lines.at(-1)).toContain(sentence);
    expect(lines.length, 'one says that it boots').toBeLessThan(3);
    expect(status).toBe(1);
  });

  test('keeps its bytes when it is refused', async () => {
    const bytes = new Uint8Array(1000).fill(7);
    const odd = make('odd-bytes.img', bytes);
    expect((await run(odd)).status).toBe(1);
    expect(new Uint8Array(readFileSync(odd))).toEqual(bytes);
  });

  test.skipIf(process.platform !== 'linux' || process.arch !== 'x64')(
    'because somebody else writes it is refused, and read-only disks are shared',
    async () => {
      const disk = make('shared.img', new Uint8Array(4096));
      expect((await run(disk, disk)).stderr).toContain('is in use by another virtual machine');
      expect((await run(`${disk},readonly`, disk)).stderr).toContain('is in use by another virtual machine');
      expect((await run(`${disk},readonly`, `${disk},readonly`)).stderr).not.toContain('in use');
    },
  );
});
