/** MUL IMUL DIV IDIV, MULX, ADCX ADOX. */
import { type Emitter, VECTOR } from '../emit/emitter.js';
import { type Operand, sizeOf } from '../emit/operands.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { InstructionList } from './define.js';

export const multiply = new InstructionList();
const op = multiply.op.bind(multiply);

const RAX = 0;
const RDX = 2;

/** High 64 bits of an unsigned product, from four 32-bit ones. */
function highUnsigned(e: Emitter, a: Expr, b: Expr): Expr {
  const low32 = w.i64c(0xffff_ffff);
  const half = w.i64c(32);
  const al = e.let(w.and(a, low32));
  const ah = e.let(w.shrU(a, half));
  const bl = e.let(w.and(b, low32));
  const bh = e.let(w.shrU(b, half));
  const ll = w.mul(al, bl);
  const t = e.let(w.add(w.mul(ah, bl), w.shrU(ll, half)));
  const m = e.let(w.add(w.mul(al, bh), w.and(t, low32)));
  return e.let(w.add(w.add(w.mul(ah, bh), w.shrU(t, half)), w.shrU(m, half)));
}

function highSigned(e: Emitter, a: Expr, b: Expr): Expr {
  const sixtyThree = w.i64c(63);
  const correction = w.add(w.and(w.shrS(a, sixtyThree), b), w.and(w.shrS(b, sixtyThree), a));
  return w.sub(highUnsigned(e, a, b), correction);
}

function wideMultiply(signed: boolean) {
  return (e: Emitter, src: Operand): void => {
    const size = sizeOf(src);
    const b = e.read(src);
    const a = e.gpr(RAX, size);
    if (size === 8) {
      const low = e.let(w.mul(a, b));
      const high = e.let(signed ? highSigned(e, a, b) : highUnsigned(e, a, b));
      e.setGpr(RAX, 8, low);
      e.setGpr(RDX, 8, high);
      const over = e.let(w.ne(high, signed ? w.shrS(low, w.i64c(63)) : w.i64c(0)));
      e.flagsResult(8, low, over, over);
      return;
    }
    const extend = (v: Expr) => (signed ? e.signExtend64(v, size) : w.extendU(v));
    const product = e.let(w.mul(extend(a), extend(b)));
    const bits = size * 8;
    const low = e.let(e.zeroExtend(w.wrap(product), size));
    if (size === 1) e.setGpr(RAX, 2, w.wrap(product));
    else {
      e.setGpr(RAX, size, low);
      e.setGpr(RDX, size, w.wrap(w.shrU(product, w.i64c(bits))));
    }
    const over = e.let(w.ne(product, extend(low)));
    e.flagsResult(size, low, over, over);
  };
}

op(
  'mul',
  [
    ['F6 /4', 'Eb'],
    ['F7 /4', 'Ev'],
  ],
  {},
  wideMultiply(false),
);
op(
  'imul',
  [
    ['F6 /5', 'Eb'],
    ['F7 /5', 'Ev'],
  ],
  {},
  wideMultiply(true),
);

function truncatedMultiply(e: Emitter, dst: Operand, x: Expr, y: Expr): void {
  const size = sizeOf(dst);
  if (size === 8) {
    const low = e.let(w.mul(x, y));
    const over = e.let(w.ne(highSigned(e, x, y), w.shrS(low, w.i64c(63))));
    e.write(dst, low);
    e.flagsResult(8, low, over, over);
    return;
  }
  const product = e.let(w.mul(e.signExtend64(x, size), e.signExtend64(y, size)));
  const low = e.let(w.wrap(product));
  const over = e.let(w.ne(product, e.signExtend64(low, size)));
  e.write(dst, low);
  e.flagsResult(size, low, over, over);
}

op('imul', [['0F AF /r', 'Gv,Ev']], {}, (e, dst, src) => {
  const b = e.read(src);
  truncatedMultiply(e, dst, e.read(dst), b);
});
op(
  'imul',
  [
    ['69 /r', 'Gv,Ev,Iz'],
    ['6B /r', 'Gv,Ev,Ibs'],
  ],
  {},
  (e, dst, src, imm) => {
    const a = e.read(src);
    truncatedMultiply(e, dst, a, e.let(e.readAs(imm, sizeOf(dst))));
  },
);

/** Quotient and remainder by operators of one width; the divisor must fit them. */
function quotient(e: Emitter, signed: boolean, dividend: Expr, divisor: Expr): { readonly q: Expr; readonly r: Expr } {
  const q = e.let(signed ? w.divS(dividend, divisor) : w.divU(dividend, divisor));
  return { q, r: e.let(w.sub(dividend, w.mul(q, divisor))) };
}

/**
 * #DE for a zero divisor and for a quotient that does not fit. Flags are undefined and stay. Nearly every dividend is one
 * register extended: then the quotient fits, and an operator of the register's width gives it.
 */
function divide(signed: boolean) {
  return (e: Emitter, src: Operand): void => {
    const size = sizeOf(src);
    const d = e.read(src);
    if (size < 4) {
      divideWide(e, size, signed, d);
      return;
    }
    const c = (n: number) => w.intc(d.type, n);
    const low = e.gpr(RAX, size);
    const extended = e.let(signed ? w.shrS(low, c(size * 8 - 1)) : c(0));
    // Neither 0 nor, signed, -1: the divisor that makes the smallest number too large.
    const common = signed ? w.gtU(w.add(d, c(1)), c(1)) : w.ne(d, c(0));
    e.if(
      w.and(w.eq(e.gpr(RDX, size), extended), common),
      () => {
        const { q, r } = quotient(e, signed, low, d);
        e.setGpr(RAX, size, q);
        e.setGpr(RDX, size, r);
      },
      () => {
        if (size === 4) divideWide(e, size, signed, d);
        else e.faultIf(e.call(signed ? 'idiv64' : 'div64', 'i32', d));
      },
    );
  };
}

/** Of a dividend of twice the size, in 64 bits. */
function divideWide(e: Emitter, size: number, signed: boolean, d: Expr): void {
  const bits = size * 8;
  const divisor = e.let(signed ? e.signExtend64(d, size) : w.extendU(d));
  e.raiseIf(w.eqz(divisor), VECTOR.DE);
  let dividend: Expr;
  if (size === 1) dividend = signed ? e.signExtend64(e.gpr(RAX, 2), 2) : w.extendU(e.gpr(RAX, 2));
  else {
    const pair = w.or(w.shl(w.extendU(e.gpr(RDX, size)), w.i64c(bits)), w.extendU(e.gpr(RAX, size)));
    dividend = signed && size === 2 ? w.signExtend(pair, 32) : pair;
  }
  dividend = e.let(dividend);
  if (signed) {
    // The one quotient that i64.div_s itself can't represent.
    e.raiseIf(w.and(w.eq(dividend, w.i64c(-(2n ** 63n))), w.eq(divisor, w.i64c(-1))), VECTOR.DE);
  }
  const { q, r: remainder } = quotient(e, signed, dividend, divisor);
  const fits = signed ? w.eq(q, e.signExtend64(w.wrap(q), size)) : w.eqz(w.shrU(q, w.i64c(bits)));
  e.raiseIf(w.eqz(fits), VECTOR.DE);
  const r = w.wrap(remainder);
  if (size === 1) {
    const ax = w.or(w.and(w.wrap(q), w.i32c(0xff)), w.shl(w.and(r, w.i32c(0xff)), w.i32c(8)));
    e.setGpr(RAX, 2, ax);
  } else {
    e.setGpr(RAX, size, w.wrap(q));
    e.setGpr(RDX, size, r);
  }
}
op(
  'div',
  [
    ['F6 /6', 'Eb'],
    ['F7 /6', 'Ev'],
  ],
  {},
  divide(false),
);
op(
  'idiv',
  [
    ['F6 /7', 'Eb'],
    ['F7 /7', 'Ev'],
  ],
  {},
  divide(true),
);

op('mulx', [['VEX.LZ.F2.0F38 F6 /r', 'Gy,By,Ey']], { feature: 'bmi2' }, (e, high, low, src) => {
  const size = sizeOf(src);
  const b = e.read(src);
  const a = e.gpr(RDX, size);
  if (size === 8) {
    const h = highUnsigned(e, a, b);
    e.write(low, w.mul(a, b));
    e.write(high, h); // last: the same register twice keeps the high half
    return;
  }
  const product = e.let(w.mul(w.extendU(a), w.extendU(b)));
  e.write(low, w.wrap(product));
  e.write(high, w.wrap(w.shrU(product, w.i64c(32))));
});

/** ADCX: carry chain in CF; ADOX: in OF. The other flags stay. */
function addCarryOnly(overflow: boolean) {
  return (e: Emitter, dst: Operand, src: Operand): void => {
    const size = sizeOf(dst);
    const b = e.read(src);
    const a = e.read(dst);
    const cf = e.let(e.carry());
    const of = e.let(e.condition(0));
    const carry = overflow ? of : cf;
    const r = e.let(w.add(w.add(a, b), size === 8 ? w.extendU(carry) : carry));
    const ones = w.intc(a.type, -1);
    const carries = w.or(w.and(a, b), w.and(w.or(a, b), w.xor(r, ones)));
    const out = e.let(w.wrap(w.shrU(carries, w.intc(a.type, size * 8 - 1))));
    e.write(dst, r);
    e.setCarryOverflow(overflow ? cf : out, overflow ? out : of);
  };
}
op('adcx', [['66 0F 38 F6 /r', 'Gy,Ey']], { feature: 'adx' }, addCarryOnly(false));
op('adox', [['F3 0F 38 F6 /r', 'Gy,Ey']], { feature: 'adx' }, addCarryOnly(true));
