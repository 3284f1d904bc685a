/** A table of an image in memory: one cluster (or several) of big-endian numbers, and which of its sectors have changed. */
import type { Storage } from '../storage.js';

const SECTOR = 512;

export class Table {
  /** Where in the file. */
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  private first = Number.POSITIVE_INFINITY;
  private last = 0;

  constructor(at: number, bytes: Uint8Array) {
    this.at = at;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  static read(storage: Storage, at: number, length: number): Table {
    const bytes = new Uint8Array(length);
    storage.read(at, [bytes]);
    return new Table(at, bytes);
  }

  get dirty(): boolean {
    return this.last > 0;
  }

  touch(at: number, length: number): void {
    this.first = Math.min(this.first, at);
    this.last = Math.max(this.last, at + length);
  }

  touchAll(): void {
    this.touch(0, this.bytes.length);
  }

  high(index: number): number {
    return this.view.getUint32(index * 8);
  }

  low(index: number): number {
    return this.view.getUint32(index * 8 + 4);
  }

  set(index: number, high: number, low: number): void {
    this.view.setUint32(index * 8, high);
    this.view.setUint32(index * 8 + 4, low);
    this.touch(index * 8, 8);
  }

  /** Writes what has changed, in whole sectors. */
  writeOut(storage: Storage): void {
    if (!this.dirty) return;
    const from = this.first - (this.first % SECTOR);
    const to = Math.min(this.bytes.length, Math.ceil(this.last / SECTOR) * SECTOR);
    storage.write(this.at + from, [this.bytes.subarray(from, to)]);
    this.first = Number.POSITIVE_INFINITY;
    this.last = 0;
  }
}

/** The tables used last, by their place in the file. Changed ones are never dropped: see `Qcow2Image.flush`. */
export class TableCache {
  private readonly tables = new Map<number, Table>();
  private readonly most: number;

  constructor(most: number) {
    this.most = most;
  }

  get(at: number, load: () => Table): Table {
    const known = this.tables.get(at);
    if (known !== undefined) {
      // A map keeps its order: the newest is last.
      this.tables.delete(at);
      this.tables.set(at, known);
      return known;
    }
    const table = load();
    this.tables.set(at, table);
    return table;
  }

  add(table: Table): void {
    this.tables.set(table.at, table);
  }

  remove(at: number): void {
    this.tables.delete(at);
  }

  get full(): boolean {
    return this.tables.size > this.most;
  }

  dirty(): Table[] {
    return [...this.tables.values()].filter((table) => table.dirty);
  }

  /** Drops the oldest that are not changed. */
  shrink(): void {
    for (const table of this.tables.values()) {
      if (!this.full) return;
      if (!table.dirty) this.tables.delete(table.at);
    }
  }
}
