/** Files on the host, with errors that are sentences. */
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** A file of the host can't be used. The message is one sentence that says what to do. */
export class FileError extends Error {
  override readonly name = 'FileError';
}

/** Largest file that is read into memory: no kernel or initrd that fits into a machine is larger. */
const LARGEST = 4 * 1024 ** 3 - 1;

/** A file of the host by its path, or bytes that are there already. */
export type Input = string | Uint8Array;

/** An input that is read again and again. It may be kept open, for a process that will not find its path any more. */
export class InputSource {
  private readonly input: Input;
  private readonly what: string;
  private fd: number | undefined;

  /** @throws FileError where it is to be kept open and can't be */
  constructor(input: Input, what: string, keepOpen: boolean) {
    this.input = input;
    this.what = what;
    if (!keepOpen || typeof input !== 'string') return;
    try {
      this.fd = openSync(input, 'r');
    } catch (error) {
      throw fileSentence(error, `The ${what} "${input}"`, 'read');
    }
  }

  /** @throws FileError */
  read(): Uint8Array {
    const { input, what, fd } = this;
    if (typeof input !== 'string') return input;
    if (fd === undefined) return readInput(input, what);
    try {
      checkInput(fstatSync(fd), input, what);
      // Not from where the last reading has ended.
      const bytes = new Uint8Array(fstatSync(fd).size);
      let at = 0;
      for (let got = -1; at < bytes.length && got !== 0; at += got)
        got = readSync(fd, bytes, at, bytes.length - at, at);
      return bytes.subarray(0, at);
    } catch (error) {
      throw fileSentence(error, `The ${what} "${input}"`, 'read');
    }
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }
}

/** Reads a whole file. `what` names it in messages: "kernel". @throws FileError */
export function readInput(path: string, what: string): Uint8Array {
  try {
    checkInput(statSync(path), path, what);
    return readFileSync(path);
  } catch (error) {
    throw fileSentence(error, `The ${what} "${path}"`, 'read');
  }
}

function checkInput(stat: Stats, path: string, what: string): void {
  if (stat.isDirectory()) throw new FileError(`The ${what} "${path}" is a folder; give the file itself.`);
  if (stat.size > LARGEST) throw new FileError(`The ${what} "${path}" is larger than 4 GiB; give a smaller one.`);
}

/** Writes a file beside its final place and renames it: a reader never sees half of it. @throws FileError */
export function writeWhole(path: string, contents: string | Uint8Array, what: string): void {
  const draft = `${path}.${process.pid}.tmp`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(draft, contents);
    renameSync(draft, path);
  } catch (error) {
    try {
      rmSync(draft, { force: true });
    } catch {
      // The first error says what is wrong.
    }
    throw fileSentence(error, `The ${what} "${path}"`, 'written');
  }
}

const REASONS: { readonly [code: string]: string } = {
  ENOENT: 'does not exist; check the path',
  EEXIST: 'lies below something that is no folder; check the path',
  ENOTDIR: 'does not exist; check the path',
  EISDIR: 'is a folder; give a file',
  EACCES: 'may not be @ by you; change its permissions',
  EPERM: 'may not be @ by you; change its permissions',
  ENOSPC: "can't be written because the disk is full; make room and try again",
  EROFS: "can't be written because the file system is read-only; choose another place",
};

/**
 * The sentence for an error of the system; other errors stay as they are.
 * @param subject what can't be used, as `The disk "d.img"`
 */
export function fileSentence(error: unknown, subject: string, action: 'read' | 'written'): Error {
  if (error instanceof FileError || !(error instanceof Error)) return error as Error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  const reason = REASONS[code]?.replace('@', action) ?? `can't be ${action} (${code})`;
  return new FileError(`${subject} ${reason}.`);
}
