/** The configuration space of a block device (virtio 1.2, 5.2.4). */
import type { VirtioConfigSpace } from '../device.js';
import type { BlockBackend } from './backend.js';
import { CONFIG, SECTOR } from './layout.js';

/** Ranges in one discard or write-zeroes request. */
export const MOST_RANGES = 32;
/** Sectors in one range: 1 GiB, so that no request keeps a thread for long. */
export const MOST_RANGE_SECTORS = 2 ** 21;

export interface BlockConfigOptions {
  readonly backend: BlockBackend;
  readonly queues: number;
  /** Pieces of data in one request. */
  readonly segments: number;
  /** Whether the driver may change `writeback` (VIRTIO_BLK_F_CONFIG_WCE). */
  readonly mayChange: () => boolean;
}

export class BlockConfig implements VirtioConfigSpace {
  readonly length = CONFIG.length;
  private readonly view = new DataView(new ArrayBuffer(CONFIG.length));
  private readonly mayChange: () => boolean;

  constructor({ backend, queues, segments, mayChange }: BlockConfigOptions) {
    const { view } = this;
    this.mayChange = mayChange;
    const sectors = backend.capacity / SECTOR;
    view.setUint32(CONFIG.capacity, sectors % 2 ** 32, true);
    view.setUint32(CONFIG.capacity + 4, Math.floor(sectors / 2 ** 32), true);
    view.setUint32(CONFIG.segMax, segments, true);
    view.setUint32(CONFIG.blkSize, SECTOR, true);
    view.setUint8(CONFIG.physicalBlockExp, Math.log2(backend.physicalBlock / SECTOR));
    view.setUint16(CONFIG.minIoSize, backend.physicalBlock / SECTOR, true);
    view.setUint16(CONFIG.numQueues, queues, true);
    view.setUint32(CONFIG.maxDiscardSectors, MOST_RANGE_SECTORS, true);
    view.setUint32(CONFIG.maxDiscardSeg, MOST_RANGES, true);
    view.setUint32(CONFIG.discardSectorAlignment, Math.max(1, backend.discardUnit / SECTOR), true);
    view.setUint32(CONFIG.maxWriteZeroesSectors, MOST_RANGE_SECTORS, true);
    view.setUint32(CONFIG.maxWriteZeroesSeg, MOST_RANGES, true);
    view.setUint8(CONFIG.writeZeroesMayUnmap, backend.discardUnit > 0 ? 1 : 0);
    this.writeback = true;
  }

  /** Whether writes may stay in a cache until they are flushed. */
  get writeback(): boolean {
    return this.view.getUint8(CONFIG.writeback) === 1;
  }

  set writeback(on: boolean) {
    this.view.setUint8(CONFIG.writeback, on ? 1 : 0);
  }

  read(offset: number, size: 1 | 2 | 4): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + this.view.getUint8(offset + i);
    return value;
  }

  /** Of all fields only `writeback` can be written. */
  write(offset: number, size: 1 | 2 | 4, value: number): void {
    if (!this.mayChange() || offset > CONFIG.writeback || offset + size <= CONFIG.writeback) return;
    this.writeback = ((value >>> (8 * (CONFIG.writeback - offset))) & 1) === 1;
  }
}
