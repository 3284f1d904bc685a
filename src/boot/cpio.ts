/**
 * The "newc" cpio archive, the form of Linux's initial RAM file system (Documentation/driver-api/early-userspace/
 * buffer-format.rst). Several archives may follow one another, each beginning at a multiple of four bytes.
 */

import { BootError } from './errors.js';

interface Named {
  /** Without a leading slash: `bin/busybox`. */
  readonly path: string;
  /** Permission bits, e.g. 0o755. */
  readonly mode: number;
}
export interface CpioFile extends Named {
  readonly type: 'file';
  readonly data: Uint8Array;
}
export interface CpioDirectory extends Named {
  readonly type: 'directory';
}
export interface CpioSymlink extends Named {
  readonly type: 'symlink';
  readonly target: string;
}
export interface CpioDevice extends Named {
  readonly type: 'char' | 'block';
  readonly major: number;
  readonly minor: number;
}
export interface CpioFifo extends Named {
  readonly type: 'fifo';
}
export type CpioEntry = CpioFile | CpioDirectory | CpioSymlink | CpioDevice | CpioFifo;

const HEADER = 110;
const TRAILER = 'TRAILER!!!';
const MODES = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  char: 0o020000,
  block: 0o060000,
  fifo: 0o010000,
} as const;
const MODE_MASK = 0o170000;
/** Linux refuses longer names (PATH_MAX). */
const NAME_MAX = 4096;

/** An archive of these entries in their order (so parents first), all owned by root, with one time stamp (seconds). */
export function writeCpio(entries: readonly CpioEntry[], mtime = 0): Uint8Array {
  const encoder = new TextEncoder();
  const items = entries.map((entry) => ({
    entry,
    name: encoder.encode(`${entry.path}\0`),
    data: contents(entry, encoder),
  }));
  const trailer = encoder.encode(`${TRAILER}\0`);
  const size = items.reduce((sum, { name, data }) => sum + align4(HEADER + name.length) + align4(data.length), 0);
  const archive = new Uint8Array(size + align4(HEADER + trailer.length));
  let at = 0;
  const record = (fields: readonly number[], name: Uint8Array, data: Uint8Array): void => {
    encoder.encodeInto(
      `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`,
      archive.subarray(at),
    );
    archive.set(name, at + HEADER);
    at += align4(HEADER + name.length);
    archive.set(data, at);
    at += align4(data.length);
  };
  items.forEach(({ entry, name, data }, i) => {
    const device = entry.type === 'char' || entry.type === 'block' ? [entry.major, entry.minor] : [0, 0];
    const links = entry.type === 'directory' ? 2 : 1;
    const mode = MODES[entry.type] | (entry.mode & 0o7777);
    record([i + 1, mode, 0, 0, links, mtime, data.length, 0, 0, ...device, name.length, 0], name, data);
  });
  record([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, trailer.length, 0], trailer, new Uint8Array());
  return archive;
}

function contents(entry: CpioEntry, encoder: TextEncoder): Uint8Array {
  if (entry.type === 'file') return entry.data;
  return entry.type === 'symlink' ? encoder.encode(entry.target) : new Uint8Array();
}

/**
 * The entries of one or several concatenated archives; files are views of `archive`. Entries of other kinds (sockets) are
 * left out, and hard links come as the separate entries that they are stored as.
 * @throws BootError where a header is malformed or the archive ends within an entry
 */
export function readCpio(archive: Uint8Array): CpioEntry[] {
  const entries: CpioEntry[] = [];
  const decoder = new TextDecoder();
  let at = 0;
  while (at < archive.length) {
    // Zeroes pad one archive to the next.
    if (archive[at] === 0) {
      at++;
      continue;
    }
    if (archive.length - at < HEADER) throw damaged('it ends within a header');
    const header = decoder.decode(archive.subarray(at, at + HEADER));
    if (!/^07070[12][0-9a-fA-F]{104}$/.test(header)) throw damaged(`there is no newc header at byte ${at}`);
    const field = (index: number) => Number.parseInt(header.slice(6 + index * 8, 14 + index * 8), 16);
    const [mode, size, nameSize] = [field(1), field(6), field(11)];
    if (nameSize === 0 || nameSize > NAME_MAX) throw damaged(`a name has ${nameSize} bytes`);
    const dataAt = at + align4(HEADER + nameSize);
    if (dataAt + size > archive.length) throw damaged('it ends within an entry');
    const path = decoder.decode(archive.subarray(at + HEADER, at + HEADER + nameSize - 1));
    const data = archive.subarray(dataAt, dataAt + size);
    at = dataAt + align4(size);
    if (path === TRAILER) continue;
    const named = { path, mode: mode & 0o7777 };
    const device = { major: field(9), minor: field(10) };
    switch (mode & MODE_MASK) {
      case MODES.file:
        entries.push({ ...named, type: 'file', data });
        break;
      case MODES.directory:
        entries.push({ ...named, type: 'directory' });
        break;
      case MODES.symlink:
        entries.push({ ...named, type: 'symlink', target: decoder.decode(data) });
        break;
      case MODES.char:
        entries.push({ ...named, ...device, type: 'char' });
        break;
      case MODES.block:
        entries.push({ ...named, ...device, type: 'block' });
        break;
      case MODES.fifo:
        entries.push({ ...named, type: 'fifo' });
        break;
    }
  }
  return entries;
}

/** The entries with every missing parent directory (mode 755) put before its first use. */
export function withParents(entries: readonly CpioEntry[]): CpioEntry[] {
  const present = new Set(entries.filter((entry) => entry.type === 'directory').map((entry) => entry.path));
  const made = new Set<string>();
  const all: CpioEntry[] = [];
  for (const entry of entries) {
    const parts = entry.path.split('/');
    for (let i = 1; i < parts.length; i++) {
      const path = parts.slice(0, i).join('/');
      if (present.has(path) || made.has(path)) continue;
      made.add(path);
      all.push({ type: 'directory', path, mode: 0o755 });
    }
    all.push(entry);
  }
  return all;
}

function damaged(why: string): BootError {
  return new BootError('bad-cpio', `The cpio archive is damaged: ${why}.`);
}

function align4(size: number): number {
  return (size + 3) & ~3;
}
