/** How application processors start: INIT, then a start-up IPI (SDM vol. 3, 9.4.4). */
import { expect, test } from 'vitest';
import { QUIET_SINK } from '../../src/engine/quiet-sink.js';
import { openEngine } from './engines.js';

test('a start-up IPI starts a waiting processor, and no other, at the page of its vector', () => {
  const engine = openEngine({ memorySize: 2 * 1024 * 1024, cpus: 2, sink: QUIET_SINK, tscHz: 1e9 });
  const [first, second] = engine.vcpus;
  // mov bl, 0x55; hlt
  engine.memory.write(0x9f000, Uint8Array.of(0xb3, 0x55, 0xf4));
  expect(second.run(100)).toEqual({ kind: 'hlt' });
  expect(second.getState().activity).toBe('wait-for-sipi');
  const before = first.getState();
  first.sipi(0x9f);
  expect(first.getState()).toEqual(before);

  second.sipi(0x9f);
  expect(second.getState()).toMatchObject({
    activity: 'running',
    rip: 0n,
    cs: { selector: 0x9f00, base: 0x9f000n, limit: 0xffff, attributes: 0x9b },
  });
  expect(first.getState()).toEqual(before);
  expect(second.run(100)).toEqual({ kind: 'hlt' });
  expect(second.getState()).toMatchObject({ rip: 3n, activity: 'halted' });
  expect(second.getState().gpr[3]).toBe(0x55n);

  second.sipi(0x10); // it runs, or has halted: not for it
  expect(second.getState().cs.base).toBe(0x9f000n);
  second.init();
  second.sipi(0x10);
  expect(second.getState().cs.base).toBe(0x10000n);
  engine.close();
});
