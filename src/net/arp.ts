/** ARP (RFC 826): who has which address on the cable. */
import { ETHERNET_HEADER, HEADER_LENGTH } from '../devices/virtio/net/header.js';
import { get16, get32, put16, put32 } from './address.js';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4 } from './datagram.js';
import type { Link } from './link.js';
import { macOf } from './subnet.js';

const ETHERNET = 1;
const REQUEST = 1;
const REPLY = 2;
const LENGTH = 28;
const BROADCAST = new Uint8Array(6).fill(0xff);

export interface ArpMessage {
  readonly isRequest: boolean;
  readonly senderMac: Uint8Array;
  readonly sender: number;
  readonly target: number;
}

export function readArp(bytes: Uint8Array): ArpMessage | undefined {
  if (bytes.length < LENGTH || get16(bytes, 0) !== ETHERNET || get16(bytes, 2) !== ETHERTYPE_IPV4) return undefined;
  if (bytes[4] !== 6 || bytes[5] !== 4) return undefined;
  const operation = get16(bytes, 6);
  if (operation !== REQUEST && operation !== REPLY) return undefined;
  return {
    isRequest: operation === REQUEST,
    senderMac: bytes.slice(8, 14),
    sender: get32(bytes, 14),
    target: get32(bytes, 24),
  };
}

/** Tells `to` that `address` is ours. */
export function sendArpReply(link: Link, address: number, to: ArpMessage): void {
  sendArp(link, REPLY, address, to.senderMac, to.sender, to.senderMac);
}

export function sendArpRequest(link: Link, from: number, address: number): void {
  sendArp(link, REQUEST, from, BROADCAST, address, new Uint8Array(6));
}

function sendArp(
  link: Link,
  operation: number,
  from: number,
  frameTo: Uint8Array,
  target: number,
  targetMac: Uint8Array,
): void {
  const packet = link.reserve(HEADER_LENGTH + ETHERNET_HEADER + LENGTH);
  if (packet === undefined) return;
  packet.fill(0);
  packet.set(frameTo, HEADER_LENGTH);
  packet.set(macOf(from), HEADER_LENGTH + 6);
  put16(packet, HEADER_LENGTH + 12, ETHERTYPE_ARP);
  const arp = packet.subarray(HEADER_LENGTH + ETHERNET_HEADER);
  put16(arp, 0, ETHERNET);
  put16(arp, 2, ETHERTYPE_IPV4);
  arp[4] = 6;
  arp[5] = 4;
  put16(arp, 6, operation);
  arp.set(macOf(from), 8);
  put32(arp, 14, from);
  arp.set(targetMac, 18);
  put32(arp, 24, target);
  link.commit();
}
