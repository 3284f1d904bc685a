/**
 * Ends of the process that nobody planned: signals and defects of ours. They clean up (terminal, temporary files) once
 * and end with the status that a shell expects.
 */
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

export interface UnplannedExit {
  /** Puts the terminal back and the like: quick, and never throws. */
  readonly cleanUp: () => void;
  /**
   * Work that needs a moment to clean up after itself is going on: tells it to stop and returns true. The process then
   * ends when that work has. A second signal does not wait.
   */
  readonly interrupt?: () => boolean;
}

export interface ExitHandlers {
  /** 128 + number of the signal that `interrupt` took care of. */
  readonly signalled: number | undefined;
  remove(): void;
}

export function onUnplannedExit({ cleanUp, interrupt }: UnplannedExit): ExitHandlers {
  let signalled: number | undefined;
  const installed: (() => void)[] = [];
  for (const [signal, number] of Object.entries(SIGNALS)) {
    const handler = () => {
      const first = signalled === undefined;
      signalled = 128 + number;
      if (first && interrupt?.()) return;
      cleanUp();
      process.exit(signalled);
    };
    process.on(signal as keyof typeof SIGNALS, handler);
    installed.push(() => process.off(signal, handler));
  }
  const defect = (error: unknown) => {
    cleanUp();
    reportDefect(error);
    process.exit(1);
  };
  process.on('uncaughtException', defect);
  process.on('unhandledRejection', defect);
  installed.push(() => process.off('uncaughtException', defect).off('unhandledRejection', defect));
  return {
    get signalled() {
      return signalled;
    },
    remove: () => {
      for (const undo of installed) undo();
    },
  };
}

/** The only place that prints a stack trace: what went wrong is ours, not the user's. */
export function reportDefect(error: unknown): void {
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`typevisor: This is a defect of Typevisor; please report it with these lines.\n${detail}\n`);
}
