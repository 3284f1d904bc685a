/**
 * The thread of a tap device: carries packets between the interface and two rings in shared memory, and sleeps where there
 * is none either way. It is woken by the interface, or by the machine's thread through an eventfd.
 */
import { type MessagePort, workerData } from 'node:worker_threads';
import { LONGEST_PACKET } from '../../../devices/virtio/net/header.js';
import { EAGAIN, EINTR, type Libc, loadLibc, PollSet } from '../ffi/libc.js';
import { Doorbell } from '../io/doorbell.js';
import { PacketRing } from './packet-ring.js';

export interface TapTask {
  readonly name: string;
  readonly fd: number;
  /** Written to when there is something for the thread, or when it is to end. */
  readonly event: number;
  /** Packets from the interface, and for it. */
  readonly received: SharedArrayBuffer;
  readonly sent: SharedArrayBuffer;
  /** The machine's bell. */
  readonly bell: Int32Array<SharedArrayBuffer>;
  /** One word: not 0 when the thread is to end. */
  readonly stop: Int32Array<SharedArrayBuffer>;
  /** Told once that the thread is there. */
  readonly port: MessagePort;
}

/** Packets in one direction before the other has its turn. */
const TURN = 64;
const FOREVER = 3600e9;
/** Linux's errno of a descriptor whose interface has been deleted; Node knows no name for it. */
const EBADFD = 77;

class TapThread {
  private readonly task: TapTask;
  private readonly libc: Libc = loadLibc();
  private readonly received: PacketRing;
  private readonly sent: PacketRing;
  private readonly bell: Doorbell;
  private readonly both: PollSet;
  private readonly eventOnly: PollSet;
  private readonly counter = new Uint8Array(8);

  constructor(task: TapTask) {
    this.task = task;
    this.received = new PacketRing(task.received);
    this.sent = new PacketRing(task.sent);
    this.bell = new Doorbell(task.bell);
    this.eventOnly = new PollSet([task.event]);
    this.both = new PollSet([task.event, task.fd]);
  }

  run(): void {
    const { stop } = this.task;
    while (Atomics.load(stop, 0) === 0) {
      const sending = this.send();
      const receiving = this.receive();
      if (sending === 'more' || receiving === 'more') continue;
      this.sleep(receiving === 'full');
    }
  }

  /** From the ring to the interface. A packet that it does not take is lost, as on any wire. */
  private send(): 'more' | 'none' {
    const { sent, libc, task } = this;
    let turn = 0;
    for (; turn < TURN; turn++) {
      const packet = sent.peek();
      if (packet === undefined) break;
      libc.tryWrite(task.fd, packet);
      sent.shift();
    }
    if (turn > 0 && sent.takeWriterWaits()) this.bell.ring();
    return turn === TURN ? 'more' : 'none';
  }

  /** From the interface to the ring. */
  private receive(): 'more' | 'none' | 'full' {
    const { received, libc, task } = this;
    let turn = 0;
    let end: 'more' | 'none' | 'full' = 'more';
    for (; turn < TURN; turn++) {
      const room = received.reserve(LONGEST_PACKET);
      if (room === undefined) {
        end = 'full';
        break;
      }
      const length = libc.tryRead(task.fd, room);
      if (length < 0) {
        const errno = libc.errno();
        if (errno === EINTR) continue;
        if (errno === EBADFD) throw new Error('its interface has gone');
        if (errno !== EAGAIN) throw new Error(`reading gave error ${errno}`);
        end = 'none';
        break;
      }
      received.commit(length);
    }
    if (turn > 0 && received.takeReaderWaits()) this.bell.ring();
    return end;
  }

  private sleep(full: boolean): void {
    const { sent, received, libc, task } = this;
    sent.readerWaits();
    if (full) received.writerWaits();
    if (!sent.isEmpty || Atomics.load(task.stop, 0) !== 0) return;
    if (full && received.reserve(LONGEST_PACKET) !== undefined) return;
    libc.tryPoll(full ? this.eventOnly : this.both, FOREVER);
    // The eventfd counts; reading takes all of it.
    libc.tryRead(task.event, this.counter);
  }
}

const task = workerData as TapTask;
const thread = new TapThread(task);
task.port.postMessage('ready');
task.port.close();
thread.run();
