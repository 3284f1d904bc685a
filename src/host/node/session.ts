/**
 * What the guest's four serial ports are connected with, by the way Typevisor is used:
 *
 *   console   ttyS0 is on our standard input and output, through the raw terminal where there is one
 *   report    ttyS0 is on standard output; there is no input
 *   command   a command runs in the guest: ttyS1 is its standard input and output, ttyS3 its standard error, ttyS2
 *             says when it takes input, and brings its exit status (src/boot/guest-init.ts); the console is kept for when
 *             something goes wrong
 */
import type { ReadStream, WriteStream } from 'node:tty';
import { encodeStdin, isReady, STDIN_END } from '../../boot/guest-init.js';
import type { EscapeAction, EscapeKeys } from './escape.js';
import { type ByteSink, StreamSink } from './output.js';
import type { ConsoleEnd } from './peripherals/console.js';
import { SerialPort, TailSink } from './serial.js';
import { Terminal } from './terminal.js';

export type SessionKind = 'console' | 'report' | 'command';

export interface SessionOptions {
  readonly kind: SessionKind;
  /** The keys of a terminal that are ours and not the guest's. */
  readonly keys: EscapeKeys;
  readonly stdin: ReadStream;
  readonly stdout: WriteStream;
  readonly stderr: WriteStream;
  /** The guest's console goes to standard error too, where nobody would see it otherwise. */
  readonly showConsole: boolean;
  /** There is a virtio console, and input is for it or for the first serial port. Output of both is the console's. */
  readonly virtioConsole?: 'input' | 'output' | undefined;
  /** The guest reads window sizes from ttyS2. */
  readonly tellsSize: boolean;
  /** The guest has said its first byte where the user sees it. */
  readonly onFirstOutput: () => void;
  readonly onInput: () => void;
  readonly onAction: (action: EscapeAction) => void;
}

/** A command gets a terminal only if both its ends are one; else it gets three pipes. */
export function hasTerminal(kind: SessionKind, stdin: ReadStream, stdout: WriteStream): boolean {
  return kind === 'console' ? stdin.isTTY : kind === 'command' && stdin.isTTY && stdout.isTTY;
}

export class Session {
  readonly ports: readonly SerialPort[];
  /** What the virtio console is connected to. */
  readonly virtioConsole: ConsoleEnd | undefined;
  private readonly options: SessionOptions;
  private readonly terminal: Terminal | undefined;
  private readonly console: TailSink | StreamSink;
  private readonly control = new TailSink(256);

  constructor(options: SessionOptions) {
    const { kind, stdin, stdout, stderr, onFirstOutput } = options;
    this.options = options;
    const visible = (stream: WriteStream): StreamSink => {
      const sink = new StreamSink(stream);
      sink.onFirst = onFirstOutput;
      return sink;
    };
    const nowhere = () => new TailSink(1);
    const command = kind === 'command';
    this.console = command && !options.showConsole ? new TailSink(8192) : visible(command ? stderr : stdout);
    const sinks: ByteSink[] = [
      this.console,
      command ? visible(stdout) : nowhere(),
      this.control,
      command ? visible(stderr) : nowhere(),
    ];
    this.ports = sinks.map((sink) => new SerialPort(sink));
    if (options.virtioConsole !== undefined) this.virtioConsole = this.consoleEnd(new SerialPort(this.console));
    for (const port of this.allPorts) port.onInput = options.onInput;
    if (command) this.holdUntilReady();
    if (hasTerminal(kind, stdin, stdout)) this.terminal = new Terminal(stdin, stdout, options.keys);
  }

  private consoleEnd(port: SerialPort): ConsoleEnd {
    const session = this;
    return {
      port,
      onResize: () => {},
      get size() {
        return session.size;
      },
    };
  }

  private get allPorts(): SerialPort[] {
    return this.virtioConsole === undefined ? [...this.ports] : [...this.ports, this.virtioConsole.port];
  }

  private holdUntilReady(): void {
    const waiting = this.ports.slice(1, 3);
    for (const port of waiting) port.hold();
    this.control.onLine = () => {
      if (!isReady(this.controlText)) return;
      this.control.onLine = undefined;
      for (const port of waiting) port.release();
    };
  }

  /** From now on input reaches the guest. */
  open(): void {
    const { kind, stdin, tellsSize, onAction } = this.options;
    const console = this.options.virtioConsole === 'input' ? this.virtioConsole!.port : this.ports[0];
    const port = kind === 'command' ? this.ports[1] : console;
    if (this.terminal !== undefined) {
      this.terminal.open({
        onInput: (bytes) => port.send(bytes),
        onAction,
        onResize: (rows, columns) => {
          this.virtioConsole?.onResize();
          if (tellsSize) this.ports[2].send(new TextEncoder().encode(`size ${rows} ${columns}\n`));
        },
      });
    } else if (kind === 'command' && !stdin.isTTY) {
      port.feedFrom(stdin, encodeStdin, STDIN_END);
    } else if (kind === 'console') {
      port.feedFrom(stdin, (bytes) => bytes, new Uint8Array());
    }
  }

  /** The terminal as it was, and no more reading. Harmless when repeated. */
  close(): void {
    this.terminal?.close();
    for (const port of this.allPorts) port.close();
  }

  /** The terminal's size in rows and columns, if there is one. */
  get size(): { rows: number; columns: number } | undefined {
    return this.terminal && { rows: this.terminal.rows, columns: this.terminal.columns };
  }

  flush(): undefined | Promise<void> {
    let waiting: Promise<void> | undefined;
    for (const port of this.ports) {
      const slow = port.flush();
      if (slow !== undefined) waiting = waiting === undefined ? slow : Promise.all([waiting, slow]).then(() => {});
    }
    return waiting;
  }

  /** What the guest has sent on its control port. */
  get controlText(): string {
    return this.control.text();
  }

  /** The last of a console that nobody has seen. */
  get unseenConsole(): string {
    return this.console instanceof TailSink ? this.console.text().trim() : '';
  }

  /** Whether the guest has left the cursor within a line. */
  get isMidLine(): boolean {
    return this.console instanceof StreamSink && this.console.last >= 0 && this.console.last !== 0x0a;
  }
}
