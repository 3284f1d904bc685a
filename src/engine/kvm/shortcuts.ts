/**
 * Writes that stop no vCPU, or not for long: ioeventfds, which the kernel takes itself, and ports whose bytes are only kept,
 * which the vCPU's own thread takes.
 */
import type { EngineShortcuts } from '../contract.js';
import * as A from './abi.js';
import type { KvmHost } from './calls.js';
import type { KvmVm } from './vm.js';

export class KvmShortcuts implements EngineShortcuts {
  private readonly vm: KvmVm;
  private readonly host: KvmHost;
  private readonly ends = new Set<() => void>();

  constructor(vm: KvmVm) {
    this.vm = vm;
    this.host = vm.host;
  }

  doorbell(gpa: number, size: 1 | 2 | 4, value: number, rung: () => void): () => void {
    const { fd, remove } = this.host.addDoorbell(rung);
    const request = new DataView(new ArrayBuffer(A.SIZE.ioeventfd));
    request.setUint32(0, value, true);
    request.setBigUint64(8, BigInt(gpa), true);
    request.setUint32(16, size, true);
    request.setInt32(20, fd, true);
    request.setUint32(24, A.KVM_IOEVENTFD_FLAG_DATAMATCH, true);
    try {
      this.vm.set(A.KVM_IOEVENTFD, request, 'KVM_IOEVENTFD');
    } catch (error) {
      remove();
      throw error;
    }
    const end = () => {
      if (!this.ends.delete(end)) return;
      request.setUint32(24, A.KVM_IOEVENTFD_FLAG_DATAMATCH | A.KVM_IOEVENTFD_FLAG_DEASSIGN, true);
      this.vm.set(A.KVM_IOEVENTFD, request, 'KVM_IOEVENTFD');
      remove();
    };
    this.ends.add(end);
    return end;
  }

  latch(port: number): () => number | undefined {
    const { latched, latches } = this.host;
    Atomics.store(latched, port, LATCHED);
    return () => (Atomics.compareExchange(latched, port, WRITTEN, LATCHED) === WRITTEN ? latches[port] : undefined);
  }

  close(): void {
    for (const end of [...this.ends]) end();
    this.host.latched.fill(0);
  }
}

/** Ports there are. */
export const PORTS = 0x1_0000;
export const LATCHED = 1;
export const WRITTEN = 2;
