/**
 * Debian's kernel on KVM: to the end where the host's KVM passes the self-test, and on a poor KVM, which takes minutes for what
 * a processor does in a second, through its first steps.
 */
import { spawn, spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { kvm, kvmAbsence, kvmOpens } from '../../src/host/node/kvm/testing.js';
import { MAIN } from '../cli/typevisor.js';

const hasApt = spawnSync('apt-get', ['--version']).status === 0;
const PATIENCE = 240_000;
const fit = kvm.state === 'tested' && kvm.failures.length === 0;

/** Runs the guest until a line has been seen, for some seconds at most, or to its end. */
function boot(cpus: number, until: RegExp, seconds = 0): Promise<{ readonly said: string; readonly stopped: boolean }> {
  const options = [
    '--engine',
    'kvm',
    '--memory',
    '256M',
    '--cpus',
    String(cpus),
    '--append',
    'earlyprintk=ttyS0 loglevel=8',
  ];
  const child = spawn(process.execPath, [MAIN, 'run', 'debian', ...options], { stdio: ['ignore', 'pipe', 'inherit'] });
  return new Promise((resolve, reject) => {
    let said = '';
    let stopped = false;
    const stop = () => {
      stopped = true;
      child.kill('SIGTERM');
    };
    if (seconds > 0) setTimeout(stop, seconds * 1000).unref();
    child.on('error', reject);
    child.on('exit', () => resolve({ said, stopped }));
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      said += text;
      if (until.test(said)) stop();
    });
  });
}

describe.skipIf(!kvmOpens || !hasApt)(`Debian's kernel on KVM${kvmAbsence}`, { timeout: PATIENCE }, () => {
  test.skipIf(!fit)(
    `boots to its shell on two processors${fit ? '' : ' (skipped: this KVM fails the self-test)'}`,
    async () => {
      const { said } = await boot(2, /\nMem: +\d+ /);
      expect(said).toMatch(/smp: Brought up 1 node, 2 CPUs/);
      expect(said).toMatch(/^Linux typevisor 6\.\S+ .* x86_64 GNU\/Linux\r?$/m);
    },
  );

  // A poor KVM takes minutes for what follows, so that belongs to the long suites.
  const further = fit || process.env.TYPEVISOR_FULL === '1';

  test('finds its hypervisor and kvmclock, and with the long suites goes as far as time allows', async () => {
    const { said, stopped } = await boot(
      2,
      further ? /Run \/init as init process/ : /kvm-clock: using sched offset/,
      further ? 200 : 0,
    );
    expect(said).toMatch(/Hypervisor detected: KVM/);
    expect(said).toMatch(/kvm-clock: Using msrs/);
    expect(stopped).toBe(true);
    if (!further) return;
    expect(said).toMatch(/ACPI: Reserving APIC table/);
    expect(said).toMatch(/smpboot: Allowing 2 CPUs/);
    // Nothing stops it but time: kvm_pvm emulates the kernel, a few million instructions a second.
    if (!/Run \/init/.test(said)) {
      const last = said.trimEnd().split('\n').at(-1);
      process.stderr.write(`This KVM is slow: after 200 s the kernel has come to "${last?.trim()}".\n`);
    }
  });
});
