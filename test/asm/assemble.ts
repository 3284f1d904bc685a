/**
 * A small two-pass assembler for test programs: Intel syntax as NASM has it, encoded by iced-x86.
 *
 *     label:  mov eax, [rbx+rcx*4+8]   ; comment
 *             bits 32                  ; also: db dw dd dq, align n, zero n
 *             jmp 0x08:label           ; far; jmp far dword [x] through memory
 *
 * A mnemonic is the manual's, or the first part of iced's code name where the manual's is ambiguous (retfq, pushfw,
 * sysretd). Operand sizes come from registers or from byte/word/dword/qword. `o16`-like prefixes are written as `db 0x66`.
 */
import {
  Code,
  CodeExt,
  Encoder,
  Instruction,
  OpCodeOperandKind as K,
  MemorySizeExt,
  Mnemonic,
  OpKind,
  Register,
  RegisterExt,
} from 'iced-x86';
import { evaluate, type Operand, parseOperand, type Symbols, splitOperands } from './operands.js';

export type Bits = 16 | 32 | 64;

export interface Program {
  readonly origin: number;
  readonly bytes: Uint8Array;
  /** Address of a label. @throws Error where there is none of that name. */
  at(label: string): number;
}

interface Form {
  readonly code: Code;
  readonly kinds: readonly K[];
  readonly operandSize: number;
  readonly addressSize: number;
  /** Bytes of the memory operand, 0 where it doesn't matter. */
  readonly memorySize: number;
  readonly far: boolean;
  readonly modes: Readonly<Record<Bits, boolean>>;
}

const ALIASES: Readonly<Record<string, string>> = {
  jz: 'je',
  jnz: 'jne',
  jc: 'jb',
  jnc: 'jae',
  setz: 'sete',
  setnz: 'setne',
  setc: 'setb',
  setnc: 'setae',
  wait: 'wait',
  int1: 'int1',
};

let table: Map<string, Form[]> | undefined;

/** All forms by mnemonic; made at the first use (some 50 ms). */
function forms(): Map<string, Form[]> {
  if (table) return table;
  table = new Map();
  for (const [name, code] of Object.entries(Code)) {
    if (typeof code !== 'number' || /^(EVEX|MVEX|XOP|D3NOW|VEX_K)/.test(name)) continue;
    const info = CodeExt.opCode(code);
    if (info.isInstruction) {
      const kinds = Array.from({ length: info.opCount }, (_, i) => info.opKind(i));
      const memory = info.memorySize;
      const form: Form = {
        code,
        kinds,
        operandSize: info.operandSize,
        addressSize: info.addressSize,
        memorySize: MemorySizeExt.size(memory),
        far: /_m16(16|32|64)$/.test(name) && /^(Call|Jmp)/.test(name),
        modes: { 16: info.mode16, 32: info.mode32, 64: info.mode64 },
      };
      const keys = new Set([
        Mnemonic[info.mnemonic].toLowerCase(),
        name.replace(/^VEX_/, '').split('_')[0].toLowerCase(),
      ]);
      for (const key of keys) {
        const list = table.get(key);
        if (list) list.push(form);
        else table.set(key, [form]);
      }
    }
    info.free();
  }
  return table;
}

const IMPLIED = new Set<K>([K.seg_rSI, K.es_rDI, K.seg_rDI, K.seg_rBX_al]);
const FIXED = new Map<K, Register>([
  [K.es, Register.ES],
  [K.cs, Register.CS],
  [K.ss, Register.SS],
  [K.ds, Register.DS],
  [K.fs, Register.FS],
  [K.gs, Register.GS],
  [K.al, Register.AL],
  [K.cl, Register.CL],
  [K.ax, Register.AX],
  [K.dx, Register.DX],
  [K.eax, Register.EAX],
  [K.rax, Register.RAX],
  [K.st0, Register.ST0],
]);

/** Whether a register may stand for an operand kind. */
function registerFits(kind: K, r: Register): boolean {
  const fixed = FIXED.get(kind);
  if (fixed !== undefined) return fixed === r;
  const name = K[kind];
  if (/^mem/.test(name)) return false;
  if (/^r8_/.test(name)) return RegisterExt.isGPR8(r);
  if (/^r16_/.test(name)) return RegisterExt.isGPR16(r);
  if (/^r32_/.test(name)) return RegisterExt.isGPR32(r);
  if (/^r64_/.test(name)) return RegisterExt.isGPR64(r);
  if (/^mm_/.test(name)) return RegisterExt.isMM(r);
  if (/^xmm_/.test(name)) return RegisterExt.isXMM(r);
  if (/^ymm_/.test(name)) return RegisterExt.isYMM(r);
  if (/^bnd/.test(name)) return RegisterExt.isBND(r);
  if (kind === K.sti_opcode) return RegisterExt.isST(r);
  if (kind === K.seg_reg) return RegisterExt.isSegmentRegister(r);
  if (kind === K.cr_reg) return RegisterExt.isCR(r);
  if (kind === K.dr_reg) return RegisterExt.isDR(r);
  return false;
}

/** OpKind for an immediate of that kind, or undefined where the value doesn't fit. */
function immediateKind(kind: K, value: bigint): OpKind | undefined {
  const within = (low: bigint, high: bigint) => value >= low && value <= high;
  const signed = (bits: number) => {
    const v = BigInt.asIntN(bits, value);
    return v >= -128n && v <= 127n;
  };
  switch (kind) {
    case K.imm8:
      return within(-128n, 255n) ? OpKind.Immediate8 : undefined;
    case K.imm8_const_1:
      return value === 1n ? OpKind.Immediate8 : undefined;
    case K.imm8sex16:
      return signed(16) ? OpKind.Immediate8to16 : undefined;
    case K.imm8sex32:
      return signed(32) ? OpKind.Immediate8to32 : undefined;
    case K.imm8sex64:
      return signed(64) ? OpKind.Immediate8to64 : undefined;
    case K.imm16:
      return within(-0x8000n, 0xffffn) ? OpKind.Immediate16 : undefined;
    case K.imm32:
      return within(-0x8000_0000n, 0xffff_ffffn) ? OpKind.Immediate32 : undefined;
    case K.imm32sex64: {
      const v = BigInt.asIntN(64, value);
      return v >= -0x8000_0000n && v <= 0x7fff_ffffn ? OpKind.Immediate32to64 : undefined;
    }
    case K.imm64:
      return OpKind.Immediate64;
    default:
      return undefined;
  }
}

const BRANCH_BITS = new Map<K, Bits>([
  [K.br16_1, 16],
  [K.br16_2, 16],
  [K.br32_1, 32],
  [K.br32_4, 32],
  [K.br64_1, 64],
  [K.br64_4, 64],
]);

function sizeFits(form: Form, operand: Operand): boolean {
  if (operand.size === undefined) return true;
  if (form.far) return form.operandSize === operand.size * 8;
  return form.memorySize === 0 || form.memorySize === operand.size;
}

/** Builds the instruction for one form, or undefined where the operands don't fit it. */
function build(form: Form, bits: Bits, operands: readonly Operand[]): Instruction | undefined {
  const implicit = form.kinds.some((k) => IMPLIED.has(k));
  if (!implicit && form.kinds.length !== operands.length) return undefined;
  if (implicit && operands.length !== 0) return undefined;
  const instruction = new Instruction();
  instruction.code = form.code;
  const stringWidth = bits === 16 ? 0 : bits === 32 ? 1 : 2;
  for (const [i, kind] of form.kinds.entries()) {
    if (implicit) {
      if (kind === K.seg_rSI) instruction.setOpKind(i, OpKind.MemorySegSI + stringWidth);
      else if (kind === K.es_rDI) instruction.setOpKind(i, OpKind.MemoryESDI + stringWidth);
      else if (kind === K.seg_rDI) instruction.setOpKind(i, OpKind.MemorySegDI + stringWidth);
      else if (kind === K.seg_rBX_al) {
        instruction.setOpKind(i, OpKind.Memory);
        instruction.memoryBase = [Register.BX, Register.EBX, Register.RBX][stringWidth];
        instruction.memoryIndex = Register.AL;
      } else {
        instruction.setOpKind(i, OpKind.Register);
        instruction.setOpRegister(i, FIXED.get(kind)!);
      }
    } else if (!place(instruction, form, bits, i, kind, operands[i])) return undefined;
  }
  return instruction;
}

function place(to: Instruction, form: Form, bits: Bits, i: number, kind: K, operand: Operand): boolean {
  switch (operand.kind) {
    case 'register':
      if (!registerFits(kind, operand.register)) return false;
      to.setOpKind(i, OpKind.Register);
      to.setOpRegister(i, operand.register);
      return true;
    case 'memory': {
      if (!/_or_mem|^mem/.test(K[kind]) || operand.far !== form.far || !sizeFits(form, operand)) return false;
      if (kind === K.mem_offs && (operand.base !== Register.None || operand.index !== Register.None)) return false;
      to.setOpKind(i, OpKind.Memory);
      to.memoryBase = operand.base;
      to.memoryIndex = operand.index;
      to.memoryIndexScale = operand.scale;
      const direct = bits / 8;
      const registers = operand.base !== Register.None || operand.index !== Register.None;
      to.memoryDisplacement = BigInt.asUintN(registers ? 64 : bits, operand.displacement);
      const none = operand.displacement === 0n && operand.base !== Register.RIP;
      to.memoryDisplSize = registers ? (none ? 0 : operand.base === Register.RIP ? 8 : 1) : direct;
      to.segmentPrefix = operand.segment;
      return true;
    }
    case 'far': {
      const wide = operand.size === undefined ? bits === 32 : operand.size === 4;
      if (kind !== (wide ? K.farbr4_2 : K.farbr2_2)) return false;
      to.setOpKind(i, wide ? OpKind.FarBranch32 : OpKind.FarBranch16);
      if (wide) to.farBranch32 = Number(BigInt.asUintN(32, operand.value));
      else to.farBranch16 = Number(BigInt.asUintN(16, operand.value));
      to.farBranchSelector = operand.selector;
      return true;
    }
    case 'immediate': {
      if (BRANCH_BITS.get(kind) === bits) {
        to.setOpKind(i, bits === 16 ? OpKind.NearBranch16 : bits === 32 ? OpKind.NearBranch32 : OpKind.NearBranch64);
        if (bits === 16) to.nearBranch16 = Number(BigInt.asUintN(16, operand.value));
        else if (bits === 32) to.nearBranch32 = Number(BigInt.asUintN(32, operand.value));
        else to.nearBranch64 = BigInt.asUintN(64, operand.value);
        return true;
      }
      if (operand.size !== undefined && form.operandSize && form.operandSize !== operand.size * 8) return false;
      const opKind = immediateKind(kind, operand.value);
      if (opKind === undefined) return false;
      const second = i > 0 && /^imm/.test(K[form.kinds[i - 1]]);
      to.setOpKind(i, second ? OpKind.Immediate8_2nd : opKind);
      if (second) to.immediate8_2nd = Number(BigInt.asUintN(8, operand.value));
      else to.setImmediateI64(i, BigInt.asIntN(64, operand.value));
      return true;
    }
  }
}

const PREFIXES = new Set(['lock', 'rep', 'repe', 'repz', 'repne', 'repnz']);

function encode(bits: Bits, address: number, text: string, symbols: Symbols, atLeast: number): Uint8Array {
  const words = text.split(/\s+/);
  const prefixes: string[] = [];
  while (PREFIXES.has(words[0])) prefixes.push(words.shift()!);
  const mnemonic = words.shift()!;
  const operands = splitOperands(words.join(' ')).map((o) => parseOperand(o, symbols, bits));
  const list = forms().get(ALIASES[mnemonic] ?? mnemonic);
  if (!list) throw new Error(`unknown mnemonic: ${text}`);
  let best: { bytes: Uint8Array; rank: number } | undefined;
  for (const form of list) {
    if (!form.modes[bits] || (form.addressSize && form.addressSize !== bits)) continue;
    const instruction = build(form, bits, operands);
    if (!instruction) continue;
    if (prefixes.includes('lock')) instruction.hasLockPrefix = true;
    if (prefixes.some((p) => /^rep(e|z)?$/.test(p))) instruction.hasRepPrefix = true;
    if (prefixes.some((p) => /^repn/.test(p))) instruction.hasRepnePrefix = true;
    const bytes = encodeOne(bits, address, instruction);
    instruction.free();
    // A default operand size goes before a shorter encoding; a branch never shrinks again (else passes may not end).
    const rank = bytes ? (form.operandSize === bits || !form.operandSize ? 0 : 100) + bytes.length : 0;
    if (bytes && bytes.length >= atLeast && (!best || rank < best.rank)) best = { bytes, rank };
  }
  if (!best) throw new Error(`cannot encode in ${bits}-bit code: ${text}`);
  return best.bytes;
}

function encodeOne(bits: Bits, address: number, instruction: Instruction): Uint8Array | undefined {
  const encoder = new Encoder(bits);
  try {
    encoder.encode(instruction, BigInt(address));
    return encoder.takeBuffer();
  } catch {
    return undefined;
  } finally {
    encoder.free();
  }
}

interface Line {
  readonly label: string | undefined;
  readonly text: string;
}

function parseLines(source: string): Line[] {
  return source.split('\n').flatMap((raw): Line[] => {
    let text = raw.replace(/;.*$/, '').trim();
    const lines: Line[] = [];
    for (let m = /^([A-Za-z_]\w*):\s*/.exec(text); m; m = /^([A-Za-z_]\w*):\s*/.exec(text)) {
      lines.push({ label: m[1], text: '' });
      text = text.slice(m[0].length);
    }
    // Symbols keep their case, everything else in a program is lower case.
    if (text) lines.push({ label: undefined, text });
    return lines;
  });
}

const DATA: Readonly<Record<string, number>> = { db: 1, dw: 2, dd: 4, dq: 8 };

/** Bytes of a directive, or undefined where the line is an instruction. */
function directive(text: string, address: number, symbols: Symbols): Uint8Array | undefined {
  const [, name, rest] = /^(\S+)\s*(.*)$/.exec(text)!;
  const width = DATA[name];
  if (width) {
    const values = splitOperands(rest).map((v) => evaluate(v, symbols));
    const bytes = new Uint8Array(values.length * width);
    for (const [i, v] of values.entries())
      for (let b = 0; b < width; b++) bytes[i * width + b] = Number((v >> BigInt(8 * b)) & 0xffn);
    return bytes;
  }
  if (name === 'align') {
    const to = Number(evaluate(rest, symbols));
    return new Uint8Array((to - (address % to)) % to).fill(0x90);
  }
  if (name === 'zero') return new Uint8Array(Number(evaluate(rest, symbols)));
  return undefined;
}

/**
 * Assembles a program that is to lie (by its own addresses) at `origin`.
 * @param symbols names that the program may use beside its labels
 * @throws Error naming the line that has no encoding
 */
export function assemble(
  bits: Bits,
  origin: number,
  source: string,
  symbols: Readonly<Record<string, number | bigint>> = {},
): Program {
  const lines = parseLines(source);
  const sizes = new Array<number>(lines.length).fill(0);
  const labels = new Map<string, number>();
  const known: Symbols = (name) => {
    const value = labels.get(name) ?? symbols[name];
    if (value === undefined && !ready) return BigInt(origin);
    if (value === undefined) throw new Error(`unknown symbol: ${name}`);
    return BigInt(value);
  };
  let ready = false;
  for (let pass = 0; pass < 20; pass++) {
    const pieces: Uint8Array[] = [];
    let address = origin;
    let mode = bits;
    let changed = false;
    for (const [i, { label, text }] of lines.entries()) {
      if (label) {
        if (labels.get(label) !== address) changed = true;
        labels.set(label, address);
        continue;
      }
      const bitsLine = /^bits\s+(16|32|64)$/.exec(text);
      if (bitsLine) {
        mode = Number(bitsLine[1]) as Bits;
        continue;
      }
      const piece = directive(text, address, known) ?? encode(mode, address, text, known, sizes[i]);
      if (!/^align/.test(text)) sizes[i] = piece.length;
      pieces.push(piece);
      address += piece.length;
    }
    if (!changed && ready) {
      const bytes = new Uint8Array(address - origin);
      let to = 0;
      for (const piece of pieces) {
        bytes.set(piece, to);
        to += piece.length;
      }
      return {
        origin,
        bytes,
        at: (label) => {
          const address = labels.get(label);
          if (address === undefined) throw new Error(`no label ${label}`);
          return address;
        },
      };
    }
    ready = true;
  }
  throw new Error('the program does not settle');
}
