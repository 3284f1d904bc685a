/** The driver's side of a packed ring. */
import { DESC_INDIRECT, DESC_WRITE } from '../queue/ring.js';
import { type DriverBuffer, DriverRing, type DriverRingOptions, flagsOf } from './ring.js';

const AVAIL = 1 << 7;
const USED = 1 << 15;

export class PackedDriver extends DriverRing {
  readonly areas: readonly [number, number, number];
  private readonly pending = new Map<number, { buffer: DriverBuffer; slots: number }>();
  private nextId = 1;
  private room: number;
  private availAt = 0;
  private availWrap = true;
  private usedAt = 0;
  private usedWrap = true;
  private asked = 0;

  constructor(options: DriverRingOptions) {
    super(options);
    const { heap, size } = this;
    this.room = size;
    this.areas = [heap.reserve(16 * size, 16), heap.reserve(4, 4), heap.reserve(4, 4)];
    for (const [i, length] of [16 * size, 4, 4].entries()) this.memory.view(this.areas[i], length).fill(0);
  }

  protected override addPieces(buffer: DriverBuffer, indirect: boolean): void {
    const { pieces } = buffer;
    const slots = indirect ? 1 : pieces.length;
    if (this.room < slots) throw new RangeError('the ring is full');
    this.room -= slots;
    this.nextId = (this.nextId * 7 + 1) & 0xffff;
    while (this.pending.has(this.nextId)) this.nextId = (this.nextId + 1) & 0xffff;
    const id = this.nextId;
    this.pending.set(id, { buffer, slots });
    if (indirect) {
      const at = this.heap.take(16 * pieces.length, 16);
      pieces.forEach(({ gpa, length, write }, i) => {
        this.putDescriptor(at + 16 * i, gpa, length, [0, write ? DESC_WRITE : 0]);
      });
      this.put(at, 16 * pieces.length, DESC_INDIRECT, id);
    } else {
      pieces.forEach(({ gpa, length }, i) => {
        this.put(gpa, length, flagsOf(pieces, i), id);
      });
    }
  }

  override putRaw(_at: number, gpa: number, length: number, flags: number, next: number): void {
    this.put(gpa, length, flags, next);
  }

  override offer(_head: number): void {}

  private put(gpa: number, length: number, flags: number, id: number): void {
    const state = this.availWrap ? AVAIL : USED;
    this.putDescriptor(this.areas[0] + 16 * this.availAt, gpa, length, [id, flags | state]);
    this.asked++;
    if (++this.availAt === this.size) {
      this.availAt = 0;
      this.availWrap = !this.availWrap;
    }
  }

  override wantsKick(): boolean {
    const events = this.dataView(this.areas[2], 4);
    const fresh = this.asked;
    this.asked = 0;
    const flags = events.getUint16(2, true);
    if (flags !== 2) return flags === 0 && fresh > 0;
    const at = events.getUint16(0, true);
    const wanted = (at & 0x7fff) + ((at & 0x8000) !== 0 ? this.size : 0);
    const back = (this.availAt + (this.availWrap ? this.size : 0) - wanted + 2 * this.size) % (2 * this.size);
    return back > 0 && back <= fresh;
  }

  override suppress(on: boolean): void {
    this.dataView(this.areas[1], 4).setUint16(2, on ? 1 : 0, true);
  }

  /** The buffers are taken to have one descriptor each. */
  override interruptAfter(buffers: number): void {
    const place = this.usedAt + buffers - 1;
    const wrap = place >= this.size ? !this.usedWrap : this.usedWrap;
    const events = this.dataView(this.areas[1], 4);
    events.setUint16(0, (place % this.size) | (wrap ? 0x8000 : 0), true);
    events.setUint16(2, 2, true);
  }

  override collect(): DriverBuffer[] {
    const done: DriverBuffer[] = [];
    for (;;) {
      const descriptor = this.dataView(this.areas[0] + 16 * this.usedAt, 16);
      const flags = descriptor.getUint16(14, true);
      if (((flags & AVAIL) !== 0) !== this.usedWrap || ((flags & USED) !== 0) !== this.usedWrap) return done;
      const id = descriptor.getUint16(12, true);
      const entry = this.pending.get(id);
      if (entry === undefined) throw new Error(`the device has used ID ${id}, which is not available`);
      this.pending.delete(id);
      entry.buffer.written = (flags & DESC_WRITE) !== 0 ? descriptor.getUint32(8, true) : 0;
      done.push(entry.buffer);
      this.room += entry.slots;
      this.usedAt += entry.slots;
      if (this.usedAt >= this.size) {
        this.usedAt -= this.size;
        this.usedWrap = !this.usedWrap;
      }
    }
  }

  protected override get next(): number {
    return this.availAt | (this.availWrap ? 0x8000 : 0);
  }
}
