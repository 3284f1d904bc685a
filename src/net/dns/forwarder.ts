/**
 * The name server at 10.0.2.3. A query goes to the host's name servers as it is, one after the other; where there is none,
 * or none answers, the host's own resolver is asked, which knows what is in /etc/hosts too.
 */
import { get16 } from '../address.js';
import type { DatagramSocket, Outside } from '../outside.js';
import { NOERROR, NOTIMP, NXDOMAIN, readQuestion, SERVFAIL, writeAnswer } from './message.js';

export const DNS_PORT = 53;
/** How long a name server may take before the next is asked. */
const PATIENCE_MS = 2500;
/** Queries at a time; more are dropped, and asked again by whoever wants to know. */
const MOST_QUERIES = 64;

interface Pending {
  readonly query: Uint8Array;
  readonly reply: (answer: Uint8Array) => void;
  /** Name servers that have not been asked yet. */
  readonly servers: { readonly address: string; readonly port: number }[];
  socket: DatagramSocket | undefined;
  deadline: number;
}

export class DnsForwarder {
  readonly #outside: Outside;
  readonly #pending = new Set<Pending>();

  constructor(outside: Outside) {
    this.#outside = outside;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** @param reply gets the answer, once or never */
  ask(query: Uint8Array, reply: (answer: Uint8Array) => void): void {
    if (readQuestion(query) === undefined || this.#pending.size >= MOST_QUERIES) return;
    const servers = [...this.#outside.nameServers()];
    const pending: Pending = { query: query.slice(), reply, servers, socket: undefined, deadline: Infinity };
    this.#pending.add(pending);
    this.#next(pending);
  }

  get nextTimer(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { deadline } of this.#pending) next = Math.min(next, deadline);
    return next;
  }

  onTimer(): void {
    const now = this.#outside.now();
    for (const pending of [...this.#pending]) if (pending.deadline <= now) this.#next(pending);
  }

  clear(): void {
    for (const pending of this.#pending) pending.socket?.close();
    this.#pending.clear();
  }

  #next(pending: Pending): void {
    pending.socket?.close();
    pending.socket = undefined;
    const server = pending.servers.shift();
    if (server === undefined) {
      this.#lookUp(pending);
      return;
    }
    pending.deadline = this.#outside.now() + PATIENCE_MS;
    const socket = this.#outside.datagrams(server.address, server.port, {
      message: (bytes) => {
        if (pending.socket !== socket || bytes.length < 2 || get16(bytes, 0) !== get16(pending.query, 0)) return;
        this.#finish(pending, bytes);
      },
      failed: () => {
        if (pending.socket === socket && this.#pending.has(pending)) this.#next(pending);
      },
    });
    pending.socket = socket;
    socket.send(pending.query);
  }

  #lookUp(pending: Pending): void {
    pending.deadline = Number.POSITIVE_INFINITY;
    const { query } = pending;
    const question = readQuestion(query)!;
    if (question.type === undefined) {
      this.#finish(pending, writeAnswer(query, question, NOTIMP));
      return;
    }
    this.#outside.lookup(question.name, question.type, (answers) => {
      if (!this.#pending.has(pending)) return;
      const code = answers === 'failed' ? SERVFAIL : answers === 'unknown' ? NXDOMAIN : NOERROR;
      this.#finish(pending, writeAnswer(query, question, code, typeof answers === 'string' ? [] : answers));
    });
  }

  #finish(pending: Pending, answer: Uint8Array): void {
    pending.socket?.close();
    this.#pending.delete(pending);
    pending.reply(answer);
  }
}
