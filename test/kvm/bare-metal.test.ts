/**
 * The suites of test/bare-metal on KVM: every test must end as on the software engine, but for what needs something that the
 * host's KVM was found to lack (test/bare-metal/lacks.ts), which is skipped and says so. What a poor KVM fails at and no
 * named gap explains is a failure here. A few suites run always, all of them among the long ones.
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
const OF_ONE_ENGINE = ['counting', 'tsc', 'startup', 'fuzz'];
const SAMPLE = ['exceptions', 'self-modifying', 'far-transfers'];
/** Tests that even the poorest KVM that we know (kvm_pvm) has to pass, less some: gaps that swallow more are wrong themselves. */
const FLOOR = { sample: 170, full: 540 };

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

describe.skipIf(!kvmOpens)(`bare-metal guests on KVM${kvmAbsence}`, () => {
  test(`do as on the software engine${full ? '' : ', a sample of them'}`, { timeout: 600_000 }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'typevisor-kvm-'));
    try {
      const file = join(folder, 'report.json');
      const suites = full ? ['test/bare-metal'] : SAMPLE.map((suite) => `test/bare-metal/${suite}.test.ts`);
      const args = ['run', ...suites, '--exclude', `**/{${OF_ONE_ENGINE}}.test.ts`, '--testTimeout=120000'];
      spawnSync(
        process.execPath,
        [join(root, 'node_modules/vitest/vitest.mjs'), ...args, '--reporter=json', `--outputFile=${file}`],
        { cwd: root, env: { ...process.env, TYPEVISOR_TEST_ENGINE: 'kvm' } },
      );
      const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
      const cases = report.testResults.flatMap(({ assertionResults }) => assertionResults);
      const named = (status: string) => cases.filter((one) => one.status === status).map(({ fullName }) => fullName);
      expect(named('failed')).toEqual([]);
      expect(named('passed').length).toBeGreaterThan(full ? FLOOR.full : FLOOR.sample);
      // A KVM that passes the self-test has next to no gaps: a processor's differs from ours in CPUID and the like.
      const fit = kvm.state === 'tested' && kvm.failures.length === 0;
      if (fit) expect(named('skipped').length).toBeLessThan(cases.length / 10);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
