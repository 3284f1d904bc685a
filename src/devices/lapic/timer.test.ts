import { describe, expect, it } from 'vitest';
import type { LocalApic } from './lapic.js';
import * as R from './registers.js';
import { apicRig, rdmsr, wrmsr } from './testing.js';
import { MIN_ALARM_DISTANCE_NS } from './timer.js';

const read = (lapic: LocalApic, index: number): number => lapic.mmioRead(index << 4, 4);
const write = (lapic: LocalApic, index: number, value: number): void => lapic.mmioWrite(index << 4, 4, value);
const eoi = (lapic: LocalApic): void => write(lapic, R.APIC_EOI, 0);

const ONE_SHOT = 0x40;
const PERIODIC = 0x2_0040;
const DEADLINE = 0x4_0040;

/** Input clock 1 GHz, so one tick undivided is 1 ns. */
function rig(lvt: number): ReturnType<typeof apicRig> & { lapic: LocalApic } {
  const all = apicRig([0]);
  const lapic = all.lapics[0];
  write(lapic, R.APIC_SVR, 0x1ff);
  write(lapic, R.APIC_LVT_TIMER, lvt);
  write(lapic, R.APIC_DIVIDE, 0b1011);
  return { ...all, lapic };
}

describe('local APIC timer', () => {
  it('counts down from the clock and fires once in one-shot mode', () => {
    const { lapic, clock, cpus } = rig(ONE_SHOT);
    write(lapic, R.APIC_INITIAL_COUNT, 1000);
    clock.advance(400);
    expect(read(lapic, R.APIC_CURRENT_COUNT)).toBe(600);
    clock.advance(599);
    expect(cpus[0].intr).toBe(false);
    clock.advance(1);
    expect(lapic.acknowledge()).toBe(0x40);
    expect(read(lapic, R.APIC_CURRENT_COUNT)).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it.each([
    [0b0000, 2],
    [0b0001, 4],
    [0b0010, 8],
    [0b0011, 16],
    [0b1000, 32],
    [0b1001, 64],
    [0b1010, 128],
    [0b1011, 1],
  ])('divide configuration %i divides by %i', (code, divisor) => {
    const { lapic, clock, cpus } = rig(ONE_SHOT);
    write(lapic, R.APIC_DIVIDE, code);
    write(lapic, R.APIC_INITIAL_COUNT, 100);
    clock.advance(100 * divisor - 1);
    expect(cpus[0].intr).toBe(false);
    clock.advance(1);
    expect(cpus[0].intr).toBe(true);
  });

  it('keeps the remaining count when the divisor changes on the way', () => {
    const { lapic, clock, cpus } = rig(ONE_SHOT);
    write(lapic, R.APIC_INITIAL_COUNT, 1000);
    clock.advance(500);
    write(lapic, R.APIC_DIVIDE, 0b0000);
    expect(read(lapic, R.APIC_CURRENT_COUNT)).toBe(500);
    clock.advance(999);
    expect(cpus[0].intr).toBe(false);
    clock.advance(1);
    expect(cpus[0].intr).toBe(true);
  });

  it('fires every period without drift', () => {
    const { lapic, clock } = rig(PERIODIC);
    write(lapic, R.APIC_INITIAL_COUNT, 100_000);
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      clock.advanceTo(clock.nextAlarm!);
      times.push(clock.now());
      expect(lapic.acknowledge()).toBe(0x40);
      eoi(lapic);
    }
    expect(times).toEqual([100_000, 200_000, 300_000, 400_000, 500_000]);
    clock.advance(30_000);
    expect(read(lapic, R.APIC_CURRENT_COUNT)).toBe(70_000);
  });

  it('makes one interrupt of the periods that a late machine missed, and keeps the phase', () => {
    const { lapic, clock, cpus } = rig(PERIODIC);
    write(lapic, R.APIC_INITIAL_COUNT, 100_000);
    clock.jump(1_050_000);
    expect(lapic.acknowledge()).toBe(0x40);
    eoi(lapic);
    expect(cpus[0].intr).toBe(false);
    expect(clock.nextAlarm).toBe(1_100_000);
  });

  it('limits the alarms of a tiny period, not its count', () => {
    const { lapic, clock } = rig(PERIODIC);
    write(lapic, R.APIC_INITIAL_COUNT, 1);
    expect(clock.advance(1_000_000)).toBeLessThanOrEqual(1_000_000 / MIN_ALARM_DISTANCE_NS);
    expect(read(lapic, R.APIC_CURRENT_COUNT)).toBe(1);
  });

  it('stops when the initial count is set to 0', () => {
    const { lapic, clock } = rig(PERIODIC);
    write(lapic, R.APIC_INITIAL_COUNT, 1000);
    write(lapic, R.APIC_INITIAL_COUNT, 0);
    expect(clock.pending).toBe(0);
    expect(read(lapic, R.APIC_CURRENT_COUNT)).toBe(0);
  });

  it('goes on counting while masked and then interrupts', () => {
    const { lapic, clock, cpus } = rig(PERIODIC | R.LVT_MASKED);
    write(lapic, R.APIC_INITIAL_COUNT, 50_000);
    clock.advance(120_000);
    expect(cpus[0].intr).toBe(false);
    write(lapic, R.APIC_LVT_TIMER, PERIODIC);
    clock.advance(30_000);
    expect(cpus[0].intr).toBe(true);
  });

  it('fires when the TSC reaches the deadline, which then reads 0', () => {
    const { lapic, clock, cpus } = rig(DEADLINE);
    clock.advance(1000);
    expect(wrmsr(lapic, R.MSR_TSC_DEADLINE, 5000n)).toBe(true);
    expect(rdmsr(lapic, R.MSR_TSC_DEADLINE)).toBe(5000n);
    clock.advance(1499);
    expect(cpus[0].intr).toBe(false);
    clock.advance(1);
    expect(lapic.acknowledge()).toBe(0x40);
    expect(rdmsr(lapic, R.MSR_TSC_DEADLINE)).toBe(0n);
  });

  it('fires at once for a deadline that has passed', () => {
    const { lapic, clock, cpus } = rig(DEADLINE);
    clock.advance(1000);
    wrmsr(lapic, R.MSR_TSC_DEADLINE, 2000n);
    expect(cpus[0].intr).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it('re-arms and disarms the deadline, leaving one alarm at most', () => {
    const { lapic, clock } = rig(DEADLINE);
    for (let i = 1n; i < 50n; i++) wrmsr(lapic, R.MSR_TSC_DEADLINE, 1_000_000n * i);
    expect(clock.pending).toBe(1);
    wrmsr(lapic, R.MSR_TSC_DEADLINE, (1n << 64n) - 1n);
    expect(clock.nextAlarm).toBe(Number.MAX_SAFE_INTEGER);
    wrmsr(lapic, R.MSR_TSC_DEADLINE, 0n);
    expect(clock.pending).toBe(0);
  });

  it.each([
    ['ahead makes a deadline come earlier', 1000, 1500],
    ['back makes it come later', -1000, 2500],
    ['past it fires it at once', 1e15, 500],
  ])('a TSC that the guest sets %s', (_how, jump, due) => {
    let offset = 0;
    const { lapics, clock, cpus } = apicRig([0], { tsc: { hz: 2e9, now: () => clock.now() * 2 + offset } });
    const [lapic] = lapics;
    write(lapic, R.APIC_SVR, 0x1ff);
    write(lapic, R.APIC_LVT_TIMER, DEADLINE);
    wrmsr(lapic, R.MSR_TSC_DEADLINE, 4000n);
    clock.advance(500);
    offset = jump;
    expect(wrmsr(lapic, R.MSR_TSC_ADJUST, BigInt.asUintN(64, BigInt(jump)))).toBe(true);
    expect(clock.pending).toBe(due === 500 ? 0 : 1);
    for (; clock.now() < due - 1; clock.advance(1)) expect(cpus[0].intr).toBe(false);
    clock.advance(1);
    expect(cpus[0].intr).toBe(true);
    expect(rdmsr(lapic, R.MSR_TSC_DEADLINE)).toBe(0n);
  });

  it.each([
    ['just before the TSC wraps, exactly', -2000, (1n << 64n) - 1000n, 500],
    ['beyond the wrap as passed', -2000, 1000n, 0],
    ['in the upper half as far away', 2000, (1n << 64n) - 1000n, Number.MAX_SAFE_INTEGER],
    ['in the upper half as passed from farther up', -2000, (1n << 64n) - 3000n, 0],
  ])('takes a deadline %s', (_where, tsc, deadline, due) => {
    const { lapics, clock, cpus } = apicRig([0], { tsc: { hz: 2e9, now: () => tsc } });
    write(lapics[0], R.APIC_SVR, 0x1ff);
    write(lapics[0], R.APIC_LVT_TIMER, DEADLINE);
    wrmsr(lapics[0], R.MSR_TSC_DEADLINE, deadline);
    expect(cpus[0].intr).toBe(due === 0);
    expect(clock.nextAlarm ?? 0).toBe(due);
  });

  it('a TSC that the guest sets arms nothing, and leaves the other modes alone', () => {
    const { lapic, clock, cpus } = rig(DEADLINE);
    wrmsr(lapic, R.MSR_TSC_ADJUST, 1n);
    expect(clock.pending).toBe(0);
    write(lapic, R.APIC_LVT_TIMER, ONE_SHOT);
    write(lapic, R.APIC_INITIAL_COUNT, 1000);
    wrmsr(lapic, R.MSR_TSC_ADJUST, 1n << 40n);
    clock.advance(999);
    expect(cpus[0].intr).toBe(false);
    clock.advance(1);
    expect(cpus[0].intr).toBe(true);
  });

  it('ignores deadline writes in other modes and initial counts in deadline mode', () => {
    const { lapic, clock } = rig(ONE_SHOT);
    wrmsr(lapic, R.MSR_TSC_DEADLINE, 5000n);
    expect(rdmsr(lapic, R.MSR_TSC_DEADLINE)).toBe(0n);
    write(lapic, R.APIC_LVT_TIMER, DEADLINE);
    write(lapic, R.APIC_INITIAL_COUNT, 1000);
    expect(clock.pending).toBe(0);
    expect(read(lapic, R.APIC_INITIAL_COUNT)).toBe(0);
  });

  it('is disarmed by leaving deadline mode', () => {
    const { lapic, clock } = rig(DEADLINE);
    wrmsr(lapic, R.MSR_TSC_DEADLINE, 1_000_000n);
    write(lapic, R.APIC_LVT_TIMER, ONE_SHOT);
    expect(clock.pending).toBe(0);
  });

  it('goes on after a snapshot from where it was', () => {
    const first = rig(PERIODIC);
    write(first.lapic, R.APIC_INITIAL_COUNT, 100_000);
    first.clock.advance(130_000);
    first.lapic.acknowledge();
    eoi(first.lapic);
    const second = apicRig([0]);
    second.clock.advance(7);
    second.lapics[0].restore(first.lapic.save());
    second.clock.advance(69_999);
    expect(second.cpus[0].intr).toBe(false);
    second.clock.advance(1);
    expect(second.cpus[0].intr).toBe(true);
  });
});
