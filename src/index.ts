/**
 * Typevisor as a library:
 *
 *   import { createMachine } from 'typevisor';
 *   const machine = createMachine({ kernel: 'vmlinuz', initrd: ['initrd.cpio'], append: 'console=ttyS0' });
 *   const { reason } = await machine.start();
 */
import { machineConfig } from './config/config.js';
import type { MachineConfig } from './config/schema.js';
import { NodeHost } from './host/node/host.js';
import { createLinuxMachine, type LinuxMachineOptions } from './host/node/machine.js';
import { StreamSink } from './host/node/output.js';
import { SerialPort } from './host/node/serial.js';
import type { Machine } from './machine/machine.js';

export { BootError } from './boot/errors.js';
export { ConfigError, machineConfig, parseSize } from './config/config.js';
export type { MachineConfig } from './config/schema.js';
export type { Engine, EngineConfig, EngineStats, Exit, GuestMemory, Vcpu, VcpuState } from './engine/contract.js';
export { type DebianGuest, type FetchOptions, type FetchProgress, fetchDebianGuest } from './host/node/debian.js';
export { FileError } from './host/node/files.js';
export { GuestError } from './host/node/guest-error.js';
export { NodeHost } from './host/node/host.js';
export type { Input, LinuxMachineOptions } from './host/node/machine.js';
export { type ByteSink, FileSink, StreamSink } from './host/node/output.js';
export { SerialPort } from './host/node/serial.js';
export type { Host } from './machine/host.js';
export { Machine, type MachineResult, type MachineState, type MachineStats } from './machine/machine.js';

export interface MachineRequest extends Omit<LinuxMachineOptions, 'config' | 'host'> {
  /** Settings that differ from the defaults. */
  readonly config?: Partial<MachineConfig>;
}

/**
 * A machine that boots a Linux kernel when it is started. Without `serial` its console goes to standard output.
 * @throws ConfigError where a setting can't be. Errors of the kernel or the initrd reject `start`.
 */
export function createMachine({ config = {}, ...rest }: MachineRequest): Machine {
  const host = new NodeHost();
  const serial = rest.serial ?? [new SerialPort(new StreamSink(process.stdout))];
  for (const port of serial) port.onInput = () => host.wake();
  return createLinuxMachine({
    flush: () => {
      const slow = serial.map((port) => port.flush()).filter((waiting) => waiting !== undefined);
      return slow.length === 0 ? undefined : Promise.all(slow).then(() => {});
    },
    ...rest,
    serial,
    host,
    config: machineConfig(config),
  });
}
