/**
 * Random bytes as code, in every mode and ring. Nothing is known of what they do; what must hold is that the engine comes
 * back in time with an exit that is no defect, that nothing throws (an access beyond RAM would trap), and that the same bytes do
 * the same again.
 */
import { describe, expect, test } from 'vitest';
import { type Bench, type Mode, machine } from './bench.js';
import { CR0, CR4, DATA, EFER, RAM, USER_DATA } from './layout.js';

/** TYPEVISOR_FULL runs many more. */
const ROUNDS = process.env.TYPEVISOR_FULL ? 3000 : 150;
const BUDGET = 3000;
const BYTES = 256;

/** xorshift32: the tests must not depend on Math.random. */
function generator(seed: number): () => number {
  let x = seed | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

/** Opcodes worth more than chance gives them: system instructions, far transfers, strings, prefixes. */
const SPICE: readonly (readonly number[])[] = [
  [0x0f, 0x01],
  [0x0f, 0x00],
  [0x0f, 0x20],
  [0x0f, 0x22],
  [0x0f, 0x21],
  [0x0f, 0x23],
  [0x0f, 0x30],
  [0x0f, 0x32],
  [0x0f, 0x05],
  [0x0f, 0x07],
  [0x0f, 0x34],
  [0x0f, 0x35],
  [0x0f, 0xae],
  [0x0f, 0xc7],
  [0x0f, 0x38],
  [0x0f, 0x3a],
  [0x8e],
  [0x9d],
  [0xcf],
  [0xcb],
  [0xca],
  [0xff],
  [0xcd],
  [0xf1],
  [0xf3, 0xa4],
  [0xf3, 0xab],
  [0xf2, 0xae],
  [0x6c],
  [0x6e],
  [0xd9],
  [0xdb],
  [0xdd],
  [0xc8],
  [0xc4],
  [0xc5],
  [0xc5, 0xfd],
  [0xc5, 0xf9],
  [0xc4, 0xe2, 0x7d],
  [0xc4, 0xe3, 0x7d],
  [0x62],
  [0x66],
  [0x67],
  [0x48],
  [0xf0],
  [0x17],
  [0x9a],
  [0xea],
  [0x0f, 0xa1],
  [0x0f, 0xb2],
  [0x8f],
  [0x61],
  [0x0f, 0x06],
];

function randomCode(next: () => number): Uint8Array {
  const bytes = new Uint8Array(BYTES);
  for (let i = 0; i < BYTES; i++) {
    if (next() % 6 === 0) for (const byte of SPICE[next() % SPICE.length]) bytes[i++ % BYTES] = byte;
    bytes[i % BYTES] = next();
  }
  return bytes;
}

interface Result {
  readonly exit: string;
  readonly digest: () => string;
}

function runRandom(mode: Mode, ring: number, paging: 'none' | '32' | 'pae' | '4-level', seed: number): Result {
  const b = machine(mode, { ring, paging });
  const next = generator(seed * 2_654_435_761);
  b.state.cr4 |= CR4.OSFXSR | CR4.OSXSAVE | CR4.OSXMMEXCPT;
  b.state.xcr0 = 7n;
  if (paging !== 'none' && next() % 2) b.state.cr4 |= CR4.SMEP | CR4.PGE | CR4.PSE;
  if (mode === 'long') {
    b.state.cr4 |= CR4.FSGSBASE;
    b.state.efer |= EFER.SCE;
    b.state.msrs.set(0xc000_0081, 0x28_0008_0000_0000n);
    b.state.msrs.set(0xc000_0082, BigInt(b.code));
  }
  if (mode === 'v8086') b.state.rflags |= BigInt((next() & 3) << 12);
  b.state.cr0 |= CR0.MP;
  b.write(b.code, randomCode(next));
  const near = ring === 3 ? USER_DATA : DATA;
  for (const n of ['rax', 'rcx', 'rdx', 'rbx', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r15'] as const) {
    if (mode !== 'long' && /^r\d/.test(n)) continue;
    const small = mode === 'real' || mode === 'v8086' ? next() & 0xffff : near + (next() & 0xfff);
    b.set({ [n]: next() % 3 ? small : next() });
  }
  // A handler of each vector is a HLT: wake it and let it go on at random a few times.
  let out = b.run(BUDGET);
  for (let n = 0; n < 3 && out.exit === 'hlt'; n++) {
    b.state.rip = BigInt(Number(b.state.cs.base ? 0 : b.code) + (next() % BYTES));
    b.state.activity = 'running';
    b.cpu.setState(b.state);
    if (next() % 4 === 0) b.cpu.nmi();
    out = b.resume(BUDGET);
  }
  return { exit: out.exit, digest: () => digest(b) };
}

/** All that a run leaves behind. */
function digest(b: Bench): string {
  let sum = 0;
  const view = new Uint32Array(b.engine.memory.view(0, RAM).slice().buffer);
  for (let i = 0; i < view.length; i++) sum = (Math.imul(sum, 31) + view[i]) | 0;
  const { state } = b;
  return [
    sum,
    state.rip,
    state.rflags,
    state.cr2,
    b.outside.mmio.length,
    ...state.gpr,
    ...state.fxsave,
    ...state.ymmHigh,
  ].join();
}

describe('random code', () => {
  test.each([
    ['real', 0, 'none'],
    ['protected', 0, 'none'],
    ['protected', 0, '32'],
    ['protected', 3, '32'],
    ['protected', 0, 'pae'],
    ['protected', 3, 'pae'],
    ['compat', 0, '4-level'],
    ['compat', 3, '4-level'],
    ['long', 0, '4-level'],
    ['long', 3, '4-level'],
    ['v8086', 3, 'none'],
    ['v8086', 3, '32'],
  ] as const)(
    'in %s mode, ring %i, paging %s, ends with an exit that is no defect',
    { timeout: 120_000 },
    (mode, ring, paging) => {
      const seen = new Set<string>();
      for (let seed = 1; seed <= ROUNDS; seed++) {
        let result: Result;
        try {
          result = runRandom(mode, ring, paging, seed);
        } catch (error) {
          throw new Error(`seed ${seed}: ${(error as Error).stack}`);
        }
        expect(['hlt', 'shutdown', 'budget'], `seed ${seed}`).toContain(result.exit);
        seen.add(result.exit);
      }
      expect(seen.has('hlt')).toBe(true);
    },
  );

  test('does the same when it is run again', { timeout: 120_000 }, () => {
    for (const [mode, ring, paging] of [
      ['long', 0, '4-level'],
      ['protected', 3, '32'],
      ['real', 0, 'none'],
    ] as const) {
      for (let seed = 1; seed <= 25; seed++) {
        const first = runRandom(mode, ring, paging, seed).digest();
        expect(runRandom(mode, ring, paging, seed).digest(), `${mode} ${seed}`).toEqual(first);
      }
    }
  });
});
