/**
 * The suites of test/bare-metal on KVM. Where the host's KVM passes the self-test every case must pass that does not ask for
 * what KVM's processor has not (counted instructions, the machine's TSC). A poor KVM fails hundreds of them by itself: there
 * a floor is checked, so that an engine of ours that breaks is still found, and the cases that differ are listed.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { kvm, kvmAbsence, kvmOpens } from '../../src/host/node/kvm/testing.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const full = process.env.TYPEVISOR_FULL === '1';
/** Suites about what the software engine has of its own: counted instructions, and a TSC and entropy that the machine gives. */
const OF_ONE_ENGINE = ['counting.test.ts', 'tsc.test.ts', 'startup.test.ts', 'fuzz.test.ts'];
/** Cases that pass on the poorest KVM that we know (kvm_pvm), less some. */
const FLOOR = 560;

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

describe.skipIf(!kvmOpens || !full)(
  `the bare-metal suites on KVM${kvmAbsence || (full ? '' : ' (skipped: a long suite)')}`,
  () => {
    test('pass as far as the host’s KVM can', { timeout: 600_000 }, () => {
      const folder = mkdtempSync(join(tmpdir(), 'typevisor-kvm-'));
      try {
        const file = join(folder, 'report.json');
        const vitest = join(root, 'node_modules/vitest/vitest.mjs');
        const args = [vitest, 'run', 'test/bare-metal', '--reporter=json', `--outputFile=${file}`];
        spawnSync(process.execPath, args, { cwd: root, env: { ...process.env, TYPEVISOR_TEST_ENGINE: 'kvm' } });
        const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
        const cases = report.testResults
          .filter(({ name }) => !OF_ONE_ENGINE.some((suite) => name.endsWith(suite)))
          .flatMap(({ assertionResults }) => assertionResults);
        const failed = cases.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName);
        const passed = cases.filter(({ status }) => status === 'passed').length;
        const poor = kvm.state === 'tested' ? kvm.failures : [];
        if (poor.length === 0) expect(failed).toEqual([]);
        else {
          process.stderr.write(
            `This KVM fails the self-test (${poor.length} points), and differs in ${failed.length} cases:\n`,
          );
          for (const name of failed) process.stderr.write(`  ${name}\n`);
          expect(passed).toBeGreaterThan(FLOOR);
        }
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  },
);
