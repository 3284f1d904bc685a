// What the comparison must know of single instructions: which leave flags undefined, which are left out and why.

import type { Encoded, Form } from './encodings.js';
import { F_FX } from './native-frame.js';

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
  daa: OF,
  das: OF,
  aaa: OF | SF | ZF | PF,
  aas: OF | SF | ZF | PF,
  aam: OF | AF | CF,
  aad: OF | AF | CF,
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
  // The bit string's offset must not be the address at the same time.
  if (/^bt/.test(name) && encoded.bindings.has(encoded.reg)) return true;
  // FYL2XP1 takes nothing below sqrt(1/2) - 1; processors give what they like.
  if (name === 'fyl2xp1' && state.getUint16(F_FX + 40, true) >= 0xbffd) return true;
  // A count of zero in ECX: Intel's processors clear the upper halves of the registers all the same, AMD's do not.
  if (encoded.short && form.instruction.attributes.rep && state.getUint32(8, true) === 0) return true;
  // Not aligned: #GP by the SDM (exception type 4); AMD's processors do not mind.
  if (/^sha\d/.test(name) && encoded.memory && target & 15) return true;
  if (!/^sh[lr]d$/.test(name) || !encoded.size16) return false;
  const byCl = form.operands.some((o) => o.kind === 'fixed');
  const count = (byCl ? state.getUint8(8) : encoded.bytes[encoded.bytes.length - 1]) & 31;
  return count > 16;
}

/** Bits of FSW that are not compared: C1 of FCOMI is 0 by the SDM and stays on AMD's processors; FCMOV says nothing of it. */
export function undefinedStatus(name: string): number {
  if (APPROXIMATE.has(name)) return 0x82b0; // C1, PE and UE, and ES and B where those are unmasked
  return /^f(u?comip?$|cmov)/.test(name) ? 0x200 : 0;
}

/** Some processors have already gone over to MMX when these fault; the SDM has a fault change nothing. */
export function isMmxFault(name: string, vector: number): boolean {
  return (vector === 19 && /^cvt.*pi/.test(name)) || (vector >= 0 && /^(maskmovq|mov[dq])$/.test(name));
}

/**
 * A store with an unmasked exception stores nothing: whether its address is looked at all the same is the processor's.
 * @param status FSW of a side that has not faulted
 */
export function isRefusedStore(name: string, status: number): boolean {
  return /^f(st|stp|ist|istp|isttp)$/.test(name) && (status & 0x80) !== 0;
}

/** Of a masked access over the border of two pages processors tell another byte of the page that is not there. */
export function isMaskedStore(name: string): boolean {
  return /^vp?maskmov/.test(name);
}

/** Bits of MXCSR that are not compared: a dot product that faults in a later step has or hasn't noted PE of an earlier one. */
export function undefinedMxcsr(name: string, faulted: boolean): number {
  // Of 32 bytes one half may have got further than the other: DE, OE and UE of its steps as well.
  if (faulted && name === 'vdpps') return 0x3a;
  return faulted && /^v?dpp/.test(name) ? 0x20 : 0;
}

/** Bytes of the elements where one NaN is as good as another, 0: none. Which of several a dot product hands on is the processor's. */
export function anyNan(name: string): 0 | 4 | 8 {
  return /^v?dpps$/.test(name) ? 4 : /^v?dppd$/.test(name) ? 8 : 0;
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
  'clac',
  'stac',
  'syscall',
  'sysret',
  'sysenter',
  'sysexit',
  'jmp_far',
  'call_far',
  'ret_far',
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
  'ud2',
  'ud1',
  'ud0',
  'monitor',
  'mwait',
  // Selectors of this process.
  'push_sreg0',
  'push_sreg1',
  'push_sreg2',
  'push_sreg3',
  'push_sreg4',
  'push_sreg5',
]);

/** Bytes of a memory image that differ between processors: FIP, FDP, FOP, MXCSR_MASK. [first, end) from the operand's address. */
export function undefinedMemory(name: string, size16: boolean): readonly (readonly [number, number])[] {
  if (name === 'fnstenv' || name === 'fnsave') return size16 ? [[6, 14]] : [[12, 28]];
  return name === 'fxsave'
    ? [
        [6, 24],
        [28, 32],
      ]
    : [];
}

/** Approximations: the architecture gives a bound, not the bits; whether x87 functions were inexact is theirs, too. */
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

export function isApproximate(name: string): boolean {
  return APPROXIMATE.has(name.replace(/^v/, ''));
}

export function isCompared(name: string): boolean {
  return !EXCLUDED.has(name);
}
