import { describe, expect, test } from 'vitest';
import { HEADER_LENGTH, writeHeader } from '../devices/virtio/net/header.js';
import { ipv4 } from './address.js';
import { cutPacket } from './segmentation.js';
import { ACK, FIN, PSH } from './tcp/segment.js';
import { datagramOf, segmentOf, tcpPacket } from './testing/link.js';

const data = Uint8Array.from({ length: 5000 }, (_, i) => i * 7);

function large(gso: Partial<Parameters<typeof writeHeader>[1]> = {}): Uint8Array {
  const packet = tcpPacket({
    destination: ipv4('10.0.2.99'),
    destinationPort: 80,
    sourcePort: 1234,
    seq: 0xffff_fff0,
    ack: 7,
    flags: ACK | PSH | FIN,
    data,
  });
  writeHeader(packet, { flags: 1, gsoType: 1, headerLength: 54, gsoSize: 1460, csumStart: 34, csumOffset: 16, ...gso });
  return packet;
}

function cut(packet: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  cutPacket(packet, (frame) => frames.push(frame.slice()));
  return frames;
}

describe('a large segment', () => {
  test('is cut into pieces with right numbers, flags and checksums', () => {
    // Whoever reads them here checks the checksums.
    const segments = cut(large()).map((frame) => {
      const packet = new Uint8Array(HEADER_LENGTH + frame.length);
      packet.set(frame, HEADER_LENGTH);
      return segmentOf(datagramOf(packet));
    });
    expect(segments.map((segment) => segment.data.length)).toEqual([1460, 1460, 1460, 620]);
    expect(segments.map(({ seq }) => seq)).toEqual([0xffff_fff0, 1444, 2904, 4364]);
    expect(segments.map(({ flags }) => flags)).toEqual([ACK, ACK, ACK, ACK | PSH | FIN]);
    expect(segments.flatMap((segment) => [...segment.data])).toEqual([...data]);
  });

  test.each([
    ['a gso_size of 0', { gsoSize: 0 }],
    ['csum_start at the end', { csumStart: 5054 }],
    ['csum_start within the IP header', { csumStart: 20 }],
    ['the wrong version of IP', { gsoType: 4 }],
  ])('is dropped with %s', (_, gso) => {
    expect(cut(large(gso))).toEqual([]);
  });
});
