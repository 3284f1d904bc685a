export { type ConsolePortOptions, type ConsoleSize, VirtioConsole, type VirtioConsoleOptions } from './console.js';
export type { ConsoleBackend } from './port.js';
