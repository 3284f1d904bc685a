/**
 * The kernel's local APICs alone (KVM_CAP_SPLIT_IRQCHIP): 8259 pair, IOAPIC and PIT are the machine's. What the IOAPIC sends
 * comes as messages; the kernel says when a level has been ended (KVM_EXIT_IOAPIC_EOI), of messages that its routing table
 * has at a GSI below 24.
 */
import type { EngineLocalApics } from '../contract.js';
import { KernelInterrupts } from './kernel-interrupts.js';

export class KernelLocalApics extends KernelInterrupts implements EngineLocalApics {
  /** What the IOAPIC's pins are routed to now, as one number each. */
  private readonly routed = new Map<number, number>();

  signalPin(address: number, data: number): boolean {
    return this.vm.signalMsi(address, data);
  }

  routeLevel(pin: number, address: number, data: number): void {
    const message = address * 0x1_0000 + data;
    if (this.routed.get(pin) === message) return;
    this.routed.set(pin, message);
    this.routes.set([[pin, [{ kind: 'message', address, data }]]]);
  }

  onEoi(listener: (vector: number) => void): void {
    this.vm.onEoi = listener;
  }
}
