import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PacketRing } from './packet-ring.js';

function packet(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 255);
}

describe('a ring of packets', () => {
  test('gives back what was put in, in order, whatever the lengths and however full it gets', () => {
    const steps = fc.array(fc.oneof(fc.integer({ min: 0, max: 300 }), fc.constant(-1)), { maxLength: 300 });
    fc.assert(
      fc.property(steps, (list) => {
        const ring = new PacketRing(1024);
        const model: Uint8Array[] = [];
        let bytes = 0;
        for (const [i, step] of list.entries()) {
          if (step < 0) {
            expect(ring.peek()).toEqual(model[0]);
            ring.shift();
            bytes -= model.shift()?.length ?? 0;
          } else {
            const room = ring.reserve(step);
            // One that fits into half of an empty half always fits.
            if (room === undefined) {
              expect(bytes + model.length * 7 + step).toBeGreaterThan(512);
              continue;
            }
            const content = packet(step, i);
            room.set(content);
            ring.commit();
            model.push(content);
            bytes += step;
          }
          expect(ring.isEmpty).toBe(model.length === 0);
        }
        for (const content of model) {
          expect(ring.peek()).toEqual(content);
          ring.shift();
        }
        expect(ring.peek()).toBeUndefined();
      }),
    );
  });

  test('hands over fewer bytes than were reserved, where that is said', () => {
    const ring = new PacketRing(256);
    ring.reserve(100)!.set(packet(100, 1));
    ring.commit(10);
    ring.reserve(5)!.set(packet(5, 2));
    ring.commit();
    expect(ring.peek()).toEqual(packet(100, 1).subarray(0, 10));
    ring.shift();
    expect(ring.peek()).toEqual(packet(5, 2));
  });

  test('tells the reader when the writer waits, and not before half of it is free', () => {
    const ring = new PacketRing(256);
    while (ring.reserve(28) !== undefined) ring.commit();
    const told: boolean[] = [];
    while (!ring.isEmpty) told.push(ring.shift());
    expect(told.filter(Boolean)).toHaveLength(1);
    expect(told.indexOf(true)).toBe(3);
  });

  test('goes on when its positions overflow', () => {
    const ring = new PacketRing(256);
    new Int32Array(ring.shared).fill(0x7fff_ffc0, 0, 1).fill(0x7fff_ffc0, 16, 17);
    for (let i = 0; i < 100; i++) {
      ring.reserve(40)!.set(packet(40, i));
      ring.commit();
      expect(ring.peek()).toEqual(packet(40, i));
      ring.shift();
    }
  });

  test('carries packets from thread to thread', async () => {
    const ring = new PacketRing(4096);
    const count = 2000;
    const source = `
      const { parentPort, workerData } = require('node:worker_threads');
      const positions = new Int32Array(workerData, 0, 32), bytes = new Uint8Array(workerData, 128), lengths = new Int32Array(workerData, 128);
      // A reader of its own, so that the layout is a promise: sums what it gets.
      let sum = 0, at = 0, got = 0;
      while (got < ${count}) {
        if (Atomics.load(positions, 16) === at) continue;
        let offset = at & 4095;
        if (lengths[offset >> 2] === -1) { at += 4096 - offset; offset = 0; }
        const length = lengths[offset >> 2];
        for (let i = 0; i < length; i++) sum = (sum * 31 + bytes[offset + 4 + i]) >>> 0;
        at += (length + 7) & ~3;
        got++;
        Atomics.store(positions, 0, at);
      }
      parentPort.postMessage(sum);`;
    const worker = new Worker(source, { eval: true, workerData: ring.shared });
    const answer = new Promise<number>((resolve) => worker.once('message', resolve));
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const content = packet((i * 37) % 900, i);
      for (;;) {
        const room = ring.reserve(content.length);
        if (room !== undefined) {
          room.set(content);
          break;
        }
      }
      ring.commit();
      for (const byte of content) sum = (Math.imul(sum, 31) + byte) >>> 0;
    }
    expect(await answer).toBe(sum);
    await worker.terminate();
  });
});
