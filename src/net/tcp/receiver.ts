/**
 * The receiving half of a connection: which bytes of the guest's come next, what has come before its turn, and how much
 * more the guest may send. What is in order is handed on at once; memory is taken only by what is early, and by what the
 * outside has not taken yet, and both lie within the window.
 */
import { add, distance } from './sequence.js';

/** The window in a SYN, which is never scaled (RFC 7323, 2.2). */
export const FIRST_WINDOW = 0xffff;
/** Pieces that wait for what is missing before them. */
const PIECES = 128;

export class Receiver {
  /** The sequence number that comes next. */
  next: number;
  /** Shift of the windows that we advertise. */
  readonly scale: number;
  /** The end of the window that the guest knows: never taken back (RFC 9293, 3.8.6). */
  #edge: number;
  /** In order, without overlaps. */
  readonly #early: { readonly seq: number; readonly bytes: Uint8Array }[] = [];
  /** Where the guest's data ends, once its FIN is known. */
  #end: number | undefined;

  constructor(first: number, scale: number) {
    this.next = first;
    this.#edge = add(first, FIRST_WINDOW);
    this.scale = scale;
  }

  /** Bytes that the guest knows it may send. */
  get window(): number {
    return Math.max(0, distance(this.#edge, this.next));
  }

  /** The largest window that can be advertised. */
  get most(): number {
    return 0xffff * 2 ** this.scale;
  }

  /** Whether everything up to the guest's FIN has come. The FIN itself is not counted in `next`. */
  get ended(): boolean {
    return this.#end === this.next;
  }

  get hasEarly(): boolean {
    return this.#early.length > 0;
  }

  /** The header's window field, where `free` bytes may come; from now on the guest knows them. */
  advertise(free: number): number {
    const unit = 2 ** this.scale;
    const known = this.window;
    const field = Math.min(0xffff, free > known ? Math.floor(free / unit) : Math.ceil(known / unit));
    if (field * unit > known) this.#edge = add(this.next, field * unit);
    return field;
  }

  /** Whether a segment of `length` sequence numbers lies at least partly in the window (RFC 9293, 3.10.7.4). */
  isAcceptable(seq: number, length: number): boolean {
    const window = this.window;
    const begin = distance(seq, this.next);
    if (length === 0) return window === 0 ? begin === 0 : begin >= 0 && begin < window;
    if (window === 0) return false;
    const last = begin + length - 1;
    return (begin >= 0 && begin < window) || (last >= 0 && last < window);
  }

  /**
   * Takes a segment's data, as far as it lies in the window; `deliver` gets what has become in order, valid during the call.
   * @param fin whether a FIN follows the data
   */
  accept(seq: number, data: Uint8Array, fin: boolean, deliver: (bytes: Uint8Array) => void): void {
    const end = add(seq, data.length);
    // A FIN counts if its own number lies in the window, or right at the end of an empty one.
    if (fin && this.#end === undefined && distance(end, this.next) >= 0 && distance(end, this.#edge) <= 0)
      this.#end = end;
    const skip = Math.max(0, -distance(seq, this.next));
    const keep = Math.min(
      data.length,
      distance(this.#edge, seq),
      this.#end === undefined ? data.length : distance(this.#end, seq),
    );
    if (skip >= keep) return;
    const bytes = data.subarray(skip, keep);
    const at = add(seq, skip);
    if (at === this.next) {
      this.next = add(this.next, bytes.length);
      deliver(bytes);
      this.#deliverEarly(deliver);
    } else {
      this.#keep(at, bytes);
    }
  }

  #deliverEarly(deliver: (bytes: Uint8Array) => void): void {
    for (let first = this.#early[0]; first && distance(first.seq, this.next) <= 0; first = this.#early[0]) {
      this.#early.shift();
      const fresh = first.bytes.subarray(distance(this.next, first.seq));
      if (fresh.length === 0) continue;
      this.next = add(this.next, fresh.length);
      deliver(fresh);
    }
  }

  /** Keeps what is early and not there yet, in its place. */
  #keep(seq: number, data: Uint8Array): void {
    if (this.#early.length >= PIECES) return;
    let at = seq;
    let bytes = data;
    let place = 0;
    for (; place < this.#early.length; place++) {
      const other = this.#early[place];
      const behind = distance(at, other.seq);
      if (behind < 0) break;
      const overlap = other.bytes.length - behind;
      if (overlap <= 0) continue;
      bytes = bytes.subarray(Math.min(overlap, bytes.length));
      at = add(at, overlap);
    }
    // What reaches into the next piece is left to that piece; what lies behind it will be sent again.
    const next = this.#early[place];
    if (next) bytes = bytes.subarray(0, Math.min(bytes.length, distance(next.seq, at)));
    if (bytes.length > 0) this.#early.splice(place, 0, { seq: at, bytes: bytes.slice() });
  }
}
