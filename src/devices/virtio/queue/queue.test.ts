import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { featureSet, VIRTIO_F_EVENT_IDX, VIRTIO_F_IN_ORDER } from '../device.js';
import { EchoDevice } from '../testing/echo.js';
import { VirtioRig } from '../testing/index.js';

const without =
  (...bits: number[]) =>
  (offered: bigint): bigint =>
    offered & ~featureSet(...bits, 3, 34, VIRTIO_F_IN_ORDER);

function echoRig(options: { packed?: boolean; features?: (offered: bigint) => bigint; queueSize?: number } = {}): {
  rig: VirtioRig;
  device: EchoDevice;
} {
  const device = new EchoDevice();
  const rig = new VirtioRig({ device, memoryAbove: 0x1000 });
  const packed = options.packed === true ? featureSet(34) : 0n;
  const features = options.features ?? without();
  rig.start({ ...options, features: (offered) => features(offered) | packed });
  return { rig, device };
}

const text = (words: string): Uint8Array => new TextEncoder().encode(words);
const said = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

describe.each([false, true])('a ring (packed: %s)', (packed) => {
  it('carries a buffer in several pieces, direct and indirect', () => {
    const { rig } = echoRig({ packed });
    for (const indirect of [false, true]) {
      const buffer = rig.queue(0).send([text('over '), text(''), text('and out')], [3, 20], indirect);
      expect(said(buffer.answer)).toBe('over and out');
    }
    expect(rig.needsReset).toBe(false);
  });

  it('goes round and round', () => {
    const { rig } = echoRig({ packed, queueSize: 8 });
    for (let i = 0; i < 70_000; i++) {
      const buffer = rig.queue(0).send([Uint8Array.of(i, i >> 8)], [2]);
      if (i % 997 === 0) expect(Array.from(buffer.answer)).toEqual([i & 255, (i >> 8) & 255]);
      if (buffer.written !== 2) expect(i).toBe('answered');
    }
  });

  it('gives buffers back in any order', () => {
    const { rig, device } = echoRig({ packed });
    const buffers = ['a', 'b', 'c', 'd'].map((letter) => rig.queue(1).add([text(letter), text('!')], [2]));
    rig.queue(1).kick();
    device.finish(2);
    device.finish(0);
    device.finish(1);
    expect(rig.queue(1).collect()).toEqual([buffers[2], buffers[0], buffers[3]]);
    device.finish(0);
    expect(rig.queue(1).collect()).toEqual([buffers[1]]);
    expect(buffers.map(({ answer }) => said(answer))).toEqual(['a!', 'b!', 'c!', 'd!']);
  });

  it('with IN_ORDER gives buffers back in their order, whenever the device is ready with them', () => {
    const { rig, device } = echoRig({ packed, features: (offered) => offered & ~featureSet(3, 34) });
    const buffers = ['a', 'b', 'c'].map((letter) => rig.queue(1).add([text(letter)], [1]));
    rig.queue(1).kick();
    device.finish(2);
    device.finish(1);
    expect(rig.queue(1).collect()).toEqual([]);
    device.finish(0);
    expect(rig.queue(1).collect()).toEqual(buffers);
  });

  it.each([true, false])('does not interrupt a driver that does not want it (EVENT_IDX: %s)', (eventIdx) => {
    const { rig } = echoRig({ packed, features: without(...(eventIdx ? [] : [VIRTIO_F_EVENT_IDX])) });
    const queue = rig.queue(0);
    queue.send([], [1]);
    expect(rig.interrupts()).toEqual([0]);
    queue.suppress(true);
    queue.send([], [1]);
    expect(rig.interrupts()).toEqual([]);
    queue.suppress(false);
    queue.send([], [1]);
    expect(rig.interrupts()).toEqual([0]);
  });

  it('with EVENT_IDX interrupts exactly when the buffer is used that the driver waits for', () => {
    const { rig } = echoRig({ packed, queueSize: 8 });
    const queue = rig.queue(0);
    for (let round = 0; round < 50; round++) {
      queue.interruptAfter(3);
      const when = [1, 2, 3, 4].map(() => {
        queue.send([], [1]);
        return rig.interrupts().length;
      });
      expect(when).toEqual([0, 0, 1, 0]);
    }
    queue.interruptAfter(3);
    for (let i = 0; i < 5; i++) queue.add([], [1]);
    queue.kick();
    queue.collect();
    expect(rig.interrupts()).toEqual([0]);
  });

  it('with EVENT_IDX is not notified of buffers that it will see anyhow', () => {
    const { rig } = echoRig({ packed });
    const queue = rig.queue(0);
    queue.send([], [1]);
    queue.wantsKick();
    for (let round = 0; round < 200; round++) {
      queue.add([], [1]);
      expect(queue.wantsKick()).toBe(true);
      queue.add([], [1]);
      expect(queue.wantsKick()).toBe(false);
      queue.kick();
      queue.collect();
    }
  });

  it('reaches RAM above 4 GiB', () => {
    const { rig } = echoRig({ packed });
    const above = 0x1_0000_0ff0;
    rig.memory.view(above, 16).set(text('sixteen bytes up'));
    const buffer = rig.queue(0).add([new Uint8Array(16)], [16]);
    const table = rig.memory.view(rig.queue(0).areas[0], 16);
    new DataView(table.buffer, table.byteOffset).setBigUint64(0, BigInt(above), true);
    rig.queue(0).kick();
    rig.queue(0).collect();
    expect(said(buffer.answer)).toBe('sixteen bytes up');
  });

  it('tells the engine of every byte that it writes', () => {
    const { rig } = echoRig({ packed });
    rig.queue(0).add([text('some words')], [4, 10]);
    const mine = rig.memory.pieces[0].bytes.slice();
    rig.memory.written.length = 0;
    rig.queue(0).kick();
    const after = rig.memory.pieces[0].bytes;
    const told = new Uint8Array(after.length);
    for (const { gpa, length } of rig.memory.written) told.fill(1, gpa, gpa + length);
    const untold = after.findIndex((byte, i) => byte !== mine[i] && told[i] === 0);
    expect(untold).toBe(-1);
    expect(told.some((byte) => byte === 1)).toBe(true);
  });

  it('sends nothing to the next driver of what the last one asked', () => {
    const { rig, device } = echoRig({ packed });
    const buffer = rig.queue(1).add([text('late')], [4]);
    rig.queue(1).kick();
    const old = device.driver!;
    const [chain] = device.waiting;
    rig.start({ packed, features: (offered) => without()(offered) | (packed ? featureSet(34) : 0n) });
    const untouched = rig.memory.pieces[0].bytes.slice();
    expect(old.live).toBe(false);
    expect([chain.readableLength, chain.writableLength, chain.write(0, text('late'))]).toEqual([0, 0, 0]);
    old.queue(1).push(chain, 4);
    device.driver!.queue(1).push(chain, 4);
    device.driver!.queue(1).signal();
    old.queue(1).signal();
    expect(old.queue(1).pop()).toBeUndefined();
    expect(Buffer.compare(rig.memory.pieces[0].bytes, untouched)).toBe(0);
    expect(buffer.bytes).toEqual(new Uint8Array(4));
    expect(rig.interrupts()).toEqual([]);
  });

  it('after a snapshot goes on with what was in flight', () => {
    const { rig, device } = echoRig({ packed });
    const buffers = ['a', 'b', 'c', 'd', 'e'].map((letter) => rig.queue(1).add([text(letter)], [1]));
    rig.queue(1).kick();
    device.mark = 7;
    device.finish(3);
    device.finish(0);
    const state = JSON.parse(JSON.stringify(rig.pci.bus.save()));
    expect(rig.queue(1).collect()).toEqual([buffers[3], buffers[0]]);
    rig.pci.bus.restore(state);
    rig.pci.bus.resume();
    expect(device.mark).toBe(7);
    expect(device.waiting).toHaveLength(3);
    device.finish(1);
    device.finish(0);
    device.finish(0);
    expect(rig.queue(1).collect()).toEqual([buffers[2], buffers[1], buffers[4]]);
    expect(said(rig.queue(0).send([text('more')], [4]).answer)).toBe('more');
    expect(rig.pci.bus.save()).not.toEqual(state);
  });

  it('carries whatever is sent, in any pieces', () => {
    const request = fc.record({
      readable: fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 }),
      writable: fc.array(fc.nat(60), { maxLength: 5 }),
      indirect: fc.boolean(),
      kick: fc.boolean(),
    });
    const { rig } = echoRig({ packed });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 6 }), (requests) => {
        const queue = rig.queue(0);
        const buffers = requests
          .filter(({ readable, writable }) => readable.length + writable.length > 0)
          .map(({ readable, writable, indirect, kick }) => {
            const buffer = queue.add(readable, writable, indirect);
            if (kick) queue.kick();
            return { buffer, sent: readable.flatMap((bytes) => [...bytes]) };
          });
        queue.kick();
        expect(queue.collect()).toEqual(buffers.map(({ buffer }) => buffer));
        for (const { buffer, sent } of buffers) {
          expect(Array.from(buffer.answer)).toEqual(sent.slice(0, buffer.bytes.length));
        }
      }),
      { numRuns: 300 },
    );
  });
});
