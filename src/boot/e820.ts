/** The BIOS memory map, INT 15h AX=E820h (ACPI specification 6.5, chapter 15), that boot_params and PVH hand over. */

import type { RamRange } from './plan.js';

export const E820Type = { ram: 1, reserved: 2, acpi: 3, nvs: 4 } as const;

export interface E820Entry {
  readonly gpa: number;
  readonly length: number;
  readonly type: (typeof E820Type)[keyof typeof E820Type];
}

/** Top of conventional memory: the last KiB below the VGA window is where a BIOS keeps its extended data area. */
const EBDA = 0x9_fc00;
const VGA = 0xa_0000;
/** ROM and firmware tables, up to 1 MiB. */
const BIOS = 0xe_0000;
const ONE_MIB = 0x10_0000;

/** The usual PC's map over this RAM: a hole from 640 KiB to 1 MiB with the firmware's area reserved, the rest RAM. */
export function pcMemoryMap(ram: readonly RamRange[]): E820Entry[] {
  const map: E820Entry[] = [];
  for (const { gpa, length } of ram) {
    const end = gpa + length;
    if (gpa === 0 && end > ONE_MIB) {
      map.push({ gpa: 0, length: EBDA, type: E820Type.ram });
      map.push({ gpa: EBDA, length: VGA - EBDA, type: E820Type.reserved });
      map.push({ gpa: BIOS, length: ONE_MIB - BIOS, type: E820Type.reserved });
      map.push({ gpa: ONE_MIB, length: end - ONE_MIB, type: E820Type.ram });
    } else {
      map.push({ gpa, length, type: E820Type.ram });
    }
  }
  return map;
}
