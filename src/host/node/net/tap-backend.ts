/** A tap device as the network behind a virtio card: hands packets to its thread (tap-worker.ts) and takes them from there. */
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { MessageChannel, Worker } from 'node:worker_threads';
import {
  ALL_OFFLOADS,
  type NetBackend,
  type NetPort,
  NO_OFFLOADS,
  type Offloads,
} from '../../../devices/virtio/net/backend.js';
import { EFD_CLOEXEC, EFD_NONBLOCK, loadLibc } from '../ffi/libc.js';
import type { IoHub, IoSource } from '../io/hub.js';
import { PACKAGE_ROOT } from '../package.js';
import { PacketRing } from './packet-ring.js';
import { setTapOffloads, type Tap } from './tap.js';
import type { TapTask } from './tap-worker.js';

/** Bytes each way: some milliseconds of a gigabit, and thirty of the longest packets. */
const RING_BYTES = 2 * 1024 * 1024;
/** What Ethernet carries where nobody says anything else. */
const USUAL_MTU = 1500;
const ONE = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);

export class TapBackend implements NetBackend, IoSource {
  readonly name: string;
  readonly takes = ALL_OFFLOADS;
  readonly gives = ALL_OFFLOADS;
  readonly mtu?: number;
  readonly linkUp = true;
  private readonly tap: Tap;
  private readonly hub: IoHub;
  private readonly event: number;
  private readonly received = new PacketRing(RING_BYTES);
  private readonly sent = new PacketRing(RING_BYTES);
  private readonly stop = new Int32Array(new SharedArrayBuffer(4));
  private readonly worker: Worker;
  private readonly exited: Promise<void>;
  private readonly ready: Promise<unknown>;
  private port: NetPort | undefined;
  /** The card has found nothing, or no room: it wants to hear of the next. */
  private wantsPackets = false;
  private wantsRoom = false;

  /** Takes the tap over, with its descriptor. @param onDeath the thread has died of a defect: one sentence */
  constructor(tap: Tap, hub: IoHub, onDeath: (sentence: string) => void) {
    this.name = `tap ${tap.name}`;
    this.tap = tap;
    this.hub = hub;
    if (tap.mtu !== USUAL_MTU) this.mtu = tap.mtu;
    this.event = loadLibc().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const { port1, port2 } = new MessageChannel();
    const task: TapTask = {
      name: this.name,
      fd: tap.fd,
      event: this.event,
      received: this.received.shared,
      sent: this.sent.shared,
      bell: hub.bell.cell,
      stop: this.stop,
      port: port2,
    };
    this.worker = new Worker(new URL('dist/host/node/net/tap-worker.js', PACKAGE_ROOT), {
      name: this.name,
      workerData: task,
      transferList: [port2],
    });
    const said = once(port1, 'message').finally(() => port1.close());
    let why = 'has ended';
    this.worker.once('error', (error: unknown) => {
      why = `has failed: ${error instanceof Error ? error.message : String(error)}`;
    });
    this.exited = new Promise((resolve) => {
      this.worker.once('exit', () => {
        if (this.stop[0] === 0) onDeath(`The thread of the ${this.name} ${why}.`);
        resolve();
      });
    });
    this.ready = Promise.race([said, this.exited]);
    hub.add(this);
  }

  /** Waits until the thread has read all its files. */
  async started(): Promise<void> {
    await this.ready;
    this.worker.unref();
  }

  connect(port: NetPort | undefined, offloads: Offloads): void {
    setTapOffloads(this.tap.fd, port === undefined ? NO_OFFLOADS : offloads);
    // What came for the driver before is nothing to this one.
    while (this.peek() !== undefined) this.shift();
    this.port = port;
    this.wantsRoom = false;
  }

  send(pieces: readonly Uint8Array[], length: number): boolean {
    const room = this.sent.reserve(length) ?? this.waitForRoom(length);
    if (room === undefined) return false;
    let at = 0;
    for (const piece of pieces) {
      room.set(piece, at);
      at += piece.length;
    }
    this.sent.commit(length);
    if (this.sent.takeReaderWaits()) this.wakeThread();
    return true;
  }

  peek(): Uint8Array | undefined {
    const packet = this.received.peek();
    if (packet !== undefined) return packet;
    this.wantsPackets = true;
    this.received.readerWaits();
    return this.received.peek();
  }

  shift(): void {
    this.received.shift();
    if (this.received.takeWriterWaits()) this.wakeThread();
  }

  poll(): void {
    // The bell may have been for a packet that was taken before it rang: looking once more asks for the next.
    if (this.wantsPackets && this.peek() !== undefined) {
      this.wantsPackets = false;
      this.port?.onPackets();
    }
    if (this.wantsRoom) {
      this.wantsRoom = false;
      this.port?.onRoom();
    }
  }

  /** Ends the thread and takes the interface away, unless it is one that stays. */
  async close(): Promise<void> {
    this.hub.remove(this);
    Atomics.store(this.stop, 0, 1);
    this.worker.ref();
    this.wakeThread();
    await this.exited;
    closeSync(this.event);
    closeSync(this.tap.fd);
  }

  private waitForRoom(length: number): Uint8Array | undefined {
    this.sent.writerWaits();
    const room = this.sent.reserve(length);
    this.wantsRoom = room === undefined;
    return room;
  }

  private wakeThread(): void {
    loadLibc().tryWrite(this.event, ONE);
  }
}
