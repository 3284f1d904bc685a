/** UDP sockets of the host, for the user network. */
import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { DatagramEvents, DatagramSocket } from '../../../net/outside.js';
import { reasonOf } from './streams.js';

/** Datagrams kept until the socket is connected, which takes one turn of the event loop. */
const MOST_WAITING = 32;

export class NodeDatagrams implements DatagramSocket {
  readonly #socket: Socket;
  readonly #events: DatagramEvents;
  #waiting: Uint8Array[] | undefined = [];
  #isClosed = false;

  /** @param refuses whether the peer is one that must not be reached, after all */
  constructor(address: string, port: number, events: DatagramEvents, refuses: (socket: Socket) => boolean) {
    this.#events = events;
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    this.#socket = socket;
    socket.on('message', (message) => {
      if (!this.#isClosed) events.message(message);
    });
    socket.on('error', (error) => this.#fail(error));
    socket.connect(port, address, () => {
      if (this.#isClosed) return;
      const waiting = this.#waiting ?? [];
      this.#waiting = undefined;
      if (refuses(socket)) this.#events.failed('refused');
      else for (const bytes of waiting) this.send(bytes);
    });
  }

  /** Failures that say something about the peer; a full queue of the kernel's, or a datagram too long, is a loss like another. */
  #fail(error: Error): void {
    const { code } = error as NodeJS.ErrnoException;
    if (this.#isClosed || code === 'EMSGSIZE' || code === 'ENOBUFS' || code === 'EAGAIN') return;
    this.#events.failed(reasonOf(error as NodeJS.ErrnoException));
  }

  send(bytes: Uint8Array): void {
    const copy = Buffer.from(bytes);
    if (this.#waiting === undefined) this.#socket.send(copy, (error) => error && this.#fail(error));
    else if (this.#waiting.length < MOST_WAITING) this.#waiting.push(copy);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.close();
  }
}
