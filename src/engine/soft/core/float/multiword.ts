// AssemblyScript. Products and quotients of 128 bits.

export function mulHi(a: u64, b: u64): u64 {
  const al = a & 0xffffffff,
    ah = a >> 32,
    bl = b & 0xffffffff,
    bh = b >> 32;
  const t = ah * bl + ((al * bl) >> 32);
  const u = al * bh + (t & 0xffffffff);
  return ah * bh + (t >> 32) + (u >> 32);
}

/** Remainder of the last divWide. */
export let divRest: u64 = 0;

/** hi:lo / d for hi < d and bit 63 of d set (Knuth's algorithm D with digits of 32 bits). */
export function divWide(hi: u64, lo: u64, d: u64): u64 {
  const dh = d >> 32,
    dl = d & 0xffffffff;
  let q1 = hi / dh;
  let r = hi - q1 * dh;
  const l1 = lo >> 32;
  while (q1 >> 32 || q1 * dl > ((r << 32) | l1)) {
    q1--;
    r += dh;
    if (r >> 32) break;
  }
  const t = ((hi << 32) | l1) - q1 * d;
  let q0 = t / dh;
  r = t - q0 * dh;
  const l0 = lo & 0xffffffff;
  while (q0 >> 32 || q0 * dl > ((r << 32) | l0)) {
    q0--;
    r += dh;
    if (r >> 32) break;
  }
  divRest = ((t << 32) | l0) - q0 * d;
  return (q1 << 32) + q0;
}
