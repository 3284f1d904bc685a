/**
 * Generates the interpreter: one function `run` that looks blocks up, walks their records and leaves through a br_table
 * into the hot handlers; everything else is a function of its own behind a table. Runs at build time (generate.ts).
 */
import { type HandlerContext, InterpreterEmitter } from './emit/interpreter-emitter.js';
import type { CoreImports } from './emit/machine-emitter.js';
import { ModuleImports } from './emit/module-imports.js';
import type { HandlerSpec } from './isa/define.js';
import { RARE_TESTS, rareTestFunction } from './isa/float-rare.js';
import { jumpCache, noteJump, REGION, regionOf } from './jump.js';
import * as L from './layout.js';
import { handOverFlags, leaveFunction, linkFunction, searchFunction } from './link.js';
import { FunctionBuilder, type Label } from './wasm/function.js';
import { ModuleBuilder, type Signature } from './wasm/module.js';
import type { Expr, ValType } from './wasm/ops.js';
import * as w from './wasm/ops.js';

/** Handlers that are not instructions, by their fixed numbers (layout.ts). */
export interface FixedHandler {
  readonly number: number;
  readonly emit: (context: HandlerContext, imports: CoreImports) => void;
}

export interface Interpreter {
  readonly wasm: Uint8Array;
  /** Number of a handler: below `hotCount` it is a case of `run`. */
  numberOf(handler: HandlerSpec): number;
  readonly names: readonly string[];
}

/** Table 0 holds the compiled regions, table 1 the handlers outside `run`. */
const REGIONS = 0;
const OWN_TABLE = 1;
const HANDLER: Signature = { params: ['i32'], result: 'i32' };
const at = (address: number) => w.i32c(address);
const field = (type: 'i32' | 'i64', address: number): Expr => w.load(type, w.i32c(0), address);

/**
 * @param handlers all handlers of the instruction set
 * @param isHot which of them become cases of `run`
 * @param profileAt address of an i32 per handler number: executions are counted there (a slower interpreter, for tools)
 * @param hotEvery a block is reported hot each time it has been entered so often (a power of two)
 */
export function generateInterpreter(
  handlers: readonly HandlerSpec[],
  isHot: (h: HandlerSpec) => boolean,
  fixed: readonly FixedHandler[],
  profileAt?: number,
  hotEvery: number = L.HOT_EVERY,
): Interpreter {
  if (hotEvery & (hotEvery - 1)) throw new RangeError(`${hotEvery} is no power of two`);
  const hot = handlers.filter(isHot);
  const cold = handlers.filter((h) => !isHot(h));
  const numbers = new Map<string, number>();
  for (const h of [...hot, ...cold]) numbers.set(h.key, L.H_FIRST_FREE + numbers.size);
  const hotCount = L.H_FIRST_FREE + hot.length;

  // Bodies are emitted first, for that is what tells which functions of core are imported; indexes follow.
  const module = new ModuleBuilder('interpreter');
  module.importTable('regions');
  const imports = new ModuleImports(module);
  const settle = imports.index('settleState', [], undefined);
  const enter = imports.index('enterRegion', ['i32'], 'i32');
  const coldFunctions = cold.map((h) => coldHandler(h, imports));
  const types = { handler: module.type(HANDLER), region: module.type(REGION) };
  const run = runFunction(hot, fixed, hotCount, imports, types, profileAt, hotEvery);
  const table = coldFunctions.map((f) => module.add(f));
  module.table(table);
  const runIndex = module.add(run);
  module.optimizeAtOnce(runIndex);
  module.export('run', runIndex);
  const search = module.add(searchFunction(REGIONS, types.region, settle, enter));
  const link = module.add(linkFunction(REGIONS, types.region, search));
  module.optimizeAtOnce(link);
  module.export('link', link);
  module.export('leave', module.add(leaveFunction(settle)));
  for (const test of RARE_TESTS) module.export(test.name, module.add(rareTestFunction(test)));
  const names = Array.from({ length: L.H_FIRST_FREE }, (_, i) => `fixed${i}`);
  for (const key of numbers.keys()) names.push(key);
  return { wasm: module.build(1), numberOf: (h) => numbers.get(h.key)!, names };
}

function coldHandler(spec: HandlerSpec, imports: CoreImports): FunctionBuilder {
  const f = new FunctionBuilder(HANDLER);
  const rec = w.localGet(0, 'i32', true);
  // Loaded where they are used: most cold handlers touch memory once or never.
  const context: HandlerContext = {
    f,
    rec,
    from: w.i32c(0),
    tlb: field('i32', L.TLB_CUR),
    addressMask: field('i64', L.ADDR_MASK),
    aside: (body) => body(),
    next: (skip) => {
      if (skip !== L.REC_SIZE) throw new Error(`${spec.key}: an 8-byte immediate needs a hot handler`);
      f.return(w.i32c(L.NEXT));
    },
    fault: () => f.return(w.i32c(L.FAULT)),
    jump: (rip) => {
      f.do(w.store('i64', at(0), rip, L.RIP));
      f.return(w.i32c(L.JUMP));
    },
    chain: (target) => {
      const page = w.load('i64', at(0), L.REGS + L.R_PAGE);
      f.do(w.store('i64', at(0), w.and(w.add(page, target), field('i64', L.ADDR_MASK)), L.RIP));
      f.return(w.i32c(L.JUMP));
    },
    obey: (code, ends) => {
      if (ends) f.return(code);
      else {
        const result = f.temp('i32');
        f.set(result, code);
        f.if(w.localGet(result, 'i32'), () => f.return(w.localGet(result, 'i32')));
      }
    },
  };
  new InterpreterEmitter(spec, context, imports).emit();
  return f;
}

function runFunction(
  hot: readonly HandlerSpec[],
  fixed: readonly FixedHandler[],
  hotCount: number,
  imports: ModuleImports,
  types: { readonly handler: number; readonly region: number },
  profileAt: number | undefined,
  hotEvery: number,
): FunctionBuilder {
  const f = new FunctionBuilder({ params: [], result: 'i32' });
  const local = (type: ValType) => {
    const index = f.local(type);
    return { set: (v: Expr) => f.set(index, v), get: w.localGet(index, type), stable: w.localGet(index, type, true) };
  };
  const rec = local('i32');
  const block = local('i32');
  const from = local('i32'); // the record that branched here, or 0
  const tlb = local('i32');
  const mask = local('i64');
  const rip = local('i64');
  const slot = local('i32'); // address of the chain slot to fill once the target is known, or 0
  const code = local('i32');
  const count = local('i32');
  const core = (name: string, result: ValType | undefined, ...args: Expr[]) =>
    w.call(
      imports.index(
        name,
        args.map((a) => a.type),
        result,
      ),
      result,
      args,
    );

  const reload = () => {
    tlb.set(field('i32', L.TLB_CUR));
    mask.set(field('i64', L.ADDR_MASK));
    rip.set(field('i64', L.RIP));
    slot.set(w.i32c(0));
    rec.set(w.i32c(0));
  };
  const leave = () => f.return(field('i32', L.EXIT_REASON));
  /** A record is nowhere near address 0, which V8 does not know. */
  const aside = (body: () => void, ends = false) => {
    f.if(rec.get, body, undefined, false);
    if (ends) f.unreachable();
  };

  /** Finds the block at `rip`, through the jump cache; leaves it in `block` and R_PAGE set. */
  const findBlock = (lookup: Label) => {
    noteJump(f, field('i32', L.CUR_BLOCK), rip.get);
    const cached = jumpCache(f, rip.get);
    f.if(
      cached.hit,
      () => block.set(cached.block),
      () => {
        f.do(w.store('i64', at(0), rip.get, L.RIP));
        block.set(core('lookup', 'i32'));
        f.if(w.eqz(block.get), () => {
          f.if(field('i32', L.EXIT_REASON), leave);
          reload();
          f.br(lookup);
        });
        // A flush drops all records: the slot is gone with them.
        f.if(w.eqz(field('i32', L.CUR_BLOCK)), () => slot.set(w.i32c(0)));
      },
      true,
    );
    f.if(slot.get, () => {
      f.if(w.eqz(w.load('i32', block.get, L.BLK_PAGE2)), () => f.do(w.store('i32', slot.get, block.get)));
      slot.set(w.i32c(0));
    });
    f.do(w.store('i64', at(0), w.sub(rip.get, w.load('i64_16u', block.get, L.BLK_START)), L.REGS + L.R_PAGE));
  };

  /** A slice ends, and events are looked at, where COUNT is used up; the last block may overdraw it. */
  const enterBlock = (lookup: Label) => {
    count.set(field('i32', L.COUNT));
    const expired = () => {
      const start = w.load('i64_16u', block.get, L.BLK_START);
      f.do(w.store('i64', at(0), w.and(w.add(field('i64', L.REGS + L.R_PAGE), start), mask.get), L.RIP));
      f.if(w.eq(core('events', 'i32'), w.i32c(L.LEAVE)), leave);
      reload();
      f.br(lookup);
    };
    f.if(w.leS(count.get, w.i32c(0)), expired, undefined, false);
    f.do(w.store('i32', at(0), w.sub(count.get, w.load('i32_16u', block.get, L.BLK_COUNT)), L.COUNT));
    f.do(w.store('i32', at(0), block.get, L.CUR_BLOCK));
    from.set(rec.get);
    rec.set(w.add(block.get, w.i32c(L.BLK_HEADER)));
    f.if(w.load('i32', block.get, L.BLK_REGION), () => runRegion(lookup), countHeat, false);
  };

  const countHeat = () => {
    code.set(w.add(w.load('i32', block.get, L.BLK_HEAT), w.i32c(1)));
    f.do(w.store('i32', block.get, code.get, L.BLK_HEAT));
    f.if(
      w.eqz(w.and(code.get, w.i32c(hotEvery - 1))),
      () => f.do(core('blockHot', undefined, block.get)),
      undefined,
      false,
    );
  };

  /** Jumps between regions count as well (link.ts), by LINK_SAMPLE at a time, and come here when it is time. */
  const countEntry = () => {
    const heat = (by: number) => {
      code.set(w.add(w.load('i32', block.get, L.BLK_HEAT), w.i32c(by)));
      f.do(w.store('i32', block.get, code.get, L.BLK_HEAT));
    };
    heat(1);
    const passed = w.ltU(w.and(code.get, w.i32c(L.REGION_HOT_EVERY - 1)), w.i32c(L.LINK_SAMPLE));
    f.if(passed, () => {
      heat(L.LINK_SAMPLE);
      f.do(core('blockHot', undefined, block.get));
    });
  };

  /** Runs the compiled region that the block is the entry of. Comes back where the interpreter has to go on in a block. */
  const runRegion = (lookup: Label) => {
    countEntry();
    handOverFlags(f);
    const before = f.temp('i32');
    // Whoever wants events looked at soon moves COUNT to COUNT_DEFERRED, in regions also.
    const left = w.add(field('i32', L.COUNT), field('i32', L.COUNT_DEFERRED));
    count.set(w.add(field('i32', L.COUNT), w.load('i32_16u', block.get, L.BLK_COUNT)));
    f.do(w.store('i32', at(0), count.get, L.COUNT));
    f.set(before, left);
    const mask = core('enterRegion', 'i32', block.get);
    const { slot, entry } = regionOf(f.let(w.load('i32', block.get, L.BLK_REGION)));
    const page = field('i64', L.REGS + L.R_PAGE);
    code.set(w.callIndirect(REGIONS, types.region, 'i32', slot, [entry, page, count.get, mask]));
    // Within a block of the truth where the region has left in mid-block.
    const retired = w.sub(w.localGet(before, 'i32'), left);
    f.do(w.store('i64', at(0), w.add(field('i64', L.STAT_COMPILED), w.extendS(retired)), L.STAT_COMPILED));
    f.do(w.store('i64', at(0), w.add(field('i64', L.STAT_REGIONS), w.i64c(1)), L.STAT_REGIONS));
    f.if(w.ne(code.get, w.i32c(L.RESUME)), () => {
      f.if(w.eq(code.get, w.i32c(L.FAULT)), () => code.set(core('deliverFault', 'i32', field('i32', L.CUR_REC))));
      f.if(w.eq(code.get, w.i32c(L.LEAVE)), leave);
      reload();
      f.br(lookup);
    });
    reload();
    block.set(field('i32', L.CUR_BLOCK));
    rec.set(field('i32', L.CUR_REC));
    from.set(w.i32c(0));
  };

  reload();
  f.loop((lookup) => {
    f.scope(() => findBlock(lookup));
    f.loop((enter) => {
      enterBlock(lookup);
      f.loop((next) => {
        if (profileAt !== undefined) countHandler(f, rec.get, profileAt);
        f.block((onFault) => {
          f.block((onCode) => {
            f.block((onJump) => {
              const context: HandlerContext = {
                f,
                rec: rec.stable,
                from: from.stable,
                tlb: tlb.stable,
                addressMask: mask.stable,
                aside,
                next: (skip) => {
                  rec.set(w.add(rec.get, w.i32c(skip)));
                  f.br(next);
                },
                fault: () => f.br(onFault),
                jump: (target) => {
                  rip.set(target);
                  f.br(onJump);
                },
                chain: (target, offset) => {
                  const chained = w.load('i32', rec.get, offset);
                  block.set(chained);
                  f.brIf(enter, block.get);
                  const t = f.temp('i64');
                  f.set(t, target);
                  const page = field('i64', L.REGS + L.R_PAGE);
                  rip.set(w.and(w.add(page, w.localGet(t, 'i64')), mask.get));
                  // Only inside the page is the target's mapping the one we run under.
                  f.if(w.eqz(w.and(w.localGet(t, 'i64'), w.i64c(-4096))), () =>
                    slot.set(w.add(rec.get, w.i32c(offset))),
                  );
                  f.br(onJump);
                },
                obey: (result, ends) => {
                  code.set(result);
                  if (ends) f.br(onCode);
                  else f.brIf(onCode, code.get);
                },
              };
              const emitters: (() => void)[] = [];
              for (let number = 0; number < L.H_FIRST_FREE; number++) {
                const handler = fixed.find((h) => h.number === number);
                emitters.push(() => {
                  f.scope(() => (handler ? handler.emit(context, imports) : f.unreachable()));
                });
              }
              for (const h of hot) emitters.push(() => new InterpreterEmitter(h, context, imports).emit());
              dispatch(f, w.load('i32_16u', rec.get, L.REC_HANDLER), emitters, () =>
                aside(() => {
                  f.do(w.store('i32', at(0), rec.get, L.CUR_REC));
                  const index = w.sub(w.load('i32_16u', rec.get, L.REC_HANDLER), w.i32c(hotCount));
                  code.set(w.callIndirect(OWN_TABLE, types.handler, 'i32', index, [rec.get]));
                  f.brIf(onCode, code.get);
                  rec.set(w.add(rec.get, w.i32c(L.REC_SIZE)));
                  f.br(next);
                }, true),
              );
            });
            f.br(lookup); // onJump: rip and slot are set
          });
          // onCode: FAULT, JUMP or LEAVE
          f.brIf(onFault, w.eq(code.get, w.i32c(L.FAULT)));
          f.if(w.eq(code.get, w.i32c(L.LEAVE)), leave);
          reload();
          f.br(lookup);
        });
        // onFault
        aside(() => {
          f.do(w.store('i32', at(0), rec.get, L.CUR_REC));
          f.if(w.eq(core('deliverFault', 'i32', rec.get), w.i32c(L.LEAVE)), leave);
          reload();
          f.br(lookup);
        }, true);
      });
    });
  });
  return f;
}

function countHandler(f: FunctionBuilder, rec: Expr, at: number): void {
  f.scope(() => {
    const slot = f.let(w.shl(w.load('i32_16u', rec, L.REC_HANDLER), w.i32c(2)));
    f.do(w.store('i32', slot, w.add(w.load('i32', slot, at), w.i32c(1)), at));
  });
}

/** Nested blocks around a br_table; `otherwise` is where numbers beyond the cases go. Every case leaves by itself. */
function dispatch(f: FunctionBuilder, index: Expr, cases: readonly (() => void)[], otherwise: () => void): void {
  const labels: Label[] = new Array(cases.length);
  const nest = (i: number): void => {
    if (i < 0) {
      f.block((fallback) => f.brTable(index, labels, fallback));
      otherwise();
      return;
    }
    f.block((label) => {
      labels[i] = label;
      nest(i - 1);
    });
    cases[i]();
  };
  nest(cases.length - 1);
}
