import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as A from './aml.js';
import type { AcpiOptions, PlacedTable } from './index.js';
import { buildAcpi } from './index.js';
import * as R from './resources.js';

const options = (cpus = 2): AcpiOptions => ({
  area: { gpa: 0x1fff_0000, length: 0xf000 },
  facsGpa: 0x1fff_f000,
  rsdpGpa: 0xe_0000,
  fadt: {
    pm: { event: 0x600, control: 0x604, timer: 0x608, timer32: true, gpe0: { port: 0, length: 0 } },
    sciIrq: 9,
    reset: { port: 0xcf9, value: 6 },
    century: 0x32,
  },
  madt: {
    lapicBase: 0xfee0_0000,
    apicIds: Array.from({ length: cpus }, (_, i) => i),
    ioapic: { id: 0, base: 0xfec0_0000 },
    timerGsi: 2,
    sciIrq: 9,
  },
  dsdt: {
    s5SleepType: 5,
    ecam: { base: 0xe000_0000, buses: 256 },
    memory32: [
      { base: 0xc000_0000, length: 0x2000_0000 },
      { base: 0xf000_0000, length: 0xec0_0000 },
    ],
    memory64: [{ base: 0x80_0000_0000, length: 0x40_0000_0000 }],
    pciDevices: Array.from({ length: 31 }, (_, i) => i + 1),
    linkIrqs: [10, 11, 10, 11],
    linkGsi: 16,
    serialPorts: [
      { base: 0x3f8, irq: 4 },
      { base: 0x2f8, irq: 3 },
      { base: 0x3e8, irq: 4 },
      { base: 0x2e8, irq: 3 },
    ],
    pm: { base: 0x600, length: 0x80 },
  },
});

const sum = (bytes: Uint8Array): number => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
const find = (tables: PlacedTable[], signature: string): PlacedTable =>
  tables.find((placed) => placed.signature === signature)!;
const view = (placed: PlacedTable): DataView => new DataView(placed.bytes.buffer, placed.bytes.byteOffset);

describe('ACPI tables', () => {
  const tables = buildAcpi(options());

  it('have valid checksums, lengths and signatures', () => {
    for (const { signature, bytes } of tables) {
      expect(new TextDecoder().decode(bytes.subarray(0, signature.length))).toBe(signature);
      if (signature === 'FACS') continue;
      expect(sum(bytes), signature).toBe(0);
      if (signature !== 'RSD PTR ') expect(new DataView(bytes.buffer).getUint32(4, true)).toBe(bytes.length);
    }
    expect(sum(find(tables, 'RSD PTR ').bytes.subarray(0, 20))).toBe(0);
  });

  it('lie in their area, aligned, without overlap', () => {
    const { area } = options();
    const inside = tables.filter(({ signature }) => signature !== 'FACS' && signature !== 'RSD PTR ');
    let end = area.gpa;
    for (const { gpa, bytes } of inside) {
      expect(gpa).toBeGreaterThanOrEqual(end);
      expect(gpa % 64).toBe(0);
      end = gpa + bytes.length;
    }
    expect(end).toBeLessThanOrEqual(area.gpa + area.length);
  });

  it('are reachable from the root pointer by both tables', () => {
    const root = view(find(tables, 'RSD PTR '));
    const rsdt = find(tables, 'RSDT');
    const xsdt = find(tables, 'XSDT');
    expect(root.getUint32(16, true)).toBe(rsdt.gpa);
    expect(root.getBigUint64(24, true)).toBe(BigInt(xsdt.gpa));
    const listed = ['FACP', 'APIC', 'MCFG'].map((signature) => find(tables, signature).gpa);
    expect(listed.map((_, i) => view(rsdt).getUint32(36 + 4 * i, true))).toEqual(listed);
    expect(listed.map((_, i) => Number(view(xsdt).getBigUint64(36 + 8 * i, true)))).toEqual(listed);
    const facp = view(find(tables, 'FACP'));
    expect(facp.getUint32(36, true)).toBe(find(tables, 'FACS').gpa);
    expect(facp.getUint32(40, true)).toBe(find(tables, 'DSDT').gpa);
    expect(facp.getBigUint64(140, true)).toBe(BigInt(find(tables, 'DSDT').gpa));
  });

  it('have x2APIC entries for processors beyond 254', () => {
    const madt = find(buildAcpi(options(258)), 'APIC').bytes;
    const kinds = new Map<number, number>();
    for (let at = 44; at < madt.length; at += madt[at + 1]) kinds.set(madt[at], (kinds.get(madt[at]) ?? 0) + 1);
    expect(Object.fromEntries(kinds)).toEqual({ 0: 255, 9: 3, 1: 1, 2: 2, 4: 1, 10: 1 });
  });

  it('are refused where they do not fit', () => {
    expect(() => buildAcpi({ ...options(), area: { gpa: 0x1000, length: 512 } })).toThrow(RangeError);
  });
});

describe('AML encoder', () => {
  it('encodes integers in the shortest form', () => {
    const cases: [number | bigint, number[]][] = [
      [0, [0]],
      [1, [1]],
      [2, [0x0a, 2]],
      [0x100, [0x0b, 0, 1]],
      [0x1_0000, [0x0c, 0, 0, 1, 0]],
      [2 ** 40, [0x0e, 0, 0, 0, 0, 0, 1, 0, 0]],
    ];
    for (const [value, bytes] of cases) expect(Array.from(A.integer(value))).toEqual(bytes);
    expect(() => A.integer(-1)).toThrow(RangeError);
    expect(() => A.integer(1n << 64n)).toThrow(RangeError);
  });

  it('encodes paths and refuses bad names', () => {
    const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
    expect(text(A.path('_S5'))).toBe('_S5_');
    expect(text(A.path('\\'))).toBe('\\\0');
    expect(text(A.path('^^A'))).toBe('^^A___');
    expect(text(A.path('\\_SB.PCI0'))).toBe('\\\x2e_SB_PCI0');
    expect(text(A.path('A.B.C'))).toBe('\x2f\x03A___B___C___');
    for (const bad of ['abcd', 'TOOLONG', '1AB', 'A..B']) expect(() => A.path(bad)).toThrow(RangeError);
  });

  it('encodes EISA identifiers as the compiler does', () => {
    expect(Array.from(A.eisaId('PNP0A03'))).toEqual([0x0c, 0x41, 0xd0, 0x0a, 0x03]);
    expect(() => A.eisaId('PNP0A0')).toThrow(RangeError);
  });

  it('encodes lengths that count themselves, at every border', () => {
    fc.assert(
      fc.property(fc.oneof(fc.nat(300), fc.constantFrom(62, 63, 4093, 4094, 1048571, 1048572)), (length) => {
        const bytes = A.withLength([0x10], new Uint8Array(length));
        const lead = bytes[1];
        const extra = lead >> 6;
        let value = extra === 0 ? lead & 0x3f : lead & 15;
        for (let i = 0; i < extra; i++) value |= bytes[2 + i] << (4 + 8 * i);
        expect(value).toBe(bytes.length - 1);
      }),
      { numRuns: 200 },
    );
  });
});

function iasl(args: string[], cwd: string): string {
  return execFileSync('iasl', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
const haveIasl = ((): boolean => {
  try {
    iasl(['-v'], tmpdir());
    return true;
  } catch {
    return false;
  }
})();

/** ACPICA's compiler, Debian package acpica-tools, as the second opinion. */
describe.skipIf(!haveIasl)('iasl (skipped where acpica-tools is missing)', () => {
  const inDirectory = (run: (directory: string) => void): void => {
    const directory = mkdtempSync(join(tmpdir(), 'typevisor-acpi-'));
    try {
      run(directory);
    } finally {
      rmSync(directory, { recursive: true });
    }
  };

  it('disassembles the DSDT and compiles it again without error or warning, to the same bytes', () => {
    inDirectory((directory) => {
      const { bytes } = find(buildAcpi(options()), 'DSDT');
      writeFileSync(join(directory, 'dsdt.aml'), bytes);
      iasl(['-d', 'dsdt.aml'], directory);
      const source = readFileSync(join(directory, 'dsdt.dsl'), 'utf8');
      expect(source).toContain('Method (_PRT, 0, NotSerialized)');
      const report = iasl(['-p', 'again', 'dsdt.dsl'], directory);
      expect(report).toMatch(/0 Errors, 0 Warnings/);
      const again = readFileSync(join(directory, 'again.aml'));
      expect(Array.from(again.subarray(36))).toEqual(Array.from(bytes.subarray(36)));
    });
  });

  it('reads the other tables and compiles them again to the same bytes', () => {
    inDirectory((directory) => {
      for (const signature of ['FACP', 'APIC', 'MCFG', 'RSDT', 'XSDT', 'FACS']) {
        const { bytes } = find(buildAcpi(options(257)), signature);
        writeFileSync(join(directory, `${signature}.aml`), bytes);
        iasl(['-d', `${signature}.aml`], directory);
        expect(readFileSync(join(directory, `${signature}.dsl`), 'utf8')).not.toMatch(/invalid|unknown|error/i);
        iasl(['-p', `${signature}2`, `${signature}.dsl`], directory);
        const again = readFileSync(join(directory, `${signature}2.aml`));
        // The compiler writes its own name as creator.
        const body = signature === 'FACS' ? 0 : 36;
        expect(Array.from(again.subarray(body)), signature).toEqual(Array.from(bytes.subarray(body)));
      }
    });
  });
});

describe('resource templates', () => {
  it('end with the end tag and give the buffer its length', () => {
    const bytes = R.resources(R.io(0x3f8, 8), R.irq(4));
    expect(Array.from(bytes)).toEqual([
      0x11, 0x10, 0x0a, 0x0d, 0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8, 0x22, 0x10, 0, 0x79, 0,
    ]);
  });
});
