/**
 * What the 9P server asks of a folder. The implementation keeps the guest inside: a node stands for one file for as long
 * as it is held, names are single components, and nothing follows a symbolic link. All of it works synchronously, for it
 * runs on a thread of its own. Failures are errors with Linux's number in `errno`, positive or (as Node has them) negative.
 */

/** What stat(2) tells; times in nanoseconds since 1970. The shape of Node's BigIntStats. */
export interface FileStatus {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mode: bigint;
  readonly nlink: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly rdev: bigint;
  readonly size: bigint;
  readonly blksize: bigint;
  readonly blocks: bigint;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly status: FileStatus;
}

export interface FileSystemStatus {
  readonly type: bigint;
  readonly bsize: bigint;
  readonly blocks: bigint;
  readonly bfree: bigint;
  readonly bavail: bigint;
  readonly files: bigint;
  readonly ffree: bigint;
}

/** What `change` is to set; absent: leave it. Times in seconds, `now` for the host's present time. */
export interface FileChange {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: number | 'now';
  readonly mtime?: number | 'now';
}

/** Of a file that is opened: which of the two, and what comes with it. */
export interface OpenMode {
  readonly read: boolean;
  readonly write: boolean;
  readonly truncate: boolean;
  /** O_SYNC, O_DSYNC. */
  readonly sync: boolean;
}

/** @typeParam N a node: a file that is held, opened or not; @typeParam F an open file */
export interface FileTree<N, F> {
  /** The shared folder itself, held. */
  root(): N;
  /** The entry of a folder, held; `..` of the root is the root. */
  walk(directory: N, name: string): N;
  /** Holds a node once more. */
  hold(node: N): void;
  release(node: N): void;
  status(node: N): FileStatus;
  fileSystem(node: N): FileSystemStatus;
  change(node: N, change: FileChange): void;
  readlink(node: N): string;
  /** Regular files and folders only. */
  open(node: N, mode: OpenMode): F;
  /** Makes and opens a regular file; `exclusive`: it must not be there. */
  create(directory: N, name: string, mode: OpenMode, permissions: number, exclusive: boolean): F;
  read(file: F, into: Uint8Array, offset: number): number;
  write(file: F, bytes: Uint8Array, offset: number): number;
  sync(file: F, dataOnly: boolean): void;
  close(file: F): void;
  list(directory: N): DirectoryEntry[];
  mkdir(directory: N, name: string, permissions: number): void;
  symlink(directory: N, name: string, target: string): void;
  link(directory: N, name: string, node: N): void;
  rename(from: N, oldName: string, to: N, newName: string): void;
  /** @param folder whether it is a folder that goes: each fails for the other */
  unlink(directory: N, name: string, folder: boolean): void;
  /** The folder that a node was found in, and its name there; of the root undefined. */
  place(node: N): { readonly directory: N; readonly name: string } | undefined;
}
