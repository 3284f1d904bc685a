/** `typevisor run`: makes a machine of the command line, connects it with the terminal and says how it ended. */
import { encodeStdin, exitStatus, overlayCpio, shellCommand, STDIN_END } from '../boot/guest-init.js';
import { parseKernel, planLinux } from '../boot/linux.js';
import { applyBoot, ramRanges } from '../boot/plan.js';
import { machineConfig, parseSeconds, parseSize, parseWhole } from '../config/config.js';
import type { Engine } from '../engine/contract.js';
import { fetchDebianGuest } from '../host/node/debian.js';
import { nodeDecompressors } from '../host/node/decompressors.js';
import { chooseEngine } from '../host/node/engine.js';
import { onUnplannedExit } from '../host/node/exits.js';
import { readInput, writeWhole } from '../host/node/files.js';
import { NodeHost } from '../host/node/host.js';
import { Machine, type MachineResult } from '../machine/machine.js';
import { connectConsole, type GuestConsole } from './console.js';
import { Progress } from './progress.js';
import { crashReport, statsJson, statsLines } from './report.js';
import { Status, statusOf, UsageError } from './status.js';

/** What commander hands over: every value as it was typed. */
export interface RunOptions {
  readonly kernel?: string;
  readonly initrd?: string;
  readonly append?: string;
  readonly memory?: string;
  readonly cpus?: string;
  readonly engine?: string;
  readonly arch?: string;
  readonly timeout?: string;
  readonly stats?: string;
  readonly verbose?: boolean;
  readonly reboot?: boolean;
  readonly deterministic?: boolean;
  readonly strictIo?: boolean;
  readonly lenientMsr?: boolean;
}
