/**
 * The 9P2000.L server: one message in, one message out. It knows the protocol and the guest's fids; the folder is a
 * `FileTree`. A guest may hold so many fids and no more, and a message is never longer than was agreed on.
 */
import { Errno, HEADER, MessageReader, MessageWriter, NinepError, T, wireLength } from './message.js';
import type { DirectoryEntry, FileChange, FileStatus, FileTree, OpenMode } from './tree.js';

/** Longest message, header included. */
export const LARGEST_MSIZE = 512 * 1024;
const SMALLEST_MSIZE = 4096;
const VERSION = '9P2000.L';
/** Fids that a guest may hold; each keeps a descriptor of ours open. */
export const MOST_FIDS = 4096;
/** A walk's elements (9P: MAXWELEM). */
const MOST_NAMES = 16;
const LONGEST_NAME = 255;
const NOT_A_FID = 0xffff_ffff;

/** QID types. */
const QTDIR = 0x80;
const QTSYMLINK = 0x02;

/** File types in a mode (inode(7)), and what readdir calls them (DT_ is IF >> 12). */
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;
const S_IFREG = 0o100000;
/** Permissions that a guest may give: no set-user-ID and set-group-ID bits on files of the host. */
const PERMISSIONS = 0o1777;

/** Flags of Tlopen and Tlcreate: Linux's, as asm-generic has them. */
const O_ACCMODE = 3;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const O_SYNC_OR_DSYNC = 0o4010000;

/** Tgetattr: everything that stat tells (P9_GETATTR_BASIC). */
const GETATTR_BASIC = 0x7ffn;
/** Tsetattr's bits (P9_SETATTR_*). */
const SET = { mode: 1, uid: 2, gid: 4, size: 8, atime: 16, mtime: 32, atimeSet: 128, mtimeSet: 256 } as const;
const AT_REMOVEDIR = 0x200;
const LOCK_SUCCESS = 0;
const LOCK_UNLOCKED = 2;

interface Fid<N, F> {
  node: N;
  file: F | undefined;
  /** What Treaddir tells, from the last call with offset 0. */
  entries: DirectoryEntry[] | undefined;
  folder: boolean;
}

export interface ServerOptions {
  readonly readonly: boolean;
}

export class NinepServer<N, F> {
  private readonly tree: FileTree<N, F>;
  private readonly readonly: boolean;
  private readonly fids = new Map<number, Fid<N, F>>();
  private readonly reply = new MessageWriter(LARGEST_MSIZE);
  private msize = SMALLEST_MSIZE;
  private readonly handlers: { readonly [type: number]: (m: MessageReader) => void } = {
    [T.version]: (m) => this.version(m),
    [T.attach]: (m) => this.attach(m),
    [T.walk]: (m) => this.walk(m),
    [T.clunk]: (m) => this.clunk(m.u32()),
    // Messages are answered in their order: what is to be flushed has its answer.
    [T.flush]: () => {},
    [T.getattr]: (m) => this.getattr(m),
    [T.setattr]: (m) => this.setattr(m),
    [T.lopen]: (m) => this.lopen(m),
    [T.lcreate]: (m) => this.lcreate(m),
    [T.read]: (m) => this.read(m),
    [T.write]: (m) => this.write(m),
    [T.readdir]: (m) => this.readdir(m),
    [T.fsync]: (m) => this.fsync(m),
    [T.statfs]: (m) => this.statfs(m),
    [T.readlink]: (m) => this.reply.string(this.tree.readlink(this.fid(m.u32()).node)),
    // The guest has settled its locks among its own processes; the host's are not asked.
    [T.lock]: () => this.reply.u8(LOCK_SUCCESS),
    [T.getlock]: (m) => this.getlock(m),
    [T.mkdir]: (m) => this.mkdir(m),
    [T.symlink]: (m) => this.symlink(m),
    [T.mknod]: (m) => this.mknod(m),
    [T.link]: (m) => this.link(m),
    [T.renameat]: (m) => this.renameat(m),
    [T.rename]: (m) => this.rename(m),
    [T.unlinkat]: (m) => this.unlinkat(m),
    [T.remove]: (m) => this.remove(m),
  };

  constructor(tree: FileTree<N, F>, { readonly }: ServerOptions) {
    this.tree = tree;
    this.readonly = readonly;
  }

  /**
   * Answers a message.
   * @param bytes the message, in memory that nobody else changes
   * @param room bytes that there are for the answer
   * @returns the answer, valid until the next call; undefined where not even an error fits
   */
  serve(bytes: Uint8Array, room: number): Uint8Array | undefined {
    if (room < HEADER + 4) return undefined;
    const tag = bytes.length >= HEADER ? bytes[5] | (bytes[6] << 8) : 0xffff;
    try {
      const size = bytes.length < HEADER ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
      if (size < HEADER || size > bytes.length) throw new NinepError(Errno.EPROTO);
      const message = new MessageReader(bytes.subarray(0, size));
      const limit = message.type === T.version ? SMALLEST_MSIZE : this.msize;
      this.reply.begin(message.type + 1, tag, Math.min(room, limit));
      this.answer(message);
    } catch (error) {
      this.reply.begin(T.lerror + 1, tag, room);
      this.reply.u32(errnoOf(error));
    }
    return this.reply.finish();
  }

  /** Lets go of everything that the guest holds. */
  reset(): void {
    for (const fid of this.fids.values()) this.drop(fid);
    this.fids.clear();
  }

  private answer(m: MessageReader): void {
    const handler = this.handlers[m.type];
    // Not served: Tauth (nobody asks for it), extended attributes.
    if (handler === undefined) throw new NinepError(Errno.EOPNOTSUPP);
    handler(m);
  }

  // ---- the session ---------------------------------------------------------------------------------------------

  private version(m: MessageReader): void {
    const msize = m.u32();
    const version = m.string();
    if (msize < SMALLEST_MSIZE) throw new NinepError(Errno.EINVAL);
    this.reset();
    this.msize = Math.min(msize, LARGEST_MSIZE);
    this.reply.u32(this.msize);
    this.reply.string(version === VERSION ? VERSION : 'unknown');
  }

  private attach(m: MessageReader): void {
    const number = m.u32();
    if (m.u32() !== NOT_A_FID) throw new NinepError(Errno.EINVAL);
    const node = this.tree.root();
    this.add(number, node, true);
    this.qid(this.tree.status(node));
  }

  private walk(m: MessageReader): void {
    const { tree } = this;
    const number = m.u32();
    const from = this.fid(number);
    const target = m.u32();
    const count = m.u16();
    if (count > MOST_NAMES) throw new NinepError(Errno.EINVAL);
    const names = Array.from({ length: count }, () => walkable(m.string()));
    if (from.file !== undefined) throw new NinepError(Errno.EBADF);
    let node = from.node;
    tree.hold(node);
    const found: FileStatus[] = [];
    try {
      for (const name of names) {
        const next = tree.walk(node, name);
        tree.release(node);
        node = next;
        found.push(tree.status(node));
      }
    } catch (error) {
      tree.release(node);
      // As far as it went: only a first name that fails is an error, and the new fid is not made (walk(5)).
      if (found.length === 0) throw error;
      this.qids(found);
      return;
    }
    const folder = found.length > 0 ? isFolder(found[found.length - 1]) : from.folder;
    if (target === number) {
      tree.release(from.node);
      Object.assign(from, { node, folder });
    } else {
      try {
        this.add(target, node, folder);
      } catch (error) {
        tree.release(node);
        throw error;
      }
    }
    this.qids(found);
  }

  private clunk(number: number): void {
    const fid = this.fid(number);
    this.fids.delete(number);
    this.drop(fid);
  }

  private add(number: number, node: N, folder: boolean): void {
    if (number === NOT_A_FID || this.fids.has(number)) throw new NinepError(Errno.EBADF);
    if (this.fids.size >= MOST_FIDS) throw new NinepError(Errno.ENFILE);
    this.fids.set(number, { node, file: undefined, entries: undefined, folder });
  }

  private drop(fid: Fid<N, F>): void {
    if (fid.file !== undefined) this.tree.close(fid.file);
    this.tree.release(fid.node);
  }

  private fid(number: number): Fid<N, F> {
    const fid = this.fids.get(number);
    if (fid === undefined) throw new NinepError(Errno.EBADF);
    return fid;
  }

  private writableFolder(number: number): N {
    this.mayWrite();
    const { node, folder } = this.fid(number);
    if (!folder) throw new NinepError(Errno.ENOTDIR);
    return node;
  }

  private placeOf(number: number): { directory: N; name: string } {
    this.mayWrite();
    const place = this.tree.place(this.fid(number).node);
    // The shared folder itself stays.
    if (place === undefined) throw new NinepError(Errno.EACCES);
    return place;
  }

  private mayWrite(): void {
    if (this.readonly) throw new NinepError(Errno.EROFS);
  }

  // ---- files ---------------------------------------------------------------------------------------------------

  private lopen(m: MessageReader): void {
    const fid = this.fid(m.u32());
    const mode = openMode(m.u32());
    if (fid.file !== undefined) throw new NinepError(Errno.EBADF);
    if (mode.write || mode.truncate) {
      this.mayWrite();
      if (fid.folder) throw new NinepError(Errno.EISDIR);
    }
    fid.file = this.tree.open(fid.node, mode);
    this.qid(this.tree.status(fid.node));
    this.reply.u32(0); // as much as fits into a message
  }

  private lcreate(m: MessageReader): void {
    const { tree } = this;
    const number = m.u32();
    const fid = this.fid(number);
    const directory = this.writableFolder(number);
    const name = component(m.string());
    const flags = m.u32();
    if (fid.file !== undefined) throw new NinepError(Errno.EBADF);
    const file = tree.create(directory, name, openMode(flags), m.u32() & PERMISSIONS, (flags & O_EXCL) !== 0);
    let node: N;
    try {
      node = tree.walk(directory, name);
    } catch (error) {
      tree.close(file);
      throw error;
    }
    tree.release(directory);
    Object.assign(fid, { node, file, folder: false });
    this.qid(tree.status(node));
    this.reply.u32(0);
  }

  private read(m: MessageReader): void {
    const { file, folder } = this.fid(m.u32());
    if (file === undefined || folder) throw new NinepError(Errno.EBADF);
    const offset = m.u64();
    this.reply.block(m.u32(), (into) => this.tree.read(file, into, offset));
  }

  private write(m: MessageReader): void {
    this.mayWrite();
    const { file, folder } = this.fid(m.u32());
    if (file === undefined || folder) throw new NinepError(Errno.EBADF);
    const offset = m.u64();
    this.reply.u32(this.tree.write(file, m.data(m.u32()), offset));
  }

  private readdir(m: MessageReader): void {
    const fid = this.fid(m.u32());
    const offset = m.u64();
    const count = m.u32();
    if (fid.file === undefined || !fid.folder) throw new NinepError(Errno.EBADF);
    if (offset === 0 || fid.entries === undefined) fid.entries = this.tree.list(fid.node);
    const { entries } = fid;
    const { reply } = this;
    let index = offset;
    reply.block(count, (into) => {
      const piece = new MessageWriter(HEADER + into.length);
      piece.begin(0, 0, HEADER + into.length);
      for (; index < entries.length; index++) {
        const { name, status } = entries[index];
        if (piece.room < 13 + 8 + 1 + wireLength(name)) break;
        writeQid(piece, status);
        piece.u64(BigInt(index + 1));
        piece.u8(Number(status.mode) >> 12);
        piece.string(name);
      }
      const bytes = piece.finish().subarray(HEADER);
      into.set(bytes);
      return bytes.length;
    });
    // A name that does not fit even alone would look like the end.
    if (index === offset && index < entries.length) throw new NinepError(Errno.EINVAL);
  }

  private fsync(m: MessageReader): void {
    const { file } = this.fid(m.u32());
    if (file === undefined) throw new NinepError(Errno.EBADF);
    this.tree.sync(file, m.u32() !== 0);
  }

  private getattr(m: MessageReader): void {
    const { node } = this.fid(m.u32());
    const asked = m.raw64();
    const status = this.tree.status(node);
    const { reply } = this;
    reply.u64(asked & GETATTR_BASIC);
    this.qid(status);
    for (const value of [status.mode, status.uid, status.gid]) reply.u32(Number(value) >>> 0);
    for (const value of [status.nlink, status.rdev, status.size, status.blksize, status.blocks]) reply.u64(value);
    for (const time of [status.atimeNs, status.mtimeNs, status.ctimeNs, 0n]) {
      reply.u64(time / 1_000_000_000n);
      reply.u64(time % 1_000_000_000n);
    }
    reply.u64(0n); // generation
    reply.u64(0n); // data version
  }

  private setattr(m: MessageReader): void {
    this.mayWrite();
    const { node } = this.fid(m.u32());
    const valid = m.u32();
    const [mode, uid, gid] = [m.u32(), m.u32(), m.u32()];
    const size = m.u64();
    const time = () => {
      const seconds = Number(BigInt.asIntN(64, m.raw64()));
      return seconds + Number(m.raw64()) / 1e9;
    };
    const [atime, mtime] = [time(), time()];
    const has = (bit: number) => (valid & bit) !== 0;
    const change: FileChange = {
      ...(has(SET.mode) && { mode: mode & PERMISSIONS }),
      ...(has(SET.uid) && { uid }),
      ...(has(SET.gid) && { gid }),
      ...(has(SET.size) && { size }),
      ...(has(SET.atime) && { atime: has(SET.atimeSet) ? atime : 'now' }),
      ...(has(SET.mtime) && { mtime: has(SET.mtimeSet) ? mtime : 'now' }),
    };
    this.tree.change(node, change);
  }

  private statfs(m: MessageReader): void {
    const status = this.tree.fileSystem(this.fid(m.u32()).node);
    const { reply } = this;
    reply.u32(Number(BigInt.asUintN(32, status.type)));
    reply.u32(Number(BigInt.asUintN(32, status.bsize)));
    for (const value of [status.blocks, status.bfree, status.bavail, status.files, status.ffree]) reply.u64(value);
    reply.u64(0n); // file system's identifier
    reply.u32(LONGEST_NAME);
  }

  private getlock(m: MessageReader): void {
    this.fid(m.u32());
    m.u8();
    const [start, length, process] = [m.raw64(), m.raw64(), m.u32()];
    const client = m.string();
    this.reply.u8(LOCK_UNLOCKED);
    this.reply.u64(start);
    this.reply.u64(length);
    this.reply.u32(process);
    this.reply.string(client);
  }

  // ---- names in folders ----------------------------------------------------------------------------------------

  private mkdir(m: MessageReader): void {
    const directory = this.writableFolder(m.u32());
    const name = component(m.string());
    this.tree.mkdir(directory, name, m.u32() & PERMISSIONS);
    this.qidOfEntry(directory, name);
  }

  private symlink(m: MessageReader): void {
    const directory = this.writableFolder(m.u32());
    const name = component(m.string());
    this.tree.symlink(directory, name, m.string());
    this.qidOfEntry(directory, name);
  }

  /** Regular files only: devices, pipes and sockets would be the host's. */
  private mknod(m: MessageReader): void {
    const { tree } = this;
    const directory = this.writableFolder(m.u32());
    const name = component(m.string());
    const mode = m.u32();
    if ((mode & S_IFMT) !== S_IFREG) throw new NinepError(Errno.EPERM);
    tree.close(tree.create(directory, name, WRITE_ONLY, mode & PERMISSIONS, true));
    this.qidOfEntry(directory, name);
  }

  private link(m: MessageReader): void {
    const directory = this.writableFolder(m.u32());
    const { node } = this.fid(m.u32());
    this.tree.link(directory, component(m.string()), node);
  }

  private renameat(m: MessageReader): void {
    const from = this.writableFolder(m.u32());
    const name = component(m.string());
    const to = this.writableFolder(m.u32());
    this.tree.rename(from, name, to, component(m.string()));
  }

  private rename(m: MessageReader): void {
    const { directory, name } = this.placeOf(m.u32());
    const to = this.writableFolder(m.u32());
    this.tree.rename(directory, name, to, component(m.string()));
  }

  private unlinkat(m: MessageReader): void {
    const directory = this.writableFolder(m.u32());
    const name = component(m.string());
    this.tree.unlink(directory, name, (m.u32() & AT_REMOVEDIR) !== 0);
  }

  /** The fid is gone afterwards, whether the file is or not. */
  private remove(m: MessageReader): void {
    const number = m.u32();
    const { folder } = this.fid(number);
    try {
      const { directory, name } = this.placeOf(number);
      this.tree.unlink(directory, name, folder);
    } finally {
      this.clunk(number);
    }
  }

  // ---- what answers are made of --------------------------------------------------------------------------------

  private qids(found: readonly FileStatus[]): void {
    this.reply.u16(found.length);
    for (const status of found) this.qid(status);
  }

  private qid(status: FileStatus): void {
    writeQid(this.reply, status);
  }

  private qidOfEntry(directory: N, name: string): void {
    const node = this.tree.walk(directory, name);
    try {
      this.qid(this.tree.status(node));
    } finally {
      this.tree.release(node);
    }
  }
}

const WRITE_ONLY: OpenMode = { read: false, write: true, truncate: false, sync: false };

/** type[1] version[4] path[8]: what a file is, in which state, and which one. */
function writeQid(to: MessageWriter, { dev, ino, mode, mtimeNs, size }: FileStatus): void {
  const type = Number(mode) & S_IFMT;
  to.u8(type === S_IFDIR ? QTDIR : type === S_IFLNK ? QTSYMLINK : 0);
  to.u32(Number(BigInt.asUintN(32, mtimeNs ^ (size << 8n))));
  // A folder may reach over several file systems.
  to.u64(ino ^ (dev << 48n));
}

function isFolder({ mode }: FileStatus): boolean {
  return (Number(mode) & S_IFMT) === S_IFDIR;
}

function openMode(flags: number): OpenMode {
  const access = flags & O_ACCMODE;
  if (access === O_ACCMODE) throw new NinepError(Errno.EINVAL);
  return {
    read: access !== 1,
    write: access !== 0,
    truncate: (flags & O_TRUNC) !== 0,
    sync: (flags & O_SYNC_OR_DSYNC) !== 0,
  };
}

/** A name within a folder, with which nothing but an entry of it can be meant. */
function component(name: string): string {
  if (name === '.' || name === '..') throw new NinepError(Errno.EINVAL);
  return walkable(name);
}

function walkable(name: string): string {
  if (name === '' || name === '.' || name.includes('/') || name.includes('\0')) throw new NinepError(Errno.EINVAL);
  if (wireLength(name) - 2 > LONGEST_NAME) throw new NinepError(Errno.ENAMETOOLONG);
  return name;
}

/** Linux's number of an error of ours or of the file system; what is neither is a defect and goes on. */
function errnoOf(error: unknown): number {
  const { errno } = error as { errno?: unknown };
  if (!(error instanceof Error) || typeof errno !== 'number') throw error;
  return Math.abs(errno);
}
