/**
 * The thread of a network. It sleeps in its event loop until a socket has something, a timer is due or the machine rings
 * (`channel.ts`), and then lets the network (`user.ts`, `stream.ts`, `vsock.ts`) do its work.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { NO_OFFLOADS } from '../../../devices/virtio/net/backend.js';
import { NetChannel } from './channel.js';
import { ChannelLink } from './link.js';
import { StreamNetwork } from './stream.js';
import { CLOSE, type NetNews, type ThreadSetup } from './task.js';
import { UserNetwork } from './user.js';
import { VsockNetwork } from './vsock.js';

/** A network, as its thread drives it. */
export interface ThreadNetwork {
  /** @throws Error with one sentence, where it can't be had */
  open(): Promise<void>;
  /** A packet from the guest, valid during the call. @returns false where it can't be taken now: `wake` will be called */
  receive(packet: Uint8Array): boolean;
  /** Sends what waits for the guest. */
  service(): void;
  /** When `onTimer` is to be called, in ms of `performance.now()`; Infinity for never. */
  readonly nextTimer: number;
  onTimer(): void;
  /** A new life of the guest has begun. */
  clear(): void;
  close(): void;
}

/** What a network may ask of its thread. */
export interface ThreadServices {
  readonly channel: NetChannel;
  readonly link: ChannelLink;
  /** Something has happened at a socket: look at everything soon. */
  readonly wake: () => void;
  readonly setLink: (up: boolean) => void;
  readonly note: (message: string) => void;
}

/** Packets taken from the guest before sockets get their turn. */
const TURN = 256;

const setup = workerData as ThreadSetup;
const port = parentPort!;
const tell = (news: NetNews) => port.postMessage(news);
const channel = new NetChannel(setup.channel);
const link = new ChannelLink(channel);

let life = 0;
let awake = false;
let listening = false;
let timer: NodeJS.Timeout | undefined;
let timerAt = Number.POSITIVE_INFINITY;

const network: ThreadNetwork = makeNetwork({
  channel,
  link,
  wake,
  setLink: (up) => {
    if (channel.linkUp === up) return;
    channel.linkUp = up;
    channel.machineBell.ring();
  },
  note: (message) => tell({ type: 'note', message }),
});

function makeNetwork(services: ThreadServices): ThreadNetwork {
  const { task } = setup;
  switch (task.kind) {
    case 'user':
      return new UserNetwork(task, services);
    case 'socket':
      return new StreamNetwork(task.path, services);
    case 'vsock':
      return new VsockNetwork(task, services);
  }
}

/** Works once, when what has called has ended: many events at once are one. */
function wake(): void {
  if (awake) return;
  awake = true;
  queueMicrotask(work);
}

function work(): void {
  awake = false;
  const heard = channel.networkBell.count;
  if (channel.life !== life) {
    life = channel.life;
    network.clear();
  }
  link.offloads = channel.offloads ?? NO_OFFLOADS;
  const more = takePackets();
  network.service();
  link.flush();
  armTimer();
  if (more) setImmediate(wake);
  else listen(heard);
}

/** @returns whether there are more, which wait for their turn */
function takePackets(): boolean {
  const { fromGuest, machineBell } = channel;
  let turn = TURN;
  for (; turn > 0; turn--) {
    const packet = fromGuest.peek();
    if (packet === undefined) {
      fromGuest.readerWaits();
      // One may have come in between.
      if (fromGuest.isEmpty) break;
      continue;
    }
    if (!network.receive(packet)) break;
    fromGuest.shift();
  }
  if (fromGuest.takeWriterWaits()) machineBell.ring();
  return turn === 0;
}

function listen(heard: number): void {
  if (listening) return;
  listening = true;
  channel.networkBell.listen(heard, () => {
    listening = false;
    wake();
  });
}

function armTimer(): void {
  const next = network.nextTimer;
  if (next >= timerAt) return;
  clearTimeout(timer);
  timerAt = next;
  timer = setTimeout(
    () => {
      timerAt = Number.POSITIVE_INFINITY;
      network.onTimer();
      wake();
    },
    Math.max(1, Math.ceil(next - performance.now())),
  );
}

port.on('message', (message: unknown) => {
  if (message !== CLOSE) return;
  network.close();
  process.exit();
});

try {
  await network.open();
  tell({ type: 'ready' });
  wake();
} catch (error) {
  tell({ type: 'failed', message: (error as Error).message });
}
