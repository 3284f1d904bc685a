import { Mnemonic } from 'iced-x86';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Attributes, type Encoding, InstructionList } from '../isa/define.js';
import { INSTRUCTIONS } from '../isa/index.js';
import * as L from '../layout.js';
import { type DecodedInstruction, DecodeHarness, MODES } from './decode-harness.js';
import { type Bits, compare, decodeByIced, TEST_PAGE } from './decode-oracle.js';

// A small instruction set that uses every operand letter and every kind of pattern; names are iced's mnemonics.
const standIn = new InstructionList();
const op = (name: string, encodings: Encoding[], attributes: Attributes = {}) =>
  standIn.op(name, encodings, attributes, () => {});

const RMW = { lock: true, writes: true };
op(
  'add',
  [
    ['00 /r', 'Eb,Gb'],
    ['01 /r', 'Ev,Gv'],
    ['02 /r', 'Gb,Eb'],
    ['03 /r', 'Gv,Ev'],
    ['05', 'rAX,Iz'],
    ['83 /0', 'Ev,Ibs'],
  ],
  RMW,
);
op(
  'mov',
  [
    ['88 /r', 'Eb,Gb'],
    ['89 /r', 'Ev,Gv'],
    ['8A /r', 'Gb,Eb'],
    ['8B /r', 'Gv,Ev'],
  ],
  { writes: true },
);
op(
  'mov',
  [
    ['B0+r', 'Zb,Ib'],
    ['B8+r', 'Zv,Iv'],
    ['C7 /0', 'Ev,Iz'],
  ],
  { writes: true },
);
op(
  'mov',
  [
    ['A0', 'AL,Ob'],
    ['A1', 'rAX,Ov'],
    ['A2', 'Ob,AL'],
    ['A3', 'Ov,rAX'],
  ],
  { writes: true },
);
op(
  'mov',
  [
    ['0F 20 /r', 'Ry,Cd'],
    ['0F 22 /r', 'Cd,Ry'],
    ['0F 21 /r', 'Ry,Dd'],
    ['0F 23 /r', 'Dd,Ry'],
  ],
  { ends: true },
);
op('mov', [['8E /r', 'Sw,Ew']], { ends: true });
op('lea', [['8D /r mem', 'Gv,M']], { addressOnly: true });
op('pop', [['8F /0 d64', 'Ev']], { stack: true, writes: true });
op(
  'push',
  [
    ['50+r d64', 'Zv'],
    ['68 d64', 'Iz'],
    ['6A d64', 'Ibs'],
  ],
  { stack: true },
);
op('enter', [['C8 d64', 'Iw,Ib']], { stack: true });
op('movsxd', [['63 /r only64', 'Gv,Ez']]);
op('arpl', [['63 /r i64', 'Ew,Gw']], { writes: true, protectedOnly: true });
op('les', [['C4 /r mem i64', 'Gv,Mp']]);
op('lds', [['C5 /r mem i64', 'Gv,Mp']]);
op('lgdt', [['0F 01 /2 mem f64', 'Ms']], { ends: true });
op(
  'jmp',
  [
    ['EB f64', 'Jb'],
    ['E9 f64', 'Jz'],
  ],
  { ends: true },
);
op('jmp', [['EA i64', 'Ap']], { ends: true });
op(
  'je',
  [
    ['74 f64', 'Jb'],
    ['0F 84 f64', 'Jz'],
  ],
  { ends: true },
);
op('hlt', [['F4', '']], { ends: true });
op(
  'movs',
  [
    ['A4', ''],
    ['A5', ''],
  ],
  { rep: true },
);
op(
  'outs',
  [
    ['6E', ''],
    ['6F', ''],
  ],
  { rep: true },
);
op('nop', [['90', '']]);
op('pause', [['F3 90', '']]);
op('xchg', [['90+r', 'Zv,rAX']]);
op('cmpxchg16b', [['0F C7 /1 mem W1', 'Mdq']], RMW);
op('cmpxchg8b', [['0F C7 /1 mem W0', 'Mq']], RMW);
op('tzcnt', [['F3 0F BC /r', 'Gv,Ev']]);
op('bsf', [['0F BC /r', 'Gv,Ev']]);
op('crc32', [
  ['F2 0F 38 F0 /r', 'Gy,Eb'],
  ['F2 0F 38 F1 /r', 'Gy,Ev'],
]);
op('movbe', [
  ['NP 0F 38 F0 /r mem', 'Gv,Mv'],
  ['66 0F 38 F0 /r mem', 'Gv,Mv'],
]);
op('addps', [['NP 0F 58 /r', 'Vx,Wx']]);
op('addpd', [['66 0F 58 /r', 'Vx,Wx']]);
op('addss', [['F3 0F 58 /r', 'Vx,Wd']]);
op('addsd', [['F2 0F 58 /r', 'Vx,Wq']]);
op('movd', [
  ['66 W0 0F 6E /r', 'Vx,Ed'],
  ['NP W0 0F 6E /r', 'Pq,Ed'],
]);
op('movq', [
  ['66 W1 0F 6E /r', 'Vx,Eq'],
  ['NP W1 0F 6E /r', 'Pq,Eq'],
]);
op('paddb', [
  ['NP 0F FC /r', 'Pq,Qq'],
  ['66 0F FC /r', 'Vx,Wx'],
]);
op('pmovmskb', [
  ['NP 0F D7 /r', 'Gd,Nq'],
  ['66 0F D7 /r', 'Gd,Ux'],
]);
op('shufps', [['NP 0F C6 /r', 'Vx,Wx,Ib']]);
op(
  'shld',
  [
    ['0F A4 /r', 'Ev,Gv,Ib'],
    ['0F A5 /r', 'Ev,Gv,CL'],
  ],
  { writes: true },
);
op(
  'shl',
  [
    ['D1 /4', 'Ev,1'],
    ['D3 /4', 'Ev,CL'],
  ],
  { writes: true },
);
op('fadd', [
  ['D8 /0 mod3', 'STi'],
  ['D8 /0 mem', 'Md'],
  ['DC /0 mem', 'Mq'],
]);
op('fld', [['DB /5 mem', 'Mt']]);
op('fldz', [['D9 EE', '']]);
op('fxsave', [['NP 0F AE /0 mem', 'Mx512']], { writes: true });
op('andn', [['VEX.LZ.NP.0F38 F2 /r', 'Gy,By,Ey']]);
op('bextr', [['VEX.LZ.NP.0F38 F7 /r', 'Gy,Ey,By']]);
op('blsr', [['VEX.LZ.NP.0F38 F3 /1', 'By,Ey']]);
op('rorx', [['VEX.LZ.F2.0F3A F0 /r', 'Gy,Ey,Ib']]);
op('vaddps', [
  ['VEX.128.NP.0F 58 /r', 'Vx,Hx,Wx'],
  ['VEX.256.NP.0F 58 /r', 'Vx,Hx,Wx'],
]);
op('vblendvps', [['VEX.128.66.0F3A.W0 4A /r mem', 'Vx,Hx,Mx,Lx']]);
op('vpalignr', [['VEX.128.66.0F3A 0F /r', 'Vx,Hx,Wx,Ib']]);

let small: DecodeHarness;
let whole: DecodeHarness;
beforeAll(async () => {
  small = await DecodeHarness.create(standIn.instructions);
  whole = await DecodeHarness.create(INSTRUCTIONS);
});

/** Numbers from 0 to n - 1, the same in every run. */
function generator(seed: number): (n: number) => number {
  return (n) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % n;
  };
}

const PREFIXES = [0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65];

/** 24 bytes that look like an instruction more often than noise does. `firsts`: opcodes to prefer, with their maps. */
function randomBytes(random: (n: number) => number, bits: Bits, firsts: readonly number[][]): Uint8Array {
  const bytes: number[] = [];
  while (bytes.length < 5 && random(3) === 0) bytes.push(PREFIXES[random(PREFIXES.length)]);
  if (bits === 64 && random(2)) bytes.push(0x40 + random(16));
  if (bits === 64 && random(20) === 0) bytes.push(0x66);
  const vexPlain = random(4) > 0;
  switch (random(6)) {
    case 0:
      bytes.push(0x0f, random(256));
      break;
    case 1:
      bytes.push(0x0f, random(2) ? 0x38 : 0x3a, random(256));
      break;
    case 2:
      if (vexPlain) bytes.length = 0;
      bytes.push(0xc4, (random(8) << 5) | (vexPlain ? 1 + random(3) : random(32)));
      bytes.push(vexPlain ? (random(256) & 0x84) | 0x78 | random(4) : random(256), random(256));
      break;
    default:
      bytes.push(...firsts[random(firsts.length)]);
  }
  const interesting = [0xc0, 0x05, 0x04, 0x24, 0x25, 0x44, 0x45, 0x84, 0x85, 0x0d, 0x06, 0x46, 0x86];
  while (bytes.length < 24) bytes.push(random(3) ? random(256) : interesting[random(interesting.length)]);
  return Uint8Array.from(bytes);
}

const hexOf = (bytes: Uint8Array) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(' ');

/** Problems found in `count` random instructions, one of each kind. */
function fuzz(decoder: DecodeHarness, bits: Bits, mode: number, count: number, firsts: readonly number[][]): string[] {
  const random = generator(bits * 7919 + mode + count);
  const problems = new Map<string, string>();
  let defined = 0;
  for (let k = 0; k < count; k++) {
    const bytes = randomBytes(random, bits, firsts);
    const ours = decoder.decodeRaw(bytes, mode, 0x100, TEST_PAGE)!.instructions[0];
    const theirs = decodeByIced(bytes, bits);
    if (ours.spec) defined++;
    // What is missing altogether is another test's business (isa/complete.test.ts).
    const problem = ours.spec || theirs.isInvalid ? compare(ours, theirs, bits) : undefined;
    if (problem) problems.set(problem.replace(/-?\d{3,}/g, '#'), `${hexOf(bytes)}: ${theirs}: ${problem}`);
    theirs.free();
  }
  expect(defined).toBeGreaterThan(count / 8);
  return [...problems.values()];
}

/** All of the one-byte map, and the opcodes of the stand-in set. */
const ANY = Array.from({ length: 256 }, (_, i) => [i]);
const STAND_IN = [
  ...[0, 1, 2, 3, 5, 0x83, 0x88, 0x89, 0x8a, 0x8b, 0xb1, 0xb8, 0xc7, 0xa0, 0xa1, 0xa2, 0xa3, 0x8e, 0x8d, 0x8f].map(
    (b) => [b],
  ),
  ...[
    0x50, 0x68, 0x6a, 0xc8, 0x63, 0xc4, 0xc5, 0xeb, 0xe9, 0xea, 0x74, 0xf4, 0x90, 0x97, 0xd1, 0xd3, 0xd8, 0xdc, 0xdb,
    0xd9,
  ].map((b) => [b]),
  ...[0x20, 0x22, 0x21, 0x23, 0x01, 0x84, 0xc7, 0xbc, 0x58, 0x6e, 0xfc, 0xd7, 0xc6, 0xa4, 0xa5, 0xae].map((b) => [
    0x0f,
    b,
  ]),
  [0x0f, 0x38, 0xf0],
  [0x0f, 0x38, 0xf1],
];

const VARIANTS: [name: string, bits: Bits, mode: number][] = [
  ['16-bit', 16, MODES[16]],
  ['flat 32-bit', 32, MODES[32]],
  ['segmented 32-bit', 32, MODES[32] | L.MODE_SEGMENTED],
  ['64-bit', 64, MODES[64]],
];

describe.each(VARIANTS)('random instructions in %s mode', (_, bits, mode) => {
  test('of the whole set decode to the length and operands that iced-x86 finds', () => {
    expect(fuzz(whole, bits, mode, 25_000, ANY)).toEqual([]);
  });

  test('of a set with every operand letter decode to the length and operands that iced-x86 finds', () => {
    expect(fuzz(small, bits, mode, 25_000, STAND_IN)).toEqual([]);
  });
});

// ---- single instructions -------------------------------------------------------------------------------------------------

const bytesOf = (hex: string) => Uint8Array.from(hex.split(' '), (b) => Number.parseInt(b, 16));

function first(hex: string, mode: number, offset = 0x100): DecodedInstruction {
  return small.decode(bytesOf(hex), mode, offset)!.instructions[0];
}

const keyOf = (hex: string, mode: number): string => {
  const d = first(hex, mode);
  return d.spec?.key ?? (d.handler === L.H_UD ? '#UD' : d.handler === L.H_GP0 ? '#GP' : `handler ${d.handler}`);
};

describe('prefixes', () => {
  test('REX counts only directly before the opcode', () => {
    expect(keyOf('48 01 c8', MODES[64])).toBe('add.64.gpr8a,gpr8b');
    expect(keyOf('48 66 01 c8', MODES[64])).toBe('add.16.gpr2a,gpr2b');
    expect(keyOf('66 48 01 c8', MODES[64])).toBe('add.64.gpr8a,gpr8b');
  });

  test('byte registers 4 to 7 are high halves without REX and low bytes with any REX', () => {
    expect(first('00 e0', MODES[64]).b).toBe(1); // AH
    expect(first('40 00 e0', MODES[64]).b).toBe(4 * 8); // SPL
    expect(first('66 40 00 f8', MODES[64]).b).toBe(7 * 8); // DIL
  });

  test('LOCK is legal only with a memory destination of a lockable instruction', () => {
    expect(keyOf('f0 01 08', MODES[64])).toBe('add.32.mem4,gpr4a');
    expect(keyOf('f0 01 c8', MODES[64])).toBe('#UD');
    expect(keyOf('f0 03 08', MODES[64])).toBe('#UD');
    expect(keyOf('f0 89 08', MODES[64])).toBe('#UD');
    expect(keyOf('f2 f0 01 08', MODES[64])).toBe('add.32.mem4,gpr4a'); // XACQUIRE
  });

  test('F3 and F2 beat 66, and the last of them wins', () => {
    expect(keyOf('f2 66 0f 58 c1', MODES[64])).toBe('addsd.xmm16a,xmm8b');
    expect(keyOf('f2 f3 0f 58 c1', MODES[64])).toBe('addss.xmm16a,xmm4b');
    expect(keyOf('66 0f 58 c1', MODES[64])).toBe('addpd.xmm16a,xmm16b');
  });

  test('more than 15 bytes raise #GP(0), and so do 15 prefixes', () => {
    expect(keyOf(`${'66 '.repeat(13)}01 c8`, MODES[64])).toBe('add.16.gpr2a,gpr2b');
    expect(keyOf(`${'66 '.repeat(14)}01 c8`, MODES[64])).toBe('#GP');
    expect(keyOf(`${'66 '.repeat(30)}01 c8`, MODES[64])).toBe('#GP');
    expect(small.decode(bytesOf(`${'66 '.repeat(14)}01 c8`), MODES[64])).toMatchObject({ count: 1, bytes: 15 });
  });

  test('90 is NOP, XCHG with REX.B, PAUSE with F3', () => {
    expect(keyOf('90', MODES[64])).toBe('nop.32.');
    expect(keyOf('48 90', MODES[64])).toBe('nop.64.');
    expect(keyOf('f3 90', MODES[64])).toBe('pause.');
    expect(keyOf('49 90', MODES[64])).toBe('xchg.64.gpr8a,fixed8@0');
    expect(first('49 90', MODES[64]).a).toBe(8 * 8);
  });
});

describe('VEX', () => {
  test('is undefined after 66, F2, F3, LOCK or REX, and in real and virtual-8086 mode', () => {
    const andn = 'c4 e2 60 f2 c1'; // ANDN EAX, EBX, ECX
    expect(keyOf(andn, MODES[64])).toBe('andn.gpr4a,gpr4b,gpr4c');
    for (const prefix of ['66', 'f2', 'f3', 'f0', '40']) expect(keyOf(`${prefix} ${andn}`, MODES[64])).toBe('#UD');
    expect(keyOf(andn, MODES[32])).toBe('andn.gpr4a,gpr4b,gpr4c');
    expect(keyOf(andn, MODES[16] & ~L.MODE_PE)).toBe('#UD');
    expect(keyOf(andn, (MODES[16] & ~L.MODE_PE) | L.MODE_VM)).toBe('#UD');
  });

  test('is LES or LDS outside 64-bit mode where the next byte names memory', () => {
    expect(keyOf('c4 00', MODES[32])).toBe('les.32.gpr4a,mem6');
    expect(keyOf('c5 00', MODES[32])).toBe('lds.32.gpr4a,mem6');
    expect(keyOf('c5 f8 58 c1', MODES[32])).toBe('vaddps.xmm16a,xmm16b,xmm16c');
  });

  test('vvvv must be 1111 where it names no register', () => {
    expect(keyOf('c4 e3 7b f0 c1 05', MODES[64])).toBe('rorx.gpr4a,gpr4b,imm1');
    expect(keyOf('c4 e3 73 f0 c1 05', MODES[64])).toBe('#UD');
  });

  test('the third register shares the immediate field with an immediate byte', () => {
    const d = first('c4 e3 71 0f c2 07', MODES[64]); // VPALIGNR XMM0, XMM1, XMM2, 7
    expect([d.a, d.b, d.imm]).toEqual([0, 16, ((2 * 16) << 8) | 7]);
    const blend = first('c4 e3 71 4a 00 30', MODES[64]); // VBLENDVPS XMM0, XMM1, [RAX], XMM3
    expect([blend.a, blend.b, blend.imm >> 8]).toEqual([0, 16, 3 * 16]);
  });
});

describe('memory operands', () => {
  test('FS and GS need a micro-op in 64-bit mode; the other overrides are ignored', () => {
    expect(first('65 8b 00', MODES[64]).address).toMatchObject({ segment: L.GS, base: 0, bits: 64 });
    expect(first('2e 8b 00', MODES[64]).address.segment).toBe(255);
    expect(first('64 2e 8b 00', MODES[64]).address.segment).toBe(L.FS);
  });

  test('LEA has no segment', () => {
    expect(first('65 8d 00', MODES[64]).address).toMatchObject({ segment: 255, bits: 64 });
    expect(first('67 65 8d 00', MODES[64]).address).toMatchObject({ segment: 255, bits: 32 });
    expect(first('8d 42 10', MODES[16]).address).toMatchObject({ segment: 255, bits: 16, disp: 16 });
  });

  test('RIP-relative operands count from the end of the instruction, immediates included', () => {
    const d = first('c7 05 10 00 00 00 01 02 03 04', MODES[64], 0x200);
    expect(d.address).toMatchObject({ base: L.R_PAGE, disp: 0x200 + 10 + 0x10 });
  });

  test('RIP-relative displacements that leave 31 bits are taken in two steps', () => {
    // R_EA = offset of the next instruction, then R_PAGE + R_EA + disp.
    const bytes = bytesOf('8b 05 ff ff ff 7f f4');
    const block = small.decodeParts(bytes, MODES[64], 0x800);
    expect(block.map((r) => r.handler).slice(0, 1)).toEqual([L.H_EAMOFFS]);
    expect(block[0]).toMatchObject({ a: 255, extension: 0x806n });
    expect(block[1]).toMatchObject({ base: L.R_PAGE, index: L.R_EA, scale: 0, disp: 0x7fffffff });
  });

  test('a flat segment needs no check, but a code segment does', () => {
    expect(first('36 8b 00', MODES[32]).address.checkedSize).toBe(-1);
    expect(first('2e 8b 00', MODES[32]).address).toMatchObject({ segment: L.CS, checkedSize: 4, write: false });
    expect(first('89 45 00', MODES[32] | L.MODE_SEGMENTED).address).toMatchObject({
      segment: L.SS,
      checkedSize: 4,
      write: true,
    });
    expect(first('67 8b 07', MODES[32]).address).toMatchObject({ segment: L.DS, bits: 16 });
  });

  test('64-bit absolute offsets go to an extension record unless a displacement holds them', () => {
    expect(first('48 a1 88 77 66 55 44 33 22 11', MODES[64]).address).toMatchObject({
      offset: 0x1122334455667788n,
      segment: 255,
    });
    expect(first('a1 f0 ff ff ff ff ff ff ff', MODES[64]).address).toMatchObject({
      offset: undefined,
      disp: -16,
      base: L.R_ZERO,
    });
    expect(first('64 a1 88 77 66 55 44 33 22 11', MODES[64]).address.segment).toBe(L.FS);
  });

  test('POP to memory sees RSP raised where a micro-op computes the address', () => {
    expect(first('8f 44 24 08', MODES[64]).address.disp).toBe(8); // its handler raises RSP first
    expect(first('64 8f 44 24 08', MODES[64]).address.disp).toBe(16);
    expect(first('67 66 8f 44 24 08', MODES[64]).address.disp).toBe(10);
  });
});

describe('other fields', () => {
  test('MOV r64, imm64 carries its immediate in an extension record', () => {
    expect(first('48 b8 88 77 66 55 44 33 22 11', MODES[64])).toMatchObject({ imm64: 0x1122334455667788n, length: 10 });
  });

  test('string instructions say segment, repetition, address size and element size', () => {
    const fields = (hex: string, mode: number) => {
      const { a, b, base, scale } = first(hex, mode);
      return [a, b, base, scale];
    };
    expect(fields('f3 48 a5', MODES[64])).toEqual([L.DS, 1, 8, 3]);
    expect(fields('64 67 f2 a4', MODES[64])).toEqual([L.FS, 2, 4, 0]);
    expect(fields('2e a5', MODES[64])).toEqual([L.DS, 0, 8, 2]);
    expect(fields('2e a5', MODES[16])).toEqual([L.CS, 0, 2, 1]);
    expect(fields('48 6f', MODES[64])).toEqual([L.DS, 0, 8, 2]); // OUTS has no 64-bit elements
  });

  test('ENTER keeps its second immediate in the displacement', () => {
    expect(first('c8 34 92 05', MODES[64])).toMatchObject({ imm: 0x9234, disp: 5, length: 4 });
  });

  test('segment, control and debug registers that do not exist raise #UD', () => {
    expect(keyOf('8e d8', MODES[64])).toBe('mov.long.rawa,gpr2b');
    for (const hex of ['8e c8', '8e f0', '8e f8', '0f 20 c8', '0f 20 e8', '44 0f 20 c8', '44 0f 21 c0'])
      expect(keyOf(hex, MODES[64])).toBe('#UD');
    expect(first('44 0f 20 c0', MODES[64]).b).toBe(8); // CR8
  });

  test('MOV to control registers ignores mod', () => {
    expect(first('0f 22 18', MODES[64])).toMatchObject({ length: 3, a: 3, b: 0 });
  });
});

// ---- blocks --------------------------------------------------------------------------------------------------------------

describe('a block', () => {
  test('ends with an instruction that ends blocks, and says where the next one is', () => {
    const block = small.decode(bytesOf('01 c8 74 05 01 c8'), MODES[64], 0x300)!;
    expect(block).toMatchObject({ count: 2, bytes: 4, fallsThrough: false, next: 0x304, page2: 0 });
  });

  test('ends after 64 instructions', () => {
    const block = small.decode(new Uint8Array(200).fill(0x90), MODES[64], 0x300)!;
    expect(block).toMatchObject({ count: 64, bytes: 64, fallsThrough: true, next: 0x340 });
  });

  test('is one instruction while single stepping', () => {
    const block = small.decode(bytesOf('01 c8 01 c8 f4'), MODES[64] | L.MODE_TF, 0x300)!;
    expect(block).toMatchObject({ count: 1, bytes: 2, fallsThrough: true, next: 0x302 });
  });

  test('ends at an undefined instruction, which belongs to it', () => {
    const block = small.decode(bytesOf('01 c8 0f 0b f4'), MODES[64], 0x300)!;
    expect(block.count).toBe(2);
    expect(block.instructions[1].handler).toBe(L.H_UD);
    expect(block.fallsThrough).toBe(false);
  });

  test('ends at the page border and falls into the next page', () => {
    const block = small.decode(bytesOf('01 c8 01 c8'), MODES[64], 0xffc)!;
    expect(block).toMatchObject({ count: 2, fallsThrough: true, next: 0x1000, page2: 0 });
    expect(small.fetched).toEqual([]);
  });

  test('stops before an instruction that crosses the border', () => {
    const block = small.decode(bytesOf('01 c8 b8 01 02 03 04'), MODES[64], 0xffc)!;
    expect(block).toMatchObject({ count: 1, fallsThrough: true, next: 0xffe, page2: 0 });
    expect(small.fetched).toEqual([]);
  });

  test('that begins with a crossing instruction holds that one alone and names the second page', () => {
    for (let inFirst = 1; inFirst < 5; inFirst++) {
      const block = small.decode(bytesOf('b8 01 02 03 04 f4'), MODES[64], 0x1000 - inFirst)!;
      expect(block).toMatchObject({ count: 1, bytes: 5, fallsThrough: true, next: 0x1005 - inFirst });
      expect(block.instructions[0]).toMatchObject({ length: 5, imm: 0x04030201 });
      expect(block.page2).not.toBe(0);
      expect(small.fetched).toEqual([0x7f0000_1000n]);
    }
  });

  test('that begins with an instruction in a page that faults is not made', () => {
    small.secondPagePresent = false;
    expect(small.decode(bytesOf('b8 01 02 03 04 f4'), MODES[64], 0xffe)).toBeUndefined();
    expect(small.decode(bytesOf('b8 01 02 03 04 f4'), MODES[64], 0xffb)).toMatchObject({ count: 1 });
    small.secondPagePresent = true;
  });

  test('asks for the second page only if the instruction needs it', () => {
    small.decode(bytesOf('0f 0b'), MODES[64], 0xffe);
    small.decode(bytesOf('f4'), MODES[64], 0xfff);
    expect(small.fetched).toEqual([]);
    small.decode(bytesOf('66'.repeat(3).replace(/66/g, '66 ').trim()), MODES[64], 0xffd);
    expect(small.fetched).toHaveLength(1);
  });

  test('wraps the second page to 32 bits outside 64-bit mode', () => {
    small.decode(bytesOf('b8 01 02 03 04 f4'), MODES[32], 0xffe, 0xffff_f000n);
    expect(small.fetched).toEqual([0n]);
  });

  test('decodes at every distance from the page border as in its middle', () => {
    const bytes = bytesOf('66 65 c7 84 c8 11 22 33 44 55 66 01 c8'); // MOV word GS:[...], imm16; 11 bytes
    const middle = small.decode(bytes, MODES[64], 0x100)!.instructions[0];
    for (let offset = 0xfd0; offset < 0x1000; offset++)
      expect(small.decode(bytes, MODES[64], offset)!.instructions[0]).toEqual(middle);
  });

  test('every byte sequence is decoded within its record space', () => {
    const random = generator(99);
    for (let k = 0; k < 3000; k++) {
      const bytes = Uint8Array.from({ length: 400 }, () => (random(3) ? STAND_IN[random(40)][0] : random(256)));
      const [, , mode] = VARIANTS[random(4)];
      const before = small.exports.recordsLeft();
      const block = small.decodeRaw(bytes, mode, random(4096 - 400), TEST_PAGE)!;
      expect(before - small.exports.recordsLeft()).toBeLessThan(8192);
      expect(block.instructions.reduce((sum, i) => sum + i.length, 0)).toBe(block.bytes);
    }
  });
});

test('the mnemonics of the stand-in set are iced ones, so that names are compared', () => {
  const known = new Set(Object.keys(Mnemonic).map((name) => name.toLowerCase()));
  const families = ['movs', 'outs'];
  expect(
    standIn.instructions.map((i) => i.name).filter((name) => !known.has(name) && !families.includes(name)),
  ).toEqual([]);
});
