/** Why there can be no Unix socket at a path, in a sentence that says what to do. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';

const NO_RIGHT = 'you have no right to; give another path';
const NO_FOLDER = 'there is no such folder';
const TOO_LONG = 'its path is too long';

const REASONS: { readonly [code: string]: string } = {
  EADDRINUSE: 'it is in use; give another path, or end who uses it',
  EACCES: NO_RIGHT,
  EPERM: NO_RIGHT,
  ENOENT: NO_FOLDER,
  ENOTDIR: NO_FOLDER,
  EINVAL: TOO_LONG,
  ENAMETOOLONG: TOO_LONG,
  ENOTSOCK: 'it is there, and no socket; remove it, or give another path',
};

/** @param option whose path it is */
export function socketRefusal(option: string, path: string, code: string): string {
  // libuv says of a folder that is missing that there is no right to it.
  const reason = REASONS[code] === NO_RIGHT && !existsSync(dirname(path)) ? NO_FOLDER : REASONS[code];
  return `${option}: "${path}" can't be used${reason === undefined ? ` (${code})` : `: ${reason}`}.`;
}
