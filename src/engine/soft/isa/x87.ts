/** x87: D8 to DF with all aliases, and FWAIT. Arithmetic, conversions and the register stack are in core/float. */
import type { Emitter } from '../emit/emitter.js';
import type { Operand } from '../emit/operands.js';
import * as L from '../layout.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { type Encoding, InstructionList, type Semantics } from './define.js';
import { hex } from './vector.js';

export const x87 = new InstructionList();
const op = x87.op.bind(x87);

const n = w.i32c;

/** A register instruction; `control` ones leave FIP alone. */
function plain(body: (e: Emitter, ...operands: Operand[]) => void, control = false): Semantics {
  return (e, ...operands) => {
    e.requireX87(true);
    if (!control) e.noteX87();
    body(e, ...operands);
  };
}

/** Calls core's name(...numbers). */
const calls = (name: string, ...args: number[]) => plain((e) => e.callVoid(name, ...args.map(n)));

/** Reads a memory operand: integer bits; m80 as significand and sign with exponent. */
function memory(use: (e: Emitter, value: Expr, high: Expr) => void): Semantics {
  return (e, src) => {
    e.requireX87(true);
    const address = e.address(src);
    const size = src.kind === 'mem' ? src.size : 0;
    const p = e.readPointer(address, size);
    const value = e.let(e.loadInt(p, Math.min(size, 8)));
    const high = size === 10 ? e.let(w.load('i32_16u', p, 8)) : n(0);
    e.noteX87(address);
    use(e, value, high);
  };
}

// ---- arithmetic and comparisons ----------------------------------------------------------------------------------------

/** Operation by the field of D8's ModRM byte; 2 and 3 compare. */
const NAMES = ['fadd', 'fmul', 'fcom', 'fcomp', 'fsub', 'fsubr', 'fdiv', 'fdivr'];

for (let k = 0; k < 8; k++) {
  const comparison = k === 2 || k === 3;
  const popped = k === 3 ? 1 : 0;
  const name = NAMES[k];
  /** From memory: as float bits, or as an integer. */
  const from = (kind: 'm32' | 'm64' | 'int', extend: (v: Expr) => Expr = (v) => v) =>
    memory((e, v) => {
      if (comparison) e.callVoid(`x87_com_${kind}`, extend(v), n(popped));
      else e.callVoid(`x87_arith_${kind}`, n(k), extend(v));
    });
  op(name, [[`D8 /${k} mem`, 'Md']], {}, from('m32'));
  op(name, [[`DC /${k} mem`, 'Mq']], {}, from('m64'));
  op(`fi${name.slice(1)}`, [[`DA /${k} mem`, 'Md']], {}, from('int'));
  op(
    `fi${name.slice(1)}`,
    [[`DE /${k} mem`, 'Mw']],
    {},
    from('int', (v) => w.signExtend(v, 16)),
  );
  if (comparison) continue;
  op(
    name,
    [[`D8 /${k} mod3`, 'STi']],
    { param: 0 },
    plain((e, st) => e.callVoid('x87_arith', n(k), n(0), e.number(st), n(0))),
  );
  // ST(i) is the destination in DC and DE, and in subtractions and divisions the reversed forms change places.
  const reverse = k >= 4 ? k ^ 1 : k;
  op(
    NAMES[reverse],
    [[`DC /${k} mod3`, 'STi']],
    { param: 1 },
    plain((e, st) => e.callVoid('x87_arith', n(reverse), e.number(st), n(0), n(0))),
  );
  op(
    `${NAMES[reverse]}p`,
    [[`DE /${k} mod3`, 'STi']],
    {},
    plain((e, st) => e.callVoid('x87_arith', n(reverse), e.number(st), n(0), n(1))),
  );
}

for (const [name, encodings, quiet, popped] of [
  ['fcom', ['D8 /2', 'DC /2'], 0, 0],
  ['fcomp', ['D8 /3', 'DC /3', 'DE /2'], 0, 1],
  ['fucom', ['DD /4'], 1, 0],
  ['fucomp', ['DD /5'], 1, 1],
] as const)
  op(
    name,
    encodings.map((p): Encoding => [`${p} mod3`, 'STi']),
    {},
    plain((e, st) => e.callVoid('x87_com', e.number(st), n(quiet), n(popped))),
  );
op('fcompp', [['DE D9', '']], {}, calls('x87_com', 1, 0, 2));
op('fucompp', [['DA E9', '']], {}, calls('x87_com', 1, 1, 2));

for (const [name, pattern, quiet, popped] of [
  ['fucomi', 'DB /5 mod3', true, 0],
  ['fcomi', 'DB /6 mod3', false, 0],
  ['fucomip', 'DF /5 mod3', true, 1],
  ['fcomip', 'DF /6 mod3', false, 1],
] as const)
  op(
    name,
    [[pattern, 'STi']],
    {},
    plain((e, st) => e.compareX87(st, quiet, popped)),
  );

// ---- one operand, constants, functions ---------------------------------------------------------------------------------

for (const [name, second, core] of [
  ['fchs', 0xe0, 'chs'],
  ['fabs', 0xe1, 'abs'],
  ['ftst', 0xe4, 'tst'],
  ['fxam', 0xe5, 'xam'],
  ['f2xm1', 0xf0, 'f2xm1'],
  ['fyl2x', 0xf1, 'yl2x'],
  ['fptan', 0xf2, 'ptan'],
  ['fpatan', 0xf3, 'patan'],
  ['fxtract', 0xf4, 'xtract'],
  ['fyl2xp1', 0xf9, 'yl2xp1'],
  ['fsqrt', 0xfa, 'sqrt'],
  ['fsincos', 0xfb, 'sincos'],
  ['frndint', 0xfc, 'rndint'],
  ['fscale', 0xfd, 'scale'],
  ['fsin', 0xfe, 'sin'],
  ['fcos', 0xff, 'cos'],
] as const)
  op(name, [[`D9 ${hex(second)}`, '']], {}, calls(`x87_${core}`));
op('fprem1', [['D9 F5', '']], {}, calls('x87_prem', 1));
op('fprem', [['D9 F8', '']], {}, calls('x87_prem', 0));
['fld1', 'fldl2t', 'fldl2e', 'fldpi', 'fldlg2', 'fldln2', 'fldz'].forEach((name, k) => {
  op(name, [[`D9 ${hex(0xe8 + k)}`, '']], {}, calls('x87_fldconst', k));
});

// ---- loads -------------------------------------------------------------------------------------------------------------

op(
  'fld',
  [['D9 /0 mem', 'Md']],
  {},
  memory((e, v) => e.callVoid('x87_fld_m32', v)),
);
op(
  'fld',
  [['DD /0 mem', 'Mq']],
  {},
  memory((e, v) => e.callVoid('x87_fld_m64', v)),
);
op(
  'fld',
  [['DB /5 mem', 'Mt']],
  {},
  memory((e, v, high) => e.callVoid('x87_fld_m80', v, high)),
);
op(
  'fild',
  [['DF /0 mem', 'Mw']],
  {},
  memory((e, v) => e.callVoid('x87_fild', w.extendS(w.signExtend(v, 16)))),
);
op(
  'fild',
  [['DB /0 mem', 'Md']],
  {},
  memory((e, v) => e.callVoid('x87_fild', w.extendS(v))),
);
op(
  'fild',
  [['DF /5 mem', 'Mq']],
  {},
  memory((e, v) => e.callVoid('x87_fild', v)),
);
op(
  'fbld',
  [['DF /4 mem', 'Mt']],
  {},
  memory((e, v, high) => e.callVoid('x87_fbld', v, high)),
);
op(
  'fld',
  [['D9 /0 mod3', 'STi']],
  {},
  plain((e, st) => e.callVoid('x87_fld', e.number(st))),
);

// ---- stores ------------------------------------------------------------------------------------------------------------

/** Kinds of core/float/x87mem.ts (ST_F32 ...). */
for (const [name, pattern, operand, kind, popped] of [
  ['fst', 'D9 /2 mem', 'Md', 0, 0],
  ['fstp', 'D9 /3 mem', 'Md', 0, 1],
  ['fst', 'DD /2 mem', 'Mq', 1, 0],
  ['fstp', 'DD /3 mem', 'Mq', 1, 1],
  ['fstp', 'DB /7 mem', 'Mt', 2, 1],
  ['fist', 'DF /2 mem', 'Mw', 3, 0],
  ['fistp', 'DF /3 mem', 'Mw', 3, 1],
  ['fist', 'DB /2 mem', 'Md', 4, 0],
  ['fistp', 'DB /3 mem', 'Md', 4, 1],
  ['fistp', 'DF /7 mem', 'Mq', 5, 1],
  ['fisttp', 'DF /1 mem', 'Mw', 6, 1],
  ['fisttp', 'DB /1 mem', 'Md', 7, 1],
  ['fisttp', 'DD /1 mem', 'Mq', 8, 1],
  ['fbstp', 'DF /6 mem', 'Mt', 9, 1],
] as const)
  op(name, [[pattern, operand]], { writes: true }, (e, dst) => {
    e.requireX87(true);
    const address = e.address(dst);
    const size = dst.kind === 'mem' ? dst.size : 0;
    // An unmasked exception may forbid the write, but not its fault; that must leave the stack as it was.
    const stores = e.let(e.call('x87_store', 'i32', n(kind)));
    const p = e.writePointer(address, size);
    e.if(stores, () => {
      e.storeInt(p, e.loadInt(n(L.FLOAT_OUT), Math.min(size, 8)), Math.min(size, 8));
      if (size === 10) e.f.do(w.store('i32_16', p, e.loadInt(n(L.FLOAT_OUT + 8), 2), 8));
      e.commit(p);
    });
    e.noteX87(address);
    e.callVoid('x87_store_done', n(popped));
  });

// ---- moves between registers -------------------------------------------------------------------------------------------

op(
  'fst',
  [['DD /2 mod3', 'STi']],
  {},
  plain((e, st) => e.callVoid('x87_fst', e.number(st), n(0))),
);
op(
  'fstp',
  [
    ['DD /3 mod3', 'STi'],
    ['DF /2 mod3', 'STi'],
    ['DF /3 mod3', 'STi'],
  ],
  {},
  plain((e, st) => e.callVoid('x87_fst', e.number(st), n(1))),
);
// FSTP1, undocumented: an empty ST(0) is taken off without a word.
op(
  'fstpnop',
  [['D9 /3 mod3', 'STi']],
  {},
  plain((e, st) => e.callVoid('x87_fstpnop', e.number(st))),
);
op(
  'fxch',
  [
    ['D9 /1 mod3', 'STi'],
    ['DD /1 mod3', 'STi'],
    ['DF /1 mod3', 'STi'],
  ],
  {},
  plain((e, st) => e.callVoid('x87_fxch', e.number(st))),
);
for (const [name, row, condition] of [
  ['fcmovb', 0, 2],
  ['fcmove', 1, 4],
  ['fcmovbe', 2, 6],
  ['fcmovu', 3, 10],
] as const) {
  op(
    name,
    [[`DA /${row} mod3`, 'STi']],
    {},
    plain((e, st) => e.callVoid('x87_fcmov', e.let(e.condition(condition)), e.number(st))),
  );
  op(
    name.replace('v', 'vn'),
    [[`DB /${row} mod3`, 'STi']],
    {},
    plain((e, st) => e.callVoid('x87_fcmov', e.let(e.condition(condition + 1)), e.number(st))),
  );
}

// ---- control -----------------------------------------------------------------------------------------------------------

op(
  'ffree',
  [['DD /0 mod3', 'STi']],
  {},
  plain((e, st) => e.callVoid('x87_ffree', e.number(st), n(0)), true),
);
op(
  'ffreep',
  [['DF /0 mod3', 'STi']],
  {},
  plain((e, st) => e.callVoid('x87_ffree', e.number(st), n(1)), true),
);
op(
  'fdecstp',
  [['D9 F6', '']],
  {},
  plain((e) => e.callVoid('x87_fdecstp'), true),
);
op(
  'fincstp',
  [['D9 F7', '']],
  {},
  plain((e) => e.callVoid('x87_fincstp'), true),
);
op(
  'fnop',
  [['D9 D0', '']],
  {},
  plain(() => {}, true),
);
op('fwait', [['9B', '']], {}, (e) => e.requireWait());

/** The FN... forms do not wait for exceptions. */
const noWait =
  (body: Semantics): Semantics =>
  (e, ...operands) => {
    e.requireX87(false);
    body(e, ...operands);
  };
op(
  'fnclex',
  [['DB E2', '']],
  {},
  noWait((e) => e.callVoid('x87_fnclex')),
);
op(
  'fninit',
  [['DB E3', '']],
  {},
  noWait((e) => e.callVoid('x87_fninit')),
);
// FENI, FDISI (8087) and FSETPM (80287): nothing since.
op(
  'fnsetpm',
  [
    ['DB E0', ''],
    ['DB E1', ''],
    ['DB E4', ''],
  ],
  {},
  noWait(() => {}),
);
op(
  'fnstsw',
  [['DF E0', '']],
  {},
  noWait((e) => e.setGpr(0, 2, e.call('x87_status', 'i32'))),
);
op(
  'fnstsw',
  [['DD /7 mem', 'Mw']],
  { writes: true },
  noWait((e, dst) => e.write(dst, e.call('x87_status', 'i32'))),
);
op(
  'fnstcw',
  [['D9 /7 mem', 'Mw']],
  { writes: true },
  noWait((e, dst) => e.write(dst, e.call('x87_control', 'i32'))),
);
op('fldcw', [['D9 /5 mem', 'Mw']], {}, (e, src) => {
  e.requireX87(true);
  e.callVoid('x87_fldcw', e.read(src));
});

const wide = (e: Emitter) => (e.variant.operandSize === 2 ? 0 : 1);
op('fldenv', [['D9 /4 mem', 'M']], {}, (e) => {
  e.requireX87(true);
  e.core('op_fldenv', wide(e), 0);
});
op('frstor', [['DD /4 mem', 'M']], {}, (e) => {
  e.requireX87(true);
  e.core('op_fldenv', wide(e), 1);
});
op(
  'fnstenv',
  [['D9 /6 mem', 'M']],
  { writes: true },
  noWait((e) => e.core('op_fnstenv', wide(e), 0)),
);
op(
  'fnsave',
  [['DD /6 mem', 'M']],
  { writes: true },
  noWait((e) => e.core('op_fnstenv', wide(e), 1)),
);
