/**
 * Progress on standard error: one line that is rewritten on a terminal, plain lines elsewhere. Where only a command's
 * output is wanted, nothing is said unless the wait is long enough that somebody wonders.
 */
import type { Writable } from 'node:stream';

export interface ProgressStream extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** When a quiet progress begins to speak, in ms. */
const PATIENCE = 3000;

export class Progress {
  private readonly stream: ProgressStream;
  private readonly quiet: boolean;
  private readonly now: () => number;
  private readonly begun: number;
  private shown = '';
  private lastPlain = '';

  constructor(stream: ProgressStream, quiet: boolean, now: () => number = () => performance.now()) {
    this.stream = stream;
    this.quiet = quiet;
    this.now = now;
    this.begun = now();
  }

  /**
   * Says what happens now. `step` is a few words; `detail` changes quickly (a percentage) and is for terminals only.
   * `slow`: the step is known to take long (a download), so it is said even where we are quiet.
   */
  say(step: string, detail = '', slow = false): void {
    if (this.quiet && !slow && this.now() - this.begun < PATIENCE) return;
    if (this.stream.isTTY) {
      const line = `${step}${detail === '' ? '' : ` ${detail}`} …`.slice(
        0,
        Math.max(1, (this.stream.columns || 80) - 1),
      );
      this.stream.write(`\r\x1b[K${line}`);
      this.shown = line;
    } else if (step !== this.lastPlain) {
      this.stream.write(`${step} …\n`);
      this.lastPlain = step;
    }
  }

  /** Takes the line away: the guest's own output begins. */
  clear(): void {
    if (this.shown !== '') this.stream.write('\r\x1b[K');
    this.shown = '';
  }

  /** A line that stays. */
  note(line: string): void {
    this.clear();
    this.stream.write(`${line}\n`);
  }
}
