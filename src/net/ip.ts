/** Datagrams of either family: which it is shows in their addresses. */
import { sumWords } from '../devices/virtio/net/checksum.js';
import type { Address, Ipv6 } from './address6.js';
import { type Envelope, IP_AT } from './datagram.js';
import { IP_HEADER, sendIpv4, writeEnvelope4 } from './ipv4.js';
import { IP6_HEADER, sendIpv6, writeEnvelope6 } from './ipv6.js';
import type { Link } from './link.js';

/** Length of the IP header in what we send: there are neither options nor extensions. */
export function headerLengthOf(address: Address): number {
  return typeof address === 'number' ? IP_HEADER : IP6_HEADER;
}

/** Where the payload lies in a packet that we send. */
export function payloadAt(address: Address): number {
  return IP_AT + headerLengthOf(address);
}

/** The pseudo header's sum (RFC 9293, 3.1; RFC 768; RFC 8200, 8.1). */
export function pseudoSum(source: Address, destination: Address, protocol: number, length: number): number {
  return sumOf(source) + sumOf(destination) + protocol + length;
}

function sumOf(address: Address): number {
  return typeof address === 'number' ? (address >>> 16) + (address & 0xffff) : sumWords(address.bytes, 0, 16);
}

function isV4(envelope: Envelope): envelope is Envelope<number> {
  return typeof envelope.source === 'number';
}

export function writeEnvelope(packet: Uint8Array, envelope: Envelope, length: number): void {
  if (isV4(envelope)) writeEnvelope4(packet, envelope, length);
  else writeEnvelope6(packet, envelope as Envelope<Ipv6>, length);
}

/** Sends a payload, in fragments where it is longer than the MTU. @returns false where it was dropped */
export function sendIp(link: Link, envelope: Envelope, payload: Uint8Array): boolean {
  return isV4(envelope) ? sendIpv4(link, envelope, payload) : sendIpv6(link, envelope as Envelope<Ipv6>, payload);
}
