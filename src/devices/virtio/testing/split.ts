/** The driver's side of a split ring. */
import { DESC_INDIRECT } from '../queue/ring.js';
import { type DriverBuffer, DriverRing, type DriverRingOptions, flagsOf } from './ring.js';

export class SplitDriver extends DriverRing {
  readonly areas: readonly [number, number, number];
  private readonly free: number[];
  private readonly pending = new Map<number, { buffer: DriverBuffer; indices: number[] }>();
  private availIdx = 0;
  private usedIdx = 0;
  private asked = 0;

  constructor(options: DriverRingOptions) {
    super(options);
    const { heap, size } = this;
    this.areas = [heap.reserve(16 * size, 16), heap.reserve(6 + 2 * size, 2), heap.reserve(6 + 8 * size, 4)];
    for (const [i, length] of [16 * size, 6 + 2 * size, 6 + 8 * size].entries()) {
      this.memory.view(this.areas[i], length).fill(0);
    }
    this.free = Array.from({ length: size }, (_, i) => i);
  }

  protected override addPieces(buffer: DriverBuffer, indirect: boolean): void {
    const { pieces } = buffer;
    const [table] = this.areas;
    const needed = indirect ? 1 : pieces.length;
    if (this.free.length < needed) throw new RangeError('the ring is full');
    const indices = this.free.splice(0, needed);
    if (indirect) {
      const at = this.heap.take(16 * pieces.length, 16);
      pieces.forEach(({ gpa, length }, i) => {
        this.putDescriptor(at + 16 * i, gpa, length, [flagsOf(pieces, i), i + 1]);
      });
      this.putDescriptor(table + 16 * indices[0], at, 16 * pieces.length, [DESC_INDIRECT, 0]);
    } else {
      pieces.forEach(({ gpa, length }, i) => {
        this.putDescriptor(table + 16 * indices[i], gpa, length, [flagsOf(pieces, i), indices[i + 1] ?? 0]);
      });
    }
    this.pending.set(indices[0], { buffer, indices });
    this.offer(indices[0]);
  }

  override putRaw(at: number, gpa: number, length: number, flags: number, next: number): void {
    this.putDescriptor(this.areas[0] + 16 * (at % this.size), gpa, length, [flags, next]);
  }

  override offer(head: number): void {
    const { size } = this;
    const avail = this.dataView(this.areas[1], 6 + 2 * size);
    avail.setUint16(4 + 2 * (this.availIdx % size), head, true);
    this.availIdx = (this.availIdx + 1) & 0xffff;
    avail.setUint16(2, this.availIdx, true);
  }

  override wantsKick(): boolean {
    const used = this.dataView(this.areas[2], 6 + 8 * this.size);
    const old = this.asked;
    this.asked = this.availIdx;
    if (!this.eventIdx) return used.getUint16(0, true) === 0;
    const event = used.getUint16(4 + 8 * this.size, true);
    return ((this.availIdx - event - 1) & 0xffff) < ((this.availIdx - old) & 0xffff);
  }

  override suppress(on: boolean): void {
    const avail = this.dataView(this.areas[1], 6 + 2 * this.size);
    if (this.eventIdx) avail.setUint16(4 + 2 * this.size, on ? this.usedIdx - 1 : this.usedIdx, true);
    else avail.setUint16(0, on ? 1 : 0, true);
  }

  override interruptAfter(buffers: number): void {
    this.dataView(this.areas[1], 6 + 2 * this.size).setUint16(4 + 2 * this.size, this.usedIdx + buffers - 1, true);
  }

  override collect(): DriverBuffer[] {
    const used = this.dataView(this.areas[2], 6 + 8 * this.size);
    const done: DriverBuffer[] = [];
    while (used.getUint16(2, true) !== this.usedIdx) {
      const at = 4 + 8 * (this.usedIdx % this.size);
      this.usedIdx = (this.usedIdx + 1) & 0xffff;
      const head = used.getUint32(at, true);
      const entry = this.pending.get(head);
      if (entry === undefined) throw new Error(`the device has used ${head}, which is not available`);
      this.pending.delete(head);
      this.free.push(...entry.indices);
      entry.buffer.written = used.getUint32(at + 4, true);
      done.push(entry.buffer);
    }
    return done;
  }

  protected override get next(): number {
    return this.availIdx;
  }
}
