/** Handlers that are not instructions: what the decoder puts between them (layout.ts, H_*). */
import { VECTOR } from '../emit/emitter.js';
import type { HandlerContext } from '../emit/interpreter-emitter.js';
import type { CoreImports } from '../emit/machine-emitter.js';
import type { FixedHandler } from '../interpreter.js';
import * as L from '../layout.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';

const byte = (c: HandlerContext, offset: number) => w.load('i32_8u', c.rec, offset);

/** base + (index << scale) + disp, 64 bits, unmasked. */
function offsetOf(c: HandlerContext): Expr {
  const base = w.load('i64', byte(c, L.REC_BASE), L.REGS);
  const index = w.load('i64', byte(c, L.REC_INDEX), L.REGS);
  const scaled = w.shl(index, w.extendU(byte(c, L.REC_SCALE)));
  return w.add(w.add(base, scaled), w.load('i64_32s', c.rec, L.REC_DISP));
}

function segment(c: HandlerContext): Expr {
  return c.f.let(w.add(w.shl(byte(c, L.REC_A), w.i32c(5)), w.i32c(L.SEGS)));
}

const NO_SEGMENT = 255;

function setEa(c: HandlerContext, linear: Expr, skip = L.REC_SIZE): void {
  c.f.do(w.store('i64', w.i32c(0), linear, L.REGS + L.R_EA));
  c.next(skip);
}

function raise(vector: number) {
  return (c: HandlerContext): void => {
    c.f.do(w.store('i32', w.i32c(0), w.i32c(vector), L.FAULT_VECTOR));
    c.f.do(w.store('i32', w.i32c(0), w.i32c(0), L.FAULT_ERROR));
    c.fault();
  };
}

/** Legacy addressing: the offset wraps at 32 or 16 bits, then limit and rights are checked unless the segment is plain. */
function checked(mask: number) {
  return (c: HandlerContext, imports: CoreImports): void => {
    const offset = c.f.let(w.and(offsetOf(c), w.i64c(mask)));
    c.f.if(w.eq(byte(c, L.REC_A), w.i32c(NO_SEGMENT)), () => setEa(c, offset));
    const index = imports.index('eaSeg', ['i32', 'i64', 'i32', 'i32'], 'i64');
    const args = [byte(c, L.REC_A), offset, byte(c, L.REC_B), w.and(w.load('i32', c.rec, L.REC_IMM), w.i32c(1))];
    c.aside(() => {
      const linear = c.f.let(w.call(index, 'i64', args));
      c.f.if(w.geS(w.load('i32', w.i32c(0), L.FAULT_VECTOR), w.i32c(0)), () => c.fault());
      setEa(c, linear);
    }, true);
  };
}

export const FIXED_HANDLERS: readonly FixedHandler[] = [
  {
    number: L.H_STALE,
    emit: (c, imports) => {
      // A chain that led to a block whose code has changed would do so for ever: cut it.
      c.f.if(c.from, () => {
        for (const slot of [4, 8]) {
          const chained = w.load('i32', c.from, L.REC_SIZE + slot);
          c.f.if(w.eq(chained, w.load('i32', w.i32c(0), L.CUR_BLOCK)), () =>
            c.f.do(w.store('i32', c.from, w.i32c(0), L.REC_SIZE + slot)),
          );
        }
      });
      c.f.do(w.store('i32', w.i32c(0), c.rec, L.CUR_REC));
      c.aside(() => c.obey(w.call(imports.index('stale', ['i32'], 'i32'), 'i32', [c.rec]), true), true);
    },
  },
  { number: L.H_FALL, emit: (c) => c.chain(w.load('i64_32s', c.rec, L.REC_SIZE), L.REC_SIZE + 8) },
  {
    number: L.H_EA64,
    emit: (c) => setEa(c, w.add(offsetOf(c), w.load('i64', segment(c), L.SEG_BASE))),
  },
  {
    number: L.H_EA32IN64,
    emit: (c) => {
      const offset = c.f.let(w.and(offsetOf(c), w.i64c(0xffff_ffff)));
      c.f.if(w.eq(byte(c, L.REC_A), w.i32c(NO_SEGMENT)), () => setEa(c, offset));
      setEa(c, w.add(offset, w.load('i64', segment(c), L.SEG_BASE)));
    },
  },
  { number: L.H_EASEG, emit: checked(0xffff_ffff) },
  { number: L.H_EA16, emit: checked(0xffff) },
  {
    number: L.H_EAMOFFS,
    emit: (c) => {
      const offset = c.f.let(w.load('i64', c.rec, L.REC_SIZE));
      const next = 2 * L.REC_SIZE;
      c.f.if(w.eq(byte(c, L.REC_A), w.i32c(NO_SEGMENT)), () => setEa(c, offset, next));
      setEa(c, w.add(offset, w.load('i64', segment(c), L.SEG_BASE)), next);
    },
  },
  { number: L.H_UD, emit: raise(VECTOR.UD) },
  { number: L.H_GP0, emit: raise(VECTOR.GP) },
  {
    // The bytes that were missing may be there by now, or the fetch faults with the right error code.
    number: L.H_FETCH_FAULT,
    emit: (c, imports) => {
      c.f.do(w.store('i32', w.i32c(0), c.rec, L.CUR_REC));
      c.aside(() => c.obey(w.call(imports.index('stale', ['i32'], 'i32'), 'i32', [c.rec]), true), true);
    },
  },
];
