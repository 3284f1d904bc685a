/**
 * The host's end of the guest's sockets (virtio 1.2, 5.10.6): one connection for each pair of ports, with its credit both
 * ways, on streams of the host. What the guest asks for it connects by `Streams`; what the host begins comes by `accept`.
 *
 * Nothing grows without bound: a stream is read only as far as the guest has room, the guest may send only as much as we
 * have told it, and where answers can't go out no more questions are taken.
 */
import {
  HEADER_LENGTH,
  HOST_CID,
  LONGEST_PAYLOAD,
  Op,
  type PacketHeader,
  readHeader,
  SHUTDOWN_RECEIVE,
  SHUTDOWN_SEND,
  TYPE_STREAM,
  writeHeader,
} from './header.js';

/** Bytes of one connection that the guest may have on their way to the host. */
const BUF_ALLOC = 256 * 1024;
/** The guest is told of room that has come free when it is so much. */
const WORTH_TELLING = BUF_ALLOC / 4;
export const MOST_CONNECTIONS = 1024;
/** Answers that wait for room; questions wait from then on. */
const MOST_WAITING = 256;
/** Ports of connections that the host begins: high ones, as Firecracker has them. */
const FIRST_HOST_PORT = 2 ** 30;

/** A stream of the host. Calls none of the events from within its methods. */
export interface HostStream {
  /** Hands bytes on, which are valid only during the call. `taken` is called when they have gone. */
  write(bytes: Uint8Array, taken: () => void): void;
  /** No more will be written. */
  end(): void;
  /** Reads on, or holds `onData` back. */
  flow(on: boolean): void;
  destroy(): void;
}

export interface StreamEvents {
  /** It is connected. */
  onOpen(): void;
  /** Bytes, whose memory is the receiver's. */
  onData(bytes: Uint8Array): void;
  /** The other side sends no more. */
  onEnd(): void;
  /** It is gone, or could not be connected. */
  onClose(): void;
}

export interface Streams {
  /** Begins to connect to what the host has at a port. */
  connect(port: number, events: StreamEvents): HostStream;
}

/** Room for a packet to the guest: undefined where there is none now; `service` is then to be called later. */
export interface PacketSink {
  reserve(length: number): Uint8Array | undefined;
  commit(): void;
}

interface Connection extends StreamEvents {
  readonly hostPort: number;
  readonly guestPort: number;
  stream: HostStream | undefined;
  open: boolean;
  /** Host to guest: bytes read of the stream and not sent yet, what was sent, and the guest's credit. */
  pending: Uint8Array[];
  sent: number;
  peerAlloc: number;
  peerForwarded: number;
  /** Guest to host: what came, what the stream has taken, and of that what the guest knows. */
  received: number;
  forwarded: number;
  told: number;
  /** The stream has ended; the guest sends, receives no more; what we have told it of ours. */
  ended: boolean;
  guestShut: number;
  shut: number;
  /** For connections that the host has begun: the guest's answer. */
  accepted: ((hostPort: number) => void) | undefined;
}

export class VsockSwitch {
  private readonly cid: number;
  private readonly streams: Streams;
  private readonly sink: PacketSink;
  private readonly wake: () => void;
  private readonly connections = new Map<string, Connection>();
  /** Packets without payload that wait for room. */
  private readonly answers: PacketHeader[] = [];
  private nextPort = FIRST_HOST_PORT;

  /** @param wake asks for `service` soon */
  constructor(options: { cid: number; streams: Streams; sink: PacketSink; wake: () => void }) {
    this.cid = options.cid;
    this.streams = options.streams;
    this.sink = options.sink;
    this.wake = options.wake;
  }

  get size(): number {
    return this.connections.size;
  }

  // ---- from the host -------------------------------------------------------------------------------------------

  /**
   * The host wants a connection to a port of the guest.
   * @param stream made of the events that it is to report
   * @param accepted called with our port when the guest has agreed, before any of its bytes
   * @returns false where there are too many
   */
  accept(guestPort: number, stream: (events: StreamEvents) => HostStream, accepted: (port: number) => void): boolean {
    if (this.connections.size >= MOST_CONNECTIONS) return false;
    while (this.connections.has(keyOf(this.nextPort, guestPort))) this.advancePort();
    const connection = this.add(this.nextPort, guestPort);
    this.advancePort();
    connection.accepted = accepted;
    connection.stream = stream(connection);
    connection.stream.flow(false);
    this.answer(connection, Op.request);
    return true;
  }

  /** Sends what waits for the guest, as far as there is room. */
  service(): void {
    while (this.answers.length > 0) {
      if (!this.put(this.answers[0])) return;
      this.answers.shift();
    }
    let progress = true;
    while (progress) {
      progress = false;
      for (const connection of this.connections.values()) {
        const sent = this.sendData(connection);
        if (sent === 'full') return;
        if (sent === 'some') progress = true;
      }
    }
  }

  /** A new life of the guest: every connection is over. */
  clear(): void {
    for (const connection of [...this.connections.values()]) this.remove(connection);
    this.answers.length = 0;
  }

  // ---- from the guest ------------------------------------------------------------------------------------------

  /** A packet from the guest, valid during the call. @returns false where it can't be taken now */
  receive(packet: Uint8Array): boolean {
    if (this.answers.length >= MOST_WAITING) return false;
    const header = readHeader(packet);
    // Whose packet it is not is dropped; there is no other machine to bring it to (5.10.6.1).
    if (header.sourceCid !== this.cid || header.destinationCid !== HOST_CID) return true;
    const connection = this.connections.get(keyOf(header.destinationPort, header.sourcePort));
    if (header.type !== TYPE_STREAM) this.refuse(header);
    else if (header.op === Op.request && connection === undefined) this.connect(header);
    else if (connection === undefined) this.refuse(header);
    else this.handle(connection, header, packet.subarray(HEADER_LENGTH));
    this.wake();
    return true;
  }

  private connect(header: PacketHeader): void {
    if (this.connections.size >= MOST_CONNECTIONS) {
      this.refuse(header);
      return;
    }
    const connection = this.add(header.destinationPort, header.sourcePort);
    this.learnCredit(connection, header);
    connection.stream = this.streams.connect(header.destinationPort, connection);
  }

  private handle(connection: Connection, header: PacketHeader, payload: Uint8Array): void {
    this.learnCredit(connection, header);
    switch (header.op) {
      case Op.response:
        if (connection.open || connection.accepted === undefined) this.reset(connection);
        else this.opened(connection);
        return;
      case Op.rst:
        this.remove(connection);
        return;
      case Op.shutdown:
        this.shutByGuest(connection, header.flags);
        return;
      case Op.rw:
        this.take(connection, payload);
        return;
      case Op.creditUpdate:
        return;
      case Op.creditRequest:
        this.answer(connection, Op.creditUpdate);
        return;
      default:
        // Among them a second request.
        this.reset(connection);
    }
  }

  private opened(connection: Connection): void {
    const { accepted } = connection;
    connection.open = true;
    connection.accepted = undefined;
    accepted?.(connection.hostPort);
    connection.stream?.flow(true);
  }

  private take(connection: Connection, payload: Uint8Array): void {
    const inFlight = (connection.received - connection.forwarded) >>> 0;
    // More than it was told that there is room for, or after it has said that no more comes.
    if (!connection.open || (connection.guestShut & SHUTDOWN_SEND) !== 0 || inFlight + payload.length > BUF_ALLOC) {
      this.reset(connection);
      return;
    }
    connection.received = (connection.received + payload.length) >>> 0;
    const { length } = payload;
    connection.stream?.write(payload, () => {
      connection.forwarded = (connection.forwarded + length) >>> 0;
      if (this.has(connection) && (connection.forwarded - connection.told) >>> 0 >= WORTH_TELLING) {
        this.answer(connection, Op.creditUpdate);
        this.wake();
      }
      this.finish(connection);
    });
  }

  private shutByGuest(connection: Connection, flags: number): void {
    const { stream } = connection;
    const before = connection.guestShut;
    connection.guestShut |= flags & (SHUTDOWN_RECEIVE | SHUTDOWN_SEND);
    const now = connection.guestShut & ~before;
    if ((now & SHUTDOWN_SEND) !== 0) stream?.end();
    if ((now & SHUTDOWN_RECEIVE) !== 0) {
      connection.pending = [];
      // What the host still sends is read and forgotten.
      stream?.flow(true);
    }
    this.finish(connection);
  }

  // ---- connections ---------------------------------------------------------------------------------------------

  private add(hostPort: number, guestPort: number): Connection {
    const connection: Connection = {
      hostPort,
      guestPort,
      stream: undefined,
      open: false,
      pending: [],
      sent: 0,
      peerAlloc: 0,
      peerForwarded: 0,
      received: 0,
      forwarded: 0,
      told: 0,
      ended: false,
      guestShut: 0,
      shut: 0,
      accepted: undefined,
      onOpen: () => {
        if (!this.has(connection)) return;
        connection.open = true;
        this.answer(connection, Op.response);
        this.wake();
      },
      onData: (bytes) => {
        if (!this.has(connection) || (connection.guestShut & SHUTDOWN_RECEIVE) !== 0) return;
        // One piece at a time: `sendData` reads on when it has gone.
        connection.stream?.flow(false);
        connection.pending.push(bytes);
        this.wake();
      },
      onEnd: () => {
        connection.ended = true;
        this.wake();
      },
      onClose: () => {
        if (!this.has(connection)) return;
        connection.stream = undefined;
        connection.ended = true;
        // One that never was connected, or has lost bytes of the guest's, is refused.
        if (!connection.open || connection.received !== connection.forwarded) this.reset(connection);
        this.finish(connection);
        this.wake();
      },
    };
    this.connections.set(keyOf(hostPort, guestPort), connection);
    return connection;
  }

  private has(connection: Connection): boolean {
    return this.connections.get(keyOf(connection.hostPort, connection.guestPort)) === connection;
  }

  private remove(connection: Connection): void {
    if (!this.has(connection)) return;
    this.connections.delete(keyOf(connection.hostPort, connection.guestPort));
    connection.stream?.destroy();
  }

  private reset(connection: Connection): void {
    if (!this.has(connection)) return;
    this.answer(connection, Op.rst);
    this.remove(connection);
  }

  /** When neither side has anything more to say: the guest is waiting for RST (5.10.6.5). */
  private finish(connection: Connection): void {
    const { guestShut, received, forwarded, pending, stream } = connection;
    const guestDone = (guestShut & SHUTDOWN_SEND) !== 0 && received === forwarded;
    const hostDone =
      (guestShut & SHUTDOWN_RECEIVE) !== 0 || (connection.ended && pending.length === 0 && connection.shut !== 0);
    if (guestDone && hostDone) this.reset(connection);
    // The stream is gone and has been heard out, but the guest may go on talking to nobody.
    else if (stream === undefined && connection.open && pending.length === 0 && connection.shut !== 0)
      this.tellShut(connection, SHUTDOWN_RECEIVE | SHUTDOWN_SEND);
  }

  private tellShut(connection: Connection, flags: number): void {
    if ((connection.shut | flags) === connection.shut) return;
    connection.shut |= flags;
    this.answers.push(this.headerFor(connection, Op.shutdown, 0, connection.shut));
  }

  private learnCredit(connection: Connection, { bufAlloc, fwdCnt }: PacketHeader): void {
    connection.peerAlloc = bufAlloc;
    connection.peerForwarded = fwdCnt;
  }

  // ---- to the guest --------------------------------------------------------------------------------------------

  private sendData(connection: Connection): 'none' | 'some' | 'full' {
    const { pending } = connection;
    if (!connection.open) return 'none';
    if (pending.length === 0) {
      if (connection.ended && connection.shut === 0) {
        const flags = connection.stream === undefined ? SHUTDOWN_RECEIVE | SHUTDOWN_SEND : SHUTDOWN_SEND;
        if (!this.put(this.headerFor(connection, Op.shutdown, 0, flags))) return 'full';
        connection.shut = flags;
        this.finish(connection);
      }
      return 'none';
    }
    const inFlight = (connection.sent - connection.peerForwarded) >>> 0;
    const length = Math.min(pending[0].length, LONGEST_PAYLOAD, Math.max(0, connection.peerAlloc - inFlight));
    // No credit: the stream waits until the guest says more.
    if (length === 0) return 'none';
    if (!this.put(this.headerFor(connection, Op.rw, length), pending[0].subarray(0, length))) return 'full';
    connection.sent = (connection.sent + length) >>> 0;
    if (length === pending[0].length) pending.shift();
    else pending[0] = pending[0].subarray(length);
    if (pending.length === 0) connection.stream?.flow(true);
    return 'some';
  }

  private answer(connection: Connection, op: number): void {
    this.answers.push(this.headerFor(connection, op));
  }

  private refuse({ sourcePort, destinationPort, op, type }: PacketHeader): void {
    // A refusal is not refused.
    if (op === Op.rst) return;
    this.answers.push({ ...this.blank(destinationPort, sourcePort), op: Op.rst, type });
  }

  private headerFor(connection: Connection, op: number, length = 0, flags = 0): PacketHeader {
    connection.told = connection.forwarded;
    return {
      ...this.blank(connection.hostPort, connection.guestPort),
      op,
      length,
      flags,
      bufAlloc: BUF_ALLOC,
      fwdCnt: connection.forwarded,
    };
  }

  private blank(hostPort: number, guestPort: number): PacketHeader {
    return {
      sourceCid: HOST_CID,
      destinationCid: this.cid,
      sourcePort: hostPort,
      destinationPort: guestPort,
      length: 0,
      type: TYPE_STREAM,
      op: Op.rst,
      flags: 0,
      bufAlloc: 0,
      fwdCnt: 0,
    };
  }

  private put(header: PacketHeader, payload?: Uint8Array): boolean {
    const room = this.sink.reserve(HEADER_LENGTH + header.length);
    if (room === undefined) return false;
    writeHeader(room, header);
    if (payload !== undefined) room.set(payload, HEADER_LENGTH);
    this.sink.commit();
    return true;
  }

  private advancePort(): void {
    this.nextPort = this.nextPort === 0xffff_fffe ? FIRST_HOST_PORT : this.nextPort + 1;
  }
}

function keyOf(hostPort: number, guestPort: number): string {
  return `${hostPort}:${guestPort}`;
}
