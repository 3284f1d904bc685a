/** The parts list of a machine's peripherals, in the order in which their devices stand on the PCI bus. */
import type { MachineConfig } from '../../../config/config.js';
import { BalloonPeripheral } from './balloon.js';
import { NetPeripheral } from './net.js';
import type { Peripheral, PeripheralContext } from './peripheral.js';
import { RngPeripheral } from './rng.js';

export type { DeviceParts, Peripheral, PeripheralContext } from './peripheral.js';
export { plugIn } from './plug.js';

/** Makes, without opening, what a configuration asks for. */
export function makePeripherals(config: MachineConfig, context: PeripheralContext): Peripheral[] {
  return [
    ...config.nets.map((net, i) => new NetPeripheral(net, i, context)),
    ...(config.rng ? [new RngPeripheral()] : []),
    ...(config.balloon ? [new BalloonPeripheral(context)] : []),
  ];
}

/**
 * Opens all of them. Where one can't be opened, those before it are closed again.
 * @throws FileError of the first that can't be opened
 */
export async function openPeripherals(peripherals: readonly Peripheral[]): Promise<void> {
  for (const [i, peripheral] of peripherals.entries()) {
    try {
      await peripheral.open();
    } catch (error) {
      await closePeripherals(peripherals.slice(0, i + 1));
      throw error;
    }
  }
}

/** Closes all of them, whatever happens to some. @throws the first error */
export async function closePeripherals(peripherals: readonly Peripheral[]): Promise<void> {
  const ends = await Promise.allSettled(peripherals.map((peripheral) => peripheral.close()));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}
