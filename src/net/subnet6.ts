/** The guest's IPv6 network: fec0::/64, as QEMU's user network has it. Guests find their addresses by themselves (RFC 4862). */
import { type Ipv6, ipv6, isLinkLocal } from './address6.js';
import { GATEWAY, macOf, NAME_SERVER } from './subnet.js';

export const PREFIX6 = ipv6('fec0::');
export const PREFIX6_LENGTH = 64;
/** Also the host itself, where the guest may reach its loopback. */
export const GATEWAY6 = ipv6('fec0::2');
export const NAME_SERVER6 = ipv6('fec0::3');
/** The router's address on the cable: advertisements come from one like this (RFC 4861, 6.1.2). */
export const ROUTER6 = ipv6('fe80::2');

export const UNSPECIFIED6 = ipv6('::');
export const ALL_NODES = ipv6('ff02::1');

export function inSubnet6(address: Ipv6): boolean {
  return address.isIn(PREFIX6, PREFIX6_LENGTH);
}

/** Addresses that are ours: the frames to them end here. */
export function isOurs6(address: Ipv6): boolean {
  return address.is(GATEWAY6) || address.is(NAME_SERVER6) || address.is(ROUTER6);
}

/** Whether a guest may send from this address: one of the cable's that is nobody else's. */
export function isGuestAddress6(address: Ipv6): boolean {
  return (inSubnet6(address) || isLinkLocal(address)) && !isOurs6(address);
}

/** The MAC of one of our addresses: the one that it has with IPv4. */
export function macOf6(address: Ipv6): Uint8Array {
  return macOf(address.is(NAME_SERVER6) ? NAME_SERVER : GATEWAY);
}

/** Where frames to a multicast address go (RFC 2464, 7). */
export function multicastMac(address: Ipv6): Uint8Array {
  return Uint8Array.of(0x33, 0x33, ...address.bytes.subarray(12));
}
