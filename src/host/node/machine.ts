/** Puts a machine together on Node: engine, board and Linux boot, from a configuration and files. */
import type { UartBackend } from '../../devices/uart/uart.js';
import { parseKernel, planLinux } from '../../boot/linux.js';
import { applyBoot, type BootPlan, ramRanges } from '../../boot/plan.js';
import { Board } from '../../board/board.js';
import type { MachineConfig } from '../../config/config.js';
import { Machine, type MachineOptions } from '../../machine/machine.js';
import { nodeDecompressors } from './decompressors.js';
import { type ChosenEngine, chooseEngine } from './engine.js';
import { readInput } from './files.js';
import { NodeHost } from './host.js';
import type { SerialPort } from './serial.js';
