/** What the vector instructions share: guards, operands as v128, and the frames that lane operations are put into. */
import { type Emitter, VECTOR } from '../emit/emitter.js';
import { type Operand, sizeOf } from '../emit/operands.js';
import * as L from '../layout.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import * as simd from '../wasm/simd.js';
import type { Attributes, Encoding, Semantics } from './define.js';

/** A value computed from one vector, or from two: the first is the destination's old value. */
export type Lanes1 = (e: Emitter, a: Expr) => Expr;
export type Lanes2 = (e: Emitter, a: Expr, b: Expr) => Expr;

/** How a memory operand of 16 bytes may lie. */
export type Alignment = 'aligned' | 'any';

export const hex = (n: number): string => n.toString(16).toUpperCase().padStart(2, '0');

/** `NP 0F op /r` with MMX registers and `66 0F op /r` with XMM ones. */
export function bothFiles(opcode: number, suffix = ''): Encoding[] {
  return [
    [`NP 0F ${hex(opcode)} /r`, `Pq,Qq${suffix}`],
    [`66 0F ${hex(opcode)} /r`, `Vx,Wx${suffix}`],
  ];
}

/** The same in the map 0F 38. */
export function bothFiles38(opcode: number): Encoding[] {
  return [
    [`NP 0F 38 ${hex(opcode)} /r`, 'Pq,Qq'],
    [`66 0F 38 ${hex(opcode)} /r`, 'Vx,Wx'],
  ];
}

/** Raises what CR0 and CR4 ask for, and waits for x87 exceptions where MMX registers take part. */
export function begin(e: Emitter, ...operands: readonly Operand[]): void {
  if (operands.some((o) => o.kind === 'xmm')) e.requireSse();
  if (operands.some((o) => o.kind === 'mmx')) e.requireMmx();
}

/** Address of a memory operand; of 16 bytes it must be aligned, or #GP(0). */
export function vectorAddress(e: Emitter, operand: Operand, alignment: Alignment): Expr {
  const address = e.address(operand);
  if (alignment === 'aligned' && sizeOf(operand) === 16)
    e.raiseIf(w.wrap(w.and(address, w.i64c(15))), VECTOR.GP, w.i32c(0));
  return address;
}

/** An XMM, MMX or memory operand as v128: whole XMM registers whatever the operand's size, zeros above all others. */
export function readVector(e: Emitter, operand: Operand, alignment: Alignment = 'aligned'): Expr {
  const ready = e.vectorOf(operand);
  if (ready) return ready;
  if (operand.kind === 'mmx') return e.let(w.load('v128_64zero', e.pointer(operand)));
  const size = sizeOf(operand);
  const pointer = e.readPointer(vectorAddress(e, operand, alignment), size);
  if (size < 4) return e.let(simd.i32x4.replace(simd.zero, 0, e.loadInt(pointer, size)));
  return e.let(w.load(size === 16 ? 'v128' : size === 8 ? 'v128_64zero' : 'v128_32zero', pointer));
}

/** Writes a v128 to an XMM register (whole), an MMX register (low half) or memory (as many bytes as the operand has). */
export function writeVector(e: Emitter, operand: Operand, value: Expr, alignment: Alignment = 'aligned'): void {
  if (operand.kind === 'mmx') {
    writeMmx(e, operand, simd.i64x2.extract(value, 0));
    return;
  }
  if (operand.kind === 'xmm') {
    e.setVector(operand, value);
    return;
  }
  const v = e.let(value);
  const p = e.writePointer(vectorAddress(e, operand, alignment), sizeOf(operand));
  if (sizeOf(operand) === 16) e.f.do(w.store('v128', p, v));
  else e.f.do(w.store('i64', p, simd.i64x2.extract(v, 0)));
  e.commit(p);
}

/** Writes an MMX register: exponent and sign of the x87 register become ones. */
export function writeMmx(e: Emitter, operand: Operand, value: Expr): void {
  const p = e.pointer(operand);
  e.f.do(w.store('i64', p, value));
  e.f.do(w.store('i32', p, w.i32c(0xffff), 8));
  e.enterMmx();
}

/** dst = f(dst, src), lane by lane: the low half of a vector serves MMX. */
export function lanes2(f: Lanes2): Semantics {
  return (e, dst, src) => {
    begin(e, dst);
    const b = readVector(e, src);
    const a = readVector(e, dst);
    writeVector(e, dst, f(e, a, b));
  };
}

/** dst = f(src). */
export function lanes1(f: Lanes1): Semantics {
  return (e, dst, src) => {
    begin(e, dst);
    writeVector(e, dst, f(e, readVector(e, src)));
  };
}

/**
 * dst = f(dst, src) where the result's low half comes from dst and its high half from src (packs, horizontal sums). With
 * MMX both operands are put into one vector: the low half of f is what is asked for.
 */
export function halves2(f: Lanes2): Semantics {
  return (e, dst, src) => {
    begin(e, dst);
    const b = readVector(e, src);
    const a = readVector(e, dst);
    if (dst.kind !== 'mmx') {
      writeVector(e, dst, f(e, a, b));
      return;
    }
    const both = e.let(simd.shuffleLanes(8, a, b, [0, 2]));
    writeVector(e, dst, f(e, both, both));
  };
}

/** The immediate of an instruction, i32, zero-extended. */
export function immediate(e: Emitter, operand: Operand): Expr {
  return e.let(e.read(operand));
}

/** XMM0, the implicit third operand of SSE4.1's variable blends and of SHA256RNDS2. */
export function xmm0(e: Emitter): Expr {
  return e.xmm0();
}

/** `a` shifted by bytes: left as PSLLDQ does (by = -count) or right (by = count), count 0 to 32. */
export function moveBytes(a: Expr, by: Expr): Expr {
  return simd.i8x16.swizzle(a, simd.i8x16.add(simd.iota, simd.i8x16.splat(by)));
}

/** The smaller of an unsigned count and a limit. */
export function atMost(e: Emitter, count: Expr, limit: number): Expr {
  const c = e.let(count);
  return e.let(w.select(w.ltU(c, w.i32c(limit)), c, w.i32c(limit)));
}

/** Calls core's `name(...args)`, which finds its operands at VECTOR_A and VECTOR_B and leaves its result at VECTOR_OUT. */
export function viaCore(e: Emitter, name: string, a: Expr, b: Expr, ...args: readonly Expr[]): Expr {
  e.setState(L.VECTOR_A, a);
  e.setState(L.VECTOR_B, b);
  e.callVoid(name, ...args);
  return e.let(e.state(L.VECTOR_OUT, 'v128'));
}

export const FEATURE = (feature: string): Attributes => ({ feature });
