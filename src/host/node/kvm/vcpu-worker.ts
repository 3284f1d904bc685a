/**
 * The thread of one vCPU: it waits until it may run the guest, runs it, says that it is out, and waits again (mailbox.ts).
 * Nothing here allocates or posts messages: this is the path that every exit of a guest takes.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import * as A from '../../../engine/kvm/abi.js';
import * as M from '../../../engine/kvm/mailbox.js';
import { PORTS, WRITTEN } from '../../../engine/kvm/shortcuts.js';
import { loadLibc } from '../ffi/libc.js';

/** The thread's only message, which is there before it may first run the guest. */
export interface VcpuThreadSettings {
  /** Processors of the host that the thread keeps to; empty: all. */
  readonly pins: readonly number[];
  readonly bell: number;
  /** See `KvmHost.latched`: both, one behind the other. */
  readonly latches: SharedArrayBuffer;
}

const { index, mailbox } = workerData as { readonly index: number; readonly mailbox: SharedArrayBuffer };
const words = new Int32Array(mailbox);
const libc = loadLibc();
const one = new Uint8Array(8);
one[0] = 1;

libc.setThreadName(`vcpu ${index}`);
Atomics.store(words, M.TID, libc.gettid());

let bell = -1;
let latched = new Uint8Array(new SharedArrayBuffer(PORTS));
let latches = latched;
/** Takes its settings, if it has not yet. */
function settle(): void {
  if (bell >= 0) return;
  const settings = receiveMessageOnPort(parentPort!)!.message as VcpuThreadSettings;
  if (settings.pins.length > 0) libc.setAffinity(0, settings.pins);
  latched = new Uint8Array(settings.latches, 0, PORTS);
  latches = new Uint8Array(settings.latches, PORTS, PORTS);
  bell = settings.bell;
}

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
  settle();
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
