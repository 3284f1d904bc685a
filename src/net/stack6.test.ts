/** The user network over IPv6, and echo to the outside in both families. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checksumOf, fold, sumWords } from '../devices/virtio/net/checksum.js';
import { VIRTIO_NET_HDR_GSO_TCPV6 } from '../devices/virtio/net/header.js';
import { formatMac, get16, get32, ipv4, put16 } from './address.js';
import { type Address, ipv6, readAddress } from './address6.js';
import { ETHERTYPE_IPV6, IP_AT, PROTOCOL_ICMP6, PROTOCOL_TCP, PROTOCOL_UDP } from './datagram.js';
import { pseudoSum } from './ip.js';
import { IP6_HEADER, PAYLOAD6_AT, readIpv6 } from './ipv6.js';
import { MOST_ECHOES, MOST_NEIGHBOURS } from './stack.js';
import { ALL_NODES, GATEWAY6, NAME_SERVER6, ROUTER6 } from './subnet6.js';
import { ACK, RST, SYN } from './tcp/segment.js';
import { GuestTcp } from './testing/guest-tcp.js';
import {
  frame,
  GUEST_MAC,
  GUEST6,
  guestFor,
  ipPacket,
  segmentOf,
  type TestLink,
  tcpPacket,
  udpPacket,
} from './testing/link.js';
import { concat } from './testing/outside.js';
import { setUp } from './testing/rig.js';
import { writeUdp } from './udp.js';

const SERVER = ipv6('2001:db8::80');
const SERVER4 = ipv4('93.184.216.34');
const GUEST_LOCAL = ipv6('fe80::5054:ff:fe12:3456');
const NOBODY = ipv6('::');
const text = (words: string) => new TextEncoder().encode(words);

/** A message of ICMPv6 with its checksum. */
function icmp6(destination: Address, body: number[], source: Address = guestFor(destination), ttl = 255): Uint8Array {
  const payload = Uint8Array.from(body);
  const pseudo = pseudoSum(source, destination, PROTOCOL_ICMP6, payload.length);
  put16(payload, 2, checksumOf(sumWords(payload, 0, payload.length, pseudo)));
  return ipPacket({ protocol: PROTOCOL_ICMP6, destination, source, ttl }, payload);
}

/** An echo request with identifier 0x102 and number 0x304, in either family. */
function echo(destination: Address, length = 16): Uint8Array {
  const body = [128, 0, 0, 0, 1, 2, 3, 4, ...new Array<number>(length).fill(7)];
  if (typeof destination !== 'number') return icmp6(destination, body);
  const payload = Uint8Array.from([8, ...body.slice(1)]);
  put16(payload, 2, checksumOf(sumWords(payload, 0, payload.length)));
  return ipPacket({ protocol: 1, destination }, payload);
}

const solicitation = (target: Address) => [135, 0, 0, 0, 0, 0, 0, 0, ...(target as typeof SERVER).bytes];
const linkAddress = [1, 1, ...GUEST_MAC];

/** The datagrams of the cable, each with a right checksum where it is ICMPv6. */
function sent(link: TestLink) {
  return link.takeDatagrams().map((datagram) => {
    const { source, destination, payload, protocol } = datagram;
    if (protocol === PROTOCOL_ICMP6) {
      const pseudo = pseudoSum(source, destination, protocol, payload.length);
      expect(fold(sumWords(payload, 0, payload.length, pseudo))).toBe(0xffff);
    }
    return { ...datagram, source: String(source), destination: String(destination) };
  });
}

describe('neighbours', () => {
  test.each([GATEWAY6, NAME_SERVER6, ROUTER6])('%s is ours, and has the MAC that it has with IPv4', (target) => {
    const { link, send } = setUp();
    send(icmp6(ipv6('ff02::1:ff00:2'), [...solicitation(target), ...linkAddress], GUEST6));
    const packet = link.packets[0];
    const [{ source, destination, ttl, payload }] = sent(link);
    const low = target === NAME_SERVER6 ? '03' : '02';
    expect([source, destination, ttl, payload[0]]).toEqual([target.text, GUEST6.text, 255, 136]);
    expect(formatMac(payload, 26)).toBe(`52:55:0a:00:02:${low}`);
    expect([formatMac(packet, 12), formatMac(packet, 18)]).toEqual([formatMac(GUEST_MAC), `52:55:0a:00:02:${low}`]);
    expect(payload[4] & 0x60).toBe(0x60);
  });

  test('who has no address yet hears, with everybody, that one is taken', () => {
    const { link, send } = setUp();
    send(icmp6(ipv6('ff02::1:ff00:2'), solicitation(GATEWAY6), NOBODY));
    const [{ destination, payload }] = sent(link);
    expect([destination, payload[4] & 0x40]).toEqual([ALL_NODES.text, 0]);
  });

  test('nobody else is answered for, and nothing that has come through a router is believed', () => {
    const { link, send, stack } = setUp();
    send(icmp6(ipv6('ff02::1:ff00:9'), solicitation(ipv6('fec0::9')), GUEST6));
    send(icmp6(GATEWAY6, solicitation(GATEWAY6), GUEST6, 254));
    send(icmp6(GATEWAY6, [...solicitation(GATEWAY6), 1, 0], GUEST6));
    send(icmp6(GATEWAY6, solicitation(GATEWAY6).slice(0, 20), GUEST6));
    expect(link.packets).toEqual([]);
    expect(stack.counts.neighbours).toBe(1);
  });
});

describe('the router', () => {
  const ask = icmp6(ipv6('ff02::2'), [133, 0, 0, 0, 0, 0, 0, 0, ...linkAddress], GUEST_LOCAL);

  /** An advertisement's options by their types. */
  function optionsOf(payload: Uint8Array): Map<number, Uint8Array> {
    const options = new Map<number, Uint8Array>();
    for (let at = 16; at < payload.length; at += payload[at + 1] * 8)
      options.set(payload[at], payload.subarray(at, at + payload[at + 1] * 8));
    return options;
  }

  test('tells who asks the prefix, the way out and the name server', () => {
    const { link, send } = setUp();
    send(ask);
    const [{ source, destination, ttl, payload }] = sent(link);
    expect([source, destination, ttl, payload[0]]).toEqual(['fe80::2', 'ff02::1', 255, 134]);
    expect(payload[5], 'no DHCPv6').toBe(0);
    expect(get16(payload, 6)).toBeGreaterThan(600);
    const options = optionsOf(payload);
    const prefix = options.get(3)!;
    expect([prefix[2], prefix[3], readAddress(prefix, 16).text]).toEqual([64, 0xc0, 'fec0::']);
    expect(get32(prefix, 4)).toBeGreaterThanOrEqual(get32(prefix, 8));
    expect(formatMac(options.get(1)!, 2)).toBe('52:55:0a:00:02:02');
    expect(get32(options.get(5)!, 4)).toBe(1500);
    expect(readAddress(options.get(25)!, 8).text).toBe('fec0::3');
  });

  test('is no way out where the host has none', () => {
    const { link, outside, send } = setUp();
    outside.ipv6 = false;
    send(ask);
    const [{ payload }] = sent(link);
    expect([payload[0], get16(payload, 6)]).toEqual([134, 0]);
    expect(optionsOf(payload).has(3)).toBe(true);
  });

  test('says it again before it is forgotten, until the guest is born anew', () => {
    const { link, send, stack, advance } = setUp();
    expect(stack.nextTimer).toBe(Number.POSITIVE_INFINITY);
    send(ask);
    const lifetime = get16(sent(link)[0].payload, 6) * 1000;
    expect(stack.nextTimer).toBeLessThan(lifetime / 2);
    advance(stack.nextTimer);
    expect(sent(link).map(({ payload }) => payload[0])).toEqual([134]);
    stack.clear();
    expect(stack.nextTimer).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('echo', () => {
  test.each([GATEWAY6, NAME_SERVER6])('to our own addresses is answered (%s)', (address) => {
    const { link, send } = setUp();
    send(echo(address));
    const [answer] = sent(link);
    expect(answer).toMatchObject({ source: address.text, destination: GUEST6.text });
    expect([...answer.payload.subarray(0, 2), ...answer.payload.subarray(4, 9)]).toEqual([129, 0, 1, 2, 3, 4, 7]);
  });

  test('goes and comes in fragments where it is large', () => {
    const { link, send } = setUp();
    const whole = echo(GATEWAY6, 3000).subarray(PAYLOAD6_AT);
    const piece = (from: number, to: number, more: boolean) => {
      const header = [PROTOCOL_ICMP6, 0, from >> 8, (from & 0xf8) | (more ? 1 : 0), 0, 0, 0, 9];
      const payload = new Uint8Array([...header, ...whole.subarray(from, to)]);
      return ipPacket({ protocol: 44, destination: GATEWAY6 }, payload);
    };
    send(piece(2464, 3008, false), piece(0, 1232, true), piece(1232, 2464, true));
    const fragments = link.take().map((packet) => readIpv6(packet.subarray(IP_AT))!);
    expect(fragments.map(({ offset, more }) => [offset, more])).toEqual([
      [0, true],
      [1448, true],
      [2896, false],
    ]);
    expect(new Set(fragments.map(({ id }) => id)).size).toBe(1);
    const payload = concat(fragments.map((fragment) => fragment.payload));
    expect(payload.length).toBe(3008);
    expect(fold(sumWords(payload, 0, 3008, pseudoSum(GATEWAY6, GUEST6, PROTOCOL_ICMP6, 3008)))).toBe(0xffff);
  });

  test.each<[string, Address, string, number, number]>([
    ['IPv4', SERVER4, '93.184.216.34', 0, 1],
    ['IPv6', SERVER, '2001:db8::80', 129, PROTOCOL_ICMP6],
  ])(
    'goes to the outside by a socket, and comes back with the identifier of the guest (%s)',
    (_, to, name, type, protocol) => {
      const { link, outside, send, stack } = setUp();
      outside.mayEcho = true;
      send(echo(to), echo(to));
      const [socket] = outside.echoes;
      expect(outside.echoes).toHaveLength(1);
      expect(socket.address).toBe(name);
      expect(socket.sent).toHaveLength(2);
      // The host's kernel has put another identifier in, and another checksum.
      socket.events.message(Uint8Array.from([type, 0, 9, 9, 0xaa, 0xbb, 3, 4, 7, 7]));
      socket.events.message(Uint8Array.from([type === 0 ? 8 : 128, 0, 9, 9, 0xaa, 0xbb, 3, 4]));
      socket.events.message(Uint8Array.from([type, 0, 9, 9]));
      const [answer, ...more] = sent(link);
      expect(more).toEqual([]);
      expect(answer).toMatchObject({ source: String(to), destination: String(guestFor(to)), protocol });
      expect([...answer.payload.subarray(4)]).toEqual([1, 2, 3, 4, 7, 7]);
      if (protocol === 1) expect(fold(sumWords(answer.payload, 0, answer.payload.length))).toBe(0xffff);
      socket.events.failed('unreachable');
      expect([...sent(link)[0].payload.subarray(0, 2)]).toEqual(protocol === 1 ? [3, 1] : [1, 3]);
      stack.clear();
      expect(socket.isClosed).toBe(true);
    },
  );

  test.each<[string, Address, number[]]>([
    ['IPv4', SERVER4, [3, 13]],
    ['IPv6', SERVER, [1, 1]],
  ])('is answered as prohibited where the host has no such socket (%s)', (_, to, error) => {
    const { link, send } = setUp();
    send(echo(to));
    expect(sent(link).map(({ payload }) => [...payload.subarray(0, 2)])).toEqual([error]);
  });

  test('does not reach the host unless that is allowed', () => {
    for (const allowed of [false, true]) {
      const { outside, send } = setUp(allowed);
      outside.mayEcho = true;
      outside.own = ['192.168.1.2', '2001:db8::2'];
      send(echo(ipv4('192.168.1.2')), echo(ipv6('2001:db8::2')), echo(ipv4('127.0.0.1')), echo(ipv6('::1')));
      expect(outside.echoes.map(({ address }) => address)).toEqual(allowed ? outside.own : []);
    }
  });

  test('has few sockets, for a short time', () => {
    const { outside, stack, send, advance } = setUp();
    outside.mayEcho = true;
    for (let i = 0; i < 3 * MOST_ECHOES; i++) send(echo(SERVER4 + i));
    expect(stack.counts.echoes).toBe(MOST_ECHOES);
    advance(60_000);
    expect(stack.counts.echoes).toBe(0);
    expect(outside.echoes.every(({ isClosed }) => isClosed)).toBe(true);
  });
});

describe('UDP over IPv6', () => {
  test('reaches the outside and comes back, in fragments where it must', () => {
    const { link, outside, send } = setUp();
    send(udpPacket(SERVER, 123, text('time?')));
    const [socket] = outside.sockets;
    expect(socket).toMatchObject({ address: '2001:db8::80', port: 123, sent: [text('time?')] });
    socket.events.message(text('noon'));
    const [answer] = link.takeUdp();
    expect(answer).toMatchObject({ sourcePort: 123, destinationPort: 4000, data: text('noon') });
    expect([String(answer.source), String(answer.destination)]).toEqual([SERVER.text, GUEST6.text]);
    socket.events.message(new Uint8Array(4000));
    const pieces = link.take();
    expect(pieces.length).toBe(3);
    for (const piece of pieces) expect(piece.length).toBeLessThanOrEqual(12 + 14 + 1500);
  });

  test('must have a checksum', () => {
    const { outside, send } = setUp();
    const packet = udpPacket(SERVER, 123, text('x'));
    put16(packet, PAYLOAD6_AT + 6, 0);
    send(packet);
    expect(outside.sockets).toEqual([]);
  });

  test('asks names at fec0::3', () => {
    const { link, outside, send } = setUp();
    const query = Uint8Array.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 120, 0, 0, 28, 0, 1]);
    send(udpPacket(NAME_SERVER6, 53, query));
    outside.lookups[0].done(['2001:db8::7']);
    const [answer] = link.takeUdp();
    expect(String(answer.source)).toBe('fec0::3');
    expect(readAddress(answer.data, answer.data.length - 16).text).toBe('2001:db8::7');
  });

  test('that nobody listens for is reported with what was sent', () => {
    const { link, outside, send } = setUp();
    send(udpPacket(SERVER, 9, text('x')));
    outside.sockets[0].events.failed('refused');
    const [{ payload, source }] = sent(link);
    expect([source, ...payload.subarray(0, 2)]).toEqual([GATEWAY6.text, 1, 4]);
    expect(readAddress(payload, 8 + 24).text).toBe(SERVER.text);
  });

  test('a hop limit that ends here is reported, and a protocol that nobody knows', () => {
    const { link, send } = setUp();
    send(
      udpPacket(SERVER, 33434, text('x'), { ttl: 1 }),
      ipPacket({ protocol: 132, destination: SERVER }, text('sctp')),
    );
    expect(sent(link).map(({ payload }) => [payload[0], payload[1], get32(payload, 4)])).toEqual([
      [3, 0, 0],
      [4, 1, 6],
    ]);
  });
});

describe('TCP over IPv6', () => {
  const to = { destination: SERVER, destinationPort: 80, sourcePort: 4000 };

  /** Plays a guest's TCP against the stack until nothing is said any more. */
  function play({ link, send }: ReturnType<typeof setUp>, guest: GuestTcp): void {
    send(...guest.send());
    for (let segments = link.takeSegments(); segments.length > 0; segments = link.takeSegments()) {
      const wasOpen = guest.isOpen;
      for (const segment of segments) send(...guest.receive(segment));
      if (!wasOpen && guest.isOpen) send(...guest.send());
    }
  }

  test('carries data both ways, in segments that fit', () => {
    const net = setUp();
    const guest = new GuestTcp(to, new Uint8Array(20_000).fill(1));
    play(net, guest);
    const [stream] = net.outside.streams;
    expect([stream.address, stream.port]).toEqual(['2001:db8::80', 80]);
    stream.events.connected();
    net.stack.service();
    const [packet] = net.link.packets;
    const [opening] = net.link.takeSegments();
    expect(opening).toMatchObject({ flags: SYN | ACK, mss: 1440 });
    expect(get16(packet, 24)).toBe(ETHERTYPE_IPV6);
    net.send(...guest.receive(opening), ...guest.send());
    play(net, guest);
    expect(stream.received.length).toBe(20_000);
    stream.deliver(new Uint8Array(30_000).fill(2));
    stream.events.ended();
    net.stack.service();
    play(net, guest);
    expect(guest.received.length).toBe(30_000);
    expect(guest.isDone).toBe(true);
  });

  test('gives large segments to a card that cuts them', () => {
    const net = setUp();
    net.link.offloads = { checksum: true, tso4: false, tso6: true, ecn: false };
    const guest = new GuestTcp(to, new Uint8Array(), false);
    play(net, guest);
    const [stream] = net.outside.streams;
    stream.events.connected();
    net.stack.service();
    play(net, guest);
    stream.deliver(new Uint8Array(10_000));
    net.stack.service();
    const [packet] = net.link.packets;
    expect([packet[1], packet[4] | (packet[5] << 8)]).toEqual([VIRTIO_NET_HDR_GSO_TCPV6, 1440]);
    expect(packet.length).toBeGreaterThan(5000);
    expect(segmentOf(net.link.takeDatagrams()[0]).data.length).toBe(10_000);
  });

  test.each<[string, boolean, string | undefined]>([
    ['fec0::2', false, undefined],
    ['fec0::2', true, '::1'],
    ['2001:db8::2', false, undefined],
    ['2001:db8::2', true, '2001:db8::2'],
    ['::1', true, undefined],
    ['::ffff:127.0.0.1', true, undefined],
    ['::127.0.0.1', true, undefined],
    ['fe80::9', true, undefined],
    ['fec0::99', true, undefined],
    ['fec0::3', true, undefined],
    ['ff02::1', true, undefined],
  ])("to %s reaches the host's own only where that is allowed (%s)", (address, allowed, wanted) => {
    const { outside, send, link } = setUp(allowed);
    outside.own = ['2001:db8::2', '::1'];
    const destination = ipv6(address);
    send(tcpPacket({ ...to, destination, seq: 1, flags: SYN }), udpPacket(destination, 80, text('x')));
    const reached = wanted === undefined ? [] : [wanted];
    expect(outside.streams.map((stream) => stream.address)).toEqual(reached);
    expect(outside.sockets.map((socket) => socket.address)).toEqual(reached);
    if (address === 'fec0::2' && !allowed) {
      const [reset] = link.takeDatagrams().filter(({ protocol }) => protocol === PROTOCOL_TCP);
      expect(segmentOf(reset).flags & RST).toBe(RST);
    }
  });
});

describe('a guest that lies', () => {
  test.each(['2001:db8::1', 'fec0::2', 'fec0::3', 'fe80::2', '::', '::1', 'ff02::1', '::ffff:10.0.2.15'])(
    'is not heard with the source %s',
    (address) => {
      const { link, outside, send, stack } = setUp();
      const source = ipv6(address);
      send(udpPacket(SERVER, 53, text('x'), { source }));
      send(icmp6(GATEWAY6, [128, 0, 0, 0, 1, 2, 3, 4], source));
      send(tcpPacket({ destination: SERVER, destinationPort: 80, sourcePort: 1, seq: 1, flags: SYN, source }));
      expect(link.packets).toEqual([]);
      expect([outside.sockets.length, outside.streams.length, stack.counts.neighbours]).toEqual([0, 0, 0]);
    },
  );

  test('does not get out with an address that is good on the cable only', () => {
    const { outside, send } = setUp();
    send(udpPacket(SERVER, 53, text('x'), { source: GUEST_LOCAL }));
    send(
      tcpPacket({ destination: SERVER, destinationPort: 80, sourcePort: 1, seq: 1, flags: SYN, source: GUEST_LOCAL }),
    );
    expect([outside.sockets.length, outside.streams.length]).toEqual([0, 0]);
  });

  test('is known by so many addresses at most', () => {
    const { stack, send } = setUp();
    for (let i = 0; i < 2 * MOST_NEIGHBOURS; i++)
      send(udpPacket(GATEWAY6, 9, text('x'), { source: ipv6(`fec0::1:${i.toString(16)}`) }));
    expect(stack.counts.neighbours).toBe(MOST_NEIGHBOURS);
  });

  const extension = fc.record({
    type: fc.constantFrom(0, 43, 44, 60, PROTOCOL_UDP, PROTOCOL_ICMP6, 59),
    body: fc.uint8Array({ minLength: 6, maxLength: 6 }),
    length: fc.constantFrom(0, 0, 0, 1, 255),
  });

  test('can put any headers before what it sends: they are read to the end or not at all', () => {
    fc.assert(
      fc.property(fc.array(extension, { maxLength: 10 }), fc.uint8Array({ maxLength: 40 }), (list, rest) => {
        const bytes = new Uint8Array([
          ...list.flatMap(({ length, body }, i) => [list[i + 1]?.type ?? PROTOCOL_UDP, length, ...body]),
          ...rest,
        ]);
        const packet = ipPacket({ protocol: list[0]?.type ?? PROTOCOL_UDP, destination: SERVER }, bytes);
        const found = readIpv6(packet.subarray(IP_AT));
        if (found === undefined) return;
        expect(found.header.length + found.payload.length).toBe(IP6_HEADER + bytes.length);
        expect(found.source.text).toBe(GUEST6.text);
        expect(found.offset % 8).toBe(0);
      }),
      { numRuns: 1000 },
    );
  });

  test('can send any bytes at all: nothing breaks, and nothing grows', () => {
    const { stack, outside, link, send, advance } = setUp();
    outside.mayEcho = true;
    const address = fc.constantFrom(GATEWAY6, NAME_SERVER6, ROUTER6, SERVER, ALL_NODES, NOBODY, GUEST6, GUEST_LOCAL);
    const header = fc.record({
      protocol: fc.constantFrom(0, 6, 17, 43, 44, 58, 59, 60),
      destination: address,
      source: fc.constantFrom(GUEST6, GUEST_LOCAL, NOBODY, SERVER),
      ttl: fc.constantFrom(0, 1, 64, 255),
    });
    const neighbour = fc.tuple(
      fc.integer({ min: 128, max: 143 }),
      address,
      fc.constantFrom(GUEST6, NOBODY),
      fc.uint8Array({ maxLength: 60 }),
    );
    const packet = fc.oneof(
      fc.tuple(header, fc.uint8Array({ maxLength: 120 })).map(([fields, payload]) => ipPacket(fields, payload)),
      neighbour.map(([type, destination, source, body]) => icmp6(destination, [type, 0, 0, 0, ...body], source)),
      fc
        .tuple(address, fc.uint8Array({ maxLength: 400 }))
        .map(([destination, data]) => udpPacket(destination, 53, data)),
      fc.uint8Array({ maxLength: 120 }).map((body) => frame(ETHERTYPE_IPV6, body)),
      fc.uint8Array({ maxLength: 60 }).map((data) => {
        const payload = writeUdp(GUEST6, SERVER, { sourcePort: 1, destinationPort: 2, data });
        return ipPacket(
          { protocol: 44, destination: SERVER },
          new Uint8Array([17, 0, 0, 1, 0, 0, 0, data.length, ...payload]),
        );
      }),
    );
    fc.assert(
      fc.property(packet, fc.nat(2000), fc.uint8Array({ minLength: 1, maxLength: 4 }), (bytes, ms, damage) => {
        send(bytes);
        const broken = bytes.slice();
        for (const [i, byte] of damage.entries()) broken[(byte * 7 + i * 13) % broken.length] ^= byte;
        send(broken);
        advance(ms);
        for (const packet of link.take()) expect(packet.length).toBeLessThanOrEqual(12 + 14 + 1500);
        const { connections, flows, queries, fragments, neighbours, echoes } = stack.counts;
        const most = { connections: 512, flows: 512, queries: 64, fragments: 16, neighbours: 512, echoes: 64 };
        for (const [what, count] of Object.entries({ connections, flows, queries, fragments, neighbours, echoes }))
          expect(count, what).toBeLessThanOrEqual(most[what as keyof typeof most]);
      }),
      { numRuns: 3000 },
    );
  });
});
