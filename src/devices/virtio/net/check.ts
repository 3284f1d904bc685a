/** What a driver may write into the header of a packet (virtio 1.2, 5.1.6.2.1): each offence is a refusal of its own. */
import { VirtioViolation } from '../device.js';
import type { Offloads } from './backend.js';
import {
  HEADER_LENGTH,
  readHeader,
  VIRTIO_NET_HDR_F_DATA_VALID,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
} from './header.js';

const SECTION = '5.1.6.2.1';

/**
 * @param header a copy, which the guest can't change any more
 * @param frame bytes of the frame behind it
 * @throws VirtioViolation
 */
export function checkHeader(header: Uint8Array, frame: number, agreed: Offloads): void {
  const { flags, gsoType, gsoSize, csumStart, csumOffset } = readHeader(header);
  const needsChecksum = (flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0;
  if ((flags & VIRTIO_NET_HDR_F_DATA_VALID) !== 0)
    refuse('the driver has sent a packet with VIRTIO_NET_HDR_F_DATA_VALID');
  if (needsChecksum && !agreed.checksum) refuse('the driver has left a checksum undone without VIRTIO_NET_F_CSUM');
  if (needsChecksum && csumStart + csumOffset + 2 > frame)
    refuse(
      `the checksum at csum_start ${csumStart} + csum_offset ${csumOffset} lies outside the frame of ${frame} bytes`,
    );
  if (gsoType === VIRTIO_NET_HDR_GSO_NONE) return;
  const kind = gsoType & ~VIRTIO_NET_HDR_GSO_ECN;
  const isAgreed =
    (kind === VIRTIO_NET_HDR_GSO_TCPV4 && agreed.tso4) || (kind === VIRTIO_NET_HDR_GSO_TCPV6 && agreed.tso6);
  if (!isAgreed) refuse(`the driver has sent a packet of gso_type ${gsoType}, which was not negotiated`);
  if (gsoType !== kind && !agreed.ecn)
    refuse('the driver has set VIRTIO_NET_HDR_GSO_ECN without VIRTIO_NET_F_HOST_ECN');
  if (!needsChecksum) refuse(`the driver has set gso_type ${gsoType} without VIRTIO_NET_HDR_F_NEEDS_CSUM`);
  if (gsoSize === 0) refuse(`the driver has set gso_type ${gsoType} and a gso_size of 0`);
}

/** @throws VirtioViolation where a buffer for sending has no room for a header */
export function checkSendLength(length: number): void {
  if (length < HEADER_LENGTH)
    throw new VirtioViolation(`the driver has sent ${length} bytes, less than a header of ${HEADER_LENGTH}`, '5.1.6.2');
}

function refuse(what: string): never {
  throw new VirtioViolation(what, SECTION);
}
