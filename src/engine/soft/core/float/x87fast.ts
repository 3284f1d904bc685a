// AssemblyScript. The common case of x87 arithmetic, without the unpacked globals of core.ts: both operands normal, the
// result normal and not near an end of the range, PE masked. The same steps as in core.ts, so the same bits; what isn't
// the common case returns false with nothing changed and takes the long way.

import { FPU_CW, FPU_SW } from '../../layout';
import { MSB, PE, RC_DOWN, RC_NEAREST, RC_ZERO, SW_C1 } from './env';
import { divRest, divWide, mulHi } from './multiword';

/** The register at d = the register at d op (bSe:bM), op as in x87_arith. */
export function fastArith(op: i32, d: usize, bSe: u32, bM: u64): bool {
  let aSe = load<u32>(d, 8);
  let aM = load<u64>(d);
  let ea = aSe & 0x7fff,
    eb = bSe & 0x7fff;
  if (<i64>(aM & bM) >= 0 || ea - 1 >= 0x7ffe || eb - 1 >= 0x7ffe) return false;
  let s: u32, e: i32, hi: u64, lo: u64;
  if (op == 1) {
    s = aSe ^ bSe;
    e = <i32>ea + <i32>eb - 16382;
    hi = mulHi(aM, bM);
    lo = aM * bM;
    if (<i64>hi >= 0) {
      hi = (hi << 1) | (lo >> 63);
      lo <<= 1;
      e--;
    }
  } else if (op >= 6) {
    if (op == 7) {
      const m = aM,
        x = ea;
      aM = bM;
      bM = m;
      ea = eb;
      eb = x;
    }
    s = aSe ^ bSe;
    e = <i32>ea - <i32>eb + 16383;
    if (aM < bM) {
      e--;
      hi = divWide(aM, 0, bM);
    } else hi = divWide(aM >> 1, aM << 63, bM);
    const r = divRest,
      rest = bM - r;
    lo = r == 0 ? 0 : r < rest ? 1 : r == rest ? MSB : MSB | 1;
  } else {
    if (op == 4) bSe ^= 0x8000;
    else if (op == 5) aSe ^= 0x8000;
    let n = <i32>ea - <i32>eb;
    s = aSe;
    e = <i32>ea;
    if (n < 0 || (n == 0 && aM < bM)) {
      n = 0 - n;
      const m = aM;
      aM = bM;
      bM = m;
      s = bSe;
      e = <i32>eb;
    }
    if (n > 63) return false;
    // n may be 0: x << 64 is x << 0 in WebAssembly, hence the two steps.
    hi = bM >> n;
    lo = (bM << (63 - n)) << 1;
    if ((aSe ^ bSe) & 0x8000) {
      hi = aM - hi - u64(lo != 0);
      lo = 0 - lo;
      if (hi == 0) return false;
      const k = clz<u64>(hi);
      // As above, for k = 0.
      hi = (hi << k) | ((lo >> 1) >> (63 - k));
      lo <<= k;
      e -= <i32>k;
    } else {
      hi += aM;
      if (hi < aM) {
        lo = (lo >> 1) | (hi << 63) | (lo & 1);
        hi = (hi >> 1) | MSB;
        e++;
      }
    }
  }
  if (<u32>(e - 1) >= 0x7ffd) return false;
  const cw = load<u32>(FPU_CW);
  const pc = (cw >> 8) & 3;
  let one: u64 = 1,
    f = lo;
  if ((pc & 1) == 0) {
    const p: u64 = pc ? 53 : 24;
    f = (hi << p) | u64(lo != 0);
    one = (<u64>1) << (64 - p);
    hi &= 0 - one;
  }
  let sw = load<u32>(FPU_SW) & ~SW_C1;
  if (f) {
    if (!(cw & PE)) return false;
    sw |= PE;
    const rc = (cw >> 10) & 3;
    if (
      rc == RC_NEAREST
        ? f > MSB || (f == MSB && (hi & one) != 0)
        : rc != RC_ZERO && (rc == RC_DOWN) == ((s & 0x8000) != 0)
    ) {
      sw |= SW_C1;
      hi += one;
      if (hi < one) {
        hi = MSB;
        e++;
      }
    }
  }
  store<u32>(FPU_SW, sw);
  store<u64>(d, hi);
  store<u32>(d, (s & 0x8000) | <u32>e, 8);
  return true;
}
