import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../testing.js';
import { featureSet, VIRTIO_F_EVENT_IDX } from '../device.js';
import { type DriverBuffer, VirtioRig } from '../testing/index.js';
import { ALL_OFFLOADS, type NetBackend, type NetPort, NO_OFFLOADS, type Offloads } from './backend.js';
import * as F from './features.js';
import { HEADER_LENGTH, readHeader, writeHeader } from './header.js';
import { VirtioNet } from './net.js';

const MAC = Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56);
const RX = 0;
const TX = 1;
const CONTROL = 2;

/** A network in memory. */
class TestNetwork implements NetBackend {
  readonly name = 'test network';
  takes = ALL_OFFLOADS;
  gives = ALL_OFFLOADS;
  mtu = 1400;
  linkUp = true;
  port: NetPort | undefined;
  offloads: Offloads = NO_OFFLOADS;
  /** What the guest has sent, and how much more there is room for. */
  readonly sent: Uint8Array[] = [];
  room = Number.POSITIVE_INFINITY;
  /** What waits for the guest. */
  packets: Uint8Array[] = [];

  connect(port: NetPort | undefined, offloads: Offloads): void {
    this.port = port;
    this.offloads = offloads;
  }

  send(pieces: readonly Uint8Array[], length: number): boolean {
    if (this.room <= 0) return false;
    this.room--;
    const packet = Uint8Array.from(pieces.flatMap((piece) => [...piece]));
    expect(packet).toHaveLength(length);
    this.sent.push(packet);
    return true;
  }

  peek(): Uint8Array | undefined {
    return this.packets[0];
  }

  shift(): void {
    this.packets.shift();
  }

  bring(...packets: Uint8Array[]): void {
    this.packets.push(...packets);
    this.port?.onPackets();
  }
}

/** Header and frame, to `to`, of `length` bytes. */
function packet(
  length: number,
  header: Partial<Parameters<typeof writeHeader>[1]> = {},
  to: ArrayLike<number> = MAC,
): Uint8Array {
  const bytes = Uint8Array.from({ length: HEADER_LENGTH + length }, (_, i) => (i * 11) & 255);
  bytes.set(Uint8Array.from(to), HEADER_LENGTH);
  bytes.set([8, 0], HEADER_LENGTH + 12);
  writeHeader(bytes, { flags: 0, gsoType: 0, headerLength: 0, gsoSize: 0, csumStart: 0, csumOffset: 0, ...header });
  return bytes;
}

const without =
  (...bits: number[]) =>
  (offered: bigint) =>
    offered & ~featureSet(34, 35, ...bits);

function setUp(options: { features?: (offered: bigint) => bigint; packed?: boolean; start?: boolean } = {}) {
  const network = new TestNetwork();
  const clock = new FakeClock();
  const device = new VirtioNet({ backend: network, mac: MAC, clock });
  const rig = new VirtioRig({ device, memory: 0x100_0000 });
  const { start = true, ...startOptions } = options;
  if (start) rig.start(startOptions);
  return { network, clock, device, rig };
}

/** The frame in buffers that the device has written, without the header. */
function joined(buffers: readonly DriverBuffer[]): Uint8Array {
  return Uint8Array.from(buffers.flatMap((buffer) => [...buffer.answer]));
}

describe('the network card', () => {
  test('tells its MAC, link and MTU', () => {
    const { rig } = setUp();
    expect(rig.configRead(0, 4)).toBe(0x1041_1af4);
    expect([0, 1, 2, 3, 4, 5].map((at) => rig.config(at, 1))).toEqual([...MAC]);
    expect(rig.config(6, 2)).toBe(1);
    expect(rig.config(10, 2)).toBe(1400);
  });

  test('offers what the network can do, and nothing else', () => {
    const network = new TestNetwork();
    network.takes = NO_OFFLOADS;
    network.gives = { ...NO_OFFLOADS, checksum: true };
    const { features } = new VirtioNet({ backend: network, mac: MAC, clock: new FakeClock() });
    const has = (bit: number) => (features & featureSet(bit)) !== 0n;
    expect([F.VIRTIO_NET_F_CSUM, F.VIRTIO_NET_F_HOST_TSO4, F.VIRTIO_NET_F_GUEST_TSO4].some(has)).toBe(false);
    expect([F.VIRTIO_NET_F_GUEST_CSUM, F.VIRTIO_NET_F_MAC, F.VIRTIO_NET_F_MRG_RXBUF].every(has)).toBe(true);
  });

  test.each([
    [F.VIRTIO_NET_F_GUEST_CSUM, 'GUEST_TSO4'],
    [F.VIRTIO_NET_F_CSUM, 'HOST_TSO4'],
    [F.VIRTIO_NET_F_CTRL_VQ, 'CTRL_RX'],
  ])('refuses features that need feature %i, without it', (bit) => {
    const { rig } = setUp({ start: false });
    expect(rig.negotiate({ features: without(bit) })).toBe(false);
  });

  test('tells the network what the driver takes undone, and when it is gone', () => {
    const { rig, network } = setUp({ features: without(F.VIRTIO_NET_F_GUEST_TSO6) });
    expect(network.offloads).toEqual({ checksum: true, tso4: true, tso6: false, ecn: true });
    rig.reset();
    expect(network.port).toBeUndefined();
  });

  test('tells the driver when the cable is pulled, and asks it to announce itself when it is back', () => {
    const { rig, network } = setUp();
    network.linkUp = false;
    network.port!.onLink();
    expect(rig.config(6, 2)).toBe(0);
    expect(rig.interrupts()).toEqual([-1]);
    network.linkUp = true;
    network.port!.onLink();
    expect(rig.config(6, 2)).toBe(3);
    expect(rig.queue(CONTROL).send([Uint8Array.of(3, 0)], [1]).answer).toEqual(Uint8Array.of(0));
    expect(rig.config(6, 2)).toBe(1);
  });
});

describe('sending', () => {
  test.each([false, true])('hands the packet over as it is, whatever pieces it comes in (packed: %s)', (packed) => {
    const { rig, network } = setUp({ packed });
    const bytes = packet(100);
    rig.queue(TX).send([bytes]);
    rig.queue(TX).send([bytes.subarray(0, 5), bytes.subarray(5, 40), bytes.subarray(40)]);
    rig.queue(TX).send([bytes.subarray(0, 12), bytes.subarray(12)], [], true);
    expect(network.sent).toEqual([bytes, bytes, bytes]);
  });

  test('waits where the network has no room, in order, and goes on when there is', () => {
    const { rig, network } = setUp();
    network.room = 1;
    const packets = [60, 61, 62].map((length) => packet(length));
    for (const bytes of packets) rig.queue(TX).add([bytes], []);
    rig.queue(TX).kick();
    expect(network.sent).toHaveLength(1);
    network.room = 10;
    network.port!.onRoom();
    expect(network.sent).toEqual(packets);
  });

  test('interrupts for much at once, and for little when nothing follows', () => {
    const { rig, clock } = setUp({ features: without(VIRTIO_F_EVENT_IDX) });
    rig.queue(TX).send([packet(60)]);
    expect(rig.interrupts()).toEqual([]);
    clock.advance(3_000_000);
    expect(rig.interrupts()).toEqual([TX]);
    rig.queue(TX).send([packet(20_000)]);
    expect(rig.interrupts()).toEqual([TX]);
  });

  test('drops what is no frame', () => {
    const { rig, network } = setUp();
    rig.queue(TX).send([packet(20).subarray(0, 12)]);
    rig.queue(TX).send([packet(70_000)]);
    expect(network.sent).toEqual([]);
    expect(rig.needsReset).toBe(false);
  });

  const CSUM = { flags: 1, csumStart: 34, csumOffset: 16 };
  const GSO = { ...CSUM, gsoType: 1, gsoSize: 1000 };
  test.each([
    ['the driver has sent 11 bytes, less than a header of 12', packet(20).subarray(0, 11), []],
    ['VIRTIO_NET_HDR_F_DATA_VALID', packet(100, { flags: 2 }), []],
    ['without VIRTIO_NET_F_CSUM', packet(100, CSUM), [0, 11, 12, 13]],
    ['lies outside the frame of 100 bytes', packet(100, { ...CSUM, csumStart: 90 }), []],
    ['gso_type 3', packet(100, { ...GSO, gsoType: 3 }), []],
    ['gso_type 1, which was not negotiated', packet(100, GSO), [11, 13]],
    ['without VIRTIO_NET_F_HOST_ECN', packet(100, { ...GSO, gsoType: 0x81 }), [13]],
    ['without VIRTIO_NET_HDR_F_NEEDS_CSUM', packet(100, { ...GSO, flags: 0 }), []],
    ['a gso_size of 0', packet(100, { ...GSO, gsoSize: 0 }), []],
  ])('refuses a bad header: %s', (what, bytes, missing) => {
    const { rig, network } = setUp({ features: without(...missing) });
    rig.queue(TX).send([bytes]);
    expect(network.sent).toEqual([]);
    expect(rig.needsReset).toBe(true);
    expect(rig.warnings.join()).toContain(what);
    expect(rig.warnings.join()).toContain('virtio 1.2, 5.1.6.2');
  });

  test('passes what is negotiated', () => {
    const { rig, network } = setUp();
    const bytes = packet(40_000, { ...GSO, gsoType: 0x81 });
    rig.queue(TX).send([bytes]);
    expect(network.sent).toEqual([bytes]);
  });
});

describe('receiving', () => {
  test('spreads a packet over as many buffers as it takes, and says how many', () => {
    const { rig, network } = setUp();
    const buffers = [100, 1000, 50, 2000].map((length) => rig.queue(RX).add([], [length]));
    rig.queue(RX).kick();
    const bytes = packet(1120);
    network.bring(bytes.slice());
    expect(rig.queue(RX).collect()).toEqual(buffers.slice(0, 3));
    expect(buffers.map(({ written }) => written)).toEqual([100, 1000, 32, undefined]);
    const got = joined(buffers.slice(0, 3));
    expect(got[10] | (got[11] << 8)).toBe(3);
    expect(got.subarray(HEADER_LENGTH)).toEqual(bytes.subarray(HEADER_LENGTH));
    expect(rig.interrupts()).toEqual([RX]);
  });

  test('lets packets wait until there are buffers', () => {
    const { rig, network } = setUp();
    network.bring(packet(500), packet(600));
    expect(network.packets).toHaveLength(2);
    const first = rig.queue(RX).add([], [300]);
    rig.queue(RX).kick();
    expect(network.packets).toHaveLength(2);
    const others = [300, 700].map((length) => rig.queue(RX).add([], [length]));
    rig.queue(RX).kick();
    expect(rig.queue(RX).collect()).toEqual([first, ...others]);
    expect(network.packets).toEqual([]);
  });

  test('drops what all buffers of the ring together can not hold', () => {
    const { rig, network } = setUp();
    for (let i = 0; i < 64; i++) rig.queue(RX).add([], [64]);
    rig.queue(RX).kick();
    network.bring(packet(60_000), packet(100));
    expect(network.packets).toEqual([]);
    expect(
      rig
        .queue(RX)
        .collect()
        .map(({ written }) => written),
    ).toEqual([64, 48]);
  });

  test('drops what does not fit into one buffer where buffers are not merged', () => {
    const { rig, network } = setUp({ features: without(F.VIRTIO_NET_F_MRG_RXBUF) });
    const buffer = rig.queue(RX).add([], [1526]);
    rig.queue(RX).kick();
    network.bring(packet(3000), packet(1500));
    expect(rig.queue(RX).collect()).toEqual([buffer]);
    expect(buffer.written).toBe(1512);
    expect(buffer.answer[10]).toBe(1);
  });

  test.each([
    ['11 bytes for receiving, less than 12', 11, []],
    ['1525 bytes for receiving, less than 1526', 1525, [F.VIRTIO_NET_F_MRG_RXBUF]],
  ])('refuses a buffer of %s', (what, length, missing) => {
    const { rig, network } = setUp({ features: without(...missing) });
    rig.queue(RX).add([], [length]);
    rig.queue(RX).kick();
    network.bring(packet(100));
    expect(rig.needsReset).toBe(true);
    expect(rig.warnings.join()).toContain(what);
  });

  test('finishes what the driver does not take undone, and drops what only it could cut', () => {
    const { rig, network } = setUp({ features: without(1, 7, 8, 9) });
    const buffer = rig.queue(RX).add([], [2000]);
    rig.queue(RX).kick();
    const bytes = packet(100, { flags: 1, csumStart: 34, csumOffset: 6 });
    network.bring(packet(100, { flags: 1, gsoType: 1, gsoSize: 10, csumStart: 34, csumOffset: 16 }), bytes);
    rig.queue(RX).collect();
    expect(readHeader(buffer.answer).flags).toBe(0);
    const sum = buffer.answer.subarray(46).reduce((all, byte, i) => all + (i % 2 === 0 ? byte << 8 : byte), 0);
    expect(sum).toBeGreaterThan(0);
    expect([...buffer.answer.subarray(52, 54)]).not.toEqual([...packet(100).subarray(52, 54)]);
  });
});

describe('the control queue', () => {
  const OTHER = Uint8Array.of(2, 0, 0, 0, 0, 9);
  const MULTI = Uint8Array.of(1, 0, 0x5e, 0, 0, 1);
  const ALL = new Uint8Array(6).fill(0xff);

  function command(rig: VirtioRig, ...bytes: number[]): number {
    return rig.queue(CONTROL).send([Uint8Array.from(bytes)], [1]).answer[0];
  }

  /** Which of our own, another, a multicast and a broadcast address get through. */
  function through({ rig, network }: { rig: VirtioRig; network: TestNetwork }): boolean[] {
    return [MAC, OTHER, MULTI, ALL].map((to) => {
      rig.queue(RX).add([], [200]);
      rig.queue(RX).kick();
      network.bring(packet(60, {}, to));
      return rig.queue(RX).collect().length === 1;
    });
  }

  test('filters as it is told', () => {
    const net = setUp();
    expect(through(net)).toEqual([true, true, true, true]);
    expect(command(net.rig, 0, 0, 0)).toBe(0);
    expect(through(net)).toEqual([true, false, false, true]);
    expect(command(net.rig, 1, 0, 1, 0, 0, 0, ...OTHER, 1, 0, 0, 0, ...MULTI)).toBe(0);
    expect(through(net)).toEqual([true, true, true, true]);
    expect(command(net.rig, 0, 5, 1)).toBe(0);
    expect(command(net.rig, 0, 3, 1)).toBe(0);
    expect(through(net)).toEqual([true, true, false, false]);
    expect(command(net.rig, 1, 1, ...OTHER)).toBe(0);
    expect(command(net.rig, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)).toBe(0);
    expect(through(net)).toEqual([false, true, false, false]);
  });

  test('lets tagged frames through only for the VLANs that were added', () => {
    const { rig, network } = setUp();
    const tagged = packet(60);
    tagged.set([0x81, 0, 0x60, 5], HEADER_LENGTH + 12);
    const passes = () => {
      rig.queue(RX).add([], [200]);
      rig.queue(RX).kick();
      network.bring(tagged.slice());
      return rig.queue(RX).collect().length === 1;
    };
    expect(passes()).toBe(false);
    expect(command(rig, 2, 0, 5, 0)).toBe(0);
    expect(passes()).toBe(true);
    expect(command(rig, 2, 1, 5, 0)).toBe(0);
    expect(passes()).toBe(false);
  });

  test.each([
    ['an unknown class', [9, 0, 0]],
    ['an unknown mode', [0, 6, 1]],
    ['a MAC of five bytes', [1, 1, 1, 2, 3, 4, 5]],
    ['a table that says it is longer than it is', [1, 0, 255, 255, 255, 255, ...MAC]],
    ['bytes behind the tables', [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],
    ['a VLAN that is none', [2, 0, 0, 16]],
  ])('answers VIRTIO_NET_ERR to %s', (_, bytes) => {
    const { rig } = setUp();
    expect(command(rig, ...bytes)).toBe(1);
    expect(rig.needsReset).toBe(false);
  });

  test('refuses commands that are none, or have no room for an answer', () => {
    for (const [readable, writable] of [
      [[Uint8Array.of(0)], [1]],
      [[Uint8Array.of(0, 0, 1)], []],
    ] as const) {
      const { rig } = setUp();
      rig.queue(CONTROL).send(readable, writable);
      expect(rig.needsReset).toBe(true);
      expect(rig.warnings.join()).toContain('virtio 1.2, 5.1.6.5');
    }
  });

  test('is saved with all that it was told', () => {
    const net = setUp();
    command(net.rig, 0, 0, 0);
    command(net.rig, 1, 1, ...OTHER);
    const state = structuredClone(net.device.save());
    const other = setUp();
    other.device.restore(state);
    expect(other.device.save()).toEqual(state);
    expect(through(other)).toEqual([false, true, false, true]);
  });
});

test('whatever a driver puts into its queues, nothing breaks, and only its buffers are written', {
  timeout: 240_000,
}, () => {
  const step = fc.oneof(
    fc.record({
      queue: fc.constantFrom(TX, CONTROL),
      bytes: fc.uint8Array({ maxLength: 120 }),
      room: fc.constantFrom(0, 1, 40),
    }),
    fc.record({ queue: fc.constant(RX), bytes: fc.constant(new Uint8Array()), room: fc.nat(3000) }),
  );
  const run = fc.record({
    steps: fc.array(step, { maxLength: 20 }),
    packed: fc.boolean(),
    merges: fc.boolean(),
    lengths: fc.array(fc.integer({ min: 14, max: 4000 }), { maxLength: 6 }),
  });
  fc.assert(
    fc.property(run, ({ steps, packed, merges, lengths }) => {
      const { rig, network } = setUp({ packed, ...(!merges && { features: without(F.VIRTIO_NET_F_MRG_RXBUF) }) });
      for (const [i, { queue, bytes, room }] of steps.entries()) {
        if (rig.needsReset) break;
        if (bytes.length + room === 0) continue;
        rig.queue(queue).send(bytes.length > 0 ? [bytes] : [], room > 0 ? [room] : []);
        if (lengths[i] !== undefined) network.bring(packet(lengths[i]));
      }
      for (const sent of network.sent) expect(readHeader(sent).flags & 2).toBe(0);
    }),
    { numRuns: 300 },
  );
});
