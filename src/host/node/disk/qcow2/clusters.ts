/** What an L2 entry says about a cluster of the guest's disk (docs/interop/qcow2.txt, "Cluster mapping"). */

/** Bit 63, in the entry's upper half: the cluster's refcount is 1, it may be written in place. */
export const COPIED = 0x8000_0000;
const COMPRESSED = 0x4000_0000;
/** Bit 0: reads as zeros, whatever lies in the cluster that may be attached. */
export const ZERO = 1;
const TWO_32 = 2 ** 32;

export type Mapping =
  /** Nothing here: the backing image shows through. */
  | { readonly kind: 'none' }
  /** `host` is a byte of the file, 0 where no cluster is attached. */
  | { readonly kind: 'zero'; readonly host: number; readonly copied: boolean }
  | { readonly kind: 'data'; readonly host: number; readonly copied: boolean }
  /** `host` is any byte of the file, `length` reaches up to the end of the last sector. */
  | { readonly kind: 'compressed'; readonly host: number; readonly length: number };

const NONE: Mapping = { kind: 'none' };

/** Bits 55:9 of an entry of L1 or L2. */
export function offsetOf(high: number, low: number): number {
  return (high & 0x00ff_ffff) * TWO_32 + ((low & ~0x1ff) >>> 0);
}

export function mappingOf(high: number, low: number, clusterBits: number, version: number): Mapping {
  if ((high & COMPRESSED) !== 0) {
    // x = 62 - (cluster_bits - 8): offset in bits below x, further sectors in bits from x on to 61.
    const x = 62 - (clusterBits - 8) - 32;
    const sectors = ((high & 0x3fff_ffff) >>> x) + 1;
    const host = (high & (2 ** x - 1)) * TWO_32 + low;
    return { kind: 'compressed', host, length: sectors * 512 - (host % 512) };
  }
  const host = offsetOf(high, low);
  const copied = (high & COPIED) !== 0;
  if (version >= 3 && (low & ZERO) !== 0) return { kind: 'zero', host, copied };
  return host === 0 ? NONE : { kind: 'data', host, copied };
}
