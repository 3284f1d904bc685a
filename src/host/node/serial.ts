/**
 * Host ends of the guest's serial ports. Output goes to a sink byte by byte; input waits in a queue until the UART has
 * room, and a full queue holds back whoever fills it.
 */
import type { Readable } from 'node:stream';
import type { UartBackend } from '../../devices/uart/uart.js';
import type { ByteSink } from './output.js';

/** The part of a UART that a back end needs. */
export interface SerialInput {
  /** Takes what fits and returns how many bytes that was. */
  receive(bytes: Uint8Array): number;
}

/** Bytes that wait for the guest before the source is told to wait. */
const FULL = 256 * 1024;
const NEWLINE = 0x0a;

export class SerialPort implements UartBackend {
  /** Wakes the machine: there is input. */
  onInput: () => void = () => {};
  private readonly sink: ByteSink;
  private uart: SerialInput | undefined;
  private queue: Uint8Array[] = [];
  private queued = 0;
  private source: Readable | undefined;
  private delivering = false;
  private held = false;

  constructor(sink: ByteSink) {
    this.sink = sink;
  }

  /** The UART that takes the input from now on, with what has come already; a reset makes a new one. */
  connect(uart: SerialInput): void {
    this.uart = uart;
    this.deliver();
  }

  transmit(byte: number): void {
    this.sink.write(byte);
  }

  /** Keeps input until `release`: nobody in the guest listens yet, and what comes early would be lost. */
  hold(): void {
    this.held = true;
  }

  release(): void {
    this.held = false;
    this.deliver();
  }

  /** Input for the guest. Any amount is kept; `feedFrom` is the way that knows when to stop. */
  send(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.queue.push(bytes);
    this.queued += bytes.length;
    this.deliver();
    if (this.queued >= FULL) this.source?.pause();
    this.onInput();
  }

  /** Sends everything that a stream gives, each piece through `encode`, and `end` when it has ended. */
  feedFrom(source: Readable, encode: (bytes: Uint8Array) => Uint8Array, end: Uint8Array): void {
    this.source = source;
    source.on('data', (bytes: Uint8Array) => this.send(encode(bytes)));
    source.once('end', () => this.send(end));
    // A source that breaks is one that has ended.
    source.once('error', () => this.send(end));
  }

  /** Stops reading: the guest has gone. */
  close(): void {
    this.source?.pause();
    this.source?.removeAllListeners('data');
    this.source = undefined;
    this.queue = [];
    this.queued = 0;
  }

  roomForInput(): void {
    this.deliver();
  }

  flush(): undefined | Promise<void> {
    return this.sink.flush();
  }

  private deliver(): void {
    // A stream that is resumed may send at once, from within.
    if (this.delivering || this.held) return;
    this.delivering = true;
    this.offer();
    this.delivering = false;
    if (this.queued < FULL / 2) this.source?.resume();
  }

  private offer(): void {
    while (this.queue.length > 0) {
      const [first] = this.queue;
      const taken = this.uart?.receive(first) ?? 0;
      this.queued -= taken;
      if (taken < first.length) {
        this.queue[0] = first.subarray(taken);
        return;
      }
      this.queue.shift();
    }
  }
}

/** Keeps the last bytes only: a console that nobody watches, until something goes wrong. */
export class TailSink implements ByteSink {
  /** Called at the end of each line. */
  onLine: (() => void) | undefined;
  private readonly ring: Uint8Array;
  private written = 0;

  constructor(size: number) {
    this.ring = new Uint8Array(size);
  }

  write(byte: number): void {
    this.ring[this.written++ % this.ring.length] = byte;
    if (byte === NEWLINE) this.onLine?.();
  }

  flush(): undefined {}

  /** What is kept, as text; bytes that are none are replaced. */
  text(): string {
    const { ring, written } = this;
    const at = written % ring.length;
    const bytes =
      written <= ring.length ? [...ring.subarray(0, written)] : [...ring.subarray(at), ...ring.subarray(0, at)];
    return new TextDecoder().decode(Uint8Array.from(bytes));
  }
}
