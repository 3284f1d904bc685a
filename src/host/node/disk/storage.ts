/** Bytes that a disk image lies in: a file or a block device of the host (file-storage.ts), or an array in tests. */

export interface Storage {
  /** For messages: the path. */
  readonly name: string;
  readonly readonly: boolean;
  /** Its descriptor, where it has one. */
  readonly fd: number | undefined;
  /** In bytes, now. */
  readonly size: number;
  /** Fills the views one after the other; what lies beyond the end reads as zeros. @throws StorageError */
  read(at: number, views: readonly Uint8Array[]): void;
  /** Writes all of the views, one behind the other; a file grows where it must. @throws StorageError */
  write(at: number, views: readonly Uint8Array[]): void;
  /** Has the system begin to write out a range, and does not wait for it. Where that can't be done nothing happens. */
  beginSync(at: number, length: number): void;
  /** Comes back when everything written would survive a power cut. @throws StorageError */
  sync(): void;
  /** The range reads as zeros afterwards; `release`: its room is given back where that can be done. @throws StorageError */
  zero(at: number, length: number, release: boolean): void;
  /** Gives the range's room back where that can be done. What it reads as afterwards is not said. */
  discard(at: number, length: number): void;
  close(): void;
}

/** The host could not read or write. The guest's request fails; the message is for whoever looks for the reason. */
export class StorageError extends Error {
  override readonly name = 'StorageError';
}

/** The disk can't be used at all: one sentence for the user. */
export class DiskRefusal extends Error {
  override readonly name = 'DiskRefusal';
}

export function lengthOf(views: readonly Uint8Array[]): number {
  let sum = 0;
  for (const view of views) sum += view.length;
  return sum;
}

/** Bytes [from, from+length) of views that follow one another. */
export function cut(views: readonly Uint8Array[], from: number, length: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (const view of views) {
    const first = Math.max(from - at, 0);
    const last = Math.min(from + length - at, view.length);
    if (first < last) pieces.push(first === 0 && last === view.length ? view : view.subarray(first, last));
    at += view.length;
    if (at >= from + length) break;
  }
  return pieces;
}

export function fillZeros(views: readonly Uint8Array[]): void {
  for (const view of views) view.fill(0);
}
