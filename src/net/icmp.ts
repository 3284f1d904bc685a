/** ICMP (RFC 792, RFC 1812): echo, and the errors that a router reports. */
import { checksumOf, fold, sumWords } from '../devices/virtio/net/checksum.js';
import { put16 } from './address.js';
import type { Datagram } from './ipv4.js';

const ECHO_REPLY = 0;
const DESTINATION_UNREACHABLE = 3;
const ECHO_REQUEST = 8;
const TIME_EXCEEDED = 11;
const HEADER = 8;
/** An error is no longer than this with all headers (RFC 1812, 4.3.2.3). */
const LONGEST_QUOTE = 576 - 20 - HEADER;

/** Type and code of an error. */
export const HOST_UNREACHABLE = [DESTINATION_UNREACHABLE, 1] as const;
export const PORT_UNREACHABLE = [DESTINATION_UNREACHABLE, 3] as const;
export const PROHIBITED = [DESTINATION_UNREACHABLE, 13] as const;
export const PROTOCOL_UNREACHABLE = [DESTINATION_UNREACHABLE, 2] as const;
export const TTL_EXCEEDED = [TIME_EXCEEDED, 0] as const;
export type IcmpError = readonly [type: number, code: number];

/** Whether a datagram is an echo request with a right checksum. */
export function isEchoRequest({ payload }: Datagram): boolean {
  return (
    payload.length >= HEADER && payload[0] === ECHO_REQUEST && fold(sumWords(payload, 0, payload.length)) === 0xffff
  );
}

export function echoReply({ payload }: Datagram): Uint8Array {
  const reply = payload.slice();
  reply[0] = ECHO_REPLY;
  return withChecksum(reply);
}

/** An error about a datagram; undefined for what none may be sent about: other errors (RFC 1122, 3.2.2). */
export function icmpError([type, code]: IcmpError, about: Datagram): Uint8Array | undefined {
  if (about.protocol === 1 && !isEchoRequest(about)) return undefined;
  const { header, payload } = about;
  const quoted = payload.subarray(0, LONGEST_QUOTE - header.length);
  const error = new Uint8Array(HEADER + header.length + quoted.length);
  error[0] = type;
  error[1] = code;
  error.set(header, HEADER);
  error.set(quoted, HEADER + header.length);
  return withChecksum(error);
}

function withChecksum(message: Uint8Array): Uint8Array {
  put16(message, 2, 0);
  put16(message, 2, checksumOf(sumWords(message, 0, message.length)));
  return message;
}
