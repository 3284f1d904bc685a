/** The DHCP server (RFC 2131, RFC 2132): the first guest gets 10.0.2.15, further MACs behind the same cable what follows. */
import { formatMac, get32, put32 } from './address.js';
import { GATEWAY, GUEST, NAME_SERVER, NETMASK } from './subnet.js';

export const DHCP_SERVER_PORT = 67;
export const DHCP_CLIENT_PORT = 68;

const BOOTREQUEST = 1;
const BOOTREPLY = 2;
const HEADER = 236;
const MAGIC = 0x63825363;
/** Shortest BOOTP message (RFC 1542, 2.1); some clients drop shorter ones. */
const SHORTEST = 300;

const OPTION_PAD = 0;
const OPTION_MASK = 1;
const OPTION_ROUTER = 3;
const OPTION_NAME_SERVER = 6;
const OPTION_REQUESTED = 50;
const OPTION_LEASE_TIME = 51;
const OPTION_TYPE = 53;
const OPTION_SERVER = 54;
const OPTION_END = 255;

const DISCOVER = 1;
const OFFER = 2;
const REQUEST = 3;
const DECLINE = 4;
const DHCP_ACK = 5;
const DHCP_NAK = 6;
const RELEASE = 7;
const INFORM = 8;

const LEASE_SECONDS = 86_400;
/** Addresses that are given away; then the oldest is taken back. */
const LEASES = 64;

export class DhcpServer {
  /** By MAC, the longest unused first. */
  readonly #leases = new Map<string, number>();

  /** @returns the reply to a client's message, to be broadcast; undefined where there is none */
  answer(message: Uint8Array): Uint8Array | undefined {
    if (message.length < HEADER + 4 || message[0] !== BOOTREQUEST || message[1] !== 1 || message[2] !== 6)
      return undefined;
    if (get32(message, HEADER) !== MAGIC) return undefined;
    const options = readOptions(message.subarray(HEADER + 4));
    const mac = formatMac(message, 28);
    const server = address(options.get(OPTION_SERVER));
    switch (options.get(OPTION_TYPE)?.[0]) {
      case DISCOVER:
        return reply(message, OFFER, this.#lease(mac));
      case REQUEST: {
        // A client that has chosen another server is not ours.
        if (server !== undefined && server !== GATEWAY) return undefined;
        const ours = this.#lease(mac);
        const wanted = address(options.get(OPTION_REQUESTED)) ?? get32(message, 12);
        return wanted === ours ? reply(message, DHCP_ACK, ours) : reply(message, DHCP_NAK, 0);
      }
      case INFORM:
        return reply(message, DHCP_ACK, 0);
      case DECLINE:
      case RELEASE:
        // The address stays the MAC's as long as nobody else needs it: who comes again gets the same.
        return undefined;
      default:
        return undefined;
    }
  }

  #lease(mac: string): number {
    let lease = this.#leases.get(mac);
    if (lease === undefined) {
      lease = this.#leases.size < LEASES ? GUEST + this.#leases.size : this.#oldest();
    } else {
      this.#leases.delete(mac);
    }
    this.#leases.set(mac, lease);
    return lease;
  }

  #oldest(): number {
    const [[mac, lease]] = this.#leases;
    this.#leases.delete(mac);
    return lease;
  }

  clear(): void {
    this.#leases.clear();
  }
}

function readOptions(bytes: Uint8Array): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>();
  for (let at = 0; at < bytes.length && bytes[at] !== OPTION_END; ) {
    if (bytes[at] === OPTION_PAD) {
      at++;
      continue;
    }
    const end = at + 2 + (bytes[at + 1] ?? 0);
    if (end > bytes.length) break;
    options.set(bytes[at], bytes.subarray(at + 2, end));
    at = end;
  }
  return options;
}

function address(option: Uint8Array | undefined): number | undefined {
  return option?.length === 4 ? get32(option, 0) : undefined;
}

function reply(request: Uint8Array, type: number, lease: number): Uint8Array {
  const message = new Uint8Array(SHORTEST);
  message.set([BOOTREPLY, 1, 6, 0]);
  message.set(request.subarray(4, 8), 4); // xid
  message.set(request.subarray(10, 12), 10); // flags
  if (type !== DHCP_NAK) message.set(request.subarray(12, 16), 12); // ciaddr
  put32(message, 16, lease);
  message.set(request.subarray(28, 44), 28); // chaddr
  put32(message, HEADER, MAGIC);
  let at = HEADER + 4;
  const option = (code: number, ...values: number[]) => {
    message.set([code, values.length], at);
    message.set(values, at + 2);
    at += 2 + values.length;
  };
  const bytes = (value: number) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
  option(OPTION_TYPE, type);
  option(OPTION_SERVER, ...bytes(GATEWAY));
  if (type !== DHCP_NAK) {
    option(OPTION_MASK, ...bytes(NETMASK));
    option(OPTION_ROUTER, ...bytes(GATEWAY));
    option(OPTION_NAME_SERVER, ...bytes(NAME_SERVER));
    if (lease !== 0) option(OPTION_LEASE_TIME, ...bytes(LEASE_SECONDS));
  }
  message[at] = OPTION_END;
  return message;
}
