// Compares what a run has left on the processor under us with what it has left on the engine.

import { REGISTER_NAMES } from '../registers.js';
import type { EngineFrame } from './engine-frame.js';
import {
  DATA_SIZE,
  F_CR2,
  F_ERROR,
  F_FLAGS,
  F_FX,
  F_LANDED,
  F_RIP,
  F_VECTOR,
  F_YMM,
  type NativeFrame,
} from './native-frame.js';

const FLAG_BITS: [string, number][] = [
  ['CF', 1],
  ['PF', 4],
  ['AF', 16],
  ['ZF', 64],
  ['SF', 128],
  ['DF', 0x400],
  ['OF', 0x800],
];

/** What is compared: masks of bits, and where the architecture leaves room. */
export interface Rules {
  readonly flags: number;
  readonly status: number;
  readonly sticky: (faulted: boolean) => number;
  /** x87 and SSE registers are not compared after this exception. */
  readonly isMmxFault: (vector: number) => boolean;
  /** Of CR2 only the page is compared. */
  readonly pageOfFault?: boolean;
  /** Results are approximations. */
  readonly near: boolean;
  /** Bytes of the elements of vectors where one NaN is as good as another, 0: none. */
  readonly anyNan?: 0 | 4 | 8;
}

/** What of the two sides' frames and data areas is not alike. */
export function compareFrames(native: NativeFrame, engine: EngineFrame, rules: Rules): string[] {
  const problems: string[] = [];
  const [a, b] = [native.output, engine.output];
  const differ = (what: string, native: number | bigint | string, ours: number | bigint | string) => {
    const text = (v: number | bigint | string) =>
      typeof v === 'string' ? v : `${v < 0 ? '-' : ''}${(v < 0 ? -v : v).toString(16)}`;
    if (native !== ours) problems.push(`${what}: native ${text(native)}, ours ${text(ours)}`);
  };
  // A non-canonical address with a stack base is #SS(0) on a processor and #GP(0) here.
  if (a.getInt32(F_VECTOR, true) === 12 && b.getInt32(F_VECTOR, true) === 13) a.setInt32(F_VECTOR, 13, true);
  differ('vector', a.getInt32(F_VECTOR, true), b.getInt32(F_VECTOR, true));
  differ('branched', a.getInt32(F_LANDED, true), b.getInt32(F_LANDED, true));
  const faulted = a.getInt32(F_VECTOR, true) >= 0;
  if (faulted) differ('RIP', a.getBigUint64(F_RIP, true), b.getBigUint64(F_RIP, true));
  if (faulted && a.getInt32(F_VECTOR, true) === 14) {
    // Over the border of two pages some processors name the page, others the first byte that would have been touched.
    const page = (frame: DataView) => frame.getBigUint64(F_CR2, true) >> (rules.pageOfFault ? 12n : 0n);
    differ('CR2', page(a), page(b));
    // P and W/R; the two run at different privilege levels.
    differ('error code', a.getInt32(F_ERROR, true) & 3, b.getInt32(F_ERROR, true) & 3);
  }
  if (faulted && a.getInt32(F_VECTOR, true) === 13)
    differ('error code', a.getInt32(F_ERROR, true), b.getInt32(F_ERROR, true));
  for (let r = 0; r < (native.bits === 64 ? 16 : 8); r++)
    differ(REGISTER_NAMES[r], a.getBigUint64(r * 8, true), b.getBigUint64(r * 8, true));
  const [fa, fb] = [a.getUint32(F_FLAGS, true) & rules.flags, b.getUint32(F_FLAGS, true) & rules.flags];
  if (fa !== fb) {
    const names = FLAG_BITS.filter(([, bit]) => (fa ^ fb) & bit).map(([name, bit]) => `${name}=${fa & bit ? 1 : 0}`);
    problems.push(`flags: native has ${names.join(' ')}`);
  }
  if (rules.isMmxFault(a.getInt32(F_VECTOR, true))) return problems;
  differ('FCW', a.getUint16(F_FX, true), b.getUint16(F_FX, true));
  const { status, near } = rules;
  differ('FSW', a.getUint16(F_FX + 2, true) & status, b.getUint16(F_FX + 2, true) & status);
  differ('FTW', a.getUint8(F_FX + 4), b.getUint8(F_FX + 4));
  const sticky = rules.sticky(faulted);
  differ('MXCSR', a.getUint32(F_FX + 24, true) & sticky, b.getUint32(F_FX + 24, true) & sticky);
  for (let r = 0; r < 8; r++) {
    const at = F_FX + 32 + r * 16;
    if (!(near && nearExtended(a, b, at))) differ(`st${r}`, hex(a, at, 10), hex(b, at, 10));
  }
  for (let x = 0; x < 16; x++) {
    const at = F_FX + 160 + x * 16;
    const alike = (half: number) =>
      (near && nearSingles(a, b, half)) || (rules.anyNan && sameNumbers(a, b, half, rules.anyNan));
    if (!alike(at)) differ(`xmm${x}`, hex(a, at, 16), hex(b, at, 16));
    const upper = F_YMM + x * 16;
    if (native.hasUppers && !alike(upper)) differ(`upper half of ymm${x}`, hex(a, upper, 16), hex(b, upper, 16));
  }
  if (Buffer.compare(native.data, engine.data)) {
    const at = native.data.findIndex((v, i) => v !== engine.data[i]);
    const view = (d: Uint8Array) => new DataView(d.buffer, d.byteOffset);
    const start = Math.min(at, DATA_SIZE - 16);
    differ(`memory at +${start.toString(16)}`, hex(view(native.data), start, 16), hex(view(engine.data), start, 16));
  }
  return problems;
}

/** Most significant byte first, as one number. */
function hex(view: DataView, at: number, length: number): string {
  let text = '';
  for (let i = length - 1; i >= 0; i--)
    text += view
      .getUint8(at + i)
      .toString(16)
      .padStart(2, '0');
  return text;
}

/** Whether the elements have the same bits, or are NaNs on both sides. */
function sameNumbers(a: DataView, b: DataView, at: number, size: 4 | 8): boolean {
  const value = (view: DataView, i: number) => (size === 4 ? view.getFloat32(i, true) : view.getFloat64(i, true));
  for (let i = at; i < at + 16; i += size) {
    if (!Object.is(value(a, i), value(b, i))) return false;
  }
  return true;
}

/**
 * A gather that faults has completed the elements before the fault; what the mask holds of the others is their top bit
 * (SDM vol. 2, VPGATHERDD). Processors differ in its other bits, and in the upper halves that a gather of 16 bytes would clear
 * at its end: both are made alike here.
 */
export function settleGather(frame: DataView, mask: number, destination: number, size: number, wide: boolean): void {
  const halves = (register: number) => [F_FX + 160 + register * 16, F_YMM + register * 16];
  const [low, high] = halves(mask);
  for (const half of wide ? [low, high] : [low]) {
    for (let at = half; at < half + 16; at += size) {
      const top = frame.getInt32(at + size - 4, true) >> 31;
      for (let i = at; i < at + size; i += 4) frame.setInt32(i, top, true);
    }
  }
  if (wide) return;
  for (const [, upper] of [halves(mask), halves(destination)])
    for (let i = upper; i < upper + 16; i += 4) frame.setInt32(i, 0, true);
}

/** RCPPS, RSQRTPS: a relative error of 1.5 * 2^-12 on either side; what may be below the smallest normal may be zero. */
function nearSingles(a: DataView, b: DataView, at: number): boolean {
  for (let i = at; i < at + 16; i += 4) {
    const [x, y] = [a.getFloat32(i, true), b.getFloat32(i, true)];
    const equal = a.getUint32(i, true) === b.getUint32(i, true);
    const bound = Math.max(Math.abs(x), Math.abs(y));
    const mayVanish = bound < 2 ** -126 * (1 + 3 * 2 ** -12);
    if (!equal && !mayVanish && !(Math.abs(x - y) <= bound * 3 * 2 ** -12)) return false;
  }
  return true;
}

/** x87 functions: the last places of either side may be off by one. */
function nearExtended(a: DataView, b: DataView, at: number): boolean {
  const value = (v: DataView) => {
    const se = BigInt(v.getUint16(at + 8, true));
    const magnitude = ((se & 0x7fffn) << 63n) + (v.getBigUint64(at, true) & ((1n << 63n) - 1n));
    return se & 0x8000n ? -magnitude : magnitude;
  };
  const difference = value(a) - value(b);
  return difference >= -2n && difference <= 2n;
}
