/**
 * An instruction that KVM can't emulate (KVM_EXIT_INTERNAL_ERROR, KVM_INTERNAL_ERROR_EMULATION) is completed by another
 * processor: the vCPU's state is carried there, one instruction is executed or its fault delivered, and the state carried
 * back. It is slow, and it is what gets guests through poor KVMs.
 */
import type { Exit, VcpuState } from '../contract.js';
import type { KvmVcpu } from './vcpu.js';

/** Who can execute an instruction, and what follows it unless it is to stay alone. */
export interface InstructionHelper {
  step(
    cpu: number,
    state: VcpuState,
    alone: boolean,
  ):
    | { readonly kind: 'done'; readonly state: VcpuState }
    | { readonly kind: 'shutdown' | 'failed'; readonly detail: string };
}

/** @returns an exit that ends `run`; undefined where the instruction is done */
export function completeInstruction(vcpu: KvmVcpu, helper: InstructionHelper): Exit | undefined {
  const before = vcpu.getState();
  const outcome = helper.step(vcpu.index, before, vcpu.isWatched);
  if (outcome.kind === 'shutdown') return { kind: 'shutdown', detail: outcome.detail };
  if (outcome.kind !== 'done') {
    return {
      kind: 'error',
      detail: `KVM can't emulate ${vcpu.page.unemulatedText}, and so can't we: ${outcome.detail}.`,
    };
  }
  const { state } = outcome;
  // Only MSRs that have changed: writing one may have effects of its own.
  const msrs = new Map(
    [...state.msrs].filter(([msr, value]) => before.msrs.has(msr) && before.msrs.get(msr) !== value),
  );
  vcpu.replaceState(before, { ...state, msrs });
  vcpu.completedInstructions++;
  if (state.activity === 'halted') return vcpu.halt();
  return undefined;
}
