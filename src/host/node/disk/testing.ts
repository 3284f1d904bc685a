/** For tests of images: bytes in memory that remember every write, an image made by hand, and a checker of our own. */
import { deflateRawSync } from 'node:zlib';
import { type Storage, StorageError } from './storage.js';

export interface Written {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** What a power cut may leave: everything before the last sync, and any of what was written after it. */
export class MemoryStorage implements Storage {
  readonly name: string;
  readonly readonly: boolean;
  bytes: Uint8Array;
  /** Everything written, and where syncs were. */
  readonly log: (Written | 'sync')[] = [];
  readonly fd = undefined;
  closed = false;
  /** Writes until the host has no more room. */
  room = Number.POSITIVE_INFINITY;

  constructor(bytes: Uint8Array, name = '/disk.img', readonly = false) {
    this.bytes = bytes.slice();
    this.name = name;
    this.readonly = readonly;
  }

  get size(): number {
    return this.bytes.length;
  }

  read(at: number, views: readonly Uint8Array[]): void {
    let from = at;
    for (const view of views) {
      view.fill(0);
      view.set(this.bytes.subarray(Math.min(from, this.size), Math.min(from + view.length, this.size)));
      from += view.length;
    }
  }

  write(at: number, views: readonly Uint8Array[]): void {
    if (this.room-- <= 0) throw new StorageError(`${this.name} can't be written (ENOSPC)`);
    let to = at;
    for (const view of views) {
      const bytes = view.slice();
      this.log.push({ at: to, bytes });
      this.bytes = applied(this.bytes, { at: to, bytes });
      to += view.length;
    }
  }

  beginSync(): void {}

  sync(): void {
    this.log.push('sync');
  }

  zero(at: number, length: number): void {
    this.write(at, [new Uint8Array(length)]);
  }

  /** The worst that may happen to what nobody wants any more. */
  discard(at: number, length: number): void {
    this.write(at, [new Uint8Array(length).fill(0xdd)]);
  }

  close(): void {
    this.closed = true;
  }
}

export function applied(bytes: Uint8Array, { at, bytes: written }: Written): Uint8Array {
  let result = bytes;
  if (at + written.length > bytes.length) {
    result = new Uint8Array(at + written.length);
    result.set(bytes);
  }
  result.set(written, at);
  return result;
}

export interface MadeImage {
  readonly clusterBits: number;
  readonly size: number;
  readonly version?: 2 | 3;
  readonly refcountOrder?: number;
  readonly backing?: string;
}

/** An empty image: header, refcount table, one block, L1 table, in the clusters from 0 on. */
export function makeQcow2({ clusterBits, size, version = 3, refcountOrder = 4, backing = '' }: MadeImage): Uint8Array {
  const cluster = 2 ** clusterBits;
  const l1Entries = Math.max(1, Math.ceil(size / (cluster * (cluster / 8))));
  const l1Clusters = Math.ceil((l1Entries * 8) / cluster);
  const clusters = 3 + l1Clusters;
  const bytes = new Uint8Array(clusters * cluster);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x514649fb);
  view.setUint32(4, version);
  view.setUint32(20, clusterBits);
  view.setUint32(24, Math.floor(size / 2 ** 32));
  view.setUint32(28, size % 2 ** 32);
  view.setUint32(36, l1Entries);
  view.setUint32(44, 3 * cluster);
  view.setUint32(52, cluster);
  view.setUint32(56, 1);
  if (version === 3) {
    view.setUint32(96, refcountOrder);
    view.setUint32(100, 104);
  }
  if (backing !== '') {
    const name = new TextEncoder().encode(backing);
    view.setUint32(12, 256);
    view.setUint32(16, name.length);
    bytes.set(name, 256);
  }
  view.setUint32(cluster + 4, 2 * cluster);
  for (let n = 0; n < clusters; n++) setCount(bytes.subarray(2 * cluster), n, version === 3 ? refcountOrder : 4, 1);
  return bytes;
}

function setCount(block: Uint8Array, index: number, order: number, value: number): void {
  const bits = 2 ** order;
  if (bits < 8) {
    const bit = index * bits;
    block[bit >> 3] |= value << (bit & 7);
  } else {
    block[(index + 1) * (bits / 8) - 1] = value;
  }
}

function getCount(block: Uint8Array, index: number, order: number): number {
  const bits = 2 ** order;
  if (bits < 8) return (block[(index * bits) >> 3] >> ((index * bits) & 7)) & (2 ** bits - 1);
  return block.subarray(index * (bits / 8), (index + 1) * (bits / 8)).reduce((sum, byte) => sum * 256 + byte, 0);
}

export interface Checked {
  /** What would lose data, in sentences. */
  readonly errors: string[];
  /** Clusters that are counted and not used. */
  readonly leaks: number;
}

interface Users {
  /** By the cluster's number. */
  readonly users: Map<number, number>;
  readonly counts: Map<number, number>;
  readonly errors: string[];
}

/** Follows every pointer of an image, its snapshots' too. */
function usersOf(bytes: Uint8Array): Users {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const long = (at: number) => view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
  const clusterBits = view.getUint32(20);
  const cluster = 2 ** clusterBits;
  const order = view.getUint32(4) === 3 ? view.getUint32(96) : 4;
  const users = new Map<number, number>();
  const errors: string[] = [];
  const use = (what: string, at: number, length = cluster): void => {
    if (at + Math.min(length, 1) > bytes.length) errors.push(`${what} at ${at} lies outside of the file`);
    for (let n = Math.floor(at / cluster); n * cluster < at + length; n++) users.set(n, (users.get(n) ?? 0) + 1);
  };
  const offset = (at: number) => (view.getUint32(at) & 0xff_ffff) * 2 ** 32 + ((view.getUint32(at + 4) & ~511) >>> 0);
  use('header', 0);
  const table = long(48);
  const tableBytes = view.getUint32(56) * cluster;
  use('refcount table', table, tableBytes);
  const counts = new Map<number, number>();
  const perBlock = (cluster * 8) / 2 ** order;
  for (let i = 0; i < tableBytes / 8; i++) {
    const at = long(table + i * 8);
    if (at === 0) continue;
    use('refcount block', at);
    if (at + cluster > bytes.length) continue;
    for (let n = 0; n < perBlock; n++) {
      const count = getCount(bytes.subarray(at, at + cluster), n, order);
      if (count > 0) counts.set(i * perBlock + n, count);
    }
  }
  const useEntry = (entry: number): void => {
    if ((view.getUint32(entry) & 0x4000_0000) === 0) {
      if (offset(entry) !== 0) use('data', offset(entry));
      return;
    }
    const sectorsAt = 62 - (clusterBits - 8);
    const packed = ((BigInt(view.getUint32(entry)) << 32n) | BigInt(view.getUint32(entry + 4))) & (2n ** 62n - 1n);
    const at = Number(packed & (2n ** BigInt(sectorsAt) - 1n));
    const sectors = Number(packed >> BigInt(sectorsAt)) + 1;
    use('compressed data', at, sectors * 512 - (at % 512));
  };
  const useDisk = (l1: number, l1Size: number): void => {
    use('L1', l1, l1Size * 8);
    for (let i = 0; i < l1Size; i++) {
      const l2 = offset(l1 + i * 8);
      if (l2 === 0) continue;
      use('L2', l2);
      if (l2 + cluster <= bytes.length) for (let n = 0; n < cluster / 8; n++) useEntry(l2 + n * 8);
    }
  };
  useDisk(long(40), view.getUint32(36));
  const snapshots = snapshotsOf(bytes);
  for (const { l1, l1Size } of snapshots) useDisk(l1, l1Size);
  if (snapshots.length > 0) use('snapshot table', long(64), snapshots.at(-1)!.end - long(64));
  return { users, counts, errors };
}

/** Compares what points to clusters with the refcounts. */
export function checkQcow2(bytes: Uint8Array): Checked {
  const { users, counts, errors } = usersOf(bytes);
  let leaks = 0;
  for (const [n, count] of users)
    if (count > (counts.get(n) ?? 0))
      errors.push(`cluster ${n} has ${count} users and a refcount of ${counts.get(n) ?? 0}`);
  for (const [n, count] of counts) if (count > (users.get(n) ?? 0)) leaks++;
  return { errors, leaks };
}

/** Counts the users of every cluster anew; the blocks for them must be there. */
function recount(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const cluster = 2 ** view.getUint32(20);
  const order = view.getUint32(4) === 3 ? view.getUint32(96) : 4;
  const perBlock = (cluster * 8) / 2 ** order;
  const block = (n: number) => view.getUint32(view.getUint32(52) + Math.floor(n / perBlock) * 8 + 4);
  for (const [n, count] of usersOf(bytes).users) {
    if (block(n) === 0) throw new RangeError('The image has no block for this refcount.');
    setCount(bytes.subarray(block(n), block(n) + cluster), n % perBlock, order, count);
  }
}

/** The same disk with every cluster compressed, one behind the other, as `qemu-img convert -c` has them. */
export function packQcow2(kind: MadeImage, content: Uint8Array, how: 'deflate' | 'zstd'): Uint8Array {
  const cluster = 2 ** kind.clusterBits;
  const perTable = cluster / 8;
  const empty = makeQcow2(kind);
  const count = Math.ceil(kind.size / cluster);
  const tables = Math.ceil(count / perTable);
  // Far more than enough for what is written later as well.
  const blocks = Math.ceil((count * 4) / ((cluster * 8) / 2 ** (kind.refcountOrder ?? 4))) + 2;
  const tablesAt = empty.length + blocks * cluster;
  const bytes = new Uint8Array(tablesAt + tables * cluster + count * (cluster + 1024));
  bytes.set(empty);
  const view = new DataView(bytes.buffer);
  const refcountTable = view.getUint32(52);
  if (blocks * 8 > cluster) throw new RangeError('The refcount table is too small.');
  for (let i = 1; i < blocks; i++) view.setUint32(refcountTable + i * 8 + 4, empty.length + i * cluster);
  const l1 = view.getUint32(44);
  let at = tablesAt + tables * cluster;
  for (let n = 0; n < count; n++) {
    const table = tablesAt + Math.floor(n / perTable) * cluster;
    view.setUint32(l1 + Math.floor(n / perTable) * 8, 0x8000_0000);
    view.setUint32(l1 + Math.floor(n / perTable) * 8 + 4, table);
    const plain = new Uint8Array(cluster);
    plain.set(content.subarray(n * cluster, (n + 1) * cluster));
    const packed = how === 'deflate' ? deflateRawSync(plain) : zstdOfSectors(plain);
    const sectors = Math.floor((at + packed.length - 1) / 512) - Math.floor(at / 512);
    view.setUint32(table + (n % perTable) * 8, (0x4000_0000 | (sectors << (62 - (kind.clusterBits - 8) - 32))) >>> 0);
    view.setUint32(table + (n % perTable) * 8 + 4, at);
    bytes.set(packed, at);
    at += packed.length;
  }
  if (how === 'zstd') {
    view.setUint32(76, 8); // The incompatible feature that says that there is a compression type.
    view.setUint32(100, 112);
    bytes[104] = 1;
  }
  const whole = bytes.slice(0, at);
  recount(whole);
  return whole;
}

/** A zstd frame (RFC 8878, 3.1.1) of blocks that each repeat a sector's first byte: what our patterns are made of. */
function zstdOfSectors(plain: Uint8Array): Uint8Array {
  const sectors = plain.length / 512;
  const frame = new Uint8Array(9 + 4 * sectors);
  const view = new DataView(frame.buffer);
  view.setUint32(0, 0xfd2f_b528, true);
  frame[4] = 0xa0; // A single segment, its length in four bytes.
  view.setUint32(5, plain.length, true);
  for (let i = 0; i < sectors; i++) {
    const header = (512 << 3) | (1 << 1) | (i === sectors - 1 ? 1 : 0);
    frame.set([header & 255, header >> 8, 0, plain[i * 512]], 9 + 4 * i);
  }
  return frame;
}

interface Snapshot {
  readonly l1: number;
  readonly l1Size: number;
  /** Where its entry ends. */
  readonly end: number;
}

function snapshotsOf(bytes: Uint8Array): Snapshot[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const list: Snapshot[] = [];
  let at = view.getUint32(68);
  for (let left = view.getUint32(60); left > 0; left--) {
    const length = 40 + view.getUint32(at + 36) + view.getUint16(at + 12) + view.getUint16(at + 14);
    list.push({ l1: view.getUint32(at + 4), l1Size: view.getUint32(at + 8), end: at + length });
    at += Math.ceil(length / 8) * 8;
  }
  return list;
}

/** The image with a snapshot of what it holds now, as `qemu-img snapshot -c` leaves it. */
export function snapshotQcow2(bytes: Uint8Array): Uint8Array {
  const old = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const cluster = 2 ** old.getUint32(20);
  const l1 = old.getUint32(44);
  const l1Size = old.getUint32(36);
  const copyAt = Math.ceil(bytes.length / cluster) * cluster;
  const listAt = copyAt + Math.ceil((l1Size * 8) / cluster) * cluster;
  const result = new Uint8Array(listAt + cluster);
  result.set(bytes);
  const view = new DataView(result.buffer);
  // Nothing is anybody's alone any more.
  const share = (at: number) => view.setUint32(at, view.getUint32(at) & 0x7fff_ffff);
  for (let i = 0; i < l1Size; i++) {
    share(l1 + i * 8);
    const l2 = view.getUint32(l1 + i * 8 + 4);
    if (l2 !== 0) for (let n = 0; n < cluster / 8; n++) share(l2 + n * 8);
  }
  result.copyWithin(copyAt, l1, l1 + l1Size * 8);
  view.setUint32(listAt + 4, copyAt);
  view.setUint32(listAt + 8, l1Size);
  view.setUint16(listAt + 12, 1);
  view.setUint32(listAt + 36, 16); // Sizes of the machine's state and of the disk.
  view.setUint32(listAt + 52, old.getUint32(28));
  result[listAt + 56] = 0x31;
  view.setUint32(60, 1);
  view.setUint32(68, listAt);
  recount(result);
  return result;
}

/** The image as it was at its snapshot. */
export function revertedQcow2(bytes: Uint8Array): Uint8Array {
  const [{ l1 }] = snapshotsOf(bytes);
  const result = bytes.slice();
  new DataView(result.buffer).setUint32(44, l1);
  return result;
}
