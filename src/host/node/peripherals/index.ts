/** The parts list of a machine's peripherals, in the order in which their devices stand on the PCI bus. */
import type { MachineConfig } from '../../../config/config.js';
import { DEVICE_KINDS } from '../../../config/limits.js';
import { BalloonPeripheral } from './balloon.js';
import { ConsolePeripheral } from './console.js';
import { DiskPeripheral } from './disk.js';
import { NetPeripheral } from './net.js';
import type { Peripheral, PeripheralContext } from './peripheral.js';
import { RngPeripheral } from './rng.js';
import { SharePeripheral } from './share.js';
import { TapPeripheral } from './tap.js';
import { VsockPeripheral } from './vsock.js';

type DeviceKind = (typeof DEVICE_KINDS)[number];

export type { DeviceParts, Peripheral, PeripheralContext } from './peripheral.js';
export { plugIn } from './plug.js';

/** Makes, without opening, what a configuration asks for. */
export function makePeripherals(config: MachineConfig, context: PeripheralContext): Peripheral[] {
  const made: Readonly<Partial<Record<DeviceKind, Peripheral[]>>> = {
    console: config.virtioConsole && context.console ? [new ConsolePeripheral(context.console)] : [],
    disk: config.disks.map((disk) => new DiskPeripheral(disk, config, context)),
    net: config.nets.map((net, i) =>
      net.kind === 'tap' || net.kind === 'bridge'
        ? new TapPeripheral(net, i, context)
        : new NetPeripheral(net, i, context),
    ),
    rng: config.rng ? [new RngPeripheral()] : [],
    balloon: config.balloon ? [new BalloonPeripheral(context)] : [],
    share: config.shares.map((share) => new SharePeripheral(share, context)),
    vsock: config.vsock ? [new VsockPeripheral(config.vsock, context)] : [],
  };
  return inOrder(made, config.deviceOrder);
}

/** Each word of `order` takes the next of its kind; what is left follows, kind by kind. */
function inOrder(
  made: Readonly<Partial<Record<DeviceKind, Peripheral[]>>>,
  order: readonly DeviceKind[],
): Peripheral[] {
  const left = new Map(DEVICE_KINDS.map((kind) => [kind, [...(made[kind] ?? [])]]));
  const first = order.map((kind) => left.get(kind)!.shift()).filter((peripheral) => peripheral !== undefined);
  return [...first, ...[...left.values()].flat()];
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
