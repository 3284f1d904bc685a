/** A network that runs on a thread of its own, as the guest's card sees it. The thread's side is network-worker.ts. */
import { Worker } from 'node:worker_threads';
import { ALL_OFFLOADS, type NetBackend, type NetPort, type Offloads } from '../../../devices/virtio/net/index.js';
import { FileError } from '../files.js';
import type { IoHub, IoSource } from '../io/hub.js';
import { PACKAGE_ROOT } from '../package.js';
import { NetChannel } from './channel.js';
import { CLOSE, type NetNews, type NetTask, type ThreadSetup } from './task.js';

/** A thread that has been told to end and does not is ended after so many milliseconds. */
const PATIENCE = 1000;
/** After so many milliseconds without a packet of the guest's no answer is awaited any more. */
const QUIET = 20;

export interface ThreadedNetworkOptions {
  readonly name: string;
  readonly task: NetTask;
  readonly hub: IoHub;
  readonly warn: (message: string) => void;
  /** The thread has died of a defect. */
  readonly fail: (message: string) => void;
}

export class ThreadedNetwork implements NetBackend, IoSource {
  readonly name: string;
  readonly takes = ALL_OFFLOADS;
  readonly gives = ALL_OFFLOADS;
  readonly #options: ThreadedNetworkOptions;
  readonly #channel: NetChannel;
  #worker: Worker | undefined;
  #exited: Promise<void> = Promise.resolve();
  #closing = false;
  #port: NetPort | undefined;
  #linkUp = false;
  /** A packet of the guest's waits for room. */
  #full = false;
  /** While there is traffic an answer is awaited: when there was some last (ms), and what looks whether there still is. */
  #lastTraffic = 0;
  #watch: NodeJS.Timeout | undefined;

  constructor(options: ThreadedNetworkOptions) {
    this.name = options.name;
    this.#options = options;
    this.#channel = new NetChannel(options.hub.bell);
  }

  get linkUp(): boolean {
    return this.#channel.linkUp;
  }

  /** Starts the thread. @throws FileError with the sentence that it says */
  async open(): Promise<void> {
    const { task, hub, warn, fail } = this.#options;
    const setup: ThreadSetup = { channel: this.#channel.handles, task };
    const worker = new Worker(new URL('dist/host/node/net/network-worker.js', PACKAGE_ROOT), {
      name: this.name,
      workerData: setup,
    });
    this.#worker = worker;
    this.#exited = new Promise((resolve) => worker.once('exit', () => resolve()));
    hub.add(this);
    await new Promise<void>((resolve, reject) => {
      const die = (why: string) => {
        reject(new FileError(why));
        if (!this.#closing) fail(why);
      };
      worker.on('message', (news: NetNews) => {
        if (news.type === 'ready') resolve();
        else if (news.type === 'note') warn(`${this.name}: ${news.message}`);
        else reject(new FileError(news.message));
      });
      worker.on('error', (error: Error) => die(`The thread of the ${this.name} has died: ${error.message}.`));
      worker.on('exit', () => die(`The thread of the ${this.name} has ended.`));
    });
    worker.unref();
    this.#linkUp = this.linkUp;
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#options.hub.remove(this);
    clearTimeout(this.#watch);
    const worker = this.#worker;
    if (worker === undefined) return;
    worker.postMessage(CLOSE);
    const timer = setTimeout(() => void worker.terminate(), PATIENCE);
    await this.#exited;
    clearTimeout(timer);
  }

  /** A new life of the guest begins: what the one before had open is over. */
  beginLife(): void {
    this.#channel.beginLife();
    this.#channel.networkBell.ring();
  }

  // ---- the card's side ---------------------------------------------------------------------------------------------

  connect(port: NetPort | undefined, offloads: Offloads): void {
    this.#port = port;
    this.#full = false;
    this.#channel.offloads = port && offloads;
    // What has come for the driver before is nothing to this one.
    this.#drop();
    this.#channel.networkBell.ring();
  }

  send(pieces: readonly Uint8Array[], length: number): boolean {
    const { fromGuest, networkBell } = this.#channel;
    let room = fromGuest.reserve(length);
    if (room === undefined) {
      fromGuest.writerWaits();
      // The thread may have made room in between.
      room = fromGuest.reserve(length);
      if (room === undefined) {
        this.#full = true;
        return false;
      }
    }
    let at = 0;
    for (const piece of pieces) {
      room.set(piece, at);
      at += piece.length;
    }
    fromGuest.commit(length);
    this.#noteTraffic();
    if (fromGuest.takeReaderWaits()) networkBell.ring();
    return true;
  }

  peek(): Uint8Array | undefined {
    return this.#channel.toGuest.peek();
  }

  shift(): void {
    const { toGuest, networkBell } = this.#channel;
    toGuest.shift();
    if (toGuest.takeWriterWaits()) networkBell.ring();
  }

  /**
   * A machine that expects answers sleeps so that they find it at once, and runs the guest in shorter slices. That costs a
   * little, so it ends when the network has been quiet for a while.
   */
  #noteTraffic(): void {
    this.#lastTraffic = performance.now();
    if (this.#watch !== undefined) return;
    this.#options.hub.expect(1);
    this.#watch = setTimeout(() => this.#lookForTraffic(), QUIET);
  }

  #lookForTraffic(): void {
    this.#watch = undefined;
    const quiet = performance.now() - this.#lastTraffic;
    if (quiet < QUIET && !this.#closing) this.#watch = setTimeout(() => this.#lookForTraffic(), QUIET - quiet);
    else this.#options.hub.expect(-1);
  }

  #drop(): void {
    while (this.peek() !== undefined) this.shift();
  }

  // ---- the thread's side -------------------------------------------------------------------------------------------

  poll(): void {
    const { linkUp } = this;
    if (linkUp !== this.#linkUp) {
      this.#linkUp = linkUp;
      this.#port?.onLink();
    }
    if (this.#port === undefined) this.#drop();
    else if (!this.#channel.toGuest.isEmpty) this.#port.onPackets();
    if (!this.#full) return;
    this.#full = false;
    this.#port?.onRoom();
  }
}
