/** All TCP connections of a guest: found by their four numbers, bounded in number and memory, timed and served in turn. */
import { type Address, leadsNowhere } from '../address6.js';
import { copyOf, type Datagram, PROTOCOL_TCP } from '../datagram.js';
import { type IcmpError, PROHIBITED } from '../icmp.js';
import type { Link } from '../link.js';
import type { Outside } from '../outside.js';
import { TcpConnection, type TcpPath, type TcpSurroundings } from './connection.js';
import { ACK, FIN, RST, readSegment, type Segment, SYN, sendSegment } from './segment.js';
import { add } from './sequence.js';

/** Connections at a time; what comes on top must wait until others have ended. */
export const MOST_CONNECTIONS = 512;
/** Bytes of all connections in each direction, shared evenly: many connections get less each. */
const MEMORY = 64 * 2 ** 20;
const LARGEST_SHARE = 2 ** 20;
const SMALLEST_SHARE = 128 * 1024;
/** Ports that a forwarded connection may seem to come from, where its own is taken. */
const FIRST_FREE_PORT = 49152;

/** Where the guest's connections lead: an address of the outside, or a refusal. */
export type TcpTarget = { readonly address: string; readonly port: number } | 'refused' | 'prohibited';

export interface TcpEnvironment {
  readonly link: Link;
  readonly outside: Outside;
  /** Where a connection of the guest's to this address and port leads. */
  target(address: Address, port: number): TcpTarget;
  macOf(guest: Address): Uint8Array | undefined;
  /** Reports an error about a datagram of the guest's. */
  complain(error: IcmpError, about: Datagram): void;
}

interface Entry {
  readonly key: string;
  readonly connection: TcpConnection;
  /** The SYN that the guest sent, for ICMP errors about it. */
  readonly syn: Datagram | undefined;
}

export class TcpTable implements TcpSurroundings {
  readonly link: Link;
  readonly #environment: TcpEnvironment;
  readonly #entries = new Map<string, Entry>();
  readonly #keys = new Map<TcpConnection, string>();
  readonly #ready = new Set<TcpConnection>();
  /** A moment before which no timer is due. */
  #nextTimer = Number.POSITIVE_INFINITY;

  constructor(environment: TcpEnvironment) {
    this.#environment = environment;
    this.link = environment.link;
  }

  get size(): number {
    return this.#entries.size;
  }

  // ---- what connections need ---------------------------------------------------------------------------------------

  now(): number {
    return this.#environment.outside.now();
  }

  random(): number {
    return this.#environment.outside.random();
  }

  macOf(guest: Address): Uint8Array | undefined {
    return this.#environment.macOf(guest);
  }

  share(): number {
    return Math.max(SMALLEST_SHARE, Math.min(LARGEST_SHARE, MEMORY / this.#entries.size));
  }

  ready(connection: TcpConnection): void {
    this.#ready.add(connection);
  }

  unreachable(connection: TcpConnection, error: IcmpError): void {
    const syn = this.#entries.get(this.#keys.get(connection) ?? '')?.syn;
    if (syn !== undefined) this.#environment.complain(error, syn);
  }

  closed(connection: TcpConnection): void {
    const key = this.#keys.get(connection);
    this.#keys.delete(connection);
    this.#ready.delete(connection);
    if (key !== undefined) this.#entries.delete(key);
  }

  // ---- coming in ---------------------------------------------------------------------------------------------------

  /** A datagram from the guest. @param trusted its checksum has been left undone, or checked */
  receive(datagram: Datagram, trusted: boolean): void {
    const segment = readSegment(datagram, trusted);
    if (segment === undefined) return;
    const path: TcpPath = {
      guest: datagram.source,
      guestPort: segment.sourcePort,
      remote: datagram.destination,
      remotePort: segment.destinationPort,
    };
    const known = this.#entries.get(keyOf(path))?.connection;
    const opens = (segment.flags & (SYN | ACK | RST)) === SYN;
    if (known !== undefined && opens && known.reusable(segment)) known.abort();
    else if (known !== undefined) {
      known.receive(segment);
      return;
    }
    if (opens) this.#open(path, segment, datagram);
    else if ((segment.flags & RST) === 0) this.#refuse(path, segment);
  }

  #open(path: TcpPath, segment: Segment, datagram: Datagram): void {
    if (path.guestPort === 0 || path.remotePort === 0 || leadsNowhere(path.remote)) return;
    const target = this.#environment.target(path.remote, path.remotePort);
    if (target === 'refused') {
      this.#refuse(path, segment);
      return;
    }
    if (target === 'prohibited') {
      this.#environment.complain(PROHIBITED, datagram);
      return;
    }
    // No answer: the guest tries again, when there may be room.
    if (!this.#makeRoom()) return;
    const connection = new TcpConnection(path, this, segment);
    this.#add(connection, copyOf(datagram));
    connection.attach(this.#environment.outside.connect(target.address, target.port, connection));
  }

  /**
   * A connection from outside to a port of the guest.
   * @returns the connection, whose events `stream` has to report; undefined where there are too many
   */
  openToGuest(from: Pick<TcpPath, 'remote' | 'remotePort'>, guest: Address, port: number): TcpConnection | undefined {
    if (!this.#makeRoom()) return undefined;
    let path: TcpPath = { guest, guestPort: port, ...from };
    for (let free = FIRST_FREE_PORT; this.#entries.has(keyOf(path)); free++) path = { ...path, remotePort: free };
    const connection = new TcpConnection(path, this, undefined);
    this.#add(connection, undefined);
    return connection;
  }

  #add(connection: TcpConnection, syn: Datagram | undefined): void {
    const key = keyOf(connection.path);
    this.#entries.set(key, { key, connection, syn });
    this.#keys.set(connection, key);
  }

  /** Room for one more, if need be of one that has ended. */
  #makeRoom(): boolean {
    if (this.#entries.size < MOST_CONNECTIONS) return true;
    for (const { connection } of this.#entries.values()) {
      if (connection.phase !== 'time-wait') continue;
      connection.abort();
      return true;
    }
    return false;
  }

  /** Answers a segment that belongs to no connection (RFC 9293, 3.10.7.1). */
  #refuse(path: TcpPath, segment: Segment): void {
    const mac = this.#environment.macOf(path.guest);
    if (mac === undefined) return;
    const acks = (segment.flags & ACK) !== 0;
    const length = segment.data.length + ((segment.flags & SYN) !== 0 ? 1 : 0) + ((segment.flags & FIN) !== 0 ? 1 : 0);
    sendSegment(
      this.link,
      { protocol: PROTOCOL_TCP, source: path.remote, destination: path.guest, mac },
      {
        sourcePort: path.remotePort,
        destinationPort: path.guestPort,
        seq: acks ? segment.ack : 0,
        ack: acks ? 0 : add(segment.seq, length),
        flags: acks ? RST : RST | ACK,
        window: 0,
        length: 0,
      },
    );
  }

  // ---- going out ---------------------------------------------------------------------------------------------------

  /** Lets each connection send what it has, in turn. @returns false where the link is full: call again when it is not */
  service(): boolean {
    while (this.#ready.size > 0) {
      for (const connection of [...this.#ready]) {
        this.#ready.delete(connection);
        const outcome = connection.service();
        this.#nextTimer = Math.min(this.#nextTimer, connection.deadline);
        // Behind the others.
        if (outcome !== 'done') this.#ready.add(connection);
        if (outcome === 'blocked') return false;
      }
    }
    return true;
  }

  /** When `onTimer` must be called; Infinity for never. It may be called early. */
  get nextTimer(): number {
    return this.#nextTimer;
  }

  onTimer(): void {
    const now = this.now();
    if (now < this.#nextTimer) return;
    this.#nextTimer = Number.POSITIVE_INFINITY;
    for (const { connection } of [...this.#entries.values()]) {
      if (connection.deadline <= now) connection.onTimer(now);
      this.#nextTimer = Math.min(this.#nextTimer, connection.deadline);
    }
  }

  /** A guest's MAC has become known. */
  onNeighbour(guest: Address): void {
    for (const { connection } of this.#entries.values()) if (connection.path.guest === guest) connection.retry();
  }

  /** Breaks all connections off, without a word to the guest: it has just been born. */
  clear(): void {
    for (const { connection } of [...this.#entries.values()]) connection.forget();
  }
}

function keyOf({ guest, guestPort, remote, remotePort }: TcpPath): string {
  return `${guest}:${guestPort} ${remote}:${remotePort}`;
}
