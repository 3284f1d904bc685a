/** Address translation by the book (SDM vol. 3, chapter 4), written for reading: what the core's page walks are held against. */

export type PagingKind = 'none' | '32-bit' | 'pae' | '4-level';
export type Access = 'read' | 'write' | 'fetch';

export interface PagingState {
  readonly kind: PagingKind;
  readonly cr3: bigint;
  readonly pdptes: readonly bigint[];
  readonly pse: boolean;
  readonly nxe: boolean;
  readonly wp: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  readonly ac: boolean;
  readonly user: boolean;
}

export type Translation = { readonly gpa: bigint } | { readonly error: number } | { readonly gp: true };

interface Level {
  readonly address: bigint;
  readonly value: bigint;
}

const bit = (v: bigint, n: number) => (v >> BigInt(n)) & 1n;
const bits = (v: bigint, high: number, low: number) => (v >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n);
const MAXPHYADDR = 40;

/** Translates and, where that succeeds, returns the entries with the accessed and dirty bits that it leaves. */
export function translateByTheBook(
  s: PagingState,
  linear: bigint,
  access: Access,
  load: (gpa: bigint, bytes: 4 | 8) => bigint,
): { result: Translation; entries: Level[] } {
  const entries: Level[] = [];
  const instruction = access === 'fetch' && ((s.nxe && s.kind !== '32-bit') || s.smep);
  const fault = (present: boolean, reserved: boolean) => ({
    result: {
      error:
        (present ? 1 : 0) |
        (access === 'write' ? 2 : 0) |
        (s.user ? 4 : 0) |
        (reserved ? 8 : 0) |
        (instruction ? 16 : 0),
    },
    entries: [],
  });
  if (s.kind === 'none') return { result: { gpa: linear & 0xffffffffn }, entries };
  if (s.kind === '4-level') {
    const top = linear >> 47n;
    if (top !== 0n && top !== 0x1ffffn) return { result: { gp: true }, entries };
  }

  // Which bits of the linear address index which table, and how wide an entry is.
  const width = s.kind === '32-bit' ? 4 : 8;
  const levels =
    s.kind === '32-bit'
      ? [
          [31, 22],
          [21, 12],
        ]
      : s.kind === 'pae'
        ? [
            [29, 21],
            [20, 12],
          ]
        : [
            [47, 39],
            [38, 30],
            [29, 21],
            [20, 12],
          ];
  let table = s.kind === '32-bit' ? s.cr3 & 0xfffff000n : s.cr3 & (((1n << BigInt(MAXPHYADDR)) - 1n) & ~0xfffn);
  if (s.kind === 'pae') {
    const pdpte = s.pdptes[Number(bits(linear, 31, 30))];
    if (!bit(pdpte, 0)) return fault(false, false);
    table = bits(pdpte, MAXPHYADDR - 1, 12) << 12n;
  }
  let user = true;
  let writable = true;
  let noExecute = false;
  for (const [high, low] of levels) {
    const address = table + bits(linear, high, low) * BigInt(width);
    const value = load(address, width);
    if (!bit(value, 0)) return fault(false, false);
    const mayBeLarge = s.kind === '32-bit' ? low === 22 && s.pse : low === 21 || low === 30;
    const large = mayBeLarge && bit(value, 7) === 1n;
    let reserved = false;
    if (s.kind === '32-bit') reserved = large && bit(value, 21) === 1n;
    else {
      reserved = bits(value, s.kind === 'pae' ? 62 : 51, MAXPHYADDR) !== 0n;
      if (!s.nxe && bit(value, 63)) reserved = true;
      if (low === 39 && bit(value, 7)) reserved = true;
      if (large && bits(value, low - 1, 13) !== 0n) reserved = true;
    }
    if (reserved) return fault(true, true);
    user &&= bit(value, 2) === 1n;
    writable &&= bit(value, 1) === 1n;
    noExecute ||= width === 8 && bit(value, 63) === 1n;
    entries.push({ address, value });
    if (large || low === 12) {
      let allowed: boolean;
      if (s.user) allowed = user && (access !== 'write' || writable) && (access !== 'fetch' || !noExecute);
      else if (access === 'fetch') allowed = !noExecute && !(user && s.smep);
      else allowed = !(user && s.smap && !s.ac) && (access === 'read' || writable || !s.wp);
      if (!allowed) return fault(true, false);
      const last = entries.length - 1;
      const marked = entries.map((e, i) => ({
        address: e.address,
        value: e.value | 0x20n | (i === last && access === 'write' ? 0x40n : 0n),
      }));
      const offset = bits(linear, low - 1, 0);
      let frame: bigint;
      if (s.kind === '32-bit')
        frame = large ? (bits(value, 31, 22) << 22n) | (bits(value, 20, 13) << 32n) : bits(value, 31, 12) << 12n;
      else frame = bits(value, MAXPHYADDR - 1, low) << BigInt(low);
      return { result: { gpa: frame | offset }, entries: marked };
    }
    table = width === 4 ? bits(value, 31, 12) << 12n : bits(value, MAXPHYADDR - 1, 12) << 12n;
  }
  throw new Error('not reached');
}
