/**
 * The operator's terminal in raw mode, and back: however the process ends, the shell that started us must get its
 * terminal as it was. Only SIGKILL can prevent that.
 */
import type { ReadStream, WriteStream } from 'node:tty';
import { type EscapeAction, type EscapeKeys, EscapeParser } from './escape.js';

export interface TerminalEvents {
  onInput(bytes: Uint8Array): void;
  onAction(action: EscapeAction): void;
  onResize(rows: number, columns: number): void;
}

export class Terminal {
  private readonly input: ReadStream;
  private readonly output: WriteStream;
  private readonly escape: EscapeParser;
  private undo: (() => void) | undefined;

  constructor(input: ReadStream, output: WriteStream, keys: EscapeKeys) {
    this.input = input;
    this.output = output;
    this.escape = new EscapeParser(keys);
  }

  get rows(): number {
    return this.output.rows || 24;
  }

  get columns(): number {
    return this.output.columns || 80;
  }

  /** Raw mode on: from now every key is `onInput`'s or `onAction`'s. */
  open(events: TerminalEvents): void {
    if (this.undo !== undefined) return;
    const onData = (bytes: Uint8Array) => {
      const { input, actions } = this.escape.parse(bytes, performance.now());
      if (input.length > 0) events.onInput(input);
      for (const action of actions) events.onAction(action);
    };
    const onResize = () => events.onResize(this.rows, this.columns);
    // Stopped (SIGSTOP) and continued: the shell has set its own mode meanwhile.
    const onContinue = () => this.input.setRawMode(true);
    const restore = () => this.close();

    this.input.setRawMode(true);
    this.input.on('data', onData);
    this.input.resume();
    this.output.on('resize', onResize);
    process.on('SIGCONT', onContinue);
    process.on('exit', restore);
    this.undo = () => {
      this.input.setRawMode(false);
      this.input.off('data', onData);
      this.input.pause();
      this.output.off('resize', onResize);
      process.off('SIGCONT', onContinue);
      process.off('exit', restore);
    };
  }

  /** The terminal as it was. Harmless when it already is. */
  close(): void {
    const undo = this.undo;
    this.undo = undefined;
    undo?.();
  }
}
