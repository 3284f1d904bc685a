// A process whose two vCPUs run an endless loop inside KVM_RUN, and which then ends as its argument says. For ends.test.ts;
// it runs what the build has made, as users do.
import { KvmEngine } from '../../dist/engine/kvm/engine.js';
import { QUIET_SINK } from '../../dist/engine/quiet-sink.js';
import { NodeKvmHost } from '../../dist/host/node/kvm/host.js';

const [how, rounds = '1'] = process.argv.slice(2);
const nothing = () => {};
const host = new NodeKvmHost();

/** Both vCPUs are in the guest, and the second says so by a port. */
function start() {
  const engine = new KvmEngine({ memorySize: 2 << 20, cpus: 2, sink: QUIET_SINK, tscHz: 1e9, irqchip: 'kernel' }, host);
  engine.memory.write(0x1000, Uint8Array.of(0xe6, 0x10, 0xeb, 0xfe)); // out 10h, al; jmp $
  for (const vcpu of engine.vcpus) {
    const state = vcpu.getState();
    const cs = { selector: 0, base: 0n, limit: 0xffff, attributes: 0x9b };
    vcpu.setState({ ...state, cs, rip: 0x1000n, activity: 'running' });
  }
  engine.parallel.start();
  let seen = 0;
  while (seen < 2) seen += engine.parallel.serve(1e9, { select: nothing, ended: nothing });
  return engine;
}

for (let round = 1; round < Number(rounds); round++) start().close();
const engine = start();
process.stdout.write('running\n');
if (how === 'close') {
  engine.close();
  host.close();
} else if (how === 'exit') process.exit(7);
else if (how === 'throw') throw new Error('as asked for');
else if (how === 'wait') setInterval(nothing, 1000);
