/** An engine that has been chosen, and not yet made: it is made anew for each life of the guest. */
import type { Engine, EngineConfig } from '../../engine/contract.js';

export interface ChosenEngine {
  readonly name: string;
  /** Why this one, for `--verbose`. */
  readonly reason: string;
  /** Makes one for each life of the guest. */
  readonly create: (config: EngineConfig) => Promise<Engine>;
  /** Reads every file that an engine may ever need: afterwards the process may lose sight of them. @throws FileError */
  readonly prepare: () => Promise<void>;
  /** Ends what the engines have shared, after the last of them. */
  readonly close: () => Promise<void>;
}

/** An engine that was insisted on can't be had. The message is one sentence that says what to do. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
}
