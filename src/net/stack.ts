/**
 * The user-mode network: a router with a DHCP server and a name server, as the guest sees it; as the host sees it, a program
 * with sockets. It needs no privilege. Frames of the guest come in by `receive`, ours go out over the link, and what the
 * sockets bring comes in as their events; after any of these somebody calls `service`.
 *
 * The guest may send what it likes. Whatever is malformed, comes from an address that is not a guest's or goes where nothing
 * is, is dropped or answered with an ICMP error; connections, flows, fragments and queries are bounded in number and time.
 */
import {
  ETHERNET_HEADER,
  HDR_FLAGS,
  HEADER_LENGTH,
  VIRTIO_NET_HDR_F_DATA_VALID,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
} from '../devices/virtio/net/header.js';
import { formatIpv4, get16, isNowhere, parseIpv4 } from './address.js';
import { readArp, sendArpReply, sendArpRequest } from './arp.js';
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpServer } from './dhcp.js';
import { DNS_PORT, DnsForwarder } from './dns/forwarder.js';
import { Fragments } from './fragments.js';
import {
  echoReply,
  type IcmpError,
  icmpError,
  isEchoRequest,
  PORT_UNREACHABLE,
  PROHIBITED,
  PROTOCOL_UNREACHABLE,
  TTL_EXCEEDED,
} from './icmp.js';
import {
  type Datagram,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  PROTOCOL_ICMP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  readIpv4,
  sendIpv4,
} from './ipv4.js';
import type { Link } from './link.js';
import type { Outside } from './outside.js';
import {
  BROADCAST,
  EVERYBODY,
  GATEWAY,
  GUEST,
  inSubnet,
  isGuestAddress,
  isOurs,
  macOf,
  NAME_SERVER,
} from './subnet.js';
import type { TcpConnection } from './tcp/connection.js';
import { TcpTable, type TcpTarget } from './tcp/table.js';
import { readUdp, type UdpMessage, writeUdp } from './udp.js';
import { UdpFlows, type UdpPath } from './udp-flows.js';

const EVERY_MAC = new Uint8Array(6).fill(0xff);
const LOOPBACK = '127.0.0.1';

export interface StackOptions {
  readonly link: Link;
  readonly outside: Outside;
  /** 10.0.2.2 is the host's loopback, and the host's own addresses may be reached. */
  readonly hostLoopback: boolean;
}

/** An end that a forwarded connection or message comes from, as the host's socket tells it. */
export interface Peer {
  readonly address: string;
  readonly port: number;
}

/** A port of the guest, for those who are let in. */
export interface GuestPort {
  /** Default: 10.0.2.15. */
  readonly address?: string | undefined;
  readonly port: number;
}

export class UserStack {
  readonly #options: StackOptions;
  readonly #link: Link;
  readonly #outside: Outside;
  readonly #tcp: TcpTable;
  readonly #udp: UdpFlows;
  readonly #dns: DnsForwarder;
  readonly #dhcp = new DhcpServer();
  readonly #fragments = new Fragments();
  /** MACs of the guest's addresses: at most as many as the subnet has. */
  readonly #neighbours = new Map<number, Uint8Array>();

  constructor(options: StackOptions) {
    const { link, outside } = options;
    this.#options = options;
    this.#link = link;
    this.#outside = outside;
    const macOf = (guest: number) => this.#macOf(guest);
    const complain = (error: IcmpError, about: Datagram) => this.#complain(error, about);
    this.#tcp = new TcpTable({ link, outside, macOf, complain, target: (a, p) => this.#tcpTarget(a, p) });
    this.#udp = new UdpFlows({ outside, complain, deliver: (path, data) => this.#deliver(path, data) });
    this.#dns = new DnsForwarder(outside);
  }

  /** What is held for the guest, for tests and statistics. */
  get counts(): { connections: number; flows: number; queries: number; fragments: number } {
    return {
      connections: this.#tcp.size,
      flows: this.#udp.size,
      queries: this.#dns.size,
      fragments: this.#fragments.size,
    };
  }

  // ---- what the machine does ---------------------------------------------------------------------------------------

  /** A packet (virtio's header and frame) from the guest, valid during the call. */
  receive(packet: Uint8Array): void {
    if (packet.length < HEADER_LENGTH + ETHERNET_HEADER) return;
    const frame = packet.subarray(HEADER_LENGTH);
    const sender = frame.subarray(6, 12);
    if (!isForUs(frame) || (sender[0] & 1) !== 0) return;
    const body = frame.subarray(ETHERNET_HEADER);
    const type = get16(frame, 12);
    if (type === ETHERTYPE_ARP) this.#receiveArp(body);
    if (type !== ETHERTYPE_IPV4) return;
    const trusted = (packet[HDR_FLAGS] & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) !== 0;
    this.#receiveIpv4(body, sender, trusted);
  }

  /** Sends what waits. @returns false where the link is full: call again when it is not */
  service(): boolean {
    return this.#tcp.service();
  }

  /** When `onTimer` must be called, by the outside's clock; Infinity for never. */
  get nextTimer(): number {
    return Math.min(this.#tcp.nextTimer, this.#udp.nextTimer, this.#dns.nextTimer);
  }

  /** Does what is due. It may be called early. */
  onTimer(): void {
    this.#tcp.onTimer();
    this.#udp.onTimer();
    this.#dns.onTimer();
  }

  /** The guest has been born anew: what the one before had is over. */
  clear(): void {
    this.#tcp.clear();
    this.#udp.clear();
    this.#dns.clear();
    this.#dhcp.clear();
    this.#fragments.clear();
    this.#neighbours.clear();
  }

  // ---- from outside into the guest ---------------------------------------------------------------------------------

  /**
   * Somebody has connected to a forwarded port. @returns the connection, which wants to be attached to its stream and told
   * what happens there; undefined where there are too many
   */
  accept(from: Peer, to: GuestPort): TcpConnection | undefined {
    const remote = { remote: seenFrom(from.address), remotePort: from.port };
    return this.#tcp.openToGuest(remote, guestAddress(to), to.port);
  }

  /** A message has come to a forwarded port; what the guest answers goes to `answer`. */
  acceptMessage(from: Peer, to: GuestPort, data: Uint8Array, answer: (bytes: Uint8Array) => void): void {
    const remote = { remote: seenFrom(from.address), remotePort: from.port };
    this.#udp.fromOutside({ guest: guestAddress(to), guestPort: to.port, ...remote }, data, answer);
  }

  // ---- ARP ---------------------------------------------------------------------------------------------------------

  #receiveArp(bytes: Uint8Array): void {
    const message = readArp(bytes);
    if (message === undefined || (message.senderMac[0] & 1) !== 0) return;
    if (isGuestAddress(message.sender)) this.#learn(message.sender, message.senderMac);
    if (message.isRequest && isOurs(message.target)) sendArpReply(this.#link, message.target, message);
  }

  #learn(guest: number, mac: Uint8Array): void {
    const known = this.#neighbours.get(guest);
    if (known?.every((byte, i) => byte === mac[i])) return;
    this.#neighbours.set(guest, mac.slice());
    if (known === undefined) this.#tcp.onNeighbour(guest);
  }

  #macOf(guest: number): Uint8Array | undefined {
    const mac = this.#neighbours.get(guest);
    if (mac === undefined && isGuestAddress(guest)) sendArpRequest(this.#link, GATEWAY, guest);
    return mac;
  }

  // ---- IPv4 --------------------------------------------------------------------------------------------------------

  #receiveIpv4(bytes: Uint8Array, sender: Uint8Array, trusted: boolean): void {
    const fragment = readIpv4(bytes);
    if (fragment === undefined) return;
    const isGuest = isGuestAddress(fragment.source);
    // Who has no address yet may ask for one.
    if (!isGuest && !(fragment.source === 0 && fragment.protocol === PROTOCOL_UDP)) return;
    if (isGuest) this.#learn(fragment.source, sender);
    const whole = fragment.offset === 0 && !fragment.more;
    const datagram = whole ? fragment : this.#fragments.add(fragment, this.#outside.now());
    if (datagram === undefined) return;
    const { destination, protocol } = datagram;
    const here = isOurs(destination) || destination === BROADCAST || destination === EVERYBODY;
    if (isGuest && !here && datagram.ttl <= 1) {
      this.#complain(TTL_EXCEEDED, datagram);
      return;
    }
    if (protocol === PROTOCOL_UDP) this.#receiveUdp(datagram, trusted && whole);
    else if (!isGuest || (here && !isOurs(destination))) return;
    else if (protocol === PROTOCOL_TCP) this.#tcp.receive(datagram, trusted && whole);
    else if (protocol === PROTOCOL_ICMP) this.#receiveIcmp(datagram);
    else this.#complain(PROTOCOL_UNREACHABLE, datagram);
  }

  #receiveIcmp(datagram: Datagram): void {
    if (!isEchoRequest(datagram)) return;
    if (!isOurs(datagram.destination)) {
      // Node has no ICMP sockets, so the outside can't be asked; silence would look like a network that is broken.
      if (!isNowhere(datagram.destination)) this.#complain(PROHIBITED, datagram);
      return;
    }
    this.#sendToGuest(datagram.source, datagram.destination, PROTOCOL_ICMP, echoReply(datagram));
  }

  /** Sends an ICMP error to the guest, from the gateway. */
  #complain(error: IcmpError, about: Datagram): void {
    const message = isGuestAddress(about.source) ? icmpError(error, about) : undefined;
    if (message !== undefined) this.#sendToGuest(about.source, GATEWAY, PROTOCOL_ICMP, message);
  }

  #sendToGuest(guest: number, source: number, protocol: number, payload: Uint8Array): void {
    const mac = this.#macOf(guest);
    if (mac !== undefined) sendIpv4(this.#link, { protocol, source, destination: guest, mac }, payload);
  }

  // ---- TCP and UDP -------------------------------------------------------------------------------------------------

  /** Where the guest may go: out, but not back into the host unless it is allowed. */
  #mayReach(address: number): 'yes' | 'refused' | 'prohibited' {
    if (isNowhere(address) || inSubnet(address)) return 'prohibited';
    return this.#options.hostLoopback || !this.#outside.isOwn(formatIpv4(address)) ? 'yes' : 'refused';
  }

  #tcpTarget(address: number, port: number): TcpTarget {
    if (address === GATEWAY) return this.#options.hostLoopback ? { address: LOOPBACK, port } : 'refused';
    if (address === NAME_SERVER) return (port === DNS_PORT ? this.#outside.nameServers()[0] : undefined) ?? 'refused';
    const may = this.#mayReach(address);
    return may === 'yes' ? { address: formatIpv4(address), port } : may;
  }

  #receiveUdp(datagram: Datagram, trusted: boolean): void {
    const message = readUdp(datagram, trusted);
    if (message === undefined) return;
    const { source, destination } = datagram;
    if (message.destinationPort === DHCP_SERVER_PORT && [EVERYBODY, BROADCAST, GATEWAY].includes(destination)) {
      this.#answerDhcp(message);
      return;
    }
    if (source === 0 || message.destinationPort === 0 || isNowhere(destination) || destination === BROADCAST) return;
    const path: UdpPath = {
      guest: source,
      guestPort: message.sourcePort,
      remote: destination,
      remotePort: message.destinationPort,
    };
    if (destination === NAME_SERVER && message.destinationPort === DNS_PORT) {
      this.#dns.ask(message.data, (answer) => this.#deliver(path, answer));
      return;
    }
    if (this.#udp.sendKnown(path, message.data)) return;
    const target = destination === GATEWAY && this.#options.hostLoopback ? LOOPBACK : formatIpv4(destination);
    const may = target === LOOPBACK ? 'yes' : isOurs(destination) ? 'refused' : this.#mayReach(destination);
    if (may === 'yes') this.#udp.open(path, { address: target, port: message.destinationPort }, message, datagram);
    else this.#complain(may === 'refused' ? PORT_UNREACHABLE : PROHIBITED, datagram);
  }

  #answerDhcp({ data }: UdpMessage): void {
    const reply = this.#dhcp.answer(data);
    if (reply === undefined) return;
    const message = { sourcePort: DHCP_SERVER_PORT, destinationPort: DHCP_CLIENT_PORT, data: reply };
    const envelope = { protocol: PROTOCOL_UDP, source: GATEWAY, destination: EVERYBODY, mac: EVERY_MAC };
    sendIpv4(this.#link, envelope, writeUdp(GATEWAY, EVERYBODY, message));
  }

  #deliver({ guest, guestPort, remote, remotePort }: UdpPath, data: Uint8Array): void {
    const message = { sourcePort: remotePort, destinationPort: guestPort, data };
    this.#sendToGuest(guest, remote, PROTOCOL_UDP, writeUdp(remote, guest, message));
  }
}

/** Frames to our addresses, and to everybody. */
function isForUs(frame: Uint8Array): boolean {
  if ((frame[0] & 1) !== 0) return true;
  const ours = macOf(GATEWAY);
  for (let i = 0; i < 5; i++) if (frame[i] !== ours[i]) return false;
  return true;
}

function guestAddress({ address }: GuestPort): number {
  return (address === undefined ? undefined : parseIpv4(address)) ?? GUEST;
}

/** Peers on the host's loopback seem to be the gateway: the guest could not answer 127.0.0.1. */
function seenFrom(address: string): number {
  const number = parseIpv4(address.replace(/^::ffff:/, ''));
  return number === undefined || isNowhere(number) || inSubnet(number) ? GATEWAY : number;
}
