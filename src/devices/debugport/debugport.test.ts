import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { playPortOps, portOps } from '../testing.js';
import { DebugConsole, type DebugConsoleState, PostCodePort, type PostCodeState } from './debugport.js';

describe('PostCodePort', () => {
  test('keeps the last byte written, which reads back with floating neighbours', () => {
    const port = new PostCodePort();
    port.portOut(0, 1, 0x31);
    port.portOut(0, 2, 0x1234);
    expect(port.last).toBe(0x34);
    expect([port.portIn(0, 1), port.portIn(0, 2), port.portIn(0, 4)]).toEqual([0x34, 0xff34, 0xffffff34]);
  });

  test('a saved state has the last code; another version is refused by name', () => {
    const port = new PostCodePort();
    port.portOut(0, 1, 0x55);
    const other = new PostCodePort();
    other.restore(JSON.parse(JSON.stringify(port.save())) as PostCodeState);
    expect(other.last).toBe(0x55);
    expect(() => port.restore({ version: 2, last: 0 } as unknown as PostCodeState)).toThrow(/POST code port/);
  });
});

describe('DebugConsole', () => {
  test('passes each byte to the sink and reads E9h, by which firmware knows it', () => {
    const bytes: number[] = [];
    const port = new DebugConsole((byte) => bytes.push(byte));
    for (const byte of [0x4f, 0x4b, 0x0a]) port.portOut(0, 1, byte);
    port.portOut(0, 4, 0x61626364);
    expect(bytes).toEqual([0x4f, 0x4b, 0x0a, 0x64]);
    expect([port.portIn(0, 1), port.portIn(0, 2), port.portIn(0, 4)]).toEqual([0xe9, 0xffe9, 0xffffffe9]);
  });

  test('a state of another version is refused by name', () => {
    const port = new DebugConsole(() => {});
    port.restore(port.save());
    expect(() => port.restore({ version: 2 } as unknown as DebugConsoleState)).toThrow(/debug console/);
  });
});

test('whatever a guest does to either, reads have their size and the sink gets bytes', () => {
  fc.assert(
    fc.property(portOps(fc, [1, 1]), (ops) => {
      playPortOps([new PostCodePort(), new DebugConsole((byte) => expect(byte & ~0xff).toBe(0))], ops);
    }),
  );
});
