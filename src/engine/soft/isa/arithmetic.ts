/** ADD OR ADC SBB AND SUB XOR CMP TEST INC DEC NEG NOT, XADD, CMPXCHG, BCD adjustments. */
import type { Emitter } from '../emit/emitter.js';
import { intType, type Operand, sizeOf } from '../emit/operands.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { type Encoding, InstructionList } from './define.js';

export const arithmetic = new InstructionList();
const { op } = { op: arithmetic.op.bind(arithmetic) };

const hex = (n: number) => n.toString(16).toUpperCase().padStart(2, '0');

/** Row of the one-byte opcode map: op at n*8, group 1 extension n. */
function aluEncodings(n: number): Encoding[] {
  const base = n * 8;
  return [
    [`${hex(base)} /r`, 'Eb,Gb'],
    [`${hex(base + 1)} /r`, 'Ev,Gv'],
    [`${hex(base + 2)} /r`, 'Gb,Eb'],
    [`${hex(base + 3)} /r`, 'Gv,Ev'],
    [hex(base + 4), 'AL,Ib'],
    [hex(base + 5), 'rAX,Iz'],
    [`80 /${n}`, 'Eb,Ib'],
    [`81 /${n}`, 'Ev,Iz'],
    [`82 /${n} i64`, 'Eb,Ib'],
    [`83 /${n}`, 'Ev,Ibs'],
  ];
}

type Alu = (e: Emitter, size: number, a: Expr, b: Expr) => Expr;

/** dst = f(dst, src), flags by f. */
function binary(f: Alu) {
  return (e: Emitter, dst: Operand, src: Operand): void => {
    const size = sizeOf(dst);
    const b = e.readAs(src, size);
    e.update(dst, (a) => f(e, size, a, b));
  };
}

export const add: Alu = (e, size, a, b) => {
  const r = e.let(w.add(a, b));
  e.flagsAdd(size, a, b, r);
  return r;
};

export const sub: Alu = (e, size, a, b) => {
  const r = e.let(w.sub(a, b));
  e.flagsSub(size, a, b, r);
  return r;
};

function carryAs(e: Emitter, size: number): Expr {
  return size === 8 ? w.extendU(e.carry()) : e.carry();
}

const adc: Alu = (e, size, a, b) => {
  const r = e.let(w.add(w.add(a, b), carryAs(e, size)));
  e.flagsAdd(size, a, b, r, true);
  return r;
};

const sbb: Alu = (e, size, a, b) => {
  const r = e.let(w.sub(w.sub(a, b), carryAs(e, size)));
  e.flagsSub(size, a, b, r, true);
  return r;
};

function logic(f: (a: Expr, b: Expr) => Expr): Alu {
  return (e, size, a, b) => {
    const r = e.let(f(a, b));
    e.flagsLogic(size, r);
    return r;
  };
}

const RMW = { lock: true, writes: true };
op('add', aluEncodings(0), RMW, binary(add));
op('or', aluEncodings(1), RMW, binary(logic(w.or)));
op('adc', aluEncodings(2), RMW, binary(adc));
op('sbb', aluEncodings(3), RMW, binary(sbb));
op('and', aluEncodings(4), RMW, binary(logic(w.and)));
op('sub', aluEncodings(5), RMW, binary(sub));
op('xor', aluEncodings(6), RMW, binary(logic(w.xor)));

op('cmp', aluEncodings(7), {}, (e, dst, src) => {
  const size = sizeOf(dst);
  const a = e.read(dst);
  const b = e.readAs(src, size);
  sub(e, size, a, b);
});

op(
  'test',
  [
    ['84 /r', 'Eb,Gb'],
    ['85 /r', 'Ev,Gv'],
    ['A8', 'AL,Ib'],
    ['A9', 'rAX,Iz'],
    ['F6 /0', 'Eb,Ib'],
    ['F6 /1', 'Eb,Ib'],
    ['F7 /0', 'Ev,Iz'],
    ['F7 /1', 'Ev,Iz'],
  ],
  {},
  (e, dst, src) => {
    const size = sizeOf(dst);
    const a = e.read(dst);
    e.flagsLogic(size, e.let(w.and(a, e.readAs(src, size))));
  },
);

function step(by: 1 | -1) {
  return (e: Emitter, dst: Operand): void => {
    const size = sizeOf(dst);
    const type = intType(size);
    e.update(dst, (a) => {
      const r = e.let(e.zeroExtend(w.add(a, w.intc(type, by)), size));
      e.flagsStep(size, a, r, by);
      return r;
    });
  };
}

op(
  'inc',
  [
    ['FE /0', 'Eb'],
    ['FF /0', 'Ev'],
    ['40+r i64', 'Zv'],
  ],
  RMW,
  step(1),
);
op(
  'dec',
  [
    ['FE /1', 'Eb'],
    ['FF /1', 'Ev'],
    ['48+r i64', 'Zv'],
  ],
  RMW,
  step(-1),
);

op(
  'not',
  [
    ['F6 /2', 'Eb'],
    ['F7 /2', 'Ev'],
  ],
  RMW,
  (e, dst) => {
    e.update(dst, (a) => w.xor(a, w.intc(a.type, -1)));
  },
);

op(
  'neg',
  [
    ['F6 /3', 'Eb'],
    ['F7 /3', 'Ev'],
  ],
  RMW,
  (e, dst) => {
    const size = sizeOf(dst);
    e.update(dst, (a) => sub(e, size, w.intc(intType(size), 0), a));
  },
);

op(
  'xadd',
  [
    ['0F C0 /r', 'Eb,Gb'],
    ['0F C1 /r', 'Ev,Gv'],
  ],
  { lock: true, writes: true },
  (e, dst, src) => {
    const size = sizeOf(dst);
    const b = e.read(src);
    if (dst.kind === 'mem') {
      let old: Expr | undefined;
      e.update(dst, (a) => {
        old = a;
        return add(e, size, a, b);
      });
      e.write(src, old!);
      return;
    }
    // The sum goes in last: XADD of a register with itself keeps the sum.
    const a = e.read(dst);
    const r = add(e, size, a, b);
    e.write(src, a);
    e.write(dst, r);
  },
);

op(
  'cmpxchg',
  [
    ['0F B0 /r', 'Eb,Gb'],
    ['0F B1 /r', 'Ev,Gv'],
  ],
  { lock: true, writes: true },
  (e, dst, src) => {
    const size = sizeOf(dst);
    const acc = e.gpr(0, size);
    const b = e.read(src);
    const equal = e.f.temp('i32');
    let old: Expr | undefined;
    if (dst.kind !== 'mem') {
      // A register that isn't equal keeps all its bits.
      const a = e.read(dst);
      sub(e, size, acc, a);
      e.if(
        w.eq(acc, a),
        () => e.write(dst, b),
        () => e.setGpr(0, size, a),
      );
      return;
    }
    e.update(dst, (a) => {
      old = a;
      sub(e, size, acc, a);
      e.f.set(equal, w.eq(acc, a));
      return w.select(w.localGet(equal, 'i32'), b, a);
    });
    // Not equal: the accumulator takes the destination. (32 bits: then RAX is zero-extended, otherwise untouched.)
    e.if(w.eqz(w.localGet(equal, 'i32')), () => e.setGpr(0, size, old!));
  },
);

// CMPXCHG8B / CMPXCHG16B: m64 or m128 against EDX:EAX / RDX:RAX.
for (const [name, pattern, operand, half] of [
  ['cmpxchg8b', '0F C7 /1 mem W0', 'Mq', 4],
  ['cmpxchg16b', '0F C7 /1 mem W1', 'Mdq', 8],
] as const) {
  op(name, [[pattern, operand]], { lock: true, writes: true }, (e, dst) => {
    const address = e.address(dst);
    if (half === 8) e.raiseIf(w.wrap(w.and(address, w.i64c(15))), 13, w.i32c(0));
    const p = e.updatePointer(address, half * 2);
    const low = e.let(e.loadInt(p, half));
    const high = e.let(e.loadInt(e.let(w.add(p, w.i32c(half))), half));
    const equal = e.let(w.and(w.eq(low, e.gpr(0, half)), w.eq(high, e.gpr(2, half))));
    e.if(
      equal,
      () => {
        e.storeInt(p, e.gpr(3, half), half);
        e.storeInt(w.add(p, w.i32c(half)), e.gpr(1, half), half);
      },
      () => {
        e.setGpr(0, half, low);
        e.setGpr(2, half, high);
      },
    );
    e.commit(p);
    e.setZero(equal);
  });
}

// BCD: rare, in core (legacy modes only).
op('daa', [['27 i64', '']], {}, (e) => e.core('op_daa'));
op('das', [['2F i64', '']], {}, (e) => e.core('op_das'));
op('aaa', [['37 i64', '']], {}, (e) => e.core('op_aaa'));
op('aas', [['3F i64', '']], {}, (e) => e.core('op_aas'));
op('aam', [['D4 i64', 'Ib']], {}, (e) => e.core('op_aam'));
op('aad', [['D5 i64', 'Ib']], {}, (e) => e.core('op_aad'));
