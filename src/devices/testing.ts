/**
 * Fakes for the tests of devices: a clock that moves when told, an interrupt line that remembers, and an arbitrary for
 * "whatever a guest may do to a block of ports". Nothing but tests imports this file.
 */

import type { Arbitrary, default as FastCheck } from 'fast-check';
import type { Alarm, Clock, IrqLine, PortDevice } from './device.js';

interface Pending {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

/** Guest time that stands still until the test moves it. Alarms fire in order of time, then of scheduling. */
export class FakeClock implements Clock {
  #now: number;
  #order = 0;
  #pending: Pending[] = [];

  constructor(now = 0) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  /** As the machine's clock does, an alarm that is due fires at the clock's next move (`advance(0)` will do), not here. */
  schedule(at: number, fire: () => void): Alarm {
    if (Number.isNaN(at)) throw new RangeError('an alarm at NaN');
    const entry: Pending = { at, order: this.#order++, fire };
    this.#pending.push(entry);
    return {
      cancel: () => {
        this.#pending = this.#pending.filter((other) => other !== entry);
      },
    };
  }

  /** Alarms that are scheduled and neither fired nor cancelled. */
  get pending(): number {
    return this.#pending.length;
  }

  /** Guest time of the earliest alarm in ns; undefined where none is scheduled. */
  get nextAlarm(): number | undefined {
    return this.#earliest()?.at;
  }

  /** Moves guest time on by `ns`; every alarm on the way fires exactly at its time. Returns how many fired. */
  advance(ns: number): number {
    return this.advanceTo(this.#now + ns);
  }

  /** Moves guest time to `at` as `advance` does. */
  advanceTo(at: number): number {
    let fired = 0;
    for (;;) {
      const next = this.#earliest();
      if (next === undefined || next.at > at) break;
      this.#now = Math.max(this.#now, next.at);
      this.#run(next);
      fired++;
    }
    this.#now = Math.max(this.#now, at);
    return fired;
  }

  /**
   * A machine that fell behind: guest time moves on by `ns` at one stroke, and only then fires what is due by now, each
   * alarm seeing the late time. Returns how many fired.
   */
  jump(ns: number): number {
    this.pass(ns);
    return this.advance(0);
  }

  /** Guest time moves on, but the machine has not come round to firing what is due: `advance(0)` does. */
  pass(ns: number): void {
    this.#now += ns;
  }

  #earliest(): Pending | undefined {
    let best: Pending | undefined;
    for (const entry of this.#pending) {
      if (best === undefined || entry.at < best.at || (entry.at === best.at && entry.order < best.order)) best = entry;
    }
    return best;
  }

  #run(entry: Pending): void {
    this.#pending = this.#pending.filter((other) => other !== entry);
    entry.fire();
  }
}

/** An interrupt line that counts: `set` to the level that it already has is no edge. */
export class RecordingIrqLine implements IrqLine {
  level = false;
  /** Low-to-high transitions so far. */
  edges = 0;
  /** Each change of level in order; with a clock, `times` has the guest time of each, in ns. */
  readonly history: boolean[] = [];
  readonly times: number[] = [];
  readonly #clock: Clock | undefined;

  constructor(clock?: Clock) {
    this.#clock = clock;
  }

  set(level: boolean): void {
    if (level === this.level) return;
    this.level = level;
    if (level) this.edges++;
    this.history.push(level);
    if (this.#clock !== undefined) this.times.push(this.#clock.now());
  }

  /** Guest times of the low-to-high transitions (needs the clock). */
  get edgeTimes(): number[] {
    return this.times.filter((_, i) => this.history[i]);
  }
}

/** One thing that happens to a device: a port access by the guest, or time passing. */
export type PortOp =
  | { readonly op: 'in'; readonly block: number; readonly offset: number; readonly size: 1 | 2 | 4 }
  | {
      readonly op: 'out';
      readonly block: number;
      readonly offset: number;
      readonly size: 1 | 2 | 4;
      readonly value: number;
    }
  | { readonly op: 'wait'; readonly ns: number };

/** Sequences of accesses to `lengths.length` port blocks of the given lengths, with time passing in between. */
export function portOps(fc: typeof FastCheck, lengths: readonly number[]): Arbitrary<PortOp[]> {
  const size = fc.constantFrom<1 | 2 | 4>(1, 1, 1, 2, 4);
  const place = fc
    .nat(lengths.length - 1)
    .chain((block) => fc.record({ block: fc.constant(block), offset: fc.nat(lengths[block]! - 1) }));
  const value = fc.oneof(fc.nat(0xff), fc.constantFrom(0, 0x80, 0xff, 0xffff_ffff), fc.nat(0xffff_ffff));
  const op: Arbitrary<PortOp> = fc.oneof(
    { weight: 4, arbitrary: fc.tuple(place, size).map(([at, size]): PortOp => ({ op: 'in', ...at, size })) },
    {
      weight: 8,
      arbitrary: fc.tuple(place, size, value).map(
        ([at, size, value]): PortOp => ({
          op: 'out',
          ...at,
          size,
          value: size === 4 ? value : value % 2 ** (8 * size),
        }),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.oneof(fc.nat(100_000), fc.nat(3_000_000_000)).map((ns): PortOp => ({ op: 'wait', ns })),
    },
  );
  return fc.array(op, { maxLength: 200 });
}

/** Plays what `portOps` made; returns what the reads gave. Throws where a read is not an unsigned value of its size. */
export function playPortOps(blocks: readonly PortDevice[], ops: readonly PortOp[], clock?: FakeClock): number[] {
  const reads: number[] = [];
  for (const op of ops) {
    if (op.op === 'wait') {
      clock?.jump(op.ns);
    } else if (op.op === 'out') {
      blocks[op.block]!.portOut(op.offset, op.size, op.value);
    } else {
      const value = blocks[op.block]!.portIn(op.offset, op.size);
      if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * op.size)) {
        throw new Error(`block ${op.block} offset ${op.offset}: ${value} is not an unsigned value of ${op.size} bytes`);
      }
      reads.push(value);
    }
  }
  return reads;
}
