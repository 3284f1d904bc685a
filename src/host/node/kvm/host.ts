/** What the KVM engine needs of Linux and Node: memory that threads share, threads, and a bell that they ring. */
import { Worker } from 'node:worker_threads';
import * as A from '../../../engine/kvm/abi.js';
import type { KvmCalls, KvmHost, SharedRam, ThreadOptions, VcpuThread } from '../../../engine/kvm/calls.js';
import * as M from '../../../engine/kvm/mailbox.js';
import {
  EFD_CLOEXEC,
  EFD_NONBLOCK,
  type Libc,
  loadLibc,
  MAP_NORESERVE,
  MAP_SHARED,
  MFD_CLOEXEC,
  O_CLOEXEC,
  O_RDWR,
  PollSet,
  PROT_READ,
  PROT_WRITE,
  type Watch,
} from '../ffi/libc.js';
import { PACKAGE_ROOT } from '../package.js';
import type { VcpuWorkerData } from './vcpu-worker.js';

export const KVM_DEVICE = '/dev/kvm';
/** SIGRTMIN as the C library counts, and a few that others use: Node and its libraries know nothing of this one. */
const KICK_SIGNAL = 34 + 6;
/** A thread ends within microseconds; one that is still starting takes tens of milliseconds. */
const END_TIMEOUT = 10e9;
/** Longest stay in the guest on the calling thread. */
const INLINE_LIMIT = 100e6;
const PAGES = PROT_READ | PROT_WRITE;

export class NodeKvmHost implements KvmHost {
  readonly calls: KvmCalls;
  readonly kvm: number;
  private readonly libc: Libc;
  private readonly inline: boolean;
  private readonly bell: number;
  private readonly poll: PollSet;
  private readonly count = new Uint8Array(8);
  private readonly clock = performance;
  private watch: Watch | undefined;
  private open = true;

  /** @throws NoFfiError, SystemCallError */
  constructor(inline = false) {
    this.inline = inline;
    const libc = loadLibc();
    this.libc = libc;
    this.kvm = libc.open(KVM_DEVICE, O_RDWR | O_CLOEXEC);
    this.bell = libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    this.poll = new PollSet([this.bell]);
    this.calls = {
      ioctl: libc.ioctl,
      ioctlBytes: libc.ioctlBytes,
      tryIoctlBytes: libc.tryIoctlBytes,
      close: libc.close,
      addressOf: libc.addressOf,
      view: libc.view,
      eventfd: () => libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    libc.ignoreButInterrupt(KICK_SIGNAL);
  }

  allocateRam(length: number): SharedRam {
    const { libc } = this;
    const fd = libc.memfdCreate('guest RAM', MFD_CLOEXEC);
    try {
      libc.ftruncate(fd, length);
      const address = libc.mmap(length, PAGES, MAP_SHARED | MAP_NORESERVE, fd, 0);
      return { address, length, release: () => libc.unback(address, length) };
    } finally {
      // The mapping keeps the memory.
      libc.close(fd);
    }
  }

  mapRun(fd: number, length: number): SharedRam {
    const { libc } = this;
    const address = libc.mmap(length, PAGES, MAP_SHARED, fd, 0);
    return { address, length, release: () => libc.unback(address, length) };
  }

  startThread(options: ThreadOptions): VcpuThread {
    return this.inline ? this.borrowThread(options) : this.startWorker(options);
  }

  private startWorker({ index, fd, mailbox }: ThreadOptions): VcpuThread {
    const { libc } = this;
    const words = new Int32Array(mailbox);
    const data: VcpuWorkerData = { index, fd, bell: this.bell, mailbox };
    const worker = new Worker(new URL('dist/host/node/kvm/vcpu-worker.js', PACKAGE_ROOT), {
      name: `vcpu ${index}`,
      workerData: data,
    });
    worker.unref();
    const interrupt = () => {
      const tid = Atomics.load(words, M.TID);
      if (tid !== 0) libc.tgkill(process.pid, tid, KICK_SIGNAL);
    };
    return {
      interrupt,
      close: () => {
        interrupt();
        const end = this.now() + END_TIMEOUT;
        while (Atomics.load(words, M.STATE) !== M.STATE_GONE && this.now() < end)
          Atomics.wait(words, M.STATE, M.STATE_QUIT, END_TIMEOUT / 1e6);
      },
    };
  }

  /** The calling thread runs the vCPU, each time for a limited while: starting a thread takes longer than a self-test. */
  private borrowThread({ fd, mailbox, run }: ThreadOptions): VcpuThread {
    const { libc } = this;
    const words = new Int32Array(mailbox);
    const alarm = libc.alarm(KICK_SIGNAL);
    void run;
    return {
      interrupt: () => {},
      runHere: () => {
        alarm.arm(INLINE_LIMIT);
        const result = libc.tryIoctl(fd, A.KVM_RUN, 0);
        words[M.RESULT] = result < 0 ? libc.errno() : 0;
        words[M.STATE] = M.STATE_OUT;
        alarm.arm(0);
      },
      close: () => alarm.close(),
    };
  }

  waitForBell(ns: number): boolean {
    if (this.libc.tryPoll(this.poll, ns) <= 0) return false;
    this.libc.tryRead(this.bell, this.count);
    return true;
  }

  onBell(ring: (() => void) | undefined): void {
    this.watch?.close();
    this.watch = ring && this.libc.watch(this.bell, ring);
  }

  now(): number {
    return this.clock.now() * 1e6;
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    this.onBell(undefined);
    this.libc.close(this.bell);
    this.libc.close(this.kvm);
  }
}
