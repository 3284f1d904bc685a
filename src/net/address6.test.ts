import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ipv4 } from './address.js';
import { Ipv6, ipv6, leadsNowhere, parseIpv6, readAddress } from './address6.js';

/** Groups that are zero as often as not, so that there is something to leave out. */
const groups = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 });
const bytesOf = (list: number[]) => Uint8Array.from(list.flatMap((group) => [group >> 8, group & 255]));

describe('an IPv6 address', () => {
  test('is written as browsers write it, and read back', () => {
    fc.assert(
      fc.property(groups, (list) => {
        const full = list.map((group) => group.toString(16)).join(':');
        const { text } = new Ipv6(bytesOf(list));
        expect(`[${text}]`).toBe(new URL(`http://[${full}]`).hostname);
        expect(parseIpv6(text)).toEqual(bytesOf(list));
        expect(parseIpv6(full)).toEqual(bytesOf(list));
      }),
    );
  });

  test.each([
    '',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '12345::',
    'g::',
    '1.2.3.4',
    '::1.2.3.256',
  ])('is not %j', (text) => {
    expect(parseIpv6(text)).toBeUndefined();
    expect(() => ipv6(text)).toThrow(RangeError);
  });

  test('is read out of a packet, whichever were read before', () => {
    fc.assert(
      fc.property(fc.array(groups, { minLength: 1, maxLength: 30 }), (lists) => {
        for (const list of lists) {
          const packet = new Uint8Array([9, ...bytesOf(list), 9]);
          const address = readAddress(packet, 1);
          packet.fill(7);
          expect(address.bytes).toEqual(bytesOf(list));
        }
      }),
    );
  });

  test('is in a prefix of any length where its first bits are', () => {
    fc.assert(
      fc.property(groups, fc.nat(128), fc.nat(127), (list, bits, flipped) => {
        const address = new Ipv6(bytesOf(list));
        const other = address.bytes.slice();
        other[flipped >> 3] ^= 0x80 >> (flipped & 7);
        expect(new Ipv6(other).isIn(address, bits)).toBe(flipped >= bits);
      }),
    );
  });

  test.each([
    '::',
    '::1',
    '::127.0.0.1',
    '::ffff:127.0.0.1',
    '::ffff:192.0.2.1',
    'fe80::1',
    'febf::1',
    'ff02::1',
    'ff0e::1',
  ])('leads nowhere: %s', (text) => expect(leadsNowhere(ipv6(text))).toBe(true));

  test.each(['2001:db8::1', 'fd00::1', 'fec0::9', '64:ff9b::1', '1::'])('leads somewhere: %s', (text) =>
    expect(leadsNowhere(ipv6(text))).toBe(false),
  );

  test('is told from IPv4 addresses', () => {
    expect([ipv4('127.0.0.1'), ipv4('192.0.2.1')].map(leadsNowhere)).toEqual([true, false]);
  });
});
