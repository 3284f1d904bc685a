/** What is told about a guest that crashed. */
import type { VcpuState } from '../engine/contract.js';
import type { RecentExit } from '../machine/exits.js';
import type { MachineResult } from '../machine/machine.js';

const GPRS = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');
const CR0_PE = 1n;
const CR0_PG = 1n << 31n;
const CR4_PAE = 1n << 5n;
const EFER_LMA = 1n << 10n;
const RFLAGS_VM = 1n << 17n;
/** Segment attributes: L and D/B as in `SegmentRegister`. */
const L = 1 << 13;
const DB = 1 << 14;

/** The processor's mode in words (SDM vol. 3, 2.2). */
export function modeOf(state: VcpuState): string {
  const paging = (state.cr0 & CR0_PG) === 0n ? 'no paging' : 'paging';
  if ((state.cr0 & CR0_PE) === 0n) return 'real mode';
  if ((state.rflags & RFLAGS_VM) !== 0n) return `virtual-8086 mode, ${paging}`;
  if ((state.efer & EFER_LMA) !== 0n) return (state.cs.attributes & L) !== 0 ? '64-bit mode' : 'compatibility mode';
  const bits = (state.cs.attributes & DB) === 0 ? 16 : 32;
  const pae = paging === 'paging' && (state.cr4 & CR4_PAE) !== 0n ? 'PAE paging' : paging;
  return `${bits}-bit protected mode, ${pae}`;
}

/** Registers, mode and the last exits, as lines. */
export function crashReport({ cpu, state, recent }: NonNullable<MachineResult['crash']>): string[] {
  const long = (state.efer & EFER_LMA) !== 0n;
  const value = (register: bigint) => register.toString(16).padStart(long ? 16 : 8, '0');
  const names = long ? GPRS : GPRS.slice(0, 8).map((name) => `e${name.slice(1)}`);
  const registers = names.map((name, i) => `${name.padEnd(3)} ${value(state.gpr[i])}`);
  const lines = [`vCPU ${cpu} in ${modeOf(state)}`];
  for (let i = 0; i < registers.length; i += 4) lines.push(`  ${registers.slice(i, i + 4).join('  ')}`);
  lines.push(`  ${long ? 'rip' : 'eip'} ${value(state.rip)}  flags ${value(state.rflags)}`);
  lines.push(`  cr0 ${value(state.cr0)}  cr2 ${value(state.cr2)}  cr3 ${value(state.cr3)}  cr4 ${value(state.cr4)}`);
  lines.push(`  efer ${state.efer.toString(16)}  gdt ${table(state.gdtr)}  idt ${table(state.idtr)}`);
  for (const name of ['cs', 'ss', 'ds', 'es', 'fs', 'gs', 'tr', 'ldtr'] as const) {
    const { selector, base, limit, attributes } = state[name];
    lines.push(
      `  ${name.padEnd(4)} ${hex(selector)} base ${hex(base)} limit ${hex(limit)} attributes ${hex(attributes)}`,
    );
  }
  lines.push(recent.length === 0 ? 'There were no exits before.' : 'The last exits before, oldest first:');
  for (const exit of recent) lines.push(`  ${describeExit(exit)}`);
  return lines;
}

function table({ base, limit }: { base: bigint; limit: number }): string {
  return `${hex(base)}+${hex(limit)}`;
}

function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

function describeExit({ kind, address, value }: RecentExit): string {
  if (kind === 'interrupt') return `interrupt, vector ${hex(address)}`;
  return `${kind} ${hex(address)} = ${hex(value)}`;
}
