import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError, machineConfig } from './config.js';
import { parseDisk, parseMac, parseNet, parseShare, parseVsock } from './devices.js';

describe('a disk', () => {
  test.each([
    ['d.img', { path: 'd.img', format: 'auto', readonly: false }],
    ['d.img,readonly', { path: 'd.img', format: 'auto', readonly: true }],
    ['d.img,readonly=off,format=raw', { path: 'd.img', format: 'raw', readonly: false }],
    ['a,,b.img,format=qcow2', { path: 'a,b.img', format: 'qcow2', readonly: false }],
  ])('%s is understood', (text, disk) => expect(parseDisk(text)).toEqual(disk));

  test.each([
    ['', /needs a file/],
    [',readonly', /needs a file/],
    ['d.img,format=vmdk', /format must be one of auto, raw, qcow2, not "vmdk"/],
    ['d.img,format', /"format" is not understood/],
    ['d.img,readonly=maybe', /readonly must be on or off, not "maybe"/],
    ['d.img,cache=none', /"cache=none" is not understood/],
  ])('"%s" is refused', (text, message) => expect(() => parseDisk(text)).toThrow(message));
});

describe('a network', () => {
  test('none is no network', () => expect(parseNet('none')).toBeUndefined());

  test.each([
    ['user', { kind: 'user' }],
    ['user,host-loopback=on', { kind: 'user', hostLoopback: true }],
    ['user,mac=52:54:00:AA:bb:01', { kind: 'user', mac: '52:54:00:aa:bb:01' }],
    ['tap=tap0', { kind: 'tap', name: 'tap0' }],
    ['tap=tap0,ip=192.168.7.1', { kind: 'tap', name: 'tap0', address: '192.168.7.1' }],
    ['bridge=br0', { kind: 'bridge', name: 'br0' }],
    ['socket=/tmp/a=b', { kind: 'socket', path: '/tmp/a=b' }],
  ])('%s is understood', (text, net) => expect(parseNet(text)).toEqual(net));

  test('a forward leads from this host only, by TCP, to the guest that DHCP knows, unless it says otherwise', () => {
    expect(parseNet('user,hostfwd=:2222-:22,hostfwd=udp:0.0.0.0:53-10.0.2.9:5353')?.forwards).toEqual([
      { protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 2222, guestPort: 22 },
      { protocol: 'udp', hostAddress: '0.0.0.0', hostPort: 53, guestAddress: '10.0.2.9', guestPort: 5353 },
    ]);
  });

  test.each([
    ['', /is written like user/],
    ['bogus', /is written like user/],
    ['usertap', /is written like user/],
    ['user=5', /is written like user/],
    ['user,hostfwd=tcp:2222-:22', /needs IPv4 addresses, and "tcp" is none/],
    ['user,hostfwd=tcp::70000-:22', /hostfwd is written like/],
    ['user,hostfwd=tcp::1-:0', /hostfwd is written like/],
    ['user,hostfwd=tcp:localhost:1-:2', /needs IPv4 addresses, and "localhost" is none/],
    ['tap=', /needs the name of an interface/],
    ['tap=a-name-far-too-long', /at most 15 characters/],
    ['tap=a/b', /needs the name of an interface/],
    ['tap=tap0,ip=300.1.1.1', /ip must be an IPv4 address/],
    ['bridge=br0,hostfwd=:1-:2', /"hostfwd=:1-:2" is not understood/],
    [`socket=${'x'.repeat(108)}`, /too long for a socket/],
    ['user,mac=01:00:5e:00:00:01', /needs a unicast MAC address/],
  ])('"%s" is refused', (text, message) => expect(() => parseNet(text)).toThrow(message));
});

test('a share without a tag gets one that no other share has', () => {
  expect([parseShare('/a', 0), parseShare('/b,readonly', 1), parseShare('/c,tag=music', 2)]).toEqual([
    { path: '/a', tag: 'share', readonly: false },
    { path: '/b', tag: 'share1', readonly: true },
    { path: '/c', tag: 'music', readonly: false },
  ]);
  expect(() => parseShare('', 0)).toThrow(/needs a folder/);
  expect(() => parseShare('/a,tag=a b', 0)).toThrow(/a tag is at most/);
});

test('a vsock device has a path and an address', () => {
  expect(parseVsock('/tmp/v.sock')).toEqual({ path: '/tmp/v.sock', cid: 3 });
  expect(parseVsock('v,cid=42')).toEqual({ path: 'v', cid: 42 });
  expect(() => parseVsock('v,cid=-1')).toThrow(/cid must be a whole number/);
  expect(() => machineConfig({ vsock: parseVsock('v,cid=2') })).toThrow(/vsock.cid must be a whole number from 3/);
});

test('a multicast MAC address is none for a device', () => {
  expect(parseMac('52:54:00:12:34:56')).toBe('52:54:00:12:34:56');
  expect(() => parseMac('53:54:00:12:34:56')).toThrow(ConfigError);
});

test('any text is either a device that the schema takes or a ConfigError', () => {
  const word = fc.constantFrom(
    'user',
    'tap=',
    'socket=x',
    ',',
    ',,',
    '=',
    'hostfwd=',
    ':1-:2',
    'mac=',
    'cid=',
    'tag=',
    'readonly',
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(fc.oneof(word, fc.string({ maxLength: 3 }))).map((list) => list.join('')),
  );
  fc.assert(
    fc.property(text, (typed) => {
      const attempts = [
        () => machineConfig({ disks: [parseDisk(typed)] }),
        () => machineConfig({ nets: [parseNet(typed)].filter((net) => net !== undefined) }),
        () => machineConfig({ shares: [parseShare(typed, 0)] }),
        () => machineConfig({ vsock: parseVsock(typed) }),
      ];
      for (const attempt of attempts) {
        try {
          attempt();
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
        }
      }
    }),
  );
});
