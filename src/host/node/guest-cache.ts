/**
 * Where fetched guests are kept. Everything is made in a folder of its own beside its final place and renamed at the end,
 * so a full disk, an interruption or a second process at the same work leaves nothing half-written.
 */

import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { GuestError } from './guest-error.js';

/** What the cache knows of a guest. Written last; without it nothing counts. */
export interface GuestManifest {
  /** Of the manifest and of what the files hold: another number means fetching again. */
  readonly format: number;
  readonly arch: string;
  readonly kernelVersion: string;
  /** Package names and versions. */
  readonly packages: Readonly<Record<string, string>>;
  readonly kernel: CachedFile;
  readonly initrd: CachedFile;
  /** Of /init and what else we put into the initrd: another one means building the initrd again from the cached one. */
  readonly initVersion: string;
}

export interface CachedFile {
  /** Relative to the cache's folder. */
  readonly path: string;
  readonly size: number;
}

/** `$XDG_CACHE_HOME/typevisor`, or `~/.cache/typevisor`. */
export function defaultCacheDir(): string {
  const base = process.env.XDG_CACHE_HOME;
  return join(base?.startsWith('/') ? base : join(homedir(), '.cache'), 'typevisor');
}

const STALE_MS = 24 * 3600 * 1000;

export class GuestCache {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** The manifest of `guest`, where it is whole and its files are there with the right sizes. */
  async find(guest: string, format: number): Promise<GuestManifest | undefined> {
    let manifest: GuestManifest;
    try {
      manifest = JSON.parse(await readFile(this.manifestPath(guest), 'utf8')) as GuestManifest;
      if (manifest.format !== format) return undefined;
      for (const file of [manifest.kernel, manifest.initrd]) {
        if ((await stat(join(this.directory, file.path))).size !== file.size) return undefined;
      }
    } catch {
      // Absent, unreadable or damaged: all the same, it is fetched again.
      return undefined;
    }
    return manifest;
  }

  /** Makes the manifest of `guest` the given one, at once or not at all. */
  async publish(guest: string, manifest: GuestManifest): Promise<void> {
    await this.guarded(() => this.writeBeside(this.manifestPath(guest), `${JSON.stringify(manifest, undefined, 2)}\n`));
  }

  /** Adds a file under a name that says all about its contents, so that whoever comes first may write it. */
  async add(path: string, bytes: Uint8Array): Promise<CachedFile> {
    return this.guarded(async () => {
      const full = join(this.directory, path);
      await mkdir(join(full, '..'), { recursive: true });
      await this.writeBeside(full, bytes);
      return { path, size: bytes.length };
    });
  }

  /** Runs `work` with a new folder that is gone afterwards, whatever happens. */
  async withTemporary<T>(work: (directory: string) => Promise<T>): Promise<T> {
    return this.guarded(async () => {
      await mkdir(this.directory, { recursive: true });
      await this.removeStale();
      const directory = await mkdtemp(join(this.directory, 'tmp-'));
      try {
        return await work(directory);
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    });
  }

  private manifestPath(guest: string): string {
    return join(this.directory, `${guest}.json`);
  }

  private async writeBeside(path: string, data: string | Uint8Array): Promise<void> {
    const beside = `${path}.tmp-${process.pid}-${randomBytes(4).toString('hex')}`;
    try {
      await writeFile(beside, data, { flush: true });
      await rename(beside, path);
    } catch (error) {
      await rm(beside, { force: true });
      throw error;
    }
  }

  /** What a killed process has left behind. */
  private async removeStale(): Promise<void> {
    for (const name of await readdir(this.directory)) {
      if (!name.startsWith('tmp-')) continue;
      const path = join(this.directory, name);
      const age = await stat(path).then(
        (s) => Date.now() - s.mtimeMs,
        () => 0,
      );
      if (age > STALE_MS) await rm(path, { recursive: true, force: true });
    }
  }

  /** Says what a file error means and what to do. */
  private async guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
      if (code === 'ENOSPC' || code === 'EDQUOT') {
        throw new GuestError(
          'no-space',
          `The disk that holds ${this.directory} is full; free 500 MB, or set XDG_CACHE_HOME to a directory on another disk.`,
          { cause: error },
        );
      }
      if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'ENOTDIR' || code === 'EEXIST') {
        throw new GuestError(
          'cache-not-writable',
          `The guest cannot be kept in ${this.directory} (${code}); set XDG_CACHE_HOME to a directory that you can write to.`,
          { cause: error },
        );
      }
      throw error;
    }
  }
}
