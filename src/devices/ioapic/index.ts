export type { IoApicOptions, IoApicState } from './ioapic.js';
export { IOAPIC_DEFAULT_BASE, IOAPIC_PINS, IOAPIC_WINDOW, IoApic } from './ioapic.js';
