/**
 * The balloon's half on the host: pages that the guest does not use go back to the kernel, which gives new ones of zeros when
 * the guest touches them again. `madvise` is not in Node; where it can't be called the guest just keeps its memory.
 */
import { VirtioBalloon } from '../../../devices/virtio/balloon/balloon.js';
import { type Libc, loadLibc, MADV_DONTNEED, MADV_REMOVE, NoFfiError } from '../ffi/libc.js';
import type { DeviceParts, Peripheral, PeripheralContext } from './peripheral.js';

export class BalloonPeripheral implements Peripheral {
  readonly name = 'balloon';
  private readonly warn: (message: string) => void;
  private libc: Libc | undefined;

  constructor({ warn }: Pick<PeripheralContext, 'warn'>) {
    this.warn = warn;
  }

  async open(): Promise<void> {
    try {
      this.libc = loadLibc();
    } catch (error) {
      if (!(error instanceof NoFfiError)) throw error;
      this.warn(`balloon: the guest's free memory can't go back to the host. ${error.message}`);
    }
  }

  createDevice({ memory, clock }: DeviceParts): VirtioBalloon {
    return new VirtioBalloon({
      memory,
      clock,
      backend: { discard: (gpa, length) => this.discard(memory.view(gpa, length)) },
    });
  }

  private discard(bytes: Uint8Array): void {
    const { libc } = this;
    if (libc === undefined) return;
    const address = libc.addressOf(bytes);
    // Memory that is shared with a file (KVM's) is freed there, private memory in the page tables.
    if (!libc.tryAdvise(address, bytes.length, MADV_REMOVE)) libc.tryAdvise(address, bytes.length, MADV_DONTNEED);
  }

  async close(): Promise<void> {}
}
