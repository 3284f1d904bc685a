import { test } from 'vitest';
import { selfTest } from '../../../engine/kvm/selftest.js';
import { NodeKvmHost } from './host.js';

test('runs', () => {
  for (let i = 0; i < 4; i++) {
    const t0 = performance.now();
    const h = new NodeKvmHost({ inline: true });
    const t1 = performance.now();
    console.log(selfTest(h), t1 - t0, performance.now() - t1);
    const t2 = performance.now();
    console.log(selfTest(h, true), performance.now() - t2);
    h.close();
  }
});
