/** What is left to know once an encoding has been chosen: its handler, and the plan by which the decoder fills a record. */
import * as T from '../tables.js';
import type { HandlerSpec, Instruction, OperandSpec, Variant } from './define.js';
import { effectiveSize, type OperandPattern, type Pattern } from './pattern.js';

/** One encoding of one instruction. */
export interface Candidate {
  readonly instruction: Instruction;
  readonly pattern: Pattern;
  readonly operands: readonly OperandPattern[];
  /** Register or memory forms that pattern and operands allow (Pattern.mod3). */
  readonly mod3: number;
  /** MOV to and from CR and DR: the register form whatever mod says (SDM vol. 2, MOV-Control Registers). */
  readonly ignoresMod: boolean;
}

/** Decoder state as far as it decides about operands. `size` is what prefixes say: 0 = 16, 1 = 32, 2 = 64. */
export interface State {
  readonly long: number;
  readonly mod3: number;
  readonly size: number;
  readonly slow: number;
}

export interface Leaf {
  /** Equal ids: equal leaves. */
  readonly id: string;
  readonly handler: HandlerSpec;
  /** LF_* */
  readonly flags: number;
  /** Register plans of fields a, b, c, d. */
  readonly plans: readonly [number, number, number, number];
  /** IMM_* */
  readonly immediate: number;
  readonly memorySize: number;
  readonly scale: number;
  readonly popBytes: number;
}

type Bytes = 2 | 4 | 8;
/** A variant, and which parts of it make handlers differ. */
type KeyedVariant = Variant & { readonly keyed: { readonly size: boolean; readonly long: boolean } };

const SOURCE: Partial<Record<OperandPattern['kind'], number>> = {
  reg: T.P_REG,
  rm: T.P_RM,
  opcode: T.P_OPCODE,
  vvvv: T.P_VVVV,
  imm4: T.P_IMM,
};

/** Operands whose meaning depends on the operand size though no letter of theirs says so. */
function dependsOnSize(c: Candidate): boolean {
  const { pattern, operands, instruction } = c;
  const { stack, rep, addressOnly } = instruction.attributes;
  if (rep || addressOnly) return operands.some((o) => /^[vzy]$/.test(o.size));
  if (stack || pattern.sized || pattern.default64 !== 'none') return true;
  if (operands.length === 0) return pattern.prefix === 15 && !pattern.modrm; // CBW, but not FLDZ or SWAPGS
  return operands.some(
    (o) =>
      /^[vzps]$/.test(o.size) ||
      o.kind === 'rel' ||
      (o.size === 'bs' && operands.some((other) => /^[vz]$/.test(other.size))) ||
      (o.kind === 'mem' && (o.size === '' || o.size === 'x512')),
  );
}

class LeafMaker {
  readonly #c: Candidate;
  readonly #state: State;
  /** Effective operand size in bytes. */
  readonly #bytes: Bytes;
  readonly #plans: [number, number, number, number] = [0, 0, 0, 0];
  #fields = 0;
  #flags = 0;
  #immediate = T.IMM_NONE;
  #memorySize = 0;
  #memoryFirst = false;

  constructor(c: Candidate, state: State) {
    this.#c = c;
    this.#state = state;
    // Where the pattern asks for REX.W itself, 66 makes no difference unless an operand says so.
    const byW = !c.pattern.vex && c.pattern.w !== 3 && !c.operands.some((o) => /^[vz]$/.test(o.size));
    const size = byW ? c.pattern.w : effectiveSize(c.pattern, state.long, state.size);
    this.#bytes = ([2, 4, 8] as const)[size];
  }

  make(): Leaf {
    const operands = this.#c.operands.map((o) => this.#operand(o));
    const { instruction } = this.#c;
    this.#memoryFirst = operands[0]?.kind === 'mem';
    this.#setFlags();
    const variant = this.#variant();
    const { keyed: _, ...shown } = variant;
    const handler: HandlerSpec = { key: this.#key(operands, variant), instruction, operands, variant: shown };
    const plan = {
      flags: this.#flags,
      plans: this.#plans,
      immediate: this.#immediate,
      memorySize: Math.min(this.#memorySize, 64),
      scale: this.#stringScale(),
      popBytes: instruction.name === 'pop' && this.#flags & T.LF_MEM ? this.#bytes : 0,
    };
    return { id: `${handler.key} ${JSON.stringify(plan)}`, handler, ...plan };
  }

  #setFlags(): void {
    const { attributes } = this.#c.instruction;
    if (attributes.ends) this.#flags |= T.LF_ENDS;
    if (attributes.rep) this.#flags |= T.LF_REP;
    if (attributes.addressParts) this.#flags |= T.LF_PARTS;
    if (attributes.addressParts === 'vsib') this.#flags |= T.LF_VSIB;
    if (this.#flags & T.LF_MEM && attributes.addressOnly) this.#flags |= T.LF_ADDRESS;
    // Memory is written, and LOCK allowed, where it is the destination: ADD has both directions.
    if (!this.#memoryFirst) return;
    if (this.#flags & T.LF_MEM && attributes.lock) this.#flags |= T.LF_LOCK | T.LF_WRITE;
    if (attributes.writes) this.#flags |= T.LF_WRITE;
  }

  /** `long` and `operandSize` are told apart only where semantics may ask for them, to keep the handlers few. */
  #variant(): KeyedVariant {
    const { pattern, operands, instruction } = this.#c;
    const { stack, ends } = instruction.attributes;
    const size = dependsOnSize(this.#c);
    const long =
      stack ||
      ends ||
      pattern.default64 !== 'none' ||
      operands.some((o) => o.file === 'cr' || o.file === 'dr' || o.size === 's');
    const operandSize = size ? this.#bytes : 4;
    return {
      operandSize,
      long: long ? this.#state.long === 1 : operandSize === 8 && size,
      slowStack: stack === true && this.#state.slow === 1,
      keyed: { size, long: long === true },
    };
  }

  #key(operands: readonly OperandSpec[], variant: KeyedVariant): string {
    const { name, attributes } = this.#c.instruction;
    const words = [attributes.param === undefined ? name : `${name}#${attributes.param}`];
    if (variant.keyed.size) words.push(`${variant.operandSize * 8}`);
    if (variant.keyed.long) words.push(variant.long ? 'long' : 'legacy');
    if (variant.slowStack) words.push('slow');
    words.push(operands.map(specText).join());
    return words.join('.');
  }

  #stringScale(): number {
    const { pattern, instruction } = this.#c;
    if (!instruction.attributes.rep || !(pattern.opcode & 1)) return 0;
    // INS and OUTS have no 64-bit elements (SDM vol. 2, INS).
    const widest = pattern.opcode >= 0x6c && pattern.opcode <= 0x6f ? 4 : 8;
    return Math.log2(Math.min(this.#bytes, widest));
  }

  #sizeOf(letters: string): number {
    const b = this.#bytes;
    const fixed: Record<string, number> = { b: 1, w: 2, d: 4, q: 8, dq: 16, x: 16, qq: 32, t: 10, x512: 512, '': 0 };
    switch (letters) {
      case 'v':
        return b;
      case 'y':
        return this.#c.ignoresMod ? (this.#state.long ? 8 : 4) : Math.max(b, 4);
      case 'z':
        return Math.min(b, 4);
      case 'p':
        return 2 + b;
      case 's':
        return this.#state.long ? 10 : 6;
      case 'x':
        return this.#c.pattern.wide ? 32 : 16;
      default:
        return fixed[letters];
    }
  }

  #field(o: OperandPattern, spec: 'gpr' | 'xmm' | 'mmx' | 'raw', size: number): OperandSpec {
    const index = this.#fields++;
    // A fourth one has room where there is no memory operand (VBLENDVPS).
    if (index > (this.#flags & T.LF_MEM ? 2 : 3))
      throw new Error(`${this.#c.instruction.name} "${this.#c.pattern.text}": too many registers`);
    const field = (['a', 'b', 'c', 'd'] as const)[index];
    const classes = {
      gpr: size === 1 ? T.C_GPR8 : T.C_GPR,
      xmm: T.C_XMM,
      mmx: T.C_MMX,
      st: T.C_ST,
      seg: this.#c.operands[0] === o ? T.C_SEGW : T.C_SEG,
      cr: T.C_CR,
      dr: T.C_DR,
    };
    this.#plans[index] = SOURCE[o.kind]! | classes[o.file];
    if (o.kind === 'vvvv') this.#flags |= T.LF_VVVV;
    return { kind: spec, size, field } as OperandSpec;
  }

  #operand(o: OperandPattern): OperandSpec {
    const size = this.#sizeOf(o.size);
    switch (o.kind) {
      case 'mem':
        return this.#memory(size);
      case 'rm':
        if (!this.#state.mod3 && o.forms & 1 && !this.#c.ignoresMod) return this.#memory(size);
        return this.#register(o, size);
      case 'reg':
      case 'vvvv':
      case 'opcode':
        return this.#register(o, size);
      case 'imm4':
        if (this.#immediate === T.IMM_NONE) this.#immediate = T.IMM_U8;
        return this.#register(o, size);
      case 'imm':
        return this.#imm(o.size);
      case 'rel':
        // Sign-extended whatever its length, so short and near forms share a handler; size 2: IP is cut to 16 bits.
        this.#immediate = o.size === 'b' ? T.IMM_S8 : this.#bytes === 2 ? T.IMM_S16 : T.IMM_32;
        return { kind: 'rel', size: this.#bytes === 2 ? 2 : 4 };
      case 'far':
        this.#immediate = this.#bytes === 2 ? T.IMM_FAR16 : T.IMM_FAR32;
        return { kind: 'far' };
      case 'moffs':
        this.#flags |= T.LF_MOFFS;
        this.#memorySize = size;
        return { kind: 'mem', size };
      case 'fixed':
        return { kind: 'fixed', size: size as 1 | Bytes, register: o.value };
      case 'const':
        return { kind: 'const', value: o.value };
    }
  }

  #register(o: OperandPattern, size: number): OperandSpec {
    if (o.file === 'gpr' || o.file === 'xmm' || o.file === 'mmx') return this.#field(o, o.file, size);
    const spec = this.#field(o, 'raw', 0);
    return { kind: 'raw', field: (spec as { field: 'a' | 'b' }).field };
  }

  #memory(size: number): OperandSpec {
    this.#flags |= T.LF_MEM;
    this.#memorySize = this.#c.instruction.attributes.addressOnly ? 0 : size;
    return { kind: 'mem', size: this.#memorySize };
  }

  /** The record holds immediates extended to 32 bits; `size` is what the handler sees: at most 4, or 8 in the extension. */
  #imm(letters: string): OperandSpec {
    const short = Math.min(this.#bytes, 4) as 2 | 4;
    if (this.#immediate !== T.IMM_NONE) {
      if (letters === 'b' && this.#immediate === T.IMM_U8) return { kind: 'imm', size: 1, signed: false }; // with imm4
      if (letters !== 'b' || this.#immediate !== T.IMM_U16)
        throw new Error(`${this.#c.instruction.name} "${this.#c.pattern.text}": two immediates`);
      this.#immediate = T.IMM_ENTER; // the second one goes to disp
      return { kind: 'imm', size: 1, signed: false };
    }
    switch (letters) {
      case 'b':
        this.#immediate = T.IMM_U8;
        return { kind: 'imm', size: 1, signed: false };
      case 'bs':
        this.#immediate = T.IMM_S8;
        return { kind: 'imm', size: short, signed: true };
      case 'w':
        this.#immediate = T.IMM_U16;
        return { kind: 'imm', size: 2, signed: false };
      case 'd':
        this.#immediate = T.IMM_32;
        return { kind: 'imm', size: 4, signed: true };
    }
    if (letters === 'v' && this.#bytes === 8) {
      this.#immediate = T.IMM_64;
      this.#flags |= T.LF_IMM64;
      return { kind: 'imm', size: 8, signed: false };
    }
    this.#immediate = this.#bytes === 2 ? T.IMM_S16 : T.IMM_32;
    return { kind: 'imm', size: short, signed: true };
  }
}

/** The handler and plan of an encoding in a given state. */
export function leafOf(c: Candidate, state: State): Leaf {
  return new LeafMaker(c, state).make();
}

function specText(spec: OperandSpec): string {
  switch (spec.kind) {
    case 'gpr':
    case 'xmm':
    case 'mmx':
      return `${spec.kind}${spec.size}${spec.field}`;
    case 'fixed':
      return `fixed${spec.size}@${spec.register}`;
    case 'mem':
      return `mem${spec.size}`;
    case 'imm':
      return `imm${spec.size}${spec.signed ? 's' : ''}`;
    case 'const':
      return `const${spec.value}`;
    case 'rel':
      return `rel${spec.size}`;
    case 'far':
      return 'far';
    case 'raw':
      return `raw${spec.field}`;
  }
}
