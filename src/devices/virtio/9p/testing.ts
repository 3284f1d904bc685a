/** For tests of the 9P server: messages as a client writes them, and a folder that is only in memory. */
import { Errno, HEADER, MessageReader, MessageWriter, NinepError } from './message.js';
import type { DirectoryEntry, FileChange, FileStatus, FileSystemStatus, FileTree, OpenMode } from './tree.js';

/** A request: type, tag, then fields: numbers with their width in bytes, strings, raw bytes. */
export function request(
  type: number,
  tag: number,
  ...fields: ([number, 1 | 2 | 4 | 8] | string | Uint8Array)[]
): Uint8Array {
  const writer = new MessageWriter(1 << 20);
  writer.begin(type, tag, 1 << 20);
  for (const field of fields) {
    if (typeof field === 'string') writer.string(field);
    else if (field instanceof Uint8Array) for (const byte of field) writer.u8(byte);
    else if (field[1] === 1) writer.u8(field[0]);
    else if (field[1] === 2) writer.u16(field[0]);
    else if (field[1] === 4) writer.u32(field[0]);
    else writer.u64(BigInt(field[0]));
  }
  return writer.finish().slice();
}

/** A reader of an answer, which must be whole. */
export function answer(bytes: Uint8Array | undefined): MessageReader {
  if (bytes === undefined) throw new Error('there is no answer');
  const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (size !== bytes.length || size < HEADER) throw new Error(`an answer of ${bytes.length} bytes says ${size}`);
  return new MessageReader(bytes.slice());
}

const [DIRECTORY, REGULAR, LINK] = [0o040755, 0o100644, 0o120777];

export interface MemoryNode {
  readonly ino: number;
  mode: number;
  bytes: Uint8Array;
  target: string;
  readonly entries: Map<string, MemoryNode>;
}

export interface Held {
  readonly node: MemoryNode;
  readonly parent: Held | undefined;
  readonly name: string;
  holders: number;
}

/** Counts what is held and open, so that a leak shows. */
export class MemoryTree implements FileTree<Held, MemoryNode> {
  private count = 0;
  held = 0;
  opened = 0;
  readonly top = this.make(DIRECTORY);

  make(mode: number, text = ''): MemoryNode {
    return { ino: ++this.count, mode, bytes: new TextEncoder().encode(text), target: text, entries: new Map() };
  }

  root(): Held {
    return this.take(this.top, undefined, '');
  }

  walk(directory: Held, name: string): Held {
    if (name === '..') return this.take((directory.parent ?? directory).node, directory.parent?.parent, '');
    return this.take(this.find(directory, name), directory, name);
  }

  hold(held: Held): void {
    held.holders++;
    this.held++;
  }

  release(held: Held): void {
    if (--held.holders < 0) throw new Error('released once too often');
    this.held--;
  }

  status({ node }: Held): FileStatus {
    return statusOf(node);
  }

  fileSystem(): FileSystemStatus {
    return { type: 1n, bsize: 4096n, blocks: 9n, bfree: 8n, bavail: 7n, files: 6n, ffree: 5n };
  }

  change({ node }: Held, { mode, size }: FileChange): void {
    if (mode !== undefined) node.mode = (node.mode & 0o170000) | mode;
    if (size !== undefined) node.bytes = resized(node.bytes, size);
  }

  readlink({ node }: Held): string {
    return node.target;
  }

  open({ node }: Held, { truncate }: OpenMode): MemoryNode {
    if (truncate) node.bytes = new Uint8Array();
    this.opened++;
    return node;
  }

  create(directory: Held, name: string, mode: OpenMode, permissions: number, exclusive: boolean): MemoryNode {
    const there = directory.node.entries.get(name);
    if (there !== undefined && exclusive) throw new NinepError(Errno.EEXIST);
    const node = there ?? this.make(0o100000 | permissions);
    directory.node.entries.set(name, node);
    return this.open({ node, parent: directory, name, holders: 0 }, mode);
  }

  read(file: MemoryNode, into: Uint8Array, offset: number): number {
    const piece = file.bytes.subarray(offset, offset + into.length);
    into.set(piece);
    return piece.length;
  }

  write(file: MemoryNode, bytes: Uint8Array, offset: number): number {
    file.bytes = resized(file.bytes, Math.max(file.bytes.length, offset + bytes.length));
    file.bytes.set(bytes, offset);
    return bytes.length;
  }

  sync(): void {}

  close(): void {
    this.opened--;
  }

  list({ node }: Held): DirectoryEntry[] {
    return [...node.entries].map(([name, entry]) => ({ name, status: statusOf(entry) }));
  }

  mkdir(directory: Held, name: string): void {
    this.add(directory, name, this.make(DIRECTORY));
  }

  symlink(directory: Held, name: string, target: string): void {
    this.add(directory, name, this.make(LINK, target));
  }

  link(directory: Held, name: string, { node }: Held): void {
    this.add(directory, name, node);
  }

  rename(from: Held, oldName: string, to: Held, newName: string): void {
    const node = this.find(from, oldName);
    from.node.entries.delete(oldName);
    to.node.entries.set(newName, node);
  }

  unlink(directory: Held, name: string): void {
    this.find(directory, name);
    directory.node.entries.delete(name);
  }

  place({ parent, name }: Held): { directory: Held; name: string } | undefined {
    return parent && { directory: parent, name };
  }

  private take(node: MemoryNode, parent: Held | undefined, name: string): Held {
    this.held++;
    return { node, parent, name, holders: 1 };
  }

  private find(directory: Held, name: string): MemoryNode {
    const node = directory.node.entries.get(name);
    if (node === undefined) throw new NinepError(Errno.ENOENT);
    return node;
  }

  private add(directory: Held, name: string, node: MemoryNode): void {
    if (directory.node.entries.has(name)) throw new NinepError(Errno.EEXIST);
    directory.node.entries.set(name, node);
  }
}

/** A file as long as a guest likes would be as much memory. */
function resized(bytes: Uint8Array, size: number): Uint8Array {
  if (size > 1 << 20) throw new NinepError(Errno.EOVERFLOW);
  const copy = new Uint8Array(size);
  copy.set(bytes.subarray(0, size));
  return copy;
}

function statusOf({ ino, mode, bytes }: MemoryNode): FileStatus {
  const none = { dev: 0n, uid: 0n, gid: 0n, rdev: 0n, blksize: 4096n, blocks: 0n };
  const times = { atimeNs: 1_500_000_000n, mtimeNs: 2n, ctimeNs: 3n };
  return { ...none, ...times, ino: BigInt(ino), mode: BigInt(mode), nlink: 1n, size: BigInt(bytes.length) };
}

export { DIRECTORY, LINK, REGULAR };
