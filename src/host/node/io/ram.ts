/**
 * Guest RAM for another thread. An engine's RAM is shared memory as JavaScript knows it (the software engine), or a
 * mapping of the process (KVM), which another thread finds by its address. Either way threads read and write it in place.
 */
import type { GuestMemory } from '../../../engine/contract.js';
import { loadLibc } from '../ffi/libc.js';

/** One piece of RAM in a message to a thread. Who has sent an address keeps the memory until the thread has let go of it. */
export type RamHandle =
  | { readonly gpa: number; readonly bytes: Uint8Array }
  | { readonly gpa: number; readonly address: bigint; readonly length: number };

/** See `Libc.view`. */
const LARGEST_VIEW = 2 ** 30;

/** @throws NoFfiError where the memory is foreign and C can't be called */
export function handOver(memory: GuestMemory): RamHandle[] {
  return memory.pieces.map(({ gpa, bytes }) => {
    if (bytes.buffer instanceof SharedArrayBuffer) return { gpa, bytes };
    return { gpa, address: loadLibc().addressOf(bytes), length: bytes.length };
  });
}

export class ThreadRam {
  private readonly pieces: { readonly gpa: number; readonly bytes: Uint8Array }[] = [];

  constructor(handles: readonly RamHandle[]) {
    for (const handle of handles) {
      if ('bytes' in handle) {
        this.pieces.push(handle);
        continue;
      }
      for (let at = 0; at < handle.length; at += LARGEST_VIEW) {
        const view = loadLibc().view(handle.address + BigInt(at), Math.min(LARGEST_VIEW, handle.length - at));
        this.pieces.push({ gpa: handle.gpa + at, bytes: new Uint8Array(view) });
      }
    }
  }

  /** Adds the bytes of [gpa, gpa+length) to a list of views. @throws RangeError where they are not wholly RAM. */
  collect(gpa: number, length: number, views: Uint8Array[]): void {
    let at = gpa;
    const end = gpa + length;
    for (const piece of this.pieces) {
      const last = Math.min(end, piece.gpa + piece.bytes.length);
      if (at < piece.gpa || at >= last) continue;
      views.push(piece.bytes.subarray(at - piece.gpa, last - piece.gpa));
      at = last;
    }
    if (at !== end) throw new RangeError(`guest-physical 0x${gpa.toString(16)}, ${length} bytes, is not RAM`);
  }
}
