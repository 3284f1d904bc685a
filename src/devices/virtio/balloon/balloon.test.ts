import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TestMemory } from '../../../engine/testing.js';
import { FakeClock } from '../../testing.js';
import { featureSet } from '../device.js';
import { VirtioRig } from '../testing/index.js';
import { BALLOON_PAGE, type BalloonStats, VIRTIO_BALLOON_F_STATS_VQ, VirtioBalloon } from './balloon.js';

const PAGE = BALLOON_PAGE;
const RAM = 0x40_0000;

function balloonRig(): {
  rig: VirtioRig;
  device: VirtioBalloon;
  clock: FakeClock;
  discarded: [number, number][];
  stats: BalloonStats[];
} {
  const clock = new FakeClock();
  const discarded: [number, number][] = [];
  const stats: BalloonStats[] = [];
  const device = new VirtioBalloon({
    memory: new TestMemory(RAM, 4 * PAGE),
    clock,
    backend: {
      discard: (gpa, length) => discarded.push([gpa / PAGE, length / PAGE]),
      stats: (told) => stats.push(told),
    },
  });
  return { rig: new VirtioRig({ device, memory: RAM, memoryAbove: 4 * PAGE }), device, clock, discarded, stats };
}

const pfns = (...numbers: number[]): Uint8Array => new Uint8Array(Uint32Array.from(numbers).buffer);

describe('the balloon', () => {
  it('asks for pages and hears how many it got', () => {
    const { rig, device } = balloonRig();
    rig.start();
    rig.interrupts();
    device.setTarget(10 * PAGE);
    expect([rig.config(0, 4), rig.interrupts()]).toEqual([10, [-1]]);
    rig.setConfig(4, 4, 7);
    rig.setConfig(0, 4, 99);
    expect([device.actual, rig.config(0, 4)]).toEqual([7 * PAGE, 10]);
  });

  it('gives back the pages that the guest hands over, neighbours together', () => {
    const { rig, discarded } = balloonRig();
    rig.start();
    const above = 0x1_0000_0000 / PAGE;
    const buffer = rig.queue(0).send([pfns(5, 6, 7, 9, 8, 0, 1), pfns(2, above, above + 1)]);
    expect(buffer.written).toBe(0);
    expect(discarded).toEqual([
      [5, 3],
      [9, 1],
      [8, 1],
      [0, 3],
      [above, 2],
    ]);
    rig.queue(1).send([pfns(5, 6)]);
    expect(discarded).toHaveLength(5);
    expect(rig.needsReset).toBe(false);
  });

  it.each([
    ['a page that is no RAM', pfns(1, RAM / PAGE)],
    ['half a page number', Uint8Array.of(1, 2)],
  ])('needs a reset after %s', (_what, bytes) => {
    for (const queue of [0, 1]) {
      const { rig } = balloonRig();
      rig.start();
      rig.queue(queue).send([bytes]);
      expect(rig.needsReset).toBe(true);
      expect(rig.warnings[0]).toMatch(/virtio 1\.2, 5\.5\.6/);
    }
  });

  it('gives back the whole pages that the guest reports as free', () => {
    const { rig, discarded } = balloonRig();
    rig.start();
    const buffer = rig.queue(3).add([], [3 * PAGE, 100, 2 * PAGE]);
    rig.queue(3).kick();
    expect(rig.queue(3).collect()).toEqual([buffer]);
    for (const [page, count] of discarded) {
      const piece = buffer.pieces.find(
        ({ gpa, length }) => gpa <= page * PAGE && (page + count) * PAGE <= gpa + length,
      );
      expect(piece).toBeDefined();
    }
    expect(discarded.map(([, count]) => count)).toEqual([2, 1]);
  });

  it('leaves reported pages alone where they are to keep a value', () => {
    const { rig, discarded } = balloonRig();
    rig.start();
    rig.setConfig(12, 4, 0xaaaa_aaaa);
    expect(rig.queue(3).send([], [2 * PAGE]).written).toBe(0);
    expect(discarded).toEqual([]);
  });

  it('finds the reports behind the queues that a driver has, and where the standard has them', () => {
    for (const [without, index] of [
      [[], 3],
      [[], 4],
      [[VIRTIO_BALLOON_F_STATS_VQ], 2],
    ] as [number[], number][]) {
      const { rig, discarded } = balloonRig();
      rig.start({ features: (offered) => offered & ~featureSet(34, ...without) });
      rig.queue(index).send([], [2 * PAGE]);
      expect(discarded).toHaveLength(1);
    }
  });

  it('asks for statistics when they are wanted', () => {
    const { rig, device, stats } = balloonRig();
    rig.start();
    const entry = (tag: number, value: bigint): Uint8Array => {
      const bytes = new Uint8Array(10);
      new DataView(bytes.buffer).setUint16(0, tag, true);
      new DataView(bytes.buffer).setBigUint64(2, value, true);
      return bytes;
    };
    expect(device.requestStats()).toBe(false);
    const first = rig.queue(2).send([entry(4, 1000n), entry(5, 0x1_0000_0000n)]);
    expect(first.written).toBeUndefined();
    expect([...stats[0]]).toEqual([
      [4, 1000],
      [5, 0x1_0000_0000],
    ]);
    expect(device.requestStats()).toBe(true);
    expect(rig.queue(2).collect()).toEqual([first]);
    expect(device.requestStats()).toBe(false);
    rig.queue(2).send([entry(4, 900n)]);
    expect([...stats[1]]).toEqual([[4, 900]]);
  });

  it('lets the guest run while it hands over very much', () => {
    const { rig, clock, discarded } = balloonRig();
    rig.start();
    const many = Array.from({ length: 100_000 }, (_, i) => (i * 2) % 1000);
    const buffer = rig.queue(0).send([pfns(...many)]);
    expect(buffer.written).toBeUndefined();
    while (clock.pending > 0) clock.advance(1_000_000);
    expect(rig.queue(0).collect()).toEqual([buffer]);
    expect(discarded).toHaveLength(100_000);
  });

  it('is empty for the next driver, which is told the same target', () => {
    const { rig, device } = balloonRig();
    rig.start();
    device.setTarget(8 * PAGE);
    rig.setConfig(4, 4, 8);
    rig.start();
    expect([device.actual, rig.config(0, 4)]).toEqual([0, 8]);
  });

  it('gives back nothing but what it was given, whatever numbers come', () => {
    const number = fc.oneof(fc.nat(RAM / PAGE - 1), fc.nat(0xffff_ffff));
    fc.assert(
      fc.property(fc.array(number, { maxLength: 50 }), (numbers) => {
        const { rig, discarded } = balloonRig();
        rig.start();
        rig.queue(0).send([pfns(...numbers)]);
        const pages = discarded.flatMap(([page, count]) => Array.from({ length: count }, (_, i) => page + i));
        const bad = numbers.findIndex((pfn) => !rig.memory.contains(pfn * PAGE, PAGE));
        expect(rig.needsReset).toBe(bad >= 0);
        if (bad < 0) expect(pages).toEqual(numbers);
        else expect(pages).toEqual(numbers.slice(0, pages.length));
      }),
      { numRuns: 200 },
    );
  });
});
