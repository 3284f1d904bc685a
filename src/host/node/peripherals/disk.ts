/** A disk: an image on the host, served by a thread, and the virtio block devices that the guest's lives see it through. */
import { basename } from 'node:path';
import type { DiskConfig, MachineConfig } from '../../../config/config.js';
import { VirtioBlock } from '../../../devices/virtio/block/block.js';
import { ThreadBackend } from '../disk/thread-backend.js';
import { FileError } from '../files.js';
import { ThreadRefusal } from '../io/io-thread.js';
import type { DeviceParts, Peripheral, PeripheralContext } from './peripheral.js';

/** Queues of one device: more than so many vCPUs never wait for one another here. */
const MOST_QUEUES = 4;

export class DiskPeripheral implements Peripheral {
  readonly name: string;
  private readonly config: DiskConfig;
  private readonly context: PeripheralContext;
  private readonly queues: number;
  private readonly atOnce: boolean;
  private backend: ThreadBackend | undefined;

  constructor(config: DiskConfig, machine: MachineConfig, context: PeripheralContext) {
    this.name = `disk ${config.path}`;
    this.config = config;
    this.context = context;
    this.queues = Math.min(machine.cpus, MOST_QUEUES);
    // What is in the host's cache must not change the order in which a deterministic guest gets its answers.
    this.atOnce = !machine.deterministic;
  }

  async open(): Promise<void> {
    const { path, format, readonly } = this.config;
    this.backend = new ThreadBackend({
      task: { path, format, readonly, slowFlush: Number(process.env.TYPEVISOR_SLOW_FLUSH ?? 0) },
      id: basename(path),
      atOnce: this.atOnce,
      hub: this.context.io,
      onDeath: (sentence) => this.context.fail(sentence),
    });
    try {
      await this.backend.open();
    } catch (error) {
      this.backend = undefined;
      throw error instanceof ThreadRefusal ? new FileError(error.message) : error;
    }
  }

  createDevice({ memory }: DeviceParts): VirtioBlock {
    const backend = this.backend!;
    backend.attach(memory);
    return new VirtioBlock({ backend, memory, queues: this.queues });
  }

  async close(): Promise<void> {
    await this.backend?.close();
    this.backend = undefined;
  }
}
