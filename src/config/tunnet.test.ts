import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { machineConfig } from './config.js';
import { parseTunnet } from './tunnet.js';

describe('--tunnet', () => {
  test('an address is that of the host’s end of a new tap device', () => {
    expect(parseTunnet('192.168.19.1')).toEqual({ kind: 'tap', name: 'tap%d', address: '192.168.19.1' });
  });

  test('bridge:NAME is a bridge', () => {
    expect(parseTunnet('bridge:br0')).toEqual({ kind: 'bridge', name: 'br0' });
  });

  test('a MAC address may follow either', () => {
    expect(parseTunnet('10.0.0.1:02:0A:00:00:00:01').mac).toBe('02:0a:00:00:00:01');
    expect(parseTunnet('bridge:br0:02:00:00:00:00:01')).toMatchObject({ name: 'br0', mac: '02:00:00:00:00:01' });
  });

  test.each([
    ['', /needs an IPv4 address/],
    ['tap0', /needs an IPv4 address such as 192\.168\.19\.1, or bridge:NAME, not "tap0"\./],
    ['1.2.3', /needs an IPv4 address/],
    ['1.2.3.256', /needs an IPv4 address/],
    ['bridge:', /needs the name of an interface/],
    ['bridge:a-name-far-too-long', /at most 15 characters/],
    ['1.2.3.4:5', /needs a unicast MAC address/],
    ['1.2.3.4:01:00:00:00:00:00', /needs a unicast MAC address/],
  ])('"%s" is refused', (text, message) => {
    expect(() => parseTunnet(text)).toThrow(message);
  });

  test('whatever is typed: a network that the configuration takes, or a ConfigError', () => {
    const piece = fc.oneof(fc.string(), fc.constantFrom('bridge:', '10.0.0.1', ':', '02:00:00:00:00:01', 'br0'));
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        try {
          const net = parseTunnet(pieces.join(''));
          expect(machineConfig({ nets: [net] }).nets).toEqual([net]);
        } catch (error) {
          expect((error as Error).name).toBe('ConfigError');
        }
      }),
    );
  });
});
