/** A network's half on the host, where it runs on a thread of its own: the user network, and the socket to another machine. */

import type { NetConfig } from '../../../config/schema.js';
import { VirtioNet } from '../../../devices/virtio/net/index.js';
import type { NetTask } from '../net/task.js';
import { ThreadedNetwork } from '../net/threaded.js';
import type { DeviceParts, Peripheral, PeripheralContext } from './peripheral.js';

export class NetPeripheral implements Peripheral {
  readonly name: string;
  readonly #network: ThreadedNetwork;
  readonly #mac: Uint8Array;

  /** @param index counts the machine's networks */
  constructor(config: NetConfig, index: number, { host, io, warn, fail }: PeripheralContext) {
    const task = taskOf(config);
    this.name = task.kind === 'user' ? 'user network' : `network at ${task.path}`;
    this.#network = new ThreadedNetwork({ name: this.name, task, hub: io, warn, fail });
    this.#mac = config.mac === undefined ? defaultMac(config.kind, index, host.entropy(3)) : parseMac(config.mac);
  }

  open(): Promise<void> {
    return this.#network.open();
  }

  createDevice({ clock }: DeviceParts): VirtioNet {
    this.#network.beginLife();
    return new VirtioNet({ backend: this.#network, mac: this.#mac, clock });
  }

  close(): Promise<void> {
    return this.#network.close();
  }
}

function taskOf({ kind, path, hostLoopback = false, forwards = [] }: NetConfig): NetTask {
  return kind === 'socket' ? { kind, path: path! } : { kind: 'user', hostLoopback, forwards };
}

/**
 * 52:54:00:12:34:56 and up, as QEMU has it, where the guest is alone on its cable; else a random one, for two machines on a
 * cable must differ.
 */
export function defaultMac(kind: NetConfig['kind'], index: number, random: Uint8Array): Uint8Array {
  return kind === 'user'
    ? Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56 + index)
    : Uint8Array.of(0x52, 0x54, 0, ...random);
}

export function parseMac(text: string): Uint8Array {
  return Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16));
}
