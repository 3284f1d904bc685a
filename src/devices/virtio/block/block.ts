/**
 * The block device (virtio 1.2, 5.2). It checks what the driver asks and hands it to the back end, which answers later and
 * in any order: no request waits for another, and the vCPU for none.
 *
 * A request that can be answered gets an answer: IOERR for what is out of bounds or impossible, UNSUPP for what was not
 * negotiated or is not known. One without a header or a place for the status is a violation.
 */
import type { GuestMemory } from '../../../engine/contract.js';
import { requireVersion } from '../../persist.js';
import {
  attempt,
  type DescriptorChain,
  featureSet,
  type Segment,
  type VirtioDevice,
  type VirtioDriver,
  VirtioViolation,
  type Virtqueue,
} from '../device.js';
import type { BlockBackend, BlockRequest } from './backend.js';
import { BlockConfig, MOST_RANGE_SECTORS, MOST_RANGES } from './config.js';
import * as L from './layout.js';

/** With room for a request of one MiB whose pages lie anywhere: 256 pieces. With 256 entries Linux makes two requests of it. */
const QUEUE_SIZE = 512;
/**
 * A request's data in pieces: what a queue without indirect descriptors holds besides header and status. How long a piece is
 * does not matter to us, so VIRTIO_BLK_F_SIZE_MAX, which would name a limit (5.2.4), is not offered: Linux takes pieces of any
 * length then, and would cut longer ones up in vain with it.
 */
const SEGMENTS = QUEUE_SIZE - 2;
/** Mass storage, other (PCI Code and ID Assignment, 1.2). */
const CLASS_CODE = 0x01_8000;

export interface BlockState {
  version: 1;
  writeback: boolean;
}

export interface BlockOptions {
  readonly backend: BlockBackend;
  readonly memory: GuestMemory;
  /** 1 to 16; one for each vCPU is good. Default 1. */
  readonly queues?: number;
}

/** A buffer of the driver on its way. */
interface Job {
  readonly queue: Virtqueue;
  readonly chain: DescriptorChain;
}

const NOTHING: BlockRequest = {
  operation: 'flush',
  offset: 0,
  length: 0,
  data: [],
  durable: false,
  unmap: false,
};

export class VirtioBlock implements VirtioDevice<BlockState> {
  readonly name = 'virtio-blk';
  readonly type = L.VIRTIO_BLK;
  readonly classCode = CLASS_CODE;
  readonly features: bigint;
  readonly queueSizes: readonly number[];
  readonly config: BlockConfig;
  private readonly backend: BlockBackend;
  private readonly memory: GuestMemory;
  private readonly header = new Uint8Array(L.HEADER_SIZE);
  private readonly headerView = new DataView(this.header.buffer);
  private driver: VirtioDriver | undefined;
  /** Counts resets: the answers to requests of an earlier life are nobody's. */
  private life = 0;
  /** Queues with buffers that the driver has not been told of. */
  private readonly unsignalled = new Set<Virtqueue>();

  constructor({ backend, memory, queues = 1 }: BlockOptions) {
    this.backend = backend;
    this.memory = memory;
    this.queueSizes = new Array<number>(queues).fill(QUEUE_SIZE);
    const writable = [L.VIRTIO_BLK_F_CONFIG_WCE, L.VIRTIO_BLK_F_WRITE_ZEROES];
    if (backend.discardUnit > 0) writable.push(L.VIRTIO_BLK_F_DISCARD);
    this.features = featureSet(
      L.VIRTIO_BLK_F_SEG_MAX,
      L.VIRTIO_BLK_F_BLK_SIZE,
      L.VIRTIO_BLK_F_FLUSH,
      L.VIRTIO_BLK_F_TOPOLOGY,
      ...(queues > 1 ? [L.VIRTIO_BLK_F_MQ] : []),
      ...(backend.readonly ? [L.VIRTIO_BLK_F_RO] : writable),
    );
    this.config = new BlockConfig({
      backend,
      queues,
      segments: SEGMENTS,
      mayChange: () => this.driver?.has(L.VIRTIO_BLK_F_CONFIG_WCE) ?? false,
    });
    backend.onBatch = () => this.signalAll();
  }

  start(driver: VirtioDriver): void {
    this.driver = driver;
  }

  notify(index: number): void {
    const queue = this.driver!.queue(index);
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) this.begin({ queue, chain });
    this.signalAll();
  }

  reset(): void {
    this.life++;
    this.unsignalled.clear();
    if (this.driver !== undefined) this.backend.cancel();
    this.driver = undefined;
    this.config.writeback = true;
  }

  save(): BlockState {
    return { version: 1, writeback: this.config.writeback };
  }

  restore(state: BlockState): void {
    requireVersion(this.name, state, 1);
    this.config.writeback = state.writeback;
  }

  // ---- requests ----------------------------------------------------------------------------------------------------

  /** @throws VirtioViolation where there is no header, or no place for the answer */
  private begin(job: Job): void {
    const { chain } = job;
    if (chain.read(0, this.header) < L.HEADER_SIZE) {
      throw new VirtioViolation(
        `The driver made a block request of ${chain.readableLength} bytes available: its header has ${L.HEADER_SIZE}.`,
        '5.2.6',
      );
    }
    if (chain.writableLength < 1) {
      throw new VirtioViolation(
        'The driver made a block request available that has no writable byte for its status.',
        '5.2.6',
      );
    }
    const sector = this.headerView.getUint32(8, true) + this.headerView.getUint32(12, true) * 2 ** 32;
    const status = this.carryOut(job, this.headerView.getUint32(0, true), sector);
    if (status !== undefined) this.answer(job, status, 0);
  }

  /** @returns the status where that is known at once; undefined where the answer has been given or will be */
  private carryOut(job: Job, type: number, sector: number): number | undefined {
    const { readable, readableLength, writable, writableLength } = job.chain;
    switch (type) {
      case L.VIRTIO_BLK_T_IN:
        return this.transfer(job, 'read', sector, slice(writable, writableLength, 0, writableLength - 1));
      case L.VIRTIO_BLK_T_OUT:
        return this.transfer(job, 'write', sector, slice(readable, readableLength, L.HEADER_SIZE, readableLength));
      case L.VIRTIO_BLK_T_FLUSH:
        return this.submit(job, [NOTHING]);
      case L.VIRTIO_BLK_T_GET_ID:
        return this.tellId(job);
      case L.VIRTIO_BLK_T_DISCARD:
        return this.ranges(job, 'discard', L.VIRTIO_BLK_F_DISCARD);
      case L.VIRTIO_BLK_T_WRITE_ZEROES:
        return this.ranges(job, 'zero', L.VIRTIO_BLK_F_WRITE_ZEROES);
      default:
        return L.VIRTIO_BLK_S_UNSUPP;
    }
  }

  private transfer(
    job: Job,
    operation: 'read' | 'write',
    sector: number,
    data: readonly Segment[],
  ): number | undefined {
    const length = data.reduce((sum, piece) => sum + piece.length, 0);
    const possible = length > 0 && length % L.SECTOR === 0 && this.isInside(sector, length / L.SECTOR);
    if (!possible || (operation === 'write' && this.backend.readonly)) return L.VIRTIO_BLK_S_IOERR;
    const durable = operation === 'write' && !this.cached;
    return this.submit(job, [{ ...NOTHING, operation, offset: sector * L.SECTOR, length, data, durable }]);
  }

  /** Discard and write-zeroes: an array of ranges (5.2.6.1). All are checked before one is begun. */
  private ranges(job: Job, operation: 'discard' | 'zero', feature: number): number | undefined {
    if (!this.driver!.has(feature)) return L.VIRTIO_BLK_S_UNSUPP;
    const length = job.chain.readableLength - L.HEADER_SIZE;
    const count = length / L.RANGE_SIZE;
    if (!Number.isInteger(count) || count < 1 || count > MOST_RANGES) return L.VIRTIO_BLK_S_IOERR;
    const view = new DataView(new ArrayBuffer(length));
    job.chain.read(L.HEADER_SIZE, new Uint8Array(view.buffer));
    const requests: BlockRequest[] = [];
    for (let at = 0; at < length; at += L.RANGE_SIZE) {
      const sector = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
      const sectors = view.getUint32(at + 8, true);
      const flags = view.getUint32(at + 12, true);
      const known = operation === 'zero' ? L.RANGE_UNMAP : 0;
      if ((flags & ~known) !== 0) return L.VIRTIO_BLK_S_UNSUPP;
      if (sectors > MOST_RANGE_SECTORS || !this.isInside(sector, sectors) || this.backend.readonly)
        return L.VIRTIO_BLK_S_IOERR;
      requests.push({
        ...NOTHING,
        operation,
        offset: sector * L.SECTOR,
        length: sectors * L.SECTOR,
        durable: !this.cached,
        unmap: (flags & L.RANGE_UNMAP) !== 0,
      });
    }
    return this.submit(job, requests);
  }

  private tellId(job: Job): undefined {
    const id = new Uint8Array(Math.min(L.ID_BYTES, job.chain.writableLength - 1));
    id.set(new TextEncoder().encode(this.backend.id).subarray(0, id.length));
    this.answer(job, L.VIRTIO_BLK_S_OK, job.chain.write(0, id));
  }

  private isInside(sector: number, count: number): boolean {
    return sector + count <= this.backend.capacity / L.SECTOR;
  }

  /** Whether a write may be answered before it is safe: the driver flushes, or has turned the cache on (5.2.6.2). */
  private get cached(): boolean {
    const driver = this.driver!;
    return driver.has(L.VIRTIO_BLK_F_CONFIG_WCE) ? this.config.writeback : driver.has(L.VIRTIO_BLK_F_FLUSH);
  }

  /** Answers when all are done. */
  private submit(job: Job, requests: readonly BlockRequest[]): undefined {
    const { life } = this;
    let left = requests.length;
    let status: number = L.VIRTIO_BLK_S_OK;
    for (const request of requests) {
      this.backend.submit(request, (ok) => {
        if (this.life !== life) return;
        if (!ok) status = L.VIRTIO_BLK_S_IOERR;
        // Also where it has failed: some of it may have been read.
        if (request.operation === 'read') this.dirtied(request.data);
        if (--left > 0) return;
        const read = request.operation === 'read' && ok ? request.length : 0;
        attempt(this.driver!, () => this.answer(job, status, read));
      });
    }
  }

  private dirtied(data: readonly Segment[]): void {
    for (const { gpa, length } of data) this.memory.dirtied(gpa, length);
  }

  /** @param filled how much of the data's place has been written, from its beginning */
  private answer({ queue, chain }: Job, status: number, filled: number): void {
    chain.write(chain.writableLength - 1, Uint8Array.of(status));
    // Written counts from the front (2.7.8.2): a status behind data that was not written is not part of it.
    queue.push(chain, filled === chain.writableLength - 1 ? filled + 1 : filled);
    this.unsignalled.add(queue);
  }

  private signalAll(): void {
    const { driver } = this;
    if (driver === undefined) return;
    attempt(driver, () => {
      for (const queue of this.unsignalled) queue.signal();
    });
    this.unsignalled.clear();
  }
}

/** Bytes [from, to) of a buffer's part of `total` bytes: its own pieces, but for those that are cut. */
function slice(segments: readonly Segment[], total: number, from: number, to: number): readonly Segment[] {
  let begin = 0;
  let first = 0;
  while (first < segments.length && begin + segments[first].length <= from) begin += segments[first++].length;
  let end = total;
  let last = segments.length;
  while (last > first && end - segments[last - 1].length >= to) end -= segments[--last].length;
  const pieces = segments.slice(first, last);
  if (pieces.length > 0 && end > to) pieces.push(cut(pieces.pop()!, 0, end - to));
  if (pieces.length > 0 && begin < from) pieces[0] = cut(pieces[0], from - begin, 0);
  return pieces;
}

/** A piece without some of its bytes at either end. */
function cut({ gpa, length, bytes }: Segment, front: number, back: number): Segment {
  return { gpa: gpa + front, length: length - front - back, bytes: bytes.subarray(front, length - back) };
}
