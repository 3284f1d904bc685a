import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VirtioRig } from '../testing/index.js';
import { HEADER_LENGTH, HOST_CID, Op, readHeader, TYPE_STREAM, writeHeader } from './header.js';
import { VirtioVsock, type VsockBackend } from './vsock.js';

class FakeBackend implements VsockBackend {
  port: Parameters<VsockBackend['connect']>[0];
  readonly sent: Uint8Array[] = [];
  readonly waiting: Uint8Array[] = [];
  room = Number.POSITIVE_INFINITY;

  connect(port: Parameters<VsockBackend['connect']>[0]): void {
    this.port = port;
  }

  send(pieces: readonly Uint8Array[], length: number): boolean {
    if (this.sent.length >= this.room) return false;
    this.sent.push(Uint8Array.from(pieces.flatMap((piece) => [...piece])));
    expect(this.sent[this.sent.length - 1].length).toBe(length);
    return true;
  }

  peek(): Uint8Array | undefined {
    return this.waiting[0];
  }

  shift(): void {
    this.waiting.shift();
  }
}

const RX = 0;
const TX = 1;

function packet(payload: Uint8Array, length = payload.length): Uint8Array {
  const bytes = new Uint8Array(HEADER_LENGTH + payload.length);
  const ports = { sourceCid: HOST_CID, destinationCid: 3, sourcePort: 80, destinationPort: 5 };
  writeHeader(bytes, { ...ports, length, type: TYPE_STREAM, op: Op.rw, flags: 0, bufAlloc: 1, fwdCnt: 2 });
  bytes.set(payload, HEADER_LENGTH);
  return bytes;
}

function vsockRig(): { rig: VirtioRig; backend: FakeBackend } {
  const backend = new FakeBackend();
  return { backend, rig: new VirtioRig({ device: new VirtioVsock({ cid: 0x1_2345, backend }) }) };
}

describe('the socket device', () => {
  test('says what it is and which address the guest has', () => {
    const { rig } = vsockRig();
    expect(rig.configRead(0, 4)).toBe(0x1053_1af4);
    expect([rig.config(0, 4), rig.config(4, 4), rig.config(1, 2)]).toEqual([0x1_2345, 0, 0x123]);
  });

  test.each([false, true])("brings the guest's packets on, however they are cut (packed: %s)", (packed) => {
    const { rig, backend } = vsockRig();
    rig.start({ packed });
    const whole = packet(Uint8Array.of(1, 2, 3, 4, 5));
    rig.queue(TX).send([whole.slice(0, 10), whole.slice(10, 46), whole.slice(46)]);
    rig.queue(TX).send([whole]);
    expect(backend.sent).toEqual([whole, whole]);
  });

  test('a packet waits where there is no room, and keeps its place', () => {
    const { rig, backend } = vsockRig();
    rig.start();
    backend.room = 1;
    const buffers = [1, 2, 3].map((n) => rig.queue(TX).add([packet(Uint8Array.of(n))], []));
    rig.queue(TX).kick();
    expect(rig.queue(TX).collect()).toEqual([buffers[0]]);
    backend.room = 10;
    backend.port!.onRoom();
    expect(rig.queue(TX).collect()).toEqual([buffers[1], buffers[2]]);
    expect(backend.sent.map((bytes) => bytes[HEADER_LENGTH])).toEqual([1, 2, 3]);
  });

  test('cuts what comes for the guest into its buffers', () => {
    const { rig, backend } = vsockRig();
    rig.start();
    backend.waiting.push(packet(new Uint8Array(150).map((_, i) => i)), packet(Uint8Array.of(7)));
    const buffers = [HEADER_LENGTH + 100, HEADER_LENGTH + 100].map((size) => rig.queue(RX).add([], [size]));
    rig.queue(RX).kick();
    const late = rig.queue(RX).add([], [HEADER_LENGTH, 4096]);
    rig.queue(RX).kick();
    expect(rig.queue(RX).collect()).toEqual([...buffers, late]);
    const payloads = [...buffers, late].map(({ bytes, written }) => {
      expect(readHeader(bytes)).toMatchObject({ length: written! - HEADER_LENGTH, op: Op.rw, fwdCnt: 2 });
      return [...bytes.slice(HEADER_LENGTH, written)];
    });
    expect(payloads.flat()).toEqual([...new Uint8Array(150).map((_, i) => i), 7]);
  });

  test.each([
    ['without a header', [packet(new Uint8Array()).slice(0, 43)]],
    ['that says it is longer', [packet(Uint8Array.of(1), 2)]],
    ['that says it is shorter', [packet(Uint8Array.of(1, 2), 1)]],
  ])('a packet %s is a violation', (_, pieces) => {
    const { rig, backend } = vsockRig();
    rig.start();
    rig.queue(TX).add(pieces, []);
    rig.queue(TX).kick();
    expect([rig.needsReset, backend.sent, backend.port]).toEqual([true, [], undefined]);
    expect(rig.warnings[0]).toMatch(/the driver sent virtio-vsock a packet of \d+ bytes .* \(virtio 1\.2, 5\.10\.6\)/);
  });

  test('buffers of any size get every byte in order, or are a violation', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(sizes, fc.array(fc.nat(300), { maxLength: 6 }), (rooms, lengths) => {
        const { rig, backend } = vsockRig();
        rig.start();
        const stream = lengths.map((length, i) => new Uint8Array(length + 1).fill(i + 1));
        backend.waiting.push(...stream.map((payload) => packet(payload)));
        const buffers = rooms.map((room) => rig.queue(RX).add([], [HEADER_LENGTH + room]));
        rig.queue(RX).kick();
        const got = buffers.flatMap(({ bytes, written }) => [
          ...bytes.slice(HEADER_LENGTH, Math.max(HEADER_LENGTH, written ?? 0)),
        ]);
        expect(got).toEqual(stream.flatMap((payload) => [...payload]).slice(0, got.length));
        expect(rig.needsReset).toBe(false);
      }),
      { numRuns: 100 },
    );
  });
});
