/** The time-stamp counter: what a guest reads, sets, and waits for (SDM vol. 3, 18.17; deadlines: 11.5.4.1). */
import { describe, expect, test } from 'vitest';
import { Board } from '../../src/board/board.js';
import { machineConfig } from '../../src/config/config.js';
import { Machine } from '../../src/machine/machine.js';
import { FakeHost } from '../../src/machine/testing.js';
import { assemble } from '../asm/assemble.js';
import { machine } from './bench.js';
import { openEngine } from './engines.js';

const SET = 'mov rdx, rax\n shr rdx, 32\n wrmsr\n';
const RDTSC = 'rdtsc\n shl rdx, 32\n or rax, rdx\n';

describe('the TSC', () => {
  test('is the machine’s, all 64 bits of it', () => {
    const b = machine('long');
    b.outside.tsc = 0x12_ffff_ffffn; // each look adds 100
    expect(b.go(`${RDTSC} mov rsi, rax\n ${RDTSC} hlt`).vector).toBe(-1);
    expect([b.reg('rsi'), b.reg('rax')]).toEqual([0x13_0000_0063n, 0x13_0000_00c7n]);
    expect(b.cpu.tscOffset).toBe(0);
  });

  test.each([
    ['ahead', 0x5000_0000_0000n],
    ['back to 0', 0n],
    ['to where it soon wraps', 0xffff_ffff_ffff_ff00n],
  ])('set %s by IA32_TSC goes on from there, and TSC_ADJUST and the machine learn of it', (_where, value) => {
    const b = machine('long');
    const told: [number, bigint][] = [];
    b.outside.writeMsr = (msr, to) => told.push([msr, to]) > 0;
    b.outside.tsc = 0x8_0000_0000n;
    b.set({ rcx: 0x10, rax: value });
    expect(b.go(`${SET} ${RDTSC} mov rsi, rax\n mov ecx, 0x3b\n rdmsr\n shl rdx, 32\n or rax, rdx\n hlt`).vector).toBe(
      -1,
    );
    const adjust = BigInt.asUintN(64, value - 0x8_0000_0064n);
    expect([b.reg('rsi'), b.reg('rax')]).toEqual([BigInt.asUintN(64, value + 100n), adjust]);
    expect(told).toEqual([[0x3b, adjust]]);
    expect(b.cpu.tscOffset).toBe(Number(BigInt.asIntN(64, adjust)));
    expect(b.state.msrs.get(0x3b)).toBe(adjust);
  });

  test('moves by what is written to TSC_ADJUST less what was there', () => {
    const b = machine('long');
    b.outside.tsc = 1_000_000n;
    b.set({ rcx: 0x3b, rax: 5_000_000n });
    expect(b.go(`${SET} ${RDTSC} mov rsi, rax\n mov rax, -1000\n ${SET} ${RDTSC} hlt`).vector).toBe(-1);
    expect([b.reg('rsi'), b.reg('rax')]).toEqual([6_000_100n, 999_200n]);
    expect(b.cpu.tscOffset).toBe(-1000);
  });

  test('keeps its offset when the state is taken out and put back', () => {
    const b = machine('long');
    b.set({ rcx: 0x3b, rax: 0x77_0000_0000n });
    b.go(`${SET} hlt`);
    const state = b.cpu.getState();
    b.cpu.reset();
    expect(b.cpu.tscOffset).toBe(0);
    b.cpu.setState(state);
    expect(b.cpu.tscOffset).toBe(0x77_0000_0000);
    b.state = { ...b.cpu.getState(), rip: BigInt(b.code), activity: 'running' };
    b.outside.tsc = 0n;
    b.go(`${RDTSC} hlt`);
    expect(b.reg('rax')).toBe(0x77_0000_0064n);
  });
});

test('RDRAND and RDSEED give all of their width', () => {
  const b = machine('long');
  expect(b.go('rdrand rax\n rdseed rbx\n rdrand ecx\n hlt').vector).toBe(-1);
  const [a, c] = [b.reg('rax'), b.reg('rbx')];
  expect(new Set([a, c, a >> 32n, a & 0xffff_ffffn, c >> 32n, c & 0xffff_ffffn]).size).toBe(6);
  expect(b.reg('rcx') >> 32n).toBe(0n);
});

// ---- deadlines, on a whole machine --------------------------------------------------------------------------------------
const halves = (value: bigint) => `mov eax, ${value & 0xffff_ffffn}\n mov edx, ${BigInt.asUintN(32, value >> 32n)}`;
/** Arms a deadline so many ticks from now, and keeps it at 608h. */
const arm = (ticks: bigint) => `
  rdtsc
  add eax, ${ticks & 0xffff_ffffn}
  adc edx, ${ticks >> 32n}
  mov [0x608], eax
  mov [0x60c], edx
  mov ecx, 0x6e0
  wrmsr
`;
const setMsr = (msr: number, value: bigint) => `mov ecx, ${msr}\n ${halves(value)}\n wrmsr\n`;

/** Real mode, x2APIC. The handler of the timer's vector writes the TSC at which it came to 600h. */
const waiter = (body: string) => `
  ${setMsr(0x1b, 0xfee0_0c00n)}
  ${setMsr(0x80f, 0x1ffn)}
  ${setMsr(0x832, 0x4_0050n)}
  ${body}
  sti
idle:
  hlt
  jmp idle
handler:
  rdtsc
  mov [0x600], eax
  mov [0x604], edx
  cli
stop:
  hlt
  jmp stop
`;

interface Waited {
  /** Guest TSC that was waited for, and that at which the interrupt came. */
  readonly deadline: bigint;
  readonly fired: bigint;
  /** The same moment in the machine's ticks. */
  readonly machineTime: number;
}

/** Runs the guest on a deterministic machine: one instruction a nanosecond, one tick a nanosecond. */
async function wait(body: string): Promise<Waited> {
  const program = assemble(16, 0x1000, waiter(body));
  const subject: Machine<Board> = new Machine<Board>({
    config: machineConfig({ deterministic: true, memory: 16 * 1024 * 1024, timeout: 60 }),
    host: new FakeHost(),
    createEngine: openEngine,
    createBoard: (parts) => new Board(parts),
    boot: ({ memory, vcpus: [cpu] }) => {
      memory.write(0x1000, program.bytes);
      memory.write(0x50 * 4, Uint8Array.of(program.at('handler') & 0xff, program.at('handler') >> 8, 0, 0));
      const state = cpu.getState();
      for (const name of ['cs', 'ds', 'ss'] as const) Object.assign(state[name], { selector: 0, base: 0n });
      state.rip = 0x1000n;
      state.gpr[4] = 0x800n;
      cpu.setState(state);
      read = () => {
        const words = memory.view(0x600, 16);
        const data = new DataView(words.buffer, words.byteOffset, 16);
        const fired = data.getBigUint64(0, true);
        const machineTime = Number(BigInt.asUintN(64, fired - BigInt(cpu.tscOffset)));
        return { fired, deadline: data.getBigUint64(8, true), machineTime };
      };
    },
  });
  let read = (): Waited => {
    throw new Error('the guest was not booted');
  };
  expect((await subject.start()).reason).toBe('halt');
  return read();
}

const SOME = 10n ** 10n;

describe('a TSC deadline holds', () => {
  test.each([
    ['that lies a millisecond ahead', arm(1_000_000n), 1_000_000],
    ['in a TSC that was set ahead by hours', setMsr(0x10, 0x5000_0000_0000n) + arm(1_000_000n), 1_000_000],
    ['in a TSC that was set back below 0', setMsr(0x3b, -(1n << 40n)) + arm(1_000_000n), 1_000_000],
    ['when the TSC is set ahead meanwhile', arm(10n ** 13n) + setMsr(0x3b, 10n ** 13n - 2_000_000n), 2_000_000],
    [
      'when the TSC is set back meanwhile',
      setMsr(0x3b, SOME) + arm(1_000_000n) + setMsr(0x3b, SOME - 5_000_000n),
      6_000_000,
    ],
    ['when the TSC is set beyond it', arm(10n ** 13n) + setMsr(0x10, 10n ** 15n), 0],
  ])('%s', async (_how, body, after) => {
    const { deadline, fired, machineTime } = await wait(body);
    expect(fired >= deadline).toBe(true);
    expect(machineTime).toBeGreaterThanOrEqual(after);
    expect(machineTime).toBeLessThan(after + 5_000);
  });
});
