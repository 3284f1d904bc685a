/**
 * ICMP's echo without rights: Linux has sockets for it, which those groups may use that net.ipv4.ping_group_range names
 * (icmp(7)). The kernel puts an identifier of its own into what is sent, and hands over only what answers that.
 */
import { isIPv6 } from 'node:net';
import { parseIpv4, put32 } from '../../../net/address.js';
import { ipv6 } from '../../../net/address6.js';
import type { DatagramEvents, DatagramSocket } from '../../../net/outside.js';
import { EAGAIN, type Libc, loadLibc, type Watch } from '../ffi/libc.js';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const LONGEST = 65536;

export class NodeEcho implements DatagramSocket {
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #events: DatagramEvents;
  readonly #watch: Watch;
  readonly #bytes = new Uint8Array(LONGEST);
  #isClosed = false;

  private constructor(libc: Libc, fd: number, events: DatagramEvents) {
    this.#libc = libc;
    this.#fd = fd;
    this.#events = events;
    this.#watch = libc.watch(fd, () => this.#receive());
  }

  /** @returns undefined where the system lets us have no such socket, or no way leads to the address */
  static open(address: string, events: DatagramEvents): NodeEcho | undefined {
    let libc: Libc;
    let fd: number;
    const v6 = isIPv6(address);
    try {
      libc = loadLibc();
      const type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
      fd = libc.socket(v6 ? AF_INET6 : AF_INET, type, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
    } catch {
      return undefined;
    }
    try {
      libc.connect(fd, v6 ? sockaddr6(address) : sockaddr4(address));
      return new NodeEcho(libc, fd, events);
    } catch {
      libc.close(fd);
      return undefined;
    }
  }

  send(bytes: Uint8Array): void {
    // What can't be sent is lost: whoever waits for an answer learns that by waiting.
    if (!this.#isClosed) this.#libc.tryWrite(this.#fd, bytes);
  }

  #receive(): void {
    while (!this.#isClosed) {
      const length = this.#libc.tryRead(this.#fd, this.#bytes);
      if (length < 0) {
        if (this.#libc.errno() !== EAGAIN) this.#events.failed('unreachable');
        return;
      }
      this.#events.message(this.#bytes.subarray(0, length));
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch.close();
    this.#libc.close(this.#fd);
  }
}

/** struct sockaddr_in: family in the machine's order, port, address in the network's. */
function sockaddr4(address: string): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes[0] = AF_INET;
  put32(bytes, 4, parseIpv4(address) ?? 0);
  return bytes;
}

/** struct sockaddr_in6: family, port, flow, address, scope. */
function sockaddr6(address: string): Uint8Array {
  const bytes = new Uint8Array(28);
  bytes[0] = AF_INET6;
  bytes.set(ipv6(address).bytes, 8);
  return bytes;
}
