/** IPv6 addresses as text (RFC 4291, 2.2), for AAAA records. */
import { parseIpv4 } from '../address.js';

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
