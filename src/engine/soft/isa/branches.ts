/** Near branches: Jcc, JMP, CALL, RET, LOOP, JCXZ. Far ones are in system.ts. */
import { type Emitter, VECTOR } from '../emit/emitter.js';
import { type Operand, sizeOf } from '../emit/operands.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { InstructionList } from './define.js';
import { CONDITIONS } from './moves.js';

export const branches = new InstructionList();
const op = branches.op.bind(branches);
const hex = (n: number) => n.toString(16).toUpperCase().padStart(2, '0');

for (let cc = 0; cc < 16; cc++) {
  op(
    `j${CONDITIONS[cc]}`,
    [
      [`${hex(0x70 + cc)} f64`, 'Jb'],
      [`0F ${hex(0x80 + cc)} f64`, 'Jz'],
    ],
    { param: cc, ends: true },
    (e, target) => e.branch(target, e.condition(e.param)),
  );
}

op(
  'jmp',
  [
    ['EB f64', 'Jb'],
    ['E9 f64', 'Jz'],
  ],
  { ends: true },
  (e, target) => e.branch(target),
);
op('call', [['E8 f64', 'Jz']], { ends: true, stack: true }, (e, target) => {
  const size = e.variant.operandSize;
  e.push(e.resize(e.nextRip(), size), size);
  e.branch(target);
});

/** A RIP value read from a register or memory: 64 bits as it is (canonicality is checked at the fetch), less is zero-extended. */
const ripOf = (e: Emitter, v: Expr): Expr => e.resize(v, 8);

op('jmp', [['FF /4 f64', 'Ev']], { ends: true }, (e, target) => e.jump(ripOf(e, e.read(target))));
op('call', [['FF /2 f64', 'Ev']], { ends: true, stack: true }, (e, target) => {
  const size = sizeOf(target);
  const to = e.let(ripOf(e, e.read(target)));
  e.push(e.resize(e.nextRip(), size), size);
  e.jump(to);
});

op('ret', [['C3 f64', '']], { ends: true, stack: true }, (e) => {
  e.jump(ripOf(e, e.pop(e.variant.operandSize)));
});
op('ret', [['C2 f64', 'Iw']], { ends: true, stack: true }, (e, extra) => {
  const size = e.variant.operandSize;
  const to = e.let(ripOf(e, e.top(size)));
  e.drop(w.add(e.read(extra), w.i32c(size)));
  e.jump(to);
});

/** RCX, ECX or CX by address size, which the decoder leaves in the base field of instructions with `rep`. */
function counter(e: Emitter, decrement: boolean, then: (nonZero: Expr) => void): void {
  then(e.call('countRegister', 'i32', e.addressSize(), w.i32c(decrement ? 1 : 0)));
}

function loop(condition?: number) {
  return (e: Emitter, target: Operand): void =>
    counter(e, true, (nonZero) =>
      e.branch(target, condition === undefined ? nonZero : w.and(nonZero, e.condition(condition))),
    );
}
op('loopne', [['E0 f64', 'Jb']], { ends: true, rep: true }, loop(5));
op('loope', [['E1 f64', 'Jb']], { ends: true, rep: true }, loop(4));
op('loop', [['E2 f64', 'Jb']], { ends: true, rep: true }, loop());
op('jcxz', [['E3 f64', 'Jb']], { ends: true, rep: true }, (e, target) =>
  counter(e, false, (nonZero) => e.branch(target, w.eqz(nonZero))),
);

/** BOUND: #BR unless lower <= index <= upper, signed; the bounds lie side by side in memory. */
op('bound', [['62 /r mem i64', 'Gz,Mz']], {}, (e, index, bounds) => {
  const size = sizeOf(bounds);
  const lower = e.let(e.signExtend(e.read(bounds), size));
  const second = e.let(e.maskAddress(w.add(e.address(bounds), w.i64c(size))));
  const upper = e.let(e.signExtend(e.loadInt(e.readPointer(second, size), size), size));
  const i = e.let(e.signExtend(e.read(index), size));
  e.raiseIf(w.or(w.ltS(i, lower), w.gtS(i, upper)), VECTOR.BR);
});
