/** How a handler ends its block, as far as a compiler can follow: the kinds of control flow. */
import { H_FALL } from '../layout.js';
import type { HandlerSpec } from './define.js';

export const FLOW = {
  /** Does not end a block, or nobody knows where it leads (system instructions). */
  none: 0,
  fall: 1,
  branch: 2,
  jump: 3,
  call: 4,
  jumpIndirect: 5,
  callIndirect: 6,
  return: 7,
} as const;

/** What ends a block only because events are looked at behind it. */
const FALLS = /^(sti|popf)$/;

/** @param number the handler's: the fixed ones have no specification */
export function flowOf(number: number, spec: HandlerSpec | undefined): number {
  if (number === H_FALL) return FLOW.fall;
  if (!spec?.instruction.attributes.ends) return FLOW.none;
  const { name } = spec.instruction;
  if (FALLS.test(name) && spec.variant.operandSize > 2) return FLOW.fall;
  const target = spec.operands.find((o) => o.kind === 'rel');
  if (target) {
    // Branches that cut RIP to 16 bits are left alone.
    if (target.kind === 'rel' && target.size === 2) return FLOW.none;
    return name === 'jmp' ? FLOW.jump : name === 'call' ? FLOW.call : FLOW.branch;
  }
  if (spec.operands.some((o) => o.kind === 'far')) return FLOW.none;
  if (name === 'ret') return FLOW.return;
  if (name === 'jmp') return FLOW.jumpIndirect;
  return name === 'call' ? FLOW.callIndirect : FLOW.none;
}
