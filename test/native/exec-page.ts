// Runs hand-assembled machine code on the processor under us, so that tests can ask it what an instruction really does.
//
// Memory comes from mmap with MAP_32BIT: addresses fit into a JavaScript number and into 32-bit operands. The code is
// called with the System V convention: RDI = first argument, RSI = second, RDX = third; the result is in RAX. It must
// keep RBX, RBP, R12 to R15, the direction flag, the control bits of MXCSR and the x87 control word, and leave the x87
// stack empty. A fault in it kills the process: there is no signal handler.
//
// Only where `nativeX86` is true; elsewhere tests skip by name: `describe.skipIf(!nativeX86)('...')`.

import koffi from 'koffi';

/** True where machine code of x86-64 can be mapped and called: Linux on x86-64. */
export const nativeX86: boolean = process.platform === 'linux' && process.arch === 'x64';

const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
const MAP_PRIVATE = 0x02;
const MAP_ANONYMOUS = 0x20;
const MAP_32BIT = 0x40;

type Mmap = (addr: number, length: number, prot: number, flags: number, fd: number, offset: number) => bigint | number;
type Munmap = (addr: bigint, length: number) => number;
type Entry = (a: number, b: number, c: number) => number | bigint;

interface Libc {
  mmap: Mmap;
  munmap: Munmap;
  entry: ReturnType<typeof koffi.proto>;
}

let libc: Libc | undefined;

function load(): Libc {
  if (libc === undefined) {
    if (!nativeX86) throw new Error('machine code of x86-64 runs on Linux on x86-64 only');
    const lib = koffi.load(null);
    libc = {
      mmap: lib.func('uintptr_t mmap(uintptr_t, size_t, int, int, int, long)') as unknown as Mmap,
      munmap: lib.func('int munmap(uintptr_t, size_t)') as unknown as Munmap,
      entry: koffi.proto('uint64_t nativeCode(uint64_t, uint64_t, uint64_t)'),
    };
  }
  return libc;
}

function map(size: number, prot: number): number {
  const address = Number(load().mmap(0, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
  if (!Number.isSafeInteger(address) || address <= 0 || address > 0x7fffffff) throw new Error('mmap refused');
  return address;
}

/** A piece of memory that machine code can reach at `address`. `bytes` is a live view of it. */
export interface NativeBuffer {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** Maps `size` bytes (below 2 GiB in the address space, page-aligned, zeroed). It stays mapped until the process ends. */
export function nativeBuffer(size: number): NativeBuffer {
  const address = map(size, PROT_READ | PROT_WRITE);
  const buffer = koffi.view(BigInt(address), size);
  return { address, bytes: new Uint8Array(buffer), view: new DataView(buffer) };
}

/** Machine code in an executable page of its own. */
export interface NativeCode {
  readonly address: number;
  /** Calls it with RDI = a, RSI = b, RDX = c; returns RAX modulo 2^53 as koffi gives it. */
  call(a?: number, b?: number, c?: number): number | bigint;
}

/** Maps a read/write/execute area of `size` bytes (default: enough for the code) and copies `code` to its start. */
export function nativeCode(code: Uint8Array, size = 0): NativeCode {
  const length = Math.max(4096, (Math.max(size, code.length) + 4095) & ~4095);
  const address = map(length, PROT_READ | PROT_WRITE | PROT_EXEC);
  new Uint8Array(koffi.view(BigInt(address), length)).set(code);
  const pointer = BigInt(address);
  const entry = koffi.decode(pointer, load().entry) as unknown as Entry | undefined;
  const fn: Entry =
    typeof entry === 'function' ? entry : (a, b, c) => koffi.call(pointer, load().entry, a, b, c) as number | bigint;
  return { address, call: (a = 0, b = 0, c = 0) => fn(a, b, c) };
}

let shared: { address: number; bytes: Uint8Array; fn: Entry } | undefined;
const SHARED_SIZE = 1 << 20;

/**
 * Copies `code` (at most 1 MiB) over the shared executable area and calls it with RDI = `bufferAddress`, RSI = `b`,
 * RDX = `c`. Returns RAX.
 */
export function callNative(code: Uint8Array, bufferAddress: number, b = 0, c = 0): number | bigint {
  if (shared === undefined) {
    const area = nativeCode(new Uint8Array([0xc3]), SHARED_SIZE);
    shared = {
      address: area.address,
      bytes: new Uint8Array(koffi.view(BigInt(area.address), SHARED_SIZE)),
      fn: (x, y, z) => area.call(x, y, z),
    };
  }
  if (code.length > SHARED_SIZE) throw new RangeError('the code is longer than 1 MiB');
  shared.bytes.set(code);
  return shared.fn(bufferAddress, b, c);
}
