import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';

const MODULE = new URL('../../../dist/host/node/priority.js', import.meta.url).href;

/** Nice values of the threads of a fresh Node: first the main one's, then those of the others, once `script` has run. */
function priorities(script: string): number[] {
  const program = `
    import { readdirSync } from 'node:fs';
    import { getPriority } from 'node:os';
    import { once } from 'node:events';
    import { Worker } from 'node:worker_threads';
    import { lendOthers, otherThreads, othersStepBack } from '${MODULE}';
    const others = () => readdirSync('/proc/self/task').map(Number).filter((n) => n !== process.pid);
    ${script}
    console.log(JSON.stringify([process.pid, ...others()].map(getPriority)));
    process.exit();`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  if (!stdout) throw new Error(stderr);
  return JSON.parse(stdout) as number[];
}

describe.skipIf(process.platform !== 'linux')('priorities of threads', () => {
  it('of all but the main one are lowered when the guest begins', () => {
    const [main, ...others] = priorities('lendOthers(otherThreads()); othersStepBack();');
    expect(others.length).toBeGreaterThan(0);
    for (const other of others) expect(other).toBeGreaterThan(main);
  });

  it('stay as they are until then', () => {
    const [main, ...others] = priorities('lendOthers(otherThreads());');
    for (const other of others) expect(other).toBe(main);
  });

  it('of one that began later, as a vCPU’s on KVM, stays as it is', () => {
    const url = `data:text/javascript,${encodeURIComponent("import('node:worker_threads').then((w) => w.parentPort.postMessage(1)); setTimeout(() => {}, 60_000);")}`;
    const [main, ...others] = priorities(`
      lendOthers(otherThreads());
      const worker = new Worker(new URL(${JSON.stringify(url)}));
      await once(worker, 'message');
      othersStepBack();`);
    expect(others.filter((other) => other === main)).toHaveLength(1);
  });

  it('of one that steps back is lowered, and no other', () => {
    const worker = `
      import { parentPort } from 'node:worker_threads';
      import { stepBack } from '${MODULE}';
      stepBack();
      parentPort.postMessage('done');
      setTimeout(() => {}, 60_000);`;
    const url = `data:text/javascript,${encodeURIComponent(worker)}`;
    const [main, ...others] = priorities(
      `const worker = new Worker(new URL(${JSON.stringify(url)})); await once(worker, 'message');`,
    );
    expect(others.filter((other) => other > main)).toHaveLength(1);
  });
});
