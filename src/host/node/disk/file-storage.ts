/** A file or a block device of the host, locked while it is open. */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  openSync,
  readSync,
  readvSync,
  writeSync,
  writevSync,
} from 'node:fs';
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  type Libc,
  loadLibc,
  SYNC_FILE_RANGE_WRITE,
} from '../ffi/libc.js';
import { lockImage } from './lock.js';
import { cut, DiskRefusal, lengthOf, type Storage, StorageError } from './storage.js';

/** Views in one call: the system takes 1024 (IOV_MAX). */
const MOST_VIEWS = 1024;
const ZEROS = new Uint8Array(2 ** 20);

export class FileStorage implements Storage {
  readonly name: string;
  readonly readonly: boolean;
  size: number;
  readonly fd: number;
  private readonly libc: Libc | undefined;

  /** @throws DiskRefusal where there is no such file, it may not be opened, or somebody else uses it */
  constructor(path: string, readonly: boolean) {
    this.name = path;
    this.readonly = readonly;
    this.fd = open(path, readonly);
    try {
      const stat = fstatSync(this.fd);
      if (!stat.isFile() && !stat.isBlockDevice()) {
        const what = stat.isDirectory() ? 'a folder' : 'neither a file nor a block device';
        throw new DiskRefusal(`${path} is ${what}; a disk is a file or a block device.`);
      }
      this.size = stat.isFile() ? stat.size : deviceSize(this.fd);
      this.libc = optionalLibc();
      if (this.libc !== undefined) lockImage(this.libc, this.fd, path, readonly);
    } catch (error) {
      closeSync(this.fd);
      throw error;
    }
  }

  read(at: number, views: readonly Uint8Array[]): void {
    const wanted = lengthOf(views);
    let done = 0;
    try {
      while (done < wanted) {
        const got = transfer(readSync, readvSync, this.fd, rest(views, done, wanted), at + done);
        if (got === 0) break;
        done += got;
      }
    } catch (error) {
      throw failed('read', this.name, error);
    }
    if (done < wanted) for (const view of cut(views, done, wanted - done)) view.fill(0);
  }

  write(at: number, views: readonly Uint8Array[]): void {
    const wanted = lengthOf(views);
    let done = 0;
    try {
      while (done < wanted) done += transfer(writeSync, writevSync, this.fd, rest(views, done, wanted), at + done);
    } catch (error) {
      throw failed('written', this.name, error);
    }
    if (at + wanted > this.size) this.size = at + wanted;
  }

  beginSync(at: number, length: number): void {
    this.libc?.trySyncFileRange(this.fd, at, length, SYNC_FILE_RANGE_WRITE);
  }

  sync(): void {
    try {
      fdatasyncSync(this.fd);
    } catch (error) {
      throw failed('synced', this.name, error);
    }
  }

  zero(at: number, length: number, release: boolean): void {
    const inside = Math.min(length, Math.max(0, this.size - at));
    const mode = FALLOC_FL_KEEP_SIZE | (release ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
    if (inside === length && this.libc?.tryFallocate(this.fd, mode, at, length) === 0) return;
    for (let done = 0; done < length; done += ZEROS.length)
      this.write(at + done, [ZEROS.subarray(0, Math.min(ZEROS.length, length - done))]);
  }

  discard(at: number, length: number): void {
    // Where the file system knows no holes nothing is lost: the guest has been promised nothing.
    this.libc?.tryFallocate(this.fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, at, length);
  }

  close(): void {
    closeSync(this.fd);
  }
}

type One = (fd: number, view: Uint8Array, offset: number, length: number, position: number) => number;
type Many = (fd: number, views: readonly Uint8Array[], position: number) => number;

function transfer(one: One, many: Many, fd: number, views: readonly Uint8Array[], at: number): number {
  return views.length === 1 ? one(fd, views[0], 0, views[0].length, at) : many(fd, views, at);
}

function rest(views: readonly Uint8Array[], done: number, wanted: number): readonly Uint8Array[] {
  const left = done === 0 ? views : cut(views, done, wanted - done);
  return left.length <= MOST_VIEWS ? left : left.slice(0, MOST_VIEWS);
}

function open(path: string, readonly: boolean): number {
  try {
    return openSync(path, readonly ? constants.O_RDONLY : constants.O_RDWR);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const hint: { readonly [code: string]: string } = {
      ENOENT: `There is no disk ${path}; make one with truncate -s 1G or qemu-img create.`,
      EISDIR: `${path} is a folder; a disk is a file or a block device.`,
      EACCES: `You may not ${readonly ? 'read' : 'write'} the disk ${path}; change its rights${readonly ? '' : ', or add ,readonly'}.`,
      EPERM: `You may not ${readonly ? 'read' : 'write'} the disk ${path}; change its rights${readonly ? '' : ', or add ,readonly'}.`,
      EROFS: `The disk ${path} lies on a file system that is read-only; add ,readonly.`,
    };
    throw new DiskRefusal(hint[code ?? ''] ?? `The disk ${path} can't be opened (${code}).`);
  }
}

/** Where a block device ends: seeking says so, but Node can't; reading does. */
function deviceSize(fd: number): number {
  const byte = new Uint8Array(1);
  const exists = (at: number): boolean => {
    try {
      return readSync(fd, byte, 0, 1, at) === 1;
    } catch {
      return false;
    }
  };
  if (!exists(0)) return 0;
  let low = 0;
  let high = 1;
  while (high < 2 ** 52 && exists(high)) {
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (exists(middle)) low = middle;
    else high = middle;
  }
  return high;
}

function optionalLibc(): Libc | undefined {
  try {
    return loadLibc();
  } catch {
    return undefined;
  }
}

function failed(what: string, name: string, error: unknown): StorageError {
  return new StorageError(`${name} can't be ${what} (${(error as NodeJS.ErrnoException).code})`);
}
