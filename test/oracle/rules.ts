// What the comparison must know of single instructions: which leave flags undefined, which are left out and why.

import type { Encoded, Form } from './encodings.js';

const CF = 1;
const PF = 4;
const AF = 0x10;
const ZF = 0x40;
const SF = 0x80;
const OF = 0x800;
export const ARITHMETIC = CF | PF | AF | ZF | SF | OF;
/** What is compared of RFLAGS: the arithmetic six and DF. */
export const COMPARED_FLAGS = ARITHMETIC | 0x400;

/** Flags that the SDM leaves undefined, by name of the definition. */
const UNDEFINED: Readonly<Record<string, number>> = {
  and: AF,
  or: AF,
  xor: AF,
  test: AF,
  mul: SF | ZF | AF | PF,
  imul: SF | ZF | AF | PF,
  div: ARITHMETIC,
  idiv: ARITHMETIC,
  shl: AF | OF,
  shr: AF | OF,
  sar: AF | OF,
  sal: AF | OF,
  shld: AF | OF,
  shrd: AF | OF,
  rol: OF,
  ror: OF,
  rcl: OF,
  rcr: OF,
  bt: OF | SF | AF | PF,
  bts: OF | SF | AF | PF,
  btr: OF | SF | AF | PF,
  btc: OF | SF | AF | PF,
  bsf: CF | OF | SF | AF | PF,
  bsr: CF | OF | SF | AF | PF,
  tzcnt: OF | SF | AF | PF,
  lzcnt: OF | SF | AF | PF,
  andn: AF | PF,
  bextr: AF | SF | PF,
  blsi: AF | PF,
  blsmsk: AF | PF,
  blsr: AF | PF,
  bzhi: AF | PF,
  rdrand: 0,
};

export function undefinedFlags(form: Form, _state: DataView): number {
  const undefinedOnes = UNDEFINED[form.instruction.name] ?? 0;
  // OF is defined for shifts and rotates by one.
  return form.operands.some((o) => o.kind === 'const') ? undefinedOnes & ~OF : undefinedOnes;
}

/** Cases whose result the SDM leaves undefined. */
export function isSkipped(form: Form, encoded: Encoded, state: DataView, target: number): boolean {
  const { name } = form.instruction;
  // 0F 0D is NOP on Intel's processors and #UD on AMD's.
  if (name === 'nop' && form.text.includes('0F 0D') && !encoded.memory) return true;
  // Not aligned: #GP by the SDM (exception type 4); AMD's processors do not mind.
  if (/^sha\d/.test(name) && encoded.memory && target & 15) return true;
  if (!/^sh[lr]d$/.test(name) || encoded.bytes[0] !== 0x66) return false;
  const byCl = form.operands.some((o) => o.kind === 'fixed');
  const count = (byCl ? state.getUint8(8) : encoded.bytes[encoded.bytes.length - 1]) & 31;
  return count > 16;
}

/** Bits of FSW that are not compared: C1 of FCOMI is 0 by the SDM and stays on AMD's processors; FCMOV says nothing of it. */
export function undefinedStatus(name: string): number {
  return /^f(u?comip?$|cmov)/.test(name) ? 0x200 : 0;
}

/** Not to be run natively, or not comparable. */
const EXCLUDED = new Set([
  'hlt',
  'int3',
  'int',
  'int1',
  'into',
  'iret',
  'cli',
  'sti',
  'popf',
  'pushf',
  'clac',
  'stac',
  'syscall',
  'sysret',
  'sysenter',
  'sysexit',
  'jmp_far',
  'call_far',
  'ret_far',
  'jmp',
  'call',
  'ret',
  'loop',
  'loope',
  'loopne',
  'jcxz',
  'jecxz',
  'jrcxz',
  'in',
  'out',
  'ins',
  'outs',
  'cpuid',
  'rdtsc',
  'rdtscp',
  'rdpmc',
  'rdmsr',
  'wrmsr',
  'rdpid',
  'rdrand',
  'rdseed',
  'xgetbv',
  'xsetbv',
  'invd',
  'wbinvd',
  'invlpg',
  'invpcid',
  'clts',
  'lmsw',
  'smsw',
  'xsave',
  'xrstor',
  'xsaveopt',
  'sgdt',
  'sidt',
  'lgdt',
  'lidt',
  'sldt',
  'str',
  'lldt',
  'ltr',
  'verr',
  'verw',
  'lar',
  'lsl',
  'arpl',
  'swapgs',
  'mov_from_cr',
  'mov_to_cr',
  'mov_from_dr',
  'mov_to_dr',
  'mov_to_sreg',
  'mov_from_sreg',
  'pop_sreg',
  'load_far',
  'rdfsbase',
  'rdgsbase',
  'wrfsbase',
  'wrgsbase',
  'fxsave',
  'fxrstor',
  'ud2',
  'ud1',
  'ud0',
  'enter',
  'monitor',
  'mwait',
  // The environment holds FIP, FDP and FOP, which differ between processors.
  'fnstenv',
  'fldenv',
  'fnsave',
  'frstor',
  // Selectors of this process.
  'push_sreg0',
  'push_sreg1',
  'push_sreg2',
  'push_sreg3',
  'push_sreg4',
  'push_sreg5',
]);

/** Approximations: the architecture gives a bound, not the bits. Core's own tests check the bound. */
const APPROXIMATE = new Set([
  'rcpss',
  'rcpps',
  'rsqrtss',
  'rsqrtps',
  'f2xm1',
  'fyl2x',
  'fyl2xp1',
  'fptan',
  'fpatan',
  'fsin',
  'fcos',
  'fsincos',
]);

export function isCompared(name: string): boolean {
  return !EXCLUDED.has(name) && !APPROXIMATE.has(name) && !/^j/.test(name);
}
