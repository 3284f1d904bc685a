/** The Internet checksum (RFC 1071), and finishing one that a packet's sender has left undone. */
import {
  HDR_CSUM_OFFSET,
  HDR_CSUM_START,
  HDR_FLAGS,
  HEADER_LENGTH,
  VIRTIO_NET_HDR_F_DATA_VALID,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
} from './header.js';

/**
 * The sum of big-endian 16-bit words, an odd last byte counting as the high half; not yet folded. Exact to 8 GiB of bytes.
 * @param sum of what came before, of even length
 */
export function sumWords(bytes: Uint8Array, from: number, to: number, sum = 0): number {
  let high = 0;
  let low = 0;
  let i = from;
  for (const last = to - 7; i < last; i += 8) {
    high += bytes[i] + bytes[i + 2] + bytes[i + 4] + bytes[i + 6];
    low += bytes[i + 1] + bytes[i + 3] + bytes[i + 5] + bytes[i + 7];
  }
  for (; i < to - 1; i += 2) {
    high += bytes[i];
    low += bytes[i + 1];
  }
  if (i < to) high += bytes[i];
  return sum + high * 256 + low;
}

/** One's complement sum in 16 bits. */
export function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return folded;
}

/** The checksum field for words that sum to `sum`. */
export function checksumOf(sum: number): number {
  return ~fold(sum) & 0xffff;
}

/**
 * Finishes the checksum that `packet` (header and frame) asks for, and says so in its header. Offsets that lie outside
 * the frame leave it as it is.
 */
export function finishChecksum(packet: Uint8Array): void {
  if ((packet[HDR_FLAGS] & VIRTIO_NET_HDR_F_NEEDS_CSUM) === 0) return;
  const start = HEADER_LENGTH + (packet[HDR_CSUM_START] | (packet[HDR_CSUM_START + 1] << 8));
  const field = start + (packet[HDR_CSUM_OFFSET] | (packet[HDR_CSUM_OFFSET + 1] << 8));
  if (field + 2 > packet.length) return;
  // The field holds the pseudo header's sum, so it counts as it is. Zero would mean "none" to UDP (RFC 768).
  const checksum = checksumOf(sumWords(packet, start, packet.length)) || 0xffff;
  packet[field] = checksum >> 8;
  packet[field + 1] = checksum;
  packet[HDR_FLAGS] = VIRTIO_NET_HDR_F_DATA_VALID;
}
