import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DiskRefusal, StorageError } from '../storage.js';
import {
  applied,
  checkQcow2,
  type MadeImage,
  MemoryStorage,
  makeQcow2,
  packQcow2,
  revertedQcow2,
  snapshotQcow2,
  type Written,
} from '../testing.js';
import { openQcow2 } from './open.js';

const SECTOR = 512;
/** Small, so that images have many tables: an L2 table of 64 entries covers 32 KiB. */
const SMALL: MadeImage = { clusterBits: 9, size: 150 * SECTOR };

type Step =
  | { readonly op: 'write'; readonly at: number; readonly length: number; readonly fill: number }
  | { readonly op: 'zero'; readonly at: number; readonly length: number; readonly release: boolean }
  | { readonly op: 'discard' | 'read'; readonly at: number; readonly length: number }
  | { readonly op: 'flush' };

const none = (): never => {
  throw new Error('no backing file was expected');
};

function steps(size: number): fc.Arbitrary<Step[]> {
  const sectors = size / SECTOR;
  const range = fc
    .tuple(fc.nat(sectors - 1), fc.integer({ min: 1, max: 40 }))
    .map(([at, n]) => ({ at: at * SECTOR, length: Math.min(n, sectors - at) * SECTOR }));
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc
        .tuple(range, fc.integer({ min: 1, max: 255 }))
        .map(([r, fill]) => ({ op: 'write' as const, ...r, fill })),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(range, fc.boolean()).map(([r, release]) => ({ op: 'zero' as const, ...r, release })),
    },
    { weight: 1, arbitrary: range.map((r) => ({ op: 'discard' as const, ...r })) },
    { weight: 1, arbitrary: range.map((r) => ({ op: 'read' as const, ...r })) },
    { weight: 2, arbitrary: fc.constant({ op: 'flush' as const }) },
  );
  return fc.array(step, { maxLength: 30, size: 'max' });
}

/** Each sector of one byte: what compresses well. */
const patterned = (size: number) => new Uint8Array(size).map((_, i) => 1 + ((i >> 9) % 250));

/** Each sector gets bytes of its own, in two views. */
function pattern({ at, length, fill }: { at: number; length: number; fill: number }): Uint8Array[] {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (fill + Math.floor((at + i) / SECTOR)) & 0xff || 1;
  const cut = Math.min(length, 700);
  return [bytes.subarray(0, cut), bytes.subarray(cut)];
}

/** Runs steps on an image and on an array of bytes. `discarded` marks what may read as anything. */
class Model {
  readonly bytes: Uint8Array;
  readonly discarded: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes.slice();
    this.discarded = new Uint8Array(bytes.length);
  }

  do(step: Step): void {
    if (step.op === 'flush' || step.op === 'read') return;
    const end = step.at + step.length;
    this.discarded.fill(step.op === 'discard' ? 1 : 0, step.at, end);
    if (step.op === 'zero') this.bytes.fill(0, step.at, end);
    if (step.op === 'write') this.bytes.set(joined(pattern(step)), step.at);
  }

  /** First byte that differs, -1 where none does. */
  differs(found: Uint8Array, from = 0): number {
    return found.findIndex((byte, i) => this.discarded[from + i] === 0 && byte !== this.bytes[from + i]);
  }
}

function joined(views: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(views.flatMap((view) => [...view]));
}

function act(image: ReturnType<typeof openQcow2>, step: Step): Uint8Array | undefined {
  if (step.op === 'write') image.write(step.at, pattern(step));
  if (step.op === 'zero') image.zero(step.at, step.length, step.release);
  if (step.op === 'discard') image.discard(step.at, step.length);
  if (step.op === 'flush') image.flush();
  if (step.op !== 'read') return undefined;
  const views = [new Uint8Array(100), new Uint8Array(step.length - 100)];
  image.read(step.at, views);
  return joined(views);
}

function whole(image: ReturnType<typeof openQcow2>): Uint8Array {
  const bytes = new Uint8Array(image.size);
  image.read(0, [bytes]);
  return bytes;
}

const kinds: fc.Arbitrary<MadeImage> = fc.record({
  clusterBits: fc.constantFrom(9, 10, 12),
  size: fc.constantFrom(SMALL.size, 64 * SECTOR, 1001 * SECTOR),
  version: fc.constantFrom<2 | 3>(2, 3),
  refcountOrder: fc.constantFrom(0, 1, 2, 3, 4, 5, 6),
});

describe('a qcow2 image', () => {
  test('reads as what was written, also when it is opened again, and counts its clusters right', () => {
    const cases = kinds.chain((kind) => fc.tuple(fc.constant(kind), steps(kind.size), steps(kind.size)));
    fc.assert(
      fc.property(cases, ([kind, first, second]) => {
        const model = new Model(new Uint8Array(kind.size));
        let storage = new MemoryStorage(makeQcow2(kind));
        for (const part of [first, second]) {
          const image = openQcow2(storage, none);
          for (const step of part) {
            model.do(step);
            const found = act(image, step);
            if (found !== undefined && 'at' in step) expect(model.differs(found, step.at)).toBe(-1);
          }
          expect(model.differs(whole(image))).toBe(-1);
          image.close();
          expect(checkQcow2(storage.bytes)).toEqual({ errors: [], leaks: 0 });
          storage = new MemoryStorage(storage.bytes);
          expect(model.differs(whole(openQcow2(storage, none)))).toBe(-1);
        }
      }),
      { numRuns: 25 },
    );
  });

  test('shows its backing image where nothing was written, and leaves it alone', () => {
    const cases = fc.tuple(steps(SMALL.size), fc.integer({ min: 1, max: 200 }), fc.constantFrom<2 | 3>(2, 3));
    fc.assert(
      fc.property(cases, ([list, sectors, version]) => {
        const base = new Uint8Array(sectors * SECTOR).map((_, i) => (i >> 9) + 100);
        const start = new Uint8Array(SMALL.size);
        start.set(base.subarray(0, SMALL.size));
        const model = new Model(start);
        const below = new MemoryStorage(base, '/base.img', true);
        const storage = new MemoryStorage(makeQcow2({ ...SMALL, version, backing: 'base.img' }));
        const image = openQcow2(storage, (path) => {
          expect(path).toBe('/base.img');
          return below;
        });
        for (const step of list) {
          model.do(step);
          act(image, step);
        }
        expect(model.differs(whole(image))).toBe(-1);
        image.close();
        expect(below.log.filter((entry) => entry !== 'sync')).toEqual([]);
        expect(below.closed).toBe(true);
        expect(checkQcow2(storage.bytes)).toEqual({ errors: [], leaks: 0 });
      }),
      { numRuns: 25 },
    );
  });

  test.each<['deflate' | 'zstd', boolean]>([
    ['deflate', false],
    ['zstd', false],
    ['deflate', true],
    ['zstd', true],
  ])('whose clusters are compressed (%s; a snapshot of them: %s) is written beside them', (how, snapshot) => {
    const cases = fc.tuple(
      steps(SMALL.size),
      fc.constantFrom<[number, 2 | 3, number]>([9, 3, 4], [10, 3, 1], [12, 3, 4], [9, 3, 5]),
      fc.boolean(),
    );
    fc.assert(
      fc.property(cases, ([list, [clusterBits, version, refcountOrder], flushed]) => {
        const start = patterned(SMALL.size);
        const model = new Model(start);
        // One bit can't count two users: several compressed clusters lie in one.
        const made = packQcow2(
          { clusterBits, version, refcountOrder: Math.max(3, refcountOrder), size: SMALL.size },
          start,
          how,
        );
        const storage = new MemoryStorage(snapshot ? snapshotQcow2(made) : made);
        expect(checkQcow2(storage.bytes)).toEqual({ errors: [], leaks: 0 });
        const image = openQcow2(storage, none);
        for (const step of list) {
          model.do(step);
          const found = act(image, step);
          if (found !== undefined && 'at' in step) expect(model.differs(found, step.at)).toBe(-1);
          if (flushed) image.flush();
        }
        image.close();
        expect(model.differs(whole(openQcow2(new MemoryStorage(storage.bytes), none)))).toBe(-1);
        expect(checkQcow2(storage.bytes)).toEqual({ errors: [], leaks: 0 });
        if (!snapshot) return;
        const then = whole(openQcow2(new MemoryStorage(revertedQcow2(storage.bytes), '/disk.img', true), none));
        expect(Buffer.compare(then, start)).toBe(0);
      }),
      { numRuns: 20 },
    );
  });

  test('never changes what a snapshot holds, even where its flags claim clusters for itself', () => {
    const cases = fc.tuple(steps(SMALL.size), steps(SMALL.size), fc.constantFrom(9, 10), fc.boolean());
    fc.assert(
      fc.property(cases, ([first, second, clusterBits, lies]) => {
        const storage = new MemoryStorage(makeQcow2({ ...SMALL, clusterBits }));
        const model = new Model(new Uint8Array(SMALL.size));
        const image = openQcow2(storage, none);
        for (const step of first) {
          model.do(step);
          act(image, step);
        }
        image.close();
        const bytes = snapshotQcow2(storage.bytes);
        const then = whole(openQcow2(new MemoryStorage(bytes, '/disk.img', true), none));
        const view = new DataView(bytes.buffer);
        const claim = (at: number) => view.getUint32(at + 4) !== 0 && view.setUint32(at, 0x8000_0000);
        for (let i = 0; lies && i < view.getUint32(36); i++) {
          const entry = view.getUint32(44) + i * 8;
          const l2 = view.getUint32(entry + 4);
          claim(entry);
          if (l2 !== 0) for (let n = 0; n < 2 ** clusterBits / 8; n++) claim(l2 + n * 8);
        }
        const after = new MemoryStorage(bytes);
        const again = openQcow2(after, none);
        for (const step of second) {
          model.do(step);
          act(again, step);
        }
        expect(model.differs(whole(again))).toBe(-1);
        again.close();
        const kept = whole(openQcow2(new MemoryStorage(revertedQcow2(after.bytes), '/disk.img', true), none));
        expect(Buffer.compare(kept, then)).toBe(0);
        expect(checkQcow2(after.bytes)).toEqual({ errors: [], leaks: 0 });
      }),
      { numRuns: 40 },
    );
  });

  test('is whole wherever the power goes, with everything that was flushed', () => {
    const cases = fc.tuple(
      steps(SMALL.size),
      fc.noBias(fc.nat()),
      fc.noBias(fc.nat()),
      fc.infiniteStream(fc.boolean()),
      fc.boolean(),
    );
    fc.assert(
      fc.property(cases, ([list, behind, where, kept, empty]) => {
        const start = empty ? new Uint8Array(SMALL.size) : patterned(SMALL.size);
        const made = empty ? makeQcow2(SMALL) : snapshotQcow2(packQcow2(SMALL, start, 'deflate'));
        const storage = new MemoryStorage(made);
        const image = openQcow2(storage, none);
        /** What the disk must hold at least, by the number of entries in the log. */
        const flushed: { log: number; model: Model; touched: Uint8Array }[] = [];
        const model = new Model(start);
        let last = { log: 0, model: new Model(model.bytes), touched: new Uint8Array(SMALL.size) };
        flushed.push(last);
        for (const step of [...list, { op: 'flush' } as const]) {
          model.do(step);
          if (step.op !== 'flush' && step.op !== 'read') last.touched.fill(1, step.at, step.at + step.length);
          act(image, step);
          if (step.op !== 'flush') continue;
          const copy = new Model(model.bytes);
          copy.discarded.set(model.discarded);
          last = { log: storage.log.length, model: copy, touched: new Uint8Array(SMALL.size) };
          flushed.push(last);
        }
        // Somewhere behind one of the syncs, before the next: what lies between is lost or not, write by write.
        const syncs = [-1, ...storage.log.flatMap((entry, i) => (entry === 'sync' ? [i] : []))];
        const synced = syncs[behind % syncs.length];
        const next = syncs[(behind % syncs.length) + 1] ?? storage.log.length;
        const cut = synced + 1 + (where % (next - synced));
        let bytes: Uint8Array = made.slice();
        for (const [i, entry] of storage.log.slice(0, cut).entries())
          if (entry !== 'sync' && (i < synced || kept.next().value)) bytes = applied(bytes, entry as Written);
        expect(checkQcow2(bytes).errors).toEqual([]);
        const then = flushed.findLast(({ log }) => log <= cut)!;
        const found = whole(openQcow2(new MemoryStorage(bytes), none));
        const wrong = found.findIndex(
          (byte, i) => then.touched[i] === 0 && then.model.discarded[i] === 0 && byte !== then.model.bytes[i],
        );
        expect(wrong).toBe(-1);
      }),
      { numRuns: 80 },
    );
  });

  test('stays whole where the host has no more room, and what was written before stays', () => {
    fc.assert(
      fc.property(steps(SMALL.size), steps(SMALL.size), fc.nat(30), (first, second, room) => {
        const storage = new MemoryStorage(makeQcow2(SMALL));
        const image = openQcow2(storage, none);
        const model = new Model(new Uint8Array(SMALL.size));
        for (const step of first) {
          model.do(step);
          act(image, step);
        }
        image.flush();
        storage.room = room;
        const touched = new Uint8Array(SMALL.size);
        for (const step of second) {
          if ('at' in step) touched.fill(1, step.at, step.at + step.length);
          try {
            act(image, step);
          } catch (error) {
            expect(error).toBeInstanceOf(StorageError);
          }
        }
        storage.room = Number.POSITIVE_INFINITY;
        image.close();
        expect(checkQcow2(storage.bytes).errors).toEqual([]);
        const found = whole(openQcow2(new MemoryStorage(storage.bytes), none));
        expect(found.findIndex((b, i) => touched[i] === 0 && model.discarded[i] === 0 && b !== model.bytes[i])).toBe(
          -1,
        );
      }),
      { numRuns: 25 },
    );
  });
});

describe('a qcow2 image that', () => {
  test('lies is refused by a sentence or fails its requests, whatever its bytes are', () => {
    const filled = makeQcow2(SMALL);
    const storage = new MemoryStorage(filled);
    const image = openQcow2(storage, none);
    for (let at = 0; at < 100; at += 3) image.write(at * SECTOR, [new Uint8Array(SECTOR).fill(at + 1)]);
    image.close();
    const good = storage.bytes;
    const flips = fc.array(
      fc.tuple(fc.oneof(fc.nat(110), fc.nat(good.length - 1)), fc.oneof(fc.nat(255), fc.constantFrom(0, 0xff))),
      { minLength: 1, maxLength: 6 },
    );
    let refused = 0;
    fc.assert(
      fc.property(flips, steps(SMALL.size), (list, ops) => {
        const bytes = good.slice();
        for (const [at, value] of list) bytes[at] = value;
        const lying = new MemoryStorage(bytes);
        try {
          const opened = openQcow2(lying, () => new MemoryStorage(new Uint8Array(SECTOR)));
          for (const step of ops) {
            if ('at' in step && step.at + step.length > opened.size) continue;
            try {
              act(opened, step);
            } catch (error) {
              expect(error).toBeInstanceOf(StorageError);
            }
          }
          opened.flush();
        } catch (error) {
          expect(error instanceof DiskRefusal || error instanceof StorageError).toBe(true);
          if (error instanceof DiskRefusal) refused++;
        }
        expect(lying.bytes.length).toBeLessThan(2 ** 21);
      }),
      { numRuns: 300 },
    );
    expect(refused).toBeGreaterThan(30);
  });

  test('lies in fields of its header and tables does so, too', () => {
    const content = patterned(SMALL.size);
    const images = [
      makeQcow2({ ...SMALL, backing: 'base.img' }),
      packQcow2(SMALL, content, 'zstd'),
      snapshotQcow2(packQcow2({ ...SMALL, version: 2 }, content, 'deflate')),
    ];
    const word = fc.oneof(
      fc.constantFrom(0, 1, 2, 3, 4, 7, 9, 21, 63, 64, 104, 511, 512, 1024, 1 << 16, 0x7fff_ffff, 2 ** 31, 2 ** 32 - 1),
      fc.nat({ max: 2 ** 32 - 1 }),
      fc.nat(60).map((n) => n * 512),
    );
    // The header word by word, and the first entries of the refcount table, the L1 table and what they lead to.
    const place = fc.oneof(
      { weight: 3, arbitrary: fc.nat(28).map((n) => n * 4) },
      { weight: 1, arbitrary: fc.nat(300).map((n) => 512 + n * 4) },
    );
    const lies = fc.array(fc.tuple(place, word), { minLength: 1, maxLength: 3 });
    let refused = 0;
    fc.assert(
      fc.property(fc.nat(2), lies, fc.boolean(), steps(SMALL.size), (which, list, readonly, ops) => {
        const bytes = images[which].slice();
        const view = new DataView(bytes.buffer);
        for (const [at, value] of list) if (at + 4 <= bytes.length) view.setUint32(at, value);
        const lying = new MemoryStorage(bytes, '/disk.img', readonly);
        try {
          const opened = openQcow2(lying, (name) => new MemoryStorage(new Uint8Array(SECTOR), name, true));
          expect(opened.size).toBeLessThan(2 ** 53);
          for (const step of ops) {
            if ('at' in step && step.at + step.length > opened.size) continue;
            try {
              if (!readonly || step.op === 'read') act(opened, step);
            } catch (error) {
              expect(error).toBeInstanceOf(StorageError);
            }
          }
          opened.close();
        } catch (error) {
          expect(error instanceof DiskRefusal || error instanceof StorageError, String(error)).toBe(true);
          if (error instanceof DiskRefusal) refused++;
        }
        expect(lying.bytes.length).toBeLessThan(2 ** 22);
        if (readonly) expect(lying.log).toEqual([]);
      }),
      { numRuns: 1000 },
    );
    expect(refused).toBeGreaterThan(300);
  });

  /** An image with a field of its header changed. */
  const withHeader = (change: (view: DataView) => void): MemoryStorage => {
    const bytes = makeQcow2(SMALL);
    change(new DataView(bytes.buffer));
    return new MemoryStorage(bytes);
  };

  test.each<[string, (view: DataView) => void, string]>([
    ['version 4', (v) => v.setUint32(4, 4), 'has version 4'],
    ['clusters of 2^40 bytes', (v) => v.setUint32(20, 40), 'has clusters of 2^40 bytes'],
    ['encryption', (v) => v.setUint32(32, 2), 'is encrypted'],
    ['a huge L1 table', (v) => v.setUint32(36, 0x7fff_ffff), 'has an L1 table of 2147483647 entries'],
    ['an L1 table too short', (v) => v.setUint32(36, 1), 'too short'],
    ['an L1 table outside', (v) => v.setUint32(40, 1), 'lies outside of the file'],
    ['an L1 table on the header', (v) => v.setUint32(44, 0), 'where its header is'],
    ['a crooked refcount table', (v) => v.setUint32(52, 513), "no cluster's beginning"],
    ['a huge refcount table', (v) => v.setUint32(56, 0x100000), 'has a refcount table of'],
    ['a block of refcounts outside', (v) => v.setUint32(512, 9), 'has a refcount block at'],
    ['unknown features', (v) => v.setUint32(72, 1), 'features that we do not know'],
    ['a data file', (v) => v.setUint32(76, 4), 'keeps its data in another file'],
    ['the dirty bit', (v) => v.setUint32(76, 1), 'was not closed'],
    ['the corrupt bit', (v) => v.setUint32(76, 2), 'is marked as corrupt'],
    ['an L2 table on the refcount table', (v) => v.setUint32(3 * 512 + 4, 512), 'another table is'],
    ['no count of a table', (v) => v.setUint16(2 * 512 + 6, 0), 'counts no user of it'],
  ])('has %s is refused', (_, change, sentence) => {
    const storage = withHeader(change);
    expect(() => openQcow2(storage, none)).toThrow(DiskRefusal);
    expect(() => openQcow2(storage, none)).toThrow(sentence);
  });

  test.each([
    ['itself', '/disk.img', 'stands on itself'],
    ['an address', 'nbd://example/x', 'only files are supported'],
  ])('stands on %s is refused', (_, backing, sentence) => {
    const storage = new MemoryStorage(makeQcow2({ ...SMALL, backing }));
    expect(() => openQcow2(storage, none)).toThrow(sentence);
  });

  test('stands on an endless row of images is refused, and all of them are closed', () => {
    const opened: MemoryStorage[] = [];
    const open = (path: string) => {
      const backing = `${opened.length}.img`;
      opened.push(new MemoryStorage(makeQcow2({ ...SMALL, backing }), path, true));
      return opened.at(-1)!;
    };
    const storage = new MemoryStorage(makeQcow2({ ...SMALL, backing: 'first.img' }));
    expect(() => openQcow2(storage, open)).toThrow('stands on more than 64 images');
    expect(opened.length).toBe(63);
    expect(opened.every(({ closed }) => closed)).toBe(true);
  });

  test('maps data to a table is marked as corrupt and not written any more', () => {
    const storage = new MemoryStorage(makeQcow2(SMALL));
    const image = openQcow2(storage, none);
    image.write(0, [new Uint8Array(SECTOR).fill(1)]);
    image.close();
    const view = new DataView(storage.bytes.buffer);
    const l2 = view.getUint32(3 * 512 + 4);
    view.setUint32(l2 + 4, 512); // sector 0 is where the refcount table is
    const lying = new MemoryStorage(storage.bytes);
    const opened = openQcow2(lying, none);
    expect(() => opened.write(0, [new Uint8Array(SECTOR)])).toThrow('is corrupt');
    expect(() => opened.write(SECTOR, [new Uint8Array(SECTOR)])).toThrow('is not written any more');
    expect(() => openQcow2(new MemoryStorage(lying.bytes), none)).toThrow('is marked as corrupt');
    expect(openQcow2(new MemoryStorage(lying.bytes, '/disk.img', true), none).size).toBe(SMALL.size);
  });
});
