/** 64-bit random values for RDRAND, taken from the host in larger pieces: a guest asks for thousands of them. */
import type { Host } from './host.js';

const PIECE = 4096;

export function hostEntropy(host: Pick<Host, 'entropy'>): () => bigint {
  let view: DataView = new DataView(new ArrayBuffer(0));
  let used = 0;
  return () => {
    if (used + 8 > view.byteLength) {
      const bytes = host.entropy(PIECE);
      view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      used = 0;
    }
    used += 8;
    return view.getBigUint64(used - 8, true);
  };
}

/** The same values in every run, for deterministic machines: SplitMix64 (Steele, Lea, Flood 2014). Not secret. */
export function seededEntropy(seed: bigint): () => bigint {
  let state = BigInt.asUintN(64, seed);
  return () => {
    state = BigInt.asUintN(64, state + 0x9e37_79b9_7f4a_7c15n);
    let z = state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn);
    return z ^ (z >> 31n);
  };
}
