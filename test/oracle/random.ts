// Reproducible random values, edge cases often.

export class Random {
  #a: number;
  #b = 0x9e3779b9;

  constructor(seed: number) {
    this.#a = (Math.imul(seed, 0x9e3779b1) * 2 + 1) | 0;
    for (let i = 0; i < 8; i++) this.u32();
  }

  /** 32 random bits (xorshift with a Weyl sequence). */
  u32(): number {
    let x = this.#a;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#a = x;
    this.#b = (this.#b + 0x6c078965) | 0;
    return (Math.imul(x, 0x2c1b3c6d) ^ (this.#b + (x >>> 15))) >>> 0;
  }

  below(n: number): number {
    return this.u32() % n;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  /** An integer of 64 bits: small, negative, at a border, a power of two, or anything. */
  integer(): bigint {
    switch (this.below(8)) {
      case 0:
        return BigInt(this.below(4));
      case 1:
        return BigInt.asUintN(64, -BigInt(this.below(4)));
      case 2:
        return BigInt.asUintN(64, (1n << BigInt(this.below(64))) - BigInt(this.below(3)));
      case 3:
        return this.pick([
          0x7fn,
          0x80n,
          0x7fffn,
          0x8000n,
          0x7fffffffn,
          0x80000000n,
          0xffffffffn,
          1n << 63n,
          (1n << 63n) - 1n,
        ]);
      case 4:
        return BigInt(this.below(256));
      default:
        return this.u64();
    }
  }

  /** Bits of a single or double: zeros, denormals, normals near each other, large, small, infinities, NaNs. */
  float(fraction: 23 | 52): bigint {
    const exponentBits = fraction === 23 ? 8 : 11;
    const bias = (1 << (exponentBits - 1)) - 1;
    const top = (1 << exponentBits) - 1;
    const sign = BigInt(this.below(2)) << BigInt(fraction + exponentBits);
    const mask = (1n << BigInt(fraction)) - 1n;
    const tail = this.pick([0n, mask, 1n, this.u64() & mask, this.u64() & mask, (1n << BigInt(fraction - 1)) & mask]);
    const exponent = this.pick([
      0,
      top,
      1,
      top - 1,
      bias,
      bias + this.below(40),
      bias - this.below(40),
      bias + this.below(70),
      this.below(top + 1),
      bias + 30 + this.below(4),
    ]);
    return sign | (BigInt(exponent) << BigInt(fraction)) | tail;
  }

  /** Fills 16 bytes with integers, singles, doubles or text of few letters. */
  vector(to: DataView, at: number): void {
    switch (this.below(5)) {
      case 0:
        for (let i = 0; i < 16; i += 4) to.setUint32(at + i, Number(this.float(23)), true);
        break;
      case 1:
        for (let i = 0; i < 16; i += 8) to.setBigUint64(at + i, this.float(52), true);
        break;
      case 2:
        for (let i = 0; i < 16; i++)
          to.setUint8(at + i, this.chance(40) ? this.pick([0, 0x7f, 0x80, 0xff, 1]) : this.u32() & 255);
        break;
      case 3:
        for (let i = 0; i < 16; i++) to.setUint8(at + i, this.chance(8) ? 0 : 0x7e + this.below(4));
        break;
      default:
        for (let i = 0; i < 16; i += 8) to.setBigUint64(at + i, this.integer(), true);
    }
  }

  /** A floatx80 of 10 bytes, of all classes. */
  extended(to: DataView, at: number): void {
    const sign = this.below(2) << 15;
    const exponent = this.pick([
      0,
      0x7fff,
      1,
      0x7ffe,
      0x3fff,
      0x3fff + this.below(66),
      0x3fff - this.below(66),
      this.below(0x8000),
    ]);
    let significand = this.pick([
      0n,
      1n << 63n,
      (1n << 64n) - 1n,
      this.u64() | (1n << 63n),
      this.u64() | (1n << 63n),
      (1n << 63n) | ((this.u64() >> 40n) << 40n),
    ]);
    if (exponent === 0 && this.chance(70)) significand &= (1n << 63n) - 1n;
    if (this.chance(4)) significand = this.u64();
    to.setBigUint64(at, significand, true);
    to.setUint16(at + 8, sign | exponent, true);
  }
}
