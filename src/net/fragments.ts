/**
 * Puts fragmented datagrams together (RFC 791, 3.2; RFC 815). The guest decides what arrives, so everything is bounded: a few
 * datagrams at a time, each for a limited time, and overlaps throw the datagram away (RFC 5722; nobody honest sends them).
 */
import type { Address } from './address6.js';
import type { Datagram, Fragment } from './datagram.js';

const DATAGRAMS = 16;
/** Pieces of one datagram: 64 KiB in pieces of 576-byte packets, with room. */
const PIECES = 256;
const LIFETIME_MS = 15_000;
const LONGEST = 65535 - 20;

interface Partial {
  readonly first: Fragment;
  readonly deadline: number;
  readonly pieces: { readonly offset: number; readonly bytes: Uint8Array }[];
  /** Where it ends, once the last fragment is there. */
  length: number | undefined;
  have: number;
}

export class Fragments {
  readonly #partials = new Map<string, Partial>();

  /** Datagrams that are not whole. */
  get size(): number {
    return this.#partials.size;
  }

  /** @returns the datagram, once it is whole */
  add<A extends Address>(fragment: Fragment<A>, now: number): Datagram<A> | undefined {
    if (fragment.offset === 0 && !fragment.more) return fragment;
    this.#expire(now);
    const key = `${fragment.source} ${fragment.destination} ${fragment.protocol} ${fragment.id}`;
    const partial = this.#partials.get(key) ?? this.#open(key, fragment, now);
    if (!accept(partial, fragment)) {
      this.#partials.delete(key);
      return undefined;
    }
    if (partial.length === undefined || partial.have < partial.length) return undefined;
    this.#partials.delete(key);
    return assemble(partial) as Datagram<A>;
  }

  clear(): void {
    this.#partials.clear();
  }

  #open(key: string, first: Fragment, now: number): Partial {
    if (this.#partials.size >= DATAGRAMS) {
      const [oldest] = this.#partials.keys();
      this.#partials.delete(oldest);
    }
    const header = first.header.slice();
    const kept = { ...first, header, payload: new Uint8Array() };
    const partial = { first: kept, deadline: now + LIFETIME_MS, pieces: [], length: undefined, have: 0 };
    this.#partials.set(key, partial);
    return partial;
  }

  #expire(now: number): void {
    for (const [key, { deadline }] of this.#partials) if (deadline <= now) this.#partials.delete(key);
  }
}

/** Adds a piece where it fits; false where the datagram must go. */
function accept(partial: Partial, { offset, payload, more }: Fragment): boolean {
  const end = offset + payload.length;
  if (payload.length === 0 || end > LONGEST || partial.pieces.length >= PIECES) return false;
  if (more && payload.length % 8 !== 0) return false;
  if (partial.length !== undefined && (end > partial.length || !more)) return false;
  if (partial.pieces.some((piece) => offset < piece.offset + piece.bytes.length && piece.offset < end)) return false;
  if (!more) {
    if (partial.pieces.some((piece) => piece.offset + piece.bytes.length > end)) return false;
    partial.length = end;
  }
  partial.pieces.push({ offset, bytes: payload.slice() });
  partial.have += payload.length;
  return true;
}

function assemble({ first, pieces, length }: Partial): Datagram {
  const payload = new Uint8Array(length!);
  for (const { offset, bytes } of pieces) payload.set(bytes, offset);
  return { ...first, payload };
}
