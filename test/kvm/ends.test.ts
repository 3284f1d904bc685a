/** However a process ends with vCPUs inside KVM_RUN, it ends: nothing hangs, nothing stays. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { kvmAbsence, kvmOpens } from '../../src/host/node/kvm/testing.js';

const PROGRAM = fileURLToPath(new URL('ends.mjs', import.meta.url));

interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Runs the program; `whenRunning` is called when its vCPUs are in the guest. */
function run(how: string, rounds = 1, whenRunning: (pid: number) => void = () => {}): Promise<End> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, how, String(rounds)], { stdio: ['ignore', 'pipe', 'ignore'] });
    child.on('error', reject);
    child.stdout.once('data', () => whenRunning(child.pid!));
    child.on('exit', (code, signal) => resolve({ code, signal }));
  });
}

/** Descriptors and threads of a process, by what they are. */
function holdings(pid: number): { files: number; threads: string[] } {
  const tasks = readdirSync(`/proc/${pid}/task`);
  return {
    files: readdirSync(`/proc/${pid}/fd`).length,
    threads: tasks.map((tid) => readFileSync(`/proc/${pid}/task/${tid}/comm`, 'utf8').trim()),
  };
}

describe.skipIf(!kvmOpens)(`a process with vCPUs in the guest${kvmAbsence}`, () => {
  test.each([
    ['closes its machine', 'close', { code: 0, signal: null }],
    ['calls process.exit', 'exit', { code: 7, signal: null }],
    ['throws', 'throw', { code: 1, signal: null }],
  ])('ends when it %s', async (_, how, end) => {
    expect(await run(how)).toEqual(end);
  });

  test.each(['SIGTERM', 'SIGKILL', 'SIGINT'] as const)('ends by %s', async (signal) => {
    expect(await run('wait', 1, (pid) => process.kill(pid, signal))).toEqual({ code: null, signal });
  });

  test('holds no more after forty machines than after one', async () => {
    const seen: ReturnType<typeof holdings>[] = [];
    for (const rounds of [1, 40]) {
      await run('wait', rounds, (pid) => {
        seen.push(holdings(pid));
        process.kill(pid, 'SIGKILL');
      });
    }
    expect(seen[1].files).toBe(seen[0].files);
    for (const { threads } of seen) expect(threads.filter((name) => name.startsWith('vcpu'))).toHaveLength(2);
  });
});
