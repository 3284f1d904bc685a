/** A processor that remembers what its local APIC told it, and a board of several of them. Only tests import this. */
import { FakeClock } from '../testing.js';
import { ApicBus } from './bus.js';
import type { LapicOptions } from './lapic.js';
import { LocalApic } from './lapic.js';
import type { LapicCpuPort } from './message.js';

export class FakeCpu implements LapicCpuPort {
  intr = false;
  /** Calls of setInterruptRequest. */
  changes = 0;
  nmis = 0;
  inits = 0;
  readonly sipis: number[] = [];

  setInterruptRequest(level: boolean): void {
    this.intr = level;
    this.changes++;
  }
  nmi(): void {
    this.nmis++;
  }
  init(): void {
    this.inits++;
  }
  sipi(vector: number): void {
    this.sipis.push(vector);
  }
}

/** RDMSR: undefined where it raises #GP. */
export function rdmsr(apic: Pick<LocalApic, 'readMsr'>, msr: number): bigint | undefined {
  const value = apic.readMsr(msr);
  return value && (BigInt(value.high) << 32n) | BigInt(value.low);
}

/** WRMSR: false where it raises #GP. */
export function wrmsr(apic: Pick<LocalApic, 'writeMsr'>, msr: number, value: bigint): boolean {
  return apic.writeMsr(msr, Number(value & 0xffff_ffffn), Number(value >> 32n));
}

export const TSC_HZ = 2e9;

export interface ApicRig {
  clock: FakeClock;
  bus: ApicBus;
  lapics: LocalApic[];
  cpus: FakeCpu[];
  eois: number[];
}

/** `ids.length` local APICs on one bus, the first being the bootstrap processor's. TSC: 2 GHz from guest time 0. */
export function apicRig(ids: readonly number[] = [0], options: Partial<LapicOptions> = {}): ApicRig {
  const clock = new FakeClock();
  const bus = new ApicBus();
  const eois: number[] = [];
  bus.onEoi((vector) => eois.push(vector));
  const tsc = { hz: TSC_HZ, now: () => clock.now() * 2 };
  const cpus: FakeCpu[] = [];
  const lapics = ids.map((id, index) => {
    const lapic = new LocalApic({ id, bsp: index === 0, clock, fabric: bus, tsc, ...options });
    const cpu = new FakeCpu();
    lapic.attachCpu(cpu);
    cpus.push(cpu);
    bus.attach(lapic);
    return lapic;
  });
  return { clock, bus, lapics, cpus, eois };
}
