/** A world that does what the test says, with a clock that the test moves. */
import type {
  DatagramEvents,
  DatagramSocket,
  LookupResult,
  LookupType,
  Outside,
  Stream,
  StreamEvents,
} from '../outside.js';

export class TestStream implements Stream {
  readonly written: Uint8Array[] = [];
  backlog = 0;
  isEnded = false;
  isReset = false;
  isHeld = false;
  /** Whether the outside takes what is written; else it piles up as backlog. */
  takes = true;
  readonly address: string;
  readonly port: number;
  readonly events: StreamEvents;

  constructor(address: string, port: number, events: StreamEvents) {
    this.address = address;
    this.port = port;
    this.events = events;
  }

  write(bytes: Uint8Array): void {
    if (this.isEnded) throw new Error('Written after the end.');
    this.written.push(bytes.slice());
    if (!this.takes) this.backlog += bytes.length;
  }

  /** Everything written so far. */
  get received(): Uint8Array {
    return concat(this.written);
  }

  /** Sends to the guest as much as it takes; the rest is returned. */
  deliver(bytes: Uint8Array): Uint8Array {
    let rest = bytes;
    while (rest.length > 0 && !this.isHeld) {
      this.isHeld = !this.events.data(rest.subarray(0, 65536));
      rest = rest.subarray(65536);
    }
    return rest;
  }

  end(): void {
    this.isEnded = true;
  }

  resume(): void {
    this.isHeld = false;
  }

  reset(): void {
    this.isReset = true;
  }
}

export class TestSocket implements DatagramSocket {
  readonly sent: Uint8Array[] = [];
  isClosed = false;
  readonly address: string;
  readonly port: number;
  readonly events: DatagramEvents;

  constructor(address: string, port: number, events: DatagramEvents) {
    this.address = address;
    this.port = port;
    this.events = events;
  }

  send(bytes: Uint8Array): void {
    if (this.isClosed) throw new Error('Sent after closing.');
    this.sent.push(bytes.slice());
  }

  close(): void {
    this.isClosed = true;
  }
}

export class TestOutside implements Outside {
  time = 0;
  readonly streams: TestStream[] = [];
  readonly sockets: TestSocket[] = [];
  readonly lookups: { name: string; type: LookupType; done: (answers: LookupResult) => void }[] = [];
  own = ['192.168.1.2'];
  ipv6 = true;
  /** Sockets for echo; their port is 0. */
  readonly echoes: TestSocket[] = [];
  mayEcho = false;
  servers: { address: string; port: number }[] = [];
  #seed = 1;

  connect(address: string, port: number, events: StreamEvents): Stream {
    const stream = new TestStream(address, port, events);
    this.streams.push(stream);
    return stream;
  }

  datagrams(address: string, port: number, events: DatagramEvents): DatagramSocket {
    const socket = new TestSocket(address, port, events);
    this.sockets.push(socket);
    return socket;
  }

  echo(address: string, events: DatagramEvents): DatagramSocket | undefined {
    if (!this.mayEcho) return undefined;
    const socket = new TestSocket(address, 0, events);
    this.echoes.push(socket);
    return socket;
  }

  hasIpv6(): boolean {
    return this.ipv6;
  }

  isOwn(address: string): boolean {
    return this.own.includes(address);
  }

  nameServers(): readonly { address: string; port: number }[] {
    return this.servers;
  }

  lookup(name: string, type: LookupType, done: (answers: LookupResult) => void): void {
    this.lookups.push({ name, type, done });
  }

  /** Near the end of the sequence numbers, so that they wrap. */
  random(): number {
    return 0xffff_ff00 + (this.#seed++ & 0x7f);
  }

  now(): number {
    return this.time;
  }
}

export function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
