/**
 * Who uses which cluster of the file (docs/interop/qcow2.txt, "Host cluster management"). New clusters come from what has been
 * freed since the image was opened, else from the end of the file: what an image that lies calls free is never trusted to be.
 */
import { type Storage, StorageError } from '../storage.js';
import { type Qcow2Header, REFCOUNT_TABLE_AT } from './header.js';
import { Table, TableCache } from './table.js';

const MOST_BLOCKS = 128;
const TWO_32 = 2 ** 32;

export class Refcounts {
  private readonly storage: Storage;
  private readonly cluster: number;
  private readonly bits: number;
  private readonly perBlock: number;
  private readonly blocks: TableCache;
  private table: Table;
  /** Where the table was before: free when the header says where it is. */
  private left: { readonly at: number; readonly clusters: number }[] = [];
  /** Cluster numbers whose count is 0 and that nothing on the disk points to. */
  private readonly free: number[] = [];
  private end: number;
  /** Clusters that hold tables: never a guest's data. */
  readonly metadata = new Set<number>();

  constructor(storage: Storage, header: Qcow2Header) {
    this.storage = storage;
    this.cluster = 2 ** header.clusterBits;
    this.bits = 2 ** header.refcountOrder;
    this.perBlock = (this.cluster * 8) / this.bits;
    this.blocks = new TableCache(MOST_BLOCKS);
    this.table = Table.read(storage, header.refcountTableOffset, header.refcountTableClusters * this.cluster);
    this.end = Math.ceil(storage.size / this.cluster);
    for (let i = 0; i < this.table.bytes.length / 8; i++) {
      const at = this.blockAt(i);
      if (at !== 0) this.metadata.add(at / this.cluster);
    }
  }

  private blockAt(index: number): number {
    return this.table.high(index) * TWO_32 + this.table.low(index);
  }

  private block(index: number): Table | undefined {
    if (index >= this.table.bytes.length / 8) return undefined;
    const at = this.blockAt(index);
    if (at === 0) return undefined;
    return this.blocks.get(at, () => {
      if (at % this.cluster !== 0 || at + this.cluster > this.end * this.cluster)
        throw new StorageError(`${this.storage.name}: a refcount block at ${at}, where none can be`);
      return Table.read(this.storage, at, this.cluster);
    });
  }

  get(cluster: number): number {
    const block = this.block(Math.floor(cluster / this.perBlock));
    return block === undefined ? 0 : this.read(block, cluster % this.perBlock);
  }

  private read({ view, bytes }: Table, index: number): number {
    if (this.bits === 16) return view.getUint16(index * 2);
    if (this.bits === 32) return view.getUint32(index * 4);
    if (this.bits === 64) return view.getUint32(index * 8) * TWO_32 + view.getUint32(index * 8 + 4);
    if (this.bits === 8) return bytes[index];
    const bit = index * this.bits;
    return (bytes[bit >> 3] >> (bit & 7)) & (2 ** this.bits - 1);
  }

  private write(block: Table, index: number, value: number): void {
    const { view, bytes } = block;
    const bit = index * this.bits;
    if (this.bits === 16) view.setUint16(index * 2, value);
    else if (this.bits === 32) view.setUint32(index * 4, value);
    else if (this.bits === 64) {
      view.setUint32(index * 8, Math.floor(value / TWO_32));
      view.setUint32(index * 8 + 4, value % TWO_32);
    } else if (this.bits === 8) bytes[index] = value;
    else bytes[bit >> 3] = (bytes[bit >> 3] & ~((2 ** this.bits - 1) << (bit & 7))) | (value << (bit & 7));
    block.touch(bit >> 3, Math.max(1, this.bits >> 3));
  }

  /** A cluster of one's own, with a count of 1. @returns its number */
  allocate(): number {
    for (;;) {
      const cluster = this.free.pop() ?? this.end++;
      const index = Math.floor(cluster / this.perBlock);
      // The first cluster that a missing block would count becomes that block.
      if (this.block(index) === undefined) this.makeBlock(index, cluster);
      // Counted though it lies beyond the end of the file: left alone.
      else if (this.get(cluster) === 0) {
        this.countOne(cluster);
        return cluster;
      }
    }
  }

  private countOne(cluster: number): void {
    const index = Math.floor(cluster / this.perBlock);
    if (this.block(index) === undefined) this.makeBlock(index, this.end++);
    this.write(this.block(index)!, cluster % this.perBlock, 1);
  }

  /** Makes a block of counts out of a free cluster. */
  private makeBlock(index: number, cluster: number): void {
    if (index >= this.table.bytes.length / 8) this.growTable(index);
    const at = cluster * this.cluster;
    const block = new Table(at, new Uint8Array(this.cluster));
    block.touchAll();
    this.blocks.add(block);
    this.metadata.add(cluster);
    this.table.set(index, Math.floor(at / TWO_32), at % TWO_32);
    this.countOne(cluster);
  }

  /** A table half as long again, at the end of the file. The old one stays in force until `writeOut`. */
  private growTable(index: number): void {
    const clusters = Math.ceil(((index + 1) * 8 * 1.5) / this.cluster) + 1;
    const old = this.table;
    const first = this.end;
    this.end += clusters;
    this.table = new Table(first * this.cluster, new Uint8Array(clusters * this.cluster));
    this.table.bytes.set(old.bytes);
    this.table.touchAll();
    this.left.push({ at: old.at, clusters: old.bytes.length / this.cluster });
    for (let n = first; n < first + clusters; n++) {
      this.metadata.add(n);
      this.countOne(n);
    }
  }

  /**
   * One user less. Only when nothing on the disk points to the cluster from there any more.
   * @returns whether the cluster is free now
   */
  release(cluster: number): boolean {
    const block = this.block(Math.floor(cluster / this.perBlock));
    const count = block === undefined ? 0 : this.read(block, cluster % this.perBlock);
    if (count === 0)
      throw new StorageError(`${this.storage.name}: cluster ${cluster} is in use, and its refcount is 0`);
    this.write(block!, cluster % this.perBlock, count - 1);
    if (count > 1) return false;
    this.metadata.delete(cluster);
    this.free.push(cluster);
    return true;
  }

  get dirty(): boolean {
    return this.table.dirty || this.blocks.dirty().length > 0;
  }

  get full(): boolean {
    return this.blocks.full;
  }

  /** Blocks first, then the table that leads to them, then the header that leads to the table. */
  writeOut(): void {
    for (const block of this.blocks.dirty()) block.writeOut(this.storage);
    if (this.table.dirty) {
      this.storage.sync();
      this.table.writeOut(this.storage);
    }
    if (this.left.length > 0) {
      this.storage.sync();
      const where = new DataView(new ArrayBuffer(12));
      where.setUint32(0, Math.floor(this.table.at / TWO_32));
      where.setUint32(4, this.table.at % TWO_32);
      where.setUint32(8, this.table.bytes.length / this.cluster);
      this.storage.write(REFCOUNT_TABLE_AT, [new Uint8Array(where.buffer)]);
      this.storage.sync();
      for (const { at, clusters } of this.left.splice(0))
        for (let n = 0; n < clusters; n++) this.release(at / this.cluster + n);
    }
    this.blocks.shrink();
  }
}
