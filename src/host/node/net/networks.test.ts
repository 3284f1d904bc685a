/** Networks on their threads, with real sockets of this machine; the guest's card is played. */
import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { NetPort } from '../../../devices/virtio/net/backend.js';
import { NO_OFFLOADS } from '../../../devices/virtio/net/backend.js';
import { ipv4 } from '../../../net/address.js';
import { GATEWAY } from '../../../net/subnet.js';
import { RST } from '../../../net/tcp/segment.js';
import { GuestTcp } from '../../../net/testing/guest-tcp.js';
import { datagramOf, frame, segmentOf, udpPacket } from '../../../net/testing/link.js';
import { readUdp } from '../../../net/udp.js';
import { IoHub } from '../io/hub.js';
import type { ThreadServices } from './network-worker.js';
import { StreamNetwork } from './stream.js';
import type { NetTask } from './task.js';
import { ThreadedNetwork } from './threaded.js';

const folder = mkdtempSync(join(tmpdir(), 'typevisor-net-'));
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** A guest's card, and the machine's look at its hub. */
class Card implements NetPort {
  readonly network: ThreadedNetwork;
  readonly notes: string[] = [];
  readonly links: boolean[] = [];
  readonly #hub = new IoHub();

  constructor(task: NetTask) {
    const say = (message: string) => void this.notes.push(message);
    this.network = new ThreadedNetwork({ name: 'test network', task, hub: this.#hub, warn: say, fail: say });
  }

  async open(): Promise<this> {
    closing.push(() => this.network.close());
    await this.network.open();
    this.network.beginLife();
    this.network.connect(this, NO_OFFLOADS);
    return this;
  }

  onPackets(): void {}
  onRoom(): void {}
  onLink(): void {
    this.links.push(this.network.linkUp);
  }

  send(...packets: Uint8Array[]): void {
    for (const packet of packets) expect(this.network.send([packet], packet.length)).toBe(true);
  }

  /** What `find` finds in the packets that come; those before are thrown away. */
  async wait<T>(find: (packet: Uint8Array) => T | undefined): Promise<T> {
    for (;;) {
      this.#hub.poll();
      const packet = this.network.peek()?.slice();
      if (packet !== undefined) {
        this.network.shift();
        const found = find(packet);
        if (found !== undefined) return found;
        continue;
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      this.#hub.poll();
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}

const user = (more: Partial<NetTask & { kind: 'user' }> = {}): NetTask => ({
  kind: 'user',
  hostLoopback: false,
  forwards: [],
  ...more,
});

/** Plays a TCP of the guest's to its end. @returns what it has received, or how it was refused */
async function converse(card: Card, guest: GuestTcp): Promise<string> {
  const timer = setInterval(() => card.send(...guest.send()), 100);
  card.send(...guest.send());
  try {
    return await card.wait((packet) => {
      const datagram = datagramOf(packet);
      if (datagram.protocol !== 6) return undefined;
      const segment = segmentOf(datagram);
      if ((segment.flags & RST) !== 0) return 'refused';
      const wasOpen = guest.isOpen;
      card.send(...guest.receive(segment));
      if (!wasOpen) card.send(...guest.send());
      return guest.isDone ? new TextDecoder().decode(Uint8Array.from(guest.received)) : undefined;
    });
  } finally {
    clearInterval(timer);
  }
}

/** Answers what it gets, with the number of bytes before it, when it has all. */
async function tcpServer(host: string): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket: Socket) => {
    let text = '';
    socket.setEncoding('latin1').on('data', (data: string) => (text += data));
    socket.on('end', () => socket.end(`${text.length}:${text.slice(0, 5)}`));
    socket.on('error', () => {});
  });
  server.listen(0, host);
  await once(server, 'listening');
  closing.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

const say = (text: string) => new TextEncoder().encode(text);
const to = (destination: number, destinationPort: number, sourcePort = 40000) => ({
  destination,
  destinationPort,
  sourcePort,
});

describe('the user network', () => {
  test("reaches a server on the host's loopback where that is allowed, with much data and half-closed", async () => {
    const port = await tcpServer('127.0.0.1');
    const card = await new Card(user({ hostLoopback: true })).open();
    expect(await converse(card, new GuestTcp(to(GATEWAY, port), say('hello'.repeat(20_000))))).toBe('100000:hello');
  });

  const own = Object.values(networkInterfaces())
    .flat()
    .find((entry) => entry?.family === 'IPv4' && !entry.internal)?.address;
  test.each([['10.0.2.2'], ...(own === undefined ? [] : [[own]])])(
    'does not reach one at %s unless it is',
    async (address) => {
      const port = await tcpServer('0.0.0.0');
      const card = await new Card(user()).open();
      expect(await converse(card, new GuestTcp(to(ipv4(address), port), say('x')))).toBe('refused');
    },
  );

  test('refuses what the host refuses', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const card = await new Card(user({ hostLoopback: true })).open();
    expect(await converse(card, new GuestTcp(to(GATEWAY, port), say('x')))).toBe('refused');
  });

  test('carries UDP, and reports ports where nobody listens', async () => {
    const echo = createSocket('udp4', (message, { port, address }) => echo.send(`<${message}>`, port, address));
    echo.bind(0, '127.0.0.1');
    await once(echo, 'listening');
    const { port } = echo.address();
    const card = await new Card(user({ hostLoopback: true })).open();
    card.send(udpPacket(GATEWAY, port, say('hi')));
    const answer = await card.wait((packet) => readUdp(datagramOf(packet), false));
    expect(new TextDecoder().decode(answer.data)).toBe('<hi>');
    await new Promise<void>((resolve) => echo.close(() => resolve()));
    card.send(udpPacket(GATEWAY, port, say('hi')));
    const error = await card.wait(datagramOf);
    expect([error.protocol, ...error.payload.subarray(0, 2)]).toEqual([1, 3, 3]);
  });

  test('lets UDP in by forwarded ports', async () => {
    const forward = { protocol: 'udp', hostAddress: '127.0.0.1', hostPort: 0, guestPort: 53 } as const;
    const card = await new Card(user({ forwards: [forward] })).open();
    const port = Number(/udp port (\d+)/.exec(card.notes.join())![1]);
    // The guest has been heard of.
    card.send(udpPacket(GATEWAY, 9, say('x')));
    const client = createSocket('udp4');
    closing.push(() => client.close());
    client.send('ping', port, '127.0.0.1');
    const query = await card.wait((packet) => {
      const datagram = datagramOf(packet);
      return datagram.protocol === 17 ? { ...readUdp(datagram, false)!, source: datagram.source } : undefined;
    });
    expect(query).toMatchObject({ source: GATEWAY, destinationPort: 53 });
    const heard = once(client, 'message');
    card.send(udpPacket(GATEWAY, query.sourcePort, say('pong'), { sourcePort: 53 }));
    expect(String((await heard)[0])).toBe('pong');
  });

  test('says which port it can not forward', async () => {
    const port = await tcpServer('127.0.0.1');
    const forward = { protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: port, guestPort: 22 } as const;
    const card = new Card(user({ forwards: [forward] }));
    await expect(card.open()).rejects.toThrow(`tcp port ${port} of 127.0.0.1 can't be forwarded: it is in use`);
  });
});

describe('the socket between machines', () => {
  let count = 0;
  const socketAt = (path = join(folder, `s${count++}`)): NetTask & { kind: 'socket' } => ({ kind: 'socket', path });
  const plain = (text: string) => frame(0x88b5, say(text.padEnd(60)));
  const body = (packet: Uint8Array) => new TextDecoder().decode(packet.subarray(26)).trim();

  test('joins two machines, in both directions', async () => {
    const task = socketAt();
    const first = await new Card(task).open();
    expect(first.network.linkUp).toBe(false);
    const second = await new Card(task).open();
    await first.until(() => first.links.length > 0 && second.network.linkUp);
    expect(first.links).toEqual([true]);
    first.send(plain('one'), plain('two'));
    expect([await second.wait(body), await second.wait(body)]).toEqual(['one', 'two']);
    second.send(plain('three'));
    expect(await first.wait(body)).toBe('three');
  });

  test('speaks as QEMU does: four bytes of length, big-endian, then the frame', async () => {
    const task = socketAt();
    const card = await new Card(task).open();
    const peer = connect(task.path);
    closing.push(() => peer.destroy());
    await card.until(() => card.network.linkUp);
    const bytes = plain('hello').subarray(12);
    const received: Buffer[] = [];
    peer.on('data', (data: Buffer) => received.push(data));
    card.send(plain('hello'));
    await card.until(() => Buffer.concat(received).length === 4 + bytes.length);
    expect([...Buffer.concat(received)]).toEqual([0, 0, 0, bytes.length, ...bytes]);
    // And in pieces, as streams have it.
    const message = Buffer.concat(received);
    peer.write(message.subarray(0, 3));
    await new Promise((resolve) => setTimeout(resolve, 20));
    peer.write(Buffer.concat([message.subarray(3), message]));
    expect([await card.wait(body), await card.wait(body)]).toEqual(['hello', 'hello']);
  });

  test('cuts off a peer that does not speak so', async () => {
    const task = socketAt();
    const card = await new Card(task).open();
    const peer = connect(task.path);
    await card.until(() => card.network.linkUp);
    peer.write('GET / HTTP/1.0\r\n\r\n');
    await once(peer, 'close');
    await card.until(() => !card.network.linkUp);
    expect(card.notes.join()).toContain('cut off');
  });

  test('finds the other side again when it has been away, whoever listened', async () => {
    const task = socketAt();
    const first = new Card(task);
    await first.network.open();
    const second = await new Card(task).open();
    await second.until(() => second.network.linkUp);
    await first.network.close();
    await second.until(() => !second.network.linkUp);
    const third = await new Card(task).open();
    await third.until(() => third.network.linkUp && second.network.linkUp);
    third.send(plain('back'));
    expect(await second.wait(body)).toBe('back');
  });

  test('takes the place of a socket that nobody answers any more, and leaves none behind', async () => {
    const task = socketAt();
    leftOver(task.path);
    const card = await new Card(task).open();
    await card.network.close();
    expect(existsSync(task.path)).toBe(false);
  });

  /** What a machine that was killed leaves. */
  const leftOver = (path: string) => {
    const script = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script, path]);
    expect(existsSync(path)).toBe(true);
  };

  /** The network without its thread: so both ends of a cable take turns in one event loop, each before the other's next. */
  class Alone {
    isUp = false;
    readonly network: StreamNetwork;

    constructor(path: string) {
      this.network = new StreamNetwork(path, {
        setLink: (up: boolean) => {
          this.isUp = up;
        },
        wake: () => {},
        note: () => {},
      } as Partial<ThreadServices> as ThreadServices);
      closing.push(() => this.network.close());
    }
  }

  test.each([
    ['where nothing is', () => {}],
    ['where a socket is left over', leftOver],
  ])('joins two that come at one instant, %s', async (_, prepare) => {
    const { path } = socketAt();
    prepare(path);
    const both = [new Alone(path), new Alone(path)];
    await Promise.all(both.map(({ network }) => network.open()));
    while (!both.every(({ isUp }) => isUp)) await new Promise((resolve) => setTimeout(resolve, 5));
    for (const { network } of both) network.close();
    expect(readdirSync(folder).filter((name) => name.startsWith('.') || name === basename(path))).toEqual([]);
  });

  test('gives whoever has just made the socket the time to listen at it', async () => {
    const { path } = socketAt();
    leftOver(path);
    const one = new Alone(path);
    const opened = one.network.open();
    // It has been refused once by now; then somebody listens there.
    await new Promise((resolve) => setTimeout(resolve, 50));
    rmSync(path);
    const server = createServer().listen(path);
    closing.push(() => server.close());
    await opened;
    expect(one.isUp).toBe(true);
  });

  test('can be found again when somebody has removed its socket', async () => {
    const task = socketAt();
    const first = await new Card(task).open();
    rmSync(task.path);
    const second = await new Card(task).open();
    await first.until(() => first.network.linkUp && second.network.linkUp);
  });

  test('leaves a file alone that is no socket, and says so', async () => {
    const task = socketAt();
    writeFileSync(task.path, 'precious');
    await expect(new Card(task).open()).rejects.toThrow(`"${task.path}" can't be used: it is there, and no socket`);
    expect(readFileSync(task.path, 'utf8')).toBe('precious');
  });

  test('says where there is no folder for it', async () => {
    await expect(new Card(socketAt(join(folder, 'none', 's'))).open()).rejects.toThrow('there is no such folder');
  });
});
