/** Opens a qcow2 image with the images that it stands on. */
import { dirname, resolve } from 'node:path';
import { type DiskImage, RawImage } from '../image.js';
import { DiskRefusal, type Storage } from '../storage.js';
import { isQcow2, readHeader } from './header.js';
import { Qcow2Image } from './image.js';

/** Images that stand on one another. */
const LONGEST_CHAIN = 64;

export { isQcow2 };

/**
 * @param open opens a backing file for reading
 * @param above the images that stand on this one
 * @throws DiskRefusal
 */
export function openQcow2(storage: Storage, open: (path: string) => Storage, above: readonly string[] = []): DiskImage {
  const header = readHeader(storage);
  const problem = (why: string): never => {
    throw new DiskRefusal(`The qcow2 image ${storage.name} ${why}.`);
  };
  const here = resolve(storage.name);
  const chain = [...above, here];
  let backing: DiskImage | undefined;
  if (header.backing !== undefined) {
    // A name may say that it is a file's; every other such word means something that is none.
    const name = header.backing.replace(/^file:/, '');
    if (/^[a-z0-9+.-]+:/i.test(name)) problem(`stands on "${name}"; only files are supported`);
    const path = resolve(dirname(here), name);
    if (chain.includes(path)) problem(`stands on itself, by way of ${path}`);
    if (chain.length >= LONGEST_CHAIN) problem(`stands on more than ${LONGEST_CHAIN} images`);
    const below = open(path);
    try {
      const format = header.backingFormat ?? (isQcow2(below) ? 'qcow2' : 'raw');
      backing = format === 'qcow2' ? openQcow2(below, open, chain) : new RawImage({ storage: below, guessed: false });
    } catch (error) {
      below.close();
      throw error;
    }
  }
  try {
    return new Qcow2Image(storage, header, backing, problem);
  } catch (error) {
    backing?.close();
    throw error;
  }
}
