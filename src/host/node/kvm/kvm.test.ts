/** The KVM engine on this host's KVM, with guests of a few instructions that even a poor KVM runs. */
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { machineConfig } from '../../../config/config.js';
import { type EngineConfig, type Exit, type ExitSink, FOUR_GIB, type VcpuState } from '../../../engine/contract.js';
import { KvmEngine } from '../../../engine/kvm/engine.js';
import { selfTest } from '../../../engine/kvm/selftest.js';
import { chooseKvm, examineKvm } from './choose.js';
import { NodeKvmHost } from './host.js';
import { kvm, kvmAbsence, kvmOpens } from './testing.js';

const SECOND = 1_000_000;
const MIB = 1 << 20;

interface Access {
  readonly port: number;
  readonly size: number;
  readonly value: number;
}

/** A sink that notes what is written to ports, and answers reads from a list. */
class TestSink implements ExitSink {
  readonly outs: Access[] = [];
  readonly mmio: { gpa: number; size: number; value: number | undefined }[] = [];
  readonly msrs: { msr: number; low: number; high: number }[] = [];
  onOut: (access: Access) => void = () => {};
  portIn = (port: number, size: 1 | 2 | 4) => ((port * 0x0101_0101) >>> (32 - 8 * size)) >>> 0;
  portOut = (port: number, size: 1 | 2 | 4, value: number) => {
    this.outs.push({ port, size, value });
    this.onOut({ port, size, value });
  };
  mmioRead = (gpa: number, size: 1 | 2 | 4) => {
    this.mmio.push({ gpa, size, value: undefined });
    return 0x8765_4321 >>> (32 - 8 * size);
  };
  mmioWrite = (gpa: number, size: 1 | 2 | 4, value: number) => void this.mmio.push({ gpa, size, value });
  readMsr = (_cpu: number, msr: number) => (msr === 0xdead ? { low: 0x1234_5678, high: 0x9abc } : undefined);
  writeMsr = (_cpu: number, msr: number, low: number, high: number) => {
    this.msrs.push({ msr, low, high });
    return msr === 0xdead;
  };
  acknowledgeInterrupt = () => 0x21;
  readCr8 = () => 0;
  writeCr8 = () => {};
  readTsc = () => 0;
  entropy = () => 4;
}

/** Real mode, flat from 0, with a stack. */
function realMode(state: VcpuState, rip: number): VcpuState {
  const segment = (attributes: number) => ({ selector: 0, base: 0n, limit: 0xffff, attributes });
  const gpr = state.gpr.map((_, i) => (i === 4 ? 0x7000n : 0n));
  const data = segment(0x93);
  return {
    ...state,
    gpr,
    rip: BigInt(rip),
    cs: segment(0x9b),
    ss: data,
    ds: data,
    es: data,
    idtr: { base: 0n, limit: 0x3ff },
    activity: 'running',
  };
}

function openFiles(): number {
  return readdirSync('/proc/self/fd').length;
}

function threadNames(): string[] {
  return readdirSync('/proc/self/task').flatMap((tid) => {
    try {
      return [readFileSync(`/proc/self/task/${tid}/comm`, 'utf8').trim()];
    } catch {
      return []; // it has just ended
    }
  });
}

describe.skipIf(!kvmOpens)(`the KVM engine${kvmAbsence}`, () => {
  let host: NodeKvmHost;
  let engine: KvmEngine | undefined;
  let sink: TestSink;
  beforeAll(() => {
    host = new NodeKvmHost();
  });
  afterAll(() => {
    engine?.close();
    host.close();
  });

  function open(config: Partial<EngineConfig> = {}): KvmEngine {
    engine?.close();
    engine = undefined;
    sink = new TestSink();
    engine = new KvmEngine({ memorySize: 4 * MIB, cpus: 1, sink, tscHz: 1e9, ...config }, host);
    return engine;
  }

  /** Runs real-mode code at 1000h on vCPU 0. */
  function run(code: readonly number[], config: Partial<EngineConfig> = {}, patience = SECOND): Exit {
    const { memory, vcpus } = open(config);
    memory.write(0x1000, Uint8Array.from(code));
    vcpus[0].setState(realMode(vcpus[0].getState(), 0x1000));
    return vcpus[0].run(patience);
  }

  test('runs a guest to its HLT and answers its ports', () => {
    // mov al, 7; out 10h, al; in ax, 20h; mov [2000h], ax; hlt
    expect(run([0xb0, 7, 0xe6, 0x10, 0xe5, 0x20, 0xa3, 0, 0x20, 0xf4])).toEqual({ kind: 'hlt' });
    expect(sink.outs).toEqual([{ port: 0x10, size: 1, value: 7 }]);
    expect([...engine!.memory.view(0x2000, 2)]).toEqual([0x20, 0x20]);
    const { rip, activity } = engine!.vcpus[0].getState();
    expect([rip, activity]).toEqual([0x100an, 'halted']);
    expect(engine!.vcpus[0].run(1000)).toEqual({ kind: 'hlt' });
  });

  test('answers string instructions element by element, in order', () => {
    engine = open();
    engine.memory.write(0x3000, Uint8Array.of(1, 2, 3, 4, 5, 6));
    // mov si, 3000h; mov cx, 3; mov dx, 99h; rep outsw; hlt
    engine.memory.write(0x1000, Uint8Array.of(0xbe, 0, 0x30, 0xb9, 3, 0, 0xba, 0x99, 0, 0xf3, 0x6f, 0xf4));
    const [vcpu] = engine.vcpus;
    vcpu.setState(realMode(vcpu.getState(), 0x1000));
    expect(vcpu.run(SECOND)).toEqual({ kind: 'hlt' });
    expect(sink.outs.map(({ value }) => value)).toEqual([0x201, 0x403, 0x605]);
  });

  test('splits accesses to where there is no memory as the contract says', () => {
    const { memory, vcpus } = open();
    // mov eax, [esi]; mov [esi+4], eax; hlt, with 32-bit addresses
    memory.write(0x1000, Uint8Array.of(0x67, 0x66, 0x8b, 0x06, 0x67, 0x66, 0x89, 0x46, 4, 0xf4));
    const state = realMode(vcpus[0].getState(), 0x1000);
    state.ds = { ...state.ds, limit: 0xffff_ffff, attributes: 0xc093 };
    state.gpr[6] = 0x1000_0000n;
    vcpus[0].setState(state);
    expect(vcpus[0].run(SECOND)).toEqual({ kind: 'hlt' });
    expect(sink.mmio).toEqual([
      { gpa: 0x1000_0000, size: 4, value: undefined },
      { gpa: 0x1000_0004, size: 4, value: 0x8765_4321 },
    ]);
  });

  test('asks the machine about MSRs that it does not know, and raises #GP where the machine does not either', () => {
    // mov ecx, 0deadh; rdmsr; mov [2000h], eax; wrmsr; mov cx, 0beefh; rdmsr; hlt. Vector 13 has a HLT at 5000h.
    const code = [
      0x66, 0xb9, 0xad, 0xde, 0, 0, 0x0f, 0x32, 0x66, 0xa3, 0, 0x20, 0x0f, 0x30, 0xb9, 0xef, 0xbe, 0x0f, 0x32, 0xf4,
    ];
    const { memory, vcpus } = open();
    memory.write(13 * 4, Uint8Array.of(0, 0x50, 0, 0));
    memory.write(0x5000, Uint8Array.of(0xf4));
    memory.write(0x1000, Uint8Array.from(code));
    vcpus[0].setState(realMode(vcpus[0].getState(), 0x1000));
    expect(vcpus[0].run(SECOND)).toEqual({ kind: 'hlt' });
    expect(sink.msrs).toEqual([{ msr: 0xdead, low: 0x1234_5678, high: 0x9abc }]);
    expect(vcpus[0].getState().rip).toBe(0x5001n);
  });

  test('comes back when its budget is over, and goes on where it was', () => {
    expect(run([0x40, 0xeb, 0xfd], {}, 5000)).toEqual({ kind: 'budget' }); // inc ax; jmp
    const [vcpu] = engine!.vcpus;
    const before = vcpu.getState();
    expect(before.rip === 0x1000n || before.rip === 0x1001n).toBe(true);
    expect(vcpu.run(5000)).toEqual({ kind: 'budget' });
    expect(vcpu.instructions).toBeGreaterThanOrEqual(10_000);
  });

  test('a kick out of an exit ends the run after that exit, whose value has arrived', () => {
    const { memory, vcpus } = open();
    memory.write(0x1000, Uint8Array.of(0xe6, 0x10, 0xe4, 0x20, 0xeb, 0xfe)); // out 10h, al; in al, 20h; jmp $
    const [vcpu] = vcpus;
    vcpu.setState(realMode(vcpu.getState(), 0x1000));
    sink.portIn = () => {
      vcpu.kick();
      return 0x5a;
    };
    expect(vcpu.run(SECOND)).toEqual({ kind: 'kick' });
    const { gpr, rip } = vcpu.getState();
    expect([gpr[0], rip]).toEqual([0x5an, 0x1004n]);
  });

  test('delivers an interrupt that the machine acknowledges', () => {
    const { memory, vcpus } = open();
    memory.write(0x21 * 4, Uint8Array.of(0, 0x50, 0, 0));
    memory.write(0x5000, Uint8Array.of(0xb0, 9, 0xe6, 0x11, 0xcf)); // mov al, 9; out 11h, al; iret
    memory.write(0x1000, Uint8Array.of(0xfb, 0xf4, 0xe6, 0x12, 0xf4)); // sti; hlt; out 12h, al; hlt
    const [vcpu] = vcpus;
    vcpu.setState(realMode(vcpu.getState(), 0x1000));
    expect(vcpu.run(SECOND)).toEqual({ kind: 'hlt' });
    sink.onOut = ({ port }) => {
      if (port === 0x11) vcpu.setInterruptRequest(false);
    };
    vcpu.setInterruptRequest(true);
    expect(vcpu.run(SECOND)).toEqual({ kind: 'hlt' });
    expect(sink.outs.map(({ port }) => port)).toEqual([0x11, 0x12]);
  });

  test('a triple fault is a shutdown', () => {
    const { memory, vcpus } = open();
    memory.write(0x1000, Uint8Array.of(0x0f, 0x0b)); // ud2
    const [vcpu] = vcpus;
    const state = realMode(vcpu.getState(), 0x1000);
    const flat = { selector: 8, base: 0n, limit: 0xffff_ffff, attributes: 0xc09b };
    vcpu.setState({ ...state, cr0: 0x11n, cs: flat, idtr: { base: 0n, limit: 0 } });
    expect(vcpu.run(SECOND).kind).toBe('shutdown');
  });

  test('reads back the state that it was given', () => {
    const { vcpus } = open();
    const state = realMode(vcpus[0].getState(), 0x1234);
    state.gpr = state.gpr.map((_, i) => BigInt(i + 1) * 0x1111_1111_1111n);
    state.rflags = 0x8d7n;
    state.dr = [1n, 2n, 3n, 4n, 0xffff_0ff0n, 0x400n];
    state.cr2 = 0x1234_5678n;
    state.fs = { selector: 0x33, base: 0x12_3450n, limit: 0xfffff, attributes: 0x93 };
    state.fxsave[32] = 0x77; // ST0
    state.fxsave[160] = 0x55; // XMM0
    state.msrs.set(0xc000_0102, 0x1234_5678_9abcn);
    vcpus[0].setState(state);
    const read = vcpus[0].getState();
    expect({ ...read, fxsave: read.fxsave.subarray(0, 416) }).toEqual({
      ...state,
      fxsave: state.fxsave.subarray(0, 416),
    });
  });

  test('has more than 4 GiB of RAM, in views across the border of two GiB also', () => {
    const { memory, vcpus } = open({ memorySize: 6 * 1024 * MIB });
    expect(memory.regions).toEqual([
      { gpa: 0, length: 3 * 2 ** 30 },
      { gpa: FOUR_GIB, length: 3 * 2 ** 30 },
    ]);
    memory.write(2 ** 30 - 2, Uint8Array.of(1, 2, 3, 4));
    expect([...memory.view(2 ** 30 - 1, 2)]).toEqual([2, 3]);
    expect([...memory.view(2 ** 30, 2)]).toEqual([3, 4]);
    const last = FOUR_GIB + 3 * 2 ** 30 - 1;
    memory.write(last, Uint8Array.of(99));
    expect(memory.view(last, 1)[0]).toBe(99);
    expect(() => memory.view(last, 2)).toThrow(RangeError);
    expect(() => memory.view(3 * 2 ** 30, 1)).toThrow(RangeError);
    expect(vcpus[0].translate(0x1000n)).toBe(0x1000);
  });

  test('names its threads and runs all vCPUs at once under the kernel’s interrupt controllers', async () => {
    const { memory, vcpus, parallel } = open({ cpus: 2, irqchip: 'kernel' });
    // Each waits until the other has counted too: lock inc word [2000h]; cmp word [2000h], 2; jne; out 10h, al; jmp $
    const code = [0xf0, 0xff, 0x06, 0, 0x20, 0x83, 0x3e, 0, 0x20, 2, 0x75, 0xf9, 0xe6, 0x10, 0xeb, 0xfe];
    memory.write(0x1000, Uint8Array.from(code));
    for (const vcpu of vcpus) vcpu.setState(realMode(vcpu.getState(), 0x1000));
    parallel!.start();
    const turns = new Set<number>();
    const server = { select: ({ index }: { index: number }) => void turns.add(index), ended: () => {} };
    for (let i = 0; i < 100 && sink.outs.length < 2; i++) parallel!.serve(100e6, server);
    expect(sink.outs).toHaveLength(2);
    expect([...turns].sort()).toEqual([0, 1]);
    expect(threadNames()).toEqual(expect.arrayContaining(['vcpu 0', 'vcpu 1']));
    parallel!.stop();
    expect(vcpus.map((vcpu) => vcpu.getState().rip)).toEqual([0x100en, 0x100en]);
  });

  test('takes what only rings, and bytes that are only kept, without stopping the vCPU', () => {
    const { memory, vcpus, shortcuts } = open({ irqchip: 'kernel' });
    const bell = 0x1000_0000;
    let rung = 0;
    const end = shortcuts.doorbell(bell, 2, 7, () => rung++);
    const last = shortcuts.latch(0x80);
    // mov al, 42h; out 80h, al; mov word [esi], 7; mov word [esi], 8; out 10h, al; jmp $
    const code = [0xb0, 0x42, 0xe6, 0x80, 0x67, 0xc7, 0x06, 7, 0, 0x67, 0xc7, 0x06, 8, 0, 0xe6, 0x10, 0xeb, 0xfe];
    memory.write(0x1000, Uint8Array.from(code));
    const state = realMode(vcpus[0].getState(), 0x1000);
    state.ds = { ...state.ds, limit: 0xffff_ffff, attributes: 0xc093 };
    state.gpr[6] = BigInt(bell);
    vcpus[0].setState(state);
    expect(last()).toBeUndefined();
    sink.onOut = () => vcpus[0].kick();
    expect(vcpus[0].run(SECOND)).toEqual({ kind: 'kick' });
    host.waitForBell(0);
    expect([rung, last(), last()]).toEqual([1, 0x42, undefined]);
    expect(sink.mmio).toEqual([{ gpa: bell, size: 2, value: 8 }]);
    expect(sink.outs).toEqual([{ port: 0x10, size: 1, value: 0x42 }]);
    end();
    vcpus[0].setState(state);
    expect(vcpus[0].run(SECOND)).toEqual({ kind: 'kick' });
    expect([rung, sink.mmio.length]).toEqual([1, 3]);
  });

  test('stops at watchpoints', (context) => {
    const { memory, vcpus } = open();
    const [vcpu] = vcpus;
    memory.write(0x1000, Uint8Array.of(0xa3, 0, 0x20, 0x40, 0xf4)); // mov [2000h], ax; inc ax; hlt
    vcpu.setState(realMode(vcpu.getState(), 0x1000));
    vcpu.setDebug({ step: false, points: [{ kind: 'write', address: 0x2000n, length: 4 }] });
    const exit = vcpu.run(SECOND);
    const poor = kvm.state === 'tested' && kvm.failures.length > 0;
    context.skip(poor && exit.kind === 'hlt', 'this KVM, which fails the self-test, does not see data watchpoints');
    expect(exit).toEqual({ kind: 'debug', reason: 'watchpoint' });
    expect(vcpu.getState().rip).toBe(0x1003n);
  });

  test('steps, stops at breakpoints, and refuses points that cannot be', () => {
    const { memory, vcpus } = open();
    const [vcpu] = vcpus;
    // 32-bit: inc eax; inc eax; mov [2000h], eax; inc eax; hlt
    memory.write(0x1000, Uint8Array.of(0x40, 0x40, 0xa3, 0, 0x20, 0, 0, 0x40, 0xf4));
    const flat = (attributes: number) => ({ selector: 8, base: 0n, limit: 0xffff_ffff, attributes });
    const start = {
      ...realMode(vcpu.getState(), 0x1000),
      cr0: 0x11n,
      cs: flat(0xc09b),
      ds: flat(0xc093),
      ss: flat(0xc093),
    };
    const ripAfter = (debug: Parameters<typeof vcpu.setDebug>[0], from = start) => {
      if (from === start) vcpu.setState(start);
      vcpu.setDebug(debug);
      const exit = vcpu.run(SECOND);
      return [exit.kind === 'debug' ? exit.reason : exit.kind, Number(vcpu.getState().rip)];
    };
    expect(ripAfter({ step: true, points: [] })).toEqual(['step', 0x1001]);
    const execute = { kind: 'execute', address: 0x1007n, length: 1 } as const;
    expect(ripAfter({ step: false, points: [execute] })).toEqual(['breakpoint', 0x1007]);
    expect(ripAfter({ step: false, points: [] })).toEqual(['hlt', 0x1009]);
    expect(() => vcpu.setDebug({ step: false, points: [execute, execute, execute, execute, execute] })).toThrow(
      RangeError,
    );
    const askew = { kind: 'write', address: 0x2001n, length: 4 } as const;
    expect(() => vcpu.setDebug({ step: false, points: [askew] })).toThrow(RangeError);
  });

  test('keeps account of the pages that the guest and devices write', () => {
    const { memory, vcpus, dirtyLog } = open();
    const dirty = () => {
      const pages: number[] = [];
      dirtyLog.take((gpa) => pages.push(gpa));
      return pages;
    };
    // mov [3000h], al; hlt
    memory.write(0x1000, Uint8Array.of(0xa2, 0, 0x30, 0xf4));
    vcpus[0].setState(realMode(vcpus[0].getState(), 0x1000));
    dirtyLog.start();
    expect(dirty()).toEqual([]);
    expect(vcpus[0].run(SECOND)).toEqual({ kind: 'hlt' });
    memory.write(0x9fff, Uint8Array.of(1, 2));
    expect(dirty()).toEqual([0x3000, 0x9000, 0xa000]);
    expect(dirty()).toEqual([]);
    dirtyLog.stop();
    memory.write(0x9000, Uint8Array.of(1));
    expect(dirty()).toEqual([]);
  });

  test('leaves no descriptor behind', () => {
    open({ cpus: 2 });
    engine!.close();
    const before = openFiles();
    for (let i = 0; i < 20; i++) run([0xf4], { irqchip: i % 2 === 0 ? 'machine' : 'kernel' }, 2000);
    engine!.close();
    engine = undefined;
    expect(openFiles()).toBe(before);
  });

  test('is chosen when it is insisted on, whatever the self-test says, and ends its threads', async () => {
    const chosen = chooseKvm(machineConfig({ engine: 'kvm', cpus: 2 }), 'as asked for');
    await chosen.prepare();
    const other = await chosen.create({ memorySize: 2 * MIB, cpus: 2, sink: new TestSink(), tscHz: 1e9 });
    expect([other.name, other.controllers !== undefined]).toEqual(['kvm', true]);
    other.close();
    await chosen.close();
  });
});

describe.skipIf(!kvmOpens)(`the self-test${kvmAbsence}`, () => {
  test('gives the same verdict twice, and stops at the first failure when told to', () => {
    const host = new NodeKvmHost({ inline: true });
    try {
      const { failures } = selfTest(host);
      expect(selfTest(host).failures).toEqual(failures);
      expect(selfTest(host, true).failures).toEqual(failures.slice(0, 1));
      // What every KVM can do, this machine's also.
      for (const name of ['kernel mode', 'page fault (', 'user mode page fault', 'user mode HLT'])
        expect(failures.filter((failure) => failure.startsWith(name))).toEqual([]);
    } finally {
      host.close();
    }
  });
});

test('a host without KVM is told why', () => {
  const verdict = examineKvm(false);
  if (verdict.state === 'tested') expect(verdict.failures.length).toBeLessThanOrEqual(1);
  else expect(verdict.text).toMatch(/\w/);
});
