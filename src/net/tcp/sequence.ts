/** Sequence numbers: 32 bits that wrap (RFC 9293, 3.4). Kept unsigned. */

export function add(seq: number, count: number): number {
  return (seq + count) >>> 0;
}

/** How far `a` lies behind `b`, from -2^31 to 2^31 - 1. */
export function distance(a: number, b: number): number {
  return (a - b) | 0;
}

export function later(a: number, b: number): number {
  return distance(a, b) > 0 ? a : b;
}
