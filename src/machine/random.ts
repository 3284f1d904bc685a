/** Random values for RDRAND, 32 bits at a time, taken from the host in larger pieces: a guest asks for thousands of them. */
import type { Host } from './host.js';

const PIECE = 4096;

/** Unpredictable numbers from 0 to 2^32-1. */
export function hostEntropy(host: Pick<Host, 'entropy'>): () => number {
  let view: DataView = new DataView(new ArrayBuffer(0));
  let used = 0;
  return () => {
    if (used + 4 > view.byteLength) {
      const bytes = host.entropy(PIECE);
      view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      used = 0;
    }
    used += 4;
    return view.getUint32(used - 4, true);
  };
}

/** The same numbers in every run, for deterministic machines: xoshiro128++ (Blackman, Vigna 2019). Not secret. */
export function seededEntropy(seed: number): () => number {
  // Any state but all zeros will do. The first numbers are close to it, so they are thrown away.
  let a = seed | 0;
  let b = 0x9e37_79b9 | 0;
  let c = 0x243f_6a88 | 0;
  let d = 0xb7e1_5162 | 0;
  const next = () => {
    const sum = (a + d) | 0;
    const result = (((sum << 7) | (sum >>> 25)) + a) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  for (let i = 0; i < 16; i++) next();
  return next;
}
