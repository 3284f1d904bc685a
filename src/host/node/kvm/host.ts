/** What the KVM engine needs of Linux and Node: memory that threads share, threads, and a bell that they ring. */
import * as A from '../../../engine/kvm/abi.js';
import type { KvmCalls, KvmHost, SharedRam, VcpuThread } from '../../../engine/kvm/calls.js';
import * as M from '../../../engine/kvm/mailbox.js';
import { PORTS } from '../../../engine/kvm/shortcuts.js';
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
import { KICK_SIGNAL, type Pinning, ThreadPool } from './threads.js';

export const KVM_DEVICE = '/dev/kvm';
/** Longest stay in the guest on the calling thread, in ns. */
const INLINE_LIMIT = 100e6;
const PAGES = PROT_READ | PROT_WRITE;

export interface NodeKvmOptions {
  /** The calling thread runs the vCPU, each time for a limited while: starting a thread takes longer than a self-test. */
  readonly inline?: boolean;
  readonly pinning?: Pinning;
}

interface Doorbell {
  readonly fd: number;
  readonly rung: () => void;
  /** Not yet removed. */
  live: boolean;
  watch: Watch | undefined;
}

export class NodeKvmHost implements KvmHost {
  readonly calls: KvmCalls;
  readonly kvm: number;
  private readonly libc: Libc;
  private readonly bell: number;
  private readonly pool: ThreadPool | undefined;
  private poll: PollSet;
  /** Their descriptors are in `poll`, behind the bell. */
  private doorbells: Doorbell[] = [];
  private ringer: (() => void) | undefined;
  readonly latched: Uint8Array;
  readonly latches: Uint8Array;
  private readonly count = new Uint8Array(8);
  private readonly one = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);
  private readonly clock = performance;
  private watch: Watch | undefined;
  private open = true;

  /** @throws NoFfiError, SystemCallError */
  constructor({ inline = false, pinning = () => [] }: NodeKvmOptions = {}) {
    const libc = loadLibc();
    this.libc = libc;
    this.kvm = libc.open(KVM_DEVICE, O_RDWR | O_CLOEXEC);
    this.bell = libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    this.poll = new PollSet([this.bell]);
    const { ioctl, ioctlBytes, tryIoctlBytes, close, addressOf, view } = libc;
    const eventfd = () => libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const signal = (fd: number) => void libc.tryWrite(fd, this.one);
    this.calls = { ioctl, ioctlBytes, tryIoctlBytes, close, addressOf, view, eventfd, signal };
    const shared = { bell: this.bell, latches: new SharedArrayBuffer(2 * PORTS) };
    this.latched = new Uint8Array(shared.latches, 0, PORTS);
    this.latches = new Uint8Array(shared.latches, PORTS, PORTS);
    if (!inline) this.pool = new ThreadPool(libc, shared, pinning);
    else libc.ignoreButInterrupt(KICK_SIGNAL);
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

  /** Starts the threads of this many vCPUs ahead of time. */
  startThreads(count: number): void {
    this.pool?.start(count);
  }

  thread(index: number, fd: number, run: SharedRam): VcpuThread {
    return this.pool === undefined ? this.borrowThread(fd) : this.pool.thread(index, fd, run);
  }

  private borrowThread(fd: number): VcpuThread {
    const { libc } = this;
    const mailbox = new Int32Array(M.WORDS);
    const alarm = libc.alarm(KICK_SIGNAL);
    return {
      mailbox,
      interrupt: () => {},
      runHere: () => {
        alarm.arm(INLINE_LIMIT);
        const result = libc.tryIoctl(fd, A.KVM_RUN, 0);
        mailbox[M.RESULT] = result < 0 ? libc.errno() : 0;
        mailbox[M.STATE] = M.STATE_OUT;
        alarm.arm(0);
      },
      release: () => alarm.close(),
    };
  }

  waitForBell(ns: number): number {
    const { libc, poll } = this;
    if (libc.tryPoll(poll, ns) <= 0) return 0;
    if (poll.isReadable(0)) libc.tryRead(this.bell, this.count);
    let rung = 0;
    // A bell may end others, itself even.
    this.doorbells.forEach((doorbell, i) => {
      if (!poll.isReadable(i + 1) || !doorbell.live) return;
      libc.tryRead(doorbell.fd, this.count);
      rung++;
      doorbell.rung();
    });
    return rung;
  }

  addDoorbell(rung: () => void): { readonly fd: number; remove(): void } {
    const { libc } = this;
    const fd = libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const doorbell: Doorbell = { fd, rung, live: true, watch: undefined };
    this.setDoorbells([...this.doorbells, doorbell]);
    return {
      fd,
      remove: () => {
        doorbell.live = false;
        doorbell.watch?.close();
        this.setDoorbells(this.doorbells.filter((other) => other !== doorbell));
        libc.close(fd);
      },
    };
  }

  private setDoorbells(doorbells: Doorbell[]): void {
    this.doorbells = doorbells;
    this.poll = new PollSet([this.bell, ...doorbells.map(({ fd }) => fd)]);
    this.watchAll();
  }

  private watchAll(): void {
    const { libc, ringer } = this;
    if (ringer === undefined) return;
    this.watch ??= libc.watch(this.bell, ringer);
    for (const doorbell of this.doorbells) doorbell.watch ??= libc.watch(doorbell.fd, ringer);
  }

  ring(): void {
    this.libc.tryWrite(this.bell, this.one);
  }

  onBell(ring: (() => void) | undefined): void {
    this.watch?.close();
    this.watch = undefined;
    for (const doorbell of this.doorbells) {
      doorbell.watch?.close();
      doorbell.watch = undefined;
    }
    this.ringer = ring;
    this.watchAll();
  }

  now(): number {
    return this.clock.now() * 1e6;
  }

  /** After the last engine. */
  close(): void {
    if (!this.open) return;
    this.open = false;
    this.onBell(undefined);
    this.pool?.close();
    this.libc.close(this.bell);
    this.libc.close(this.kvm);
  }
}
