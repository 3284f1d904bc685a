/** ICMP (RFC 792, RFC 1812) and ICMPv6 (RFC 4443): echo, and the errors that a router reports. */
import { checksumOf, fold, sumWords } from '../devices/virtio/net/checksum.js';
import { put16, put32 } from './address.js';
import type { Address } from './address6.js';
import { type Datagram, PROTOCOL_ICMP, PROTOCOL_ICMP6 } from './datagram.js';
import { pseudoSum } from './ip.js';

const HEADER = 8;
/** An error is no longer than this with all headers (RFC 1812, 4.3.2.3; RFC 4443, 2.4). */
const LONGEST_QUOTE = 576 - 20 - HEADER;
const LONGEST_QUOTE6 = 1280 - 40 - HEADER;
/** ICMPv6's errors have types below this. */
const FIRST_INFORMATIVE = 128;
/** Where IPv6's header says what follows it: what a parameter problem points to. */
const NEXT_HEADER_AT = 6;

const ECHO = { v4: { request: 8, reply: 0 }, v6: { request: 128, reply: 129 } } as const;

type TypeAndCode = readonly [type: number, code: number];

/** An error, by type and code in either family. */
export interface IcmpError {
  readonly v4: TypeAndCode;
  readonly v6: TypeAndCode;
}
export const HOST_UNREACHABLE: IcmpError = { v4: [3, 1], v6: [1, 3] };
export const PORT_UNREACHABLE: IcmpError = { v4: [3, 3], v6: [1, 4] };
export const PROHIBITED: IcmpError = { v4: [3, 13], v6: [1, 1] };
export const PROTOCOL_UNREACHABLE: IcmpError = { v4: [3, 2], v6: [4, 1] };
export const TTL_EXCEEDED: IcmpError = { v4: [11, 0], v6: [3, 0] };

function isV4(address: Address): address is number {
  return typeof address === 'number';
}

export function icmpOf(address: Address): number {
  return isV4(address) ? PROTOCOL_ICMP : PROTOCOL_ICMP6;
}

/** Whether a message's checksum is right: ICMPv6's covers the addresses, too. */
export function isSound({ payload, source, destination }: Datagram): boolean {
  const pseudo = isV4(source) ? 0 : pseudoSum(source, destination, PROTOCOL_ICMP6, payload.length);
  return payload.length >= HEADER && fold(sumWords(payload, 0, payload.length, pseudo)) === 0xffff;
}

/** Finishes a message from `source` to `destination`. */
export function withChecksum(message: Uint8Array, source: Address, destination: Address): Uint8Array {
  const pseudo = isV4(source) ? 0 : pseudoSum(source, destination, PROTOCOL_ICMP6, message.length);
  put16(message, 2, 0);
  put16(message, 2, checksumOf(sumWords(message, 0, message.length, pseudo)));
  return message;
}

/** Whether a datagram is an echo request with a right checksum. */
export function isEchoRequest(datagram: Datagram): boolean {
  const { payload, source, protocol } = datagram;
  const type = isV4(source) ? ECHO.v4.request : ECHO.v6.request;
  return protocol === icmpOf(source) && payload[0] === type && isSound(datagram);
}

/** What answers a request: the same, with another type. */
export function echoReply({ payload, source, destination }: Datagram): Uint8Array {
  const reply = payload.slice();
  reply[0] = isV4(source) ? ECHO.v4.reply : ECHO.v6.reply;
  return withChecksum(reply, destination, source);
}

/**
 * The answer that the outside has given to a request of the guest's, with the identifier that the guest knows; undefined where
 * it is no answer.
 */
export function echoFromOutside(
  message: Uint8Array,
  { guest, id, remote }: { guest: Address; id: number; remote: Address },
): Uint8Array | undefined {
  const type = isV4(remote) ? ECHO.v4.reply : ECHO.v6.reply;
  if (message.length < HEADER || message[0] !== type || message[1] !== 0) return undefined;
  const reply = message.slice();
  put16(reply, 4, id);
  return withChecksum(reply, remote, guest);
}

/**
 * An error about a datagram, as from `source`; undefined for what none may be sent about: other errors (RFC 1122, 3.2.2;
 * RFC 4443, 2.4).
 */
export function icmpError(error: IcmpError, about: Datagram, source: Address): Uint8Array | undefined {
  const { header, payload } = about;
  const v4 = isV4(about.source);
  const mayBe = v4 ? about.protocol !== PROTOCOL_ICMP || payload[0] === ECHO.v4.request : !isError6(about);
  if (!mayBe) return undefined;
  const quoted = payload.subarray(0, (v4 ? LONGEST_QUOTE : LONGEST_QUOTE6) - header.length);
  const message = new Uint8Array(HEADER + header.length + quoted.length);
  message.set(v4 ? error.v4 : error.v6);
  if (!v4 && error === PROTOCOL_UNREACHABLE) put32(message, 4, NEXT_HEADER_AT);
  message.set(header, HEADER);
  message.set(quoted, HEADER + header.length);
  return withChecksum(message, source, about.source);
}

/** Errors, and what has no type: nothing is said about them. */
function isError6({ protocol, payload }: Datagram): boolean {
  return protocol === PROTOCOL_ICMP6 && (payload.length === 0 || payload[0] < FIRST_INFORMATIVE);
}
