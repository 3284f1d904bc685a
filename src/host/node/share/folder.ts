/**
 * A folder of the host for the 9P server, on Linux. The guest must not get out of it, neither by `..` nor by a symbolic link
 * that it makes between two of our looks. So a file is never found by its path: each node holds a descriptor (O_PATH) of
 * just that file, an entry is opened as /proc/self/fd/N/NAME without following links, and a held file is used through its
 * descriptor. Device nodes, pipes and sockets of the host can be seen but not opened.
 */
import * as fs from 'node:fs';
import { Errno, NinepError } from '../../../devices/virtio/9p/message.js';
import type {
  DirectoryEntry,
  FileChange,
  FileStatus,
  FileSystemStatus,
  FileTree,
  OpenMode,
} from '../../../devices/virtio/9p/tree.js';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_SYNC, O_TRUNC, O_WRONLY } =
  fs.constants;
const { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } = fs.constants;
/** A descriptor that stands for a file and can't read it (open(2)); Node has no name for it. */
const O_PATH = 0o10000000;

/** A file that is held. */
export interface Node {
  readonly fd: number;
  /** Where it was found; undefined: the shared folder. */
  parent: Node | undefined;
  name: string;
  holders: number;
}

export class Folder implements FileTree<Node, number> {
  private readonly top: Node;

  /** @throws the system's error where the folder can't be opened */
  constructor(path: string) {
    this.top = { fd: fs.openSync(path, O_PATH | O_DIRECTORY), parent: undefined, name: '', holders: 1 };
  }

  end(): void {
    this.release(this.top);
  }

  root(): Node {
    this.hold(this.top);
    return this.top;
  }

  walk(directory: Node, name: string): Node {
    if (name === '..') {
      const up = directory.parent ?? this.top;
      this.hold(up);
      return up;
    }
    const fd = fs.openSync(entry(directory, name), O_PATH | O_NOFOLLOW);
    this.hold(directory);
    return { fd, parent: directory, name, holders: 1 };
  }

  hold(node: Node): void {
    node.holders++;
  }

  release(node: Node): void {
    if (--node.holders > 0) return;
    fs.closeSync(node.fd);
    if (node.parent !== undefined) this.release(node.parent);
  }

  status(node: Node): FileStatus {
    return fs.fstatSync(node.fd, { bigint: true });
  }

  fileSystem(node: Node): FileSystemStatus {
    return fs.statfsSync(held(node), { bigint: true });
  }

  change(node: Node, { mode, uid, gid, size, atime, mtime }: FileChange): void {
    const isLink = kindOf(node) === S_IFLNK;
    // A link has no descriptor to change it by: its place is used, which is not followed either.
    if (isLink && node.parent === undefined) throw new NinepError(Errno.EINVAL);
    const place = isLink ? entry(node.parent!, node.name) : held(node);
    if (size !== undefined) {
      if (kindOf(node) !== S_IFREG) throw new NinepError(Errno.EINVAL);
      fs.truncateSync(held(node), size);
    }
    if (uid !== undefined || gid !== undefined) {
      const owner = [uid ?? -1, gid ?? -1] as const;
      if (isLink) fs.lchownSync(place, ...owner);
      else fs.chownSync(place, ...owner);
    }
    if (mode !== undefined) {
      if (isLink) throw new NinepError(Errno.EOPNOTSUPP);
      fs.chmodSync(place, mode);
    }
    if (atime === undefined && mtime === undefined) return;
    const now = Date.now() / 1000;
    const before = this.status(node);
    const time = (asked: number | 'now' | undefined, ns: bigint) =>
      asked === undefined ? Number(ns) / 1e9 : asked === 'now' ? now : asked;
    const times = [time(atime, before.atimeNs), time(mtime, before.mtimeNs)] as const;
    if (isLink) fs.lutimesSync(place, ...times);
    else fs.utimesSync(place, ...times);
  }

  readlink(node: Node): string {
    if (node.parent === undefined || kindOf(node) !== S_IFLNK) throw new NinepError(Errno.EINVAL);
    return fs.readlinkSync(entry(node.parent, node.name));
  }

  open(node: Node, mode: OpenMode): number {
    const kind = kindOf(node);
    if (kind === S_IFLNK) throw new NinepError(Errno.ELOOP);
    if (kind !== S_IFREG && kind !== S_IFDIR) throw new NinepError(Errno.EPERM);
    // The descriptor stands for the very file that was looked at.
    return fs.openSync(held(node), flagsOf(mode));
  }

  create(directory: Node, name: string, mode: OpenMode, permissions: number, exclusive: boolean): number {
    const path = entry(directory, name);
    const flags = flagsOf(mode) & ~O_TRUNC;
    const fresh = openNew(path, flags, permissions & 0o777);
    if (fresh !== undefined) return fresh;
    if (exclusive) throw new NinepError(Errno.EEXIST);
    const node = this.walk(directory, name);
    try {
      return this.open(node, mode);
    } finally {
      this.release(node);
    }
  }

  read(file: number, into: Uint8Array, offset: number): number {
    return fs.readSync(file, into, 0, into.length, offset);
  }

  write(file: number, bytes: Uint8Array, offset: number): number {
    return fs.writeSync(file, bytes, 0, bytes.length, offset);
  }

  sync(file: number, dataOnly: boolean): void {
    if (dataOnly) fs.fdatasyncSync(file);
    else fs.fsyncSync(file);
  }

  close(file: number): void {
    fs.closeSync(file);
  }

  list(directory: Node): DirectoryEntry[] {
    const entries: DirectoryEntry[] = [];
    for (const name of fs.readdirSync(held(directory), { encoding: 'buffer' })) {
      const text = name.toString('utf8');
      // What is not UTF-8 could not be asked for again.
      if (!Buffer.from(text).equals(name)) continue;
      try {
        entries.push({ name: text, status: fs.lstatSync(entry(directory, text), { bigint: true }) });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // gone meanwhile
      }
    }
    return entries;
  }

  mkdir(directory: Node, name: string, permissions: number): void {
    fs.mkdirSync(entry(directory, name), permissions);
    const node = this.walk(directory, name);
    try {
      // Our umask is not the guest's, which has been applied already.
      fs.chmodSync(held(node), permissions);
    } finally {
      this.release(node);
    }
  }

  symlink(directory: Node, name: string, target: string): void {
    fs.symlinkSync(target, entry(directory, name));
  }

  link(directory: Node, name: string, node: Node): void {
    if (node.parent === undefined) throw new NinepError(Errno.EPERM);
    fs.linkSync(entry(node.parent, node.name), entry(directory, name));
  }

  rename(from: Node, oldName: string, to: Node, newName: string): void {
    fs.renameSync(entry(from, oldName), entry(to, newName));
  }

  unlink(directory: Node, name: string, folder: boolean): void {
    const path = entry(directory, name);
    if (folder) fs.rmdirSync(path);
    else fs.unlinkSync(path);
  }

  place(node: Node): { directory: Node; name: string } | undefined {
    return node.parent && { directory: node.parent, name: node.name };
  }
}

/** An entry of a held folder, found from there. */
function entry(directory: Node, name: string): string {
  return `/proc/self/fd/${directory.fd}/${name}`;
}

/** A held file itself: a link of the kernel's that leads to what the descriptor stands for, wherever that is by now. */
function held(node: Node): string {
  return `/proc/self/fd/${node.fd}`;
}

function kindOf(node: Node): number {
  return fs.fstatSync(node.fd).mode & S_IFMT;
}

function flagsOf({ read, write, truncate, sync }: OpenMode): number {
  const access = write ? (read ? O_RDWR : O_WRONLY) : O_RDONLY;
  return access | (truncate ? O_TRUNC : 0) | (sync ? O_SYNC : 0) | O_NONBLOCK;
}

/** Makes a file that is not there yet, with just these permissions; undefined where it is there. */
function openNew(path: string, flags: number, permissions: number): number | undefined {
  let fd: number;
  try {
    fd = fs.openSync(path, flags | O_CREAT | O_EXCL | O_NOFOLLOW, permissions);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
    throw error;
  }
  fs.fchmodSync(fd, permissions);
  return fd;
}
