import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UnknownStateVersion } from '../persist.js';
import type { LocalApic } from './lapic.js';
import type { ApicMessage } from './message.js';
import * as M from './message.js';
import * as R from './registers.js';
import { apicRig, FakeCpu, rdmsr, wrmsr } from './testing.js';

const read = (lapic: LocalApic, index: number): number => lapic.mmioRead(index << 4, 4);
const write = (lapic: LocalApic, index: number, value: number): void => lapic.mmioWrite(index << 4, 4, value);
const enable = (lapic: LocalApic): void => write(lapic, R.APIC_SVR, 0x1ff);
const toX2 = (lapic: LocalApic): boolean => wrmsr(lapic, R.MSR_APIC_BASE, 0xfee00c00n);

const fixed = (vector: number, more: Partial<ApicMessage> = {}): ApicMessage => ({
  dest: 0,
  destMode: M.DEST_PHYSICAL,
  deliveryMode: M.DELIVERY_FIXED,
  vector,
  trigger: M.TRIGGER_EDGE,
  ...more,
});

describe('local APIC after power-on', () => {
  it('has the register values of SDM 11.4.7.1', () => {
    const { lapics } = apicRig([3]);
    const lapic = lapics[0];
    expect(read(lapic, R.APIC_ID)).toBe(0x0300_0000);
    expect(read(lapic, R.APIC_VERSION) & 0xff00ff).toBe(0x50014);
    expect(read(lapic, R.APIC_SVR)).toBe(0xff);
    expect(read(lapic, R.APIC_DFR)).toBe(0xffff_ffff);
    for (let i = R.APIC_LVT_TIMER; i <= R.APIC_LVT_ERROR; i++) expect(read(lapic, i)).toBe(R.LVT_MASKED);
    expect(rdmsr(lapic, R.MSR_APIC_BASE)).toBe(0xfee00900n);
    expect(lapic.mmioBase).toBe(0xfee0_0000);
    expect(lapic.mmioEnabled).toBe(true);
  });

  it('takes no fixed interrupt before SVR enables it, but takes NMI, INIT and SIPI', () => {
    const { bus, cpus } = apicRig();
    expect(bus.deliver(fixed(0x40))).toBe(false);
    expect(bus.deliver(fixed(2, { deliveryMode: M.DELIVERY_NMI }))).toBe(true);
    bus.deliver(fixed(0, { deliveryMode: M.DELIVERY_INIT }));
    bus.deliver(fixed(0x9a, { deliveryMode: M.DELIVERY_STARTUP }));
    expect(cpus[0]).toMatchObject({ intr: false, nmis: 1, inits: 1, sipis: [0x9a] });
  });
});

describe('priorities', () => {
  it('delivers the highest vector first and holds lower ones until EOI', () => {
    const { lapics, bus, cpus } = apicRig();
    enable(lapics[0]);
    bus.deliver(fixed(0x41));
    bus.deliver(fixed(0x91));
    expect(cpus[0].intr).toBe(true);
    expect(lapics[0].acknowledge()).toBe(0x91);
    expect(cpus[0].intr).toBe(false);
    expect(read(lapics[0], R.APIC_PPR)).toBe(0x90);
    expect(lapics[0].acknowledge()).toBe(-1);
    write(lapics[0], R.APIC_EOI, 0);
    expect(cpus[0].intr).toBe(true);
    expect(lapics[0].acknowledge()).toBe(0x41);
    write(lapics[0], R.APIC_EOI, 0);
    expect(read(lapics[0], R.APIC_PPR)).toBe(0);
  });

  it('nests a higher class over one in service, but not another of the same class', () => {
    const { lapics, bus, cpus } = apicRig();
    enable(lapics[0]);
    bus.deliver(fixed(0x50));
    lapics[0].acknowledge();
    bus.deliver(fixed(0x5f));
    expect(cpus[0].intr).toBe(false);
    bus.deliver(fixed(0x60));
    expect(lapics[0].acknowledge()).toBe(0x60);
    write(lapics[0], R.APIC_EOI, 0);
    expect(cpus[0].intr).toBe(false);
    write(lapics[0], R.APIC_EOI, 0);
    expect(lapics[0].acknowledge()).toBe(0x5f);
  });

  it('takes the task priority through the register and through CR8', () => {
    const { lapics, bus, cpus } = apicRig();
    enable(lapics[0]);
    lapics[0].cr8 = 5;
    expect(read(lapics[0], R.APIC_TPR)).toBe(0x50);
    bus.deliver(fixed(0x5f));
    expect(cpus[0].intr).toBe(false);
    write(lapics[0], R.APIC_TPR, 0x4f);
    expect(lapics[0].cr8).toBe(4);
    expect(read(lapics[0], R.APIC_PPR)).toBe(0x4f);
    expect(cpus[0].intr).toBe(true);
    lapics[0].cr8 = 15;
    expect(lapics[0].acknowledge()).toBe(-1);
  });

  it('shows IRR, ISR and TMR in its registers', () => {
    const { lapics, bus } = apicRig();
    enable(lapics[0]);
    bus.deliver(fixed(0x2f, { trigger: M.TRIGGER_LEVEL }));
    bus.deliver(fixed(0xff));
    lapics[0].acknowledge();
    expect(read(lapics[0], R.APIC_IRR + 1)).toBe(0x8000);
    expect(read(lapics[0], R.APIC_TMR + 1)).toBe(0x8000);
    expect(read(lapics[0], R.APIC_ISR + 7)).toBe(0x8000_0000);
    expect(read(lapics[0], R.APIC_TMR + 7)).toBe(0);
  });

  it('tells the processor of changes only', () => {
    const { lapics, bus, cpus } = apicRig();
    enable(lapics[0]);
    const before = cpus[0].changes;
    bus.deliver(fixed(0x40));
    bus.deliver(fixed(0x41));
    expect(cpus[0].changes).toBe(before + 1);
  });
});

describe('EOI', () => {
  it('is broadcast for level-triggered vectors only', () => {
    const { lapics, bus, eois } = apicRig();
    enable(lapics[0]);
    for (const [vector, trigger] of [[0x40, M.TRIGGER_LEVEL] as const, [0x50, M.TRIGGER_EDGE] as const]) {
      bus.deliver(fixed(vector, { trigger }));
      lapics[0].acknowledge();
      write(lapics[0], R.APIC_EOI, 0);
    }
    expect(eois).toEqual([0x40]);
  });

  it('is not broadcast when SVR suppresses it', () => {
    const { lapics, bus, eois } = apicRig();
    write(lapics[0], R.APIC_SVR, 0x11ff);
    bus.deliver(fixed(0x40, { trigger: M.TRIGGER_LEVEL }));
    lapics[0].acknowledge();
    write(lapics[0], R.APIC_EOI, 0);
    expect(eois).toEqual([]);
  });

  it('with nothing in service does nothing', () => {
    const { lapics, eois } = apicRig();
    write(lapics[0], R.APIC_EOI, 0);
    expect(eois).toEqual([]);
  });
});

describe('destinations', () => {
  const ipi = (from: LocalApic, low: number, dest: number): void => {
    write(from, R.APIC_ICR_HIGH, dest << 24);
    write(from, R.APIC_ICR_LOW, low);
  };
  const pending = (lapics: readonly LocalApic[]): boolean[] => lapics.map((lapic) => lapic.acknowledge() >= 0);

  it('reaches one by physical ID and all by FFh', () => {
    const { lapics } = apicRig([0, 1, 2]);
    lapics.forEach(enable);
    ipi(lapics[0], 0x4040, 2);
    expect(pending(lapics)).toEqual([false, false, true]);
    ipi(lapics[0], 0x4050, 0xff);
    expect(pending(lapics)).toEqual([true, true, true]);
  });

  it('matches flat logical sets', () => {
    const { lapics } = apicRig([0, 1, 2]);
    lapics.forEach((lapic, i) => {
      enable(lapic);
      write(lapic, R.APIC_LDR, 1 << (24 + i));
    });
    ipi(lapics[0], 0x4840, 0b101);
    expect(pending(lapics)).toEqual([true, false, true]);
  });

  it('matches cluster logical sets, and all clusters by Fh', () => {
    const { lapics } = apicRig([0, 1, 2]);
    lapics.forEach((lapic, i) => {
      enable(lapic);
      write(lapic, R.APIC_DFR, 0x0fff_ffff);
      write(lapic, R.APIC_LDR, ((i < 2 ? 0x10 : 0x20) | (1 << i)) << 24);
    });
    ipi(lapics[0], 0x4840, 0x1f);
    expect(pending(lapics)).toEqual([true, true, false]);
    ipi(lapics[0], 0x4850, 0xf6);
    expect(pending(lapics)).toEqual([false, true, true]);
  });

  it('knows the shorthands self, all and all but self', () => {
    const { lapics } = apicRig([0, 1, 2]);
    lapics.forEach(enable);
    ipi(lapics[1], 0x44040, 0);
    expect(pending(lapics)).toEqual([false, true, false]);
    ipi(lapics[1], 0x84050, 0);
    expect(pending(lapics)).toEqual([true, true, true]);
    ipi(lapics[1], 0xc4060, 0);
    expect(pending(lapics)).toEqual([true, false, true]);
  });

  it('starts a processor by INIT and SIPI, ignoring INIT de-assert', () => {
    const { lapics, cpus } = apicRig([0, 1]);
    ipi(lapics[0], 0xc500, 1);
    ipi(lapics[0], 0x8500, 1);
    ipi(lapics[0], 0x4608, 1);
    expect(cpus[1]).toMatchObject({ inits: 1, sipis: [8] });
    expect(cpus[0].inits).toBe(0);
  });

  it('gives a lowest-priority message to the least busy, in turns when equal', () => {
    const { lapics, bus } = apicRig([0, 1, 2]);
    lapics.forEach((lapic) => {
      enable(lapic);
      write(lapic, R.APIC_LDR, 0x0f00_0000);
    });
    lapics[1].cr8 = 6;
    const message = fixed(0x90, { dest: 0xf, destMode: M.DEST_LOGICAL, deliveryMode: M.DELIVERY_LOWEST_PRIORITY });
    const winners = [0, 1, 2, 3].map(() => {
      bus.deliver(message);
      const got = lapics.findIndex((lapic) => lapic.acknowledge() >= 0);
      write(lapics[got], R.APIC_EOI, 0);
      return got;
    });
    expect(winners).toEqual([2, 0, 2, 0]);
  });

  it('delivers MSIs by their address and data', () => {
    const { lapics, bus } = apicRig([0, 5]);
    lapics.forEach(enable);
    expect(bus.deliverMsi(0xfee0_5000, 0x4077)).toBe(true);
    expect(lapics[1].acknowledge()).toBe(0x77);
    expect(bus.deliverMsi(0xfed0_5000, 0x4078)).toBe(false);
    expect(lapics[1].acknowledge()).toBe(-1);
  });
});

describe('errors', () => {
  it('records a received illegal vector and raises the error interrupt', () => {
    const { lapics, bus } = apicRig();
    enable(lapics[0]);
    write(lapics[0], R.APIC_LVT_ERROR, 0xfe);
    bus.deliver(fixed(3));
    expect(read(lapics[0], R.APIC_ESR)).toBe(0);
    write(lapics[0], R.APIC_ESR, 0);
    expect(read(lapics[0], R.APIC_ESR)).toBe(R.ESR_RECEIVE_ILLEGAL_VECTOR);
    expect(lapics[0].acknowledge()).toBe(0xfe);
    write(lapics[0], R.APIC_ESR, 0);
    expect(read(lapics[0], R.APIC_ESR)).toBe(0);
  });

  it('records a sent illegal vector and an access to no register', () => {
    const { lapics } = apicRig();
    enable(lapics[0]);
    write(lapics[0], R.APIC_ICR_LOW, 0x4005);
    read(lapics[0], 0x3c);
    write(lapics[0], R.APIC_ESR, 0);
    expect(read(lapics[0], R.APIC_ESR)).toBe(R.ESR_SEND_ILLEGAL_VECTOR | R.ESR_ILLEGAL_REGISTER);
  });
});

describe('LINT pins', () => {
  const pic = (): { vector: number } => ({ vector: 0x30 });

  it('pass the 8259 through in virtual wire mode', () => {
    const state = pic();
    const { lapics, cpus } = apicRig([0], { acknowledgeExtInt: () => state.vector });
    lapics[0].lint0.set(true);
    expect(cpus[0].intr).toBe(false);
    lapics[0].setVirtualWire();
    expect(cpus[0].intr).toBe(true);
    expect(lapics[0].acknowledge()).toBe(0x30);
    lapics[0].lint0.set(false);
    expect(cpus[0].intr).toBe(false);
    expect(read(lapics[0], R.APIC_ISR + 1)).toBe(0);
  });

  it('pass the 8259 and NMI through when the APIC is globally disabled', () => {
    const { lapics, cpus } = apicRig([0], { acknowledgeExtInt: () => 8 });
    expect(wrmsr(lapics[0], R.MSR_APIC_BASE, 0xfee00000n)).toBe(true);
    expect(lapics[0].mmioEnabled).toBe(false);
    lapics[0].lint0.set(true);
    expect(cpus[0].intr).toBe(true);
    expect(lapics[0].acknowledge()).toBe(8);
    lapics[0].lint1.set(true);
    expect(cpus[0].nmis).toBe(1);
  });

  it('mask the 8259 when the LVT entry is masked', () => {
    const { lapics, cpus } = apicRig([0], { acknowledgeExtInt: () => 8 });
    lapics[0].setVirtualWire();
    lapics[0].lint0.set(true);
    write(lapics[0], R.APIC_LVT_LINT0, 0x10700);
    expect(cpus[0].intr).toBe(false);
    expect(lapics[0].acknowledge()).toBe(-1);
  });

  it('LINT1 as NMI fires on the rising edge', () => {
    const { lapics, cpus } = apicRig();
    lapics[0].setVirtualWire();
    lapics[0].lint1.set(true);
    lapics[0].lint1.set(true);
    lapics[0].lint1.set(false);
    lapics[0].lint1.set(true);
    expect(cpus[0].nmis).toBe(2);
  });

  it('a level-triggered fixed pin requests again after EOI while it stays high', () => {
    const { lapics } = apicRig();
    enable(lapics[0]);
    write(lapics[0], R.APIC_LVT_LINT0, R.LVT_TRIGGER_LEVEL | 0x60);
    lapics[0].lint0.set(true);
    expect(lapics[0].acknowledge()).toBe(0x60);
    expect(read(lapics[0], R.APIC_LVT_LINT0) & R.LVT_REMOTE_IRR).not.toBe(0);
    write(lapics[0], R.APIC_EOI, 0);
    expect(lapics[0].acknowledge()).toBe(0x60);
    lapics[0].lint0.set(false);
    write(lapics[0], R.APIC_EOI, 0);
    expect(lapics[0].acknowledge()).toBe(-1);
  });
});

describe('x2APIC', () => {
  it('is entered from xAPIC only, and left only to disabled', () => {
    const { lapics } = apicRig();
    const set = (value: bigint): boolean => wrmsr(lapics[0], R.MSR_APIC_BASE, value);
    expect(set(0xfee00400n)).toBe(false);
    expect(set(0xfee00c00n)).toBe(true);
    expect(lapics[0].mmioEnabled).toBe(false);
    expect(set(0xfee00800n)).toBe(false);
    expect(set(0xfee00000n)).toBe(true);
    expect(set(0xfee00c00n)).toBe(false);
    expect(set(0xfee00800n)).toBe(true);
    expect(set(0xfee00801n)).toBe(false);
    expect(set(0x100_fee00800n)).toBe(false);
    expect(rdmsr(lapics[0], R.MSR_APIC_BASE)).toBe(0xfee00900n);
  });

  it('is refused where CPUID does not offer it', () => {
    const { lapics } = apicRig([0], { x2apic: false });
    expect(toX2(lapics[0])).toBe(false);
  });

  it('has its MSRs only in x2APIC mode', () => {
    const { lapics } = apicRig([0x123]);
    expect(rdmsr(lapics[0], 0x802)).toBeUndefined();
    expect(wrmsr(lapics[0], 0x80b, 0n)).toBe(false);
    toX2(lapics[0]);
    expect(rdmsr(lapics[0], 0x802)).toBe(0x123n);
    expect(rdmsr(lapics[0], 0x80d)).toBe(0x12_0008n);
  });

  it('refuses reserved bits, missing registers and wrong directions', () => {
    const { lapics } = apicRig();
    toX2(lapics[0]);
    const refused: [number, bigint][] = [
      [0x802, 0n],
      [0x803, 0n],
      [0x80a, 0n],
      [0x80b, 1n],
      [0x80d, 1n],
      [0x80e, 0n],
      [0x80f, 0x200n],
      [0x810, 0n],
      [0x828, 1n],
      [0x82f, 0n],
      [0x831, 0n],
      [0x808, 0x100n],
      [0x808, 1n << 32n],
      [0x832, 1n << 31n],
      [0x839, 0n],
      [0x83e, 4n],
      [0x83f, 0x100n],
      [0x840, 0n],
      [0x8ff, 0n],
      [0x830, 0x10_0000n],
    ];
    for (const [msr, value] of refused) {
      expect(wrmsr(lapics[0], msr, value), `write ${msr.toString(16)}`).toBe(false);
    }
    for (const msr of [0x800, 0x809, 0x80b, 0x80c, 0x80e, 0x82f, 0x831, 0x83f, 0x840, 0x8ff]) {
      expect(rdmsr(lapics[0], msr), `read ${msr.toString(16)}`).toBeUndefined();
    }
  });

  it('sends by 32-bit IDs, logical clusters and SELF IPI', () => {
    const { lapics } = apicRig([0, 0x112, 0x113]);
    lapics.forEach((lapic) => {
      toX2(lapic);
      wrmsr(lapic, 0x80f, 0x1ffn);
    });
    wrmsr(lapics[0], 0x830, (0x112n << 32n) | 0x4055n);
    expect(lapics.map((lapic) => lapic.acknowledge())).toEqual([-1, 0x55, -1]);
    wrmsr(lapics[0], 0x830, (0x11_000cn << 32n) | 0x4866n);
    expect(lapics.map((lapic) => lapic.acknowledge())).toEqual([-1, 0x66, 0x66]);
    wrmsr(lapics[0], 0x83f, 0x77n);
    expect(lapics.map((lapic) => lapic.acknowledge())).toEqual([0x77, -1, -1]);
    expect(rdmsr(lapics[0], 0x830)).toBe((0x11_000cn << 32n) | 0x4866n);
  });

  it('ends an interrupt by MSR 80Bh', () => {
    const { lapics, bus, cpus } = apicRig();
    toX2(lapics[0]);
    wrmsr(lapics[0], 0x80f, 0x1ffn);
    bus.deliver(fixed(0x50));
    lapics[0].acknowledge();
    bus.deliver(fixed(0x51));
    expect(wrmsr(lapics[0], 0x80b, 0n)).toBe(true);
    expect(cpus[0].intr).toBe(true);
  });
});

type Op =
  | { op: 'read'; index: number; size: 1 | 2 | 4; part: number }
  | { op: 'write'; index: number; value: number }
  | { op: 'msr'; msr: number; value: bigint }
  | { op: 'deliver'; vector: number; mode: number; trigger: number }
  | { op: 'ack' }
  | { op: 'lint'; level: boolean }
  | { op: 'wait'; ns: number };

const anyValue = fc.oneof(fc.nat(0xff), fc.nat(0xffff_ffff), fc.constantFrom(0x1ff, 0x20000, 0x40030, 0x4040, 0xc4500));
const anyOp: fc.Arbitrary<Op> = fc.oneof(
  fc.record({
    op: fc.constant('read' as const),
    index: fc.nat(0xff),
    size: fc.constantFrom<1 | 2 | 4>(1, 2, 4),
    part: fc.nat(15),
  }),
  fc.record({ op: fc.constant('write' as const), index: fc.nat(0x3f), value: anyValue }),
  fc.record({
    op: fc.constant('msr' as const),
    msr: fc.oneof(fc.constantFrom(0x1b, 0x6e0), fc.integer({ min: 0x800, max: 0x8ff })),
    value: fc.oneof(
      anyValue.map(BigInt),
      fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      fc.constantFrom(0xfee00000n, 0xfee00800n, 0xfee00c00n),
    ),
  }),
  fc.record({
    op: fc.constant('deliver' as const),
    vector: fc.nat(255),
    mode: fc.nat(7),
    trigger: fc.nat(1),
  }),
  fc.constant<Op>({ op: 'ack' }),
  fc.record({ op: fc.constant('lint' as const), level: fc.boolean() }),
  fc.record({ op: fc.constant('wait' as const), ns: fc.nat(1_000_000) }),
);

describe('whatever a guest does', () => {
  it('registers stay unsigned, INTR agrees with acknowledge, vectors are legal, and a snapshot is faithful', () => {
    fc.assert(
      fc.property(fc.array(anyOp, { maxLength: 120 }), (ops) => {
        const { lapics, cpus, bus, clock } = apicRig([0, 1], { acknowledgeExtInt: () => 0x27 });
        const [lapic] = lapics;
        for (const op of ops) {
          switch (op.op) {
            case 'read': {
              const value = lapic.mmioRead(op.index * 16 + op.part, op.size);
              expect(value).toBeGreaterThanOrEqual(0);
              expect(value).toBeLessThan(2 ** (8 * op.size));
              break;
            }
            case 'write':
              write(lapic, op.index, op.value);
              break;
            case 'msr': {
              wrmsr(lapic, op.msr, op.value);
              const value = rdmsr(lapic, op.msr);
              if (value !== undefined) expect(BigInt.asUintN(64, value)).toBe(value);
              break;
            }
            case 'deliver':
              bus.deliver(fixed(op.vector, { deliveryMode: op.mode, trigger: op.trigger, dest: 0xff }));
              break;
            case 'ack': {
              const requested = cpus[0].intr;
              const vector = lapic.acknowledge();
              expect(vector >= 0).toBe(requested);
              if (vector >= 0) expect(vector).toBeGreaterThanOrEqual(16);
              break;
            }
            case 'lint':
              lapic.lint0.set(op.level);
              break;
            case 'wait':
              clock.advance(op.ns);
          }
          expect(clock.pending).toBeLessThanOrEqual(2);
        }
        const saved = lapic.save();
        const other = apicRig([0], { acknowledgeExtInt: () => 0x27 });
        other.lapics[0].restore(JSON.parse(JSON.stringify(saved)));
        expect(other.lapics[0].save()).toEqual(saved);
        expect(other.cpus[0].intr).toBe(cpus[0].intr);
      }),
      { numRuns: 300 },
    );
  });

  it('a snapshot of another version is refused', () => {
    const { lapics } = apicRig();
    expect(() => lapics[0].restore({ ...lapics[0].save(), version: 2 as 1 })).toThrow(UnknownStateVersion);
  });

  it('a processor that is attached late hears of what waits', () => {
    const { lapics, bus } = apicRig();
    enable(lapics[0]);
    bus.deliver(fixed(0x40));
    const late = new FakeCpu();
    lapics[0].attachCpu(late);
    expect(late.intr).toBe(true);
  });
});
