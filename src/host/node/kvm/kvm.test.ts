import { describe, expect, test } from 'vitest';
import type { ExitSink } from '../../../engine/contract.js';
import { KvmEngine } from '../../../engine/kvm/engine.js';
import { NodeKvmHost } from './host.js';
const sink: ExitSink = {
  portIn: () => 0x42, portOut: (p, s, v) => { console.log('out', p, s, v); }, mmioRead: () => 0x11223344, mmioWrite: (g,s,v) => {console.log('mmio',g,s,v)}, readMsr: () => undefined, writeMsr: () => false,
  acknowledgeInterrupt: () => -1, readCr8: () => 0, writeCr8: () => {}, readTsc: () => 0, entropy: () => 0,
};
describe('x', () => {
  test('runs', () => {
    const t0 = performance.now();
    const e = new KvmEngine({ memorySize: 8 << 20, cpus: 1, sink, tscHz: 1e9 }, new NodeKvmHost());
    e.memory.write(0x1000, Uint8Array.of(0xb0, 7, 0xe6, 0x10, 0xe4, 0x20, 0xf4, 0xeb, 0xfe));
    const s = e.vcpus[0].getState();
    s.cs = { selector: 0, base: 0n, limit: 0xffff, attributes: 0x9b }; s.rip = 0x1000n;
    e.vcpus[0].setState(s);
    console.log('start', performance.now() - t0);
    console.log(e.vcpus[0].run(1000000), performance.now() - t0);
    console.log(e.vcpus[0].getState().gpr[0], e.vcpus[0].getState().rip);
    console.log(e.vcpus[0].run(100000), performance.now() - t0);
    console.log(e.vcpus[0].getState().rip);
    e.close();
    console.log(performance.now() - t0);
  });
});
