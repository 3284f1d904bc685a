/**
 * The header in front of every packet (virtio 1.2, 5.1.6): what the sender has left undone. It is the same on virtio's
 * rings, on a tap device (IFF_VNET_HDR with 12 bytes) and between our threads, so nobody ever converts it.
 */

/** struct virtio_net_hdr with num_buffers, which is always there in virtio 1.x. */
export const HEADER_LENGTH = 12;

/** Byte offsets of its fields; those of 16 bits are little-endian. */
export const HDR_FLAGS = 0;
export const HDR_GSO_TYPE = 1;
export const HDR_HDR_LEN = 2;
export const HDR_GSO_SIZE = 4;
export const HDR_CSUM_START = 6;
export const HDR_CSUM_OFFSET = 8;
export const HDR_NUM_BUFFERS = 10;

/** `flags`: the checksum at csum_start + csum_offset covers only the pseudo header yet. */
export const VIRTIO_NET_HDR_F_NEEDS_CSUM = 1;
/** `flags`: somebody has checked the checksum. */
export const VIRTIO_NET_HDR_F_DATA_VALID = 2;

/** `gso_type`. */
export const VIRTIO_NET_HDR_GSO_NONE = 0;
export const VIRTIO_NET_HDR_GSO_TCPV4 = 1;
export const VIRTIO_NET_HDR_GSO_TCPV6 = 4;
export const VIRTIO_NET_HDR_GSO_ECN = 0x80;

/** Ethernet's header without a VLAN tag. */
export const ETHERNET_HEADER = 14;
/** Longest frame: a 64 KiB IP packet that waits to be segmented, with Ethernet's header and a VLAN tag (5.1.6.3.1). */
export const LONGEST_FRAME = ETHERNET_HEADER + 4 + 65535;
export const LONGEST_PACKET = HEADER_LENGTH + LONGEST_FRAME;

/** The header's fields, for those who handle few packets; fast paths read the bytes. */
export interface PacketHeader {
  readonly flags: number;
  readonly gsoType: number;
  readonly headerLength: number;
  readonly gsoSize: number;
  readonly csumStart: number;
  readonly csumOffset: number;
}

/** @param packet at least HEADER_LENGTH bytes */
export function readHeader(packet: Uint8Array): PacketHeader {
  const u16 = (at: number) => packet[at] | (packet[at + 1] << 8);
  return {
    flags: packet[HDR_FLAGS],
    gsoType: packet[HDR_GSO_TYPE],
    headerLength: u16(HDR_HDR_LEN),
    gsoSize: u16(HDR_GSO_SIZE),
    csumStart: u16(HDR_CSUM_START),
    csumOffset: u16(HDR_CSUM_OFFSET),
  };
}

/** Writes the first HEADER_LENGTH bytes of a packet; num_buffers is 0, as the device sets it. */
export function writeHeader(packet: Uint8Array, header: PacketHeader): void {
  const u16 = (at: number, value: number) => {
    packet[at] = value;
    packet[at + 1] = value >> 8;
  };
  packet[HDR_FLAGS] = header.flags;
  packet[HDR_GSO_TYPE] = header.gsoType;
  u16(HDR_HDR_LEN, header.headerLength);
  u16(HDR_GSO_SIZE, header.gsoSize);
  u16(HDR_CSUM_START, header.csumStart);
  u16(HDR_CSUM_OFFSET, header.csumOffset);
  u16(HDR_NUM_BUFFERS, 0);
}
