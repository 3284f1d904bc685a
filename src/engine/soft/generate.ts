/** What the build makes of the instruction definitions: the interpreter's module, the decode tables, the handlers' names. */
import { generateInterpreter } from './interpreter.js';
import type { HandlerSpec } from './isa/define.js';
import { expand } from './isa/expand.js';
import { FIXED_HANDLERS } from './isa/fixed.js';
import { INSTRUCTIONS } from './isa/index.js';

export interface Generated {
  readonly interpreter: Uint8Array;
  /** To be copied to TABLES (layout.ts). */
  readonly tables: Uint8Array;
  /** Handler names by number, for profiles and traces. */
  readonly names: readonly string[];
}

/** Handlers that become cases of the interpreter's big function. 16-bit operands and slow stacks are rare in every guest. */
function isHot(h: HandlerSpec): boolean {
  if (h.operands.some((o) => o.kind === 'imm' && o.size === 8)) return true; // their records are longer
  if (!h.instruction.attributes.hot || h.variant.slowStack) return false;
  return !h.operands.some((o) => 'size' in o && o.size === 2 && o.kind !== 'imm' && h.instruction.name !== 'movzx');
}

/** @param profileAt see generateInterpreter */
export function generate(profileAt?: number): Generated {
  const expansion = expand(INSTRUCTIONS);
  const interpreter = generateInterpreter(expansion.handlers, isHot, FIXED_HANDLERS, profileAt);
  return { interpreter: interpreter.wasm, tables: expansion.buildTables(interpreter.numberOf), names: interpreter.names };
}
