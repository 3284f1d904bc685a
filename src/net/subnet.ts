/** The network that the guest sees: 10.0.2.0/24, as QEMU's user network has it, so that everybody knows it. */
import { ipv4 } from './address.js';

export const SUBNET = ipv4('10.0.2.0');
export const NETMASK = ipv4('255.255.255.0');
export const BROADCAST = ipv4('10.0.2.255');
export const EVERYBODY = ipv4('255.255.255.255');
/** Also the host itself, where the guest may reach its loopback. */
export const GATEWAY = ipv4('10.0.2.2');
export const NAME_SERVER = ipv4('10.0.2.3');
/** The first address that DHCP gives away. */
export const GUEST = ipv4('10.0.2.15');

export const MTU = 1500;

export function inSubnet(address: number): boolean {
  return (address & NETMASK) >>> 0 === SUBNET;
}

/** Whether a guest may send from this address: one of the subnet that is nobody else's. */
export function isGuestAddress(address: number): boolean {
  return inSubnet(address) && address > NAME_SERVER && address < BROADCAST;
}

/** Addresses that are ours: the frames to them end here. */
export function isOurs(address: number): boolean {
  return address === GATEWAY || address === NAME_SERVER;
}

/** The MAC of one of our addresses, as slirp makes it. */
export function macOf(address: number): Uint8Array {
  const low = inSubnet(address) ? address & 255 : GATEWAY & 255;
  return Uint8Array.of(0x52, 0x55, 10, 0, 2, low);
}
