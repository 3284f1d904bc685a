/** Linux's own virtio drivers, from the outside: packed rings and MSI-X, INTx on 32 bits, and what a strict machine says. */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { MAIN, typevisor } from './typevisor.js';

const hasApt = spawnSync('apt-get', ['--version']).status === 0;
const PATIENCE = 300_000;

/** Resident memory of a process in MiB. */
function residentOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** Runs a command in the guest; notes the process's memory whenever the guest has printed one of the marks. */
async function watchMemory(
  args: readonly string[],
  command: string,
  marks: readonly string[],
): Promise<{ status: number | null; stdout: string; resident: number[] }> {
  const child = spawn(process.execPath, [MAIN, 'run', 'debian', ...args, '--', command], {
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: PATIENCE,
  });
  const resident: number[] = [];
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    while (resident.length < marks.length && stdout.includes(marks[resident.length])) {
      resident.push(residentOf(child.pid!));
    }
  });
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { status, stdout, resident };
}

describe.skipIf(!hasApt)('Linux with virtio devices', { timeout: PATIENCE }, () => {
  test('reads /dev/hwrng, gives the memory back that it has freed, and interrupts come as MSI-X', async () => {
    const command = [
      'cat /sys/class/misc/hw_random/rng_current',
      'head -c 30000 /dev/hwrng | gzip | wc -c',
      'grep -c PCI-MSI.*virtio /proc/interrupts',
      'cut -c 35 /sys/bus/virtio/devices/virtio0/features',
      'head -c 100m /dev/zero >/tmp/large; echo full; sleep 1; rm /tmp/large',
      // Free pages are reported some seconds later, large ones first.
      'i=0; while [ $i -lt 10 ]; do sleep 1; i=$((i+1)); done; echo empty; sleep 1',
    ].join('\n');
    const { status, stdout, resident } = await watchMemory(['--rng', '--balloon'], command, ['full', 'empty']);
    expect(status).toBe(0);
    const [rng, packed, msis, ringPacked] = stdout.split('\n');
    expect(rng).toBe('virtio_rng.0');
    // What is random does not shrink.
    expect(Number(packed)).toBeGreaterThan(30_000);
    expect(Number(msis)).toBeGreaterThan(4);
    expect(ringPacked).toBe('1');
    const [full, empty] = resident;
    expect(full - empty).toBeGreaterThan(40);
  });

  test('on i386 and without MSI does with the pin, and a strict machine ends with the name of what was broken', async () => {
    const command = [
      'head -c 3000 /dev/hwrng | gzip | wc -c',
      'grep virtio /proc/interrupts',
      'sleep 1',
      // The back door (4.1.4.9) of the entropy device, opened onto nothing.
      'printf data | dd of=/sys/bus/pci/devices/0000:00:01.0/config bs=4 seek=33 conv=notrunc 2>/dev/null',
      'echo alive',
    ].join('\n');
    const run = (...more: string[]) =>
      typevisor(['run', 'debian', '--arch', 'i386', '--append', 'pci=nomsi', '--rng', ...more, '--', command]);
    const lax = await run();
    expect(lax.stdout).toMatch(/^3\d\d\d\n.*IO-APIC.* virtio0\nalive\n$/);
    expect(lax.status).toBe(0);
    const strict = await run('--virtio-strict');
    expect(strict.stdout).toMatch(/^3\d\d\d\n.*IO-APIC.* virtio0\n$/);
    expect(strict.stderr).toContain(
      'virtio-rng: bad driver: the driver wrote pci_cfg_data with bar 0, offset 0 and length 0 (virtio 1.2, 4.1.4.9.2)',
    );
    expect(strict.status).toBe(1);
  });
});
