/**
 * A guest's TCP, as small as can be and not made of the stack's own parts: it keeps everything it has to send, repeats it
 * from the first unacknowledged byte on when it is told to, and takes only what comes in order. Good enough to talk over a
 * cable that loses, doubles and reorders.
 */
import { ACK, FIN, PSH, type Segment, SYN } from '../tcp/segment.js';
import { type TcpFields, tcpPacket } from './link.js';

const MSS = 1460;

export class GuestTcp {
  readonly #to: Pick<TcpFields, 'destination' | 'destinationPort' | 'sourcePort'>;
  readonly #first: number;
  readonly #data: Uint8Array;
  readonly received: number[] = [];
  /** Bytes of ours that are acknowledged, the SYN counted. */
  acknowledged = 0;
  #peerFirst: number | undefined;
  #peerEnded = false;
  #peerWindow = 0;
  #peerScale = 0;
  /** Whether ours follows the data. */
  readonly #ends: boolean;
  /** Bytes beyond what was received that we say there is room for, in units of 128. */
  window = 8192;

  constructor(to: Pick<TcpFields, 'destination' | 'destinationPort' | 'sourcePort'>, data: Uint8Array, ends = true) {
    this.#to = to;
    this.#first = 0xffff_fff0;
    this.#data = data;
    this.#ends = ends;
  }

  get isOpen(): boolean {
    return this.#peerFirst !== undefined && this.acknowledged > 0;
  }

  /** Everything is through, both ways. */
  get isDone(): boolean {
    return this.#peerEnded && this.acknowledged === 1 + this.#data.length + (this.#ends ? 1 : 0);
  }

  get peerEnded(): boolean {
    return this.#peerEnded;
  }

  /** Everything that is not acknowledged and fits the window, as packets. */
  send(): Uint8Array[] {
    if (!this.isOpen)
      return [this.#packet({ seq: this.#first, flags: SYN, options: [2, 4, MSS >> 8, MSS & 255, 1, 3, 3, 7] })];
    const packets: Uint8Array[] = [];
    const from = this.acknowledged - 1;
    const until = Math.min(this.#data.length, from + this.#peerWindow);
    for (let at = from; at < until; at += MSS) {
      const data = this.#data.subarray(at, Math.min(until, at + MSS));
      packets.push(this.#packet({ seq: this.#at(1 + at), flags: ACK | PSH, data }));
    }
    if (this.#ends && until === this.#data.length && from <= this.#data.length)
      packets.push(this.#packet({ seq: this.#at(1 + this.#data.length), flags: ACK | FIN }));
    return packets;
  }

  /** @returns the acknowledgement that the segment asks for */
  receive(segment: Segment): Uint8Array[] {
    const { flags, seq, ack, data, window } = segment;
    if ((flags & SYN) !== 0) {
      this.#peerFirst = seq;
      this.#peerScale = segment.windowScale ?? 0;
    }
    if (this.#peerFirst === undefined) return [];
    if ((flags & ACK) !== 0) {
      this.acknowledged = Math.max(this.acknowledged, (ack - this.#first) | 0);
      this.#peerWindow = window * 2 ** ((flags & SYN) !== 0 ? 0 : this.#peerScale);
    }
    const offset = ((seq - this.#peerFirst) | 0) - 1;
    if (offset >= 0 && offset <= this.received.length && !this.#peerEnded) {
      this.received.push(...data.subarray(this.received.length - offset));
      if ((flags & FIN) !== 0 && offset + data.length === this.received.length) this.#peerEnded = true;
    }
    const length = data.length + ((flags & (SYN | FIN)) !== 0 ? 1 : 0);
    return length > 0 ? [this.acknowledge()] : [];
  }

  acknowledge(): Uint8Array {
    return this.#packet({ seq: this.#at(Math.max(1, this.acknowledged)), flags: ACK });
  }

  #at(offset: number): number {
    return (this.#first + offset) >>> 0;
  }

  #packet(fields: Pick<TcpFields, 'seq' | 'flags' | 'data' | 'options'>): Uint8Array {
    const next = (this.#peerFirst ?? 0) + 1 + this.received.length + (this.#peerEnded ? 1 : 0);
    const isSyn = (fields.flags & SYN) !== 0;
    const window = isSyn ? 0xffff : this.window;
    return tcpPacket({ ...this.#to, ...fields, ack: isSyn ? 0 : next >>> 0, window });
  }
}
