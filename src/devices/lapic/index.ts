export { ApicBus } from './bus.js';
export type { LapicOptions, LapicState } from './lapic.js';
export { LocalApic } from './lapic.js';
export type { ApicEndpoint, ApicFabric, ApicMessage, LapicCpuPort, TscSource } from './message.js';
export * from './message.js';
export {
  LAPIC_DEFAULT_BASE,
  MSR_APIC_BASE,
  MSR_TSC_ADJUST,
  MSR_TSC_DEADLINE,
  MSR_X2APIC_FIRST,
  MSR_X2APIC_LAST,
} from './registers.js';
