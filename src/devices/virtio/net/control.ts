/** The control queue (virtio 1.2, 5.1.6.5): commands about what the guest wants to receive. */
import { type DescriptorChain, type VirtioDriver, VirtioViolation } from '../device.js';
import {
  VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_CTRL_RX,
  VIRTIO_NET_F_CTRL_RX_EXTRA,
  VIRTIO_NET_F_CTRL_VLAN,
  VIRTIO_NET_F_GUEST_ANNOUNCE,
} from './features.js';
import { keyOf, type ReceiveFilter, RX_ALLMULTI, RX_NOBCAST, RX_PROMISC } from './filter.js';

const CTRL_RX = 0;
const CTRL_MAC = 1;
const CTRL_MAC_TABLE_SET = 0;
const CTRL_MAC_ADDR_SET = 1;
const CTRL_VLAN = 2;
const CTRL_VLAN_ADD = 0;
const CTRL_VLAN_DEL = 1;
const CTRL_ANNOUNCE = 3;
const CTRL_ANNOUNCE_ACK = 0;
const OK = 0;
const ERR = 1;
/** Class and command. */
const COMMAND_HEADER = 2;
/** Longest command that is read: two MAC tables far longer than any that is kept. */
const LONGEST_COMMAND = 64 * 1024;
const VLANS = 4096;

export interface ControlTarget {
  readonly filter: ReceiveFilter;
  /** The driver has announced the guest, as it was asked to. */
  announced(): void;
}

/**
 * Carries a command out and answers it. @returns bytes written
 * @throws VirtioViolation where the buffer can hold no command, or no answer
 */
export function serveControl(chain: DescriptorChain, driver: VirtioDriver, target: ControlTarget): number {
  if (chain.readableLength < COMMAND_HEADER)
    throw new VirtioViolation(`the driver has sent a control command of ${chain.readableLength} bytes`, '5.1.6.5');
  if (chain.writableLength < 1)
    throw new VirtioViolation('the driver has left no room for the answer to a control command', '5.1.6.5');
  const command = new Uint8Array(Math.min(chain.readableLength, LONGEST_COMMAND));
  chain.read(0, command);
  const done = chain.readableLength <= LONGEST_COMMAND && execute(command, driver, target);
  return chain.write(0, Uint8Array.of(done ? OK : ERR));
}

/** @returns whether there is such a command, and its data is as it must be */
function execute(command: Uint8Array, driver: VirtioDriver, { filter, announced }: ControlTarget): boolean {
  const [group, code] = command;
  const data = command.subarray(COMMAND_HEADER);
  switch (group) {
    case CTRL_RX: {
      const isExtra = code > RX_ALLMULTI;
      if (code > RX_NOBCAST || data.length !== 1) return false;
      if (!driver.has(isExtra ? VIRTIO_NET_F_CTRL_RX_EXTRA : VIRTIO_NET_F_CTRL_RX)) return false;
      filter.setMode(RX_PROMISC + code, data[0] !== 0);
      return true;
    }
    case CTRL_MAC:
      if (code === CTRL_MAC_TABLE_SET) return driver.has(VIRTIO_NET_F_CTRL_RX) && setTables(data, filter);
      if (code !== CTRL_MAC_ADDR_SET || data.length !== 6 || !driver.has(VIRTIO_NET_F_CTRL_MAC_ADDR)) return false;
      filter.mac.set(data);
      return true;
    case CTRL_VLAN: {
      const id = data.length === 2 ? data[0] | (data[1] << 8) : VLANS;
      if (code > CTRL_VLAN_DEL || id >= VLANS || !driver.has(VIRTIO_NET_F_CTRL_VLAN)) return false;
      filter.setVlan(id, code === CTRL_VLAN_ADD);
      return true;
    }
    case CTRL_ANNOUNCE:
      if (code !== CTRL_ANNOUNCE_ACK || !driver.has(VIRTIO_NET_F_GUEST_ANNOUNCE)) return false;
      announced();
      return true;
    default:
      return false;
  }
}

/** Two tables, each a 32-bit number of entries and that many MACs: unicast, then multicast. */
function setTables(data: Uint8Array, filter: ReceiveFilter): boolean {
  const tables: string[][] = [];
  let at = 0;
  for (let table = 0; table < 2; table++) {
    if (at + 4 > data.length) return false;
    const entries = (data[at] | (data[at + 1] << 8) | (data[at + 2] << 16) | (data[at + 3] << 24)) >>> 0;
    at += 4;
    if (entries > (data.length - at) / 6) return false;
    const macs: string[] = [];
    for (let i = 0; i < entries; i++, at += 6) macs.push(keyOf(data, at));
    tables.push(macs);
  }
  if (at !== data.length) return false;
  filter.setTables(tables[0], tables[1]);
  return true;
}
