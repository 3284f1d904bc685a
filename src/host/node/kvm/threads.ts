/**
 * The threads of vCPUs: one for each index, kept from one life of the guest to the next. A thread in KVM_RUN would hold up
 * the end of the process for ever, so whoever ends it is seen to first.
 */
import type { Worker } from 'node:worker_threads';
import { RUN_IMMEDIATE_EXIT } from '../../../engine/kvm/abi.js';
import type { SharedRam, VcpuThread } from '../../../engine/kvm/calls.js';
import * as M from '../../../engine/kvm/mailbox.js';
import type { Libc } from '../ffi/libc.js';
import { PACKAGE_ROOT } from '../package.js';
import { takeThread } from './spare-thread.js';
import type { VcpuThreadSettings } from './vcpu-worker.js';

/** SIGRTMIN as the C library counts, and a few that others use: Node and its libraries know nothing of this one. */
export const KICK_SIGNAL = 34 + 6;
/** A thread ends within microseconds; one that is still starting takes tens of milliseconds. In ms. */
const END_TIMEOUT = 10_000;

/** Processors of the host for the thread of a vCPU; none: any. */
export type Pinning = (index: number) => readonly number[];

/** What all threads are given. */
export type ThreadsShare = Pick<VcpuThreadSettings, 'bell' | 'latches'>;

class Thread implements VcpuThread {
  readonly mailbox: Int32Array;
  private readonly libc: Libc;
  private readonly worker: Worker;
  /** Of the vCPU that it runs. */
  private page: Uint8Array | undefined;

  constructor(libc: Libc, shared: ThreadsShare, index: number, pins: readonly number[]) {
    const { worker, mailbox } = takeThread(index, new URL('dist/host/node/kvm/vcpu-worker.js', PACKAGE_ROOT));
    this.libc = libc;
    this.mailbox = mailbox;
    this.worker = worker;
    const settings: VcpuThreadSettings = { pins, ...shared };
    this.worker.postMessage(settings);
  }

  serve(fd: number, { address, length }: SharedRam, page: Uint8Array): void {
    const { mailbox } = this;
    mailbox[M.FD] = fd;
    mailbox[M.RUN_LOW] = Number(BigInt.asIntN(32, address));
    mailbox[M.RUN_HIGH] = Number(address >> 32n);
    mailbox[M.RUN_LENGTH] = length;
    mailbox[M.TURN]++;
    this.page = page;
  }

  interrupt(): void {
    const tid = Atomics.load(this.mailbox, M.TID);
    if (tid !== 0) this.libc.tryTgkill(process.pid, tid, KICK_SIGNAL);
  }

  release(): void {
    this.page = undefined;
  }

  /** Tells it to end, wherever it is. */
  quit(): void {
    if (Atomics.exchange(this.mailbox, M.STATE, M.STATE_QUIT) === M.STATE_GONE) {
      Atomics.store(this.mailbox, M.STATE, M.STATE_GONE);
      return;
    }
    Atomics.notify(this.mailbox, M.STATE);
    if (this.page !== undefined) Atomics.store(this.page, RUN_IMMEDIATE_EXIT, 1);
    this.interrupt();
  }

  /** Waits until it has. */
  awaitEnd(): void {
    Atomics.wait(this.mailbox, M.STATE, M.STATE_QUIT, END_TIMEOUT);
  }

  get hasStarted(): boolean {
    return Atomics.load(this.mailbox, M.TID) !== 0;
  }
}

const pools = new Set<ThreadPool>();

/** The process ends, by process.exit or an error: no thread may stay in the guest. */
function endAll(): void {
  for (const pool of pools) pool.close();
}

export class ThreadPool {
  private readonly threads: (Thread | undefined)[] = [];
  private readonly libc: Libc;
  private readonly shared: ThreadsShare;
  private readonly pinning: Pinning;

  constructor(libc: Libc, shared: ThreadsShare, pinning: Pinning) {
    this.libc = libc;
    this.shared = shared;
    this.pinning = pinning;
    libc.ignoreButInterrupt(KICK_SIGNAL);
    if (pools.size === 0) process.on('exit', endAll);
    pools.add(this);
  }

  /** Starts the threads of the first `count` vCPUs: that takes some time, beside whatever the caller does. */
  start(count: number): void {
    for (let index = 0; index < count; index++) this.at(index);
  }

  thread(index: number, fd: number, run: SharedRam): VcpuThread {
    const thread = this.at(index);
    thread.serve(fd, run, new Uint8Array(this.libc.view(run.address, run.length)));
    return thread;
  }

  close(): void {
    if (!pools.delete(this)) return;
    if (pools.size === 0) process.off('exit', endAll);
    for (const thread of this.threads) thread?.quit();
    // One that has not started yet finds out when it does; it holds nothing of a guest.
    for (const thread of this.threads) if (thread?.hasStarted) thread.awaitEnd();
    this.threads.length = 0;
  }

  private at(index: number): Thread {
    let thread = this.threads[index];
    if (thread === undefined) {
      thread = new Thread(this.libc, this.shared, index, this.pinning(index));
      this.threads[index] = thread;
    }
    return thread;
  }
}
