// AES-NI, PCLMULQDQ and the SHA extensions. Operands and result as in simd.ts. Names from FIPS 197 and FIPS 180-4; the
// division into instructions from the Intel SDM volume 2 (AESENC ..., SHA1RNDS4 ...).

import { VECTOR_A, VECTOR_B, VECTOR_OUT } from '../layout';

// ---- AES ---------------------------------------------------------------------------------------------------------------

const SBOX: usize = memory.data(256);
const INV_SBOX: usize = memory.data(256);
/** Column that a byte of row 0 adds to the result of a round: S-box and MixColumns (or their inverses) in one. */
const ENCRYPT: usize = memory.data(1024, 16);
const DECRYPT: usize = memory.data(1024, 16);
let tablesReady = false;

/** Product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1. */
function times(a: u32, b: u32): u32 {
  let product: u32 = 0;
  for (; b; b >>= 1) {
    if (b & 1) product ^= a;
    a = (a << 1) ^ (a & 0x80 ? 0x11b : 0);
  }
  return product;
}

function substitute(inverse: u32): u32 {
  let s = inverse | (inverse << 8);
  s = s ^ (s >> 4) ^ (s >> 5) ^ (s >> 6) ^ (s >> 7);
  return (s ^ 0x63) & 0xff;
}

/** Computed at the first use: the inverses by walking 3^n and 3^-n side by side. */
function prepare(): void {
  if (tablesReady) return;
  tablesReady = true;
  let p: u32 = 1,
    q: u32 = 1;
  do {
    p = times(p, 3);
    q = times(q, 0xf6); // 1/3
    store<u8>(SBOX + p, <u8>substitute(q));
  } while (p != 1);
  store<u8>(SBOX, 0x63);
  for (let x: u32 = 0; x < 256; x++) {
    const s = <u32>load<u8>(SBOX + x);
    store<u8>(INV_SBOX + s, <u8>x);
    store<u32>(ENCRYPT + (x << 2), times(s, 2) | (s << 8) | (s << 16) | (times(s, 3) << 24));
  }
  for (let x: u32 = 0; x < 256; x++) {
    const s = <u32>load<u8>(INV_SBOX + x);
    store<u32>(DECRYPT + (x << 2), times(s, 14) | (times(s, 9) << 8) | (times(s, 13) << 16) | (times(s, 11) << 24));
  }
}

/** Byte of A's row `row` that comes to column `column` by ShiftRows, or by its inverse. */
function shifted(column: i32, row: i32, inverse: bool): u32 {
  const from = (inverse ? column - row : column + row) & 3;
  return <u32>load<u8>(VECTOR_A + (from << 2) + row);
}

function round(table: usize, inverse: bool): void {
  prepare();
  for (let c = 0; c < 4; c++) {
    const v =
      load<u32>(table + (shifted(c, 0, inverse) << 2)) ^
      rotl<u32>(load<u32>(table + (shifted(c, 1, inverse) << 2)), 8) ^
      rotl<u32>(load<u32>(table + (shifted(c, 2, inverse) << 2)), 16) ^
      rotl<u32>(load<u32>(table + (shifted(c, 3, inverse) << 2)), 24);
    store<u32>(VECTOR_OUT + (c << 2), v ^ load<u32>(VECTOR_B + (c << 2)));
  }
}

function lastRound(box: usize, inverse: bool): void {
  prepare();
  for (let c = 0; c < 4; c++) {
    const v =
      <u32>load<u8>(box + shifted(c, 0, inverse)) |
      ((<u32>load<u8>(box + shifted(c, 1, inverse))) << 8) |
      ((<u32>load<u8>(box + shifted(c, 2, inverse))) << 16) |
      ((<u32>load<u8>(box + shifted(c, 3, inverse))) << 24);
    store<u32>(VECTOR_OUT + (c << 2), v ^ load<u32>(VECTOR_B + (c << 2)));
  }
}

export function aesenc(): void {
  round(ENCRYPT, false);
}
export function aesenclast(): void {
  lastRound(SBOX, false);
}
export function aesdec(): void {
  round(DECRYPT, true);
}
export function aesdeclast(): void {
  lastRound(INV_SBOX, true);
}

/** InvMixColumns of B. */
export function aesimc(): void {
  prepare();
  for (let c = 0; c < 16; c += 4) {
    let v: u32 = 0;
    for (let row = 0; row < 4; row++) {
      const s = <u32>load<u8>(SBOX + <usize>load<u8>(VECTOR_B + c + row));
      v ^= rotl<u32>(load<u32>(DECRYPT + (s << 2)), row << 3);
    }
    store<u32>(VECTOR_OUT + c, v);
  }
}

function subWord(v: u32): u32 {
  return (
    <u32>load<u8>(SBOX + (v & 0xff)) |
    ((<u32>load<u8>(SBOX + ((v >> 8) & 0xff))) << 8) |
    ((<u32>load<u8>(SBOX + ((v >> 16) & 0xff))) << 16) |
    ((<u32>load<u8>(SBOX + (v >> 24))) << 24)
  );
}

export function aeskeygenassist(rcon: u32): void {
  prepare();
  const x1 = subWord(load<u32>(VECTOR_B, 4));
  const x3 = subWord(load<u32>(VECTOR_B, 12));
  store<u32>(VECTOR_OUT, x1);
  store<u32>(VECTOR_OUT, rotr<u32>(x1, 8) ^ rcon, 4);
  store<u32>(VECTOR_OUT, x3, 8);
  store<u32>(VECTOR_OUT, rotr<u32>(x3, 8) ^ rcon, 12);
}

// ---- carry-less product ------------------------------------------------------------------------------------------------

export function pclmulqdq(imm: i32): void {
  const a = load<u64>(VECTOR_A + (imm & 1 ? 8 : 0));
  let b = load<u64>(VECTOR_B + (imm & 16 ? 8 : 0));
  let lo: u64 = 0,
    hi: u64 = 0;
  while (b) {
    const n = ctz<u64>(b);
    b &= b - 1;
    lo ^= a << n;
    if (n) hi ^= a >> (64 - n);
  }
  store<u64>(VECTOR_OUT, lo);
  store<u64>(VECTOR_OUT, hi, 8);
}

// ---- SHA ---------------------------------------------------------------------------------------------------------------

/** Word n of an operand, 0 the lowest. */
function word(from: usize, n: i32): u32 {
  return load<u32>(from + (n << 2));
}

function put(w3: u32, w2: u32, w1: u32, w0: u32): void {
  store<u32>(VECTOR_OUT, w0);
  store<u32>(VECTOR_OUT, w1, 4);
  store<u32>(VECTOR_OUT, w2, 8);
  store<u32>(VECTOR_OUT, w3, 12);
}

function choose(b: u32, c: u32, d: u32): u32 {
  return (b & c) ^ (~b & d);
}
function majority(b: u32, c: u32, d: u32): u32 {
  return (b & c) ^ (b & d) ^ (c & d);
}

const SHA1_K: usize = memory.data<u32>([0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6]);

/** Four rounds; E comes with the first word of B. */
export function sha1rnds4(imm: i32): void {
  const kind = imm & 3;
  const k = load<u32>(SHA1_K + (kind << 2));
  let a = word(VECTOR_A, 3),
    b = word(VECTOR_A, 2),
    c = word(VECTOR_A, 1),
    d = word(VECTOR_A, 0),
    e: u32 = 0;
  for (let i = 3; i >= 0; i--) {
    const f = kind == 0 ? choose(b, c, d) : kind == 2 ? majority(b, c, d) : b ^ c ^ d;
    const next = f + rotl<u32>(a, 5) + word(VECTOR_B, i) + e + k;
    e = d;
    d = c;
    c = rotl<u32>(b, 30);
    b = a;
    a = next;
  }
  put(a, b, c, d);
}

export function sha1nexte(): void {
  put(word(VECTOR_B, 3) + rotl<u32>(word(VECTOR_A, 3), 30), word(VECTOR_B, 2), word(VECTOR_B, 1), word(VECTOR_B, 0));
}

export function sha1msg1(): void {
  const w0 = word(VECTOR_A, 3),
    w1 = word(VECTOR_A, 2),
    w2 = word(VECTOR_A, 1),
    w3 = word(VECTOR_A, 0);
  put(w2 ^ w0, w3 ^ w1, word(VECTOR_B, 3) ^ w2, word(VECTOR_B, 2) ^ w3);
}

export function sha1msg2(): void {
  const w16 = rotl<u32>(word(VECTOR_A, 3) ^ word(VECTOR_B, 2), 1);
  const w17 = rotl<u32>(word(VECTOR_A, 2) ^ word(VECTOR_B, 1), 1);
  const w18 = rotl<u32>(word(VECTOR_A, 1) ^ word(VECTOR_B, 0), 1);
  put(w16, w17, w18, rotl<u32>(word(VECTOR_A, 0) ^ w16, 1));
}

/** Two rounds; words plus constants come in XMM0, which the caller leaves at VECTOR_OUT. */
export function sha256rnds2(): void {
  let a = word(VECTOR_B, 3),
    b = word(VECTOR_B, 2),
    c = word(VECTOR_A, 3),
    d = word(VECTOR_A, 2);
  let e = word(VECTOR_B, 1),
    f = word(VECTOR_B, 0),
    g = word(VECTOR_A, 1),
    h = word(VECTOR_A, 0);
  for (let i = 0; i < 2; i++) {
    const sum1 = rotr<u32>(e, 6) ^ rotr<u32>(e, 11) ^ rotr<u32>(e, 25);
    const sum0 = rotr<u32>(a, 2) ^ rotr<u32>(a, 13) ^ rotr<u32>(a, 22);
    const t = choose(e, f, g) + sum1 + word(VECTOR_OUT, i) + h;
    h = g;
    g = f;
    f = e;
    e = t + d;
    const next = t + majority(a, b, c) + sum0;
    d = c;
    c = b;
    b = a;
    a = next;
  }
  put(a, b, e, f);
}

function sigma0(x: u32): u32 {
  return rotr<u32>(x, 7) ^ rotr<u32>(x, 18) ^ (x >> 3);
}
function sigma1(x: u32): u32 {
  return rotr<u32>(x, 17) ^ rotr<u32>(x, 19) ^ (x >> 10);
}

export function sha256msg1(): void {
  const w0 = word(VECTOR_A, 0),
    w1 = word(VECTOR_A, 1),
    w2 = word(VECTOR_A, 2),
    w3 = word(VECTOR_A, 3);
  put(w3 + sigma0(word(VECTOR_B, 0)), w2 + sigma0(w3), w1 + sigma0(w2), w0 + sigma0(w1));
}

export function sha256msg2(): void {
  const w16 = word(VECTOR_A, 0) + sigma1(word(VECTOR_B, 2));
  const w17 = word(VECTOR_A, 1) + sigma1(word(VECTOR_B, 3));
  const w18 = word(VECTOR_A, 2) + sigma1(w16);
  put(word(VECTOR_A, 3) + sigma1(w17), w18, w17, w16);
}
