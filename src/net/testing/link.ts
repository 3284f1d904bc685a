/** A cable in memory, and the frames on it, for tests that play the guest. */
import { NO_OFFLOADS, type Offloads } from '../../devices/virtio/net/backend.js';
import { checksumOf, finishChecksum, fold, sumWords } from '../../devices/virtio/net/checksum.js';
import { ETHERNET_HEADER, HEADER_LENGTH } from '../../devices/virtio/net/header.js';
import { get16, put16, put32 } from '../address.js';
import { type Address, Ipv6, ipv6 } from '../address6.js';
import {
  type Datagram,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  IP_AT,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from '../datagram.js';
import { pseudoSum } from '../ip.js';
import { IP_HEADER, PAYLOAD_AT, readIpv4 } from '../ipv4.js';
import { IP6_HEADER, readIpv6 } from '../ipv6.js';
import type { Link } from '../link.js';
import { GATEWAY, GUEST, macOf } from '../subnet.js';
import { readSegment, type Segment } from '../tcp/segment.js';
import { readUdp, type UdpMessage, writeUdp } from '../udp.js';

export const GUEST_MAC = Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56);
/** What a guest with this MAC makes of the prefix. */
export const GUEST6 = ipv6('fec0::5054:ff:fe12:3456');

/** Keeps what the stack sends until the test takes it. */
export class TestLink implements Link {
  offloads: Offloads = NO_OFFLOADS;
  /** Packets that wait; with this many there is no room. */
  capacity = Number.POSITIVE_INFINITY;
  packets: Uint8Array[] = [];
  #reserved: Uint8Array | undefined;

  get drained(): boolean {
    return this.packets.length === 0;
  }

  reserve(length: number): Uint8Array | undefined {
    if (this.packets.length >= this.capacity) return undefined;
    // Not zeroes: whoever leaves a byte unwritten is found out.
    this.#reserved = new Uint8Array(length).fill(0xa5);
    return this.#reserved;
  }

  commit(length = this.#reserved!.length): void {
    this.packets.push(this.#reserved!.slice(0, length));
    this.#reserved = undefined;
  }

  /** All packets so far, their checksums finished. */
  take(): Uint8Array[] {
    const { packets } = this;
    this.packets = [];
    for (const packet of packets) finishChecksum(packet);
    return packets;
  }

  takeDatagrams(): Datagram[] {
    return this.take()
      .filter((packet) => get16(packet, HEADER_LENGTH + 12) !== ETHERTYPE_ARP)
      .map(datagramOf);
  }

  takeSegments(): Segment[] {
    return this.takeDatagrams()
      .filter(({ protocol }) => protocol === PROTOCOL_TCP)
      .map(segmentOf);
  }

  takeUdp(): (UdpMessage & Pick<Datagram, 'source' | 'destination'>)[] {
    return this.takeDatagrams()
      .filter(({ protocol }) => protocol === PROTOCOL_UDP)
      .map((datagram) => {
        const message = readUdp(datagram, false);
        if (message === undefined) throw new Error('The stack has sent bad UDP.');
        return { ...message, source: datagram.source, destination: datagram.destination };
      });
  }
}

/** @throws Error where the stack has sent something malformed */
export function datagramOf(packet: Uint8Array): Datagram {
  const isV6 = get16(packet, HEADER_LENGTH + 12) === ETHERTYPE_IPV6;
  const datagram = isV6 ? readIpv6(packet.subarray(IP_AT)) : readIpv4(packet.subarray(IP_AT));
  if (datagram === undefined) throw new Error('The stack has sent a bad IP header.');
  return datagram;
}

export function segmentOf(datagram: Datagram): Segment {
  const segment = readSegment(datagram, false);
  if (segment === undefined) throw new Error('The stack has sent a bad TCP segment.');
  return segment;
}

export function frame(type: number, body: Uint8Array, to = macOf(GATEWAY), from = GUEST_MAC): Uint8Array {
  const packet = new Uint8Array(HEADER_LENGTH + ETHERNET_HEADER + body.length);
  packet.set(to, HEADER_LENGTH);
  packet.set(from, HEADER_LENGTH + 6);
  put16(packet, HEADER_LENGTH + 12, type);
  packet.set(body, HEADER_LENGTH + ETHERNET_HEADER);
  return packet;
}

export interface IpOptions {
  readonly protocol: number;
  readonly destination: Address;
  readonly source?: Address;
  readonly ttl?: number;
  readonly id?: number;
  /** Flags and offset as they stand in the header. */
  readonly fragment?: number;
}

/** A packet of the guest's with an IP datagram. */
export function ipPacket(options: IpOptions, payload: Uint8Array): Uint8Array {
  const { protocol, destination, source = guestFor(destination), ttl = 64, id = 1, fragment = 0 } = options;
  if (destination instanceof Ipv6 || source instanceof Ipv6) return ip6Packet(options, payload);
  const body = new Uint8Array(IP_HEADER + payload.length);
  body[0] = 0x45;
  put16(body, 2, body.length);
  put16(body, 4, id);
  put16(body, 6, fragment);
  body[8] = ttl;
  body[9] = protocol;
  put32(body, 12, source);
  put32(body, 16, destination);
  put16(body, 10, checksumOf(sumWords(body, 0, IP_HEADER)));
  body.set(payload, IP_HEADER);
  return frame(ETHERTYPE_IPV4, body);
}

/** The guest's address of the family. */
export function guestFor(other: Address): Address {
  return typeof other === 'number' ? GUEST : GUEST6;
}

/** The same with IPv6; there are no extensions but what the payload may begin with. */
function ip6Packet({ protocol, destination, source = GUEST6, ttl = 64 }: IpOptions, payload: Uint8Array): Uint8Array {
  const body = new Uint8Array(IP6_HEADER + payload.length);
  body[0] = 0x60;
  put16(body, 4, payload.length);
  body[6] = protocol;
  body[7] = ttl;
  body.set((source as Ipv6).bytes, 8);
  body.set((destination as Ipv6).bytes, 24);
  body.set(payload, IP6_HEADER);
  return frame(ETHERTYPE_IPV6, body);
}

export function udpPacket(
  destination: Address,
  destinationPort: number,
  data: Uint8Array,
  { source = guestFor(destination), sourcePort = 4000, ...rest }: Partial<IpOptions> & { sourcePort?: number } = {},
): Uint8Array {
  const payload = writeUdp(source, destination, { sourcePort, destinationPort, data });
  return ipPacket({ protocol: PROTOCOL_UDP, destination, source, ...rest }, payload);
}

export interface TcpFields {
  readonly destination: Address;
  readonly destinationPort: number;
  readonly sourcePort: number;
  readonly seq: number;
  readonly ack?: number;
  readonly flags: number;
  readonly window?: number;
  readonly options?: readonly number[];
  readonly data?: Uint8Array;
  readonly source?: Address;
}

export function tcpPacket(fields: TcpFields): Uint8Array {
  const {
    destination,
    source = guestFor(destination),
    options = [],
    data = new Uint8Array(),
    window = 0xffff,
  } = fields;
  const header = 20 + options.length;
  const tcp = new Uint8Array(header + data.length);
  put16(tcp, 0, fields.sourcePort);
  put16(tcp, 2, fields.destinationPort);
  put32(tcp, 4, fields.seq);
  put32(tcp, 8, fields.ack ?? 0);
  tcp[12] = (header / 4) << 4;
  tcp[13] = fields.flags;
  put16(tcp, 14, window);
  tcp.set(options, 20);
  tcp.set(data, header);
  const pseudo = pseudoSum(source, destination, PROTOCOL_TCP, tcp.length);
  put16(tcp, 16, ~fold(sumWords(tcp, 0, tcp.length, pseudo)) & 0xffff);
  return ipPacket({ protocol: PROTOCOL_TCP, destination, source }, tcp);
}

export { PAYLOAD_AT };
