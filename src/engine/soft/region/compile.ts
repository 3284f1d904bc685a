/**
 * Compiles a region: some blocks with one entry, as one Wasm function. Blocks are laid out in reverse postorder inside nested
 * Wasm blocks, so a branch forward is a `br`; one backward goes through a br_table at the top of a loop, or straight to the
 * loop around a single block. Registers live in locals from the region's entry to its exit.
 *
 * The function returns JUMP (RIP and all state are written back) or LEAVE, as core's handlers do.
 */
import type { CoreImports } from '../emit/machine-emitter.js';
import * as L from '../layout.js';
import { FunctionBuilder, type Label } from '../wasm/function.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { type DecodedBlock, type DecodedRecord, successorsOf } from './record.js';
import { type FlagState, RegionEmitter, type RegionFrame, Unsupported } from './region-emitter.js';

interface Node {
  readonly block: DecodedBlock;
  readonly index: number;
  /** Linear address of its first instruction. */
  readonly address: bigint;
  /** Flags that all ways here agree on; undefined while no way has been emitted. */
  flagsIn: FlagState | undefined;
  loop: Label | undefined;
}

export interface CompiledRegion {
  readonly body: FunctionBuilder;
  /** Instructions compiled, for statistics. */
  readonly instructions: number;
}

const { JUMP } = L;

/**
 * @param blocks entry first
 * @returns undefined where the entry's first instruction is one that regions leave alone
 */
export function compileRegion(blocks: readonly DecodedBlock[], imports: CoreImports): CompiledRegion | undefined {
  return new RegionCompiler(blocks, imports).compile();
}

class RegionCompiler implements RegionFrame {
  readonly #imports: CoreImports;
  readonly #f = new FunctionBuilder({ params: [], result: 'i32' });
  readonly #e: RegionEmitter;
  readonly #entry: DecodedBlock;
  readonly #nodes: Node[];
  readonly #byAddress = new Map<bigint, Node>();
  readonly #wrap: (address: bigint) => bigint;
  /** Return sites inside the region: where a RET may go on. */
  readonly #sites: Node[] = [];
  readonly #rip: number;
  readonly #faulted: number;
  /** The interpreter has to do the entry's first instruction. */
  readonly #again: number;
  readonly #count: number;
  readonly #next: number;
  #exit!: Label;
  #top!: Label;
  #labels: Label[] = [];
  // The instruction being emitted.
  #node!: Node;
  #offset = 0;
  #done = 0;
  #length = 0;
  #instructions = 0;
  /** The entry's first instruction is the interpreter's. */
  #hopeless = false;

  constructor(blocks: readonly DecodedBlock[], imports: CoreImports) {
    const f = this.#f;
    this.#imports = imports;
    this.#entry = blocks[0];
    const long = (this.#entry.mode & L.MODE_64) !== 0;
    this.#wrap = (a) => BigInt.asUintN(long ? 64 : 32, a);
    this.#rip = f.local('i64');
    this.#faulted = f.local('i32');
    this.#again = f.local('i32');
    this.#count = f.local('i32');
    this.#next = f.local('i32');
    this.#e = new RegionEmitter(f, imports, this, this.#entry.mode);
    this.#nodes = this.#order(blocks);
  }

  // ---- order ---------------------------------------------------------------------------------------------------------------

  #order(blocks: readonly DecodedBlock[]): Node[] {
    const byAddress = new Map(blocks.map((b) => [this.#wrap(b.page + BigInt(b.start)), b]));
    const seen = new Set<bigint>();
    const post: bigint[] = [];
    const sites = new Set<bigint>();
    const visit = (address: bigint): void => {
      const block = byAddress.get(address);
      if (!block || seen.has(address)) return;
      seen.add(address);
      const { taken, next, isCall } = successorsOf(block, this.#wrap);
      if (isCall && next !== undefined) sites.add(next);
      // The way that is laid out next is visited last.
      if (next !== undefined) visit(next);
      if (taken !== undefined) visit(taken);
      post.push(address);
    };
    visit(this.#wrap(this.#entry.page + BigInt(this.#entry.start)));
    const nodes = post.reverse().map((address, index): Node => {
      return { block: byAddress.get(address)!, index, address, flagsIn: undefined, loop: undefined };
    });
    for (const n of nodes) {
      this.#byAddress.set(n.address, n);
      if (sites.has(n.address)) this.#sites.push(n);
    }
    return nodes;
  }

  // ---- the function ----------------------------------------------------------------------------------------------------------

  compile(): CompiledRegion | undefined {
    const f = this.#f;
    f.block((exit) => {
      this.#exit = exit;
      f.loop((top) => {
        this.#top = top;
        this.#nest(this.#nodes.length - 1);
      });
    });
    if (this.#hopeless) return undefined;
    this.#epilogue();
    f.inPrologue(() => this.#prologue());
    return { body: f, instructions: this.#instructions };
  }

  #prologue(): void {
    const f = this.#f;
    const e = this.#e;
    f.set(e.pageLocal, w.load('i64', w.i32c(0), L.REGS + L.R_PAGE));
    f.set(e.tlbLocal, w.load('i32', w.i32c(0), L.TLB_CUR));
    // The interpreter has taken the entry block's length off already.
    const entered = w.i32c(instructionsIn(this.#entry.records));
    f.set(this.#count, w.add(w.load('i32', w.i32c(0), L.COUNT), entered));
    e.loadRegisters();
    e.loadFlags();
  }

  #epilogue(): void {
    const f = this.#f;
    this.#e.storeRegisters();
    this.#e.storeFlags();
    f.do(w.store('i64', w.i32c(0), w.localGet(this.#rip, 'i64'), L.RIP));
    f.do(w.store('i32', w.i32c(0), w.localGet(this.#count, 'i32'), L.COUNT));
    f.if(w.localGet(this.#faulted, 'i32'), () =>
      f.return(w.call(this.#imports.index('regionFault', [], 'i32'), 'i32', [])),
    );
    f.return(w.select(w.localGet(this.#again, 'i32'), w.i32c(L.AGAIN), w.i32c(JUMP)));
  }

  #nest(i: number): void {
    const f = this.#f;
    if (i < 0) {
      const next = w.localGet(this.#next, 'i32');
      f.brIf(this.#labels[0], w.eqz(next));
      f.brTable(next, this.#labels, this.#labels[0]);
      return;
    }
    f.block((label) => {
      this.#labels[i] = label;
      this.#nest(i - 1);
    });
    this.#block(this.#nodes[i]);
  }

  #block(node: Node): void {
    const e = this.#e;
    this.#node = node;
    e.delta = node.block.page - this.#entry.page;
    // The entry is reached from outside, and whatever has a way back is reached with other flags than those seen so far.
    e.flags = node.index === 0 || this.#hasWayBack(node) ? 'unknown' : (node.flagsIn ?? 'unknown');
    const loops = this.#successors(node).includes(node.address);
    if (loops) {
      e.flags = 'unknown';
      this.#f.loop((label) => {
        node.loop = label;
        this.#instructionsOf(node);
      });
      node.loop = undefined;
    } else this.#instructionsOf(node);
  }

  #successors(node: Node): bigint[] {
    const { taken, next, isCall } = successorsOf(node.block, this.#wrap);
    return [taken, isCall ? undefined : next].filter((a) => a !== undefined);
  }

  /** Whether a block laid out later, or a RET, may come here. */
  #hasWayBack(node: Node): boolean {
    if (this.#sites.includes(node)) return true;
    return this.#nodes.some((n) => n.index >= node.index && this.#successors(n).includes(node.address));
  }

  #instructionsOf(node: Node): void {
    const f = this.#f;
    const { records, start, next } = node.block;
    const { length, cut } = this.#supported(node);
    this.#length = cut ? length : instructionsIn(records);
    this.#instructions += this.#length;
    f.set(this.#count, w.sub(w.localGet(this.#count, 'i32'), w.i32c(this.#length)));
    this.#offset = start;
    this.#done = 0;
    this.#e.enterBlock();
    for (const r of records) {
      if (cut && this.#done === length) {
        this.#leaveTo(this.#e.at(this.#offset));
        return;
      }
      if (r.handler === L.H_FALL) {
        this.#goTo(this.#wrap(node.block.page + BigInt(next)));
        return;
      }
      this.#e.instruction(r);
      this.#offset += r.length;
      if (r.length) this.#done++;
    }
  }

  /** How many instructions of a block can be compiled: a first pass whose code is thrown away. */
  #supported(node: Node): { length: number; cut: boolean } {
    const e = this.#e;
    const { flags } = e;
    const known = this.#nodes.map((n) => n.flagsIn);
    let length = 0;
    let cut = false;
    this.#offset = node.block.start;
    this.#done = 0;
    this.#length = 0;
    e.enterBlock();
    try {
      this.#f.attempt(() => {
        for (const r of node.block.records) {
          if (r.handler === L.H_FALL) break;
          e.instruction(r);
          if (r.length) length++;
        }
      });
    } catch (error) {
      if (!(error instanceof Unsupported)) throw error;
      cut = true;
    }
    e.flags = flags;
    this.#nodes.forEach((n, i) => {
      n.flagsIn = known[i];
    });
    if (cut && length === 0 && node.index === 0) this.#hopeless = true;
    return { length, cut };
  }

  // ---- ways out (RegionFrame) ------------------------------------------------------------------------------------------------

  leaveHere(faulted: Expr): void {
    const f = this.#f;
    f.set(this.#faulted, faulted);
    if (this.#node.index === 0 && this.#done === 0) f.set(this.#again, w.i32c(1));
    f.set(this.#count, w.add(w.localGet(this.#count, 'i32'), w.i32c(this.#length - this.#done)));
    this.#leaveTo(this.#e.at(this.#offset));
  }

  #leaveTo(rip: Expr): void {
    this.#e.publishFlags();
    this.#f.set(this.#rip, rip);
    this.#f.br(this.#exit);
  }

  nextRip(): Expr {
    return this.#e.at(this.#node.block.next);
  }

  branch(condition: Expr | undefined, short: boolean): void {
    const { block } = this.#node;
    const last = block.records.at(-1)!;
    if (short) throw new Unsupported('a branch that cuts RIP to 16 bits');
    const taken = this.#wrap(block.page + BigInt(block.next) + BigInt(last.imm));
    if (!condition) {
      this.#goTo(taken);
      return;
    }
    this.#f.if(condition, () => this.#goTo(taken));
    this.#goTo(this.#wrap(block.page + BigInt(block.next)));
  }

  jump(rip: Expr): void {
    for (const site of this.#sites) {
      if (this.#node.block.records.at(-1)!.spec!.instruction.name !== 'ret') break;
      const here = this.#e.fromEntry(site.block.page - this.#entry.page + BigInt(site.block.start));
      this.#f.if(w.eq(rip, here), () => this.#goTo(site.address));
    }
    this.#leaveTo(rip);
  }

  /** On at `address`: a block of the region, or out. */
  #goTo(address: bigint): void {
    const f = this.#f;
    const e = this.#e;
    const rip = e.fromEntry(address - this.#entry.page);
    const target = this.#byAddress.get(address);
    if (!target) {
      this.#leaveTo(rip);
      return;
    }
    e.publishFlags();
    if (target.block.page !== this.#node.block.page) this.#checkMapping(target, rip);
    if (target.index > this.#node.index) {
      if (target.flagsIn === undefined) target.flagsIn = e.flags;
      else if (target.flagsIn !== e.flags) target.flagsIn = 'unknown';
      f.br(this.#labels[target.index]);
      return;
    }
    // Backwards: the only places where a slice may end.
    f.if(w.leS(w.localGet(this.#count, 'i32'), w.i32c(0)), () => this.#leaveTo(rip));
    if (target.loop) {
      f.br(target.loop);
      return;
    }
    f.set(this.#next, w.i32c(target.index));
    f.br(this.#top);
  }

  /** Another page: go on only while it is the memory that was compiled. */
  #checkMapping(target: Node, rip: Expr): void {
    const f = this.#f;
    f.scope(() => {
      const linear = f.let(this.#e.fromEntry(target.block.page - this.#entry.page));
      const entry = this.#e.tlbEntry(linear);
      const there = w.eq(w.load('i64', entry, L.TLB_EXEC), linear);
      const same = w.eq(w.add(w.wrap(linear), w.load('i32', entry, L.TLB_ADDEND)), w.i32c(target.block.host));
      f.if(w.eqz(w.and(there, same)), () => this.#leaveTo(rip));
    });
  }
}

function instructionsIn(records: readonly DecodedRecord[]): number {
  return records.reduce((n, r) => n + (r.length ? 1 : 0), 0);
}
