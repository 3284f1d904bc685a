/**
 * A cable between two machines: a Unix stream socket on which each frame has its length in front, 4 bytes, big-endian, as
 * QEMU's `-netdev stream` and passt do. Whoever finds somebody listening connects; else he listens himself. When the other
 * side goes, the cable is unplugged until somebody comes again.
 *
 * Two may do that at one instant. A socket is made under another name and then put in its place: where there was none by a
 * link, which fails if somebody was faster; over one that nobody answers by a rename, which may hit a newer one all the same.
 * So whoever waits for the other side looks whether he can still be found, and looks for the other side himself if not.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, lstatSync, renameSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ETHERNET_HEADER, HEADER_LENGTH, LONGEST_FRAME } from '../../../devices/virtio/net/header.js';
import { cutPacket } from '../../../net/segmentation.js';
import type { ThreadNetwork, ThreadServices } from './network-worker.js';
import { socketRefusal } from './socket-refusal.js';

const LENGTH_BYTES = 4;
/** Bytes that wait for the other side before the guest has to. */
const MOST_WAITING = 2 ** 20;
/** Time between two looks for the other side (ms). */
const RETRY = 250;

export class StreamNetwork implements ThreadNetwork {
  readonly nextTimer = Number.POSITIVE_INFINITY;
  readonly #path: string;
  readonly #services: ThreadServices;
  #server: Server | undefined;
  #peer: Socket | undefined;
  /** What has come and is no whole frame, or has found no room. */
  #received: Uint8Array = new Uint8Array();
  #isClosed = false;
  #retry: NodeJS.Timeout | undefined;
  /** The socket that we listen at, as the file system numbers it. */
  #own: bigint | undefined;

  constructor(path: string, services: ThreadServices) {
    this.#path = path;
    this.#services = services;
  }

  open(): Promise<void> {
    return this.#join();
  }

  /** Connects where somebody listens, else listens. @throws Error with one sentence */
  async #join(): Promise<void> {
    let askedTwice = false;
    for (let tries = 0; tries < 4; tries++) {
      const connected = await this.#connect();
      if (this.#isClosed) {
        if (connected instanceof Object) connected.destroy();
        return;
      }
      if (connected instanceof Object) {
        this.#use(connected);
        return;
      }
      if (connected !== 'ENOENT' && connected !== 'ECONNREFUSED') throw this.#refusal(connected);
      const refused = connected === 'ECONNREFUSED';
      if (refused) this.#checkSocket();
      if (refused && !askedTwice) {
        // Left over, or made this moment: who has bound it may not listen yet.
        askedTwice = true;
        await pause(RETRY);
        continue;
      }
      const code = await this.#listen(refused);
      if (code === undefined) return;
      // Somebody else was faster: there is somebody to connect to now.
      if (code !== 'EEXIST') throw this.#refusal(code);
    }
    throw this.#refusal('EADDRINUSE');
  }

  #connect(): Promise<Socket | string> {
    return new Promise((resolve) => {
      const socket = createConnection(this.#path);
      socket.once('connect', () => resolve(socket));
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    });
  }

  /** Nobody answers: what lies there must be a socket at least. */
  #checkSocket(): void {
    try {
      if (!lstatSync(this.#path).isSocket()) throw this.#refusal('ENOTSOCK');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return;
      throw code === undefined ? error : this.#refusal(code);
    }
  }

  /** @returns the error's code: EEXIST where somebody was faster */
  async #listen(takesOver: boolean): Promise<string | undefined> {
    const server = createServer((socket) => {
      // A cable has two ends.
      if (this.#peer === undefined) this.#use(socket);
      else socket.destroy();
    });
    const draft = join(dirname(this.#path), `.${randomBytes(4).toString('hex')}`);
    const code = await new Promise<string | undefined>((resolve) => {
      server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      server.listen(draft, () => resolve(undefined));
    });
    if (code !== undefined) return code;
    if (this.#isClosed) {
      server.close();
      return undefined;
    }
    try {
      this.#own = lstatSync(draft, { bigint: true }).ino;
      if (takesOver) renameSync(draft, this.#path);
      else linkSync(draft, this.#path);
    } catch (error) {
      server.close();
      return (error as NodeJS.ErrnoException).code ?? String(error);
    } finally {
      rmSync(draft, { force: true });
    }
    this.#server = server;
    this.#watchPlace();
    return undefined;
  }

  /** While the other side is away: looks now and then whether the socket at the path is still ours. */
  #watchPlace(): void {
    this.#retry = setTimeout(() => {
      if (this.#isInPlace()) {
        this.#watchPlace();
        return;
      }
      this.#stopListening();
      this.#joinAgain(0);
    }, RETRY);
  }

  #isInPlace(): boolean {
    try {
      return lstatSync(this.#path, { bigint: true }).ino === this.#own;
    } catch {
      return false;
    }
  }

  #stopListening(): void {
    if (this.#server === undefined) return;
    if (this.#isInPlace()) rmSync(this.#path, { force: true });
    this.#server.close();
    this.#server = undefined;
  }

  #refusal(code: string): Error {
    return new Error(socketRefusal('--net socket', this.#path, code));
  }

  #use(socket: Socket): void {
    clearTimeout(this.#retry);
    this.#peer = socket;
    this.#received = new Uint8Array();
    socket.on('data', (bytes: Buffer) => this.#receiveBytes(bytes));
    socket.on('drain', () => this.#services.wake());
    socket.on('error', () => {});
    socket.on('close', () => this.#lose(socket));
    this.#services.setLink(true);
  }

  #lose(socket: Socket): void {
    if (this.#peer !== socket) return;
    this.#peer = undefined;
    this.#received = new Uint8Array();
    this.#services.setLink(false);
    // Packets of the guest's that waited are dropped now.
    this.#services.wake();
    if (this.#isClosed) return;
    if (this.#server === undefined) this.#joinAgain();
    else this.#watchPlace();
  }

  #joinAgain(after = RETRY): void {
    if (this.#isClosed) return;
    this.#retry = setTimeout(() => {
      this.#join().catch((error: Error) => {
        this.#services.note(error.message);
        this.#joinAgain();
      });
    }, after);
  }

  // ---- frames ------------------------------------------------------------------------------------------------------

  receive(packet: Uint8Array): boolean {
    const peer = this.#peer;
    if (peer === undefined) return true;
    if (peer.writableLength > MOST_WAITING) return false;
    peer.cork();
    cutPacket(packet, (frame) => {
      const bytes = Buffer.allocUnsafe(LENGTH_BYTES + frame.length);
      bytes.writeUInt32BE(frame.length);
      bytes.set(frame, LENGTH_BYTES);
      peer.write(bytes);
    });
    // Uncorked when all that the guest has sent is there: one system call for it.
    process.nextTick(() => peer.uncork());
    return true;
  }

  #receiveBytes(bytes: Uint8Array): void {
    const before = this.#received;
    if (before.length === 0) {
      this.#received = bytes;
    } else {
      this.#received = new Uint8Array(before.length + bytes.length);
      this.#received.set(before);
      this.#received.set(bytes, before.length);
    }
    this.service();
    this.#services.link.flush();
  }

  /** Hands on whole frames, as far as there is room; the other side waits meanwhile. */
  service(): void {
    const { link } = this.#services;
    const bytes = this.#received;
    let at = 0;
    let isFull = false;
    while (at + LENGTH_BYTES <= bytes.length) {
      const length = ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
      if (length > LONGEST_FRAME) {
        this.#services.note(
          `The other side of "${this.#path}" has sent a frame of ${length} bytes; it has been cut off.`,
        );
        this.#peer?.destroy();
        return;
      }
      const end = at + LENGTH_BYTES + length;
      if (end > bytes.length) break;
      if (length >= ETHERNET_HEADER) {
        const room = link.reserve(HEADER_LENGTH + length);
        isFull = room === undefined;
        if (room === undefined) break;
        room.fill(0, 0, HEADER_LENGTH);
        room.set(bytes.subarray(at + LENGTH_BYTES, end), HEADER_LENGTH);
        link.commit();
      }
      at = end;
    }
    if (at > 0) this.#received = bytes.subarray(at);
    if (isFull) this.#peer?.pause();
    else this.#peer?.resume();
  }

  onTimer(): void {}

  clear(): void {}

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#peer?.destroy();
    this.#stopListening();
  }
}
