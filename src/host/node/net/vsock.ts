/**
 * Sockets between guest and host on Unix sockets, as Firecracker has it. A guest's connection to port P of the host goes to
 * PATH_P. Who connects to PATH on the host says `CONNECT P` and a newline, and hears `OK N` when the guest has accepted at its
 * port P; from then on it is the connection.
 */
import { lstatSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { type HostStream, type StreamEvents, VsockSwitch } from '../../../devices/virtio/vsock/switch.js';
import type { ThreadNetwork, ThreadServices } from './network-worker.js';
import { socketRefusal } from './socket-refusal.js';

/** `CONNECT 4294967295\n` and room to spare. */
const LONGEST_GREETING = 32;
/** How long who has connected may take to say where to (ms). */
const PATIENCE = 10_000;

export class VsockNetwork implements ThreadNetwork {
  readonly nextTimer = Number.POSITIVE_INFINITY;
  readonly #path: string;
  readonly #services: ThreadServices;
  readonly #switch: VsockSwitch;
  readonly #server: Server;
  /** Connected, and have not said where to. */
  readonly #strangers = new Set<Socket>();

  constructor({ path, cid }: { readonly path: string; readonly cid: number }, services: ThreadServices) {
    this.#path = path;
    this.#services = services;
    const { link, wake } = services;
    this.#switch = new VsockSwitch({
      cid,
      wake,
      sink: { reserve: (length) => link.reserve(length), commit: () => link.commit() },
      streams: {
        // The peer sends no more does not mean that it hears no more.
        connect: (port, events) =>
          new SocketStream(createConnection({ path: `${path}_${port}`, allowHalfOpen: true }), events),
      },
    });
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: false }, (socket) => this.#welcome(socket));
  }

  /** @throws Error with one sentence, where the path can't be had */
  async open(): Promise<void> {
    let code = await this.#listen();
    if (code === 'EADDRINUSE' && (await this.#isLeftOver())) {
      rmSync(this.#path);
      code = await this.#listen();
    }
    if (code !== undefined) throw new Error(socketRefusal('--vsock', this.#path, code));
  }

  receive(packet: Uint8Array): boolean {
    return this.#switch.receive(packet);
  }

  service(): void {
    this.#switch.service();
  }

  onTimer(): void {}

  clear(): void {
    this.#switch.clear();
  }

  close(): void {
    this.#switch.clear();
    for (const socket of this.#strangers) socket.destroy();
    // Removes the socket's file, too.
    this.#server.close();
  }

  /** @returns the error's code */
  #listen(): Promise<string | undefined> {
    return new Promise((resolve) => {
      const fail = (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message);
      this.#server.once('error', fail);
      this.#server.listen(this.#path, () => {
        this.#server.off('error', fail);
        this.#server.on('error', (error) => this.#services.note(error.message));
        resolve(undefined);
      });
    });
  }

  /** Whether what lies at the path is a socket that nobody listens at. */
  #isLeftOver(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = createConnection(this.#path);
      socket.once('connect', () => {
        socket.destroy();
        resolve(false);
      });
      socket.once('error', (error: NodeJS.ErrnoException) =>
        resolve(error.code === 'ECONNREFUSED' && lstatSync(this.#path).isSocket()),
      );
    });
  }

  /** Reads where a connection is to go. */
  #welcome(socket: Socket): void {
    let said = Buffer.alloc(0);
    const farewell = () => socket.destroy();
    const leave = () => {
      clearTimeout(timer);
      this.#strangers.delete(socket);
      socket.off('data', listen).off('end', farewell).off('error', farewell).off('close', leave);
    };
    const listen = (bytes: Buffer) => {
      said = Buffer.concat([said, bytes]);
      const end = said.indexOf('\n');
      if (end < 0 && said.length <= LONGEST_GREETING) return;
      const match = /^CONNECT (\d{1,10})\r?$/.exec(said.toString('latin1', 0, Math.max(end, 0)));
      leave();
      socket.on('error', () => {});
      if (match === null || Number(match[1]) >= 0xffff_ffff) socket.destroy();
      else this.#bring(socket, Number(match[1]), said.subarray(end + 1));
    };
    const timer = setTimeout(farewell, PATIENCE);
    this.#strangers.add(socket);
    socket.on('data', listen).on('end', farewell).on('error', farewell).on('close', leave);
  }

  #bring(socket: Socket, port: number, first: Buffer): void {
    socket.pause();
    if (first.length > 0) socket.unshift(first);
    const accepted = this.#switch.accept(
      port,
      (events) => new SocketStream(socket, events),
      (hostPort) => socket.write(`OK ${hostPort}\n`),
    );
    if (!accepted) socket.destroy();
    this.#services.wake();
  }
}

/** A Unix socket as the switch sees it. */
class SocketStream implements HostStream {
  readonly #socket: Socket;

  constructor(socket: Socket, events: StreamEvents) {
    this.#socket = socket;
    if (socket.connecting) socket.once('connect', () => events.onOpen());
    socket.on('data', (bytes: Buffer) => events.onData(bytes));
    socket.on('end', () => events.onEnd());
    socket.on('error', () => {});
    socket.on('close', () => events.onClose());
  }

  write(bytes: Uint8Array, taken: () => void): void {
    this.#socket.write(bytes.slice(), (error) => {
      if (!error) taken();
    });
  }

  end(): void {
    this.#socket.end();
  }

  flow(on: boolean): void {
    if (on) this.#socket.resume();
    else this.#socket.pause();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
