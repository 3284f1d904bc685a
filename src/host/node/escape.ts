/**
 * The way out of a raw terminal: every key goes to the guest, but Ctrl-a starts a command to Typevisor, and ^C three
 * times within a second ends the machine, for whoever does not know about Ctrl-a.
 */
export type EscapeAction = 'quit' | 'help';

/** Which keys are ours: Ctrl-a with what follows and the three ^C, or (as lguest has it) those alone. */
export type EscapeKeys = 'prefix' | 'interrupts';

/** In a few words, how the operator ends the machine. */
export const WAY_OUT: Readonly<Record<EscapeKeys, string>> = {
  prefix: 'Ctrl-a x ends it',
  interrupts: 'Ctrl-c three times ends it',
};

export interface Parsed {
  /** What the guest gets. */
  readonly input: Uint8Array;
  /** What the operator asked of us, in order. */
  readonly actions: readonly EscapeAction[];
}

export const ESCAPE_HELP = [
  'Ctrl-a x       ends the virtual machine',
  'Ctrl-a h       shows this help',
  'Ctrl-a Ctrl-a  sends Ctrl-a to the guest',
  'Ctrl-c         three times within a second ends the virtual machine',
];

const CTRL_A = 0x01;
const CTRL_C = 0x03;
const INTERRUPTS = 3;
const INTERRUPT_WINDOW = 1000;

export class EscapeParser {
  private readonly keys: EscapeKeys;
  private escaped = false;
  /** Times of the latest ^Cs in ms, at most INTERRUPTS of them. */
  private interrupts: number[] = [];

  constructor(keys: EscapeKeys = 'prefix') {
    this.keys = keys;
  }

  /** Takes a piece of input that arrived at `now` (ms). A command may be cut between two pieces. */
  parse(bytes: Uint8Array, now: number): Parsed {
    const input: number[] = [];
    const actions: EscapeAction[] = [];
    for (const byte of bytes) {
      if (this.escaped) {
        this.escaped = false;
        const key = String.fromCharCode(byte).toLowerCase();
        if (key === 'x') actions.push('quit');
        else if (key === 'h' || key === '?') actions.push('help');
        else if (byte === CTRL_A) input.push(CTRL_A);
        // Anything else was not meant for us after all.
        else input.push(CTRL_A, byte);
        continue;
      }
      if (byte === CTRL_A && this.keys === 'prefix') {
        this.escaped = true;
        continue;
      }
      if (byte === CTRL_C && this.isLastInterrupt(now)) actions.push('quit');
      if (byte !== CTRL_C) this.interrupts = [];
      input.push(byte);
    }
    return { input: Uint8Array.from(input), actions };
  }

  private isLastInterrupt(now: number): boolean {
    this.interrupts = [...this.interrupts.filter((at) => now - at <= INTERRUPT_WINDOW), now];
    return this.interrupts.length >= INTERRUPTS;
  }
}
