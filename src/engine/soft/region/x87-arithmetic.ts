/**
 * x87 instructions in a region, by the names of core's functions. Arithmetic is that of core/float/x87fast.ts, said inline:
 * operands normal or zero, rounding to nearest at 64 or 53 bits, the result away from the ends of the range.
 */
import * as L from '../layout.js';
import type { Expr, ValType } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { type Extended, MSB, X87File } from './x87-file.js';

const i32 = w.i32c;
const i64 = w.i64c;
const SIGN = i32(0x8000);
const EXPONENT = i32(0x7fff);
const NONE = i32(0);
const BIAS = 16383;
/** Bits of a significand that rounding to 53 of them takes away. */
const AWAY = 11;

/** FLD1 ... FLDZ, rounded to nearest: sign and exponent, significand. */
const CONSTANTS: readonly (readonly [number, bigint])[] = [
  [0x3fff, 0x8000000000000000n],
  [0x4000, 0xd49a784bcd1b8afen],
  [0x3fff, 0xb8aa3b295c17f0bcn],
  [0x4000, 0xc90fdaa22168c235n],
  [0x3ffd, 0x9a209a84fbcff799n],
  [0x3ffe, 0xb17217f7d1cf79acn],
  [0, 0n],
];

/** Kinds of x87_store that convert to integers: bytes, and whether they truncate. */
const INTEGERS: Readonly<Record<number, readonly [size: number, truncate: boolean]>> = {
  3: [2, false],
  4: [4, false],
  5: [8, false],
  6: [2, true],
  7: [4, true],
  8: [8, true],
};

/** Locals of a result: the register, whether it was rounded up, and what was rounded away (not zero: inexact). */
interface Result {
  readonly m: number;
  readonly se: number;
  readonly up: number;
  readonly rest: number;
}

export class X87Unit extends X87File {
  /** What the store under way adds to C1 and PE; undefined: nothing. */
  #stored: { up: Expr; rest: Expr } | undefined;

  /** Does what core's function `name` does. */
  call(name: string, result: ValType | undefined, args: readonly Expr[]): Expr | undefined {
    const numbers = args.map((a) => Number(a.constant ?? 0));
    switch (name) {
      case 'x87_arith':
        return this.#arith(numbers[0], numbers[1], this.getTame(numbers[2]), numbers[3]);
      case 'x87_arith_m32':
        return this.#arith(numbers[0], 0, this.#single(args[1]), 0);
      case 'x87_arith_m64':
        return this.#arith(numbers[0], 0, this.#double(args[1]), 0);
      case 'x87_arith_int':
        return this.#arith(numbers[0], 0, this.#integer(w.extendS(args[1])), 0);
      case 'x87_com':
        return this.#com(this.getTame(numbers[0]), numbers[2]);
      case 'x87_com_m32':
        return this.#com(this.#single(args[0]), numbers[1]);
      case 'x87_com_m64':
        return this.#com(this.#double(args[0]), numbers[1]);
      case 'x87_com_int':
        return this.#com(this.#integer(w.extendS(args[0])), numbers[1]);
      case 'x87_tst':
        return this.#com({ m: i64(0), se: NONE, tame: true }, 0);
      case 'x87_sqrt':
        return this.#sqrt();
      case 'x87_chs':
        return this.#sign((se) => w.xor(se, SIGN));
      case 'x87_abs':
        return this.#sign((se) => w.and(se, EXPONENT));
      case 'x87_fld_m32':
        return this.#load(() => this.#single(args[0]));
      case 'x87_fld_m64':
        return this.#load(() => this.#double(args[0]));
      case 'x87_fld_m80':
        return this.#load(() => ({ m: args[0], se: args[1], tame: false }));
      case 'x87_fild':
        return this.#load(() => this.#integer(args[0]));
      case 'x87_fld':
        return this.#load(() => this.get(numbers[0]));
      case 'x87_fldconst':
        this.requireDefault();
        return this.#load(() => {
          const [se, m] = CONSTANTS[numbers[0]];
          return { m: i64(m), se: i32(se), tame: true };
        });
      case 'x87_store':
        return this.#store(numbers[0]);
      case 'x87_store_done':
        this.rounded(this.#stored?.up ?? NONE, this.#stored?.rest);
        if (numbers[0]) this.pop();
        return undefined;
      case 'x87_fst':
        return this.#fst(numbers[0], numbers[1]);
      case 'x87_fxch':
        return this.#fxch(numbers[0]);
      case 'x87_fcmov':
        return this.#fcmov(args[0], numbers[1]);
      case 'x87_ffree':
        this.free(numbers[0]);
        this.rounded(NONE);
        if (numbers[1]) this.pop();
        return undefined;
      case 'x87_fincstp':
      case 'x87_fdecstp':
        this.turn(name === 'x87_fincstp' ? 1 : 7);
        this.rounded(NONE);
        return undefined;
      case 'x87_status':
        return this.f.let(this.statusWithTop());
      case 'x87_control':
        return this.f.let(this.control());
      case 'x87_fldcw':
        this.setControl(args[0]);
        return undefined;
      case 'x87_fnclex':
        this.clearExceptions();
        return undefined;
      default:
        return this.inCore(name, result, args);
    }
  }

  // ---- operands ----------------------------------------------------------------------------------------------------------

  /** A float64's bits. */
  #double(value: Expr): Extended {
    const { f } = this;
    const bits = f.let(value);
    const e = f.let(w.and(w.wrap(w.shrU(bits, i64(52))), i32(0x7ff)));
    const zero = f.let(w.eqz(w.shl(bits, i64(1))));
    this.leaveUnless(w.or(w.ltU(w.sub(e, i32(1)), i32(0x7fe)), zero));
    const sign = w.and(w.wrap(w.shrU(bits, i64(48))), SIGN);
    const m = w.select(zero, i64(0), w.or(w.shl(bits, i64(11)), MSB));
    const se = w.or(sign, w.select(zero, NONE, w.add(e, i32(BIAS - 1023))));
    return { m: f.let(m), se: f.let(se), tame: true };
  }

  #single(value: Expr): Extended {
    const { f } = this;
    const bits = f.let(value);
    const e = f.let(w.and(w.shrU(bits, i32(23)), i32(0xff)));
    const zero = f.let(w.eqz(w.shl(bits, i32(1))));
    this.leaveUnless(w.or(w.ltU(w.sub(e, i32(1)), i32(0xfe)), zero));
    const m = w.select(zero, i64(0), w.or(w.shl(w.extendU(bits), i64(40)), MSB));
    const se = w.or(w.and(w.shrU(bits, i32(16)), SIGN), w.select(zero, NONE, w.add(e, i32(BIAS - 127))));
    return { m: f.let(m), se: f.let(se), tame: true };
  }

  #integer(value: Expr): Extended {
    const { f } = this;
    const v = f.let(value);
    const negative = f.let(w.ltS(v, i64(0)));
    const magnitude = f.let(w.select(negative, w.sub(i64(0), v), v));
    const k = f.let(w.clz(magnitude));
    const se = w.or(w.shl(negative, i32(15)), w.sub(i32(BIAS + 63), w.wrap(k)));
    // A shift by 64 is one by 0: of 0.
    return { m: f.let(w.shl(magnitude, k)), se: f.let(w.select(w.eqz(v), NONE, se)), tame: true };
  }

  // ---- arithmetic --------------------------------------------------------------------------------------------------------

  /** ST(dst) = ST(dst) op b; op as in x87_arith. */
  #arith(op: number, dst: number, b: Extended, popped: number): undefined {
    this.requireDefault();
    const a = this.getTame(dst);
    const result = this.#result();
    const negated = (v: Extended): Extended => ({ ...v, se: this.f.let(w.xor(v.se, SIGN)) });
    if (op === 1) this.#mul(a, b, result);
    else if (op >= 6) this.#div(op === 6 ? a : b, op === 6 ? b : a, result);
    else this.#add(op === 5 ? negated(a) : a, op === 4 ? negated(b) : b, result);
    const { m, se, up, rest } = result;
    const get = (local: number, type: ValType) => w.localGet(local, type);
    this.set(dst, { m: get(m, 'i64'), se: get(se, 'i32'), tame: true });
    this.rounded(get(up, 'i32'), get(rest, 'i64'));
    this.pop(popped);
  }

  #result(): Result {
    const { f } = this;
    return { m: f.temp('i64'), se: f.temp('i32'), up: f.temp('i32'), rest: f.temp('i64') };
  }

  #give(r: Result, m: Expr, se: Expr): void {
    const { f } = this;
    f.set(r.m, m);
    f.set(r.se, se);
    f.set(r.up, NONE);
    f.set(r.rest, i64(0));
  }

  /** hi:lo times 2^e, normalised, rounded to nearest even: to 64 bits, or to 53. */
  #round(r: Result, hi: Expr, lo: Expr, e: Expr, sign: Expr): void {
    const { f } = this;
    const up = w.localGet(r.up, 'i32');
    f.if(
      this.isShort(),
      () => {
        const below = i64(AWAY);
        const lost = w.extendU(w.xor(w.eqz(w.shl(lo, i64(64 - AWAY))), i32(1)));
        const rest = f.let(w.or(w.or(w.shl(hi, i64(64 - AWAY)), w.shrU(lo, below)), lost));
        const kept = f.let(w.shrU(hi, below));
        f.set(r.up, w.gtU(rest, w.sub(MSB, w.and(kept, i64(1)))));
        f.set(r.m, w.shl(w.add(kept, w.extendU(up)), below));
        f.set(r.rest, rest);
      },
      () => {
        f.set(r.up, w.gtU(lo, w.sub(MSB, w.and(hi, i64(1)))));
        f.set(r.m, w.add(hi, w.extendU(up)));
        f.set(r.rest, lo);
      },
      false,
    );
    // All ones rounded up, or an end of the range.
    this.leaveIf(w.or(w.eqz(w.localGet(r.m, 'i64')), w.geU(w.sub(e, i32(1)), i32(0x7ffd))));
    f.set(r.se, w.or(sign, e));
  }

  #mul(a: Extended, b: Extended, r: Result): void {
    const { f } = this;
    const sign = f.let(w.and(w.xor(a.se, b.se), SIGN));
    f.if(
      w.ltS(w.and(a.m, b.m), i64(0)),
      () => {
        const low = i64(0xffff_ffff);
        const half = i64(32);
        const [al, bl] = [f.let(w.and(a.m, low)), f.let(w.and(b.m, low))];
        const [ah, bh] = [f.let(w.shrU(a.m, half)), f.let(w.shrU(b.m, half))];
        const t = f.let(w.add(w.mul(ah, bl), w.shrU(w.mul(al, bl), half)));
        const u = f.let(w.add(w.mul(al, bh), w.and(t, low)));
        const high = f.let(w.add(w.add(w.mul(ah, bh), w.shrU(t, half)), w.shrU(u, half)));
        const down = f.let(w.mul(a.m, b.m));
        const k = f.let(w.xor(w.shrU(high, i64(63)), i64(1)));
        const hi = f.let(w.or(w.shl(high, k), w.and(w.shrU(down, i64(63)), k)));
        const lo = f.let(w.shl(down, k));
        const sum = w.add(w.and(a.se, EXPONENT), w.and(b.se, EXPONENT));
        const e = f.let(w.sub(w.sub(sum, i32(BIAS - 1)), w.wrap(k)));
        this.#round(r, hi, lo, e, sign);
      },
      () => this.#give(r, i64(0), sign),
      true,
    );
  }

  #add(a: Extended, b: Extended, r: Result): void {
    const { f } = this;
    f.if(
      w.ltS(w.and(a.m, b.m), i64(0)),
      () => this.#addNormal(a, b, r),
      () => {
        // A zero: the other one, or of two their common sign.
        const zero = f.let(w.eqz(a.m));
        const both = w.eqz(w.or(a.m, b.m));
        const se = w.select(both, w.and(a.se, b.se), w.select(zero, b.se, a.se));
        const m = f.let(w.select(zero, b.m, a.m));
        // It may have more bits than the precision: then it is rounded, which is core's.
        this.leaveIf(w.and(this.isShort(), w.xor(w.eqz(w.shl(m, i64(64 - AWAY))), i32(1))));
        this.#give(r, m, se);
      },
      true,
    );
  }

  #addNormal(a: Extended, b: Extended, r: Result): void {
    const { f } = this;
    const ea = f.let(w.and(a.se, EXPONENT));
    const eb = f.let(w.and(b.se, EXPONENT));
    const swap = f.let(w.or(w.ltU(ea, eb), w.and(w.eq(ea, eb), w.ltU(a.m, b.m))));
    const large = f.let(w.select(swap, b.m, a.m));
    const small = f.let(w.select(swap, a.m, b.m));
    const sign = f.let(w.and(w.select(swap, b.se, a.se), SIGN));
    const e0 = f.let(w.select(swap, eb, ea));
    const distance = f.let(w.sub(e0, w.select(swap, ea, eb)));
    const n = f.let(w.extendU(distance));
    const part = f.temp('i64');
    const rest = f.temp('i64');
    f.set(part, w.shrU(small, n));
    // Two steps, for n may be 0.
    f.set(rest, w.shl(w.shl(small, w.sub(i64(63), n)), i64(1)));
    f.if(
      w.gtU(distance, i32(63)),
      () => {
        // All of it is below the larger one: by one or two bits, or by so many that only whether there is something counts.
        const far = w.select(w.eq(distance, i32(65)), w.or(w.shrU(small, i64(1)), w.and(small, i64(1))), i64(1));
        f.set(rest, w.select(w.eq(distance, i32(64)), small, far));
        f.set(part, i64(0));
      },
      undefined,
      false,
    );
    const shifted = w.localGet(part, 'i64', true);
    const below = w.localGet(rest, 'i64', true);
    // Without a branch on the signs, which nobody could predict: the smaller one is negated where they differ.
    const minus = f.let(w.sub(i64(0), w.extendU(w.and(w.shrU(w.xor(a.se, b.se), i32(15)), i32(1)))));
    const lo = f.let(w.sub(w.xor(below, minus), minus));
    const borrow = w.and(w.extendU(w.xor(w.eqz(below), i32(1))), minus);
    const signed = w.sub(w.xor(shifted, minus), minus);
    const sum = f.let(w.sub(w.add(large, signed), borrow));
    // Of a sum there may be a carry out; then one bit less than it has is kept.
    const carry = f.let(w.and(w.ltU(sum, shifted), w.xor(w.wrap(minus), i32(1))));
    this.#nothingLeft(r, w.or(sum, w.extendU(carry)), lo, () => {
      const k = f.let(w.clz(sum));
      const up = f.let(w.or(w.shl(sum, k), w.shrU(w.shrU(lo, i64(1)), w.sub(i64(63), k))));
      const down = w.or(w.shrU(sum, i64(1)), MSB);
      const lost = w.or(w.or(w.shrU(lo, i64(1)), w.shl(sum, i64(63))), w.and(lo, i64(1)));
      const hi = f.let(w.select(carry, down, up));
      const low = f.let(w.select(carry, lost, w.shl(lo, k)));
      const e = f.let(w.add(w.sub(e0, w.wrap(k)), w.select(carry, w.add(w.wrap(k), i32(1)), NONE)));
      this.#round(r, hi, low, e, sign);
    });
  }

  /** A difference of nothing is +0; one below the last bit is left alone; else `otherwise`. */
  #nothingLeft(r: Result, hi: Expr, lo: Expr, otherwise: () => void): void {
    this.f.if(
      w.eqz(hi),
      () => {
        this.leaveUnless(w.eqz(lo));
        this.#give(r, i64(0), NONE);
      },
      otherwise,
      false,
    );
  }

  /** a / b in core, which leaves the sign and exponent at FLOAT_OUT + 8 and C1 and PE in FPU_SW; 0: not the common case. */
  #div(a: Extended, b: Extended, r: Result): void {
    this.leaveUnless(w.ltS(b.m, i64(0)));
    this.f.if(
      w.eqz(a.m),
      () => this.#give(r, i64(0), w.and(w.xor(a.se, b.se), SIGN)),
      () => this.#fromCore(r, 'x87_region_div', a.se, a.m, b.se, b.m),
    );
  }

  #fromCore(r: Result, name: string, ...args: readonly Expr[]): void {
    const { f } = this;
    const m = f.let(this.host.invoke(name, 'i64', args));
    this.leaveIf(w.eqz(m));
    const sw = f.let(w.load('i32', NONE, L.FPU_SW));
    f.set(r.m, m);
    f.set(r.se, w.load('i32', NONE, L.FLOAT_OUT + 8));
    f.set(r.up, w.and(w.shrU(sw, i32(9)), i32(1)));
    f.set(r.rest, w.extendU(w.and(sw, i32(0x20))));
  }

  #sqrt(): undefined {
    this.requireDefault();
    const a = this.getTame(0);
    const r = this.#result();
    this.f.if(
      w.eqz(a.m),
      () => this.#give(r, i64(0), a.se),
      () => {
        this.leaveIf(w.and(a.se, SIGN));
        this.#fromCore(r, 'x87_region_sqrt', a.se, a.m);
      },
    );
    this.set(0, { m: w.localGet(r.m, 'i64'), se: w.localGet(r.se, 'i32'), tame: true });
    this.rounded(w.localGet(r.up, 'i32'), w.localGet(r.rest, 'i64'));
  }

  #sign(change: (se: Expr) => Expr): undefined {
    const { m, se, tame } = this.get(0);
    this.set(0, { m, se: change(se), tame });
    this.rounded(NONE);
  }

  // ---- comparisons -------------------------------------------------------------------------------------------------------

  /** Whether ST(0) is less than b, and equal to it; neither is a NaN. */
  relation(b: Extended): { less: Expr; equal: Expr } {
    const { f } = this;
    const a = this.getTame(0);
    const same = w.and(w.eq(a.se, b.se), w.eq(a.m, b.m));
    const equal = f.let(w.or(same, w.eqz(w.or(a.m, b.m))));
    const ea = f.let(w.and(a.se, EXPONENT));
    const eb = f.let(w.and(b.se, EXPONENT));
    // Below in magnitude; for two negative ones above is what counts, and they differ.
    const below = f.let(w.or(w.ltU(ea, eb), w.and(w.eq(ea, eb), w.ltU(a.m, b.m))));
    const negative = w.shrU(a.se, i32(15));
    const oneSign = w.eqz(w.and(w.xor(a.se, b.se), SIGN));
    const less = f.let(w.and(w.select(oneSign, w.xor(below, negative), negative), w.eqz(equal)));
    return { less, equal };
  }

  #com(b: Extended, popped: number): undefined {
    const { less, equal } = this.relation(b);
    this.setCodes(w.or(w.shl(less, i32(8)), w.shl(equal, i32(14))));
    this.pop(popped);
  }

  /** FCOMI: as x87_com, for flags. */
  compare(i: number, popped: number): { less: Expr; equal: Expr } {
    const result = this.relation(this.getTame(i));
    this.rounded(NONE);
    this.pop(popped);
    return result;
  }

  // ---- moves -------------------------------------------------------------------------------------------------------------

  #load(value: () => Extended): undefined {
    const v = value();
    this.requireRoom();
    this.push(v);
    this.rounded(NONE);
  }

  #fst(i: number, popped: number): undefined {
    this.set(i, this.get(0));
    this.rounded(NONE);
    this.pop(popped);
  }

  #fxch(i: number): undefined {
    const a = this.get(0);
    const b = this.get(i);
    this.set(0, b);
    this.set(i, a);
    this.rounded(NONE);
  }

  #fcmov(condition: Expr, i: number): undefined {
    const a = this.get(0);
    const b = this.get(i);
    const m = w.select(condition, b.m, a.m);
    this.set(0, { m, se: w.select(condition, b.se, a.se), tame: a.tame && b.tame });
    this.rounded(NONE);
  }

  // ---- stores ------------------------------------------------------------------------------------------------------------

  /** Converts ST(0) to FLOAT_OUT. @returns 1: there is something to write */
  #store(kind: number): Expr {
    const { f } = this;
    this.#stored = undefined;
    const put = (type: 'i32' | 'i64', value: Expr, at = 0) => f.do(w.store(type, NONE, value, L.FLOAT_OUT + at));
    if (kind === 2) {
      const { m, se } = this.get(0);
      put('i64', m);
      put('i32', se, 8);
    } else if (kind < 2) {
      this.requireDefault();
      put('i64', kind === 1 ? this.#toFloat(52, 1023) : this.#toFloat(23, 127));
    } else if (INTEGERS[kind]) put('i64', this.#toInteger(...INTEGERS[kind]));
    else {
      // FBSTP: at FLOAT_OUT already, and what is pending stays in core.
      this.leaveIf(i32(1));
    }
    return i32(1);
  }

  /** ST(0) rounded to a float of `fraction` bits, as its bits. */
  #toFloat(fraction: number, bias: number): Expr {
    const { f } = this;
    const { m, se } = this.getTame(0);
    const zero = f.let(w.eqz(m));
    const e = f.let(w.sub(w.and(se, EXPONENT), i32(BIAS - bias)));
    this.leaveUnless(w.or(zero, w.ltU(w.sub(e, i32(1)), i32(2 * bias))));
    const away = 63 - fraction;
    const rest = f.let(w.shl(m, i64(64 - away)));
    const kept = f.let(w.shrU(m, i64(away)));
    const up = f.let(w.gtU(rest, w.sub(MSB, w.and(kept, i64(1)))));
    // The leading one adds one to the exponent field.
    const value = f.let(w.add(w.add(w.shl(w.extendS(w.sub(e, i32(1))), i64(fraction)), kept), w.extendU(up)));
    // The largest ones may be rounded up to infinity.
    this.leaveUnless(w.or(zero, w.ltU(value, i64((2n * BigInt(bias) + 1n) << BigInt(fraction)))));
    const sign = w.shl(w.extendU(w.shrU(se, i32(15))), i64(fraction === 52 ? 63 : 31));
    this.#stored = { up, rest };
    return w.or(sign, w.select(zero, i64(0), value));
  }

  /** ST(0) as an integer of `size` bytes. */
  #toInteger(size: number, truncate: boolean): Expr {
    const { f } = this;
    const { m, se } = this.getTame(0);
    const cw = f.let(this.control());
    this.leaveUnless(w.and(cw, i32(0x20)));
    const mode = f.let(w.and(cw, i32(0xc00)));
    if (!truncate) this.leaveUnless(w.or(w.eqz(mode), w.eq(mode, i32(0xc00))));
    // Bits behind the point: 1 to 63 of them inside the significand, 64 and more: nothing before the point.
    const n = f.let(w.sub(i32(BIAS + 63), w.and(se, EXPONENT)));
    const zero = f.let(w.eqz(m));
    this.leaveUnless(w.or(zero, w.gtS(n, NONE)));
    const shift = f.let(w.extendU(n));
    const inside = f.let(w.ltU(n, i32(64)));
    const whole = f.let(w.select(inside, w.shrU(m, shift), i64(0)));
    const fraction = w.shl(m, w.sub(i64(64), shift));
    const rest = f.let(w.select(zero, i64(0), w.select(inside, fraction, w.select(w.eq(n, i32(64)), m, i64(1)))));
    const nearest = w.gtU(rest, w.sub(MSB, w.and(whole, i64(1))));
    const up = f.let(truncate ? NONE : w.and(nearest, w.eqz(mode)));
    const magnitude = f.let(w.add(whole, w.extendU(up)));
    const negative = f.let(w.extendU(w.shrU(se, i32(15))));
    const value = f.let(w.sub(w.xor(magnitude, w.sub(i64(0), negative)), w.sub(i64(0), negative)));
    // The magnitude may be 2^(bits - 1) only if negative.
    const limit = w.add(i64((1n << BigInt(size * 8 - 1)) - 1n), negative);
    this.leaveIf(w.gtU(magnitude, limit));
    this.#stored = { up, rest };
    return value;
  }
}
