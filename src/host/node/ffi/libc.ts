/**
 * The few functions of the C library that Typevisor calls itself, behind one interface: KVM, tap devices and threads'
 * affinity need them, and Node has none. Everything goes through here, so that another way of calling C (Node's own, once
 * it has settled) has one file to replace. koffi is loaded when somebody first asks, never before: a guest on the software
 * engine does not pay for it, and runs where it can't be loaded.
 *
 * File descriptors are numbers, addresses bigints, memory is Uint8Array. Plain functions report failure by throwing a
 * `SystemCallError`; those named `try…` return what C returns, -1 on failure, for paths where an error is an everyday answer.
 */
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';

/** A call of the C library failed. `code` is errno's name, as EBUSY. */
export class SystemCallError extends Error {
  override readonly name = 'SystemCallError';
  readonly code: string;
  readonly errno: number;

  constructor(call: string, errno: number) {
    const code = errorName(errno);
    super(`${call} failed: ${code}`);
    this.code = code;
    this.errno = errno;
  }
}

/** The C library can't be called here: the message is one sentence that says why. */
export class NoFfiError extends Error {
  override readonly name = 'NoFfiError';
}

export const { EINTR, EAGAIN, EEXIST, ENOENT } = constants.errno;

export const O_RDWR = 0o2;
export const O_CLOEXEC = 0o2000000;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
export const MAP_NORESERVE = 0x4000;
/** As madvise(2) numbers them. */
export const MADV_DONTNEED = 4;
export const MADV_REMOVE = 9;
export const MFD_CLOEXEC = 1;
export const EFD_CLOEXEC = 0o2000000;
export const EFD_NONBLOCK = 0o4000;
export const POLLIN = 1;
export const RWF_NOWAIT = 8;
export const SYNC_FILE_RANGE_WRITE = 2;
export const FALLOC_FL_KEEP_SIZE = 1;
export const FALLOC_FL_PUNCH_HOLE = 2;
export const FALLOC_FL_ZERO_RANGE = 16;

export interface Libc {
  /** @throws SystemCallError, as all of these */
  open(path: string, flags: number): number;
  close(fd: number): void;
  /** @returns bytes read, -1 on failure */
  tryRead(fd: number, bytes: Uint8Array): number;
  tryWrite(fd: number, bytes: Uint8Array): number;
  /** The last argument is a number (or not looked at). */
  ioctl(fd: number, request: number, argument: number, what: string): number;
  /** The last argument is a structure, which the call may change. */
  ioctlBytes(fd: number, request: number, bytes: Uint8Array, what: string): number;
  tryIoctl(fd: number, request: number, argument: number): number;
  tryIoctlBytes(fd: number, request: number, bytes: Uint8Array): number;
  socket(family: number, type: number, protocol: number): number;
  /** @param address a structure sockaddr */
  connect(fd: number, address: Uint8Array): void;
  memfdCreate(name: string, flags: number): number;
  ftruncate(fd: number, length: number): void;
  mmap(length: number, protection: number, flags: number, fd: number, offset: number): bigint;
  munmap(address: bigint, length: number): void;
  /**
   * Gives back what is mapped at an address and leaves private memory of no account there instead: views that somebody
   * still holds must not become a fault of ours.
   */
  unback(address: bigint, length: number): void;
  /** madvise(2), of whole pages. @returns whether it took the advice */
  tryAdvise(address: bigint, length: number, advice: number): boolean;
  /** A live view of memory, at most 1 GiB: longer ones are slow or kill the process, depending on Node's version. */
  view(address: bigint, length: number): ArrayBuffer;
  /** Where an array's bytes lie. They stay there while the array lives, unless its buffer is transferred. */
  addressOf(bytes: Uint8Array): bigint;
  eventfd(initial: number, flags: number): number;
  /** @param vector `count` structures iovec @returns bytes read, -1 on failure */
  tryReadv(fd: number, vector: Uint8Array, count: number, offset: number, flags: number): number;
  tryWritev(fd: number, vector: Uint8Array, count: number, offset: number, flags: number): number;
  /** @returns 0, or -1 on failure */
  trySyncFileRange(fd: number, offset: number, length: number, flags: number): number;
  /** @returns 0, or -1 on failure */
  tryFallocate(fd: number, mode: number, offset: number, length: number): number;
  /** Takes a read lock of one byte, which belongs to the open file description and ends with it. @returns 0, or -1 */
  tryShareByte(fd: number, offset: number): number;
  /** Whether another open file description holds a lock on a byte. */
  isByteTaken(fd: number, offset: number): boolean;
  /** Waits until one of the descriptors can be read. @param timeout in ns @returns how many; -1 on failure */
  tryPoll(set: PollSet, timeout: number): number;
  /** Calls back in this thread's event loop whenever `fd` can be read. */
  watch(fd: number, readable: () => void): Watch;
  /** Gives freed memory back to the system, of all threads. Does nothing where the C library has no way to. */
  trimHeap(): void;
  gettid(): number;
  /** @returns -1 where the thread has gone */
  tryTgkill(pid: number, tid: number, signal: number): number;
  /**
   * Makes a signal interrupt blocking calls and do nothing else: its handler is a harmless function of the C library.
   * Holds for the whole process.
   */
  ignoreButInterrupt(signal: number): void;
  /** Sends the calling thread a signal after some time, in ns, unless it is disarmed before. */
  alarm(signal: number): Alarm;
  /** Name of the calling thread, as top -H shows it; cut at 15 bytes. */
  setThreadName(name: string): void;
  /** Binds a thread (0: the calling one) to processors of the host. */
  setAffinity(tid: number, cpus: readonly number[]): void;
  /** The caller's root directory; its working directory stays where it is. */
  chroot(path: string): void;
  /** The groups of a user for every thread of the process, `gid` among them. */
  initgroups(user: string, gid: number): void;
  /** What the machine's user database says of a login name; undefined where it has none. */
  findUser(name: string): User | undefined;
  /** Of this thread's last failed call. */
  errno(): number;
}

export interface Alarm {
  /** 0 disarms. */
  arm(ns: number): void;
  close(): void;
}

export interface User {
  readonly name: string;
  readonly uid: number;
  /** Of the user's own group. */
  readonly gid: number;
}

export interface Watch {
  close(): void;
}

/** Descriptors to wait for, as poll(2) wants them. */
export class PollSet {
  readonly bytes: Uint8Array;
  /** struct timespec. */
  readonly timeout = new Uint8Array(16);
  readonly count: number;
  private readonly view: DataView;

  constructor(fds: readonly number[]) {
    this.count = fds.length;
    this.bytes = new Uint8Array(fds.length * 8);
    this.view = new DataView(this.bytes.buffer);
    fds.forEach((fd, i) => {
      this.view.setInt32(i * 8, fd, true);
      this.view.setInt16(i * 8 + 4, POLLIN, true);
    });
  }

  isReadable(index: number): boolean {
    return this.view.getInt16(index * 8 + 6, true) !== 0;
  }
}

type Koffi = typeof import('koffi');
// koffi's functions take what their prototype says; these are the shapes that we declare below.
type Call = (...args: (number | bigint | string | Uint8Array | null)[]) => number;

const PR_SET_NAME = 15;
/** struct sigaction of the C library on x86-64: handler, mask (128 bytes), flags. */
const SIGACTION_SIZE = 152;
const SIGACTION_FLAGS = 136;
const SA_ONSTACK = 0x0800_0000;
/** struct sigevent: value, signal, notify, thread. */
const SIGEVENT_SIZE = 64;
const SIGEV_THREAD_ID = 4;
const CLOCK_MONOTONIC = 1;
/** struct itimerspec: interval, value. */
const ITIMERSPEC_SIZE = 32;
/** struct passwd of the C library on x86-64: pw_uid and pw_gid, behind two pointers. */
const PASSWD_IDS = 16;
/** Locks of open file descriptions (fcntl_locking(2)). */
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;
/** cpu_set_t: 1024 processors. */
const CPU_SET_SIZE = 128;

let loaded: Libc | undefined;

/** The C library. @throws NoFfiError where koffi can't be loaded, or this is not Linux on x86-64. */
export function loadLibc(): Libc {
  loaded ??= bind(loadKoffi());
  return loaded;
}

function loadKoffi(): Koffi {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new NoFfiError(`This needs Linux on x86-64, and this is ${process.platform} on ${process.arch}.`);
  }
  try {
    return createRequire(import.meta.url)('koffi') as Koffi;
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new NoFfiError(`The package koffi, which calls the C library, can't be loaded here (${why}).`);
  }
}

function bind(koffi: Koffi): Libc {
  const lib = koffi.load(null);
  const declare = (prototype: string) => lib.func(prototype) as unknown as Call;
  /** Not every C library has it. */
  const declareIfThere = (prototype: string): Call | undefined => {
    try {
      return declare(prototype);
    } catch {
      return undefined;
    }
  };
  const open = declare('int open(const char*, int)');
  const close = declare('int close(int)');
  const read = declare('long read(int, void*, size_t)');
  const write = declare('long write(int, void*, size_t)');
  const ioctl = declare('int ioctl(int, ulong, long)');
  const ioctlPointer = declare('int ioctl(int, ulong, void*)');
  const socket = declare('int socket(int, int, int)');
  const connect = declare('int connect(int, void*, uint)');
  const memfd = declare('int memfd_create(const char*, uint)');
  const truncate = declare('int ftruncate(int, long)');
  const mmap = declare('intptr_t mmap(uintptr_t, size_t, int, int, int, long)');
  const munmap = declare('int munmap(uintptr_t, size_t)');
  const madvise = declare('int madvise(uintptr_t, size_t, int)');
  const eventfd = declare('int eventfd(uint, int)');
  const preadv2 = declare('long preadv2(int, void*, int, long, int)');
  const pwritev2 = declare('long pwritev2(int, void*, int, long, int)');
  const syncFileRange = declare('int sync_file_range(int, long, long, uint)');
  const fallocate = declare('int fallocate(int, int, long, long)');
  const fcntl = declare('int fcntl(int, int, void*)');
  const ppoll = declare('int ppoll(void*, ulong, void*, void*)');
  const trim = declareIfThere('int malloc_trim(size_t)');
  const gettid = declare('int gettid()');
  const tgkill = declare('int tgkill(int, int, int)');
  const sigaction = declare('int sigaction(int, void*, void*)');
  const prctl = declare('int prctl(int, const char*, ulong, ulong, ulong)');
  const timerCreate = declare('int timer_create(int, void*, void*)');
  const timerSet = declare('int timer_settime(intptr_t, int, void*, void*)');
  const timerDelete = declare('int timer_delete(intptr_t)');
  const chroot = declare('int chroot(const char*)');
  const initgroups = declare('int initgroups(const char*, uint)');
  const getpwnam = lib.func('void *getpwnam(const char*)') as unknown as (name: string) => bigint | null;
  const affinity = declare('int sched_setaffinity(int, size_t, void*)');
  const checked = (call: string, result: number): number => {
    if (result === -1) throw new SystemCallError(call, koffi.errno());
    return result;
  };
  /** A signal to the thread may come any time, and means nothing to whoever calls. */
  const again = (call: string, attempt: () => number): number => {
    let result: number;
    do result = attempt();
    while (result === -1 && koffi.errno() === EINTR);
    return checked(call, result);
  };
  return {
    open: (path, flags) => checked(`open of ${path}`, open(path, flags)),
    close: (fd) => void checked('close', close(fd)),
    tryRead: (fd, bytes) => read(fd, bytes, bytes.length),
    tryWrite: (fd, bytes) => write(fd, bytes, bytes.length),
    ioctl: (fd, request, argument, what) => again(what, () => ioctl(fd, request, argument)),
    ioctlBytes: (fd, request, bytes, what) => again(what, () => ioctlPointer(fd, request, bytes)),
    tryIoctl: ioctl as Libc['tryIoctl'],
    tryIoctlBytes: ioctlPointer as Libc['tryIoctlBytes'],
    socket: (family, type, protocol) => checked('socket', socket(family, type, protocol)),
    connect: (fd, address) => void checked('connect', connect(fd, address, address.length)),
    memfdCreate: (name, flags) => checked('memfd_create', memfd(name, flags)),
    ftruncate: (fd, length) => void checked('ftruncate', truncate(fd, length)),
    mmap: (length, protection, flags, fd, offset) => {
      const address = BigInt(mmap(0, length, protection, flags, fd, offset));
      if (address === -1n) throw new SystemCallError(`mmap of ${length} bytes`, koffi.errno());
      return address;
    },
    munmap: (address, length) => void checked('munmap', munmap(address, length)),
    unback: (address, length) => {
      const flags = MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE;
      if (BigInt(mmap(address, length, PROT_READ | PROT_WRITE, flags, -1, 0)) === -1n)
        throw new SystemCallError('mmap over a mapping', koffi.errno());
    },
    tryAdvise: (address, length, advice) => madvise(address, length, advice) === 0,
    view: (address, length) => koffi.view(address, length),
    addressOf: (bytes) => koffi.address(bytes),
    tryReadv: (fd, vector, count, offset, flags) => preadv2(fd, vector, count, offset, flags),
    tryWritev: (fd, vector, count, offset, flags) => pwritev2(fd, vector, count, offset, flags),
    trySyncFileRange: (fd, offset, length, flags) => syncFileRange(fd, offset, length, flags),
    tryFallocate: (fd, mode, offset, length) => fallocate(fd, mode, offset, length),
    tryShareByte: (fd, offset) => fcntl(fd, F_OFD_SETLK, lockOfByte(F_RDLCK, offset)),
    isByteTaken: (fd, offset) => {
      const lock = lockOfByte(F_WRLCK, offset);
      return fcntl(fd, F_OFD_GETLK, lock) === 0 && lock[0] !== F_UNLCK;
    },
    eventfd: (initial, flags) => checked('eventfd', eventfd(initial, flags)),
    tryPoll: (set, timeout) => {
      const time = new DataView(set.timeout.buffer);
      const seconds = Math.floor(timeout / 1e9);
      time.setUint32(0, seconds, true);
      time.setUint32(8, Math.floor(timeout - seconds * 1e9), true);
      return ppoll(set.bytes, set.count, set.timeout, null);
    },
    watch: (fd, readable) => koffi.node.poll(fd, { readable: true }, readable),
    trimHeap: () => void trim?.(0),
    gettid: () => gettid(),
    tryTgkill: (pid, tid, signal) => tgkill(pid, tid, signal),
    ignoreButInterrupt: (signal) => {
      const action = new Uint8Array(SIGACTION_SIZE);
      const view = new DataView(action.buffer);
      view.setBigUint64(0, BigInt(lib.symbol('abs')), true);
      view.setInt32(SIGACTION_FLAGS, SA_ONSTACK, true);
      checked('sigaction', sigaction(signal, action, null));
    },
    alarm: (signal) => {
      const event = new DataView(new ArrayBuffer(SIGEVENT_SIZE));
      event.setInt32(8, signal, true);
      event.setInt32(12, SIGEV_THREAD_ID, true);
      event.setInt32(16, gettid(), true);
      const id = new DataView(new ArrayBuffer(8));
      checked('timer_create', timerCreate(CLOCK_MONOTONIC, bytesOf(event), bytesOf(id)));
      const timer = id.getBigInt64(0, true);
      const spec = new DataView(new ArrayBuffer(ITIMERSPEC_SIZE));
      return {
        arm: (ns) => {
          spec.setUint32(16, Math.floor(ns / 1e9), true);
          spec.setUint32(24, ns % 1e9, true);
          checked('timer_settime', timerSet(timer, 0, bytesOf(spec), null));
        },
        close: () => void checked('timer_delete', timerDelete(timer)),
      };
    },
    setThreadName: (name) => void checked('prctl', prctl(PR_SET_NAME, name, 0, 0, 0)),
    setAffinity: (tid, cpus) => {
      const set = new Uint8Array(CPU_SET_SIZE);
      for (const cpu of cpus) set[cpu >> 3] |= 1 << (cpu & 7);
      checked('sched_setaffinity', affinity(tid, set.length, set));
    },
    chroot: (path) => void checked(`chroot to ${path}`, chroot(path)),
    initgroups: (user, gid) => void checked('initgroups', initgroups(user, gid)),
    findUser: (name) => {
      const record = getpwnam(name);
      if (record === null) return undefined;
      const [uid, gid] = koffi.decode(record, PASSWD_IDS, 'uint32_t', 2) as number[];
      return { name, uid, gid };
    },
    errno: () => koffi.errno(),
  };
}

/** struct flock on x86-64: type, whence (0: from the start), start, length, process. */
function lockOfByte(type: number, offset: number): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setInt16(0, type, true);
  view.setUint32(8, offset, true);
  view.setUint32(16, 1, true);
  return bytes;
}

function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer);
}

function errorName(errno: number): string {
  try {
    return getSystemErrorName(-errno);
  } catch {
    return `errno ${errno}`;
  }
}
