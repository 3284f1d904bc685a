/** A disk as the guest sees it, whatever format its bytes are kept in; and the plain format. */
import { type Storage, StorageError } from './storage.js';

export interface DiskImage {
  /** In bytes. */
  readonly size: number;
  /** As `BlockBackend`. */
  readonly physicalBlock: number;
  readonly discardUnit: number;
  /** Where the disk's bytes are those of an open file: its descriptor. */
  readonly plainFile?: number | undefined;
  /** All of these: ranges inside the disk. @throws StorageError where the host or the image fails */
  read(at: number, views: readonly Uint8Array[]): void;
  write(at: number, views: readonly Uint8Array[]): void;
  zero(at: number, length: number, release: boolean): void;
  discard(at: number, length: number): void;
  /** A range that has been written will soon be flushed. Absent: nothing can be done beforehand. */
  beginFlush?(at: number, length: number): void;
  /** What has been written would survive a power cut. */
  flush(): void;
  /** Writes out what has not been written yet. */
  close(): void;
}

/** How a qcow2 image begins. */
const QCOW2_MAGIC = [0x51, 0x46, 0x49, 0xfb];

export interface RawOptions {
  readonly storage: Storage;
  /**
   * The format was guessed. A guest must not make us guess otherwise the next time: an image that names a backing file would
   * show it any file of the host.
   */
  readonly guessed: boolean;
}

/** The disk's bytes as they are. */
export class RawImage implements DiskImage {
  readonly size: number;
  readonly physicalBlock = 4096;
  readonly discardUnit = 4096;
  readonly plainFile: number | undefined;
  private readonly storage: Storage;
  private readonly guessed: boolean;

  constructor({ storage, guessed }: RawOptions) {
    this.storage = storage;
    this.guessed = guessed;
    this.plainFile = storage.fd;
    this.size = storage.size;
  }

  read(at: number, views: readonly Uint8Array[]): void {
    this.storage.read(at, views);
  }

  write(at: number, views: readonly Uint8Array[]): void {
    if (this.guessed && at === 0 && QCOW2_MAGIC.every((byte, i) => views[0][i] === byte)) {
      throw new StorageError(`${this.storage.name}: a guest may not turn a disk of guessed format into a qcow2 image`);
    }
    this.storage.write(at, views);
  }

  zero(at: number, length: number, release: boolean): void {
    this.storage.zero(at, length, release);
  }

  discard(at: number, length: number): void {
    this.storage.discard(at, length);
  }

  beginFlush(at: number, length: number): void {
    this.storage.beginSync(at, length);
  }

  flush(): void {
    this.storage.sync();
  }

  close(): void {
    try {
      if (!this.storage.readonly) this.storage.sync();
    } finally {
      this.storage.close();
    }
  }
}
