import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ALL_OFFLOADS, NO_OFFLOADS } from '../../devices/virtio/net/backend.js';
import { readHeader } from '../../devices/virtio/net/header.js';
import { ipv4 } from '../address.js';
import { formatAddress } from '../address6.js';
import { UserStack } from '../stack.js';
import { GuestTcp } from '../testing/guest-tcp.js';
import { segmentOf, TestLink, tcpPacket, udpPacket } from '../testing/link.js';
import { TestOutside, TestStream } from '../testing/outside.js';
import { ACK, FIN, RST, type Segment, SYN } from './segment.js';
import { MOST_CONNECTIONS } from './table.js';

const SERVER = ipv4('93.184.216.34');
const TO = { destination: SERVER, destinationPort: 80, sourcePort: 40000 };
const SYN_OPTIONS = [2, 4, 1460 >> 8, 1460 & 255, 1, 3, 3, 7];

function bytes(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7 + seed) & 255);
}

function setUp(hostLoopback = false) {
  const link = new TestLink();
  const outside = new TestOutside();
  const stack = new UserStack({ link, outside, hostLoopback });
  // Makes the guest known, as every guest is by the time it speaks TCP.
  stack.receive(udpPacket(ipv4('10.0.2.2'), 9, new Uint8Array()));
  link.take();
  const exchange = (...packets: Uint8Array[]): Segment[] => {
    for (const packet of packets) stack.receive(packet);
    stack.service();
    return link.takeSegments();
  };
  const advance = (ms: number): Segment[] => {
    outside.time += ms;
    stack.onTimer();
    stack.service();
    return link.takeSegments();
  };
  return { link, outside, stack, exchange, advance };
}

/** An open connection; `seq` and `ack` are the guest's next numbers. */
function open(net = setUp(), window = 0xffff) {
  const seq = 1000;
  expect(net.exchange(tcpPacket({ ...TO, seq, flags: SYN, options: SYN_OPTIONS }))).toEqual([]);
  const stream = net.outside.streams.at(-1)!;
  stream.events.connected();
  const [answer] = net.exchange();
  const ack = (answer.seq + 1) >>> 0;
  const guest = (flags: number, fields: { seq?: number; ack?: number; data?: Uint8Array; window?: number } = {}) =>
    tcpPacket({ ...TO, seq: seq + 1, ack, flags, window, ...fields });
  net.exchange(guest(ACK));
  return { ...net, stream, seq: seq + 1, ack, guest };
}

describe('a connection of the guest', () => {
  test('is answered when the outside has answered, with MSS and window scaling', () => {
    const { exchange, outside } = setUp();
    expect(exchange(tcpPacket({ ...TO, seq: 5, flags: SYN, options: SYN_OPTIONS }))).toEqual([]);
    expect(outside.streams).toMatchObject([{ address: '93.184.216.34', port: 80 }]);
    outside.streams[0].events.connected();
    expect(exchange()).toMatchObject([{ flags: SYN | ACK, ack: 6, mss: 1460, windowScale: 5, sourcePort: 80 }]);
  });

  test('gets no window scale where it has offered none', () => {
    const { exchange, outside } = setUp();
    exchange(tcpPacket({ ...TO, seq: 5, flags: SYN }));
    outside.streams[0].events.connected();
    expect(exchange()).toMatchObject([{ flags: SYN | ACK, windowScale: undefined }]);
  });

  test('is refused where the outside refuses it', () => {
    const { exchange, outside, stack } = setUp();
    exchange(tcpPacket({ ...TO, seq: 5, flags: SYN }));
    outside.streams[0].events.failed('refused');
    expect(exchange()).toMatchObject([{ flags: RST | ACK, ack: 6 }]);
    expect(stack.counts.connections).toBe(0);
  });

  test('hears by ICMP that no way leads there', () => {
    const { exchange, outside, link, stack } = setUp();
    exchange(tcpPacket({ ...TO, seq: 5, flags: SYN }));
    outside.streams[0].events.failed('unreachable');
    const [error] = link.takeDatagrams();
    expect([...error.payload.subarray(0, 2)]).toEqual([3, 1]);
    expect(stack.counts.connections).toBe(0);
  });

  test('carries data both ways', () => {
    const { stream, guest, exchange, advance, ack } = open();
    expect(exchange(guest(ACK, { data: bytes(100) }))).toEqual([]);
    expect(advance(5)).toMatchObject([{ flags: ACK, ack: 1101 }]);
    expect(stream.received).toEqual(bytes(100));
    stream.deliver(bytes(3000));
    const segments = exchange();
    expect(segments.map(({ data }) => data.length)).toEqual([1460, 1460, 80]);
    expect(segments[0].seq).toBe(ack);
  });

  test('is acknowledged at once what is much, and with the answer what is little', () => {
    const { stream, guest, exchange, advance, seq } = open();
    const answers = exchange(guest(ACK, { data: bytes(1460) }), guest(ACK, { seq: seq + 1460, data: bytes(1460) }));
    expect(answers).toMatchObject([{ flags: ACK, ack: seq + 2920 }]);
    exchange(guest(ACK, { seq: seq + 2920, data: bytes(1) }));
    stream.deliver(bytes(1));
    expect(exchange()).toMatchObject([{ ack: seq + 2921, data: bytes(1) }]);
    expect(advance(100)).toEqual([]);
  });

  test('puts early segments in order and asks for what is missing at once', () => {
    const { stream, guest, exchange, seq } = open();
    const data = bytes(300);
    const part = (from: number, to: number) => guest(ACK, { seq: seq + from, data: data.subarray(from, to) });
    expect(exchange(part(200, 300), part(100, 250)).map(({ ack }) => ack)).toEqual([seq, seq]);
    expect(stream.received).toHaveLength(0);
    expect(exchange(part(0, 150))).toMatchObject([{ ack: seq + 300 }]);
    expect(stream.received).toEqual(data);
  });

  test('is sent again what it does not acknowledge, ever more rarely, until it counts as gone', () => {
    const { stream, exchange, advance, stack } = open();
    stream.deliver(bytes(10));
    expect(exchange()).toHaveLength(1);
    const pauses: number[] = [];
    let pause = 0;
    while (stack.counts.connections > 0) {
      pause += 100;
      if (advance(100).length === 0) continue;
      pauses.push(pause);
      pause = 0;
    }
    expect(pauses.length).toBeGreaterThan(5);
    expect(pauses[3]).toBeGreaterThan(pauses[1]);
    expect(stream.isReset).toBe(true);
  });

  test('does not count as gone while it has not taken what was sent', () => {
    const { stream, stack, outside, link } = open();
    stream.deliver(bytes(10));
    stack.service();
    for (let i = 0; i < 1000; i++) {
      outside.time += 1000;
      stack.onTimer();
      stack.service();
    }
    expect(stack.counts.connections).toBe(1);
    expect(link.packets).toHaveLength(1);
  });

  test('is sent a lost segment again after three duplicate acknowledgements', () => {
    const { stream, guest, exchange, ack } = open();
    stream.deliver(bytes(5 * 1460));
    expect(exchange()).toHaveLength(5);
    expect(exchange(guest(ACK), guest(ACK))).toEqual([]);
    const [again, ...others] = exchange(guest(ACK));
    expect(again).toMatchObject({ seq: ack });
    expect(again.data).toHaveLength(1460);
    expect(others).toEqual([]);
  });

  test('has a closed window probed, and gets the rest when it opens', () => {
    const { stream, guest, exchange, advance, ack, stack } = open(setUp(), 0);
    stream.deliver(bytes(100));
    expect(exchange()).toEqual([]);
    for (let i = 0; i < 30; i++) {
      const probes = advance(31_000);
      expect(probes.map(({ data }) => data.length)).toEqual([1]);
      exchange(guest(ACK));
    }
    expect(stack.counts.connections).toBe(1);
    const [rest] = exchange(guest(ACK, { window: 100 }));
    expect(rest.seq).toBe(ack);
    expect(rest.data).toEqual(bytes(100));
  });

  test('has its probes of our closed window answered, and hears when it opens', () => {
    const { stream, guest, exchange, seq } = open();
    stream.takes = false;
    let sent = 0;
    let window = 0xffff;
    while (window > 0) {
      const data = bytes(Math.min(window, 60_000));
      const [answer] = exchange(guest(ACK, { seq: seq + sent, data }));
      sent += data.length;
      expect(answer.ack).toBe(seq + sent);
      window = answer.window * 32;
    }
    expect(sent).toBeLessThanOrEqual(2 ** 20 + 60_000);
    expect(exchange(guest(ACK, { seq: seq + sent, data: bytes(1) }))).toMatchObject([{ ack: seq + sent, window: 0 }]);
    stream.backlog = 0;
    stream.events.drained();
    const [update] = exchange();
    expect(update.window * 32).toBeGreaterThan(500_000);
  });

  test('may end its half and go on receiving', () => {
    const { stream, guest, exchange, ack, seq, stack, advance } = open();
    expect(exchange(guest(ACK | FIN))).toMatchObject([{ ack: seq + 1 }]);
    expect(stream.isEnded).toBe(true);
    stream.deliver(bytes(10));
    expect(exchange()).toMatchObject([{ data: bytes(10) }]);
    stream.events.ended();
    exchange(guest(ACK, { seq: seq + 1, ack: ack + 10 }));
    const [fin] = advance(1000);
    expect(fin.flags & FIN).toBe(FIN);
    exchange(guest(ACK, { seq: seq + 1, ack: ack + 11 }));
    expect(stack.counts.connections).toBe(0);
    expect(stream.isReset).toBe(false);
  });

  test('is remembered for a while where the outside has ended first', () => {
    const { stream, guest, exchange, ack, seq, stack, advance } = open();
    stream.events.ended();
    expect(exchange()).toMatchObject([{ flags: FIN | ACK }]);
    exchange(guest(ACK, { ack: ack + 1, data: bytes(5) }));
    expect(stream.received).toEqual(bytes(5));
    const last = guest(ACK | FIN, { seq: seq + 5, ack: ack + 1 });
    expect(exchange(last)).toMatchObject([{ flags: ACK, ack: seq + 6 }]);
    expect(exchange(last)).toMatchObject([{ flags: ACK, ack: seq + 6 }]);
    expect(stack.counts.connections).toBe(1);
    advance(10_000);
    expect(stack.counts.connections).toBe(0);
  });

  test('ends on both sides at once', () => {
    const { stream, guest, exchange, ack, seq, stack } = open();
    stream.events.ended();
    exchange();
    // The guest's FIN was on its way and acknowledges nothing of ours.
    expect(exchange(guest(ACK | FIN))).toMatchObject([{ ack: seq + 1 }]);
    exchange(guest(ACK, { seq: seq + 1, ack: ack + 1 }));
    expect(stack.counts.connections).toBe(1);
  });

  test('is broken off with a RST where the outside breaks', () => {
    const { stream, exchange, stack, ack } = open();
    stream.events.closed(true);
    expect(exchange()).toMatchObject([{ flags: RST | ACK, seq: ack }]);
    expect(stack.counts.connections).toBe(0);
  });

  test('breaks the outside off by its RST, if that lies exactly at its place (RFC 5961)', () => {
    const { stream, guest, exchange, seq, stack } = open();
    expect(exchange(guest(RST, { seq: seq + 1 }))).toMatchObject([{ flags: ACK, ack: seq }]);
    expect(exchange(guest(RST, { seq: seq + 2 ** 30 }))).toEqual([]);
    expect(stack.counts.connections).toBe(1);
    exchange(guest(RST));
    expect(stack.counts.connections).toBe(0);
    expect(stream.isReset).toBe(true);
  });

  test('gets large segments where its card cuts them', () => {
    const net = setUp();
    net.link.offloads = ALL_OFFLOADS;
    const { stream, exchange, link, stack } = open(net);
    stream.deliver(bytes(60_000));
    stack.service();
    const [packet] = link.packets;
    expect(readHeader(packet)).toMatchObject({ flags: 1, gsoType: 1, gsoSize: 1460, csumStart: 34, csumOffset: 16 });
    const [segment] = exchange();
    expect(segment.data).toEqual(bytes(60_000).subarray(0, segment.data.length));
    expect(segment.data.length).toBeGreaterThan(50_000);
  });

  test('waits while the cable is full, and all connections get their turn', () => {
    const { link, stream, stack } = open();
    link.capacity = 2;
    stream.deliver(bytes(10 * 1460));
    expect(stack.service()).toBe(false);
    let got = 0;
    for (let i = 0; i < 20 && got < 10; i++) {
      got += link.takeSegments().length;
      stack.service();
    }
    expect(got).toBe(10);
  });
});

describe('a connection from outside', () => {
  function accept(address = '127.0.0.1') {
    const net = setUp();
    const connection = net.stack.accept({ address, port: 5555 }, { port: 22 })!;
    const stream = new TestStream(address, 5555, connection);
    connection.attach(stream);
    return { ...net, stream };
  }

  test('seems to come from the gateway where it comes from the loopback, and is opened by the guest', () => {
    const { exchange, stream, link, stack } = accept();
    stack.service();
    const [datagram] = link.takeDatagrams();
    expect([datagram.source, datagram.destination].map(formatAddress)).toEqual(['10.0.2.2', '10.0.2.15']);
    const to = { destination: datagram.source, destinationPort: 5555, sourcePort: 22 };
    stream.deliver(bytes(10));
    const { seq } = segmentOf(datagram);
    const answers = exchange(
      tcpPacket({ ...to, seq: 77, ack: (seq + 1) >>> 0, flags: SYN | ACK, options: SYN_OPTIONS }),
    );
    expect(answers).toMatchObject([{ ack: 78, data: bytes(10) }]);
  });

  test('is tried again until the guest answers, and asks for its MAC', () => {
    const link = new TestLink();
    const outside = new TestOutside();
    const stack = new UserStack({ link, outside, hostLoopback: false });
    const connection = stack.accept({ address: '127.0.0.1', port: 1 }, { port: 22 })!;
    connection.attach(new TestStream('127.0.0.1', 1, connection));
    stack.service();
    // ARP's type and operation.
    expect(link.take().map((packet) => [...packet.subarray(24, 26)])).toEqual([[8, 6]]);
    stack.receive(udpPacket(ipv4('10.0.2.2'), 9, new Uint8Array()));
    stack.service();
    expect(link.takeSegments()).toMatchObject([{ flags: SYN, destinationPort: 22 }]);
    outside.time += 3000;
    stack.onTimer();
    stack.service();
    expect(link.takeSegments()).toMatchObject([{ flags: SYN }]);
  });

  test('is broken off where the guest refuses it', () => {
    const { exchange, stream, stack } = accept();
    const [syn] = exchange();
    exchange(
      tcpPacket({
        destination: ipv4('10.0.2.2'),
        destinationPort: 5555,
        sourcePort: 22,
        seq: 0,
        ack: (syn.seq + 1) >>> 0,
        flags: RST | ACK,
      }),
    );
    expect(stream.isReset).toBe(true);
    expect(stack.counts.connections).toBe(0);
  });
});

describe('the table of connections', () => {
  test('is bounded', () => {
    const { stack, outside } = setUp();
    for (let port = 1; port < 3000; port++)
      stack.receive(tcpPacket({ ...TO, sourcePort: port, seq: port, flags: SYN, options: SYN_OPTIONS }));
    expect(stack.counts.connections).toBe(MOST_CONNECTIONS);
    expect(outside.streams).toHaveLength(MOST_CONNECTIONS);
  });

  test('answers segments that belong to nothing with a RST, but no RST', () => {
    const { exchange } = setUp();
    expect(exchange(tcpPacket({ ...TO, seq: 1, ack: 9, flags: ACK }))).toMatchObject([{ flags: RST, seq: 9 }]);
    expect(exchange(tcpPacket({ ...TO, seq: 1, flags: RST }))).toEqual([]);
  });

  test('ignores segments with a wrong checksum', () => {
    const { exchange, outside } = setUp();
    const packet = tcpPacket({ ...TO, seq: 5, flags: SYN });
    packet[packet.length - 1] ^= 1;
    expect(exchange(packet)).toEqual([]);
    expect(outside.streams).toEqual([]);
  });

  test('forgets everything when the guest is born anew', () => {
    const { stream, stack, link } = open();
    stack.clear();
    expect(stream.isReset).toBe(true);
    expect(stack.counts.connections).toBe(0);
    expect(link.packets).toEqual([]);
  });
});

describe('whatever the cable loses, doubles and reorders', () => {
  test('all bytes arrive both ways, once and in order, and the connection ends', () => {
    const scenario = fc.record({
      seed: fc.integer(),
      loss: fc.constantFrom(0, 0.05, 0.2),
      doubled: fc.constantFrom(0, 0.1),
      reordered: fc.constantFrom(0, 0.3),
      up: fc.integer({ min: 0, max: 40_000 }),
      down: fc.integer({ min: 0, max: 40_000 }),
      window: fc.constantFrom(16, 64, 8192),
      offloads: fc.constantFrom(NO_OFFLOADS, ALL_OFFLOADS),
    });
    fc.assert(
      fc.property(scenario, ({ seed, loss, doubled, reordered, up, down, window, offloads }) => {
        let state = seed | 1;
        const chance = (p: number) => {
          state = Math.imul(state, 1664525) + 1013904223;
          return (state >>> 8) / 2 ** 24 < p;
        };
        const disturb = <T>(packets: readonly T[]): T[] => {
          const kept = packets
            .filter(() => !chance(loss))
            .flatMap((packet) => (chance(doubled) ? [packet, packet] : [packet]));
          for (let i = 1; i < kept.length; i++) if (chance(reordered)) [kept[i - 1], kept[i]] = [kept[i], kept[i - 1]];
          return kept;
        };
        const { link, outside, stack } = setUp();
        link.offloads = offloads;
        const sent = bytes(up, 3);
        const guest = new GuestTcp(TO, sent);
        guest.window = window;
        let rest = bytes(down, 5);
        let isEnded = false;
        for (let round = 0; round < 3000 && !guest.isDone; round++) {
          for (const packet of disturb(guest.send())) stack.receive(packet);
          const [stream] = outside.streams;
          if (stream !== undefined) {
            stream.events.connected();
            if (guest.isOpen) rest = stream.deliver(rest);
            if (rest.length === 0 && !isEnded) {
              isEnded = true;
              stream.events.ended();
            }
          }
          outside.time += 50;
          stack.onTimer();
          stack.service();
          const answers = disturb(disturb(link.takeSegments()).flatMap((segment) => guest.receive(segment)));
          for (const packet of answers) stack.receive(packet);
          stack.service();
        }
        expect(guest.isDone).toBe(true);
        expect(Uint8Array.from(guest.received)).toEqual(bytes(down, 5));
        expect(outside.streams).toHaveLength(1);
        expect(outside.streams[0].received).toEqual(sent);
        expect(outside.streams[0].isEnded).toBe(true);
      }),
      { numRuns: 30 },
    );
  });
});
