/** Shifts, rotates, double shifts; SHLX SARX SHRX RORX. */
import type { Emitter } from '../emit/emitter.js';
import { intType, type Operand, sizeOf } from '../emit/operands.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { type Encoding, InstructionList } from './define.js';

export const shifts = new InstructionList();
const op = shifts.op.bind(shifts);

function group2(n: number): Encoding[] {
  return [
    [`C0 /${n}`, 'Eb,Ib'],
    [`C1 /${n}`, 'Ev,Ib'],
    [`D0 /${n}`, 'Eb,1'],
    [`D1 /${n}`, 'Ev,1'],
    [`D2 /${n}`, 'Eb,CL'],
    [`D3 /${n}`, 'Ev,CL'],
  ];
}

const bit = (value: Expr, n: Expr | number): Expr => {
  const by = typeof n === 'number' ? w.intc(value.type, n) : n;
  return w.and(w.wrap(w.shrU(value, by)), w.i32c(1));
};

/** The count as the value's type, masked to 5 or 6 bits (SDM: 64-bit operands use 6). */
function countOf(e: Emitter, src: Operand, size: number): Expr {
  const c = w.and(e.read(src), w.i32c(size === 8 ? 63 : 31));
  return e.let(size === 8 ? w.extendU(c) : c);
}

type Shift = (e: Emitter, size: number, a: Expr, count: Expr) => Expr;

/** Nothing at all changes (but a memory operand is checked for writing) when the count is 0. */
function shift(f: Shift) {
  return (e: Emitter, dst: Operand, src: Operand): void => {
    const size = sizeOf(dst);
    const count = countOf(e, src, size);
    e.update(dst, (a) => {
      if (count.constant !== undefined) return BigInt(count.constant) === 0n ? a : f(e, size, a, count);
      const result = e.f.temp(a.type);
      e.f.set(result, a);
      const zero = w.intc(count.type, 0);
      e.if(w.ne(count, zero), () => e.f.set(result, f(e, size, a, count)));
      return w.localGet(result, a.type);
    });
  };
}

const shl: Shift = (e, size, a, count) => {
  const bits = size * 8;
  // In a wider type, bit `bits` is the last one shifted out.
  const wide = size === 8 ? a : w.extendU(a);
  const c = size === 8 ? count : w.extendU(count);
  if (size === 8) {
    const r = e.let(w.shl(wide, c));
    const cf = bit(wide, w.sub(w.i64c(64), c));
    const cfl = e.let(cf);
    e.flagsResult(8, r, cfl, w.xor(bit(r, 63), cfl));
    return r;
  }
  const all = e.let(w.shl(wide, c));
  const cf = e.let(bit(all, bits));
  const r = e.let(e.zeroExtend(w.wrap(all), size));
  e.flagsResult(size, r, cf, w.xor(bit(r, bits - 1), cf));
  return r;
};

const shr: Shift = (e, size, a, count) => {
  const one = w.intc(a.type, 1);
  const before = e.let(w.shrU(a, w.sub(count, one)));
  const r = e.let(w.shrU(before, one));
  // OF is the original sign (defined for a count of 1).
  e.flagsResult(size, r, bit(before, 0), bit(a, size * 8 - 1));
  return r;
};

const sar: Shift = (e, size, a, count) => {
  const one = w.intc(a.type, 1);
  const signed = e.let(e.signExtend(a, size));
  const before = e.let(w.shrS(signed, w.sub(count, one)));
  const r = e.let(e.zeroExtend(w.shrS(before, one), size));
  e.flagsResult(size, r, bit(before, 0), w.i32c(0));
  return r;
};

op('shl', [...group2(4), ...group2(6)], { writes: true }, shift(shl));
op('shr', group2(5), { writes: true }, shift(shr));
op('sar', group2(7), { writes: true }, shift(sar));

/** Rotates: CF and OF only; a masked count of 0 leaves them, whatever the count modulo the size is. */
function rotate(left: boolean): Shift {
  return (e, size, a, count) => {
    const bits = size * 8;
    let r: Expr;
    if (size >= 4) r = e.let(left ? w.rotl(a, count) : w.rotr(a, count));
    else {
      const n = e.let(w.and(count, w.i32c(bits - 1)));
      const back = w.and(w.sub(w.i32c(bits), n), w.i32c(bits - 1));
      const [l, s] = left ? [n, back] : [back, n];
      r = e.let(e.zeroExtend(w.or(w.shl(a, l), w.shrU(a, s)), size));
    }
    e.flagsRotate(size, r, left);
    return r;
  };
}

op('rol', group2(0), { writes: true }, shift(rotate(true)));
op('ror', group2(1), { writes: true }, shift(rotate(false)));

/** RCL and RCR through carry: rotates of size + 1 bits; core loops over them. Returns the value, leaves CF and OF set. */
function throughCarry(name: string): Shift {
  return (e, size, a, count) => {
    const r = e.call(name, 'i64', w.i32c(size), w.extendU(a), w.wrap(count));
    return size === 8 ? r : w.wrap(r);
  };
}
op('rcl', group2(2), { writes: true }, shift(throughCarry('rcl')));
op('rcr', group2(3), { writes: true }, shift(throughCarry('rcr')));

/** SHLD / SHRD. */
function doubleShift(left: boolean) {
  return (e: Emitter, dst: Operand, src: Operand, by: Operand): void => {
    const size = sizeOf(dst);
    const bits = size * 8;
    const type = intType(size);
    const b = e.read(src);
    const count = countOf(e, by, size);
    e.update(dst, (a) => {
      const result = e.f.temp(type);
      e.f.set(result, a);
      e.if(w.ne(count, w.intc(type, 0)), () => {
        let r: Expr;
        let cf: Expr;
        if (size === 2) {
          // Counts above 16 are undefined; like current processors, the 48-bit string a:b:a is shifted.
          const [hi, lo] = left ? [a, b] : [b, a];
          const pair = w.or(w.shl(w.extendU(hi), w.i64c(16)), w.extendU(lo));
          const n = w.extendU(count);
          if (left) {
            const all = e.let(w.or(w.shl(pair, w.i64c(16)), w.extendU(a)));
            const shifted = e.let(w.shl(all, n));
            r = w.and(w.wrap(w.shrU(shifted, w.i64c(32))), w.i32c(0xffff));
            cf = bit(shifted, 48);
          } else {
            const all = e.let(w.or(pair, w.shl(w.extendU(a), w.i64c(32))));
            r = w.and(w.wrap(w.shrU(all, n)), w.i32c(0xffff));
            cf = bit(all, w.sub(n, w.i64c(1)));
          }
        } else {
          const back = w.sub(w.intc(type, bits), count);
          r = left ? w.or(w.shl(a, count), w.shrU(b, back)) : w.or(w.shrU(a, count), w.shl(b, back));
          cf = left ? bit(a, back) : bit(a, w.sub(count, w.intc(type, 1)));
        }
        const rl = e.let(r);
        e.f.set(result, rl);
        e.flagsResult(size, rl, cf, bit(w.xor(rl, a), bits - 1));
      });
      return w.localGet(result, type);
    });
  };
}
op(
  'shld',
  [
    ['0F A4 /r', 'Ev,Gv,Ib'],
    ['0F A5 /r', 'Ev,Gv,CL'],
  ],
  { writes: true },
  doubleShift(true),
);
op(
  'shrd',
  [
    ['0F AC /r', 'Ev,Gv,Ib'],
    ['0F AD /r', 'Ev,Gv,CL'],
  ],
  { writes: true },
  doubleShift(false),
);

// BMI2: no flags.
function bmiShift(f: (a: Expr, count: Expr) => Expr) {
  return (e: Emitter, dst: Operand, src: Operand, by: Operand): void => {
    const a = e.read(src);
    const count = e.read(by);
    e.write(dst, f(a, count));
  };
}
op('shlx', [['VEX.LZ.66.0F38 F7 /r', 'Gy,Ey,By']], { feature: 'bmi2' }, bmiShift(w.shl));
op('sarx', [['VEX.LZ.F3.0F38 F7 /r', 'Gy,Ey,By']], { feature: 'bmi2' }, bmiShift(w.shrS));
op('shrx', [['VEX.LZ.F2.0F38 F7 /r', 'Gy,Ey,By']], { feature: 'bmi2' }, bmiShift(w.shrU));
op('rorx', [['VEX.LZ.F2.0F3A F0 /r', 'Gy,Ey,Ib']], { feature: 'bmi2' }, (e, dst, src, by) => {
  const a = e.read(src);
  const count = e.read(by);
  e.write(dst, w.rotr(a, sizeOf(dst) === 8 ? w.extendU(count) : count));
});
