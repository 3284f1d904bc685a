// Random sequences of instructions whose memory operands lie in the data area (or in a page that nobody has), whatever the
// instructions before them have done: some registers hold addresses and are never written. What needs more than that
// (loops, calls, string instructions, code that changes) comes from small patterns, with the registers set up before.

import type { InstructionList } from '../../src/engine/soft/isa/define.js';
import { encode, type Form, formsOf, type Known } from './encodings.js';
import { isNative, LISTS } from './lists.js';
import { type Bits, DATA_SIZE } from './native-frame.js';
import { endPiece, labelPiece, PieceMaker } from './piece.js';
import type { Random } from './random.js';
import { ARITHMETIC, isApproximate, isCompared, undefinedFlags } from './rules.js';
import { type Fixup, type Piece, undefinedFlagsOf } from './sequence.js';

const [RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI] = [0, 1, 2, 3, 4, 5, 6, 7];

/** How often a list is chosen. */
const WEIGHTS: Readonly<Record<string, number>> = {
  arithmetic: 22,
  'shift and rotate': 9,
  'multiplication and division': 5,
  move: 17,
  bit: 6,
  string: 3,
  system: 1,
  'vector move': 6,
  'vector integer': 6,
  'vector floating point': 6,
  SSE4: 3,
  cryptographic: 1,
  x87: 9,
  'VEX form of an SSE': 8,
  AVX: 4,
  AVX2: 2,
  'VEX floating point': 3,
};
/** Not chosen by themselves: they need a pattern, or leave what cannot be compared in a register or in memory. */
const LEFT_OUT = new Set([
  // Which NaN comes out is the processor's.
  'dpps',
  'dppd',
  'vdpps',
  'vdppd',
  'popf',
  'fxrstor',
  'ldmxcsr',
  'vldmxcsr',
  'fldcw',
  'fxsave',
  'fnsave',
  'fnstenv',
  'ret',
  'jmp',
  'call',
  'popa',
  'bound',
  'salc',
]);
/** On AMD's processors these leave C1 as it was: a sequence has them, or what shows C1. */
const SILENT = /^f(u?comip?$|cmov)/;
const SHOWS_STATUS = /^fn?st(sw|env)|^fn?save|^fxsave/;

export interface Sequence {
  readonly pieces: readonly Piece[];
  /** Values that registers must have before it. */
  readonly registers: ReadonlyMap<number, bigint>;
  /** Stores into its own code. */
  readonly modifies: boolean;
  /** C1 of the x87 status word is not compared. */
  readonly silent: boolean;
}

const forms = new Map<Bits, (readonly [weight: number, forms: readonly Form[]])[]>();

function weighted(bits: Bits) {
  let made = forms.get(bits);
  if (!made) {
    const usable = (list: InstructionList) =>
      formsOf(list.instructions, bits).filter((f) => {
        const { name } = f.instruction;
        const branches = f.operands.some((o) => o.kind === 'rel');
        const gathers = f.instruction.attributes.addressParts === 'vsib';
        return isCompared(name) && isNative(f) && !gathers && !branches && !LEFT_OUT.has(name) && !isApproximate(name);
      });
    made = LISTS.filter(([name]) => name in WEIGHTS).map(([name, list]) => [WEIGHTS[name], usable(list)] as const);
    forms.set(bits, made);
  }
  return made;
}

const le = (value: number | bigint, bytes: number) =>
  Array.from({ length: bytes }, (_, i) => Number((BigInt(value) >> BigInt(8 * i)) & 255n));

export class Generator {
  readonly #bits: Bits;
  readonly #random: Random;
  readonly #make: PieceMaker;
  readonly #data: number;
  readonly #guard: number;
  readonly #lists: ReturnType<typeof weighted>;
  readonly #total: number;
  #pinned = new Set<number>();
  #known: Known = { bases: new Map(), indexes: new Map() };
  #spots: number[] = [];
  #behind: Piece[] = [];
  #groups = 0;
  #names = 0;
  #modifies = false;
  #silent = false;
  /** Patterns inside patterns. */
  #depth = 0;

  /**
   * @param data address of the data area
   * @param guard address of a page that is mapped nowhere
   */
  constructor(bits: Bits, random: Random, data: number, guard: number) {
    this.#bits = bits;
    this.#random = random;
    this.#make = new PieceMaker(bits);
    this.#data = data;
    this.#guard = guard;
    this.#lists = weighted(bits);
    this.#total = this.#lists.reduce((sum, [weight]) => sum + weight, 0);
  }

  /** A sequence of about so many instructions. */
  sequence(length: number): Sequence {
    const random = this.#random;
    this.#silent = random.chance(15);
    this.#modifies = false;
    this.#behind = [];
    this.#spots = Array.from({ length: 4 }, () => 0x200 + random.below(DATA_SIZE - 0x600));
    const registers = this.#pin();
    const pieces = this.#body(length);
    pieces.push(endPiece(this.#groups++), ...this.#behind);
    return { pieces: this.#defineFlags(pieces), registers, modifies: this.#modifies, silent: this.#silent };
  }

  // ---- registers -------------------------------------------------------------------------------------------------------

  #pin(): Map<number, bigint> {
    const random = this.#random;
    const bases = new Map<number, bigint>();
    const indexes = new Map<number, bigint>();
    const wrap = (value: bigint) => BigInt.asUintN(this.#bits, value);
    const free = this.#bits === 64 ? [RBX, RBP, RSI, RDI, 8, 9, 10, 11, 12, 13, 14, 15] : [RBX, RBP, RSI, RDI];
    const take = () => free.splice(random.below(free.length), 1)[0];
    for (let n = this.#bits === 64 ? 2 + random.below(2) : 1 + random.below(2); n > 0; n--) {
      // Near its targets, or so far that the displacement takes 32 bits; with the low registers, no REX is needed.
      const far = random.chance(30) ? (random.u32() | 0) >> (2 + random.below(12)) : random.below(DATA_SIZE);
      const low = bases.size === 0 ? free.splice(random.below(2), 1)[0] : take();
      bases.set(low, wrap(BigInt(this.#data + far)));
    }
    indexes.set(take(), wrap(BigInt((random.u32() | 0) >> (16 + random.below(14)))));
    this.#known = { bases, indexes };
    this.#pinned = new Set([RSP, ...bases.keys(), ...indexes.keys()]);
    const stack = BigInt(this.#data + 0x1800 + random.below(0x800));
    return new Map([...bases, ...indexes, [RSP, random.chance(80) ? stack & ~7n : stack]]);
  }

  #freeRegister(): number {
    const all = Array.from({ length: this.#bits === 64 ? 16 : 8 }, (_, i) => i);
    return this.#random.pick(all.filter((r) => !this.#pinned.has(r)));
  }

  /** MOV register, immediate. */
  #load(register: number, value: bigint, group: number): Piece {
    const wide = this.#bits === 64 && (value < 0n || value >= 1n << 32n);
    const rex = (wide ? 0x48 : 0x40) | (register >> 3);
    const prefix = this.#bits === 64 && rex !== 0x40 ? [rex] : [];
    const bytes = [...prefix, 0xb8 | (register & 7), ...le(BigInt.asUintN(64, value), wide ? 8 : 4)];
    return this.#make.sure('mov', bytes, group);
  }

  #someAddress(): number {
    return this.#data + 0x800 + this.#random.below(DATA_SIZE - 0x1000);
  }

  // ---- memory ----------------------------------------------------------------------------------------------------------

  /** Where a memory operand lies: mostly where others have been, seldom where nothing is. */
  #target(form: Form): number {
    const random = this.#random;
    // Images (environments and the like) are read and written in an order of the processor's own.
    const image = form.operands.some((o) => o.kind === 'mem' && (o.size === '' || o.size === 'x512'));
    if (random.below(1000) < 12 && !image) return this.#guard - random.below(20) + random.below(30);
    const strict =
      form.operands.some((o) => o.file === 'xmm' && o.size === 'x') || /^(f|sha)/.test(form.instruction.name);
    if (random.chance(strict ? 2 : 8)) return this.#data + 0x1000 * (1 + random.below(3)) - 1 - random.below(15);
    const spot = random.chance(70) ? random.pick(this.#spots) : 0x200 + random.below(DATA_SIZE - 0x600);
    const offset = random.chance(strict ? 97 : 70) ? spot & ~15 : spot + random.below(16);
    return this.#data + offset;
  }

  // ---- instructions ------------------------------------------------------------------------------------------------------

  #pickForm(): Form {
    let n = this.#random.below(this.#total);
    for (const [weight, list] of this.#lists) {
      if (n < weight) return this.#random.pick(list);
      n -= weight;
    }
    throw new Error('weights');
  }

  /** One instruction with what it needs before it. */
  #instruction(): Piece[] {
    for (;;) {
      const pieces = this.#try(this.#pickForm());
      if (pieces) return pieces;
    }
  }

  #try(form: Form): Piece[] | undefined {
    const random = this.#random;
    const { name, attributes } = form.instruction;
    if (this.#silent ? SHOWS_STATUS.test(name) : SILENT.test(name)) return undefined;
    const target = this.#target(form);
    const encoded = encode(form, this.#bits, random, target, 0, this.#known);
    if (name === 'nop' && form.text.includes('0F 0D') && !encoded.memory) return undefined;
    if (/^sha\d/.test(name) && encoded.memory && target & 15) return undefined;
    // Which comes first, #MF or #GP for a write by way of CS, differs: here the address is looked at first.
    if (this.#bits === 32 && encoded.bytes[0] === 0x2e && /^f|mm/.test(name)) return undefined;
    // A count beyond the operand leaves anything.
    if (/^sh[lr]d$/.test(name) && encoded.size16) return undefined;
    const group = this.#groups++;
    const fixups: Fixup[] =
      encoded.relative < 0 ? [] : [{ at: encoded.relative, size: 4, kind: 'relative', to: target }];
    const made = this.#make.make(name, [...encoded.bytes], group, fixups);
    if (!made || [...made.writes].some((r) => this.#pinned.has(r))) return undefined;
    const setUp = this.#setUp(form, encoded);
    if (!setUp || [...setUp.keys()].some((r) => this.#pinned.has(r))) return undefined;
    const spoils = made.piece.spoils | undefinedFlags(form, NO_STATE);
    const conditional =
      (/^(sh|sa|ro|rc)/.test(name) && form.operands.some((o) => o.kind === 'fixed')) || attributes.rep === true;
    const defines = conditional ? 0 : made.piece.defines & ~spoils;
    return [...[...setUp].map(([r, value]) => this.#load(r, value, group)), { ...made.piece, defines, spoils }];
  }

  /** Registers that must have certain values before an instruction; undefined: better not. */
  #setUp(form: Form, { memory, reg, short }: ReturnType<typeof encode>): Map<number, bigint> | undefined {
    const random = this.#random;
    const { name } = form.instruction;
    const set = new Map<number, bigint>();
    const noise = () => (short ? BigInt(random.u32()) << 32n : 0n);
    const pointer = (register: number) => set.set(register, BigInt(this.#someAddress()) | noise());
    if (/^(movs|cmps|stos|lods|scas)$/.test(name)) {
      if (/^(movs|cmps|lods)$/.test(name)) pointer(RSI);
      if (name !== 'lods') pointer(RDI);
      // Not zero with 67h: whether the upper halves are then cleared is the processor's.
      set.set(RCX, BigInt(short ? 1 + random.below(39) : random.below(40)) | noise());
    } else if (name === 'enter' || name === 'leave') set.set(RBP, BigInt(this.#data + 0x1800 + random.below(0x400)));
    else if (name === 'xlat') pointer(RBX);
    else if (/^v?maskmov(dqu|q)$/.test(name)) pointer(RDI);
    else if (/^bt/.test(name) && memory && reg >= 0 && form.operands.some((o) => o.kind === 'reg')) {
      if (this.#known.bases.has(reg)) return undefined;
      set.set(reg, BigInt((random.u32() << 20) >> 20));
    } else if (/^i?div$/.test(name) && random.chance(92)) {
      const byte = form.operands.some((o) => o.size === 'b');
      set.set(RDX, BigInt(random.below(2)));
      set.set(RAX, BigInt(byte ? random.below(256) : random.u32() >>> random.below(30)));
    } else if (/^v?pcmpe/.test(name) && random.chance(60)) {
      set.set(RAX, BigInt(random.below(40) - 18));
      set.set(RDX, BigInt(random.below(40) - 18));
    }
    return set;
  }

  // ---- patterns --------------------------------------------------------------------------------------------------------

  #body(length: number): Piece[] {
    const pieces: Piece[] = [];
    for (let count = 0; count < length; ) {
      const more = this.#random.chance(80) || this.#depth > 2 ? this.#instruction() : this.#pattern();
      pieces.push(...more);
      count += more.filter((p) => p.bytes.length > 0).length;
    }
    return pieces;
  }

  #pattern(): Piece[] {
    this.#depth++;
    const pieces = this.#random.pick([
      () => this.#forward(),
      () => this.#forward(),
      () => this.#loop(),
      () => this.#loop(),
      () => this.#call(),
      () => this.#patch(),
      () => this.#patchBehind(),
      () => this.#flags(),
      () => this.#control(),
      () => this.#image(),
      () => this.#nowhere(),
    ])();
    this.#depth--;
    return pieces;
  }

  #label(): string {
    return `L${this.#names++}`;
  }

  #jump(opcode: number, to: string, group: number, jump: boolean): Piece {
    const name = jump ? 'jmp' : 'jcc';
    const near = opcode === 0xeb ? [0xe9] : [0x0f, opcode + 0x10];
    const links = { to, jump };
    const fixup = (at: number, size: 1 | 4): Fixup[] => [{ at, size, kind: 'relative', to }];
    const longer = this.#make.sure(name, [...near, 0, 0, 0, 0], group, fixup(near.length, 4), links);
    if (this.#random.chance(25)) return longer;
    return this.#make.sure(name, [opcode, 0], group, fixup(1, 1), { ...links, longer });
  }

  /** Jcc, JMP or a jump through a register over some instructions. */
  #forward(): Piece[] {
    const group = this.#groups++;
    const to = this.#label();
    const body = this.#body(1 + this.#random.below(6));
    const rest = [...body, labelPiece(to, group)];
    if (this.#random.chance(80)) return [this.#jump(0x70 + this.#random.below(16), to, group, false), ...rest];
    if (this.#random.chance(50)) return [this.#jump(0xeb, to, group, true), ...rest];
    const [load, register] = this.#loadLabel(to, group);
    const rex = register > 7 ? [0x41] : [];
    return [
      load,
      this.#make.sure('jmp', [...rex, 0xff, 0xe0 | (register & 7)], group, [], { to, jump: true }),
      ...rest,
    ];
  }

  /** MOV r32, address of a label. */
  #loadLabel(to: string, group: number): [Piece, number] {
    const register = this.#freeRegister();
    const rex = register > 7 ? [0x41] : [];
    const fixup: Fixup = { at: rex.length + 1, size: 4, kind: 'absolute', to };
    return [this.#make.sure('mov', [...rex, 0xb8 | (register & 7), 0, 0, 0, 0], group, [fixup]), register];
  }

  /** A loop of a few rounds, counted in a register that nothing else writes. */
  #loop(): Piece[] {
    const random = this.#random;
    const group = this.#groups++;
    const top = this.#label();
    const byLoop = !this.#pinned.has(RCX) && random.chance(25);
    const counter = byLoop ? RCX : this.#freeRegister();
    const start = this.#load(counter, BigInt(1 + random.below(4)), group);
    this.#pinned.add(counter);
    const body = this.#body(1 + random.below(7));
    this.#pinned.delete(counter);
    if (byLoop) {
      // LOOP reaches 128 bytes: its long form is DEC and JNZ without DEC, so that it ends at once.
      const away = this.#make.sure('loop', [0x90], group);
      const links = { to: top, longer: away };
      const loop = this.#make.sure('loop', [0xe2, 0], group, [{ at: 1, size: 1, kind: 'relative', to: top }], links);
      return [start, labelPiece(top, group), ...body, loop];
    }
    const rex = this.#bits === 64 ? [0x40 | (random.below(2) << 3) | (counter >> 3)] : [];
    const dec = random.chance(50) ? [0xff, 0xc8 | (counter & 7)] : [0x83, 0xe8 | (counter & 7), 1];
    const step = this.#make.sure('dec', [...rex, ...dec], group);
    return [start, labelPiece(top, group), ...body, step, this.#jump(0x75, top, group, false)];
  }

  /** A subroutine behind the end, called straight or through a register. */
  #call(): Piece[] {
    const random = this.#random;
    const group = this.#groups++;
    const to = this.#label();
    const body = this.#body(1 + random.below(5));
    const ret = random.chance(70) ? [0xc3] : [0xc2, 8 * random.below(4), 0];
    this.#behind.push(labelPiece(to, group), ...body, this.#make.sure('ret', ret, group, [], { jump: true }));
    const call = () => {
      if (random.chance(60)) {
        const fixup: Fixup = { at: 1, size: 4, kind: 'relative', to };
        return [this.#make.sure('call', [0xe8, 0, 0, 0, 0], group, [fixup], { to })];
      }
      const [load, register] = this.#loadLabel(to, group);
      const rex = register > 7 ? [0x41] : [];
      return [load, this.#make.sure('call', [...rex, 0xff, 0xd0 | (register & 7)], group, [], { to })];
    };
    const more = random.chance(40) ? [...this.#body(1 + random.below(3)), ...call()] : [];
    return [...call(), ...more];
  }

  /** [address] with a displacement of 32 bits, behind an opcode and a ModRM.reg field. */
  #absolute(opcode: readonly number[], field: number): number[] {
    return this.#bits === 64
      ? [...opcode, (field << 3) | 4, 0x25, 0, 0, 0, 0]
      : [...opcode, (field << 3) | 5, 0, 0, 0, 0];
  }

  /** MOV r32, imm32 that somebody writes into, and the store that does. */
  #victim(group: number): { victim: Piece[]; store: () => Piece; register: number } {
    const random = this.#random;
    this.#modifies = true;
    const name = this.#label();
    const register = this.#freeRegister();
    const rex = register > 7 ? [0x41] : [];
    const bytes = [...rex, 0xb8 | (register & 7), ...le(random.u32(), 4)];
    const victim = [labelPiece(name, group), this.#make.sure('mov', bytes, group)];
    const first = rex.length + 1;
    const store = () => {
      const size = random.pick([1, 2, 4] as const);
      const at = (operand: number): Fixup[] => [
        { at: operand, size: 4, kind: 'absolute', to: name, plus: first + random.below(5 - size) },
      ];
      if (random.chance(20)) {
        const inc = this.#absolute([0xfe], 0);
        return this.#make.sure('inc', inc, group, at(inc.length - 4));
      }
      const prefix = size === 2 ? [0x66] : [];
      const head = this.#absolute([...prefix, size === 1 ? 0xc6 : 0xc7], 0);
      return this.#make.sure('mov', [...head, ...le(random.u32(), size)], group, at(head.length - 4));
    };
    return { victim, store, register };
  }

  /** A store into an instruction that comes soon. */
  #patch(): Piece[] {
    const group = this.#groups++;
    const { victim, store } = this.#victim(group);
    const between = this.#random.chance(30) ? [] : this.#body(1 + this.#random.below(5));
    return [store(), ...between, ...victim];
  }

  /** A loop that writes into an instruction which it has executed. */
  #patchBehind(): Piece[] {
    const group = this.#groups++;
    const { victim, store, register } = this.#victim(group);
    this.#pinned.add(register); // not the loop's counter
    const [start, top, ...rest] = this.#loop();
    this.#pinned.delete(register);
    const last = rest.splice(rest.findLastIndex((p) => p.group !== start.group) + 1);
    return [start, top, ...victim, ...rest, store(), ...last];
  }

  /** POPF of something harmless, or arithmetic flags by hand. */
  #flags(): Piece[] {
    const random = this.#random;
    const group = this.#groups++;
    const value = 0x202 | (random.u32() & (random.chance(30) ? 0xcd5 : 0x8d5));
    return [
      this.#make.sure('push', [0x68, ...le(value, 4)], group),
      this.#make.sure('popf', [0x9d], group),
      ...(random.chance(50) ? [this.#jump(0x70 + random.below(16), `F${group}`, group, false), ...this.#body(1)] : []),
      labelPiece(`F${group}`, group),
    ];
  }

  /** A control word for SSE or x87. */
  #control(): Piece[] {
    const random = this.#random;
    const group = this.#groups++;
    const address: Fixup = { at: 0, size: 4, kind: 'absolute', to: this.#data + 0x200 + 4 * random.below(16) };
    const sse = random.chance(50);
    const masks = random.chance(85) ? 0x3f : random.below(64);
    const mxcsr =
      (masks << 7) | (random.below(4) << 13) | (random.chance(20) ? 0x8040 & random.u32() : 0) | random.below(64);
    const fcw = 0x40 | masks | (random.pick([0, 2, 3, 3]) << 8) | (random.below(4) << 10);
    const store = this.#absolute([0xc7], 0);
    const load = sse ? this.#absolute([0x0f, 0xae], 2) : this.#absolute([0xd9], 5);
    return [
      this.#make.sure('mov', [...store, ...le(sse ? mxcsr : fcw, 4)], group, [{ ...address, at: store.length - 4 }]),
      this.#make.sure(sse ? 'ldmxcsr' : 'fldcw', load, group, [{ ...address, at: load.length - 4 }]),
    ];
  }

  /** An image of the x87 or SSE state: stored, the words that processors fill as they like made alike, perhaps loaded again. */
  #image(): Piece[] {
    const random = this.#random;
    if (this.#silent) return this.#instruction();
    const group = this.#groups++;
    const to = this.#data + 0x400 + 16 * random.below(0x80);
    const operation = (
      name: string,
      opcode: readonly number[],
      field: number,
      plus = 0,
      value: readonly number[] = [],
    ) => {
      const bytes = this.#absolute(opcode, field);
      const fixup: Fixup = { at: bytes.length - 4, size: 4, kind: 'absolute', to, plus };
      return this.#make.sure(name, [...bytes, ...value], group, [fixup]);
    };
    const even = (offsets: readonly number[]) => offsets.map((o) => operation('mov', [0xc7], 0, o, le(0x1f80, 4)));
    switch (random.below(3)) {
      case 0: {
        const middle = this.#body(random.below(3));
        const load = random.chance(60) ? [operation('fxrstor', [0x0f, 0xae], 1)] : [];
        return [
          operation('fxsave', [0x0f, 0xae], 0),
          ...even([8, 12, 16, 20, 28]),
          operation('mov', [0x66, 0xc7], 0, 6, [0, 0]),
          ...load,
          ...middle,
        ];
      }
      case 1: {
        const load = random.chance(60) ? [operation('frstor', [0xdd], 4)] : [];
        return [operation('fnsave', [0xdd], 6), ...even([12, 16, 20, 24]), ...load];
      }
      default: {
        const load = random.chance(60) ? [operation('fldenv', [0xd9], 4)] : [];
        return [operation('fnstenv', [0xd9], 6), ...even([12, 16, 20, 24]), ...load];
      }
    }
  }

  /** Rarely: an access at an address that is no address. */
  #nowhere(): Piece[] {
    if (this.#bits === 32 || this.#random.chance(93)) return this.#instruction();
    const group = this.#groups++;
    const register = this.#freeRegister();
    const value = BigInt.asUintN(64, (1n << 47n) + BigInt(this.#random.u32()));
    const rex = 0x48 | ((register >> 3) * 5);
    const modrm = 0x40 | ((register & 7) << 3) | (register & 7);
    const sib = (register & 7) === 4 ? [0x24] : [];
    const access = this.#make.sure('mov', [rex, this.#random.pick([0x8b, 0x89, 0x03, 0x31]), modrm, ...sib, 8], group);
    return [this.#load(register, value, group), access];
  }

  // ---- flags ------------------------------------------------------------------------------------------------------------

  /** Puts a comparison before whatever would read a flag that is undefined there. */
  #defineFlags(pieces: Piece[]): Piece[] {
    const result = [...pieces];
    for (;;) {
      const { bad } = undefinedFlagsOf(result);
      if (bad < 0) return result;
      const compare = this.#make.sure(
        'cmp',
        [0x83, 0xf8 | this.#random.below(8), this.#random.below(256)],
        result[bad].group,
      );
      if (compare.defines !== ARITHMETIC) throw new Error('CMP defines all flags');
      result.splice(bad, 0, compare);
    }
  }
}

const NO_STATE = new DataView(new ArrayBuffer(0));
