/** A network card on a tap device of the host, alone or on a bridge. */

import type { NetConfig } from '../../../config/config.js';
import { ANY_TAP } from '../../../config/tunnet.js';
import { VirtioNet } from '../../../devices/virtio/net/index.js';
import { NoFfiError, SystemCallError } from '../ffi/libc.js';
import { FileError } from '../files.js';
import { openTap } from '../net/tap.js';
import { TapBackend } from '../net/tap-backend.js';
import { defaultMac, parseMac } from './net.js';
import type { DeviceParts, Peripheral, PeripheralContext } from './peripheral.js';

export class TapPeripheral implements Peripheral {
  private readonly config: NetConfig;
  private readonly mac: Uint8Array;
  private readonly context: PeripheralContext;
  private backend: TapBackend | undefined;

  /** @param index counts the machine's networks */
  constructor(config: NetConfig, index: number, context: PeripheralContext) {
    this.config = config;
    this.mac =
      config.mac === undefined ? defaultMac(config.kind, index, context.host.entropy(3)) : parseMac(config.mac);
    this.context = context;
  }

  /** As lguest has it: which interface it is, and what was asked for. */
  get name(): string {
    const { kind, name, address } = this.config;
    const tap = this.backend?.name ?? 'tap';
    return kind === 'bridge' ? `${tap} on bridge ${name}` : address === undefined ? tap : `${tap}, ${address}`;
  }

  async open(): Promise<void> {
    const { kind, name, address, prefix } = this.config;
    const { io, fail } = this.context;
    try {
      const tap = openTap(kind === 'bridge' ? { name: ANY_TAP, bridge: name } : { name: name!, address, prefix });
      this.backend = new TapBackend(tap, io, fail);
    } catch (error) {
      if (error instanceof NoFfiError) throw new FileError(`A tap device can't be had: ${error.message}`);
      if (error instanceof SystemCallError) throw new FileError(`The ${this.name} can't be set up: ${error.message}.`);
      throw error;
    }
    await this.backend.started();
  }

  createDevice({ clock }: DeviceParts): VirtioNet {
    return new VirtioNet({ backend: this.backend!, mac: this.mac, clock });
  }

  async close(): Promise<void> {
    await this.backend?.close();
  }
}
