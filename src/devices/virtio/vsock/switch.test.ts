import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  HEADER_LENGTH,
  HOST_CID,
  Op,
  type PacketHeader,
  readHeader,
  SHUTDOWN_RECEIVE,
  SHUTDOWN_SEND,
  TYPE_STREAM,
  writeHeader,
} from './header.js';
import { type HostStream, MOST_CONNECTIONS, type StreamEvents, VsockSwitch } from './switch.js';

const GUEST = 7;

class FakeStream implements HostStream {
  readonly events: StreamEvents;
  readonly port: number;
  written: number[] = [];
  /** Called when what was written is to have gone. */
  taking: (() => void)[] = [];
  ended = false;
  flowing = true;
  destroyed = false;

  constructor(port: number, events: StreamEvents) {
    this.port = port;
    this.events = events;
  }

  write(bytes: Uint8Array, taken: () => void): void {
    this.written.push(...bytes);
    this.taking.push(taken);
  }

  end(): void {
    this.ended = true;
  }

  flow(on: boolean): void {
    this.flowing = on;
  }

  destroy(): void {
    this.destroyed = true;
  }
}

/** A guest that we play ourselves. */
function rigged() {
  const streams: FakeStream[] = [];
  const sent: { header: PacketHeader; payload: Uint8Array }[] = [];
  let room = Number.POSITIVE_INFINITY;
  let reserved = new Uint8Array();
  const vsock = new VsockSwitch({
    cid: GUEST,
    wake: () => {},
    streams: {
      connect: (port, events) => {
        streams.push(new FakeStream(port, events));
        return streams[streams.length - 1];
      },
    },
    sink: {
      reserve: (length) => (room-- > 0 ? (reserved = new Uint8Array(length)) : undefined),
      commit: () => sent.push({ header: readHeader(reserved), payload: reserved.slice(HEADER_LENGTH) }),
    },
  });
  const say = (op: number, fields: Partial<PacketHeader> = {}, payload = new Uint8Array()) => {
    const packet = new Uint8Array(HEADER_LENGTH + payload.length);
    const base = { sourceCid: GUEST, destinationCid: HOST_CID, sourcePort: 5, destinationPort: 80 };
    const credit = { bufAlloc: 1000, fwdCnt: 0, flags: 0, type: TYPE_STREAM, length: payload.length };
    writeHeader(packet, { ...base, ...credit, op, ...fields });
    packet.set(payload, HEADER_LENGTH);
    return vsock.receive(packet);
  };
  const hear = () => {
    vsock.service();
    return sent.splice(0);
  };
  const ops = () => hear().map(({ header }) => header.op);
  const connected = () => {
    say(Op.request);
    streams[0].events.onOpen();
    expect(ops()).toEqual([Op.response]);
    return streams[0];
  };
  return { vsock, streams, say, hear, ops, connected, setRoom: (packets: number) => (room = packets) };
}

describe('sockets between guest and host', () => {
  test('a connection that the guest asks for opens when the host has it, and is refused when it has not', () => {
    const { say, streams, hear, ops } = rigged();
    say(Op.request);
    expect([streams[0].port, ops()]).toEqual([80, []]);
    streams[0].events.onOpen();
    expect(hear()[0].header).toMatchObject({
      op: Op.response,
      sourceCid: HOST_CID,
      destinationCid: GUEST,
      sourcePort: 80,
      destinationPort: 5,
      bufAlloc: 256 * 1024,
    });
    say(Op.request, { destinationPort: 81 });
    streams[1].events.onClose();
    expect(ops()).toEqual([Op.rst]);
  });

  test('bytes go both ways, and the guest hears of room when enough has come free', () => {
    const { say, hear, ops, connected } = rigged();
    const stream = connected();
    stream.events.onData(Uint8Array.of(1, 2, 3));
    expect(hear().map(({ payload }) => [...payload])).toEqual([[1, 2, 3]]);
    const large = new Uint8Array(40_000).fill(9);
    say(Op.rw, {}, large);
    say(Op.rw, {}, large);
    stream.taking[0]();
    expect(ops()).toEqual([]);
    stream.taking[1]();
    expect(hear()[0].header).toMatchObject({ op: Op.creditUpdate, fwdCnt: 80_000 });
    expect(stream.written.length).toBe(80_000);
  });

  test('the host is read only as far as the guest has room', () => {
    const { say, hear, connected } = rigged();
    const stream = connected();
    stream.events.onData(new Uint8Array(1500));
    expect(hear().map(({ payload }) => payload.length)).toEqual([1000]);
    expect(stream.flowing).toBe(false);
    say(Op.creditUpdate, { fwdCnt: 300 });
    expect(hear().map(({ payload }) => payload.length)).toEqual([300]);
    say(Op.creditUpdate, { fwdCnt: 1300, bufAlloc: 5000 });
    expect(hear().map(({ payload }) => payload.length)).toEqual([200]);
    expect(stream.flowing).toBe(true);
  });

  test('nothing is lost where there is no room for packets', () => {
    const { hear, connected, setRoom } = rigged();
    const stream = connected();
    setRoom(0);
    stream.events.onData(Uint8Array.of(4));
    expect(hear()).toEqual([]);
    setRoom(10);
    expect(hear().map(({ payload }) => [...payload])).toEqual([[4]]);
  });

  test('a guest that sends more than it was allowed, or after its end, loses the connection', () => {
    for (const misdeed of ['credit', 'end'] as const) {
      const { say, ops, connected } = rigged();
      const stream = connected();
      if (misdeed === 'end') say(Op.shutdown, { flags: SHUTDOWN_SEND });
      for (let i = 0; i < (misdeed === 'end' ? 1 : 5); i++) say(Op.rw, {}, new Uint8Array(60_000));
      expect([ops(), stream.destroyed]).toEqual([[Op.rst], true]);
    }
  });

  test('half a connection may end: the other goes on, and the last end is answered with RST', () => {
    const { say, hear, ops, connected } = rigged();
    const stream = connected();
    say(Op.shutdown, { flags: SHUTDOWN_SEND });
    expect([stream.ended, ops()]).toEqual([true, []]);
    stream.events.onData(Uint8Array.of(1));
    stream.events.onEnd();
    expect(hear().map(({ header: { op, flags } }) => [op, flags])).toEqual([
      [Op.rw, 0],
      [Op.shutdown, SHUTDOWN_SEND],
    ]);
    expect(ops()).toEqual([Op.rst]);
  });

  test('the host ends first: the guest hears it, and its own end is answered', () => {
    const { say, hear, ops, connected, vsock } = rigged();
    const stream = connected();
    stream.events.onEnd();
    expect(hear()[0].header).toMatchObject({ op: Op.shutdown, flags: SHUTDOWN_SEND });
    say(Op.rw, {}, Uint8Array.of(8));
    say(Op.shutdown, { flags: SHUTDOWN_SEND | SHUTDOWN_RECEIVE });
    expect(ops()).toEqual([]);
    stream.taking[0]();
    expect([ops(), vsock.size]).toEqual([[Op.rst], 0]);
  });

  test('a connection that the host asks for waits for the guest', () => {
    const { vsock, say, hear, ops } = rigged();
    let port = 0;
    let stream: FakeStream | undefined;
    const accept = () =>
      vsock.accept(
        22,
        (events) => (stream = new FakeStream(22, events)),
        (agreed) => (port = agreed),
      );
    expect(accept()).toBe(true);
    const { header } = hear()[0];
    expect([header.op, header.destinationPort, port, stream!.flowing]).toEqual([Op.request, 22, 0, false]);
    say(Op.response, { sourcePort: 22, destinationPort: header.sourcePort });
    expect([port, stream!.flowing]).toEqual([header.sourcePort, true]);
    say(Op.rst, { sourcePort: 22, destinationPort: header.sourcePort });
    expect([stream!.destroyed, ops()]).toEqual([true, []]);
  });

  test('what belongs to no connection is refused, but a refusal is not, and what is not for the host is dropped', () => {
    const { say, ops } = rigged();
    say(Op.rw, {}, Uint8Array.of(1));
    say(Op.response);
    say(99);
    say(Op.request, { type: 2 });
    expect(ops()).toEqual([Op.rst, Op.rst, Op.rst, Op.rst]);
    say(Op.rst);
    say(Op.request, { sourceCid: 8 });
    say(Op.request, { destinationCid: 3 });
    expect(ops()).toEqual([]);
  });

  test('connections have a limit, and a new life of the guest has none', () => {
    const { say, ops, vsock, streams } = rigged();
    for (let port = 0; port < MOST_CONNECTIONS + 1; port++) say(Op.request, { sourcePort: port });
    expect([vsock.size, ops()]).toEqual([MOST_CONNECTIONS, [Op.rst]]);
    vsock.clear();
    expect([vsock.size, streams.every((stream) => stream.destroyed)]).toEqual([0, true]);
  });

  test('a guest that does not listen to answers can ask no more', () => {
    const { say, setRoom } = rigged();
    setRoom(0);
    let asked = 0;
    while (asked < 10_000 && say(Op.rw)) asked++;
    expect(asked).toBeLessThan(300);
  });

  test('whatever guest and host do, credit is kept, and the switch goes on', () => {
    const packet = fc.record({
      op: fc.nat(8),
      port: fc.nat(2),
      flags: fc.nat(3),
      payload: fc.nat(3000),
      bufAlloc: fc.constantFrom(0, 1, 5000, 0xffff_ffff),
      fwdCnt: fc.nat(0xffff_ffff),
    });
    const host = fc.record({ event: fc.constantFrom('open', 'data', 'end', 'close', 'taken'), which: fc.nat(5) });
    fc.assert(
      fc.property(fc.array(fc.oneof(packet, host), { maxLength: 60 }), (steps) => {
        const { say, hear, streams, vsock } = rigged();
        for (const step of steps) {
          if ('op' in step) {
            const { op, port, flags, bufAlloc, fwdCnt } = step;
            say(op, { sourcePort: port, flags, bufAlloc, fwdCnt }, new Uint8Array(op === Op.rw ? step.payload : 0));
          } else if (streams.length > 0) {
            const stream = streams[step.which % streams.length];
            if (step.event === 'open') stream.events.onOpen();
            else if (step.event === 'data') stream.events.onData(new Uint8Array(100));
            else if (step.event === 'end') stream.events.onEnd();
            else if (step.event === 'close') stream.events.onClose();
            else stream.taking.shift()?.();
          }
          for (const { header, payload } of hear()) expect(payload.length).toBe(header.length);
        }
        vsock.clear();
        expect(vsock.size).toBe(0);
      }),
      { numRuns: Number(process.env.TYPEVISOR_VIRTIO_CASES ?? 500) },
    );
  });
});
