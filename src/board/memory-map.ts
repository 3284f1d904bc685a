/**
 * Where everything lies in the guest's physical address space.
 *
 *   0                 RAM; its last KiB below 640 KiB is the extended BIOS data area
 *   A0000h            no RAM for the guest's use up to 1 MiB; ACPI's root pointer at E0000h
 *   100000h           RAM up to the PCI hole; at its top the ACPI tables
 *   C0000000h         the PCI hole: 32-bit BARs, ECAM (E0000000h), BARs again (F0000000h), IOAPIC, local APIC
 *   100000000h        the rest of RAM
 *   8000000000h       64-bit BARs
 */
import { IOAPIC_DEFAULT_BASE } from '../devices/ioapic/index.js';
import { LAPIC_DEFAULT_BASE } from '../devices/lapic/index.js';
import type { PciWindow, PciWindows } from '../devices/pci/index.js';
import { ECAM_BUS_SIZE } from '../devices/pci/index.js';
import { FOUR_GIB, PCI_HOLE_START } from '../engine/contract.js';

export const ECAM_BASE = 0xe000_0000;
export const ECAM_BUSES = 256;
export const IOAPIC_BASE = IOAPIC_DEFAULT_BASE;
export const LAPIC_BASE = LAPIC_DEFAULT_BASE;

/** Ranges that PCI devices may lie in, as ACPI's _CRS of the root bridge tells them. */
export const PCI_MEM_LOW: PciWindow = { base: PCI_HOLE_START, length: ECAM_BASE - PCI_HOLE_START };
export const PCI_MEM_HIGH: PciWindow = { base: 0xf000_0000, length: IOAPIC_DEFAULT_BASE - 0xf000_0000 };
export const PCI_MEM_64: PciWindow = { base: 0x80_0000_0000, length: 0x40_0000_0000 };

/** What the board's own firmware gives BARs from. Ports below are ISA's, and FFFFh is left alone. */
export const FIRMWARE_WINDOWS: PciWindows = {
  io: { base: 0xc000, length: 0x3f00 },
  mem32: PCI_MEM_LOW,
  mem64: PCI_MEM_64,
};

/** Extended BIOS data area, its real-mode segment stored at 40Eh. */
export const EBDA_BASE = 0x9_fc00;
const VGA_BASE = 0xa_0000;
/** The area that guests search for the ACPI root pointer, and more such things. */
export const BIOS_AREA_BASE = 0xe_0000;
const ONE_MIB = 0x10_0000;
export const RSDP_GPA = BIOS_AREA_BASE;

/** ACPI tables: reclaimable ones, then one page of non-volatile storage for the FACS. */
export const ACPI_AREA_LENGTH = 0x1_0000;
export const ACPI_NVS_LENGTH = 0x1000;

/** Types of INT 15h AX=E820h (ACPI 6.5, table 15.2). */
export const E820_RAM = 1;
export const E820_RESERVED = 2;
export const E820_ACPI = 3;
export const E820_NVS = 4;

export interface E820Entry {
  readonly gpa: number;
  readonly length: number;
  readonly type: 1 | 2 | 3 | 4;
}

export interface MemoryLayout {
  /** Ascending, none overlapping. What no entry covers is free for devices. */
  readonly e820: readonly E820Entry[];
  /** Where the ACPI tables go (E820 type 3). */
  readonly acpi: { readonly gpa: number; readonly length: number };
  /** Where the FACS goes (E820 type 4). */
  readonly facsGpa: number;
  readonly rsdpGpa: number;
  /** RAM in bytes below the PCI hole, and above 4 GiB. */
  readonly below4G: number;
  readonly above4G: number;
}

/** RAM below this has no room for a kernel, let alone the tables. */
const LEAST_RAM = 2 * ONE_MIB;

/**
 * Lays the guest's memory out.
 * @param ram the engine's RAM: one region from 0, and one from 4 GiB where there is more than fits below the hole
 * @throws RangeError where RAM lies in the hole or is less than 2 MiB.
 */
export function layoutMemory(ram: readonly { gpa: number; length: number }[]): MemoryLayout {
  const low = ram.find(({ gpa }) => gpa === 0);
  if (low === undefined || low.length < LEAST_RAM)
    throw new RangeError('A machine needs at least 2 MiB of RAM from 0.');
  const below4G = low.length;
  if (below4G > PCI_HOLE_START) throw new RangeError('RAM reaches into the PCI hole.');
  const acpi = { gpa: below4G - ACPI_AREA_LENGTH, length: ACPI_AREA_LENGTH - ACPI_NVS_LENGTH };
  const facsGpa = below4G - ACPI_NVS_LENGTH;
  const e820: E820Entry[] = [
    { gpa: 0, length: EBDA_BASE, type: E820_RAM },
    { gpa: EBDA_BASE, length: VGA_BASE - EBDA_BASE, type: E820_RESERVED },
    { gpa: BIOS_AREA_BASE, length: ONE_MIB - BIOS_AREA_BASE, type: E820_RESERVED },
    { gpa: ONE_MIB, length: acpi.gpa - ONE_MIB, type: E820_RAM },
    { ...acpi, type: E820_ACPI },
    { gpa: facsGpa, length: ACPI_NVS_LENGTH, type: E820_NVS },
    { gpa: ECAM_BASE, length: ECAM_BUSES * ECAM_BUS_SIZE, type: E820_RESERVED },
  ];
  let above4G = 0;
  for (const { gpa, length } of ram) {
    if (gpa === 0) continue;
    if (gpa < FOUR_GIB || gpa + length > PCI_MEM_64.base) {
      throw new RangeError(`RAM at ${gpa.toString(16)}h lies where devices are.`);
    }
    above4G += length;
    e820.push({ gpa, length, type: E820_RAM });
  }
  return { e820, acpi, facsGpa, rsdpGpa: RSDP_GPA, below4G, above4G };
}
