/** The command line. Understands arguments; the work is in one file per command, loaded when it is asked for. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { ARCHITECTURES, ENGINES, IRQCHIPS } from '../config/limits.js';
import { lendModules } from '../host/node/engine-modules.js';
import { lendThread } from '../host/node/kvm/spare-thread.js';
import { PACKAGE_ROOT } from '../host/node/package.js';
import { lendOthers } from '../host/node/priority.js';
import type { Begun } from './begun.js';
import type { ImageOptions } from './image.js';
import { Status, UsageError } from './status.js';

/** Errors whose message is a sentence for the user. Named, since their modules are loaded late. */
const EXPECTED = ['ConfigError', 'EngineError', 'FileError', 'BootError', 'GuestError', 'UsageError'];
const USAGE = ['ConfigError', 'UsageError'];

/** The arguments before the first `--`, and the command after it. */
function splitCommand(argv: readonly string[]): { own: string[]; command: string[] | undefined } {
  const at = argv.indexOf('--');
  return at < 0 ? { own: [...argv], command: undefined } : { own: argv.slice(0, at), command: argv.slice(at + 1) };
}

/** An option that may be repeated. */
function list(value: string, earlier: readonly string[] = []): string[] {
  return [...earlier, value];
}

function version(): string {
  const text = readFileSync(new URL('package.json', PACKAGE_ROOT), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function program(command: string[] | undefined, end: (status: number) => void): Command {
  const main = new Command('typevisor')
    .description('Runs real operating systems in virtual machines.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, 'typevisor: ')),
    })
    .showSuggestionAfterError();

  main
    .command('run')
    .summary('run a guest, or one command in it')
    .description(
      'Runs a guest on this terminal. Without a terminal on standard input, the debian guest shows\n' +
        'its name and memory and switches itself off. With "-- CMD" it runs one command, prints its\n' +
        'output and ends with its status.',
    )
    .usage('[GUEST] [options] [-- CMD...]')
    .argument('[guest]', 'debian: Debian’s own kernel and busybox, fetched with apt-get')
    .option('--kernel <file>', 'a Linux bzImage or vmlinux of your own')
    .option('--initrd <file>', 'its initial RAM disk')
    .option('--append <words>', 'more words for the kernel’s command line')
    .option('--memory <size>', 'memory, such as 512M or 2G', '512M')
    .option('--cpus <n>', 'virtual processors', '1')
    .addOption(new Option('--engine <engine>', 'what runs the processors').choices(ENGINES).default('auto'))
    .addOption(
      new Option('--irqchip <where>', 'where KVM’s interrupt controllers are').choices(IRQCHIPS).default('kernel'),
    )
    .option('--pin <vcpu:cpu>', 'bind a vCPU’s thread to a processor of the host (KVM); may be repeated', list)
    .addOption(new Option('--arch <arch>', 'kind of processor').choices(ARCHITECTURES).default('amd64'))
    .option('--disk <file>', 'a disk: FILE[,readonly][,format=raw|qcow2]; may be repeated', list)
    .option('--net <network>', 'user[,host-loopback=on][,hostfwd=…], tap=NAME, bridge=NAME, socket=PATH or none', list)
    .option('--mac <address>', 'the network device’s address', list)
    .option('--rng', 'a source of random numbers')
    .option('--balloon', 'memory that the guest does not use goes back to the host')
    .option('--share <folder>', 'a folder of the host: DIR[,tag=T][,readonly]; may be repeated', list)
    .option('--vsock <path>', 'sockets between guest and host: PATH[,cid=N]')
    .option('--timeout <seconds>', 'end the guest after this time (status 124)')
    .option('--stats [file]', 'write statistics as JSON; without a file, show them at the end')
    .option('--no-reboot', 'end when the guest restarts, instead of starting it afresh')
    .option('--deterministic', 'time follows the instructions, date and entropy are fixed')
    .option('--strict-io', 'end when the guest uses a port that no device has')
    .option('--no-strict-msr', 'ignore unknown MSRs instead of raising #GP in the guest')
    .option('--virtio-strict', 'end when a driver breaks the virtio standard')
    .option('--verbose', 'tell what happens, and show the console of a command’s guest')
    .addHelpText(
      'after',
      '\nOn the terminal, Ctrl-a x ends the guest, and so does Ctrl-c three times within a second;\n' +
        'Ctrl-a h shows more.\n\n' +
        'Exit status: 0 the guest ended well, 1 an error, 2 wrong usage, 3 the guest crashed (triple\n' +
        'fault), 124 --timeout; with -- CMD, the command’s own status.',
    )
    .action(async (guest: string | undefined, options: object) => {
      const { run } = await import('./run.js');
      end(await run(guest, command, options));
    });

  main
    .command('image')
    .description('Makes disks with a system on them.')
    .command('build')
    .summary('make a disk with a Debian')
    .description(
      'Makes a disk with a minimal Debian of the packages that this machine’s apt-get can fetch. It boots with\n' +
        '"typevisor run debian --disk FILE"; root has no password.',
    )
    .argument('<guest>', 'debian')
    .argument('<file>', 'the disk, which must not exist yet')
    .option('--size <size>', 'of the disk, such as 2G; the file takes only what is used', '2G')
    .addOption(new Option('--arch <arch>', 'kind of processor').choices(ARCHITECTURES).default('amd64'))
    .option('--include <packages>', 'more packages, separated by commas; may be repeated', list)
    .action(async (guest: string, file: string, options: ImageOptions) => {
      if (command !== undefined) throw new UsageError('"typevisor image build" takes no command after "--".');
      const { buildImage } = await import('./image.js');
      end(await buildImage(guest, file, options));
    });

  // Only for the help: its own command line is not ours to parse.
  main
    .command('lguest')
    .summary('run a guest with lguest’s command line')
    .usage('[options] <mem-in-mb> vmlinux [args...]');

  main
    .command('doctor')
    .description('Says what works on this machine, and why something does not.')
    .action(async () => {
      if (command !== undefined) throw new UsageError('"typevisor doctor" takes no command after "--".');
      const { doctor } = await import('./doctor.js');
      end(await doctor());
    });
  return main;
}

/** @returns the exit status */
export async function main(argv: readonly string[], { others, thread, modules }: Begun): Promise<number> {
  if (others !== undefined) lendOthers(others);
  if (thread !== undefined) lendThread(thread);
  if (modules !== undefined) lendModules(modules);
  if (argv[0] === 'lguest') {
    const { lguest } = await import('./lguest.js');
    return guarded(() => lguest(argv.slice(1)));
  }
  return guarded(() => runProgram(argv));
}

async function runProgram(argv: readonly string[]): Promise<number> {
  const { own, command } = splitCommand(argv);
  let status: number = Status.ok;
  const commands = program(command, (value) => (status = value));
  if (own.length === 0) {
    process.stderr.write(commands.helpInformation());
    return Status.usage;
  }
  await commands.parseAsync(own, { from: 'user' });
  return status;
}

/** The status, also where an error ends the work: one for the user is told in its sentence, one of ours with its trace. */
async function guarded(work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? Status.ok : Status.usage;
    if (error instanceof Error && EXPECTED.includes(error.name)) {
      process.stderr.write(`typevisor: ${error.message}\n`);
      return USAGE.includes(error.name) ? Status.usage : Status.error;
    }
    const { reportDefect } = await import('../host/node/exits.js');
    reportDefect(error);
    return Status.error;
  }
}
