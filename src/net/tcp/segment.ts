/** TCP segments as bytes (RFC 9293, 3.1; options of RFC 7323), with what virtio may leave undone. */
import { fold, sumWords } from '../../devices/virtio/net/checksum.js';
import {
  ETHERNET_HEADER,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  writeHeader,
} from '../../devices/virtio/net/header.js';
import { get16, get32, put16, put32 } from '../address.js';
import { type Datagram, type Envelope, PROTOCOL_TCP } from '../datagram.js';
import { headerLengthOf, payloadAt, pseudoSum, writeEnvelope } from '../ip.js';
import type { Link } from '../link.js';

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;

export const TCP_HEADER = 20;
const CHECKSUM_OFFSET = 16;
const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_MSS = 2;
const OPTION_WINDOW_SCALE = 3;
/** Larger shifts are taken as this one (RFC 7323, 2.3). */
const LARGEST_SCALE = 14;

export interface Segment {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  /** As it stands in the header, not scaled. */
  readonly window: number;
  /** Of a SYN; undefined where the option is not there. */
  readonly mss: number | undefined;
  readonly windowScale: number | undefined;
  readonly data: Uint8Array;
}

/** @param trusted the checksum has been left undone, or checked. @returns undefined where it is no TCP */
export function readSegment({ payload, source, destination }: Datagram, trusted: boolean): Segment | undefined {
  if (payload.length < TCP_HEADER) return undefined;
  const headerLength = (payload[12] >> 4) * 4;
  if (headerLength < TCP_HEADER || headerLength > payload.length) return undefined;
  if (!trusted) {
    const pseudo = pseudoSum(source, destination, PROTOCOL_TCP, payload.length);
    if (fold(sumWords(payload, 0, payload.length, pseudo)) !== 0xffff) return undefined;
  }
  const flags = payload[13];
  const options = (flags & SYN) !== 0 ? readOptions(payload.subarray(TCP_HEADER, headerLength)) : undefined;
  return {
    sourcePort: get16(payload, 0),
    destinationPort: get16(payload, 2),
    seq: get32(payload, 4),
    ack: get32(payload, 8),
    flags,
    window: get16(payload, 14),
    mss: options?.mss,
    windowScale: options?.windowScale,
    data: payload.subarray(headerLength),
  };
}

function readOptions(options: Uint8Array): { mss: number | undefined; windowScale: number | undefined } {
  let mss: number | undefined;
  let windowScale: number | undefined;
  for (let at = 0; at < options.length && options[at] !== OPTION_END; ) {
    if (options[at] === OPTION_NOP) {
      at++;
      continue;
    }
    const length = options[at + 1] ?? 0;
    if (length < 2 || at + length > options.length) break;
    if (options[at] === OPTION_MSS && length === 4) mss = get16(options, at + 2);
    if (options[at] === OPTION_WINDOW_SCALE && length === 3) windowScale = Math.min(options[at + 2], LARGEST_SCALE);
    at += length;
  }
  return { mss, windowScale };
}

/** What is sent: data is copied in by `fill`, so that it is copied once. */
export interface Outgoing {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly window: number;
  /** Of a SYN. */
  readonly mss?: number;
  readonly windowScale?: number | undefined;
  readonly length: number;
  fill?(into: Uint8Array): void;
  /** More data than this goes out as one segment that the guest's card cuts (only with `link.offloads.tso4`, or `tso6`). */
  readonly cutAt?: number;
}

/** @returns false where the link has no room */
export function sendSegment(link: Link, envelope: Envelope, out: Outgoing): boolean {
  const optionLength = (out.mss === undefined ? 0 : 4) + (out.windowScale === undefined ? 0 : 4);
  const headerLength = TCP_HEADER + optionLength;
  const total = headerLength + out.length;
  const at = payloadAt(envelope.source);
  const packet = link.reserve(at + total);
  if (packet === undefined) return false;
  writeEnvelope(packet, envelope, total);
  const tcp = packet.subarray(at, at + total);
  put16(tcp, 0, out.sourcePort);
  put16(tcp, 2, out.destinationPort);
  put32(tcp, 4, out.seq);
  put32(tcp, 8, out.ack);
  tcp[12] = (headerLength / 4) << 4;
  tcp[13] = out.flags;
  put16(tcp, 14, out.window);
  put32(tcp, CHECKSUM_OFFSET, 0);
  let option = TCP_HEADER;
  if (out.mss !== undefined) {
    tcp.set([OPTION_MSS, 4, out.mss >> 8, out.mss & 255], option);
    option += 4;
  }
  if (out.windowScale !== undefined) tcp.set([OPTION_NOP, OPTION_WINDOW_SCALE, 3, out.windowScale], option);
  out.fill?.(tcp.subarray(headerLength));
  const pseudo = fold(pseudoSum(envelope.source, envelope.destination, PROTOCOL_TCP, total));
  if (link.offloads.checksum) {
    put16(tcp, CHECKSUM_OFFSET, pseudo);
    const csumStart = ETHERNET_HEADER + headerLengthOf(envelope.source);
    const cut = out.cutAt !== undefined && out.length > out.cutAt;
    writeHeader(packet, {
      flags: VIRTIO_NET_HDR_F_NEEDS_CSUM,
      gsoType: cut ? gsoTypeOf(envelope) : VIRTIO_NET_HDR_GSO_NONE,
      headerLength: csumStart + headerLength,
      gsoSize: cut ? out.cutAt : 0,
      csumStart,
      csumOffset: CHECKSUM_OFFSET,
    });
  } else {
    put16(tcp, CHECKSUM_OFFSET, ~fold(sumWords(tcp, 0, total, pseudo)) & 0xffff);
  }
  link.commit();
  return true;
}

function gsoTypeOf({ source }: Envelope): number {
  return typeof source === 'number' ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
}
