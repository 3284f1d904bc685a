/**
 * The system bus as the interrupt controllers use it: carries messages from IOAPICs, MSIs and ICRs to the local APICs,
 * and EOIs back (SDM vol. 3, 11.1, 11.6.2).
 */
import type { ApicEndpoint, ApicFabric, ApicMessage } from './message.js';
import { DELIVERY_LOWEST_PRIORITY, DEST_LOGICAL, DEST_PHYSICAL } from './message.js';

export class ApicBus implements ApicFabric {
  private readonly endpoints: ApicEndpoint[] = [];
  private readonly eoiListeners: ((vector: number) => void)[] = [];
  /** Where the last arbitration ended: equal priorities take turns. */
  private turn = 0;
  private readonly msi: ApicMessage = { dest: 0, destMode: 0, deliveryMode: 0, vector: 0, trigger: 0 };

  attach(endpoint: ApicEndpoint): void {
    this.endpoints.push(endpoint);
  }

  /** An IOAPIC asks to be told of EOIs. */
  onEoi(listener: (vector: number) => void): void {
    this.eoiListeners.push(listener);
  }

  deliver(message: ApicMessage, wide = false): boolean {
    if (message.deliveryMode === DELIVERY_LOWEST_PRIORITY) return this.deliverToLowest(message, wide);
    let taken = false;
    for (const endpoint of this.endpoints) {
      if (endpoint.matches(message.dest, message.destMode, wide) && endpoint.accept(message)) taken = true;
    }
    return taken;
  }

  deliverToAll(message: ApicMessage, except?: ApicEndpoint): void {
    for (const endpoint of this.endpoints) {
      // Physical broadcast: what matches it is what is enabled.
      if (endpoint !== except && endpoint.matches(0xffff_ffff, DEST_PHYSICAL, true)) endpoint.accept(message);
    }
  }

  /**
   * A message-signalled interrupt: a write to FEExxxxxh (SDM vol. 3, 11.11).
   * @param address low half of the message address
   * @param data message data
   * @returns whether a local APIC took it; false too where the address is none of an interrupt.
   */
  deliverMsi(address: number, data: number): boolean {
    if (address >>> 20 !== 0xfee) return false;
    const msi = this.msi;
    const mode = (data >> 8) & 7;
    // Redirection hint: one of the destinations, the one with the lowest priority.
    const hint = (address & 8) !== 0;
    msi.dest = (address >>> 12) & 0xff;
    msi.destMode = (address & 4) !== 0 ? DEST_LOGICAL : DEST_PHYSICAL;
    msi.deliveryMode = hint && mode === 0 ? DELIVERY_LOWEST_PRIORITY : mode;
    msi.vector = data & 0xff;
    msi.trigger = (data >> 15) & 1;
    // A level message that says "de-asserted" has nothing to deliver.
    if (msi.trigger === 1 && (data & 0x4000) === 0) return true;
    return this.deliver(msi);
  }

  broadcastEoi(vector: number): void {
    for (const listener of this.eoiListeners) listener(vector);
  }

  private deliverToLowest(message: ApicMessage, wide: boolean): boolean {
    const count = this.endpoints.length;
    let winner: ApicEndpoint | undefined;
    let winnerAt = 0;
    for (let i = 1; i <= count; i++) {
      const at = (this.turn + i) % count;
      const endpoint = this.endpoints[at];
      if (!endpoint.takesFixed || !endpoint.matches(message.dest, message.destMode, wide)) continue;
      if (winner === undefined || endpoint.processorPriority < winner.processorPriority) {
        winner = endpoint;
        winnerAt = at;
      }
    }
    if (winner === undefined) return false;
    this.turn = winnerAt;
    return winner.accept(message);
  }
}
