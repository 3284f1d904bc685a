/** The KVM engine behind the contract: one virtual machine of the kernel's, a thread for each of its vCPUs. */
import type { Engine, EngineConfig } from '../contract.js';
import * as A from './abi.js';
import type { KvmHost } from './calls.js';
import type { InstructionHelper } from './completion.js';
import { KernelControllers } from './controllers.js';
import { composeCpuid, encodeCpuid } from './cpuid.js';
import { KvmDirtyLog } from './dirty-log.js';
import { KernelLocalApics } from './local-apics.js';
import type { KvmMemory } from './memory.js';
import { KvmParallel } from './parallel.js';
import { KvmShortcuts } from './shortcuts.js';
import { bytesOf, knownMsrs, STATE_MSRS, StateTransfer } from './state.js';
import { KvmVcpu } from './vcpu.js';
import { KvmVm } from './vm.js';

/** Linux's numbers for a call that was interrupted, and for a vCPU that was waiting for INIT or SIPI and has got one. */
const EINTR = 4;
const EAGAIN = 11;

export class KvmEngine implements Engine {
  readonly name = 'kvm';
  readonly countsInstructions = false;
  readonly memory: KvmMemory;
  readonly vcpus: readonly KvmVcpu[];
  readonly vm: KvmVm;
  readonly controllers: KernelControllers | undefined;
  readonly localApics: KernelLocalApics | undefined;
  readonly parallel: KvmParallel | undefined;
  readonly shortcuts: KvmShortcuts;
  readonly dirtyLog: KvmDirtyLog;
  private readonly host: KvmHost;
  private closed = false;
  /** Bits of XCR0 that the guest was told of; 0 without XSAVE. */
  xcr0 = 0;

  /** @throws KvmUnfitError, CallError */
  constructor(config: EngineConfig, host: KvmHost) {
    this.host = host;
    this.vm = new KvmVm(host, config, [EINTR, EAGAIN]);
    this.memory = this.vm.memory;
    this.shortcuts = new KvmShortcuts(this.vm);
    this.dirtyLog = new KvmDirtyLog(this.vm);
    const vcpus: KvmVcpu[] = [];
    this.vcpus = vcpus;
    try {
      for (let index = 0; index < config.cpus; index++) vcpus.push(this.createVcpu(config, index));
      for (const vcpu of vcpus) vcpu.reset();
      if (this.vm.irqchip === 'kernel') this.controllers = new KernelControllers(this.vm, vcpus);
      if (this.vm.irqchip === 'split') this.localApics = new KernelLocalApics(this.vm, vcpus);
      // Without local APICs of the kernel's the machine's own want one vCPU at a time.
      if (this.vm.hasLapic) this.parallel = new KvmParallel(host, vcpus);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Who completes instructions that this KVM can't emulate. */
  set helper(make: () => InstructionHelper) {
    let made: InstructionHelper | undefined;
    this.vm.helper = () => (made ??= make());
  }

  /** A bit of CPUID as the guest sees it. */
  feature(leaf: number, register: 'eax' | 'ebx' | 'ecx' | 'edx', bit: number): boolean {
    const entry = this.vm.cpuid.find((e) => e.leaf === leaf && e.sub === 0);
    return entry !== undefined && ((entry[register] >>> bit) & 1) !== 0;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const vcpu of this.vcpus) vcpu.close();
    this.shortcuts.close();
    this.controllers?.close();
    this.localApics?.close();
    this.vm.close();
  }

  private createVcpu(config: EngineConfig, index: number): KvmVcpu {
    const { vm, host } = this;
    const { calls } = host;
    const fd = calls.ioctl(vm.fd, A.KVM_CREATE_VCPU, index, 'KVM_CREATE_VCPU');
    const { irqchip, tscDeadline } = vm;
    const { cpus, arch = 'amd64' } = config;
    const cpuid = composeCpuid(vm.cpuid, { index, cpus, arch, irqchip, tscDeadline });
    calls.ioctlBytes(fd, A.KVM_SET_CPUID2, bytesOf(encodeCpuid(cpuid)), 'KVM_SET_CPUID2');
    const leaf = (wanted: number) => cpuid.find((entry) => entry.leaf === wanted && entry.sub === 0);
    const hasXsave = ((leaf(1)?.ecx ?? 0) & (1 << 26)) !== 0;
    this.xcr0 = hasXsave ? (leaf(0xd)?.eax ?? 0) : 0;
    vm.state ??= new StateTransfer(calls, knownMsrs(calls, fd, STATE_MSRS), BigInt(this.xcr0));
    return new KvmVcpu(vm, index, fd, host.mapRun(fd, vm.runSize), leaf(1)?.eax ?? 0);
  }
}
