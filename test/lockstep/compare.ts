// What two machines are compared by: the whole state of each vCPU, and all of RAM.

import { type GuestMemory, LONGEST_VIEW, type SegmentRegister, type VcpuState } from '../../src/engine/contract.js';

const GPRS = 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' ');
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'] as const;
const SYSTEM = ['cr0', 'cr2', 'cr3', 'cr4', 'efer', 'xcr0'] as const;
const DEBUG = ['dr0', 'dr1', 'dr2', 'dr3', 'dr6', 'dr7'];
/** RFLAGS by bit (SDM vol. 1, figure 3-8). */
const FLAGS: Readonly<Record<number, string>> = {
  0: 'CF',
  2: 'PF',
  4: 'AF',
  6: 'ZF',
  7: 'SF',
  8: 'TF',
  9: 'IF',
  10: 'DF',
  11: 'OF',
  14: 'NT',
  16: 'RF',
  17: 'VM',
  18: 'AC',
  21: 'ID',
};
/** Places in the FXSAVE image (SDM vol. 1, 10.5.1): [name, offset, bytes]. */
const FXSAVE: readonly (readonly [string, number, number])[] = [
  ['fcw', 0, 2],
  ['fsw', 2, 2],
  ['ftw', 4, 1],
  ['fop', 6, 2],
  ['fip', 8, 8],
  ['fdp', 16, 8],
  ['mxcsr', 24, 4],
  ...Array.from({ length: 8 }, (_, i) => [`st${i}`, 32 + 16 * i, 10] as const),
  ...Array.from({ length: 16 }, (_, i) => [`xmm${i}`, 160 + 16 * i, 16] as const),
];

/** One line for each register that differs: `rax: 1 | 2`. */
export function differences(a: VcpuState, b: VcpuState): string[] {
  const lines: string[] = [];
  const number = (name: string, x: bigint | number, y: bigint | number) => {
    if (x !== y) lines.push(`${name}: ${x.toString(16)} | ${y.toString(16)}`);
  };
  number('rip', a.rip, b.rip);
  for (const [i, name] of GPRS.entries()) number(name, a.gpr[i], b.gpr[i]);
  if (a.rflags !== b.rflags) {
    const changed = Object.entries(FLAGS).filter(([bit]) => ((a.rflags ^ b.rflags) >> BigInt(bit)) & 1n);
    const text = changed.map(([bit, name]) => `${name}=${(a.rflags >> BigInt(bit)) & 1n}`).join(' ');
    lines.push(`rflags: ${a.rflags.toString(16)} | ${b.rflags.toString(16)} (the first has ${text})`);
  }
  for (const name of SEGMENTS)
    if (!sameSegment(a[name], b[name])) lines.push(`${name}: ${show(a[name])} | ${show(b[name])}`);
  for (const name of ['gdtr', 'idtr'] as const) {
    number(`${name}.base`, a[name].base, b[name].base);
    number(`${name}.limit`, a[name].limit, b[name].limit);
  }
  for (const name of SYSTEM) number(name, a[name], b[name]);
  for (const [i, name] of DEBUG.entries()) number(name, a.dr[i], b.dr[i]);
  for (const [msr, value] of a.msrs) number(`msr ${msr.toString(16)}`, value, b.msrs.get(msr) ?? -1n);
  if (a.activity !== b.activity) lines.push(`activity: ${a.activity} | ${b.activity}`);
  if (!sameBytes(a.fxsave, b.fxsave)) {
    for (const [name, at, length] of FXSAVE) {
      const [x, y] = [hex(a.fxsave, at, length), hex(b.fxsave, at, length)];
      if (x !== y) lines.push(`${name}: ${x} | ${y}`);
    }
  }
  return lines;
}

function sameSegment(a: SegmentRegister, b: SegmentRegister): boolean {
  return a.selector === b.selector && a.base === b.base && a.limit === b.limit && a.attributes === b.attributes;
}

function show(s: SegmentRegister): string {
  return [s.selector, s.base, s.limit, s.attributes].map((v) => v.toString(16)).join(':');
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Most significant byte first, as one number. */
function hex(bytes: Uint8Array, at: number, length: number): string {
  let text = '';
  for (let i = at + length - 1; i >= at; i--) text += bytes[i].toString(16).padStart(2, '0');
  return text;
}

/** Addresses of at most `most` words of 4 bytes that differ, ascending. */
export function differingWords(a: GuestMemory, b: GuestMemory, most: number): number[] {
  const found: number[] = [];
  for (const { gpa, length } of a.regions) {
    for (let piece = gpa; piece < gpa + length; piece += LONGEST_VIEW) {
      const bytes = Math.min(LONGEST_VIEW, gpa + length - piece);
      const x = words(a.view(piece, bytes));
      const y = words(b.view(piece, bytes));
      for (let from = 0; from < x.length && found.length < most; ) {
        const at = firstDifference(x, y, from);
        if (at < 0) break;
        found.push(piece + at * 4);
        from = at + 1;
      }
    }
  }
  return found;
}

function words({ buffer, byteOffset, length }: Uint8Array): Int32Array {
  return new Int32Array(buffer, byteOffset, length >> 2);
}

/** A function of its own, short and always of the same types: V8 makes a tight loop of it. */
function firstDifference(x: Int32Array, y: Int32Array, from: number): number {
  for (let i = from; i < x.length; i++) if (x[i] !== y[i]) return i;
  return -1;
}

export function wordAt(memory: GuestMemory, gpa: number): string {
  return hex(memory.view(gpa, 4), 0, 4);
}
