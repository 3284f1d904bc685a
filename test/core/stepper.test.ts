/** The software engine's processor as a helper: one instruction on RAM that is somebody else's. */
import { describe, expect, test } from 'vitest';
import type { ExitSink, VcpuState } from '../../src/engine/contract.js';
import { QUIET_SINK } from '../../src/engine/quiet-sink.js';
import { SoftStepper } from '../../src/engine/soft/stepper.js';
import { TestMemory } from '../../src/engine/testing.js';
import { loadStepperModules } from '../../src/host/node/soft-modules.js';
import { openEngine } from '../bare-metal/engines.js';

const outs: number[] = [];
const sink: ExitSink = {
  ...QUIET_SINK,
  portIn: () => 0x5a,
  portOut: (port) => void outs.push(port),
  mmioRead: () => 0x77,
};
const CONFIG = { cpus: 2, sink, tscHz: 1e9 };

/** 32-bit flat code at 1000h, a stack below 8000h. */
function start(): VcpuState {
  const engine = openEngine({ ...CONFIG, memorySize: 1 << 20 }, 'soft');
  const state = engine.vcpus[0].getState();
  engine.close();
  const segment = (selector: number, type: number) => ({
    selector,
    base: 0n,
    limit: 0xffff_ffff,
    attributes: 0xc000 | type,
  });
  const data = segment(16, 0x93);
  const gpr = state.gpr.map((_, i) => (i === 4 ? 0x8000n : 0n));
  return { ...state, gpr, rip: 0x1000n, cr0: 0x11n, cs: segment(8, 0x9b), ds: data, es: data, ss: data };
}

function step(code: readonly number[], change: (state: VcpuState, memory: TestMemory) => void = () => {}, cpu = 0) {
  const memory = new TestMemory(0x10_0000, 0x10_0000);
  memory.write(0x1000, Uint8Array.from(code));
  const state = start();
  change(state, memory);
  memory.written.length = 0;
  const outcome = new SoftStepper(loadStepperModules(), { ...CONFIG, memory }).step(cpu, state);
  return { outcome, memory, after: outcome.kind === 'done' ? outcome.state : undefined };
}

describe('the stepper', () => {
  test.each([0, 1])('executes one instruction and none that may do more than compute, for vCPU %i', (cpu) => {
    const { after } = step([0x40, 0x40], undefined, cpu); // inc eax; inc eax
    expect([after!.gpr[0], after!.rip]).toEqual([1n, 0x1001n]);
  });

  // movd xmm0, eax; paddd xmm0, xmm0; add ecx, 5; mov [3000h], eax
  const COMPUTES = [0x66, 0x0f, 0x6e, 0xc0, 0x66, 0x0f, 0xfe, 0xc0, 0x83, 0xc1, 5];
  const STORE = [0x89, 0x05, 0, 0x30, 0, 0];
  const withSse = (state: VcpuState) => void Object.assign(state, { cr4: 0x200n });

  test('goes on while what follows only computes', () => {
    const { memory, after } = step([...COMPUTES, ...STORE], withSse);
    expect([after!.rip, after!.gpr[1]]).toEqual([BigInt(0x1000 + COMPUTES.length), 5n]);
    expect(memory.written).toEqual([]);
  });

  test('ends a loop that only computes, and goes no further than one instruction under TF', () => {
    const loop = step([0x66, 0x0f, 0xfe, 0xc0, 0x83, 0xc1, 1, 0xeb, 0xf7], withSse); // paddd; add ecx, 1; jmp
    expect(Number(loop.after!.gpr[1])).toBeGreaterThan(50);
    const { after } = step(COMPUTES, (state) => void Object.assign(state, { cr4: 0x200n, rflags: 0x102n }));
    expect(after!.gpr[1]).toBe(0n);
  });

  test('writes back what has changed, across pages also, and tells of it', () => {
    // mov dword [2FFEh], 11223344h
    const { memory, after } = step([0xc7, 0x05, 0xfe, 0x2f, 0, 0, 0x44, 0x33, 0x22, 0x11]);
    expect([...memory.view(0x2ffe, 4)]).toEqual([0x44, 0x33, 0x22, 0x11]);
    expect(memory.written.map(({ gpa }) => gpa).sort((a, b) => a - b)).toEqual([0x2000, 0x3000]);
    expect(after!.rip).toBe(0x100an);
  });

  test('leaves bytes alone that the instruction does not write, whoever has changed them meanwhile', () => {
    const memory = new TestMemory(0x10_0000);
    memory.write(0x1000, Uint8Array.of(0xe6, 0x10)); // out 10h, al
    const stepper = new SoftStepper(loadStepperModules(), {
      ...CONFIG,
      memory,
      sink: { ...sink, portOut: () => memory.write(0x1800, Uint8Array.of(9)) },
    });
    expect(stepper.step(0, start()).kind).toBe('done');
    expect(memory.view(0x1800, 1)[0]).toBe(9);
  });

  test('sees code that has changed between two steps', () => {
    const memory = new TestMemory(0x10_0000);
    const stepper = new SoftStepper(loadStepperModules(), { ...CONFIG, memory });
    const eax = (code: number) => {
      memory.write(0x1000, Uint8Array.of(code));
      const outcome = stepper.step(0, start());
      return outcome.kind === 'done' ? BigInt.asIntN(32, outcome.state.gpr[0]) : outcome.detail;
    };
    expect([eax(0x40), eax(0x48), eax(0x40)]).toEqual([1n, -1n, 1n]); // inc eax; dec eax
  });

  test('asks the machine about ports and addresses without memory', () => {
    outs.length = 0;
    expect(step([0xe4, 0x20]).after!.gpr[0]).toBe(0x5an); // in al, 20h
    expect(step([0xa0, 0, 0, 0, 0x40]).after!.gpr[0]).toBe(0x77n); // mov al, [40000000h]
    step([0xe6, 0x21]);
    expect(outs).toEqual([0x21]);
  });

  test('delivers the fault that the instruction raises', () => {
    const { outcome, after } = step([0xcc], (state, memory) => {
      state.idtr = { base: 0x4000n, limit: 0x7ff };
      state.gdtr = { base: 0x3000n, limit: 0x17 };
      const words = (...values: bigint[]) => new Uint8Array(BigUint64Array.from(values).buffer);
      memory.write(0x3000, words(0n, 0x00cf_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn));
      memory.write(0x4000 + 3 * 8, words(0x0000_8e00_0008_5000n));
    });
    expect(outcome.kind).toBe('done');
    expect(Number(after!.rip) & ~0xf).toBe(0x5000);
  });

  test('a triple fault is one', () => {
    const { outcome } = step([0x0f, 0x0b], (state) => {
      state.idtr = { base: 0n, limit: 0 };
    });
    expect(outcome.kind).toBe('shutdown');
  });
});
