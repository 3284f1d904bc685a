/** Neighbour discovery (RFC 4861): how a guest finds its router, its addresses and our MACs over IPv6. */
import { put16, put32 } from './address.js';
import { type Ipv6, readAddress } from './address6.js';
import { type Datagram, PROTOCOL_ICMP6 } from './datagram.js';
import { isSound, withChecksum } from './icmp.js';
import { NEIGHBOUR_TTL, sendIpv6 } from './ipv6.js';
import type { Link } from './link.js';
import { MTU } from './subnet.js';
import {
  ALL_NODES,
  GATEWAY6,
  isOurs6,
  macOf6,
  multicastMac,
  NAME_SERVER6,
  PREFIX6,
  PREFIX6_LENGTH,
  ROUTER6,
  UNSPECIFIED6,
} from './subnet6.js';

const ROUTER_SOLICITATION = 133;
const ROUTER_ADVERTISEMENT = 134;
const NEIGHBOUR_SOLICITATION = 135;
const NEIGHBOUR_ADVERTISEMENT = 136;

const SOURCE_LINK_ADDRESS = 1;
const TARGET_LINK_ADDRESS = 2;
const PREFIX_INFORMATION = 3;
const MTU_OPTION = 5;
const DNS_SERVER = 25; // RFC 8106

/** Flags of an advertisement: from a router, asked for, instead of what was known. */
const IS_ROUTER = 0x80;
const SOLICITED = 0x40;
const OVERRIDE = 0x20;
/** Flags of a prefix: it is on this cable, and addresses are made of it. */
const ON_LINK = 0x80;
const AUTONOMOUS = 0x40;

/** Seconds. An advertisement comes well before the one before has run out. */
const ROUTER_LIFETIME = 1800;
const VALID_LIFETIME = 86_400;
const PREFERRED_LIFETIME = 14_400;
export const ADVERTISE_EVERY_MS = 600_000;

export type NeighbourMessage =
  | { readonly kind: 'router?' }
  /** Who has `target`? */
  | { readonly kind: 'neighbour?'; readonly target: Ipv6 };

/** @returns undefined where it is none of the two questions, or has come through a router */
export function readNeighbourMessage(datagram: Datagram<Ipv6>): NeighbourMessage | undefined {
  const { payload, ttl, protocol } = datagram;
  if (protocol !== PROTOCOL_ICMP6 || ttl !== NEIGHBOUR_TTL || payload[1] !== 0 || !isSound(datagram)) return undefined;
  if (payload[0] === ROUTER_SOLICITATION && areOptions(payload, 8)) return { kind: 'router?' };
  if (payload[0] !== NEIGHBOUR_SOLICITATION || payload.length < 24 || !areOptions(payload, 24)) return undefined;
  return { kind: 'neighbour?', target: readAddress(payload, 8) };
}

/** Whether what follows is options, each of a length that can be. */
function areOptions(payload: Uint8Array, from: number): boolean {
  let at = from;
  while (at < payload.length) {
    const length = (payload[at + 1] ?? 0) * 8;
    if (length === 0) return false;
    at += length;
  }
  return at === payload.length;
}

/** Tells the guest that `target` is ours. Whoever has no address yet asks to find out whether it is free. */
export function answerNeighbour(link: Link, target: Ipv6, { source }: Datagram<Ipv6>, mac: Uint8Array): void {
  if (!isOurs6(target)) return;
  const isProbe = source.is(UNSPECIFIED6);
  const message = new Uint8Array(32);
  message[0] = NEIGHBOUR_ADVERTISEMENT;
  message[4] = (target.is(NAME_SERVER6) ? 0 : IS_ROUTER) | (isProbe ? 0 : SOLICITED) | OVERRIDE;
  message.set(target.bytes, 8);
  message[24] = TARGET_LINK_ADDRESS;
  message[25] = 1;
  message.set(macOf6(target), 26);
  send(link, target, isProbe ? ALL_NODES : source, isProbe ? multicastMac(ALL_NODES) : mac, message);
}

/** @param leadsOut whether there is a way to the world here, not only to us */
export function advertiseRouter(link: Link, leadsOut: boolean): void {
  const message = new Uint8Array(16 + 8 + 8 + 32 + 24);
  message[0] = ROUTER_ADVERTISEMENT;
  message[4] = 64; // Hop limit. No flags: there is no DHCPv6.
  put16(message, 6, leadsOut ? ROUTER_LIFETIME : 0);
  let at = 16;
  message.set([SOURCE_LINK_ADDRESS, 1, ...macOf6(GATEWAY6)], at);
  at += 8;
  message.set([MTU_OPTION, 1], at);
  put32(message, at + 4, MTU);
  at += 8;
  message.set([PREFIX_INFORMATION, 4, PREFIX6_LENGTH, ON_LINK | AUTONOMOUS], at);
  put32(message, at + 4, VALID_LIFETIME);
  put32(message, at + 8, PREFERRED_LIFETIME);
  message.set(PREFIX6.bytes, at + 16);
  at += 32;
  message.set([DNS_SERVER, 3], at);
  put32(message, at + 4, ROUTER_LIFETIME);
  message.set(NAME_SERVER6.bytes, at + 8);
  send(link, ROUTER6, ALL_NODES, multicastMac(ALL_NODES), message);
}

function send(link: Link, source: Ipv6, destination: Ipv6, mac: Uint8Array, message: Uint8Array): void {
  const envelope = { protocol: PROTOCOL_ICMP6, source, destination, mac };
  sendIpv6(link, envelope, withChecksum(message, source, destination), NEIGHBOUR_TTL);
}
