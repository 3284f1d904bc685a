/** What VEX-coded vector instructions share: operands as one or two halves of 16 bytes, results that clear what is above. */
import { type Emitter, VECTOR } from '../emit/emitter.js';
import { type Operand, sizeOf } from '../emit/operands.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { i32x4, i64x2, zero } from '../wasm/simd.js';
import type { Encoding } from './define.js';

/** The low 16 bytes, and the upper ones of what has 32. */
export type Halves = readonly Expr[];

/** `prefix map` as in `66.0F38`; both lengths. */
export function lengths(code: string, tail: string, operands: string, w = 'WIG'): Encoding[] {
  return [128, 256].map((length) => [`VEX.${length}.${code}.${w} ${tail}`, operands]);
}

export const isWide = (operand: Operand): boolean => sizeOf(operand) === 32;

/** Bytes of memory from which to read or to which to write; of 16 or 32 `aligned` ones the address must be a multiple. */
function vectorAt(e: Emitter, operand: Operand, aligned: boolean): Expr {
  const address = e.address(operand);
  if (aligned) e.raiseIf(w.wrap(w.and(address, w.i64c(sizeOf(operand) - 1))), VECTOR.GP, w.i32c(0));
  return address;
}

/** A register of 16 or 32 bytes, or memory of any size (zeros above what there is). */
export function readHalves(e: Emitter, operand: Operand, aligned = false): Halves {
  if (operand.kind === 'xmm') {
    const low = e.vector(operand);
    return isWide(operand) ? [low, e.upper(operand)] : [low];
  }
  const size = sizeOf(operand);
  if (size < 16) {
    const v = e.read(operand);
    return [e.let((v.type === 'i64' ? i64x2 : i32x4).replace(zero, 0, v))];
  }
  const pointer = e.let(e.readPointer(vectorAt(e, operand, aligned), size));
  const low = e.let(w.load('v128', pointer));
  return size === 32 ? [low, e.let(w.load('v128', pointer, 16))] : [low];
}

/** A register: what is above the halves becomes zero. Memory of 16 or 32 bytes: as many as there are. */
export function writeHalves(e: Emitter, operand: Operand, halves: Halves, aligned = false): void {
  if (operand.kind === 'xmm') {
    e.setVector(operand, halves[0]);
    e.setUpper(operand, halves[1] ?? zero);
    return;
  }
  const pointer = e.writePointer(vectorAt(e, operand, aligned), sizeOf(operand));
  halves.forEach((half, i) => {
    e.f.do(w.store('v128', pointer, half, 16 * i));
  });
  e.commit(pointer);
}

/** dst = f(sources), half by half. */
export function eachHalf(f: (e: Emitter, sources: readonly Expr[], half: number) => Expr) {
  return (e: Emitter, dst: Operand, ...sources: Operand[]): void => {
    e.requireAvx();
    // Memory, which may fault, is the last one.
    const values = sources.map((s) => readHalves(e, s));
    const results = values[0].map((_, half) =>
      e.let(
        f(
          e,
          values.map((v) => v[half]),
          half,
        ),
      ),
    );
    writeHalves(e, dst, results);
  };
}
