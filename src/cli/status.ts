/** How the process ends, and what its exit status means. Documented in README.md. */
import type { MachineResult } from '../machine/machine.js';

export const Status = {
  ok: 0,
  /** Something went wrong; one sentence on standard error says what. */
  error: 1,
  /** The command line can't be understood. */
  usage: 2,
  /** The guest ended in a triple fault. */
  tripleFault: 3,
  /** As coreutils' timeout. */
  timeout: 124,
} as const;

/** The command line asks for something impossible. The message is one sentence that says what to do. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The status that an end of the machine stands for, where no command's own status counts. */
export function statusOf(result: MachineResult): number {
  switch (result.reason) {
    case 'poweroff':
    case 'reset':
    case 'quit':
      return Status.ok;
    case 'shutdown':
      return Status.tripleFault;
    case 'timeout':
      return Status.timeout;
    case 'halt':
    case 'error':
      return Status.error;
  }
}
