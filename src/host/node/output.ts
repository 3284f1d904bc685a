/**
 * Output of the guest on its way to a stream or file of ours. A UART sends byte by byte; one write each would cost more
 * than the guest's own work, so bytes are collected and written when the machine comes up for air.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Writable } from 'node:stream';

/** Bytes collected before they are written even in the middle of a slice. */
const FULL = 32 * 1024;
/** Unwritten bytes of a slow reader (a pager, a blocked pipe) at which the guest has to wait. */
const CONGESTED = 1024 * 1024;

export interface ByteSink {
  write(byte: number): void;
  /** Hands on what is collected. A promise: the reader is slow, wait for it before going on. */
  flush(): undefined | Promise<void>;
}

export class StreamSink implements ByteSink {
  /** Called once, before the first byte. */
  onFirst: (() => void) | undefined;
  /** The last byte written, -1 before the first. */
  last = -1;
  private readonly stream: Writable;
  private buffer = new Uint8Array(FULL);
  private filled = 0;

  constructor(stream: Writable) {
    this.stream = stream;
  }

  write(byte: number): void {
    if (this.last < 0) this.onFirst?.();
    this.last = byte;
    this.buffer[this.filled++] = byte;
    if (this.filled === FULL) this.send();
  }

  flush(): undefined | Promise<void> {
    if (this.filled > 0) this.send();
    if (this.stream.writableLength < CONGESTED || this.stream.destroyed) return undefined;
    return new Promise((resolve) => {
      const done = () => {
        this.stream.off('drain', done).off('error', done).off('close', done);
        resolve();
      };
      this.stream.on('drain', done).on('error', done).on('close', done);
    });
  }

  private send(): void {
    // The stream may keep the bytes until it can write them, so it gets its own.
    if (!this.stream.destroyed) this.stream.write(this.buffer.slice(0, this.filled));
    this.filled = 0;
  }
}

/** Writes to a file, created or emptied. @throws the system's error when it can't be opened. */
export class FileSink implements ByteSink {
  private readonly fd: number;
  private readonly buffer = new Uint8Array(FULL);
  private filled = 0;

  constructor(path: string) {
    this.fd = openSync(path, 'w');
  }

  write(byte: number): void {
    this.buffer[this.filled++] = byte;
    if (this.filled === FULL) this.flush();
  }

  flush(): undefined {
    let from = 0;
    while (from < this.filled) from += writeSync(this.fd, this.buffer, from, this.filled - from);
    this.filled = 0;
  }

  close(): void {
    this.flush();
    closeSync(this.fd);
  }
}
