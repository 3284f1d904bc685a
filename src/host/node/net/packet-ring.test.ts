import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PacketRing } from './packet-ring.js';

function put(ring: PacketRing, packet: Uint8Array, reserved = packet.length): boolean {
  const room = ring.reserve(reserved);
  if (room === undefined) return false;
  room.set(packet);
  ring.commit(packet.length);
  return true;
}

describe('a ring of packets', () => {
  test('packets come out whole and in order, however they wrap, and none is taken that does not fit', () => {
    const step = fc.oneof(
      fc.record({ put: fc.uint8Array({ maxLength: 100 }), more: fc.nat(20) }),
      fc.constant('take' as const),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const writer = new PacketRing(256);
        const reader = new PacketRing(writer.shared);
        const model: Uint8Array[] = [];
        for (const what of steps) {
          if (what === 'take') {
            expect(reader.peek()).toEqual(model[0]);
            if (model.shift() !== undefined) reader.shift();
          } else if (put(writer, what.put, what.put.length + what.more)) model.push(what.put);
          // Half of the ring is always enough for one packet.
          else expect(model.length).toBeGreaterThan(0);
          expect(reader.isEmpty).toBe(model.length === 0);
        }
        for (const packet of model) {
          expect(reader.peek()).toEqual(packet);
          reader.shift();
        }
        expect(reader.peek()).toBeUndefined();
      }),
    );
  });

  test('its positions go on beyond 32 bits', () => {
    const ring = new PacketRing(256);
    // READ_AT and WRITTEN_TO shortly before they wrap.
    const header = new Int32Array(ring.shared);
    header[0] = header[16] = -64;
    for (let i = 0; i < 40; i++) {
      expect(put(ring, Uint8Array.of(i, i, i))).toBe(true);
      expect(ring.peek()).toEqual(Uint8Array.of(i, i, i));
      ring.shift();
    }
  });

  test('who waits is woken once', () => {
    const ring = new PacketRing(256);
    expect([ring.takeReaderWaits(), ring.takeWriterWaits()]).toEqual([false, false]);
    ring.readerWaits();
    ring.writerWaits();
    expect([ring.takeReaderWaits(), ring.takeReaderWaits()]).toEqual([true, false]);
    expect([ring.takeWriterWaits(), ring.takeWriterWaits()]).toEqual([true, false]);
  });

  test('a size that is no power of two is refused', () => {
    expect(() => new PacketRing(1000)).toThrow('a power of two is wanted');
  });
});
