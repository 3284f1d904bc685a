/**
 * The world behind the stack, as the host's sockets show it. `host/` implements it; tests play it themselves. Addresses
 * are text here, as sockets want them.
 */

/** Why there is no connection. */
export type Failure = 'refused' | 'unreachable' | 'timeout';

export interface StreamEvents {
  connected(): void;
  /** Instead of `connected`. */
  failed(why: Failure): void;
  /** Bytes have come, valid only during the call. @returns false to hold the rest back until `resume` */
  data(bytes: Uint8Array): boolean;
  /** The other side sends no more. */
  ended(): void;
  /** `backlog` has become less. */
  drained(): void;
  /** It is over: both directions closed, or `broken` before that. */
  closed(broken: boolean): void;
}

/** A TCP connection of the host's. No event comes from within a call of one of its methods. */
export interface Stream {
  /** Copies what it is given. */
  write(bytes: Uint8Array): void;
  /** Bytes written and not yet taken by the host's kernel. */
  readonly backlog: number;
  /** Sends no more; reading goes on. */
  end(): void;
  resume(): void;
  /** Breaks it off, with a RST where the host can. No event follows. */
  reset(): void;
}

/** Longest piece that `StreamEvents.data` brings. */
export const STREAM_PIECE = 65536;

export interface DatagramEvents {
  /** Valid only during the call. */
  message(bytes: Uint8Array): void;
  /** Nobody listens there, or no way leads there. The socket can still be used. */
  failed(why: Failure): void;
}

/** A socket that talks with one peer: of UDP, or of ICMP for echo. */
export interface DatagramSocket {
  send(bytes: Uint8Array): void;
  close(): void;
}

/** What a name lookup asks for: DNS types A, AAAA, PTR. */
export type LookupType = 'A' | 'AAAA' | 'PTR';

/** Addresses, or names for PTR (perhaps none of this type); no such name; or it could not be asked. */
export type LookupResult = readonly string[] | 'unknown' | 'failed';

export interface Outside {
  connect(address: string, port: number, events: StreamEvents): Stream;
  datagrams(address: string, port: number, events: DatagramEvents): DatagramSocket;
  /**
   * A socket for ICMP's echo messages, which are sent and come whole; whose identifier they have is the host's affair.
   * @returns undefined where the host lets us have none
   */
  echo(address: string, events: DatagramEvents): DatagramSocket | undefined;
  /** Whether the host has an address that IPv6 leads out from. */
  hasIpv6(): boolean;
  /** Whether an address is one of the host's own: its interfaces'. */
  isOwn(address: string): boolean;
  /** Addresses (with port, where it is not 53) of the host's name servers; empty where there are none. */
  nameServers(): readonly { readonly address: string; readonly port: number }[];
  /** Asks the host's resolver. */
  lookup(name: string, type: LookupType, done: (answers: LookupResult) => void): void;
  /** 32 random bits, unsigned. */
  random(): number;
  /** Monotonic time in milliseconds. */
  now(): number;
}
