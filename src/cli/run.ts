/** `typevisor run`: makes a machine and its guest of the command line; `launch.ts` runs them. */
import { exitStatus, overlayCpio, shellCommand } from '../boot/guest-init.js';
import { type MachineConfig, machineConfig, parsePin, parseSeconds, parseSize, parseWhole } from '../config/config.js';
import { parseDisk, parseMac, parseNet, parseShare, parseVsock } from '../config/devices.js';
import { fetchDebianGuest, type GuestArch } from '../host/node/debian.js';
import type { Session, SessionKind } from '../host/node/session.js';
import { type GuestFiles, type Job, launch, say, unseenLines } from './launch.js';
import type { Progress } from './progress.js';
import { Status, UsageError } from './status.js';

/** What commander hands over: every value as it was typed. */
export interface RunOptions {
  readonly kernel?: string;
  readonly initrd?: string;
  readonly append?: string;
  readonly memory?: string;
  readonly cpus?: string;
  readonly engine?: string;
  readonly irqchip?: string;
  readonly pin?: readonly string[];
  readonly arch?: string;
  readonly timeout?: string;
  /** The file, or true where there is none. */
  readonly stats?: string | true;
  readonly verbose?: boolean;
  readonly reboot?: boolean;
  readonly deterministic?: boolean;
  readonly strictIo?: boolean;
  readonly strictMsr?: boolean;
  readonly virtioStrict?: boolean;
  readonly disk?: readonly string[];
  readonly net?: readonly string[];
  readonly mac?: readonly string[];
  readonly rng?: boolean;
  readonly balloon?: boolean;
  readonly share?: readonly string[];
  readonly vsock?: string;
}

/** Guests that Typevisor knows how to get. */
const GUESTS = ['debian'] as const;
type GuestName = (typeof GUESTS)[number];

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
  // A disk may have a system, whose console is wanted with and without a terminal.
  const asked = guest === undefined || hasInputTerminal || (options.disk ?? []).length > 0;
  const kind = command !== undefined ? 'command' : asked ? 'console' : 'report';
  const config = machineConfig({
    memory: options.memory === undefined ? undefined : parseSize(options.memory, '--memory'),
    cpus: options.cpus === undefined ? undefined : parseWhole(options.cpus, '--cpus'),
    engine: options.engine,
    irqchip: options.irqchip,
    pins: options.pin?.map((text) => parsePin(text)),
    arch: options.arch,
    timeout: options.timeout === undefined ? undefined : parseSeconds(options.timeout, '--timeout'),
    deterministic: options.deterministic,
    // Whoever waits for one answer does not want the guest to begin again.
    reboot: kind === 'console' && options.reboot !== false,
    strictIo: options.strictIo,
    strictMsr: options.strictMsr,
    strictVirtio: options.virtioStrict,
    detailedExits: options.verbose === true || options.stats !== undefined,
    ...deviceSettings(options),
  });
  return { guest: guest as GuestName | undefined, command, options, config, kind };
}

/** @throws ConfigError */
function deviceSettings({ disk = [], net = [], mac = [], share = [], ...options }: RunOptions): Partial<MachineConfig> {
  const nets = net.map((text) => parseNet(text)).filter((asked) => asked !== undefined);
  if (mac.length > nets.length)
    throw new UsageError(`--mac is given ${mac.length} times for ${nets.length} networks; give as many --net.`);
  return {
    disks: disk.map((text) => parseDisk(text)),
    nets: nets.map((asked, i) => (mac[i] === undefined ? asked : { ...asked, mac: parseMac(mac[i]) })),
    shares: share.map((text, i) => parseShare(text, i)),
    ...(options.rng !== undefined && { rng: options.rng }),
    ...(options.balloon !== undefined && { balloon: options.balloon }),
    ...(options.vsock !== undefined && { vsock: parseVsock(options.vsock) }),
  };
}

/** Runs the guest to its end. Returns the exit status. */
export function run(
  guest: string | undefined,
  command: readonly string[] | undefined,
  options: RunOptions,
): Promise<number> {
  const request = understand(guest, command, options, process.stdin.isTTY);
  return launch({
    program: 'typevisor',
    guest: guest ?? 'kernel',
    config: request.config,
    kind: request.kind,
    keys: 'prefix',
    verbose: options.verbose === true,
    quiet: request.kind === 'command',
    stats: options.stats,
    tellsSize: guest !== undefined,
    files: (session, progress, signal) => guestFiles(request, session, progress, signal),
    end: (reason, session) => end(reason, request.kind, session),
  });
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
    // The cloud kernel has no 9P.
    kernel: config.shares.length > 0 ? 'generic' : 'cloud',
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
    shares: config.shares.map(({ tag }) => tag),
    unserved: config.nets.flatMap(({ kind }, i) => (kind === 'socket' ? [`eth${i}`] : [])),
    ...(process.env.TERM !== undefined && size !== undefined && { environment: { TERM: process.env.TERM } }),
  });
  return {
    name: `Debian's kernel ${debian.kernelVersion}`,
    kernel: options.kernel ?? debian.kernel,
    initrd: [...(own.length > 0 ? own : [debian.initrd]), overlay],
    append: [...debian.append, ...(kind === 'report' ? ['tv.do=report'] : []), ...words],
  };
}

/** The guest's own end, or the operator's. A command's guest must have said its status before. */
function end(reason: Parameters<Job['end']>[0], kind: SessionKind, session: Session): number {
  switch (reason) {
    case 'poweroff': {
      if (kind !== 'command') return Status.ok;
      const status = exitStatus(session.controlText);
      if (status !== undefined) return status;
      say(session, ['typevisor: The guest switched itself off before the command had ended.', ...unseenLines(session)]);
      return Status.error;
    }
    case 'reset':
      if (kind === 'console') return Status.ok;
      say(session, [
        'typevisor: The guest restarted instead of finishing; its kernel may have panicked.',
        ...unseenLines(session),
      ]);
      return Status.error;
    case 'quit':
      if (session.isMidLine) process.stderr.write('\n');
      return Status.ok;
  }
}
