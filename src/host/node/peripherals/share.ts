/** A folder of the host that guests mount: a thread that answers, and the 9P devices that the guest's lives see it through. */
import type { ShareConfig } from '../../../config/config.js';
import { VirtioNinep } from '../../../devices/virtio/9p/ninep.js';
import { FileError } from '../files.js';
import { ThreadRefusal } from '../io/io-thread.js';
import { ShareBackend } from '../share/share-backend.js';
import type { DeviceParts, Peripheral, PeripheralContext } from './peripheral.js';

export class SharePeripheral implements Peripheral {
  readonly name: string;
  private readonly config: ShareConfig;
  private readonly context: PeripheralContext;
  private backend: ShareBackend | undefined;

  constructor(config: ShareConfig, context: PeripheralContext) {
    this.name = `share ${config.path}`;
    this.config = config;
    this.context = context;
  }

  async open(): Promise<void> {
    const { path, readonly } = this.config;
    const backend = new ShareBackend({
      task: { path, readonly },
      hub: this.context.io,
      onDeath: (sentence) => this.context.fail(sentence),
    });
    try {
      await backend.open();
    } catch (error) {
      throw error instanceof ThreadRefusal ? new FileError(error.message) : error;
    }
    this.backend = backend;
  }

  createDevice({ memory }: DeviceParts): VirtioNinep {
    const backend = this.backend!;
    backend.attach(memory);
    return new VirtioNinep({ tag: this.config.tag, memory, backend });
  }

  async close(): Promise<void> {
    await this.backend?.close();
    this.backend = undefined;
  }
}
