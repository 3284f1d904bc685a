/** `typevisor run`: makes a machine of the command line, connects it with the terminal and says how it ended. */
import { exitStatus, overlayCpio, shellCommand } from '../boot/guest-init.js';
import { type MachineConfig, machineConfig, parseSeconds, parseSize, parseWhole } from '../config/config.js';
import { fetchDebianGuest, type GuestArch } from '../host/node/debian.js';
import { chooseEngine } from '../host/node/engine.js';
import { ESCAPE_HELP } from '../host/node/escape.js';
import { onUnplannedExit } from '../host/node/exits.js';
import { writeWhole } from '../host/node/files.js';
import { NodeHost } from '../host/node/host.js';
import { createLinuxMachine, type Input } from '../host/node/machine.js';
import { othersStepBack } from '../host/node/priority.js';
import { Sampler } from '../host/node/sampler.js';
import { hasTerminal, Session, type SessionKind } from '../host/node/session.js';
import type { Machine, MachineResult } from '../machine/machine.js';
import { Progress } from './progress.js';
import { crashReport } from './report.js';
import { type StatsContext, statsJson, statsLines, timeLines } from './stats.js';
import { Status, statusOf, UsageError } from './status.js';

/** What commander hands over: every value as it was typed. */
export interface RunOptions {
  readonly kernel?: string;
  readonly initrd?: string;
  readonly append?: string;
  readonly memory?: string;
  readonly cpus?: string;
  readonly engine?: string;
  readonly arch?: string;
  readonly timeout?: string;
  /** The file, or true where there is none. */
  readonly stats?: string | true;
  readonly verbose?: boolean;
  readonly reboot?: boolean;
  readonly deterministic?: boolean;
  readonly strictIo?: boolean;
  readonly strictMsr?: boolean;
}

/** Guests that Typevisor knows how to get. */
const GUESTS = ['debian'] as const;
type GuestName = (typeof GUESTS)[number];
/** Busiest ports and pages that are listed. */
const BUSIEST = 10;

/** The request, understood and checked. */
interface Request {
  readonly guest: GuestName | undefined;
  readonly command: readonly string[] | undefined;
  readonly options: RunOptions;
  readonly config: MachineConfig;
  readonly kind: SessionKind;
}

/** @throws UsageError, ConfigError */
export function understand(
  guest: string | undefined,
  command: readonly string[] | undefined,
  options: RunOptions,
  hasInputTerminal: boolean,
): Request {
  if (guest !== undefined && !GUESTS.includes(guest as GuestName)) {
    throw new UsageError(
      `There is no guest "${guest}"; the guests are: ${GUESTS.join(', ')}; for your own give --kernel FILE.`,
    );
  }
  if (guest === undefined && options.kernel === undefined) {
    throw new UsageError('Say what to run: a guest, as in "typevisor run debian", or --kernel FILE.');
  }
  if (command !== undefined && command.length === 0) {
    throw new UsageError('There is no command after "--"; give one, or leave "--" away.');
  }
  if (command !== undefined && guest === undefined) {
    throw new UsageError(
      'A command after "--" needs a guest that can run it, as in "typevisor run debian -- uname -a".',
    );
  }
  const kind = command !== undefined ? 'command' : guest === undefined || hasInputTerminal ? 'console' : 'report';
  const config = machineConfig({
    memory: options.memory === undefined ? undefined : parseSize(options.memory, '--memory'),
    cpus: options.cpus === undefined ? undefined : parseWhole(options.cpus, '--cpus'),
    engine: options.engine,
    arch: options.arch,
    timeout: options.timeout === undefined ? undefined : parseSeconds(options.timeout, '--timeout'),
    deterministic: options.deterministic,
    // Whoever waits for one answer does not want the guest to begin again.
    reboot: kind === 'console' && options.reboot !== false,
    strictIo: options.strictIo,
    strictMsr: options.strictMsr,
    detailedExits: options.verbose === true || options.stats !== undefined,
  });
  return { guest: guest as GuestName | undefined, command, options, config, kind };
}

interface GuestFiles {
  readonly name: string;
  readonly kernel: Input;
  readonly initrd: readonly Input[];
  readonly append: readonly string[];
}

/** Runs the guest to its end. Returns the exit status. */
export async function run(
  guest: string | undefined,
  command: readonly string[] | undefined,
  options: RunOptions,
): Promise<number> {
  othersStepBack();
  const request = understand(guest, command, options, process.stdin.isTTY);
  const { config, kind } = request;
  const progress = new Progress(process.stderr, kind === 'command');
  const host = new NodeHost();
  const fetching = new AbortController();
  let machine: Machine | undefined;
  let session: Session | undefined;
  const handlers = onUnplannedExit({
    cleanUp: () => session?.close(),
    interrupt: () => {
      // Fetching leaves nothing half-made behind if it gets the time to tidy up.
      if (machine === undefined) fetching.abort();
      return machine === undefined;
    },
  });
  try {
    const engine = chooseEngine(config.engine);
    session = new Session({
      kind,
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
      showConsole: options.verbose === true,
      tellsSize: request.guest !== undefined,
      onFirstOutput: () => progress.clear(),
      onInput: () => host.wake(),
      onAction: (action) => {
        if (action === 'quit') machine?.powerOff();
        else process.stderr.write(`\r\n${ESCAPE_HELP.join('\r\n')}\r\n`);
      },
    });
    const files = await guestFiles(request, session, progress, fetching.signal);
    if (handlers.signalled !== undefined) return handlers.signalled;
    const verbose = (line: string) => {
      if (options.verbose) progress.note(line);
    };
    verbose(`Engine: ${engine.name} (${engine.reason}).`);
    verbose(`Kernel command line: ${files.append.join(' ')}`);
    const current = session;
    machine = createLinuxMachine({
      config,
      kernel: files.kernel,
      initrd: files.initrd,
      append: files.append.join(' '),
      serial: current.ports,
      host,
      engine,
      flush: () => current.flush(),
      onWarning: verbose,
      onBoot: (description) => verbose(`Entering ${description}.`),
      onReset: () => verbose('The guest starts afresh.'),
    });
    const reader = stopWhenReaderLeaves(machine);
    const wayOut = hasTerminal(kind, process.stdin, process.stdout) ? ' (Ctrl-a x ends it)' : '';
    progress.say(`Booting ${files.name}${wayOut}`);
    const prepareMs = performance.now();
    session.open();
    const sampler = options.stats === undefined ? undefined : await Sampler.start();
    const result = await machine.start().finally(() => sampler?.stop());
    session.close();
    progress.clear();
    const status = reader.left ? 128 + 13 : tell(result, request, session);
    const stats = machine.stats();
    const samples = sampler?.samples;
    if (options.verbose || options.stats === true)
      for (const line of statsLines(stats, machine.exits.busiest(BUSIEST))) progress.note(line);
    if (options.stats === true) for (const line of timeLines(stats, samples)) progress.note(line);
    if (typeof options.stats === 'string') {
      const json = statsJson(stats, samples, context(machine, result, status, request, engine.name, prepareMs));
      writeWhole(options.stats, json, 'statistics file');
    }
    return status;
  } catch (error) {
    if (handlers.signalled !== undefined) return handlers.signalled;
    throw error;
  } finally {
    session?.close();
    progress.clear();
    await drained(process.stdout);
    await drained(process.stderr);
    handlers.remove();
  }
}

async function guestFiles(
  { guest, command, options, config, kind }: Request,
  session: Session,
  progress: Progress,
  signal: AbortSignal,
): Promise<GuestFiles> {
  const words = options.append === undefined ? [] : [options.append];
  const own = options.initrd === undefined ? [] : [options.initrd];
  if (guest === undefined) return { name: 'the kernel', kernel: options.kernel!, initrd: own, append: words };
  const debian = await fetchDebianGuest({
    arch: config.arch as GuestArch,
    signal,
    onProgress: ({ message, fraction }) => progress.say(message, `${Math.floor(fraction * 100)} %`, true),
  });
  const { size } = session;
  const overlay = overlayCpio({
    ...(command !== undefined && {
      command: shellCommand(command),
      terminal: size !== undefined,
      stdin: !process.stdin.isTTY,
    }),
    ...(size !== undefined && { size }),
    ...(process.env.TERM !== undefined && size !== undefined && { environment: { TERM: process.env.TERM } }),
  });
  return {
    name: `Debian's kernel ${debian.kernelVersion}`,
    kernel: options.kernel ?? debian.kernel,
    initrd: [...(own.length > 0 ? own : [debian.initrd]), overlay],
    append: [...debian.append, ...(kind === 'report' ? ['tv.do=report'] : []), ...words],
  };
}

/** Says how it ended where that is worth saying, and returns the exit status. */
function tell(result: MachineResult, request: Request, session: Session): number {
  const { kind, config } = request;
  const say = (lines: readonly string[]) => {
    process.stderr.write(`${session.isMidLine ? '\n' : ''}${lines.join('\n')}\n`);
  };
  const unseen = session.unseenConsole === '' ? [] : ['The last lines of its console:', session.unseenConsole];
  switch (result.reason) {
    case 'poweroff': {
      if (kind !== 'command') return Status.ok;
      const status = exitStatus(session.controlText);
      if (status !== undefined) return status;
      say(['typevisor: The guest switched itself off before the command had ended.', ...unseen]);
      return Status.error;
    }
    case 'reset':
      if (kind === 'console') return Status.ok;
      say(['typevisor: The guest restarted instead of finishing; its kernel may have panicked.', ...unseen]);
      return Status.error;
    case 'quit':
      if (session.isMidLine) process.stderr.write('\n');
      return Status.ok;
    case 'halt':
      say(['typevisor: The guest halted for good, with interrupts off on every vCPU.', ...unseen]);
      return statusOf(result);
    case 'timeout':
      say([`typevisor: The guest was ended after ${config.timeout} s, as --timeout asks.`]);
      return statusOf(result);
    case 'shutdown':
    case 'error': {
      const what = result.reason === 'shutdown' ? 'The guest crashed' : 'The machine stopped';
      const report = result.crash === undefined ? [] : crashReport(result.crash);
      const cause = result.cause instanceof Error && request.options.verbose ? [result.cause.stack ?? ''] : [];
      say([`typevisor: ${what}: ${result.detail}`, ...report, ...cause, ...unseen]);
      return statusOf(result);
    }
  }
}

function context(
  machine: Machine,
  result: MachineResult,
  status: number,
  { guest, config }: Request,
  engine: string,
  prepareMs: number,
): StatsContext {
  return {
    guest: guest ?? 'kernel',
    engine,
    arch: config.arch,
    memory: config.memory,
    cpus: config.cpus,
    result: result.reason,
    status,
    prepareMs,
    rss: process.memoryUsage.rss(),
    rssPeak: process.resourceUsage().maxRSS * 1024,
    busiest: machine.exits.busiest(BUSIEST),
  };
}

/** `typevisor run … | head`: when nobody reads any more, the guest ends. */
function stopWhenReaderLeaves(machine: Machine): { readonly left: boolean } {
  const reader = { left: false };
  process.stdout.on('error', () => {
    reader.left = true;
    machine.powerOff();
  });
  return reader;
}

/** Waits until what was written is out, so that exiting loses nothing. */
function drained(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.destroyed || stream.writableLength === 0) return Promise.resolve();
  return new Promise((resolve) => {
    stream.once('error', () => resolve());
    stream.write('', () => resolve());
  });
}
