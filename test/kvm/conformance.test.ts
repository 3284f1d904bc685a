/**
 * The same programs on both engines: random sequences of instructions that every KVM executes, from the same state, must leave
 * the same registers, flags and memory.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Engine, VcpuState } from '../../src/engine/contract.js';
import { QUIET_SINK } from '../../src/engine/quiet-sink.js';
import { kvmAbsence, kvmOpens } from '../../src/host/node/kvm/testing.js';
import { assemble, type Bits } from '../asm/assemble.js';
import { openEngine } from '../bare-metal/engines.js';

const CODE = 0x1000;
const DATA = 0x4000;
const STACK = 0x8000;
/** Instructions, or on KVM µs of a host that may be busy. */
const PATIENCE = 10_000_000;
/** SF, ZF, PF, CF, OF, DF: what the sequences leave defined. AF is not after logic. */
const FLAGS = 0xcc5n;
const AREA = 256;

const REGISTERS = ['ax', 'cx', 'dx', 'bx'];
const reg = fc.constantFrom(...REGISTERS);
const imm = fc.integer({ min: 0, max: 0x7fff });
const at = fc.integer({ min: 0, max: (AREA - 8) / 2 }).map((n) => `[${DATA + n * 2}]`);
const binary = fc.constantFrom('add', 'adc', 'sub', 'sbb', 'cmp');
const logic = fc.constantFrom('and', 'or', 'xor', 'test');
const unary = fc.constantFrom('inc', 'dec', 'neg', 'not');
const line = fc.oneof(
  fc.tuple(binary, reg, reg).map(([op, a, b]) => `${op} ${a}, ${b}`),
  fc.tuple(binary, reg, imm).map(([op, a, n]) => `${op} ${a}, ${n}`),
  // Logic is followed by something that defines AF again: nothing looks at it here.
  fc.tuple(logic, reg, reg).map(([op, a, b]) => `${op} ${a}, ${b}`),
  fc.tuple(unary, reg).map(([op, a]) => `${op} ${a}`),
  fc.tuple(reg, at).map(([a, m]) => `mov ${a}, ${m}`),
  fc.tuple(at, reg).map(([m, a]) => `mov ${m}, ${a}`),
  fc.tuple(reg, reg).map(([a, b]) => `xchg ${a}, ${b}`),
  fc.tuple(reg, reg).map(([a, b]) => `push ${a}\npop ${b}`),
);

/** Flat segments of 16 or 32 bits, no paging. */
function start(state: VcpuState, bits: Bits): VcpuState {
  const big = bits === 32 ? 0x4000 : 0;
  const limit = bits === 32 ? 0xffff_ffff : 0xffff;
  const granular = bits === 32 ? 0x8000 : 0;
  const segment = (selector: number, type: number) => ({
    selector,
    base: 0n,
    limit,
    attributes: type | big | granular,
  });
  const data = segment(bits === 32 ? 16 : 0, 0x93);
  const gpr = state.gpr.map((_, i) => (i === 4 ? BigInt(STACK) : BigInt(i * 0x1357)));
  return {
    ...state,
    gpr,
    rip: BigInt(CODE),
    rflags: 2n,
    cr0: bits === 32 ? 0x11n : 0x10n,
    cs: segment(bits === 32 ? 8 : 0, 0x9b),
    ds: data,
    es: data,
    ss: data,
    activity: 'running',
  };
}

function outcome(engine: Engine, bytes: Uint8Array, bits: Bits) {
  const { memory } = engine;
  const [vcpu] = engine.vcpus;
  vcpu.reset();
  memory.write(
    DATA,
    Uint8Array.from({ length: AREA }, (_, i) => i * 37),
  );
  memory.write(STACK - 64, new Uint8Array(64));
  memory.write(CODE, bytes);
  vcpu.setState(start(vcpu.getState(), bits));
  const exit = vcpu.run(PATIENCE);
  const { gpr, rip, rflags } = vcpu.getState();
  const area = [...memory.view(DATA, AREA), ...memory.view(STACK - 64, 64)];
  return { exit: exit.kind, gpr, rip, flags: rflags & FLAGS, area };
}

describe.skipIf(!kvmOpens)(`both engines${kvmAbsence}`, () => {
  let soft: Engine;
  let kvm: Engine;
  beforeAll(() => {
    const config = { memorySize: 2 << 20, cpus: 1, sink: QUIET_SINK, tscHz: 1e9 };
    soft = openEngine(config, 'soft');
    kvm = openEngine(config, 'kvm');
  });
  afterAll(() => {
    soft?.close();
    kvm?.close();
  });

  test.each([16, 32] as const)('do the same with random sequences of %i-bit code', (bits) => {
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 25 }), (lines) => {
        const { bytes } = assemble(bits, CODE, `${lines.join('\n')}\nhlt`, {});
        expect(outcome(kvm, bytes, bits)).toEqual(outcome(soft, bytes, bits));
      }),
      { numRuns: 100 },
    );
  });
});
