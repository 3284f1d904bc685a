/**
 * A peripheral is a device's half on the host: an open disk, a network with its thread, a shared folder. It outlives the
 * guest's resets, which make every device anew (the board is made for one life of the guest).
 */
import type { Clock } from '../../../devices/device.js';
import type { VirtioDevice } from '../../../devices/virtio/device.js';
import type { GuestMemory } from '../../../engine/contract.js';
import type { Host } from '../../../machine/host.js';
import type { IoHub } from '../io/hub.js';
import type { ConsoleEnd } from './console.js';

/** What peripherals share with their machine from the beginning. */
export interface PeripheralContext {
  readonly host: Host;
  /** What a virtio console is connected to, where there is one. */
  readonly console?: ConsoleEnd | undefined;
  /** Where threads bring what they have done. */
  readonly io: IoHub;
  /** One sentence for `--verbose`, where something is worth knowing and nothing is lost. */
  readonly warn: (message: string) => void;
  /** A peripheral has died and the machine can't go on without: one sentence. */
  readonly fail: (message: string) => void;
}

/** What a device gets of the board that it is made for. */
export interface DeviceParts {
  readonly memory: GuestMemory;
  readonly clock: Clock;
  /** 32 random bits, unsigned. */
  readonly entropy: () => number;
}

export interface Peripheral {
  /** For messages: `disk d.img`. */
  readonly name: string;
  /** Opens files, sockets and threads, once, before the first device is made. @throws FileError where something is not as it must be */
  open(): Promise<void>;
  /** The device for a new life of the guest. The one before has been reset and is not used any more. */
  createDevice(parts: DeviceParts): VirtioDevice;
  /** Writes out what is not yet written, ends threads, gives locks back. Called once, also where `open` has failed. */
  close(): Promise<void>;
}
