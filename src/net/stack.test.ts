import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checksumOf, sumWords } from '../devices/virtio/net/checksum.js';
import { formatMac, get16, get32, ipv4, put16, put32 } from './address.js';
import { ETHERTYPE_ARP, IP_AT, PROTOCOL_ICMP, PROTOCOL_UDP } from './datagram.js';
import { MOST_FLOWS } from './stack.js';
import { EVERYBODY, GATEWAY, GUEST, NAME_SERVER } from './subnet.js';
import { RST, SYN } from './tcp/segment.js';
import { frame, GUEST_MAC, ipPacket, type TestLink, tcpPacket, udpPacket } from './testing/link.js';
import { setUp } from './testing/rig.js';
import { writeUdp } from './udp.js';

const SERVER = ipv4('93.184.216.34');
const text = (words: string) => new TextEncoder().encode(words);

function arp(target: string, sender = GUEST): Uint8Array {
  const body = new Uint8Array(28);
  body.set([0, 1, 8, 0, 6, 4, 0, 1]);
  body.set(GUEST_MAC, 8);
  put32(body, 14, sender);
  put32(body, 24, ipv4(target));
  return frame(ETHERTYPE_ARP, body, new Uint8Array(6).fill(0xff));
}

function echo(destination: number, length = 16): Uint8Array {
  const payload = new Uint8Array(8 + length).fill(7);
  payload.set([8, 0, 0, 0, 1, 2, 3, 4]);
  put16(payload, 2, checksumOf(sumWords(payload, 0, payload.length)));
  return ipPacket({ protocol: PROTOCOL_ICMP, destination }, payload);
}

/** Type and code of the only datagram on the cable, which must be ICMP. */
function icmp(link: TestLink): number[] {
  const datagrams = link.takeDatagrams();
  expect(datagrams.map(({ protocol }) => protocol)).toEqual([PROTOCOL_ICMP]);
  return [...datagrams[0].payload.subarray(0, 2)];
}

describe('ARP', () => {
  test.each(['10.0.2.2', '10.0.2.3'])('answers for %s', (address) => {
    const { link, send } = setUp();
    send(arp(address));
    const [packet] = link.take();
    expect(get16(packet, IP_AT + 6)).toBe(2);
    expect(get32(packet, IP_AT + 14)).toBe(ipv4(address));
    expect(formatMac(packet, IP_AT + 8)).toBe(`52:55:0a:00:02:0${address.at(-1)}`);
    expect(formatMac(packet, 12)).toBe(formatMac(GUEST_MAC));
  });

  test('answers for nobody else', () => {
    const { link, send } = setUp();
    send(arp('10.0.2.15'), arp('10.0.2.99'), arp('8.8.8.8'));
    expect(link.packets).toEqual([]);
  });
});

describe('ICMP', () => {
  test.each([GATEWAY, NAME_SERVER])('echo to our own addresses is answered (%i)', (address) => {
    const { link, send } = setUp();
    send(echo(address));
    const [answer] = link.takeDatagrams();
    expect(answer).toMatchObject({ source: address, destination: GUEST });
    expect([...answer.payload.subarray(0, 2), ...answer.payload.subarray(4, 8)]).toEqual([0, 0, 1, 2, 3, 4]);
    expect(sumWords(answer.payload, 0, answer.payload.length) % 0xffff).toBe(0);
  });

  test('a large echo goes and comes in fragments', () => {
    const { link, send } = setUp();
    const whole = echo(GATEWAY, 3000).subarray(IP_AT + 20);
    const piece = (from: number, to: number, more: boolean) =>
      ipPacket(
        { protocol: PROTOCOL_ICMP, destination: GATEWAY, id: 9, fragment: (more ? 0x2000 : 0) | (from / 8) },
        whole.subarray(from, to),
      );
    // The last comes first.
    send(piece(2960, 3008, false), piece(0, 1480, true), piece(1480, 2960, true));
    const fragments = link.take();
    expect(fragments.map((packet) => get16(packet, IP_AT + 6) & 0x1fff)).toEqual([0, 185, 370]);
    expect(fragments.map((packet) => packet.length - IP_AT - 20)).toEqual([1480, 1480, 48]);
  });

  test('echo to the outside is answered as prohibited', () => {
    const { link, send } = setUp();
    send(echo(SERVER));
    expect(icmp(link)).toEqual([3, 13]);
  });

  test('a TTL that ends here is reported, as traceroute wants it', () => {
    const { link, send } = setUp();
    send(udpPacket(SERVER, 33434, text('x'), { ttl: 1 }));
    expect(icmp(link)).toEqual([11, 0]);
  });
});

describe('DHCP', () => {
  const MAGIC = [0x63, 0x82, 0x53, 0x63];

  function dhcp(type: number, mac: Uint8Array, options: number[] = []): Uint8Array {
    const message = new Uint8Array(300);
    message.set([1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
    message.set(mac, 28);
    message.set([...MAGIC, 53, 1, type, ...options, 255], 236);
    return udpPacket(EVERYBODY, 67, message, { source: 0, sourcePort: 68 });
  }

  function answers(link: TestLink) {
    return link.takeUdp().map(({ data, destination, destinationPort, source }) => {
      expect([destination, destinationPort, source]).toEqual([EVERYBODY, 68, GATEWAY]);
      const options = new Map<number, number[]>();
      for (let at = 240; data[at] !== 255; at += 2 + data[at + 1])
        options.set(data[at], [...data.subarray(at + 2, at + 2 + data[at + 1])]);
      return { address: get32(data, 16), id: get32(data, 4), type: options.get(53)![0], options };
    });
  }

  test('gives 10.0.2.15, the gateway and the name server', () => {
    const { link, send } = setUp();
    send(dhcp(1, GUEST_MAC));
    const [offer] = answers(link);
    expect(offer).toMatchObject({ address: GUEST, id: 0xdeadbeef, type: 2 });
    send(dhcp(3, GUEST_MAC, [50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 2]));
    const [ack] = answers(link);
    expect(ack).toMatchObject({ address: GUEST, type: 5 });
    expect(ack.options.get(1)).toEqual([255, 255, 255, 0]);
    expect(ack.options.get(3)).toEqual([10, 0, 2, 2]);
    expect(ack.options.get(6)).toEqual([10, 0, 2, 3]);
  });

  test('refuses an address that is not the one it gives, and is silent where another server was chosen', () => {
    const { link, send } = setUp();
    send(dhcp(3, GUEST_MAC, [50, 4, 192, 168, 0, 9]));
    expect(answers(link)).toMatchObject([{ type: 6, address: 0 }]);
    send(dhcp(3, GUEST_MAC, [50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 99]));
    expect(link.packets).toEqual([]);
  });

  test('gives each MAC its own address, and takes the oldest back when they run out', () => {
    const { link, send } = setUp();
    const seen = new Set<number>();
    for (let i = 0; i < 1000; i++) {
      send(dhcp(1, Uint8Array.of(2, 0, 0, 0, i >> 8, i & 255)));
      seen.add(answers(link)[0].address);
    }
    expect(seen.size).toBe(64);
    expect(Math.max(...seen)).toBeLessThan(ipv4('10.0.2.255'));
  });
});

describe('UDP', () => {
  test('reaches the outside, and only who was written to can answer', () => {
    const { link, outside, send } = setUp();
    send(udpPacket(SERVER, 123, text('time?')));
    const [socket] = outside.sockets;
    expect(socket).toMatchObject({ address: '93.184.216.34', port: 123, sent: [text('time?')] });
    socket.events.message(text('noon'));
    expect(link.takeUdp()).toMatchObject([
      { source: SERVER, sourcePort: 123, destination: GUEST, destinationPort: 4000, data: text('noon') },
    ]);
    send(udpPacket(SERVER, 123, text('again')));
    expect(outside.sockets).toHaveLength(1);
  });

  test('carries datagrams that do not fit into one packet', () => {
    const { link, outside, send } = setUp();
    send(udpPacket(SERVER, 9, text('x')));
    const large = new Uint8Array(9000).map((_, i) => i);
    outside.sockets[0].events.message(large);
    const pieces = link.take();
    expect(pieces).toHaveLength(7);
    for (const piece of pieces) expect(piece.length).toBeLessThanOrEqual(12 + 14 + 1500);
  });

  test('that nobody listens for is reported', () => {
    const { link, outside, send } = setUp();
    send(udpPacket(SERVER, 9, text('x')));
    outside.sockets[0].events.failed('refused');
    expect(icmp(link)).toEqual([3, 3]);
  });

  test('flows end when they are quiet, and are bounded', () => {
    const { stack, outside, send, advance } = setUp();
    for (let port = 1; port <= 3 * MOST_FLOWS; port++) send(udpPacket(SERVER, 9, text('x'), { sourcePort: port }));
    expect(stack.counts.flows).toBe(MOST_FLOWS);
    expect(outside.sockets.filter(({ isClosed }) => !isClosed)).toHaveLength(MOST_FLOWS);
    advance(10 * 60_000);
    expect(stack.counts.flows).toBe(0);
    expect(outside.sockets.every(({ isClosed }) => isClosed)).toBe(true);
  });

  test('comes in by forwarded ports, and what the guest answers goes back', () => {
    const { link, stack, send } = setUp();
    send(arp('10.0.2.2'));
    link.take();
    const answers: string[] = [];
    stack.acceptMessage({ address: '127.0.0.1', port: 7777 }, { port: 53 }, text('hello'), (bytes) =>
      answers.push(new TextDecoder().decode(bytes)),
    );
    expect(link.takeUdp()).toMatchObject([{ source: GATEWAY, sourcePort: 7777, destinationPort: 53 }]);
    send(udpPacket(GATEWAY, 7777, text('world'), { sourcePort: 53 }));
    expect(answers).toEqual(['world']);
  });
});

describe("the host's own services", () => {
  const FORBIDDEN = ['10.0.2.2', '127.0.0.1', '127.9.9.9', '0.0.0.0', '192.168.1.2'];

  test.each(FORBIDDEN)('are not reached at %s unless that is allowed', (address) => {
    const { outside, link, send } = setUp();
    const to = { destination: ipv4(address), destinationPort: 22, sourcePort: 1000, seq: 1, flags: SYN };
    send(udpPacket(ipv4(address), 22, text('x')), tcpPacket(to));
    expect(outside.sockets).toEqual([]);
    expect(outside.streams).toEqual([]);
    // What is an address at all is refused, rather than ignored.
    const resets = link.takeDatagrams().filter(({ payload, protocol }) => protocol === 6 && (payload[13] & RST) !== 0);
    expect(resets).toHaveLength(/^(127|0)\./.test(address) ? 0 : 1);
  });

  test('are at 10.0.2.2 where it is allowed', () => {
    const { outside, send } = setUp(true);
    const to = { destinationPort: 22, sourcePort: 1000, seq: 1, flags: SYN };
    send(udpPacket(GATEWAY, 22, text('x')));
    send(tcpPacket({ ...to, destination: GATEWAY }), tcpPacket({ ...to, destination: ipv4('192.168.1.2') }));
    expect(outside.sockets).toMatchObject([{ address: '127.0.0.1', port: 22 }]);
    expect(outside.streams).toMatchObject([
      { address: '127.0.0.1', port: 22 },
      { address: '192.168.1.2', port: 22 },
    ]);
  });

  test('stay out of reach by 127.0.0.1 even then: no such packet leaves a machine', () => {
    const { outside, send } = setUp(true);
    send(tcpPacket({ destination: ipv4('127.0.0.1'), destinationPort: 22, sourcePort: 1, seq: 1, flags: SYN }));
    expect(outside.streams).toEqual([]);
  });
});

describe('the name server', () => {
  const query = (name: string, type: number, id = 0x1234) => {
    const labels = name.split('.').flatMap((label) => [label.length, ...text(label)]);
    return Uint8Array.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, type, 0, 1]);
  };
  const ask = (bytes: Uint8Array) => udpPacket(NAME_SERVER, 53, bytes);

  test("hands queries to the host's name servers, the next when one does not answer", () => {
    const { link, outside, send, advance } = setUp();
    outside.servers = [
      { address: '192.168.1.1', port: 53 },
      { address: '127.0.0.53', port: 53 },
    ];
    send(ask(query('example.org', 1)));
    expect(outside.sockets).toMatchObject([{ address: '192.168.1.1', port: 53, sent: [query('example.org', 1)] }]);
    advance(3000);
    expect(outside.sockets[0].isClosed).toBe(true);
    expect(outside.sockets[1]).toMatchObject({ address: '127.0.0.53' });
    outside.sockets[1].events.message(Uint8Array.of(0x12, 0x99, 1)); // Not an answer to this.
    outside.sockets[1].events.message(Uint8Array.of(0x12, 0x34, 1));
    expect(link.takeUdp()).toMatchObject([{ source: NAME_SERVER, sourcePort: 53, data: Uint8Array.of(0x12, 0x34, 1) }]);
  });

  test("asks the host's resolver where no name server is", () => {
    const { link, outside, send, stack } = setUp();
    send(ask(query('build.local', 1)), ask(query('nowhere', 28)), ask(query('x', 15)));
    expect(outside.lookups.map(({ name, type }) => [name, type])).toEqual([
      ['build.local', 'A'],
      ['nowhere', 'AAAA'],
    ]);
    outside.lookups[0].done(['192.0.2.7', '192.0.2.8']);
    outside.lookups[1].done('unknown');
    const [unsupported, found, unknown] = link.takeUdp().map(({ data }) => data);
    expect(unsupported[3] & 15).toBe(4);
    expect(get16(found, 6)).toBe(2);
    expect([...found.subarray(-4)]).toEqual([192, 0, 2, 8]);
    expect(unknown[3] & 15).toBe(3);
    expect(stack.counts.queries).toBe(0);
  });

  test('is bounded, whoever asks how much', () => {
    const { stack, send } = setUp();
    for (let i = 0; i < 500; i++) send(ask(query('slow', 1, i)));
    expect(stack.counts.queries).toBe(64);
  });
});

describe('a guest that lies', () => {
  test.each(['8.8.8.8', '10.0.2.2', '10.0.2.3', '10.0.2.0', '10.0.2.255', '127.0.0.1', '224.0.0.1'])(
    'is not heard with the source %s',
    (source) => {
      const { link, outside, send } = setUp();
      const spoofed = { source: ipv4(source) };
      send(udpPacket(SERVER, 53, text('x'), spoofed));
      send(ipPacket({ protocol: PROTOCOL_ICMP, destination: GATEWAY, ...spoofed }, echo(GATEWAY).subarray(IP_AT + 20)));
      send(tcpPacket({ destination: SERVER, destinationPort: 80, sourcePort: 1, seq: 1, flags: SYN, ...spoofed }));
      expect(link.packets).toEqual([]);
      expect(outside.sockets).toEqual([]);
      expect(outside.streams).toEqual([]);
    },
  );

  test('keeps only so many fragments waiting, and none for ever', () => {
    const { stack, send, advance } = setUp();
    const piece = (id: number) =>
      ipPacket({ protocol: PROTOCOL_UDP, destination: SERVER, id, fragment: 0x2000 }, new Uint8Array(8));
    for (let id = 0; id < 1000; id++) send(piece(id));
    expect(stack.counts.fragments).toBe(16);
    advance(60_000);
    send(piece(5000));
    expect(stack.counts.fragments).toBe(1);
  });

  test('gets nothing by fragments that overlap', () => {
    const { outside, send } = setUp();
    const payload = writeUdp(GUEST, SERVER, { sourcePort: 1, destinationPort: 2, data: new Uint8Array(24) });
    const piece = (from: number, to: number, more: boolean) =>
      ipPacket(
        { protocol: PROTOCOL_UDP, destination: SERVER, fragment: (more ? 0x2000 : 0) | (from / 8) },
        payload.slice(from, to),
      );
    send(piece(0, 16, true), piece(8, 32, false), piece(16, 32, false));
    expect(outside.sockets).toEqual([]);
  });

  test('can send any bytes at all: nothing breaks, and nothing grows', () => {
    const { stack, link, send, advance } = setUp();
    // Mostly plausible: a frame to us with an IP header whose fields are arbitrary.
    const header = fc.record({
      protocol: fc.constantFrom(1, 6, 17, 2),
      destination: fc.constantFrom(GATEWAY, NAME_SERVER, SERVER, EVERYBODY, GUEST),
      source: fc.constantFrom(GUEST, GUEST + 1, 0, SERVER),
      ttl: fc.nat(255),
      id: fc.nat(3),
      fragment: fc.oneof(fc.constant(0), fc.nat(0xffff)),
    });
    const packet = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.tuple(header, fc.uint8Array({ maxLength: 120 })).map(([fields, payload]) => ipPacket(fields, payload)),
      fc
        .tuple(
          fc.constantFrom(NAME_SERVER, EVERYBODY, SERVER),
          fc.constantFrom(53, 67, 9),
          fc.uint8Array({ maxLength: 400 }),
        )
        .map(([destination, port, data]) => udpPacket(destination, port, data)),
      fc.uint8Array({ maxLength: 60 }).map((body) => frame(ETHERTYPE_ARP, body)),
    );
    fc.assert(
      fc.property(packet, fc.nat(2000), fc.uint8Array({ minLength: 1, maxLength: 4 }), (bytes, ms, damage) => {
        send(bytes);
        // And once more with a few bytes changed.
        const broken = bytes.slice();
        for (const [i, byte] of damage.entries())
          if (broken.length > 0) broken[(byte * 7 + i * 13) % broken.length] ^= byte;
        send(broken);
        advance(ms);
        for (const sent of link.take()) expect(sent.length).toBeLessThanOrEqual(12 + 14 + 1500);
        const { connections, flows, queries, fragments } = stack.counts;
        expect([connections <= 512, flows <= 512, queries <= 64, fragments <= 16]).toEqual([true, true, true, true]);
      }),
      { numRuns: 4000 },
    );
  });
});

describe('segments of any kind', () => {
  test('break nothing, in whatever state a connection is', () => {
    const { stack, outside, link, send, advance } = setUp();
    const segment = fc.record({
      destination: fc.constantFrom(SERVER, SERVER + 1),
      destinationPort: fc.constant(80),
      sourcePort: fc.constantFrom(1, 2, 3),
      seq: fc.constantFrom(1, 2, 3, 1000, 0xffff_ffff, 0x8000_0000),
      ack: fc.constantFrom(0, 0xffff_ff01, 0xffff_ff02, 0xffff_ff10, 1),
      flags: fc.nat(63),
      window: fc.constantFrom(0, 1, 1000, 0xffff),
      options: fc.constantFrom(
        [],
        [2, 4, 0, 1],
        [2, 4, 5, 180, 1, 3, 3, 14],
        [2, 0, 0, 0],
        [3, 255, 1, 1],
        [0, 2, 4, 5],
      ),
      data: fc.uint8Array({ maxLength: 30 }),
    });
    const event = fc.tuple(fc.nat(7), fc.nat(20), fc.uint8Array({ maxLength: 3000 }));
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 6 }), event, fc.nat(3000), (segments, [what, which, data], ms) => {
        send(...segments.map((fields) => tcpPacket(fields)));
        const stream = outside.streams.at(-1 - (which % Math.max(1, Math.min(4, outside.streams.length))));
        if (stream !== undefined && !stream.isReset) {
          if (what === 0) stream.events.connected();
          if (what === 1) stream.events.failed('refused');
          if (what === 2) stream.deliver(data);
          if (what === 3) stream.events.ended();
          if (what === 4) stream.events.closed(true);
          if (what === 5) stream.events.drained();
        }
        advance(ms);
        link.takeSegments();
        expect(stack.counts.connections).toBeLessThanOrEqual(6);
      }),
      { numRuns: 3000 },
    );
  });
});
