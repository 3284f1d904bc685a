/**
 * Builds disks with a Debian on them, without root: the machine's package client fetches the packages, and a guest of ours,
 * which has the new disk, installs them (boot/debian-image.ts). The disk grows beside its place and is renamed when it is whole.
 */
import { execFile } from 'node:child_process';
import { closeSync, existsSync, fsyncSync, ftruncateSync, openSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { buildArchive, buildCommand, type ImagePackages, type ImageSystem, writeDeb } from '../../boot/debian-image.js';
import { exitStatus, overlayCpio } from '../../boot/guest-init.js';
import { formatSize, machineConfig } from '../../config/config.js';
import { MIB } from '../../config/limits.js';
import type { Machine } from '../../machine/machine.js';
import { Apt, type PackageRecord } from './apt.js';
import { type FetchProgress, fetchDebianGuest, type GuestArch } from './debian.js';
import { FileError } from './files.js';
import { defaultCacheDir, GuestCache } from './guest-cache.js';
import { GuestError } from './guest-error.js';
import { createLinuxMachine } from './machine.js';
import type { ByteSink } from './output.js';
import { SerialPort, TailSink } from './serial.js';

const run = promisify(execFile);
const fastGzip = promisify(gzip);

/** A minimal system takes about 300 MiB, and its first apt-get update 100 more. */
export const SMALLEST_IMAGE = 512 * MIB;
const BUILD_MEMORY = 1024 * MIB;

/** What every system has, as patterns of apt-patterns(7) and names. A merged /usr is there from the beginning. */
const BASE = ['?essential', 'usr-is-merged'];
const WANTED = [
  ...BASE,
  '?priority(required)',
  'systemd-sysv udev dbus libpam-systemd kmod procps',
  'apt ca-certificates netbase iproute2 iputils-ping less',
].flatMap((line) => (line.startsWith('?') ? [line] : line.split(' ')));
/** Packages that not every release has as packages of their own. */
const WHERE_THERE = ['systemd-resolved'];
const TOOLS = ['e2fsprogs'];

export interface ImageRequest {
  /** The file to be made. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly arch: GuestArch;
  /** More packages by name. */
  readonly include: readonly string[];
  readonly cacheDir?: string | undefined;
  readonly onProgress: (message: string, fraction?: number) => void;
  readonly signal: AbortSignal;
}

export interface BuiltImage {
  readonly packages: number;
  /** Why the new system has no package sources, where it has none. */
  readonly remark?: string;
}

/** Where the disk grows until it is whole. */
export function draftOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
}

/** @throws FileError, GuestError: one sentence. Nothing is left behind then. */
export async function buildDebianImage(request: ImageRequest): Promise<BuiltImage> {
  const { path, size, arch, onProgress, signal } = request;
  if (existsSync(path)) throw new FileError(`"${path}" exists already; remove it, or give another name.`);
  const draft = draftOf(path);
  makeEmpty(draft, size);
  try {
    const tell = ({ message, fraction }: FetchProgress) => onProgress(message, fraction);
    const debian = await fetchDebianGuest({ arch, signal, onProgress: tell, cacheDir: request.cacheDir });
    const { archive, command, count, remark } = await fetchSystem(request);
    const guest = new BuildingGuest((step) => onProgress(step));
    const machine = createLinuxMachine({
      config: machineConfig({
        memory: BUILD_MEMORY,
        arch,
        reboot: false,
        disks: [{ path: draft, format: 'raw', readonly: false }],
      }),
      kernel: debian.kernel,
      initrd: [debian.initrd, overlayCpio({ command }), archive],
      append: debian.append.join(' '),
      serial: guest.ports,
    });
    await guest.run(machine, signal);
    syncFile(draft);
    // Whoever has made a file of that name meanwhile keeps it.
    if (existsSync(path)) throw new FileError(`"${path}" has been made by somebody else meanwhile; give another name.`);
    renameSync(draft, path);
    return { packages: count, ...(remark !== undefined && { remark }) };
  } finally {
    rmSync(draft, { force: true });
  }
}

interface FetchedSystem {
  readonly archive: Uint8Array;
  readonly command: string;
  readonly count: number;
  readonly remark: string | undefined;
}

async function fetchSystem({ arch, include, signal, onProgress, cacheDir }: ImageRequest): Promise<FetchedSystem> {
  return new GuestCache(cacheDir ?? defaultCacheDir()).withTemporary(async (directory) => {
    const apt = await Apt.open({ arch, directory, signal });
    onProgress('Fetching the package lists', 0);
    await apt.update((fraction) => onProgress('Fetching the package lists', fraction));
    const { packages, tools, base } = await planPackages(apt, include);
    const megabytes = (packages.reduce((sum, { size }) => sum + size, 0) / 1e6).toFixed(0);
    const downloading = `Downloading ${packages.length} packages (${megabytes} MB)`;
    const files = await apt.download(packages, (fraction) => onProgress(downloading, fraction));
    const names = new Map(packages.map(({ name }, i) => [name, basename(files[i])]));
    const filesOf = (wanted: readonly string[]) =>
      wanted.map((name) => names.get(name)).filter((name) => name !== undefined);
    const chosen: ImagePackages = {
      tools: filesOf(tools),
      base: filesOf(base),
      all: packages.map(({ name }) => names.get(name)!),
      contents: await repack(files, onProgress, signal),
    };
    const sources = await apt.sources();
    const system: ImageSystem = {
      arch,
      sources,
      aptSettings: await apt.proxies(),
      services: ['systemd-networkd.service', 'systemd-resolved.service'],
    };
    return {
      archive: buildArchive(system, chosen),
      command: buildCommand(system),
      count: packages.length,
      remark:
        sources.length > 0
          ? undefined
          : 'None of this machine’s package sources is Debian’s own, so the new system has none; write /etc/apt/sources.list there.',
    };
  });
}

export interface PackagePlan {
  /** All that go onto the disk, in an order in which they can be unpacked. */
  readonly packages: readonly PackageRecord[];
  /** Names of those that the guest needs first: to make the file system, and to run dpkg in it. */
  readonly tools: readonly string[];
  readonly base: readonly string[];
}

/** What a system is made of. @param include what somebody wants besides */
export async function planPackages(
  apt: Pick<Apt, 'show' | 'resolve'>,
  include: readonly string[],
): Promise<PackagePlan> {
  const optional = [...(await apt.show(WHERE_THERE)).keys()];
  const all = await apt.resolve([...WANTED, ...optional, ...include]);
  const records = await apt.show(all);
  const packages = all.map((name) => records.get(name)).filter((record) => record !== undefined);
  return { packages, tools: await apt.resolve(TOOLS), base: await apt.resolve(BASE) };
}

/**
 * The packages with other compression: unpacking xz is work for a processor of iron, and the guest does it twice. By the files'
 * names.
 */
async function repack(
  files: readonly string[],
  onProgress: ImageRequest['onProgress'],
  signal: AbortSignal,
): Promise<Map<string, Uint8Array>> {
  const contents = new Map<string, Uint8Array>();
  for (const [i, path] of files.entries()) {
    onProgress('Repacking them for the guest', i / files.length);
    const [control, data] = await Promise.all(
      ['--ctrl-tarfile', '--fsys-tarfile'].map(async (what) => fastGzip(await tarOf(path, what, signal), { level: 1 })),
    );
    contents.set(basename(path), writeDeb(control, data, '.gz'));
  }
  return contents;
}

async function tarOf(path: string, what: string, signal: AbortSignal): Promise<Buffer> {
  try {
    return (await run('dpkg-deb', [what, path], { encoding: 'buffer', maxBuffer: 2 ** 30, signal })).stdout;
  } catch (error) {
    if (signal.aborted) throw new GuestError('aborted', 'Building the image was interrupted.');
    const why = (error as Error).message.split('\n')[0];
    throw new GuestError('bad-package', `The package ${basename(path)} could not be unpacked (${why}); try again.`);
  }
}

/** The guest that installs, seen through its serial ports. */
class BuildingGuest {
  readonly ports: readonly SerialPort[];
  private readonly console = new TailSink(4096);
  private readonly control = new TailSink(256);
  private readonly errors = new TailSink(4096);

  constructor(onStep: (step: string) => void) {
    const steps = new LineSink((line) => {
      if (line.startsWith('step ')) onStep(line.slice(5));
    });
    this.ports = [this.console, steps, this.control, this.errors].map((sink) => new SerialPort(sink));
  }

  /** @throws GuestError where it has not done its work */
  async run(machine: Machine, signal: AbortSignal): Promise<void> {
    const stop = () => machine.powerOff();
    signal.addEventListener('abort', stop);
    try {
      if (signal.aborted) throw new GuestError('aborted', 'Building the image was interrupted.');
      const { reason, detail } = await machine.start();
      if (signal.aborted) throw new GuestError('aborted', 'Building the image was interrupted.');
      const status = exitStatus(this.control.text());
      if (reason === 'poweroff' && status === 0) return;
      const said = (this.errors.text().trim() || this.console.text().trim()).replaceAll('\r', '');
      throw new GuestError(
        'bad-package',
        `The image could not be built: ${detail ?? `the guest that builds it ended with status ${status ?? 'unknown'}`}. ${said === '' ? '' : `It said:\n${said}`}`,
      );
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }
}

/** Whole lines as they come. */
class LineSink implements ByteSink {
  private readonly onLine: (line: string) => void;
  private line = '';

  constructor(onLine: (line: string) => void) {
    this.onLine = onLine;
  }

  write(byte: number): void {
    if (byte !== 0x0a) {
      if (this.line.length < 4096) this.line += String.fromCharCode(byte);
      return;
    }
    this.onLine(this.line.replace(/\r$/, ''));
    this.line = '';
  }

  flush(): undefined {}
}

function makeEmpty(path: string, size: number): void {
  withFile(path, 'wx', (fd) => ftruncateSync(fd, size), `An image of ${formatSize(size)}`);
}

function syncFile(path: string): void {
  withFile(path, 'r+', fsyncSync, 'The image');
}

function withFile(path: string, flags: string, work: (fd: number) => void, what: string): void {
  try {
    const fd = openSync(path, flags);
    try {
      work(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new FileError(`${what} can't be made in "${dirname(path)}" (${code}); choose another place.`);
  }
}
