/** What the KVM engine needs of the system it runs on. The host layer implements it; nothing in here is Node's. */

/** An ioctl that failed; the implementation's errors have this shape. */
export interface CallError extends Error {
  /** As EINVAL. */
  readonly code: string;
}

export interface KvmCalls {
  /** The argument is a number. `what` is the request's name, for messages. @throws CallError */
  ioctl(fd: number, request: number, argument: number, what: string): number;
  /** The argument is a structure, which the call may change. @throws CallError */
  ioctlBytes(fd: number, request: number, bytes: Uint8Array, what: string): number;
  tryIoctlBytes(fd: number, request: number, bytes: Uint8Array): number;
  close(fd: number): void;
  addressOf(bytes: Uint8Array): bigint;
  /** A live view of memory of this process, at most 1 GiB. */
  view(address: bigint, length: number): ArrayBuffer;
  eventfd(): number;
  /** Adds one to an eventfd. */
  signal(fd: number): void;
}

/** Guest RAM in this process: one piece of memory that every thread has at the same address. */
export interface SharedRam {
  readonly address: bigint;
  readonly length: number;
  /** Gives the memory back. Who still has a view of it reads and writes nothing that matters. */
  release(): void;
}

/** The thread that runs one vCPU: it does what its mailbox says (mailbox.ts). */
export interface VcpuThread {
  readonly mailbox: Int32Array;
  /** A vCPU that is run on the machine's own thread, for a short while: does what the thread would do. */
  runHere?(): void;
  /** Makes KVM_RUN come back with EINTR, if the thread is in there. */
  interrupt(): void;
  /** The vCPU is out of the guest for good. The thread may serve another. */
  release(): void;
}

export interface KvmHost {
  readonly calls: KvmCalls;
  /** /dev/kvm, open. */
  readonly kvm: number;
  allocateRam(length: number): SharedRam;
  /** Maps the page(s) that a vCPU shares with the kernel (struct kvm_run). */
  mapRun(fd: number, length: number): SharedRam;
  /** A thread for the vCPU of this index. */
  thread(index: number, fd: number, run: SharedRam): VcpuThread;
  /**
   * Waits until a thread rings or a doorbell does, at most `ns`, and calls what the doorbells that have rung are for.
   * @returns how many of those
   */
  waitForBell(ns: number): number;
  /** An eventfd for KVM to ring, and what is then called. @returns what ends it */
  addDoorbell(rung: () => void): { readonly fd: number; remove(): void };
  /** Ports whose bytes the vCPUs' threads keep by themselves: 0 no, 1 yes, 2 and something has been written; and the bytes. */
  readonly latched: Uint8Array;
  readonly latches: Uint8Array;
  /** Rings: whoever waits looks at the vCPUs. */
  ring(): void;
  /** Calls back in the event loop whenever a thread or a doorbell rings; undefined: no longer. */
  onBell(ring: (() => void) | undefined): void;
  /** Monotonic time in ns. */
  now(): number;
}
