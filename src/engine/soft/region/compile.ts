/**
 * Compiles a region: some blocks as one Wasm function, one of whose arguments says which of them is entered. All are entries
 * but those in a loop, so that what leaves a region for a while comes back into it, and no block need be compiled twice; fewer
 * where the region runs so often that its code matters more.
 * Registers live in locals from the entry to the exit where there is a loop that is run often; the ways between blocks become
 * Wasm's own loops and blocks (graph.ts).
 *
 * Whether an instruction is interpreted or compiled makes no difference to anybody: COUNT is tested and paid where a block
 * is entered, as the interpreter does, and an instruction that a region leaves to the interpreter is gone on with in
 * mid-block. The function returns JUMP (RIP and all state are written back), RESUME or FAULT (at record CUR_REC), or what a
 * handler of core has answered.
 */
import type { CoreImports } from '../emit/machine-emitter.js';
import { FLOW } from '../isa/flow.js';
import { REGION } from '../jump.js';
import * as L from '../layout.js';
import { handOverFlags, LEAVE, LINK } from '../link.js';
import { FunctionBuilder, type Label } from '../wasm/function.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { type FlowGraph, flowGraph, isOnCycle } from './graph.js';
import { type RegionPage, RegionPages } from './pages.js';
import { wayOf } from './recent-pages.js';
import { type DecodedBlock, type DecodedRecord, targetOf } from './record.js';
import { meetStates, RegionEmitter, type RegionFrame, type RegionState, Unsupported } from './region-emitter.js';
import { emitSwitch } from './switch.js';

export interface CompiledRegion {
  readonly body: FunctionBuilder;
  /** Instructions compiled, for statistics. */
  readonly instructions: number;
  /** Blocks where it may be entered, by the number that says so; undefined: there is nothing compiled at its start. */
  readonly entries: readonly (RegionEntry | undefined)[];
  /** The pages that its code lies in, by their bit in the mask that it is given. */
  readonly pages: readonly RegionPage[];
}

export interface RegionEntry {
  readonly block: number;
  /** Number of the page that it begins in. */
  readonly page: number;
}

/** How a region is to be compiled. */
export interface RegionPlan {
  /** By block, the blocks that its indirect jump or return has been seen to go to. */
  readonly indirect: readonly (readonly number[])[];
  /** What loops the blocks have are not run often: see RegionRegisters. */
  readonly inPlace: boolean;
  /**
   * It is not entered where only one block leads to the next: more is known there then. Who leaves the region before such a
   * block comes back later than he could.
   */
  readonly fewEntries: boolean;
}

/**
 * @param blocks the entry first
 * @returns undefined where the entry's first instruction is one that regions leave alone
 */
export function compileRegion(
  blocks: readonly DecodedBlock[],
  plan: RegionPlan,
  imports: CoreImports,
): CompiledRegion | undefined {
  return new RegionCompiler(blocks, plan, imports).compile();
}

/** How the block being emitted goes on, as its last instruction has said. */
type Ending =
  | { readonly kind: 'branch'; readonly condition: boolean }
  | { readonly kind: 'jump' }
  | { readonly kind: 'gone' };

class RegionCompiler implements RegionFrame {
  readonly #f = new FunctionBuilder(REGION);
  readonly #e: RegionEmitter;
  readonly #blocks: readonly DecodedBlock[];
  readonly #link: number;
  readonly #leave: number;
  readonly #indirect: readonly (readonly number[])[];
  readonly #graph: FlowGraph;
  /** The first block, and by their pages the others that are entered from outside. */
  readonly #entries: readonly number[];
  readonly #byAddress = new Map<bigint, number>();
  readonly #pages: RegionPages;
  readonly #wrap: (address: bigint) => bigint;
  // Locals. Ways out: RIP, or with #rec the page and the record to go on at, whose bit 0 says that a fault is to be delivered.
  // 0 until a way out is taken: #rec, #from.
  readonly #rip: number;
  readonly #rec: number;
  readonly #from: number;
  /** The arguments (REGION): which of the dispatcher's blocks is next. */
  readonly #next = 0;
  readonly #page = 1;
  readonly #count = 2;
  /** Pages that are the memory that was compiled. Others are left before they are run. */
  readonly #checked = 3;
  /** Under which key of the jump cache they are. */
  readonly #key: number;
  #usesKey = false;
  readonly #drops: number;
  readonly #condition: number;
  readonly #target: number;
  #exit!: Label;
  /** Where all ways out in mid-block meet: what registers differ there is little, while at #exit all ways of all blocks meet. */
  #blockExit!: Label;
  readonly #loops: Label[] = [];
  readonly #merges: Label[] = [];
  /** By block: what all ways here so far agree on, and whether the dispatcher leads here also, which knows nothing. */
  readonly #arrivals: (RegionState | undefined)[];
  readonly #isDispatched: boolean[];
  // What is being emitted.
  #block!: DecodedBlock;
  #index = 0;
  #first!: DecodedRecord;
  #following = 0;
  #ending: Ending | undefined;
  #instructions = 0;
  /** Blocks whose first instruction is left to the interpreter. */
  readonly #useless = new Set<number>();

  constructor(blocks: readonly DecodedBlock[], { indirect, inPlace, fewEntries }: RegionPlan, imports: CoreImports) {
    const f = this.#f;
    this.#blocks = blocks;
    this.#indirect = indirect;
    const long = (blocks[0].mode & L.MODE_64) !== 0;
    this.#wrap = (a) => BigInt.asUintN(long ? 64 : 32, a);
    this.#arrivals = blocks.map(() => undefined);
    this.#isDispatched = blocks.map(() => false);
    this.#pages = new RegionPages(blocks, this.#wrap);
    for (const [i, b] of blocks.entries()) this.#byAddress.set(this.#wrap(b.page + BigInt(b.start)), i);
    const successors = blocks.map((_, i) => this.#successors(i));
    const page = (i: number) => this.#pages.numberOf(blocks[i]);
    const hasOneWay = (i: number) => successors.filter((list) => list.includes(i)).length === 1;
    const isEntry = (i: number) =>
      !isOnCycle(successors, i) && !beginsByFlags(blocks[i]) && !(fewEntries && hasOneWay(i));
    const others = blocks.map((_, i) => i).filter((i) => i > 0 && isEntry(i));
    this.#entries = [0, ...others.sort((a, b) => page(a) - page(b) || a - b)];
    this.#graph = flowGraph(successors, this.#entries);
    this.#rip = f.local('i64');
    this.#rec = f.local('i32');
    this.#from = f.local('i32');
    this.#key = f.local('i32');
    this.#drops = f.local('i32');
    this.#condition = f.local('i32');
    this.#target = f.local('i64');
    this.#link = imports.index('link', LINK.params, LINK.result);
    this.#leave = imports.index('leave', LEAVE.params, LEAVE.result);
    const loops = this.#graph.nodes.some((n) => n.loop);
    this.#e = new RegionEmitter(
      f,
      imports,
      this,
      blocks[0].mode,
      loadedRegisters(blocks),
      storedThrough(blocks),
      inPlace || !loops,
    );
  }

  /** Blocks of the region that block `i` leads to. */
  #successors(i: number): number[] {
    const block = this.#blocks[i];
    const list: number[] = [...this.#indirect[i]];
    const add = (address: bigint) => {
      const to = this.#byAddress.get(this.#wrap(address));
      if (to !== undefined) list.push(to);
    };
    const behind = block.page + BigInt(block.next);
    // What is named first is laid out first: the way on.
    if (block.flow === FLOW.branch || block.flow === FLOW.fall) add(behind);
    if (block.flow === FLOW.branch || block.flow === FLOW.jump || block.flow === FLOW.call) add(targetOf(block));
    return list;
  }

  // ---- the function ----------------------------------------------------------------------------------------------------------

  compile(): CompiledRegion | undefined {
    const f = this.#f;
    f.block((exit) => {
      this.#exit = exit;
      this.#tree(0);
    });
    if (this.#useless.has(0)) return undefined;
    this.#epilogue();
    f.inPrologue(() => this.#prologue());
    const entries = this.#entries.map((block) => {
      if (this.#useless.has(block)) return undefined;
      return { block, page: this.#pages.numberOf(this.#blocks[block]) };
    });
    return { body: f, instructions: this.#instructions, entries, pages: this.#pages.list };
  }

  #prologue(): void {
    const f = this.#f;
    const e = this.#e;
    f.set(e.pageLocal, w.localGet(this.#page, 'i64'));
    this.#enterOtherPages();
    if (this.#usesKey) f.set(this.#key, w.load('i32', w.i32c(0), L.JC_KEY));
    f.set(this.#drops, w.load('i32', w.i32c(0), L.REGION_DROPS));
    e.x87.enterAt(this.#entryDepth());
    e.loadRegisters();
  }

  /** How far the x87 stack's top has moved, in the compiled code's count, at the block that is entered. */
  #entryDepth(): Expr {
    const next = w.localGet(this.#next, 'i32');
    return this.#entries.reduce((other, block, number) => {
      const depth = this.#arrivals[block]?.x87.depth;
      return depth ? w.select(w.eq(next, w.i32c(number)), w.i32c(depth), other) : other;
    }, w.i32c(0));
  }

  /** All addresses are told from the first block's page; entries in others come later in the list. */
  #enterOtherPages(): void {
    const f = this.#f;
    const next = w.localGet(this.#next, 'i32');
    let page = this.#blocks[0].page;
    for (const [number, index] of this.#entries.entries()) {
      const block = this.#blocks[index];
      if (block.page === page) continue;
      page = block.page;
      const entryPage = w.sub(w.localGet(this.#page, 'i64'), w.i64c(page - this.#blocks[0].page));
      f.if(w.geU(next, w.i32c(number)), () => f.set(this.#e.pageLocal, entryPage));
    }
  }

  #epilogue(): void {
    const f = this.#f;
    const local = (index: number, type: 'i32' | 'i64') => w.localGet(index, type);
    this.#e.storeRegisters();
    const way = [local(this.#rip, 'i64'), local(this.#from, 'i32'), local(this.#count, 'i32')];
    f.if(w.eqz(local(this.#rec, 'i32')), () => f.returnCall(this.#link, way), undefined, true);
    f.returnCall(this.#leave, [...way, local(this.#rec, 'i32')]);
  }

  /** A node, and behind it what only it dominates. Node 0 is the dispatcher, node n block n - 1. */
  #tree(node: number): void {
    const { merged, loop } = this.#graph.nodes[node];
    if (!loop) {
      this.#within(node, merged.length - 1);
      return;
    }
    this.#f.loop((label) => {
      this.#loops[node] = label;
      this.#within(node, merged.length - 1);
    });
  }

  #within(node: number, i: number): void {
    if (i < 0) {
      if (node === 0) this.#dispatch();
      else this.#emitBlock(node - 1);
      return;
    }
    const behind = this.#graph.nodes[node].merged[i];
    this.#f.block((label) => {
      this.#merges[behind] = label;
      this.#within(node, i - 1);
    });
    this.#tree(behind);
  }

  #dispatch(): void {
    const { dispatched } = this.#graph;
    if (dispatched.length === 1) {
      this.#tree(1);
      return;
    }
    const labels = dispatched.map((b) => {
      this.#isDispatched[b] = true;
      return this.#merges[b + 1];
    });
    const next = w.localGet(this.#next, 'i32');
    this.#f.brTable(next, labels, labels[0]);
  }

  #emitBlock(index: number): void {
    const f = this.#f;
    const e = this.#e;
    const block = this.#blocks[index];
    this.#block = block;
    this.#index = index;
    e.delta = block.page - this.#blocks[0].page;
    // First what is known at its start, for a slice may end there.
    const all = index > 0 && !this.#graph.nodes[index + 1].loop && !this.#isDispatched[index];
    e.enterBlock(this.#arrivals[index], all);
    this.#arrivals[index] ??= e.save();
    this.#payFor(block);
    this.#ending = undefined;
    let whole = false;
    f.block((inside) => {
      f.block((exit) => {
        this.#blockExit = exit;
        whole = this.#emitRecords(block, index);
        if (whole) f.br(inside);
      });
      f.set(this.#rip, e.pageAddress());
      f.set(this.#from, w.i32c(block.header));
      f.br(this.#exit);
    });
    if (whole) this.#goOn(block);
  }

  /** @returns whether all of them could be compiled: then the block goes on */
  #emitRecords(block: DecodedBlock, index: number): boolean {
    const f = this.#f;
    const e = this.#e;
    this.#first = block.records[0];
    for (const [i, r] of block.records.entries()) {
      if (r.handler === L.H_FALL) {
        this.#ending = { kind: 'branch', condition: false };
        break;
      }
      this.#following = block.records[i + 1]?.address ?? 0;
      const state = e.save();
      if (!f.attempt(() => e.instruction(r), Unsupported)) {
        e.restore(state);
        if (this.#first === block.records[0]) this.#useless.add(index);
        this.leaveHere(w.i32c(0));
        return false;
      }
      if (!r.length) continue;
      this.#instructions++;
      this.#first = block.records[i + 1];
    }
    return true;
  }

  /** A slice ends, and events are looked at, where COUNT is used up. */
  #payFor(block: DecodedBlock): void {
    const f = this.#f;
    const count = w.localGet(this.#count, 'i32');
    f.if(w.leS(count, w.i32c(0)), () => this.#leaveTo(this.#e.at(block.start)), undefined, false);
    f.set(this.#count, w.sub(count, w.i32c(block.count)));
  }

  #goOn(block: DecodedBlock): void {
    const f = this.#f;
    const ending = this.#ending;
    if (!ending) throw new Error(`block ${block.header.toString(16)} does not say where it goes on`);
    if (ending.kind === 'gone') return;
    this.#e.publishFlags();
    if (ending.kind === 'jump') {
      this.#goToSeen();
      return;
    }
    const behind = this.#wrap(block.page + BigInt(block.next));
    if (block.flow === FLOW.fall) {
      this.#goTo(behind);
      return;
    }
    const taken = this.#wrap(targetOf(block));
    if (!ending.condition) {
      this.#goTo(taken);
      return;
    }
    const again = this.#place();
    f.if(w.localGet(this.#condition, 'i32'), () => this.#goTo(taken));
    again();
    this.#goTo(behind);
  }

  /** Comes back to the end of this block: the blocks on one way have been written, and another way is next. */
  #place(): () => void {
    const block = this.#block;
    const index = this.#index;
    const state = this.#e.save();
    return () => {
      this.#block = block;
      this.#index = index;
      this.#e.delta = block.page - this.#blocks[0].page;
      this.#e.restore(state);
    };
  }

  // ---- ways from block to block ----------------------------------------------------------------------------------------------

  /** On at `address`: a block of the region, or out. */
  #goTo(address: bigint): void {
    const to = this.#byAddress.get(address);
    const rip = this.#e.fromEntry(address - this.#blocks[0].page);
    if (to === undefined) this.#leaveTo(rip);
    else this.#goToBlock(to, rip);
  }

  #goToBlock(to: number, rip: Expr): void {
    const f = this.#f;
    const e = this.#e;
    const state = e.save();
    const known = this.#arrivals[to];
    // Where the top of the x87 stack is must be the same on all ways.
    if (known && known.x87.depth !== state.x87.depth) {
      this.#leaveTo(rip);
      return;
    }
    this.#arrivals[to] = known ? meetStates(known, state) : state;
    e.publishFlags();
    if (this.#blocks[to].page !== this.#block.page || this.#blocks[to].host2) this.#checkPages(this.#blocks[to], rip);
    const { nodes, dispatched } = this.#graph;
    const node = nodes[to + 1];
    if (this.#graph.detours(this.#index, to)) {
      f.set(this.#next, w.i32c(dispatched.indexOf(to)));
      f.br(this.#loops[0]);
    } else if (node.order <= nodes[this.#index + 1].order) f.br(this.#loops[to + 1]);
    else {
      if (node.merge) f.br(this.#merges[to + 1]);
      else this.#tree(to + 1);
    }
  }

  /** On at the address in #target, if that is a block that this jump is known to go to. */
  #goToSeen(): void {
    const f = this.#f;
    const e = this.#e;
    const targets = this.#indirect[this.#index];
    const rip = w.localGet(this.#target, 'i64');
    const again = this.#place();
    const cases = targets.map((to) => {
      const { page, start } = this.#blocks[to];
      const go = () => {
        again();
        this.#goToBlock(to, rip);
      };
      return { offset: start, address: () => e.fromEntry(page - this.#blocks[0].page + BigInt(start)), go };
    });
    emitSwitch(f, rip, cases, () => {
      again();
      this.#leaveTo(rip, true);
    });
  }

  /** Into other pages only while they are the memory that was compiled. */
  #checkPages(to: DecodedBlock, rip: Expr): void {
    const mask = w.i32c(this.#pages.maskOf(to));
    const isThere = w.and(w.localGet(this.#checked, 'i32'), mask);
    this.#f.if(w.ne(isThere, mask), () => this.#leaveTo(rip), undefined, false);
  }

  /** @param indirect the address is known at run time only */
  #leaveTo(rip: Expr, indirect = false): void {
    const f = this.#f;
    this.#publishOnWayOut();
    f.set(this.#rip, rip);
    if (indirect) f.set(this.#from, w.i32c(this.#block.header));
    f.br(this.#exit);
  }

  /** On the way that stays nothing has been published. */
  #publishOnWayOut(): void {
    const { flags } = this.#e;
    this.#e.publishFlags();
    this.#e.flags = flags;
  }

  /** @param faulted 1: to have the pending fault delivered; 0: to go on with the record */
  #leaveAt(record: number, faulted: Expr): void {
    const f = this.#f;
    this.#publishOnWayOut();
    f.set(
      this.#rec,
      faulted.constant === undefined ? w.or(w.i32c(record), faulted) : w.i32c(record | Number(faulted.constant)),
    );
    f.br(this.#blockExit);
  }

  // ---- RegionFrame -------------------------------------------------------------------------------------------------------------

  leaveHere(faulted: Expr): void {
    this.#leaveAt(this.#first.address, faulted);
  }

  /** Calls a handler with all state written back; leaves the region unless its answer says that it may go on. */
  #callOut(call: () => Expr, mayGoOn: (code: Expr) => Expr): void {
    const f = this.#f;
    const e = this.#e;
    const put = (value: Expr, address: number) => f.do(w.store(value.type as 'i32' | 'i64', w.i32c(0), value, address));
    e.storeFlags();
    e.x87.publish();
    f.later(() => e.storeRegisters());
    put(w.localGet(this.#count, 'i32'), L.COUNT);
    put(w.i32c(this.#block.header), L.CUR_BLOCK);
    put(e.pageAddress(), L.REGS + L.R_PAGE);
    const code = f.let(call());
    f.if(w.eqz(mayGoOn(code)), () => f.return(code), undefined, false);
  }

  callLastHandler(call: () => Expr): void {
    const f = this.#f;
    // What else a handler may answer is NEXT or JUMP.
    this.#callOut(call, (code) => w.and(w.ne(code, w.i32c(L.FAULT)), w.ne(code, w.i32c(L.LEAVE))));
    handOverFlags(f);
    const field = (type: 'i32' | 'i64', address: number) => w.load(type, w.i32c(0), address);
    f.returnCall(this.#link, [field('i64', L.RIP), w.i32c(this.#block.header), field('i32', L.COUNT)]);
    this.#ending = { kind: 'gone' };
  }

  callHandler(call: () => Expr): void {
    const f = this.#f;
    const e = this.#e;
    const get = (local: number, type: 'i32' | 'i64', address: number) => f.set(local, w.load(type, w.i32c(0), address));
    this.#callOut(call, (code) => w.eqz(code));
    f.later(() => e.loadRegisters());
    e.loadFlags();
    e.forgetChecks();
    get(this.#count, 'i32', L.COUNT);
    if (this.#pages.list.length > 1) {
      this.#usesKey = true;
      const unchanged = w.eq(w.localGet(this.#key, 'i32'), w.load('i32', w.i32c(0), L.JC_KEY));
      f.set(
        this.#checked,
        w.select(unchanged, w.localGet(this.#checked, 'i32'), w.i32c(this.#pages.maskOf(this.#block))),
      );
    }
    // The handler may have written over the code that is running.
    const dropped = w.ne(w.load('i32', w.i32c(0), L.REGION_DROPS), w.localGet(this.#drops, 'i32'));
    f.if(dropped, () => this.#leaveAt(this.#following, w.i32c(0)), undefined, false);
  }

  get block(): number {
    return this.#block.header;
  }

  nextRip(): Expr {
    return this.#e.at(this.#block.next);
  }

  branch(condition: Expr | undefined): void {
    if (this.#block.flow === FLOW.none) throw new Unsupported('a branch that cuts RIP to 16 bits');
    if (condition) this.#f.set(this.#condition, condition);
    this.#ending = { kind: 'branch', condition: condition !== undefined };
  }

  jump(rip: Expr): void {
    this.#f.set(this.#target, rip);
    this.#ending = { kind: 'jump' };
  }
}

/** What reads the flags that the block before has left. */
const READS_FLAGS = /^(j(?!mp|r?cxz|ecxz)\w+|set\w+|cmov\w+|adc|sbb|rc[lr]|cmc|lahf|pushf)$/;

/**
 * Whether what the flags are matters where the block begins. Who entered a region there would not know, and neither would
 * the code then, on all ways.
 */
function beginsByFlags({ records }: DecodedBlock): boolean {
  return READS_FLAGS.test(records.find((r) => r.length > 0)?.spec?.instruction.name ?? '');
}

/** General registers that a move fills from memory. */
function loadedRegisters(blocks: readonly DecodedBlock[]): Set<number> {
  const loaded = new Set<number>();
  for (const { records } of blocks)
    for (const { spec, a, b } of records) {
      if (spec?.instruction.name !== 'mov') continue;
      const [to, from] = spec.operands;
      if (to?.kind === 'gpr' && to.size >= 4 && from?.kind === 'mem') loaded.add((to.field === 'a' ? a : b) >> 3);
    }
  return loaded;
}

/** What has its first operand in memory and only reads it. */
const READS = /^(cmp|test|bt|push|call|jmp|nop|prefetch\w*|f(?!i?stp?|isttp)\w+|i?mul|i?div)$/;

/** What the region stores through. */
function storedThrough(blocks: readonly DecodedBlock[]): Set<string> {
  const ways = new Set<string>();
  for (const { records } of blocks)
    for (const { spec, base, index } of records)
      if (spec?.operands[0]?.kind === 'mem' && !READS.test(spec.instruction.name)) ways.add(wayOf(base, index));
  return ways;
}
