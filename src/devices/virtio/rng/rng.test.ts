import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../testing.js';
import { VirtioRig } from '../testing/index.js';
import { VirtioRng } from './rng.js';

/** An rng whose source counts, so that each byte shows where it came from. */
function rngRig(): { rig: VirtioRig; clock: FakeClock } {
  let next = 0;
  const clock = new FakeClock();
  const fill = (into: Uint8Array): void => {
    for (let i = 0; i < into.length; i++) into[i] = (next++ % 255) + 1;
  };
  return { rig: new VirtioRig({ device: new VirtioRng({ fill, clock }), memory: 0x100_0000 }), clock };
}

describe('the entropy device', () => {
  it('says what it is', () => {
    const { rig } = rngRig();
    expect(rig.configRead(0, 4)).toBe(0x1044_1af4);
    expect(rig.structures.config).toBeUndefined();
  });

  it.each([false, true])('fills every buffer whole, in all its pieces (packed: %s)', (packed) => {
    const { rig } = rngRig();
    rig.start({ packed });
    const small = rig.queue(0).add([], [3, 1, 60]);
    const large = rig.queue(0).add([], [5000, 70_000], true);
    rig.queue(0).kick();
    expect(rig.queue(0).collect()).toEqual([small, large]);
    expect([small.written, large.written]).toEqual([64, 75_000]);
    for (const { bytes } of [small, large]) expect(bytes.every((byte) => byte !== 0)).toBe(true);
    expect(rig.interrupts()).toEqual([0]);
  });

  it('leaves what is not writable alone and gives an empty buffer back', () => {
    const { rig } = rngRig();
    rig.start();
    const buffer = rig.queue(0).send([Uint8Array.of(1, 2, 3)]);
    expect(buffer.written).toBe(0);
    expect(Array.from(rig.memory.view(buffer.pieces[0].gpa, 3))).toEqual([1, 2, 3]);
  });

  it('lets the guest run in between when it asks for very much', () => {
    const { rig, clock } = rngRig();
    rig.start();
    const buffer = rig.queue(0).add([], [5_000_000]);
    rig.queue(0).kick();
    expect(rig.queue(0).collect()).toEqual([]);
    rig.queue(0).kick(); // changes nothing: it is at work
    let turns = 0;
    while (clock.pending > 0 && turns < 100) turns += clock.advance(1_000_000);
    expect(rig.queue(0).collect()).toEqual([buffer]);
    expect(turns).toBe(5);
    expect(buffer.bytes.every((byte) => byte !== 0)).toBe(true);
  });

  it('forgets a half-filled buffer when it is reset', () => {
    const { rig, clock } = rngRig();
    rig.start();
    rig.queue(0).send([], [5_000_000]);
    rig.reset();
    expect(clock.pending).toBe(0);
    rig.start();
    expect(rig.queue(0).send([], [8]).written).toBe(8);
  });

  it('fills buffers of any shape', () => {
    const sizes = fc.array(fc.nat(300), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.array(sizes, { maxLength: 20 }), fc.boolean(), fc.boolean(), (buffers, packed, indirect) => {
        const { rig } = rngRig();
        rig.start({ packed });
        for (const pieces of buffers) {
          const { written, bytes } = rig.queue(0).send([], pieces, indirect);
          expect(written).toBe(bytes.length);
          expect(bytes.every((byte) => byte !== 0)).toBe(true);
        }
      }),
      { numRuns: 30 },
    );
  });
});
