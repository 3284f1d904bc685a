import { PassThrough, Writable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StreamSink } from './output.js';
import { SerialPort, TailSink } from './serial.js';

/** A UART that takes `room` bytes at most and remembers them. */
function uart() {
  const got: number[] = [];
  const it = {
    room: 0,
    got,
    receive(bytes: Uint8Array) {
      const taken = Math.min(it.room, bytes.length);
      for (const byte of bytes.subarray(0, taken)) got.push(byte);
      it.room -= taken;
      return taken;
    },
  };
  return it;
}

describe('a serial port', () => {
  test('hands on input in order, no more than the UART has room for, whatever the pieces', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 20 })),
        fc.array(fc.nat(7), { maxLength: 300 }),
        (pieces, rooms) => {
          const port = new SerialPort(new TailSink(1));
          const device = uart();
          port.connect(device);
          for (const piece of pieces) port.send(piece);
          expect(device.got).toEqual([]);
          for (const room of rooms) {
            device.room = room;
            port.roomForInput();
          }
          const all = pieces.flatMap((piece) => [...piece]);
          const space = rooms.reduce((sum, room) => sum + room, 0);
          expect(device.got).toEqual(all.slice(0, Math.min(space, all.length)));
        },
      ),
    );
  });

  test('hands on what has come before there was a UART', () => {
    const port = new SerialPort(new TailSink(1));
    port.send(Uint8Array.of(1, 2));
    const device = uart();
    device.room = 10;
    port.connect(device);
    expect(device.got).toEqual([1, 2]);
  });

  test('keeps input back while it is held', () => {
    const port = new SerialPort(new TailSink(1));
    const device = uart();
    device.room = 10;
    port.connect(device);
    port.hold();
    port.send(Uint8Array.of(1, 2));
    port.roomForInput();
    expect(device.got).toEqual([]);
    port.release();
    expect(device.got).toEqual([1, 2]);
  });

  test('says that there is input, so that a sleeping machine wakes', () => {
    const port = new SerialPort(new TailSink(1));
    let woken = 0;
    port.onInput = () => woken++;
    port.send(Uint8Array.of(1));
    expect(woken).toBe(1);
  });

  test('feeds a stream through the encoder and sends the end once it has ended', async () => {
    const port = new SerialPort(new TailSink(1));
    const device = uart();
    device.room = 1000;
    port.connect(device);
    const source = new PassThrough();
    port.feedFrom(source, (bytes) => bytes.map((byte) => byte + 1), Uint8Array.of(4));
    source.write(Uint8Array.of(10, 20));
    source.end();
    await new Promise((resolve) => source.once('close', resolve));
    expect(device.got).toEqual([11, 21, 4]);
  });

  test('holds a stream back while the guest does not read', async () => {
    const port = new SerialPort(new TailSink(1));
    const device = uart();
    port.connect(device);
    const source = new PassThrough({ highWaterMark: 1 << 20 });
    port.feedFrom(source, (bytes) => bytes, new Uint8Array());
    source.write(new Uint8Array(300 * 1024));
    await new Promise((resolve) => setImmediate(resolve));
    expect(source.isPaused()).toBe(true);
    device.room = 300 * 1024;
    port.roomForInput();
    expect(source.isPaused()).toBe(false);
  });
});

test('a tail tells of the end of each line, after keeping it', () => {
  const tail = new TailSink(10);
  const lines: string[] = [];
  tail.onLine = () => lines.push(tail.text());
  for (const char of 'a\nb\nc') tail.write(char.charCodeAt(0));
  expect(lines).toEqual(['a\n', 'a\nb\n']);
});

test('a tail keeps the last bytes', () => {
  const tail = new TailSink(5);
  for (const char of 'hello') tail.write(char.charCodeAt(0));
  expect(tail.text()).toBe('hello');
  for (const char of ' world') tail.write(char.charCodeAt(0));
  expect(tail.text()).toBe('world');
});

describe('a stream sink', () => {
  function slowStream() {
    const chunks: number[] = [];
    const waiting: (() => void)[] = [];
    const stream = new Writable({
      write(chunk: Uint8Array, _encoding, done) {
        chunks.push(...chunk);
        waiting.push(done);
      },
    });
    return {
      stream,
      chunks,
      release: () => {
        for (const done of waiting.splice(0)) done();
      },
    };
  }

  test('collects bytes and writes them together', () => {
    const { stream, chunks } = slowStream();
    const sink = new StreamSink(stream);
    for (const byte of [1, 2, 3]) sink.write(byte);
    expect(chunks).toEqual([]);
    expect(sink.flush()).toBeUndefined();
    expect(chunks).toEqual([1, 2, 3]);
    expect(sink.last).toBe(3);
  });

  test('makes its caller wait while a megabyte is unread, and no longer', async () => {
    const { stream, release } = slowStream();
    const sink = new StreamSink(stream);
    for (let i = 0; i < 1024 * 1024; i++) sink.write(65);
    const congested = sink.flush();
    expect(congested).toBeInstanceOf(Promise);
    const pump = setInterval(release, 0);
    await congested;
    clearInterval(pump);
    expect(stream.writableLength).toBeLessThan(1024 * 1024);
  });

  test('a reader that has gone away neither blocks nor breaks the guest', async () => {
    const { stream } = slowStream();
    stream.on('error', () => {});
    const sink = new StreamSink(stream);
    stream.destroy();
    sink.write(1);
    expect(sink.flush()).toBeUndefined();
  });
});
