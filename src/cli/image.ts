/** `typevisor image`: makes disks with a system on them. */

import { rmSync } from 'node:fs';
import { machineConfig, parseSize } from '../config/config.js';
import { MIB } from '../config/limits.js';
import type { GuestArch } from '../host/node/debian.js';
import { buildDebianImage, draftOf, SMALLEST_IMAGE } from '../host/node/disk-image.js';
import { onUnplannedExit } from '../host/node/exits.js';
import { GIVE_FILES, GuestError } from '../host/node/guest-error.js';
import { Progress } from './progress.js';
import { Status, UsageError } from './status.js';

/** What commander hands over: every value as it was typed. */
export interface ImageOptions {
  readonly size: string;
  readonly arch: string;
  readonly include?: readonly string[];
}

/** Largest image: what ext4 of 4 KiB blocks takes without 64-bit features. */
const LARGEST_IMAGE = 16 * 1024 * 1024 * MIB;

/** What is asked for, checked. @throws UsageError, ConfigError */
export function imageRequest(guest: string, path: string, options: ImageOptions) {
  if (guest !== 'debian') throw new UsageError(`There is no image of "${guest}"; the images are: debian.`);
  const size = parseSize(options.size, '--size');
  if (size < SMALLEST_IMAGE || size > LARGEST_IMAGE || size % MIB !== 0)
    throw new UsageError(
      `--size must be a whole number of MiB from ${SMALLEST_IMAGE / MIB}M to 16384G, not "${options.size}".`,
    );
  const include = (options.include ?? []).flatMap((list) => list.split(',')).filter((name) => name !== '');
  for (const name of include) {
    if (!/^[a-z0-9][a-z0-9.+-]+$/.test(name)) throw new UsageError(`--include: "${name}" is no name of a package.`);
  }
  const { arch } = machineConfig({ arch: options.arch });
  return { path, size, arch: arch as GuestArch, include };
}

/** Returns the exit status. @throws UsageError, ConfigError, FileError, GuestError */
export async function buildImage(guest: string, path: string, options: ImageOptions): Promise<number> {
  const request = imageRequest(guest, path, options);
  const progress = new Progress(process.stderr, false);
  const building = new AbortController();
  const handlers = onUnplannedExit({
    cleanUp: () => rmSync(draftOf(path), { force: true }),
    interrupt: () => {
      building.abort();
      return true;
    },
  });
  try {
    const { packages, remark } = await buildDebianImage({
      ...request,
      signal: building.signal,
      onProgress: (message, fraction) =>
        progress.say(message, fraction === undefined ? '' : `${Math.floor(fraction * 100)} %`, true),
    });
    progress.clear();
    if (remark !== undefined) progress.note(remark);
    const arch = request.arch === 'amd64' ? '' : ` --arch ${request.arch}`;
    progress.note(
      `${path} has a Debian of ${packages} packages; root has no password: typevisor run debian${arch} --disk ${path}`,
    );
    return Status.ok;
  } catch (error) {
    if (handlers.signalled !== undefined) return handlers.signalled;
    if (error instanceof GuestError) throw new GuestError(error.code, withoutFiles(error.message), { cause: error });
    throw error;
  } finally {
    progress.clear();
    handlers.remove();
  }
}

/** Whoever builds an image can't give a kernel's file instead. */
function withoutFiles(sentence: string): string {
  return sentence.replace(`, or ${GIVE_FILES}`, '').replace(`; ${GIVE_FILES}`, '');
}
