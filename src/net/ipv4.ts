/** IPv4 (RFC 791): headers read and written. */
import { checksumOf, fold, sumWords } from '../devices/virtio/net/checksum.js';
import { HEADER_LENGTH } from '../devices/virtio/net/header.js';
import { get16, get32, put16, put32 } from './address.js';
import { type Envelope, ETHERTYPE_IPV4, type Fragment, IP_AT, TTL } from './datagram.js';
import type { Link } from './link.js';
import { MTU, macOf } from './subnet.js';

export const IP_HEADER = 20;
/** Where the payload lies in a packet that we send: there are no options. */
export const PAYLOAD_AT = IP_AT + IP_HEADER;

/** Flags and offset of a fragment. */
const MORE_FRAGMENTS = 0x2000;
const DONT_FRAGMENT = 0x4000;
const OFFSET = 0x1fff;

/**
 * Reads the datagram at the beginning of `bytes`; what follows it (Ethernet's padding) is left away.
 * @returns undefined where it is none: lengths that contradict, a wrong checksum
 */
export function readIpv4(bytes: Uint8Array): Fragment<number> | undefined {
  if (bytes.length < IP_HEADER || bytes[0] >> 4 !== 4) return undefined;
  const headerLength = (bytes[0] & 15) * 4;
  const total = get16(bytes, 2);
  if (headerLength < IP_HEADER || total < headerLength || total > bytes.length) return undefined;
  if (fold(sumWords(bytes, 0, headerLength)) !== 0xffff) return undefined;
  const fragment = get16(bytes, 6);
  return {
    protocol: bytes[9],
    source: get32(bytes, 12),
    destination: get32(bytes, 16),
    ttl: bytes[8],
    header: bytes.subarray(0, headerLength),
    payload: bytes.subarray(headerLength, total),
    id: get16(bytes, 4),
    offset: (fragment & OFFSET) * 8,
    more: (fragment & MORE_FRAGMENTS) !== 0,
  };
}

let lastId = 0;

/** Writes virtio's header (nothing left undone), Ethernet's and IP's, for `length` bytes of payload at PAYLOAD_AT. */
export function writeEnvelope4(packet: Uint8Array, envelope: Envelope<number>, length: number): void {
  lastId = (lastId + 1) & 0xffff;
  writeHeaders(packet, envelope, length, DONT_FRAGMENT, lastId);
}

function writeHeaders(packet: Uint8Array, to: Envelope<number>, length: number, fragment: number, id: number): void {
  packet.fill(0, 0, HEADER_LENGTH);
  packet.set(to.mac, HEADER_LENGTH);
  packet.set(macOf(to.source), HEADER_LENGTH + 6);
  put16(packet, HEADER_LENGTH + 12, ETHERTYPE_IPV4);
  packet[IP_AT] = 0x45;
  packet[IP_AT + 1] = 0;
  put16(packet, IP_AT + 2, IP_HEADER + length);
  put16(packet, IP_AT + 4, id);
  put16(packet, IP_AT + 6, fragment);
  packet[IP_AT + 8] = TTL;
  packet[IP_AT + 9] = to.protocol;
  put16(packet, IP_AT + 10, 0);
  put32(packet, IP_AT + 12, to.source);
  put32(packet, IP_AT + 16, to.destination);
  put16(packet, IP_AT + 10, checksumOf(sumWords(packet, IP_AT, PAYLOAD_AT)));
}

/** Sends a payload, in fragments where it is longer than the MTU. @returns false where it was dropped */
export function sendIpv4(link: Link, envelope: Envelope<number>, payload: Uint8Array): boolean {
  lastId = (lastId + 1) & 0xffff;
  const id = lastId;
  const most = (MTU - IP_HEADER) & ~7;
  const whole = payload.length <= MTU - IP_HEADER;
  let at = 0;
  do {
    const end = whole ? payload.length : Math.min(payload.length, at + most);
    const packet = link.reserve(PAYLOAD_AT + end - at);
    if (packet === undefined) return false;
    const more = end < payload.length ? MORE_FRAGMENTS : 0;
    writeHeaders(packet, envelope, end - at, whole ? DONT_FRAGMENT : more | (at / 8), id);
    packet.set(payload.subarray(at, end), PAYLOAD_AT);
    link.commit();
    at = end;
  } while (at < payload.length);
  return true;
}
