/** The entropy device's half on the host: what the machine has as randomness, which a deterministic one makes itself. */
import { VirtioRng } from '../../../devices/virtio/rng/rng.js';
import type { DeviceParts, Peripheral } from './peripheral.js';

export class RngPeripheral implements Peripheral {
  readonly name = 'entropy';

  async open(): Promise<void> {}

  createDevice({ clock, entropy }: DeviceParts): VirtioRng {
    return new VirtioRng({
      clock,
      fill: (into) => {
        for (let i = 0; i < into.length; i += 4) {
          const word = entropy();
          for (let j = i; j < i + 4 && j < into.length; j++) into[j] = word >>> (8 * (j - i));
        }
      },
    });
  }

  async close(): Promise<void> {}
}
