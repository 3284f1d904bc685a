// Random states of x87, SSE and AVX.

import { F_FX, F_YMM, hasAvx } from './native-frame.js';
import type { Random } from './random.js';

/** @param name instruction that the state is for, if it is for one */
export function fillFloat(random: Random, s: DataView, name = ''): void {
  for (let x = 0; x < 16; x++) random.vector(s, F_FX + 160 + x * 16);
  for (let x = 0; x < 16 && hasAvx; x++) random.vector(s, F_YMM + x * 16);
  // Equal and nearly equal operands matter to comparisons and subtractions.
  if (random.chance(15))
    for (let x = 1; x < 16; x++) copyBytes(s, F_FX + 160, F_FX + 160 + x * 16, 8 + 8 * random.below(2));
  s.setUint32(F_FX + 24, randomMxcsr(random), true);
  s.setUint32(F_FX + 28, 0xffff, true);
  const masks = random.chance(80) ? 0x3f : random.below(64);
  s.setUint16(
    F_FX,
    0x40 | masks | (random.chance(60) ? 0x300 : random.pick([0, 0x200, 0x300]) | (random.below(4) << 10)),
    true,
  );
  s.setUint16(F_FX + 2, (random.below(8) << 11) | (random.u32() & 0x4700), true);
  s.setUint8(F_FX + 4, random.chance(70) ? 0xff : random.below(256));
  if (/^f/.test(name) && random.chance(60)) s.setUint8(F_FX + 4, random.pick([0x7f, 0xfe, 0x3f, 0xf0, 0x0f, 0xff]));
  for (let r = 0; r < 8; r++) random.extended(s, F_FX + 32 + r * 16);
}

/** MXCSR: mostly with exceptions masked. */
export function randomMxcsr(random: Random): number {
  if (random.chance(40)) return 0x1fa0;
  if (random.chance(40)) return 0x1f80 | random.below(64);
  return (
    (random.below(4) << 13) |
    (random.chance(80) ? 0x1f80 : random.below(64) << 7) |
    (random.below(2) << 15) |
    (random.below(2) << 6) |
    random.below(64)
  );
}

function copyBytes(view: DataView, from: number, to: number, count: number): void {
  for (let i = 0; i < count; i++) view.setUint8(to + i, view.getUint8(from + i));
}
