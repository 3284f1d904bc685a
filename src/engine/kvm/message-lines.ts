/**
 * Message-signalled interrupts as irqfds: each message that devices send gets a GSI, which the kernel's routing table
 * translates into it, and an eventfd, whose write is the interrupt. What is sent once (a guest moves its vectors about) goes by
 * KVM_SIGNAL_MSI, and so does everything where the kernel has no irqfds.
 */
import * as A from './abi.js';
import type { GsiRoutes } from './routing.js';
import type { KvmVm } from './vm.js';

/** First GSI of messages: behind the pins of all chips (controllers.ts). */
const GSI_MESSAGES = 128;
/** A driver has a vector for each queue of each vCPU; a guest that makes up more of them pays by slower interrupts. */
const MOST_LINES = 256;
/** Messages that have been sent once, by their number. */
const MOST_SEEN = 4096;

export class MessageLines {
  private readonly vm: KvmVm;
  private readonly routes: GsiRoutes;
  /** The eventfd of each message; -1: sent once so far. */
  private readonly lines = new Map<number, number>();
  private readonly fds: number[] = [];
  private readonly canLine: boolean;

  constructor(vm: KvmVm, routes: GsiRoutes) {
    this.vm = vm;
    this.routes = routes;
    this.canLine = vm.has(A.KVM_CAP_IRQFD);
  }

  /** @returns whether a local APIC took it, as far as the kernel tells */
  send(address: number, data: number): boolean {
    // The upper half of the data is reserved, and so is what would make the address longer.
    if (!this.canLine || address > 0xffff_ffff || data > 0xffff) return this.vm.signalMsi(address, data);
    const message = address * 0x1_0000 + data;
    const fd = this.lines.get(message);
    if (fd !== undefined && fd >= 0) {
      this.vm.calls.signal(fd);
      return true;
    }
    if (fd === undefined) {
      if (this.lines.size < MOST_SEEN) this.lines.set(message, -1);
    } else if (this.fds.length < MOST_LINES) {
      this.lines.set(message, this.lay(address, data));
    }
    return this.vm.signalMsi(address, data);
  }

  close(): void {
    this.fds.forEach((fd, i) => {
      this.wire(fd, GSI_MESSAGES + i, A.KVM_IRQFD_FLAG_DEASSIGN);
      this.vm.calls.close(fd);
    });
    this.fds.length = 0;
    this.lines.clear();
  }

  private lay(address: number, data: number): number {
    const gsi = GSI_MESSAGES + this.fds.length;
    this.routes.set([[gsi, [{ kind: 'message', address, data }]]]);
    const fd = this.vm.calls.eventfd();
    this.fds.push(fd);
    this.wire(fd, gsi, 0);
    return fd;
  }

  private wire(fd: number, gsi: number, flags: number): void {
    const request = new DataView(new ArrayBuffer(A.SIZE.irqfd));
    request.setUint32(0, fd, true);
    request.setUint32(4, gsi, true);
    request.setUint32(8, flags, true);
    this.vm.set(A.KVM_IRQFD, request, 'KVM_IRQFD');
  }
}
