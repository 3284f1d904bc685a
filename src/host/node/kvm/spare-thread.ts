/**
 * A thread for a vCPU, not yet of any. It takes longer to start than anything else that a machine needs, so the command line
 * starts a first one before it is itself loaded: this file imports next to nothing.
 */
import { Worker } from 'node:worker_threads';
import { MAILBOX_BYTES } from '../../../engine/kvm/mailbox.js';

export interface SpareThread {
  /** Of the vCPU that it may become: the thread is named after it. */
  readonly index: number;
  readonly worker: Worker;
  readonly mailbox: Int32Array;
}

/** @param program vcpu-worker.js, as the build has made it */
export function startSpareThread(index: number, program: URL): SpareThread {
  const memory = new SharedArrayBuffer(MAILBOX_BYTES);
  const worker = new Worker(program, { name: `vcpu ${index}`, workerData: { index, mailbox: memory } });
  worker.unref();
  return { index, worker, mailbox: new Int32Array(memory) };
}

const lent: SpareThread[] = [];

/** Leaves a thread to whoever needs one for that vCPU next. */
export function lendThread(thread: SpareThread): void {
  lent.push(thread);
}

/** One that has been lent, else one that starts now. */
export function takeThread(index: number, program: URL): SpareThread {
  const at = lent.findIndex((thread) => thread.index === index);
  return at < 0 ? startSpareThread(index, program) : lent.splice(at, 1)[0];
}
