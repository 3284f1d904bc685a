/**
 * Gives up what the process does not need any more, once everything is open: its view of the file system, and its user. The
 * user changes for all threads of the process. Linux keeps user IDs per thread, but the C library's calls, which Node's
 * own functions are, change them in every one (nptl(7)); raw system calls would leave workers and Node's thread pool with the old.
 */

import { loadLibc, type NoFfiError, type SystemCallError, type User } from './ffi/libc.js';
import { FileError } from './files.js';

export interface Confinement {
  /** The folder that becomes the root of the file system. */
  readonly chroot?: string;
  /** Whom the process runs as afterwards, with the groups of that user and no others. */
  readonly user?: User;
  /** One line about each step that has been taken. */
  readonly told?: (line: string) => void;
}

/** Looks a user up before anything is opened. @throws FileError where there is none of that name */
export function findUser(name: string): User {
  const user = explained(() => loadLibc().findUser(name), `The user "${name}" can't be looked up`);
  if (user === undefined) throw new FileError(`There is no user "${name}" on this machine; give another --username.`);
  return user;
}

/**
 * Root directory first, since only root may change it; groups before the user, for the same reason.
 * @throws FileError where the system refuses a step. Those before it have been taken: the process should end.
 */
export function confine({ chroot, user, told }: Confinement): void {
  if (chroot !== undefined) {
    explained(() => {
      loadLibc().chroot(chroot);
      process.chdir('/');
    }, `The root directory can't be changed to "${chroot}"`);
    told?.(`The root directory is ${chroot} now.`);
  }
  if (user !== undefined) {
    explained(() => {
      loadLibc().initgroups(user.name, user.gid);
      process.setgid!(user.gid);
      process.setuid!(user.uid);
    }, `The user can't be changed to "${user.name}"`);
    told?.(`The user is ${user.name} (${user.uid}:${user.gid}) now.`);
  }
}

const REASONS: { readonly [code: string]: string } = {
  EPERM: 'only root may do that',
  ENOENT: 'there is no such folder',
  ENOTDIR: 'that is no folder',
  EACCES: 'you may not look into it',
};

function explained<T>(step: () => T, what: string): T {
  try {
    return step();
  } catch (error) {
    if (isNoFfi(error)) throw new FileError(`${what}: ${error.message}`);
    const { code } = error as SystemCallError | NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new FileError(`${what}: ${REASONS[code] ?? `the system says ${code}`}.`);
  }
}

function isNoFfi(error: unknown): error is NoFfiError {
  return error instanceof Error && error.name === 'NoFfiError';
}
