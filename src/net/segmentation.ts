/**
 * What a network does in software where the next hop has no virtio header to leave it to: cuts a large TCP segment into
 * those that its gso_size asks for, and finishes checksums.
 */
import { checksumOf, finishChecksum, fold, sumWords } from '../devices/virtio/net/checksum.js';
import {
  ETHERNET_HEADER,
  HEADER_LENGTH,
  readHeader,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TCPV4,
} from '../devices/virtio/net/header.js';
import { get16, get32, put16, put32 } from './address.js';
import { PROTOCOL_TCP } from './datagram.js';
import { FIN, PSH, TCP_HEADER } from './tcp/segment.js';

const CWR = 0x80;
const VLAN_TPID = 0x8100;
const VLAN_TAG = 4;
const IPV6_HEADER = 40;

/**
 * The frames of a packet (virtio's header and frame), ready for a wire. A packet whose header contradicts its frame gives none.
 * @param emit gets each, valid during the call
 */
export function cutPacket(packet: Uint8Array, emit: (frame: Uint8Array) => void): void {
  const { gsoType, gsoSize, csumStart } = readHeader(packet);
  if (gsoType === VIRTIO_NET_HDR_GSO_NONE) {
    finishChecksum(packet);
    emit(packet.subarray(HEADER_LENGTH));
    return;
  }
  const frame = packet.subarray(HEADER_LENGTH);
  const isV4 = (gsoType & ~VIRTIO_NET_HDR_GSO_ECN) === VIRTIO_NET_HDR_GSO_TCPV4;
  const ipAt = ETHERNET_HEADER + (get16(frame, 12) === VLAN_TPID ? VLAN_TAG : 0);
  const ipLength = csumStart - ipAt;
  const headers = csumStart + (frame[csumStart + 12] >> 4) * 4;
  const isSound =
    ipLength >= (isV4 ? 20 : IPV6_HEADER) &&
    frame[ipAt] >> 4 === (isV4 ? 4 : 6) &&
    headers >= csumStart + TCP_HEADER &&
    headers < frame.length &&
    gsoSize > 0;
  if (!isSound) return;
  const piece = new Uint8Array(headers + gsoSize);
  piece.set(frame.subarray(0, headers));
  const seq = get32(frame, csumStart + 4);
  const id = get16(frame, ipAt + 4);
  const flags = frame[csumStart + 13];
  for (let at = headers, count = 0; at < frame.length; at += gsoSize, count++) {
    const data = frame.subarray(at, Math.min(frame.length, at + gsoSize));
    const end = headers + data.length;
    const isLast = at + gsoSize >= frame.length;
    piece.set(data, headers);
    put32(piece, csumStart + 4, (seq + at - headers) >>> 0);
    piece[csumStart + 13] = flags & ~(isLast ? 0 : FIN | PSH) & ~(count === 0 ? 0 : CWR);
    if (isV4) {
      put16(piece, ipAt + 2, end - ipAt);
      put16(piece, ipAt + 4, id + count);
      put16(piece, ipAt + 10, 0);
      put16(piece, ipAt + 10, checksumOf(sumWords(piece, ipAt, csumStart)));
    } else {
      put16(piece, ipAt + 4, end - ipAt - IPV6_HEADER);
    }
    // Source and destination lie next to each other in both headers.
    const addresses = isV4 ? sumWords(piece, ipAt + 12, ipAt + 20) : sumWords(piece, ipAt + 8, ipAt + IPV6_HEADER);
    const pseudo = addresses + PROTOCOL_TCP + (end - csumStart);
    put16(piece, csumStart + 16, 0);
    put16(piece, csumStart + 16, ~fold(sumWords(piece, csumStart, end, pseudo)) & 0xffff);
    emit(piece.subarray(0, end));
  }
}
