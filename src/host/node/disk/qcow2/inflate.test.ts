import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inflateCluster } from './inflate.js';

const CLUSTER = 512;
/** One block that repeats a byte: 13 bytes that unpack to 512. */
const frame = (...header: number[]) => Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, ...header, 0x03, 0x10, 0, 7);
const sevens = new Uint8Array(CLUSTER).fill(7);

describe('a compressed cluster', () => {
  test.each([
    ['its length in four bytes', [0xa0, 0, 2, 0, 0]],
    ['its length in two bytes', [0x60, 0, 1]],
    ['a window of a kibibyte', [0, 0]],
  ])('of few bytes unpacks, whatever follows it (%s)', (_, header) => {
    for (const tail of [0, 1, 4, 5, 6, 100]) {
      const packed = new Uint8Array([...frame(...header), ...new Uint8Array(tail).fill(0x28)]);
      expect(inflateCluster(packed, CLUSTER, 'zstd')).toEqual(sevens);
    }
  });

  test.each([
    ['a window of 2 GiB', [0, 0xa8]],
    ['a segment of 4 GiB', [0xa0, 0xff, 0xff, 0xff, 0xff]],
    ['a segment of 2^56 bytes', [0xe0, 0, 0, 0, 0, 0, 0, 0, 1]],
  ])('that asks for %s gets nothing', (_, header) => {
    expect(inflateCluster(frame(...header), CLUSTER, 'zstd')).toBeUndefined();
  });

  test('of any bytes unpacks to a whole cluster or to nothing', () => {
    const any = fc.tuple(fc.constantFrom('deflate' as const, 'zstd' as const), fc.uint8Array({ maxLength: 64 }));
    fc.assert(
      fc.property(any, fc.boolean(), ([how, bytes], framed) => {
        const packed = framed ? new Uint8Array([...frame().subarray(0, 4), ...bytes]) : bytes;
        expect([undefined, CLUSTER]).toContain(inflateCluster(packed, CLUSTER, how)?.length);
      }),
      { numRuns: 2000 },
    );
  });
});
