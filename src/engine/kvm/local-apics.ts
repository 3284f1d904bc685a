/**
 * The kernel's local APICs alone (KVM_CAP_SPLIT_IRQCHIP): 8259 pair, IOAPIC and PIT are the machine's. What the IOAPIC sends
 * comes as messages; the kernel says when a level has been ended (KVM_EXIT_IOAPIC_EOI), of messages that its routing table
 * has at a GSI below 24.
 */
import type { EngineInterruptState, EngineLocalApics } from '../contract.js';
import { restoreInterrupts, saveInterrupts } from './interrupt-state.js';
import { MessageLines } from './message-lines.js';
import { GsiRoutes } from './routing.js';
import type { KvmVcpu } from './vcpu.js';
import type { KvmVm } from './vm.js';

export class KernelLocalApics implements EngineLocalApics {
  private readonly vm: KvmVm;
  private readonly vcpus: readonly KvmVcpu[];
  private readonly routes: GsiRoutes;
  private readonly lines: MessageLines;
  /** What the IOAPIC's pins are routed to now, as one number each. */
  private readonly routed = new Map<number, number>();

  constructor(vm: KvmVm, vcpus: readonly KvmVcpu[]) {
    this.vm = vm;
    this.vcpus = vcpus;
    this.routes = new GsiRoutes(vm);
    this.lines = new MessageLines(vm, this.routes);
  }

  signalMsi(address: number, data: number): boolean {
    return this.lines.send(address, data);
  }

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

  save(): EngineInterruptState {
    return saveInterrupts(this.vm, this.vcpus);
  }

  restore(state: EngineInterruptState): void {
    restoreInterrupts(this.vm, this.vcpus, state);
  }

  close(): void {
    this.lines.close();
  }
}
