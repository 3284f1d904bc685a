/** The world as Node's sockets show it (`net/outside.ts`). */
import { randomInt } from 'node:crypto';
import { lookup, lookupService, Resolver } from 'node:dns';
import { networkInterfaces } from 'node:os';
import type {
  DatagramEvents,
  DatagramSocket,
  LookupResult,
  LookupType,
  Outside,
  Stream,
  StreamEvents,
} from '../../../net/outside.js';
import { NodeDatagrams } from './datagrams.js';
import { NodeEcho } from './echo.js';
import { NodeStream } from './streams.js';

/** Interfaces and name servers of the host change, but not while a page is loading (ms). */
const FRESH = 1000;
const DNS_PORT = 53;

export interface NodeOutsideOptions {
  /** The host itself may be reached. */
  readonly hostLoopback: boolean;
  /** Called after every event. */
  readonly wake: () => void;
}

export class NodeOutside implements Outside {
  readonly #options: NodeOutsideOptions;
  #own = new Set<string>();
  #hasIpv6 = false;
  #ownAt = Number.NEGATIVE_INFINITY;
  #servers: { address: string; port: number }[] = [];
  #serversAt = Number.NEGATIVE_INFINITY;

  constructor(options: NodeOutsideOptions) {
    this.#options = options;
  }

  connect(address: string, port: number, events: StreamEvents): Stream {
    return NodeStream.connect(
      address,
      port,
      this.waking(events),
      (socket) => socket.localAddress === socket.remoteAddress && this.#isForbidden(address, port),
    );
  }

  datagrams(address: string, port: number, events: DatagramEvents): DatagramSocket {
    return new NodeDatagrams(
      address,
      port,
      this.#wakingDatagrams(events),
      (socket) => socket.address().address === socket.remoteAddress().address && this.#isForbidden(address, port),
    );
  }

  echo(address: string, events: DatagramEvents): DatagramSocket | undefined {
    return NodeEcho.open(address, this.#wakingDatagrams(events));
  }

  #wakingDatagrams(events: DatagramEvents): DatagramEvents {
    const { wake } = this.#options;
    return {
      message: (bytes) => {
        events.message(bytes);
        wake();
      },
      failed: (why) => {
        events.failed(why);
        wake();
      },
    };
  }

  /** The events of a stream, with a look at everything after each. */
  waking(events: StreamEvents): StreamEvents {
    const { wake } = this.#options;
    const after = <T extends unknown[], R>(what: (...args: T) => R) => {
      return (...args: T): R => {
        const result = what(...args);
        wake();
        return result;
      };
    };
    return {
      connected: after(() => events.connected()),
      failed: after((why) => events.failed(why)),
      data: after((bytes) => events.data(bytes)),
      ended: after(() => events.ended()),
      drained: after(() => events.drained()),
      closed: after((broken) => events.closed(broken)),
    };
  }

  /** An address that leads back to the host and that no interface has (a local route); its name servers are our own affair. */
  #isForbidden(address: string, port: number): boolean {
    return !this.#options.hostLoopback && !this.nameServers().some((s) => s.address === address && s.port === port);
  }

  isOwn(address: string): boolean {
    this.#lookAtInterfaces();
    return this.#own.has(address);
  }

  hasIpv6(): boolean {
    this.#lookAtInterfaces();
    return this.#hasIpv6;
  }

  #lookAtInterfaces(): void {
    if (this.now() - this.#ownAt <= FRESH) return;
    this.#ownAt = this.now();
    const entries = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
    this.#own = new Set(entries.map(({ address }) => address));
    // Every interface has an address that is good on its own cable only.
    this.#hasIpv6 = entries.some((entry) => entry.family === 'IPv6' && !entry.internal && entry.scopeid === 0);
  }

  nameServers(): readonly { readonly address: string; readonly port: number }[] {
    if (this.now() - this.#serversAt > FRESH) {
      this.#serversAt = this.now();
      // A new one reads the host's configuration again.
      this.#servers = new Resolver().getServers().map(parseServer);
    }
    return this.#servers;
  }

  lookup(name: string, type: LookupType, done: (answers: LookupResult) => void): void {
    const tell = (answers: LookupResult) => {
      done(answers);
      this.#options.wake();
    };
    const failed = ({ code }: NodeJS.ErrnoException) => tell(code === 'ENOTFOUND' ? 'unknown' : 'failed');
    if (type === 'PTR') {
      const parts = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\.in-addr\.arpa$/i.exec(name);
      if (parts === null || parts.slice(1).some((part) => Number(part) > 255)) {
        setImmediate(tell, 'unknown');
        return;
      }
      const address = parts.slice(1).reverse().join('.');
      lookupService(address, 0, (error, host) => {
        if (error) failed(error);
        else tell(host === address ? 'unknown' : [host]);
      });
      return;
    }
    lookup(name, { all: true }, (error, addresses) => {
      if (error) failed(error);
      else tell(addresses.filter(({ family }) => family === (type === 'A' ? 4 : 6)).map(({ address }) => address));
    });
  }

  random(): number {
    return randomInt(2 ** 32);
  }

  now(): number {
    return performance.now();
  }
}

/** As `getServers` writes them: with a port where it is not 53, and brackets around an IPv6 address then. */
function parseServer(text: string): { address: string; port: number } {
  const match = /^\[(.+)\]:(\d+)$/.exec(text) ?? /^([\d.]+):(\d+)$/.exec(text);
  return match ? { address: match[1], port: Number(match[2]) } : { address: text, port: DNS_PORT };
}
