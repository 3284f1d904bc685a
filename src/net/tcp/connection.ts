/**
 * One TCP connection between the guest and the outside (RFC 9293). Toward the guest it is a TCP of its own; the other end is
 * one of the host's sockets (`outside.ts`). A connection that the guest opens is answered when the outside has answered,
 * and one that comes from outside is opened toward the guest; either half may end before the other.
 */
import type { Address } from '../address6.js';
import { type Envelope, PROTOCOL_TCP } from '../datagram.js';
import type { IcmpError } from '../icmp.js';
import { HOST_UNREACHABLE } from '../icmp.js';
import { headerLengthOf } from '../ip.js';
import type { Link } from '../link.js';
import { type Failure, STREAM_PIECE, type Stream, type StreamEvents } from '../outside.js';
import { MTU } from '../subnet.js';
import { Congestion } from './congestion.js';
import { FIRST_WINDOW, Receiver } from './receiver.js';
import { ACK, FIN, PSH, RST, type Segment, SYN, sendSegment, TCP_HEADER } from './segment.js';
import { SendBuffer } from './send-buffer.js';
import { add, distance, later } from './sequence.js';
import { RetransmissionTimer } from './timing.js';

/** Windows up to 2 MiB. */
const WINDOW_SCALE = 5;
/** Of a peer that names none (RFC 9293, 3.7.1), and the least that we believe: a smaller one would be an attack on our time. */
const DEFAULT_MSS = 536;
const LEAST_MSS = 88;
/** Longest piece that goes out as one: an IP packet of 64 KiB, in either family. */
const LONGEST_PIECE = 65535 - 20 - TCP_HEADER;
/** Pieces that one connection sends before it is the others' turn. */
const PIECES_AT_A_TIME = 4;
/** Retransmissions before the guest counts as gone. */
const RETRIES = 8;
/** The longest pause between two tries to open a connection to a guest that may still be booting. */
const OPENING_PAUSE = 3000;
const OPENING_TRIES = 20;
/** RFC 9293 wants two maximum segment lifetimes; on this cable a segment lives for microseconds. */
const TIME_WAIT = 5000;
const KEEP_ALIVE_AFTER = 10 * 60_000;
const KEEP_ALIVE_EVERY = 30_000;
/** A little data is acknowledged with what is sent anyway, or after this time (RFC 9293, 3.8.6.3, allows 500). */
const ACK_DELAY = 5;

/** The four numbers that name a connection. */
export interface TcpPath {
  readonly guest: Address;
  readonly guestPort: number;
  readonly remote: Address;
  readonly remotePort: number;
}

/** What a connection needs of the stack. */
export interface TcpSurroundings {
  readonly link: Link;
  now(): number;
  random(): number;
  /** The guest's MAC; where it is not known yet it is asked for. */
  macOf(guest: Address): Uint8Array | undefined;
  /** Bytes that one connection may hold in each direction. */
  share(): number;
  /** The connection wants `service` to be called soon. */
  ready(connection: TcpConnection): void;
  /** The connection was refused for a reason that ICMP tells. */
  unreachable(connection: TcpConnection, error: IcmpError): void;
  closed(connection: TcpConnection): void;
}

type Phase =
  /** The guest's SYN waits for the outside. */
  | 'connecting'
  /** Our SYN waits for the guest. */
  | 'syn-sent'
  | 'syn-received'
  | 'open'
  | 'time-wait'
  | 'closed';

export class TcpConnection implements StreamEvents {
  readonly path: TcpPath;
  readonly #around: TcpSurroundings;
  /** The longest segment that we take. */
  readonly #ownMss: number;
  readonly #buffer = new SendBuffer();
  readonly #rto = new RetransmissionTimer();
  readonly #congestion = new Congestion();
  #stream: Stream | undefined;
  #receiver: Receiver;
  #phase: Phase;

  /** Our first number; what is unacknowledged, what comes next, and the highest ever sent. */
  readonly #first: number;
  #una: number;
  #nxt: number;
  #max: number;
  /** The guest's window in bytes, the segment that told it, and the largest seen. */
  #window = 0;
  #windowSeq = 0;
  #windowAck = 0;
  #largestWindow = 0;
  #scale = 0;
  #mss = DEFAULT_MSS;
  /** The outside has ended: a FIN follows the buffer. Whether it, and the guest's, are through. */
  #finQueued = false;
  #finAcked = false;
  #guestEnded = false;
  /** Whether the guest was the first to end. */
  #passive = false;
  #held = false;
  #ackNow = false;
  /** When an acknowledgement is due that can wait, and of how many bytes. */
  #ackAt = Number.POSITIVE_INFINITY;
  #unacknowledged = 0;
  /** When the timer is due, and how often it has been in vain. */
  #deadline = Number.POSITIVE_INFINITY;
  #tries = 0;
  /** Whether the timer waits for a window that is closed. */
  #persists = false;
  #heard: number;
  #timed: { readonly seq: number; readonly at: number } | undefined;

  /** @param syn the guest's, or undefined for a connection that comes from outside */
  constructor(path: TcpPath, around: TcpSurroundings, syn: Segment | undefined) {
    this.path = path;
    this.#around = around;
    this.#ownMss = MTU - headerLengthOf(path.guest) - TCP_HEADER;
    this.#first = around.random();
    this.#una = this.#nxt = this.#max = this.#first;
    this.#heard = around.now();
    this.#receiver = new Receiver(0, 0);
    this.#phase = syn === undefined ? 'syn-sent' : 'connecting';
    if (syn !== undefined) this.#learnSyn(syn);
  }

  /** Joins it with its socket: for one from outside, it begins now. */
  attach(stream: Stream): void {
    this.#stream = stream;
    if (this.#phase === 'syn-sent') this.#around.ready(this);
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** The moment at which `onTimer` wants to be called; Infinity for never. */
  get deadline(): number {
    return Math.min(this.#deadline, this.#ackAt);
  }

  /** What the guest may take back for a new connection: it has ended, and only remembers. */
  reusable(syn: Segment): boolean {
    return this.#phase === 'time-wait' && distance(syn.seq, this.#receiver.next) > 0;
  }

  // ---- the outside -------------------------------------------------------------------------------------------------

  connected(): void {
    if (this.#phase !== 'connecting') return;
    this.#phase = 'syn-received';
    this.#around.ready(this);
  }

  failed(why: Failure): void {
    if (this.#phase !== 'connecting') return;
    this.#stream = undefined;
    if (why === 'refused') this.#sendReset();
    else this.#around.unreachable(this, HOST_UNREACHABLE);
    this.#close();
  }

  data(bytes: Uint8Array): boolean {
    if (this.#phase === 'closed' || this.#phase === 'time-wait') return true;
    this.#buffer.append(bytes);
    this.#around.ready(this);
    this.#held = this.#buffer.length + STREAM_PIECE > this.#around.share();
    return !this.#held;
  }

  ended(): void {
    if (this.#finQueued) return;
    this.#finQueued = true;
    this.#around.ready(this);
  }

  drained(): void {
    if (this.#phase !== 'open') return;
    // Small updates would make the guest send small segments (RFC 9293, 3.8.6.2.2).
    const more = Math.min(this.#free(), this.#receiver.most) - this.#receiver.window;
    if (more >= Math.min(this.#around.share() / 4, 64 * 1024)) this.#acknowledge();
  }

  closed(broken: boolean): void {
    this.#stream = undefined;
    if (broken) this.abort();
  }

  /** Breaks the connection off on both sides. */
  abort(): void {
    if (this.#phase === 'closed') return;
    if (this.#phase !== 'time-wait') this.#sendReset();
    this.#close();
  }

  // ---- segments from the guest -------------------------------------------------------------------------------------

  receive(segment: Segment): void {
    this.#heard = this.#around.now();
    if (this.#phase === 'connecting') {
      // Only the outside can answer; the guest may give up before it does.
      if ((segment.flags & RST) !== 0) this.#close();
    } else if (this.#phase === 'syn-sent') {
      this.#receiveOpening(segment);
    } else if (this.#phase !== 'closed') {
      this.#receiveOpen(segment);
    }
  }

  #learnSyn(segment: Segment): void {
    const scaled = segment.windowScale !== undefined;
    this.#receiver = new Receiver(add(segment.seq, 1), scaled ? WINDOW_SCALE : 0);
    this.#scale = segment.windowScale ?? 0;
    this.#mss = Math.max(LEAST_MSS, Math.min(this.#ownMss, segment.mss || DEFAULT_MSS));
    // The window of a SYN is not scaled (RFC 7323, 2.2).
    this.#window = this.#largestWindow = segment.window;
    this.#windowSeq = segment.seq;
    this.#windowAck = segment.ack;
  }

  /** RFC 9293, 3.10.7.3. */
  #receiveOpening(segment: Segment): void {
    const { flags, ack } = segment;
    const acks = (flags & ACK) !== 0;
    if (acks && ack !== this.#max) {
      if ((flags & RST) === 0) this.#send({ flags: RST, seq: ack, length: 0 });
      return;
    }
    if ((flags & RST) !== 0) {
      if (acks) this.#close();
      return;
    }
    if ((flags & SYN) === 0) return;
    this.#learnSyn(segment);
    if (acks) {
      this.#acknowledged(ack);
      this.#phase = 'open';
      this.#acknowledge();
    } else {
      // Both open at once: our SYN goes again, with the acknowledgement.
      this.#phase = 'syn-received';
      this.#nxt = this.#first;
      this.#around.ready(this);
    }
  }

  /** RFC 9293, 3.10.7.4, with the answers to blind attacks of RFC 5961. */
  #receiveOpen(segment: Segment): void {
    const { flags, seq, data } = segment;
    const fin = (flags & FIN) !== 0;
    if ((flags & SYN) !== 0) {
      if (this.#phase === 'syn-received' && add(seq, 1) === this.#receiver.next) this.#nxt = this.#first;
      else this.#ackNow = true;
      this.#around.ready(this);
      return;
    }
    const length = data.length + (fin ? 1 : 0);
    const known = this.#receiver.window;
    const acceptable = this.#receiver.isAcceptable(seq, length);
    if ((flags & RST) !== 0) {
      if (seq === this.#receiver.next) this.#close();
      else if (acceptable) this.#acknowledge();
      return;
    }
    if ((flags & ACK) === 0) return;
    if (!acceptable) {
      // Probes of a closed window, and keep-alives; their acknowledgements count all the same.
      this.#acknowledge();
      if (length > 0 && known === 0 && seq === this.#receiver.next) this.#receiveAck(segment);
      return;
    }
    if (!this.#receiveAck(segment) || this.#phase !== 'open') return;
    if (length > 0) this.#receiveData(segment, fin);
  }

  #receiveData({ seq, data }: Segment, fin: boolean): void {
    const receiver = this.#receiver;
    if (this.#guestEnded) {
      this.#acknowledge();
      return;
    }
    const early = seq !== receiver.next || receiver.hasEarly;
    receiver.accept(seq, data, fin, (bytes) => this.#stream?.write(bytes));
    if (receiver.ended) {
      receiver.next = add(receiver.next, 1);
      this.#guestEnded = true;
      this.#passive = !this.#finSent;
      this.#stream?.end();
      this.#settle();
    }
    // What came early is acknowledged one by one: the guest counts them (RFC 5681, 3.2).
    const isOdd = early || receiver.hasEarly;
    this.#unacknowledged += data.length;
    if (isOdd || this.#guestEnded || this.#unacknowledged >= 2 * this.#mss) this.#acknowledge();
    else this.#ackAt = Math.min(this.#ackAt, this.#around.now() + ACK_DELAY);
    this.#around.ready(this);
    if (isOdd) this.#sendAck();
  }

  /** @returns whether the segment's data may be looked at */
  #receiveAck({ seq, ack, window, data }: Segment): boolean {
    if (this.#phase === 'syn-received') {
      if (ack !== this.#max) {
        this.#send({ flags: RST, seq: ack, length: 0 });
        return false;
      }
      this.#phase = 'open';
    }
    if (distance(ack, this.#max) > 0) {
      this.#acknowledge();
      return false;
    }
    const scaled = window * 2 ** this.#scale;
    // A guest that answers probes lives, however long its window stays closed.
    if (this.#window === 0) this.#tries = 0;
    if (distance(ack, this.#una) > 0) {
      this.#acknowledged(ack);
    } else if (ack === this.#una && data.length === 0 && scaled === this.#window && this.#una !== this.#max) {
      const flight = distance(this.#max, this.#una);
      if (this.#congestion.duplicate(flight, this.#max, this.#mss)) this.#sendAgain();
      this.#around.ready(this);
    }
    const newer = distance(seq, this.#windowSeq);
    if (newer > 0 || (newer === 0 && distance(ack, this.#windowAck) >= 0)) {
      this.#windowSeq = seq;
      this.#windowAck = ack;
      if (scaled !== this.#window) this.#around.ready(this);
      // The probe was not taken.
      if (this.#window === 0 && scaled > 0) this.#nxt = this.#una;
      this.#window = scaled;
      this.#largestWindow = Math.max(this.#largestWindow, scaled);
    }
    return true;
  }

  #acknowledged(ack: number): void {
    let bytes = distance(ack, this.#una);
    if (this.#una === this.#first) bytes--; // Our SYN.
    if (bytes > this.#buffer.length) {
      bytes = this.#buffer.length;
      this.#finAcked = this.#finQueued;
    }
    this.#buffer.drop(bytes);
    this.#una = ack;
    this.#nxt = later(this.#nxt, ack);
    this.#tries = 0;
    this.#rto.restore();
    if (this.#timed !== undefined && distance(ack, this.#timed.seq) >= 0) {
      this.#rto.sample(this.#around.now() - this.#timed.at);
      this.#timed = undefined;
    }
    this.#restartTimer();
    if (this.#congestion.acknowledged(ack, bytes, this.#mss)) this.#sendAgain();
    const share = this.#around.share();
    if (this.#held && this.#buffer.length + STREAM_PIECE <= share / 2 + STREAM_PIECE / 2) {
      this.#held = false;
      this.#stream?.resume();
    }
    this.#buffer.trim(share / 4);
    this.#settle();
    this.#around.ready(this);
  }

  /** Both halves have ended: whoever ended first must remember for a while (RFC 9293, 3.6). */
  #settle(): void {
    if (!this.#guestEnded || !this.#finAcked) return;
    if (this.#passive) {
      this.#close();
      return;
    }
    this.#phase = 'time-wait';
    this.#deadline = this.#around.now() + TIME_WAIT;
  }

  // ---- segments to the guest ---------------------------------------------------------------------------------------

  /**
   * Sends what is to be sent. @returns `more` where it had to make way for others, `blocked` where the link is full
   */
  service(): 'done' | 'more' | 'blocked' {
    if (this.#phase === 'connecting' || this.#phase === 'closed') return 'done';
    if (this.#nxt === this.#first && !this.#sendSyn()) return 'blocked';
    if (this.#phase === 'syn-sent' || this.#phase === 'syn-received') return 'done';
    for (let pieces = 0; ; pieces++) {
      const length = this.#sendable();
      if (length === 0) break;
      if (pieces === PIECES_AT_A_TIME) return 'more';
      if (!this.#sendData(distance(this.#nxt, this.#una), length)) return 'blocked';
    }
    if (this.#finDue() && !this.#sendFin()) return 'blocked';
    if (this.#ackNow && !this.#sendAck()) return 'blocked';
    // What waits for a window that is closed needs a timer, for the guest's news that it has opened can get lost.
    const isStuck = this.#una === this.#max && this.#buffer.length > 0 && !this.#persists;
    if (isStuck || this.#deadline === Number.POSITIVE_INFINITY) this.#restartTimer();
    return 'done';
  }

  /** Bytes that the next segment may carry: what window and congestion allow, and no silly little ones (3.8.6.2.1). */
  #sendable(): number {
    const sent = distance(this.#nxt, this.#una);
    const left = this.#buffer.length - sent;
    if (left <= 0) return 0;
    const allowed = Math.min(this.#window, this.#congestion.window) - sent;
    const { tso4, tso6, checksum } = this.#around.link.offloads;
    const cut = checksum && (typeof this.path.guest === 'number' ? tso4 : tso6);
    const most = cut ? LONGEST_PIECE - (LONGEST_PIECE % this.#mss) : this.#mss;
    const length = Math.floor(Math.min(left, allowed, most));
    if (length <= 0) return 0;
    if (length === left || length === most) return length;
    if (length >= this.#mss) return length - (length % this.#mss);
    return sent === 0 || length >= this.#largestWindow / 2 ? length : 0;
  }

  get #finSent(): boolean {
    return this.#finQueued && (this.#finAcked || distance(this.#max, this.#una) > this.#buffer.length);
  }

  #finDue(): boolean {
    return this.#finQueued && !this.#finAcked && distance(this.#nxt, this.#una) === this.#buffer.length;
  }

  #sendSyn(): boolean {
    const answers = this.#phase === 'syn-received';
    const scale = answers && this.#receiver.scale === 0 ? undefined : WINDOW_SCALE;
    const out = {
      flags: answers ? SYN | ACK : SYN,
      seq: this.#first,
      length: 0,
      mss: this.#ownMss,
      windowScale: scale,
    };
    // Without a MAC it counts as sent: the timer tries again, and so does the table when the guest is heard of.
    if (!this.#send(out, FIRST_WINDOW)) return false;
    this.#sent(1);
    return true;
  }

  #sendFin(): boolean {
    if (!this.#send({ flags: FIN | ACK, seq: this.#nxt, length: 0 })) return false;
    this.#sent(1);
    return true;
  }

  #sendData(offset: number, length: number): boolean {
    const seq = add(this.#una, offset);
    const last = offset + length === this.#buffer.length;
    const out = {
      flags: ACK | (last ? PSH : 0),
      seq,
      length,
      fill: (into: Uint8Array) => this.#buffer.copy(offset, into),
      cutAt: this.#mss,
    };
    if (!this.#send(out)) return false;
    if (seq === this.#nxt) this.#sent(length);
    return true;
  }

  /** Notes what has gone out at `#nxt`. */
  #sent(length: number): void {
    const isNew = this.#nxt === this.#max;
    const wasQuiet = this.#nxt === this.#una;
    this.#nxt = add(this.#nxt, length);
    this.#max = later(this.#max, this.#nxt);
    if (isNew && this.#timed === undefined) this.#timed = { seq: this.#nxt, at: this.#around.now() };
    if (wasQuiet) this.#restartTimer();
  }

  /** Sends the first unacknowledged segment again. */
  #sendAgain(): void {
    this.#timed = undefined;
    const length = Math.min(this.#buffer.length, this.#mss, distance(this.#max, this.#una));
    const next = this.#nxt;
    this.#nxt = this.#una;
    if (length > 0) this.#sendData(0, length);
    else if (this.#finDue()) this.#sendFin();
    this.#nxt = later(this.#nxt, next);
  }

  #acknowledge(): void {
    this.#ackNow = true;
    this.#around.ready(this);
  }

  #sendAck(): boolean {
    return this.#send({ flags: ACK, seq: this.#nxt, length: 0 });
  }

  #sendReset(): void {
    this.#send({ flags: RST | ACK, seq: this.#nxt, length: 0 });
  }

  /** @returns false where the link has no room. Where the guest's MAC is not known the segment is lost. */
  #send(
    out: {
      flags: number;
      seq: number;
      length: number;
      mss?: number;
      windowScale?: number | undefined;
      cutAt?: number;
      fill?(into: Uint8Array): void;
    },
    window?: number,
  ): boolean {
    const { path } = this;
    const mac = this.#around.macOf(path.guest);
    if (mac === undefined) return true;
    const envelope: Envelope = { protocol: PROTOCOL_TCP, source: path.remote, destination: path.guest, mac };
    const acks = (out.flags & ACK) !== 0;
    const isSent = sendSegment(this.#around.link, envelope, {
      ...out,
      sourcePort: path.remotePort,
      destinationPort: path.guestPort,
      ack: acks ? this.#receiver.next : 0,
      window: window ?? (acks ? this.#receiver.advertise(this.#free()) : 0),
    });
    if (isSent && acks) {
      this.#ackNow = false;
      this.#ackAt = Number.POSITIVE_INFINITY;
      this.#unacknowledged = 0;
    }
    return isSent;
  }

  /** Bytes that may come from the guest. */
  #free(): number {
    return Math.max(0, this.#around.share() - (this.#stream?.backlog ?? 0));
  }

  // ---- time --------------------------------------------------------------------------------------------------------

  #restartTimer(): void {
    const now = this.#around.now();
    if (this.#phase === 'time-wait') return;
    const opening = this.#phase === 'syn-sent';
    this.#persists = this.#una === this.#max && this.#buffer.length > 0;
    if (this.#una !== this.#max) {
      this.#deadline = now + (opening ? Math.min(OPENING_PAUSE, this.#rto.timeout) : this.#rto.timeout);
    } else if (this.#persists) {
      this.#deadline = now + this.#rto.timeout;
    } else {
      this.#deadline = now + (this.#tries === 0 ? KEEP_ALIVE_AFTER : KEEP_ALIVE_EVERY);
    }
  }

  onTimer(now: number): void {
    if (this.#ackAt <= now) {
      this.#ackAt = Number.POSITIVE_INFINITY;
      this.#acknowledge();
    }
    if (this.#deadline > now) return;
    if (this.#phase === 'time-wait') {
      this.#close();
      return;
    }
    const { link } = this.#around;
    const waiting = this.#una !== this.#max;
    const idle = !waiting && this.#buffer.length === 0;
    if (idle && this.#tries === 0 && now - this.#heard < KEEP_ALIVE_AFTER) {
      this.#deadline = this.#heard + KEEP_ALIVE_AFTER;
      return;
    }
    // A guest that has not taken what was sent, because it is busy or stands still, is not gone.
    if (link.drained) this.#tries++;
    if (this.#tries > (this.#phase === 'syn-sent' ? OPENING_TRIES : RETRIES)) {
      this.abort();
      return;
    }
    if (!link.drained) {
      this.#restartTimer();
      return;
    }
    if (waiting) {
      this.#rto.backOff();
      this.#congestion.timedOut(distance(this.#max, this.#una), this.#mss);
      this.#timed = undefined;
      this.#nxt = this.#una;
      // A closed window lets nothing through but a probe.
      if (this.#window === 0 && this.#buffer.length > 0 && this.#una !== this.#first) this.#probe();
      this.#around.ready(this);
    } else if (!idle) {
      this.#rto.backOff();
      this.#probe();
    } else {
      this.#send({ flags: ACK, seq: add(this.#una, -1), length: 0 });
    }
    this.#restartTimer();
  }

  /** One byte beyond a closed window, which the guest must answer (RFC 9293, 3.8.6.1). */
  #probe(): void {
    this.#sendData(0, 1);
  }

  /** The guest's MAC has become known: what was sent without it goes at once. */
  retry(): void {
    if (this.#phase !== 'syn-sent') return;
    this.#nxt = this.#first;
    this.#around.ready(this);
  }

  /** Breaks it off without a word to the guest, who does not know it any more. */
  forget(): void {
    this.#close();
  }

  #close(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#deadline = this.#ackAt = Number.POSITIVE_INFINITY;
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream !== undefined && !(this.#guestEnded && this.#finAcked)) stream.reset();
    this.#around.closed(this);
  }
}
