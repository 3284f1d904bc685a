import { describe, expect, test } from 'vitest';
import { H_UD, TABLES } from '../layout.js';
import * as T from '../tables.js';
import { type Attributes, type Encoding, type HandlerSpec, InstructionList } from './define.js';
import { type Expansion, expand } from './expand.js';
import { parseOperands, parsePattern } from './pattern.js';

function define(...list: [name: string, encodings: Encoding[], attributes?: Attributes][]): InstructionList {
  const result = new InstructionList();
  for (const [name, encodings, attributes] of list) result.op(name, encodings, attributes ?? {}, () => {});
  return result;
}

/** Key of the handler that the tables name for an opcode and a selector, or 'ud'. */
function lookUp(expansion: Expansion, map: number, opcode: number, selector: number): string {
  const numbers = new Map<HandlerSpec, number>(expansion.handlers.map((h, i) => [h, i + 16]));
  const bytes = expansion.buildTables((h) => numbers.get(h)!);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  let entry = view.getInt32((map * 256 + opcode) * 4, true);
  if (entry === 0) return 'ud';
  while (!(entry & T.T_LEAF)) {
    const at = (entry & T.T_ADDRESS) - TABLES;
    const head = view.getInt32(at, true);
    entry = view.getInt32(at + 4 + ((selector >> (head & 255)) & (head >> 8)) * 4, true);
  }
  const number = view.getUint16((entry & T.T_ADDRESS) - TABLES + T.L_HANDLER, true);
  return number === H_UD ? 'ud' : expansion.handlers[number - 16].key;
}

/** Selector words. */
const SIZE16 = 0 << T.S_SIZE;
const SIZE32 = 1 << T.S_SIZE;
const SIZE64 = 2 << T.S_SIZE;
const LONG = 1 << T.S_LONG;
const REGISTER = 1 << T.S_MOD3;
const PREFIX_66 = 1 << T.S_PREFIX;
const PREFIX_F3 = 2 << T.S_PREFIX;
const reg = (n: number) => n << T.S_REG;

describe('parsePattern', () => {
  test('takes prefix, map, opcode and ModRM extension apart', () => {
    const p = parsePattern('66 0F 38 F6 /3 mem');
    expect([p.prefix, p.map, p.opcode, p.modrm, p.reg, p.mod3]).toEqual([2, 2, 0xf6, true, 1 << 3, 1]);
  });

  test('takes a hexadecimal word alone as the opcode, not as a prefix', () => {
    expect(parsePattern('F3 90')).toMatchObject({ prefix: 4, opcode: 0x90 });
    expect(parsePattern('F4')).toMatchObject({ prefix: 15, opcode: 0xf4 });
  });

  test('reads VEX prefixes', () => {
    const p = parsePattern('VEX.LZ.F2.0F38.W1 F7 /r');
    expect([p.vex, p.map, p.prefix, p.l, p.w]).toEqual([true, 5, 8, 1, 2]);
  });

  test('reads a whole ModRM byte as a register form', () => {
    expect(parsePattern('0F 01 F8')).toMatchObject({ map: 1, opcode: 1, mod3: 2, reg: 1 << 7, rm: 1 });
  });

  test.each(['', '0F', '51+r', '90 mem', '8D /r mod3 mem', '90 /8', 'VEX.128.66.0F77 10 /r'])('refuses %j', (text) => {
    expect(() => parsePattern(text)).toThrow(/encoding/);
  });
});

describe('parseOperands', () => {
  test('takes letters and sizes apart', () => {
    expect(parseOperands('Gv, Ev,Ibs').map((o) => [o.kind, o.size])).toEqual([
      ['reg', 'v'],
      ['rm', 'v'],
      ['imm', 'bs'],
    ]);
    expect(parseOperands('')).toEqual([]);
  });

  test.each(['Xq', 'E', 'Ex', 'Mfoo', 'Ev,'])('refuses %j', (text) => {
    expect(() => parseOperands(text)).toThrow(/unknown operand/);
  });
});

describe('expand', () => {
  test('makes a handler for each operand size and for register and memory', () => {
    const { handlers } = expand(define(['add', [['01 /r', 'Ev,Gv']]]));
    expect(handlers.map((h) => h.key).sort()).toEqual(
      [16, 32, 64]
        .flatMap((bits) => [
          `add.${bits}.gpr${bits / 8}a,gpr${bits / 8}b`,
          `add.${bits}.mem${bits / 8},gpr${bits / 8}a`,
        ])
        .sort(),
    );
  });

  test('lets encodings of the same kinds of operands share a handler', () => {
    const { handlers } = expand(
      define([
        'add',
        [
          ['01 /r mod3', 'Ev,Gv'],
          ['03 /r mod3', 'Gv,Ev'],
        ],
      ]),
    );
    expect(handlers).toHaveLength(3);
    const immediates = expand(
      define([
        'add',
        [
          ['81 /0 mod3', 'Ev,Iz'],
          ['83 /0 mod3', 'Ev,Ibs'],
        ],
      ]),
    );
    expect(immediates.handlers.map((h) => h.key)).toEqual([
      'add.16.gpr2a,imm2s',
      'add.32.gpr4a,imm4s',
      'add.64.gpr8a,imm4s',
    ]);
  });

  test('does not multiply handlers by operand sizes that their operands do not depend on', () => {
    const { handlers } = expand(define(['setz', [['0F 94 /r', 'Eb']]], ['addps', [['NP 0F 58 /r', 'Vx,Wx']]]));
    expect(handlers.map((h) => h.key)).toEqual([
      'setz.mem1',
      'setz.gpr1a',
      'addps.xmm16a,mem16',
      'addps.xmm16a,xmm16b',
    ]);
  });

  test('chooses by operand size, mode and register form', () => {
    const e = expand(define(['inc', [['FF /0', 'Ev']]], ['push', [['FF /6 d64', 'Ev']], { stack: true }]));
    expect(lookUp(e, 0, 0xff, SIZE32 | reg(0))).toBe('inc.32.mem4');
    expect(lookUp(e, 0, 0xff, SIZE64 | LONG | REGISTER)).toBe('inc.64.gpr8a');
    expect(lookUp(e, 0, 0xff, SIZE32 | LONG | REGISTER | reg(6))).toBe('push.64.long.gpr8a');
    expect(lookUp(e, 0, 0xff, SIZE16 | LONG | REGISTER | reg(6))).toBe('push.16.long.gpr2a');
    expect(lookUp(e, 0, 0xff, SIZE32 | REGISTER | reg(6))).toBe('push.32.legacy.gpr4a');
    expect(lookUp(e, 0, 0xff, SIZE32 | REGISTER | reg(6) | (1 << T.S_SLOW))).toBe('push.32.legacy.slow.gpr4a');
    expect(lookUp(e, 0, 0xff, SIZE32 | reg(7))).toBe('ud');
  });

  test('f64 ignores the operand size prefix in 64-bit mode only', () => {
    const e = expand(define(['jmp', [['E9 f64', 'Jz']], { ends: true }]));
    expect(lookUp(e, 0, 0xe9, SIZE16 | LONG)).toBe('jmp.64.long.rel4');
    expect(lookUp(e, 0, 0xe9, SIZE16)).toBe('jmp.16.legacy.rel2');
  });

  test('invalid modes are undefined', () => {
    const e = expand(
      define(
        ['daa', [['27 i64', '']]],
        ['movsxd', [['63 /r only64', 'Gv,Ed']]],
        ['lldt', [['0F 00 /2', 'Ew']], { protectedOnly: true }],
      ),
    );
    expect(lookUp(e, 0, 0x27, SIZE32 | LONG)).toBe('ud');
    expect(lookUp(e, 0, 0x27, SIZE32)).toBe('daa.32.');
    expect(lookUp(e, 0, 0x63, SIZE32)).toBe('ud');
    expect(lookUp(e, 1, 0x00, reg(2))).toBe('ud');
    expect(lookUp(e, 1, 0x00, reg(2) | (1 << T.S_PROTECTED))).toBe('lldt.mem2');
  });

  test('a mandatory prefix wins over a form that takes any', () => {
    const e = expand(define(['bsf', [['0F BC /r', 'Gv,Ev']]], ['tzcnt', [['F3 0F BC /r', 'Gv,Ev']]]));
    expect(lookUp(e, 1, 0xbc, SIZE32 | REGISTER | PREFIX_F3)).toBe('tzcnt.32.gpr4a,gpr4b');
    expect(lookUp(e, 1, 0xbc, SIZE16 | REGISTER | PREFIX_66)).toBe('bsf.16.gpr2a,gpr2b');
  });

  test('a mandatory prefix wins even where the other form is narrower in something else', () => {
    const e = expand(define(['movbe', [['0F 38 F0 /r mem', 'Gv,Mv']]], ['crc32', [['F2 0F 38 F0 /r', 'Gy,Eb']]]));
    expect(lookUp(e, 2, 0xf0, SIZE32 | (3 << T.S_PREFIX))).toBe('crc32.gpr4a,mem1');
    expect(lookUp(e, 2, 0xf0, SIZE32)).toBe('movbe.32.gpr4a,mem4');
  });

  test('an exact opcode beats +r, but only for the register without REX.B', () => {
    const e = expand(define(['nop', [['90', '']]], ['xchg', [['90+r', 'Zv,rAX']]]));
    expect(lookUp(e, 0, 0x90, SIZE32 | LONG)).toBe('nop.32.');
    expect(lookUp(e, 0, 0x90, SIZE32 | LONG | (1 << T.S_REXB))).toBe('xchg.32.gpr4a,fixed4@0');
    expect(lookUp(e, 0, 0x91, SIZE32)).toBe('xchg.32.gpr4a,fixed4@0');
  });

  test('VEX.W chooses general register sizes in 64-bit mode and nothing outside it', () => {
    const e = expand(
      define([
        'andn',
        [
          ['VEX.LZ.NP.0F38.W0 F2 /r', 'Gd,Bd,Ed'],
          ['VEX.LZ.NP.0F38.W1 F2 /r', 'Gq,Bq,Eq'],
        ],
      ]),
    );
    const w = 1 << T.S_W;
    expect(lookUp(e, 5, 0xf2, SIZE32 | REGISTER | w)).toBe('andn.gpr4a,gpr4b,gpr4c');
    expect(lookUp(e, 5, 0xf2, SIZE64 | LONG | REGISTER | w)).toBe('andn.gpr8a,gpr8b,gpr8c');
  });

  test('names both definitions that accept the same bytes', () => {
    const list = define(['one', [['0F A5 /r', 'Ev,Gv']]], ['two', [['0F A5 /r', 'Gv,Ev']]]);
    expect(() => expand(list)).toThrow(/overlap: one "0F A5 \/r" and two "0F A5 \/r"/);
  });

  test('refuses two definitions that come to the same handler', () => {
    const list = define(['one', [['F1', 'AL']]], ['one', [['F4', 'AL']]]);
    expect(() => expand(list)).toThrow(/two definitions make the handler one\.fixed1@0/);
  });

  test('refuses operands that the pattern has no room for', () => {
    expect(() => expand(define(['x', [['01', 'Ev,Gv']]]))).toThrow(/needs \/r/);
    expect(() => expand(define(['x', [['50', 'Zv']]]))).toThrow(/needs \+r/);
    expect(() => expand(define(['x', [['01 /r mem', 'Rv']]]))).toThrow(/neither/);
    expect(() => expand(define(['x', [['C1', 'Iw,Iz']]]))).toThrow(/two immediates/);
  });

  test('only memory destinations are marked as written and lockable', () => {
    const e = expand(
      define([
        'add',
        [
          ['00 /r mem', 'Eb,Gb'],
          ['02 /r mem', 'Gb,Eb'],
        ],
        { lock: true, writes: true },
      ]),
    );
    const bytes = e.buildTables((h) => 16 + e.handlers.indexOf(h));
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const flags = (opcode: number): number => {
      let entry = view.getInt32(opcode * 4, true);
      while (!(entry & T.T_LEAF)) entry = view.getInt32((entry & T.T_ADDRESS) - TABLES + 4, true);
      return view.getUint16((entry & T.T_ADDRESS) - TABLES + T.L_FLAGS, true) & (T.LF_LOCK | T.LF_WRITE);
    };
    expect(flags(0x00)).toBe(T.LF_LOCK | T.LF_WRITE);
    expect(flags(0x02)).toBe(0);
  });
});
