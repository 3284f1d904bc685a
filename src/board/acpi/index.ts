/** The ACPI tables as a whole: builds them, gives each its place and links them together. */
import type { DsdtOptions } from './dsdt.js';
import { dsdtBody } from './dsdt.js';
import type { FadtOptions, MadtOptions } from './tables.js';
import { facs, fadt, madt, mcfg, rsdp, rsdt, table, xsdt } from './tables.js';

export type { DsdtOptions, IsaSerialPort } from './dsdt.js';
export type { PmPorts } from './tables.js';

export interface AcpiOptions {
  /** Where the tables may lie: [gpa, gpa+length), below 4 GiB. */
  readonly area: { readonly gpa: number; readonly length: number };
  /** Where the FACS lies, 64-byte aligned, in memory that the guest keeps. */
  readonly facsGpa: number;
  /** Where the root pointer lies: 16-byte aligned in E0000h-FFFFFh, where guests look for it. */
  readonly rsdpGpa: number;
  readonly fadt: Omit<FadtOptions, 'facsGpa' | 'dsdtGpa'>;
  readonly madt: MadtOptions;
  readonly dsdt: DsdtOptions;
}

export interface PlacedTable {
  readonly signature: string;
  readonly gpa: number;
  readonly bytes: Uint8Array;
}

const ALIGN = 64;

/**
 * Builds all tables.
 * @throws RangeError where the area is too small.
 */
export function buildAcpi(options: AcpiOptions): PlacedTable[] {
  const { area, facsGpa, rsdpGpa } = options;
  const placed: PlacedTable[] = [];
  let next = area.gpa;
  const place = (signature: string, bytes: Uint8Array): number => {
    const gpa = Math.ceil(next / ALIGN) * ALIGN;
    next = gpa + bytes.length;
    if (next > area.gpa + area.length) throw new RangeError(`The ACPI tables do not fit into ${area.length} bytes.`);
    placed.push({ signature, gpa, bytes });
    return gpa;
  };
  placed.push({ signature: 'FACS', gpa: facsGpa, bytes: facs() });
  const dsdtGpa = place('DSDT', table('DSDT', 2, dsdtBody(options.dsdt)));
  const listed = [
    place('FACP', fadt({ ...options.fadt, facsGpa, dsdtGpa })),
    place('APIC', madt(options.madt)),
    place('MCFG', mcfg(options.dsdt.ecam.base, options.dsdt.ecam.buses)),
  ];
  const rsdtGpa = place('RSDT', rsdt(listed));
  const xsdtGpa = place('XSDT', xsdt(listed));
  placed.push({ signature: 'RSD PTR ', gpa: rsdpGpa, bytes: rsdp(rsdtGpa, xsdtGpa) });
  return placed;
}
