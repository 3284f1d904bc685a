/** Bit tests and scans, POPCNT LZCNT TZCNT, BMI1/2, CRC32. */
import type { Emitter } from '../emit/emitter.js';
import { type Operand, sizeOf } from '../emit/operands.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { InstructionList } from './define.js';

export const bits = new InstructionList();
const op = bits.op.bind(bits);
const hex = (n: number) => n.toString(16).toUpperCase().padStart(2, '0');

/** BT BTS BTR BTC. CF is the bit; the others stay (ZF by the SDM, the rest as processors do). */
const TESTS: readonly [name: string, opcode: number, extension: number, change?: (a: Expr, mask: Expr) => Expr][] = [
  ['bt', 0xa3, 4],
  ['bts', 0xab, 5, w.or],
  ['btr', 0xb3, 6, (a, m) => w.and(a, w.xor(m, w.intc(m.type, -1)))],
  ['btc', 0xbb, 7, w.xor],
];

for (const [name, opcode, extension, change] of TESTS) {
  const attributes = change ? { lock: true, writes: true } : {};
  /** Bit `n` (already within the operand) of dst. */
  const within = (e: Emitter, dst: Operand, n: Expr): void => {
    const size = sizeOf(dst);
    const one = (v: Expr) => e.let(w.and(w.wrap(w.shrU(v, n)), w.i32c(1)));
    if (!change) {
      e.setCarry(one(e.read(dst)));
      return;
    }
    e.update(dst, (a) => {
      const cf = one(a);
      e.setCarry(cf);
      return e.zeroExtend(change(a, w.shl(w.intc(a.type, 1), n)), size);
    });
  };
  op(name, [[`0F BA /${extension}`, 'Ev,Ib']], attributes, (e, dst, src) => {
    const size = sizeOf(dst);
    const n = w.and(e.read(src), w.i32c(size * 8 - 1));
    within(e, dst, e.let(size === 8 ? w.extendU(n) : n));
  });
  op(name, [[`0F ${hex(opcode)} /r mod3`, 'Ev,Gv']], attributes, (e, dst, src) => {
    const v = e.read(src);
    within(e, dst, e.let(w.and(v, w.intc(v.type, sizeOf(dst) * 8 - 1))));
  });
  // Memory with a register: the bit string reaches beyond the operand, by signed units of its size.
  op(name, [[`0F ${hex(opcode)} /r mem`, 'Ev,Gv']], change ? { lock: true, writes: true } : {}, (e, dst, src) => {
    const size = sizeOf(dst);
    const index = e.let(e.signExtend64(e.read(src), size));
    const unit = w.shl(w.shrS(index, w.i64c(Math.log2(size * 8))), w.i64c(Math.log2(size)));
    const linear = e.let(e.maskAddress(w.add(e.address(dst), unit)));
    const n = e.let(w.and(w.wrap(index), w.i32c(size * 8 - 1)));
    const nt = e.let(size === 8 ? w.extendU(n) : n);
    const p = change ? e.updatePointer(linear, size) : e.readPointer(linear, size);
    const a = e.let(e.loadInt(p, size));
    e.setCarry(e.let(w.and(w.wrap(w.shrU(a, nt)), w.i32c(1))));
    if (change) {
      e.storeInt(p, change(a, w.shl(w.intc(a.type, 1), nt)), size);
      e.commit(p);
    }
  });
}

/** BSF, BSR: with a zero source only ZF is defined and the destination stays. */
function scan(forward: boolean) {
  return (e: Emitter, dst: Operand, src: Operand): void => {
    const size = sizeOf(dst);
    const v = e.read(src);
    const zero = e.let(w.eqz(v));
    e.if(w.eqz(zero), () => {
      const top = w.intc(v.type, size === 8 ? 63 : 31);
      e.write(dst, forward ? w.ctz(v) : w.sub(top, w.clz(v)));
    });
    e.setZero(zero);
  };
}
op('bsf', [['0F BC /r', 'Gv,Ev']], {}, scan(true));
op('bsr', [['0F BD /r', 'Gv,Ev']], {}, scan(false));

/** TZCNT, LZCNT: CF = source zero, ZF = result zero. */
function count(trailing: boolean) {
  return (e: Emitter, dst: Operand, src: Operand): void => {
    const size = sizeOf(dst);
    const v = e.read(src);
    let n: Expr;
    if (size === 2) n = trailing ? w.ctz(w.or(v, w.i32c(0x10000))) : w.sub(w.clz(v), w.i32c(16));
    else n = trailing ? w.ctz(v) : w.clz(v);
    const r = e.let(n);
    e.write(dst, r);
    e.flagsResult(size, r, e.let(w.eqz(v)), w.i32c(0));
  };
}
op('tzcnt', [['F3 0F BC /r', 'Gv,Ev']], { feature: 'bmi1' }, count(true));
op('lzcnt', [['F3 0F BD /r', 'Gv,Ev']], { feature: 'lzcnt' }, count(false));

op('popcnt', [['F3 0F B8 /r', 'Gv,Ev']], { feature: 'popcnt' }, (e, dst, src) => {
  const v = e.read(src);
  e.write(dst, w.popcnt(v));
  // ZF by the source; all others clear, PF too.
  e.flagsZpc(e.let(w.eqz(v)), w.i32c(0), w.i32c(0));
});

// ---- BMI ---------------------------------------------------------------------------------------------------------------

op('andn', [['VEX.LZ.NP.0F38 F2 /r', 'Gy,By,Ey']], { feature: 'bmi1' }, (e, dst, a, b) => {
  const y = e.read(b);
  const x = e.read(a);
  const r = e.let(w.and(w.xor(x, w.intc(x.type, -1)), y));
  e.write(dst, r);
  e.flagsLogic(sizeOf(dst), r);
});

/** BLSR BLSMSK BLSI: dst = f(src), SF ZF by it, CF as given. */
function lowest(f: (v: Expr, below: Expr) => Expr, carryIfZero: boolean) {
  return (e: Emitter, dst: Operand, src: Operand): void => {
    const v = e.read(src);
    const r = e.let(f(v, w.sub(v, w.intc(v.type, 1))));
    e.write(dst, r);
    const zero = w.eqz(v);
    e.flagsResult(sizeOf(dst), r, e.let(carryIfZero ? zero : w.xor(zero, w.i32c(1))), w.i32c(0));
  };
}
op(
  'blsr',
  [['VEX.LZ.NP.0F38 F3 /1', 'By,Ey']],
  { feature: 'bmi1' },
  lowest((v, below) => w.and(v, below), true),
);
op(
  'blsmsk',
  [['VEX.LZ.NP.0F38 F3 /2', 'By,Ey']],
  { feature: 'bmi1' },
  lowest((v, below) => w.xor(v, below), true),
);
op(
  'blsi',
  [['VEX.LZ.NP.0F38 F3 /3', 'By,Ey']],
  { feature: 'bmi1' },
  lowest((v) => w.and(v, w.sub(w.intc(v.type, 0), v)), false),
);

op('bextr', [['VEX.LZ.NP.0F38 F7 /r', 'Gy,Ey,By']], { feature: 'bmi1' }, (e, dst, src, control) => {
  const size = sizeOf(dst);
  const v = e.read(src);
  const c = e.let(w.wrap(e.read(control)));
  const start = e.let(w.and(c, w.i32c(0xff)));
  const length = e.let(w.and(w.shrU(c, w.i32c(8)), w.i32c(0xff)));
  const zero = w.intc(v.type, 0);
  const sized = (n: Expr) => e.resize(n, size);
  const shifted = e.let(w.select(w.ltU(start, w.i32c(size * 8)), w.shrU(v, sized(start)), zero));
  const mask = w.sub(w.shl(w.intc(v.type, 1), sized(length)), w.intc(v.type, 1));
  const r = e.let(w.select(w.ltU(length, w.i32c(size * 8)), w.and(shifted, mask), shifted));
  e.write(dst, r);
  e.flagsLogic(size, r);
});

op('bzhi', [['VEX.LZ.NP.0F38 F5 /r', 'Gy,Ey,By']], { feature: 'bmi2' }, (e, dst, src, index) => {
  const size = sizeOf(dst);
  const v = e.read(src);
  const n = e.let(w.and(w.wrap(e.read(index)), w.i32c(0xff)));
  const inside = e.let(w.ltU(n, w.i32c(size * 8)));
  const mask = w.sub(w.shl(w.intc(v.type, 1), e.resize(n, size)), w.intc(v.type, 1));
  const r = e.let(w.select(inside, w.and(v, mask), v));
  e.write(dst, r);
  e.flagsResult(size, r, e.let(w.xor(inside, w.i32c(1))), w.i32c(0));
});

for (const [name, prefix] of [
  ['pdep', 'F2'],
  ['pext', 'F3'],
] as const) {
  op(name, [[`VEX.LZ.${prefix}.0F38 F5 /r`, 'Gy,By,Ey']], { feature: 'bmi2' }, (e, dst, a, b) => {
    const mask = e.read(b);
    const v = e.read(a);
    const r = e.call(name, 'i64', e.resize(v, 8), e.resize(mask, 8));
    e.write(dst, e.resize(r, sizeOf(dst)));
  });
}

op(
  'crc32',
  [
    ['F2 0F 38 F0 /r', 'Gy,Eb'],
    ['F2 0F 38 F1 /r', 'Gy,Ev'],
  ],
  { feature: 'sse42' },
  (e, dst, src) => {
    const v = e.read(src);
    const crc = e.call('crc32c', 'i32', w.wrap(e.read(dst)), e.resize(v, 8), w.i32c(sizeOf(src)));
    e.write(dst, e.resize(crc, sizeOf(dst)));
  },
);
