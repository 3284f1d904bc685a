// Random encodings of an instruction definition (64-bit mode), with the memory operand pointing to a wanted address.

import type { Instruction } from '../../src/engine/soft/isa/define.js';
import { type OperandPattern, type Pattern, parseOperands, parsePattern } from '../../src/engine/soft/isa/pattern.js';
import { type Bits, LANDING } from './native-frame.js';
import type { Random } from './random.js';

/** The vector register that a gather takes its indexes from, and their size in bytes. */
export interface Vsib {
  readonly register: number;
  readonly size: number;
  /** As a shift. */
  readonly scale: number;
}

export interface Encoded {
  readonly bytes: Uint8Array;
  /** Registers (by number) that must hold these values for the memory operand to lie at the target. */
  readonly bindings: ReadonlyMap<number, bigint>;
  /** General registers named by ModRM.reg and by rm or opcode, -1: none. */
  readonly reg: number;
  readonly rm: number;
  readonly memory: boolean;
  /** The operand size is 16 bits. */
  readonly size16: boolean;
  /** The address size is 32 bits. */
  readonly short: boolean;
  readonly vsib: Vsib | undefined;
  /** The vector register named by VEX.vvvv, and whether 32 bytes of it count. */
  readonly vvvv: number;
  readonly wide: boolean;
  /** Offset of a displacement from the end of the instruction, for a memory operand relative to RIP; -1: none. */
  readonly relative: number;
}

/** Values of registers that memory operands may be made of: of base registers, and of index registers. */
export interface Known {
  readonly bases: ReadonlyMap<number, bigint>;
  readonly indexes: ReadonlyMap<number, bigint>;
}

export interface Form {
  readonly instruction: Instruction;
  readonly pattern: Pattern;
  readonly operands: readonly OperandPattern[];
  readonly text: string;
}

/** All encodings that exist in a mode. */
export function formsOf(instructions: readonly Instruction[], bits: Bits): Form[] {
  return instructions.flatMap((instruction) =>
    instruction.encodings
      .map(([text, letters]) => ({
        instruction,
        pattern: parsePattern(text),
        operands: parseOperands(letters),
        text: `${instruction.name} ${text} ${letters}`,
      }))

      .filter(
        ({ pattern }) =>
          pattern.long & (bits === 64 ? 2 : 1) && (bits === 64 || (pattern.size & 3 && (pattern.vex || pattern.w & 1))),
      ),
  );
}

const le32 = (v: number) => [v & 255, (v >> 8) & 255, (v >> 16) & 255, (v >>> 24) & 255];
/** By the SDM VEX.W is ignored outside 64-bit mode; AMD's processors raise #UD for these. */
const W_REFUSED = new Set(['vpinsrd', 'vpextrd']);

const bitsOf = (mask: number, count: number) =>
  Array.from({ length: count }, (_, i) => i).filter((i) => mask & (1 << i));

/**
 * @param target address for the memory operand
 * @param slot where the instruction will lie
 * @param known registers that the memory operand is made of; without them it is made of any, which `bindings` tells
 */
export function encode(form: Form, bits: Bits, random: Random, target: number, slot: number, known?: Known): Encoded {
  const long = bits === 64;
  const { pattern, operands } = form;
  const bindings = new Map<number, bigint>();
  const hasMemory = operands.some((o) => o.kind === 'mem' || (o.kind === 'rm' && o.forms & 1));
  const onlyMemory = operands.some((o) => o.kind === 'mem');
  let mod3 = pattern.mod3;
  for (const o of operands) if (o.kind === 'rm' || o.kind === 'mem') mod3 &= o.forms;
  const memory = pattern.modrm && hasMemory && (onlyMemory || mod3 === 1 || (mod3 === 3 && random.chance(40)));

  const prefixes: number[] = [];
  const branches = operands.some((o) => o.kind === 'rel') || pattern.default64 === 'f64';
  // Segment overrides other than FS and GS mean nothing here.
  if (random.chance(5)) prefixes.push(random.pick([0x26, 0x2e, 0x36, 0x3e]));
  const { attributes } = form.instruction;
  const short = long && (memory || attributes.rep === true || attributes.stack === true) && random.chance(10);
  if (short) prefixes.push(0x67);
  const first = operands[0];
  if (attributes.lock && memory && (first?.kind === 'mem' || first?.kind === 'rm') && random.chance(30))
    prefixes.push(0xf0);
  // 66 is operand size where prefixes do not select; where REX.W or a size is asked for, it follows from that.
  const classes = bitsOf(pattern.prefix, 4);
  if (pattern.vex) {
    /* in the VEX prefix */
  } else if (pattern.prefix === 15) {
    if (attributes.rep && !branches && random.chance(60)) prefixes.push(random.pick([0xf3, 0xf2]));
    if (!branches && pattern.size & 1 && (pattern.size === 1 || random.chance(25))) prefixes.push(0x66);
  } else {
    const chosen = random.pick(classes);
    if (chosen) prefixes.push([0, 0x66, 0xf3, 0xf2][chosen]);
    // 66 as operand size beside F3 or F2 (POPCNT, CRC32).
    if (chosen > 1 && operands.some((o) => o.size === 'v') && random.chance(25)) prefixes.unshift(0x66);
  }
  const onlySize = pattern.size === 4 ? 1 : pattern.size & 4 ? -1 : 0;
  const choices = bitsOf(pattern.w, 2).filter((v) => onlySize < 0 || v === onlySize || pattern.default64 !== 'none');
  const rexW = long
    ? random.pick(choices.length ? choices : [0])
    : pattern.vex && !W_REFUSED.has(form.instruction.name)
      ? random.pick(bitsOf(pattern.w, 2))
      : 0;
  const hasByteRegister = operands.some((o) => o.file === 'gpr' && o.size === 'b' && o.kind !== 'imm');
  let rexR = random.below(2);
  let rexX = random.below(2);
  let rexB = random.below(2);
  if (operands.some((o) => o.kind === 'reg' && (o.file === 'mmx' || o.file === 'seg')) && random.chance(70)) rexR = 0;
  const plainRex = !long || random.chance(30);
  if (plainRex) rexR = rexX = rexB = 0;
  // With REX.B this is PAUSE on Intel's processors and XCHG with R8 on AMD's.
  if (form.instruction.name === 'pause') rexB = 0;

  const body: number[] = [];
  let vsib: Vsib | undefined;
  let reg = -1;
  let rm = -1;
  let opcode = pattern.opcode;
  if (pattern.plusR) {
    const n = random.below(8);
    opcode |= n;
    rm = n | (rexB << 3);
  }
  const immediates = operands.some((o) => o.kind === 'moffs')
    ? Array.from({ length: long ? 8 : 4 }, (_, i) => (i < 4 ? (target >>> (8 * i)) & 255 : 0))
    : immediateBytes(form, random, prefixes.includes(0x66), rexW);
  if (pattern.modrm) {
    const regField = random.pick(bitsOf(pattern.reg, 8));
    reg = regField | (rexR << 3);
    if (!memory) {
      const rmField = random.pick(bitsOf(pattern.rm, 8));
      body.push(0xc0 | (regField << 3) | rmField);
      rm = rmField | (rexB << 3);
    } else body.push(...address(regField));
  }

  function address(regField: number): number[] {
    const top = regField << 3;
    if (attributes.addressParts === 'vsib') return vectorAddress(top);
    const kind = random.below(6) || (long ? 0 : 1);
    if (kind === 0) {
      // [rip + disp32]: the length is known once everything else is; patched below.
      return [top | 5, 0, 0, 0, 0];
    }
    if (kind === 1) {
      rexX = 0;
      return long ? [top | 4, 0x25, ...le32(target)] : [top | 5, ...le32(target)];
    }
    if (known) return knownAddress(top, known);
    let base = random.below(16);
    rexB = base >> 3;
    if (plainRex) {
      base &= 7;
      rexB = 0;
    }
    const displacement = kind < 4 ? random.below(256) - 128 : (random.u32() | 0) >> random.below(24);
    const mod = kind < 4 ? 1 : 2;
    const bytes = mod === 1 ? [displacement & 255] : le32(displacement);
    if (kind & 1 && (base & 7) !== 4) {
      bind(base, BigInt(target - displacement));
      return [top | (mod << 6) | (base & 7), ...bytes];
    }
    let index = random.below(16);
    if (plainRex) index &= 7;
    if (index === base || index === 4) index = 4; // none
    rexX = index >> 3;
    const scale = random.below(4);
    const offset =
      index === 4 ? 0n : BigInt(random.chance(50) ? random.below(4096) : (random.u32() | 0) >> random.below(20));
    if (index !== 4) bind(index, offset);
    bind(base, BigInt(target - displacement) - (offset << BigInt(scale)));
    return [top | (mod << 6) | 4, (scale << 6) | ((index & 7) << 3) | (base & 7), ...bytes];
  }

  /** A base register, and indexes that the caller makes small. */
  function vectorAddress(top: number): number[] {
    const base = random.below(plainRex ? 8 : 16);
    // Destination, mask and index must differ; test/bare-metal has the other case.
    const any = random.below(plainRex ? 8 : 16);
    const index = any === reg ? any ^ 1 : any;
    rexB = base >> 3;
    rexX = index >> 3;
    const displacement = random.below(256) - 128;
    bind(base, BigInt(target - displacement));
    const scale = random.below(4);
    vsib = { register: index, size: pattern.opcode & 1 ? 8 : 4, scale };
    return [top | 0x44, (scale << 6) | ((index & 7) << 3) | (base & 7), displacement & 255];
  }

  /** [base + index * scale + displacement] with registers whose values are known. */
  function knownAddress(top: number, { bases, indexes }: Known): number[] {
    const ofRex = ([register]: [number, bigint]) => register < 8 || !plainRex;
    const [base, value] = random.pick([...bases].filter(ofRex));
    const [index, count] = random.chance(40) ? random.pick([[4, 0n], ...[...indexes].filter(ofRex)]) : [4, 0n];
    const scale = random.below(4);
    rexB = base >> 3;
    rexX = index >> 3;
    const displacement = Number(BigInt.asIntN(32, BigInt(target) - value - (count << BigInt(scale))));
    const near = displacement === (displacement << 24) >> 24 && random.chance(80);
    const none = displacement === 0 && (base & 7) !== 5 && random.chance(50);
    const mod = none ? 0 : near ? 1 : 2;
    const bytes = none ? [] : near ? [displacement & 255] : le32(displacement);
    if (index === 4 && (base & 7) !== 4 && random.chance(80)) return [top | (mod << 6) | (base & 7), ...bytes];
    return [top | (mod << 6) | 4, (scale << 6) | ((index & 7) << 3) | (base & 7), ...bytes];
  }

  /** With 67h only the low half counts. */
  function bind(register: number, value: bigint): void {
    // A stack instruction uses RSP whole.
    const narrow = short && !(register === 4 && attributes.stack);
    const wrapped = long ? value : BigInt.asUintN(32, value);
    bindings.set(
      register,
      narrow ? BigInt.asUintN(32, value) | (BigInt(random.u32()) << 32n) : BigInt.asUintN(64, wrapped),
    );
  }

  const head: number[] = [];
  let vvvv = 0;
  let wide = false;
  if (pattern.vex) {
    const map = pattern.map - 3;
    const pp = classes[0];
    vvvv = operands.some((o) => o.kind === 'vvvv') ? random.below(long ? 16 : 8) : 0;
    while (vsib && (vvvv === reg || vvvv === vsib.register)) vvvv = (vvvv + 1) & (long ? 15 : 7);
    const l = random.pick(bitsOf(pattern.l, 2));
    wide = l === 1;
    const last = ((vvvv ^ 15) << 3) | (l << 2) | pp;
    // Two bytes where they say all.
    if (map === 1 && !(rexX | rexB | rexW) && random.chance(70)) head.push(...prefixes, 0xc5, ((rexR ^ 1) << 7) | last);
    else
      head.push(...prefixes, 0xc4, ((rexR ^ 1) << 7) | ((rexX ^ 1) << 6) | ((rexB ^ 1) << 5) | map, (rexW << 7) | last);
  } else {
    head.push(...prefixes);
    const rex = !long ? 0x40 : 0x40 | (rexW << 3) | (rexR << 2) | (rexX << 1) | rexB;
    // A plain REX turns AH into SPL: both are tried.
    if (rex !== 0x40 || (hasByteRegister && !plainRex)) head.push(rex);
    else if (long && hasByteRegister && random.chance(30)) head.push(0x40);
    if (pattern.map > 0) head.push(0x0f);
    if (pattern.map > 1) head.push(pattern.map === 2 ? 0x38 : 0x3a);
  }
  head.push(opcode);
  const bytes = Uint8Array.from([...head, ...body, ...immediates]);
  const relative = long && memory && body.length === 5 && (body[0] & 0xc7) === 5 ? head.length + 1 : -1;
  if (relative >= 0) new DataView(bytes.buffer).setInt32(relative, target - (slot + bytes.length), true);
  if (first?.kind === 'rel') {
    const size = first.size === 'b' ? 1 : 4;
    const displacement = LANDING - bytes.length;
    for (let i = 0; i < size; i++) bytes[bytes.length - size + i] = (displacement >> (8 * i)) & 255;
  }
  const size16 = prefixes.includes(0x66) && !rexW;
  return {
    bytes,
    bindings,
    reg,
    rm,
    size16,
    short,
    vsib,
    vvvv,
    wide,
    relative,
    memory: memory || operands.some((o) => o.kind === 'moffs'),
  };
}

function immediateBytes(form: Form, random: Random, size16: boolean, rexW: number): number[] {
  const out: number[] = [];
  for (const o of form.operands) {
    if (o.kind === 'imm4') out.push(random.u32() & 0xf0);
    if (o.kind === 'rel') out.push(...new Array<number>(o.size === 'b' ? 1 : 4).fill(0));
    if (o.kind !== 'imm') continue;
    const sizes: Record<string, number> = {
      b: 1,
      bs: 1,
      w: 2,
      d: 4,
      z: size16 && !rexW ? 2 : 4,
      v: rexW ? 8 : size16 ? 2 : 4,
    };
    // ENTER and RET n move RSP: not too far.
    const value = o.size === 'w' ? BigInt(random.below(256)) : random.integer();
    for (let i = 0; i < sizes[o.size]; i++) out.push(Number((value >> BigInt(8 * i)) & 255n));
  }
  return out;
}
