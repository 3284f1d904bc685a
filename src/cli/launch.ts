/**
 * One machine on this process's terminal, from the first line of progress to the exit status: what every command that runs a
 * guest has in common. A command says what to run (`Job`) and what the guest's ordinary ends mean to it.
 */
import type { MachineConfig } from '../config/config.js';
import { chooseEngine } from '../host/node/engine.js';
import { ESCAPE_HELP, type EscapeKeys, WAY_OUT } from '../host/node/escape.js';
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
import { statusOf } from './status.js';

/** Busiest ports and pages that are listed. */
const BUSIEST = 10;
/** 128 + SIGPIPE: nobody reads the output any more. */
const READER_LEFT = 128 + 13;

/** What is booted. */
export interface GuestFiles {
  /** For people: `Debian's kernel 6.1.0`. */
  readonly name: string;
  readonly kernel: Input;
  readonly initrd: readonly Input[];
  /** Words of the kernel's command line. */
  readonly append: readonly string[];
}

export interface Job {
  /** Begins each message. */
  readonly program: string;
  /** For the statistics: the guest's name, or `kernel`. */
  readonly guest: string;
  readonly config: MachineConfig;
  readonly kind: SessionKind;
  readonly keys: EscapeKeys;
  readonly verbose: boolean;
  /** Nothing is said of what happens before the guest speaks, unless that takes long. */
  readonly quiet: boolean;
  /** Statistics: the file for them as JSON, or true for a table. */
  readonly stats?: string | true | undefined;
  /** The guest reads window sizes from ttyS2. */
  readonly tellsSize: boolean;
  /** See `SessionOptions`. */
  readonly virtioConsole?: 'input' | 'output' | undefined;
  /** Gets what is to be booted; `signal` is aborted where somebody interrupts that. */
  files(session: Session, progress: Progress, signal: AbortSignal): Promise<GuestFiles>;
  /** Gives up rights, when everything is open. Gets a way to say a line with `--verbose`. */
  readonly confine?: (verbose: (line: string) => void) => void;
  /**
   * The guest has switched itself off, asked for a reset that it does not get, or was ended by the operator: says what is
   * to be said of that, and returns the exit status.
   */
  end(reason: 'poweroff' | 'reset' | 'quit', session: Session): number;
}

/** Runs the guest to its end. Returns the exit status. */
export async function launch(job: Job): Promise<number> {
  const { config, kind, keys } = job;
  const progress = new Progress(process.stderr, job.quiet);
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
    const engine = chooseEngine(config);
    const current = new Session({
      kind,
      keys,
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
      showConsole: job.verbose,
      tellsSize: job.tellsSize,
      virtioConsole: job.virtioConsole,
      onFirstOutput: () => progress.clear(),
      onInput: () => host.wake(),
      onAction: (action) => {
        if (action === 'quit') machine?.powerOff();
        else process.stderr.write(`\r\n${ESCAPE_HELP.join('\r\n')}\r\n`);
      },
    });
    session = current;
    const files = await job.files(current, progress, fetching.signal);
    if (handlers.signalled !== undefined) return handlers.signalled;
    const verbose = (line: string) => {
      if (job.verbose) progress.note(line);
    };
    verbose(`Engine: ${engine.name} (${engine.reason}).`);
    verbose(`Kernel command line: ${files.append.join(' ')}`);
    const { confine } = job;
    machine = createLinuxMachine({
      config,
      kernel: files.kernel,
      initrd: files.initrd,
      append: files.append.join(' '),
      serial: current.ports,
      console: current.virtioConsole,
      host,
      engine,
      flush: () => current.flush(),
      onWarning: verbose,
      onDevices: (names) => names.forEach((name, i) => void verbose(`device ${i + 1}: ${name}`)),
      onBoot: (description) => {
        othersStepBack();
        verbose(`Entering ${description}.`);
      },
      onReset: () => verbose('The guest starts afresh.'),
      ...(confine && { confine: () => confine(verbose) }),
    });
    const reader = stopWhenReaderLeaves(machine);
    const wayOut = hasTerminal(kind, process.stdin, process.stdout) ? ` (${WAY_OUT[keys]})` : '';
    progress.say(`Booting ${files.name}${wayOut}`);
    const prepareMs = performance.now();
    current.open();
    const sampler = job.stats === undefined ? undefined : await Sampler.start();
    const result = await machine.start().finally(() => sampler?.stop());
    current.close();
    progress.clear();
    const status = reader.left ? READER_LEFT : tell(result, job, current);
    tellStats(machine, sampler, job, progress, { result: result.reason, status, engine: engine.name, prepareMs });
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

/** Lines on standard error, below whatever the guest has left there. */
export function say(session: Session, lines: readonly string[]): void {
  process.stderr.write(`${session.isMidLine ? '\n' : ''}${lines.join('\n')}\n`);
}

/** The console that nobody has seen, for the end of a message. */
export function unseenLines({ unseenConsole }: Session): string[] {
  return unseenConsole === '' ? [] : ['The last lines of its console:', unseenConsole];
}

/** Says how it ended where that is worth saying, and returns the exit status. */
function tell(result: MachineResult, job: Job, session: Session): number {
  const { program, config, verbose } = job;
  const unseen = unseenLines(session);
  switch (result.reason) {
    case 'poweroff':
    case 'reset':
    case 'quit':
      return job.end(result.reason, session);
    case 'halt':
      say(session, [`${program}: The guest halted for good, with interrupts off on every vCPU.`, ...unseen]);
      return statusOf(result);
    case 'timeout':
      say(session, [`${program}: The guest was ended after ${config.timeout} s, as --timeout asks.`]);
      return statusOf(result);
    case 'shutdown':
    case 'error': {
      const what = result.reason === 'shutdown' ? 'The guest crashed' : 'The machine stopped';
      const report = result.crash === undefined ? [] : crashReport(result.crash);
      const cause = result.cause instanceof Error && verbose ? [result.cause.stack ?? ''] : [];
      say(session, [`${program}: ${what}: ${result.detail}`, ...report, ...cause, ...unseen]);
      return statusOf(result);
    }
  }
}

function tellStats(
  machine: Machine,
  sampler: Sampler | undefined,
  { config, guest, stats: asked, verbose }: Job,
  progress: Progress,
  end: Pick<StatsContext, 'result' | 'status' | 'engine' | 'prepareMs'>,
): void {
  const stats = machine.stats();
  const samples = sampler?.samples;
  const busiest = machine.exits.busiest(BUSIEST);
  if (verbose || asked === true) for (const line of statsLines(stats, busiest)) progress.note(line);
  if (asked === true) for (const line of timeLines(stats, samples)) progress.note(line);
  if (typeof asked !== 'string') return;
  const context: StatsContext = {
    ...end,
    guest,
    arch: config.arch,
    memory: config.memory,
    cpus: config.cpus,
    rss: process.memoryUsage.rss(),
    rssPeak: process.resourceUsage().maxRSS * 1024,
    busiest,
  };
  writeWhole(asked, statsJson(stats, samples, context), 'statistics file');
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
