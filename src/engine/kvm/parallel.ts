/** All vCPUs at once: their threads run the guest, the machine's thread serves whoever has come out of it. */
import type { Exit, ParallelVcpus, VcpuServer } from '../contract.js';
import type { KvmHost } from './calls.js';
import type { KvmVcpu } from './vcpu.js';

export class KvmParallel implements ParallelVcpus {
  private readonly host: KvmHost;
  private readonly vcpus: readonly KvmVcpu[];
  /** Whether a vCPU is meant to run. */
  private readonly running: boolean[];
  /** Ends of runs that came while the vCPUs were being stopped. */
  private readonly ended: [KvmVcpu, Exit][] = [];

  constructor(host: KvmHost, vcpus: readonly KvmVcpu[]) {
    this.host = host;
    this.vcpus = vcpus;
    this.running = vcpus.map(() => false);
  }

  start(): void {
    this.vcpus.forEach((vcpu, i) => {
      if (this.running[i]) return;
      this.running[i] = true;
      vcpu.enter();
    });
  }

  stop(): void {
    for (const vcpu of this.vcpus) vcpu.interrupt();
    this.vcpus.forEach((vcpu, i) => {
      if (!this.running[i]) return;
      this.running[i] = false;
      const exit = vcpu.stop();
      if (exit !== undefined) this.ended.push([vcpu, exit]);
    });
  }

  serve(ns: number, server: VcpuServer): number {
    const served = this.serveAll(server);
    const rung = this.host.waitForBell(served > 0 ? 0 : Math.max(0, ns));
    return served + rung + this.serveAll(server);
  }

  onRequest(ring: (() => void) | undefined): void {
    this.host.onBell(ring);
  }

  private serveAll(server: VcpuServer): number {
    let served = this.ended.length;
    for (const [vcpu, exit] of this.ended.splice(0)) server.ended(vcpu, exit);
    for (let i = 0; i < this.vcpus.length; i++) {
      const vcpu = this.vcpus[i];
      if (!this.running[i] || !vcpu.isOut) continue;
      served++;
      server.select(vcpu);
      const exit = vcpu.complete();
      if (exit === undefined) vcpu.enter();
      else {
        this.running[i] = false;
        server.ended(vcpu, exit);
      }
    }
    return served;
  }
}
