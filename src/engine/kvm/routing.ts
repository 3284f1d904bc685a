/**
 * The kernel's routing table (KVM_SET_GSI_ROUTING): what each GSI, its number of an interrupt source, means. The table is
 * always told whole; GSIs below 24 are what the kernel takes for an IOAPIC's pins where the IOAPIC is the machine's.
 */
import * as A from './abi.js';
import type { KvmVm } from './vm.js';

export type Route =
  | { readonly kind: 'pin'; readonly chip: number; readonly pin: number }
  | { readonly kind: 'message'; readonly address: number; readonly data: number };

export class GsiRoutes {
  private readonly vm: KvmVm;
  /** A GSI may drive several pins. */
  private readonly routes = new Map<number, readonly Route[]>();

  constructor(vm: KvmVm) {
    this.vm = vm;
  }

  /** Changes some GSIs and tells the kernel. That takes it a while: vCPUs must have seen it. */
  set(changes: Iterable<readonly [gsi: number, routes: readonly Route[]]>): void {
    for (const [gsi, routes] of changes) {
      if (routes.length > 0) this.routes.set(gsi, routes);
      else this.routes.delete(gsi);
    }
    const entries = [...this.routes].flatMap(([gsi, routes]) => routes.map((route) => [gsi, route] as const));
    const table = new DataView(new ArrayBuffer(A.SIZE.routing + entries.length * A.SIZE.routingEntry));
    table.setUint32(0, entries.length, true);
    entries.forEach(([gsi, route], i) => {
      const at = A.SIZE.routing + i * A.SIZE.routingEntry;
      table.setUint32(at, gsi, true);
      table.setUint32(at + 4, route.kind === 'pin' ? A.KVM_IRQ_ROUTING_IRQCHIP : A.KVM_IRQ_ROUTING_MSI, true);
      if (route.kind === 'pin') {
        table.setUint32(at + 16, route.chip, true);
        table.setUint32(at + 20, route.pin, true);
      } else {
        table.setUint32(at + 16, route.address % 0x1_0000_0000, true);
        table.setUint32(at + 20, Math.floor(route.address / 0x1_0000_0000), true);
        table.setUint32(at + 24, route.data, true);
      }
    });
    this.vm.set(A.KVM_SET_GSI_ROUTING, table, 'KVM_SET_GSI_ROUTING');
  }
}
