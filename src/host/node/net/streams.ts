/** TCP connections of the host, for the user network. */
import { connect, type Socket } from 'node:net';
import { type Failure, STREAM_PIECE, type Stream, type StreamEvents } from '../../../net/outside.js';

/** Connections are read one after the other, each into the same bytes, and the stack copies what it wants. */
const piece = Buffer.alloc(STREAM_PIECE);

export class NodeStream implements Stream {
  readonly #socket: Socket;
  readonly #events: StreamEvents;
  #corked = false;
  #isOpen: boolean;
  #isOver = false;

  private constructor(socket: Socket, events: StreamEvents, isOpen: boolean) {
    this.#socket = socket;
    this.#events = events;
    this.#isOpen = isOpen;
    socket.setNoDelay(true);
    socket.on('end', () => this.#tell(() => events.ended()));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#isOpen) this.#finish(true);
      else this.#fail(reasonOf(error));
    });
    socket.on('close', () => this.#finish(false));
  }

  /** @param refuses whether a connection that has come about is not to be, after all */
  static connect(
    address: string,
    port: number,
    events: StreamEvents,
    refuses: (socket: Socket) => boolean,
  ): NodeStream {
    let stream: NodeStream | undefined;
    const socket = connect({
      host: address,
      port,
      allowHalfOpen: true,
      onread: {
        buffer: piece,
        callback: (length, bytes) => {
          let goesOn = true;
          stream!.#tell(() => {
            goesOn = events.data(bytes.subarray(0, length));
          });
          return goesOn;
        },
      },
    });
    stream = new NodeStream(socket, events, false);
    socket.once('connect', () => stream.#onConnect(refuses));
    return stream;
  }

  /** A connection that somebody has opened to us. */
  static accepted(socket: Socket, events: StreamEvents): NodeStream {
    const stream = new NodeStream(socket, events, true);
    socket.on('data', (bytes: Buffer) => {
      for (let at = 0; at < bytes.length; at += STREAM_PIECE)
        stream.#tell(() => {
          if (!events.data(bytes.subarray(at, at + STREAM_PIECE))) socket.pause();
        });
    });
    return stream;
  }

  #onConnect(refuses: (socket: Socket) => boolean): void {
    if (this.#isOver) return;
    if (refuses(this.#socket)) {
      this.#fail('refused');
      this.#socket.resetAndDestroy();
      return;
    }
    this.#isOpen = true;
    this.#events.connected();
  }

  #tell(what: () => void): void {
    if (!this.#isOver) what();
  }

  #fail(why: Failure): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#events.failed(why);
  }

  #finish(broken: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#events.closed(broken);
  }

  get backlog(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Uint8Array): void {
    const socket = this.#socket;
    // What the guest sends comes in many segments at once: one system call for them.
    if (!this.#corked) {
      this.#corked = true;
      socket.cork();
      queueMicrotask(() => {
        this.#corked = false;
        socket.uncork();
      });
    }
    socket.write(Buffer.from(bytes), () => this.#tell(() => this.#events.drained()));
  }

  end(): void {
    this.#socket.end();
  }

  resume(): void {
    this.#socket.resume();
  }

  reset(): void {
    this.#isOver = true;
    if (this.#socket.connecting) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }
}

export function reasonOf({ code }: NodeJS.ErrnoException): Failure {
  if (code === 'ECONNREFUSED' || code === 'ECONNRESET') return 'refused';
  return code === 'ETIMEDOUT' ? 'timeout' : 'unreachable';
}
