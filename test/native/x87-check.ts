// Compares one x87 instruction of ours with the processor under us, over random states.

import { expect } from 'vitest';
import { type NativeBuffer, nativeBuffer } from './exec-page.js';
import type { FloatModule } from './float-wasm.js';
import {
  FSAVE_CW,
  FSAVE_SIZE,
  FSAVE_ST,
  FSAVE_SW,
  FSAVE_TW,
  runX87,
  X87_AFTER,
  X87_BEFORE,
  X87_FLAGS,
  X87_FLAGS_BEFORE,
  X87_MEMORY,
  X87_RECORD,
} from './x87-oracle.js';

export type W = FloatModule['fn'];

export function generator(seed: number): () => number {
  let x = (seed * 2654435761) | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

export interface X80 {
  se: number;
  hi: number; // upper half of the significand
  lo: number;
}

const SIGNIFICANDS: [number, number][] = [
  [0x80000000, 0],
  [0x80000000, 1],
  [0xc0000000, 0],
  [0xa0000000, 0],
  [0xffffffff, 0xffffffff],
  [0x80000000, 0x400],
  [0x80000000, 0x800],
  [0x80000080, 0],
  [0x80000100, 0],
  [0xffffff80, 0],
  [0xfffffe80, 0],
  [0xffffffff, 0xfffffc00],
  [0x00000000, 0],
  [0x00000000, 1],
  [0x40000000, 0],
  [0x7fffffff, 0xffffffff],
  [0xc90fdaa2, 0x2168c235],
  [0xe0000000, 0],
  [0xfffffffe, 0],
  [0xde0b6b3a, 0x763ffff0],
];
const EXPONENTS = [
  0, 0, 1, 2, 0x3c00, 0x3bcd, 0x3bff, 0x3c01, 0x3f80, 0x3f81, 0x3f6a, 0x3fbe, 0x3ffd, 0x3ffe, 0x3fff, 0x4000, 0x4001,
  0x400d, 0x400e, 0x401d, 0x401e, 0x403a, 0x403c, 0x403d, 0x403e, 0x403f, 0x407e, 0x407f, 0x43fe, 0x43ff, 0x5fff,
  0x1fff, 0x7ffd, 0x7ffe, 0x7fff, 0x7fff,
];

export function operand(random: () => number): X80 {
  const pick = random() % 16;
  const sign = random() & 0x8000;
  const e = EXPONENTS[random() % EXPONENTS.length];
  const s = SIGNIFICANDS[random() % SIGNIFICANDS.length];
  if (pick < 6) return { se: sign | e, hi: s[0], lo: s[1] };
  if (pick < 7) return { se: sign, hi: 0, lo: 0 };
  if (pick < 8) return { se: random() & 0xffff, hi: random(), lo: random() };
  const near = 0x3ff0 + (random() % 32);
  if (pick < 12) return { se: sign | near, hi: (random() | 0x80000000) >>> 0, lo: random() };
  if (pick < 14) return { se: sign | near, hi: ((random() & 0xffffff00) | 0x80000000) >>> 0, lo: 0 };
  if (pick < 15) return { se: sign | (random() % 0x7fff), hi: (random() | 0x80000000) >>> 0, lo: random() };
  // A whole number.
  const n = random() >>> (random() % 32) || 1;
  const shift = Math.clz32(n);
  return { se: sign | (0x401e - shift), hi: (n << shift) >>> 0, lo: 0 };
}

export interface Options {
  unmasked: boolean;
  count: number;
  /** Chance in 256 that a register is empty. */
  empty: number;
}

export interface Op {
  name: string;
  code: number[];
  /** Bits of the status word that are undefined after it. */
  ignoreSw?: number;
  /** Fills the memory operand. */
  memory?: (view: DataView, at: number, random: () => number) => void;
  /** Bytes of memory that it writes. */
  writes?: number;
  flags?: boolean;
  /** Registers (after it) that may differ in the last place. */
  near?: number[];
  /** Changes the random state. */
  state?: (view: DataView, at: number, random: () => number) => void;
  /** Starts with TOP = 0. */
  top0?: boolean;
  run: (w: W, view: DataView, at: number, m: FloatModule, rflags: number) => unknown;
}

export const MEM = (reg: number): number[] => [0x43 | (reg << 3), X87_MEMORY];

export function randomMemory(view: DataView, at: number, random: () => number): void {
  for (let i = 0; i < 16; i += 4) view.setUint32(at + i, random(), true);
}

export function memoryF32(view: DataView, at: number, random: () => number): void {
  const exps = [0, 0, 1, 126, 127, 128, 150, 254, 255, 255, 130, 125];
  const fracs = [0, 1, 0x400000, 0x400001, 0x7fffff, 0x3fffff];
  const r = random();
  const e = r & 1 ? exps[(r >>> 1) % exps.length] : (r >>> 1) & 0xff;
  const f = r & 0x1000 ? fracs[(r >>> 14) % fracs.length] : random() & 0x7fffff;
  view.setUint32(at, ((r & 0x80000000) | (e << 23) | f) >>> 0, true);
}

export function memoryF64(view: DataView, at: number, random: () => number): void {
  const exps = [0, 0, 1, 1022, 1023, 1024, 1075, 2046, 2047, 2047, 1030, 1020];
  const fracs: [number, number][] = [
    [0, 0],
    [0, 1],
    [0x80000, 0],
    [0x80000, 1],
    [0xfffff, 0xffffffff],
    [0x7ffff, 0xffffffff],
  ];
  const r = random();
  const e = r & 1 ? exps[(r >>> 1) % exps.length] : (r >>> 1) & 0x7ff;
  const f = r & 0x1000 ? fracs[(r >>> 14) % fracs.length] : [random() & 0xfffff, random()];
  view.setUint32(at + 4, ((r & 0x80000000) | (e << 20) | f[0]) >>> 0, true);
  view.setUint32(at, f[1], true);
}

export function memoryInt(view: DataView, at: number, random: () => number): void {
  view.setBigInt64(at, BigInt.asIntN(64, (BigInt(random()) << 32n) | BigInt(random())) >> BigInt(random() % 64), true);
}

export function memoryM80(view: DataView, at: number, random: () => number): void {
  const v = operand(random);
  view.setUint32(at, v.lo, true);
  view.setUint32(at + 4, v.hi, true);
  view.setUint16(at + 8, v.se, true);
}

export function fillState(view: DataView, at: number, random: () => number, o: Options): void {
  const masks = o.unmasked ? random() & 0x3f : 0x3f;
  const pc = [0, 2, 3, 3][random() & 3];
  view.setUint32(at + FSAVE_CW, 0xffff0040 | masks | (pc << 8) | ((random() & 3) << 10), true);
  const sticky = random() & 3 ? 0 : random() & masks & 0x3f;
  view.setUint32(
    at + FSAVE_SW,
    0xffff0000 | (((random() & 0x7f) << 8) & 0x7f00) | sticky | (sticky & 1 ? random() & 0x40 : 0),
    true,
  );
  let tw = 0;
  for (let i = 0; i < 8; i++) if (random() % 256 < o.empty) tw |= 3 << (i * 2);
  view.setUint32(at + FSAVE_TW, 0xffff0000 | tw, true);
  for (let i = 12; i < 28; i++) view.setUint8(at + i, 0);
  for (let i = 0; i < 8; i++) {
    const v = operand(random);
    const r = at + FSAVE_ST + i * 10;
    view.setUint32(r, v.lo, true);
    view.setUint32(r + 4, v.hi, true);
    view.setUint16(r + 8, v.se, true);
  }
}

export function register(view: DataView, at: number, i: number): string {
  const r = at + FSAVE_ST + i * 10;
  return `${view.getUint16(r + 8, true).toString(16)}:${view.getBigUint64(r, true).toString(16)}`;
}

/** "se:significand" of two numbers with the same sign, or a step across a power of two, at most one place apart. */
function oneApart(a: string, b: string): boolean {
  const order = (v: string): bigint => {
    const [se, sig] = v.split(':');
    const n = (BigInt(`0x${se}`) & 0x7fffn) * (1n << 63n) + (BigInt(`0x${sig}`) & 0x7fffffffffffffffn);
    return BigInt(`0x${se}`) & 0x8000n ? -n : n;
  };
  const d = order(a) - order(b);
  return d >= -1n && d <= 1n;
}

/** Underflow, in the status word as in the control word. */
const UE = 0x10;

/** Whether tags differ: of registers that may differ in the last place only in being empty or not. */
function differingTags(a: number, b: number, top: number, near: (k: number) => boolean): boolean {
  for (let k = 0; k < 8; k++) {
    const shift = ((top + k) & 7) * 2;
    const [x, y] = [(a >> shift) & 3, (b >> shift) & 3];
    if (x !== y && !(near(k) && x !== 3 && y !== 3)) return true;
  }
  return false;
}

const CAPACITY = 16384;
let buffer: NativeBuffer | undefined;
const IMAGE = 0x200000; // of ours, in linear memory
const image = new DataView(new ArrayBuffer(X87_RECORD));

/**
 * Runs `op` over `o.count` random states, natively and in `w`, and expects registers, tags, control and status word,
 * memory and EFLAGS to be the same.
 */
export function checkX87(w: FloatModule, op: Op, o: Options): void {
  buffer ??= nativeBuffer(CAPACITY * X87_RECORD);
  const { view, bytes, address } = buffer;
  const random = generator(op.name.length * 31 + op.code[op.code.length - 1] + op.code[0] * 7 + (o.unmasked ? 5 : 0));
  const count = Math.min(o.count, CAPACITY);
  bytes.fill(0, 0, count * X87_RECORD);
  for (let i = 0; i < count; i++) {
    const r = i * X87_RECORD;
    fillState(view, r + X87_BEFORE, random, o);
    view.setUint32(r + X87_FLAGS_BEFORE, 0x202 | (random() & 0x8d5), true);
    if (op.top0) view.setUint8(r + FSAVE_SW + 1, view.getUint8(r + FSAVE_SW + 1) & 0xc7);
    op.state?.(view, r + X87_BEFORE, random);
    op.memory?.(view, r + X87_MEMORY, random);
  }
  const before = bytes.slice(0, count * X87_RECORD);
  const beforeView = new DataView(before.buffer);
  runX87(op.code, address, count);
  const wrong: string[] = [];
  for (let i = 0; i < count && wrong.length < 8; i++) {
    const r = i * X87_RECORD;
    w.bytes.set(before.subarray(r, r + FSAVE_SIZE), IMAGE);
    w.fn.x87_frstor(IMAGE, 1, 1);
    new Uint8Array(image.buffer).set(before.subarray(r, r + X87_RECORD));
    const result = op.run(w.fn, image, X87_MEMORY, w, view.getUint32(r + X87_FLAGS_BEFORE, true));
    w.fn.x87_fnsave(IMAGE, 1, 1);
    const at = r + X87_AFTER;
    const bad: string[] = [];
    const ignore = op.ignoreSw ?? 0;
    const sw = w.view.getUint16(IMAGE + FSAVE_SW, true);
    const theirSw = view.getUint16(at + FSAVE_SW, true);
    if ((sw ^ theirSw) & ~ignore) bad.push(`sw ${sw.toString(16)} native ${theirSw.toString(16)}`);
    // A result one place from the least normal number is tiny on one side only, and with UE unmasked given another exponent.
    const control = w.view.getUint16(IMAGE + FSAVE_CW, true);
    const tinyOnOneSide = ((sw ^ theirSw) & ~control & UE) !== 0;
    const near = (k: number) => op.near?.includes(k) === true;
    const sides: [string, number, number][] = [
      ['cw', control, view.getUint16(at + FSAVE_CW, true)],
      ['tw', w.view.getUint16(IMAGE + FSAVE_TW, true), view.getUint16(at + FSAVE_TW, true)],
    ];
    for (const [n, a, b] of sides) {
      const differing = n === 'tw' ? differingTags(a, b, (sw >> 11) & 7, near) : a !== b;
      if (differing) bad.push(`${n} ${a.toString(16)} native ${b.toString(16)}`);
    }
    for (let k = 0; k < 8; k++) {
      const a = register(w.view, IMAGE, k);
      const b = register(view, at, k);
      if (a !== b && !(near(k) && (tinyOnOneSide || oneApart(a, b)))) bad.push(`st${k} ${a} native ${b}`);
    }
    for (let k = 0; k < (op.writes ?? 0); k++) {
      const a = image.getUint8(X87_MEMORY + k);
      const b = view.getUint8(r + X87_MEMORY + k);
      if (a !== b) bad.push(`m[${k}] ${a.toString(16)} native ${b.toString(16)}`);
    }
    if (op.flags) {
      const ours = Number(result);
      const theirs = view.getUint32(r + X87_FLAGS, true) & 0x8d5;
      if (ours !== theirs) bad.push(`flags ${ours.toString(16)} native ${theirs.toString(16)}`);
    }
    if (bad.length) {
      const c = r + X87_BEFORE;
      wrong.push(
        `${op.name} cw ${beforeView.getUint16(c, true).toString(16)} sw ${beforeView.getUint16(c + 4, true).toString(16)} tw ${beforeView.getUint16(c + 8, true).toString(16)} st0 ${register(beforeView, c, 0)} st1 ${register(beforeView, c, 1)} m ${beforeView.getBigUint64(r + X87_MEMORY, true).toString(16)}: ${bad.join(', ')}`,
      );
    }
  }
  expect(wrong).toEqual([]);
}
