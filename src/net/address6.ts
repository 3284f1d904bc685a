/** IPv6 addresses (RFC 4291): 16 bytes, and their text. */
import { formatIpv4, isNowhere, parseIpv4 } from './address.js';

/** One address. Two objects may be the same address: compare their texts. */
export class Ipv6 {
  readonly bytes: Uint8Array;
  #text: string | undefined;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** As RFC 5952 wants it: so the same address is the same text, ours and the host's. */
  get text(): string {
    this.#text ??= formatIpv6(this.bytes);
    return this.#text;
  }

  toString(): string {
    return this.text;
  }

  is(other: Ipv6): boolean {
    return this === other || this.text === other.text;
  }

  /** Whether the first `bits` bits are those of `prefix`. */
  isIn(prefix: Ipv6, bits: number): boolean {
    const whole = bits >> 3;
    for (let i = 0; i < whole; i++) if (this.bytes[i] !== prefix.bytes[i]) return false;
    const mask = 0xff00 >> (bits & 7);
    return (bits & 7) === 0 || ((this.bytes[whole] ^ prefix.bytes[whole]) & mask & 0xff) === 0;
  }
}

/** IPv4's are numbers, as everywhere. */
export type Address = number | Ipv6;

export function formatAddress(address: Address): string {
  return typeof address === 'number' ? formatIpv4(address) : address.text;
}

/** Addresses read lately: a connection's two come with every segment, and have their texts already. */
const recent: Ipv6[] = [];
const MOST_RECENT = 8;

export function readAddress(bytes: Uint8Array, at: number): Ipv6 {
  search: for (const address of recent) {
    for (let i = 15; i >= 0; i--) if (address.bytes[i] !== bytes[at + i]) continue search;
    return address;
  }
  const address = new Ipv6(bytes.slice(at, at + 16));
  recent.push(address);
  if (recent.length > MOST_RECENT) recent.shift();
  return address;
}

export function ipv6(text: string): Ipv6 {
  const bytes = parseIpv6(text);
  if (bytes === undefined) throw new RangeError(`"${text}" is no IPv6 address.`);
  return new Ipv6(bytes);
}

const MULTICAST = ipv6('ff00::');
const LINK_LOCAL = ipv6('fe80::');
/** The unspecified address, loopback, and IPv4 in disguise (compatible, mapped), which would lead to the host's own. */
const LOW = ipv6('::');
const MAPPED = ipv6('::ffff:0:0');

export function isMulticast(address: Ipv6): boolean {
  return address.isIn(MULTICAST, 8);
}

export function isLinkLocal(address: Ipv6): boolean {
  return address.isIn(LINK_LOCAL, 10);
}

/** What no packet may be sent to outside of this cable (RFC 6890), in either family. */
export function leadsNowhere(address: Address): boolean {
  if (typeof address === 'number') return isNowhere(address);
  return isMulticast(address) || isLinkLocal(address) || address.isIn(LOW, 96) || address.isIn(MAPPED, 96);
}

function formatIpv6(bytes: Uint8Array): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((bytes[i] << 8) | bytes[i + 1]);
  // The longest run of zeros, of two at least, the first of several (RFC 5952, 4.2).
  let from = 0;
  let length = 1;
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (end < 8 && groups[end] === 0) end++;
    if (end - start > length) [from, length] = [start, end - start];
  }
  const text = (part: number[]) => part.map((group) => group.toString(16)).join(':');
  if (length < 2) return text(groups);
  return `${text(groups.slice(0, from))}::${text(groups.slice(from + length))}`;
}

/** @returns 16 bytes; undefined where `text` is no IPv6 address (a zone behind % is left away) */
export function parseIpv6(text: string): Uint8Array | undefined {
  const [plain] = text.split('%');
  const halves = plain.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map(parseGroups);
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  const missing = 8 - head.length - (tail?.length ?? 0);
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...(tail ?? [])];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
}

function parseGroups(text: string): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const words = text.split(':');
  for (const [i, word] of words.entries()) {
    const last = i === words.length - 1 ? parseIpv4(word) : undefined;
    if (last !== undefined) groups.push(last >>> 16, last & 0xffff);
    else if (/^[0-9a-fA-F]{1,4}$/.test(word)) groups.push(Number.parseInt(word, 16));
    else return undefined;
  }
  return groups;
}
