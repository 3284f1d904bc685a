/**
 * UDP between the guest and the outside: for each pair of ends a socket of the host's that talks with that peer only, so
 * nobody else gets in. Flows end when they have been quiet for a while, or when newer ones need the room.
 */
import { HOST_UNREACHABLE, type IcmpError, PORT_UNREACHABLE } from './icmp.js';
import type { Datagram } from './ipv4.js';
import type { DatagramSocket, Outside } from './outside.js';
import type { UdpMessage } from './udp.js';

export const MOST_FLOWS = 512;
const QUIET_MS = 120_000;

/** The two ends, as the guest sees them. */
export interface UdpPath {
  readonly guest: number;
  readonly guestPort: number;
  readonly remote: number;
  readonly remotePort: number;
}

export interface UdpEnvironment {
  readonly outside: Outside;
  /** Sends a message to the guest, as from the remote end. */
  deliver(path: UdpPath, data: Uint8Array): void;
  complain(error: IcmpError, about: Datagram): void;
}

interface Flow {
  readonly send: (bytes: Uint8Array) => void;
  readonly close: () => void;
  used: number;
}

export class UdpFlows {
  readonly #environment: UdpEnvironment;
  /** The longest unused first. */
  readonly #flows = new Map<string, Flow>();
  #nextTimer = Number.POSITIVE_INFINITY;

  constructor(environment: UdpEnvironment) {
    this.#environment = environment;
  }

  get size(): number {
    return this.#flows.size;
  }

  /** Sends on a flow that is there. @returns whether it is */
  sendKnown(path: UdpPath, data: Uint8Array): boolean {
    const flow = this.#use(keyOf(path));
    flow?.send(data);
    return flow !== undefined;
  }

  /** Sends to an address of the outside, on a new flow. @param datagram the guest's, for errors about it */
  open(path: UdpPath, target: { address: string; port: number }, message: UdpMessage, datagram: Datagram): void {
    const { outside, deliver, complain } = this.#environment;
    const key = keyOf(path);
    const about = { ...datagram, header: datagram.header.slice(), payload: datagram.payload.slice(0, 8) };
    const socket: DatagramSocket = outside.datagrams(target.address, target.port, {
      message: (bytes) => {
        this.#use(key);
        deliver(path, bytes);
      },
      failed: (why) => {
        complain(why === 'refused' ? PORT_UNREACHABLE : HOST_UNREACHABLE, about);
      },
    });
    this.#add(key, { send: (bytes) => socket.send(bytes), close: () => socket.close(), used: 0 });
    socket.send(message.data);
  }

  /** A message from outside to a port of the guest that is forwarded; what the guest answers goes to `answer`. */
  fromOutside(path: UdpPath, data: Uint8Array, answer: (bytes: Uint8Array) => void): void {
    const key = keyOf(path);
    if (this.#use(key) === undefined) this.#add(key, { send: answer, close: () => {}, used: 0 });
    this.#environment.deliver(path, data);
  }

  get nextTimer(): number {
    return this.#nextTimer;
  }

  onTimer(): void {
    const now = this.#environment.outside.now();
    if (now < this.#nextTimer) return;
    this.#nextTimer = Number.POSITIVE_INFINITY;
    for (const [key, flow] of this.#flows) {
      if (flow.used + QUIET_MS > now) {
        this.#nextTimer = flow.used + QUIET_MS;
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
    flow.used = this.#environment.outside.now();
    return flow;
  }

  #add(key: string, flow: Flow): void {
    if (this.#flows.size >= MOST_FLOWS) {
      const [[oldest, old]] = this.#flows;
      this.#remove(oldest, old);
    }
    this.#flows.set(key, flow);
    this.#use(key);
    this.#nextTimer = Math.min(this.#nextTimer, flow.used + QUIET_MS);
  }

  #remove(key: string, flow: Flow): void {
    this.#flows.delete(key);
    flow.close();
  }
}

function keyOf({ guest, guestPort, remote, remotePort }: UdpPath): string {
  return `${guest}:${guestPort} ${remote}:${remotePort}`;
}
