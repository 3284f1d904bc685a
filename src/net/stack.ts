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
import { get16, parseIpv4 } from './address.js';
import { type Address, formatAddress, leadsNowhere } from './address6.js';
import { readArp, sendArpReply, sendArpRequest } from './arp.js';
import {
  type Datagram,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  type Fragment,
  PROTOCOL_ICMP,
  PROTOCOL_ICMP6,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from './datagram.js';
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpServer } from './dhcp.js';
import { DNS_PORT, DnsForwarder } from './dns/forwarder.js';
import { type FlowPath, Flows } from './flows.js';
import { Fragments } from './fragments.js';
import {
  echoFromOutside,
  echoReply,
  type IcmpError,
  icmpError,
  icmpOf,
  isEchoRequest,
  PORT_UNREACHABLE,
  PROHIBITED,
  PROTOCOL_UNREACHABLE,
  TTL_EXCEEDED,
} from './icmp.js';
import { sendIp } from './ip.js';
import { readIpv4, sendIpv4 } from './ipv4.js';
import { readIpv6 } from './ipv6.js';
import type { Link } from './link.js';
import { ADVERTISE_EVERY_MS, advertiseRouter, answerNeighbour, readNeighbourMessage } from './ndp.js';
import type { Outside } from './outside.js';
import { isForMany, isGateway, isGuest, isNameServer, isOnCable, isOurs, loopbackOf, reporterTo } from './places.js';
import { BROADCAST, EVERYBODY, GATEWAY, GUEST, inSubnet, macOf } from './subnet.js';
import { UNSPECIFIED6 } from './subnet6.js';
import type { TcpConnection } from './tcp/connection.js';
import { TcpTable, type TcpTarget } from './tcp/table.js';
import { readUdp, type UdpMessage, writeUdp } from './udp.js';

const EVERY_MAC = new Uint8Array(6).fill(0xff);
/** UDP flows at a time, and how long one may be quiet. */
export const MOST_FLOWS = 512;
const UDP_QUIET_MS = 120_000;
/** Hosts that the guest asks for an echo at a time: each has a socket of the host's. */
export const MOST_ECHOES = 64;
const ECHO_QUIET_MS = 20_000;
/** Addresses of guests: IPv6 has more than anybody could keep. */
export const MOST_NEIGHBOURS = 512;

export interface StackOptions {
  readonly link: Link;
  readonly outside: Outside;
  /** The gateway is the host's loopback, and the host's own addresses may be reached. */
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
  readonly #udp: Flows;
  readonly #echo: Flows;
  readonly #dns: DnsForwarder;
  readonly #dhcp = new DhcpServer();
  readonly #fragments = new Fragments();
  /** MACs of the guest's addresses, which are written as text; the longest known first. */
  readonly #neighbours = new Map<string, Uint8Array>();
  /** When the router is made known again to guests with IPv6; Infinity while there is none. */
  #advertiseAt = Number.POSITIVE_INFINITY;

  constructor(options: StackOptions) {
    const { link, outside } = options;
    this.#options = options;
    this.#link = link;
    this.#outside = outside;
    const macOf = (guest: Address) => this.#macOf(guest);
    const now = () => outside.now();
    const complain = (error: IcmpError, about: Datagram) => this.#complain(error, about);
    this.#tcp = new TcpTable({ link, outside, macOf, complain, target: (a, p) => this.#tcpTarget(a, p) });
    const deliver = (path: FlowPath, data: Uint8Array) => this.#deliver(path, data);
    this.#udp = new Flows({ most: MOST_FLOWS, quietMs: UDP_QUIET_MS, now, complain, deliver });
    const deliverEcho = (path: FlowPath, data: Uint8Array) => this.#deliverEcho(path, data);
    this.#echo = new Flows({ most: MOST_ECHOES, quietMs: ECHO_QUIET_MS, now, complain, deliver: deliverEcho });
    this.#dns = new DnsForwarder(outside);
  }

  /** What is held for the guest, for tests and statistics. */
  get counts() {
    return {
      connections: this.#tcp.size,
      flows: this.#udp.size,
      echoes: this.#echo.size,
      neighbours: this.#neighbours.size,
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
    const trusted = (packet[HDR_FLAGS] & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) !== 0;
    if (type === ETHERTYPE_IPV4) this.#receiveIpv4(body, sender, trusted);
    if (type === ETHERTYPE_IPV6) this.#receiveIpv6(body, sender, trusted);
  }

  /** Sends what waits. @returns false where the link is full: call again when it is not */
  service(): boolean {
    return this.#tcp.service();
  }

  /** When `onTimer` must be called, by the outside's clock; Infinity for never. */
  get nextTimer(): number {
    const flows = Math.min(this.#udp.nextTimer, this.#echo.nextTimer);
    return Math.min(this.#tcp.nextTimer, flows, this.#dns.nextTimer, this.#advertiseAt);
  }

  /** Does what is due. It may be called early. */
  onTimer(): void {
    this.#tcp.onTimer();
    this.#udp.onTimer();
    this.#echo.onTimer();
    this.#dns.onTimer();
    if (this.#outside.now() >= this.#advertiseAt) this.#advertise();
  }

  /** The guest has been born anew: what the one before had is over. */
  clear(): void {
    this.#tcp.clear();
    this.#udp.clear();
    this.#echo.clear();
    this.#dns.clear();
    this.#dhcp.clear();
    this.#fragments.clear();
    this.#neighbours.clear();
    this.#advertiseAt = Number.POSITIVE_INFINITY;
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
    if (isGuest(message.sender)) this.#learn(message.sender, message.senderMac);
    if (message.isRequest && isOurs(message.target)) sendArpReply(this.#link, message.target, message);
  }

  #learn(guest: Address, mac: Uint8Array): void {
    const key = String(guest);
    const known = this.#neighbours.get(key);
    if (known?.every((byte, i) => byte === mac[i])) return;
    if (known === undefined && this.#neighbours.size >= MOST_NEIGHBOURS) {
      const [oldest] = this.#neighbours.keys();
      this.#neighbours.delete(oldest);
    }
    this.#neighbours.set(key, mac.slice());
    if (known === undefined) this.#tcp.onNeighbour(guest);
  }

  /** With IPv6 nobody is asked: what goes to a guest answers one that was heard, or goes to a port that IPv4 leads to. */
  #macOf(guest: Address): Uint8Array | undefined {
    const mac = this.#neighbours.get(String(guest));
    if (mac === undefined && typeof guest === 'number' && isGuest(guest)) sendArpRequest(this.#link, GATEWAY, guest);
    return mac;
  }

  // ---- IP ----------------------------------------------------------------------------------------------------------

  #receiveIpv4(bytes: Uint8Array, sender: Uint8Array, trusted: boolean): void {
    const fragment = readIpv4(bytes);
    if (fragment === undefined) return;
    // Who has no address yet may ask for one.
    const asks = fragment.source === 0 && fragment.protocol === PROTOCOL_UDP;
    if (asks || isGuest(fragment.source)) this.#receive(fragment, sender, trusted);
  }

  #receiveIpv6(bytes: Uint8Array, sender: Uint8Array, trusted: boolean): void {
    const fragment = readIpv6(bytes);
    if (fragment === undefined) return;
    const question = readNeighbourMessage(fragment);
    // Who has no address yet may ask whether it is free, and for the router.
    if (!isGuest(fragment.source) && !(question !== undefined && fragment.source.is(UNSPECIFIED6))) return;
    if (question?.kind === 'neighbour?') answerNeighbour(this.#link, question.target, fragment, sender);
    else if (question?.kind === 'router?') this.#advertise();
    if (isGuest(fragment.source)) this.#receive(fragment, sender, trusted);
  }

  #advertise(): void {
    this.#advertiseAt = this.#outside.now() + ADVERTISE_EVERY_MS;
    advertiseRouter(this.#link, this.#outside.hasIpv6());
  }

  /** A datagram of the guest's, or a part of one. */
  #receive(fragment: Fragment, sender: Uint8Array, trusted: boolean): void {
    const isKnown = isGuest(fragment.source);
    if (isKnown) this.#learn(fragment.source, sender);
    const whole = fragment.offset === 0 && !fragment.more;
    const datagram = whole ? fragment : this.#fragments.add(fragment, this.#outside.now());
    if (datagram === undefined) return;
    const { destination, protocol, source } = datagram;
    const here = isOurs(destination) || isForMany(destination);
    if (isKnown && !here && datagram.ttl <= 1) {
      this.#complain(TTL_EXCEEDED, datagram);
      return;
    }
    // An address that is good on the cable only is good for us only (RFC 4291, 2.5.6).
    if (!here && !isOnCable(source)) return;
    if (protocol === PROTOCOL_UDP) this.#receiveUdp(datagram, trusted && whole);
    else if (!isKnown || isForMany(destination)) return;
    else if (protocol === PROTOCOL_TCP) this.#tcp.receive(datagram, trusted && whole);
    else if (protocol === PROTOCOL_ICMP || protocol === PROTOCOL_ICMP6) this.#receiveIcmp(datagram);
    else this.#complain(PROTOCOL_UNREACHABLE, datagram);
  }

  /** Sends an ICMP error to the guest, from the gateway. */
  #complain(error: IcmpError, about: Datagram): void {
    const guest = about.source;
    if (!isGuest(guest) || isForMany(about.destination)) return;
    const reporter = reporterTo(guest);
    const message = icmpError(error, about, reporter);
    if (message !== undefined) this.#sendToGuest(guest, reporter, icmpOf(guest), message);
  }

  #sendToGuest(guest: Address, source: Address, protocol: number, payload: Uint8Array): void {
    const mac = this.#macOf(guest);
    if (mac !== undefined) sendIp(this.#link, { protocol, source, destination: guest, mac }, payload);
  }

  // ---- echo --------------------------------------------------------------------------------------------------------

  #receiveIcmp(datagram: Datagram): void {
    if (!isEchoRequest(datagram)) return;
    const { source, destination, payload } = datagram;
    if (isOurs(destination)) {
      this.#sendToGuest(source, destination, icmpOf(source), echoReply(datagram));
      return;
    }
    if (leadsNowhere(destination)) return;
    const path: FlowPath = { guest: source, guestPort: get16(payload, 4), remote: destination, remotePort: 0 };
    if (this.#echo.sendKnown(path, payload)) return;
    const address = formatAddress(destination);
    const opened =
      this.#mayReach(destination) === 'yes' &&
      this.#echo.open(path, (events) => this.#outside.echo(address, events), payload, datagram);
    // Where the outside can't be asked, silence would look like a network that is broken.
    if (!opened) this.#complain(PROHIBITED, datagram);
  }

  #deliverEcho({ guest, guestPort, remote }: FlowPath, message: Uint8Array): void {
    const reply = echoFromOutside(message, { guest, id: guestPort, remote });
    if (reply !== undefined) this.#sendToGuest(guest, remote, icmpOf(guest), reply);
  }

  // ---- TCP and UDP -------------------------------------------------------------------------------------------------

  /** Where the guest may go: out, but not back into the host unless it is allowed. */
  #mayReach(address: Address): 'yes' | 'refused' | 'prohibited' {
    if (leadsNowhere(address) || isOnCable(address)) return 'prohibited';
    return this.#options.hostLoopback || !this.#outside.isOwn(formatAddress(address)) ? 'yes' : 'refused';
  }

  #tcpTarget(address: Address, port: number): TcpTarget {
    if (isGateway(address)) return this.#options.hostLoopback ? { address: loopbackOf(address), port } : 'refused';
    if (isNameServer(address)) return (port === DNS_PORT ? this.#outside.nameServers()[0] : undefined) ?? 'refused';
    if (isOurs(address)) return 'refused';
    const may = this.#mayReach(address);
    return may === 'yes' ? { address: formatAddress(address), port } : may;
  }

  #receiveUdp(datagram: Datagram, trusted: boolean): void {
    const message = readUdp(datagram, trusted);
    if (message === undefined) return;
    const { source, destination } = datagram;
    const { sourcePort, destinationPort, data } = message;
    if (destinationPort === DHCP_SERVER_PORT && [EVERYBODY, BROADCAST, GATEWAY].some((to) => to === destination)) {
      this.#answerDhcp(message);
      return;
    }
    if (!isGuest(source) || destinationPort === 0 || isForMany(destination)) return;
    if (leadsNowhere(destination) && !isOurs(destination)) return;
    const path: FlowPath = { guest: source, guestPort: sourcePort, remote: destination, remotePort: destinationPort };
    if (isNameServer(destination) && destinationPort === DNS_PORT) {
      this.#dns.ask(data, (answer) => this.#deliver(path, answer));
      return;
    }
    if (this.#udp.sendKnown(path, data)) return;
    const isHost = isGateway(destination) && this.#options.hostLoopback;
    const address = isHost ? loopbackOf(destination) : formatAddress(destination);
    const may = isHost ? 'yes' : isOurs(destination) ? 'refused' : this.#mayReach(destination);
    if (may !== 'yes') this.#complain(may === 'refused' ? PORT_UNREACHABLE : PROHIBITED, datagram);
    else this.#udp.open(path, (events) => this.#outside.datagrams(address, destinationPort, events), data, datagram);
  }

  #answerDhcp({ data }: UdpMessage): void {
    const reply = this.#dhcp.answer(data);
    if (reply === undefined) return;
    const message = { sourcePort: DHCP_SERVER_PORT, destinationPort: DHCP_CLIENT_PORT, data: reply };
    const envelope = { protocol: PROTOCOL_UDP, source: GATEWAY, destination: EVERYBODY, mac: EVERY_MAC };
    sendIpv4(this.#link, envelope, writeUdp(GATEWAY, EVERYBODY, message));
  }

  #deliver({ guest, guestPort, remote, remotePort }: FlowPath, data: Uint8Array): void {
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
  return number === undefined || leadsNowhere(number) || inSubnet(number) ? GATEWAY : number;
}
