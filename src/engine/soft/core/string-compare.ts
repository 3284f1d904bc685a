// The aggregations of PCMPISTRI and its kin (SDM vol. 2, 4.1): everything else of them is isa/string-compare.ts.
import { VECTOR_A } from '../layout';

function splat(i: i32, words: i32): v128 {
  return words ? v128.load_splat<u16>(VECTOR_A + (i << 1)) : v128.load_splat<u8>(VECTOR_A + i);
}

function equal(a: v128, b: v128, words: i32): v128 {
  return words ? i16x8.eq(a, b) : i8x16.eq(a, b);
}

/** a >= b by what imm 1:0 says of elements: bytes or words, unsigned or signed. */
function notBelow(a: v128, b: v128, imm: i32): v128 {
  switch (imm & 3) {
    case 0:
      return i8x16.ge_u(a, b);
    case 1:
      return i16x8.ge_u(a, b);
    case 2:
      return i8x16.ge_s(a, b);
    default:
      return i16x8.ge_s(a, b);
  }
}

function bits(lanes: v128, words: i32): i32 {
  return words ? i16x8.bitmask(lanes) : i8x16.bitmask(lanes);
}

/** IntRes1: a bit for each element of `b`, of which `lb` are valid, as imm 3:2 compares it with the `la` valid ones of `a`. */
export function aggregate(a: v128, b: v128, imm: i32, la: i32, lb: i32): i32 {
  const words = imm & 1;
  const all = words ? 0xff : 0xffff;
  const validB = (1 << lb) - 1;
  v128.store(VECTOR_A, a);
  switch ((imm >> 2) & 3) {
    case 0: {
      // Equal any.
      let hits = i64x2.splat(0);
      for (let i = 0; i < la; i++) hits = v128.or(hits, equal(b, splat(i, words), words));
      return bits(hits, words) & validB;
    }
    case 1: {
      // Ranges, each of two elements.
      let hits = i64x2.splat(0);
      for (let i = 0; i + 1 < la; i += 2) {
        const within = v128.and(notBelow(b, splat(i, words), imm), notBelow(splat(i + 1, words), b, imm));
        hits = v128.or(hits, within);
      }
      return bits(hits, words) & validB;
    }
    case 2: {
      // Equal each: what is invalid on both sides is equal.
      const validA = (1 << la) - 1;
      return (bits(equal(a, b, words), words) & validA & validB) | (all & ~(validA | validB));
    }
    default: {
      // Equal ordered: `a` from here on, as far as `b` goes.
      let hits = all;
      for (let i = 0; i < la; i++)
        hits &= ((bits(equal(b, splat(i, words), words), words) & validB) >> i) | ~(all >> i);
      return hits & all;
    }
  }
}
