import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { featureSet } from '../device.js';
import { type StartOptions, VirtioRig } from '../testing/index.js';
import { VirtioBlock } from './block.js';
import * as L from './layout.js';
import { MemoryDisk } from './testing.js';

const SECTORS = 256;

interface BlockRig {
  readonly rig: VirtioRig;
  readonly disk: MemoryDisk;
  readonly block: VirtioBlock;
}

function blockRig(options: { readonly?: boolean; queues?: number; start?: StartOptions | false } = {}): BlockRig {
  const disk = new MemoryDisk(SECTORS, options.readonly);
  let told: VirtioRig | undefined;
  const memory = new Proxy({} as VirtioRig['memory'], {
    get: (_, key) => Reflect.get(told!.memory, key).bind(told!.memory),
  });
  const block = new VirtioBlock({ backend: disk, memory, queues: options.queues ?? 1 });
  const rig = new VirtioRig({ device: block });
  told = rig;
  if (options.start !== false) rig.start(options.start);
  return { rig, disk, block };
}

function header(type: number, sector: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(8, sector % 2 ** 32, true);
  view.setUint32(12, Math.floor(sector / 2 ** 32), true);
  return bytes;
}

/** Ranges as discard and write-zeroes have them: sector, count, flags. */
function ranges(...list: readonly [number, number, number][]): Uint8Array {
  const bytes = new Uint8Array(16 * list.length);
  const view = new DataView(bytes.buffer);
  for (const [i, [sector, count, flags]] of list.entries()) {
    view.setUint32(16 * i, sector, true);
    view.setUint32(16 * i + 8, count, true);
    view.setUint32(16 * i + 12, flags, true);
  }
  return bytes;
}

/** Sends a request and has the disk carry it out. @returns the status and what was written before it */
function ask({ rig, disk }: BlockRig, readable: Uint8Array[], writable: number[]) {
  const buffer = rig.queue(0).add(readable, writable);
  rig.queue(0).kick();
  disk.finishAll();
  rig.queue(0).collect();
  const bytes = buffer.bytes;
  return { status: bytes.at(-1), data: bytes.subarray(0, -1), written: buffer.written };
}

/** Vitest compares element by element. */
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

const without =
  (...features: number[]) =>
  (offered: bigint): bigint =>
    offered & ~featureSet(34, 35, ...features);

describe('a block device', () => {
  it('says what it is and how large', () => {
    const { rig } = blockRig({ start: false });
    expect(rig.configRead(0, 4)).toBe(0x1042_1af4);
    expect(rig.config(L.CONFIG.capacity, 4)).toBe(SECTORS);
    expect(rig.config(L.CONFIG.segMax, 4)).toBe(510);
    const { features } = blockRig({ start: false }).block;
    expect(features & featureSet(1), 'VIRTIO_BLK_F_SIZE_MAX: pieces may be of any length').toBe(0n);
    expect(rig.config(L.CONFIG.physicalBlockExp, 1)).toBe(3);
    expect(rig.config(L.CONFIG.writeback, 1)).toBe(1);
    expect(rig.config(L.CONFIG.numQueues, 2)).toBe(1);
  });

  it('reads and writes, in pieces of any shape', () => {
    const cut = fc.array(fc.integer({ min: 1, max: 700 }), { maxLength: 6 });
    fc.assert(
      fc.property(
        fc.nat(SECTORS - 4),
        fc.integer({ min: 1, max: 4 }),
        cut,
        fc.boolean(),
        (sector, count, cuts, packed) => {
          const made = blockRig({ start: { packed } });
          const data = new Uint8Array(count * 512).map((_, i) => i * 7 + sector);
          const expected = made.disk.bytes.slice();
          expected.set(data, sector * 512);
          const pieces: Uint8Array[] = [];
          let at = 0;
          for (const length of cuts) {
            if (at + length >= data.length) break;
            pieces.push(data.subarray(at, at + length));
            at += length;
          }
          pieces.push(data.subarray(at));
          expect(ask(made, [header(L.VIRTIO_BLK_T_OUT, sector), ...pieces], [1])).toMatchObject({
            status: 0,
            written: 1,
          });
          expect(same(made.disk.bytes, expected)).toBe(true);
          const lengths = pieces.map((piece) => piece.length);
          const read = ask(made, [header(L.VIRTIO_BLK_T_IN, sector)], [...lengths, 1]);
          expect(read).toMatchObject({ status: 0, written: data.length + 1 });
          expect(same(read.data, data)).toBe(true);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('answers requests in the order in which they are done, with one interrupt for all', () => {
    const { rig, disk } = blockRig();
    const sent = [3, 1, 2].map((sector) => rig.queue(0).add([header(L.VIRTIO_BLK_T_IN, sector)], [512, 1]));
    rig.queue(0).kick();
    expect(rig.queue(0).collect()).toEqual([]);
    disk.finish(2);
    disk.finish(0);
    disk.onBatch();
    expect(rig.interrupts()).toEqual([0]);
    expect(rig.queue(0).collect()).toEqual([sent[2], sent[0]]);
    disk.finishAll();
    expect(rig.queue(0).collect()).toEqual([sent[1]]);
    expect(sent.map(({ bytes }) => bytes[0])).toEqual([4, 2, 3]);
  });

  it.each<[string, Uint8Array[], number[], number]>([
    ['a read beyond the end', [header(0, SECTORS)], [512, 1], 1],
    ['a read across the end', [header(0, SECTORS - 1)], [1024, 1], 1],
    ['a read at the end of the number space', [header(0, 2 ** 64 - 2048)], [512, 1], 1],
    ['a read of half a sector', [header(0, 0)], [256, 1], 1],
    ['a read of nothing', [header(0, 0)], [1], 1],
    ['a read whose data is readable only', [header(0, 0), new Uint8Array(512)], [1], 1],
    ['a write beyond the end', [header(1, SECTORS), new Uint8Array(512)], [1], 1],
    ['a write of 511 bytes', [header(1, 0), new Uint8Array(511)], [1], 1],
    ['a write whose data is writable only', [header(1, 0)], [512, 1], 1],
    ['an unknown request', [header(77, 0)], [1], 2],
    ['a discard of no range', [header(11, 0)], [1], 1],
    ['a discard of half a range', [header(11, 0), new Uint8Array(8)], [1], 1],
    ['a discard beyond the end', [header(11, 0), ranges([0, 1, 0], [SECTORS, 1, 0])], [1], 1],
    ['a discard with unmap', [header(11, 0), ranges([0, 1, 1])], [1], 2],
    ['a write of zeroes with an unknown flag', [header(13, 0), ranges([0, 1, 2])], [1], 2],
    ['33 ranges', [header(13, 0), new Uint8Array(33 * 16)], [1], 1],
    ['a range of more than was announced', [header(13, 0), ranges([0, 2 ** 21 + 1, 0])], [1], 1],
  ])('refuses %s and does nothing', (_, readable, writable, status) => {
    const made = blockRig();
    const before = made.disk.bytes.slice();
    expect(ask(made, readable, writable).status).toBe(status);
    expect(made.disk.asked).toEqual([]);
    expect(same(made.disk.bytes, before)).toBe(true);
  });

  it.each<[string, Uint8Array[], number[]]>([
    ['a header of 15 bytes', [new Uint8Array(15)], [1]],
    ['no place for the status', [header(0, 0)], []],
  ])('is broken by %s', (_, readable, writable) => {
    const { rig } = blockRig();
    rig.queue(0).send(readable, writable);
    expect(rig.needsReset).toBe(true);
    expect(rig.warnings.join()).toContain('5.2.6');
  });

  it('that is read-only says so and writes nothing', () => {
    const made = blockRig({ readonly: true });
    expect(made.rig.accepted(L.VIRTIO_BLK_F_RO)).toBe(true);
    expect(ask(made, [header(1, 0), new Uint8Array(512)], [1]).status).toBe(1);
    expect(ask(made, [header(13, 0), ranges([0, 1, 0])], [1]).status).toBe(2);
    expect(ask(made, [header(0, 5)], [512, 1]).data[0]).toBe(6);
    expect(made.disk.asked.map(({ operation }) => operation)).toEqual(['read']);
  });

  it('tells its serial number, as much of it as fits', () => {
    const made = blockRig();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    expect(text(ask(made, [header(8, 0)], [20, 1]).data)).toBe('memory-disk-with-a-l');
    expect(text(ask(made, [header(8, 0)], [6, 1]).data)).toBe('memory');
  });

  it('discards and writes zeroes in several ranges, and answers when all are done', () => {
    const made = blockRig();
    const { rig, disk } = made;
    expect(ask(made, [header(13, 0), ranges([1, 2, 1], [7, 1, 0])], [1]).status).toBe(0);
    expect(disk.asked.map(({ offset, length, unmap }) => [offset, length, unmap])).toEqual([
      [512, 1024, true],
      [3584, 512, false],
    ]);
    expect([0, 1, 2, 3, 7].map((sector) => disk.bytes[sector * 512])).toEqual([1, 0, 0, 4, 0]);
    const buffer = rig.queue(0).add([header(11, 0), ranges([0, 1, 0], [3, 1, 0])], [1]);
    rig.queue(0).kick();
    disk.finish(1, false);
    expect(rig.queue(0).collect()).toEqual([]);
    disk.finish(0);
    expect(rig.queue(0).collect()).toEqual([buffer]);
    expect(buffer.bytes[0], 'one of them has failed').toBe(1);
  });

  it('reports what the host could not do', () => {
    const { rig, disk } = blockRig();
    const buffer = rig.queue(0).add([header(4, 0)], [1]);
    rig.queue(0).kick();
    disk.finish(0, false);
    rig.queue(0).collect();
    expect(buffer.bytes[0]).toBe(1);
  });

  it('makes each write durable unless the driver flushes or has turned the cache on', () => {
    const durable = (made: BlockRig) => {
      ask(made, [header(1, 0), new Uint8Array(512)], [1]);
      return made.disk.asked.at(-1)!.durable;
    };
    expect(durable(blockRig())).toBe(false);
    const none = { features: without(L.VIRTIO_BLK_F_FLUSH, L.VIRTIO_BLK_F_CONFIG_WCE) };
    expect(durable(blockRig({ start: none }))).toBe(true);
    expect(durable(blockRig({ start: { features: without(L.VIRTIO_BLK_F_CONFIG_WCE) } }))).toBe(false);
    const made = blockRig();
    made.rig.setConfig(L.CONFIG.writeback, 1, 0);
    expect(durable(made)).toBe(true);
    made.rig.setConfig(L.CONFIG.writeback, 4, 1);
    expect(durable(made)).toBe(false);
    made.rig.setConfig(L.CONFIG.capacity, 4, 7);
    expect(made.rig.config(L.CONFIG.capacity, 4), 'nothing else can be written').toBe(SECTORS);
  });

  it('forgets what is in flight when it is reset: no answer of an earlier life arrives in the next', () => {
    const { rig, disk } = blockRig();
    rig.queue(0).add([header(0, 1)], [512, 1]);
    rig.queue(0).kick();
    const [{ done }] = disk.waiting;
    rig.reset();
    expect(disk.cancels).toBe(1);
    rig.start();
    rig.interrupts();
    done(true);
    disk.onBatch();
    expect(rig.queue(0).collect()).toEqual([]);
    expect(rig.interrupts()).toEqual([]);
  });

  it('serves each of its queues', () => {
    const { rig, disk } = blockRig({ queues: 3 });
    expect(rig.accepted(L.VIRTIO_BLK_F_MQ)).toBe(true);
    const sent = [0, 1, 2].map((queue) => rig.queue(queue).add([header(0, queue)], [512, 1]));
    for (const queue of [2, 0, 1]) rig.queue(queue).kick();
    disk.finishAll();
    expect([0, 1, 2].map((queue) => rig.queue(queue).collect()[0])).toEqual(sent);
    expect(sent.map(({ bytes }) => bytes[0])).toEqual([1, 2, 3]);
  });

  it('saves whether it caches', () => {
    const { rig, block } = blockRig();
    rig.setConfig(L.CONFIG.writeback, 1, 0);
    const other = blockRig({ start: false }).block;
    other.restore(block.save());
    expect(other.config.writeback).toBe(false);
  });

  it('survives whatever a driver sends, and changes only sectors of the disk', { timeout: 240_000 }, () => {
    const any = fc.record({
      type: fc.oneof(fc.constantFrom(0, 1, 4, 8, 11, 13), fc.nat()),
      sector: fc.oneof(fc.nat(SECTORS + 4), fc.maxSafeNat()),
      readable: fc.array(fc.uint8Array({ maxLength: 1100 }), { maxLength: 3 }),
      writable: fc.array(fc.nat(1100), { maxLength: 3 }),
      whole: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(any, { maxLength: 12 }), (requests) => {
        const made = blockRig();
        for (const { type, sector, readable, writable, whole } of requests) {
          const head = header(type, sector).subarray(0, whole ? 16 : 9);
          const pieces = [head, ...readable].filter(({ length }) => length > 0);
          const buffer = made.rig.queue(0).add(pieces, [...writable.filter((n) => n > 0), 1]);
          made.rig.queue(0).kick();
          made.disk.finishAll();
          if (made.rig.needsReset) break;
          expect(made.rig.queue(0).collect()).toEqual([buffer]);
          expect(buffer.bytes.at(-1)).toBeLessThan(3);
        }
        expect(made.disk.bytes.length).toBe(SECTORS * 512);
      }),
      { numRuns: 200 },
    );
  });
});
