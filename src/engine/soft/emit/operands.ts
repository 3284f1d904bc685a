/** Operands as semantics see them: what the decoder knows of each (isa/define.ts), nothing of where the bits are. */
import type { OperandSpec } from '../isa/define.js';
import type { ValType } from '../wasm/ops.js';

export type Operand = OperandSpec;

/** Size in bytes of operands that have one. */
export function sizeOf(operand: Operand): number {
  if ('size' in operand) return operand.size;
  throw new Error(`operand of kind ${operand.kind} has no size`);
}

/** The Wasm type that holds an integer of `size` bytes: i64 for 8, else i32 (zero-extended). */
export function intType(size: number): ValType {
  return size === 8 ? 'i64' : 'i32';
}
