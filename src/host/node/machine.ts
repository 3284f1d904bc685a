/** Puts a machine together on Node: engine, board and Linux boot, from a configuration and files. */
import { Board } from '../../board/board.js';
import { parseKernel, planLinux } from '../../boot/linux.js';
import { applyBoot, ramRanges } from '../../boot/plan.js';
import type { MachineConfig } from '../../config/config.js';
import type { Host } from '../../machine/host.js';
import { Machine, type MachineOptions } from '../../machine/machine.js';
import { collectGarbage } from './collect.js';
import { nodeDecompressors } from './decompressors.js';
import { type ChosenEngine, chooseEngine } from './engine.js';
import { type Input, InputSource } from './files.js';
import { NodeHost } from './host.js';
import { IoHub } from './io/hub.js';
import type { ConsoleEnd } from './peripherals/console.js';
import { closePeripherals, makePeripherals, openPeripherals, plugIn } from './peripherals/index.js';
import type { SerialPort } from './serial.js';

/** Milliseconds after which the memory that a kernel was unpacked in is collected: WebAssembly's does not press V8 to do it. */
const GONE_AFTER = 2000;

export type { Input } from './files.js';

export interface LinuxMachineOptions extends Pick<MachineOptions, 'flush' | 'onWarning' | 'onState' | 'onReset'> {
  readonly config: MachineConfig;
  readonly kernel: Input;
  /** Placed one behind the other, as one initial RAM disk. */
  readonly initrd?: readonly Input[];
  /** The kernel's command line. */
  readonly append?: string;
  /** COM1 to COM4. */
  readonly serial?: readonly SerialPort[];
  /** What the virtio console is connected to, if the configuration has one. */
  readonly console?: ConsoleEnd | undefined;
  /** Default: a NodeHost. Another has no threads, so peripherals that need one are of no use with it. */
  readonly host?: Host;
  readonly engine?: ChosenEngine;
  /** What the devices on the PCI bus are, from device 1 on: told once, when all are open. */
  readonly onDevices?: (names: readonly string[]) => void;
  /** What is entered, where, and who unpacks it. */
  readonly onBoot?: (description: string) => void;
  /**
   * Called once, when everything of the host that the machine will ever need is open and before the guest's first
   * instruction: gives up rights. What it throws ends the machine.
   */
  readonly confine?: () => void;
}

/**
 * A machine that boots a Linux kernel (or one with a PVH entry). Files are read here and again after each reset, rather
 * than kept: between boots they would only take memory. A machine that is going to be confined keeps them open, so that it
 * can read them again.
 * @throws FileError, BootError where a file can't be read or is no kernel; what does not fit rejects `start`.
 */
export function createLinuxMachine(options: LinuxMachineOptions): Machine<Board> {
  const { config, serial = [] } = options;
  const engine = options.engine ?? chooseEngine(config);
  const host = options.host ?? new NodeHost();
  const peripherals = makePeripherals(config, {
    host,
    console: options.console,
    io: host instanceof NodeHost ? host.io : new IoHub(),
    warn: (message) => options.onWarning?.(message),
    fail: (message) => machine.fail(message),
  });
  const keep = options.confine !== undefined;
  const kernel = new InputSource(options.kernel, 'kernel', keep);
  const initrd = (options.initrd ?? []).map((input) => new InputSource(input, 'initrd', keep));
  const load = () => ({
    kernel: parseKernel(kernel.read(), nodeDecompressors),
    initrd: initrd.map((input) => input.read()),
  });
  let loaded: ReturnType<typeof load> | undefined = load();
  const release = async () => {
    for (const input of [kernel, ...initrd]) input.close();
    await engine.close();
  };
  const close = async () => {
    await release();
    await closePeripherals(peripherals);
  };
  const machine = new Machine<Board>({
    ...pickCallbacks(options),
    config,
    host,
    open: async () => {
      try {
        await openPeripherals(peripherals);
        options.onDevices?.(peripherals.map(({ name }) => name));
      } catch (error) {
        await release();
        throw error;
      }
      if (options.confine === undefined) return;
      try {
        await engine.prepare();
        options.confine();
      } catch (error) {
        await close();
        throw error;
      }
    },
    close,
    createEngine: engine.create,
    createBoard: (parts) => {
      const warn = (message: string) => options.onWarning?.(message);
      const pci = plugIn(peripherals, parts, { strict: config.strictVirtio, warn, fail: (why) => machine.fail(why) });
      const board = new Board({ ...parts, serial, pci });
      for (const [i, port] of serial.entries()) port.connect(board.uarts[i]);
      return board;
    },
    boot: ({ memory, vcpus }, board) => {
      const files = loaded ?? load();
      const plan = planLinux({
        ...files,
        commandLine: options.append ?? '',
        ram: ramRanges(memory),
        memoryMap: board.memoryMap,
        acpiRsdp: board.acpiRsdp,
        arch: config.arch,
      });
      loaded = undefined;
      // What the kernel was unpacked in is worth some ten milliseconds, for a guest that stays.
      if (files.kernel.compression !== undefined) setTimeout(collectGarbage, GONE_AFTER).unref();
      applyBoot(memory, vcpus[0], plan);
      options.onBoot?.(plan.description);
    },
  });
  return machine;
}

function pickCallbacks({ flush, onWarning, onState, onReset }: LinuxMachineOptions) {
  return {
    ...(flush && { flush }),
    ...(onWarning && { onWarning }),
    ...(onState && { onState }),
    ...(onReset && { onReset }),
  };
}
