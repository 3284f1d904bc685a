import { describe, expect, test } from 'vitest';
import {
  EAGAIN,
  EFD_CLOEXEC,
  EFD_NONBLOCK,
  loadLibc,
  MADV_DONTNEED,
  MADV_REMOVE,
  MAP_SHARED,
  MFD_CLOEXEC,
  NoFfiError,
  O_CLOEXEC,
  O_RDWR,
  PollSet,
  PROT_READ,
  PROT_WRITE,
  SystemCallError,
} from './libc.js';

const callable = process.platform === 'linux' && process.arch === 'x64';

describe.skipIf(!callable)('the C library', () => {
  test('says which call failed, and how', () => {
    const libc = loadLibc();
    expect(() => libc.open('/nowhere/at/all', O_RDWR | O_CLOEXEC)).toThrow('open of /nowhere/at/all failed: ENOENT');
    expect(() => libc.close(-1)).toThrow(SystemCallError);
    expect(() => libc.mmap(0, 0, 0, -1, 0)).toThrow(SystemCallError);
  });

  test('maps a memory file twice: what is written through one view is seen through the other', () => {
    const libc = loadLibc();
    const fd = libc.memfdCreate('test', MFD_CLOEXEC);
    libc.ftruncate(fd, 8192);
    const map = () => libc.mmap(8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    const [a, b] = [map(), map()];
    new Uint8Array(libc.view(a, 8192))[5000] = 42;
    expect(new Uint8Array(libc.view(b, 8192))[5000]).toBe(42);
    expect(new Uint8Array(libc.view(b + 5000n, 1))[0]).toBe(42);
    libc.close(fd);
  });

  test('gives pages back: those of a memory file by hole, private ones at once', () => {
    const libc = loadLibc();
    const fd = libc.memfdCreate('test', MFD_CLOEXEC);
    libc.ftruncate(fd, 8192);
    const address = libc.mmap(8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    const file = new Uint8Array(libc.view(address, 8192)).fill(1);
    expect(libc.tryAdvise(address + 4096n, 4096, MADV_REMOVE)).toBe(true);
    expect([file[0], file[4096]]).toEqual([1, 0]);
    libc.close(fd);
    const bytes = new Uint8Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer).fill(1);
    expect(libc.tryAdvise(libc.addressOf(bytes), 4096, MADV_REMOVE)).toBe(false);
    expect(libc.tryAdvise(libc.addressOf(bytes), 4096, MADV_DONTNEED)).toBe(true);
    expect([bytes[0], bytes[4096]]).toEqual([0, 1]);
  });

  test('counts events and waits for them in nanoseconds', () => {
    const libc = loadLibc();
    const fd = libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const other = libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const set = new PollSet([other, fd]);
    const word = new BigUint64Array(1);
    const bytes = new Uint8Array(word.buffer);
    expect(libc.tryPoll(set, 1000)).toBe(0);
    expect(libc.tryRead(fd, bytes)).toBe(-1);
    expect(libc.errno()).toBe(EAGAIN);
    word[0] = 3n;
    expect(libc.tryWrite(fd, bytes)).toBe(8);
    expect(libc.tryPoll(set, 5e9)).toBe(1);
    expect([set.isReadable(0), set.isReadable(1)]).toEqual([false, true]);
    word[0] = 0n;
    expect(libc.tryRead(fd, bytes)).toBe(8);
    expect(word[0]).toBe(3n);
    libc.close(fd);
    libc.close(other);
  });

  test('calls back in the event loop when a descriptor can be read', async () => {
    const libc = loadLibc();
    const fd = libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    await new Promise<void>((resolve) => {
      const watch = libc.watch(fd, () => {
        watch.close();
        resolve();
      });
      libc.tryWrite(fd, new Uint8Array(new BigUint64Array([1n]).buffer));
    });
    libc.close(fd);
  });

  test('binds a thread to a processor and refuses one that is not there', () => {
    const libc = loadLibc();
    expect(() => libc.setAffinity(0, [1023])).toThrow('sched_setaffinity failed: EINVAL');
  });
});

test.skipIf(callable)('the C library can be called on Linux on x86-64 only, and says so', () => {
  expect(() => loadLibc()).toThrow(NoFfiError);
});
