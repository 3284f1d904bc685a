import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EscapeParser } from './escape.js';

const bytes = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));
const text = (input: Uint8Array) => String.fromCharCode(...input);

describe('the escape parser', () => {
  test('passes ordinary keys to the guest', () => {
    expect(new EscapeParser().parse(bytes('ls -l\r'), 0)).toEqual({ input: bytes('ls -l\r'), actions: [] });
  });

  test('Ctrl-a x quits and reaches the guest not at all', () => {
    const { input, actions } = new EscapeParser().parse(bytes('\x01x'), 0);
    expect([text(input), actions]).toEqual(['', ['quit']]);
  });

  test('Ctrl-a h asks for help', () => {
    expect(new EscapeParser().parse(bytes('\x01h'), 0).actions).toEqual(['help']);
  });

  test('Ctrl-a Ctrl-a sends one Ctrl-a, and the next x is an ordinary key', () => {
    expect(text(new EscapeParser().parse(bytes('\x01\x01x'), 0).input)).toBe('\x01x');
  });

  test('Ctrl-a and a key without a meaning both reach the guest', () => {
    expect(text(new EscapeParser().parse(bytes('\x01k'), 0).input)).toBe('\x01k');
  });

  test('a command cut between two pieces of input is understood', () => {
    const parser = new EscapeParser();
    expect(parser.parse(bytes('\x01'), 0).actions).toEqual([]);
    expect(parser.parse(bytes('x'), 5000).actions).toEqual(['quit']);
  });

  test('three ^C within a second quit, and the guest gets all three', () => {
    const parser = new EscapeParser();
    parser.parse(bytes('\x03'), 0);
    parser.parse(bytes('\x03'), 500);
    const { input, actions } = parser.parse(bytes('\x03'), 1000);
    expect([text(input), actions]).toEqual(['\x03', ['quit']]);
  });

  test('three ^C in more than a second do not quit', () => {
    const parser = new EscapeParser();
    const actions = [0, 600, 1200, 1800].flatMap((now) => parser.parse(bytes('\x03'), now).actions);
    expect(actions).toEqual([]);
  });

  test('another key between the ^C starts the count anew', () => {
    expect(new EscapeParser().parse(bytes('\x03\x03a\x03\x03'), 0).actions).toEqual([]);
  });

  test('where only ^C is ours, Ctrl-a and what follows it are the guest’s, and three ^C quit all the same', () => {
    const { input, actions } = new EscapeParser('interrupts').parse(bytes('\x01x\x01h\x03\x03\x03'), 0);
    expect([text(input), actions]).toEqual(['\x01x\x01h\x03\x03\x03', ['quit']]);
  });

  test('input means the same however it is cut into pieces', () => {
    const key = fc.constantFrom(0x01, 0x03, 0x61, 0x78, 0x68);
    fc.assert(
      fc.property(fc.array(key), fc.nat(), (keys, cut) => {
        const at = keys.length === 0 ? 0 : cut % keys.length;
        const whole = new EscapeParser().parse(Uint8Array.from(keys), 0);
        const parser = new EscapeParser();
        const first = parser.parse(Uint8Array.from(keys.slice(0, at)), 0);
        const second = parser.parse(Uint8Array.from(keys.slice(at)), 0);
        expect([...first.input, ...second.input]).toEqual([...whole.input]);
        expect([...first.actions, ...second.actions]).toEqual(whole.actions);
      }),
    );
  });
});
