/** Which frames the guest wants to see (virtio 1.2, 5.1.6.5.1 to 5.1.6.5.3). */

/** Both MAC tables together; what is longer is not filtered (QEMU keeps 64, too). */
const LARGEST_TABLE = 64;
const VLAN_TPID = 0x8100;

export interface FilterState {
  mode: number[];
  unicast: string[] | null;
  multicast: string[] | null;
  vlans: number[];
  vlanFilter: boolean;
}

/** Commands of class VIRTIO_NET_CTRL_RX, which are also the places in `mode`. */
export const RX_PROMISC = 0;
export const RX_ALLMULTI = 1;
export const RX_ALLUNI = 2;
export const RX_NOMULTI = 3;
export const RX_NOUNI = 4;
export const RX_NOBCAST = 5;
const MODES = 6;

export class ReceiveFilter {
  readonly mac: Uint8Array;
  readonly #mode = new Uint8Array(MODES);
  /** Undefined: all of them, for the table did not fit. */
  #unicast: Set<string> | undefined = new Set();
  #multicast: Set<string> | undefined = new Set();
  readonly #vlans = new Set<number>();
  #filtersVlans = false;

  constructor(mac: Uint8Array) {
    this.mac = mac.slice();
    this.reset(mac);
  }

  /** As after a reset: everything passes until the driver says what it wants. */
  reset(mac: Uint8Array): void {
    this.mac.set(mac);
    this.#mode.fill(0);
    this.#mode[RX_PROMISC] = 1;
    this.#unicast = new Set();
    this.#multicast = new Set();
    this.#vlans.clear();
    this.#filtersVlans = false;
  }

  /** Whether tagged frames pass only where their VLAN has been added (VIRTIO_NET_F_CTRL_VLAN). */
  filterVlans(on: boolean): void {
    this.#filtersVlans = on;
  }

  setMode(command: number, on: boolean): void {
    this.#mode[command] = on ? 1 : 0;
  }

  setTables(unicast: readonly string[], multicast: readonly string[]): void {
    this.#unicast = unicast.length > LARGEST_TABLE ? undefined : new Set(unicast);
    this.#multicast = multicast.length > LARGEST_TABLE ? undefined : new Set(multicast);
  }

  setVlan(id: number, on: boolean): void {
    if (on) this.#vlans.add(id);
    else this.#vlans.delete(id);
  }

  /** @param frame without virtio's header, at least 14 bytes */
  passes(frame: Uint8Array): boolean {
    const mode = this.#mode;
    if (this.#filtersVlans && ((frame[12] << 8) | frame[13]) === VLAN_TPID) {
      if (!this.#vlans.has(((frame[14] << 8) | frame[15]) & 0xfff)) return false;
    }
    if (mode[RX_PROMISC] !== 0) return true;
    if ((frame[0] & 1) !== 0) {
      let broadcast = true;
      for (let i = 0; i < 6; i++) if (frame[i] !== 0xff) broadcast = false;
      if (broadcast) return mode[RX_NOBCAST] === 0;
      if (mode[RX_NOMULTI] !== 0) return false;
      return mode[RX_ALLMULTI] !== 0 || (this.#multicast?.has(keyOf(frame)) ?? true);
    }
    if (mode[RX_NOUNI] !== 0) return false;
    if (mode[RX_ALLUNI] !== 0 || this.#unicast === undefined) return true;
    for (let i = 0; i < 6; i++) if (frame[i] !== this.mac[i]) return this.#unicast.has(keyOf(frame));
    return true;
  }

  save(): FilterState {
    return {
      mode: [...this.#mode],
      unicast: this.#unicast ? [...this.#unicast] : null,
      multicast: this.#multicast ? [...this.#multicast] : null,
      vlans: [...this.#vlans],
      vlanFilter: this.#filtersVlans,
    };
  }

  restore(mac: Uint8Array, state: FilterState): void {
    this.reset(mac);
    this.#filtersVlans = state.vlanFilter;
    this.#mode.set(state.mode.slice(0, MODES));
    this.#unicast = state.unicast ? new Set(state.unicast) : undefined;
    this.#multicast = state.multicast ? new Set(state.multicast) : undefined;
    for (const id of state.vlans) this.#vlans.add(id);
  }
}

/** A MAC as a key: 12 hexadecimal digits. */
export function keyOf(bytes: Uint8Array, at = 0): string {
  let key = '';
  for (let i = at; i < at + 6; i++) key += bytes[i].toString(16).padStart(2, '0');
  return key;
}
