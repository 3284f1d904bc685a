/** What IPv4 and IPv6 have in common: datagrams as they come in, and what goes onto those that go out. */
import { ETHERNET_HEADER, HEADER_LENGTH } from '../devices/virtio/net/header.js';
import type { Address } from './address6.js';

export const PROTOCOL_ICMP = 1;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;
export const PROTOCOL_ICMP6 = 58;

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_IPV6 = 0x86dd;

/** Where IP's header begins in a packet: behind virtio's and Ethernet's. */
export const IP_AT = HEADER_LENGTH + ETHERNET_HEADER;
/** Of what we send. */
export const TTL = 64;

/** A datagram that has come in whole: header and payload are views. */
export interface Datagram<A extends Address = Address> {
  readonly protocol: number;
  readonly source: A;
  readonly destination: A;
  readonly ttl: number;
  /** The header with its options, for ICMP errors. */
  readonly header: Uint8Array;
  readonly payload: Uint8Array;
}

export interface Fragment<A extends Address = Address> extends Datagram<A> {
  readonly id: number;
  /** In bytes. */
  readonly offset: number;
  readonly more: boolean;
}

export interface Envelope<A extends Address = Address> {
  readonly protocol: number;
  readonly source: A;
  readonly destination: A;
  readonly mac: Uint8Array;
}

/** As much of a datagram as an ICMP error about it needs, to be kept. */
export function copyOf(datagram: Datagram): Datagram {
  return { ...datagram, header: datagram.header.slice(), payload: datagram.payload.slice(0, 8) };
}
