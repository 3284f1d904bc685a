/**
 * Debian packages through the machine's own package client, with state of our own: no root, and nothing of the machine's
 * package state is read or changed but its sources, keys and proxy settings. apt verifies what it downloads.
 */

import { spawn } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { GIVE_FILES, GuestError } from './guest-error.js';

export interface AptOptions {
  /** Debian's name of the architecture, which need not be the machine's. */
  readonly arch: 'amd64' | 'i386';
  /** A new directory for lists, archives and configuration; the caller removes it. */
  readonly directory: string;
  readonly signal?: AbortSignal | undefined;
}

/** One package's record in the package lists. */
export interface PackageRecord {
  readonly name: string;
  readonly version: string;
  /** Bytes to download. */
  readonly size: number;
  /** The first alternative of each dependency, without version conditions. */
  readonly depends: readonly string[];
}

/** Settings of the machine that must not reach our private run: hooks that act on its state, and its own places. */
const DROPPED =
  /^(APT::Update::(Pre|Post)-Invoke|DPkg|RPM|Dir|APT::Architectures?|APT::Periodic|APT::NeverAutoRemove|Acquire::IndexTargets|Binary|Unattended-Upgrade)\b/i;

export class Apt {
  private readonly options: AptOptions;
  private readonly config: string;
  private updateFailures = '';

  private constructor(options: AptOptions, config: string) {
    this.options = options;
    this.config = config;
  }

  /** @throws GuestError `no-apt` where the machine has no apt */
  static async open(options: AptOptions): Promise<Apt> {
    const { directory, arch } = options;
    for (const path of ['state/lists/partial', 'cache/archives/partial', 'debs'])
      await mkdir(join(directory, path), { recursive: true });
    await writeFile(join(directory, 'status'), '');
    const machine = await run('apt-config', ['dump'], options);
    const lines = machine.stdout.split('\n').filter((line) => line !== '' && !DROPPED.test(line));
    const set = (key: string, value: string) => `${key} "${value}";`;
    lines.push(
      // The machine's configuration is above; it must not be read a second time.
      set('Dir::Etc::main', '/dev/null'),
      set('Dir::Etc::parts', '/dev/null'),
      set('Dir::State', join(directory, 'state')),
      set('Dir::State::status', join(directory, 'status')),
      set('Dir::Cache', join(directory, 'cache')),
      set('APT::Architecture', arch),
      set('APT::Architectures::', arch),
      // As root apt would hand the download to a user who cannot write here.
      set('APT::Sandbox::User', 'root'),
      set('Acquire::Languages', 'none'),
      set('Acquire::IndexTargets::deb-src::Sources::DefaultEnabled', 'false'),
      set('Acquire::Retries', '2'),
      set('Acquire::http::Timeout', '30'),
      set('Acquire::https::Timeout', '30'),
    );
    const config = join(directory, 'apt.conf');
    await writeFile(config, `${lines.join('\n')}\n`);
    return new Apt(options, config);
  }

  /**
   * Fetches the package lists. `onFraction` is told how far it is, 0 to 1. Returns what is wrong with a source, where
   * something is: the others may do, which shows when the packages are looked up.
   */
  async update(onFraction: (fraction: number) => void): Promise<string | undefined> {
    const result = await this.apt('apt-get', ['-q', 'update'], onFraction, true);
    if (isDiskFull(result.stderr)) throw this.diskFull(result.stderr);
    this.updateFailures = /^(E|W|Err)\b/m.test(result.stderr) ? result.stderr : '';
    return result.status !== 0 && this.updateFailures !== '' ? firstComplaint(this.updateFailures) : undefined;
  }

  /** The newest version's record of each of the packages that exist. */
  async show(names: readonly string[]): Promise<Map<string, PackageRecord>> {
    const result = await this.apt('apt-cache', ['--no-all-versions', 'show', ...names], undefined, true);
    const records = new Map<string, PackageRecord>();
    for (const stanza of result.stdout.split(/\n\n+/)) {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1] ?? '';
      const name = field('Package');
      if (name === '' || records.has(name)) continue;
      const depends = field('Depends')
        .split(',')
        .map((item) => item.trim().split(/[\s|(:]/)[0])
        .filter((item) => item !== '');
      records.set(name, { name, version: field('Version'), size: Number(field('Size')) || 0, depends });
    }
    return records;
  }

  /**
   * The names of all packages that are to be installed on an empty system so that these are (names, or patterns of
   * apt-patterns(7)), without what is only recommended; in an order in which they can be unpacked.
   */
  async resolve(packages: readonly string[]): Promise<string[]> {
    const words = ['-s', '-q', '--no-install-recommends', 'install', ...packages];
    const { status, stdout, stderr } = await this.apt('apt-get', words, undefined, true);
    if (status !== 0) {
      this.refuseKnown(stderr);
      if (this.updateFailures !== '') throw this.missing('packages');
      throw new GuestError(
        'no-package',
        `The packages can't be chosen (${firstComplaint(stderr)}); check their names.`,
      );
    }
    return [...stdout.matchAll(/^Inst (\S+)/gm)].map(([, name]) => name);
  }

  /** The distribution's own package sources, as lines of sources.list(5): their keys are in its base system. */
  async sources(): Promise<string[]> {
    const format = '$(ORIGIN) deb $(SITE) $(RELEASE) $(COMPONENT)';
    const { stdout } = await this.apt(
      'apt-get',
      ['indextargets', '--format', format, 'Created-By: Packages'],
      undefined,
      true,
    );
    const own = /^(?:Debian|Ubuntu) (deb https?:\S+ \S+ \S+)$/gm;
    return [...new Set([...stdout.matchAll(own)].map(([, line]) => line))];
  }

  /** Settings that lead to the network through a proxy, but for one on this machine, which others do not reach. */
  async proxies(): Promise<string[]> {
    const { stdout } = await this.apt('apt-config', ['dump', '--format', '%F "%v";%n'], undefined, true);
    const lines = stdout.split('\n').filter((line) => /^Acquire::https?::Proxy "./.test(line));
    for (const scheme of ['http', 'https']) {
      const proxy = process.env[`${scheme}_proxy`];
      const key = `Acquire::${scheme}::Proxy`;
      if (proxy !== undefined && /^[\w.:/@%[\]-]+$/.test(proxy) && !lines.some((line) => line.startsWith(key)))
        lines.push(`${key} "${proxy}";`);
    }
    return lines.filter((line) => !/\/\/(localhost|127\.|\[::1\])/.test(line));
  }

  /** Why a package may be missing: a source that could not be reached, or else that none has it. */
  missing(what: string): GuestError {
    if (this.updateFailures !== '') {
      return new GuestError(
        'no-network',
        `The package lists could not be fetched (${firstComplaint(this.updateFailures)}); check the network and try again, or ${GIVE_FILES}.`,
      );
    }
    return new GuestError(
      'no-package',
      `This machine's package sources have no ${what} for ${this.options.arch}; ${GIVE_FILES}.`,
    );
  }

  /** Downloads and verifies packages; returns their files' paths in the order of `packages`. */
  async download(packages: readonly PackageRecord[], onFraction: (fraction: number) => void): Promise<string[]> {
    const folder = join(this.options.directory, 'debs');
    const result = await this.apt(
      'apt-get',
      ['-q', 'download', ...packages.map((p) => `${p.name}=${p.version}`)],
      onFraction,
      true,
      folder,
    );
    if (result.status !== 0) {
      this.refuseKnown(result.stderr);
      throw new GuestError(
        'package-manager',
        `apt-get download failed (${firstComplaint(result.stderr)}); try again, or ${GIVE_FILES}.`,
      );
    }
    const files = await readdir(folder);
    return packages.map(({ name }) => {
      const file = files.find((f) => f.startsWith(`${name}_`) && f.endsWith('.deb'));
      if (file === undefined)
        throw new GuestError(
          'package-manager',
          `apt-get download left no file for ${name}; try again, or ${GIVE_FILES}.`,
        );
      return join(folder, file);
    });
  }

  private diskFull(stderr: string): GuestError {
    return new GuestError(
      'no-space',
      `The disk that holds ${dirname(this.options.directory)} is full (${firstComplaint(stderr)}); free 500 MB, or set XDG_CACHE_HOME to a directory on another disk.`,
    );
  }

  private refuseKnown(stderr: string): void {
    const complaint = firstComplaint(stderr);
    if (isDiskFull(stderr)) throw this.diskFull(stderr);
    if (
      /NO_PUBKEY|not signed|signatures? (couldn't|could not|were invalid)|Hash Sum mismatch|unauthenticated/i.test(
        stderr,
      )
    ) {
      throw new GuestError(
        'untrusted',
        `The packages could not be verified (${complaint}); repair this machine's package sources, or ${GIVE_FILES}.`,
      );
    }
    if (/resolve|connect|unreachable|timed out|Failed to fetch|no longer has a Release file/i.test(stderr)) {
      throw new GuestError(
        'no-network',
        `The packages could not be fetched (${complaint}); check the network and try again, or ${GIVE_FILES}.`,
      );
    }
  }

  private apt(
    command: string,
    args: readonly string[],
    onFraction: ((fraction: number) => void) | undefined,
    mayFail: boolean,
    cwd?: string,
  ): Promise<RunResult> {
    return run(command, onFraction ? ['-o', 'APT::Status-Fd=3', ...args] : args, {
      ...this.options,
      config: this.config,
      onFraction,
      mayFail,
      cwd,
    });
  }
}

function isDiskFull(stderr: string): boolean {
  return /no space left|enough free space|disk quota/i.test(stderr);
}

function firstComplaint(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => /^(E|W|Err)\b/.test(line));
  const line = lines.find((l) => l.startsWith('E:')) ?? lines[0] ?? stderr.trim().split('\n').at(-1) ?? '';
  return line
    .replace(/^(E|W|Err):\d*\s*/, '')
    .trim()
    .slice(0, 300);
}

export interface RunResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface RunOptions {
  readonly signal?: AbortSignal | undefined;
  readonly config?: string;
  readonly cwd?: string | undefined;
  readonly onFraction?: ((fraction: number) => void) | undefined;
  readonly mayFail?: boolean;
}

/** Runs one of apt's programs to its end. With `onFraction`, descriptor 3 carries apt's progress lines. */
function run(command: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const env = {
      ...process.env,
      LC_ALL: 'C',
      ...(options.config === undefined ? {} : { APT_CONFIG: options.config }),
    };
    const child = spawn(command, args, {
      cwd: options.cwd,
      env,
      signal: options.signal,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const status = child.stdio[3] as Readable;
    status.setEncoding('utf8').on('data', (text: string) => {
      // dlstatus:NUMBER:PERCENT:MESSAGE
      for (const match of text.matchAll(/^dlstatus:\d+:([\d.]+):/gm))
        options.onFraction?.(Math.min(1, Number(match[1]) / 100));
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (error.name === 'AbortError') reject(new GuestError('aborted', 'Fetching the guest was interrupted.'));
      else if (error.code === 'ENOENT') {
        reject(
          new GuestError(
            'no-apt',
            `This machine has no ${command}, so Debian's kernel cannot be fetched; ${GIVE_FILES}.`,
          ),
        );
      } else
        reject(new GuestError('package-manager', `${command} could not be started (${error.message}); ${GIVE_FILES}.`));
    });
    child.on('close', (code) => {
      const result = { status: code ?? 1, stdout, stderr };
      if (result.status === 0 || options.mayFail) resolve(result);
      else reject(new GuestError('package-manager', `${command} failed (${firstComplaint(stderr)}); ${GIVE_FILES}.`));
    });
  });
}
