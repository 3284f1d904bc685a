/** UDP (RFC 768). */
import { checksumOf, fold, sumWords } from '../devices/virtio/net/checksum.js';
import { get16, put16 } from './address.js';
import type { Address } from './address6.js';
import { type Datagram, PROTOCOL_UDP } from './datagram.js';
import { pseudoSum } from './ip.js';

const HEADER = 8;
/** Most bytes that one datagram carries over IPv4. */
export const LONGEST_UDP = 65535 - 20 - HEADER;

export interface UdpMessage {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly data: Uint8Array;
}

/** @param trusted the checksum has been left undone, or checked. @returns undefined where it is no UDP */
export function readUdp({ payload, source, destination }: Datagram, trusted: boolean): UdpMessage | undefined {
  if (payload.length < HEADER) return undefined;
  const length = get16(payload, 4);
  if (length < HEADER || length > payload.length) return undefined;
  // IPv4 can do without a checksum, IPv6 can't (RFC 8200, 8.1).
  const has = get16(payload, 6) !== 0 || typeof source !== 'number';
  if (!trusted && has) {
    const sum = sumWords(payload, 0, length, pseudoSum(source, destination, PROTOCOL_UDP, length));
    if (fold(sum) !== 0xffff) return undefined;
  }
  return {
    sourcePort: get16(payload, 0),
    destinationPort: get16(payload, 2),
    data: payload.subarray(HEADER, length),
  };
}

/** The IP payload of a message from `source` to `destination`. */
export function writeUdp(source: Address, destination: Address, message: UdpMessage): Uint8Array {
  const { sourcePort, destinationPort, data } = message;
  const length = HEADER + data.length;
  const payload = new Uint8Array(length);
  put16(payload, 0, sourcePort);
  put16(payload, 2, destinationPort);
  put16(payload, 4, length);
  payload.set(data, HEADER);
  const sum = sumWords(payload, 0, length, pseudoSum(source, destination, PROTOCOL_UDP, length));
  put16(payload, 6, checksumOf(sum) || 0xffff);
  return payload;
}
