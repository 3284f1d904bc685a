/** `typevisor run --engine kvm` from the outside, with kernels of a few bytes that every KVM runs. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kvm, kvmAbsence, kvmOpens } from '../../src/host/node/kvm/testing.js';
import { out, print, tinyKernel } from '../cli/tiny-kernel.js';
import { typevisor } from '../cli/typevisor.js';

const folder = mkdtempSync(join(tmpdir(), 'typevisor-kvm-'));
const RESET = out(0xcf9, 6);
const HLT_LOOP = [0xf4, 0xeb, 0xfd];
const GUESTS: { readonly [name: string]: readonly number[] } = {
  hello: [...print('Hello\n'), ...RESET, ...HLT_LOOP],
  // The timer's interrupt is masked, so nothing ever comes.
  idle: [...print('idle\n'), 0xfb, ...HLT_LOOP],
  halt: [0xfa, ...HLT_LOOP],
  spin: [0xeb, 0xfe],
  'unknown-port': [...out(0x1234, 1), ...RESET, ...HLT_LOOP],
  // mov ecx, 0deadh; rdmsr; then as hello: a #GP without a table for it is a triple fault
  msr: [0xb9, 0xad, 0xde, 0, 0, 0x0f, 0x32, ...print('read\n'), ...RESET, ...HLT_LOOP],
};

beforeAll(() => {
  for (const [name, code] of Object.entries(GUESTS)) writeFileSync(join(folder, name), tinyKernel(code));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(guest: string, ...options: string[]) {
  return typevisor(['run', '--engine', 'kvm', '--no-reboot', '--kernel', join(folder, guest), ...options]);
}

describe.skipIf(!kvmOpens)(`a guest on KVM${kvmAbsence}`, () => {
  test.each([
    [['--memory', '64M']],
    [['--memory', '5G']],
    [['--cpus', '3']],
    [['--irqchip', 'split']],
    [['--irqchip', 'machine']],
    [['--pin', '0:0']],
    [['--arch', 'i386']],
  ])('says hello and resets itself, with %j', async (options) => {
    const { status, stdout, stderr } = await run('hello', ...options);
    expect([status, stdout], stderr).toEqual([0, 'Hello\n']);
  });

  test.each(['idle', 'spin'])('%s ends when its time is over', async (guest) => {
    const { status, stderr } = await run(guest, '--timeout', '1');
    expect(status).toBe(124);
    expect(stderr).toContain('ended after 1 s');
  });

  test('that halts for good is seen to have', async () => {
    const { status, stderr } = await run('halt');
    expect(stderr).toContain('halted for good');
    expect(status).toBe(1);
  });

  test('is refused a port that no device has, when that is asked for', async () => {
    const { status, stderr } = await run('unknown-port', '--strict-io');
    expect(stderr).toMatch(/out of port 0x1234 at rip 0x[0-9a-f]+, and strict I\/O is on/);
    expect(status).toBe(1);
  });

  test('that reads an unknown MSR goes on where that is allowed', async () => {
    const { status, stdout, stderr } = await run('msr', '--no-strict-msr', '--verbose');
    expect([status, stdout], stderr).toEqual([0, 'read\n']);
    expect(stderr).toContain("The guest's read of the unknown MSR 0xdead was ignored.");
    expect(stderr).toContain('Engine: kvm (as asked for).');
  });

  test('has its exits counted', async () => {
    const { stderr } = await run('hello', '--stats');
    expect(stderr).toMatch(/exits: .*port-out \d+/);
  });

  test('can have a thread pinned to a processor that there is', async () => {
    const { status, stderr } = await run('hello', '--pin', '0:1023');
    expect(stderr).toContain('processor 1023');
    expect(status).toBe(1);
  });
});

describe('which engine is taken', () => {
  test('auto takes KVM where it passes the self-test, and says why where it does not', async () => {
    const { stderr } = await typevisor(['run', '--verbose', '--no-reboot', '--kernel', join(folder, 'hello')]);
    const fit = kvm.state === 'tested' && kvm.failures.length === 0;
    if (fit) expect(stderr).toContain('Engine: kvm (KVM works here).');
    else expect(stderr).toMatch(/Engine: soft \(.*(kvm|KVM)/);
  });

  test('doctor names what KVM fails at', async () => {
    const { stdout } = await typevisor(['doctor']);
    const line = stdout.split('\n').find((text) => / KVM /.test(text))!;
    if (kvm.state !== 'tested') expect(line).toContain(kvm.text);
    else for (const failure of kvm.failures) expect(line).toContain(failure.split(' (')[0]);
  });
});
