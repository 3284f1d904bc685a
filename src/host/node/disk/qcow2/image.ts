/**
 * A qcow2 image, read and written (docs/interop/qcow2.txt). Guest clusters are found through two levels of tables; what
 * nothing maps is read from the backing image, and copied from there before a part of it is written.
 *
 * Order is what makes it survive: data goes to its place at once; at a flush the refcounts are written first, then the L2
 * tables that point to what they count, then the L1 table that points to those, each behind a sync. So whenever the power
 * goes, every pointer on the disk leads to something whole that is counted: the worst that is left are clusters that are
 * counted and that nobody uses. Clusters are freed only when no pointer on the disk leads to them any more.
 */
import type { DiskImage } from '../image.js';
import { cut, fillZeros, lengthOf, type Storage, StorageError } from '../storage.js';
import { COPIED, type Mapping, mappingOf, offsetOf, ZERO } from './clusters.js';
import { clearAutoclear, markCorrupt, type Qcow2Header } from './header.js';
import { inflateCluster } from './inflate.js';
import { Refcounts } from './refcounts.js';
import { Table, TableCache } from './table.js';

/** L2 tables in memory, in bytes: with clusters of 64 KiB that is 256 GiB of disk. */
const L2_CACHE = 32 * 2 ** 20;
const FEWEST_TABLES = 16;
const TWO_32 = 2 ** 32;

export class Qcow2Image implements DiskImage {
  readonly size: number;
  readonly physicalBlock: number;
  readonly discardUnit: number;
  private readonly storage: Storage;
  private readonly header: Qcow2Header;
  private readonly backing: DiskImage | undefined;
  private readonly cluster: number;
  /** Entries of an L2 table. */
  private readonly entries: number;
  private readonly l1: Table;
  private readonly l2: TableCache;
  private readonly refcounts: Refcounts;
  /** Clusters with one user less once the tables are on the disk. */
  private deferred: number[] = [];
  private unpacked: { readonly host: number; readonly bytes: Uint8Array } | undefined;
  private autoclear = true;
  private broken = false;

  /** @param problem refuses the image in a sentence that begins with its name */
  constructor(storage: Storage, header: Qcow2Header, backing: DiskImage | undefined, problem: (why: string) => never) {
    this.storage = storage;
    this.header = header;
    this.backing = backing;
    this.cluster = 2 ** header.clusterBits;
    this.entries = this.cluster / 8;
    this.size = header.size;
    this.physicalBlock = Math.max(512, Math.min(this.cluster, 4096));
    this.discardUnit = this.cluster;
    this.l1 = Table.read(storage, header.l1Offset, header.l1Size * 8);
    this.l2 = new TableCache(Math.max(FEWEST_TABLES, L2_CACHE / this.cluster));
    this.refcounts = new Refcounts(storage, header);
    this.checkTables(problem);
  }

  /** Every table inside the file, at a cluster's beginning and in a place of its own. */
  private checkTables(problem: (why: string) => never): void {
    const { metadata } = this.refcounts;
    const claim = (what: string, at: number): void => {
      const number = at / this.cluster;
      if (!Number.isInteger(number) || at >= this.storage.size) problem(`has ${what} at ${at}, where none can be`);
      if (metadata.has(number)) problem(`has ${what} at ${at}, where another table is`);
      metadata.add(number);
    };
    for (const number of metadata)
      if (!Number.isInteger(number) || number * this.cluster >= this.storage.size)
        problem(`has a refcount block at ${number * this.cluster}, where none can be`);
    claim('its header', 0);
    const claimAll = (what: string, at: number, length: number): void => {
      for (let done = 0; done < length; done += this.cluster) claim(what, at + done);
    };
    claimAll('its L1 table', this.header.l1Offset, this.l1.bytes.length);
    claimAll('its refcount table', this.header.refcountTableOffset, this.header.refcountTableClusters * this.cluster);
    for (let i = 0; i < this.header.l1Size; i++) {
      const at = offsetOf(this.l1.high(i), this.l1.low(i));
      if (at !== 0) claim('an L2 table', at);
    }
    if (this.storage.readonly) return;
    for (const number of metadata)
      if (this.refcounts.get(number) === 0)
        problem(
          `has a table at ${number * this.cluster} and counts no user of it; repair it with qemu-img check -r all`,
        );
  }

  // ---- finding -----------------------------------------------------------------------------------------------------

  private findTable(guest: number): Table | undefined {
    const index = Math.floor(guest / (this.cluster * this.entries));
    const at = offsetOf(this.l1.high(index), this.l1.low(index));
    return at === 0 ? undefined : this.loadTable(at);
  }

  private loadTable(at: number): Table {
    return this.l2.get(at, () => Table.read(this.storage, at, this.cluster));
  }

  private entryIndex(guest: number): number {
    return Math.floor(guest / this.cluster) % this.entries;
  }

  private mapping(table: Table | undefined, guest: number): Mapping {
    if (table === undefined) return { kind: 'none' };
    const index = this.entryIndex(guest);
    const mapping = mappingOf(table.high(index), table.low(index), this.header.clusterBits, this.header.version);
    if (mapping.kind === 'none' || mapping.host === 0) return mapping;
    const aligned = mapping.kind === 'compressed' || mapping.host % this.cluster === 0;
    const end = Math.ceil(this.storage.size / this.cluster) * this.cluster;
    if (!aligned || mapping.host >= end) this.corrupt(`the disk's byte ${guest} at ${mapping.host}, where none can be`);
    return mapping;
  }

  /** How many of `length` bytes from `guest` on are mapped alike, and where they are: one piece of the file. */
  private extent(guest: number, length: number): { readonly mapping: Mapping; readonly length: number } {
    const table = this.findTable(guest);
    const mapping = this.mapping(table, guest);
    const inTable = this.cluster * this.entries - (guest % (this.cluster * this.entries));
    const most = Math.min(length, inTable);
    let reached = this.cluster - (guest % this.cluster);
    if (mapping.kind !== 'compressed') {
      const first = guest - (guest % this.cluster);
      while (reached < most && this.continues(mapping, this.mapping(table, guest + reached), guest + reached - first))
        reached += this.cluster;
    }
    return { mapping, length: Math.min(reached, most) };
  }

  private continues(first: Mapping, next: Mapping, distance: number): boolean {
    if (first.kind !== next.kind) return false;
    if (first.kind !== 'data' || next.kind !== 'data') return true;
    return next.host === first.host + distance && next.copied === first.copied;
  }

  // ---- reading -----------------------------------------------------------------------------------------------------

  read(at: number, views: readonly Uint8Array[]): void {
    const total = lengthOf(views);
    this.l2.shrink();
    for (let done = 0; done < total; ) {
      const guest = at + done;
      const { mapping, length } = this.extent(guest, total - done);
      const part = done === 0 && length === total ? views : cut(views, done, length);
      const inside = guest % this.cluster;
      if (mapping.kind === 'data') this.storage.read(mapping.host + inside, part);
      else if (mapping.kind === 'zero') fillZeros(part);
      else if (mapping.kind === 'compressed') copyInto(part, this.unpack(mapping, guest), inside);
      else this.readBacking(guest, length, part);
      done += length;
    }
  }

  private readBacking(guest: number, length: number, views: readonly Uint8Array[]): void {
    const there = Math.max(0, Math.min(length, (this.backing?.size ?? 0) - guest));
    if (there > 0) this.backing!.read(guest, cut(views, 0, there));
    if (there < length) fillZeros(cut(views, there, length - there));
  }

  private unpack({ host, length }: { host: number; length: number }, guest: number): Uint8Array {
    if (this.unpacked?.host === host) return this.unpacked.bytes;
    const packed = new Uint8Array(length);
    this.storage.read(host, [packed]);
    const bytes = inflateCluster(packed, this.cluster, this.header.compression);
    if (bytes === undefined) {
      throw new StorageError(
        `${this.storage.name}: the compressed cluster of the disk's byte ${guest} does not unpack`,
      );
    }
    this.unpacked = { host, bytes };
    return bytes;
  }

  // ---- writing -----------------------------------------------------------------------------------------------------

  write(at: number, views: readonly Uint8Array[]): void {
    this.prepareWrite();
    const total = lengthOf(views);
    for (let done = 0; done < total; ) {
      const guest = at + done;
      const { mapping, length } = this.extent(guest, total - done);
      if (mapping.kind === 'data' && this.isOurs(guest, mapping, length + (guest % this.cluster))) {
        this.guard(mapping.host, length + (guest % this.cluster));
        this.storage.write(mapping.host + (guest % this.cluster), cut(views, done, length));
        done += length;
      } else {
        const count = Math.min(this.cluster - (guest % this.cluster), total - done);
        this.writeNew(guest, mapping, cut(views, done, count), count);
        done += count;
      }
    }
  }

  /** Writes a cluster, or a part of it, to a place of its own. */
  private writeNew(guest: number, mapping: Mapping, views: readonly Uint8Array[], length: number): void {
    const table = this.writableTable(guest);
    const reuse = mapping.kind === 'zero' && mapping.host !== 0 && this.isOurs(guest, mapping, this.cluster);
    if (reuse) this.guard(mapping.host, this.cluster);
    const host = reuse ? mapping.host : this.refcounts.allocate() * this.cluster;
    try {
      this.storage.write(host, this.whole(guest, views, length));
    } catch (error) {
      if (!reuse) this.refcounts.release(host / this.cluster);
      throw error;
    }
    this.remap(table, guest, host, 0);
    if (!reuse) this.letGo(mapping);
  }

  /**
   * Whether clusters may be written where they are. The flag that says so counts only below a table that is ours alone, and
   * where there are snapshots that could lose by it each cluster's refcount is asked as well.
   */
  private isOurs(guest: number, { host, copied }: { host: number; copied: boolean }, length: number): boolean {
    const l1 = this.l1.high(Math.floor(guest / (this.cluster * this.entries)));
    if (!copied || (l1 & COPIED) === 0) return false;
    for (let at = 0; at < length; at += this.cluster) if (!this.isCountedOnce(host + at)) return false;
    return true;
  }

  private isCountedOnce(host: number): boolean {
    return this.header.snapshots === 0 || this.refcounts.get(host / this.cluster) === 1;
  }

  /** The views with what the rest of the cluster holds before and behind them. */
  private whole(guest: number, views: readonly Uint8Array[], length: number): readonly Uint8Array[] {
    if (length === this.cluster) return views;
    const before = guest % this.cluster;
    const behind = this.cluster - before - length;
    const head = new Uint8Array(before);
    const tail = new Uint8Array(behind);
    if (before > 0) this.read(guest - before, [head]);
    if (behind > 0) this.read(guest + length, [tail]);
    return [head, ...views, tail];
  }

  zero(at: number, length: number, release: boolean): void {
    this.prepareWrite();
    this.byClusters(at, length, (guest, part) => {
      if (part < this.cluster) this.write(guest, [new Uint8Array(part)]);
      else this.zeroCluster(guest, release);
    });
  }

  discard(at: number, length: number): void {
    this.prepareWrite();
    this.byClusters(at, length, (guest, part) => {
      // Where zeros can't be noted the backing image would show through.
      if (part === this.cluster && (this.header.version >= 3 || this.backing === undefined))
        this.zeroCluster(guest, true);
    });
  }

  private byClusters(at: number, length: number, each: (guest: number, length: number) => void): void {
    for (let done = 0; done < length; ) {
      const guest = at + done;
      const part = Math.min(this.cluster - (guest % this.cluster), length - done);
      each(guest, part);
      done += part;
    }
  }

  private zeroCluster(guest: number, release: boolean): void {
    const mapping = this.mapping(this.findTable(guest), guest);
    const bare = this.backing === undefined;
    if (mapping.kind === 'none' && bare) return;
    if (mapping.kind === 'zero' && (mapping.host === 0 || !release)) return;
    const keep = !release && mapping.kind === 'data' && this.isOurs(guest, mapping, this.cluster);
    if (this.header.version < 3 && (keep || !bare)) {
      this.write(guest, [new Uint8Array(this.cluster)]);
      return;
    }
    const table = this.writableTable(guest);
    if (keep) {
      this.remap(table, guest, mapping.host, ZERO);
      return;
    }
    table.set(this.entryIndex(guest), 0, bare ? 0 : ZERO);
    this.letGo(mapping);
  }

  private remap(table: Table, guest: number, host: number, flags: number): void {
    const high = (Math.floor(host / TWO_32) | COPIED) >>> 0;
    table.set(this.entryIndex(guest), high, ((host % TWO_32) | flags) >>> 0);
  }

  /** The L2 table of a place, one that is ours alone. */
  private writableTable(guest: number): Table {
    const index = Math.floor(guest / (this.cluster * this.entries));
    const high = this.l1.high(index);
    const old = offsetOf(high, this.l1.low(index));
    if (old !== 0 && (high & COPIED) !== 0 && this.isCountedOnce(old)) return this.loadTable(old);
    const bytes = old === 0 ? new Uint8Array(this.cluster) : this.loadTable(old).bytes.slice();
    const number = this.refcounts.allocate();
    const table = new Table(number * this.cluster, bytes);
    table.touchAll();
    this.l2.add(table);
    this.refcounts.metadata.add(number);
    this.l1.set(index, (Math.floor(table.at / TWO_32) | COPIED) >>> 0, table.at % TWO_32);
    if (old !== 0) {
      this.l2.remove(old);
      this.deferred.push(old / this.cluster);
    }
    return table;
  }

  /** A mapping that no table has any more. */
  private letGo(mapping: Mapping): void {
    if (mapping.kind === 'none' || mapping.host === 0) return;
    const length = mapping.kind === 'compressed' ? mapping.length : this.cluster;
    const last = Math.floor((mapping.host + length - 1) / this.cluster);
    for (let n = Math.floor(mapping.host / this.cluster); n <= last; n++) {
      if (this.refcounts.metadata.has(n)) this.corrupt(`data of the disk at ${n * this.cluster}, where a table is`);
      this.deferred.push(n);
    }
    this.unpacked = undefined;
  }

  /** A guest's data never goes where a table is. */
  private guard(host: number, length: number): void {
    for (let at = host; at < host + length; at += this.cluster)
      if (this.refcounts.metadata.has(at / this.cluster)) this.corrupt(`data of the disk at ${at}, where a table is`);
  }

  private prepareWrite(): void {
    if (this.broken) throw new StorageError(`${this.storage.name} is corrupt and is not written any more`);
    if (this.autoclear) clearAutoclear(this.storage, this.header);
    this.autoclear = false;
    if (!this.l2.full && !this.refcounts.full) return;
    if (this.l2.dirty().length > 0 || this.refcounts.dirty) this.flush();
    this.l2.shrink();
  }

  private corrupt(what: string): never {
    if (!this.broken && !this.storage.readonly) markCorrupt(this.storage, this.header);
    this.broken = true;
    throw new StorageError(`${this.storage.name} is corrupt: it has ${what}`);
  }

  // ---- to the disk -------------------------------------------------------------------------------------------------

  flush(): void {
    const tables = this.l2.dirty();
    if (this.refcounts.dirty || tables.length > 0 || this.l1.dirty) this.writeTables(tables);
    else this.storage.sync();
  }

  private writeTables(tables: readonly Table[]): void {
    this.refcounts.writeOut();
    this.storage.sync();
    for (const table of tables) table.writeOut(this.storage);
    if (this.l1.dirty) {
      this.storage.sync();
      this.l1.writeOut(this.storage);
    }
    this.storage.sync();
    for (const number of this.deferred.splice(0))
      if (this.refcounts.release(number)) this.storage.discard(number * this.cluster, this.cluster);
    this.l2.shrink();
  }

  close(): void {
    try {
      // Once for what points, once more for what has been freed by that.
      if (!this.storage.readonly) {
        this.flush();
        this.flush();
      }
    } finally {
      this.storage.close();
      this.backing?.close();
    }
  }
}

/** Copies from byte `from` of `bytes` on into the views. */
function copyInto(views: readonly Uint8Array[], bytes: Uint8Array, from: number): void {
  let at = from;
  for (const view of views) {
    view.set(bytes.subarray(at, at + view.length));
    at += view.length;
  }
}
