/** For tests: says where a decoded instruction differs from what iced-x86 makes of the same bytes. */
import {
  CpuidFeature,
  Decoder,
  DecoderOptions,
  type Instruction as IcedInstruction,
  MemorySizeExt,
  Mnemonic,
  OpCodeOperandKind,
  OpKind,
  Register,
} from 'iced-x86';
import type { OperandSpec } from '../isa/define.js';
import { DS, ES, FS, H_GP0, H_UD, R_PAGE, R_ZERO, SS } from '../layout.js';
import type { DecodedInstruction } from './decode-harness.js';

export type Bits = 16 | 32 | 64;

/** Linear address of the page that test code lies in, chosen so that RIP-relative operands stay within 32 bits. */
export const TEST_PAGE = 0x40_0000n;

const registerName = (register: Register): string => Register[register];
const GPR64 = 'RAX RCX RDX RBX RSP RBP RSI RDI'.split(' ');
const LOW8 = 'AL CL DL BL SPL BPL SIL DIL'.split(' ');
const HIGH8: Record<number, string> = { 1: 'AH', 9: 'CH', 17: 'DH', 25: 'BH' };
const SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'];

/** iced's name of the register at a byte offset from REGS. */
function gprName(offset: number, size: number): string {
  if (offset & 7) return size === 1 ? (HIGH8[offset] ?? `?${offset}`) : `?${offset}`;
  const n = offset >> 3;
  if (n > 15) return `?${offset}`;
  if (n >= 8) return `R${n}${{ 1: 'L', 2: 'W', 4: 'D', 8: '' }[size]}`;
  if (size === 1) return LOW8[n];
  return size === 8 ? GPR64[n] : size === 4 ? GPR64[n].replace('R', 'E') : GPR64[n].slice(1);
}

type Problem = string | undefined;
const differ = (what: string, ours: unknown, theirs: unknown): Problem =>
  ours === theirs ? undefined : `${what}: ${ours}, iced has ${theirs}`;

/** Registers of ours that stand for a number: ST(i), segment, control, debug register. */
const RAW_NAMES = (n: number) => [`ST${n}`, SEGMENTS[n], `CR${n}`, `DR${n}`];

function compareMemory(d: DecodedInstruction, i: IcedInstruction, bits: Bits, size: number): Problem {
  const a = d.address;
  // Effective address size by what iced names; absolute operands say it by the displacement's size.
  const problems: Problem[] = [];
  const mask = (v: bigint) => BigInt.asUintN(a.bits, v);
  const segment = i.memorySegment;
  const segmentNumber = SEGMENTS.indexOf(registerName(segment));
  if (bits === 64) {
    const expected = segmentNumber >= FS ? segmentNumber : 255;
    const only = d.spec?.instruction.attributes.addressOnly;
    if (!only) problems.push(differ('segment', a.segment, expected));
  } else if (a.segment === 255) {
    // Nothing checked: only for flat ES SS DS (or an address without a segment).
    const flat = [ES, SS, DS].includes(segmentNumber) && bits === 32;
    if (!flat && !d.spec?.instruction.attributes.addressOnly) problems.push(`no segment, iced has ${segmentNumber}`);
  } else problems.push(differ('segment', a.segment, segmentNumber));
  if (a.offset !== undefined) {
    problems.push(differ('offset', a.offset, i.memoryDisplacementU64));
  } else if (a.base === R_PAGE) {
    const target = BigInt.asUintN(a.bits, TEST_PAGE + BigInt(a.disp));
    if (!i.isIpRelMemoryOperand) problems.push('RIP-relative, for iced it is not');
    problems.push(differ('RIP-relative target', target, i.ipRelMemoryAddress));
  } else {
    const name = (offset: number) => (offset === R_ZERO ? 'None' : gprName(offset, a.bits / 8));
    const isVector = d.spec?.instruction.attributes.addressParts === 'vsib';
    const names = [name(a.base), isVector ? `XMM${a.index >> 4}` : name(a.index)];
    const theirs = [registerName(i.memoryBase), registerName(i.memoryIndex).replace('YMM', 'XMM')];
    // iced names a 64-bit pseudo base for absolute operands nowhere; without registers the size shows in nothing.
    problems.push(differ('base and index', names.join(), theirs.join()));
    if (a.index !== R_ZERO) problems.push(differ('scale', 1 << a.scale, i.memoryIndexScale));
    const raised =
      d.spec?.instruction.name === 'pop' && a.base === 32 && a.segment !== 255 ? d.spec.variant.operandSize : 0;
    problems.push(differ('displacement', mask(BigInt(a.disp - raised)), mask(i.memoryDisplacementU64)));
  }
  const theirSize = MemorySizeExt.size(i.memorySize);
  if (size !== 0 && theirSize !== 0 && !SIZE_DIFFERS.has(Mnemonic[i.mnemonic]))
    problems.push(differ('memory size', size, theirSize));
  if (a.checkedSize >= 0) problems.push(differ('checked size', a.checkedSize, Math.min(size, 64)));
  return problems.find((p) => p !== undefined);
}

/** Where iced calls a size what is another way of seeing the same bytes. */
const SIZE_DIFFERS = new Set(['Lgdt', 'Lidt', 'Sgdt', 'Sidt', 'Bound']);

const NARROW = new Set(['Arpl', 'Lar', 'Lsl', 'Lldt', 'Ltr', 'Verr', 'Verw', 'Lmsw']);

/** Vector instructions whose general register is 32 bits to the processor, zero-extended, whatever REX.W says. */
const ZERO_EXTENDED = new Set(
  'Pmovmskb Movmskps Movmskpd Pextrb Pextrw Pinsrb Pinsrw Extractps'
    .split(' ')
    .flatMap((name) => [name, `V${name.toLowerCase()}`]),
);

/** Instructions that use 16 bits of a register that iced names by the operand size. */
function isNarrow(d: DecodedInstruction, i: IcedInstruction): boolean {
  const toSegment = i.mnemonic === Mnemonic.Mov && d.spec!.operands[0].kind === 'raw';
  return toSegment || NARROW.has(Mnemonic[i.mnemonic]);
}

const IMMEDIATE_BITS: Partial<Record<OpKind, number>> = {
  [OpKind.Immediate8]: 8,
  [OpKind.Immediate8_2nd]: 8,
  [OpKind.Immediate16]: 16,
  [OpKind.Immediate32]: 32,
  [OpKind.Immediate64]: 64,
  [OpKind.Immediate8to16]: 16,
  [OpKind.Immediate8to32]: 32,
  [OpKind.Immediate8to64]: 64,
  [OpKind.Immediate32to64]: 64,
};

function compareOperand(
  spec: OperandSpec,
  d: DecodedInstruction,
  i: IcedInstruction,
  op: number,
  bits: Bits,
  second: boolean,
): Problem {
  const kind = i.opKind(op);
  const field = 'field' in spec ? { a: d.a, b: d.b, c: (d.imm >> 8) & 0xff, d: d.address.index }[spec.field] : 0;
  const isRegister = kind === OpKind.Register;
  const theirs = isRegister ? registerName(i.opRegister(op)) : `kind ${OpKind[kind]}`;
  switch (spec.kind) {
    case 'gpr': {
      const narrow =
        (spec.size === 2 && isNarrow(d, i)) || (spec.size === 4 && ZERO_EXTENDED.has(Mnemonic[i.mnemonic]));
      const wider = narrow ? [4, 8].map((size) => gprName(field, size)) : [];
      return wider.includes(theirs) ? undefined : differ('register', gprName(field, spec.size), theirs);
    }
    case 'fixed':
      // IN and OUT may say RAX: nothing is wider than 32 bits on a port.
      if (spec.size === 8 && theirs === 'EAX' && [Mnemonic.In, Mnemonic.Out].includes(i.mnemonic)) return undefined;
      return differ('register', gprName(spec.register, spec.size), theirs);
    case 'xmm':
      return differ('register', `XMM${field >> 4}`, theirs.replace('YMM', 'XMM'));
    case 'mmx':
      return differ('register', `MM${field >> 4}`, theirs);
    case 'raw':
      return RAW_NAMES(field).includes(theirs) ? undefined : `register number ${field}, iced has ${theirs}`;
    case 'mem':
      return kind === OpKind.Memory ? compareMemory(d, i, bits, spec.size) : `memory, iced has ${theirs}`;
    case 'const':
      return differ('constant', BigInt(spec.value), i.immediate(op));
    case 'imm': {
      const width = IMMEDIATE_BITS[kind];
      if (width === undefined) return `immediate, iced has ${theirs}`;
      const raw = second ? d.disp : d.imm;
      const low =
        spec.size === 1 ? BigInt(raw & 0xff) : spec.size === 2 && !spec.signed ? BigInt(raw & 0xffff) : BigInt(raw);
      const ours = spec.size === 8 ? d.imm64 : low;
      return differ('immediate', BigInt.asUintN(width, ours), BigInt.asUintN(width, i.immediate(op)));
    }
    case 'rel': {
      const width = { [OpKind.NearBranch16]: 16, [OpKind.NearBranch32]: 32, [OpKind.NearBranch64]: 64 }[kind as number];
      if (width === undefined) return `branch, iced has ${theirs}`;
      if ((spec.size === 2) !== (width === 16)) return `branch of size ${spec.size}, iced has ${width} bits`;
      return differ('target', BigInt.asUintN(width, i.nextIP + BigInt(d.imm)), i.nearBranchTarget);
    }
    case 'far': {
      if (kind !== OpKind.FarBranch16 && kind !== OpKind.FarBranch32) return `far pointer, iced has ${theirs}`;
      const offset = kind === OpKind.FarBranch16 ? i.farBranch16 : i.farBranch32;
      return differ('far pointer', `${d.disp}:${d.imm >>> 0}`, `${i.farBranchSelector}:${offset}`);
    }
  }
}

/** Operands that an encoding implies: no bits name them. */
const IMPLIED = new Set<number>(
  [
    ...(['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'al', 'cl', 'ax', 'dx', 'eax', 'rax', 'st0', 'imm8_const_1'] as const),
    ...(['seg_rSI', 'es_rDI', 'seg_rDI', 'seg_rBX_al'] as const),
  ].map((name) => OpCodeOperandKind[name]),
);

/** iced's mnemonics that go by other names with us. */
const SYNONYMS: Record<string, string> = {
  cwde: 'cbw',
  cdqe: 'cbw',
  cdq: 'cwd',
  cqo: 'cwd',
  pushad: 'pusha',
  popad: 'popa',
  jecxz: 'jcxz',
  jrcxz: 'jcxz',
  sal: 'shl',
  reservednop: 'nop',
  prefetch: 'nop',
  prefetchw: 'nop',
  prefetchnta: 'nop',
  prefetcht0: 'nop',
  prefetcht1: 'nop',
  prefetcht2: 'nop',
  prefetchwt1: 'nop',
  prefetchit0: 'nop',
  prefetchit1: 'nop',
  prefetchreserved_sse: 'nop',
  cldemote: 'nop',
  nop: 'xchg',
  // Control-flow enforcement is not offered: what it uses are NOPs (SDM vol. 2, ENDBR64).
  endbr32: 'nop',
  endbr64: 'nop',
  rdsspd: 'nop',
  rdsspq: 'nop',
  // The same bits move or combine, whatever type they are said to have.
  movapd: 'movaps',
  movdqa: 'movaps',
  movntps: 'movaps',
  movntpd: 'movaps',
  movntdq: 'movaps',
  movntdqa: 'movaps',
  movupd: 'movups',
  movdqu: 'movups',
  lddqu: 'movups',
  andps: 'pand',
  andpd: 'pand',
  andnps: 'pandn',
  andnpd: 'pandn',
  orps: 'por',
  orpd: 'por',
  xorps: 'pxor',
  xorpd: 'pxor',
  movlpd: 'movlps',
  movhpd: 'movhps',
  movntq: 'movq',
  pshufw: 'pshuflw',
  movq: 'movd',
  pextrq: 'pextrd',
  pinsrq: 'pinsrd',
  unpcklpd: 'punpcklqdq',
  unpckhpd: 'punpckhqdq',
  fneni: 'fnsetpm', // NOPs all, since the 387
  fndisi: 'fnsetpm',
  fstpnce: 'fstp',
  // One definition for all sizes.
  pushfd: 'pushf',
  pushfq: 'pushf',
  popfd: 'popf',
  popfq: 'popf',
  iretd: 'iret',
  iretq: 'iret',
  sysretq: 'sysret',
  sysexitq: 'sysexit',
  int1: 'icebp',
  wait: 'fwait',
  fxsave64: 'fxsave',
  fxrstor64: 'fxrstor',
  xsave64: 'xsave',
  xrstor64: 'xrstor',
  xsaveopt64: 'xsaveopt',
  xsavec64: 'xsavec',
  xsaves64: 'xsaves',
  xrstors64: 'xrstors',
  // Where it isn't offered the prefix is ignored (SDM vol. 2, WBNOINVD).
  wbnoinvd: 'wbinvd',
};
const MNEMONICS = new Set(Object.keys(Mnemonic).map((name) => name.toLowerCase()));

function compareName(d: DecodedInstruction, i: IcedInstruction): Problem {
  const ours = d.spec!.instruction.name;
  const theirs = Mnemonic[i.mnemonic].toLowerCase();
  // Only a name that is a mnemonic claims anything; families have names of their own.
  if (!MNEMONICS.has(ours) || ours === theirs || SYNONYMS[theirs] === ours) return undefined;
  // VEX forms go by the same names as their SSE ones.
  if (theirs.startsWith('v') && `v${SYNONYMS[theirs.slice(1)]}` === ours) return undefined;
  return `it is ${theirs}`;
}

/** The first difference between the decoder's view and iced's, or undefined. */
export function compare(d: DecodedInstruction, i: IcedInstruction, bits: Bits): Problem {
  if (i.isInvalid)
    return d.handler === H_UD || d.handler === H_GP0 ? undefined : `${d.spec?.key}: iced says it is invalid`;
  if (!d.spec) return `handler ${d.handler}: iced has ${Mnemonic[i.mnemonic]}`;
  const where = (p: Problem) => p && `${d.spec!.key}: ${p}`;
  // F3 with REX.B: processors exchange with R8 (tried on one), iced pauses.
  if (i.mnemonic === Mnemonic.Pause && d.spec.instruction.name === 'xchg' && d.a === 64) return undefined;
  const name = compareName(d, i);
  if (name) return where(name);
  if (d.length !== i.length) return where(differ('length', d.length, i.length));
  if (d.spec.instruction.name === 'nop') return undefined;
  return where(compareOperands(d, i, bits));
}

function compareOperands(d: DecodedInstruction, i: IcedInstruction, bits: Bits): Problem {
  const code = i.opCode;
  const kinds = Array.from({ length: i.opCount }, (_, n) => code.opKind(n));
  code.free();
  let op = 0;
  let immediates = 0;
  for (const spec of d.spec!.operands) {
    if (spec.kind === 'fixed' && i.opCount === 0) continue; // iced implies it
    if (i.mnemonic === Mnemonic.Nop && d.spec!.instruction.name === 'xchg' && d.a === 0) continue; // 90
    const second = immediates > 0 && spec.kind === 'imm';
    let problem: Problem;
    for (; ; op++) {
      if (op >= i.opCount) return problem ?? `operand ${JSON.stringify(spec)} is none of iced's`;
      const implied = IMPLIED.has(kinds[op]);
      if (implied && spec.kind !== 'fixed' && spec.kind !== 'const') continue;
      const found = compareOperand(spec, d, i, op, bits, second);
      if (found === undefined) break;
      problem ??= found;
      if (!implied) return problem;
    }
    op++;
    if (spec.kind === 'imm') immediates++;
  }
  const left = kinds.slice(op).find((kind) => !IMPLIED.has(kind));
  // Strings and the like name no operands.
  if (left === undefined || d.spec!.instruction.attributes.rep) return undefined;
  return `operand ${OpCodeOperandKind[left]} is missing`;
}

export function decodeByIced(bytes: Uint8Array, bits: Bits, ip = TEST_PAGE + 0x100n): IcedInstruction {
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  decoder.ip = ip;
  const instruction = decoder.decode();
  decoder.free();
  return instruction;
}

/** CPUID features that the machine offers, by iced's names, and so the instructions that must be there. */
export const FEATURES = new Set<number>(
  (
    'INTEL8086 INTEL186 INTEL286 INTEL386 INTEL486 X64 FPU FPU287 FPU387 CMOV CX8 CMPXCHG16B CPUID MSR TSC SEP SYSCALL PAUSE MULTIBYTENOP ' +
    'RDPMC RDTSCP FXSR MMX SSE SSE2 SSE3 SSSE3 SSE4_1 SSE4_2 POPCNT AES PCLMULQDQ BMI1 BMI2 LZCNT ADX MOVBE SHA FSGSBASE XSAVE ' +
    'AVX AVX2 FMA F16C XSAVEOPT XSAVEC XSAVES RDRAND RDSEED INVPCID CLFSH CLFLUSHOPT CLWB RDPID SMAP PREFETCHW MONITOR'
  )
    .split(' ')
    .map((name) => CpuidFeature[name as keyof typeof CpuidFeature] as unknown as number),
);

/** Whether all features that iced asks for are ours. */
export function isOffered(i: IcedInstruction): boolean {
  return Array.from(i.cpuidFeatures()).every((f) => FEATURES.has(f));
}
