/** IPv6 (RFC 8200): headers read and written. */
import { HEADER_LENGTH } from '../devices/virtio/net/header.js';
import { get16, get32, put16, put32 } from './address.js';
import { type Ipv6, isMulticast, readAddress } from './address6.js';
import { type Envelope, ETHERTYPE_IPV6, type Fragment, IP_AT, TTL } from './datagram.js';
import type { Link } from './link.js';
import { MTU } from './subnet.js';
import { macOf6 } from './subnet6.js';

export const IP6_HEADER = 40;
export const PAYLOAD6_AT = IP_AT + IP6_HEADER;
/** What a neighbour's message must come with: it has passed no router (RFC 4861, 7.1). */
export const NEIGHBOUR_TTL = 255;

const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const DESTINATION_OPTIONS = 60;
const FRAGMENT_HEADER = 8;
/** Extension headers that we look through: nobody honest sends more. */
const MOST_EXTENSIONS = 8;

/**
 * Reads the datagram at the beginning of `bytes`; what follows it is left away. Extension headers count as part of the header.
 * @returns undefined where it is none: lengths that contradict, headers that may not be there
 */
export function readIpv6(bytes: Uint8Array): Fragment<Ipv6> | undefined {
  if (bytes.length < IP6_HEADER || bytes[0] >> 4 !== 6) return undefined;
  const total = IP6_HEADER + get16(bytes, 4);
  if (total > bytes.length) return undefined;
  const source = readAddress(bytes, 8);
  if (isMulticast(source)) return undefined;
  const body = readExtensions(bytes, total);
  if (body === undefined) return undefined;
  return {
    protocol: body.protocol,
    source,
    destination: readAddress(bytes, 24),
    ttl: bytes[7],
    header: bytes.subarray(0, body.at),
    payload: bytes.subarray(body.at, total),
    id: body.id,
    offset: body.offset,
    more: body.more,
  };
}

function readExtensions(bytes: Uint8Array, total: number) {
  let protocol = bytes[6];
  let at = IP6_HEADER;
  for (let count = 0; count < MOST_EXTENSIONS; count++) {
    if (protocol === FRAGMENT) {
      if (at + FRAGMENT_HEADER > total) return undefined;
      const place = get16(bytes, at + 2);
      // What follows belongs to the whole, which others put together.
      return {
        protocol: bytes[at],
        at: at + FRAGMENT_HEADER,
        id: get32(bytes, at + 4),
        offset: place & 0xfff8,
        more: (place & 1) !== 0,
      };
    }
    const isOption = protocol === DESTINATION_OPTIONS || (protocol === HOP_BY_HOP && count === 0);
    if (!isOption && protocol !== ROUTING) return { protocol, at, id: 0, offset: 0, more: false };
    const end = at + (bytes[at + 1] + 1) * 8;
    if (at + 2 > total || end > total) return undefined;
    // Whoever wants to be led through several places is not led through us (RFC 5095).
    if (protocol === ROUTING && bytes[at + 3] !== 0) return undefined;
    protocol = bytes[at];
    at = end;
  }
  return undefined;
}

/** Writes virtio's header (nothing left undone), Ethernet's and IP's, for `length` bytes of payload at PAYLOAD6_AT. */
export function writeEnvelope6(packet: Uint8Array, to: Envelope<Ipv6>, length: number, ttl = TTL): void {
  packet.fill(0, 0, HEADER_LENGTH);
  packet.set(to.mac, HEADER_LENGTH);
  packet.set(macOf6(to.source), HEADER_LENGTH + 6);
  put16(packet, HEADER_LENGTH + 12, ETHERTYPE_IPV6);
  put32(packet, IP_AT, 0x6000_0000);
  put16(packet, IP_AT + 4, length);
  packet[IP_AT + 6] = to.protocol;
  packet[IP_AT + 7] = ttl;
  packet.set(to.source.bytes, IP_AT + 8);
  packet.set(to.destination.bytes, IP_AT + 24);
}

let lastId = 0;

/** Sends a payload, in fragments where it is longer than the MTU. @returns false where it was dropped */
export function sendIpv6(link: Link, envelope: Envelope<Ipv6>, payload: Uint8Array, ttl = TTL): boolean {
  if (payload.length <= MTU - IP6_HEADER) {
    const packet = link.reserve(PAYLOAD6_AT + payload.length);
    if (packet === undefined) return false;
    writeEnvelope6(packet, envelope, payload.length, ttl);
    packet.set(payload, PAYLOAD6_AT);
    link.commit();
    return true;
  }
  const id = lastId++;
  const most = (MTU - IP6_HEADER - FRAGMENT_HEADER) & ~7;
  for (let at = 0; at < payload.length; at += most) {
    const end = Math.min(payload.length, at + most);
    const packet = link.reserve(PAYLOAD6_AT + FRAGMENT_HEADER + end - at);
    if (packet === undefined) return false;
    writeEnvelope6(packet, { ...envelope, protocol: FRAGMENT }, FRAGMENT_HEADER + end - at, ttl);
    packet[PAYLOAD6_AT] = envelope.protocol;
    packet[PAYLOAD6_AT + 1] = 0;
    put16(packet, PAYLOAD6_AT + 2, at | (end < payload.length ? 1 : 0));
    put32(packet, PAYLOAD6_AT + 4, id >>> 0);
    packet.set(payload.subarray(at, end), PAYLOAD6_AT + FRAGMENT_HEADER);
    link.commit();
  }
  return true;
}
