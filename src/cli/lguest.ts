/**
 * `typevisor lguest`: the command line of lguest's launcher, with its console manners and its exit statuses. It makes a
 * machine and its guest of what was typed, as `run` does; everything else is the same.
 *
 * Where it is not the launcher that people know: `chroot` and `--username` come before the first instruction of the guest but
 * after all files are open, and a reboot needs no file any more; a power-off is no failure (status 0).
 */
import { type MachineConfig, machineConfig, parseSize } from '../config/config.js';
import { parseTunnet } from '../config/tunnet.js';
import { confine, findUser } from '../host/node/privileges.js';
import { GetoptError, getopt, type LongOption } from './getopt.js';
import { launch } from './launch.js';
import { Status } from './status.js';

const PROGRAM = 'lguest';

const OPTIONS: readonly LongOption[] = [
  { name: 'verbose', argument: false, letter: 'v' },
  { name: 'tunnet', argument: true },
  { name: 'block', argument: true },
  { name: 'rng', argument: false },
  { name: 'initrd', argument: true },
  { name: 'username', argument: true },
  { name: 'chroot', argument: true },
  { name: 'help', argument: false },
];

const USAGE = `Usage: ${PROGRAM} [--verbose] [--tunnet=(IP[:MAC]|bridge:NAME[:MAC])] [--block=FILE] [--rng]
              [--initrd=FILE] [--username=USER] [--chroot=FOLDER]
              <mem-in-mb> vmlinux [args...]
`;

/** Errors whose message is a sentence for the user. */
const EXPECTED = ['ConfigError', 'EngineError', 'FileError', 'BootError', 'GetoptError'];
/** 128 + SIGINT: three ^C mean what one means to any other program. */
const INTERRUPTED = 128 + 2;

/** The command line, understood and checked. */
export interface LguestRequest {
  readonly verbose: boolean;
  readonly config: MachineConfig;
  readonly kernel: string;
  readonly initrd: string | undefined;
  readonly append: readonly string[];
  readonly username: string | undefined;
  readonly chroot: string | undefined;
}

/** @returns undefined where only help is asked for. @throws GetoptError, ConfigError */
export function understandLguest(argv: readonly string[], posix: boolean): LguestRequest | undefined {
  const { options, operands } = getopt(argv, OPTIONS, posix);
  const given = (name: string) => options.filter((option) => option.name === name);
  // Of an option that can mean only one thing the last counts.
  const last = (name: string) => given(name).at(-1)?.value;
  if (given('help').length > 0) return undefined;
  const [memory, kernel, ...append] = operands;
  if (memory === undefined) throw new GetoptError('the memory size and the kernel are missing');
  if (kernel === undefined) throw new GetoptError('the kernel is missing');
  const config = machineConfig({
    memory: parseSize(memory, 'The memory size'),
    // Whoever breaks the rules of virtio is told so and stopped: that is what lguest is known for.
    strictVirtio: true,
    virtioConsole: true,
    disks: given('block').map(({ value }) => ({ path: value!, format: 'raw', readonly: false })),
    nets: given('tunnet').map(({ value }) => parseTunnet(value!)),
    rng: given('rng').length > 0,
    deviceOrder: deviceOrder(options.map(({ name }) => name)),
  });
  return {
    verbose: given('verbose').length > 0,
    config,
    kernel,
    initrd: last('initrd'),
    append: withConsole(append),
    username: last('username'),
    chroot: last('chroot'),
  };
}

const KINDS = new Map([
  ['tunnet', 'net'],
  ['block', 'disk'],
  ['rng', 'rng'],
] as const);

/** The console is the first device; the others follow as they are asked for. A second --rng changes nothing. */
function deviceOrder(names: readonly string[]): MachineConfig['deviceOrder'] {
  const kinds = names.map((name) => (KINDS as ReadonlyMap<string, 'net' | 'disk' | 'rng'>).get(name));
  const asked = kinds.filter((kind, i) => kind !== undefined && (kind !== 'rng' || kinds.indexOf('rng') === i));
  return ['console', ...(asked as ('net' | 'disk' | 'rng')[])];
}

/** A kernel that knows lguest takes the virtio console by itself; others have to be told. */
function withConsole(words: readonly string[]): string[] {
  return words.some((word) => word.startsWith('console=')) ? [...words] : ['console=hvc0', ...words];
}

/** Runs the guest to its end. Returns the exit status. */
export async function lguest(argv: readonly string[]): Promise<number> {
  try {
    const request = understandLguest(argv, process.env.POSIXLY_CORRECT !== undefined);
    if (request === undefined) {
      process.stdout.write(USAGE);
      return Status.ok;
    }
    return await runLguest(request);
  } catch (error) {
    if (!(error instanceof Error && EXPECTED.includes(error.name))) throw error;
    process.stderr.write(`${PROGRAM}: ${error.message}\n`);
    if (error.name === 'GetoptError') process.stderr.write(USAGE);
    return Status.error;
  }
}

async function runLguest({
  verbose,
  config,
  kernel,
  initrd,
  append,
  username,
  chroot,
}: LguestRequest): Promise<number> {
  const user = username === undefined ? undefined : findUser(username);
  const confined = chroot !== undefined || user !== undefined;
  const status = await launch({
    program: PROGRAM,
    guest: 'kernel',
    config,
    kind: 'console',
    keys: 'interrupts',
    verbose,
    quiet: true,
    tellsSize: false,
    virtioConsole: append.some((word) => word.startsWith('console=hvc')) ? 'input' : 'output',
    files: async () => ({
      name: kernel,
      kernel,
      initrd: initrd === undefined ? [] : [initrd],
      append,
    }),
    ...(confined && {
      confine: (told) => confine({ ...(chroot !== undefined && { chroot }), ...(user && { user }), told }),
    }),
    end: (reason, session) => {
      if (reason === 'quit') return INTERRUPTED;
      if (session.isMidLine) process.stderr.write('\n');
      return Status.ok;
    },
  });
  // One status for whatever goes wrong.
  return status === Status.tripleFault ? Status.error : status;
}
