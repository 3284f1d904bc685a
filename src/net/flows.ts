/**
 * What goes between the guest and the outside without connections, UDP and echo: for each pair of ends a socket of the host's
 * that talks with that peer only, so nobody else gets in. Flows end when they have been quiet for a while, or when newer ones
 * need the room.
 */
import type { Address } from './address6.js';
import { copyOf, type Datagram } from './datagram.js';
import { HOST_UNREACHABLE, type IcmpError, PORT_UNREACHABLE } from './icmp.js';
import type { DatagramEvents, DatagramSocket } from './outside.js';

/** The two ends, as the guest sees them. */
export interface FlowPath {
  readonly guest: Address;
  /** Echo has an identifier instead, and no port at the other end. */
  readonly guestPort: number;
  readonly remote: Address;
  readonly remotePort: number;
}

export interface FlowEnvironment {
  /** Flows at a time. */
  readonly most: number;
  /** How long one may be quiet. */
  readonly quietMs: number;
  now(): number;
  /** Sends a message to the guest, as from the remote end. */
  deliver(path: FlowPath, data: Uint8Array): void;
  complain(error: IcmpError, about: Datagram): void;
}

interface Flow {
  readonly send: (bytes: Uint8Array) => void;
  readonly close: () => void;
  used: number;
}

export class Flows {
  readonly #environment: FlowEnvironment;
  /** The longest unused first. */
  readonly #flows = new Map<string, Flow>();
  #nextTimer = Number.POSITIVE_INFINITY;

  constructor(environment: FlowEnvironment) {
    this.#environment = environment;
  }

  get size(): number {
    return this.#flows.size;
  }

  /** Sends on a flow that is there. @returns whether it is */
  sendKnown(path: FlowPath, data: Uint8Array): boolean {
    const flow = this.#use(keyOf(path));
    flow?.send(data);
    return flow !== undefined;
  }

  /**
   * Sends on a new flow. @param datagram the guest's, for errors about it
   * @returns false where there is no such socket
   */
  open(
    path: FlowPath,
    connect: (events: DatagramEvents) => DatagramSocket | undefined,
    data: Uint8Array,
    datagram: Datagram,
  ): boolean {
    const { deliver, complain } = this.#environment;
    const key = keyOf(path);
    const about = copyOf(datagram);
    const socket = connect({
      message: (bytes) => {
        this.#use(key);
        deliver(path, bytes);
      },
      failed: (why) => complain(why === 'refused' ? PORT_UNREACHABLE : HOST_UNREACHABLE, about),
    });
    if (socket === undefined) return false;
    this.#add(key, { send: (bytes) => socket.send(bytes), close: () => socket.close(), used: 0 });
    socket.send(data);
    return true;
  }

  /** A message from outside to a port of the guest that is forwarded; what the guest answers goes to `answer`. */
  fromOutside(path: FlowPath, data: Uint8Array, answer: (bytes: Uint8Array) => void): void {
    const key = keyOf(path);
    if (this.#use(key) === undefined) this.#add(key, { send: answer, close: () => {}, used: 0 });
    this.#environment.deliver(path, data);
  }

  get nextTimer(): number {
    return this.#nextTimer;
  }

  onTimer(): void {
    const now = this.#environment.now();
    if (now < this.#nextTimer) return;
    this.#nextTimer = Number.POSITIVE_INFINITY;
    for (const [key, flow] of this.#flows) {
      if (flow.used + this.#environment.quietMs > now) {
        this.#nextTimer = flow.used + this.#environment.quietMs;
        return;
      }
      this.#remove(key, flow);
    }
  }

  clear(): void {
    for (const [key, flow] of this.#flows) this.#remove(key, flow);
  }

  #use(key: string): Flow | undefined {
    const flow = this.#flows.get(key);
    if (flow === undefined) return undefined;
    this.#flows.delete(key);
    this.#flows.set(key, flow);
    flow.used = this.#environment.now();
    return flow;
  }

  #add(key: string, flow: Flow): void {
    if (this.#flows.size >= this.#environment.most) {
      const [[oldest, old]] = this.#flows;
      this.#remove(oldest, old);
    }
    this.#flows.set(key, flow);
    this.#use(key);
    this.#nextTimer = Math.min(this.#nextTimer, flow.used + this.#environment.quietMs);
  }

  #remove(key: string, flow: Flow): void {
    this.#flows.delete(key);
    flow.close();
  }
}

function keyOf({ guest, guestPort, remote, remotePort }: FlowPath): string {
  return `${guest}:${guestPort} ${remote}:${remotePort}`;
}
