/** From peripherals to what a board has on its PCI bus. */
import type { PciSlot } from '../../../board/board.js';
import { VirtioPci } from '../../../devices/virtio/index.js';
import type { DeviceParts, Peripheral } from './peripheral.js';

export interface PlugOptions {
  /** A driver that breaks the standard ends the machine. */
  readonly strict: boolean;
  /** What a driver did that it should not have done: one sentence. */
  readonly warn: (message: string) => void;
  /** Why the machine is to end. */
  readonly fail: (message: string) => void;
}

/** Makes each peripheral's device for a new board, in slots from 1 up. */
export function plugIn(
  peripherals: readonly Peripheral[],
  parts: DeviceParts,
  { strict, warn, fail }: PlugOptions,
): PciSlot[] {
  return peripherals.map((peripheral) => ({
    pci: new VirtioPci({
      device: peripheral.createDevice(parts),
      memory: parts.memory,
      strict,
      warn,
      onViolation: (name, violation) => fail(`${name}: bad driver: ${violation.message}`),
    }),
  }));
}
