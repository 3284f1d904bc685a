import type { Alarm } from '../devices/device.js';

/**
 * The alarms that a machine waits for: a binary heap ordered by time, earliest on top. An alarm knows its own place,
 * so a cancelled one leaves at once: a guest that sets its timer a million times must not leave a million corpses.
 */
class Entry implements Alarm {
  /** Index in the heap, -1 once fired or cancelled. */
  place = -1;
  readonly heap: AlarmHeap;
  readonly at: number;
  /** Breaks ties: of two alarms at the same time the one set first fires first. */
  readonly order: number;
  readonly fire: () => void;

  constructor(heap: AlarmHeap, at: number, order: number, fire: () => void) {
    this.heap = heap;
    this.at = at;
    this.order = order;
    this.fire = fire;
  }

  cancel(): void {
    if (this.place >= 0) this.heap.remove(this.place);
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

export class AlarmHeap {
  private readonly entries: Entry[] = [];
  private order = 0;

  get size(): number {
    return this.entries.length;
  }

  /** Time of the earliest alarm in ns; Infinity where there is none. */
  get next(): number {
    return this.entries.length > 0 ? this.entries[0].at : Number.POSITIVE_INFINITY;
  }

  /** @throws RangeError where `at` is no number: such an alarm would block every later one. */
  add(at: number, fire: () => void): Alarm {
    if (Number.isNaN(at)) throw new RangeError('An alarm needs a time, but it was given NaN.');
    const entry = new Entry(this, at, this.order++, fire);
    this.entries.push(entry);
    this.rise(entry, this.entries.length - 1);
    return entry;
  }

  /** Takes the earliest alarm out, if its time is at or before `now`, and returns its callback. */
  takeDue(now: number): (() => void) | undefined {
    const first = this.entries[0];
    if (first === undefined || first.at > now) return undefined;
    this.remove(0);
    return first.fire;
  }

  /** Takes out the entry at `place` of the heap. */
  remove(place: number): void {
    const gone = this.entries[place];
    const last = this.entries.pop()!;
    gone.place = -1;
    if (last === gone) return;
    // The last entry fills the hole; it may belong further up or further down than the hole.
    this.rise(last, place);
    this.sink(last, last.place);
  }

  clear(): void {
    for (const entry of this.entries) entry.place = -1;
    this.entries.length = 0;
  }

  private rise(entry: Entry, place: number): void {
    while (place > 0) {
      const up = (place - 1) >> 1;
      const parent = this.entries[up];
      if (!before(entry, parent)) break;
      this.entries[place] = parent;
      parent.place = place;
      place = up;
    }
    this.entries[place] = entry;
    entry.place = place;
  }

  private sink(entry: Entry, place: number): void {
    const { entries } = this;
    for (;;) {
      let down = place * 2 + 1;
      if (down >= entries.length) break;
      if (down + 1 < entries.length && before(entries[down + 1], entries[down])) down++;
      const child = entries[down];
      if (!before(child, entry)) break;
      entries[place] = child;
      child.place = place;
      place = down;
    }
    entries[place] = entry;
    entry.place = place;
  }
}
