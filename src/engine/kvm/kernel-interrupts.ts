/** What of the kernel's interrupt controllers is the same whether it has all of them or local APICs alone. */
import type { EngineInterruptState } from '../contract.js';
import { restoreInterrupts, saveInterrupts } from './interrupt-state.js';
import { MessageLines } from './message-lines.js';
import { GsiRoutes } from './routing.js';
import type { KvmVcpu } from './vcpu.js';
import type { KvmVm } from './vm.js';

export abstract class KernelInterrupts {
  protected readonly vm: KvmVm;
  protected readonly routes: GsiRoutes;
  protected readonly lines: MessageLines;
  private readonly vcpus: readonly KvmVcpu[];

  constructor(vm: KvmVm, vcpus: readonly KvmVcpu[]) {
    this.vm = vm;
    this.vcpus = vcpus;
    this.routes = new GsiRoutes(vm);
    this.lines = new MessageLines(vm, this.routes);
  }

  /** @returns whether a local APIC took it, as far as the kernel tells */
  signalMsi(address: number, data: number): boolean {
    return this.lines.send(address, data);
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
