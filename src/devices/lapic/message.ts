/**
 * What travels between the interrupt controllers: one message a request, as on the system bus of a real machine
 * (SDM vol. 3, 11.1 and 11.6). IOAPIC, MSIs and the ICR of every local APIC all speak it.
 */

/** Delivery mode field, bits 10:8 of the ICR, of a redirection entry and of MSI data (SDM vol. 3, 11.6.1). */
export const DELIVERY_FIXED = 0;
export const DELIVERY_LOWEST_PRIORITY = 1;
export const DELIVERY_SMI = 2;
export const DELIVERY_NMI = 4;
export const DELIVERY_INIT = 5;
export const DELIVERY_STARTUP = 6;
export const DELIVERY_EXTINT = 7;

export const DEST_PHYSICAL = 0;
export const DEST_LOGICAL = 1;

export const TRIGGER_EDGE = 0;
export const TRIGGER_LEVEL = 1;

/** One interrupt message. Receivers use it while they are called and never keep it, so a sender may use one for ever. */
export interface ApicMessage {
  /** APIC ID or logical set: 8 bits from an IOAPIC, an MSI or an xAPIC ICR, 32 bits from an x2APIC ICR. */
  dest: number;
  /** DEST_PHYSICAL or DEST_LOGICAL. */
  destMode: number;
  /** One of DELIVERY_*. */
  deliveryMode: number;
  /** 0 to 255; for start-up messages the page of the entry point. */
  vector: number;
  /** TRIGGER_EDGE or TRIGGER_LEVEL. */
  trigger: number;
}

/** A message as a write to the local APICs' page (SDM vol. 3, 11.11): where to. */
export function msiAddress({ dest, destMode }: ApicMessage): number {
  return 0xfee0_0000 + ((dest & 0xff) << 12) + (destMode === DEST_LOGICAL ? 4 : 0);
}

/** And what; a level is asserted. */
export function msiData({ vector, deliveryMode, trigger }: ApicMessage): number {
  return vector | (deliveryMode << 8) | (trigger === TRIGGER_LEVEL ? 0xc000 : 0);
}

/** What senders see: the way to all local APICs. */
export interface ApicFabric {
  /**
   * Delivers to every local APIC that the destination names. `wide`: the destination has 32 bits (x2APIC ICR).
   * @returns whether at least one local APIC took it.
   */
  deliver(message: ApicMessage, wide?: boolean): boolean;
  /** The ICR's shorthands: all local APICs, without `except` where given. */
  deliverToAll(message: ApicMessage, except?: ApicEndpoint): void;
  /** EOI of a level-triggered vector: told to every IOAPIC (SDM vol. 3, 11.8.5). */
  broadcastEoi(vector: number): void;
}

/** What the fabric sees of a local APIC. */
export interface ApicEndpoint {
  /** Whether the message's destination includes this APIC. */
  matches(dest: number, destMode: number, wide: boolean): boolean;
  /** Takes a message that was addressed to it. @returns false where it refuses (disabled, reserved mode). */
  accept(message: ApicMessage): boolean;
  /** Processor priority, for lowest-priority arbitration: smaller wins. */
  readonly processorPriority: number;
  /** Whether it takes fixed interrupts (enabled by IA32_APIC_BASE and SVR). */
  readonly takesFixed: boolean;
}

/** What a local APIC sees of its processor. `Vcpu` of the engine contract fits. */
export interface LapicCpuPort {
  setInterruptRequest(level: boolean): void;
  nmi(): void;
  init(): void;
  sipi(vector: number): void;
}

/** The guest's time-stamp counter, for TSC-deadline mode. */
export interface TscSource {
  /** Ticks a second. */
  readonly hz: number;
  /**
   * The counter as the guest reads it on this processor, in ticks. Its 64 bits are taken as signed, so that it is exact up
   * to 2^53 and from 2^53 before it wraps.
   */
  now(): number;
}
