import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { NodeHost } from './host.js';

/** Rings the host's bell from another thread, after a while. */
function ringLater(host: NodeHost, ms: number): Worker {
  const code = `
    const { cell, ms } = require('node:worker_threads').workerData;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    Atomics.add(cell, 0, 1);
    Atomics.notify(cell, 0);`;
  return new Worker(code, { eval: true, workerData: { cell: host.io.bell.cell, ms } });
}

/** Sleeps as a machine does, which looks at the door after each sleep. */
async function sleepUntilDue(host: NodeHost, longest: number): Promise<number> {
  let sleeps = 0;
  while (!host.due) {
    await host.sleepUntil(host.now() + longest);
    await host.yield();
    sleeps++;
  }
  return sleeps;
}

const HOUR = 3600e9;

describe("the host's sleep", () => {
  test('ends when a thread rings, also where it would last for hours', async () => {
    const host = new NodeHost();
    let delivered = 0;
    host.io.add({ poll: () => delivered++ });
    ringLater(host, 20);
    expect(await sleepUntilDue(host, HOUR)).toBe(1);
    host.poll();
    expect(delivered).toBe(1);
    expect(host.due).toBe(false);
    host.poll();
    expect(delivered, 'without a ring there is nothing to ask for').toBe(1);
  });

  test('ends again and again, however often somebody has woken it in between', async () => {
    const host = new NodeHost();
    for (let n = 0; n < 3; n++) {
      const woken = host.sleepUntil(host.now() + HOUR);
      host.wake();
      await woken;
      ringLater(host, 5);
      await sleepUntilDue(host, HOUR);
      host.poll();
    }
    expect(host.due).toBe(false);
  });

  test('does not begin where something is due', async () => {
    const host = new NodeHost();
    host.io.bell.ring();
    await host.sleepUntil(Number.POSITIVE_INFINITY);
    expect(host.due).toBe(true);
  });

  test('is a blocking one while an answer is awaited, which ends with the ring', async () => {
    const host = new NodeHost();
    host.io.expect(1);
    expect(host.expecting).toBe(true);
    ringLater(host, 20);
    await sleepUntilDue(host, HOUR);
    host.io.expect(-1);
    expect(host.expecting).toBe(false);
  });
});
