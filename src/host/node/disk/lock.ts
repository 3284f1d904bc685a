/**
 * Locks an image while it is open, as QEMU does, so that neither another machine of ours nor one of QEMU's uses it at the
 * same time in a way that hurts. A lock on byte 100 + n says "I do n", one on byte 200 + n "nobody else may do n"; all are
 * read locks, and who asks whether a write lock would be possible sees them. They belong to the open file and die with the
 * process.
 */
import type { Libc } from '../ffi/libc.js';
import { DiskRefusal } from './storage.js';

const DOES = 100;
const FORBIDS = 200;
const READ_CONSISTENTLY = 0;
const WRITE = 1;
const RESIZE = 3;

/** @throws DiskRefusal where somebody else uses the file */
export function lockImage(libc: Libc, fd: number, path: string, readonly: boolean): void {
  const does = readonly ? [READ_CONSISTENTLY] : [READ_CONSISTENTLY, WRITE, RESIZE];
  const forbids = [WRITE, RESIZE];
  for (const byte of [...does.map((n) => DOES + n), ...forbids.map((n) => FORBIDS + n)])
    if (libc.tryShareByte(fd, byte) !== 0) return; // a file system without such locks
  const conflicts = [...does.map((n) => FORBIDS + n), ...forbids.map((n) => DOES + n)];
  if (conflicts.some((byte) => libc.isByteTaken(fd, byte))) {
    throw new DiskRefusal(
      readonly
        ? `The disk ${path} is being written by another virtual machine; end that first.`
        : `The disk ${path} is in use by another virtual machine; end that first, or add ,readonly to both.`,
    );
  }
}
