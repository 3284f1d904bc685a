/** MOV and its relatives, LEA, XCHG, extensions, CMOVcc, SETcc, PUSH, POP, flags to and from AH, MOVBE, BSWAP, XLAT. */
import { type Emitter, RAX, RBP, RSP } from '../emit/emitter.js';
import { type Operand, sizeOf } from '../emit/operands.js';
import * as L from '../layout.js';
import type { Expr } from '../wasm/ops.js';
import * as w from '../wasm/ops.js';
import { InstructionList } from './define.js';
import { RFLAGS } from './rflags.js';

export const moves = new InstructionList();
const op = moves.op.bind(moves);
const hex = (n: number) => n.toString(16).toUpperCase().padStart(2, '0');
export const CONDITIONS = ['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'];

op(
  'mov',
  [
    ['88 /r', 'Eb,Gb'],
    ['89 /r', 'Ev,Gv'],
    ['8A /r', 'Gb,Eb'],
    ['8B /r', 'Gv,Ev'],
    ['A0', 'AL,Ob'],
    ['A1', 'rAX,Ov'],
    ['A2', 'Ob,AL'],
    ['A3', 'Ov,rAX'],
    ['B0+r', 'Zb,Ib'],
    ['B8+r', 'Zv,Iv'],
    ['C6 /0', 'Eb,Ib'],
    ['C7 /0', 'Ev,Iz'],
  ],
  { writes: true },
  (e, dst, src) => e.write(dst, e.readAs(src, sizeOf(dst))),
);

op('lea', [['8D /r mem', 'Gv,M']], { addressOnly: true }, (e, dst, src) => {
  e.write(dst, e.resize(e.address(src), sizeOf(dst)));
});

op(
  'nop',
  [
    ['0F 0D /r', 'Ev'],
    ['0F 18 /r', 'Ev'],
    ['0F 19 /r', 'Ev'],
    ['0F 1A /r', 'Ev'],
    ['0F 1B /r', 'Ev'],
    ['0F 1C /r', 'Ev'],
    ['0F 1D /r', 'Ev'],
    ['0F 1E /r', 'Ev'],
    ['0F 1F /r', 'Ev'],
  ],
  { addressOnly: true },
  () => {},
);
op('pause', [['F3 90', '']], {}, () => {});

op(
  'movzx',
  [
    ['0F B6 /r', 'Gv,Eb'],
    ['0F B7 /r', 'Gv,Ew'],
  ],
  {},
  (e, dst, src) => {
    e.write(dst, e.resize(e.read(src), sizeOf(dst)));
  },
);
op(
  'movsx',
  [
    ['0F BE /r', 'Gv,Eb'],
    ['0F BF /r', 'Gv,Ew'],
  ],
  {},
  (e, dst, src) => {
    const v = e.signExtend(e.read(src), sizeOf(src));
    e.write(dst, sizeOf(dst) === 8 ? w.extendS(v) : v);
  },
);
op('movsxd', [['63 /r only64', 'Gv,Ez']], {}, (e, dst, src) => {
  const v = e.read(src);
  e.write(dst, sizeOf(dst) === 8 ? w.extendS(v) : v);
});

const XCHG_MEMORY = { lock: true, writes: true };
op(
  'xchg',
  [
    ['86 /r', 'Eb,Gb'],
    ['87 /r', 'Ev,Gv'],
  ],
  { ...XCHG_MEMORY },
  (e, dst, src) => {
    const b = e.read(src);
    let old: Expr | undefined;
    e.update(dst, (a) => {
      old = a;
      return b;
    });
    e.write(src, old!);
  },
);
// 90 is XCHG of the accumulator with itself, which is NOP: nothing may change, bits 63:32 neither. With REX.B it is R8.
op('xchg', [['90+r', 'Zv,rAX']], {}, exchangeAccumulator);
function exchangeAccumulator(e: Emitter, dst: Operand, acc: Operand): void {
  const a = e.read(dst);
  const b = e.read(acc);
  e.if(
    e.isRegister(dst, RAX),
    () => {},
    () => {
      e.write(dst, b);
      e.write(acc, a);
    },
  );
}

for (let cc = 0; cc < 16; cc++) {
  op(`cmov${CONDITIONS[cc]}`, [[`0F ${hex(0x40 + cc)} /r`, 'Gv,Ev']], { param: cc }, (e, dst, src) => {
    const b = e.read(src);
    // 32 bits: the upper half is cleared even when nothing moves.
    e.write(dst, w.select(e.condition(e.param), b, e.read(dst)));
  });
  op(`set${CONDITIONS[cc]}`, [[`0F ${hex(0x90 + cc)} /r`, 'Eb']], { param: cc, writes: true }, (e, dst) => {
    e.write(dst, e.condition(e.param));
  });
}

// ---- sign and byte tricks --------------------------------------------------------------------------------------------

op('cbw', [['98', 'rAX']], {}, (e, acc) => {
  const size = sizeOf(acc);
  const half = e.signExtend(e.gpr(RAX, size / 2), size / 2);
  e.write(acc, size === 8 ? w.extendS(half) : half);
});
op('cwd', [['99', 'rAX']], {}, (e, acc) => {
  const size = sizeOf(acc);
  const v = e.signExtend(e.read(acc), size);
  e.setGpr(2, size, w.shrS(v, w.intc(v.type, size === 8 ? 63 : 31)));
});

/** Bytes reversed within `size`. */
export function swapBytes(e: Emitter, v: Expr, size: number): Expr {
  if (size === 2) return w.and(w.or(w.shl(v, w.i32c(8)), w.shrU(v, w.i32c(8))), w.i32c(0xffff));
  if (size === 4) {
    const even = w.rotl(w.and(v, w.i32c(0x00ff_00ff)), w.i32c(24));
    const odd = w.and(w.rotl(v, w.i32c(8)), w.i32c(0x00ff_00ff));
    return w.or(even, odd);
  }
  const low = swapBytes(e, e.let(w.wrap(v)), 4);
  const high = swapBytes(e, e.let(w.wrap(w.shrU(v, w.i64c(32)))), 4);
  return w.or(w.shl(w.extendU(low), w.i64c(32)), w.extendU(high));
}
op('bswap', [['0F C8+r', 'Zv']], {}, (e, dst) => {
  const size = sizeOf(dst);
  // 16 bits: undefined; processors of today clear the register's low half.
  const v = e.read(dst);
  e.write(dst, size === 2 ? w.i32c(0) : swapBytes(e, v, size));
});
op(
  'movbe',
  [
    ['NP 0F 38 F0 /r mem', 'Gv,Mv'],
    ['66 0F 38 F0 /r mem', 'Gv,Mv'],
    ['NP 0F 38 F1 /r mem', 'Mv,Gv'],
    ['66 0F 38 F1 /r mem', 'Mv,Gv'],
  ],
  { feature: 'movbe', writes: true },
  (e, dst, src) => {
    e.write(dst, e.let(swapBytes(e, e.read(src), sizeOf(dst))));
  },
);

op('xlat', [['D7', '']], { rep: true }, (e) => e.core('op_xlat'));

// ---- flags -------------------------------------------------------------------------------------------------------------

const AH: Operand = { kind: 'fixed', size: 1, register: 1 };
op('lahf', [['9F', '']], {}, (e) => {
  e.write(AH, w.and(e.rflags(), w.i32c(0xff)));
});
op('sahf', [['9E', '']], {}, (e) => {
  e.callVoid('setFlags', e.read(AH), w.i32c(0xd5));
});
// Undocumented, but every processor has it: AL from CF.
op('salc', [['D6 i64', '']], {}, (e) => e.setGpr(RAX, 1, w.sub(w.i32c(0), e.carry())));
op('clc', [['F8', '']], {}, (e) => e.setCarry(w.i32c(0)));
op('stc', [['F9', '']], {}, (e) => e.setCarry(w.i32c(1)));
op('cmc', [['F5', '']], {}, (e) => e.setCarry(e.let(w.xor(e.carry(), w.i32c(1)))));
const { DF } = RFLAGS;
op('cld', [['FC', '']], {}, (e) => e.setState(L.EFLAGS, w.and(e.eflags(), w.i32c(~DF))));
op('std', [['FD', '']], {}, (e) => e.setState(L.EFLAGS, w.or(e.eflags(), w.i32c(DF))));

// ---- stack -------------------------------------------------------------------------------------------------------------

op(
  'push',
  [
    ['50+r d64', 'Zv'],
    ['FF /6 d64', 'Ev'],
  ],
  { stack: true },
  (e, src) => {
    e.push(e.read(src), sizeOf(src));
  },
);
op(
  'push',
  [
    ['68 d64', 'Iz'],
    ['6A d64', 'Ibs'],
  ],
  { stack: true },
  (e, src) => {
    const size = e.variant.operandSize;
    e.push(e.readAs(src, size), size);
  },
);
op(
  'pop',
  [
    ['58+r d64', 'Zv'],
    ['8F /0 mod3 d64', 'Ev'],
  ],
  { stack: true },
  (e, dst) => {
    // POP RSP: the value wins over the increment.
    e.write(dst, e.pop(sizeOf(dst)));
  },
);
// The address of POP m is computed with RSP already incremented, and the write may still fault.
op('pop', [['8F /0 mem d64', 'Ev']], { stack: true, writes: true }, (e, dst) => {
  const size = sizeOf(dst);
  const value = e.top(size);
  const before = e.gpr(RSP, 8);
  e.drop(w.i32c(size));
  const after = e.gpr(RSP, 8);
  const address = e.address(dst);
  e.setGpr(RSP, 8, before);
  const p = e.writePointer(address, size);
  e.storeInt(p, value, size);
  e.commit(p);
  e.setGpr(RSP, 8, after);
});
for (const [name, pattern, seg] of [
  ['push', '06 i64', L.ES],
  ['push', '0E i64', L.CS],
  ['push', '16 i64', L.SS],
  ['push', '1E i64', L.DS],
  ['push', '0F A0 d64', L.FS],
  ['push', '0F A8 d64', L.GS],
] as const) {
  op(`${name}_sreg${seg}`, [[pattern, '']], { stack: true, param: seg }, (e) => {
    const size = e.variant.operandSize;
    const selector = e.state(L.SEGS + e.param * L.SEG_SIZE + L.SEG_SEL, 'i32');
    e.push(size === 8 ? w.extendU(selector) : selector, size);
  });
}

op('pusha', [['60 i64', '']], { stack: true }, (e) => e.core('op_pusha', e.variant.operandSize));
op('popa', [['61 i64', '']], { stack: true }, (e) => e.core('op_popa', e.variant.operandSize));

op('leave', [['C9 d64', '']], { stack: true }, (e) => {
  const size = e.variant.operandSize;
  if (e.variant.slowStack) {
    e.core('op_leave', size);
    return;
  }
  const frame = e.let(e.maskAddress(e.gpr(RBP, 8)));
  const value = e.let(e.loadInt(e.readPointer(frame, size), size));
  e.setGpr(RSP, 8, e.maskAddress(w.add(frame, w.i64c(size))));
  e.setGpr(RBP, size, value);
});
op('enter', [['C8 d64', 'Iw,Ib']], { stack: true }, (e) => e.core('op_enter', e.variant.operandSize));
