/** The user network: the pure stack (`net/`) between the guest's card and the host's sockets, and the forwarded ports. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { ForwardConfig } from '../../../config/schema.js';
import { UserStack } from '../../../net/stack.js';
import type { ThreadNetwork, ThreadServices } from './network-worker.js';
import { NodeOutside } from './outside.js';
import { NodeStream } from './streams.js';
import type { NetTask } from './task.js';

export class UserNetwork implements ThreadNetwork {
  readonly #forwards: readonly ForwardConfig[];
  readonly #services: ThreadServices;
  readonly #outside: NodeOutside;
  readonly #stack: UserStack;
  readonly #listeners: (Server | UdpSocket)[] = [];

  constructor({ hostLoopback, forwards }: NetTask & { kind: 'user' }, services: ThreadServices) {
    this.#forwards = forwards;
    this.#services = services;
    this.#outside = new NodeOutside({ hostLoopback, wake: services.wake });
    this.#stack = new UserStack({ link: services.link, outside: this.#outside, hostLoopback });
  }

  async open(): Promise<void> {
    for (const forward of this.#forwards) {
      const { protocol, hostAddress, hostPort, guestPort } = forward;
      const place = `${protocol} port ${hostPort} of ${hostAddress}`;
      try {
        const port = protocol === 'tcp' ? await this.#listen(forward) : await this.#bind(forward);
        if (hostPort === 0)
          this.#services.note(`${protocol} port ${port} of ${hostAddress} leads to the guest's ${guestPort}.`);
      } catch (error) {
        throw new Error(`--net user: ${place} can't be forwarded: ${reason(error as NodeJS.ErrnoException)}`);
      }
    }
    this.#services.setLink(true);
  }

  async #listen(forward: ForwardConfig): Promise<number> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) =>
      this.#accept(socket, forward),
    );
    this.#listeners.push(server);
    server.listen(forward.hostPort, forward.hostAddress);
    await once(server, 'listening');
    // A connection that can't be accepted, for want of descriptors, is no reason to end.
    server.on('error', (error) => this.#services.note(`A forwarded port: ${error.message}.`));
    return (server.address() as { port: number }).port;
  }

  #accept(socket: Socket, { guestAddress, guestPort }: ForwardConfig): void {
    const { remoteAddress, remotePort } = socket;
    const from = { address: remoteAddress ?? '', port: remotePort ?? 0 };
    const connection =
      remotePort === undefined ? undefined : this.#stack.accept(from, { address: guestAddress, port: guestPort });
    if (connection === undefined) {
      socket.resetAndDestroy();
      return;
    }
    connection.attach(NodeStream.accepted(socket, this.#outside.waking(connection)));
    socket.resume();
    this.#services.wake();
  }

  async #bind({ hostAddress, hostPort, guestAddress, guestPort }: ForwardConfig): Promise<number> {
    const socket = createSocket('udp4');
    this.#listeners.push(socket);
    socket.bind(hostPort, hostAddress);
    await once(socket, 'listening');
    socket.on('error', (error) => this.#services.note(`A forwarded port: ${error.message}.`));
    socket.on('message', (message, { address, port }) => {
      this.#stack.acceptMessage({ address, port }, { address: guestAddress, port: guestPort }, message, (bytes) =>
        socket.send(Buffer.from(bytes), port, address, () => {}),
      );
      this.#services.wake();
    });
    return socket.address().port;
  }

  receive(packet: Uint8Array): boolean {
    this.#stack.receive(packet);
    return true;
  }

  service(): void {
    this.#stack.service();
  }

  get nextTimer(): number {
    return this.#stack.nextTimer;
  }

  onTimer(): void {
    this.#stack.onTimer();
  }

  clear(): void {
    this.#stack.clear();
  }

  close(): void {
    this.#stack.clear();
    for (const listener of this.#listeners) listener.close();
  }
}

function reason({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'EADDRINUSE':
      return 'it is in use; give another one.';
    case 'EACCES':
      return 'it needs rights that you do not have; give one from 1024 on.';
    case 'EADDRNOTAVAIL':
      return 'this machine has no such address.';
    default:
      return `${message}.`;
  }
}
