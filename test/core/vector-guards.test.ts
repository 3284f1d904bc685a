// Who may use x87, MMX and SSE registers (CR0.EM, MP, TS, CR4.OSFXSR), when pending x87 exceptions are taken, and what the
// pointers to the last x87 instruction say. Real mode; each vector's handler is a HLT of its own.

import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TestMachine } from './machine.js';

const CODE = 0x1000;
const HANDLERS = 0x2000;
const DATA = 0x3000;
const UD = 6;
const NM = 7;
const MF = 16;
const XM = 19;

const CR0_MP = 2n;
const CR0_EM = 4n;
const CR0_TS = 8n;
const CR0_NE = 32n;
const OSFXSR = 0x200n;
const OSXMMEXCPT = 0x400n;

const ADDPS = [0x0f, 0x58, 0xc1];
const PADDB_MMX = [0x0f, 0xfc, 0xc1];
const CVTPI2PS = [0x0f, 0x2a, 0xc1];
const FLD1 = [0xd9, 0xe8];
const FLDZ = [0xd9, 0xee];
const FDIVP = [0xde, 0xf9];
const FNSTSW_AX = [0xdf, 0xe0];
const FNINIT = [0xdb, 0xe3];
const FWAIT = [0x9b];
const MOVNTI = [0x0f, 0xc3, 0x06, 0x00, 0x30];
const HLT = 0xf4;

let machine: TestMachine;
beforeAll(async () => {
  machine = await TestMachine.create();
});
beforeEach(() => machine.cpu.reset());

/** Runs code; the vector of the exception that ended it, or 'done'. */
function run(code: readonly number[], cr0: bigint, cr4 = OSFXSR | OSXMMEXCPT): number | 'done' {
  machine.write(CODE, [...code, HLT]);
  machine.write(HANDLERS, new Uint8Array(256).fill(HLT));
  for (let v = 0; v < 32; v++) machine.write(v * 4, [(HANDLERS + v) & 255, (HANDLERS + v) >> 8, 0, 0]);
  machine.set((s) => {
    s.cr0 = cr0 | CR0_NE;
    s.cr4 = cr4;
    for (const name of ['cs', 'ss', 'ds', 'es'] as const) s[name] = { ...s[name], selector: 0, base: 0n };
    s.gpr[4] = 0x8000n;
    s.rip = BigInt(CODE);
    s.activity = 'running';
  });
  expect(machine.run().kind).toBe('hlt');
  const rip = Number(machine.state.rip);
  return rip === CODE + code.length + 1 ? 'done' : rip - HANDLERS - 1;
}

describe('control bits decide about register files', () => {
  test.each([
    ['SSE, allowed', ADDPS, 0n, OSFXSR, 'done'],
    ['SSE without CR4.OSFXSR', ADDPS, 0n, 0n, UD],
    ['SSE with CR0.EM', ADDPS, CR0_EM, OSFXSR, UD],
    ['SSE with CR0.TS', ADDPS, CR0_TS, OSFXSR, NM],
    ['SSE with CR0.EM and TS', ADDPS, CR0_EM | CR0_TS, OSFXSR, UD],
    ['MMX, allowed without CR4.OSFXSR', PADDB_MMX, 0n, 0n, 'done'],
    ['MMX with CR0.EM', PADDB_MMX, CR0_EM, OSFXSR, UD],
    ['MMX with CR0.TS', PADDB_MMX, CR0_TS, OSFXSR, NM],
    ['an instruction of both files without CR4.OSFXSR', CVTPI2PS, 0n, 0n, UD],
    ['x87, allowed', FLD1, 0n, 0n, 'done'],
    ['x87 with CR0.EM', FLD1, CR0_EM, 0n, NM],
    ['x87 with CR0.TS', FLD1, CR0_TS, 0n, NM],
    ['FNINIT with CR0.TS', FNINIT, CR0_TS, 0n, NM],
    ['FWAIT with CR0.TS alone', FWAIT, CR0_TS, 0n, 'done'],
    ['FWAIT with CR0.MP and TS', FWAIT, CR0_MP | CR0_TS, 0n, NM],
    ['FWAIT with CR0.EM', FWAIT, CR0_EM, 0n, 'done'],
    ['MOVNTI whatever they say', MOVNTI, CR0_EM | CR0_TS, 0n, 'done'],
  ] as const)('%s', (_, code, cr0, cr4, expected) => {
    expect(run(code, cr0, cr4)).toBe(expected);
  });

  test('CLTS counts for the very next instruction', () => {
    expect(run([0x0f, 0x06, ...ADDPS], CR0_TS)).toBe('done');
  });
});

describe('pending x87 exceptions', () => {
  // FNINIT; FLDCW with the zero divide unmasked; 1 / 0
  const divide = [...FNINIT, 0xd9, 0x2e, DATA & 255, DATA >> 8, ...FLD1, ...FLDZ, ...FDIVP];
  beforeEach(() => machine.write(DATA, [0x7b, 0x03]));

  test.each([
    ['FWAIT', FWAIT],
    ['an x87 instruction', FLD1],
    ['an MMX instruction', PADDB_MMX],
    ['EMMS', [0x0f, 0x77]],
  ] as const)('are taken by %s', (_, code) => {
    expect(run([...divide, ...code], 0n)).toBe(MF);
  });

  test.each([
    ['FNSTSW', FNSTSW_AX],
    ['FNINIT', FNINIT],
    ['SSE', ADDPS],
  ] as const)('are not taken by %s', (_, code) => {
    expect(run([...divide, ...code], 0n)).toBe('done');
  });
});

test('an unmasked SSE exception is #XM, or #UD without CR4.OSXMMEXCPT', () => {
  machine.write(DATA, [0x80, 0x1d, 0, 0]); // the zero divide unmasked
  machine.write(DATA + 16, [0, 0, 0x80, 0x3f]); // 1.0
  // LDMXCSR; MOVSS xmm0, 1.0; XORPS xmm1; DIVSS xmm0, xmm1
  const code = [
    0x0f, 0xae, 0x16, 0x00, 0x30, 0xf3, 0x0f, 0x10, 0x06, 0x10, 0x30, 0x0f, 0x57, 0xc9, 0xf3, 0x0f, 0x5e, 0xc1,
  ];
  expect(run(code, 0n)).toBe(XM);
  expect(run(code, 0n, OSFXSR)).toBe(UD);
});

test('FNSTENV tells where the last x87 instruction is, its opcode and its operand', () => {
  machine.write(DATA, [0, 0, 0x80, 0x3f]);
  const nops = [0x90, 0x90, 0x90];
  // FNINIT; FLD dword [DATA]; FNSTENV [DATA + 16] (control instructions do not count)
  expect(run([...FNINIT, ...nops, 0xd9, 0x06, 0x00, 0x30, ...nops, 0xd9, 0x36, 0x10, 0x30], 0n)).toBe('done');
  const image = (at: number) => machine.u16(DATA + 16 + at);
  expect(image(6)).toBe(CODE + FNINIT.length + nops.length);
  expect(image(8)).toBe(0x106); // D9 06
  expect(image(10)).toBe(DATA);
});
