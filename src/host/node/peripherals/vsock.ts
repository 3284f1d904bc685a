/** Sockets between guest and host: the thread that has them on the host, and the virtio devices of the guest's lives. */
import type { VsockConfig } from '../../../config/config.js';
import { NO_OFFLOADS } from '../../../devices/virtio/net/index.js';
import { VirtioVsock } from '../../../devices/virtio/vsock/vsock.js';
import { ThreadedNetwork } from '../net/threaded.js';
import type { Peripheral, PeripheralContext } from './peripheral.js';

export class VsockPeripheral implements Peripheral {
  readonly name: string;
  readonly #network: ThreadedNetwork;
  readonly #cid: number;

  constructor({ path, cid }: VsockConfig, { io, warn, fail }: PeripheralContext) {
    this.name = `sockets at ${path}`;
    this.#cid = cid;
    this.#network = new ThreadedNetwork({ name: this.name, task: { kind: 'vsock', path, cid }, hub: io, warn, fail });
  }

  open(): Promise<void> {
    return this.#network.open();
  }

  createDevice(): VirtioVsock {
    const network = this.#network;
    network.beginLife();
    return new VirtioVsock({
      cid: this.#cid,
      backend: {
        connect: (port) => network.connect(port && { ...port, onLink: () => {} }, NO_OFFLOADS),
        send: (pieces, length) => network.send(pieces, length),
        peek: () => network.peek(),
        shift: () => network.shift(),
      },
    });
  }

  close(): Promise<void> {
    return this.#network.close();
  }
}
