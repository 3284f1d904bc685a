/**
 * Tap devices of Linux: a network interface of the host whose other end is a file descriptor of ours (tuntap.rst of the
 * kernel's documentation, netdevice(7)). Made and set up here, as lguest's --tunnet does: with an address of its own, or
 * plugged into a bridge.
 */
import { closeSync, constants, openSync } from 'node:fs';
import type { Offloads } from '../../../devices/virtio/net/backend.js';
import { HEADER_LENGTH } from '../../../devices/virtio/net/header.js';
import { type Libc, loadLibc, type SystemCallError } from '../ffi/libc.js';
import { FileError } from '../files.js';

export interface TapRequest {
  /** The kernel puts a free number for %d. */
  readonly name: string;
  /** IPv4 address of the host's end, and the length of its network part; without that, its class says. */
  readonly address?: string | undefined;
  readonly prefix?: number | undefined;
  /** The bridge that the host's end is plugged into. */
  readonly bridge?: string | undefined;
}

export interface Tap {
  /** Reading and writing never block. A packet begins with a virtio header of 12 bytes. */
  readonly fd: number;
  /** As the kernel calls it. */
  readonly name: string;
  /** Bytes of an IP packet. */
  readonly mtu: number;
}

// linux/if_tun.h
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_TSO_ECN = 0x08;
// linux/sockios.h
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCSIFADDR = 0x8916;
const SIOCSIFNETMASK = 0x891c;
const SIOCGIFMTU = 0x8921;
const SIOCGIFINDEX = 0x8933;
const SIOCBRADDIF = 0x89a2;
// linux/if.h
const IFF_UP = 1;
// sys/socket.h
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
/** struct ifreq: a name of 16 bytes, then a union of 24. */
const IFREQ_SIZE = 40;
const IFREQ_VALUE = 16;

/** @throws FileError, NoFfiError where it can't be had: one sentence */
export function openTap(request: TapRequest): Tap {
  const libc = loadLibc();
  const fd = openTun();
  try {
    const name = attach(libc, fd, request.name);
    const size = Uint8Array.of(HEADER_LENGTH, 0, 0, 0);
    libc.ioctlBytes(fd, TUNSETVNETHDRSZ, size, 'TUNSETVNETHDRSZ');
    const socket = libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    try {
      return { fd, name, mtu: configure(libc, socket, name, request) };
    } finally {
      libc.close(socket);
    }
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** What the kernel may leave undone in packets that it gives us. */
export function setTapOffloads(fd: number, { checksum, tso4, tso6, ecn }: Offloads): void {
  const flags = (tso4 ? TUN_F_TSO4 : 0) | (tso6 ? TUN_F_TSO6 : 0) | (ecn && (tso4 || tso6) ? TUN_F_TSO_ECN : 0);
  loadLibc().ioctl(fd, TUNSETOFFLOAD, checksum ? TUN_F_CSUM | flags : 0, 'TUNSETOFFLOAD');
}

function openTun(): number {
  try {
    return openSync('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENXIO')
      throw new FileError('There is no /dev/net/tun on this machine; as root, "modprobe tun" may bring it.');
    throw new FileError(`/dev/net/tun can't be opened (${code}); run as root, or give yourself the right to.`);
  }
}

/** @returns the interface's name */
function attach(libc: Libc, fd: number, asked: string): string {
  const request = ifreq(asked);
  request.view.setUint16(IFREQ_VALUE, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true);
  step(() => libc.ioctlBytes(fd, TUNSETIFF, request.bytes, 'TUNSETIFF'), {
    EPERM: `The tap "${asked}" can't be used by you; run as root, or let root make it yours: ip tuntap add ${asked} mode tap user YOU vnet_hdr.`,
    EBUSY: `The tap "${asked}" is in use by another program; give another one.`,
    EINVAL: `The interface "${asked}" is no tap that can be used here: it is of another kind, or was made with other flags (without vnet_hdr, with multi_queue).`,
  });
  const end = request.bytes.indexOf(0);
  return new TextDecoder().decode(request.bytes.subarray(0, end));
}

/** @returns the interface's MTU */
function configure(libc: Libc, socket: number, name: string, request: TapRequest): number {
  const { address, prefix, bridge } = request;
  if (bridge !== undefined) plugIntoBridge(libc, socket, name, bridge);
  if (address !== undefined) {
    const onlyRoot = { EPERM: `The address of "${name}" can only be set by root; run as root, or leave ip= away.` };
    const set = (code: number, bytes: readonly number[], what: string) => {
      const { bytes: buffer } = withAddress(name, bytes);
      step(() => libc.ioctlBytes(socket, code, buffer, what), onlyRoot);
    };
    set(SIOCSIFADDR, address.split('.').map(Number), 'SIOCSIFADDR');
    if (prefix !== undefined) set(SIOCSIFNETMASK, netmask(prefix), 'SIOCSIFNETMASK');
  }
  const flags = ifreq(name);
  libc.ioctlBytes(socket, SIOCGIFFLAGS, flags.bytes, 'SIOCGIFFLAGS');
  const up = flags.view.getInt16(IFREQ_VALUE, true);
  if ((up & IFF_UP) === 0) {
    flags.view.setInt16(IFREQ_VALUE, up | IFF_UP, true);
    step(() => libc.ioctlBytes(socket, SIOCSIFFLAGS, flags.bytes, 'SIOCSIFFLAGS'), {
      EPERM: `The tap "${name}" is down, and only root can bring it up: ip link set ${name} up.`,
    });
  }
  const mtu = ifreq(name);
  libc.ioctlBytes(socket, SIOCGIFMTU, mtu.bytes, 'SIOCGIFMTU');
  return mtu.view.getInt32(IFREQ_VALUE, true);
}

function plugIntoBridge(libc: Libc, socket: number, name: string, bridge: string): void {
  const own = ifreq(name);
  libc.ioctlBytes(socket, SIOCGIFINDEX, own.bytes, 'SIOCGIFINDEX');
  const request = ifreq(bridge);
  request.view.setInt32(IFREQ_VALUE, own.view.getInt32(IFREQ_VALUE, true), true);
  const none = `There is no bridge "${bridge}" on this machine; as root, make it: ip link add ${bridge} type bridge.`;
  step(() => libc.ioctlBytes(socket, SIOCBRADDIF, request.bytes, 'SIOCBRADDIF'), {
    ENODEV: none,
    ENOTSUP: `The interface "${bridge}" is no bridge; give one.`,
    ENOTTY: `The interface "${bridge}" is no bridge; give one.`,
    ENOPKG: none,
    EPERM: `The bridge "${bridge}" can only be changed by root; run as root.`,
  });
}

interface Request {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

function ifreq(name: string): Request {
  const bytes = new Uint8Array(IFREQ_SIZE);
  // The last byte of the name stays 0.
  bytes.set(new TextEncoder().encode(name).subarray(0, IFREQ_VALUE - 1));
  return { bytes, view: new DataView(bytes.buffer) };
}

/** An ifreq with a struct sockaddr_in: family, port, then the address as it goes over the wire. */
function withAddress(name: string, address: readonly number[]): Request {
  const request = ifreq(name);
  request.view.setUint16(IFREQ_VALUE, AF_INET, true);
  request.bytes.set(address, IFREQ_VALUE + 4);
  return request;
}

function netmask(prefix: number): number[] {
  return [0, 8, 16, 24].map((from) => (0xff00 >> Math.max(0, Math.min(8, prefix - from))) & 0xff);
}

/** @throws FileError with the sentence that belongs to the error's code */
function step(call: () => unknown, sentences: { readonly [code: string]: string }): void {
  try {
    call();
  } catch (error) {
    const sentence = sentences[(error as SystemCallError).code];
    throw sentence === undefined ? error : new FileError(sentence);
  }
}
