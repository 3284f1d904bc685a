/** For tests of images: bytes in memory that remember every write, an image made by hand, and a checker of our own. */
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

/** Follows every pointer of an image without snapshots and compares what it finds with the refcounts. */
export function checkQcow2(bytes: Uint8Array): Checked {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const long = (at: number) => view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
  const clusterBits = view.getUint32(20);
  const cluster = 2 ** clusterBits;
  const order = view.getUint32(4) === 3 ? view.getUint32(96) : 4;
  const used = new Map<number, number>();
  const errors: string[] = [];
  const use = (what: string, at: number, length = cluster): void => {
    if (at + Math.min(length, 1) > bytes.length) errors.push(`${what} at ${at} lies outside of the file`);
    for (let n = Math.floor(at / cluster); n * cluster < at + length; n++) used.set(n, (used.get(n) ?? 0) + 1);
  };
  const offset = (at: number) => (view.getUint32(at) & 0xff_ffff) * 2 ** 32 + ((view.getUint32(at + 4) & ~511) >>> 0);
  use('header', 0);
  const l1 = long(40);
  const l1Size = view.getUint32(36);
  use('L1', l1, l1Size * 8);
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
  for (let i = 0; i < l1Size; i++) {
    const l2 = offset(l1 + i * 8);
    if (l2 === 0) continue;
    use('L2', l2);
    if (l2 + cluster > bytes.length) continue;
    for (let n = 0; n < cluster / 8; n++) {
      const entry = l2 + n * 8;
      if ((view.getUint32(entry) & 0x4000_0000) !== 0) errors.push('compressed clusters are not checked here');
      const host = offset(entry);
      if (host !== 0) use('data', host);
    }
  }
  let leaks = 0;
  for (const [n, count] of used)
    if (count > (counts.get(n) ?? 0))
      errors.push(`cluster ${n} has ${count} users and a refcount of ${counts.get(n) ?? 0}`);
  for (const [n, count] of counts) if (count > (used.get(n) ?? 0)) leaks++;
  return { errors, leaks };
}
