/**
 * From definitions to handlers and decode tables. Every encoding accepts a set of decoder states (pattern.ts); for each
 * opcode, the states are told apart by a small tree of selector nodes whose leaves say which handler runs and where its
 * operands come from (tables.ts has the format). Equal subtrees and leaves are shared.
 */
import { H_UD, TABLES } from '../layout.js';
import * as T from '../tables.js';
import type { HandlerSpec, Instruction, InstructionList } from './define.js';
import { type Candidate, type Leaf, leafOf, type State } from './leaf.js';
import { effectiveSize, parseOperands, parsePattern } from './pattern.js';

export interface Expansion {
  /** All handlers, each once, in definition order. */
  readonly handlers: readonly HandlerSpec[];
  /** The bytes to place at TABLES. @throws RangeError where they would not fit below 1 MiB. */
  buildTables(numberOf: (handler: HandlerSpec) => number): Uint8Array;
}

type Node = { readonly id: number; readonly leaf: Leaf | undefined; readonly shift: number; readonly children: Node[] };

const TABLES_END = 0x100000;

function candidateOf(instruction: Instruction, patternText: string, operandText: string): Candidate {
  const fail = (why: string): never => {
    throw new Error(`${instruction.name} "${patternText}" "${operandText}": ${why}`);
  };
  const pattern = parsePattern(patternText);
  const operands = parseOperands(operandText);
  let mod3 = pattern.mod3;
  for (const o of operands) {
    if (['rm', 'reg', 'mem'].includes(o.kind) && !pattern.modrm) fail(`operand ${o.text} needs /r or /n`);
    if (o.kind === 'opcode' && !pattern.plusR) fail(`operand ${o.text} needs +r`);
    if ((o.kind === 'vvvv' || o.kind === 'imm4') && !pattern.vex) fail(`operand ${o.text} needs VEX`);
    if (o.kind === 'rm' || o.kind === 'mem') mod3 &= o.forms;
  }
  if (!mod3) fail('neither a register nor a memory form is left');
  if (operands.filter((o) => o.kind === 'rm' || o.kind === 'mem').length > 1) fail('two operands in rm');
  const ignoresMod = operands.some((o) => o.file === 'cr' || o.file === 'dr');
  return { instruction, pattern, operands, mod3, ignoresMod };
}

// ---- what a candidate accepts -------------------------------------------------------------------------------------------

/** Selector fields in the order in which trees test them. */
const DIMENSIONS = [
  ['long', T.S_LONG, 2],
  ['prot', T.S_PROTECTED, 2],
  ['prefix', T.S_PREFIX, 4],
  ['reg', T.S_REG, 8],
  ['mod3', T.S_MOD3, 2],
  ['rm', T.S_RM, 8],
  ['rexb', T.S_REXB, 2],
  ['size', T.S_SIZE, 3],
  ['w', T.S_W, 2],
  ['l', T.S_L, 2],
  ['addr', T.S_ADDR, 3],
  ['slow', T.S_SLOW, 2],
] as const;

type Dimension = (typeof DIMENSIONS)[number][0];
type Sets = Readonly<Record<Dimension, number>>;

const hasGpr = (c: Candidate) =>
  c.operands.some((o) => o.file === 'gpr' && ['rm', 'reg', 'vvvv', 'opcode'].includes(o.kind));

/** Sizes (raw) that the candidate accepts in a mode, as bits. */
function rawSizes(c: Candidate, long: number): number {
  let accepted = 0;
  for (let raw = 0; raw < (long ? 3 : 2); raw++)
    if (c.pattern.size & (1 << effectiveSize(c.pattern, long, raw))) accepted |= 1 << raw;
  // VEX.W chooses the size of general registers; outside 64-bit mode it is ignored there (SDM vol. 2, 2.3.5.5).
  if (c.pattern.vex && hasGpr(c) && c.pattern.w !== 3) accepted &= c.pattern.w === 1 ? 3 : long ? 4 : 0;
  return accepted;
}

function setsOf(c: Candidate, exactBesidePlusR: boolean): Sets {
  const p = c.pattern;
  const sizes = rawSizes(c, 0) | rawSizes(c, 1);
  return {
    long: (rawSizes(c, 0) ? p.long & 1 : 0) | (rawSizes(c, 1) ? p.long & 2 : 0),
    prot: c.instruction.attributes.protectedOnly ? 2 : 3,
    prefix: p.prefix,
    reg: p.reg,
    mod3: c.ignoresMod || !p.modrm ? 3 : c.mod3,
    rm: p.rm,
    // 90 is NOP, but XCHG r8 with REX.B: an exact opcode among +r ones stands for the register without REX.B.
    rexb: exactBesidePlusR ? 1 : 3,
    size: sizes,
    w: p.vex && hasGpr(c) ? 3 : p.w,
    l: p.l,
    addr: p.address,
    slow: 3,
  };
}

/** Whether every state that `a` accepts is accepted by `b` too, and not the other way round. */
function moreSpecific(a: Entry, b: Entry): boolean {
  const within = (x: Entry, y: Entry) =>
    DIMENSIONS.every(([d]) => d === 'size' || (x.sets[d] & ~y.sets[d]) === 0) &&
    [0, 1].every((long) => !(x.sets.long & (1 << long)) || (rawSizes(x.c, long) & ~rawSizes(y.c, long)) === 0);
  if (a.c.pattern.plusR !== b.c.pattern.plusR) return b.c.pattern.plusR;
  // A mandatory prefix selects before anything else does.
  const [p, q] = [a.sets.prefix, b.sets.prefix];
  if (p !== q && (p === 15 || q === 15)) return q === 15;
  return within(a, b) && !within(b, a);
}

type Entry = { readonly c: Candidate; readonly sets: Sets };

/** Whether a tree must test the dimension to place the candidate or to know its leaf. */
function cares(e: Entry, d: Dimension, count: number): boolean {
  const { instruction, operands, pattern } = e.c;
  if (d !== 'size' && e.sets[d] !== (1 << count) - 1) return true;
  switch (d) {
    case 'long':
      return true;
    case 'size':
      return true;
    case 'mod3':
      return !e.c.ignoresMod && pattern.modrm && operands.some((o) => o.kind === 'rm');
    case 'slow':
      return instruction.attributes.stack === true;
    default:
      return false;
  }
}

class TreeBuilder {
  readonly #nodes = new Map<string, Node>();
  readonly #leafIds = new Map<string, Node>();
  readonly #undefinedLeaf = this.#node(undefined, 0, []);

  #node(leaf: Leaf | undefined, shift: number, children: Node[]): Node {
    if (leaf) {
      let node = this.#leafIds.get(leaf.id);
      if (!node) {
        node = { id: this.#nodes.size + this.#leafIds.size, leaf, shift: 0, children: [] };
        this.#leafIds.set(leaf.id, node);
      }
      if (node.leaf!.handler.instruction !== leaf.handler.instruction) throw sameHandler(leaf.handler.key);
      return node;
    }
    const key = `${shift}:${children.map((c) => c.id).join()}`;
    let node = this.#nodes.get(key);
    if (!node) {
      node = { id: this.#nodes.size + this.#leafIds.size, leaf: undefined, shift, children };
      this.#nodes.set(key, node);
    }
    return node;
  }

  isUndefined(node: Node): boolean {
    return node === this.#undefinedLeaf;
  }

  get undefinedNode(): Node {
    return this.#undefinedLeaf;
  }

  build(entries: readonly Entry[], depth: number, state: State): Node {
    if (entries.length === 0) return this.#undefinedLeaf;
    if (depth === DIMENSIONS.length) return this.#node(this.#winner(entries, state), 0, []);
    const [dimension, shift, count] = DIMENSIONS[depth];
    if (!entries.some((e) => cares(e, dimension, count))) return this.build(entries, depth + 1, state);
    const children: Node[] = [];
    for (let value = 0; value < count; value++) {
      if ((dimension === 'size' && value === 2 && !state.long) || (dimension === 'slow' && value && state.long)) {
        children.push(children[value - 1]); // can't be: a 64-bit size outside, a slow stack in 64-bit mode
        continue;
      }
      const matching = entries.filter(
        (e) => e.sets[dimension] & (1 << value) && (dimension !== 'size' || rawSizes(e.c, state.long) & (1 << value)),
      );
      children.push(this.build(matching, depth + 1, { ...state, [dimension]: value }));
    }
    if (count === 3) children.push(children[2]);
    if (children.every((c) => c === children[0])) return children[0];
    return this.#node(undefined, shift, children);
  }

  #winner(entries: readonly Entry[], state: State): Leaf {
    const best = entries.filter((e) => entries.every((other) => other === e || moreSpecific(e, other)));
    if (best.length !== 1) {
      const names = entries.map((e) => `${e.c.instruction.name} "${e.c.pattern.text}"`).join(' and ');
      throw new Error(`encodings overlap: ${names}`);
    }
    return leafOf(best[0].c, state);
  }
}

/** One tree for each map and opcode, in root order; undefined where no encoding has the opcode. */
function buildRoots(candidates: readonly Candidate[], builder: TreeBuilder): (Node | undefined)[] {
  const byOpcode = new Map<number, Candidate[]>();
  for (const c of candidates) {
    const { map, opcode, plusR } = c.pattern;
    for (let i = 0; i < (plusR ? 8 : 1); i++) {
      const root = map * 256 + opcode + i;
      byOpcode.set(root, [...(byOpcode.get(root) ?? []), c]);
    }
  }
  const roots: (Node | undefined)[] = new Array(T.MAPS * 256).fill(undefined);
  const start: State = { long: 0, mod3: 1, size: 1, slow: 0 };
  for (const [root, list] of byOpcode) {
    if (list.some((c) => c.pattern.modrm !== list[0].pattern.modrm))
      throw new Error(`one opcode with and without ModRM: ${list.map((c) => c.pattern.text).join(' and ')}`);
    const mixed = list.some((c) => c.pattern.plusR);
    const entries = list.map((c) => ({ c, sets: setsOf(c, mixed && !c.pattern.plusR) }));
    roots[root] = builder.build(entries, 0, start);
  }
  return roots;
}

class TableWriter {
  readonly #view: DataView;
  readonly #at = new Map<number, number>();
  readonly #numberOf: (handler: HandlerSpec) => number;
  #end = T.MAPS * 1024;

  constructor(numberOf: (handler: HandlerSpec) => number) {
    this.#view = new DataView(new ArrayBuffer(TABLES_END - TABLES));
    this.#numberOf = numberOf;
  }

  #allocate(bytes: number): number {
    const at = this.#end;
    this.#end += (bytes + 7) & ~7;
    if (this.#end > TABLES_END - TABLES) throw new RangeError('decode tables are larger than the space at TABLES');
    return at;
  }

  root(index: number, node: Node, modrm: boolean): void {
    this.#view.setInt32(index * 4, this.#place(node) | (modrm ? T.T_MODRM : 0), true);
  }

  /** Address of a node in linear memory, with T_LEAF. */
  #place(node: Node): number {
    let entry = this.#at.get(node.id);
    if (entry === undefined) {
      entry = node.children.length ? this.#inner(node) : this.#leaf(node.leaf);
      this.#at.set(node.id, entry);
    }
    return entry;
  }

  #inner(node: Node): number {
    const children = node.children.map((c) => this.#place(c));
    const at = this.#allocate(4 + 4 * children.length);
    this.#view.setInt32(at, node.shift | ((children.length - 1) << 8), true);
    children.forEach((child, i) => {
      this.#view.setInt32(at + 4 + 4 * i, child, true);
    });
    return TABLES + at;
  }

  #leaf(leaf: Leaf | undefined): number {
    const at = this.#allocate(T.LEAF_SIZE);
    this.#view.setUint16(at + T.L_HANDLER, leaf ? this.#numberOf(leaf.handler) : H_UD, true);
    if (leaf) {
      this.#view.setUint16(at + T.L_FLAGS, leaf.flags, true);
      const bytes: [offset: number, value: number][] = [
        [T.L_A, leaf.plans[0]],
        [T.L_B, leaf.plans[1]],
        [T.L_C, leaf.plans[2]],
        [T.L_D, leaf.plans[3]],
        [T.L_IMM, leaf.immediate],
        [T.L_SIZE, leaf.memorySize],
        [T.L_SCALE, leaf.scale],
        [T.L_POP, leaf.popBytes],
      ];
      for (const [offset, value] of bytes) this.#view.setUint8(at + offset, value);
    }
    return (TABLES + at) | T.T_LEAF;
  }

  bytes(): Uint8Array {
    return new Uint8Array(this.#view.buffer, 0, this.#end);
  }
}

/** Expands definitions. @throws Error where one is malformed, or two accept the same bytes and neither is more specific. */
export function expand(instructions: readonly Instruction[] | InstructionList): Expansion {
  const list = 'instructions' in instructions ? instructions.instructions : instructions;
  const candidates = list.flatMap((i) => i.encodings.map(([pattern, operands]) => candidateOf(i, pattern, operands)));
  const builder = new TreeBuilder();
  const roots = buildRoots(candidates, builder);
  const handlers = uniqueHandlers(roots, list);
  const modrm = new Set(candidates.filter((c) => c.pattern.modrm).map((c) => c.pattern.map * 256 + c.pattern.opcode));
  return {
    handlers: [...handlers.values()],
    buildTables(numberOf) {
      const writer = new TableWriter((spec) => numberOf(handlers.get(spec.key)!));
      roots.forEach((node, index) => {
        if (node && !builder.isUndefined(node)) writer.root(index, node, modrm.has(index));
      });
      return writer.bytes();
    },
  };
}

const sameHandler = (key: string): Error =>
  new Error(`two definitions make the handler ${key}: give one another name or param`);

function uniqueHandlers(roots: readonly (Node | undefined)[], list: readonly Instruction[]): Map<string, HandlerSpec> {
  const found = new Map<string, HandlerSpec>();
  const seen = new Set<number>();
  const visit = (node: Node): void => {
    if (seen.has(node.id)) return;
    seen.add(node.id);
    node.children.forEach(visit);
    if (!node.leaf) return;
    const handler = node.leaf.handler;
    const same = found.get(handler.key);
    if (same && same.instruction !== handler.instruction) throw sameHandler(handler.key);
    if (!same) found.set(handler.key, handler);
  };
  for (const root of roots) if (root) visit(root);
  const order = new Map(list.map((instruction, i) => [instruction, i]));
  return new Map([...found].sort(([, a], [, b]) => order.get(a.instruction)! - order.get(b.instruction)!));
}
