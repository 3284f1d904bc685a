/**
 * The thread of one vCPU: it waits until it may run the guest, runs it, says that it is out, and waits again (mailbox.ts).
 * Nothing here allocates or posts messages: this is the path that every exit of a guest takes.
 */
import { workerData } from 'node:worker_threads';
import * as A from '../../../engine/kvm/abi.js';
import * as M from '../../../engine/kvm/mailbox.js';
import { loadLibc } from '../ffi/libc.js';

export interface VcpuWorkerData {
  readonly index: number;
  /** Processors of the host that the thread keeps to; empty: all. */
  readonly pins: readonly number[];
  readonly bell: number;
  readonly mailbox: SharedArrayBuffer;
}

const { index, pins, bell, mailbox } = workerData as VcpuWorkerData;
const words = new Int32Array(mailbox);
const libc = loadLibc();
const one = new Uint8Array(8);
one[0] = 1;

libc.setThreadName(`vcpu ${index}`);
if (pins.length > 0) libc.setAffinity(0, pins);
Atomics.store(words, M.TID, libc.gettid());

for (;;) {
  Atomics.wait(words, M.STATE, M.STATE_OUT);
  if (Atomics.load(words, M.STATE) !== M.STATE_RUN) break;
  const result = libc.tryIoctl(words[M.FD], A.KVM_RUN, 0);
  Atomics.store(words, M.RESULT, result < 0 ? libc.errno() : 0);
  if (Atomics.compareExchange(words, M.STATE, M.STATE_RUN, M.STATE_OUT) !== M.STATE_RUN) break;
  libc.tryWrite(bell, one);
}
Atomics.store(words, M.STATE, M.STATE_GONE);
Atomics.notify(words, M.STATE);
