/** Handlers in a form that a file can keep: the build writes it, the region compiler reads it. */
import type { HandlerSpec, OperandSpec, Variant } from './define.js';
import { INSTRUCTIONS } from './index.js';

export interface StoredHandler {
  readonly key: string;
  /** Index in INSTRUCTIONS. */
  readonly instruction: number;
  readonly operands: readonly OperandSpec[];
  readonly variant: Variant;
}

let indexes: Map<unknown, number> | undefined;

export function storeHandler({ key, instruction, operands, variant }: HandlerSpec): StoredHandler {
  indexes ??= new Map(INSTRUCTIONS.map((x, i) => [x, i]));
  return { key, instruction: indexes.get(instruction)!, operands, variant };
}

/** By handler number; undefined for the fixed ones. */
export function restoreHandlers(stored: readonly (StoredHandler | null)[]): (HandlerSpec | undefined)[] {
  return stored.map((h) => (h ? restoreHandler(h) : undefined));
}

function restoreHandler(stored: StoredHandler): HandlerSpec {
  return { ...stored, instruction: INSTRUCTIONS[stored.instruction] };
}
