/**
 * Command lines as getopt_long(3) of the GNU C library takes them, for the commands that people know from elsewhere: options
 * anywhere among the operands, `--` as their end, `--name=value` and `--name value`, names cut short where that is clear,
 * single letters in a cluster. Complaints are worded as the C library words them.
 */

export interface LongOption {
  readonly name: string;
  readonly argument: boolean;
  /** The single letter that means the same. */
  readonly letter?: string;
}

/** One option that was given, by its full name. */
export interface GivenOption {
  readonly name: string;
  /** Present where the option takes one. */
  readonly value?: string;
}

export interface GivenOptions {
  /** In the order in which they were given. */
  readonly options: readonly GivenOption[];
  readonly operands: readonly string[];
}

/** The command line breaks the rules. The message is one line without the program's name. */
export class GetoptError extends Error {
  override readonly name = 'GetoptError';
}

/**
 * @param posix the first operand ends the options, as with POSIXLY_CORRECT in the environment
 * @throws GetoptError
 */
export function getopt(argv: readonly string[], known: readonly LongOption[], posix = false): GivenOptions {
  const options: GivenOption[] = [];
  const operands: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at];
    if (word === '--') {
      operands.push(...argv.slice(at + 1));
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      if (posix) {
        operands.push(...argv.slice(at));
        break;
      }
      operands.push(word);
      continue;
    }
    const next = () => (at + 1 < argv.length ? argv[++at] : undefined);
    if (word.startsWith('--')) options.push(longOption(word.slice(2), known, next));
    else options.push(...cluster(word.slice(1), known, next));
  }
  return { options, operands };
}

function longOption(text: string, known: readonly LongOption[], next: () => string | undefined): GivenOption {
  const at = text.indexOf('=');
  const typed = at < 0 ? text : text.slice(0, at);
  const { name, argument } = findLong(typed, known);
  if (!argument) {
    if (at >= 0) throw new GetoptError(`option '--${name}' doesn't allow an argument`);
    return { name };
  }
  const value = at < 0 ? next() : text.slice(at + 1);
  if (value === undefined) throw new GetoptError(`option '--${name}' requires an argument`);
  return { name, value };
}

function findLong(typed: string, known: readonly LongOption[]): LongOption {
  const exact = known.find(({ name }) => name === typed);
  if (exact !== undefined) return exact;
  const candidates = known.filter(({ name }) => name.startsWith(typed));
  if (candidates.length === 1) return candidates[0];
  if (candidates.length === 0) throw new GetoptError(`unrecognized option '--${typed}'`);
  const names = candidates.map(({ name }) => `'--${name}'`).join(' ');
  throw new GetoptError(`option '--${typed}' is ambiguous; possibilities: ${names}`);
}

/** `-vx`, where a letter that takes an argument takes the rest of the word, or else the next word. */
function cluster(text: string, known: readonly LongOption[], next: () => string | undefined): GivenOption[] {
  const given: GivenOption[] = [];
  const letters = [...text];
  for (let i = 0; i < letters.length; i++) {
    const option = known.find(({ letter }) => letter === letters[i]);
    if (option === undefined) throw new GetoptError(`invalid option -- '${letters[i]}'`);
    const { name, argument } = option;
    if (!argument) {
      given.push({ name });
      continue;
    }
    const value = i + 1 < letters.length ? letters.slice(i + 1).join('') : next();
    if (value === undefined) throw new GetoptError(`option requires an argument -- '${letters[i]}'`);
    given.push({ name, value });
    break;
  }
  return given;
}
