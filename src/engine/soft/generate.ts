/** What the build makes of the instruction definitions: the interpreter's module, the decode tables, the handlers' names. */
import { generateInterpreter } from './interpreter.js';
import type { HandlerSpec } from './isa/define.js';
import { expand } from './isa/expand.js';
import { FIXED_HANDLERS } from './isa/fixed.js';
import { flowOf } from './isa/flow.js';
import { HOT } from './isa/hot.js';
import { INSTRUCTIONS } from './isa/index.js';
import { type StoredHandler, storeHandler } from './isa/stored.js';

export interface Generated {
  readonly interpreter: Uint8Array;
  /** To be copied to TABLES (layout.ts). */
  readonly tables: Uint8Array;
  /** Handler names by number, for profiles and traces. */
  readonly names: readonly string[];
  /** The handlers by number, less the fixed ones, as JSON can hold them: for the region compiler. */
  readonly handlers: readonly (StoredHandler | null)[];
  /** How each handler ends its block, by number (isa/flow.ts). */
  readonly flow: Uint8Array;
}

/** Cases of the interpreter's big function: what profiles show, and what has longer records than the rest. */
function isHot(h: HandlerSpec): boolean {
  return HOT.has(h.key) || h.operands.some((o) => o.kind === 'imm' && o.size === 8);
}

/** @param profileAt, hotEvery see generateInterpreter */
export function generate(profileAt?: number, hotEvery?: number): Generated {
  const expansion = expand(INSTRUCTIONS);
  const interpreter = generateInterpreter(expansion.handlers, isHot, FIXED_HANDLERS, profileAt, hotEvery);
  const handlers: (StoredHandler | null)[] = interpreter.names.map(() => null);
  const flow = Uint8Array.from(interpreter.names, (_, number) => flowOf(number, undefined));
  for (const h of expansion.handlers) {
    const number = interpreter.numberOf(h);
    handlers[number] = storeHandler(h);
    flow[number] = flowOf(number, h);
  }
  return {
    handlers,
    flow,
    interpreter: interpreter.wasm,
    tables: expansion.buildTables(interpreter.numberOf),
    names: interpreter.names,
  };
}
