/**
 * The guest `debian`: Debian's own kernel and busybox, fetched through the machine's package client, made into a vmlinux
 * that is unpacked already and an initial RAM disk, and cached. When the cache has it, nothing is run.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isBzImage, parseBzImage } from '../../boot/bzimage.js';
import { readCpio } from '../../boot/cpio.js';
import { canUnpack, detectCompression, unpackPayload } from '../../boot/decompress.js';
import { isElf } from '../../boot/elf.js';
import { BootError } from '../../boot/errors.js';
import { buildInitramfs, initramfsVersion } from '../../boot/initramfs.js';
import { Apt, type PackageRecord } from './apt.js';
import { nodeDecompressors } from './decompressors.js';
import { defaultCacheDir, GuestCache, type GuestManifest } from './guest-cache.js';
import { GIVE_FILES, GuestError } from './guest-error.js';
import { chooseModules, isModulePath, MODULES_VERSION } from './kernel-modules.js';
import { readTar, type TarFile } from './tar.js';

export type GuestArch = 'amd64' | 'i386';
export type KernelKind = 'cloud' | 'generic';

export interface FetchProgress {
  readonly phase: 'lists' | 'download' | 'unpack' | 'build';
  /** A line for people. */
  readonly message: string;
  /** Of the whole work, 0 to 1, never falling. */
  readonly fraction: number;
}

export interface FetchOptions {
  readonly arch: GuestArch;
  /** amd64: the cloud kernel, small and quick (default), or the generic one, which has drivers for more. */
  readonly kernel?: KernelKind | undefined;
  /** Default: `defaultCacheDir()`. */
  readonly cacheDir?: string | undefined;
  readonly onProgress?: ((progress: FetchProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Fetches even where the cache has the guest. */
  readonly refresh?: boolean | undefined;
}

export interface DebianGuest {
  readonly arch: GuestArch;
  /** Path of an ELF vmlinux (or of the bzImage, where only the guest can unpack it). */
  readonly kernel: string;
  /** Path of the initial RAM disk; `overlayCpio` goes behind it. */
  readonly initrd: string;
  /** As `uname -r` says: `6.1.0-56-cloud-amd64`. */
  readonly kernelVersion: string;
  /** The kernel command line's default words. */
  readonly append: readonly string[];
}

const FORMAT = 100 + MODULES_VERSION;

/** The packages whose dependency names the current kernel, best first: Debian's, then Ubuntu's. */
const GENERIC = ['linux-image-amd64', 'linux-image-virtual', 'linux-image-generic'] as const;
const I386 = ['linux-image-686', 'linux-image-686-pae'] as const;
const KERNELS: Readonly<Record<GuestArch, Readonly<Record<KernelKind, readonly string[]>>>> = {
  amd64: { cloud: ['linux-image-cloud-amd64', ...GENERIC], generic: GENERIC },
  i386: { cloud: I386, generic: I386 },
};
const BUSYBOX = 'busybox-static';

/** Self-tests of the ciphers would take more than half of the boot. A panic ends the machine instead of hanging it. */
const APPEND = ['console=ttyS0', 'quiet', 'cryptomgr.notests', 'panic=-1'];
/** The 686 kernel looks for ISA plug-and-play cards, with half a second of delays. The board has no ISA slots. */
const APPEND_I386 = ['noisapnp'];

/**
 * The guest's files, fetched if need be.
 * @throws GuestError whose message says what to do: no apt, no network, no such package, cache full or not writable
 */
export async function fetchDebianGuest(options: FetchOptions): Promise<DebianGuest> {
  const cache = new GuestCache(options.cacheDir ?? defaultCacheDir());
  const { arch, kernel = 'cloud' } = options;
  const guest = arch === 'amd64' && kernel === 'generic' ? 'debian-amd64-generic' : `debian-${arch}`;
  let manifest = options.refresh ? undefined : await cache.find(guest, FORMAT);
  if (!manifest) manifest = await fetchAndBuild(cache, guest, options);
  else if (manifest.initVersion !== initramfsVersion()) manifest = await rebuildInitrd(cache, guest, manifest);
  return {
    arch: options.arch,
    kernel: join(cache.directory, manifest.kernel.path),
    initrd: join(cache.directory, manifest.initrd.path),
    kernelVersion: manifest.kernelVersion,
    append: options.arch === 'i386' ? [...APPEND, ...APPEND_I386] : APPEND,
  };
}

async function fetchAndBuild(cache: GuestCache, guest: string, options: FetchOptions): Promise<GuestManifest> {
  const { arch, signal } = options;
  let reached = 0;
  const progress = (phase: FetchProgress['phase'], message: string, fraction: number) => {
    reached = Math.max(reached, fraction);
    options.onProgress?.({ phase, message, fraction: reached });
  };
  return cache.withTemporary(async (directory) => {
    const apt = await Apt.open({ arch, directory, signal });
    progress('lists', 'Fetching the package lists', 0);
    const trouble = await apt.update((f) => progress('lists', 'Fetching the package lists', f * 0.3));
    if (trouble !== undefined)
      progress('lists', `A package source cannot be used (${trouble}); going on with the others`, 0.3);
    const packages = await choosePackages(apt, KERNELS[arch][options.kernel ?? 'cloud']);
    const megabytes = (packages.reduce((sum, p) => sum + p.size, 0) / 1e6).toFixed(0);
    const downloading = `Downloading ${packages[0].name} and ${BUSYBOX} (${megabytes} MB)`;
    progress('download', downloading, 0.3);
    const debs = await apt.download(packages, (f) => progress('download', downloading, 0.3 + f * 0.4));
    progress('unpack', 'Unpacking the kernel and its modules', 0.7);
    const files: TarFile[] = [];
    for (const deb of debs) files.push(...(await unpackDeb(deb, isWanted, signal)));
    progress('build', 'Building the initial RAM disk', 0.9);
    const image = files.find((file) => IS_KERNEL.test(file.path));
    const busybox = files.find((file) => IS_BUSYBOX.test(file.path));
    if (!image || !busybox)
      throw new GuestError(
        'bad-package',
        `The packages hold no ${image ? 'busybox' : 'kernel'} where it should be; ${GIVE_FILES}.`,
      );
    const kernelVersion = image.path.replace(IS_KERNEL, '');
    const modules = chooseModules(
      files.filter((file) => isModulePath(file.path)),
      kernelVersion,
    );
    const vmlinux = unpackKernel(image.data);
    const initrd = buildInitramfs(busybox.data, modules);
    const initVersion = initramfsVersion();
    const folder = [guest, ...packages.map((p) => p.version.replace(/[^\w.+~-]/g, '_'))].join('_');
    // The small file first: if the disk is full, what is left without a manifest is little.
    const initrdFile = await cache.add(`${folder}/${initrdName(initVersion)}`, initrd);
    const kernelFile = await cache.add(`${folder}/vmlinux`, vmlinux);
    const manifest: GuestManifest = {
      format: FORMAT,
      arch,
      kernelVersion,
      packages: Object.fromEntries(packages.map((p) => [p.name, p.version])),
      kernel: kernelFile,
      initrd: initrdFile,
      initVersion,
    };
    await cache.publish(guest, manifest);
    progress('build', `Fetched Debian's kernel ${kernelVersion}`, 1);
    return manifest;
  });
}

/** The kernel's package first, then what belongs to it, then busybox. */
async function choosePackages(apt: Apt, kernels: readonly string[]): Promise<PackageRecord[]> {
  const known = await apt.show([...kernels, BUSYBOX]);
  for (const name of kernels) {
    const image = known.get(name)?.depends.find((item) => /^linux-image-\d/.test(item));
    if (image === undefined) continue;
    const record = (await apt.show([image])).get(image);
    if (!record) continue;
    const busybox = known.get(BUSYBOX);
    if (!busybox) throw apt.missing(BUSYBOX);
    // Ubuntu keeps the modules in a package of their own.
    const extra = record.depends.filter((item) => /^linux-modules-\d/.test(item));
    return [
      record,
      ...(await apt.show(extra.length > 0 ? extra : [BUSYBOX])).values(),
      ...(extra.length > 0 ? [busybox] : []),
    ];
  }
  throw apt.missing('Linux kernel');
}

const IS_KERNEL = /^boot\/vmlinuz-/;
const IS_BUSYBOX = /^(usr\/)?bin\/busybox$/;

function isWanted(path: string): boolean {
  return IS_KERNEL.test(path) || IS_BUSYBOX.test(path) || isModulePath(path);
}

async function unpackDeb(
  path: string,
  wanted: (path: string) => boolean,
  signal: AbortSignal | undefined,
): Promise<TarFile[]> {
  const child = spawn('dpkg-deb', ['--fsys-tarfile', path], { stdio: ['ignore', 'pipe', 'pipe'], signal });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const closed = once(child, 'close') as Promise<[number | null]>;
  // The reason shows below, when the archive turns out short.
  closed.catch(() => {});
  const files: TarFile[] = [];
  try {
    for await (const file of readTar(child.stdout, wanted)) files.push(file);
    const [status] = await closed;
    if (status !== 0) throw new Error(complaint.trim() || `dpkg-deb ended with status ${status}`);
  } catch (error) {
    child.kill();
    if (signal?.aborted) throw new GuestError('aborted', 'Fetching the guest was interrupted.');
    const cause = await closed.then(
      () => error,
      (reason: unknown) => reason,
    );
    const why = complaint.trim() || (cause instanceof Error ? cause.message : String(cause));
    throw new GuestError(
      'bad-package',
      `The package ${path.replace(/^.*\//, '')} could not be unpacked (${why}); try again, or ${GIVE_FILES}.`,
      { cause },
    );
  }
  return files;
}

/** The vmlinux inside; where only the guest can unpack it, the image as it is. */
function unpackKernel(image: Uint8Array): Uint8Array {
  if (!isBzImage(image)) return image;
  try {
    const { payload } = parseBzImage(image);
    if (payload === undefined || !canUnpack(detectCompression(payload))) return image;
    const vmlinux = unpackPayload(payload, nodeDecompressors);
    return isElf(vmlinux) ? vmlinux : image;
  } catch (error) {
    if (error instanceof BootError)
      throw new GuestError('bad-package', `The fetched kernel cannot be used: ${error.message}`, { cause: error });
    throw error;
  }
}

/** A newer Typevisor with another /init needs no network: busybox and the modules are in the initrd that is there. */
async function rebuildInitrd(cache: GuestCache, guest: string, old: GuestManifest): Promise<GuestManifest> {
  const entries = readCpio(await readFile(join(cache.directory, old.initrd.path)));
  const busybox = entries.find((entry) => entry.path === 'bin/busybox');
  if (busybox?.type !== 'file')
    throw new GuestError('bad-package', `The cached guest is damaged; remove ${cache.directory} and try again.`);
  const modules = entries.filter((entry) => entry.path.startsWith('lib/modules/') && entry.type === 'file');
  const initVersion = initramfsVersion();
  const path = `${old.initrd.path.replace(/\/[^/]*$/, '')}/${initrdName(initVersion)}`;
  const manifest = { ...old, initVersion, initrd: await cache.add(path, buildInitramfs(busybox.data, modules)) };
  await cache.publish(guest, manifest);
  return manifest;
}

function initrdName(version: string): string {
  return `initrd-${version}.cpio`;
}
