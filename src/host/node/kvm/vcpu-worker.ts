/**
 * The thread of one vCPU: it waits until it may run the guest, runs it, says that it is out, and waits again (mailbox.ts).
 * Nothing here allocates or posts messages: this is the path that every exit of a guest takes.
 */
import { parentPort, workerData } from 'node:worker_threads';
import * as A from '../../../engine/kvm/abi.js';
import * as M from '../../../engine/kvm/mailbox.js';
import { PORTS, WRITTEN } from '../../../engine/kvm/shortcuts.js';
import { loadLibc } from '../ffi/libc.js';

export interface VcpuWorkerData {
  readonly index: number;
  /** Processors of the host that the thread keeps to; empty: all. */
  readonly pins: readonly number[];
  readonly bell: number;
  readonly mailbox: SharedArrayBuffer;
  /** See `KvmHost.latched`: both, one behind the other. */
  readonly latches: SharedArrayBuffer;
}

const data = workerData as VcpuWorkerData;
const { index, pins, bell } = data;
const words = new Int32Array(data.mailbox);
const latched = new Uint8Array(data.latches, 0, PORTS);
const latches = new Uint8Array(data.latches, PORTS, PORTS);
const libc = loadLibc();
const one = new Uint8Array(8);
one[0] = 1;

libc.setThreadName(`vcpu ${index}`);
if (pins.length > 0) libc.setAffinity(0, pins);
Atomics.store(words, M.TID, libc.gettid());
parentPort?.postMessage('online');

let turn = 0;
let page = new DataView(new ArrayBuffer(A.RUN_UNION + 16));

/** Completes the exit, if it is a byte for a port that only keeps it. @returns whether it was */
function kept(): boolean {
  if (page.getUint32(A.RUN_EXIT_REASON, true) !== A.KVM_EXIT_IO) return false;
  const port = page.getUint16(A.RUN_IO_PORT, true);
  if (latched[port] === 0 || page.getUint8(A.RUN_IO_DIRECTION) !== A.KVM_EXIT_IO_OUT) return false;
  if (page.getUint8(A.RUN_IO_SIZE) !== 1 || page.getUint32(A.RUN_IO_COUNT, true) !== 1) return false;
  latches[port] = page.getUint8(page.getUint32(A.RUN_IO_DATA_OFFSET, true));
  Atomics.store(latched, port, WRITTEN);
  words[M.OWN_EXITS]++;
  return true;
}

for (;;) {
  // A wake-up may come late, when its change of the state has been seen and done with.
  while (Atomics.load(words, M.STATE) === M.STATE_OUT) Atomics.wait(words, M.STATE, M.STATE_OUT);
  if (Atomics.load(words, M.STATE) !== M.STATE_RUN) break;
  if (words[M.TURN] !== turn) {
    turn = words[M.TURN];
    const address = BigInt(words[M.RUN_LOW] >>> 0) | (BigInt(words[M.RUN_HIGH]) << 32n);
    page = new DataView(libc.view(address, words[M.RUN_LENGTH]));
  }
  const vcpu = words[M.FD];
  let result: number;
  do result = libc.tryIoctl(vcpu, A.KVM_RUN, 0);
  while (result === 0 && kept());
  Atomics.store(words, M.RESULT, result < 0 ? libc.errno() : 0);
  if (Atomics.compareExchange(words, M.STATE, M.STATE_RUN, M.STATE_OUT) !== M.STATE_RUN) break;
  libc.tryWrite(bell, one);
}
Atomics.store(words, M.STATE, M.STATE_GONE);
Atomics.notify(words, M.STATE);
