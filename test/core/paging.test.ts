import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import * as L from '../../src/engine/soft/layout.js';
import { TestMachine } from './machine.js';
import { type Access, type PagingKind, type PagingState, translateByTheBook } from './paging-model.js';

/** The core's functions that a TLB miss calls; what they return is a host address. */
interface MemoryFunctions {
  memRead(linear: bigint, size: number): number;
  memWrite(linear: bigint, size: number): number;
  fetchPage(linear: bigint): number;
}

const MEMORY = 4 << 20;
/** Tables lie in these pages; entries point to them or, as frames, anywhere. */
const TABLES = [0x10_0000n, 0x10_1000n, 0x10_2000n, 0x10_3000n];
const TABLE_BYTES = 0x1000;

let m: TestMachine;
let core: MemoryFunctions;
let view: DataView;
beforeAll(async () => {
  m = await TestMachine.create({ memory: MEMORY });
  core = m.engine.core as unknown as MemoryFunctions;
  view = m.engine.view;
});

const flag = fc.boolean();
/** Low and high attribute bits of an entry, mostly sane. */
const entryBits = fc.record({
  present: fc.integer({ min: 0, max: 9 }).map((n) => n > 0),
  low: fc.integer({ min: 0, max: 0xff }).map((n) => BigInt(n & 0xe6)),
  large: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
  odd: fc.integer({ min: 0, max: 15 }),
  nx: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
  target: fc.integer({ min: 0, max: 3 }),
});

type EntryBits = typeof entryBits extends fc.Arbitrary<infer T> ? T : never;

function entryOf(kind: PagingKind, b: EntryBits, level: number): bigint {
  let e = TABLES[b.target] | b.low | (b.present ? 1n : 0n);
  e &= ~0x80n;
  if (b.large && (level !== 0 || kind === '32-bit' || b.odd === 3))
    e = (e & 0xfffn) | 0x80n | (kind === '32-bit' ? 0x40_0000n : 0x4020_0000n & -0x20_0000n);
  if (kind !== '32-bit') {
    if (b.nx) e |= 1n << 63n;
    if (b.odd === 1) e |= 1n << 45n;
    if (b.odd === 2) e |= 1n << 55n;
    if (b.odd === 4 && b.large) e |= 1n << 15n;
  } else if (b.odd === 1) e |= 1n << 21n;
  else if (b.odd === 5) e |= 0x81n << 13n;
  return e;
}

const scenario = (kind: PagingKind) =>
  fc.record({
    entries: fc.array(entryBits, { minLength: 4, maxLength: 4 }),
    // Indexes of the tables' entries that the address uses.
    indexes: fc.array(fc.integer({ min: 0, max: kind === '32-bit' ? 1023 : 511 }), { minLength: 4, maxLength: 4 }),
    offset: fc.integer({ min: 0, max: 0xfff }),
    access: fc.constantFrom<Access>('read', 'write', 'fetch'),
    pse: flag,
    nxe: flag,
    wp: flag,
    smep: flag,
    smap: flag,
    ac: flag,
    user: flag,
    global: flag,
  });

type Scenario = ReturnType<typeof scenario> extends fc.Arbitrary<infer T> ? T : never;

function linearOf(kind: PagingKind, s: Scenario): bigint {
  const [a, b, c, d] = s.indexes.map(BigInt);
  const offset = BigInt(s.offset);
  if (kind === '32-bit') return (a << 22n) | (b << 12n) | offset;
  if (kind === 'pae') return ((a & 3n) << 30n) | (b << 21n) | (c << 12n) | offset;
  return BigInt.asUintN(64, BigInt.asIntN(48, (a << 39n) | (b << 30n) | (c << 21n) | (d << 12n) | offset));
}

/** Writes the tables so that level n's entry lies in the table that level n - 1's entry names. */
function writeTables(kind: PagingKind, s: Scenario): void {
  for (const t of TABLES) m.engine.memory.write(Number(t), new Uint8Array(TABLE_BYTES));
  const count = kind === '4-level' ? 4 : 2;
  const skip = kind === 'pae' ? 1 : 0;
  let table = TABLES[0];
  for (let level = 0; level < count; level++) {
    const bits = s.entries[level];
    const e = entryOf(kind, bits, level);
    const at = Number(table) + s.indexes[level + skip] * (kind === '32-bit' ? 4 : 8);
    if (kind === '32-bit') m.write(at, new Uint8Array(Uint32Array.of(Number(e & 0xffffffffn)).buffer));
    else m.setU64(at, e);
    table = TABLES[bits.target];
  }
}

function run(kind: PagingKind, s: Scenario): void {
  writeTables(kind, s);
  const pdptes = [0, 1, 2, 3].map((i) => (i === 3 ? 0n : TABLES[0] | 1n));
  const pdpt = 0x10_8000;
  pdptes.forEach((p, i) => {
    m.setU64(pdpt + i * 8, p);
  });
  const cr3 = kind === 'pae' ? BigInt(pdpt) : TABLES[0];
  const state: PagingState = { kind, cr3, pdptes, ...s };
  m.set((v) => {
    v.cr0 = 0x80000011n | (s.wp ? 0x10000n : 0n);
    v.cr3 = cr3;
    v.cr4 =
      (s.pse ? 0x10n : 0n) |
      (kind === '32-bit' ? 0n : 0x20n) |
      (s.global ? 0x80n : 0n) |
      (s.smep ? 1n << 20n : 0n) |
      (s.smap ? 1n << 21n : 0n);
    v.efer = (s.nxe ? 0x800n : 0n) | (kind === '4-level' ? 0x500n : 0n);
    v.rflags = 2n | (s.ac ? 1n << 18n : 0n);
    const dpl = s.user ? 0x60 : 0;
    v.cs = {
      selector: s.user ? 3 : 0,
      base: 0n,
      limit: 0xffffffff,
      attributes: (kind === '4-level' ? 0xa09b : 0xc09b) | dpl,
    };
    v.ss = { selector: s.user ? 3 : 0, base: 0n, limit: 0xffffffff, attributes: 0xc093 | dpl };
  });
  const linear = linearOf(kind, s);
  const load = (gpa: bigint, bytes: 4 | 8): bigint => {
    if (gpa + BigInt(bytes) > BigInt(MEMORY)) return (1n << BigInt(bytes * 8)) - 1n;
    return bytes === 4 ? BigInt(m.u32(Number(gpa))) : m.u64(Number(gpa));
  };
  const expected = translateByTheBook(state, linear, s.access, load);
  m.mmio.length = 0;
  view.setInt32(L.FAULT_VECTOR, -1, true);
  const signed = BigInt.asIntN(64, linear);
  const host =
    s.access === 'fetch'
      ? core.fetchPage(signed)
      : s.access === 'write'
        ? core.memWrite(signed, 1)
        : core.memRead(signed, 1);
  const vector = view.getInt32(L.FAULT_VECTOR, true);
  if ('error' in expected.result) {
    expect([host, vector, view.getInt32(L.FAULT_ERROR, true)]).toEqual([0, 14, expected.result.error]);
    expect(view.getBigUint64(L.CR2, true)).toBe(linear);
    return;
  }
  if ('gp' in expected.result) {
    expect([host, vector, view.getInt32(L.FAULT_ERROR, true)]).toEqual([0, 13, 0]);
    return;
  }
  const { gpa } = expected.result;
  if (gpa < BigInt(MEMORY)) {
    expect([vector, BigInt(host >>> 0) - BigInt(L.RAM_BASE)]).toEqual([-1, gpa]);
    // Once more, by what the TLB holds now.
    if (s.access === 'write') expect(core.memWrite(signed, 1)).toBe(host);
  } else if (s.access === 'read') expect(m.mmio.map((x) => [x[0], BigInt(x[1])])).toEqual([['r', gpa]]);
  // Tables may lie in themselves: of two levels' marks in one entry, the later one stands.
  const marked = new Map(expected.entries.map((e) => [e.address, e.value]));
  for (const [address, value] of marked)
    if (address < BigInt(MEMORY)) expect(load(address, kind === '32-bit' ? 4 : 8)).toBe(value);
}

describe('page walks against a model by the book', () => {
  test.each(['32-bit', 'pae', '4-level'] as const)('%s paging translates, faults and marks entries alike', (kind) => {
    fc.assert(
      fc.property(scenario(kind), (s) => run(kind, s)),
      { numRuns: 3000 },
    );
  });
});

describe('flags', () => {
  test('every value of the flags survives setFlags and getFlags', () => {
    const { setFlags, getFlags } = m.engine.core;
    const six = [0x1, 0x4, 0x10, 0x40, 0x80, 0x800];
    for (let i = 0; i < 64; i++) {
      const value = six.reduce((v, b, n) => (i & (1 << n) ? v | b : v), 2) | (i & 1 ? 0x400 : 0x200);
      setFlags(value, -1);
      expect(getFlags()).toBe(value);
      for (const bit of six) {
        setFlags(value ^ bit, bit);
        expect(getFlags()).toBe(value ^ bit);
        setFlags(value, bit);
      }
    }
  });
});
