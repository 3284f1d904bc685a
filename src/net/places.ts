/** Who is who on the cable, in either family. */
import { type Address, isMulticast } from './address6.js';
import {
  BROADCAST,
  EVERYBODY,
  GATEWAY,
  inSubnet,
  isGuestAddress as isGuestAddress4,
  isOurs as isOurs4,
  NAME_SERVER,
} from './subnet.js';
import { GATEWAY6, inSubnet6, isGuestAddress6, isOurs6, NAME_SERVER6, ROUTER6 } from './subnet6.js';

/** The first four bits of IPv4's multicast addresses. */
const CLASS_D = 14;

export function isOurs(address: Address): boolean {
  return typeof address === 'number' ? isOurs4(address) : isOurs6(address);
}

export function isGateway(address: Address): boolean {
  return typeof address === 'number' ? address === GATEWAY : address.is(GATEWAY6);
}

export function isNameServer(address: Address): boolean {
  return typeof address === 'number' ? address === NAME_SERVER : address.is(NAME_SERVER6);
}

/** Whether a guest may send from this address. */
export function isGuest(address: Address): boolean {
  return typeof address === 'number' ? isGuestAddress4(address) : isGuestAddress6(address);
}

/** Whether an address means several at once. */
export function isForMany(address: Address): boolean {
  if (typeof address !== 'number') return isMulticast(address);
  return address === BROADCAST || address === EVERYBODY || address >>> 28 === CLASS_D;
}

export function isOnCable(address: Address): boolean {
  return typeof address === 'number' ? inSubnet(address) : inSubnet6(address) || address.is(ROUTER6);
}

/** Who reports what is wrong with packets of this guest. */
export function reporterTo(guest: Address): Address {
  return typeof guest === 'number' ? GATEWAY : GATEWAY6;
}

/** The host's own address that the gateway stands for. */
export function loopbackOf(gateway: Address): string {
  return typeof gateway === 'number' ? '127.0.0.1' : '::1';
}
